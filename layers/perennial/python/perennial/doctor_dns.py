"""Whether names that public issuers may certify can be proven: their zones, delegations and CAA records. Pure.

Sources: RFC 8659 (CAA: the tree is climbed to the first record set, 3; issue and issuewild, 4.2 and 4.3; a critical
property that is not known forbids, 4.5); "Configure a CAA record" in the ACM user guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from perennial.checks.wording import listed, quoted
from perennial.doctor import Diagnosis, Topic, Unknown
from perennial.doctor_resolver import Caa
from perennial.profiles import AcmeIssuer, AcmIssuer, ChallengeKind, Issuer, Profile

TOPIC = Topic("dns")
AMAZON = ("amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com")
MAX_DOMAINS = 50  # that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFacts:
    """The public hosted zone that is closest to a domain, and the name servers that it has."""

    name: str
    account: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFacts:
    """One domain. `zone` None: no account has one. `servers` are those that the world is told for the zone. `caa` is
    the first record set towards the root, with the name that has it in `caa_at`; () where there is none."""

    zone: ZoneFacts | Unknown | None
    servers: tuple[str, ...] | Unknown = ()
    caa: tuple[Caa, ...] | Unknown = ()
    caa_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A domain that profiles allow, for which issuers, and whether as a wildcard and by records in Route 53."""

    domain: str
    issuers: tuple[str, ...]
    wildcard: bool = False
    by_records: bool = False


def wanted(issuers: Mapping[str, Issuer], profiles: Iterable[Profile]) -> tuple[Wanted, ...]:
    """Every domain of a profile whose issuer is public and is asked, in alphabetical order."""
    found: dict[str, Wanted] = {}
    for profile in profiles:
        for issuer in _public(issuers, profile):
            for rule in profile.names:
                if domain := _domain(rule):
                    before = found.get(domain, Wanted(domain=domain, issuers=()))
                    found[domain] = Wanted(
                        domain=domain,
                        issuers=tuple(dict.fromkeys((*before.issuers, issuer.name))),
                        wildcard=before.wildcard or (profile.wildcards and rule.startswith("*.")),
                        by_records=before.by_records or _by_records(issuer),
                    )
    return tuple(found[each] for each in sorted(found))


def _public(issuers: Mapping[str, Issuer], profile: Profile) -> Iterator[AcmeIssuer | AcmIssuer]:
    for name in (profile.issuer, *profile.issuers):
        issuer = issuers.get(name)
        if isinstance(issuer, AcmeIssuer | AcmIssuer) and issuer.public and not issuer.distrusted:
            yield issuer


def _by_records(issuer: AcmeIssuer | AcmIssuer) -> bool:
    return isinstance(issuer, AcmIssuer) or issuer.challenge in (ChallengeKind.DNS, ChallengeKind.DNS_PERSIST)


def _domain(rule: str) -> str:
    """The domain of a name rule; "" for addresses."""
    return "" if "/" in rule else rule.removeprefix("*.").removeprefix(".")


def judge(
    domains: Iterable[Wanted],
    facts: Mapping[str, DomainFacts],
    identities: Mapping[str, tuple[str, ...] | Unknown],
    delegations: Mapping[str, str],
) -> Iterator[Diagnosis]:
    """What is to be said of each domain. `identities`: issuer -> the names by which CAA records allow it.
    `delegations` are those of [solvers]."""
    every = tuple(domains)
    for each in every[:MAX_DOMAINS]:
        found = facts.get(each.domain, DomainFacts(zone=Unknown("it was not asked"), caa=Unknown("it was not asked")))
        if each.by_records:
            yield _zone(each, found, delegations)
        for issuer in each.issuers:
            yield _caa(each, found, issuer, identities.get(issuer, Unknown("the issuer was not asked")))
    if len(every) > MAX_DOMAINS:
        yield TOPIC.unknown("further domains", f"{len(every) - MAX_DOMAINS} more domains are not looked at")
    if not every:
        yield TOPIC.fine("domains", "no profile has names that a public issuer would have to see proven")


