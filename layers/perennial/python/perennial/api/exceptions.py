"""Exceptions: a check or a policy rule that is suspended for a selection, for a time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from pydantic import Field, StringConstraints

from perennial.api import positions
from perennial.api.asking import Asking, asking
from perennial.api.declared import Words
from perennial.api.models import LINE, Model, Sent, Time
from perennial.api.pages import DEFAULT, Limit, Next, Page
from perennial.api.preconditions import IfMatch, etag, must_match
from perennial.api.routes import STAGE, route, routes
from perennial.errors import NotFound
from perennial.identity import linked
from perennial.roles import ANY, Action, Grant

if TYPE_CHECKING:
    from perennial.exception_record import ExceptionRecord as Kept

router = routes()
KIND = "exception"
ID = re.compile(r"[0-9a-f]{32}")
POSITION = re.compile(r"[0-9TZ:.-]{10,40}#[0-9a-f]{32}")
Named = Annotated[str, Path(description="The exception's id.", pattern=f"^{ID.pattern}$")]
MAX_WHY = 1_000  # characters
Why = Annotated[str, StringConstraints(min_length=1, max_length=MAX_WHY, pattern=LINE)]
State = Literal["asked", "active", "rejected", "ended"]


class Selection(Sent):
    """What it covers: all conditions that are given must hold, and at least one is given."""

    fingerprint: Annotated[str, StringConstraints(max_length=95)] = Field(default="", description="SHA-256.")
    name: Annotated[str, StringConstraints(max_length=1_000)] = Field(default="", description="A DNS name or address.")
    subtree: bool = Field(default=False, description="Also every name below.")
    owner: Annotated[str, StringConstraints(max_length=128)] = ""
    resource: Annotated[str, StringConstraints(max_length=1_001)] = Field(
        default="", description="An ARN or host:port, or an ARN's beginning with * behind it."
    )
    account: Annotated[str, StringConstraints(max_length=12)] = ""
    region: Annotated[str, StringConstraints(max_length=32)] = ""
    managed: Annotated[str, StringConstraints(max_length=64)] = Field(default="", description="A managed certificate.")


class Asked(Sent):
    """An exception that is asked for."""

    rule: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[a-z0-9_.-]+$")] = Field(
        description="The id of a check or of a policy rule: docs/checks.md, docs/policy.md."
    )
    selection: Selection
    reason: Why
    owner: Words = Field(description="The team that answers for it.")
    ends: Time


class PolicyException(Model):
    """An exception: who asked, who decided, and until when it holds."""

    id: str
    rule: str
    selection: dict[str, str | bool]
    reason: str
    owner: str
    environment: str
    ends: datetime
    state: State
    asked_by: str
    asked_at: datetime
    decided_by: str
    decided_at: datetime | None
    decision: str
    ended_by: str
    ended_at: datetime | None
    ended_why: str
    revision: int = Field(description="The ETag of this state.")


class Granting(Sent):
    """I grant it."""

    reason: Annotated[str, StringConstraints(max_length=MAX_WHY, pattern=LINE)] = ""


class Ending(Sent):
    """I reject or end it, and why."""

    reason: Why


# --- reading ---


@route(router, "GET", "/exceptions", Action.READ_EXCEPTIONS, summary="List exceptions")
def list_exceptions(
    state: Annotated[State | None, Query(description="In this state alone.")] = None,
    limit: Limit = DEFAULT,
    cursor: Next = None,
) -> Page[PolicyException]:
    """The exceptions that you may read, the newest first."""
    from perennial.exception_record import ExceptionState

    found = asking(router)
    grants = found.reach(Action.READ_EXCEPTIONS, kind=KIND)
    question = {"list": "exceptions", "state": state, "grants": sorted(map(str, grants))}
    after = positions.behind(question, cursor, POSITION)
    records, last = found.hub.inventory.exceptions(
        ExceptionState(state) if state else None,
        after,
        limit,
        partial(_readable, grants=grants),
    )
    return Page[PolicyException](items=[shown(each) for each in records], next=positions.cursor(question, last))


def _readable(record: Kept, grants: Iterable[Grant]) -> bool:
    return any(each.team in (ANY, record.owner) for each in grants)


@route(router, "GET", "/exceptions/<exception_id>", Action.READ_EXCEPTIONS, summary="Read an exception")
def read_exception(exception_id: Named) -> Response[PolicyException]:
    """One exception, with its ETag."""
    return _answer(200, _allowed(asking(router), Action.READ_EXCEPTIONS, exception_id))


# --- asking and deciding ---


@route(router, "POST", "/exceptions", Action.ASK_EXCEPTION, summary="Ask for an exception", status=202)
def ask_exception(asked: Annotated[Asked, Body()]) -> Response[PolicyException]:
    """Someone else has to grant it. It ends at its end, and what it covered comes back then."""
    from perennial import exceptions
    from perennial.exception_record import AskedException
    from perennial.exception_selection import Selection as Wanted

    found = asking(router)
    environment = _environment(found, asked.selection.managed)
    found.may(Action.ASK_EXCEPTION, kind=KIND, subject=asked.rule, owner=asked.owner, environment=environment)
    wanted = AskedException(
        rule=asked.rule,
        selection=Wanted(**asked.selection.model_dump()),
        reason=asked.reason,
        owner=asked.owner,
        ends=asked.ends,
    )
    made = exceptions.ask(found.hub, found.person, wanted, source="api", now=found.now)
    return _answer(202, made, {"Location": f"/{STAGE}/exceptions/{made.id}"})


def _environment(found: Asking, managed: str) -> str | None:
    """The environment of the managed certificate that is meant; None where none is, and where one may not ask for what
    is there: a refusal does not tell what others have."""
    known = found.hub.inventory.find_managed(managed) if managed else None
    if known is None:
        return None
    owner, environment = known.declared.request.owner, known.declared.environment
    return environment if found.allows(Action.ASK_EXCEPTION, owner=owner, environment=environment) else None


@route(
    router,
    "POST",
    "/exceptions/<exception_id>/approval",
    Action.GRANT_EXCEPTION,
    summary="Grant an exception",
    problems=(412,),
)
def grant_exception(
    exception_id: Named,
    said: Annotated[Granting, Body()],
    if_match: IfMatch = None,
) -> Response[PolicyException]:
    """It holds from now on, until its end. Nobody grants their own."""
    from perennial import exceptions

    found = asking(router)
    record = _allowed(found, Action.GRANT_EXCEPTION, exception_id, if_match)
    return _answer(
        200, exceptions.grant(found.hub, found.person, record, reason=said.reason, source="api", now=found.now)
    )


@route(
    router,
    "POST",
    "/exceptions/<exception_id>/rejection",
    Action.GRANT_EXCEPTION,
    summary="Reject an exception",
    problems=(412,),
)
def reject_exception(
    exception_id: Named,
    said: Annotated[Ending, Body()],
    if_match: IfMatch = None,
) -> Response[PolicyException]:
    """Who may grant may reject, with a reason."""
    from perennial import exceptions

    found = asking(router)
    record = _allowed(found, Action.GRANT_EXCEPTION, exception_id, if_match)
    return _answer(
        200, exceptions.reject(found.hub, found.person, record, reason=said.reason, source="api", now=found.now)
    )


@route(
    router,
    "POST",
    "/exceptions/<exception_id>/end",
    Action.END_EXCEPTION,
    summary="End an exception",
    problems=(412,),
)
def end_exception(
    exception_id: Named,
    said: Annotated[Ending, Body()],
    if_match: IfMatch = None,
) -> Response[PolicyException]:
    """Before its time. What it covered is assessed again within minutes."""
    from perennial import exceptions

    found = asking(router)
    record = _allowed(found, Action.END_EXCEPTION, exception_id, if_match)
    return _answer(
        200, exceptions.end(found.hub, found.person, record, reason=said.reason, source="api", now=found.now)
    )


def _allowed(found: Asking, action: Action, exception_id: str, if_match: str | None = None) -> Kept:
    """The exception, where the person may do this to it. One that is not there is judged as without owner.

    Raises: NotAllowed, NotFound, PreconditionFailed.
    """
    record = _read(found, exception_id)
    owner, environment = (record.owner, record.environment) if record else ("", "")
    asker = linked(record.asked_by, found.hub.settings.api) if record else frozenset({"nobody"})
    found.may(action, kind=KIND, subject=exception_id, owner=owner, environment=environment, asked_by=asker)
    if record is None:
        raise NotFound(f"there is no exception {exception_id}; GET /exceptions lists what you may read")
    if if_match is not None:
        must_match(if_match, record.revision, f"the exception {exception_id}")
    return record


def _read(found: Asking, exception_id: str) -> Kept | None:
    try:
        kept: Kept = found.hub.inventory.exception(exception_id)
    except NotFound:
        return None
    return kept


# --- documents ---


def _answer(status: int, record: Kept, headers: dict[str, str] | None = None) -> Response[PolicyException]:
    named = {"ETag": etag(record.revision), **(headers or {})}
    return Response(status, content_type="application/json", body=shown(record), headers=named)


def shown(record: Kept) -> PolicyException:
    """An exception as the API gives it."""
    return PolicyException(
        id=record.id,
        rule=record.rule,
        selection=record.selection.given(),
        reason=record.reason,
        owner=record.owner,
        environment=record.environment,
        ends=record.ends,
        state=record.state.value,
        asked_by=record.asked_name,
        asked_at=record.asked_at,
        decided_by=record.decided_name,
        decided_at=record.decided_at,
        decision=record.decision,
        ended_by=record.ended_name,
        ended_at=record.ended_at,
        ended_why=record.ended_why,
        revision=record.revision,
    )
