"""What is reserved of the issuers' budgets, and which issuers do not answer.

A slot is a counter of some seconds of one budget. It is an item that expires by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.inventory.items import Item, stamp, time_of
from perennial.inventory.writing import update

SLOT, HEALTH, WAITING = "SLOT#", "HEALTH", "WAITING#"
NOTHING_SERVES = "0"  # in place of the time: before all others
KEPT = timedelta(days=2)  # after its time


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A managed certificate whose request waits for an issuer. `until`: the stamp of when what serves expires."""

    managed: str
    until: str


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

    def issuer_failed(
        self, issuer: str, managed: str, reason: str, now: datetime, until: datetime | None = None
    ) -> None:
        """A request waits because its issuer does not answer: it is woken when the issuer has answered someone else.
        `until` is when the certificate expires that it renews; None where none serves."""
        key = f"{WAITING}{stamp(until) if until else NOTHING_SERVES}#{managed}"
        Item(f"ISSUER#{issuer}", key, kind="waiting", attempted_at=stamp(now)).save()
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

    def waiting_for(self, issuer: str, limit: int) -> list[Waiting]:
        """What waits for an issuer, at most so many: first what serves nothing, then what expires first."""
        found = Item.query(
            f"ISSUER#{issuer}", Item.sk.startswith(WAITING), consistent_read=True, limit=limit, page_size=limit
        )
        keys = (item.sk.removeprefix(WAITING).partition("#") for item in found)
        return [Waiting(managed=managed, until=until) for until, _, managed in keys]

    def waits_no_more(self, issuer: str, waiting: Waiting) -> None:
        """A managed certificate was woken."""
        Item(f"ISSUER#{issuer}", f"{WAITING}{waiting.until}#{waiting.managed}").delete()

    def issuer_is_well(self, issuer: str) -> None:
        """An issuer answers, and nothing waits for it."""
        Item(f"ISSUER#{issuer}", HEALTH).delete()
