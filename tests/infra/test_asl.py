"""The interpreter of state machines that tests and the bench run definitions with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import asl
from asl import TaskError

RETRY = [{"ErrorEquals": ["Throttled"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 3, "MaxDelaySeconds": 5}]


def execution(
    states: Mapping[str, Any], event: Any, answers: Mapping[str, Any] | None = None
) -> tuple[asl.Ran, list[Any]]:
    """Run states from the first one; `answers` are results by resource, lists are taken in turns."""
    told: list[Any] = []

    def invoke(resource: str, payload: Any) -> Any:
        told.append(payload)
        answer = (answers or {})[resource]
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    definition = {"StartAt": next(iter(states)), "States": states}
    return asl.run(definition, event, invoke=invoke, wait=told.append), told


def task(**more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": "f", "End": True, **more}


def test_a_task_gets_its_parameters_and_puts_its_result() -> None:
    """A template is filled from the input; the result is put where ResultPath says, beside the input."""
    state = task(Parameters={"version.$": "$.version", "fixed": [1]}, ResultPath="$.step")
    ran, told = execution({"A": state}, {"version": "shop/1"}, {"f": {"next": "done"}})
    assert told == [{"version": "shop/1", "fixed": [1]}]
    assert ran.output == {"version": "shop/1", "step": {"next": "done"}}
    assert (ran.status, ran.states) == ("SUCCEEDED", ["A"])


@pytest.mark.parametrize(("path", "output"), [("$", "result"), (None, {"a": 1}), ("$.b", {"a": 1, "b": "result"})])
def test_result_path(path: str | None, output: Any) -> None:
    """The result replaces the input, is dropped, or is put into it."""
    assert execution({"A": task(ResultPath=path)}, {"a": 1}, {"f": "result"})[0].output == output


def test_a_retry_is_a_transition_with_a_growing_pause() -> None:
    """AWS bills a state that is retried anew; pauses double up to MaxDelaySeconds."""
    throttled = [TaskError("Throttled", "x")] * 3
    ran, told = execution({"A": task(Retry=RETRY)}, {}, {"f": [*throttled, "fine"]})
    assert ran.states == ["A"] * 4
    assert [each for each in told if each != {}] == [2, 4, 5]
    assert ran.output == "fine"


def test_what_is_not_retried_any_more_is_caught() -> None:
    """The error and its cause are put where the catcher says; another error is not retried at all."""
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B", "ResultPath": "$.error"}]
    states = {"A": task(Retry=RETRY, Catch=catch), "B": {"Type": "Succeed"}}
    ran, _ = execution(states, {"a": 1}, {"f": [TaskError("Throttled", "busy")] * 4})
    assert ran.states == ["A"] * 4 + ["B"]
    assert ran.output == {"a": 1, "error": {"Error": "Throttled", "Cause": "busy"}}
    other, _ = execution(states, {"a": 1}, {"f": TaskError("Other", "why")})
    assert other.states == ["A", "B"]


def test_what_nobody_catches_fails_the_execution() -> None:
    """With its error and cause."""
    ran, _ = execution({"A": task()}, {}, {"f": TaskError("Other", "why")})
    assert (ran.status, ran.error, ran.cause) == ("FAILED", "Other", "why")


@pytest.mark.parametrize(("word", "end"), [("a", "A"), ("b", "B"), ("c", "Else")])
def test_choices(word: str, end: str) -> None:
    """The first rule that holds is followed, else the default."""
    rules = [{"Variable": "$.step.next", "StringEquals": "a", "Next": "A"}]
    rules += [{"Not": {"Variable": "$.step.next", "StringEquals": "c"}, "Next": "B"}]  # type: ignore[dict-item]
    ends = {name: {"Type": "Succeed"} for name in ("A", "B", "Else")}
    choice = {"Type": "Choice", "Choices": rules, "Default": "Else"}
    assert execution({"What?": choice, **ends}, {"step": {"next": word}})[0].states == ["What?", end]


def test_waits_and_failures_read_the_input() -> None:
    """SecondsPath and CausePath."""
    states = {
        "Wait": {"Type": "Wait", "SecondsPath": "$.step.seconds", "Next": "End"},
        "End": {"Type": "Fail", "Error": "NotIssued", "CausePath": "$.step.doing"},
    }
    ran, told = execution(states, {"step": {"seconds": 7, "doing": "nothing"}})
    assert told == [7]
    assert (ran.status, ran.error, ran.cause) == ("FAILED", "NotIssued", "nothing")


@pytest.mark.parametrize(
    "states",
    [
        {"A": task(OutputPath="$.x")},
        {"A": {"Type": "Wait", "SecondsPath": "$.a[0]", "End": True}},
        {"A": {"Type": "Pass", "Next": "A"}},
        {"A": {"Type": "Choice", "Choices": [{"Variable": "$.a", "StringEquals": "x", "Next": "A"}]}},
        {"A": {"Type": "Pass"}},
    ],
)
def test_what_it_does_not_know_is_an_error(states: dict[str, Any]) -> None:
    """An unknown field, another form of path, an endless loop, a choice without an answer, a state without a next."""
    with pytest.raises(AssertionError):
        execution(states, {"a": "y"}, {"f": 1})
