"""The table of the simulation: in memory, with the methods of the inventory that the lifecycle uses, each of which
counts what it reads and writes.

A read is a call to the table that reads, a write one that writes, also where its condition does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice

from sortedcontainers import SortedDict

from benches.lifecycle_fleet import Kept
from benches.lifecycle_records import changed
from perennial.inventory.budgets import KEPT, NOTHING_SERVES, Waiting
from perennial.inventory.items import stamp
from perennial.inventory.records import ManagedRecord, RolloutRecord, VersionRecord

SWEPT = timedelta(days=7)


class Table:
    """`purpose` is what the calls are for, until it is changed. `due` is told of every due time that is written."""

    def __init__(self, kept: dict[str, Kept], due: Callable[[datetime, Kept], None]) -> None:
        self.kept = kept
        self.purpose = ""
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.together = 0  # versions that were requested while another one was under way
        self._due = due
        self._slots: dict[str, dict[datetime, int]] = {}
        self._waiting: dict[str, dict[tuple[str, str], Waiting]] = {}  # sorted
        self._down: dict[str, tuple[datetime, str]] = {}

    def count(self, reads: int, writes: int) -> None:
        """Calls of work that is not simulated call by call."""
        self.reads[self.purpose] += reads
        self.writes[self.purpose] += writes

    # --- managed certificates ---

    def find_managed(self, name: str) -> ManagedRecord:
        self.reads[self.purpose] += 1
        return self.kept[name].record

    def keep(self, kept: Kept, record: ManagedRecord) -> None:
        """Write what an execution made of a managed certificate. Until that ends its lease holds, and nobody looks."""
        self.writes[self.purpose] += 1
        kept.record = record

    def save_managed(self, record: ManagedRecord) -> ManagedRecord:
        """Write what someone else made of it, who lets it be looked at when it is due."""
        kept = self.kept[record.name]
        self.keep(kept, changed(record, revision=record.revision + 1))
        if record.due_at:
            self._due(record.due_at, kept)
        return kept.record

    def lease_managed(self, kept: Kept, due: datetime, until: datetime) -> int | None:
        """As `Managed.lease_managed`."""
        self.writes[self.purpose] += 1
        record = kept.record
        if record.due_at != due:
            return None
        kept.record = changed(record, due_at=until, fence=record.fence + 1, revision=record.revision + 1)
        return kept.record.fence

    # --- versions and rollouts ---

    def versions(self, managed: str, limit: int = 0) -> list[VersionRecord]:
        self.reads[self.purpose] += 1
        found = self.kept[managed].version
        return [found] if found else []

    def version(self, reference: str) -> VersionRecord:
        self.reads[self.purpose] += 1
        found = self.kept[reference.rpartition("/")[0]].version
        assert found is not None
        return found

    def save_version(self, record: VersionRecord, due: datetime | None) -> VersionRecord:
        self.writes[self.purpose] += 1
        kept = self.kept[record.managed]
        before = kept.version
        if before and before.number != record.number:
            self.together += not before.state.ended
            kept.unretired = (*kept.unretired, before.number)
        saved = changed(record, due_at=due, revision=record.revision + 1)
        kept.version = saved
        return saved

    def save_rollout(self, record: RolloutRecord, due: datetime | None) -> RolloutRecord:
        self.writes[self.purpose] += 1
        saved = changed(record, due_at=due, revision=record.revision + 1)
        self.kept[record.managed].rollout = saved
        return saved

    # --- budgets and issuers: as `Budgets` ---

    def take_slot(self, budget: str, slot: datetime, capacity: int) -> bool:
        self.writes[self.purpose] += 1
        slots = self._slots.setdefault(budget, {})
        taken = slots.get(slot, 0)
        if taken >= capacity:
            return False
        slots[slot] = taken + 1
        return True

    def give_slot_back(self, budget: str, slot: datetime) -> None:
        self.writes[self.purpose] += 1
        slots = self._slots.get(budget, {})
        if slots.get(slot, 0) > 0:
            slots[slot] -= 1

    def sweep(self, now: datetime) -> None:
        """Forget slots that have expired."""
        old = now - KEPT
        for budget, slots in list(self._slots.items()):
            left = {slot: taken for slot, taken in slots.items() if slot > old}
            self._slots[budget] = left

    def issuer_failed(
        self, issuer: str, managed: str, reason: str, now: datetime, until: datetime | None = None
    ) -> None:
        self.writes[self.purpose] += 2
        waiting = Waiting(managed=managed, until=stamp(until) if until else NOTHING_SERVES)
        self._waiting.setdefault(issuer, SortedDict())[waiting.until, managed] = waiting
        self._down.setdefault(issuer, (now, reason))

    def issuer_down(self, issuer: str) -> tuple[datetime, str] | None:
        self.reads[self.purpose] += 1
        return self._down.get(issuer)

    def waiting_for(self, issuer: str, limit: int) -> list[Waiting]:
        self.reads[self.purpose] += 1
        return list(islice(self._waiting.get(issuer, {}).values(), limit))

    def waits_no_more(self, issuer: str, waiting: Waiting) -> None:
        self.writes[self.purpose] += 1
        self._waiting.get(issuer, {}).pop((waiting.until, waiting.managed), None)

    def issuer_is_well(self, issuer: str) -> None:
        self.writes[self.purpose] += 1
        self._down.pop(issuer, None)
