"""Issuers' budgets: slots, the times that are tried, and back-off."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managed_records import DAY, DECLARED, HOUR, MINUTE, NOW, RULES, record, serving
from perennial import backoff, errors, planning
from perennial.budget import ANY, LATER, Budget, candidates, last_resorts
from perennial.lifecycle import Situation, decide
from perennial.settings import load
from perennial.windows import Calendar, Window


class Slots:
    """What is taken of each slot, in memory; `full`: none has a place."""

    def __init__(self, *, full: bool = False) -> None:
        self.taken: Counter[tuple[str, datetime]] = Counter()
        self.full = full

    def take_slot(self, budget: str, slot: datetime, capacity: int) -> bool:
        free = self.taken[budget, slot] < capacity and (not self.full or capacity >= ANY)
        self.taken[budget, slot] += free
        return free

    def give_slot_back(self, budget: str, slot: datetime) -> None:
        self.taken[budget, slot] -= 1

    def places(self) -> dict[tuple[str, datetime], int]:
        return {key: number for key, number in self.taken.items() if number}


@pytest.mark.parametrize(
    ("most", "period", "length", "capacity"),
    [
        (100, HOUR, 60, 1),
        (300, 3 * HOUR, 60, 1),
        (3_600, HOUR, 60, 60),
        (50, 7 * DAY, 12_096, 1),
        (60, MINUTE, 60, 60),
        (1, HOUR, 3_600, 1),
    ],
)
def test_slots(most: int, period: timedelta, length: float, capacity: int) -> None:
    """A slot is a minute or longer, and all slots of a period together never hold more than the budget."""
    budget = Budget(key="x", most=most, period=period)
    assert (budget.length.total_seconds(), budget.capacity) == (length, capacity)
    assert budget.capacity * (period / budget.length) <= most


@given(st.integers(1, 10_000), st.integers(60, 10**6))
def test_a_budget_is_never_exceeded(most: int, seconds: int) -> None:
    """The places of all slots of a period are at most what the budget allows, and at least half of it."""
    budget = Budget(key="x", most=most, period=timedelta(seconds=seconds))
    places = budget.capacity * (budget.period / budget.length)
    assert most / 2 <= places + 1e-6 <= most * (1 + 1e-6) + 1e-6 or budget.capacity == 1


@given(st.floats(0, 0.999999), st.integers(0, 10**6), st.integers(0, 10**7))
def test_times_that_are_tried(draw: float, span: int, limit: int) -> None:
    """First those in the span before it is due, then later ones; never before the first, nor after the limit."""
    last, end = NOW + timedelta(seconds=span), NOW + timedelta(seconds=limit)
    found = list(candidates(draw, NOW, last))
    assert all(each >= NOW for each in found)
    assert len(found) == LATER + (6 if span else 1)
    assert all(each >= last for each in found[-LATER:])
    assert all(NOW <= each <= end for each in candidates(draw, NOW, last, end))
    assert all(last <= each <= last + 365 * DAY for each, _ in last_resorts(draw, NOW, last))
    assert all(last <= each <= max(last, end) for each, _ in last_resorts(draw, NOW, last, end))


def test_what_is_due_now_is_tried_now() -> None:
    """Where a request is due at once, the present slot is tried first."""
    assert next(candidates(0.9, NOW, NOW)) == NOW


CONFIGURATION = """
[issuers.public]
kind = "acme"
directory = "https://ca.example.com/directory"
orders_per_hour = 60
certificates_per_domain_and_week = 0
[profiles.web]
issuer = "public"
names = [".example.com"]
"""


def test_a_fleet_of_one_day_spreads() -> None:
    """A thousand certificates that are due at one moment are planned with at most the budget's number a minute."""
    settings, times, slots = load(CONFIGURATION), [], Slots()
    wanted = planning.budgets(settings, DECLARED, "public", "123456789012")
    for number in range(1_000):
        known = Situation(record=record(serving=serving(number, age=70)), rules=RULES)
        times.append(planning.first_free(known, decide(known, NOW), wanted, slots))
    minutes = Counter(each.replace(second=0, microsecond=0) for each in times)
    assert max(minutes.values()) == 1
    waited = sorted(each - NOW for each in times)
    assert waited[900] < 2 * timedelta(minutes=1_000)
    assert waited[-1] < 6 * timedelta(minutes=1_000)


def test_a_place_of_each_or_of_none() -> None:
    """Where one budget has no place, those that were taken of the others are given back."""
    slots = Slots()
    wanted = [Budget(key=key, most=60, period=HOUR) for key in ("orders", "domain")]
    known = Situation(record=record(serving=serving(age=70)), rules=RULES)
    slots.taken["domain", wanted[1].slot(NOW + MINUTE)] = 1
    at = planning.first_free(known, decide(known, NOW), wanted, slots)
    assert at >= NOW + 2 * MINUTE
    assert slots.places() == {("orders", wanted[0].slot(at)): 1, ("domain", wanted[1].slot(at)): 1} | {
        ("domain", wanted[1].slot(NOW + MINUTE)): 1
    }


