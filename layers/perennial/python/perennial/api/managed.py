"""Managed certificates: what is declared, what serves, and every wish to change it.

Every change is a change request, which `change_requests` judges by policy and does at once where nobody has to approve
it. A right is asked for where a certificate is and where it would be: nobody moves one out of another team's hands, or
into them, nor adopts a certificate of a team that they may not act for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from perennial.api import positions
from perennial.api.asking import Asking, asking
from perennial.api.declared import NAME, Change, Creation, Words, certificate
from perennial.api.managed_documents import (
    ManagedCertificateOut,
    Renewal,
    Revocation,
    Rollouts,
    Versions,
    managed_out,
    rollout_out,
    version_out,
)
from perennial.api.models import Line
from perennial.api.pages import DEFAULT, Limit, Next, Page
from perennial.api.preconditions import IfMatch, etag, must_match
from perennial.api.requests import ChangeRequest, accepted
from perennial.api.routes import route, routes
from perennial.errors import ConcurrentChange, NotFound
from perennial.inventory.records import ManagedRecord, ManagedState
from perennial.issuance import MANAGED
from perennial.managed_certificate import ManagedCertificate
from perennial.roles import ANY, Action, Grant

if TYPE_CHECKING:
    from perennial.change_request import Wish

router = routes()
KIND = "managed"
Named = Annotated[str, Path(description="The managed certificate.", max_length=64, pattern=NAME)]


# --- reading ---


@route(router, "GET", "/managed", Action.READ_MANAGED, summary="List managed certificates")
def list_managed(
    owner: Annotated[Words | None, Query(description="Of this team alone.")] = None,
    state: Annotated[ManagedState | None, Query(description="In this state alone.")] = None,
    limit: Limit = DEFAULT,
    cursor: Next = None,
) -> Page[ManagedCertificateOut]:
    """The managed certificates that you may read, by name."""
    found = asking(router)
    grants = found.reach(Action.READ_MANAGED, kind=KIND)
    question = {"list": "managed", "owner": owner, "state": state, "grants": sorted(map(str, grants))}

    def wanted(record: ManagedRecord) -> bool:
        fits = owner in (None, record.declared.request.owner) and state in (None, record.state)
        return fits and any(_within(each, record.declared) for each in grants)

    after = positions.behind(question, cursor, MANAGED)
    records, last = positions.walked(found.hub.inventory.declared_after, after, limit, wanted, lambda each: each.name)
    return Page[ManagedCertificateOut](
        items=[managed_out(each) for each in records], next=positions.cursor(question, last)
    )


def _within(grant: Grant, declared: ManagedCertificate) -> bool:
    team = grant.team in (ANY, declared.request.owner)
    return team and grant.environment in (ANY, declared.environment or None)


@route(router, "GET", "/managed/<name>", Action.READ_MANAGED, summary="Read a managed certificate")
def read_managed(name: Named) -> Response[ManagedCertificateOut]:
    """With its ETag, which a change or a removal names."""
    record = _allowed(asking(router), Action.READ_MANAGED, name)
    headers = {"ETag": etag(record.revision)}
    return Response(200, content_type="application/json", body=managed_out(record), headers=headers)


@route(router, "GET", "/managed/<name>/versions", Action.READ_MANAGED, summary="List the versions")
def list_versions(name: Named, limit: Limit = DEFAULT) -> Versions:
    """The newest versions of a managed certificate."""
    found = asking(router)
    _allowed(found, Action.READ_MANAGED, name)
    return Versions(items=[version_out(each) for each in found.hub.inventory.versions(name, limit=limit)])


@route(router, "GET", "/managed/<name>/rollouts", Action.READ_MANAGED, summary="List the rollouts")
def list_rollouts(name: Named, limit: Limit = DEFAULT) -> Rollouts:
    """The newest rollouts of a managed certificate."""
    found = asking(router)
    _allowed(found, Action.READ_MANAGED, name)
    return Rollouts(items=[rollout_out(each) for each in found.hub.inventory.rollouts(name, limit=limit)])


# --- asking for changes ---


@route(router, "POST", "/managed", Action.REQUEST, summary="Ask for a managed certificate", status=202)
def create_managed(wished: Annotated[Creation, Body()]) -> Response[ChangeRequest]:
    """Policy is judged first, and every violation told at once."""
    from perennial.change_request import Kind, Wish

    found, declared = asking(router), certificate(wished.name, wished)
    _may_have(found, Action.REQUEST, declared)
    known = found.hub.inventory.find_managed(wished.name)
    if known:
        _may_have(found, Action.REQUEST, known.declared)
    if known and known.removed_at is None:
        raise ConcurrentChange(f"{wished.name} is declared already; read it, and change it with PUT")
    wish = Wish(kind=Kind.CREATE, managed=wished.name, declared=declared, revision=known.revision if known else 0)
    return _ask(found, wish, wished.reason)


@route(router, "PUT", "/managed/<name>", Action.CHANGE, summary="Ask for a change", status=202, problems=(412, 428))
def change_managed(name: Named, wished: Annotated[Change, Body()], if_match: IfMatch = None) -> Response[ChangeRequest]:
    """The declaration as it shall be, as a whole. If-Match has the ETag of what you read."""
    from perennial.change_request import Kind, Wish

    found, declared = asking(router), certificate(name, wished)
    record = _allowed(found, Action.CHANGE, name)
    _may_have(found, Action.CHANGE, declared, known=record.declared)
    must_match(if_match, record.revision, name)
    wish = Wish(kind=Kind.CHANGE, managed=name, declared=declared, revision=record.revision)
    return _ask(found, wish, wished.reason)


@route(router, "DELETE", "/managed/<name>", Action.RETIRE, summary="Ask for the end", status=202, problems=(412, 428))
def retire_managed(
    name: Named,
    reason: Annotated[Line, Query(min_length=1, description="Why, in words: kept in the audit trail.")],
    if_match: IfMatch = None,
) -> Response[ChangeRequest]:
    """Its versions are retired after their grace period. If-Match has the ETag of what you read."""
    from perennial.change_request import Kind, Wish

    found = asking(router)
    record = _allowed(found, Action.RETIRE, name)
    must_match(if_match, record.revision, name)
    return _ask(found, Wish(kind=Kind.RETIRE, managed=name, revision=record.revision), reason)


@route(router, "POST", "/managed/<name>/renewals", Action.RENEW, summary="Ask for a renewal", status=202)
def renew_managed(name: Named, wished: Annotated[Renewal, Body()]) -> Response[ChangeRequest]:
    """A renewal before its time."""
    from perennial.change_request import Kind, Wish

    found = asking(router)
    record = _allowed(found, Action.RENEW, name)
    wish = Wish(kind=Kind.RENEW, managed=name, force=wished.force, revision=record.revision)
    return _ask(found, wish, wished.reason)


@route(
    router, "POST", "/managed/<name>/revocations", Action.REQUEST_REVOCATION, summary="Ask for a revocation", status=202
)
def revoke_managed(name: Named, wished: Annotated[Revocation, Body()]) -> Response[ChangeRequest]:
    """It cannot be taken back. The version is named, never a certificate: nobody revokes another one by its content."""
    from perennial.change_request import Kind, Wish

    found = asking(router)
    record = _allowed(found, Action.REQUEST_REVOCATION, name)
    wish = Wish(kind=Kind.REVOKE, managed=name, version=wished.version, why=wished.why, revision=record.revision)
    return _ask(found, wish, wished.reason)


def _ask(found: Asking, wish: Wish, reason: str) -> Response[ChangeRequest]:
    from perennial import change_requests

    made = change_requests.ask(found.hub, found.person, wish, reason=reason, source="api", now=found.now)
    return accepted(made)


# --- who may ---


def _allowed(found: Asking, action: Action, name: str) -> ManagedRecord:
    """The managed certificate, where the person may do this to it. One that is not there is judged as without owner, so
    that who may not read it does not learn whether it is.

    Raises: NotAllowed, NotFound.
    """
    record = found.hub.inventory.find_managed(name)
    owner, environment = (record.declared.request.owner, record.declared.environment) if record else (None, None)
    found.may(action, kind=KIND, subject=name, owner=owner, environment=environment)
    if record is None:
        raise NotFound(f"{name} is not declared; GET /managed lists what you may read")
    return record


def _may_have(
    found: Asking, action: Action, declared: ManagedCertificate, *, known: ManagedCertificate | None = None
) -> None:
    """Nothing, where the person may do this to what is declared, and to the certificate that it adopts.

    Raises: NotAllowed.
    """
    owner, environment = declared.request.owner, declared.environment
    found.may(action, kind=KIND, subject=declared.name, owner=owner, environment=environment)
    if declared.adopts and declared.adopts != (known.adopts if known else ""):
        adopted = found.hub.inventory.certificate_and_owner(declared.adopts)
        theirs = adopted[1] if adopted else None
        found.may(action, kind="certificate", subject=declared.adopts, owner=theirs, environment=environment)
