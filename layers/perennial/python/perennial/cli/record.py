"""One certificate of the inventory, written out."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from perennial.assessment import worst_first
from perennial.certificate import Certificate
from perennial.cli import documents, suspensions
from perennial.cli.plain import plain
from perennial.errors import NotFound
from perennial.exception_record import ExceptionRecord
from perennial.findings import Finding, State
from perennial.inventory.records import CertificateRecord, SightingRecord

_FACTS = {
    "Subject": "subject",
    "Issuer": "issuer",
    "Serial": "serial",
    "Key": "key",
    "Signature": "signature_algorithm",
    "Valid from": "not_before",
    "Valid until": "not_after",
    "Names": "names",
    "Key usage": "key_usage",
    "Purposes": "extended_key_usage",
    "Public key": "public_key_sha256",
    "Problems": "problems",
}


def pem(certificate: Certificate) -> Iterator[str]:
    """RFC 7468.

    Raises: NotFound where the certificate itself was too large to keep.
    """
    if not certificate.der:
        raise NotFound(f"{certificate.fingerprint} was not kept: {', '.join(certificate.problems)}")
    yield "-----BEGIN CERTIFICATE-----"
    yield from textwrap.wrap(base64.b64encode(certificate.der).decode(), 64)
    yield "-----END CERTIFICATE-----"


def json_lines(record: CertificateRecord, exceptions: Sequence[ExceptionRecord] = ()) -> Iterator[str]:
    """The same as `text`, for programs."""
    document = {
        **documents.of_certificate(record.certificate),
        "owner": record.owner,
        "first_seen": documents.time(record.first_seen),
        "gone_at": documents.time(record.gone_at),
        "held": [_sighting(each) for each in record.held],
        "attached": [_sighting(each) for each in record.attached],
        "findings": [documents.of_finding(each) for each in _those(record, State.OPEN)],
        "suppressed": [documents.of_finding(each) for each in _those(record, State.SUPPRESSED)],
        "exceptions": suspensions.documents(exceptions),
        "chain": _chain(record),
    }
    return documents.json_lines(document)


def _sighting(record: SightingRecord) -> dict[str, Any]:
    return {
        **documents.place(record.scope, record.sighting),
        "first_seen": documents.time(record.first_seen),
        "gone_at": documents.time(record.gone_at),
    }


def _chain(record: CertificateRecord) -> list[str]:
    """Fingerprints of what is kept or sent with it where it is now."""
    return next((list(each.sighting.attributes["chain"]) for each in record.held if _has_chain(each)), [])


def _has_chain(record: SightingRecord) -> bool:
    return record.gone_at is None and bool(record.sighting.attributes.get("chain"))


def text(
    record: CertificateRecord, title: Callable[[str], str | None], exceptions: Sequence[ExceptionRecord] = ()
) -> Iterator[str]:
    """Facts, places, attachments, findings, exceptions and chain, for a person. `title` names another certificate."""
    certificate = record.certificate
    yield plain(certificate.title)
    yield f"  {'Fingerprint':<12} {certificate.fingerprint}"
    for label, name in _FACTS.items():
        value = getattr(certificate, name)
        if value:
            yield f"  {label:<12} {plain(_told(value))}"
    yield f"  {'Owner':<12} {plain(record.owner or 'nobody is named')}"
    yield f"  {'First seen':<12} {record.first_seen:%Y-%m-%d %H:%M} UTC"
    yield from _places("Held at", record.held)
    yield from _places("Used by", record.attached)
    yield from _findings("Findings", _those(record, State.OPEN))
    yield from _findings("Suppressed findings", _those(record, State.SUPPRESSED))
    yield from ["", "Exceptions", *suspensions.lines(exceptions)] if exceptions else ()
    links = [f"  {each[:16]}  {plain(title(each) or 'not in the inventory')}" for each in _chain(record)]
    yield from ["", "Chain", *links] if links else ()


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:%Y-%m-%d %H:%M} UTC" if hasattr(value, "isoformat") else str(value)


def _places(heading: str, records: tuple[SightingRecord, ...]) -> Iterator[str]:
    if records:
        yield ""
        yield heading
    for each in sorted(records, key=lambda each: (each.gone_at is not None, each.sighting.location)):
        gone = f", gone since {each.gone_at:%Y-%m-%d %H:%M} UTC" if each.gone_at else ""
        yield f"  {plain(each.sighting.resource)}"
        yield f"    {plain(each.scope.key)}, {each.sighting.role} since {each.first_seen:%Y-%m-%d %H:%M} UTC{gone}"


def _those(record: CertificateRecord, state: State) -> list[Finding]:
    """The findings in one state; the inventory keeps resolved ones for a while."""
    return worst_first(each for each in record.findings if each.state is state)


def _findings(heading: str, found: list[Finding]) -> Iterator[str]:
    if found:
        yield ""
        yield heading
    for each in found:
        yield f"  {each.severity.upper()}  {plain(each.title)}"
        yield f"    {plain(each.detail)}"
        if each.exception and each.exception_ends:
            yield f"    Suspended until {each.exception_ends:%Y-%m-%d %H:%M} UTC by the exception {each.exception}"
        else:
            yield f"    {plain(each.remediation)}"
