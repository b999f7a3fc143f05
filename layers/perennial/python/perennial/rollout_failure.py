"""What becomes of a rollout whose step failed: it is tried again, or what was changed is brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial.audit_actor import WORKFLOWS
from perennial.clients import meant
from perennial.errors import FINAL, POSTPONED, RETRYABLE, ChangedMeanwhile, NotFit, NotFound, NotProven, PerennialError
from perennial.inventory.records import RolloutRecord, RolloutState, TargetState
from perennial.issuance_failure import message
from perennial.rollout import MAX_TEXT, NEXT_STEPS, Step, back, save

if TYPE_CHECKING:
    from perennial.audit_event import Event
    from perennial.deployment import Deployment

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
PATIENCE = 6  # postponements in a row, after which a target is given up
PATIENCE_BACK = 24  # on the way back, for what passes: a place is not left changed for want of a day
PATIENCE_DENIED = 4  # on the way back, for what a person has to put right: a quarter of an hour
SETTLED = (ChangedMeanwhile, NotFit, NotFound, NotProven)  # on the way back: no repetition changes it


@meant("rollout: give up")
def give_up(deployment: Deployment, reference: str, error: str, cause: str, now: datetime) -> Step:
    """Record what a step ended in, as the workflow tells it: `error` is the class's name, `cause` what Lambda reports.

    What may pass is tried again later. What is final, or did not pass, ends the target: while the targets are looked
    at, the rollout ends with nothing changed; after that, what was changed gets back what was there.
    """
    head = deployment.inventory.rollout(reference)
    if head.state.ended:
        return Step(next="finish", doing="going on")
    if _known(deployment, head, error):
        return Step(next="restore", doing="going on")
    told = message(cause)
    if head.attempts < _patience(head, error):
        return _postponed(deployment, head, f"{error}: {told}", now)
    reason = _named(FINAL + RETRYABLE + POSTPONED).get(error, PerennialError).reason
    if head.state is RolloutState.CHECKING:
        text = f"Nothing was changed. {_with_next(told, reason)}"
        event = WORKFLOWS.was_refused(
            now, "managed.deploy", head.managed, text, owner=_owner(deployment, head), after=_told(head)
        )
        save(deployment, replace(head, state=RolloutState.REFUSED, reason=reason, message=text), now, event)
        return Step(next="finish", doing=f"giving up: {reason}")
    return _failed(deployment, head, reason, told, now)


def _known(deployment: Deployment, head: RolloutRecord, error: str) -> bool:
    """Whether this failure was recorded already, and this is the same call again, whose reply was lost: the way back
    has not begun at the target, so that the failure is still the one of the way forward."""
    if head.state is not RolloutState.RETURNING or error not in _named(SETTLED):
        return False
    record = deployment.inventory.target(head, head.at)
    return record.state in (TargetState.ACTIVATING, TargetState.ACTIVATED, TargetState.PROVEN)


def _patience(head: RolloutRecord, error: str) -> int:
    """How often a step is tried again. A crash may pass. On the way back also what is final elsewhere is tried again:
    a permission may come back, and a place that stays changed is worse than a late one."""
    final = error in _named(FINAL)
    if head.state is not RolloutState.RETURNING:
        return 0 if final else PATIENCE
    if error in _named(SETTLED):
        return 0
    return PATIENCE_DENIED if final else PATIENCE_BACK


def _failed(deployment: Deployment, head: RolloutRecord, reason: str, told: str, now: datetime) -> Step:
    """The target that is at work failed: forward, it is brought back; on the way back, it is left as it is. What
    someone else put there is theirs and no failure."""
    record = deployment.inventory.target(head, head.at)
    if head.state is RolloutState.RUNNING:
        deployment.inventory.save_target(replace(record, reason=reason, message=told))
        text = f"{record.settings.name}: {_with_next(told, reason)}"
        returning = replace(head, state=RolloutState.RETURNING, reason=reason, message=text, attempts=0)
        save(deployment, returning, now, _restoring(deployment, head, text, now))
        return Step(next="restore", doing=f"bringing back what was there: {reason}")
    if record.state.changed:
        state = TargetState.LEFT if reason == ChangedMeanwhile.reason else TargetState.FAILED
        record = deployment.inventory.save_target(replace(record, state=state, reason=reason, message=told))
    return back(deployment, head, record, now)


def _restoring(deployment: Deployment, head: RolloutRecord, why: str, now: datetime) -> Event:
    """The audit event of a rollout that turns back: kept before anything is brought back."""
    actor, owner = replace(WORKFLOWS, why=why), _owner(deployment, head)
    before, after = _told(head), {**_told(head), "state": str(RolloutState.RETURNING)}
    return actor.did(now, "managed.restore", head.managed, owner=owner, before=before, after=after)


def _told(head: RolloutRecord) -> dict[str, Any]:
    """What the audit trail tells of a rollout."""
    return {"rollout": head.number, "version": head.version, "state": str(head.state), "target": head.at + 1}


def _owner(deployment: Deployment, head: RolloutRecord) -> str:
    return deployment.inventory.version(f"{head.managed}/{head.version}").request.owner


def _with_next(told: str, reason: str) -> str:
    step = NEXT_STEPS.get(reason, "look at the message")
    said = told[:MAX_TEXT].rstrip()
    return f"{said}{'' if said.endswith(('.', '!', '?')) else '.'} Next: {step}, then deploy again."


def _postponed(deployment: Deployment, head: RolloutRecord, told: str, now: datetime) -> Step:
    """Try again later, after a pause that doubles each time. On the way back the head says why it goes back, and the
    target what holds it up."""
    pause = min(FIRST_PAUSE * (1 << min(head.attempts, 10)), LONGEST_PAUSE)
    text = f"{told[:MAX_TEXT]} It is tried again at {now + pause:%Y-%m-%d %H:%M} UTC."
    kept = text
    if head.state is RolloutState.RETURNING:
        kept, record = head.message, deployment.inventory.target(head, head.at)
        deployment.inventory.save_target(replace(record, message=text))
    waiting = replace(head, attempts=head.attempts + 1, message=kept)
    deployment.inventory.save_rollout(waiting, now + pause)
    return Step(next="postponed", doing=f"tried again at {now + pause:%Y-%m-%d %H:%M} UTC")


def _named(errors: Sequence[type[PerennialError]]) -> dict[str, type[PerennialError]]:
    return {each.__name__: each for each in errors}
