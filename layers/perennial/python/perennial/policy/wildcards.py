"""Wildcards: only where the profile says so, where the issuer can validate them, and never below a whole top level."""

from __future__ import annotations

from collections.abc import Iterator

from perennial.names import is_internal, is_wildcard
from perennial.policy.asked import named
from perennial.policy.interface import Rule, Subject, Violation
from perennial.profiles import AcmeIssuer, ChallengeKind


def _wildcards(subject: Subject) -> Iterator[tuple[str, str]]:
    return ((field, name) for field, name in named(subject) if is_wildcard(name))


def _profile(subject: Subject) -> Iterator[Violation]:
    if subject.profile.wildcards:
        return
    for field, _ in _wildcards(subject):
        detail = f"The profile {subject.profile.name} does not allow wildcards."
        yield Violation(field, "wildcards.profile", detail, "the hosts themselves, each by its name")


def _challenge(subject: Subject) -> Iterator[Violation]:
    issuer = subject.issuer
    if not isinstance(issuer, AcmeIssuer) or issuer.challenge is not ChallengeKind.HTTP:
        return
    for field, _ in _wildcards(subject):
        detail = f"The issuer {issuer.name} validates by http-01, which cannot prove control of a wildcard."
        yield Violation(field, "wildcards.challenge", detail, "a profile whose issuer validates by dns-01")


def _top_level(subject: Subject) -> Iterator[Violation]:
    for field, name in _wildcards(subject):
        if "." not in name.removeprefix("*.") and not is_internal(name):
            detail = "The wildcard stands for everything below a top-level domain."
            yield Violation(field, "wildcards.top-level", detail, "a wildcard below two labels or more")


RULES = (
    Rule(
        id="wildcards.profile",
        title="Wildcards are in profiles that allow them",
        cites="`wildcards` of `[profiles.<name>]`; RFC 9525 section 7.1",
        run=_profile,
    ),
    Rule(
        id="wildcards.challenge",
        title="Wildcards are not validated by http-01",
        cites="Baseline Requirements section 3.2.2.4.19",
        run=_challenge,
    ),
    Rule(
        id="wildcards.top-level",
        title="No wildcard is below a single label that may be a public top-level domain",
        cites="Baseline Requirements section 3.2.2.6",
        run=_top_level,
    ),
)
