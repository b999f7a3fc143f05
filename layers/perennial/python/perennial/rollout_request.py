"""Someone asks that a version is deployed: what is allowed, and to which targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perennial import audit, sighted_targets
from perennial.audit_actor import WORKFLOWS, Actor
from perennial.clients import meant
from perennial.errors import InvalidInput, NotFound
from perennial.inventory.records import RolloutRecord, RolloutState, VersionState
from perennial.managed_certificate import targets_digest
from perennial.target_settings import Declared

if TYPE_CHECKING:
    from perennial.audit_event import Event
    from perennial.deployment import Deployment
    from perennial.inventory.records import VersionRecord
    from perennial.targets.interface import TargetSettings


ACTION = "managed.deploy"


def request(
    deployment: Deployment,
    managed: str,
    declared: Declared | None,
    asked_by: str,
    now: datetime,
    version: int = 0,
    *,
    source: str,
    why: str = "",
    request: str = "",
) -> RolloutRecord:
    """Keep a rollout of a version (0: the latest that was issued), due at once. Without `declared` it goes to the
    targets of the rollout before. `asked_by` is the principal who asks, `source` the way; with `why` and `request` they
    go into the audit trail, in one transaction with the rollout.

    Raises: InvalidInput, also where one is under way, and where the certificate is declared: for such a one the
    lifecycle asks (`by_lifecycle`); NotFound; ConcurrentChange.
    """
    actor = Actor(principal=asked_by, source=source, why=why, request=request)
    after = {"version": version or None}
    with meant("keeping a rollout"), audit.refusals(deployment.inventory, actor, ACTION, managed, now, after=after):
        not_declared(deployment, managed)
        return _requested(deployment, managed, declared, asked_by, actor, now, version)


def by_lifecycle(
    deployment: Deployment, managed: str, declared: Declared, asked_by: str, now: datetime
) -> RolloutRecord:
    """The lifecycle asks for a rollout of the newest version of a certificate that is declared. `asked_by` is whose
    wish it follows; in the audit trail it is the workflow that asks.

    Raises: as `request`.
    """
    with meant("keeping a rollout"):
        return _requested(deployment, managed, declared, asked_by, WORKFLOWS, now, 0)


def _requested(
    deployment: Deployment,
    managed: str,
    declared: Declared | None,
    asked_by: str,
    actor: Actor,
    now: datetime,
    version: int,
) -> RolloutRecord:
    before = next(iter(deployment.inventory.rollouts(managed, limit=1)), None)
    if before and not before.state.ended:
        raise InvalidInput(f"rollout {before.reference} is under way ({before.state}); ask again when it ended")
    record = _version(deployment, managed, version)
    wanted = declared or _declared_before(deployment, before)
    found = _reattached(deployment, record, wanted)
    _allowed(deployment, record, found.targets)
    head = RolloutRecord(
        managed=managed,
        number=0,
        version=record.number,
        count=len(found.targets),
        state=RolloutState.CHECKING,
        asked_by=asked_by,
        requested_at=now,
        targets=targets_digest(wanted.targets),
        stays=found.stays,
    )

    def event(numbered: RolloutRecord) -> Event:
        places = [f"{each.kind} {each.name}" for each in found.targets]
        after = {"rollout": numbered.number, "version": record.number, "targets": places, "asked_by": asked_by}
        return actor.did(now, ACTION, managed, owner=record.request.owner, before=_before(before), after=after)

    return deployment.inventory.request_rollout(head, found.targets, now, event)


def _before(rollout: RolloutRecord | None) -> dict[str, Any] | None:
    """What the audit trail tells of the rollout before."""
    if rollout is None:
        return None
    return {"rollout": rollout.number, "version": rollout.version, "state": str(rollout.state)}


def not_declared(deployment: Deployment, managed: str) -> None:
    """Raises: InvalidInput where a managed certificate is declared: the lifecycle asks for what it needs."""
    found = deployment.inventory.find_managed(managed)
    if found and not found.removed_at:
        raise InvalidInput(
            f"{managed} is declared: change certificates.yaml and apply it, or perennial renew {managed} --force"
        )


def _version(deployment: Deployment, managed: str, number: int) -> VersionRecord:
    """The version that is asked for, which must be issued."""
    if number:
        record = deployment.inventory.version(f"{managed}/{number}")
        if record.state is not VersionState.ISSUED:
            raise InvalidInput(f"version {record.reference} is {record.state}; only an issued one can be deployed")
        return record
    for record in deployment.inventory.versions(managed):
        if record.state is VersionState.ISSUED:
            return record
    raise NotFound(f"{managed[:100]!r} has no issued version; perennial managed request asks for one")


def _declared_before(deployment: Deployment, before: RolloutRecord | None) -> Declared:
    if before is None:
        raise InvalidInput("no targets are known yet; name a file with --targets (docs/deploying.md shows one)")
    settings = tuple(each.settings for each in deployment.inventory.targets(before))
    return Declared(targets=settings, stays=before.stays)


def _reattached(deployment: Deployment, record: VersionRecord, declared: Declared) -> Declared:
    """The targets, where a certificate in ACM whose key type or size changes gives way to what is attached to it.

    Raises: InvalidInput where something is attached that no target can reach.
    """
    found: list[TargetSettings] = []
    for each in declared.targets:
        found += _instead(deployment, record, each) or [each]
    return replace(declared, targets=tuple(found))


def _instead(deployment: Deployment, record: VersionRecord, wanted: TargetSettings) -> list[TargetSettings]:
    """The targets in the place of one; [] where it stays, also where Discovery does not know it."""
    if wanted.kind != "acm":
        return []
    place = deployment.inventory.place(wanted.text("certificate"))
    held = place.held.sighting.fingerprint if place.held else None
    known = deployment.inventory.certificate_and_owner(held) if held else None
    if known is None or known[0].key in (None, record.key):
        return []
    found = sighted_targets.attached(wanted, place.attached)
    if found.unreached:
        raise InvalidInput(
            f"{wanted.name}: its key changes from {known[0].key} to {record.key}, so that it needs a new ARN, and no "
            f"target reaches {', '.join(found.unreached[:5])}; attach it there yourself, or keep the key type"
        )
    return list(found.targets)


def _allowed(deployment: Deployment, record: VersionRecord, wanted: Sequence[TargetSettings]) -> None:
    """Raises: InvalidInput with every target whose kind or account is not allowed."""
    profile = record.request.profile
    problems = [f"{each.name}: {told}" for each in wanted for told in forbidden(deployment, profile, each)]
    if problems:
        raise InvalidInput("\n".join(problems))


def forbidden(deployment: Deployment, profile_name: str, wanted: TargetSettings) -> Iterator[str]:
    """Why certificates of a profile may not be put at a target, a sentence each."""
    allowed = deployment.settings.targets
    profile = deployment.settings.profiles.get(profile_name)
    if wanted.kind not in allowed.kinds:
        yield f"targets.kinds of perennial.toml has no {wanted.kind}; add it, and deploy the stack"
    if profile and profile.targets and wanted.kind not in profile.targets:
        yield f"the profile {profile.name} is for targets of the kinds {', '.join(profile.targets)}"
    if wanted.text("bucket") and wanted.text("bucket") not in allowed.buckets:
        yield f"targets.buckets of perennial.toml has no {wanted.text('bucket')}; add it, and deploy"
    if wanted.account and wanted.account != deployment.account and wanted.account not in allowed.accounts:
        yield f"targets.accounts of perennial.toml has no {wanted.account}; add it, and deploy again"
