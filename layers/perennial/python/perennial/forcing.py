"""Someone wants a managed certificate to be renewed now, or its failed renewal to be tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from perennial.audit import refusals
from perennial.audit_actor import Actor
from perennial.clients import meant
from perennial.errors import ConcurrentChange, InvalidInput
from perennial.inventory.records import ManagedRecord, RolloutRecord, VersionRecord

if TYPE_CHECKING:
    from perennial.deployment import Deployment

TRIES = 5
ACTION = "managed.renew"


@meant("asking for a renewal")
def force(
    deployment: Deployment,
    name: str,
    by: str,
    now: datetime,
    *,
    urgent: bool,
    source: str,
    why: str = "",
    request: str = "",
    at: datetime | None = None,
) -> ManagedRecord:
    """Renew, whatever the time says. `urgent`: no window is waited for, and no pause after a failure: a version or a
    rollout that waits goes on at once. `by` is the principal who asks, `source` the way; with `why` and `request` they
    go into the audit trail, in one transaction with the change. `at`: as of when it is asked, now if not said.

    Raises: NotFound; InvalidInput where it is being removed; ConcurrentChange when others change it all the time.
    """
    actor = Actor(principal=by, source=source, why=why, request=request)
    with refusals(deployment.inventory, actor, ACTION, name, now):
        for _ in range(TRIES - 1):
            try:
                return _forced(deployment, name, actor, now, urgent, at or now)
            except ConcurrentChange:
                continue
        return _forced(deployment, name, actor, now, urgent, at or now)


def _forced(
    deployment: Deployment, name: str, actor: Actor, now: datetime, urgent: bool, at: datetime
) -> ManagedRecord:
    inventory = deployment.inventory
    record = known = inventory.managed_certificate(name)
    if record.removed_at:
        raise InvalidInput(f"{name} is no longer declared; declare it in certificates.yaml and apply that")
    if urgent:
        _go_on(deployment, name, now)
        record = replace(record, urgent=True, overruled=known.attempts, planned_at=None, planned_for="")
    event = actor.did(
        now,
        ACTION,
        name,
        owner=known.declared.request.owner,
        before={"urgent": known.urgent, "forced_at": known.forced_at, "forced_by": known.forced_by},
        after={"urgent": record.urgent, "forced_at": at, "forced_by": actor.principal},
    )
    return inventory.save_managed(replace(record, forced_at=at, forced_by=actor.principal, due_at=now), event)


def _go_on(deployment: Deployment, name: str, now: datetime) -> None:
    """A version or a rollout that waits for a later time goes on now."""
    inventory = deployment.inventory
    for version in inventory.versions(name, limit=1):
        if _waits(version, now):
            inventory.save_version(version, now)
    for rollout in inventory.rollouts(name, limit=1):
        if _waits(rollout, now):
            inventory.save_rollout(rollout, now)


def _waits(work: VersionRecord | RolloutRecord, now: datetime) -> bool:
    later = work.due_at is not None and work.due_at > now
    return later and not work.state.ended and bool(work.attempts and work.message)
