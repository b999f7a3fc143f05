"""Between the table's items and the dataclasses that the rest of Perennial knows."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from pynamodb.expressions.update import Action

from perennial.certificate import Certificate, parse
from perennial.checks.interface import Severity
from perennial.findings import Finding, State, told
from perennial.inventory.indexes import shard
from perennial.inventory.items import Item, stamp, time_of
from perennial.inventory.records import (
    CertificateSummary,
    DueKind,
    OutgoingFinding,
    RunRecord,
    ScopeRecord,
    ScopeStatus,
    SightingRecord,
)
from perennial.manifest import Role, Scope, Sighting

CERTIFICATE = "CERT"
PLACE = "PLACE#"
SIGHTING = "SIGHTING#"
FINDING = "FINDING#"
SUPPRESSED = "suppressed"  # the partition of the index of findings that has those; the others are named by severity
MAX_KEY = 1_000  # bytes; DynamoDB takes 1,024 for a sort key
MAX_NAME = 800  # bytes of a name that is asked by; a hostile common name may be longer
MAX_WORD = 250  # characters of an issuer or owner that lists are asked by


def certificate_key(fingerprint: str) -> str:
    return f"CERT#{fingerprint}"


def place_key(place: str) -> str:
    return PLACE + place


def held_key(scope: Scope, sighting: Sighting) -> tuple[str, str]:
    return certificate_key(sighting.fingerprint or ""), fitting(f"{PLACE}{scope.key}#{sighting.location}")


def sighting_key(sighting: Sighting) -> tuple[str, str]:
    return place_key(sighting.place), fitting(SIGHTING + sighting.location)


def fitting(key: str) -> str:
    """A sort key that DynamoDB takes: what is too long ends in its hash."""
    data = key.encode()
    if len(data) <= MAX_KEY:
        return key
    return data[: MAX_KEY - 65].decode("utf-8", "ignore") + "#" + hashlib.sha256(data).hexdigest()


def place_item_key(place: str) -> tuple[str, str]:
    return place_key(place), fitting(SIGHTING + place)


def finding_key(finding: Finding) -> tuple[str, str]:
    return place_key(finding.place), FINDING + finding.id


def owned_finding_key(severity: str, owner: str) -> str:
    """The findings of one severity and one owner: few enough for one partition."""
    return f"{severity}#{owner[:MAX_WORD]}"


def sharded(value: str, spread: str) -> str:
    return f"{value[:MAX_WORD]}#{shard(spread)}"


def expiry_bucket(not_after: datetime) -> str:
    """The month of the end: a question about some days reads one or two months' partitions, in them just its days."""
    return stamp(not_after)[:7]


def certificate_item(certificate: Certificate, now: datetime) -> Item:
    fingerprint = certificate.fingerprint or ""
    end = certificate.not_after
    return Item(
        certificate_key(fingerprint),
        CERTIFICATE,
        kind="certificate",
        der=certificate.der or None,
        fingerprint=fingerprint,
        title=certificate.title[:300],
        issuer=certificate.issuer[:500] if certificate.issuer else None,
        serial=certificate.serial,
        not_after=stamp(end) if end else None,
        key=certificate.key,
        signature=certificate.signature_algorithm,
        problems=json.dumps(certificate.problems) if certificate.problems else None,
        first_seen=stamp(now),
        public_key_sha256=certificate.public_key_sha256,
        expiry_key=sharded(expiry_bucket(end), fingerprint) if end else None,
        issuer_key=sharded(certificate.issuer, fingerprint) if certificate.issuer else None,
        key_key=sharded(certificate.key, fingerprint) if certificate.key else None,
        signature_key=sharded(certificate.signature_algorithm, fingerprint)
        if certificate.signature_algorithm
        else None,
    )