# --- zones ---


def _zone(each: Wanted, found: DomainFacts, delegations: Mapping[str, str]) -> Diagnosis:
    if isinstance(found.zone, Unknown):
        return TOPIC.unknown(each.domain, f"its zone: {found.zone.reason}")
    if found.zone is None:
        return _without_zone(each, delegations)
    zone = f"zone {found.zone.name} of account {found.zone.account}"
    if isinstance(found.servers, Unknown):
        return TOPIC.unknown(each.domain, f"whether the world asks the {zone}: {found.servers.reason}")
    if not found.servers:
        advice = f"at the parent of {found.zone.name}, add NS records to {listed(found.zone.servers)}"
        return TOPIC.wrong(each.domain, f"nothing delegates to the {zone}", advice)
    if not set(found.servers) & set(found.zone.servers):
        words = f"the world is told to ask {listed(found.servers)}, not the {zone}"
        advice = f"delegate to {listed(found.zone.servers)}, or name the account that has the zone in zone_accounts"
        return TOPIC.wrong(each.domain, words, advice)
    return TOPIC.fine(each.domain, f"challenges go to the {zone}")


def _without_zone(each: Wanted, delegations: Mapping[str, str]) -> Diagnosis:
    if f"_acme-challenge.{each.domain}" in delegations:
        return TOPIC.fine(each.domain, "challenges are delegated in [solvers.delegations]")
    advice = (
        "name the account that has it in zone_accounts, or make _acme-challenge names CNAMEs and put them into "
        "[solvers.delegations]"
    )
    return TOPIC.wrong(each.domain, "no account that Perennial may write has a hosted zone for it", advice)


# --- CAA ---


def _caa(each: Wanted, found: DomainFacts, issuer: str, names: tuple[str, ...] | Unknown) -> Diagnosis:
    subject = f"{each.domain} CAA for {issuer}"
    if isinstance(found.caa, Unknown):
        return TOPIC.unknown(subject, found.caa.reason)
    if not found.caa:
        return TOPIC.fine(subject, "there is no CAA record: every CA may issue")
    if isinstance(names, Unknown) or not names:
        reason = names.reason if isinstance(names, Unknown) else "the CA does not say by which name it is allowed"
        return TOPIC.unknown(subject, f"{found.caa_at} has CAA records, and {reason}")
    for kind in ("issue", *(("issuewild",) if each.wildcard else ())):
        if not allowed(found.caa, names, wildcard=kind == "issuewild"):
            words = f"the CAA records of {found.caa_at} allow {_allowed(found.caa)}, not {quoted(names[0], 100)}"
            return TOPIC.wrong(subject, words, f'add to {found.caa_at}: 0 {kind} "{quoted(names[0], 100)}"')
    return TOPIC.fine(subject, f"the CAA records of {found.caa_at} allow it")


def allowed(records: Iterable[Caa], names: Iterable[str], *, wildcard: bool) -> bool:
    """Whether a CA that is known by one of some names may issue (RFC 8659 4)."""
    every = tuple(records)
    if any(
        each.critical and each.tag not in ("issue", "issuewild", "iodef", "issuemail", "issuevmc") for each in every
    ):
        return False
    own = [each for each in every if each.tag == "issuewild"] if wildcard else []
    relevant = own or [each for each in every if each.tag == "issue"]
    return not relevant or bool({_issuer_domain(each) for each in relevant} & {name.lower() for name in names})


def _issuer_domain(record: Caa) -> str:
    """The CA's name in front of its parameters; "" forbids all."""
    return record.value.partition(";")[0].strip().lower()


def _allowed(records: Iterable[Caa]) -> str:
    found = sorted({_issuer_domain(each) for each in records if each.tag in ("issue", "issuewild")} - {""})
    return listed(found) if found else "nobody"
