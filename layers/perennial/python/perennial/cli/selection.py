"""Which certificates of the inventory fit several conditions at once.

The most selective condition chooses what is read; the others are judged while reading, on the line itself where it
tells enough, else on the certificate.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perennial.certificate import Certificate
from perennial.inventory.records import CertificateSummary

if TYPE_CHECKING:
    from perennial.inventory.store import Inventory


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """All must hold; None asks for nothing. `key` may be a family (RSA) or a key (RSA-2048)."""

    now: datetime
    expiring: timedelta | None = None
    expired: bool = False
    owner: str | None = None
    issuer: str | None = None  # part of the name
    key: str | None = None
    signature: str | None = None
    name: str | None = None
    subtree: bool = False
    public_key: str | None = None
    resource: str | None = None
    include_gone: bool = False

    @property
    def until(self) -> datetime | None:
        """The latest end that is asked for."""
        if self.expiring is not None:
            return self.now + self.expiring
        return self.now if self.expired else None


def select(inventory: Inventory, conditions: Conditions) -> Iterator[CertificateSummary]:
    """The certificates that fit, each once, the earliest end first wherever the inventory tells the end."""
    told: set[str] = set()
    for summary in _candidates(inventory, conditions):
        if summary.fingerprint in told or not _fits(summary, conditions):
            continue
        if not _more_needed(conditions) or _facts_fit(inventory, summary.fingerprint, conditions):
            told.add(summary.fingerprint)
            yield summary


def _candidates(inventory: Inventory, conditions: Conditions) -> Iterator[CertificateSummary]:
    until = conditions.until
    if conditions.resource:
        return _at(inventory, conditions.resource, conditions.include_gone)
    if conditions.public_key:
        return inventory.with_public_key(conditions.public_key)
    if conditions.name:
        return inventory.named(conditions.name, subtree=conditions.subtree)
    if conditions.owner:
        return inventory.owned_by(conditions.owner, until)
    if conditions.signature:
        return inventory.signed_with(conditions.signature, until)
    if until is not None and not conditions.expired and not conditions.issuer:
        return inventory.expiring(conditions.now, until)
    if conditions.key and "-" in conditions.key and not conditions.issuer:
        return inventory.with_key(conditions.key, until)
    issuers = inventory.words("issuer", conditions.issuer or "")  # every certificate has one
    lists = [inventory.issued_by(each, until) for each in issuers]
    return heapq.merge(*lists, key=lambda summary: (summary.not_after, summary.fingerprint))


def _at(inventory: Inventory, resource: str, include_gone: bool) -> Iterator[CertificateSummary]:
    """What a resource holds, or uses from another place."""
    found: dict[str, None] = {}
    for record in inventory.at_resource(resource):
        if record.gone_at is None or include_gone:
            sighting = record.sighting
            fingerprint = sighting.fingerprint or inventory.certificate_of_place(sighting.place)
            if fingerprint:
                found[fingerprint] = None
    yield from _summaries(inventory, found)


def _summaries(inventory: Inventory, fingerprints: Iterable[str]) -> Iterator[CertificateSummary]:
    for fingerprint in fingerprints:
        record = inventory.show(fingerprint)
        if record is not None:
            facts = record.certificate
            yield CertificateSummary(
                fingerprint=fingerprint,
                title=facts.title,
                issuer=facts.issuer,
                serial=facts.serial,
                not_after=facts.not_after,
                key=facts.key,
                owner=record.owner,
                gone_at=record.gone_at,
            )


def _fits(summary: CertificateSummary, conditions: Conditions) -> bool:
    """What the line itself tells."""
    return (
        (conditions.include_gone or summary.gone_at is None)
        and (conditions.owner is None or summary.owner == conditions.owner)
        and (conditions.issuer is None or conditions.issuer.lower() in (summary.issuer or "").lower())
        and (conditions.key is None or _key_fits(summary.key or "", conditions.key))
        and _end_fits(summary.not_after, conditions)
    )


def _key_fits(key: str, wanted: str) -> bool:
    return key.lower() == wanted.lower() or key.lower().startswith(f"{wanted.lower()}-")


def _end_fits(end: datetime | None, conditions: Conditions) -> bool:
    until = conditions.until
    if until is None:
        return True
    return end is not None and end <= until and (conditions.expired or end >= conditions.now)


def _more_needed(conditions: Conditions) -> bool:
    """Whether a condition is left that neither the reading nor the line answers."""
    asked = [conditions.resource, conditions.public_key, conditions.name, conditions.owner, conditions.signature]
    first = next((number for number, each in enumerate(asked) if each), len(asked))
    return any(asked[number] for number in (1, 2, 4) if number > first)


def _facts_fit(inventory: Inventory, fingerprint: str, conditions: Conditions) -> bool:
    """What only the certificate tells."""
    found = inventory.certificate_and_owner(fingerprint)
    if found is None:
        return False
    certificate, _ = found
    return (
        (conditions.public_key is None or certificate.public_key_sha256 == conditions.public_key)
        and (conditions.signature is None or certificate.signature_algorithm == conditions.signature)
        and (conditions.name is None or _name_fits(certificate, conditions.name, conditions.subtree))
    )


def _name_fits(certificate: Certificate, wanted: str, subtree: bool) -> bool:
    names = certificate.names or ((certificate.common_name,) if certificate.common_name else ())
    sought = wanted.lower().rstrip(".")
    return any(name.lower() == sought or (subtree and name.lower().endswith(f".{sought}")) for name in names)
