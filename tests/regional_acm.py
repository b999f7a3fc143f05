"""One fake ACM a region, for services that take a certificate of another region than their own.

acm = RegionalAcm(lambda: now)
arn = acm.put(bundle(1), "us-east-1")
acm.client("us-east-1"); acm.described(arn); acm.served(arn)
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from local_cloud.fakes.acm import Acm
from local_cloud.fakes.attached_certificates import described_by
from local_cloud.fakes.loopback import ACCOUNT, REGION, client
from local_cloud.fakes.references import References
from perennial.certificate import fingerprint
from perennial.targets.interface import Bundle
from target_conformance import Served, public

REGIONS = (REGION, "us-east-1")


class RegionalAcm:
    """ACM of one account in the test's region and in us-east-1."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.fakes = {region: self._fake(region, clock) for region in REGIONS}
        self._clients: dict[str, Any] = {}

    @staticmethod
    def _fake(region: str, clock: Callable[[], datetime]) -> Acm:
        return Acm(where=lambda: (ACCOUNT, region), clock=clock, users=References())

    def client(self, region: str = REGION) -> Any:
        if region not in self._clients:
            self._clients[region] = client(self.fakes[region], region)
        return self._clients[region]

    def put(self, version: Bundle, region: str = REGION) -> str:
        """Import a version as somebody else does it, without tags; its ARN."""
        arn: str = self.client(region).import_certificate(
            Certificate=version.certificate_pem, PrivateKey=version.private_key, CertificateChain=version.chain_pem
        )["CertificateArn"]
        return arn

    def item(self, arn: str) -> Any:
        """What a fake holds under an ARN; None where there is nothing."""
        fake = self.fakes.get(arn.split(":")[3])
        return fake.certificate(arn) if fake else None

    def described(self, arn: str) -> dict[str, Any] | None:
        """As services ask about a certificate."""
        fake = self.fakes.get((arn.split(":") + [""] * 4)[3])
        return described_by(lambda _: fake)(arn) if fake else None

    def served(self, arn: str) -> Served | None:
        """What a place serves that refers to an ARN."""
        item = self.item(arn)
        if item is None or item.der is None:
            return None
        key = public(item.private_key.decode()) if item.private_key else ""
        return Served(fingerprint(item.der), key, tuple(map(fingerprint, item.chain)))

    def copies(self, version: Bundle) -> int:
        """How many copies of a version there are in all regions."""
        held = [item for fake in self.fakes.values() for item in self._items(fake)]
        return sum(1 for item in held if item.der == version.certificate.der)

    @staticmethod
    def _items(fake: Acm) -> list[Any]:
        return [item for state in fake._states.values() for item in state.certificates.values()]
