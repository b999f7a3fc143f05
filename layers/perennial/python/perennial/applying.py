"""Applying declarations: what is declared becomes what the lifecycle keeps.

First everything that would be written is judged, and every problem told at once; nothing is written when there is one.
Then each managed certificate is written by itself, in one write with its audit event: whoever applies the same
declarations again after an interruption finishes it, and whoever applies them twice writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from perennial import audit, lifecycle_rules
from perennial.audit_actor import Actor
from perennial.clients import meant
from perennial.declaration import Places, path, raise_all
from perennial.declared_changes import Change, ChangeKind, changes, told_of
from perennial.errors import ConcurrentChange
from perennial.inventory.records import ManagedRecord, ManagedState, Serving, VersionState
from perennial.managed_certificate import ManagedCertificate, targets_digest

if TYPE_CHECKING:
    from perennial.audit_event import Event
    from perennial.certificate import Certificate
    from perennial.deployment import Deployment

__all__ = ["Change", "ChangeKind", "apply", "changes", "planned", "retire"]

TRIES = 5  # of a write that meets a step of the lifecycle
MAX_VERSIONS = 10_000  # of one managed certificate that are retired
WRITTEN = (ChangeKind.ADDED, ChangeKind.CHANGED)
Guard = Callable[["ManagedRecord | None"], None]  # raises where what is kept now may not be replaced


def _anything(record: ManagedRecord | None) -> None:
    """The guard that lets everything through."""


@meant("judging declarations")
def planned(
    deployment: Deployment,
    declared: Sequence[ManagedCertificate],
    now: datetime,
    places: Places | None = None,
    *,
    prune: bool = False,
    part: bool = False,
) -> tuple[Change, ...]:
    """What applying would do; nothing is written. `part`: as `apply`.

    Raises: InvalidInput with every problem of what would be added or changed, behind its place where `places` knows it.
    """
    found, problems = _judged(deployment, declared, now, prune, part)
    raise_all(map((places or Places()).told, problems))
    return found


def _judged(
    deployment: Deployment, declared: Sequence[ManagedCertificate], now: datetime, prune: bool, part: bool
) -> tuple[tuple[Change, ...], list[str]]:
    """What applying would do, and every problem of it."""
    from perennial.declaration_judgement import Judge, conflicts

    inventory, names = deployment.inventory, [each.name for each in declared]
    found = changes(declared, inventory.declared_as(names) if part else tuple(inventory.declared()))
    written, judge = _written(found), Judge(deployment, now)
    problems = [told for each in written for told in judge.problems(each)]
    if written:
        others = _others(deployment, written, names) if part else () if prune else _gone(found)
        problems += conflicts((*others, *declared), *_home(deployment))
    return found, problems


def _gone(found: Sequence[Change]) -> list[ManagedCertificate]:
    return [each.record.declared for each in found if each.kind is ChangeKind.REMOVED and each.record]


def _others(
    deployment: Deployment, written: Sequence[ManagedCertificate], names: Sequence[str]
) -> list[ManagedCertificate]:
    """What is declared elsewhere at the places of what would be written."""
    from perennial.declaration_judgement import places

    wanted = dict.fromkeys(place for each in written for place in places(each, *_home(deployment)))
    found = deployment.inventory.claimants(wanted)
    return [each.declared for each in found if each.removed_at is None and each.name not in names]


def _home(deployment: Deployment) -> tuple[str, str]:
    """The account and region of a target that names none."""
    return deployment.account, deployment.clients.region or ""


def _written(found: Sequence[Change]) -> list[ManagedCertificate]:
    return [each.declared for each in found if each.kind in WRITTEN and each.declared]


@meant("applying declarations")
def apply(
    deployment: Deployment,
    declared: Sequence[ManagedCertificate],
    *,
    prune: bool,
    part: bool = False,
    asked_by: str,
    now: datetime,
    source: str,
    why: str = "",
    request: str = "",
    places: Places | None = None,
    watch: Callable[[Change], None] = lambda change: None,
    guard: Guard = _anything,
    at: datetime | None = None,
) -> tuple[Change, ...]:
    """Keep what is declared, each due at once. With `prune`, what is no longer declared is retired after its grace
    period; without, it stays as it is. With `part`, this is not all that is declared: what is no longer is not looked
    for, and the cost is that of what is given, however much else there is. `watch` is called with each change that is
    done, `guard` with the record that is about to be replaced by what is declared, as it is at the write. `at`: as of
    when it is declared. `asked_by` is the principal who asks, `source` the way; with `why` and `request` they go into
    the audit trail, in one transaction with each change.

    Raises: InvalidInput with every problem, and nothing is written then; ConcurrentChange where something else changes
    a managed certificate again and again; what the guard raises.
    """
    actor = Actor(principal=asked_by, source=source, why=why, request=request)
    found, problems = _judged(deployment, declared, now, prune, part)
    _refused(deployment, found, problems, actor, now)
    raise_all(map((places or Places()).told, problems))
    for each in found:
        if each.kind in WRITTEN and each.declared:
            _declare(deployment, each.declared, each.record, actor, now, at or now, guard)
        elif each.kind is ChangeKind.REMOVED and prune:
            _remove(deployment, each.record, actor, now, now, _anything)
        watch(each)
    return found


@meant("retiring a managed certificate")
def retire(
    deployment: Deployment,
    name: str,
    *,
    asked_by: str,
    now: datetime,
    source: str,
    why: str = "",
    request: str = "",
    guard: Guard = _anything,
    at: datetime | None = None,
) -> None:
    """Let one managed certificate be no longer declared: it is retired after its grace period. One that is already so
    stays as it is. `at`: as of when it is removed, now if not said.

    Raises: NotFound; ConcurrentChange; what the guard raises.
    """
    actor = Actor(principal=asked_by, source=source, why=why, request=request)
    _remove(deployment, deployment.inventory.managed_certificate(name), actor, now, at or now, guard)


# --- in the audit trail ---


def _refused(
    deployment: Deployment, found: Sequence[Change], problems: Sequence[str], actor: Actor, now: datetime
) -> None:
    """Append what is refused of each certificate that has problems of its own: nothing of the others is written either,
    and whoever applies again without the problems is asked anew."""
    for each in found if problems else ():
        own = [problem for problem in problems if _is_about(problem, each.name)]
        if own and each.declared:
            action = "managed.change" if each.kind is ChangeKind.CHANGED else "managed.create"
            before, after = told_of(each.record, each.declared)
            owner = each.declared.request.owner
            event = actor.was_refused(now, action, each.name, " ".join(own), owner=owner, before=before, after=after)
            audit.append(deployment.inventory, event, now)


def _is_about(problem: str, name: str) -> bool:
    where = path(name)
    return problem.startswith((f"{where}.", f"{where}:", f"{where}["))


def _declared(actor: Actor, known: ManagedRecord | None, wanted: ManagedRecord, now: datetime) -> Event:
    """The event of a declaration that is kept."""
    new = known is None or known.removed_at is not None
    adopts = wanted.serving is not None and wanted.serving.number == 0 and known is None
    action = ("managed.adopt" if adopts else "managed.create") if new else "managed.change"
    before, after = told_of(known, wanted.declared)
    return actor.did(now, action, wanted.name, owner=wanted.declared.request.owner, before=before, after=after)


def _removed(actor: Actor, known: ManagedRecord, now: datetime) -> Event:
    before, _ = told_of(known, None)
    return actor.did(now, "managed.retire", known.name, owner=known.declared.request.owner, before=before)


# --- added and changed ---


Made = tuple[ManagedRecord, "Event"]  # what is written, and the event of it


def _declare(
    deployment: Deployment,
    declared: ManagedCertificate,
    record: ManagedRecord | None,
    actor: Actor,
    now: datetime,
    at: datetime,
    guard: Guard,
) -> None:
    from perennial.declaration_judgement import places

    def made(known: ManagedRecord | None) -> Made | None:
        guard(known)
        if known and known.removed_at is None and known.declared == declared:
            return None
        adopted = _adopted(deployment, declared, known, at)
        wanted = _record(deployment, declared, known, actor.principal, at, adopted)
        deployment.inventory.claim(places(declared, *_home(deployment)), declared.name)
        return wanted, _declared(actor, known, wanted, now)

    _write(deployment, declared.name, record, made)


def _write(
    deployment: Deployment,
    name: str,
    record: ManagedRecord | None,
    made: Callable[[ManagedRecord | None], Made | None],
) -> None:
    """Write what is made of a record, of the one that is there now where it was changed meanwhile; nothing for None."""
    for left in reversed(range(TRIES)):
        wanted = made(record)
        if wanted is None:
            return
        try:
            deployment.inventory.save_managed(*wanted)
        except ConcurrentChange:
            if not left:
                raise
            record = deployment.inventory.find_managed(name)
        else:
            return


def _record(
    deployment: Deployment,
    declared: ManagedCertificate,
    known: ManagedRecord | None,
    asked_by: str,
    now: datetime,
    adopted: Serving | None,
) -> ManagedRecord:
    """The record of a declaration, due at once. What failed before is tried at once, and still known as failed."""
    if known is None:
        known = ManagedRecord(declared=declared, state=ManagedState.REQUESTED, declared_at=now, declared_by=asked_by)
    elif known.removed_at:
        known = _back(deployment, known, now)
    return replace(
        known,
        declared=declared,
        declared_at=now,
        declared_by=asked_by,
        due_at=now,
        attempts=0,
        overruled=0,
        serving=adopted or known.serving,
    )


def _back(deployment: Deployment, known: ManagedRecord, now: datetime) -> ManagedRecord:
    """One that was removed and is declared again: what serves is kept, unless it was retired already; then the next
    version is requested at once, and the retired ones are looked at again: their secret comes back with their keys."""
    serving = known.serving
    if serving and serving.number:
        version = deployment.inventory.version(f"{known.name}/{serving.number}")
        serving = None if version.state is VersionState.RETIRED else serving
    kept = serving.number if serving else None
    retiring = tuple(each for each in known.retiring if each[0] != kept)
    if serving is None:
        at = now + lifecycle_rules.grace(deployment.settings, known.declared)
        versions = deployment.inventory.versions(known.name, limit=MAX_VERSIONS)
        retiring = tuple((number, at) for number in sorted(each.number for each in versions))
    state = ManagedState.SERVING if serving else ManagedState.REQUESTED
    return replace(known, removed_at=None, retiring=retiring, removing=(), serving=serving, state=state)


def _adopted(
    deployment: Deployment, declared: ManagedCertificate, known: ManagedRecord | None, now: datetime
) -> Serving | None:
    """The certificate that a declaration adopts as the one that serves, until a version of its own does; None where
    none is adopted, or it is adopted already."""
    serving = known.serving if known else None
    if not declared.adopts or (serving and (serving.number or serving.fingerprint == declared.adopts)):
        return None
    found = deployment.inventory.certificate_and_owner(declared.adopts)
    return _serving(declared, found[0], now) if found else None


def _serving(declared: ManagedCertificate, certificate: Certificate, now: datetime) -> Serving:
    assert certificate.not_before and certificate.not_after  # as it was judged
    return Serving(
        number=0,
        fingerprint=declared.adopts,
        issuer="",
        key=certificate.key or "",
        signature=certificate.signature_algorithm or "",
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        request=None,
        targets=targets_digest(declared.targets),
        since=now,
    )


# --- removed ---


def _remove(
    deployment: Deployment, record: ManagedRecord | None, actor: Actor, now: datetime, at: datetime, guard: Guard
) -> None:
    def made(known: ManagedRecord | None) -> Made | None:
        guard(known)
        if known is None or known.removed_at:
            return None
        wanted = replace(
            known,
            removed_at=at,
            declared_by=actor.principal,
            due_at=at,
            state=ManagedState.REMOVING,
            retiring=_retiring(deployment, known, at),
        )
        return wanted, _removed(actor, known, now)

    if record:
        _write(deployment, record.name, record, made)


def _retiring(deployment: Deployment, record: ManagedRecord, now: datetime) -> tuple[tuple[int, datetime], ...]:
    """Every version that is not retired yet, or is to be again as its secret came back, with its time: the one that it
    has already, or after the grace period."""
    at, known = now + lifecycle_rules.grace(deployment.settings, record.declared), dict(record.retiring)
    versions = deployment.inventory.versions(record.name, limit=MAX_VERSIONS)
    numbers = sorted(each.number for each in versions if each.state is not VersionState.RETIRED or each.number in known)
    return tuple((number, min(at, known.get(number, at))) for number in numbers)
