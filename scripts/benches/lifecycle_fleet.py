"""The fleet of the simulation: which issuers there are, what they allow, and which certificates are managed.

The counts are shares of the whole. An operator gives each issuer a budget of 2.5 times what the fleet needs of it,
below what the issuer allows. Most certificates are adopted at the start, at any age; some are declared anew, many at
once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from math import ceil
from random import Random
from typing import TYPE_CHECKING

from perennial import lifecycle_rules
from perennial.certificate_request import CertificateRequest
from perennial.inventory.records import ManagedRecord, ManagedState, RolloutRecord, Serving, VersionRecord
from perennial.managed_certificate import ManagedCertificate, targets_digest
from perennial.profiles import AcmeIssuer, AcmIssuer, PcaIssuer, Profile
from perennial.settings import Settings
from perennial.targets.interface import TargetSettings
from perennial.window_settings import Environment
from perennial.windows import Blackout, Window

if TYPE_CHECKING:
    from perennial.profiles import Issuer
    from perennial.renewal import Rules
    from perennial.windows import Calendar

START = datetime(2026, 1, 1, tzinfo=UTC)
LONG, SHORT = 47, 6  # days that certificates live
INTERVALS = {LONG: 30.2, SHORT: 2.85}  # days from one renewal to the next, as the rules plan them
GENEROUS = 2.5  # times the need: a budget
ALLOWED = 1.5  # times the budget: what the issuer itself allows
DECLARED_ANEW = 0.03  # of the fleet, in the first weeks
ADOPTING = timedelta(hours=12)  # that it takes to declare the others
GROUP = 50  # certificates that are declared in the same moment
DOMAIN = {LONG: 50, SHORT: 10}  # certificates that share a registered domain
ACCOUNTS = 40  # of the targets
IN_WINDOWS, IN_BLACKOUTS = 0.03, 0.02  # of the certificates that live long


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An issuer, and how many certificates of each lifetime it has, as a share of the fleet."""

    name: str
    kind: str  # as in `[issuers.<name>]`
    shares: Mapping[int, float]
    seconds: tuple[int, int]  # that it takes from an order to the certificate
    windows: bool = False  # whether it has an answer when it is asked when to renew (RFC 9773)

    def hourly(self, size: int) -> float:
        """Orders in an hour that a fleet of this size needs."""
        return sum(size * share / (INTERVALS[days] * 24) for days, share in self.shares.items())

    def budget(self, size: int) -> int:
        """Orders in an hour that are planned at the most."""
        return max(1, round(GENEROUS * self.hourly(size)))

    def allowed(self, size: int) -> int:
        """Orders in a minute that the issuer takes at the most."""
        return ceil(ALLOWED * max(self.budget(size) / 60, 1))


AUTHORITIES = (
    Authority(name="public", kind="acme", shares={LONG: 0.01, SHORT: 0.002}, seconds=(25, 90), windows=True),
    Authority(name="second", kind="acme", shares={LONG: 0.005}, seconds=(25, 120)),
    Authority(name="amazon", kind="acm", shares={LONG: 0.435}, seconds=(60, 600)),
    Authority(name="private", kind="acm_pca", shares={LONG: 0.534, SHORT: 0.014}, seconds=(5, 15)),
)
SHARDS = (("private",), ("public", "second", "amazon"))  # what one process simulates


@dataclass(slots=True)
class Kept:
    """What the table has of one managed certificate, and the place where it is to serve."""

    record: ManagedRecord
    rules: Rules
    calendar: Calendar
    authority: Authority
    days: int
    version: VersionRecord | None = None
    rollout: RolloutRecord | None = None
    unretired: tuple[int, ...] = ()  # versions, but for the newest
    broken_until: datetime | None = None  # the place; None: it works


