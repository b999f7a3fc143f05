"""The deployed Renewal: its definition, how it runs, and what its role and functions may do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.infra import test_permissions
from tests.infra.conftest import Synthesised, as_list

from asl import TaskError, run
from perennial import key_store
from perennial.errors import RETRYABLE

SHARED = test_permissions.TABLE | test_permissions.LOGS
FUNCTIONS = ("Decide", "Retire")
INPUT = {"managed": "shop", "fence": 7}


@pytest.fixture(scope="module")
def definition(hub: Synthesised) -> dict[str, Any]:
    return hub.definition("PerennialRenewal")


def _role(stack: Synthesised, function: str) -> str:
    return next(name for name in stack.of("AWS::IAM::Role") if name.startswith(f"{function}Role"))


def test_states(definition: dict[str, Any]) -> None:
    """Decide and Retire have the retries of every function; whatever long work ends in, Decide is asked again."""
    tasks = {name: each for name, each in definition["States"].items() if each["Type"] == "Task"}
    assert set(tasks) == {"Decide", "Issue", "Deploy and prove", "Retire"}
    for name in ("Decide", "Retire"):
        assert {error.__name__ for error in RETRYABLE} <= set(tasks[name]["Retry"][0]["ErrorEquals"])
    for name in ("Issue", "Deploy and prove", "Retire"):
        assert [each["Next"] for each in tasks[name]["Catch"]] == ["Decide"]
        assert tasks[name]["Next"] == "Decide"
    assert "Catch" not in tasks["Decide"]


def test_long_work_runs_to_its_end_under_a_name(definition: dict[str, Any]) -> None:
    """Issuance and Rollout are awaited, each under the name that Decide gave, with the reference alone."""
    for name, concerns in (("Issue", "version"), ("Deploy and prove", "rollout")):
        state = definition["States"][name]
        assert state["Resource"].endswith(":states:startExecution.sync:2")
        assert state["Parameters"]["Name.$"] == "$.step.execution"
        assert state["Parameters"]["Input"] == {f"{concerns}.$": "$.step.reference"}


def _ran(definition: dict[str, Any], steps: list[dict[str, Any]], failing: str = "") -> tuple[Any, list[Any]]:
    """One execution in which Decide answers these steps, one after the other."""
    left, called = iter(steps), []

    def invoke(resource: str, payload: dict[str, Any]) -> dict[str, Any]:
        called.append((resource.strip("<").partition("Function")[0], payload))
        if failing and failing in resource:
            raise TaskError("NotIssued", "no")
        return next(left) if resource.startswith("<Decide") else {}

    return run(definition, INPUT, invoke=invoke, wait=lambda seconds: called.append(("wait", seconds))), called


def step(word: str, **more: Any) -> dict[str, Any]:
    return {"next": word, "reference": "", "execution": "", "seconds": 0, "doing": "", **more}


def test_a_whole_renewal(definition: dict[str, Any]) -> None:
    """Issue, deploy, retire, and rest: eight transitions and the two choices of each round."""
    steps = [
        step("issue", reference="shop/2", execution="issue-1"),
        step("deploy", reference="shop/2", execution="deploy-1"),
        step("retire", reference="shop/1"),
        step("wait", seconds=15),
        step("rest"),
    ]
    ran, called = _ran(definition, steps)
    assert ran.status == "SUCCEEDED"
    assert [each for each in ran.states if each not in ("Decide", "What next?")] == [
        "Issue",
        "Deploy and prove",
        "Retire",
        "Wait",
        "Rest",
    ]
    assert ("Retire", {"version": "shop/1", "fence": 7}) in called
    assert [payload for name, payload in called if name == "Decide"] == [INPUT] * 5


def test_what_fails_is_decided_on(definition: dict[str, Any]) -> None:
    """Where the issuance fails, Decide is asked what is next, and the execution does not fail."""
    ran, _ = _ran(definition, [step("issue", reference="shop/2", execution="x"), step("rest")], "startExecution")
    assert ran.status == "SUCCEEDED"


def test_what_the_functions_may_do(hub: Synthesised) -> None:
    """Deciding reads settings, promotes a version that has no targets, and tells people; it holds no key."""
    actions = hub.actions(_role(hub, "Decide"))
    tell = {"sns:Publish", "events:PutEvents", "securityhub:BatchImportFindings"}
    assert actions == {*SHARED, "s3:GetObject", *key_store.PROMOTES, *tell}
    assert "secretsmanager:GetSecretValue" not in actions


def test_what_the_machine_may_do(hub: Synthesised) -> None:
    """It starts and follows Issuance and Rollout, and nothing else."""
    role = next(name for name in hub.of("AWS::IAM::Role") if name.startswith("RenewalWorkflowRole"))
    policy = hub.of("AWS::IAM::Role")[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    by_action = {action: each["Resource"] for each in policy for action in as_list(each["Action"])}
    assert len(as_list(by_action["states:StartExecution"])) == 2
    executions = as_list(by_action["states:DescribeExecution"])
    assert all(name in str(executions) for name in ("PerennialIssuance:*", "PerennialRollout:*"))
    assert "StepFunctionsGetEventsForStepFunctionsExecutionRule" in str(by_action["events:PutRule"])
