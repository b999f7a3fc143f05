"""What a scan of one scope found, and how it differs from the scan before. Pure.

A manifest is the complete result of one scan of one scope. It is compared in memory with the previous one, and only the
difference reaches the table: an unchanged estate costs one listing and no write per certificate.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
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
    Exactly one of `fingerprint` and `holder` is set, or none when there is no certificate to read (then the attribute
    `problem` or `note` says why): an ATTACHED sighting names its `holder`, the location of the place that holds the
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

    @property
    def touched(self) -> tuple[Sighting, ...]:
        """What is written: what is gone as it was, everything else as it is now."""
        return (*self.gone, *self.added, *(now for _, now in self.changed))


def difference(
    before: Mapping[str, Sighting], after: Mapping[str, Sighting], unsure: Iterable[Sighting] = ()
) -> Difference:
    """Compare two manifests of one scope, location → sighting.

    `unsure` are the sightings that interrupted scans had begun to apply (see `begun`): at each of their locations the
    table may hold any of them, what was before, or nothing. So all of these but what is there now count as changed or
    gone, and what is there now is written again, also where `before` and `after` agree.
    """
    doubtful: dict[str, list[Sighting]] = {}
    for sighting in unsure:
        doubtful.setdefault(sighting.location, []).append(sighting)

    def others(location: str) -> Iterator[Sighting]:
        """What may stand in the table and is not there now, each once."""
        now = after.get(location)
        told: list[Sighting] = []
        for was in (before.get(location), *doubtful.get(location, ())):
            if was is not None and was is not now and was != now and was not in told:
                told.append(was)
                yield was

    changed = tuple((was, now) for location, now in after.items() for was in others(location))
    corrected = {now.location for _, now in changed}
    return Difference(
        added=tuple(
            now
            for location, now in after.items()
            if location not in corrected and (location not in before or location in doubtful)
        ),
        changed=changed,
        gone=tuple(was for location in {**before, **doubtful} if location not in after for was in others(location)),
    )


def begun(unsure: Iterable[Sighting], touched: Iterable[Sighting]) -> list[Sighting]:
    """What must be remembered while a difference is applied: every sighting that may stand in the table or may just
    have left it, those of earlier interruptions first, each once. The newest of a location stands last."""
    each_once = {_line(_fields_of(each)): each for each in reversed([*unsure, *touched])}
    return list(reversed(each_once.values()))


def encode(scope: Scope, scanned_at: datetime, sightings: Iterable[Sighting]) -> bytes:
    """A manifest as compressed lines of JSON: one for the scope, one for each sighting, sorted by location."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as zipped:
        zipped.write(_line({"format": FORMAT, "scope": scope.key, "scanned_at": scanned_at.isoformat()}))
        for sighting in sorted(sightings, key=lambda each: each.location):
            zipped.write(_line(_fields_of(sighting)))
    return buffer.getvalue()


def decode(data: bytes) -> list[Sighting]:
    """The sightings of an encoded manifest, sorted by location.

    Raises: InvalidInput when it is damaged or was written in a format that this version does not read.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as zipped:
            head = json.loads(zipped.readline())
            if head["format"] == FORMAT:
                return list(_sightings(zipped))
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"a manifest is damaged ({type(error).__name__}); restore the version before it in the bucket"
        ) from error
    raise InvalidInput(f"manifest of format {head['format']}; this version reads {FORMAT}: deploy the newer one")


def _fields_of(sighting: Sighting) -> dict[str, Any]:
    """Without those that are empty by default."""
    return {name: value for name in _FIELDS if (value := getattr(sighting, name)) or name in ("location", "resource")}


def _sightings(lines: Iterable[bytes]) -> Iterator[Sighting]:
    for line in lines:
        fields = json.loads(line)
        yield Sighting(**(fields | {"role": Role(fields["role"])}))


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
