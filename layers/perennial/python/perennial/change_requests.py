"""Change requests: asking for a change of a managed certificate, and deciding on it.

    asked = ask(hub, person, Wish(kind=Kind.CREATE, managed="shop", declared=…), reason="…", source="api", now=now)
    approve(hub, somebody_else, asked, digest=asked.digest, reason="", source="api", now=now)

Policy judges a wish as it is asked, and again as it is applied. One that needs nobody is applied at once, but for a
revocation: its workflow talks to the CA. Everything else waits in the workflow Approval (`change_request_steps`), which
a decision wakes; where it cannot be woken, the next tick finds the request due.

Who asks and who decides is judged here, by `roles.judge`; every refusal is in the audit trail.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perennial import approvals, change_request_steps, postponed, revocation
from perennial.applying import ChangeKind, planned
from perennial.approvals import ASKS
from perennial.change_request import ChangeRequest, Decision, Kind, Need, RequestState, Verdict, Wish
from perennial.change_request_steps import apply, expire, tell, wake
from perennial.change_request_trail import MAX_REASON, event, keep, refuse, refuse_wish, settle
from perennial.clients import meant
from perennial.errors import ConcurrentChange, InvalidInput, NotAllowed, NotFound, PerennialError, PreconditionFailed
from perennial.identity import linked
from perennial.issuance import MANAGED
from perennial.roles import Action, Person, Refusal, judge

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.records import ManagedRecord

TRIES = 5  # of a decision that meets another one
_VERDICTS = {  # what a decision is called in the audit trail
    Verdict.APPROVED: "approval.approve",
    Verdict.REJECTED: "approval.reject",
    Verdict.WITHDRAWN: "request.cancel",
}


# --- asking ---


@meant("asking for a change")
def ask(hub: Deployment, person: Person, wish: Wish, *, reason: str, source: str, now: datetime) -> ChangeRequest:
    """Ask for a change. Returns the request: waiting, or as it is after it was applied.

    Raises: NotAllowed; InvalidInput with every problem, one a line; NotFound; PreconditionFailed where the certificate
    was changed since the wish was made of it.
    """
    if not MANAGED.fullmatch(wish.managed) or (wish.declared and wish.declared.name != wish.managed):
        raise InvalidInput(f"{wish.managed[:80]!r} is not the name of a managed certificate like {MANAGED.pattern}")
    why = _words(reason, needed=False)
    record = hub.inventory.find_managed(wish.managed)
    refusal = _may_ask(person, wish, record)
    try:
        if refusal:
            raise NotAllowed(refusal.words)
        wish = _judged(hub, wish, record, now)
    except (NotAllowed, InvalidInput) as error:
        refuse_wish(hub, person, wish, _owner(wish, record), str(error), source, now)
        raise
    asked = _request(hub, person, wish, record, why, source, now)
    told = event(asked, "request.create", now, principal=person.principal, source=source, why=why)
    kept = keep(hub, asked, told, now, None)
    at_once = kept.state is RequestState.APPROVED and wish.kind is not Kind.REVOKE
    return _applied(hub, kept, now) if at_once else kept


def _applied(hub: Deployment, approved: ChangeRequest, now: datetime) -> ChangeRequest:
    """The request after it was applied, or as it is where that must wait: it is asked, and the tick applies it."""
    try:
        return apply(hub, approved.id, now)
    except PerennialError as error:
        postponed.log("applying a request", error, request=approved.id)
        return approved


def _may_ask(person: Person, wish: Wish, record: ManagedRecord | None) -> Refusal | None:
    """Why a person may not ask: of the certificate as it is, also of one that was removed, and as it would be."""
    faces = approvals.faces(wish, record.declared if record else None)
    if not faces:
        return judge(person, ASKS[wish.kind], None, None)
    judged = (judge(person, ASKS[wish.kind], each.request.owner, each.environment or None) for each in faces)
    return next((each for each in judged if each), None)


def _owner(wish: Wish, record: ManagedRecord | None) -> str:
    return next((each.request.owner for each in approvals.faces(wish, record.declared if record else None)), "")


def _judged(hub: Deployment, wish: Wish, record: ManagedRecord | None, now: datetime) -> Wish:
    """The wish as it is kept: allowed, of the record as it is, and of one version.

    Raises: InvalidInput, NotFound, PreconditionFailed.
    """
    is_declared = record is not None and record.removed_at is None
    if wish.kind is Kind.CREATE and is_declared:
        raise InvalidInput(f"{wish.managed} is there already; change it, or take another name")
    if wish.kind is not Kind.CREATE and not is_declared:
        raise NotFound(f"{wish.managed!r} is not declared; perennial managed list shows what there is")
    if bool(wish.declared) != (wish.kind in (Kind.CREATE, Kind.CHANGE)):
        raise InvalidInput(f"{wish.kind} {'takes no' if wish.declared else 'needs a'} declaration")
    revision = record.revision if record else 0
    if wish.revision not in (0, revision):
        raise PreconditionFailed(f"{wish.managed} was changed since you read it; read it again and decide again")
    if wish.declared:
        (found,) = planned(hub, [wish.declared], now, part=True)
        if found.kind is ChangeKind.UNCHANGED:
            raise InvalidInput(f"{wish.managed} is so already; there is nothing to change")
    if wish.kind is Kind.REVOKE:
        return replace(_of_one_version(hub, wish), revision=revision)
    return replace(wish, revision=revision, version=0, why="", force=wish.force and wish.kind is Kind.RENEW)


def _of_one_version(hub: Deployment, wish: Wish) -> Wish:
    """A revocation of the version that serves now, whatever serves when it is approved."""
    if wish.why not in revocation.REASONS:
        raise InvalidInput(f"{wish.why[:50]!r} is no reason; there are {', '.join(revocation.REASONS)}")
    return replace(wish, version=revocation.version_of(hub, wish.managed, wish.version).number, force=False)


def _request(
    hub: Deployment, person: Person, wish: Wish, record: ManagedRecord | None, why: str, source: str, now: datetime
) -> ChangeRequest:
    before = record.declared if record else None
    of = before or wish.declared
    assert of is not None  # as it was judged
    needs = approvals.needs(hub.settings, wish, before)
    settings = hub.settings.approvals
    expires_at = now + timedelta(days=settings.expires_days)
    return ChangeRequest(
        id=f"{int(now.timestamp() * 1_000):012x}{secrets.token_hex(10)}",
        wish=wish,
        owner=of.request.owner,
        environment=of.environment,
        digest=approvals.digest(wish),
        asked_by=tuple(sorted(person.known_as)),
        principal=person.principal,
        asked_name=person.name,
        asked_at=now,
        source=source,
        reason=why,
        needs=needs,
        expires_at=expires_at,
        forget_at=expires_at + timedelta(days=settings.keep_days),
        made_of=approvals.mark(record),
        state=RequestState.WAITING if needs else RequestState.APPROVED,
        approved_at=None if needs else now,
    )


# --- deciding ---

Judged = Callable[[ChangeRequest], Decision]  # raises where the person may not


@meant("approving a request")
def approve(
    hub: Deployment, person: Person, request: ChangeRequest, *, digest: str, reason: str, source: str, now: datetime
) -> ChangeRequest:
    """Approve what is asked; `digest` is that of the request that was seen. Approving again changes nothing.

    Raises: NotAllowed; InvalidInput where there is nothing to decide, or for this person nothing left to fill;
    PreconditionFailed where something else is asked than what was seen; ConcurrentChange.
    """
    why = _words(reason, needed=False)

    def judged(known: ChangeRequest) -> Decision:
        if digest != known.digest or approvals.digest(known.wish) != known.digest:
            raise PreconditionFailed("something else is asked than what you saw; read the request and decide again")
        api = hub.settings.api
        places, refusal = approvals.fills(person, known.needs, known.asked_by, api)
        if not refusal and approvals.known_twice(known, person.known_as, api):
            raise refuse(hub, person, known, _VERDICTS[Verdict.APPROVED], _TWICE, source, now)
        if refusal:
            raise refuse(hub, person, known, _VERDICTS[Verdict.APPROVED], refusal, source, now)
        decision = _decision(person, Verdict.APPROVED, why, now, fills=places, digest=digest)
        left = approvals.open_needs(known, api)
        if approvals.open_needs(approvals.decided(known, decision, api), api) == left:
            raise InvalidInput(f"what you could approve is approved already; it waits for {_told(left)}")
        return decision

    return _decide(hub, person, request, Verdict.APPROVED, judged, source, now)


_TWICE = "requests:approve: nobody fills two places; another person must"


@meant("rejecting a request")
def reject(
    hub: Deployment, person: Person, request: ChangeRequest, *, reason: str, source: str, now: datetime
) -> ChangeRequest:
    """Reject what is asked, with a reason. Rejecting again changes nothing.

    Raises: NotAllowed; InvalidInput where there is nothing to decide, or no reason; ConcurrentChange.
    """
    return _end(hub, person, request, Verdict.REJECTED, Action.REJECT, _words(reason, needed=True), source, now)


@meant("withdrawing a request")
def withdraw(
    hub: Deployment, person: Person, request: ChangeRequest, *, reason: str, source: str, now: datetime
) -> ChangeRequest:
    """Take back what was asked, before it is decided: whoever asked, and requesters of the team. Withdrawing again
    changes nothing.

    Raises: as `reject`.
    """
    return _end(hub, person, request, Verdict.WITHDRAWN, Action.WITHDRAW, _words(reason, needed=False), source, now)


def _end(
    hub: Deployment,
    person: Person,
    request: ChangeRequest,
    verdict: Verdict,
    action: Action,
    why: str,
    source: str,
    now: datetime,
) -> ChangeRequest:
    def judged(known: ChangeRequest) -> Decision:
        places = dict.fromkeys(((known.owner, known.environment), *_teams(known.needs)))
        asker = linked(known.asked_by, hub.settings.api)
        refusals = [judge(person, action, owner or None, of or None, asked_by=asker) for owner, of in places]
        if refusals and all(refusals) and refusals[0]:
            raise refuse(hub, person, known, _VERDICTS[verdict], refusals[0], source, now)
        return _decision(person, verdict, why, now, digest=known.digest)

    return _decide(hub, person, request, verdict, judged, source, now)


def _teams(needs: tuple[Need, ...]) -> Iterator[tuple[str, str]]:
    return ((each.owner, each.environment) for each in needs if each.role == approvals.OWNER)


def _decide(
    hub: Deployment,
    person: Person,
    request: ChangeRequest,
    verdict: Verdict,
    judged: Judged,
    source: str,
    now: datetime,
) -> ChangeRequest:
    """Write a decision on the request as it is now, and wake its workflow where that ends the waiting."""
    for left in reversed(range(TRIES)):
        known = hub.inventory.change_request(request.id)
        if _again(known, person, verdict):
            return settle(hub, known, now)
        decision = judged(known)  # also of one that is over: who may not decide is told nothing of it
        _open(hub, known, now)
        decided = _decided(hub, known, decision)
        told = event(
            decided,
            _VERDICTS[verdict],
            now,
            before=known,
            principal=person.principal,
            source=source,
            why=decision.reason,
        )
        try:
            kept = keep(hub, decided, told, now, known.state)
        except ConcurrentChange:
            if not left:
                raise
            continue
        if kept.state is not RequestState.WAITING:
            wake(hub, kept)
        return kept
    raise AssertionError("unreachable")  # pragma: no cover


def _again(known: ChangeRequest, person: Person, verdict: Verdict) -> bool:
    """Whether it is the same decision of the same principal, whose reply was lost."""
    return any(each.principal == person.principal and each.verdict is verdict for each in known.decisions)


def _open(hub: Deployment, known: ChangeRequest, now: datetime) -> None:
    """Raises: InvalidInput where it is decided or expired."""
    if known.state is RequestState.WAITING and now >= known.expires_at:
        known = expire(hub, known.id, now)
    if known.state is not RequestState.WAITING:
        raise InvalidInput(f"the request {known.id} is {known.state}: there is nothing to decide; ask again for more")


def _decided(hub: Deployment, known: ChangeRequest, decision: Decision) -> ChangeRequest:
    found = approvals.decided(known, decision, hub.settings.api)
    return change_request_steps.forgotten(hub, found) if found.state.ended else found


def _decision(
    person: Person,
    verdict: Verdict,
    why: str,
    now: datetime,
    *,
    fills: tuple[tuple[str, str, str], ...] = (),
    digest: str = "",
) -> Decision:
    return Decision(
        verdict=verdict,
        by=tuple(sorted(person.known_as)),
        principal=person.principal,
        name=person.name,
        at=now,
        fills=fills,
        digest=digest,
        reason=why,
    )


def _told(needs: tuple[Need, ...]) -> str:
    return " and ".join(approvals.told(needs)) or "nobody"


def _words(reason: str, *, needed: bool) -> str:
    """Raises: InvalidInput."""
    if len(reason) > MAX_REASON or not reason.isprintable() or (needed and not reason.strip()):
        raise InvalidInput(f"a reason is a text of 1 to {MAX_REASON} characters on one line; give one")
    return reason.strip()


__all__ = [
    "ChangeRequest",
    "Decision",
    "Kind",
    "Need",
    "RequestState",
    "Verdict",
    "Wish",
    "apply",
    "approve",
    "ask",
    "expire",
    "reject",
    "tell",
    "wake",
    "withdraw",
]
