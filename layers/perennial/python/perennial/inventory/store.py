"""The inventory: what Perennial knows, in one table. Writes cost with change, reads with the answer."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from perennial.inventory import conversion
from perennial.inventory.audit import Trail
from perennial.inventory.audit_pages import TrailPages
from perennial.inventory.budgets import Budgets
from perennial.inventory.callbacks import Callbacks
from perennial.inventory.exceptions import ExceptionItems
from perennial.inventory.items import Item, stamp
from perennial.inventory.lists import Lists
from perennial.inventory.managed_pages import ManagedPages
from perennial.inventory.questions import Questions
from perennial.inventory.records import RunRecord, ScopeRecord
from perennial.inventory.requests import Requests
from perennial.inventory.rollouts import Rollouts
from perennial.inventory.writing import update

KEPT = timedelta(days=365)  # a run


class Inventory(
    ExceptionItems, Rollouts, ManagedPages, Budgets, Callbacks, Requests, Trail, TrailPages, Questions, Lists
):
    """The table's only door. Clients come from the standard AWS environment unless credentials are given (botocore's
    frozen credentials, for a profile). One process works with one table at a time."""

    def __init__(self, table_name: str, *, region: str | None = None, credentials: Any = None) -> None:
        super().__init__()
        meta: Any = Item.Meta
        meta.table_name = table_name
        meta.region = region
        meta.aws_access_key_id = credentials.access_key if credentials else None
        meta.aws_secret_access_key = credentials.secret_key if credentials else None
        meta.aws_session_token = credentials.token if credentials else None
        self.table_name = table_name

    def scanned(self, record: ScopeRecord) -> None:
        """How a scope's scan ended. An incomplete one keeps the time and count of the last complete one."""
        actions = [
            Item.kind.set("scope"),
            Item.status.set(str(record.status)),
            Item.attempted_at.set(stamp(record.attempted_at)),
            *conversion.texts(reason=record.reason, detail=record.message, run=record.run),
        ]
        if record.rules:
            actions.append(Item.rules.set(record.rules))
        if record.completed_at:
            actions += [Item.completed_at.set(stamp(record.completed_at)), Item.sightings.set(record.sightings)]
        update(("SCOPE", record.scope.key), actions)

    def ran(self, record: RunRecord) -> None:
        """Record a run of Discovery, for a year: events start many."""
        counts = json.dumps({"scopes": record.scopes, "incomplete": record.incomplete})
        started = stamp(record.started_at)
        end = stamp(record.completed_at) if record.completed_at else None
        sk = conversion.fitting(f"{started}#{record.run}")
        expires_at = int((record.started_at + KEPT).timestamp())
        item = Item("RUN", sk, kind="run", run=record.run, attempted_at=started, completed_at=end, counts=counts)
        item.expires_at = expires_at
        item.save()
