"""One step of the workflow Renewal: gather what is known of a managed certificate, decide, and act.

Every act leaves what is stored so that the next decision goes on from there: a step that runs twice, or is interrupted
anywhere, is taken up where it was. `fence` is the number of the lease under which an execution works: when someone else
has leased the certificate since, it does nothing any more. Long work (Issuance, Rollout, retiring) is done by the
workflow, which then asks again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial import alert_channels, alerting, lifecycle, lifecycle_rules, planning, renewal
from perennial.audit_actor import WORKFLOWS
from perennial.clients import meant
from perennial.dispatch import LEASE
from perennial.errors import ConcurrentChange, PerennialError
from perennial.inventory.records import (
    Advice,
    ManagedRecord,
    RolloutRecord,
    Serving,
    Told,
    VersionRecord,
    VersionState,
)
from perennial.issuance_step import SILENCE
from perennial.lifecycle import REQUEST_REFUSED, ROLLOUT_REFUSED, Decision, Situation
from perennial.lifecycle import Step as Next
from perennial.managed_certificate import targets_digest

if TYPE_CHECKING:
    from perennial.audit_event import Event
    from perennial.deployment import Deployment

ACTS = 12  # decisions in one step; more is a certificate that goes round in circles
SOONEST, LATEST = 15, 300  # seconds between two looks at work that another execution does
RETIRE_AGAIN = timedelta(days=1)  # where something still uses what is to be removed
ASK_AGAIN = timedelta(hours=6)  # a CA that did not answer (RFC 9773 4.3.3)
MAX_TEXT = 1_000
MANY = 2_000  # versions that are looked through for those that are not retired


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the workflow does next: issue | deploy | retire | wait (each then asks again) | rest | ended."""

    next: str
    reference: str = ""  # of the version or the rollout
    execution: str = ""  # the name of the nested execution
    seconds: int = 0
    doing: str = ""

    def document(self) -> dict[str, Any]:
        """As the workflow carries it."""
        return {
            "next": self.next,
            "reference": self.reference,
            "execution": self.execution,
            "seconds": self.seconds,
            "doing": self.doing,
        }


@meant("lifecycle: step")
def step(deployment: Deployment, name: str, fence: int, now: datetime) -> Step:
    """Go on with a managed certificate until there is long work to do, or nothing."""
    doing = ""
    for _ in range(ACTS):
        record = deployment.inventory.find_managed(name)
        if record is None or record.fence != fence:
            return Step(next="ended", doing="another execution goes on")
        known = noted(gather(deployment, record, now), now)
        decision = lifecycle.decide(known, now)
        known, untold = _told(deployment, known, decision, now)
        try:
            found = _act(deployment, known, decision, now)
        except ConcurrentChange:
            continue  # it is read again
        if found and found.next == "rest" and untold:
            raise untold  # what could be done is done; the workflow tries again to tell
        if found:
            return found
        doing = f"{decision.step}: {decision.why}"[:MAX_TEXT]
    return Step(next="wait", seconds=SOONEST, doing=doing)


def noted(known: Situation, now: datetime) -> Situation:
    """The situation, with the last failure counted."""
    return replace(known, record=lifecycle.noted(known, now))


def gather(deployment: Deployment, record: ManagedRecord, now: datetime) -> Situation:
    """All that a decision is made of."""
    inventory, settings = deployment.inventory, deployment.settings
    rules = lifecycle_rules.rules(settings, record)
    return Situation(
        record=record,
        rules=lifecycle_rules.with_exceptions(rules, settings, record, deployment.active_exceptions, now),
        version=next(iter(inventory.versions(record.name, limit=1)), None),
        rollout=next(iter(inventory.rollouts(record.name, limit=1)), None),
        calendar=lifecycle_rules.calendar(deployment.settings, record.declared),
        advises=lifecycle_rules.advises(deployment.settings, record.serving),
    )


