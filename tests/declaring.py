"""A hub that declarations can be applied to, in memory, and what tests declare there.

with declaring_hub() as hub:
    hub.apply(declared("shop"))
    hub.record("shop").state
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from certificates import Built
from estate import HUB, Estate
from layers.perennial.conftest import in_memory_hub
from perennial import applying
from perennial.audit_event import Event
from perennial.certificate_request import CertificateRequest
from perennial.declaration import parse
from perennial.declared_changes import Change
from perennial.deployment import Deployment
from perennial.inventory.records import ManagedRecord, Serving, VersionRecord, VersionState
from perennial.managed_certificate import ManagedCertificate

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ASKED_BY = "arn:aws:iam::123456789012:user/anna"
CONFIGURATION = b"""
[issuers.ca]
kind = "acme"
directory = "https://ca.example/directory"

[issuers.other]
kind = "acme"
directory = "https://other.example/directory"

[issuers.bad]
kind = "acme"
directory = "https://bad.example/directory"
distrusted = true

[profiles.strict]
issuer = "ca"
names = ["only.example.com"]

[profiles.web]
issuer = "ca"
issuers = ["other", "bad"]
keys = ["EC-256", "RSA-2048"]
names = [".example.com", "*..example.com"]
wildcards = true
validity_days = 60

[profiles.short]
issuer = "ca"
names = [".example.com"]
validity_days = 6

[profiles.own-key]
issuer = "ca"
names = [".example.com"]
key_home = "requester"

[profiles.in-kms]
issuer = "ca"
names = [".example.com"]
key_home = "kms"

[profiles.secrets]
issuer = "ca"
names = [".example.com"]
targets = ["secretsmanager"]

[policy.owners]
shop = [".example.com", "*..example.com"]

[targets]
kinds = ["elb", "elbv2", "secretsmanager", "apigateway", "webhook", "acm"]
accounts = ["222222222222"]

[windows.nights]
cron = "0 1 * * *"
minutes = 180

[windows.mondays]
cron = "0 1 * * 1"
minutes = 180

[windows.yearly]
cron = "0 1 1 1 *"
minutes = 180

[environments.production]
windows = ["nights"]
grace_hours = 48

[environments.frozen]
blackouts = [{ name = "year-end", start = "2026-11-20T00:00:00Z", end = "2027-01-20T00:00:00Z" }]
"""


def target(name: str = "a", **more: Any) -> dict[str, Any]:
    """A target as a document has it: a Classic Load Balancer of its own name."""
    return {"kind": "elb", "name": name, "load_balancer": name, "port": "443", **more}


def declared(name: str = "shop", *targets: dict[str, Any], **more: Any) -> ManagedCertificate:
    """A declaration that is allowed, but for what is said here."""
    own = {"targets": list(targets)} if targets else {}
    entry = {"names": [f"{name}.example.com"], "profile": "web", "owner": "shop", **own, **more}
    return parse({"certificates": {name: entry}})[0]


@dataclass
class DeclaringHub:
    """An in-memory hub."""

    estate: Estate

    @property
    def deployment(self) -> Deployment:
        return self.estate.deployment

    def apply(
        self, *wanted: ManagedCertificate, prune: bool = False, now: datetime = NOW, **more: Any
    ) -> tuple[Change, ...]:
        return applying.apply(self.deployment, wanted, prune=prune, asked_by=ASKED_BY, now=now, source="cli", **more)

    def record(self, name: str = "shop") -> ManagedRecord:
        return self.deployment.inventory.managed_certificate(name)

    def table(self) -> list[str]:
        """Everything in the table."""
        name = self.deployment.environment["PERENNIAL_TABLE"]
        return sorted(map(repr, self.deployment.clients("dynamodb").scan(TableName=name)["Items"]))

    def kept(self) -> list[str]:
        """The same without the audit trail: what is refused is there, and nowhere else."""
        return [each for each in self.table() if not each.startswith("{'pk': {'S': 'AUDIT")]

    def events(self, name: str = "shop") -> list[Event]:
        """What the audit trail has of a managed certificate, the oldest first."""
        since, until = NOW - timedelta(days=1), NOW + timedelta(days=2)
        return [each.event for each in self.deployment.inventory.audit_of("managed", name, since, until)][::-1]

    def known(self, *certificates: Built) -> None:
        """Certificates that the inventory has."""
        self.deployment.inventory.keep([each.certificate for each in certificates], NOW)

    def version(self, number: int, state: VersionState = VersionState.ISSUED, managed: str = "shop") -> VersionRecord:
        """Keep a version of a managed certificate."""
        record = VersionRecord(
            managed=managed,
            number=number,
            request=CertificateRequest(names=(f"{managed}.example.com",), profile="web", owner="shop"),
            state=state,
            ask=f"{number:032x}",
            issuer="ca",
            requested_at=NOW,
        )
        return self.deployment.inventory.save_version(record, None)


def serving(number: int, fingerprint: str = "ab" * 32) -> Serving:
    """A version that serves."""
    return Serving(
        number=number,
        fingerprint=fingerprint,
        issuer="ca",
        key="EC-256",
        signature="ecdsa-with-SHA256",
        not_before=NOW,
        not_after=NOW + timedelta(days=60),
        request=None,
        targets="",
        since=NOW,
    )


@contextmanager
def declaring_hub(configuration: bytes = CONFIGURATION) -> Iterator[DeclaringHub]:
    """A hub without certificates."""
    with in_memory_hub(configuration) as estate:
        estate.deployment.__dict__["account"] = HUB
        yield DeclaringHub(estate)


def kinds(found: Sequence[Change]) -> dict[str, str]:
    """What becomes of each name."""
    return {each.name: str(each.kind) for each in found}
