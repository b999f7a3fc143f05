"""The table of the simulation: in memory, with the methods of the inventory that the lifecycle uses, each of which
counts what it reads and writes.

A read is a call to the table that reads, a write one that writes, also where its condition does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from benches.lifecycle_fleet import Kept
from benches.lifecycle_records import changed
from perennial.inventory.budgets import KEPT
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
        self._waiting: dict[str, dict[str, None]] = {}
        self._down: dict[str, tuple[datetime, str]] = {}

    def count(self, reads: int, writes: int) -> None:
        """Calls of work that is not simulated call by call."""
        self.reads[self.purpose] += reads
        self.writes[self.purpose] += writes

    # --- managed certificates ---

    def find_managed(self, name: str) -> ManagedRecord:
        self.reads[self.purpose] += 1
        return self.kept[name].record

    def save_managed(self, kept: Kept, record: ManagedRecord) -> None:
        """It is put into the heap of due times only when its execution ends: until then its lease holds."""
        self.writes[self.purpose] += 1
        kept.record = record

    def lease_managed(self, kept: Kept, due: datetime, until: datetime) -> int | None:
        """As `Managed.lease_managed`."""
        self.writes[self.purpose] += 1
        record = kept.record
        if record.due_at != due:
            return None
        kept.record = changed(record, due_at=until, fence=record.fence + 1, revision=record.revision + 1)
        return kept.record.fence

    def wake_managed(self, name: str, now: datetime) -> bool:
        self.writes[self.purpose] += 1
        kept = self.kept[name]
        kept.record = changed(kept.record, due_at=now, revision=kept.record.revision + 1)
        self._due(now, kept)
        return True

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
        self._slots[budget][slot] -= 1

    def sweep(self, now: datetime) -> None:
        """Forget slots that have expired."""
        old = now - KEPT
        for budget, slots in list(self._slots.items()):
            left = {slot: taken for slot, taken in slots.items() if slot > old}
            self._slots[budget] = left

    def issuer_failed(self, issuer: str, managed: str, reason: str, now: datetime) -> None:
        self.writes[self.purpose] += 2
        self._waiting.setdefault(issuer, {})[managed] = None
        self._down.setdefault(issuer, (now, reason))

    def issuer_down(self, issuer: str) -> tuple[datetime, str] | None:
        self.reads[self.purpose] += 1
        return self._down.get(issuer)

    def issuer_answered(self, issuer: str) -> Iterator[str]:
        self.reads[self.purpose] += 1
        waiting = self._waiting.get(issuer, {})
        for name in sorted(waiting):
            yield name
            self.writes[self.purpose] += 1
            waiting.pop(name, None)
        self.writes[self.purpose] += 1
        self._down.pop(issuer, None)
