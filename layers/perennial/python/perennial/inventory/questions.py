"""What the inventory is asked. Each question reads in proportion to its answer; none scans the table.

Lists of certificates come in the order of their end, the earliest first, one by one: who stops taking stops reading.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from perennial.checks.interface import Severity
from perennial.findings import Finding, State
from perennial.inventory import conversion
from perennial.inventory.conversion import certificate_key, name_key, place_key, sighting_of, summary_of
from perennial.inventory.indexes import SHARDS
from perennial.inventory.items import Item, stamp, time_of
from perennial.inventory.records import (
    CertificateRecord,
    CertificateSummary,
    RunRecord,
    ScopeRecord,
    SightingRecord,
)

PAGE = 500
FIRST = datetime(1, 1, 1, tzinfo=UTC)
MAX_MONTHS = 600


class Questions:
    """The reading half of the inventory."""

    def expiring(self, since: datetime, until: datetime) -> Iterator[CertificateSummary]:
        """Certificates whose end lies between two times."""
        months = _months(since, until)
        return chain.from_iterable(self._listed("expiry", month, since, until) for month in months)

    def owned_by(self, owner: str, until: datetime | None = None) -> Iterator[CertificateSummary]:
        """Certificates of one owner."""
        return self._listed("owner", owner, None, until)

    def issued_by(self, issuer: str, until: datetime | None = None) -> Iterator[CertificateSummary]:
        """Certificates of one issuer, named in full as in `issuers`."""
        return self._listed("issuer", issuer, None, until)

    def with_key(self, key: str, until: datetime | None = None) -> Iterator[CertificateSummary]:
        """Certificates by key algorithm and size: RSA-2048, EC-256, Ed25519, ML-DSA-65."""
        return self._listed("key", key, None, until)

    def signed_with(self, signature: str, until: datetime | None = None) -> Iterator[CertificateSummary]:
        """Certificates by signature algorithm: sha256WithRSAEncryption, ecdsa-with-SHA256."""
        return self._listed("signature", signature, None, until)

    def with_public_key(self, public_key_sha256: str, limit: int | None = None) -> Iterator[CertificateSummary]:
        """Certificates with one public key: more than one means that a key is used again."""
        return map(summary_of, Item.public_key_index.query(public_key_sha256, limit=limit, page_size=limit or PAGE))

    def named(self, name: str, *, subtree: bool = False) -> Iterator[CertificateSummary]:
        """Certificates with a name, a wildcard being a name of its own; with `subtree` also every name below it."""
        zone, reverse = name_key(name)
        prefix = Item.sk.startswith(reverse if subtree else reverse + "#")
        found: dict[str, None] = {}
        for item in Item.query(zone, prefix, page_size=PAGE):
            rest = item.sk[len(reverse) :]
            if rest[:1] in ("#", "."):
                found[item.fingerprint] = None
        return self._summaries(found)

    def beginning_with(self, prefix: str, limit: int) -> list[str]:
        """Fingerprints that begin so; `prefix` has at least two hexadecimal digits."""
        found = Item.query(conversion.prefix_key(prefix), Item.sk.startswith(prefix), limit=limit, page_size=limit)
        return [item.sk for item in found]

    def at_resource(self, resource: str) -> Iterator[SightingRecord]:
        """Sightings at a resource (ARN or host:port), gone ones too."""
        for item in Item.resource_index.query(resource, Item.sk.startswith(conversion.SIGHTING), page_size=PAGE):
            for full in Item.query(item.pk, Item.sk == item.sk, consistent_read=True):
                yield sighting_of(full)

    def certificate_of_place(self, place: str) -> str | None:
        """The fingerprint of what is held at a place now."""
        sk = conversion.fitting(conversion.SIGHTING + place)
        for item in Item.query(place_key(place), Item.sk == sk):
            return str(item.fingerprint) if item.fingerprint and not item.gone_at else None
        return None

    def words(self, kind: str, part: str = "") -> Iterator[str]:
        """Known issuers or owners that contain a text, compared without regard to case."""
        for item in Item.query(f"WORD#{kind}", page_size=PAGE):
            if part.lower() in item.sk.lower():
                yield item.sk

    def show(self, fingerprint: str, most: int | None = None) -> CertificateRecord | None:
        """All that is known of one certificate, of its places at most `most`; None when it is not in the inventory."""
        limit = None if most is None else most + 2  # itself, and one place more, to tell
        items = list(Item.query(certificate_key(fingerprint), consistent_read=True, limit=limit))
        own = next((item for item in items if item.sk == conversion.CERTIFICATE), None)
        if own is None:
            return None
        pointers = [item for item in items if item is not own]
        held, attached, findings = self._places(fingerprint, pointers[:most])
        return CertificateRecord(
            certificate=conversion.certificate_of(own),
            owner=own.owner,
            first_seen=time_of(own.first_seen),
            gone_at=conversion.time(own.gone_at),
            held=tuple(held),
            attached=tuple(attached),
            findings=tuple(findings),
            more_places=most is not None and len(pointers) > most,
        )

    def _places(
        self, fingerprint: str, pointers: Iterable[Item]
    ) -> tuple[list[SightingRecord], list[SightingRecord], list[Finding]]:
        held: list[SightingRecord] = []
        attached: list[SightingRecord] = []
        findings: list[Finding] = []
        for pointer in pointers:
            for item in Item.query(place_key(pointer.location), consistent_read=True):
                if item.kind == "finding":
                    findings += [conversion.finding_of(item)] if item.fingerprint == fingerprint else []
                elif item.location == pointer.location:
                    held.append(conversion.as_held(item, pointer))
                elif not pointer.gone_at:
                    attached.append(sighting_of(item))
        return held, attached, findings

    def findings(self, severities: Iterable[Severity] = tuple(Severity)) -> Iterator[Finding]:
        """Open findings, the worst severity first."""
        for severity in severities:
            for number in range(SHARDS):
                keys = [(item.pk, item.sk) for item in Item.finding_index.query(f"{severity}#{number}", page_size=PAGE)]
                found = map(conversion.finding_of, Item.batch_get(keys, consistent_read=True))
                yield from (each for each in found if each.state is State.OPEN)  # the index may lag behind

    def scopes(self) -> Iterator[ScopeRecord]:
        """Every scope that was scanned, and how its last scan ended."""
        for item in Item.query("SCOPE", page_size=PAGE):
            if item.kind == "scope":
                yield conversion.scope_of(item)

    def scopes_named(self, keys: Iterable[str]) -> Iterator[ScopeRecord]:
        """The records of some scopes, as far as they were ever scanned."""
        for item in Item.batch_get([("SCOPE", key) for key in keys], consistent_read=True):
            if item.kind == "scope":
                yield conversion.scope_of(item)

    def runs(self, limit: int) -> Iterator[RunRecord]:
        """The last runs of Discovery, the newest first."""
        return map(conversion.run_of, Item.query("RUN", scan_index_forward=False, limit=limit, page_size=limit))

    def _listed(
        self, index: str, value: str, since: datetime | None, until: datetime | None
    ) -> Iterator[CertificateSummary]:
        """One list out of the shards of an index, merged by time."""
        condition: Any = None
        if since and until:
            condition = Item.not_after.between(stamp(since), stamp(until))
        elif until:
            condition = Item.not_after <= stamp(until)
        shards = (self._shard(index, f"{value[: conversion.MAX_WORD]}#{number}", condition) for number in range(SHARDS))
        return heapq.merge(*shards, key=lambda summary: (summary.not_after, summary.fingerprint))

    def _shard(self, index: str, value: str, condition: Any) -> Iterator[CertificateSummary]:
        declared = getattr(Item, f"{index}_index")
        return map(summary_of, declared.query(value, condition, page_size=PAGE))

    def _summaries(self, fingerprints: Iterable[str]) -> Iterator[CertificateSummary]:
        keys = [(certificate_key(each), conversion.CERTIFICATE) for each in fingerprints]
        found = map(summary_of, Item.batch_get(keys))
        return iter(sorted(found, key=lambda summary: (summary.not_after is None, summary.not_after or FIRST)))


def _months(since: datetime, until: datetime) -> list[str]:
    """The buckets between two times, at most `MAX_MONTHS`."""
    months: list[str] = []
    day = since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while day <= until and len(months) < MAX_MONTHS:
        months.append(conversion.expiry_bucket(day))
        day = (day + timedelta(days=32)).replace(day=1)
    return months
