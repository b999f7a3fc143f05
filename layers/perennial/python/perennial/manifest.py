"""What a scan of one scope found, and how it differs from the scan before. Pure.

A manifest is the complete result of one scan of one scope. It is compared in memory with the previous one, and only the
difference reaches the table: an unchanged estate costs one listing and no write per certificate.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from perennial.certificate import Certificate
from perennial.errors import InvalidInput

FORMAT = 1


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """The unit that is scanned: one account × region × source. Global services have the region `aws-global`."""

    account: str
    region: str
    source: str

    @property
    def key(self) -> str:
        """`account/region/source`, as it stands in manifests, events and commands."""
        return f"{self.account}/{self.region}/{self.source}"

    @classmethod
    def of(cls, key: str) -> Scope:
        """The scope of a key.

        Raises: InvalidInput.
        """
        parts = key.split("/")
        if len(parts) != 3 or not all(parts):
            raise InvalidInput(f"{key[:100]!r} is not a scope; write account/region/source")
        return cls(*parts)


class Role(StrEnum):
    """What a certificate does at a sighting."""

    STORED = "stored"  # held here with or without its key: ACM, IAM, a secret
    ATTACHED = "attached"  # a listener, domain or distribution uses what another place holds
    SERVED = "served"  # seen in a TLS handshake
    AUTHORITY = "authority"  # the certificate of a private CA
    ANCHOR = "anchor"  # trusted as a root by a trust store


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A place where a certificate is.

    `location` is unique within the scope and stays the same between scans: an ARN, `listener-arn#certificate-arn`,
    `trust-store-arn#fingerprint`, `host:port`. `resource` is what a person would look for and what Security Hub is told
    of: the ARN of the load balancer's listener, the distribution, the domain, the certificate.
    Exactly one of `fingerprint` and `holder` is set, or none when the certificate could not be read (then
    `attributes["problem"]` says why): an ATTACHED sighting names its `holder`, the location of the place that holds the
    certificate, so that a re-import there moves everything attached at once.
    `version` changes when the source tells that the certificate itself may have changed; while it stays, the scanner
    reuses what the manifest knows instead of reading the certificate again.
    `attributes` hold JSON values only: see `scanners/interface.py` for their names.
    """

    location: str
    role: Role
    resource: str
    fingerprint: str | None = None
    holder: str | None = None
    version: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The location that holds the certificate: its own or its holder's. Checks look at one place at a time."""
        return self.holder or self.location


_FIELDS = tuple(each.name for each in fields(Sighting))


@dataclass(frozen=True, slots=True)
class Seen:
    """One yield of a scanner: the sighting and, where it was read now, the certificate and the chain with it."""

    sighting: Sighting
    certificate: Certificate | None = None
    chain: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed in a scope since its last complete scan."""

    added: tuple[Sighting, ...]
    changed: tuple[tuple[Sighting, Sighting], ...]  # before, after
    gone: tuple[Sighting, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.gone)


def difference(
    before: Mapping[str, Sighting], after: Mapping[str, Sighting], unsure: Mapping[str, Sighting] | None = None
) -> Difference:
    """Compare two manifests of one scope, location → sighting.

    `unsure` is what an interrupted scan had begun to apply: it may or may not stand in the table, so whatever of it is
    otherwise by now counts as changed or gone, also where `before` and `after` agree.
    """
    begun = {location: was for location, was in (unsure or {}).items() if before.get(location) != was}
    were = {**before, **begun}
    return Difference(
        added=tuple(now for location, now in after.items() if location not in before),
        changed=tuple(
            (were[location], now)
            for location, now in after.items()
            if location in were and were[location] is not now and were[location] != now
        ),
        gone=tuple(was for location, was in were.items() if location not in after),
    )


def encode(scope: Scope, scanned_at: datetime, sightings: Iterable[Sighting]) -> bytes:
    """A manifest as compressed lines of JSON: one for the scope, one for each sighting, sorted by location."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as zipped:
        zipped.write(_line({"format": FORMAT, "scope": scope.key, "scanned_at": scanned_at.isoformat()}))
        for sighting in sorted(sightings, key=lambda each: each.location):
            zipped.write(_line({name: getattr(sighting, name) for name in _FIELDS if getattr(sighting, name)}))
    return buffer.getvalue()


def decode(data: bytes) -> dict[str, Sighting]:
    """The sightings of an encoded manifest, by location.

    Raises: InvalidInput when it was written in a format that this version does not read.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as zipped:
        head = json.loads(zipped.readline())
        if head.get("format") != FORMAT:
            raise InvalidInput(f"manifest of format {head.get('format')}; this version reads {FORMAT}: scan again")
        return {sighting.location: sighting for sighting in _sightings(zipped)}


def _sightings(lines: Iterable[bytes]) -> Iterator[Sighting]:
    for line in lines:
        fields = json.loads(line)
        yield Sighting(**(fields | {"role": Role(fields["role"])}))


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
