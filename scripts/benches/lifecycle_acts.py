"""One step of Renewal in the simulation: gather, decide, act, as `lifecycle_step` does, on the table in memory.

The decisions are the library's: `lifecycle.noted` and `decide`, `planning.reserved`, `lifecycle_step.advised`. Each act
writes the same fields of the same records as the real one, and reads and writes as often; a test compares them. Policy
and the certificates themselves are left out, and so is telling people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from benches.lifecycle_fleet import Kept
from benches.lifecycle_records import changed
from benches.lifecycle_work import World
from perennial import lifecycle, planning, renewal
from perennial.dispatch import LEASE
from perennial.errors import PerennialError
from perennial.inventory.records import ManagedRecord, RolloutRecord, RolloutState, Serving, VersionRecord, VersionState
from perennial.issuance_step import SILENCE
from perennial.lifecycle import Decision, Situation
from perennial.lifecycle import Step as Next
from perennial.lifecycle_rules import GRACE
from perennial.lifecycle_step import ACTS, ASK_AGAIN, LATEST, RETIRE_AGAIN, SOONEST, advised
from perennial.managed_certificate import targets_digest

REST, ENDED, WAIT, ISSUE, DEPLOY, RETIRE = "rest", "ended", "wait", "issue", "deploy", "retire"


@dataclass(frozen=True, slots=True)
class Done:
    """What the workflow does next, as `lifecycle_step.Step`; `number` is of the version to retire."""

    next: str
    seconds: int = 0
    number: int = 0


Told = Callable[[Kept, Decision, datetime], None]


def step(world: World, kept: Kept, fence: int, now: datetime, told: Told | None = None) -> Done:
    """Go on with a managed certificate until there is long work to do, or nothing. `told` hears every decision."""
    table = world.inventory
    for _ in range(ACTS):
        if kept.record.fence != fence:
            table.count(1, 0)
            return Done(ENDED)
        table.count(3, 0)
        known = _gathered(kept, now)
        decision = lifecycle.decide(known, now)
        if told:
            told(kept, decision, now)
        if decision.at is None or decision.at > now:
            return _rest(world, kept, known, decision, now)
        done = _ACTS[decision.step](world, kept, known, decision, now)
        if done:
            return done
    return Done(WAIT, SOONEST)


def _gathered(kept: Kept, now: datetime) -> Situation:
    serving = kept.record.serving
    known = Situation(
        record=kept.record,
        rules=kept.rules,
        version=kept.version,
        rollout=kept.rollout,
        calendar=kept.calendar,
        advises=bool(serving and serving.number and kept.authority.kind == "acme"),
    )
    record = lifecycle.noted(known, now)
    return known if record is known.record else changed(known, record=record)


def _save(
    world: World, kept: Kept, record: ManagedRecord, decision: Decision, due: datetime | None, **changes: Any
) -> None:
    saved = changed(
        record,
        state=decision.state,
        step=decision.step,
        reason=decision.reason,
        message=decision.why,
        due_at=due,
        revision=record.revision + 1,
        **changes,
    )
    world.inventory.keep(kept, saved)


def _rest(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> Done:
    _save(world, kept, known.record, decision, decision.at)
    return Done(REST)


def _plan(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> None:
    at, version = planning.reserved(world, known, decision, now), known.version  # type: ignore[arg-type]
    if version and not version.state.ended:
        world.inventory.save_version(version, at)
    _save(world, kept, known.record, decision, now + LEASE, planned_at=at, planned_for=decision.purpose)


def _request(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> None:
    world.inventory.count(2, 0)  # whether one is under way, and which number is next
    before = kept.version
    number = before.number + 1 if before else 1
    asked = VersionRecord(
        managed=known.record.name,
        number=number,
        request=known.record.declared.request,
        state=VersionState.REQUESTED,
        ask="",
        issuer=kept.authority.name,
        requested_at=now,
    )
    world.inventory.save_version(asked, now)
    _save(world, kept, known.record, decision, now + LEASE, failed="")


def _issue(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> Done:
    version = known.version
    assert version is not None
    if version.due_at and version.due_at > now:
        return _watched(world, kept, known, decision, version.due_at, now)
    world.inventory.save_version(version, now + SILENCE)
    _save(world, kept, known.record, decision, now + LEASE)
    return Done(ISSUE)


def _deploy(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> Done:
    rollout = known.rollout
    assert rollout is not None
    if rollout.due_at and rollout.due_at > now:
        return _watched(world, kept, known, decision, rollout.due_at, now)
    world.inventory.save_rollout(rollout, now + SILENCE)
    _save(world, kept, known.record, decision, now + LEASE)
    return Done(DEPLOY)


def _watched(world: World, kept: Kept, known: Situation, decision: Decision, due: datetime, now: datetime) -> Done:
    _save(world, kept, known.record, decision, now + LEASE)
    return Done(WAIT, min(max(int((due - now).total_seconds() / 4), SOONEST), LATEST))


def _roll_out(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> None:
    world.inventory.count(4, 2)  # the rollout before, the version, the number, the audit's chain; head again, target
    record, version = known.record, known.version
    assert version is not None
    head = RolloutRecord(
        managed=record.name,
        number=kept.rollout.number + 1 if kept.rollout else 1,
        version=version.number,
        count=1,
        state=RolloutState.CHECKING,
        asked_by=record.declared_by,
        requested_at=now,
        targets=targets_digest(record.declared.targets),
    )
    world.inventory.save_rollout(head, now)
    _save(world, kept, record, decision, now + LEASE, failed="")


def _supersede(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> None:
    record, version = known.record, known.version
    assert version is not None
    world.inventory.count(1, 1)  # the versions; whose the certificate is
    planned = dict(record.retiring)
    earlier = tuple((each, planned.get(each, now + GRACE)) for each in sorted(kept.unretired))
    world.renewals += 1
    _save(
        world,
        kept,
        record,
        decision,
        now + LEASE,
        serving=_served(kept, version, now),
        retiring=earlier,
        advice=None,
        ask_at=None,
        planned_at=None,
        planned_for="",
        attempts=0,
        failed="",
        failed_at=None,
        failure="",
        failure_message="",
        forced_at=None,
        forced_by="",
    )


def _served(kept: Kept, version: VersionRecord, now: datetime) -> Serving:
    """It lives from when it was issued on."""
    issued_at, rollout = version.issued_at, kept.rollout
    assert issued_at is not None
    assert rollout is not None
    return Serving(
        number=version.number,
        fingerprint=version.fingerprint,
        issuer=version.issuer,
        key=version.key,
        signature="ecdsa-with-SHA256",
        not_before=issued_at,
        not_after=issued_at + timedelta(days=kept.days),
        request=version.request,
        targets=rollout.targets,
        since=now,
        rollout=rollout.number,
    )


def _ask(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> None:
    record = known.record
    serving = record.serving
    assert serving is not None
    world.inventory.count(1, 0)
    try:
        window = world.issuer(kept).renewal_window(record.name, serving, now)
    except PerennialError:
        later = now + ASK_AGAIN if renewal.lifetime(serving) > ASK_AGAIN * 4 else now + renewal.lifetime(serving) / 24
        advice, ask_at = (changed(record.advice, failed=True, ask_at=later) if record.advice else None), later
    else:
        if window is None:
            advice, ask_at = None, now + max(ASK_AGAIN, renewal.lifetime(serving) / renewal.QUESTIONS)
        else:
            ask_at = renewal.ask_again(serving, window.retry_after, now)
            advice = advised(record, serving, window, ask_at)
    changes: dict[str, Any] = {"advice": advice, "ask_at": ask_at}
    moved = (advice and advice.at) != (record.advice and record.advice.at)
    replanned = moved and record.planned_for in (renewal.LIFETIME, renewal.ADVICE)
    if replanned:
        changes |= {"planned_at": None, "planned_for": ""}
    _save(world, kept, record, decision, now + LEASE, **changes)
    if replanned:
        planning.given_back(world, record, kept.rules.issuer, now)  # type: ignore[arg-type]


def _retire(world: World, kept: Kept, known: Situation, decision: Decision, now: datetime) -> Done:
    record, number = known.record, decision.version
    later = {**dict(record.retiring), number: now + RETIRE_AGAIN}
    if number not in record.removing:
        world.inventory.count(1, 0)  # the audit's chain
    begun = tuple(sorted({*record.removing, number}))
    _save(world, kept, record, decision, now + LEASE, retiring=tuple(sorted(later.items())), removing=begun)
    return Done(RETIRE, number=number)


_ACTS: dict[Next, Callable[[World, Kept, Situation, Decision, datetime], Done | None]] = {
    Next.PLAN: _plan,
    Next.REQUEST: _request,
    Next.ISSUE: _issue,
    Next.ROLL_OUT: _roll_out,
    Next.DEPLOY: _deploy,
    Next.SUPERSEDE: _supersede,
    Next.ASK: _ask,
    Next.RETIRE: _retire,
    Next.REST: _rest,
    Next.END: _rest,
}