def _told(
    deployment: Deployment, known: Situation, decision: Decision, now: datetime
) -> tuple[Situation, PerennialError | None]:
    """Tell people where it is time, and that a certificate left the ladder. Returns what is known with what they were
    told, and why they could not be told: that holds up no renewal."""
    record = known.record
    level = alerting.level(record, decision, now)
    if not (record.told if level == 0 else alerting.must_tell(record, level, now)):
        return known, None
    alert = alerting.alert(record, decision, level, now) if level else alerting.resolved(record, now)
    try:
        alert_channels.tell(deployment, alert, now)
    except PerennialError as error:
        return known, error
    return replace(known, record=replace(record, told=_now_told(record, level, now))), None


def _now_told(record: ManagedRecord, level: int, now: datetime) -> Told | None:
    """A higher level is acknowledged anew."""
    if level == 0:
        return None
    before = record.told
    return Told(level=level, at=now, acknowledged_by=before.acknowledged_by if before and before.level >= level else "")


def _act(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> Step | None:
    """Do what is next, where it is time. Returns None when the next decision can be made at once."""
    if decision.at is None or decision.at > now:
        return _rest(deployment, known, decision, now)
    return _ACTS[decision.step](deployment, known, decision, now)


def _save(
    deployment: Deployment,
    record: ManagedRecord,
    decision: Decision,
    due: datetime | None,
    event: Event | None = None,
) -> ManagedRecord:
    changed = replace(
        record,
        state=decision.state,
        step=str(decision.step),
        reason=decision.reason,
        message=decision.why[:MAX_TEXT],
        due_at=due,
    )
    return deployment.inventory.save_managed(changed, event)


def _rest(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> Step:
    """Nothing to do until a time: of the next step, or of telling someone."""
    record = known.record
    times = [each for each in (decision.at, alerting.next_at(record, decision, now)) if each]
    due = min(times, default=None)
    _save(deployment, record, decision, due)
    when = f"{due:%Y-%m-%d %H:%M:%S} UTC" if due else "never"
    return Step(next="rest", doing=f"{decision.step} at {when}: {decision.why}"[:MAX_TEXT])


def _end(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> Step:
    return _rest(deployment, known, decision, now)


# --- a request, in the issuer's budget ---


def _plan(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> None:
    at, version = planning.reserved(deployment, known, decision, now), known.version
    if version and not version.state.ended:  # it goes on then
        deployment.inventory.save_version(version, at)
    planned = replace(known.record, planned_at=at, planned_for=decision.purpose)
    _save(deployment, planned, decision, now + LEASE)


def _request(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> None:
    """Request the next version. What is refused for good is a failure of its own, which is tried again later."""
    from perennial import issuance

    record = known.record
    try:
        issuance.by_lifecycle(deployment, record.name, record.declared.request, now)
    except PerennialError as error:
        if error.retry:
            raise
        _refused(deployment, known, decision, error, REQUEST_REFUSED, now)
        return
    _save(deployment, replace(record, failed=""), decision, now + LEASE)


def _refused(
    deployment: Deployment, known: Situation, decision: Decision, error: PerennialError, what: str, now: datetime
) -> None:
    failed = replace(
        known.record,
        failed=what,
        failed_at=now,
        attempts=known.record.attempts + 1,
        failure=error.reason,
        failure_message=str(error)[:MAX_TEXT],
        planned_at=None,
        planned_for="",
    )
    _save(deployment, failed, decision, now + LEASE, _newly_refused(known.record, failed, now))


def _newly_refused(before: ManagedRecord, failed: ManagedRecord, now: datetime) -> Event | None:
    """The audit event of what was refused; None where the same was refused before, in the same words."""
    if (before.failed, before.failure_message) == (failed.failed, failed.failure_message):
        return None
    action = "version.request" if failed.failed == REQUEST_REFUSED else "managed.deploy"
    owner = failed.declared.request.owner
    return WORKFLOWS.was_refused(now, action, failed.name, failed.failure_message, owner=owner)


# --- long work ---


def _issue(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> Step:
    version = known.version
    assert version is not None
    if version.due_at and version.due_at > now:
        return _watched(deployment, known, decision, version.due_at, now)
    begun = deployment.inventory.save_version(version, now + SILENCE)
    _save(deployment, known.record, decision, now + LEASE)
    name = _execution("issue", begun.reference, begun.revision)
    return Step(next="issue", reference=begun.reference, execution=name, doing=decision.why)


def _deploy(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> Step:
    rollout = known.rollout
    assert rollout is not None
    if rollout.due_at and rollout.due_at > now:
        return _watched(deployment, known, decision, rollout.due_at, now)
    begun = deployment.inventory.save_rollout(rollout, now + SILENCE)
    _save(deployment, known.record, decision, now + LEASE)
    name = _execution("deploy", begun.reference, begun.revision)
    return Step(next="deploy", reference=begun.reference, execution=name, doing=decision.why)


def _watched(deployment: Deployment, known: Situation, decision: Decision, due: datetime, now: datetime) -> Step:
    """Another execution is at work: look again, until it has ended or is taken for dead."""
    _save(deployment, known.record, decision, now + LEASE)
    seconds = min(max(int((due - now).total_seconds() / 4), SOONEST), LATEST)
    return Step(next="wait", seconds=seconds, doing=f"watching: {decision.why}"[:MAX_TEXT])


def _execution(what: str, reference: str, revision: int) -> str:
    return f"{what}-" + hashlib.sha256(f"{reference}#{revision}".encode()).hexdigest()[:40]


def _roll_out(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> None:
    """Ask for a rollout of the newest version that was issued."""
    from perennial import rollout_request
    from perennial.target_settings import Declared

    record = known.record
    targets = Declared(targets=record.declared.targets, stays=record.declared.stays)
    try:
        asked_by = record.forced_by or record.declared_by
        rollout_request.by_lifecycle(deployment, record.name, targets, asked_by, now)
    except PerennialError as error:
        if error.retry:
            raise
        _refused(deployment, known, decision, error, ROLLOUT_REFUSED, now)
        return
    _save(deployment, replace(record, failed=""), decision, now + LEASE)


# --- superseding ---


def _supersede(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> None:
    """What is proven serves from now on; what was before is retired after a grace period."""
    record, version, rollout = known.record, known.version, known.rollout
    assert version is not None
    if version.secret_version:  # a rollout did so too; where there are no targets, nobody did
        _promote(deployment, version)
    grace = lifecycle_rules.grace(deployment.settings, record.declared)
    proven = rollout if record.declared.targets else None
    serving = served(version, proven, now)
    _save(
        deployment,
        replace(
            record,
            serving=serving,
            retiring=_retiring(deployment, record, version.number, now + grace),
            advice=None if record.serving is None or record.serving.number != serving.number else record.advice,
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
            overruled=0,
            urgent=False,
            suspect="",
        ),
        decision,
        now + LEASE,
    )
    deployment.inventory.serves(serving.fingerprint, record.name)


def _promote(deployment: Deployment, version: VersionRecord) -> None:
    from perennial import bundle

    bundle.key_store(deployment).promote(version.managed, version.secret_version)


def _retiring(
    deployment: Deployment, record: ManagedRecord, number: int, at: datetime
) -> tuple[tuple[int, datetime], ...]:
    """Every earlier version that is not retired yet, with the time at which it is: those that never came to serve
    too, as each may have a key."""
    known = dict(record.retiring)
    earlier = [
        each.number
        for each in deployment.inventory.versions(record.name, limit=MANY)
        if each.number < number and (each.state is not VersionState.RETIRED or each.number in known)
    ]
    return tuple((each, known.get(each, at)) for each in sorted(earlier))


def served(version: VersionRecord, rollout: RolloutRecord | None, now: datetime) -> Serving:
    """What is kept of a version that serves, where a rollout proved it (None: it has no targets)."""
    from perennial.certificate import parse

    leaf = parse(version.chain[0])
    assert leaf.not_before is not None
    assert leaf.not_after is not None
    return Serving(
        number=version.number,
        fingerprint=version.fingerprint,
        issuer=version.issuer,
        key=version.key,
        signature=leaf.signature_algorithm or "",
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        request=version.request,
        targets=rollout.targets if rollout else targets_digest(()),
        since=now,
        rollout=rollout.number if rollout else 0,
    )


# --- the CA's advice ---


def _ask(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> None:
    """Ask the CA when to renew. One that does not answer never holds up a renewal: the share of the lifetime counts."""
    record = known.record
    serving = record.serving
    assert serving is not None
    try:
        advice, ask_at = _advice(deployment, record, serving, now)
    except PerennialError:
        later = now + ASK_AGAIN if renewal.lifetime(serving) > ASK_AGAIN * 4 else now + renewal.lifetime(serving) / 24
        failed = replace(record.advice, failed=True, ask_at=later) if record.advice else None
        advice, ask_at = failed, later
    moved = (advice and advice.at) != (record.advice and record.advice.at)
    changed = replace(record, advice=advice, ask_at=ask_at)
    replanned = moved and record.planned_for in (renewal.LIFETIME, renewal.ADVICE)
    if replanned:
        changed = replace(changed, planned_at=None, planned_for="")
    _save(deployment, changed, decision, now + LEASE)
    if replanned:
        planning.given_back(deployment, record, known.rules.issuer, now)


def _advice(
    deployment: Deployment, record: ManagedRecord, serving: Serving, now: datetime
) -> tuple[Advice | None, datetime]:
    from perennial.certificate import parse
    from perennial.issuers import issuer

    settings = deployment.settings.issuers[serving.issuer]
    adviser: Any = issuer(settings, deployment)
    version = deployment.inventory.version(f"{record.name}/{serving.number}")
    window = adviser.renewal_window(parse(version.chain[0]))
    if window is None:
        return None, now + max(ASK_AGAIN, renewal.lifetime(serving) / renewal.QUESTIONS)
    ask_at = renewal.ask_again(serving, window.retry_after, now)
    return advised(record, serving, window, ask_at), ask_at


def advised(record: ManagedRecord, serving: Serving, window: Any, ask_at: datetime) -> Advice:
    """What a CA's window means (RFC 9773 4.2): the time that was drawn before is kept while it lies in the window."""
    known = record.advice
    at = renewal.drawn(window.start, window.end, renewal.draw(record.name, serving.number, "advice"))
    if known and window.start <= known.at <= window.end:
        at = known.at
    return Advice(start=window.start, end=window.end, at=at, ask_at=ask_at, explanation=window.explanation)


# --- retiring ---


def _retire(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> Step:
    """The workflow's function that may remove things does it, then asks again. It is due again after a day, whatever
    becomes of it; that it begins is in the audit trail before it does, once."""
    record, number = known.record, decision.version
    later = {**dict(record.retiring), number: now + RETIRE_AGAIN}
    event = None if number in record.removing else _will_retire(record, decision, now)
    begun = replace(record, retiring=tuple(sorted(later.items())), removing=tuple(sorted({*record.removing, number})))
    _save(deployment, begun, decision, now + LEASE, event)
    return Step(next="retire", reference=f"{record.name}/{number}", doing=decision.why)


def _will_retire(record: ManagedRecord, decision: Decision, now: datetime) -> Event:
    actor, owner = replace(WORKFLOWS, why=decision.why), record.declared.request.owner
    serving = record.serving.number if record.serving else None
    after = {"version": decision.version, "serving": serving}
    return actor.did(now, "version.retire", record.name, owner=owner, after=after)


@meant("lifecycle: retire")
def retire(deployment: Deployment, reference: str, fence: int, now: datetime) -> list[str]:
    """Remove what was made for a version. Returns what still stands and why; [] when it is retired. What still stands
    is tried again after a day."""
    from perennial import retirement

    inventory = deployment.inventory
    version = inventory.version(reference)
    record = inventory.find_managed(version.managed)
    if record is None or record.fence != fence:
        return []
    left = retirement.retire(deployment, version.managed, version.number, now)
    if not left:
        if version.state is not VersionState.RETIRED:
            inventory.save_version(replace(version, state=VersionState.RETIRED), None)
        rest = tuple(each for each in record.retiring if each[0] != version.number)
        removing = tuple(each for each in record.removing if each != version.number)
        inventory.save_managed(replace(record, retiring=rest, removing=removing))
    return left


_ACTS: dict[Next, Callable[[Deployment, Situation, Decision, datetime], Step | None]] = {
    Next.PLAN: _plan,
    Next.REQUEST: _request,
    Next.ISSUE: _issue,
    Next.ROLL_OUT: _roll_out,
    Next.DEPLOY: _deploy,
    Next.SUPERSEDE: _supersede,
    Next.ASK: _ask,
    Next.RETIRE: _retire,
    Next.REST: _rest,
    Next.END: _end,
}
