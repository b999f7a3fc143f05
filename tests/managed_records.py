"""Records of managed certificates, versions and rollouts for tests, at fixed times.

record(serving=serving(3, days=90), attempts=2)     a ManagedRecord
version(4, "failed"); rollout(2, "returned", version=4)
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.certificate_request import CertificateRequest
from perennial.inventory.records import (
    ManagedRecord,
    ManagedState,
    RolloutRecord,
    RolloutState,
    Serving,
    VersionRecord,
    VersionState,
)
from perennial.managed_certificate import ManagedCertificate, targets_digest
from perennial.renewal import Rules
from perennial.targets.interface import TargetSettings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
REQUEST = CertificateRequest(names=("shop.example.com",), profile="web", owner="shop-team")
EDGE = TargetSettings(kind="elbv2", name="edge", managed="shop", fields={"listener": "arn:aws:x", "slot": "default"})
DECLARED = ManagedCertificate(name="shop", request=REQUEST, targets=(EDGE,))
RULES = Rules(issuer="public", keys=("EC-256", "RSA-2048"))


def serving(number: int = 1, *, days: float = 90, age: float = 1, **more: Any) -> Serving:
    """A certificate that lives so many days, and is so many days old."""
    begin = NOW - timedelta(days=age)
    known: dict[str, Any] = {
        "fingerprint": f"{number:064x}",
        "issuer": "public",
        "key": "EC-256",
        "signature": "ecdsa-with-SHA256",
        "request": REQUEST,
        "targets": targets_digest(DECLARED.targets),
        "since": begin,
    }
    return Serving(number=number, not_before=begin, not_after=begin + timedelta(days=days), **{**known, **more})


def record(**more: Any) -> ManagedRecord:
    """A managed certificate, declared ten days ago."""
    known: dict[str, Any] = {
        "declared": DECLARED,
        "state": ManagedState.REQUESTED,
        "declared_at": NOW - 10 * DAY,
        "declared_by": "arn:aws:iam::123456789012:user/anna",
    }
    return ManagedRecord(**{**known, **more})


def planned(known: ManagedRecord, purpose: str, at: datetime) -> ManagedRecord:
    """The same, with a request that is planned."""
    return replace(known, planned_for=purpose, planned_at=at)


def version(number: int, state: str = "issued", **more: Any) -> VersionRecord:
    """A version."""
    known: dict[str, Any] = {"request": REQUEST, "ask": f"{number:032x}", "issuer": "public", "key": "EC-256"}
    times = {"requested_at": NOW - HOUR, "issued_at": NOW - HOUR if state == "issued" else None}
    own = {"validity_days": 90, "due_at": NOW + 20 * MINUTE if state in ("requested", "prepared", "received") else None}
    return VersionRecord(managed="shop", number=number, state=VersionState(state), **{**known, **times, **own, **more})


def rollout(number: int, state: str = "deployed", *, version: int = 1, **more: Any) -> RolloutRecord:
    """A rollout."""
    ended = RolloutState(state).ended
    known: dict[str, Any] = {
        "count": 1,
        "asked_by": "anna",
        "requested_at": NOW - HOUR,
        "ended_at": NOW - 2 * DAY if ended else None,
        "due_at": None if ended else NOW + 20 * MINUTE,
    }
    return RolloutRecord(managed="shop", number=number, version=version, state=RolloutState(state), **{**known, **more})
