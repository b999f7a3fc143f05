"""A deployment on in-memory AWS and a scripted source, for tests of what happens between a scan and a finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.deployment import Deployment
from perennial.manifest import Role, Scope, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HUB = "123456789012"  # the account of moto
REGION = "eu-west-1"
SCOPE = Scope(HUB, REGION, "acm")
LISTENERS = Scope(HUB, REGION, "elbv2")
LATER = timedelta(hours=1)


@dataclass
class Clock:
    """A clock that tests move."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Source:
    """A scripted source: what it yields, what it fails with, and how many certificates were read from it."""

    name: str
    holds: dict[str, Any] = field(default_factory=dict)  # location -> Built, or holder's location for an attachment
    fails: Exception | None = None
    after: int = 0  # yields before it fails
    reads: int = 0

    def scanner(self) -> Scanner:
        return Scanner(source=self.name, title=self.name, actions=("acm:ListCertificates",), scan=self.scan)

    def scan(self, reading: Reading) -> Iterator[Seen]:
        for number, (location, held) in enumerate(list(self.holds.items())):
            if self.fails is not None and number >= self.after:
                raise self.fails
            yield self._seen(reading, location, held)
        if self.fails is not None and self.after >= len(self.holds):
            raise self.fails

    def _seen(self, reading: Reading, location: str, held: Any) -> Seen:
        if isinstance(held, str):
            names = {"binding": "default", "names": ["served.example.com"]}
            return Seen(
                Sighting(location=location, role=Role.ATTACHED, resource=location, holder=held, attributes=names)
            )
        version = held.certificate.fingerprint
        known = reading.known.get(location)
        if known is not None and known.version == version:
            return Seen(known)
        self.reads += 1
        attributes = {"type": "IMPORTED", "in_use": True, "tags": {"owner": "shop"}, "public": False}
        sighting = Sighting(
            location=location,
            role=Role.STORED,
            resource=location,
            fingerprint=held.certificate.fingerprint,
            version=version,
            attributes=attributes,
        )
        return Seen(sighting, held.certificate)


@dataclass
class Estate:
    """The deployment, its clock, and its sources by name."""

    deployment: Deployment
    clock: Clock
    acm: Source
    elbv2: Source
    alerts: Any = None  # the SQS queue behind the SNS topic
