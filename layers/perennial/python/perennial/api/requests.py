"""Change requests: what waits for whom, and the decisions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from pydantic import Field, StringConstraints

from perennial.api import positions
from perennial.api.asking import Asking, asking
from perennial.api.declared import Words, document
from perennial.api.models import LINE, MAX_REASON, Model, Reason, Sent
from perennial.api.pages import DEFAULT, Limit, Next, Page
from perennial.api.preconditions import IfMatch, etag, must_match
from perennial.api.routes import STAGE, route, routes
from perennial.errors import NotFound
from perennial.identity import linked
from perennial.roles import ANY, Action, Grant

if TYPE_CHECKING:
    from perennial.change_request import ChangeRequest as Kept

router = routes()
KIND = "request"
APPROVES = {"owner": Action.APPROVE, "security": Action.APPROVE_AS_SECURITY}
ID = re.compile(r"[0-9a-f]{32}")
Named = Annotated[str, Path(description="The request's id.", pattern=f"^{ID.pattern}$")]
Words0 = Annotated[str, StringConstraints(max_length=MAX_REASON, pattern=LINE)]
State = Literal["waiting", "approved", "done", "rejected", "withdrawn", "expired", "failed"]


class Need(Model):
    """So many people of a role that must approve: approvers of a team, or security."""

    role: str = Field(description="owner or security.")
    people: int
    owner: str
    environment: str


class Decision(Model):
    """What one person decided."""

    verdict: str
    name: str
    principal: str
    at: datetime
    reason: str


class ChangeRequest(Model):
    """A wish for a managed certificate, whom it needs, and what was decided. A wish never changes."""

    id: str
    kind: Literal["create", "change", "retire", "revoke", "renew"]
    managed: str
    owner: str
    environment: str
    state: State
    message: str
    digest: str = Field(description="SHA-256 of the wish: who approves names it, so that they approve what they saw.")
    declaration: dict[str, Any] | None = Field(description="What is declared, where that is created or changed.")
    version: int
    why: str
    force: bool
    reason: str
    asked_by: str
    principal: str
    asked_at: datetime
    needs: list[Need]
    decisions: list[Decision]
    expires_at: datetime
    ended_at: datetime | None
    revision: int = Field(description="The ETag of this state.")


class Approval(Sent):
    """I approve what has this digest."""

    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    reason: Words0 = ""


class Rejection(Sent):
    """I reject it, and why."""

    reason: Reason


class Withdrawal(Sent):
    """I no longer want it."""

    reason: Words0 = ""


# --- reading ---


@route(router, "GET", "/requests", Action.READ_REQUESTS, summary="List change requests")
def list_requests(
    state: Annotated[State | None, Query(description="In this state alone.")] = None,
    owner: Annotated[Words | None, Query(description="Of this team alone.")] = None,
    limit: Limit = DEFAULT,
    cursor: Next = None,
) -> Page[ChangeRequest]:
    """The change requests that you may read, the newest first."""
    found = asking(router)
    grants = found.reach(Action.READ_REQUESTS, kind=KIND)
    question = {"list": "requests", "owner": owner, "state": state, "grants": sorted(map(str, grants))}
    teams = sorted({each.team for each in grants})
    only = owner or (teams[0] if len(teams) == 1 and ANY not in teams else "")
    after = positions.behind(question, cursor, ID)
    wanted = partial(_readable, grants=grants)
    read = _reading(found, state, only)
    records, last = positions.walked(read, after, limit, wanted, lambda each: each.id)
    return Page[ChangeRequest](items=[shown(each) for each in records], next=positions.cursor(question, last))


def _reading(found: Asking, state: str | None, owner: str) -> Callable[[str, int], tuple[list[Kept], str]]:
    """Reads so many requests behind one, of a state and a team where these are named."""
    from perennial.change_request import RequestState

    of = RequestState(state) if state else None
    return lambda after, limit: found.hub.inventory.change_requests(state=of, owner=owner, position=after, limit=limit)


def _readable(request: Kept, grants: Iterable[Grant]) -> bool:
    return any(
        grant.team in (ANY, owner) and grant.environment in (ANY, environment or None)
        for grant in grants
        for owner, environment in _places(request)
    )


def _places(request: Kept) -> tuple[tuple[str, str], ...]:
    """The teams and environments that a request concerns: a certificate that changes hands concerns two."""
    return (
        (request.owner, request.environment),
        *((each.owner, each.environment) for each in request.needs if each.owner),
    )


@route(router, "GET", "/requests/<request_id>", Action.READ_REQUESTS, summary="Read a change request")
def read_request(request_id: Named) -> Response[ChangeRequest]:
    """What is asked for, whom it needs, and what was decided."""
    return _answer(200, _allowed(asking(router), Action.READ_REQUESTS, request_id))


# --- deciding ---


@route(
    router,
    "POST",
    "/requests/<request_id>/approval",
    Action.APPROVE,
    summary="Approve a request",
    problems=(412,),
)
def approve_request(
    request_id: Named,
    said: Annotated[Approval, Body()],
    if_match: IfMatch = None,
) -> Response[ChangeRequest]:
    """For the team, or for security, whichever it still needs of you. Nobody approves their own request."""
    from perennial import change_requests

    found = asking(router)
    request = _read(found, request_id)
    _may_approve(found, request_id, request)
    known = _known(found, request, request_id, if_match)
    return _answer(
        200,
        change_requests.approve(
            found.hub, found.person, known, digest=said.digest, reason=said.reason, source="api", now=found.now
        ),
    )


@route(
    router,
    "POST",
    "/requests/<request_id>/rejection",
    Action.REJECT,
    summary="Reject a request",
    problems=(412,),
)
def reject_request(
    request_id: Named,
    said: Annotated[Rejection, Body()],
    if_match: IfMatch = None,
) -> Response[ChangeRequest]:
    """One rejection ends it."""
    from perennial import change_requests

    found = asking(router)
    known = _known(found, _allowed(found, Action.REJECT, request_id), request_id, if_match)
    return _answer(
        200, change_requests.reject(found.hub, found.person, known, reason=said.reason, source="api", now=found.now)
    )


@route(
    router,
    "POST",
    "/requests/<request_id>/withdrawal",
    Action.WITHDRAW,
    summary="Withdraw a request",
    problems=(412,),
)
def withdraw_request(
    request_id: Named,
    said: Annotated[Withdrawal, Body()],
    if_match: IfMatch = None,
) -> Response[ChangeRequest]:
    """Before it is decided."""
    from perennial import change_requests

    found = asking(router)
    known = _known(found, _allowed(found, Action.WITHDRAW, request_id), request_id, if_match)
    return _answer(
        200, change_requests.withdraw(found.hub, found.person, known, reason=said.reason, source="api", now=found.now)
    )


def _read(found: Asking, request_id: str) -> Kept | None:
    """The request; None where there is none."""
    try:
        kept: Kept = found.hub.inventory.change_request(request_id)
    except NotFound:
        return None
    return kept


def _allowed(found: Asking, action: Action, request_id: str) -> Kept:
    """The request, where the person may do this to it, at one of the places that it concerns. One that is not there is
    judged as without owner.

    Raises: NotAllowed, NotFound.
    """
    request = _read(found, request_id)
    places = _places(request) if request else (("", ""),)
    asker = linked(request.asked_by, found.hub.settings.api) if request else frozenset()
    owner, environment = next(
        (each for each in places if found.allows(action, owner=each[0], environment=each[1], asked_by=asker)), places[0]
    )
    found.may(action, kind=KIND, subject=request_id, owner=owner, environment=environment, asked_by=asker)
    return _known(found, request, request_id, None)


def _may_approve(found: Asking, request_id: str, request: Kept | None) -> None:
    """Nothing, where the person may fill one of the needs of a request. `change_requests` judges it again.

    Raises: NotAllowed.
    """
    asker = linked(request.asked_by, found.hub.settings.api) if request else frozenset({"nobody"})
    owner, environment = (request.owner, request.environment) if request else ("", "")
    wanted = [(APPROVES[each.role], each.owner, each.environment) for each in request.needs] if request else []
    options = wanted or [(Action.APPROVE, owner, environment)]
    action, owner, environment = next(
        (each for each in options if found.allows(each[0], owner=each[1], environment=each[2], asked_by=asker)),
        options[0],
    )
    found.may(action, kind=KIND, subject=request_id, owner=owner, environment=environment, asked_by=asker)


def _known(found: Asking, request: Kept | None, request_id: str, if_match: str | None) -> Kept:
    """Raises: NotFound, PreconditionFailed."""
    if request is None:
        raise NotFound(f"there is no request {request_id}; GET /requests lists what you may read")
    if if_match is not None:
        must_match(if_match, request.revision, f"the request {request_id}")
    return request


# --- documents ---


def accepted(request: Kept) -> Response[ChangeRequest]:
    """What was asked for, and where it is."""
    return _answer(202, request, {"Location": f"/{STAGE}/requests/{request.id}"})


def _answer(status: int, request: Kept, headers: dict[str, str] | None = None) -> Response[ChangeRequest]:
    named = {"ETag": etag(request.revision), **(headers or {})}
    return Response(status, content_type="application/json", body=shown(request), headers=named)


def shown(request: Kept) -> ChangeRequest:
    """A request as the API gives it."""
    wish = request.wish
    return ChangeRequest(
        id=request.id,
        kind=wish.kind.value,
        managed=wish.managed,
        owner=request.owner,
        environment=request.environment,
        state=request.state.value,
        message=request.message,
        digest=request.digest,
        declaration=document(wish.declared) if wish.declared else None,
        version=wish.version,
        why=wish.why,
        force=wish.force,
        reason=request.reason,
        asked_by=request.asked_name,
        principal=request.principal,
        asked_at=request.asked_at,
        needs=[
            Need(role=each.role, people=each.people, owner=each.owner, environment=each.environment)
            for each in request.needs
        ],
        decisions=[
            Decision(
                verdict=str(each.verdict), name=each.name, principal=each.principal, at=each.at, reason=each.reason
            )
            for each in request.decisions
        ],
        expires_at=request.expires_at,
        ended_at=request.ended_at,
        revision=request.revision,
    )