def settings(size: int) -> Settings:
    """perennial.toml of the fleet."""
    windows = {"nights": Window(name="nights", cron="0 1 * * 2-4", minutes=180, time_zone="Europe/Berlin")}
    dark = (
        Blackout(name="sale", start=START + timedelta(days=40), end=START + timedelta(days=45)),
        Blackout(name="year-end", start=START + timedelta(days=350), end=START + timedelta(days=360)),
    )
    environments = {
        "nightly": Environment(name="nightly", windows=("nights",)),
        "shop": Environment(name="shop", blackouts=dark),
    }
    profiles = {f"{each.name}-{days}": _profile(each, days) for each in AUTHORITIES for days in each.shares}
    issuers = {each.name: _issuer(each, size) for each in AUTHORITIES}
    return Settings(issuers=issuers, profiles=profiles, windows=windows, environments=environments)


def _profile(authority: Authority, days: int) -> Profile:
    return Profile(name=f"{authority.name}-{days}", issuer=authority.name, validity_days=days)


def _issuer(authority: Authority, size: int) -> Issuer:
    name, orders = authority.name, authority.budget(size)
    if authority.kind == "acme":
        return AcmeIssuer(name=name, directory=f"https://{name}.example.com/directory", orders_per_hour=orders)
    if authority.kind == "acm":
        return AcmIssuer(name=name, orders_per_hour=orders)
    return PcaIssuer(
        name=name,
        authority=f"arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/{name}",
        orders_per_hour=orders,
    )


def fleet(size: int, names: tuple[str, ...], random: Random) -> Iterator[Kept]:
    """The certificates of some issuers, as they are at the start. Those that are declared anew are due when they are
    declared, a group of them at a time."""
    known = settings(size)
    for authority in AUTHORITIES:
        for days, share in authority.shares.items() if authority.name in names else ():
            for number in range(round(size * share)):
                yield _kept(known, authority, days, number, random)


def _kept(known: Settings, authority: Authority, days: int, number: int, random: Random) -> Kept:
    declared = _declared(authority, days, number, _environment(days, random))
    record = ManagedRecord(
        declared=declared,
        state=ManagedState.REQUESTED,
        declared_at=START,
        declared_by="arn:aws:iam::111122223333:role/team",
        revision=1,
        due_at=START,
    )
    rules = lifecycle_rules.rules(known, record)
    found = Kept(record, rules, lifecycle_rules.calendar(known, declared), authority, days)

    return _begun(found, number, random)


def _begun(kept: Kept, number: int, random: Random) -> Kept:
    """Adopted on the first day, at some age, or declared anew in one of the first weeks."""
    record = kept.record
    if number // GROUP % round(1 / DECLARED_ANEW) == 1:
        at = START + timedelta(days=number // GROUP % 28)
        kept.record = replace(record, declared_at=at, due_at=at)
        return kept
    age = timedelta(days=INTERVALS[kept.days] * random.random())
    kept.record = replace(
        record,
        due_at=START + ADOPTING * random.random(),
        state=ManagedState.SERVING,
        serving=Serving(
            number=0,
            fingerprint=f"{record.name}#0",
            issuer="",
            key="EC-256",
            signature="ecdsa-with-SHA256",
            not_before=START - age,
            not_after=START - age + timedelta(days=kept.days),
            request=None,
            targets=targets_digest(record.declared.targets),
            since=START,
        ),
    )
    return kept


def _environment(days: int, random: Random) -> str:
    drawn = random.random()
    if days == SHORT or drawn > IN_WINDOWS + IN_BLACKOUTS:
        return ""
    return "nightly" if drawn < IN_WINDOWS else "shop"


def _declared(authority: Authority, days: int, number: int, environment: str) -> ManagedCertificate:
    name = f"{authority.name}-{days}-{number}"
    request = CertificateRequest(
        names=(f"{number}.group-{days}-{number // DOMAIN[days]}.example",),
        profile=f"{authority.name}-{days}",
        owner="team",
    )
    return ManagedCertificate(name=name, request=request, targets=_places(number % ACCOUNTS), environment=environment)


@cache
def _places(account: int) -> tuple[TargetSettings, ...]:
    return (TargetSettings(kind="elbv2", name="edge", account=f"{account:012}", region="eu-west-1"),)
