"""Issuers' budgets: how many certificates may be requested in a time, and at which times a request may be planned.

A budget is cut into slots. A request takes a place in one slot of every budget that concerns it (`Budget`), ahead of
time: of the issuer's orders, of its certificates for one domain and week, of the imports into ACM of one account. So a
fleet whose certificates were issued on one day spreads over time, and a backlog after an outage is no storm. Pure: who
keeps the counters is told which slots to try.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
EARLIER = 6  # slots that are tried in the span before a request is due
LATER = 56  # times that are tried after it, ever further away: by a minute, then by a quarter more each time
GROWTH = 1.25
RESORTS = 32  # times that are tried for what finds no free slot
ANY = 1 << 30  # places: more than a slot ever has
KEPT_BACK = 3  # one place of so many is kept for what has little time left
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """`most` requests in each `period`, as slots of at least a minute, each with a whole number of places."""

    key: str  # unique: what counts together
    most: int
    period: timedelta

    @property
    def length(self) -> timedelta:
        """Of one slot: a minute, or so long that one place fits."""
        return max(MINUTE, self.period / self.most)

    @property
    def capacity(self) -> int:
        """Places in one slot."""
        return max(1, int(self.most * (self.length / self.period)))

    @property
    def shared(self) -> int:
        """Those of them that anyone may take: a third is kept for what has little time left."""
        return self.capacity - self.capacity // KEPT_BACK

    def slot(self, moment: datetime) -> datetime:
        """The beginning of the slot in which a moment lies."""
        return EPOCH + ((moment - EPOCH) // self.length) * self.length


def candidates(draw: float, first: datetime, last: datetime, limit: datetime | None = None) -> Iterator[datetime]:
    """The times at which a request may be planned, one to be tried after the other, none after `limit`: some spread
    between `first` and `last`, beginning where `draw` (from 0 to 1) says; then from `last` on, ever further away, up to
    half a year.

    Where many come at once, as after an outage, each tries other times than the others do. At the end comes a time for
    which nothing is reserved: a CA that refuses it says when to come again.
    """
    for each in _unbounded(draw, first, last):
        if limit is None or each <= limit:
            yield each


def _unbounded(draw: float, first: datetime, last: datetime) -> Iterator[datetime]:
    span, end = max(last - first, timedelta(0)), max(first, last)
    for number in range(EARLIER if span else 0):
        yield first + span * ((draw + number / EARLIER) % 1.0)
    if not span:
        yield end
    for number in range(LATER):
        yield end + MINUTE * GROWTH**number * _fraction(draw, number)


def last_resorts(
    draw: float, first: datetime, last: datetime, limit: datetime | None = None
) -> Iterator[tuple[datetime, int]]:
    """The times of a request for which no slot was free, all over what is left, and how many places more than there are
    each may take: ever more, so that it goes where the fewest are too many. The last one takes any."""
    begin = max(first, last)
    end = begin + MINUTE * GROWTH**LATER if limit is None else max(limit, begin)
    for number in range(RESORTS):
        more = ANY if number == RESORTS - 1 else 1 + number // (RESORTS // 4)
        yield begin + (end - begin) * _fraction(draw, number), more


def _fraction(draw: float, number: int) -> float:
    """Evenly spread numbers from 0 to 1, others for each draw (the additive recurrence of the golden ratio)."""
    return (draw + number * 0.618_033_988_7) % 1.0
