"""Changes to ministack's Step Functions: what JSONata and timeouts can do there in AWS and not in ministack.

AWS refuses a JSONPath state in a state machine whose query language is JSONata, so these gaps cannot be written around.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any

from local_cloud.patching import part, replace

_MODULE = "ministack.services.stepfunctions"
_NUMBERS = ("MaxConcurrency", "ToleratedFailurePercentage", "ToleratedFailureCount")

State = dict[str, Any]


def read_distributed_maps_with_jsonata() -> None:
    """Let a Distributed Map be written in JSONata: ItemReader arguments, Items, ItemSelector, Output and Assign.

    ministack evaluates them as JSONPath. Here the items are read and selected first; its own runner, which makes the
    child executions and counts failures, then gets them as plain input.
    """
    hook, name = "read_distributed_maps_with_jsonata", "_run_distributed_map"
    run = part(hook, _MODULE, name)
    language = part(hook, _MODULE, "_state_query_language")
    read_items = part(hook, _MODULE, "_read_map_items")
    evaluate = part(hook, _MODULE, "_apply_jsonata_template")
    output_of = part(hook, _MODULE, "_apply_jsonata_output")
    assign = part(hook, _MODULE, "_apply_state_assign")

    def items_of(state: State, raw: Any, context: State) -> list[Any]:
        if "ItemReader" not in state:
            return list(evaluate(state.get("Items", "{% $states.input %}"), raw, context))
        reader = evaluate(state["ItemReader"], raw, context)
        return list(read_items(reader, raw, context))

    def select(state: State, raw: Any, context: State, index: int, item: Any) -> Any:
        place = context | {"Map": {"Item": {"Index": index, "Value": item}}}
        return evaluate(state["ItemSelector"], raw, place) if "ItemSelector" in state else item

    @wraps(run)
    def run_in_either_language(
        state: State, raw: Any, effective: Any, iterator: State, execution: State, context: State
    ) -> Any:
        if language(state, context) != "JSONata":
            return run(state, raw, effective, iterator, execution, context)
        inputs = [select(state, raw, context, *pair) for pair in enumerate(items_of(state, raw, context))]
        numbers = {field: evaluate(state[field], raw, context) for field in _NUMBERS if field in state}
        plain = numbers | {field: state[field] for field in ("Label", "Next", "End") if field in state}
        results, following = run(plain, inputs, inputs, iterator, execution, context)
        output = output_of(state, raw, context, result=results, default=results)
        assign(state, raw, context, result=results)
        return output, following

    replace(_MODULE, name, run_in_either_language)


def give_succeed_states_an_output() -> None:
    """Evaluate the ``Output`` of a Succeed state in JSONata; ministack returns the state's input."""
    hook, name = "give_succeed_states_an_output", "_apply_output_path"
    apply = part(hook, _MODULE, name)
    language = part(hook, _MODULE, "_state_query_language")
    output_of = part(hook, _MODULE, "_apply_jsonata_output")

    @wraps(apply)
    def apply_either(state: State, data: Any, context: Any = None) -> Any:
        if state.get("Type") == "Succeed" and language(state, context) == "JSONata":
            return output_of(state, data, context, default=data)
        return apply(state, data, context)

    replace(_MODULE, name, apply_either)


def run_parallel_states_with_jsonata() -> None:
    """Evaluate ``Arguments``, ``Output`` and ``Assign`` of a Parallel state in JSONata; ministack ignores all three."""
    hook, name = "run_parallel_states_with_jsonata", "_run_parallel_branches"
    run = part(hook, _MODULE, name)
    language = part(hook, _MODULE, "_state_query_language")
    evaluate = part(hook, _MODULE, "_apply_jsonata_template")
    output_of = part(hook, _MODULE, "_apply_jsonata_output")
    assign = part(hook, _MODULE, "_apply_state_assign")

    @wraps(run)
    def run_in_either_language(state: State, raw: Any, execution: State, context: State) -> Any:
        if language(state, context) != "JSONata":
            return run(state, raw, execution, context)
        content = evaluate(state["Arguments"], raw, context) if "Arguments" in state else raw
        plain = {field: state[field] for field in ("Branches", "Next", "End") if field in state}
        results, following = run(plain, content, execution, copy.deepcopy(context))
        output = output_of(state, raw, context, result=results, default=results)
        assign(state, raw, context, result=results)
        return output, following

    replace(_MODULE, name, run_in_either_language)


def take_timeouts_from_the_input() -> None:
    """Let ``TimeoutSecondsPath`` of a Task state say how long it may take; ministack waits for ever."""
    hook, name = "take_timeouts_from_the_input", "_execute_task"
    execute = part(hook, _MODULE, name)
    resolve = part(hook, _MODULE, "_resolve_path_or_ctx")

    @wraps(execute)
    def execute_in_time(state: State, raw: Any, execution: State, context: State) -> Any:
        if "TimeoutSecondsPath" in state:
            state = {**state, "TimeoutSeconds": resolve(state["TimeoutSecondsPath"], raw, context)}
        return execute(state, raw, execution, context)

    replace(_MODULE, name, execute_in_time)


HOOKS: tuple[Callable[[], None], ...] = (
    read_distributed_maps_with_jsonata,
    run_parallel_states_with_jsonata,
    give_succeed_states_an_output,
    take_timeouts_from_the_input,
)
