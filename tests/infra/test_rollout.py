"""The deployed Rollout: its definition, and what each of its functions may do with which configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.infra import test_permissions
from tests.infra.conftest import Synthesised, as_list

from asl import TaskError, run
from perennial import key_store, proof_signing, rollout, rollout_check, rollout_failure, targets
from perennial.errors import RETRYABLE, PerennialError
from rolling import RollingHub, rolling_hub

SHARED = test_permissions.TABLE | test_permissions.LOGS
LOOKS = {action for each in targets.kinds().values() for action in each.LOOKS}
CHANGES = {action for each in targets.kinds().values() for action in each.CHANGES}
RETIRES = {action for each in targets.kinds().values() for action in each.RETIRES}
READ_KEY, SIGN = "secretsmanager:GetSecretValue", "kms:Sign"
FUNCTIONS = ("Preflight", "Activate", "Prove", "Restore", "Finish", "GiveUpRollout")


@pytest.fixture(scope="module")
def definition(hub: Synthesised) -> dict[str, Any]:
    return hub.definition("PerennialRollout")


def _role(stack: Synthesised, function: str) -> str:
    return next(name for name in stack.of("AWS::IAM::Role") if name.startswith(f"{function}Role"))


def _statements(stack: Synthesised, function: str) -> list[dict[str, Any]]:
    role = {"Ref": _role(stack, function)}
    policies = [each["Properties"] for each in stack.of("AWS::IAM::Policy").values()]
    return [said for each in policies if role in each["Roles"] for said in each["PolicyDocument"]["Statement"]]


# --- the definition ---


def test_states(definition: dict[str, Any]) -> None:
    """Each step calls its own function, has the retries of every function, and whatever it ends in is recorded."""
    tasks = {name: each for name, each in definition["States"].items() if each["Type"] == "Task"}
    assert {name: each["Resource"].strip("<").partition("Function")[0] for name, each in tasks.items()} == {
        "Preflight": "Preflight",
        "Activate": "Activate",
        "Prove": "Prove",
        "Restore": "Restore",
        "Finish": "Finish",
        "Give up": "GiveUpRollout",
    }
    for name, each in tasks.items():
        assert {error.__name__ for error in RETRYABLE} <= set(each["Retry"][0]["ErrorEquals"])
        caught = [catch["Next"] for catch in each.get("Catch", ())]
        assert caught == ([] if name in ("Finish", "Give up") else ["Give up"])


def _executed(definition: dict[str, Any], hub: RollingHub, reference: str) -> Any:
    """One execution of the synthesised definition with the library's functions."""
    steps = {
        "Preflight": rollout_check.preflight,
        "Activate": rollout.activate,
        "Prove": rollout.prove,
        "Restore": rollout.restore,
        "Finish": rollout.finish,
    }

    def invoke(resource: str, payload: dict[str, Any]) -> dict[str, Any]:
        name = resource.strip("<").partition("Function")[0]
        hub.forget()
        try:
            if name in steps:
                return steps[name](hub.deployment, payload["rollout"], hub.now).document()
            error = payload["error"]
            give_up = rollout_failure.give_up
            return give_up(hub.deployment, payload["rollout"], error["Error"], error["Cause"], hub.now).document()
        except PerennialError as error:
            raise TaskError(type(error).__name__, str(error)) from error

    def wait(seconds: float) -> None:
        hub.estate.clock.now += timedelta(seconds=seconds)

    return run(definition, {"rollout": reference}, invoke=invoke, wait=wait)


def test_a_rollout_takes_few_transitions(definition: dict[str, Any]) -> None:
    """The definition deploys to two targets in less than twenty transitions."""
    with rolling_hub("canary", "rest") as hub:
        ran = _executed(definition, hub, hub.request().reference)
        assert (ran.status, ran.states[-1]) == ("SUCCEEDED", "Deployed")
        assert len(ran.states) < 20


def test_a_rollout_that_fails_comes_back(definition: dict[str, Any]) -> None:
    """Where a proof fails the definition brings back what was there, and the execution fails with the reason."""
    with rolling_hub("canary", "rest") as hub:
        hub.places["rest"].deaf = True
        ran = _executed(definition, hub, hub.request().reference)
        assert (ran.status, ran.error) == ("FAILED", "NotDeployed")
        assert "rest" in ran.cause
        assert {each.serves for each in hub.places.values()} == {hub.versions[1].fingerprint}


