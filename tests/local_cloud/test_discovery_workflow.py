"""The deployed Discovery: killed after each of its steps, crashed in the midst of them, and where it may not look."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from deployed import HUB_ACCOUNT, MEMBER_ACCOUNT, OTHER_REGION, REGION, Hub, import_certificate, leaf, listener, until

from certificates import pem

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("hub")]

WORK = ("Plan", "Each scope", "Collect", "Each shard", "Publish")  # the steps that take time
STEPS = (*WORK, "Name the shards", "More to publish?")
LAST = ("Publish", "More to publish?")  # so short before the end that a kill comes too late: these run twice
KILLS = [(step, "Entered") for step in WORK] + [(step, "Exited") for step in STEPS]
SCOPES = (
    *(f"{HUB_ACCOUNT}/{OTHER_REGION}/{source}" for source in ("acm", "elbv2", "secretsmanager")),
    f"{HUB_ACCOUNT}/aws-global/iam",
)
OF_MEMBER = f"{MEMBER_ACCOUNT}/{REGION}/acm"
OF_HUB = f"{HUB_ACCOUNT}/{OTHER_REGION}/acm"

Check = Callable[[Hub, str], Any]

CRASHES: dict[str, Check] = {  # what is to be seen when every function's process ends at once
    "a scope is being scanned": lambda hub, run: hub.children(run),
    "a certificate is kept": lambda hub, run: _kinds(hub) & {"certificate"},
    "a difference is being applied": lambda hub, run: hub.keys("partial/") or hub.keys("manifests/"),
    "a manifest is complete": lambda hub, run: hub.keys("manifests/"),
    "a finding is known": lambda hub, run: _kinds(hub) & {"finding"},
    "a finding is leased": lambda hub, run: any("told" not in each for each in hub.leased()),
    "a finding is published": lambda hub, run: any(each.get("told") for each in hub.items()),
}


@dataclass(frozen=True)
class Result:
    """What a run that nobody disturbed leads to."""

    inventory: dict[str, Any]
    findings: dict[str, Any]


@pytest.fixture(scope="module")
def undisturbed(hub: Hub) -> Result:
    """An estate of twelve certificates, and what one run makes of it."""
    _build(hub)
    hub.clear()
    began = datetime.now(UTC)
    hub.execute(*SCOPES)
    result = Result(hub.dump(), _findings(hub, began))
    assert sum(" CERT" in key for key in result.inventory) >= 12
    assert len(result.findings) >= 10
    return result


def _build(hub: Hub) -> None:
    acm, iam = hub.client("acm", region=OTHER_REGION), hub.client("iam")
    ends = (3, 9, 20, 45, 50, 55, 60, 65)  # days
    arns = [import_certificate(acm, leaf(f"app{end}.example.com", end)) for end in ends]
    listener(hub.client("elbv2", region=OTHER_REGION), "kill", arns[1])
    for number in range(2):
        classic = leaf(f"classic{number}.example.com", 20 * number + 5)
        iam.upload_server_certificate(
            ServerCertificateName=f"kill{number}", CertificateBody=classic.pem, PrivateKey=classic.key_pem
        )
    secrets = hub.client("secretsmanager", region=OTHER_REGION)
    for number in range(2):
        held = leaf(f"secret{number}.example.com", 12)
        value = json.dumps({"certificate": pem(held), "private_key": held.key_pem})
        secrets.create_secret(Name=f"tls/kill{number}", SecretString=value)


def _findings(hub: Hub, since: datetime) -> dict[str, Any]:
    """What Security Hub was told since then: each finding without its times."""
    stamp = since.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    kept = ("RecordState", "Severity", "Title", "Description", "Resources", "ProductFields")
    told = [each for each in hub.in_security_hub(region=OTHER_REGION) if each["UpdatedAt"] >= stamp]
    return {each["Id"]: {name: each[name] for name in kept} for each in told}


def _kinds(hub: Hub) -> set[str]:
    return {each.get("kind", "") for each in hub.items()}


def _has(hub: Hub, run: str, step: str, done: str) -> bool:
    """Whether an execution has entered or exited a step."""
    events = [each for each in hub.history(run) if each["type"].endswith(f"State{done}")]
    return any(each[f"state{done}EventDetails"]["name"] == step for each in events)


def _stop(hub: Hub, run: str) -> str:
    """Stop an execution; returns how it ended."""
    client = hub.client("stepfunctions")
    if client.describe_execution(executionArn=run)["status"] == "RUNNING":
        client.stop_execution(executionArn=run, cause="a test")
    return str(client.describe_execution(executionArn=run)["status"])


def _same(hub: Hub, began: datetime, undisturbed: Result) -> None:
    inventory, findings = hub.dump(), _findings(hub, began)
    assert {key for key in inventory if key.startswith("s3 partial/")} == set()
    assert inventory == undisturbed.inventory
    assert findings == undisturbed.findings


def test_every_step_is_killed(hub: Hub) -> None:
    """The steps that the tests below kill are all the states of the deployed machine but its end."""
    machine = hub.client("stepfunctions").describe_state_machine(stateMachineArn=hub.outputs["DiscoveryArn"])
    states = json.loads(machine["definition"])["States"]
    assert set(STEPS) == {name for name, state in states.items() if state["Type"] != "Succeed"}


@pytest.mark.parametrize(("step", "done"), KILLS)
def test_run_killed_at_a_step_and_run_again_ends_the_same(hub: Hub, undisturbed: Result, step: str, done: str) -> None:
    """Discovery stopped as soon as it entered or left a step, and started again at once, ends with the same inventory
    and findings as one that nobody stopped; what the first had begun may still be under way."""
    hub.clear()
    began = datetime.now(UTC)
    first = hub.start(*SCOPES)
    until(lambda: _has(hub, first, step, done), f"{step} {done}", pause=0.005)
    status = _stop(hub, first)
    print(f"killed when {step} was {done.lower()}: {status}")
    assert status == "ABORTED" or (step in LAST and done == "Exited")
    hub.execute(*SCOPES)
    hub.settle(first)
    _same(hub, began, undisturbed)


@pytest.mark.parametrize("moment", CRASHES)
def test_run_whose_functions_crash_and_run_again_ends_the_same(hub: Hub, undisturbed: Result, moment: str) -> None:
    """Every function's process is killed in the midst of its work: the run ends somehow, and the next, once the leases
    of the killed have ended, ends the same."""
    hub.clear()
    began = datetime.now(UTC)
    first = hub.start(*SCOPES)
    until(lambda: CRASHES[moment](hub, first), moment, pause=0.005)
    count = hub.crash()
    print(f"crashed when {moment}: {count} processes, {hub.finish(first)['status']}")
    hub.expire_leases()  # a quarter of an hour passes: what the dead publisher had leased is due again
    hub.execute(*SCOPES)
    _same(hub, began, undisturbed)


# --- scopes that cannot be read ---


@pytest.fixture
def both_scanned(hub: Hub, undisturbed: Result) -> str:
    """The ARN of a certificate of the member's, known by a complete scan of both accounts."""
    hub.clear()
    arn = import_certificate(hub.client("acm", MEMBER_ACCOUNT), leaf("member.example.com"))
    hub.execute(OF_MEMBER, OF_HUB)
    assert {each["status"] for each in hub.scopes().values()} == {"complete"}
    hub.forget_calls()
    return arn


