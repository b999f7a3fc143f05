"""What is reserved of the issuers' budgets, and which issuers do not answer.

A slot is a counter of some seconds of one budget. It is an item that expires by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from perennial.inventory.items import Item, stamp, time_of
from perennial.inventory.writing import update

SLOT, HEALTH, WAITING = "SLOT#", "HEALTH", "WAITING#"
KEPT = timedelta(days=2)  # after its time


class Budgets:
    """The part of the inventory that spreads load over time."""

    def take_slot(self, budget: str, slot: datetime, capacity: int) -> bool:
        """Take one of the `capacity` places of a slot of a budget; False where it has none left."""
        key = (f"BUDGET#{budget}", f"{SLOT}{stamp(slot)}")
        actions = [Item.attempts.add(1), Item.expires_at.set(int((slot + KEPT).timestamp()))]
        free = Item.attempts.does_not_exist() | (Item.attempts < capacity)
        return update(key, actions, free) is not None

    def give_slot_back(self, budget: str, slot: datetime) -> None:
        """Give a place back that was taken, and is not needed."""
        update((f"BUDGET#{budget}", f"{SLOT}{stamp(slot)}"), [Item.attempts.add(-1)], Item.attempts > 0)

    def issuer_failed(self, issuer: str, managed: str, reason: str, now: datetime) -> None:
        """A request waits because its issuer does not answer: it is woken when the issuer has answered someone else."""
        Item(f"ISSUER#{issuer}", f"{WAITING}{managed}", kind="waiting", attempted_at=stamp(now)).save()
        update(
            (f"ISSUER#{issuer}", HEALTH),
            [Item.reason.set(reason[:500]), Item.attempted_at.set(stamp(now))],
            Item.pk.does_not_exist(),
        )

    def issuer_down(self, issuer: str) -> tuple[datetime, str] | None:
        """Since when an issuer does not answer, and why; None where it does."""
        for item in Item.query(f"ISSUER#{issuer}", Item.sk == HEALTH, consistent_read=True):
            return time_of(item.attempted_at), str(item.reason)
        return None

    def waiting_for(self, issuer: str, limit: int) -> list[str]:
        """The managed certificates that wait for an issuer, at most so many."""
        found = Item.query(
            f"ISSUER#{issuer}", Item.sk.startswith(WAITING), consistent_read=True, limit=limit, page_size=limit
        )
        return [item.sk.removeprefix(WAITING) for item in found]

    def waits_no_more(self, issuer: str, managed: str) -> None:
        """A managed certificate was woken."""
        Item(f"ISSUER#{issuer}", f"{WAITING}{managed}").delete()

    def issuer_is_well(self, issuer: str) -> None:
        """An issuer answers, and nothing waits for it."""
        Item(f"ISSUER#{issuer}", HEALTH).delete()
