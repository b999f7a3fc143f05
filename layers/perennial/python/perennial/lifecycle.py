"""What a managed certificate is, and what happens to it next, and when: one decision out of all that is known. Pure.

`decide` is asked at every step of the workflow, by `perennial why`, and by the simulation. Whatever is known, the
answer has a step and a time: only a certificate that was removed and whose versions are retired has none.

| step | does |
| --- | --- |
| `plan` | reserves the time of the next request in the issuer's budget |
| `request` | requests the next version |
| `issue` | goes on with the version that is under way (workflow Issuance) |
| `roll-out` | asks for a rollout of the newest version |
| `deploy` | goes on with the rollout that is under way (workflow Rollout) |
| `supersede` | a version is proven everywhere: it is the one that serves |
| `ask` | asks the CA when to renew (RFC 9773) |
| `retire` | retires a superseded version, or one of a removed certificate |
| `rest` | nothing, until the time |
| `end` | nothing, for ever |
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from perennial import backoff, renewal, windows
from perennial.inventory.records import (
    ManagedRecord,
    ManagedState,
    RolloutRecord,
    RolloutState,
    Serving,
    VersionRecord,
    VersionState,
)
from perennial.managed_certificate import targets_digest
from perennial.renewal import Renewal, Rules
from perennial.windows import Calendar

RETRY, HURRY, AGAIN = "retry", "hurry", "again"  # what a request is planned for, beside the reasons to renew
MISSED, PASSED = ", missed", timedelta(minutes=3)  # of a plan, and how long after it
FIFTH = 5  # of what is left of the lifetime: the longest span in which an issuer is asked again
EIGHTH = 8  # of that span, which is left to what has less left
REQUEST_REFUSED, ROLLOUT_REFUSED = "the request", "the request of a rollout"  # failed before there was a version of it


class Step(StrEnum):
    """What is next."""

    PLAN = "plan"
    REQUEST = "request"
    ISSUE = "issue"
    ROLL_OUT = "roll-out"
    DEPLOY = "deploy"
    SUPERSEDE = "supersede"
    ASK = "ask"
    RETIRE = "retire"
    REST = "rest"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a decision is made of. `version` is the newest version, `rollout` the newest rollout. `advises`: the
    issuer of what serves can be asked when to renew."""

    record: ManagedRecord
    rules: Rules
    version: VersionRecord | None = None
    rollout: RolloutRecord | None = None
    calendar: Calendar = field(default_factory=Calendar)
    advises: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One state and one next step, and its time; `version` is what `retire` is about. `why` is a sentence for people,
    `reason` its short name. A request is planned between `first` and `last`."""

    state: ManagedState
    step: Step
    at: datetime | None
    reason: str = ""
    why: str = ""
    version: int = 0
    purpose: str = ""  # of the request that is planned
    first: datetime | None = None
    last: datetime | None = None


def decide(known: Situation, now: datetime) -> Decision:
    """The state and the next step."""
    found = _removed(known, now) or _under_way(known, now) or _unfinished(known, now)
    if found:
        return found
    serving = known.record.serving
    return _first(known, now) if serving is None else _serving(known, serving, now)


# --- what the last attempt ended in ---


def noted(known: Situation, now: datetime) -> ManagedRecord:
    """The record, with the last failure counted: of the newest version or of a rollout of it. Counted once."""
    record, failed = known.record, _failure(known)
    if failed is None or failed[0] == record.failed:
        return record
    reference, reason, message = failed
    counted = replace(
        record,
        failed=reference,
        failed_at=now,
        attempts=record.attempts + 1,
        failure=reason,
        failure_message=message,
    )
    if reference.startswith("rollout"):
        return counted
    return replace(counted, planned_at=None, planned_for="")  # another request is planned for


def _failure(known: Situation) -> tuple[str, str, str] | None:
    """What failed and why; None where the newest attempt did not."""
    version, rollout = known.version, known.rollout
    if version and version.state is VersionState.FAILED:
        return f"version {version.reference}", version.reason, version.message
    if rollout is None or not rollout.state.ended or rollout.state is RolloutState.DEPLOYED:
        return None
    if version and rollout.version != version.number:
        return None
    return f"rollout {rollout.reference}", rollout.reason, rollout.message


def _tried_again(record: ManagedRecord, now: datetime) -> datetime:
    """When a failed step is tried again. Who forces it does not wait; by attempts, not by times, as clocks differ."""
    failed_at = record.failed_at or now
    if record.urgent and record.forced_at and record.attempts == record.overruled:
        return min(record.forced_at, now)
    if not record.attempts:  # it is declared anew
        return failed_at
    serving = record.serving
    left = max(serving.not_after - failed_at, timedelta(0)) if serving else None
    return failed_at + backoff.pause(record.failure, record.attempts, left)


def _failing(known: Situation, step: Step, now: datetime) -> Decision:
    record = known.record
    state = _expired_or(record, ManagedState.FAILING, now)
    why = f"{record.failed} failed ({record.failure}): {record.failure_message}".rstrip(": ")
    at = _tried_again(record, now)
    if step is Step.REQUEST:
        return _planned(
            known, RETRY, at, at, Decision(state=state, step=step, at=at, reason=record.failure, why=why), now
        )
    return Decision(state=state, step=step, at=at, reason=record.failure, why=why)


def _expired_or(record: ManagedRecord, state: ManagedState, now: datetime) -> ManagedState:
    return ManagedState.EXPIRED if record.serving and record.serving.not_after <= now else state


# --- removed ---


def _removed(known: Situation, now: datetime) -> Decision | None:
    """What is no longer declared is retired, when nothing of it is under way; what is serves until someone else takes
    it out of its place."""
    record = known.record
    if record.removed_at is None:
        return None
    working = _under_way(known, now)
    if working:
        return working
    retiring = dict(record.retiring)
    last = known.version
    if last and last.state is not VersionState.RETIRED and last.number not in retiring:  # it was under way then
        retiring[last.number] = now
    if retiring:
        number, at = min(retiring.items(), key=lambda each: each[1])
        why = "it is no longer declared; its versions are retired"
        return Decision(state=ManagedState.REMOVING, step=Step.RETIRE, at=at, reason="removed", why=why, version=number)
    return Decision(state=ManagedState.RETIRED, step=Step.END, at=None, reason="removed", why="it was removed")


# --- under way ---


def _under_way(known: Situation, now: datetime) -> Decision | None:
    """A version or a rollout that has not ended. One that waits by itself, for its issuer or a retry, has its time.

    One whose state is an end has not ended while it is due, or its last step did not run: that removes challenges that
    are still shown, or makes the version the current one of its secret."""
    version, rollout = known.version, known.rollout
    if version and (not version.state.ended or version.due_at):
        return _work(known, version, ManagedState.ISSUING, Step.ISSUE, now)
    if rollout and (not rollout.state.ended or rollout.due_at):
        return _work(known, rollout, ManagedState.DEPLOYING, Step.DEPLOY, now)
    return None


def _work(
    known: Situation, work: VersionRecord | RolloutRecord, state: ManagedState, step: Step, now: datetime
) -> Decision:
    waited = bool(work.attempts and work.message)
    what = f"{'version' if step is Step.ISSUE else 'rollout'} {work.reference}"
    failing = _expired_or(known.record, ManagedState.FAILING, now)
    if waited and work.due_at and work.due_at > now:
        why = f"{what} waits: {work.message}"
        return Decision(state=failing, step=Step.REST, at=work.due_at, reason=work.reason, why=why)
    found = Decision(state=state, step=step, at=now, reason=known.record.planned_for, why=what)
    if waited and isinstance(work, VersionRecord) and not work.order:
        return _asked_again(known, work, replace(found, state=failing), now)
    return found


def _asked_again(known: Situation, version: VersionRecord, wanted: Decision, now: datetime) -> Decision:
    """An issuer is asked again for a version that waited: that takes a place in its budget as a request does. So a
    backlog does not come all at once when the issuer works again, and what has less left comes first."""
    record, purpose = known.record, f"{AGAIN} {version.attempts} {version.reason}"
    if record.urgent or record.planned_for == purpose:
        return wanted
    left = record.serving.not_after - now if record.serving else timedelta(0)
    span = min(max(left, timedelta(0)) / FIFTH, timedelta(minutes=1 << min(2 * version.attempts, 20)))
    first = now + max(_a_minute(record), span / EIGHTH)
    return replace(wanted, step=Step.PLAN, purpose=purpose, first=first, last=max(now + span, first))


# --- issued, and not everywhere yet ---


def _unfinished(known: Situation, now: datetime) -> Decision | None:
    """The newest version is issued, and not the one that serves: it is rolled out, or it is superseding."""
    version, rollout, record = known.version, known.rollout, known.record
    served = record.serving.number if record.serving else 0
    if version is None or version.state is not VersionState.ISSUED or version.number <= served:
        return None
    if _outdated(record, version, now):
        return None
    why = f"version {version.reference} is issued"
    if not record.declared.targets or (rollout and _deployed(rollout, version.number)):
        return Decision(state=ManagedState.DEPLOYING, step=Step.SUPERSEDE, at=now, why=f"{why} and proven")
    if (rollout and rollout.version == version.number) or record.failed == ROLLOUT_REFUSED:
        return _failing(known, Step.ROLL_OUT, now)
    state = _expired_or(record, ManagedState.DEPLOYING, now)
    return Decision(state=state, step=Step.ROLL_OUT, at=_opened(known, now, now), reason=record.planned_for, why=why)


def _outdated(record: ManagedRecord, version: VersionRecord, now: datetime) -> bool:
    """Whether a version that never came to serve is not worth it any more: something else is declared since, or two
    thirds of its time have passed."""
    wanted, asked = record.declared.request, version.request
    same = renewal.same(wanted, asked) and wanted.key in ("", version.key)
    kept = timedelta(days=max(version.validity_days, 1)) * 2 / 3
    return not same or bool(version.issued_at and now - version.issued_at > kept)


def _deployed(rollout: RolloutRecord, version: int) -> bool:
    return rollout.version == version and rollout.state is RolloutState.DEPLOYED


def _opened(known: Situation, at: datetime, now: datetime) -> datetime:
    """The first moment from then on at which a window is open. None is waited for where nothing serves, when little of
    the lifetime is left, or where someone forced it."""
    serving = known.record.serving
    if serving is None or known.record.urgent:
        return at
    late = max(renewal.late_at(serving), now)
    if at >= late:
        return at
    return windows.next_open(known.calendar, at, late) or late


# --- nothing serves yet ---


def _first(known: Situation, now: datetime) -> Decision:
    version, record = known.version, known.record
    if (version and version.state is VersionState.FAILED) or record.failed == REQUEST_REFUSED:
        return _failing(known, Step.REQUEST, now)
    wanted = Renewal(reason=renewal.FIRST, at=record.declared_at)
    return _requested(known, wanted, ManagedState.REQUESTED, now)


def _requested(known: Situation, wanted: Renewal, state: ManagedState, now: datetime) -> Decision:
    """A request, at the time that is planned for it; where none is, one is planned."""
    record = known.record
    why = renewal.WORDS[wanted.reason] + (f": {wanted.detail}" if wanted.detail else "")
    serving = record.serving
    early = renewal.spread(serving) if serving and wanted.reason == renewal.LIFETIME else timedelta(0)
    found = Decision(state=state, step=Step.REQUEST, at=now, reason=wanted.reason, why=why)
    return _planned(known, wanted.reason, wanted.at - early, wanted.at, found, now)


def _planned(
    known: Situation, purpose: str, first: datetime, last: datetime, wanted: Decision, now: datetime
) -> Decision:
    """A request at the time that is planned for this purpose, in a window; where none is planned, that is next. A time
    that passed because there was no tick is planned anew, once: not all that were missed begin in one minute."""
    record = known.record
    if record.planned_at is None or record.planned_for not in (purpose, f"{purpose}{MISSED}"):
        soon = now if purpose == HURRY else now + _a_minute(record)
        return replace(wanted, step=Step.PLAN, at=now, purpose=purpose, first=max(first, soon), last=max(last, soon))
    if record.planned_for == purpose and now - _opened(known, record.planned_at, now) > PASSED:
        soon = now + timedelta(minutes=1)
        return replace(wanted, step=Step.PLAN, at=now, purpose=f"{purpose}{MISSED}", first=soon, last=soon)
    at, serving = _opened(known, record.planned_at, now), record.serving
    late = renewal.late_at(serving) if serving else now
    looked_at = min(at, late) if now < late else at  # what would be late is looked at before
    return Decision(state=wanted.state, step=wanted.step, at=looked_at, reason=wanted.reason, why=wanted.why)


def _a_minute(record: ManagedRecord) -> timedelta:
    """The earliest start that is planned: the next tick's, so that a minute has its own slot's requests and no others.
    Nothing is put off where nothing serves, where someone forces it, or where a lifetime is so short that it counts."""
    if record.serving is None or record.urgent:
        return timedelta(0)
    return min(timedelta(minutes=1), renewal.lifetime(record.serving) / 1_000)


# --- something serves ---


def _serving(known: Situation, serving: Serving, now: datetime) -> Decision:
    """The earliest of: a renewal, a target that is to be put right, a question to the CA, the retirement of an old
    version."""
    renewed = _renewed(known, serving, now)
    options = [*_asked(known, serving, now), renewed, *_put_right(known, serving, now)]
    if known.record.retiring:
        number, at = min(known.record.retiring, key=lambda each: each[1])
        why = f"version {number} was superseded"
        options.append(Decision(state=ManagedState.SERVING, step=Step.RETIRE, at=at, why=why, version=number))
    first = min(options, key=lambda each: each.at or now)
    if first.state is renewed.state or first.step not in (Step.RETIRE, Step.ASK):
        return first
    return replace(first, state=renewed.state)


def _renewed(known: Situation, serving: Serving, now: datetime) -> Decision:
    record = known.record
    wanted = renewal.renewal(record, serving, known.rules, now)
    if _failed_to_renew(known, serving):
        return _failing(known, Step.REQUEST, now)
    holds = wanted.at <= now or bool(record.planned_at and record.planned_at <= now)
    state = _expired_or(record, ManagedState.DUE if holds else ManagedState.SERVING, now)
    if now >= renewal.late_at(serving):
        why = f"{renewal.WORDS[wanted.reason]}; too little is left to wait for a window"
        late = Decision(state=state, step=Step.REQUEST, at=now, reason=wanted.reason, why=why)
        return _planned(known, HURRY, now, now, late, now)
    return _requested(known, wanted, state, now)


def _failed_to_renew(known: Situation, serving: Serving) -> bool:
    version = known.version
    if known.record.failed == REQUEST_REFUSED:
        return True
    return version is not None and version.state is VersionState.FAILED and version.number > serving.number


def _put_right(known: Situation, serving: Serving, now: datetime) -> list[Decision]:
    """What serves is put at its targets again: they are other ones than it was proven at, or one does not serve it."""
    record, rollout = known.record, known.rollout
    if serving.number == 0:
        return []
    moved = bool(record.declared.targets) and serving.targets != targets_digest(record.declared.targets)
    if not (moved or known.rules.lost):
        return []
    if rollout and _deployed(rollout, serving.number) and rollout.number > serving.rollout:
        why = f"rollout {rollout.reference} put it there again"
        return [Decision(state=ManagedState.SERVING, step=Step.SUPERSEDE, at=now, why=why)]
    lost = ", ".join(known.rules.lost[:5])
    why = "other targets are declared" if moved else f"{renewal.WORDS[renewal.NOT_SERVING]}: {lost}"
    again = rollout and rollout.version == serving.number and record.failed == f"rollout {rollout.reference}"
    if again or record.failed == ROLLOUT_REFUSED:
        return [_failing(known, Step.ROLL_OUT, now)]
    if rollout and _in_vain(rollout, serving, record):
        at = (rollout.ended_at or now) + backoff.pause(rollout.reason, max(record.attempts, 1), None)
        why = f"rollout {rollout.reference} failed ({rollout.reason}): {rollout.message}"
        return [Decision(state=ManagedState.FAILING, step=Step.ROLL_OUT, at=at, reason=rollout.reason, why=why)]
    at = _opened(known, now, now)
    state = _expired_or(record, ManagedState.DUE, now)
    return [Decision(state=state, step=Step.ROLL_OUT, at=at, reason=renewal.NOT_SERVING, why=why)]


def _in_vain(rollout: RolloutRecord, serving: Serving, record: ManagedRecord) -> bool:
    """Whether what serves was put there again, where it is declared to be, and that ended without it. The record tells
    it only where no newer version has failed too, whose failure is the one that counts there."""
    again = rollout.version == serving.number and rollout.number > serving.rollout and rollout.state.ended
    return again and rollout.targets == targets_digest(record.declared.targets)


def _asked(known: Situation, serving: Serving, now: datetime) -> list[Decision]:
    if not known.advises or serving.number == 0:
        return []
    advice, record = known.record.advice, known.record
    at = advice.ask_at if advice else record.ask_at or now
    return [Decision(state=ManagedState.SERVING, step=Step.ASK, at=at, why="the CA is asked when to renew")]
