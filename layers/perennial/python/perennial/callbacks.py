"""Reports of webhooks' receivers: {"status": "done"|"failed", "message": …}, signed as the event was.

Whoever asks is a stranger until the signature is verified, and is told nothing before: an id that does not exist and a
signature that does not fit are one answer, and cost one read of the table. The signature covers the event's id, as
`webhook-id` must be it: a report on one event is none on another. An id that was reported on stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from perennial import webhook_signature
from perennial.clients import meant
from perennial.errors import ConcurrentChange, InvalidInput
from perennial.issuers.acme_reading import bounded
from perennial.webhook_receiver import Answered, Receiver, receiver_of, reported

MAX_BODY = 16 * 1024  # bytes
MAX_MESSAGE = 500  # characters of a receiver's message that are kept
JSON = "application/json"
_ID = re.compile(r"[0-9a-f]{64}")
_TRIES = 3  # of a write, as the rollout writes too
_UNKNOWN = (
    "no event of this id is signed by this key; sign id.timestamp.body with the event's id as webhook-id and the key "
    "that the event was signed with, and send the very bytes that were signed"
)


class Receivers(Protocol):
    """Where the records are kept: the inventory."""

    def receiver(self, receiver_id: str) -> Receiver | None: ...

    def save_receiver(self, receiver: Receiver) -> Receiver: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A POST to /callbacks/{id}; header names are in lower case. Its text shows neither headers nor body."""

    id: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered. `about` names the target for the log, and is not told to who asks."""

    status: int
    error: str = ""
    about: str = ""

    def document(self) -> dict[str, str]:
        """The body of the answer."""
        return {"error": self.error} if self.error else {"status": "recorded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    state: Answered
    message: str
    digest: str


def receive(receivers: Receivers, secrets: Any, request: Request, now: datetime) -> Answer:
    """Judge one request, and keep its report. `secrets` is a Secrets Manager client.

    Raises: PerennialError where the table or the secret cannot be read or written; the receiver repeats its report.
    """
    wrong = _outside(request, now)
    if wrong:
        return wrong
    receiver = _read(receivers, request.id)
    if receiver is None or not _signed(receiver, secrets, request):
        return Answer(status=401, error=_UNKNOWN)
    about = f"{receiver.managed}/{receiver.target}"
    try:
        report = _report(request.body)
    except InvalidInput as error:
        return Answer(status=400, error=str(error), about=about)
    return _kept(receivers, request.id, report, about)


def _outside(request: Request, now: datetime) -> Answer | None:
    """What is wrong with a request, whichever events there are."""
    if not _ID.fullmatch(request.id):
        return Answer(status=404, error="there is nothing here; report to the callback.url of the event")
    if len(request.body) > MAX_BODY:
        return Answer(status=413, error=f"a report has at most {MAX_BODY} bytes; shorten its message")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        return Answer(status=400, error=f"the Content-Type of a report is {JSON}")
    try:
        found = webhook_signature.read(request.headers)
    except InvalidInput as error:
        return Answer(status=400, error=str(error))
    if found.id != request.id:
        return Answer(status=401, error=_UNKNOWN)
    if not webhook_signature.recent(found, now):
        return Answer(
            status=401,
            error=f"webhook-timestamp is more than {webhook_signature.TOLERANCE} s from now; set the clock, and sign "
            "each attempt anew",
        )
    return None


def _read(receivers: Receivers, event_id: str) -> Receiver | None:
    """The record of an event that it knows."""
    with meant("dynamodb:GetItem of a webhook's record"):
        receiver = receivers.receiver(receiver_of(event_id))
    if receiver is None or receiver.event is None:
        return None
    return receiver if event_id in (receiver.event.id, *dict(receiver.earlier)) else None


def _signed(receiver: Receiver, secrets: Any, request: Request) -> bool:
    using = webhook_signature.keys(secrets, receiver.secret)
    return webhook_signature.matches(webhook_signature.read(request.headers), request.body, using)


def _report(body: bytes) -> _Report:
    """Raises: InvalidInput."""
    expected = 'a report is {"status": "done"} or {"status": "failed"}, with "message" (a text) or without'
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON; {expected}") from error
    if not isinstance(content, dict) or not content.keys() <= {"status", "message"}:
        raise InvalidInput(f"{expected}, and nothing else")
    status, message = content.get("status"), content.get("message", "")
    if status not in ("done", "failed") or not isinstance(message, str):
        raise InvalidInput(expected)
    digest = hashlib.sha256(json.dumps([status, message]).encode()).hexdigest()
    return _Report(state=Answered(status), message=bounded(message, MAX_MESSAGE), digest=digest)


def _kept(receivers: Receivers, event_id: str, report: _Report, about: str) -> Answer:
    """Keep a report, unless there is one. A rollout may write at the same time: then it is read again."""
    for _ in range(_TRIES):
        receiver = _read(receivers, event_id)
        answer = _already(receiver, event_id, report, about)
        if answer or receiver is None:
            return answer or Answer(status=401, error=_UNKNOWN, about=about)
        try:
            with meant("dynamodb:PutItem of a webhook's record"):
                receivers.save_receiver(reported(receiver, report.state, report.digest, report.message))
        except ConcurrentChange:
            continue
        return Answer(status=200, about=about)
    raise ConcurrentChange(f"the record of {about} is written all the time; the receiver repeats its report")


def _already(receiver: Receiver | None, event_id: str, report: _Report, about: str) -> Answer | None:
    """The answer where the event takes no report any more; None where it does."""
    if receiver is None or receiver.event is None:
        return None
    latest = receiver.event.id == event_id
    told = receiver.event.report if latest else dict(receiver.earlier)[event_id]
    if told:
        other = "this event was reported on with other content, which stays; do not repeat it"
        return (
            Answer(status=200, about=about) if told == report.digest else Answer(status=409, error=other, about=about)
        )
    if not latest:
        replaced = "a later event to this receiver has taken the place of this one; drop it, and act on the later one"
        return Answer(status=409, error=replaced, about=about)
    return None
