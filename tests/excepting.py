"""Exceptions in an in-memory hub: people, what they ask for, the workflow's steps, and what Security Hub is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from certificates import build
from estate import HUB, LISTENERS, REGION, SCOPE, Estate
from perennial import discovery, exceptions, publishing
from perennial.exception_record import AskedException, ExceptionRecord
from perennial.exception_selection import Selection
from perennial.findings import Finding
from perennial.inventory.indexes import SHARDS
from perennial.roles import Grant, Person, Role, Source

ARN = f"arn:aws:acm:{REGION}:{HUB}:certificate/1"
OTHER = f"arn:aws:acm:{REGION}:{HUB}:certificate/2"
DAY = timedelta(days=1)


def person(name: str, role: Role, team: str = "*") -> Person:
    """Somebody with one role."""
    arn = f"arn:aws:iam::{HUB}:role/{name}"
    return Person(principal=arn, name=name, source=Source.IAM, grants=(Grant(role=role, team=team),))


REQUESTER = person("rita", Role.REQUESTER, "shop")
SECURITY = person("sam", Role.SECURITY)
OTHER_SECURITY = person("sue", Role.SECURITY)
VIEWER = person("vic", Role.VIEWER, "shop")
APPROVER = person("ann", Role.APPROVER, "shop")


def asked(now: datetime, **more: Any) -> AskedException:
    """What is asked for, for 30 days, unless it is said otherwise."""
    usual: dict[str, Any] = {
        "rule": "expiry.expired",
        "selection": Selection(owner="shop"),
        "reason": "The old shop closes this month.",
        "owner": "shop",
        "ends": now + 30 * DAY,
    }
    return AskedException(**{**usual, **more})


def ask(estate: Estate, by: Person = REQUESTER, **more: Any) -> ExceptionRecord:
    now = estate.clock.now
    estate.clock.now += timedelta(seconds=1)  # so that what is done next is later
    return exceptions.ask(estate.deployment, by, asked(now, **more), source="api", now=now)


def granted(estate: Estate, **more: Any) -> ExceptionRecord:
    """An exception that the requester asked for and security granted."""
    made = ask(estate, **more)
    return exceptions.grant(estate.deployment, SECURITY, made, source="api", now=estate.clock.now)


def plant(estate: Estate, location: str = ARN, name: str = "shop.example.com", **more: Any) -> None:
    """A certificate that ended yesterday."""
    end = estate.clock.now - DAY
    estate.acm.holds[location] = build(name, not_before=end - 90 * DAY, not_after=end, **more)


def scan(estate: Estate) -> None:
    now = estate.clock.now
    for scope in (SCOPE, LISTENERS):
        discovery.scan_scope(estate.deployment, run="run", scope=scope, now=now, deadline=now + timedelta(minutes=9))


def work(estate: Estate, after: timedelta = timedelta(minutes=1), rounds: int = 1) -> None:
    """The workflow Assessment, some rounds of it, each a minute after the one before."""
    for _ in range(rounds):
        estate.clock.now += after
        now = estate.clock.now
        deadline, after = now + timedelta(minutes=9), timedelta(minutes=1)
        for shard in range(SHARDS):
            publishing.assess_due(estate.deployment, shard=shard, now=now, deadline=deadline)
        publishing.publish_due(estate.deployment, now=now, deadline=deadline)


def open_findings(estate: Estate) -> dict[tuple[str, str], Finding]:
    return {(each.check, each.location): each for each in estate.deployment.inventory.findings()}


def suppressed(estate: Estate) -> dict[tuple[str, str], Finding]:
    return {(each.check, each.location): each for each in estate.deployment.inventory.suppressed_findings()}


def messages(estate: Estate) -> list[dict[str, Any]]:
    """What the topic told since the last time."""
    sqs, found = boto3.client("sqs"), []
    while received := sqs.receive_message(QueueUrl=estate.alerts, MaxNumberOfMessages=10).get("Messages"):
        for each in received:
            found.append(json.loads(each["Body"]))
            sqs.delete_message(QueueUrl=estate.alerts, ReceiptHandle=each["ReceiptHandle"])
    return found


@contextmanager
def workflow_of_findings() -> Iterator[dict[str, tuple[str, str]]]:
    """Security Hub with BatchUpdateFindings, which moto does not have: check → (Workflow status, note)."""
    told: dict[str, tuple[str, str]] = {}
    original = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        if operation != "BatchUpdateFindings":
            return original(client, operation, request)
        assert len(request["FindingIdentifiers"]) <= 100 and len(request["Note"]["Text"]) <= 512
        for each in request["FindingIdentifiers"]:
            told[each["Id"].split("/")[3]] = (request["Workflow"]["Status"], request["Note"]["Text"])
        return {"ProcessedFindings": request["FindingIdentifiers"], "UnprocessedFindings": []}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", call)
        yield told
