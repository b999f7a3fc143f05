"""What becomes of a rollout whose step failed: it is tried again, or what was changed is brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perennial.clients import meant
from perennial.errors import FINAL, POSTPONED, RETRYABLE, ChangedMeanwhile, PerennialError
from perennial.inventory.records import RolloutRecord, RolloutState, TargetState
from perennial.issuance import message
from perennial.rollout import MAX_TEXT, NEXT_STEPS, Step, back, save

if TYPE_CHECKING:
    from perennial.deployment import Deployment

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
PATIENCE = 6  # postponements in a row, after which a target is given up
PATIENCE_BACK = 24  # on the way back: a place is not left changed for want of an hour


@meant("rollout: give up")
def give_up(deployment: Deployment, reference: str, error: str, cause: str, now: datetime) -> Step:
    """Record what a step ended in, as the workflow tells it: `error` is the class's name, `cause` what Lambda reports.

    What may pass is tried again later. What is final, or did not pass, ends the target: while the targets are looked
    at, the rollout ends with nothing changed; after that, what was changed gets back what was there.
    """
    head = deployment.inventory.rollout(reference)
    if head.state.ended:
        return Step(next="finish", doing="going on")
    told = message(cause)
    patience = PATIENCE_BACK if head.state is RolloutState.RETURNING else PATIENCE
    if error not in _named(FINAL) and head.attempts < patience:  # also a crash, which may pass
        return _postponed(deployment, head, f"{error}: {told}", now)
    reason = _named(FINAL + RETRYABLE + POSTPONED).get(error, PerennialError).reason
    if head.state is RolloutState.CHECKING:
        text = f"Nothing was changed. {_with_next(told, reason)}"
        save(deployment, replace(head, state=RolloutState.REFUSED, reason=reason, message=text), now)
        return Step(next="finish", doing=f"giving up: {reason}")
    return _failed(deployment, head, reason, told, now)


def _failed(deployment: Deployment, head: RolloutRecord, reason: str, told: str, now: datetime) -> Step:
    """The target that is at work failed: forward, it is brought back; on the way back, it is left as it is. What
    someone else put there is theirs and no failure."""
    record = deployment.inventory.target(head, head.at)
    if head.state is RolloutState.RUNNING:
        deployment.inventory.save_target(replace(record, reason=reason, message=told))
        text = f"{record.settings.name}: {_with_next(told, reason)}"
        save(deployment, replace(head, state=RolloutState.RETURNING, reason=reason, message=text, attempts=0), now)
        return Step(next="restore", doing=f"bringing back what was there: {reason}")
    if record.state.changed:
        state = TargetState.LEFT if reason == ChangedMeanwhile.reason else TargetState.FAILED
        record = deployment.inventory.save_target(replace(record, state=state, reason=reason, message=told))
    return back(deployment, head, record, now)


def _with_next(told: str, reason: str) -> str:
    step = NEXT_STEPS.get(reason, "look at the message")
    said = told[:MAX_TEXT].rstrip()
    return f"{said}{'' if said.endswith(('.', '!', '?')) else '.'} Next: {step}, then deploy again."


def _postponed(deployment: Deployment, head: RolloutRecord, told: str, now: datetime) -> Step:
    """Try again later, after a pause that doubles each time."""
    pause = min(FIRST_PAUSE * (1 << min(head.attempts, 10)), LONGEST_PAUSE)
    text = f"{told[:MAX_TEXT]} It is tried again at {now + pause:%Y-%m-%d %H:%M} UTC."
    kept = head.message if head.state is RolloutState.RETURNING else text  # on the way back: why it goes back
    waiting = replace(head, attempts=head.attempts + 1, message=kept)
    deployment.inventory.save_rollout(waiting, now + pause)
    return Step(next="postponed", doing=f"tried again at {now + pause:%Y-%m-%d %H:%M} UTC")


def _named(errors: Sequence[type[PerennialError]]) -> dict[str, type[PerennialError]]:
    return {each.__name__: each for each in errors}
