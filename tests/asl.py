"""Runs a state machine's definition (Amazon States Language) in memory, as far as this project's workflows need it.

    ran = run(definition, {"version": "shop/1"}, invoke=call_the_function, wait=pass_the_time)
    ran.states     # every state that was entered, a retried one again each time: what AWS bills as transitions

Whatever it does not know in a definition is an error, so that no field is ignored unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

MOST_STATES = 10_000
_FIELDS = {
    "Task": {"Resource", "Parameters", "ResultPath", "Retry", "Catch"},
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds", "SecondsPath"},
    "Pass": {"Result", "ResultPath", "Parameters"},
    "Succeed": set(),
    "Fail": {"Error", "Cause", "ErrorPath", "CausePath"},
}
_EVERYWHERE = {"Type", "Comment", "Next", "End"}
_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "StringEquals": lambda found, wanted: found == wanted,
    "BooleanEquals": lambda found, wanted: found is wanted,
    "NumericEquals": lambda found, wanted: found == wanted,
    "NumericLessThan": lambda found, wanted: found < wanted,
    "NumericGreaterThan": lambda found, wanted: found > wanted,
}


class TaskError(Exception):
    """What a function ended in, as the state machine sees it: the name of the error and its cause, a text."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


Invoke = Callable[[str, Any], Any]
Wait = Callable[[float], None]


@dataclass
class Ran:
    """An execution: the states it entered, how it ended (SUCCEEDED or FAILED), and with what."""

    states: list[str] = field(default_factory=list)
    status: str = ""
    output: Any = None
    error: str = ""
    cause: str = ""


def run(definition: Mapping[str, Any], event: Any, *, invoke: Invoke, wait: Wait) -> Ran:
    """One execution. `invoke` gets a Task's resource and payload and returns a result or raises TaskError; `wait` gets
    the seconds of a Wait, and of the pause before a Retry (without jitter)."""
    ran = Ran(output=deepcopy(event))
    machine = Machine(ran, invoke, wait)
    name = definition["StartAt"]
    while not ran.status:
        assert len(ran.states) < MOST_STATES, f"no end after {MOST_STATES} states"
        ran.states.append(name)
        name = machine.enter(name, definition["States"][name])
    return ran


@dataclass
class Machine:
    ran: Ran
    invoke: Invoke
    wait: Wait

    def enter(self, name: str, state: Mapping[str, Any]) -> str:
        """Do what a state does; returns the next one."""
        kind = state["Type"]
        unknown = set(state) - _EVERYWHERE - _FIELDS[kind]
        assert not unknown, f"{name}: {unknown} is not known here"
        following: str | None = getattr(self, f"_{kind.lower()}")(name, state)
        if following is None and not self.ran.status:
            following = state.get("Next")
            if following is None:
                assert state.get("End"), f"{name} has neither Next nor End"
                self.ran.status = "SUCCEEDED"
        return following or ""

    def _task(self, name: str, state: Mapping[str, Any]) -> str | None:
        tried: dict[int, int] = {}  # number of the retrier -> how often it has retried
        payload = self._payload(state)
        while True:
            try:
                result = self.invoke(state["Resource"], payload)
            except TaskError as error:
                if self._retries(state.get("Retry", ()), error, tried):
                    self.ran.states.append(name)
                    continue
                return self._caught(state.get("Catch", ()), error)
            self._put(state, result)
            return None

    def _retries(self, retriers: Sequence[Mapping[str, Any]], error: TaskError, tried: dict[int, int]) -> bool:
        for number, each in enumerate(retriers):
            if not _matches(each, error):
                continue
            count = tried.get(number, 0)
            if count >= each.get("MaxAttempts", 3):
                return False
            tried[number] = count + 1
            pause = each.get("IntervalSeconds", 1) * each.get("BackoffRate", 2.0) ** count
            self.wait(min(pause, each.get("MaxDelaySeconds", pause)))
            return True
        return False

    def _caught(self, catchers: Sequence[Mapping[str, Any]], error: TaskError) -> str | None:
        for each in catchers:
            if _matches(each, error):
                self._put(each, {"Error": error.error, "Cause": error.cause})
                return str(each["Next"])
        self._fail("", {"Error": error.error, "Cause": error.cause})
        return None

    def _choice(self, name: str, state: Mapping[str, Any]) -> str:
        for rule in state["Choices"]:
            if self._holds(rule):
                return str(rule["Next"])
        assert "Default" in state, f"{name}: no choice holds of {self.ran.output}"
        return str(state["Default"])

    def _holds(self, rule: Mapping[str, Any]) -> bool:
        if "And" in rule:
            return all(self._holds(each) for each in rule["And"])
        if "Or" in rule:
            return any(self._holds(each) for each in rule["Or"])
        if "Not" in rule:
            return not self._holds(rule["Not"])
        (test,) = set(rule) - {"Variable", "Next", "Comment"}
        return _TESTS[test](self._at(rule["Variable"]), rule[test])

    def _wait(self, _: str, state: Mapping[str, Any]) -> None:
        self.wait(self._at(state["SecondsPath"]) if "SecondsPath" in state else state["Seconds"])

    def _pass(self, _: str, state: Mapping[str, Any]) -> None:
        self._put(state, deepcopy(state["Result"]) if "Result" in state else self._payload(state))

    def _succeed(self, *_: object) -> None:
        self.ran.status = "SUCCEEDED"

    def _fail(self, _: str, state: Mapping[str, Any]) -> None:
        self.ran.status = "FAILED"
        self.ran.error = self._at(state["ErrorPath"]) if "ErrorPath" in state else state.get("Error", "")
        self.ran.cause = self._at(state["CausePath"]) if "CausePath" in state else state.get("Cause", "")

    def _payload(self, state: Mapping[str, Any]) -> Any:
        return self._filled(state["Parameters"]) if "Parameters" in state else deepcopy(self.ran.output)

    def _filled(self, template: Any) -> Any:
        """A payload template: `"name.$": "$.path"` is replaced by what is there."""
        if isinstance(template, list):
            return [self._filled(each) for each in template]
        if not isinstance(template, dict):
            return template
        return {
            key.removesuffix(".$"): self._at(value) if key.endswith(".$") else self._filled(value)
            for key, value in template.items()
        }

    def _put(self, state: Mapping[str, Any], result: Any) -> None:
        """Put a result where ResultPath says: `$`, nowhere (null), or one name of the input."""
        path = state.get("ResultPath", "$")
        if path == "$":
            self.ran.output = result
        elif path is not None:
            *above, last = _steps(path)
            at = self.ran.output
            for step in above:
                at = at.setdefault(step, {})
            at[last] = result

    def _at(self, path: str) -> Any:
        found = self.ran.output
        for step in _steps(path):
            found = found[step]
        return deepcopy(found)


def _steps(path: str) -> list[str]:
    """The names in a path like $.step.seconds; no other form is known here."""
    first, *steps = path.split(".")
    assert first == "$", f"{path} is no path of names"
    assert all(each.isidentifier() for each in steps), f"{path} is no path of names"
    return steps


def _matches(rule: Mapping[str, Any], error: TaskError) -> bool:
    names = rule["ErrorEquals"]
    return error.error in names or "States.ALL" in names or "States.TaskFailed" in names
