"""The deployed Approval: its definition, how it runs, and what its role and functions may do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.infra import test_permissions
from tests.infra.conftest import HUB, MEMBER_REGION, Synthesised, as_list

from asl import TaskError, run
from perennial.approval_settings import MAX_DAYS
from perennial.approvals import Step
from perennial.errors import RETRYABLE

SHARED = test_permissions.TABLE | test_permissions.LOGS | {"s3:GetObject"}
FUNCTIONS = ("AskApprovers", "ApplyRequest", "ExpireRequest")
ID = "01a196fb16006a34df8d9526c150b2a8"
WAKE = "states:SendTaskSuccess"


@pytest.fixture(scope="module")
def definition(hub: Synthesised) -> dict[str, Any]:
    """As it is deployed, with Ask's two fields that `asl` does not know taken out: they are tested by themselves."""
    found = hub.definition("PerennialApproval")
    states = {**found["States"], "Ask": dict(found["States"]["Ask"])}
    del states["Ask"]["TimeoutSecondsPath"]
    states["Ask"]["Parameters"] = {"request.$": "$.request"}
    return {**found, "States": states}


def test_states(hub: Synthesised) -> None:
    """Every function is called again for what is worth it. Ask waits for its token as long as the request may wait, and
    ends it then; whatever else it fails of, the execution fails, and the next tick's begins anew."""
    states = hub.definition("PerennialApproval")["States"]
    tasks = {name: each for name, each in states.items() if each["Type"] == "Task"}
    assert set(tasks) == {"Ask", "Apply", "Expire"}
    for each in tasks.values():
        assert {error.__name__ for error in RETRYABLE} <= set(each["Retry"][0]["ErrorEquals"])
    ask = tasks["Ask"]
    assert ask["Resource"].endswith(":states:::lambda:invoke.waitForTaskToken")
    assert ask["Parameters"]["Payload"] == {"request.$": "$.request", "token.$": "$$.Task.Token"}
    assert (ask["TimeoutSecondsPath"], ask["ResultPath"], ask["Next"]) == ("$.step.seconds", None, "Apply")
    assert ask["Catch"] == [{"ErrorEquals": ["States.Timeout"], "ResultPath": None, "Next": "Expire"}]
    assert not any("Catch" in tasks[name] for name in ("Apply", "Expire"))


def _ran(definition: dict[str, Any], first: Step, answers: list[Step], fails: str = "") -> Any:
    """One execution that begins with a step. `answers` are those of Apply and Expire, in order."""
    left: Iterator[Step] = iter(answers)

    def invoke(resource: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert payload == {"request": ID}
        if "waitForTaskToken" in resource:
            if fails:
                raise TaskError(fails, "")
            return {"state": "approved"}
        return next(left).document()

    event = {"request": ID, "step": first.document()}
    return run(definition, event, invoke=invoke, wait=lambda _: None)


ASK, APPLY, EXPIRE, ENDED = Step(next="ask", seconds=60), Step(next="apply"), Step(next="expire"), Step(next="ended")
RUNS: dict[str, tuple[Step, list[Step], str, list[str]]] = {
    "decided": (ASK, [ENDED], "", ["Ask", "Apply", "Ended"]),
    "nobody decides": (ASK, [ENDED], "States.Timeout", ["Ask", "Expire", "Ended"]),
    "approved in the last moment": (ASK, [APPLY, ENDED], "States.Timeout", ["Ask", "Expire", "Apply", "Ended"]),
    "woken by mistake": (ASK, [ASK, ENDED], "", ["Ask", "Apply", "Ask", "Apply", "Ended"]),
    "nobody could be woken": (APPLY, [ENDED], "", ["Apply", "Ended"]),
    "found too late": (EXPIRE, [ENDED], "", ["Expire", "Ended"]),
}


@pytest.mark.parametrize("case", RUNS)
def test_how_it_runs(definition: dict[str, Any], case: str) -> None:
    """Each way through it ends well, and does what the request's own step says."""
    first, answers, fails, states = RUNS[case]
    ran = _ran(definition, first, answers, fails)
    assert ran.status == "SUCCEEDED"
    assert [each for each in ran.states if each != "What next?"] == states


def test_an_approver_who_cannot_be_told_is_seen(definition: dict[str, Any]) -> None:
    """Where nobody can be told for good, the execution fails, which sounds an alarm."""
    assert _ran(definition, ASK, [], "AccessDenied").status == "FAILED"


def test_it_may_wait_as_long_as_a_request(hub: Synthesised) -> None:
    """The machine's own time is more than the longest that perennial.toml may let a request wait."""
    assert hub.definition("PerennialApproval")["TimeoutSeconds"] > MAX_DAYS * 24 * 3600


def _role(stack: Synthesised, function: str) -> str:
    return next(name for name in stack.of("AWS::IAM::Role") if name.startswith(f"{function}Role"))


def test_what_the_functions_may_do(hub: Synthesised) -> None:
    """Asking tells people and wakes its own workflow; applying revokes, and reads the accounts at the CAs for that, but
    issues nothing and exports no key; expiring does neither."""
    told = {"sns:Publish", "events:PutEvents", WAKE}
    assert hub.actions(_role(hub, "AskApprovers")) == SHARED | told
    assert hub.actions(_role(hub, "ExpireRequest")) == SHARED
    applies = hub.actions(_role(hub, "ApplyRequest"))
    assert {"acm-pca:RevokeCertificate", "acm:RevokeCertificate"} <= applies
    assert not applies & {"acm:ExportCertificate", "acm:RequestCertificate", "acm-pca:IssueCertificate", *told}


def test_only_this_workflow_is_woken(hub: Synthesised) -> None:
    """The permission to send a token back names this state machine."""
    found = []
    for policy in hub.of("AWS::IAM::Policy").values():
        for said in policy["Properties"]["PolicyDocument"]["Statement"]:
            if WAKE in as_list(said["Action"]):
                found.append(said["Resource"]["Fn::Join"][1][-1])
    assert found
    assert set(found) == {f":states:{MEMBER_REGION}:{HUB}:stateMachine:PerennialApproval"}


def test_the_tick_starts_it(hub: Synthesised) -> None:
    """The tick knows the state machine, and may start it."""
    (tick,) = (
        each["Properties"]
        for each in hub.of("AWS::Lambda::Function").values()
        if each["Properties"]["Handler"] == "dispatch/tick.handler"
    )
    machine = tick["Environment"]["Variables"]["PERENNIAL_APPROVAL_ARN"]
    starts = [
        said
        for policy in hub.of("AWS::IAM::Policy").values()
        for said in policy["Properties"]["PolicyDocument"]["Statement"]
        if as_list(said["Action"]) == ["states:StartExecution"]
    ]
    assert any(machine in as_list(each["Resource"]) for each in starts)
