"""The simulation of the lifecycle: what it judges, that each judgement can fail, and that it counts truly."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from benches import (
    child,
    lifecycle,
    lifecycle_clock,
    lifecycle_fleet,
    lifecycle_issuers,
    lifecycle_process,
    lifecycle_work,
)
from benches.lifecycle_clock import Clock
from benches.lifecycle_fleet import AUTHORITIES, LONG, SHARDS, SHORT, START, Kept
from benches.lifecycle_issuers import LONGEST, SHORTEST, SimulatedIssuer
from benches.lifecycle_records import changed
from benches.lifecycle_tally import Tally, tally_of, together
from living import living_hub
from perennial import backoff, issuance_step, planning, renewal
from perennial import lifecycle as decisions
from perennial.dispatch import LEASE
from perennial.errors import RateLimited, Throttled, Unavailable
from perennial.inventory.budgets import Budgets
from perennial.inventory.observations import Observations
from perennial.inventory.records import ManagedRecord, VersionRecord, VersionState
from perennial.lifecycle import Decision, Situation

SIZE, DAYS = 300, 40
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PRIVATE = SHARDS[0]


def simulated(*names: str, size: int = SIZE, days: int = DAYS, seed: int = 1) -> Tally:
    return lifecycle_process.simulated(size, days, seed, names or PRIVATE)


def judged(tally: Tally) -> Mapping[str, Any]:
    return {each.name: each for each in lifecycle.figures(tally)}


def missed(tally: Tally) -> list[str]:
    return [name for name, each in judged(tally).items() if each.met is False]


# --- the whole ---


def test_a_small_fleet_stays_valid() -> None:
    """Of every issuer: nothing expires needlessly, all have a next step, one version at a time, and no storm."""
    found = together([simulated(*names, size=2_000) for names in SHARDS])
    assert missed(found) == []
    assert found.certificates == 2_000
    assert found.renewals > 2_000
    assert found.unmet > 0, "no issuer was ever down"


def test_the_same_seed_gives_the_same_year() -> None:
    """To the last call to the table; another seed gives another one."""
    first, again, other = (simulated(size=100, days=20, seed=seed).document() for seed in (1, 1, 2))
    for each in (first, again, other):
        del each["seconds"]
    assert first == again
    assert first != other


def test_what_a_process_prints_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Through JSON, with every counter."""
    before = simulated(size=60, days=10)
    after = tally_of(json.loads(json.dumps(before.document())))
    for each in fields(Tally):
        assert getattr(after, each.name) == getattr(before, each.name), each.name


def test_a_process_simulates_what_it_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its arguments are one JSON object, and so is what it prints; a traced certificate's decisions go to stderr."""
    monkeypatch.setattr(lifecycle_process.gc, "set_threshold", lambda *_: None)
    given = {"size": 60, "days": 3, "seed": 1, "names": ["private"], "trace": "private-47-3"}
    lifecycle_process.main([json.dumps(given)])
    told = capsys.readouterr()
    assert tally_of(json.loads(told.out)).certificates == 33
    assert told.err.startswith("01-01 ")
    assert "plan at" in told.err


@dataclass(frozen=True)
class Ended:
    """A process that printed this."""

    output: str
    errors: str = ""

    def fine(self) -> Ended:
        return self


