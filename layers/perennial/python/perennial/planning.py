"""Reserving the time of a request in the budgets that concern it, ahead of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from perennial import budget, renewal, windows
from perennial.budget import Budget
from perennial.lifecycle import AGAIN, Decision, Situation

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.records import ManagedRecord
    from perennial.managed_certificate import ManagedCertificate
    from perennial.settings import Settings

HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
LITTLE = 4  # what has less than this part of its lifetime left may take the places that are kept for it
IMPORTS = 60  # into ACM of one account and region, in a minute (ACM User Guide, "Quotas": one a second)
IMPORTING = frozenset({"acm", "apigateway", "cloudfront", "elb", "elbv2"})  # kinds whose targets need a copy in ACM


class Slots(Protocol):
    """The part of the inventory that counts what is reserved."""

    def take_slot(self, budget: str, slot: datetime, capacity: int) -> bool:
        """Take a place of a slot; False where none of its `capacity` is left."""

    def give_slot_back(self, budget: str, slot: datetime) -> None:
        """Give a place back."""


def reserved(deployment: Deployment, known: Situation, decision: Decision, now: datetime) -> datetime:
    """The time of the next request, with a place taken in every budget."""
    wanted = budgets(deployment.settings, known.record.declared, known.rules.issuer, deployment.account)
    return first_free(known, decision, wanted, deployment.inventory)


def given_back(deployment: Deployment, record: ManagedRecord, issuer: str, now: datetime) -> None:
    """Give back what was reserved for a request that will not come at the time that was planned for it."""
    if record.planned_at is None or record.planned_at <= now:
        return
    for each in budgets(deployment.settings, record.declared, issuer, deployment.account):
        deployment.inventory.give_slot_back(each.key, each.slot(record.planned_at))


def first_free(known: Situation, decision: Decision, wanted: Sequence[Budget], slots: Slots) -> datetime:
    """The first of the times to be tried at which every budget has a place, which is taken. Where none has, a place is
    taken that is too many, where few are: others keep away from there, and giving it back is right."""
    first, last = decision.first, decision.last
    assert first is not None
    assert last is not None
    number = known.record.serving.number if known.record.serving else 0
    draw = renewal.draw(known.record.name, number, f"{decision.purpose}#{known.record.attempts}")
    limit, urgent = _limit(known, decision.purpose, first), _urgent(known, first)
    for moment in budget.candidates(draw, first, last, limit):
        at = _opened(known, moment, draw)
        if _taken(wanted, at, slots, urgent=urgent):
            return at
    for moment, more in budget.last_resorts(draw, first, last, limit):
        at = _opened(known, moment, draw)
        if _taken(wanted, at, slots, urgent=True, more=more):
            break
    return at


def _limit(known: Situation, purpose: str, first: datetime) -> datetime | None:
    """Until when a request is to be planned: before it is late, and then within a half of what is left. So it is where
    an issuer is asked again, which comes on top of what was planned: nothing is put off to its end by a full budget."""
    serving = known.record.serving
    if serving is None:
        return None
    late = renewal.late_at(serving)
    if late > first and not purpose.startswith(AGAIN):
        return late
    return first + max(serving.not_after - first, HOUR) / 2


def _urgent(known: Situation, first: datetime) -> bool:
    """Whether a request may take the places that are kept for what has little left, as after an outage."""
    serving = known.record.serving
    if serving is None or known.record.urgent:
        return known.record.urgent
    return serving.not_after - first < renewal.lifetime(serving) / LITTLE


def _taken(wanted: Sequence[Budget], at: datetime, slots: Slots, *, urgent: bool, more: int = 0) -> bool:
    """Take a place of each, or of none; one of so many `more` than there are."""
    taken: list[Budget] = []
    for each in wanted:
        places = (each.capacity if urgent else each.shared) + more
        if not slots.take_slot(each.key, each.slot(at), places):
            for other in taken:
                slots.give_slot_back(other.key, other.slot(at))
            return False
        taken.append(each)
    return True


def _opened(known: Situation, moment: datetime, draw: float) -> datetime:
    """A time in a window, where there is one before it is late: not its first minute, where all others would be, but
    one that differs with the certificate and the moment."""
    serving, calendar = known.record.serving, known.calendar
    if serving is None or known.record.urgent:
        return moment
    late = renewal.late_at(serving)
    begin = windows.next_open(calendar, moment, late) if moment < late else None
    if begin is None or begin == moment:
        return moment
    minutes = max((each.minutes for each in calendar.windows), default=0)
    longest = timedelta(minutes=minutes) or min(late - begin, renewal.spread(serving))  # after a blackout
    within = longest * (((moment - budget.EPOCH) / longest + draw) % 1.0)
    tried = (begin + within / part for part in (1, 2, 4, 8))
    return next((each for each in tried if each < late and windows.open_at(calendar, each)), begin)


def budgets(settings: Settings, declared: ManagedCertificate, issuer: str, account: str) -> list[Budget]:
    """Every budget that a request of a certificate takes from."""
    found = settings.issuers.get(issuer)
    if found is None:
        return list(_imports(declared, account))
    wanted = [Budget(key=f"orders/{issuer}", most=found.orders_per_hour, period=HOUR)]
    if found.certificates_per_domain_and_week:
        for domain in sorted({_domain(each) for each in declared.request.names}):
            most = found.certificates_per_domain_and_week
            wanted.append(Budget(key=f"domain/{issuer}/{domain}", most=most, period=WEEK))
    return [*wanted, *_imports(declared, account)]


def _domain(name: str) -> str:
    """The last two labels. CAs count by registered domain (public suffix and one label): under a suffix of two labels
    this is more cautious than they are."""
    return ".".join(name.removeprefix("*.").split(".")[-2:])


def _imports(declared: ManagedCertificate, account: str) -> Iterator[Budget]:
    places = {(each.account or account, each.region) for each in declared.targets if each.kind in IMPORTING}
    for owner, region in sorted(places):
        yield Budget(key=f"imports/{owner}/{region}", most=IMPORTS, period=budget.MINUTE)
