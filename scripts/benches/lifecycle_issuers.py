"""The issuers of the simulation: what they answer, and when they do not.

An issuer is down from one hour to three days, several times a year. Else it refuses more orders in a minute than it
allows, and throttles some; the reply to some orders is lost, after they were taken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import exp, log
from random import Random

from benches.lifecycle_fleet import START, Authority
from perennial.errors import PerennialError, RateLimited, Throttled, Unavailable
from perennial.inventory.records import Serving

SHORTEST, LONGEST = timedelta(hours=1), timedelta(days=3)  # outages
OUTAGES_A_YEAR = 8
THROTTLED, ASKED_TO_WAIT, LOST = 0.01, 0.005, 0.005  # of the orders
LONG_WAIT = 600.0  # seconds that a throttled order is asked to wait, now and then
REPLACED_EARLY = 0.3  # of what an issuer with windows had issued, on the day on which it has to revoke it
RETRY_AFTER = 21_600.0  # seconds until the next question when to renew
Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaWindow:
    """What `renewal_window` of an issuer answers."""

    start: datetime
    end: datetime
    retry_after: float = RETRY_AFTER
    explanation: str = ""


@dataclass(slots=True)
class SimulatedIssuer:
    """One issuer. `orders` counts those that reached it, by minute, also those that it refused; `unmet` the attempts
    that found it down."""

    authority: Authority
    allowed: int
    outages: Sequence[Interval]
    random: Random
    revokes_at: datetime | None = None
    orders: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    unmet: int = 0
    _starts: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._starts = [start for start, _ in self.outages]

    def down(self, now: datetime) -> bool:
        """Whether it does not answer at a moment."""
        number = bisect_right(self._starts, now) - 1
        return number >= 0 and now < self.outages[number][1]

    def worked(self, first: datetime, last: datetime) -> timedelta:
        """How long it worked between two moments."""
        lost = (min(last, end) - max(first, start) for start, end in self.outages)
        return last - first - sum((each for each in lost if each > timedelta(0)), timedelta(0))

    def answer(self, now: datetime) -> None:
        """Answer a question about an order that it has.

        Raises: Unavailable.
        """
        if self.down(now):
            self.unmet += 1
            raise Unavailable("it does not answer")

    def order(self, now: datetime) -> None:
        """Take an order.

        Raises: Unavailable, also where its reply is lost; RateLimited; Throttled.
        """
        self.answer(now)
        minute = (now - START) // timedelta(minutes=1)
        self.orders[minute] += 1
        if self.orders[minute] > self.allowed:
            self.refused += 1
            raise RateLimited("too many orders in a minute", retry_after=60.0 - now.second)
        found = self._interfered()
        if found:
            raise found

    def _interfered(self) -> PerennialError | None:
        drawn = self.random.random()
        if drawn < THROTTLED:
            return Throttled("slow down")
        if drawn < THROTTLED + ASKED_TO_WAIT:
            return RateLimited("slow down", retry_after=LONG_WAIT)
        return Unavailable("the reply was lost") if drawn < THROTTLED + ASKED_TO_WAIT + LOST else None

    def renewal_window(self, name: str, serving: Serving, now: datetime) -> CaWindow | None:
        """When to renew a certificate: from two thirds of its lifetime on (a half of a short one). One that has to be
        revoked: before now.

        Raises: Unavailable.
        """
        self.answer(now)
        if not self.authority.windows:
            return None
        at = self.revokes_at
        if at and serving.not_before < at <= now and Random(name).random() < REPLACED_EARLY:  # noqa: S311 - simulated
            return CaWindow(start=at - timedelta(days=2), end=at - timedelta(days=1))
        whole = serving.not_after - serving.not_before
        start = serving.not_before + whole * (0.5 if whole < timedelta(days=10) else 0.62)
        return CaWindow(start=start, end=start + whole / 20)


def outages(days: int, random: Random) -> list[Interval]:
    """The times at which an issuer is down, in order, at least a day apart: one of the shortest, one of the longest,
    and some between."""
    number = max(2, round(OUTAGES_A_YEAR * days / 365))
    lengths = [SHORTEST, LONGEST, *(_length(random) for _ in range(number - 2))]
    random.shuffle(lengths)
    apart = timedelta(days=days) / number
    found = []
    for place, length in enumerate(lengths):
        start = START + apart * place + max(apart - length - timedelta(days=1), timedelta(0)) * random.random()
        found.append((start, start + length))
    return found


def _length(random: Random) -> timedelta:
    """As often around two hours as around a day."""
    shortest, longest = SHORTEST.total_seconds(), LONGEST.total_seconds()
    return timedelta(seconds=round(exp(random.uniform(log(shortest), log(longest)))))