def finding_aids(certificate: Certificate) -> Iterator[Item]:
    """The items by which a certificate is found: by the beginning of its fingerprint, and by each of its names."""
    fingerprint = certificate.fingerprint or ""
    yield Item(prefix_key(fingerprint), fingerprint, kind="fingerprint")
    names = set(certificate.names)
    if not names and certificate.common_name:
        names = {certificate.common_name}
    for zone, reverse in sorted({name_key(name) for name in names}):
        yield Item(zone, fitting(f"{reverse}#{fingerprint}"), kind="name", fingerprint=fingerprint)


def prefix_key(fingerprint: str) -> str:
    return f"FINGERPRINT#{fingerprint[:2]}"


def name_key(name: str) -> tuple[str, str]:
    """`www.shop.example.com` -> (`ZONE#com.example`, `com.example.shop.www`): one prefix finds a whole subtree."""
    clean = name.lower().rstrip(".").encode("utf-8", "replace")[:MAX_NAME].decode("utf-8", "ignore") or "-"
    labels = [clean] if ":" in clean or clean.replace(".", "").isdigit() else clean.split(".")[::-1]
    return "ZONE#" + ".".join(labels[:2]), ".".join(labels)


def certificate_of(item: Item) -> Certificate:
    """Facts from the kept DER; where it was too large to keep, the fingerprint and the reason."""
    if item.der:
        return parse(item.der)
    return Certificate(fingerprint=item.fingerprint, problems=tuple(json.loads(item.problems or "[]")))


def summary_of(item: Item) -> CertificateSummary:
    return CertificateSummary(
        fingerprint=item.pk.removeprefix("CERT#"),
        title=item.title or "",
        issuer=item.issuer,
        serial=item.serial,
        not_after=time(item.not_after),
        key=item.key,
        owner=item.owner,
        gone_at=time(item.gone_at),
    )


def held_actions(scope: Scope, sighting: Sighting, now: datetime) -> list[Action]:
    return [
        Item.kind.set("held"),
        Item.scope.set(scope.key),
        Item.location.set(sighting.location),
        Item.first_seen.set(Item.first_seen | stamp(now)),
        Item.gone_at.remove(),
    ]


def sighting_actions(scope: Scope, sighting: Sighting, now: datetime) -> list[Action]:
    described = texts(
        resource=sighting.resource[:MAX_KEY],  # a key of an index, and so never empty
        fingerprint=sighting.fingerprint,
        holder=sighting.holder,
        version=sighting.version,
    )
    attributes = json.dumps(dict(sighting.attributes), sort_keys=True) if sighting.attributes else None
    return [
        Item.kind.set("sighting"),
        Item.scope.set(scope.key),
        Item.location.set(sighting.location),
        Item.role.set(str(sighting.role)),
        Item.first_seen.set(Item.first_seen | stamp(now)),
        Item.gone_at.remove(),
        Item.attributes.set(attributes) if attributes else Item.attributes.remove(),
        *described,
        *(due_actions(DueKind.ASSESS, sighting.place, now) if sighting.role is not Role.ATTACHED else ()),
    ]


def sighting_of(item: Item) -> SightingRecord:
    sighting = Sighting(
        location=item.location,
        role=Role(item.role),
        resource=item.resource or "",
        fingerprint=item.fingerprint,
        holder=item.holder,
        version=item.version or "",
        attributes=json.loads(item.attributes) if item.attributes else {},
    )
    first, gone = time_of(item.first_seen), time(item.gone_at)
    return SightingRecord(scope=Scope.of(item.scope), sighting=sighting, first_seen=first, gone_at=gone)


def as_held(item: Item, pointer: Item) -> SightingRecord:
    """The sighting of a certificate at a place that may hold another by now."""
    record = sighting_of(item)
    first, gone = time_of(pointer.first_seen), time(pointer.gone_at)
    sighting = replace(record.sighting, fingerprint=pointer.pk.removeprefix("CERT#"))
    return replace(record, sighting=sighting, first_seen=first, gone_at=gone)


