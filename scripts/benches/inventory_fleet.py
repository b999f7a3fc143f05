"""An inventory of any size, made of the items that scans write, with groups whose size is known.

The DER is a placeholder, as no question reads it. Groups of each of `ANSWERS` certificates share an owner, an issuer, a
key, a signature, a public key, a name, a load balancer, the month of their end and the severity of a finding; all
others share other values among them, so that they are in the way of an index that would be read in part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from perennial.certificate import Certificate
from perennial.checks.interface import Severity
from perennial.inventory import conversion
from perennial.inventory.items import Item
from perennial.manifest import Role, Sighting

ANSWERS = (10, 100, 1_000)  # certificates in each group
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
OTHERS = timedelta(days=400)  # from NOW to the first end of one in no group
NAMED_EVERY = 100  # of those in no group, every hundredth has its names, places and findings in the table too
PLACEHOLDER = bytes(900)


@dataclass(frozen=True)
class Group:
    """Certificates that one question finds: those with this label."""

    label: str

    @property
    def since(self) -> datetime:
        """When the first of a numbered group ends; the others of it follow within a day."""
        month = ANSWERS.index(int(self.label)) + 1 if self.label.isdigit() else 0
        return NOW + timedelta(days=60 * month)

    @property
    def owner(self) -> str:
        return f"team-{self.label}"

    @property
    def issuer(self) -> str:
        return f"CN=Issuing CA {self.label},O=Example Corp"

    @property
    def key(self) -> str:
        return f"RSA-{self.label}"

    @property
    def signature(self) -> str:
        return f"signature-{self.label}"

    @property
    def public_key(self) -> str:
        return _hash(f"key {self.label}")

    @property
    def name(self) -> str:
        return f"shared-{self.label}.example.com"

    @property
    def severity(self) -> Severity:
        return list(Severity)[ANSWERS.index(int(self.label))] if self.label.isdigit() else Severity.INFORMATIONAL

    @property
    def resource(self) -> str:
        return f"arn:aws:elasticloadbalancing:eu-west-1:111111111111:listener/app/{self.label}/1/2"


def items(size: int) -> Iterator[Item]:
    """All items of an inventory with `size` certificates."""
    number = 0
    for answer in ANSWERS:
        for _ in range(answer):
            yield from _items(number, Group(str(answer)), all_of_it=True)
            number += 1
    for rest in range(number, size):
        yield from _items(rest, Group("others"), all_of_it=rest % NAMED_EVERY == 0)


def _items(number: int, group: Group, *, all_of_it: bool) -> Iterator[Item]:
    certificate = _certificate(number, group)
    yield _certificate_item(certificate, group)
    if all_of_it:
        yield from conversion.finding_aids(certificate)
        yield _sighting_item(certificate, group)
        yield _finding_item(certificate, group)


def _certificate(number: int, group: Group) -> Certificate:
    end = group.since + timedelta(minutes=number % 1_440) if group.label.isdigit() else _other_end(number)
    grouped = group.label.isdigit()
    return Certificate(
        fingerprint=_hash(str(number)),
        der=PLACEHOLDER,
        serial=f"{number:032x}",
        issuer=group.issuer,
        common_name=f"host{number}.example.com",
        not_after=end,
        dns_names=(group.name if grouped else f"host{number}.example.com",),
        key_algorithm=group.key,
        signature_algorithm=group.signature,
        public_key_sha256=group.public_key if grouped else _hash(f"key of {number}"),
    )


def _other_end(number: int) -> datetime:
    return NOW + OTHERS + timedelta(minutes=number % 200_000)


def _certificate_item(certificate: Certificate, group: Group) -> Item:
    item = conversion.certificate_item(certificate, NOW)
    item.owner = group.owner
    item.owner_key = conversion.sharded(group.owner, certificate.fingerprint or "")
    return item


def _sighting_item(certificate: Certificate, group: Group) -> Item:
    """Where it serves: a listener's sighting, under the place that holds the certificate."""
    arn = f"arn:aws:acm:eu-west-1:111111111111:certificate/{(certificate.fingerprint or '')[:36]}"
    listener = group.resource if group.label.isdigit() else f"{group.resource}/{certificate.serial}"
    sighting = Sighting(location=f"{listener}#{arn}", role=Role.ATTACHED, resource=listener, holder=arn)
    pk, sk = conversion.sighting_key(sighting)
    return Item(
        pk,
        sk,
        kind="sighting",
        scope="111111111111/eu-west-1/elbv2",
        location=sighting.location,
        role=str(sighting.role),
        resource=listener,
        holder=arn,
        first_seen="2026-11-01T12:00:00Z",
    )


def _finding_item(certificate: Certificate, group: Group) -> Item:
    place = f"arn:aws:acm:eu-west-1:111111111111:certificate/{(certificate.fingerprint or '')[:36]}"
    identity = _hash(f"finding {place}")[:32]
    return Item(
        conversion.place_key(place),
        f"{conversion.FINDING}{identity}",
        kind="finding",
        check="expiry.soon",
        severity=str(group.severity),
        title="The certificate expires soon: past the second expiry threshold",
        detail="Valid from 2026-10-01 until 2026-12-30.",
        remediation="Renew the certificate and put the new one in place. " * 4,
        scope="111111111111/eu-west-1/acm",
        place=place,
        location=place,
        resource=place,
        subject=certificate.title,
        fingerprint=certificate.fingerprint,
        state="open",
        opened_at="2026-11-01T12:00:00Z",
        updated_at="2026-11-01T12:00:00Z",
        finding_key=conversion.sharded(str(group.severity), identity),
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
