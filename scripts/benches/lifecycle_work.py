"""Issuance and Rollout in the simulation: how long they take, how they end, and what they leave in the table.

What the real steps decide is decided by them: `issuance_failure.postpone`, and whom an issuer that works again wakes.
What one run of the workflows reads and writes in the table was measured (`scripts/bench issuance` and `deploy`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from benches.lifecycle_fleet import Kept
from benches.lifecycle_issuers import SimulatedIssuer
from benches.lifecycle_records import changed
from benches.lifecycle_table import Table
from perennial import issuance, issuance_failure, issuance_step, rollout_failure
from perennial.errors import NotFit, NotProven, PerennialError, RateLimited, Throttled, Unavailable, ValidationFailed
from perennial.inventory.records import RolloutState, VersionRecord, VersionState
from perennial.settings import Settings

RETRIES = 6  # of a step that raises what may pass (`infra.workflow.call`)
FIRST_RETRY, LONGEST_RETRY = 2.0, 300.0  # seconds; with full jitter
ISSUANCE = {"acme": (17, 22), "acm_pca": (9, 8), "acm": (9, 8)}  # reads and writes of one that ends well
ROLLOUT = (16, 8)  # the same, to one target
RETIRING = (11, 3)  # of `retire`, where a copy in ACM is removed
REFUSED_FOR_GOOD = 0.003  # of the orders: a name that the CA cannot validate
NOT_FIT, NOT_PROVEN, POSTPONED = 0.005, 0.005, 0.003  # of the rollouts
LONGEST_BROKEN = timedelta(hours=12)  # a place


@dataclass(slots=True)
class World:
    """All that an execution meets. It stands for a `Deployment` where the library's functions want one."""

    inventory: Table
    settings: Settings
    issuers: Mapping[str, SimulatedIssuer]
    random: Random
    account: str = "111122223333"
    renewals: int = 0

    def issuer(self, kept: Kept) -> SimulatedIssuer:
        """Of a managed certificate."""
        return self.issuers[kept.authority.name]


# --- Issuance ---


def issue(world: World, kept: Kept, now: datetime) -> datetime:
    """Run Issuance for the newest version. Returns when it ended."""
    kept.version = changed(_newest(kept), message="")  # Prepare
    issuer = world.issuer(kept)
    if not _newest(kept).order:
        now, answered = _asked(world, kept, now, issuer.order)
        if not answered:
            return now
        world.inventory.save_version(changed(_newest(kept), order="order"), now + issuance_step.SILENCE)
    now += timedelta(seconds=world.random.uniform(*kept.authority.seconds))
    now, answered = _asked(world, kept, now, issuer.answer)
    return _issued(world, kept, now) if answered else now


def _newest(kept: Kept) -> VersionRecord:
    assert kept.version is not None
    return kept.version


def _asked(world: World, kept: Kept, now: datetime, ask: Callable[[datetime], None]) -> tuple[datetime, bool]:
    """Ask until the issuer answers, as the workflow does: again after the pauses of its state machine, or when
    `Retry-After` says. Returns when, and whether it did; else the version is postponed."""
    retries = 0
    while True:
        try:
            ask(now)
        except (RateLimited, Throttled, Unavailable) as error:
            seconds = _waited(world, kept, error, retries, now)
            if seconds is None:
                world.inventory.count(1, 0)  # Clean up
                return now, False
            retries = 0 if error.retry_after else retries + 1
            now += timedelta(seconds=seconds)
        else:
            return now, True


def _waited(world: World, kept: Kept, error: PerennialError, retries: int, now: datetime) -> float | None:
    """Seconds until the next question; None where the version is postponed."""
    world.inventory.count(2, 0)  # the version, and what it renews
    deployment: Any = world
    reference = _newest(kept).reference
    try:
        step = issuance_failure.when_asked_to_wait(deployment, reference, error, now)
    except (Throttled, Unavailable):  # the state machine tries again
        if retries < RETRIES:
            return float(min(FIRST_RETRY * 2**retries, LONGEST_RETRY) * world.random.random())
        world.inventory.count(1, 0)  # Give up
        step = issuance_failure.postpone(deployment, reference, error, now)
    return step.seconds if step.next == "wait" else None


def _issued(world: World, kept: Kept, now: datetime) -> datetime:
    version = _newest(kept)
    if world.random.random() < REFUSED_FOR_GOOD:
        failed = changed(version, state=VersionState.FAILED, reason=ValidationFailed.reason, message="no TXT", order="")
        kept.version = changed(failed, due_at=None)
        world.inventory.count(*ISSUANCE[kept.authority.kind])
        return now
    deployment: Any = world
    issuance._Progress(deployment, version, now).wake_others()
    kept.version = changed(
        version,
        state=VersionState.ISSUED,
        key="EC-256",
        validity_days=kept.days,
        fingerprint=version.reference,
        issued_at=now,
        order="",
        attempts=0,
        reason="",
        message="",
        due_at=None,
    )
    reads, writes = ISSUANCE[kept.authority.kind]
    world.inventory.count(reads - 1, writes - 1)  # the order, and whether the issuer was down, are counted
    return now


# --- Rollout ---


def deploy(world: World, kept: Kept, now: datetime) -> datetime:
    """Run Rollout for the newest rollout. Returns when it ended."""
    rollout = kept.rollout
    assert rollout is not None
    world.inventory.count(*ROLLOUT)
    state, reason, took = _outcome(world, kept, now)
    now += took
    if state is None:
        pause = min(rollout_failure.FIRST_PAUSE * (1 << min(rollout.attempts, 10)), rollout_failure.LONGEST_PAUSE)
        kept.rollout = changed(
            rollout,
            attempts=rollout.attempts + 1,
            message="throttled",
            due_at=now + pause,
            revision=rollout.revision + 1,
        )
        return now
    kept.rollout = changed(
        rollout, state=state, reason=reason, message=reason, ended_at=now, due_at=None, revision=rollout.revision + 1
    )
    return now


def _outcome(world: World, kept: Kept, now: datetime) -> tuple[RolloutState | None, str, timedelta]:
    """How it ends, and after what time: with the reason where not well; None where it is postponed. A place that is
    broken stays so for some hours."""
    drawn = world.random.random()
    if drawn < NOT_FIT and kept.broken_until is None:
        kept.broken_until = now + LONGEST_BROKEN * world.random.random()
    if kept.broken_until and now < kept.broken_until:
        return RolloutState.REFUSED, NotFit.reason, timedelta(seconds=10)
    kept.broken_until = None
    if drawn < NOT_FIT + NOT_PROVEN:
        return RolloutState.RETURNED, NotProven.reason, timedelta(minutes=12)
    if drawn < NOT_FIT + NOT_PROVEN + POSTPONED:
        return None, "", timedelta(seconds=60)
    return RolloutState.DEPLOYED, "", timedelta(seconds=world.random.uniform(15, 90))


# --- retiring ---


def retire(world: World, kept: Kept, number: int) -> None:
    """Remove what was made for a version."""
    world.inventory.count(*RETIRING)
    kept.unretired = tuple(each for each in kept.unretired if each != number)
    rest = tuple(each for each in kept.record.retiring if each[0] != number)
    removing = tuple(each for each in kept.record.removing if each != number)
    kept.record = changed(kept.record, retiring=rest, removing=removing, revision=kept.record.revision + 1)
