"""Revoking a version of a managed certificate at the issuer that issued it (RFC 5280 5.3.1, RFC 8555 7.6).

What serves and is revoked is renewed at once: no window is waited for, and no pause after a failure.

The issuer is asked after the event is in the audit trail: a revocation cannot be taken back, and none is without one.
Where the issuer refuses it, a second event says so.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perennial import audit
from perennial.audit_actor import Actor
from perennial.clients import meant
from perennial.errors import ConcurrentChange, InvalidInput, NotFound, ServiceRefused
from perennial.inventory.records import VersionRecord

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.records import ManagedRecord

OF_WHAT_SERVES, OF_ANOTHER = "managed.revoke", "version.revoke"  # the first one is renewed, too
REASONS = {  # CRLReason by the word for people; those that concern a certificate of one's own
    "unspecified": 0,
    "key-compromise": 1,
    "affiliation-changed": 3,
    "superseded": 4,
    "cessation-of-operation": 5,
}
TRIES = 5


@meant("revoking a certificate")
def revoke(
    deployment: Deployment,
    name: str,
    reason: str,
    by: str,
    now: datetime,
    version: int = 0,
    *,
    source: str,
    why: str = "",
    request: str = "",
) -> VersionRecord:
    """Revoke a version (0: the one that serves, or else the newest that was issued), and renew what serves. Revoking
    again changes nothing. `by` is the principal who asks, `source` the way; with `why` and `request` they go into the
    audit trail.

    Raises: NotFound, InvalidInput; ServiceRefused where the issuer cannot revoke.
    """
    actor = Actor(principal=by, source=source, why=why, request=request)
    asked_for = {"version": version or None, "reason": reason[:50]}
    action = OF_ANOTHER if version else OF_WHAT_SERVES
    with audit.refusals(deployment.inventory, actor, action, name, now, after=asked_for):
        record = _revoked(deployment, name, reason, actor, now, version)
    _renew(deployment, record, by, now)
    return _kept(deployment, record, now)


def _revoked(
    deployment: Deployment, name: str, reason: str, actor: Actor, now: datetime, version: int
) -> VersionRecord:
    from perennial.certificate import parse
    from perennial.issuance import issuer_of
    from perennial.issuers import issuer

    managed = deployment.inventory.find_managed(name)
    record = version_of(deployment, name, version, managed)
    asked: Any = issuer(issuer_of(deployment, record), deployment)
    if not hasattr(asked, "revoke"):
        raise ServiceRefused(f"{record.issuer} cannot revoke; do it at the CA")
    code = _code(reason)
    serves = bool(managed and managed.serving and managed.serving.number == record.number)
    event = actor.did(
        now,
        OF_WHAT_SERVES if serves else OF_ANOTHER,
        name,
        owner=record.request.owner,
        after={"version": record.number, "fingerprint": record.fingerprint, "issuer": record.issuer, "reason": reason},
    )
    audit.append(deployment.inventory, event, now)
    asked.revoke(parse(record.chain[0]), record.arn, code)
    return record


def _kept(deployment: Deployment, record: VersionRecord, now: datetime) -> VersionRecord:
    """The version, which is known as revoked; since the first time."""
    for attempt in range(TRIES):
        if record.revoked_at:
            break
        try:
            return deployment.inventory.save_version(replace(record, revoked_at=now), record.due_at)
        except ConcurrentChange:
            if attempt == TRIES - 1:
                raise
            record = deployment.inventory.version(record.reference)
    return record


def _code(reason: str) -> int:
    if reason not in REASONS:
        raise InvalidInput(f"{reason[:50]!r} is no reason; there are {', '.join(REASONS)}")
    return REASONS[reason]


def version_of(deployment: Deployment, name: str, number: int, managed: ManagedRecord | None = None) -> VersionRecord:
    """The version that `revoke` would revoke. `managed` is the record, where it was read before.

    Raises: NotFound, InvalidInput.
    """
    inventory = deployment.inventory
    managed = managed or inventory.find_managed(name)
    number = number or (managed.serving.number if managed and managed.serving else 0)
    if number:
        found = inventory.version(f"{name}/{number}")
        if not found.chain:
            raise InvalidInput(f"version {found.reference} is {found.state}: nothing was issued that could be revoked")
        return found
    for each in inventory.versions(name):
        if each.chain:
            return each
    raise NotFound(f"{name[:100]!r} has no version that was issued; perennial managed list shows what there is")


def _renew(deployment: Deployment, revoked: VersionRecord, by: str, now: datetime) -> None:
    """What serves and is revoked now has a reason to be renewed."""
    for attempt in range(TRIES):
        record = deployment.inventory.find_managed(revoked.managed)
        serving = record.serving if record else None
        if record is None or serving is None or serving.number != revoked.number or record.removed_at:
            return
        marked = replace(serving, revoked_at=serving.revoked_at or now)
        try:
            deployment.inventory.save_managed(
                replace(
                    record,
                    serving=marked,
                    forced_at=now,
                    forced_by=by,
                    overruled=record.attempts,
                    urgent=True,
                    planned_at=None,
                    planned_for="",
                    due_at=now,
                )
            )
        except ConcurrentChange:
            if attempt == TRIES - 1:
                raise
        else:
            return
