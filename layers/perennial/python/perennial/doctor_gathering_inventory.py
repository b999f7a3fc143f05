"""What the doctor asks the inventory: runs, scopes, what is due, the audit trail. Reads only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perennial.audit_chain import reference
from perennial.doctor_permissions import AccountFacts
from perennial.doctor_schedules import AuditFacts, DiscoveryFacts
from perennial.errors import NotFound

if TYPE_CHECKING:
    from perennial.clients import Clients
    from perennial.inventory.store import Inventory

UNCOVERED = 2  # days of the audit trail that are compared with their checkpoints


class Stored:
    """What the inventory is asked. It is opened by who asks first."""

    def __init__(self, clients: Clients, table: str) -> None:
        self._clients = clients
        self._table = table
        self._lock = threading.Lock()
        self._opened: Inventory | None = None

    @property
    def _inventory(self) -> Inventory:
        from perennial.inventory.store import Inventory

        with self._lock:
            if self._opened is None:
                credentials = self._clients.session.get_credentials()
                frozen = credentials and credentials.get_frozen_credentials()
                if not self._table:
                    raise NotFound("there is no parameter /perennial/table, or you may not read it")
                self._opened = Inventory(self._table, region=self._clients.region, credentials=frozen)
            return self._opened

    def discovery(self) -> DiscoveryFacts:
        """The last run that ended, of the last few."""
        for each in self._inventory.runs(20):
            if each.completed_at:
                return DiscoveryFacts(completed_at=each.completed_at, scopes=each.scopes, incomplete=each.incomplete)
        return DiscoveryFacts(completed_at=None)

    def oldest(self, now: datetime) -> dict[str, datetime | None]:
        """Since when the oldest entry of each kind is due."""
        from perennial.inventory.indexes import SHARDS
        from perennial.inventory.items import time_of
        from perennial.inventory.records import DueKind

        found: dict[str, datetime | None] = {}
        for kind in DueKind:
            entries = [each for shard in range(SHARDS) for each in self._inventory.due(kind, now, 1, shard)]
            found[str(kind)] = min((time_of(each.due_at.partition("#")[0]) for each in entries), default=None)
        return found

    def accounts(self) -> dict[str, AccountFacts]:
        """How the last scans of each account ended."""
        complete: dict[str, int] = {}
        failed: dict[str, dict[str, int]] = {}
        for each in self._inventory.scopes():
            account = each.scope.account
            if each.status == "complete":
                complete[account] = complete.get(account, 0) + 1
            else:
                reasons = failed.setdefault(account, {})
                reasons[each.reason or str(each.status)] = reasons.get(each.reason or str(each.status), 0) + 1
        every = sorted({*complete, *failed})
        return {each: AccountFacts(complete=complete.get(each, 0), failed=failed.get(each)) for each in every}

    def audit(self, now: datetime) -> AuditFacts:
        """Since when events wait for a checkpoint: the first of each chain that none of its day covers."""
        last = self._inventory.last_checkpoint()
        days = [(now - timedelta(days=each)).date().isoformat() for each in range(UNCOVERED)]
        uncovered = [at for day in days for at in self._uncovered(day)]
        return AuditFacts(uncovered_since=min(uncovered, default=None), checkpoint_at=last.at if last else None)

    def _uncovered(self, day: str) -> Iterator[datetime]:
        checkpoint = self._inventory.last_checkpoint(day)
        covered = {each.shard: each.count for each in checkpoint.heads} if checkpoint else {}
        for chain, head in self._inventory.audit_heads(day).items():
            first = covered.get(chain[1], 0) + 1
            if head.number >= first:
                yield self._inventory.audit_link(reference(chain, first)).event.at
