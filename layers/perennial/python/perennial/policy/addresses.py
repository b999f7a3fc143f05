"""IP addresses: only where the profile says so, and where the issuer can validate them."""

from __future__ import annotations

from collections.abc import Iterator

from perennial.names import is_address
from perennial.policy.asked import named
from perennial.policy.interface import Rule, Subject, Violation
from perennial.profiles import AcmeIssuer, AcmIssuer, ChallengeKind, Issuer

_BY_DNS = (ChallengeKind.DNS, ChallengeKind.DNS_PERSIST)


def _addresses(subject: Subject) -> Iterator[str]:
    return (field for field, name in named(subject) if is_address(name))


def _profile(subject: Subject) -> Iterator[Violation]:
    if subject.profile.addresses:
        return
    for field in _addresses(subject):
        detail = f"The profile {subject.profile.name} does not allow IP addresses."
        yield Violation(field, "addresses.profile", detail, "DNS names")


def _issuer(subject: Subject) -> Iterator[Violation]:
    reason = _why_not(subject.issuer)
    if not reason:
        return
    for field in _addresses(subject):
        detail = f"The issuer {subject.issuer.name} {reason}."
        yield Violation(field, "addresses.issuer", detail, "DNS names, or a profile whose issuer validates by http-01")


def _why_not(issuer: Issuer) -> str:
    """Why an issuer certifies no address; "" where it may."""
    if isinstance(issuer, AcmIssuer):
        return "is ACM, whose public certificates hold no IP address"
    if isinstance(issuer, AcmeIssuer) and issuer.challenge in _BY_DNS:
        return f"validates by {issuer.challenge.value}, which cannot prove control of an IP address"
    return ""


RULES = (
    Rule(
        id="addresses.profile",
        title="IP addresses are in profiles that allow them",
        cites="`addresses` of `[profiles.<name>]`",
        run=_profile,
    ),
    Rule(
        id="addresses.issuer",
        title="IP addresses are asked of issuers that can validate them",
        cites="RFC 8738 section 7; ACM User Guide, Certificate characteristics",
        run=_issuer,
    ),
)
