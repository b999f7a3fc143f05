"""What scripts/bench deploy counts and judges, and that no local cloud is left."""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from benches import (
    deploy,
    deploy_calls,
    deploy_cloud,
    deploy_fleet,
    deploy_preflight,
    deploy_proof,
    deploy_stands,
    deploy_workflow,
)
from benches.report import Result
from bundles import bundle
from local_cloud.cloud import Cloud, CloudError
from local_cloud.fakes.apigateway_domains import ApiGatewayDomains
from perennial import bundle as bundles
from perennial import rollout, rollout_check, rollout_failure, targets
from perennial.targets.interface import Later
from rolling import MANAGED, RollingHub, rolling_hub

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("shop.example.com",)


def by_name(results: Any) -> dict[str, Result]:
    return {each.name: each for each in results}


def test_help_needs_no_environment() -> None:
    """Its options are told by any Python."""
    command = [sys.executable, "-I", str(ROOT / "scripts" / "bench"), "deploy", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


# --- calls ---


def test_every_kind_has_a_place() -> None:
    """A new kind of target is counted too."""
    assert {each.kind for each in deploy_stands.PLACES} == set(targets.names())


@pytest.mark.parametrize("place", deploy_stands.PLACES, ids=lambda place: place.words)
def test_each_kind_makes_no_call_too_many(place: deploy_stands.Place) -> None:
    """One import, as few writes as its service allows, one call that changes what serves, and none when repeated."""
    found = by_name(deploy_calls.of(place))
    assert not [each for each in found.values() if each.met is False]
    assert found[f"{place.words}: writes of a repetition"].value == 0
    assert found[f"{place.words}: reads of a rollout"].value > 3
    assert found[f"{place.words}: writes of the way back"].value == place.back


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place in memory is not asked for at somebody's endpoint, and leaves no variable."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    before = dict(os.environ)
    with deploy_stands.PLACES[0].made():
        assert "AWS_ENDPOINT_URL" not in os.environ
    assert dict(os.environ) == before


@dataclass
class Moody:
    """A stand with a target in S3 that is told how to behave."""

    later: bool = False
    refuses: list[str] = field(default_factory=list)
    calls: tuple[str, ...] = ()
    serves: str = "earlier"
    kind = "moody"
    earlier, new = bundle(1), bundle(2)
    passed: float = 0.0

    @property
    def s3(self) -> Any:
        return boto3.client("s3", region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")

    def target(self) -> Moody:
        return self

    def served(self) -> Any:
        return self.serves

    def pass_time(self, seconds: float) -> None:
        self.passed += seconds
        self.s3.list_buckets()  # what somebody else asks meanwhile

    def look(self) -> Any:
        return SimpleNamespace(fingerprint=self.new.fingerprint if self.serves == "new" else "")

    def refusals(self, *_: Any) -> list[str]:
        return self.refuses

    def activate(self, *_: Any) -> Later | None:
        if self.later or not self.passed:
            return Later(5, "the place")
        for each in self.calls:
            self.serves = each
            self.s3.create_bucket(Bucket=each)
        return None


def test_what_is_counted() -> None:
    """A target's own calls, and after which of them something else served; not what happens while it waits."""
    with mock_aws():
        counted = deploy_calls.Rolling(Moody(calls=("neither", "new"))).rollout()
    assert counted.names == ["CreateBucket", "CreateBucket"]
    assert (counted.reads, counted.writes, counted.changes, counted.imports) == (0, 2, 2, 0)


@pytest.mark.parametrize(
    ("stand", "words"),
    [
        (Moody(later=True), "asks to be called later for ever"),
        (Moody(refuses=["It is full."]), "It is full"),
        (Moody(calls=("neither",)), "does not serve the version"),
    ],
)
def test_what_does_not_work_ends_the_bench(stand: Moody, words: str) -> None:
    """No figure is told of a rollout that failed."""
    with mock_aws(), pytest.raises(SystemExit, match=words):
        deploy_calls.Rolling(stand).rollout()


# --- workflow ---


def task(name: str, following: str) -> dict[str, Any]:
    parameters = {"rollout.$": "$.rollout"}
    return {
        "Type": "Task",
        "Resource": f"<{name}Function1A2B.Arn>",
        "Parameters": parameters,
        "ResultPath": "$.step",
        "Next": following,
    }


def definition(end: str = "Deployed") -> Mapping[str, Any]:
    """A rollout's workflow, as far as one needs it that goes well."""
    choices = [
        {"Variable": "$.step.next", "StringEquals": name.lower(), "Next": name}
        for name in ("Preflight", "Activate", "Prove")
    ]
    working = {name: task(name, "What next?") for name in ("Preflight", "Activate", "Prove")}
    ending = {"What next?": {"Type": "Choice", "Choices": choices, "Default": "Finish"}, end: {"Type": "Succeed"}}
    return {"StartAt": "Preflight", "States": {**working, **ending, "Finish": task("Finish", end)}}


def test_figures_of_a_workflow_are_those_of_each_target() -> None:
    """Two targets: (preflight, 2 × activate and prove, each with its choice, finish, the end) / 2."""
    found = by_name(deploy_workflow.of(definition(), 2))
    assert found["2 targets: state transitions for each"].value == (2 + 2 * 4 + 2) / 2
    assert found["2 targets: calls to KMS for each"].value == 1
    assert found["2 targets: writes of the table for each"].value > 3
    assert found["2 targets: reads of the table for each"].value > 3


def test_a_rollout_that_is_not_deployed_ends_the_bench() -> None:
    """No figure is told of an execution that ended elsewhere."""
    with pytest.raises(SystemExit, match="not deployed"):
        list(deploy_workflow.of(definition("Postponed"), 1))


def test_calls_are_told_by_service_and_those_to_the_table_by_kind() -> None:
    """What reads the table is told apart from what writes it."""
    calls = {("dynamodb", "Query"): 3, ("dynamodb", "GetItem"): 1, ("dynamodb", "PutItem"): 2, ("kms", "Sign"): 5}
    assert deploy_workflow.told(calls) == {"reads of the table": 4, "writes of the table": 2, "calls to KMS": 5}


def test_clients_that_were_made_before_are_counted_until_the_end() -> None:
    """Clients are kept for long, and what comes later is not counted."""
    with mock_aws():
        client = boto3.client("sts", region_name="eu-west-1", aws_access_key_id="any", aws_secret_access_key="any")
        with deploy_workflow.counted() as calls:
            client.get_caller_identity()
        client.get_caller_identity()
    assert calls == {("sts", "GetCallerIdentity"): 1}


def test_every_step_is_one_of_the_library() -> None:
    """The functions of the state machine and the steps that stand for them here."""
    found = [getattr(module, step, None) for step in deploy_workflow.STEPS.values() for module in MODULES]
    assert len([each for each in found if inspect.isfunction(each)]) >= len(deploy_workflow.STEPS)
    files = {each.stem for each in (ROOT / "functions" / "rollout").glob("*.py")} - {"callback"}
    assert set(deploy_workflow.STEPS.values()) == files


MODULES = (rollout, rollout_check, rollout_failure)


# --- preflight ---


def test_a_preflight_is_told_beside_a_plain_handshake() -> None:
    """Milliseconds, and the ratio."""
    found = by_name(deploy_preflight.run((1, 2), 1))
    plain = found["a plain TLS handshake in memory"].value
    for words in ("1 name", "2 names"):
        taken = found[f"{words}: a preflight"].value
        assert found[f"{words}: a preflight, in plain handshakes"].value == pytest.approx(taken / plain)


def test_a_preflight_that_refuses_ends_the_bench() -> None:
    """Only a version that passes is measured."""
    broken = replace(deploy_preflight.version(1), private_key=bundle(7).private_key)
    with pytest.raises(SystemExit, match="refuses"):
        deploy_preflight.preflight(broken)()


def test_the_plain_handshake_verifies() -> None:
    """It is a whole one: the client takes no certificate of another name."""
    new = deploy_preflight.version(1)
    deploy_preflight.handshake(new)()
    with pytest.raises(ssl.SSLCertVerificationError):
        deploy_preflight.handshake(replace(new, names=("other.example.com",)))()


def test_the_shortest_turn_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What disturbs one turn is left out."""
    times = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])
    monkeypatch.setattr(deploy_preflight.time, "perf_counter", lambda: next(times))
    assert deploy_preflight.best(lambda: None, 3) == 2.0


# --- the deployed hub ---


@dataclass
class StateMachine:
    """Stands for Step Functions: an execution is over at once; `runs` says what it did."""

    hub: RollingHub
    runs: bool = True

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002
        assert stateMachineArn == "arn:rollout"
        assert input == f'{{"rollout": "{MANAGED}/1"}}'
        if self.runs:
            record = self.hub.deployment.inventory.version(f"{MANAGED}/3")
            self.hub.versions[3] = bundles.of(self.hub.deployment, record, with_key=False)
            self.hub.run(f"{MANAGED}/1")
        return {"executionArn": "arn:execution"}

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:
        return {"status": "SUCCEEDED"}

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{"events": EVENTS[:2]}, {"events": EVENTS[2:]}])


def event(second: float, **more: Any) -> dict[str, Any]:
    return {"timestamp": datetime(2026, 11, 28, tzinfo=UTC) + timedelta(seconds=second), **more}


EVENTS = [
    event(10),
    event(11, stateEnteredEventDetails={"name": "Prove"}),
    event(12.5, stateExitedEventDetails={"name": "Prove"}),
    event(14, stateExitedEventDetails={"name": "Finish"}),
]


@contextmanager
def planting(*, runs: bool = True) -> Iterator[deploy_cloud.Hub]:
    """A hub in memory in the place of the deployed one."""
    with rolling_hub() as rolling:
        rolling.estate.clock.now = datetime.now(UTC)
        machine = StateMachine(rolling, runs)
        cloud: Any = SimpleNamespace(client=lambda service: {"stepfunctions": machine}[service])
        yield deploy_cloud.Hub(cloud, {"RolloutArn": "arn:rollout"}, rolling.deployment)


TARGETS = '[[targets]]\nkind = "scripted"\nname = "edge"\n'


def test_a_version_is_planted_and_rolled_out() -> None:
    """It is the next one, with its key in Secrets Manager, and is told with the seconds until it was proven."""
    with planting() as hub:
        ran = hub.roll_out(MANAGED, TARGETS, NAMES)
        record = hub.deployment.inventory.version(f"{MANAGED}/3")
        assert bundles.of(hub.deployment, record, with_key=True).private_key
    assert ran.seconds == 2.5
    assert (ran.head.version, [str(each.state) for each in ran.targets]) == (3, ["proven"])


def test_a_rollout_that_did_not_end_well_ends_the_bench() -> None:
    """With its state and message."""
    with planting(runs=False) as hub, pytest.raises(SystemExit, match="shop/1 is checking"):
        hub.roll_out(MANAGED, TARGETS, NAMES)


def test_an_execution_without_a_proof_ends_the_bench() -> None:
    """Nothing is measured from what was not proven."""
    with pytest.raises(SystemExit, match="proved nothing"):
        deploy_cloud.seconds_to_proof([EVENTS[0], EVENTS[3]])


def test_versions_are_valid_now_and_differ() -> None:
    """Whatever the time of the machine, and whoever else is in the account."""
    made = [deploy_cloud.version(name, number, NAMES) for name in ("a", "b") for number in (1, 2)]
    assert len({each.fingerprint for each in made}) == len({each.certificate.serial for each in made}) == 4
    for each in made:
        assert each.certificate.not_before < datetime.now(UTC) < each.certificate.not_after


@pytest.mark.parametrize("started", [True, False])
def test_no_cloud_is_left(started: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it cannot be started, or nothing can be deployed, it is ended and its directory removed."""
    cloud, ended = Cloud(tmp_path / "bench"), []

    def fail(*_: Any) -> Any:
        raise CloudError("no")

    def start(*_: Any, settings: Mapping[str, str]) -> None:
        assert settings == {"LOCAL_CLOUD_RATES": "1"}
        cloud.directory.mkdir()
        if not started:
            raise CloudError("no")

    monkeypatch.setattr(Cloud, "named", lambda _: cloud)
    monkeypatch.setattr(Cloud, "start", start)
    monkeypatch.setattr(Cloud, "stop", lambda _: ended.append(cloud.directory.exists()))
    monkeypatch.setattr(deploy_cloud, "_deployed", fail)
    with pytest.raises(CloudError), deploy_cloud.deployed_hub():
        raise AssertionError("nothing is deployed")
    assert ended == [True]
    assert not cloud.directory.exists()


def test_sigterm_unwinds() -> None:
    """Whoever ends the bench ends its cloud; after that, SIGTERM is what it was."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, deploy_cloud._ending_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


# --- proof and fleet ---


def test_the_first_rollout_of_all_is_told_apart() -> None:
    """Functions that start cold are no part of the median."""
    first, later, _ = deploy_proof.MEASURED
    told = [(each.name, each.value) for each in deploy_proof.figures(first, [9.0, 1.0, 3.0, 2.0], first=True)]
    assert told == [("elbv2: start to proof, every function cold", 9.0), ("elbv2: start to proof, median of 3", 2.0)]
    assert [each.value for each in deploy_proof.figures(later, [9.0, 1.0, 3.0], first=False)] == [3.0]


def test_what_the_fake_waits_is_told() -> None:
    """The API domain's figure names the seconds that the fake updates."""
    waited = inspect.signature(ApiGatewayDomains.__init__).parameters["updating"].default
    assert waited == deploy_proof.FAKE_UPDATES
    assert f"the fake updates {waited} s" in deploy_proof.MEASURED[2].note


def row(operation: str, most: int, throttled: int = 0, service: str = "acm", rate: float = 10) -> dict[str, Any]:
    return {"service": service, "operation": operation, "rate": rate, "throttled": throttled, "most_in_a_second": most}


@pytest.mark.parametrize(
    ("calls", "rows", "missed"),
    [
        ({"ImportCertificate": 1, "GetCertificate": 300}, [row("GetCertificate", 10)], []),
        ({"ImportCertificate": 2}, [row("ImportCertificate", 1, rate=1)], ["calls of ImportCertificate"]),
        (
            {"GetCertificate": 400},
            [row("GetCertificate", 17, 2)],
            ["throttled calls", "most of GetCertificate within a second"],
        ),
        ({}, [row("IssueCertificate", 80, 1, "acm-pca", 25)], ["throttled calls"]),
    ],
)
def test_a_fleet_is_judged_by_acms_rates(calls: dict[str, int], rows: list[dict[str, Any]], missed: list[str]) -> None:
    """One import, nothing throttled, and no operation of ACM more often in a second than AWS's rate."""
    found = by_name(deploy_fleet.figures(calls, rows, 100, 51.0))
    assert [name for name, each in found.items() if each.met is False] == [f"100 targets: {each}" for each in missed]
    assert found["100 targets: calls to ACM for each"].value == sum(calls.values()) / 100


# --- the whole ---


@pytest.mark.parametrize(
    ("part", "quick", "told"),
    [
        (None, False, ["calls", "workflow (1, 10, 100)", "preflight 10", "hub", "proof False", "fleet 10"]),
        (None, True, ["calls", "workflow (1, 10)", "preflight 3", "hub", "proof True", "fleet 2"]),
        (["fleet"], True, ["hub", "fleet 2"]),
        (["calls"], False, ["calls"]),
    ],
)
def test_parts(part: list[str] | None, quick: bool, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts or those that are asked for; what needs the deployed hub shares one."""
    done: list[str] = []

    @contextmanager
    def hub() -> Iterator[None]:
        done.append("hub")
        yield

    def part_of(module: Any, words: Any) -> None:
        monkeypatch.setattr(module, "run", lambda *given, **more: iter(done.append(words(*given, **more)) or ()))

    monkeypatch.setattr(deploy_cloud, "deployed_hub", hub)
    part_of(deploy_calls, lambda: "calls")
    part_of(deploy_workflow, lambda sizes: f"workflow {sizes}")
    part_of(deploy_preflight, lambda names, turns: f"preflight {turns}")
    part_of(deploy_proof, lambda hub, quick: f"proof {quick}")
    part_of(deploy_fleet, lambda hub, balancers: f"fleet {balancers}")
    assert list(deploy.run(argparse.Namespace(part=part, quick=quick))) == []
    assert done == told
