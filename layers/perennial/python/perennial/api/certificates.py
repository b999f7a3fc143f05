"""Certificates: search of the inventory, and all that is known of one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import Field

from perennial import search
from perennial.api import pages
from perennial.api.asking import asking
from perennial.api.findings import Finding, finding_of
from perennial.api.models import Line, Model, Time
from perennial.api.pages import DEFAULT, Limit, Next, Page
from perennial.api.routes import route, routes
from perennial.certificate import Certificate as Facts
from perennial.certificate import pem
from perennial.errors import NotFound
from perennial.findings import State
from perennial.inventory.records import CertificateRecord, CertificateSummary, SightingRecord
from perennial.manifest import Role
from perennial.roles import Action
from perennial.search import Order, Search

router = routes()
MAX_PLACES = 200  # of one certificate that are told
_SHA256 = r"^[0-9a-f]{64}$"
Fingerprint = Annotated[str, Path(pattern=_SHA256, description="SHA-256 of the DER, in lower-case hexadecimal.")]


class CertificateLine(Model):
    """A certificate in a list."""

    fingerprint: str = Field(description="SHA-256 of the DER.", examples=["6f1c…64 hexadecimal digits"])
    title: str = Field(description="What a person would call it.", examples=["shop.example.com"])
    issuer: str | None = Field(description="RFC 4514.", examples=["CN=Example Issuing CA,O=Example Corp"])
    serial: str | None = Field(description="Hexadecimal, without leading zeros.", examples=["4d2"])
    not_after: datetime | None = Field(description="When it ends, UTC.", examples=["2026-12-30T00:00:00Z"])
    key: str | None = Field(examples=["EC-256"])
    owner: str | None = Field(description="Whose it is, where that is known.", examples=["shop-team"])
    gone_at: datetime | None = Field(description="Since when it is nowhere any more; null: it is somewhere.")


class Place(Model):
    """Where a certificate is, or was."""

    scope: str = Field(description="account/region/source", examples=["123456789012/eu-west-1/acm"])
    location: str = Field(examples=["arn:aws:acm:eu-west-1:123456789012:certificate/1"])
    resource: str = Field(description="What a person would look for.")
    role: Role = Field(description="What it does there.")
    holder: str | None = Field(description="The place that holds it, where this one uses it.")
    first_seen: datetime
    gone_at: datetime | None = Field(description="Since when it is not there any more.")
    attributes: dict[str, Any] = Field(description="What the source tells of the place.")


class CertificateDetail(CertificateLine):
    """All that is known of a certificate."""

    subject: str | None = Field(description="RFC 4514.")
    names: list[str] = Field(description="DNS names and IP addresses.", examples=[["shop.example.com"]])
    not_before: datetime | None
    signature: str | None = Field(examples=["ecdsa-with-SHA256"])
    public_key: str | None = Field(description="SHA-256 of the SubjectPublicKeyInfo.")
    key_usage: list[str]
    extended_key_usage: list[str]
    is_ca: bool | None
    problems: list[str] = Field(description="What of it could not be read.")
    pem: str | None = Field(description="The certificate (RFC 7468); null where it was too large to keep.")
    first_seen: datetime
    places: list[Place] = Field(description="Where it is held, and was.")
    attached: list[Place] = Field(description="What uses it there.")
    findings: list[Finding] = Field(description="What is wrong with it, and was.")
    more_places: bool = Field(description=f"Whether it is at more than the {MAX_PLACES} places that are told.")
    exceptions: list[str] = Field(description="Ids of the active exceptions that suppress findings about it.")


@route(router, "GET", "/certificates", Action.READ_CERTIFICATES, summary="Search certificates")
def list_certificates(
    expiring_before: Annotated[Time | None, Query(description="Only those that end then or earlier.")] = None,
    expiring_after: Annotated[Time | None, Query(description="Only those that end then or later.")] = None,
    owner: Annotated[Line | None, Query(min_length=1, max_length=128, description="Only those of this owner.")] = None,
    issuer: Annotated[
        Line | None, Query(min_length=1, max_length=250, description="Only those whose issuer's name contains this.")
    ] = None,
    key: Annotated[
        Line | None, Query(min_length=1, max_length=40, description="Only those with such a key: RSA, RSA-2048 …")
    ] = None,
    signature: Annotated[
        Line | None, Query(min_length=1, max_length=100, description="Only those signed so: ecdsa-with-SHA256 …")
    ] = None,
    name: Annotated[
        Line | None, Query(min_length=1, max_length=253, description="Only those with this DNS name or IP address.")
    ] = None,
    subtree: Annotated[bool, Query(description="With `name`: also those with a name below it.")] = False,
    public_key: Annotated[
        str | None, Query(pattern=_SHA256, description="Only those whose public key has this SHA-256.")
    ] = None,
    resource: Annotated[
        Line | None, Query(min_length=1, max_length=500, description="Only those at this ARN or host:port.")
    ] = None,
    include_gone: Annotated[bool, Query(description="Also those that are nowhere any more.")] = False,
    sort: Annotated[
        Order | None,
        Query(
            description="By the end, the earliest first, or with - the latest. With `name` they come by name, with "
            "`resource` by place, which has no other order."
        ),
    ] = None,
    limit: Limit = DEFAULT,
    cursor: Next = None,
) -> Page[CertificateLine]:
    """The certificates that fit every condition. Those of one's own teams; roles of the whole organisation see all."""
    asker = asking(router)
    teams = search.teams(asker.reach(Action.READ_CERTIFICATES, kind="certificate"))
    if owner is not None:
        asker.may(Action.READ_CERTIFICATES, kind="owner", subject=owner, owner=owner)
    wanted = Search(
        expiring_before=expiring_before,
        expiring_after=expiring_after,
        owner=owner,
        issuer=issuer,
        key=key,
        signature=signature,
        name=name,
        subtree=subtree,
        public_key=public_key,
        resource=resource,
        include_gone=include_gone,
        order=sort,
    )
    question = {"list": "certificates", "search": str(wanted), "teams": sorted(teams) if teams is not None else None}
    found = search.page(asker.hub.inventory, wanted, teams, pages.mark(question, cursor), limit)
    return Page[CertificateLine](
        items=[line_of(each) for each in found.certificates], next=pages.cursor(question, found.next)
    )


