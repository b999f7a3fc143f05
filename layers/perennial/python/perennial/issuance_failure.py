"""What becomes of an issuance whose step failed: the workflow waits, it is tried again later, or the version ends.

An issuer that says how long to wait is asked again then. What may pass has pauses that double. What is final ends the
version, with its reason and what a person is to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perennial import backoff
from perennial.audit_actor import WORKFLOWS
from perennial.clients import meant
from perennial.errors import FINAL, POSTPONED, RETRYABLE, PerennialError, RateLimited, Unavailable
from perennial.inventory.records import VersionRecord, VersionState
from perennial.issuance_step import ISSUED, SILENCE, Step, asked_for, wait

if TYPE_CHECKING:
    from perennial.deployment import Deployment

IN_WORKFLOW = 120.0  # seconds of a rate limit that the workflow itself waits for
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_RETRY = 7 * 86_400.0  # seconds that an issuer may ask one to wait
MAX_TEXT = 2_000  # characters of a reason that are kept
PATIENCE = 5  # short waits that an issuer asks for, after which its version gets a due time
CRASHES = 8  # of steps, after which a version fails: with doubling pauses, in four hours
NEXT_STEPS = {  # for a person, by the reason for which a version failed
    "access-denied": "give the role the permission that CloudTrail names as denied (mostly: deploy the stacks again)",
    "region-disabled": "enable the region in the account",
    "not-found": "make what is named exist, or name what does: a zone, a listener, a CA, a secret",
    "invalid-input": "correct what is named",
    "invalid-configuration": "correct the field of perennial.toml that is named, and deploy",
    "refused": "do what the service asks for",
    "policy": "ask for what is accepted, or have the rule changed",
    "validation-failed": "make the name's challenge visible to the CA: its zone, delegation, CAA records and firewall",
    "invalid-reply": "look at the CA's directory URL and status; nothing of its reply was used",
    "wrong-certificate": "find out at the CA why it issued something else, and revoke that if it was not",
    "failed": "look at the functions' logs, as a step crashed every time",
}


def when_asked_to_wait(deployment: Deployment, reference: str, error: PerennialError, now: datetime) -> Step:
    """Wait as long as the issuer says (`Retry-After`): here, a few times and shortly, else by a due time. Where it does
    not say, the error goes on: the workflow tries again soon."""
    if error.retry_after is None and not isinstance(error, RateLimited):
        raise error
    record = deployment.inventory.version(reference)
    seconds, attempts = error.retry_after or FIRST_PAUSE.total_seconds(), _in_a_row(record, error)
    if seconds > IN_WORKFLOW or attempts >= PATIENCE:
        return postpone(deployment, reference, error, now)
    waiting = replace(record, attempts=attempts + 1, reason=error.reason)
    deployment.inventory.save_version(waiting, now + SILENCE)
    return wait(seconds, f"the issuer: {error.reason}")


def postpone(deployment: Deployment, reference: str, error: PerennialError, now: datetime) -> Step:
    """Try again later: when the error says, but not before the pause of its reason, which doubles each time. Where it
    is the issuer that does not answer, others that wait for it are woken when it does."""
    record = deployment.inventory.version(reference)
    attempts = _in_a_row(record, error) + 1
    asked = timedelta(seconds=min(error.retry_after or 0, LONGEST_RETRY))
    until = _until(deployment, record)
    left = max(until - now, timedelta(0)) if until else None
    pause = max(asked, backoff.pause(error.reason, attempts, left))
    if isinstance(error, Unavailable):
        deployment.inventory.issuer_failed(record.issuer, record.managed, str(error), now, until)
    waiting = replace(record, attempts=attempts, reason=error.reason, message=_next_try(str(error), now + pause))
    deployment.inventory.save_version(waiting, now + pause)
    return Step(next="clean", doing="postponed")


def _in_a_row(record: VersionRecord, error: PerennialError) -> int:
    """How often this very reason held it up without another in between."""
    return record.attempts if record.reason == error.reason else 0


def _until(deployment: Deployment, record: VersionRecord) -> datetime | None:
    """When the certificate expires that this version is to follow; None where none serves."""
    managed = deployment.inventory.find_managed(record.managed)
    return managed.serving.not_after if managed and managed.serving else None


def _next_try(text: str, at: datetime) -> str:
    return f"{text[:MAX_TEXT]} It is tried again at {at:%Y-%m-%d %H:%M} UTC."


@meant("issuance: give up")
def give_up(deployment: Deployment, reference: str, error: str, cause: str, now: datetime) -> Step:
    """Record what a step ended in, as the workflow tells it: `error` is the class's name, `cause` what Lambda reports.

    What may pass is tried again later; what is final ends the version, with its reason. What no step raises on purpose,
    as a crash, is tried again a few times.
    """
    told = message(cause)
    record = deployment.inventory.version(reference)
    if record.state.ended:
        return Step(next="clean", doing="removing what is still shown")
    if error in _named(RETRYABLE + POSTPONED) or (error not in _named(FINAL) and record.attempts < CRASHES):
        return postpone(deployment, reference, _as_raised(error, told), now)
    reason = _named(FINAL).get(error, PerennialError).reason
    told = f"{told[:MAX_TEXT]} Next: {NEXT_STEPS[reason]}, then request it again."
    failed = replace(record, state=VersionState.FAILED, reason=reason, message=told, order="")
    after = {"version": record.number, "issuer": record.issuer, **asked_for(record.request)}
    event = WORKFLOWS.was_refused(now, ISSUED, record.managed, told, owner=record.request.owner, after=after)
    deployment.inventory.save_version(failed, now + SILENCE, event)
    return Step(next="clean", doing=f"giving up: {reason}")


def _named(errors: Sequence[type[PerennialError]]) -> dict[str, type[PerennialError]]:
    return {each.__name__: each for each in errors}


def _as_raised(error: str, told: str) -> PerennialError:
    """The error of a class name. A crash or a time-out of a function is an Unavailable, which may pass."""
    known = _named(RETRYABLE + POSTPONED)
    return known[error](told) if error in known else Unavailable(f"{error[:100]}: {told}")


def message(cause: str) -> str:
    """The error's own sentence out of what Lambda reports: {"errorMessage": …, "stackTrace": …}, or a text."""
    import json

    try:
        document = json.loads(cause)
    except ValueError:
        return cause[:MAX_TEXT]
    return str(document.get("errorMessage", ""))[:MAX_TEXT] if isinstance(document, dict) else cause[:MAX_TEXT]
