"""The documents of managed certificates: what is given, and what is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from perennial.api.declared import document
from perennial.api.models import Model, Reason, Sent
from perennial.inventory.records import (
    ManagedRecord,
    ManagedState,
    RolloutRecord,
    RolloutState,
    VersionRecord,
    VersionState,
)
from perennial.revocation import REASONS

MAX_TOLD = 4_000  # characters
Why = Literal[tuple(REASONS)]  # type: ignore[valid-type]
Told = Annotated[str, Field(max_length=MAX_TOLD)]


class Serving(Model):
    """The certificate that is proven at every target. Version 0 is an adopted one."""

    version: int
    fingerprint: str
    issuer: str
    key: str
    not_before: datetime
    not_after: datetime
    since: datetime
    revoked_at: datetime | None


class ManagedCertificateOut(Model):
    """A managed certificate: as it is declared, what serves, and what is next."""

    name: str
    declaration: dict[str, Any] = Field(description="As POST and PUT take it.")
    state: ManagedState
    reason: str
    message: Told
    due_at: datetime | None = Field(description="When it is looked at next.")
    serving: Serving | None
    attempts: int = Field(description="That failed in a row.")
    failure: str
    failure_message: Told
    declared_at: datetime
    declared_by: str
    removed_at: datetime | None
    revision: int = Field(description="The ETag of this state.")


class VersionOut(Model):
    """One version. Nothing of it is secret: the key is named by where it is."""

    version: int
    state: VersionState
    names: list[str]
    profile: str
    issuer: str
    key: str
    fingerprint: str
    requested_at: datetime
    issued_at: datetime | None
    revoked_at: datetime | None
    attempts: int
    reason: str
    message: Told


class Versions(Model):
    """The versions of a managed certificate, the newest first."""

    items: list[VersionOut]


class RolloutOut(Model):
    """One version put at its targets."""

    rollout: int
    version: int
    state: RolloutState
    targets: int
    asked_by: str
    requested_at: datetime
    ended_at: datetime | None
    reason: str
    message: Told


class Rollouts(Model):
    """The rollouts of a managed certificate, the newest first."""

    items: list[RolloutOut]


class Renewal(Sent):
    """Renew before its time."""

    reason: Reason
    force: bool = Field(default=False, description="Wait for no window, and for no pause after a failure.")


class Revocation(Sent):
    """Revoke a version for good; what serves is renewed at once."""

    reason: Reason
    why: Why = Field(description="What the CA is told (RFC 5280 5.3.1).")  # type: ignore[valid-type]
    version: int = Field(default=0, ge=0, le=999_999, description="0: the one that serves.")


def managed_out(record: ManagedRecord) -> ManagedCertificateOut:
    """A managed certificate as the API gives it."""
    serving = record.serving
    return ManagedCertificateOut(
        name=record.name,
        declaration=document(record.declared),
        state=record.state,
        reason=record.reason,
        message=record.message[:MAX_TOLD],
        due_at=record.due_at,
        serving=Serving(
            version=serving.number,
            fingerprint=serving.fingerprint,
            issuer=serving.issuer,
            key=serving.key,
            not_before=serving.not_before,
            not_after=serving.not_after,
            since=serving.since,
            revoked_at=serving.revoked_at,
        )
        if serving
        else None,
        attempts=record.attempts,
        failure=record.failure,
        failure_message=record.failure_message[:MAX_TOLD],
        declared_at=record.declared_at,
        declared_by=record.declared_by,
        removed_at=record.removed_at,
        revision=record.revision,
    )


def version_out(record: VersionRecord) -> VersionOut:
    """A version as the API gives it."""
    return VersionOut(
        version=record.number,
        state=record.state,
        names=list(record.request.names),
        profile=record.request.profile,
        issuer=record.issuer,
        key=record.key,
        fingerprint=record.fingerprint,
        requested_at=record.requested_at,
        issued_at=record.issued_at,
        revoked_at=record.revoked_at,
        attempts=record.attempts,
        reason=record.reason,
        message=record.message[:MAX_TOLD],
    )


def rollout_out(record: RolloutRecord) -> RolloutOut:
    """A rollout as the API gives it."""
    return RolloutOut(
        rollout=record.number,
        version=record.version,
        state=record.state,
        targets=record.count,
        asked_by=record.asked_by,
        requested_at=record.requested_at,
        ended_at=record.ended_at,
        reason=record.reason,
        message=record.message[:MAX_TOLD],
    )
