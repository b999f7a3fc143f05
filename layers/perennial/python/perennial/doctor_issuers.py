"""Whether the issuers of perennial.toml can issue: reachable, active, and fit for the profiles that use them. Pure.

Sources: RFC 8555 7.1.1 (directory), draft-ietf-acme-profiles, RFC 9773; API_CertificateAuthority of ACM PCA.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.checks.wording import listed, on, quoted
from perennial.doctor import Diagnosis, Topic, Unknown
from perennial.profiles import AcmeIssuer, Issuer, PcaIssuer, Profile

TOPIC = Topic("issuers")
SOON = timedelta(days=90)  # a CA's end is prepared long before: its successor must be installed and trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryFacts:
    """An ACME directory that answered. `identities` are the names by which CAA records allow this CA."""

    account_bound: bool = False
    profiles: tuple[str, ...] = ()
    advises: bool = False  # it has renewal information
    identities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityFacts:
    """A CA in ACM PCA."""

    status: str
    not_after: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmFacts:
    """ACM answered in this region."""

    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenFacts:
    """It answered, and what it said means that it cannot be used."""

    words: str


Facts = DirectoryFacts | AuthorityFacts | AcmFacts | BrokenFacts


def judge(
    issuers: Iterable[Issuer], profiles: Iterable[Profile], facts: Mapping[str, Facts | Unknown], now: datetime
) -> Iterator[Diagnosis]:
    """What is to be said of each issuer. One that is distrusted is asked for nothing, and not judged."""
    every = tuple(profiles)
    found = False
    for each in issuers:
        found = True
        using = tuple(one for one in every if each.name in (one.issuer, *one.issuers))
        yield _issuer(each, using, facts.get(each.name, Unknown("it was not asked")), now)
    if not found:
        yield TOPIC.warning(
            "issuers", "perennial.toml has none: nothing can be issued", "docs/issuance.md says how to add one"
        )


def _issuer(issuer: Issuer, using: tuple[Profile, ...], facts: Facts | Unknown, now: datetime) -> Diagnosis:
    if issuer.distrusted:
        return TOPIC.fine(issuer.name, "is distrusted: nothing is asked of it")
    if isinstance(facts, Unknown):
        return _unknown(issuer, facts)
    if isinstance(facts, BrokenFacts):
        return TOPIC.wrong(issuer.name, quoted(facts.words, 400), f"correct issuers.{issuer.name} of perennial.toml")
    if isinstance(facts, DirectoryFacts) and isinstance(issuer, AcmeIssuer):
        return _acme(issuer, using, facts)
    if isinstance(facts, AuthorityFacts) and isinstance(issuer, PcaIssuer):
        return _authority(issuer, using, facts, now)
    region = f" in {facts.region}" if isinstance(facts, AcmFacts) else ""
    return TOPIC.fine(issuer.name, f"ACM answers{region}")


def _unknown(issuer: Issuer, facts: Unknown) -> Diagnosis:
    """That a CA cannot be reached from here says little of the functions, which ask from another network."""
    advice = "try it from the network of the functions too" if isinstance(issuer, AcmeIssuer) else ""
    return TOPIC.unknown(issuer.name, facts.reason, advice)


def _acme(issuer: AcmeIssuer, using: tuple[Profile, ...], facts: DirectoryFacts) -> Diagnosis:
    if facts.account_bound and not issuer.eab_secret:
        words = "the CA binds accounts to its customers, and eab_secret is not set"
        return TOPIC.wrong(
            issuer.name, words, f"put what the CA gives you into a secret and name it in issuers.{issuer.name}"
        )
    unknown = [each for each in using if each.acme_profile and each.acme_profile not in facts.profiles]
    if unknown:
        has = listed(facts.profiles) or "none"
        words = f"the CA has no profile {quoted(unknown[0].acme_profile, 60)}, it has {has}"
        return TOPIC.wrong(issuer.name, words, f"correct acme_profile of profiles.{unknown[0].name}")
    advises = "and advises when to renew" if facts.advises else "and has no renewal information (RFC 9773)"
    return TOPIC.fine(issuer.name, f"its directory answers, {advises}")


def _authority(issuer: PcaIssuer, using: tuple[Profile, ...], facts: AuthorityFacts, now: datetime) -> Diagnosis:
    if facts.status != "ACTIVE":
        return TOPIC.wrong(issuer.name, f"the CA is {facts.status}", "make it active in the ACM PCA console")
    if facts.not_after is None:
        return TOPIC.unknown(issuer.name, "ACM PCA does not say when the CA ends")
    left = facts.not_after - now
    longest = timedelta(days=max((each.validity_days for each in using), default=0))
    ends = f"the CA ends on {on(facts.not_after)}"
    renew = "renew the CA's certificate in ACM PCA, and have its successor trusted"
    if left <= timedelta(0):
        return TOPIC.wrong(issuer.name, f"the CA ended on {on(facts.not_after)}", renew)
    if left < longest:
        words = f"{ends}: before a certificate of {longest.days} days would, so it issues none of those"
        return TOPIC.wrong(issuer.name, words, renew)
    if left < longest + SOON:
        return TOPIC.warning(issuer.name, ends, renew)
    return TOPIC.fine(issuer.name, f"the CA is active until {on(facts.not_after)}")
