"""What the workflow Approval does with a request: tell the approvers, apply what is approved, end what nobody decided.

Each step may run twice, late, or beside another one. What is applied is written under the time of the approval: who
finds it so has applied it before, and who finds something else there applies nothing.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perennial import applying, approvals, change_request_message, forcing, postponed, revocation, telling
from perennial.audit_actor import line
from perennial.audit_event import REFUSED
from perennial.change_request import ChangeRequest, Kind, RequestState
from perennial.change_request_trail import MAX_REASON, event, keep, settle
from perennial.clients import meant
from perennial.errors import POSTPONED, ChangedMeanwhile, ConcurrentChange, PerennialError

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.records import ManagedRecord

TRIES = 5  # of a write that meets a decision
SOURCE = "workflow"  # as the audit trail names it
AGAIN = "read the certificate as it is now, and ask again"


# --- telling ---


@meant("telling approvers")
def tell(hub: Deployment, request_id: str, token: str, now: datetime) -> None:
    """Keep the token of the workflow that waits, and tell the approvers, once. A workflow that has nothing to wait for
    is woken at once.

    Raises: NotFound; what AWS's errors mean: then it is told again.
    """
    request = hub.inventory.change_request(request_id)
    hub.inventory.keep_request_token(request_id, token, request.forget_at)
    request = hub.inventory.change_request(request_id)  # behind the token: who decides reads it behind the decision
    if request.state is not RequestState.WAITING:
        wake(hub, request)
    elif request.told_at is None:
        _send(hub, request, now)
        _told(hub, request, now)


def _send(hub: Deployment, request: ChangeRequest, now: datetime) -> None:
    """To the event bus and the topic."""
    record = hub.inventory.find_managed(request.wish.managed)
    told = change_request_message.event(request, record, telling.page(hub))
    telling.put(hub, lambda bus: change_request_message.entry(told, bus, now), "a request")
    lines, to = change_request_message.lines(told), change_request_message.attributes(told)
    telling.publish(hub, told.subject, lines, to)


def _told(hub: Deployment, request: ChangeRequest, now: datetime) -> None:
    """Write that the approvers were told. Meanwhile one of them may have decided."""
    for left in reversed(range(TRIES)):
        if request.told_at is not None or request.state is not RequestState.WAITING:
            return
        told = replace(request, told_at=now)
        try:
            keep(hub, told, event(told, "approval.ask", now), now, request.state)
        except ConcurrentChange:
            if not left:
                raise
            request = hub.inventory.change_request(request.id)
        else:
            return


def wake(hub: Deployment, request: ChangeRequest) -> None:
    """Let the workflow that waits for a request go on.

    It may be gone, or its token lost: then the tick finds the request due and starts another one, so that no failure
    here is one of the decision.
    """
    token = ""
    try:
        with meant("waking the workflow of a request"):
            token = hub.inventory.request_token(request.id)
            _wake(hub, token, request)
    except PerennialError as error:
        postponed.log("waking the workflow of a request", error, without=token, request=request.id)


def _wake(hub: Deployment, token: str, request: ChangeRequest) -> None:
    if token:
        output = json.dumps({"state": str(request.state)})
        hub.clients("stepfunctions").send_task_success(taskToken=token, output=output)


# --- applying ---


@meant("applying a request")
def apply(hub: Deployment, request_id: str, now: datetime) -> ChangeRequest:
    """Do what is approved, and nothing of any other request. Returns it as it is then: what cannot be done ends as
    failed, with the reason and what to do.

    Raises: NotFound; Throttled, Unavailable, ConcurrentChange, RateLimited: it stays approved, and is applied later.
    """
    request = settle(hub, hub.inventory.change_request(request_id), now)
    if request.state is not RequestState.APPROVED:
        return request
    try:
        _apply(hub, request, now)
    except PerennialError as error:
        if error.retry or isinstance(error, POSTPONED):
            raise
        failed = replace(request, state=RequestState.FAILED, failure=error.reason, message=str(error)[:4_000])
        return _ended(hub, request, failed, "request.change", now)
    done = replace(request, state=RequestState.DONE, message="")
    return _ended(hub, request, done, "request.change", now)


def _apply(hub: Deployment, request: ChangeRequest, now: datetime) -> None:
    """Raises: ChangedMeanwhile; what policy refuses."""
    record = hub.inventory.find_managed(request.wish.managed)
    if _is_applied(request, record):
        return
    _unchanged(request, record)
    _still_enough(hub, request, record)
    _DO[request.wish.kind](hub, request, now)


def _is_applied(request: ChangeRequest, record: ManagedRecord | None) -> bool:
    """Whether this very request was applied before, and who did died before writing that."""
    wish, at = request.wish, request.approved_at
    if record is None or at is None:
        return False
    if wish.declared:
        return record.declared == wish.declared and record.declared_at == at and record.removed_at is None
    if wish.kind is Kind.RETIRE:
        return record.removed_at == at
    if wish.kind is Kind.RENEW:
        renewed = record.serving is not None and record.serving.since >= at
        return renewed or (record.forced_at is not None and record.forced_at >= at)
    return False  # revoking again changes nothing


def _unchanged(request: ChangeRequest, record: ManagedRecord | None) -> None:
    """Raises: ChangedMeanwhile where the certificate is not the one that the wish was made of."""
    if approvals.digest(request.wish) != request.digest:
        raise ChangedMeanwhile(f"what is kept is not what was asked and approved; {AGAIN}")
    name, declares = request.wish.managed, request.wish.declared or request.wish.kind is Kind.RETIRE
    if declares and not _is_applied(request, record) and approvals.mark(record) != request.made_of:
        raise ChangedMeanwhile(f"{name} was changed by others after this was asked; {AGAIN}")
    if declares:
        return
    place = (
        None if record is None or record.removed_at else (record.declared.request.owner, record.declared.environment)
    )
    if place != (request.owner, request.environment):
        raise ChangedMeanwhile(f"{name} was removed, or handed to others, after this was asked; {AGAIN}")


def _still_enough(hub: Deployment, request: ChangeRequest, record: ManagedRecord | None) -> None:
    """Raises: ChangedMeanwhile where more people are needed by now than approved."""
    needs = approvals.needs(hub.settings, request.wish, record.declared if record else None)
    left = approvals.open_needs(request, hub.settings.api, needs)
    if left:
        more = " and ".join(approvals.told(left))
        raise ChangedMeanwhile(f"[approvals] was changed after this was asked, and it needs {more} besides; ask again")


def _declare(hub: Deployment, request: ChangeRequest, now: datetime) -> None:
    assert request.wish.declared  # as it was asked
    applying.apply(
        hub,
        [request.wish.declared],
        prune=False,
        part=True,
        asked_by=request.principal,
        now=now,
        source=SOURCE,
        why=request.reason,
        request=request.id,
        at=request.approved_at,
        guard=lambda known: _unchanged(request, known),
    )


def _retire(hub: Deployment, request: ChangeRequest, now: datetime) -> None:
    applying.retire(
        hub,
        request.wish.managed,
        asked_by=request.principal,
        now=now,
        source=SOURCE,
        why=request.reason,
        request=request.id,
        at=request.approved_at,
        guard=lambda known: _unchanged(request, known),
    )


def _renew(hub: Deployment, request: ChangeRequest, now: datetime) -> None:
    wish = request.wish
    forcing.force(
        hub,
        wish.managed,
        request.principal,
        now,
        urgent=wish.force,
        source=SOURCE,
        why=request.reason,
        request=request.id,
        at=request.approved_at,
    )


def _revoke(hub: Deployment, request: ChangeRequest, now: datetime) -> None:
    wish = request.wish
    revocation.revoke(
        hub,
        wish.managed,
        wish.why,
        request.principal,
        now,
        wish.version,
        source=SOURCE,
        why=request.reason,
        request=request.id,
    )


_DO = {
    Kind.CREATE: _declare,
    Kind.CHANGE: _declare,
    Kind.RETIRE: _retire,
    Kind.RENEW: _renew,
    Kind.REVOKE: _revoke,
}


# --- ending ---


@meant("ending a request")
def expire(hub: Deployment, request_id: str, now: datetime) -> ChangeRequest:
    """End a request that nobody decided in its time. Returns it as it is then.

    Raises: NotFound.
    """
    request = settle(hub, hub.inventory.change_request(request_id), now)
    if request.state is not RequestState.WAITING or now < request.expires_at:
        return request
    message = "nobody decided in time; ask again"
    expired = replace(request, state=RequestState.EXPIRED, message=message)
    return _ended(hub, request, expired, "request.expire", now)


def _ended(hub: Deployment, before: ChangeRequest, after: ChangeRequest, action: str, now: datetime) -> ChangeRequest:
    """Write the end. Where another one wrote meanwhile, that counts: it ended too, or the next step ends it."""
    ended = forgotten(hub, replace(after, ended_at=now))
    why = line(ended.message, MAX_REASON) or "refused"
    refused = {"outcome": REFUSED, "reason": why} if ended.state is RequestState.FAILED else {}
    try:
        return keep(hub, ended, event(ended, action, now, before=before, **refused), now, before.state)
    except ConcurrentChange:
        return hub.inventory.change_request(before.id)


def forgotten(hub: Deployment, request: ChangeRequest) -> ChangeRequest:
    """A request that has ended, with the time until which it is kept."""
    kept = timedelta(days=hub.settings.approvals.keep_days)
    return replace(request, forget_at=(request.ended_at or request.expires_at) + kept)
