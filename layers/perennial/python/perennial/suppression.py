"""Which findings active exceptions cover. Pure, but for one question about managed certificates, which is asked last.

A covered finding is made and kept like any other one, and is suppressed: not open, and not told to people. The place is
assessed again when the exception ends, so that it opens then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from perennial.certificate import Certificate
from perennial.exception_record import ExceptionRecord
from perennial.exception_selection import Facts, covers
from perennial.findings import Finding, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspensions:
    """What is suspended, by the id of the check. `fingerprints_of` names the certificates of a managed certificate."""

    by_rule: Mapping[str, tuple[ExceptionRecord, ...]] = field(default_factory=dict)
    fingerprints_of: Callable[[str], frozenset[str]] = lambda managed: frozenset()


NOTHING = Suspensions()


def suspensions(
    active: Iterable[ExceptionRecord], now: datetime, fingerprints_of: Callable[[str], frozenset[str]]
) -> Suspensions:
    """What exceptions suspend now. What a managed certificate has is asked for once, and only where it decides."""
    by_rule: dict[str, tuple[ExceptionRecord, ...]] = {}
    for each in active:
        if each.holds(now):
            by_rule[each.rule] = (*by_rule.get(each.rule, ()), each)
    known: dict[str, frozenset[str]] = {}

    def once(managed: str) -> frozenset[str]:
        if managed not in known:
            known[managed] = fingerprints_of(managed)
        return known[managed]

    return Suspensions(by_rule=by_rule, fingerprints_of=once)


def suppressed(
    findings: tuple[Finding, ...], certificate: Certificate | None, suspended: Suspensions
) -> tuple[Finding, ...]:
    """The findings of one certificate, those that are covered as such."""
    if not suspended.by_rule:
        return findings
    return tuple(_judged(each, certificate, suspended) for each in findings)


def until(findings: Iterable[Finding]) -> datetime | None:
    """When the first of the exceptions that cover some findings ends; None where none does."""
    return min((each.exception_ends for each in findings if each.exception_ends), default=None)


def _judged(finding: Finding, certificate: Certificate | None, suspended: Suspensions) -> Finding:
    found = covering(finding, certificate, suspended)
    if found is None:
        return finding
    return replace(finding, state=State.SUPPRESSED, exception=found.id, exception_ends=found.ends)


def covering(finding: Finding, certificate: Certificate | None, suspended: Suspensions) -> ExceptionRecord | None:
    """The exception that covers a finding: of several the one that ends last."""
    candidates = suspended.by_rule.get(finding.check, ())
    facts = facts_of(finding, certificate, suspended) if candidates else Facts()
    found = (each for each in candidates if covers(each.selection, facts))
    return max(found, key=lambda each: (each.ends, each.id), default=None)


def facts_of(finding: Finding, certificate: Certificate | None, suspended: Suspensions) -> Facts:
    """What a selection is held against, of a finding."""
    return Facts(
        names=names_of(certificate),
        fingerprint=finding.fingerprint or "",
        owner=finding.owner or "",
        resource=finding.resource,
        account=finding.scope.account,
        region=finding.scope.region,
        managed=lambda managed: bool(finding.fingerprint) and finding.fingerprint in suspended.fingerprints_of(managed),
    )


def names_of(certificate: Certificate | None) -> tuple[str, ...]:
    """The names that a certificate is asked for by; its common name where it has no other (as the inventory does)."""
    if certificate is None:
        return ()
    return tuple(certificate.names) or ((certificate.common_name,) if certificate.common_name else ())