def _is_present(hub: Hub, arn: str) -> bool:
    """Whether the inventory has the certificate at its place, and misses neither."""
    sightings = [each for each in hub.items() if each["pk"] == f"PLACE#{arn}" and each["kind"] == "sighting"]
    fingerprints = {each["fingerprint"] for each in sightings}
    certificates = [each for each in hub.items() if each["sk"] == "CERT" and each["fingerprint"] in fingerprints]
    return len(sightings) == len(certificates) == 1 and not any("gone_at" in each for each in sightings + certificates)


def _ended(hub: Hub, scope: str) -> tuple[str, str | None]:
    record = hub.scopes()[scope]
    return record["status"], record.get("reason")


def test_account_whose_role_is_missing_is_incomplete_and_keeps_its_certificates(hub: Hub, both_scanned: str) -> None:
    """Without the member's role its scope is incomplete, access denied; the hub's is complete, and nothing is gone."""
    iam = hub.client("iam", MEMBER_ACCOUNT)
    role = iam.get_role(RoleName="PerennialDiscovery")["Role"]
    for name in iam.list_role_policies(RoleName="PerennialDiscovery")["PolicyNames"]:
        iam.delete_role_policy(RoleName="PerennialDiscovery", PolicyName=name)
    iam.delete_role(RoleName="PerennialDiscovery")
    hub.crash()  # sessions of the role are used for half an hour
    try:
        hub.execute(OF_MEMBER, OF_HUB)
    finally:
        trust = json.dumps(role["AssumeRolePolicyDocument"])
        iam.create_role(RoleName="PerennialDiscovery", AssumeRolePolicyDocument=trust)
    assert _ended(hub, OF_MEMBER) == ("incomplete", "access-denied")
    assert _ended(hub, OF_HUB) == ("complete", None)
    assert _is_present(hub, both_scanned)


@pytest.mark.parametrize(
    ("code", "denied", "reason"),
    [
        ("AccessDeniedException", ("SearchCertificates", "ListCertificates"), "access-denied"),
        ("UnrecognizedClientException", ("SearchCertificates",), "region-disabled"),
    ],
)
def test_denial_is_not_repeated(hub: Hub, both_scanned: str, code: str, denied: tuple[str, ...], reason: str) -> None:
    """An operation that is denied, or is in a region that is not enabled, is called once; the scope says why."""
    for operation in denied:  # where searching is denied, listing may be allowed
        hub.inject("acm", operation, code)
    hub.execute(OF_MEMBER)
    assert _ended(hub, OF_MEMBER) == ("incomplete", reason)
    assert hub.calls()["acm"] == dict.fromkeys(denied, 1)
    assert _is_present(hub, both_scanned)


def test_throttling_that_ends_is_waited_out(hub: Hub, both_scanned: str) -> None:
    """Three throttled calls are repeated by the client, and the scope is complete."""
    hub.inject("acm", "SearchCertificates", "ThrottlingException", times=3)
    hub.execute(OF_MEMBER)
    assert _ended(hub, OF_MEMBER) == ("complete", None)
    assert hub.calls()["acm"]["SearchCertificates"] >= 4


def test_throttling_that_does_not_end_makes_the_scope_incomplete(hub: Hub, both_scanned: str) -> None:
    """A service that asks to slow down at each of the workflow's seven tries leaves the scope incomplete, throttled."""
    hub.inject("acm", "SearchCertificates", "TooBusy", times=7, status=429)  # a code that the SDK does not repeat
    hub.execute(OF_MEMBER, OF_HUB.replace("acm", "elbv2"))
    assert _ended(hub, OF_MEMBER) == ("incomplete", "throttled")
    assert _ended(hub, OF_HUB.replace("acm", "elbv2")) == ("complete", None)
    assert hub.calls()["acm"]["SearchCertificates"] == 7
    assert _is_present(hub, both_scanned)
