"""The definitions of Renewal, Issuance and Rollout, as the stack deploys them, for tests without the stack.

`tests/infra/test_living_workflows.py` compares them with the synthesised ones. A Task's resource is the name of a step
here (`decide`), and for a workflow that runs inside another one that workflow's name (`Issuance`).
"""

from __future__ import annotations

from typing import Any

from perennial.errors import RETRYABLE

RETRIES = 6
OF_LAMBDA = (
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
)
RETRY = {
    "ErrorEquals": [*(each.__name__ for each in RETRYABLE), *OF_LAMBDA],
    "IntervalSeconds": 2,
    "MaxAttempts": RETRIES,
    "MaxDelaySeconds": 300,
    "BackoffRate": 2,
    "JitterStrategy": "FULL",
}
State = dict[str, Any]


def _caught(goes_to: str, path: str | None) -> list[State]:
    return [{"ErrorEquals": ["States.ALL"], "ResultPath": path, "Next": goes_to}]


def _step(resource: str, payload: State, path: str | None, following: str, *catch: State) -> State:
    state = {
        "Type": "Task",
        "Resource": resource,
        "Parameters": payload,
        "ResultPath": path,
        "Retry": [RETRY],
        "Next": following,
    }
    return {**state, "Catch": list(catch)} if catch else state


def _nested(machine: str, concerns: str) -> State:
    return {
        "Type": "Task",
        "Resource": machine,
        "Parameters": {"Input": {f"{concerns}.$": "$.step.reference"}, "Name.$": "$.step.execution"},
        "ResultPath": None,
        "Next": "Decide",
        "Catch": _caught("Decide", None),
    }


def _wait(following: str) -> State:
    return {"Type": "Wait", "SecondsPath": "$.step.seconds", "Next": following}


def _choice(variable: str, default: str, **following: str) -> State:
    choices = [{"Variable": variable, "StringEquals": word, "Next": name} for word, name in following.items()]
    return {"Type": "Choice", "Choices": choices, "Default": default}


RENEWAL: State = {
    "StartAt": "Decide",
    "States": {
        "Decide": _step("decide", {"managed.$": "$.managed", "fence.$": "$.fence"}, "$.step", "What next?"),
        "What next?": _choice(
            "$.step.next", "Rest", issue="Issue", deploy="Deploy and prove", retire="Retire", wait="Wait"
        ),
        "Issue": _nested("Issuance", "version"),
        "Deploy and prove": _nested("Rollout", "rollout"),
        "Retire": _step(
            "retire",
            {"version.$": "$.step.reference", "fence.$": "$.fence"},
            None,
            "Decide",
            *_caught("Decide", None),
        ),
        "Wait": _wait("Decide"),
        "Rest": {"Type": "Succeed"},
    },
}


def _issuing(resource: str, following: str, *, caught: bool = True) -> State:
    catch = _caught("Give up", "$.error") if caught else ()
    return _step(resource, {"version.$": "$.version"}, "$.step", following, *catch)


ISSUANCE: State = {
    "StartAt": "Prepare",
    "States": {
        "Prepare": _issuing("prepare", "What next?"),
        "Advance": _issuing("advance", "What next?"),
        "Store": _issuing("store", "Clean up"),
        "What next?": _choice("$.step.next", "Clean up", wait="Wait", advance="Advance", store="Store"),
        "Wait": _wait("Advance"),
        "Give up": _step("give_up_version", {"version.$": "$.version", "error.$": "$.error"}, None, "Clean up"),
        "Clean up": _issuing("clean", "How did it end?", caught=False),
        "How did it end?": _choice("$.step.next", "Issued", failed="Not issued", postponed="Postponed"),
        "Not issued": {"Type": "Fail", "Error": "NotIssued", "CausePath": "$.step.doing"},
        "Postponed": {"Type": "Succeed"},
        "Issued": {"Type": "Succeed"},
    },
}


def _rolling(resource: str, following: str = "What next?", *, caught: bool = True) -> State:
    catch = _caught("Give up", "$.error") if caught else ()
    return _step(resource, {"rollout.$": "$.rollout"}, "$.step", following, *catch)


_WORKING = {"preflight": "Preflight", "activate": "Activate", "prove": "Prove", "restore": "Restore"}

ROLLOUT: State = {
    "StartAt": "Preflight",
    "States": {
        **{name: _rolling(resource) for resource, name in _WORKING.items()},
        "What next?": _choice("$.step.next", "Finish", wait="Wait", **_WORKING, postponed="Postponed"),
        "Wait": _wait("Then?"),
        "Then?": _choice("$.step.then", "Finish", **_WORKING),
        "Give up": _step("give_up_rollout", {"rollout.$": "$.rollout", "error.$": "$.error"}, "$.step", "What next?"),
        "Finish": _rolling("finish", "How did it end?", caught=False),
        "How did it end?": _choice("$.step.next", "Not deployed", deployed="Deployed"),
        "Not deployed": {"Type": "Fail", "Error": "NotDeployed", "CausePath": "$.step.doing"},
        "Deployed": {"Type": "Succeed"},
        "Postponed": {"Type": "Succeed"},
    },
}

DEFINITIONS: dict[str, State] = {"Renewal": RENEWAL, "Issuance": ISSUANCE, "Rollout": ROLLOUT}
