"""What is reserved of the issuers' budgets, and which issuers do not answer.

A slot is a counter of some seconds of one budget. It is an item that expires by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from perennial.inventory.items import Item, stamp, time_of
from perennial.inventory.writing import update

SLOT, HEALTH = "SLOT#", "HEALTH"
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
        Item(f"ISSUER#{issuer}", f"WAITING#{managed}", kind="waiting", attempted_at=stamp(now)).save()
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

    def issuer_answered(self, issuer: str) -> Iterator[str]:
        """An issuer answered: the managed certificates that waited for it, each once, none where it was well. What is
        given out is forgotten only when the next one is asked for."""
        for item in Item.query(f"ISSUER#{issuer}", Item.sk.startswith("WAITING#"), consistent_read=True):
            yield item.sk.removeprefix("WAITING#")
            item.delete()
        Item(f"ISSUER#{issuer}", HEALTH).delete()
