"""Managed certificates page by page, by name."""

from __future__ import annotations

from typing import Any

from perennial.inventory.items import Item
from perennial.inventory.managed import DECLARED, record_of
from perennial.inventory.records import ManagedRecord
from perennial.inventory.versions import managed_key


class ManagedPages:
    """The part of the inventory that lists managed certificates."""

    def declared_after(self, name: str, limit: int) -> tuple[list[ManagedRecord], str]:
        """The managed certificates behind a name ("" from the first on), of at most `limit` names, and the last name
        that was looked at; "" at the end."""
        behind: Any = Item.sk > name if name else None
        query = Item.query("WORD#managed", behind, limit=limit, page_size=limit)
        names = [item.sk for item in query]
        keys = [(managed_key(each), DECLARED) for each in names]
        found = sorted(map(record_of, Item.batch_get(keys, consistent_read=True)), key=lambda each: each.name)
        return found, names[-1] if len(names) == limit else ""