@route(router, "GET", "/certificates/<fingerprint>", Action.READ_CERTIFICATES, summary="Read a certificate")
def read_certificate(fingerprint: Fingerprint) -> CertificateDetail:
    """A certificate with its places and findings."""
    asker = asking(router)
    record = asker.hub.inventory.show(fingerprint, MAX_PLACES)
    owner = record.owner if record else None
    asker.may(Action.READ_CERTIFICATES, kind="certificate", subject=fingerprint, owner=owner)
    if record is None:
        raise NotFound(f"there is no certificate {fingerprint} in the inventory; GET /certificates shows what there is")
    return detail_of(record)


def line_of(summary: CertificateSummary) -> CertificateLine:
    return CertificateLine(
        fingerprint=summary.fingerprint,
        title=summary.title,
        issuer=summary.issuer,
        serial=summary.serial,
        not_after=summary.not_after,
        key=summary.key,
        owner=summary.owner,
        gone_at=summary.gone_at,
    )


def detail_of(record: CertificateRecord) -> CertificateDetail:
    facts = record.certificate
    return CertificateDetail(
        fingerprint=facts.fingerprint or "",
        title=facts.title,
        issuer=facts.issuer,
        serial=facts.serial,
        not_after=facts.not_after,
        key=facts.key,
        owner=record.owner,
        gone_at=record.gone_at,
        pem=pem(facts.der) if facts.der else None,
        first_seen=record.first_seen,
        places=[place_of(each) for each in record.held],
        attached=[place_of(each) for each in record.attached],
        findings=[finding_of(each) for each in record.findings],
        more_places=record.more_places,
        exceptions=sorted({each.exception for each in record.findings if each.state is State.SUPPRESSED}),
        **_more_facts(facts),
    )


def _more_facts(facts: Facts) -> dict[str, Any]:
    return {
        "subject": facts.subject,
        "names": list(facts.names),
        "not_before": facts.not_before,
        "signature": facts.signature_algorithm,
        "public_key": facts.public_key_sha256,
        "key_usage": list(facts.key_usage or ()),
        "extended_key_usage": list(facts.extended_key_usage or ()),
        "is_ca": facts.is_ca,
        "problems": list(facts.problems),
    }


def place_of(record: SightingRecord) -> Place:
    sighting = record.sighting
    return Place(
        scope=record.scope.key,
        location=sighting.location,
        resource=sighting.resource,
        role=sighting.role,
        holder=sighting.holder,
        first_seen=record.first_seen,
        gone_at=record.gone_at,
        attributes=dict(sighting.attributes),
    )
