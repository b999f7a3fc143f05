"""Proofs: the recorded handshakes that showed a managed certificate serving."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from perennial import proof as library
from perennial.api import pages
from perennial.api.asking import asking
from perennial.api.models import Model
from perennial.api.pages import DEFAULT, Limit, Next, Page
from perennial.api.routes import route, routes
from perennial.inventory.lists import Effort, Walk
from perennial.roles import Action
from perennial.settings_table import TABLE_NAME

router = routes()
EFFORT = 1_000  # items and queries of one page: far more than a page has
NAME = f"^{TABLE_NAME.pattern}$"


class Proof(Model):
    """That a version was seen serving at a target."""

    id: str
    managed: str = Field(description="The managed certificate.", examples=["shop"])
    version: int
    rollout: int
    target: str
    purpose: str = Field(description="deployed, or restored: what was there before serves again.")
    method: str = Field(description="handshake, or read-back where AWS alone can tell.")
    expected: str = Field(description="Fingerprint of the certificate; empty: none was there, and none is.")
    proven_at: datetime
    signed: bool = Field(description="Whether a KMS key of the deployment signed it.")
    document: dict[str, Any] = Field(
        description="The whole record as it was signed: `perennial proof verify` reads it."
    )


@route(router, "GET", "/proofs", Action.READ_PROOFS, summary="List the proofs of a managed certificate")
def list_proofs(
    managed: Annotated[str, Query(pattern=NAME, description="Name of the managed certificate.")],
    limit: Limit = DEFAULT,
    cursor: Next = None,
) -> Page[Proof]:
    """The proofs of a managed certificate, the newest first."""
    asker = asking(router)
    record = asker.hub.inventory.find_managed(managed)
    asker.may(
        Action.READ_PROOFS,
        kind="managed",
        subject=managed,
        owner=record.declared.request.owner if record else None,
        environment=record.declared.environment if record else None,
    )
    question = {"list": "proofs", "managed": managed}
    walk = Walk(effort=Effort(EFFORT), after=pages.mark(question, cursor), first=limit + 1)
    found, last = pages.taken(asker.hub.inventory.proofs_before(managed, walk), limit, _size)
    return Page[Proof](items=[proof_of(each) for each in found], next=pages.cursor(question, last))


def _size(proof: library.Proof) -> int:
    return len(library.statement(proof))


def proof_of(proof: library.Proof) -> Proof:
    return Proof(
        id=proof.id,
        managed=proof.managed,
        version=proof.version,
        rollout=proof.rollout,
        target=proof.target,
        purpose=proof.purpose,
        method=proof.method,
        expected=proof.expected,
        proven_at=proof.proven_at,
        signed=bool(proof.signature),
        document=library.document(proof),
    )
