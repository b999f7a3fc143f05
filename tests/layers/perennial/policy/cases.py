"""Requests for the tests of policy rules, and how a rule judges them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from perennial.certificate_request import CertificateRequest
from perennial.policy import CsrFacts, Subject, Violation, rules
from perennial.profiles import (
    AcmeIssuer,
    AcmIssuer,
    ChallengeKind,
    Issuer,
    KeyHome,
    Organisation,
    PcaIssuer,
    Profile,
)

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NAMES = (".example.com", "*.example.com", ".corp.internal", "xn--bcher-kva.de", "192.0.2.0/24", "8.8.8.0/24")
PUBLIC = AcmeIssuer(name="ca", directory="https://ca.example.com/directory")
BY_HTTP = replace(PUBLIC, challenge=ChallengeKind.HTTP)
PRIVATE = PcaIssuer(name="pca", authority="arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/1")
AMAZON = AcmIssuer(name="amazon")
ORGANISATION = Organisation(owners={"shop": NAMES, "blog": ()})
PROFILE = Profile(name="web", issuer="ca", names=NAMES)


def asked(
    *names: str,
    issuer: Issuer = PUBLIC,
    now: datetime = NOW,
    owner: str = "shop",
    key: str = "",
    days: int = 0,
    csr: CsrFacts | None = None,
    organisation: Organisation = ORGANISATION,
    **profile: Any,
) -> Subject:
    """A request that is allowed but for what is said here; the rest are fields of the profile."""
    names = names or (("db.corp.internal",) if issuer is PRIVATE else ("shop.example.com",))
    request = CertificateRequest(
        names=names, profile="web", owner=owner, key=key, validity_days=days, csr=b"0" if csr else b""
    )
    if issuer is AMAZON:
        profile.setdefault("key_home", KeyHome.ISSUER)
    if csr:
        profile.setdefault("key_home", KeyHome.REQUESTER)
    return Subject(
        request=request,
        profile=replace(PROFILE, issuer=issuer.name, **profile),
        issuer=issuer,
        organisation=organisation,
        now=now,
        csr=csr,
    )


def without_names(subject: Subject) -> Subject:
    """The same with no name at all."""
    return replace(subject, request=replace(subject.request, names=()))


def violations(rule: str, subject: Subject) -> list[Violation]:
    """What one rule says of a request."""
    return list(rules()[rule].run(subject))


@dataclass(frozen=True)
class Case:
    """Requests that pass a rule, and such that fail it with the field that is named; every rule has both."""

    passes: tuple[Subject, ...]
    fails: tuple[tuple[Subject, str], ...]