def finding_actions(finding: Finding, due: datetime) -> list[Action]:
    is_open = finding.state is State.OPEN
    described = texts(
        check=finding.check,
        severity=str(finding.severity),
        title=finding.title,
        detail=finding.detail,
        remediation=finding.remediation,
        scope=finding.scope.key,
        location=finding.location,
        place=finding.place,
        concerns=finding.resource[:MAX_KEY],
        subject=finding.subject,
        fingerprint=finding.fingerprint,
        not_after=stamp(finding.not_after) if finding.not_after else None,
        owner=finding.owner,
        state=str(finding.state),
        opened_at=stamp(finding.opened_at),
        updated_at=stamp(finding.updated_at),
        exception=finding.exception or None,
        exception_ends=stamp(finding.exception_ends) if finding.exception_ends else None,
        finding_key=sharded(partition, finding.id) if (partition := partition_of(finding)) else None,
        owned_finding_key=owned_finding_key(finding.severity, finding.owner) if is_open and finding.owner else None,
    )
    hidden = [Item.hidden.set(finding.exception)] if finding.state is State.SUPPRESSED else []
    return [
        Item.kind.set("finding"),
        *described,
        *hidden,
        Item.expires_at.remove(),
        *due_actions(DueKind.PUBLISH, finding.place, due),
    ]


def partition_of(finding: Finding) -> str:
    """The partition of the index in which a finding is, without its shard; "" for none."""
    if finding.state is State.SUPPRESSED:
        return SUPPRESSED
    return str(finding.severity) if finding.state is State.OPEN else ""


def finding_of(item: Item) -> Finding:
    return Finding(
        check=item.check,
        severity=Severity(item.severity),
        title=item.title,
        detail=item.detail,
        remediation=item.remediation,
        scope=Scope.of(item.scope),
        place=item.place,
        location=item.location,
        resource=item.concerns or "",
        subject=item.subject,
        fingerprint=item.fingerprint,
        not_after=time(item.not_after),
        owner=item.owner,
        state=State(item.state),
        exception=item.exception or "",
        exception_ends=time(item.exception_ends),
        opened_at=time_of(item.opened_at),
        updated_at=time_of(item.updated_at),
    )


def outgoing_of(item: Item) -> OutgoingFinding:
    finding = finding_of(item)
    attempts = int(item.attempts or 0)
    return OutgoingFinding(
        finding=finding,
        due_at=item.due_at or "",
        attempts=attempts,
        told=item.told == state_name(finding),
        hidden=bool(item.hidden),
    )


def state_name(finding: Finding) -> str:
    """Names what a reader is told of a finding. Not by its time: two changes in one second are two states, and one
    state that two assessments found is one."""
    content = json.dumps([finding.state, *told(finding)])
    return f"{finding.state}#{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def scope_of(item: Item) -> ScopeRecord:
    return ScopeRecord(
        scope=Scope.of(item.sk),
        status=ScopeStatus(item.status),
        reason=item.reason,
        message=item.detail,
        attempted_at=time_of(item.attempted_at),
        completed_at=time(item.completed_at),
        sightings=int(item.sightings or 0),
        run=item.run,
        rules=item.rules,
    )


def run_of(item: Item) -> RunRecord:
    counts = json.loads(item.counts or "{}")
    return RunRecord(
        run=item.run,
        started_at=time_of(item.attempted_at),
        completed_at=time(item.completed_at),
        scopes=counts.get("scopes", 0),
        incomplete=counts.get("incomplete", 0),
    )


def due_key(kind: DueKind, spread: str) -> str:
    return f"{kind}#{shard(spread)}"


def due_stamp(time: datetime) -> str:
    """A due time that is unique: who settles it can tell whether it was made due again meanwhile."""
    return f"{stamp(time)}#{uuid.uuid4().hex[:8]}"


def due_actions(kind: DueKind, spread: str, time: datetime) -> list[Action]:
    return [Item.due_key.set(due_key(kind, spread)), Item.due_at.set(due_stamp(time))]


def time(text: str | None) -> datetime | None:
    return time_of(text) if text else None


def texts(**values: str | None) -> list[Action]:
    """Set the attributes that have a value, remove the others."""
    named = ((getattr(Item, name), value) for name, value in values.items())
    return [attribute.set(value) if value else attribute.remove() for attribute, value in named]