def test_the_processes_are_judged_together(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each simulates some issuers, all of them together every one; what expired needlessly is told on stderr."""
    asked: list[dict[str, Any]] = []

    def module(name: str, argument: str, *, environment: Mapping[str, str]) -> Ended:
        asked.append(json.loads(argument))
        tally = Tally(minutes=10, certificates=5, renewals=2, needless=1, told=["one expired"], seconds=len(asked))
        tally.orders.update({3: 4, 4: 1})
        return Ended(json.dumps(tally.document()))

    monkeypatch.setattr(child, "module", module)
    options = argparse.Namespace(quick=True, seed=7, trace="")
    found = {each.name: each for each in lifecycle.run(options)}
    assert sorted(name for each in asked for name in each["names"]) == sorted(each.name for each in AUTHORITIES)
    assert {(each["size"], each["days"], each["seed"]) for each in asked} == {(2_000, 60, 7)}
    assert found["managed certificates"].value == 10
    assert found["orders: mean of a minute"].value == 1
    assert found["expired, though the issuer had worked for two days"].met is False
    assert found["run time"].value == 2
    assert "one expired" in capsys.readouterr().err


# --- each judgement can fail ---


def test_without_a_retry_in_time_they_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of weeks after a failure let certificates expire whose issuer works."""
    monkeypatch.setattr(backoff, "pause", lambda *_: timedelta(days=30))
    assert "expired, though the issuer had worked for two days" in missed(simulated())


def test_without_budgets_there_are_storms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that all take the first time that they may have: many that were declared together come together."""
    monkeypatch.setattr(planning, "first_free", lambda known, decision, wanted, slots: decision.first)
    assert any(name.startswith("orders: most") for name in missed(simulated(size=2_000, days=20)))


def test_a_decision_without_a_time_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rests for ever has no next step."""
    decide = decisions.decide

    def forgotten(known: Situation, now: datetime) -> Decision:
        found = decide(known, now)
        return replace(found, at=None) if found.step is decisions.Step.RETIRE else found

    monkeypatch.setattr(decisions, "decide", forgotten)
    assert "without a next step" in missed(simulated(size=100, days=10))


def test_two_versions_at_a_time_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request while another version waits for its issuer."""
    decide, once = decisions.decide, [True]

    def hasty(known: Situation, now: datetime) -> Decision:
        found, version = decide(known, now), known.version
        waits = version and not version.state.ended and found.step is decisions.Step.REST
        return replace(found, step=decisions.Step.REQUEST, at=now) if waits and once and once.pop() else found

    monkeypatch.setattr(decisions, "decide", hasty)
    monkeypatch.setattr(lifecycle_work, "REFUSED_FOR_GOOD", 0.0)
    assert "two versions of one certificate under way" in missed(simulated(size=100, days=20))


@pytest.mark.parametrize(
    ("late", "down", "expired", "needless"),
    [
        (-HOUR, timedelta(0), 0, 0),
        (HOUR, timedelta(0), 1, 1),
        (HOUR, DAY - HOUR, 1, 1),
        (HOUR, DAY + HOUR, 1, 0),
    ],
    ids=["replaced in time", "late", "late, down for less than a day", "late, worked for less than two days"],
)
def test_who_is_to_blame(late: timedelta, down: timedelta, expired: int, needless: int) -> None:
    """A certificate of six days has three for its renewal: its issuer must have worked for two of them."""
    kept = next(each for each in fleet(*PRIVATE) if each.days == SHORT and each.record.serving)
    serving = kept.record.serving
    assert serving is not None
    serving = replace(serving, not_before=START + DAY, not_after=START + 7 * DAY)
    ends = serving.not_after
    issuer = SimulatedIssuer(kept.authority, 9, [(ends - 2 * DAY, ends - 2 * DAY + down)], Random(1))
    tally = Tally(minutes=1)
    tally.superseded(kept, serving, issuer, ends + late)
    assert (tally.expired, tally.needless, len(tally.told)) == (expired, needless, needless)


@pytest.mark.parametrize(("orders", "met"), [([3] * 1_000, True), ([10] * 100 + [2] * 900, False)])
def test_the_peak_is_compared_with_the_mean(orders: list[int], met: bool) -> None:
    """Minute by minute, where there are enough orders."""
    tally = Tally(minutes=len(orders), renewals=1, orders=Counter(dict(enumerate(orders))))
    assert judged(tally)["orders: most in a minute, to the mean"].met is met


def test_a_small_fleet_is_looked_at_in_longer_spans() -> None:
    """One order in ten minutes is no peak."""
    tally = Tally(minutes=1_000, renewals=1, orders=Counter(dict.fromkeys(range(0, 1000, 10), 1)))
    assert judged(tally)["orders: most in 250 minutes, to the mean"].value == 1


# --- the issuers ---


@pytest.mark.parametrize("seed", range(5))
def test_outages(seed: int) -> None:
    """From one hour to three days, both of them there, in order and apart, within the time."""
    found = lifecycle_issuers.outages(365, Random(seed))
    lengths = [end - start for start, end in found]
    assert len(found) == lifecycle_issuers.OUTAGES_A_YEAR
    assert min(lengths) == SHORTEST
    assert max(lengths) == LONGEST
    assert all(before[1] < after[0] for before, after in pairwise(found))
    assert found[-1][1] <= START + 365 * DAY


def issuer(random: Random | None = None, allowed: int = 2, **more: Any) -> SimulatedIssuer:
    return SimulatedIssuer(AUTHORITIES[0], allowed, [(START + DAY, START + 2 * DAY)], random or Quiet(), **more)


class Quiet(Random):
    """Nothing happens by chance."""

    def random(self) -> float:
        return 0.999


def test_an_issuer_that_is_down_takes_no_orders() -> None:
    """Nothing reaches it, and it works again when the outage ends."""
    found = issuer()
    with pytest.raises(Unavailable):
        found.order(START + DAY)
    found.order(START + 2 * DAY)
    assert (found.orders.total(), found.unmet) == (1, 1)
    assert found.worked(START, START + 3 * DAY) == 2 * DAY


def test_an_issuer_refuses_too_many_in_a_minute() -> None:
    """And says when to come again; what it refused counts as an order."""
    found = issuer()
    found.order(START)
    found.order(START + timedelta(seconds=10))
    with pytest.raises(RateLimited) as refused:
        found.order(START + timedelta(seconds=20))
    found.order(START + timedelta(seconds=60))
    assert refused.value.retry_after == 40
    assert (found.orders, found.refused) == ({0: 3, 1: 1}, 1)


def test_what_happens_by_chance() -> None:
    """Of many orders as many are throttled, asked to wait, and answered in vain as is said."""
    found, told = issuer(Random(1), allowed=10**9), Counter[str]()
    for _ in range(20_000):
        try:
            found.order(START)
        except (Throttled, RateLimited, Unavailable) as error:
            told[type(error).__name__] += 1
    shares = {name: number / 20_000 for name, number in told.items()}
    assert shares == pytest.approx({"Throttled": 0.01, "RateLimited": 0.005, "Unavailable": 0.005}, rel=0.3)


def test_a_revocation_moves_windows_into_the_past() -> None:
    """Of some of what was issued before, and of nothing that was issued after it."""
    kept = [each for each in fleet("public") if each.record.serving and each.days == LONG]
    found = issuer(revokes_at=START + 3 * DAY)
    now = START + 4 * DAY
    windows = [found.renewal_window(each.record.name, serving(each), now) for each in kept]
    moved = sum(each is not None and each.end < now for each in windows)
    assert 0 < moved < len(kept)
    new = replace(serving(kept[0]), not_before=START + 3 * DAY, not_after=START + 50 * DAY)
    assert all((found.renewal_window(each.record.name, new, now) or pytest.fail()).start > now for each in kept)


def serving(kept: Kept) -> Any:
    assert kept.record.serving is not None
    return kept.record.serving


# --- the fleet ---


def fleet(*names: str, size: int = 3_000) -> list[Kept]:
    return list(lifecycle_fleet.fleet(size, names, Random(1)))


def test_the_fleet_is_what_is_asked_for() -> None:
    """Of the size, with both lifetimes, adopted at any age before renewal, and groups that are declared at once."""
    found = fleet(*(each.name for each in AUTHORITIES))
    assert sum(sum(each.shares.values()) for each in AUTHORITIES) == pytest.approx(1)
    assert (len(found), {each.days for each in found}) == (3_000, {LONG, SHORT})
    assert len({each.record.name for each in found}) == len(found)
    new = Counter(each.record.due_at for each in found if each.record.serving is None)
    assert max(new.values()) >= lifecycle_fleet.GROUP
    assert all(
        serving(each).not_before <= START < renewal.share_at(serving(each)) for each in found if each.record.serving
    )
    assert {each.record.declared.environment for each in found} == {"", "nightly", "shop"}


def test_a_budget_is_more_than_the_need_and_less_than_what_is_allowed() -> None:
    """In orders an hour."""
    for each in AUTHORITIES:
        need, budget = each.hourly(100_000), each.budget(100_000)
        assert 2 * need < budget < 60 * each.allowed(100_000)


# --- the clock ---


def test_a_lease_holds_until_it_ends() -> None:
    """An execution that died is found again after the lease, and not before; a second tick leases nothing."""
    clock, kept = small_world()
    due = kept.record.due_at
    assert due is not None
    table = clock.world.inventory
    assert table.lease_managed(kept, due, START + LEASE) == 1
    assert table.lease_managed(kept, due, START + LEASE) is None
    clock._left(kept)
    clock._tick(START + LEASE - timedelta(minutes=1))
    assert kept.record.fence == 1
    clock._tick(START + LEASE)
    assert kept.record.fence == 2


def small_world() -> tuple[Clock, Kept]:
    clock, _ = lifecycle_process.made(60, 10, 1, PRIVATE)
    return clock, next(iter(clock.kept.values()))


def test_the_tick_stops_now_and_then() -> None:
    """For some minutes each time, within the time that is simulated."""
    found = lifecycle_clock._stops(365, Random(1))
    assert 20 * 2 < len(found) < 20 * 45
    assert not any(minute not in found for minute in list(found)[:1])


# --- the copies ---


def test_a_changed_copy_is_that_of_replace() -> None:
    """Equal in every field, and what was copied stays as it is; a field that is not there is an error."""
    record = small_world()[1].record
    made = changed(record, attempts=3, failure="unavailable")
    assert made == replace(record, attempts=3, failure="unavailable")
    assert record.attempts == 0
    assert isinstance(made, ManagedRecord)
    with pytest.raises(KeyError):
        changed(record, attempt=3)


# --- it counts as the table does ---

Costs = dict[tuple[str, ...], set[tuple[int, int]]]  # the decisions of one step -> its reads and writes
READS = ("Query", "GetItem", "BatchGetItem")


@contextmanager
def decided() -> Iterator[list[str]]:
    """Every decision from now on."""
    decide, found = decisions.decide, list[str]()

    def told(known: Situation, now: datetime) -> Decision:
        decision = decide(known, now)
        waits = decision.at is None or decision.at > now
        found.append("rest" if waits else str(decision.step))
        return decision

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decisions, "decide", told)
        yield found


def counted(steps: list[str], step: Callable[..., Any], count: Callable[[], tuple[int, int]], costs: Costs) -> Any:
    """The same step, whose calls are kept by what was decided in it."""

    def around(*given: Any, **more: Any) -> Any:
        steps.clear()
        reads, writes = count()
        done = step(*given, **more)
        after = count()
        costs.setdefault(tuple(steps), set()).add((after[0] - reads, after[1] - writes))
        return done

    return around


def real(monkeypatch: pytest.MonkeyPatch) -> Costs:
    """A month of one certificate in the real inventory, with a CA that is down for a while."""
    from perennial import lifecycle_step

    costs: Costs = {}
    monkeypatch.setattr(Budgets, "take_slot", lambda *_: True)  # how many are tried depends on who else comes
    monkeypatch.setattr(Budgets, "give_slot_back", lambda *_: None)
    monkeypatch.setattr(Observations, "remember", lambda *_: None)  # a warm process does it once
    with living_hub("shop-a") as world, decided() as steps:
        calls = Counter[bool]()

        def around(operation: str, send: Callable[[], Any]) -> Any:
            calls[operation in READS] += 1
            return send()

        world.table.around = around
        step = counted(steps, lifecycle_step.step, lambda: (calls[True], calls[False]), costs)
        monkeypatch.setattr(lifecycle_step, "step", step)
        world.apply(world.declared("shop"))
        world.live(5 * DAY)
        world.break_ca("unavailable")
        world.live(DAY / 2)
        world.mend()
        world.live(5 * DAY)
    return costs


def in_memory(monkeypatch: pytest.MonkeyPatch) -> Costs:
    """The same of a simulated fleet."""
    from benches import lifecycle_acts

    costs: Costs = {}
    clock, _ = lifecycle_process.made(700, 20, 1, ("public",))
    table = clock.world.inventory
    monkeypatch.setattr(table, "take_slot", lambda *_: True)
    monkeypatch.setattr(table, "give_slot_back", lambda *_: None)
    with decided() as steps:
        step = counted(steps, lifecycle_acts.step, lambda: (table.reads.total(), table.writes.total()), costs)
        monkeypatch.setattr(lifecycle_acts, "step", step)
        clock.run(20)
    return costs


def test_each_act_reads_and_writes_as_often_as_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every row of decisions that one step made both in the real inventory and in the simulation."""
    simulation, inventory = in_memory(monkeypatch), real(monkeypatch)
    both = set(simulation) & set(inventory)
    assert {step for row in both for step in row} >= {
        "request", "issue", "roll-out", "deploy", "supersede", "plan", "ask", "retire", "rest",
    }  # fmt: skip
    differing = {row: (simulation[row], inventory[row]) for row in both if not simulation[row] & inventory[row]}
    assert differing == {}


def test_a_postponed_version_is_that_of_the_library() -> None:
    """An issuer that does not answer: the version waits, with its reason, and is known to wait for the issuer."""
    clock, kept = small_world()
    down = START + DAY
    world = clock.world
    issuer_of = world.issuer(kept)
    issuer_of.outages, issuer_of._starts = [(START, START + 3 * DAY)], [START]
    kept.version = asked(kept)
    ended = lifecycle_work.issue(world, kept, down)
    assert kept.version.reason == "unavailable"
    assert kept.version.due_at == ended + backoff.pause("unavailable", 1, serving(kept).not_after - ended)
    assert world.inventory.issuer_down(kept.authority.name) is not None
    assert issuer_of.unmet == lifecycle_work.RETRIES + 1


def test_an_order_that_was_taken_is_not_made_again() -> None:
    """An issuer that goes down after it took the order is asked for it when it works again."""
    clock, kept = small_world()
    world, begin = clock.world, START + DAY
    issuer_of = world.issuer(kept)
    issuer_of.random = Quiet()
    issuer_of.outages, issuer_of._starts = (
        [(begin + timedelta(seconds=1), begin + HOUR)],
        [begin + timedelta(seconds=1)],
    )
    kept.version = asked(kept)
    lifecycle_work.issue(world, kept, begin)
    assert kept.version.order
    assert kept.version.state is VersionState.REQUESTED
    lifecycle_work.issue(world, kept, begin + 2 * HOUR)
    assert kept.version.state in (VersionState.ISSUED, VersionState.FAILED)
    assert issuer_of.orders.total() == 1


def asked(kept: Kept) -> VersionRecord:
    return VersionRecord(
        managed=kept.record.name,
        number=1,
        request=kept.record.declared.request,
        state=VersionState.REQUESTED,
        ask="",
        issuer=kept.authority.name,
        requested_at=START,
    )


def test_silence_is_shorter_than_two_leases() -> None:
    """Else the tick would look at a version that an execution works on (`dispatch._kept_by_lifecycle`)."""
    assert issuance_step.SILENCE < 2 * LEASE