@pytest.mark.parametrize(
    ("age", "urgent", "expected"),
    [(60, False, False), (67, False, False), (68, False, True), (91, False, True), (60, True, True)],
)
def test_what_has_little_left_finds_a_place(age: int, urgent: bool, expected: bool) -> None:
    """A third of each slot is kept for what has less than a quarter of its lifetime left, or is forced."""
    wanted = Budget(key="orders", most=180, period=HOUR)
    slots = Slots()
    slots.taken["orders", NOW] = wanted.shared
    known = Situation(record=record(serving=serving(age=age), urgent=urgent), rules=RULES)
    decision = replace(decide(known, NOW), first=NOW, last=NOW)
    at = planning.first_free(known, decision, [wanted], slots)
    assert (wanted.slot(at) == NOW) == expected
    assert (wanted.shared, wanted.capacity) == (2, 3)


def test_budgets_of_a_request() -> None:
    """A request takes from its issuer's orders, from each domain's week, and from the imports of each account."""
    settings = load(CONFIGURATION.replace("domain_and_week = 0", "domain_and_week = 50"))
    found = planning.budgets(settings, DECLARED, "public", "123456789012")
    assert [each.key for each in found] == ["orders/public", "domain/public/example.com", "imports/123456789012/"]


def test_windows_are_filled_evenly() -> None:
    """Certificates that are renewed at night are spread over the night, not crowded into its first minute."""
    nights = Calendar(windows=(Window(name="nights", cron="0 1 * * *", minutes=180),))
    times = []
    for number in range(300):
        known = Situation(record=record(serving=serving(number, age=60)), rules=RULES, calendar=nights)
        times.append(planning.first_free(known, decide(known, NOW), (), Slots()))
    hours = Counter(each.hour for each in times)
    assert set(hours) == {1, 2, 3}
    assert min(hours.values()) > 60


def test_a_plan_never_lies_beyond_the_end() -> None:
    """Without a free slot anywhere, a request is planned before it is late; one that is late, before it expires."""
    for age in (1, 70, 86, 89):
        certificate = serving(age=age)
        known = Situation(record=record(serving=certificate), rules=RULES)
        wanted = [Budget(key="orders", most=1, period=7 * DAY)]
        slots = Slots(full=True)
        at = planning.first_free(known, decide(known, NOW), wanted, slots)
        assert slots.places() == {("orders", wanted[0].slot(at)): 1}, "it counts, though it is one too many"
        assert NOW <= at <= (certificate.not_after if age > 85 else certificate.not_after - 4.5 * DAY)


def test_what_finds_no_place_goes_where_few_are_too_many() -> None:
    """Where all slots of what is left are full, each gets one too many before any gets two: no minute has a storm."""
    wanted = Budget(key="orders", most=60, period=HOUR)
    slots = Slots()
    for minute in range(3 * 24 * 60):
        slots.taken["orders", NOW + minute * MINUTE] = wanted.capacity
    for number in range(600):
        known = Situation(record=record(serving=serving(number, age=88)), rules=RULES)
        planning.first_free(known, decide(known, NOW), [wanted], slots)
    places = Counter(slots.places().values())
    assert sum((most - wanted.capacity) * minutes for most, minutes in places.items()) == 600
    assert set(places) == {1, 2}


# --- back-off ---


def test_every_reason_has_its_pauses() -> None:
    """Every error that work can end in has a first and a longest pause, from seconds to 32 hours."""
    works = set(errors.FINAL) - set(errors.OF_THE_API)
    reasons = {each.reason for each in (*errors.RETRYABLE, *errors.POSTPONED, *works)}
    assert reasons <= set(backoff.PAUSES)
    assert all(backoff.SHORTEST <= first <= longest <= backoff.LONGEST for first, longest in backoff.PAUSES.values())


@pytest.mark.parametrize(
    ("reason", "attempts", "left", "expected"),
    [
        ("unavailable", 1, None, MINUTE),
        ("unavailable", 4, None, 8 * MINUTE),
        ("unavailable", 99, None, HOUR),
        ("rate-limited", 99, None, 4 * HOUR),
        ("policy", 1, None, HOUR),
        ("policy", 9, None, 32 * HOUR),
        ("policy", 9, 40 * HOUR, 2 * HOUR),
        ("policy", 9, MINUTE, HOUR),
        ("unheard-of", 3, None, 4 * MINUTE),
    ],
)
def test_pauses(reason: str, attempts: int, left: timedelta | None, expected: timedelta) -> None:
    """A pause doubles up to its reason's longest, and shrinks with what is left of the lifetime."""
    assert backoff.pause(reason, attempts, left) == expected


@given(st.sampled_from(sorted(backoff.PAUSES)), st.integers(1, 10**6))
def test_a_pause_is_bounded(reason: str, attempts: int) -> None:
    """However often it failed, the pause is from five seconds to 32 hours."""
    assert backoff.SHORTEST <= backoff.pause(reason, attempts) <= backoff.LONGEST
