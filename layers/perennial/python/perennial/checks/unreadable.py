"""Certificates that could not be read, whole or in part. They are kept and shown, and what is unknown is not judged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from perennial.chain import ChainStatus
from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.issuance import requested
from perennial.checks.places import facts
from perennial.checks.wording import about_place, listed, quoted


def _whole(subject: Subject) -> Iterator[Verdict]:
    """The place, where not even the certificate's end is known; and what is attached, where the scanner says so."""
    reasons = _reasons(subject)
    if reasons and facts(subject).not_after is None:
        yield from about_place(f"It could not be read: {listed(reasons)}.")
    for scope, sighting in subject.attached:
        if sighting.attributes.get("problem"):
            yield Verdict(f"It could not be read: {quoted(sighting.attributes['problem'])}.", scope, sighting)


def _reasons(subject: Subject) -> tuple[str, ...]:
    told = subject.sighting.attributes.get("problem")
    return facts(subject).problems or ((str(told),) if told else ())


def _in_part(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    parts = _reasons(subject) if facts(subject).not_after is not None else ()
    if subject.sighting.attributes.get("chain_status") == ChainStatus.UNKNOWN:
        parts = (*parts, "a certificate of its chain")
    return about_place(f"These could not be read: {listed(parts)}." if parts else None)


CHECKS = (
    Check(
        id="unreadable.whole",
        severity=Severity.MEDIUM,
        title="The certificate could not be read",
        remediation=(
            "Remove the reason: grant the permission that it names, make the endpoint answer, or repair what is stored "
            "there; have a certificate that no parser takes issued again. Until then nobody watches its expiry."
        ),
        cites="RFC 5280 section 4.1",
        applies=lambda subject: not requested(subject),
        run=lambda subject, now: tuple(_whole(subject)),
    ),
    Check(
        id="unreadable.part",
        severity=Severity.LOW,
        title="Parts of the certificate or its chain could not be read",
        remediation="Have it issued again without the malformed parts: strict TLS clients refuse it because of them.",
        cites="RFC 5280 sections 4.1 and 4.2",
        applies=lambda subject: subject.certificate is not None,
        run=_in_part,
    ),
)