def test_a_rollout_that_is_refused(definition: dict[str, Any]) -> None:
    """A refused rollout ends the execution with all reasons, and no function that changes was called."""
    with rolling_hub() as hub:
        hub.places["edge"].refuses = ["It is full."]
        ran = _executed(definition, hub, hub.request().reference)
        assert ran.status == "FAILED"
        assert "It is full." in ran.cause
        assert not {"Activate", "Restore"} & set(ran.states)


# --- permissions ---


def test_what_each_function_may_do(hub: Synthesised) -> None:
    """Looking, changing, reading keys and signing are apart: each function has what its step needs."""
    assumed, settings = {"sts:AssumeRole"}, {"s3:GetObject"}
    roots = {"acm-pca:GetCertificateAuthorityCertificate"}
    keys = {each for each in key_store.READS if each.startswith("secretsmanager:")}
    expected = {
        "Preflight": SHARED | settings | LOOKS | keys | assumed | roots,
        "Activate": SHARED | settings | LOOKS | CHANGES | keys | assumed,
        "Restore": SHARED | settings | LOOKS | CHANGES | keys | assumed,
        "Prove": SHARED | settings | LOOKS | assumed | set(proof_signing.ACTIONS),
        "Finish": SHARED | set(key_store.PROMOTES),
        "GiveUpRollout": SHARED,
    }
    assert {each: hub.actions(_role(hub, each)) for each in FUNCTIONS} == expected


@pytest.mark.parametrize("function", ["Prove", "Finish", "GiveUpRollout"])
def test_who_reads_no_key(hub: Synthesised, function: str) -> None:
    """What proves, ends and records may not read the secrets of managed certificates."""
    for said in _statements(hub, function):
        if READ_KEY in as_list(said["Action"]):
            assert said["Condition"] == {"Null": {"aws:ResourceTag/perennial:target": "false"}}


def test_only_what_proves_signs(hub: Synthesised) -> None:
    """kms:Sign is in one role, on the key for proofs alone."""
    signing = {each: [said for said in _statements(hub, each) if SIGN in as_list(said["Action"])] for each in FUNCTIONS}
    assert [each for each, found in signing.items() if found] == ["Prove"]
    ((said,),) = (found for found in signing.values() if found)
    assert "Proofs" in str(said["Resource"])


@pytest.mark.parametrize("service", ["secretsmanager", "ssm"])
def test_secrets_and_parameters_are_opened_by_a_tag(hub: Synthesised, service: str) -> None:
    """A secret or parameter without the tag perennial:target may not be written, but for Perennial's own secrets."""
    writes = {each for each in CHANGES if each.startswith(f"{service}:")}
    for function in ("Activate", "Restore"):
        said = [each for each in _statements(hub, function) if writes & set(as_list(each["Action"]))]
        assert [each["Condition"] for each in said] == [{"Null": {"aws:ResourceTag/perennial:target": "false"}}]


def test_buckets_are_named(hub: Synthesised) -> None:
    """Only the configured buckets may be written."""
    for function in ("Activate", "Restore"):
        (said,) = (each for each in _statements(hub, function) if "s3:PutObject" in as_list(each["Action"]))
        assert all("trust-bundles" in str(each) for each in as_list(said["Resource"]))


def test_roles_of_member_accounts(member: Synthesised) -> None:
    """A member account has a role that looks and one that changes, only where targets are configured; each may be
    assumed by the hub's roles that need it."""
    for name, actions, trusted in (
        ("PerennialTargetLook", LOOKS, ["PerennialRolloutPreflight", "PerennialRolloutProve"]),
        (
            "PerennialTarget",
            LOOKS | CHANGES | RETIRES,
            ["PerennialRolloutActivate", "PerennialRolloutRestore", "PerennialRenewalRetire"],
        ),
    ):
        role = member.named_role(name)
        assert member.actions(role) == actions
        (said,) = member.template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert all(each in str(said["Condition"]["ArnEquals"]) for each in trusted)
        condition = member.template["Conditions"][member.template["Resources"][role]["Condition"]]
        assert "444455556666" in str(condition)
        assert "777788889999" in str(condition)


def test_every_kind_declares_its_actions() -> None:
    """Each kind of target that lies in an account declares what it needs there; none asks for more by a wildcard."""
    for name, each in targets.kinds().items():
        assert bool(each.LOOKS) == bool(each.CHANGES) == (name != "webhook")
        assert not [action for action in (*each.LOOKS, *each.CHANGES) if "*" in action]
