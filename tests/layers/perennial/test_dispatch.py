"""Events make their scope due once; the tick starts what is due, once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from estate import HUB, NOW, REGION, SCOPE, Estate
from perennial import dispatch
from perennial.dispatch import CALLS, SETTLING, concerned
from perennial.inventory.records import DueKind
from perennial.manifest import Scope
from perennial.scanners.interface import GLOBAL

TRUST = '{"Version": "2012-10-17", "Statement": []}'


def call(source: str, name: str, **more: Any) -> dict[str, Any]:
    detail = {"eventSource": source, "eventName": name, **more}
    return {
        "source": "aws." + source.split(".")[0],
        "detail-type": "AWS API Call via CloudTrail",
        "account": HUB,
        "region": REGION,
        "detail": detail,
    }


@pytest.mark.parametrize(
    ("event", "scopes"),
    [
        (call("acm.amazonaws.com", "ImportCertificate"), [SCOPE]),
        (call("acm.amazonaws.com", "DescribeCertificate"), []),
        (call("acm.amazonaws.com", "ImportCertificate", errorCode="AccessDenied"), []),
        (call("elasticloadbalancing.amazonaws.com", "AddListenerCertificates"), [Scope(HUB, REGION, "elbv2")]),
        (call("iam.amazonaws.com", "UploadServerCertificate"), [Scope(HUB, GLOBAL, "iam")]),
        (call("cloudfront.amazonaws.com", "UpdateDistribution"), [Scope(HUB, GLOBAL, "cloudfront")]),
        ({**call("acm.amazonaws.com", "x"), "detail-type": "ACM Certificate Available", "source": "aws.acm"}, [SCOPE]),
        ({**call("acm.amazonaws.com", "ImportCertificate"), "account": "evil"}, []),
        ({**call("acm.amazonaws.com", "ImportCertificate"), "region": "../../x"}, []),
        ({**call("acm.amazonaws.com", "ImportCertificate"), "detail": "text"}, []),
        ({}, []),
    ],
)
def test_an_event_concerns_just_its_scope(event: dict[str, Any], scopes: list[Scope]) -> None:
    """Each call is mapped to the scope that it changes; reading calls, failed calls and nonsense to none."""
    assert concerned(event) == scopes


def test_every_call_of_the_table_concerns_a_source_that_exists() -> None:
    """The table of calls names only sources that have a scanner."""
    from perennial.scanners import sources

    assert {source for calls in CALLS.values() for source in calls} <= set(sources())


@pytest.fixture
def machines(estate: Estate) -> Estate:
    """The estate with both state machines."""
    client = boto3.client("stepfunctions")
    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    role = boto3.client("iam").create_role(RoleName="machine", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    environment: Any = estate.deployment.environment
    for name in ("DISCOVERY", "ASSESSMENT"):
        made = client.create_state_machine(name=name, definition=definition, roleArn=role)
        environment[f"PERENNIAL_{name}_ARN"] = made["stateMachineArn"]
    return estate


def executions(estate: Estate, name: str) -> list[dict[str, Any]]:
    client = boto3.client("stepfunctions")
    arn = estate.deployment.environment[f"PERENNIAL_{name}_ARN"]
    found = client.list_executions(stateMachineArn=arn)["executions"]
    return [client.describe_execution(executionArn=each["executionArn"]) for each in found]


def test_a_storm_of_events_is_one_scan_after_it_settled(machines: Estate) -> None:
    """A hundred calls in one scope start one scan of just that scope, half a minute later."""
    for _ in range(100):
        dispatch.receive(machines.deployment, call("acm.amazonaws.com", "ImportCertificate"), NOW)
    assert dispatch.tick(machines.deployment, NOW)["started"] == []
    started = dispatch.tick(machines.deployment, NOW + SETTLING)["started"]
    assert len(started) == 1
    (execution,) = executions(machines, "DISCOVERY")
    assert json.loads(execution["input"]) == {"scopes": [SCOPE.key]}
    assert dispatch.tick(machines.deployment, NOW + SETTLING)["started"] == []


def test_a_tick_that_was_interrupted_starts_the_same_execution_once(
    machines: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the start and its record, the next tick finds the name taken and starts nothing new."""
    dispatch.receive(machines.deployment, call("acm.amazonaws.com", "ImportCertificate"), NOW)
    with monkeypatch.context() as patched:
        patched.setattr(type(machines.deployment.inventory), "scan_started", lambda *_: None)
        first = dispatch.tick(machines.deployment, NOW + SETTLING)["started"]
    assert dispatch.tick(machines.deployment, NOW + SETTLING)["started"] == first
    assert len(executions(machines, "DISCOVERY")) == 1


def test_an_event_during_a_scan_makes_the_scope_due_again(machines: Estate) -> None:
    """A change after the scan was started is not lost to the scan that may have passed it already."""
    dispatch.receive(machines.deployment, call("acm.amazonaws.com", "ImportCertificate"), NOW)
    dispatch.tick(machines.deployment, NOW + SETTLING)
    dispatch.receive(machines.deployment, call("acm.amazonaws.com", "DeleteCertificate"), NOW + 2 * SETTLING)
    due = machines.deployment.inventory.due(DueKind.SCAN, NOW + timedelta(hours=1), 10)
    assert [each.sk for each in due] == [SCOPE.key]


def test_the_tick_starts_an_assessment_only_when_something_is_due(machines: Estate) -> None:
    """Without a due place or finding a tick costs its reads and nothing else."""
    assert dispatch.tick(machines.deployment, NOW)["started"] == []
    machines.deployment.inventory.apply(*_one_place(), NOW)
    started = dispatch.tick(machines.deployment, NOW + timedelta(minutes=1))["started"]
    assert started == [f"assess-{NOW + timedelta(minutes=1):%Y%m%dT%H%M}"]
    assert len(executions(machines, "ASSESSMENT")) == 1


def test_an_exception_that_is_due_starts_an_assessment(machines: Estate) -> None:
    """Its workflow serves exceptions: it tells who is to decide; one whose time has not come starts nothing."""
    from excepting import ask
    from perennial import exception_serving

    made, minute = ask(machines), timedelta(minutes=1)
    assert dispatch.tick(machines.deployment, NOW + minute)["started"] == [f"assess-{NOW + minute:%Y%m%dT%H%M}"]
    exception_serving.save(machines.deployment, replace(made, told_asked=True), made.state, NOW + minute)
    (assessing,) = executions(machines, "ASSESSMENT")
    boto3.client("stepfunctions").stop_execution(executionArn=assessing["executionArn"])  # it has done that, and ends
    assert dispatch.tick(machines.deployment, NOW + 2 * minute)["started"] == []
    started = dispatch.tick(machines.deployment, made.ends + timedelta(minutes=1))["started"]
    assert started == [f"assess-{made.ends + timedelta(minutes=1):%Y%m%dT%H%M}"]


def _one_place() -> tuple[Scope, Any]:
    from perennial.manifest import Difference, Role, Sighting

    return SCOPE, Difference(
        added=(Sighting(location="arn:x", role=Role.STORED, resource="arn:x"),), changed=(), gone=()
    )
