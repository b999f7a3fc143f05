"""The names in a certificate: whether there are any, whether they cover what is served, and how wide they reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

from perennial.certificate import MAX_NAMES, Certificate
from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import everywhere, facts, leaf, tls_leaf
from perennial.checks.wording import about_place, listed
from perennial.manifest import Sighting

MAX_SUMMARY_NAMES = 100  # ListCertificates of ACM cuts its summaries there


def uncovered(certificate: Certificate, names: Iterable[str]) -> list[str]:
    """Those of the host names and IP addresses that the SAN extension does not cover (RFC 9525 section 6.3), sorted.

    A wildcard stands for exactly one label, the left-most; the common name counts for nothing. Addresses are covered
    while those of the certificate are unknown.
    """
    patterns = set(map(_plain, certificate.dns_names or ()))
    known = certificate.ip_addresses
    addresses = set(map(_address, known or ()))

    def covered(name: str) -> bool:
        address = _address(name)
        if address is not None:
            return known is None or address in addresses
        plain = _plain(name)
        return plain in patterns or f"*.{plain.partition('.')[2]}" in patterns

    return sorted(name for name in names if not covered(name))


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _claimed(sighting: Sighting) -> tuple[str, ...]:
    return tuple(map(str, sighting.attributes.get("names") or ()))


def _all_names_known(certificate: Certificate) -> bool:
    """Lists of names are cut, in the facts and earlier in a service's summary: then a missing name proves nothing."""
    if certificate.dns_names is None:
        return False
    return len(certificate.dns_names) < (MAX_SUMMARY_NAMES if certificate.fingerprint is None else MAX_NAMES)


def _without_names(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    if facts(subject).names:
        return ()
    return about_place("It has no DNS name and no IP address as subject alternative name; clients accept nothing else.")


def _not_covered(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    return tuple(_missing(subject))


def _missing(subject: Subject) -> Iterator[Verdict]:
    for scope, sighting in everywhere(subject):
        missing = uncovered(facts(subject), _claimed(sighting))
        if missing:
            yield Verdict(f"The certificate does not cover {listed(missing)}.", scope, sighting)


def _wildcard(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    wildcards = sorted(name for name in facts(subject).dns_names or () if name.startswith("*."))
    return about_place(f"It holds for every name in {listed(wildcards)}." if wildcards else None)


CHECKS = (
    Check(
        id="names.none",
        severity=Severity.MEDIUM,
        title="The certificate names no host",
        remediation="Have the certificate issued again with every host name in the subject alternative name extension.",
        cites="RFC 9525 section 4.1; Baseline Requirements section 7.1.2.7.12",
        applies=lambda subject: tls_leaf(subject) and facts(subject).dns_names is not None,
        run=_without_names,
    ),
    Check(
        id="names.not-covered",
        severity=Severity.HIGH,
        title="A name is served that the certificate does not cover",
        remediation=(
            "Attach a certificate that covers the name here (as default or by SNI), or have this one issued again "
            "with it; where the name is no longer served, remove it from the alias, domain or endpoint."
        ),
        cites="RFC 9525 section 6.3",
        applies=lambda subject: leaf(subject) and _all_names_known(facts(subject)),
        run=_not_covered,
    ),
    Check(
        id="names.wildcard",
        severity=Severity.LOW,
        title="The certificate is a wildcard",
        remediation=(
            "Name the hosts instead, each service with its own certificate and key: "
            "whoever has the key of a wildcard can be every host below it."
        ),
        cites="RFC 9525 section 7.1",
        applies=lambda subject: leaf(subject) and facts(subject).dns_names is not None,
        run=_wildcard,
    ),
)
