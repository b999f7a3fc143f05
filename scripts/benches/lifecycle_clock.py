"""The clock of the simulation: the tick of each minute, the leases, and the executions of Renewal.

Only what is due is looked at. An execution runs on within the minute in which it began; what it does later waits for
its time. The tick sometimes runs twice, and sometimes not for a while. An execution sometimes dies, and is found again
when its lease ends; a step sometimes runs again, as its reply was lost.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from benches import lifecycle_acts, lifecycle_work
from benches.lifecycle_acts import DEPLOY, ENDED, ISSUE, REST, RETIRE, WAIT, Told
from benches.lifecycle_fleet import START, Kept
from benches.lifecycle_table import SWEPT
from benches.lifecycle_work import World
from perennial.dispatch import AT_ONCE, LEASE
from perennial.inventory.indexes import SHARDS
from perennial.inventory.records import Serving

MINUTE = timedelta(minutes=1)
TWICE = 0.02  # of the ticks
STOPS, LONGEST_STOP = 20, timedelta(minutes=45)  # of the tick, in a year
DIES, REPEATED = 0.001, 0.001  # of the steps
LOOKS = 3 * SHARDS  # queries of a tick: what is to be renewed, issued and deployed
TICKS, ASKS, RENEWALS = "ticks and leases", "questions when to renew", "renewals"
Superseded = Callable[[Kept, Serving, datetime], None]


@dataclass(slots=True)
class Clock:
    """Runs the time of a world. `superseded` hears what served before, and until when."""

    world: World
    kept: dict[str, Kept]
    random: Random
    superseded: Superseded
    told: Told | None = None
    undue: int = 0  # executions that left a certificate without a due time
    _due: list[tuple[datetime, str]] = field(default_factory=list)
    _going_on: list[tuple[datetime, str, int]] = field(default_factory=list)

    def run(self, days: int) -> None:
        """From the start on, so many days."""
        for kept in self.kept.values():
            self.due(kept.record.due_at or START, kept)
        stopped = _stops(days, self.random)
        for number in range(days * 1440):
            now = START + number * MINUTE
            self._go_on(now)
            if number not in stopped:
                self._tick(now)
            if now - START and (now - START) % SWEPT == timedelta(0):
                self.world.inventory.sweep(now)

    def due(self, at: datetime, kept: Kept) -> None:
        """Put a due time into the index."""
        heapq.heappush(self._due, (at, kept.record.name))

    def _go_on(self, now: datetime) -> None:
        while self._going_on and self._going_on[0][0] <= now:
            at, name, fence = heapq.heappop(self._going_on)
            self._execute(self.kept[name], fence, at, now)

    def _tick(self, now: datetime) -> None:
        table = self.world.inventory
        table.purpose = TICKS
        twice = self.random.random() < TWICE
        table.count(LOOKS * (1 + twice), 0)
        found = self._found(now)
        leased = [(kept, table.lease_managed(kept, due, now + LEASE)) for due, kept in found]
        for due, kept in found if twice else ():
            table.lease_managed(kept, due, now + LEASE)
        for number, (kept, fence) in enumerate(leased):
            table.purpose = TICKS
            self._looked_at_anyway(kept, now)
            if fence is not None:
                self._execute(kept, fence, now + timedelta(seconds=1 + 0.1 * number), now + MINUTE)

    def _found(self, now: datetime) -> list[tuple[datetime, Kept]]:
        """What is due, the longest due first, each once. Entries that were overwritten since are not in the index."""
        found: dict[str, datetime] = {}
        while self._due and self._due[0][0] <= now and len(found) < AT_ONCE:
            at, name = heapq.heappop(self._due)
            if self.kept[name].record.due_at == at:
                found[name] = at
        return [(at, self.kept[name]) for name, at in found.items()]

    def _looked_at_anyway(self, kept: Kept, now: datetime) -> None:
        """A version and a rollout that wait are due of themselves: the tick looks whether they are the lifecycle's."""
        for each in (kept.version, kept.rollout):
            if each and not each.state.ended and each.due_at and each.due_at <= now:
                self.world.inventory.count(1, 0)

    def _execute(self, kept: Kept, fence: int, now: datetime, until: datetime) -> None:
        """One execution of Renewal, until it rests or its time lies in a later minute."""
        while now <= until:
            self._purposed(kept, now)
            serving = kept.record.serving
            done = lifecycle_acts.step(self.world, kept, fence, now, self.told)
            if self.random.random() < REPEATED:
                done = lifecycle_acts.step(self.world, kept, fence, now, self.told)
            if serving and kept.record.serving is not serving:
                self.superseded(kept, serving, now)
            if done.next in (REST, ENDED) or self.random.random() < DIES:
                self._left(kept)
                return
            now = self._worked(kept, done, now)
        heapq.heappush(self._going_on, (now, kept.record.name, fence))

    def _purposed(self, kept: Kept, now: datetime) -> None:
        asks = kept.record.step == "ask" and not (kept.version and not kept.version.state.ended)
        self.world.inventory.purpose = ASKS if asks else RENEWALS

    def _worked(self, kept: Kept, done: lifecycle_acts.Done, now: datetime) -> datetime:
        if done.next == ISSUE:
            return lifecycle_work.issue(self.world, kept, now)
        if done.next == DEPLOY:
            return lifecycle_work.deploy(self.world, kept, now)
        if done.next == RETIRE:
            lifecycle_work.retire(self.world, kept, done.number)
            return now + timedelta(seconds=5)
        assert done.next == WAIT
        return now + timedelta(seconds=done.seconds)

    def _left(self, kept: Kept) -> None:
        due = kept.record.due_at
        if due is None:
            self.undue += 1
        else:
            self.due(due, kept)


def _stops(days: int, random: Random) -> frozenset[int]:
    """The minutes in which the tick does not run."""
    found: set[int] = set()
    for _ in range(max(1, round(STOPS * days / 365))):
        start = random.randrange(days * 1440)
        found.update(range(start, start + random.randint(2, LONGEST_STOP // MINUTE)))
    return frozenset(found)


def named(kept: Iterable[Kept]) -> dict[str, Kept]:
    """By name."""
    return {each.record.name: each for each in kept}
