"""What a simulation is judged by: of one process, and of several together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from benches.lifecycle_fleet import START, Kept
from benches.lifecycle_issuers import SimulatedIssuer
from perennial import renewal
from perennial.inventory.records import Serving

ENOUGH = timedelta(days=2)  # that the issuer worked between the renewal time and expiry
MANY = 20  # that are told


@dataclass(slots=True)
class Tally:
    """`orders` are those in each minute. `needless` expired although their issuer had worked for long enough."""

    minutes: int
    certificates: int = 0
    renewals: int = 0
    expired: int = 0
    needless: int = 0
    told: list[str] = field(default_factory=list)  # about some of the needless ones, a line each
    undue: int = 0
    together: int = 0
    refused: int = 0
    unmet: int = 0
    orders: Counter[int] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def superseded(self, kept: Kept, serving: Serving, issuer: SimulatedIssuer, now: datetime) -> None:
        """A certificate served until now."""
        if now <= serving.not_after:
            return
        self.expired += 1
        first = max(renewal.share_at(serving), START)
        worked = issuer.worked(first, serving.not_after)
        if worked < ENOUGH:
            return
        self.needless += 1
        if len(self.told) < MANY:
            self.told.append(
                f"{kept.record.name}/{serving.number} expired {serving.not_after:%Y-%m-%d %H:%M}, replaced after "
                f"{(now - serving.not_after).total_seconds() / 3600:.1f} h; its issuer had worked for "
                f"{worked.total_seconds() / 86400:.1f} days since {first:%Y-%m-%d %H:%M}"
            )

    def document(self) -> dict[str, Any]:
        """As a process prints it."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**plain, "orders": [self.orders[minute] for minute in range(self.minutes)]}


def tally_of(document: dict[str, Any]) -> Tally:
    """What a process printed."""
    counters = {name: Counter(document[name]) for name in ("reads", "writes")}
    return Tally(**{**document, **counters, "orders": Counter(dict(enumerate(document["orders"])))})


def together(tallies: Sequence[Tally]) -> Tally:
    """Several, as if one process had simulated all. `seconds` are those of the longest."""
    found = Tally(minutes=tallies[0].minutes)
    for each in tallies:
        for name in (
            "certificates",
            "renewals",
            "expired",
            "needless",
            "undue",
            "together",
            "refused",
            "unmet",
            "told",
        ):
            setattr(found, name, getattr(found, name) + getattr(each, name))
        for name in ("orders", "reads", "writes"):
            getattr(found, name).update(getattr(each, name))
        found.seconds = max(found.seconds, each.seconds)
    return found
