"""How the command shows which active exceptions cover a certificate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perennial.cli.plain import plain
from perennial.exception_record import ExceptionRecord
from perennial.exception_selection import Facts, covers
from perennial.suppression import names_of

if TYPE_CHECKING:
    from perennial.inventory.records import CertificateRecord, ManagedRecord
    from perennial.inventory.store import Inventory


def of_certificate(inventory: Inventory, record: CertificateRecord, now: datetime) -> list[ExceptionRecord]:
    """The active exceptions that cover a certificate somewhere where it is, whether or not their check fails there."""
    active = [each for each in inventory.active_exceptions() if each.holds(now)]
    facts = _facts(inventory, record) if active else []
    return [each for each in active if any(covers(each.selection, fact) for fact in facts)]


def _facts(inventory: Inventory, record: CertificateRecord) -> list[Facts]:
    """What selections are held against, for each place that holds or uses the certificate."""
    fingerprint = record.certificate.fingerprint or ""

    def belongs(managed: str) -> bool:
        return fingerprint in inventory.fingerprints_of(managed)

    return [
        Facts(
            names=names_of(record.certificate),
            fingerprint=fingerprint,
            owner=record.owner or "",
            resource=each.sighting.resource,
            account=each.scope.account,
            region=each.scope.region,
            managed=belongs,
        )
        for each in (*record.held, *record.attached)
        if each.gone_at is None
    ]


def of_managed(inventory: Inventory, record: ManagedRecord, now: datetime) -> list[ExceptionRecord]:
    """The active exceptions that cover a managed certificate: what is declared, or where it serves."""
    active = [each for each in inventory.active_exceptions() if each.holds(now)]
    if not active:
        return []
    wanted = record.declared.request
    own = Facts(names=wanted.names, owner=wanted.owner, managed=lambda name: name == record.name)
    found = inventory.show(record.serving.fingerprint) if record.serving else None
    facts = [own, *(_facts(inventory, found) if found else [])]
    return [each for each in active if any(covers(each.selection, fact) for fact in facts)]


def lines(records: Iterable[ExceptionRecord]) -> Iterator[str]:
    """For a person: what is suspended, until when, why, and who granted it."""
    for each in records:
        yield f"  {plain(each.rule)} is suspended until {each.ends:%Y-%m-%d %H:%M} UTC by the exception {each.id}"
        yield f"    {plain(each.reason)} ({plain(each.owner)}; granted by {plain(each.decided_name)})"


def documents(records: Sequence[ExceptionRecord]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "id": each.id,
            "rule": each.rule,
            "ends": each.ends.isoformat(),
            "owner": each.owner,
            "reason": each.reason,
            "granted_by": each.decided_name,
            "selection": each.selection.given(),
        }
        for each in records
    ]
