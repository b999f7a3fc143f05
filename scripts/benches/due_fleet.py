"""Managed certificates in the table, each with its next step: few are due at the bench's times, all others later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from perennial.certificate_request import CertificateRequest
from perennial.inventory import conversion
from perennial.inventory.managed import item_of
from perennial.inventory.records import Advice, DueKind, ManagedRecord, ManagedState, Serving
from perennial.managed_certificate import Contacts, ManagedCertificate
from perennial.targets.interface import TargetSettings

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)  # nothing is due yet
ANSWERS = (0, 100, 1_000)  # how many become due by each of the bench's times
PACE = timedelta(minutes=10)  # between two of these times: less than a lease
OTHERS = timedelta(days=7)  # from NOW until the first of all others is due
MINUTES = 60 * 24 * 40  # over which these are spread
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:111111111111:listener/app/web/0123456789abcdef/0123456789abcdef"


def asked_at(answer: int) -> datetime:
    """When so many are due that were not due at the time before."""
    return NOW + PACE * ANSWERS.index(answer)


def due_at(number: int) -> datetime:
    """When the next step of a managed certificate is due: of the first ones shortly before they are asked."""
    first = 0
    for answer in ANSWERS:
        if number < first + answer:
            return asked_at(answer) - timedelta(seconds=(number - first) * PACE.total_seconds() // answer)
        first += answer
    return NOW + OTHERS + timedelta(minutes=number % MINUTES)


def lines(size: int) -> Iterator[str]:
    """The items of so many managed certificates, in DynamoDB's JSON.

    The inventory makes one of them. Of the others name and due entry differ: it would take minutes to make a million.
    """
    sample = item_of(record(0))
    text = json.dumps(sample.to_dynamodb_dict())
    for number in range(size):
        name = _name(number)
        own = text.replace(_name(0), name).replace(sample.due_key, conversion.due_key(DueKind.RENEW, name))
        yield own.replace(sample.due_at, conversion.due_stamp(due_at(number)))


def record(number: int) -> ManagedRecord:
    """A managed certificate that serves at one listener, and whose CA advised when to renew it."""
    name = _name(number)
    request = CertificateRequest(names=(f"{name}.example.com",), profile="web", owner="shop")
    target = TargetSettings(kind="elbv2", name="web", managed=name, fields={"listener": LISTENER, "slot": "default"})
    contacts = Contacts(team=("shop@example.com",), on_call=("on-call@example.com",))
    return ManagedRecord(
        declared=ManagedCertificate(
            name=name, request=request, targets=(target,), environment="production", service="shop", contacts=contacts
        ),
        state=ManagedState.SERVING,
        declared_at=NOW - timedelta(days=100),
        declared_by="arn:aws:iam::111111111111:role/deployer",
        due_at=due_at(number),
        revision=12,
        fence=3,
        serving=_serving(request),
        advice=_advice(),
    )


def _serving(request: CertificateRequest) -> Serving:
    return Serving(
        number=3,
        fingerprint="5f" * 32,
        issuer="letsencrypt",
        key="EC-P256",
        signature="ECDSA-SHA384",
        not_before=NOW - timedelta(days=30),
        not_after=NOW + timedelta(days=60),
        request=request,
        targets="a1" * 16,
        since=NOW - timedelta(days=30),
    )


def _advice() -> Advice:
    start, end = NOW + timedelta(days=28), NOW + timedelta(days=30)
    return Advice(start=start, end=end, at=start + timedelta(hours=7), ask_at=NOW + timedelta(hours=6))


def _name(number: int) -> str:
    return f"certificate-{number:07}"
