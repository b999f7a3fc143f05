"""An inventory for the latency of the API: certificates of 47 days or so, and managed certificates, of one team."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benches import table

if TYPE_CHECKING:
    from benches.deploy_cloud import Hub
    from perennial.certificate import Certificate
    from perennial.inventory.records import ManagedRecord

TEAM = "bench"
ENDS = timedelta(days=60)  # from now, over which the certificates end


def plant(hub: Hub, certificates: int, managed: int) -> None:
    """Put so many into the hub's table."""
    now = datetime.now(UTC).replace(microsecond=0)
    table.fill(hub.client("dynamodb"), hub.outputs["TableName"], items(certificates, now))
    for number in range(managed):
        hub.deployment.inventory.save_managed(record(f"shop-{number:03}", now))


def items(size: int, now: datetime) -> Iterator[Mapping[str, Any]]:
    """The items of certificates as a list reads them, and of the months in which they end."""
    from perennial.inventory import conversion
    from perennial.inventory.items import Item

    months = set()
    for number in range(size):
        made = certificate(number, now + ENDS * number / size)
        item = conversion.certificate_item(made, now)
        item.owner, item.owner_key = TEAM, conversion.sharded(TEAM, made.fingerprint or "")
        months.add(item.expiry_key.partition("#")[0])
        yield item.to_dynamodb_dict()
    for month in sorted(months):
        yield Item("WORD#month", month, kind="word").to_dynamodb_dict()


def certificate(number: int, end: datetime) -> Certificate:
    """One of which only facts are known. No list reads its DER."""
    from perennial.certificate import Certificate

    return Certificate(
        fingerprint=hashlib.sha256(str(number).encode()).hexdigest(),
        serial=f"{number + 1:x}",
        issuer="CN=Issuing CA,O=Example Corp",
        common_name=f"host{number}.example.com",
        not_after=end.replace(microsecond=0),
        key_algorithm="EC",
        key_size=256,
        signature_algorithm="ecdsa-with-SHA256",
        public_key_sha256=hashlib.sha256(f"key {number}".encode()).hexdigest(),
    )


def record(name: str, now: datetime) -> ManagedRecord:
    """A managed certificate that was declared now, and is due for nothing."""
    from perennial.certificate_request import CertificateRequest
    from perennial.inventory.records import ManagedRecord, ManagedState
    from perennial.managed_certificate import ManagedCertificate

    asked = CertificateRequest(names=(f"{name}.example.com",), profile="web", owner=TEAM)
    declared = ManagedCertificate(name=name, request=asked)
    return ManagedRecord(declared=declared, state=ManagedState.REQUESTED, declared_at=now, declared_by=TEAM)
