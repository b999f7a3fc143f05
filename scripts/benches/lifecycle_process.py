"""Simulates the certificates of some issuers, and prints what is judged as one JSON object.

python -m benches.lifecycle_process '{"size": 1000, "days": 60, "seed": 1, "names": ["private"], "trace": ""}'
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random

from benches import lifecycle_fleet, lifecycle_issuers
from benches.lifecycle_clock import Clock, named
from benches.lifecycle_fleet import AUTHORITIES, START, Kept
from benches.lifecycle_issuers import SimulatedIssuer
from benches.lifecycle_table import Table
from benches.lifecycle_tally import Tally
from benches.lifecycle_work import World
from perennial.inventory.records import Serving
from perennial.lifecycle import Decision

REVOKES = 0.55  # of the time has passed when the issuer with windows has to revoke


def simulated(size: int, days: int, seed: int, names: tuple[str, ...], trace: str = "") -> Tally:
    """Run the certificates of these issuers for so many days. `trace` names one whose decisions are told on stderr."""
    began = time.monotonic()
    clock, tally = made(size, days, seed, names, trace)
    clock.run(days)
    _ended(clock, tally, START + timedelta(days=days))
    tally.seconds = time.monotonic() - began
    return tally


def made(size: int, days: int, seed: int, names: tuple[str, ...], trace: str = "") -> tuple[Clock, Tally]:
    """The world as it is at the start, and what will be judged."""
    kept = named(lifecycle_fleet.fleet(size, names, _random(seed, "fleet", *names)))
    issuers = {name: _issuer(name, size, days, seed) for name in names}
    tally = Tally(minutes=days * 1440, certificates=len(kept))

    def superseded(each: Kept, serving: Serving, now: datetime) -> None:
        tally.superseded(each, serving, issuers[each.authority.name], now)

    def told(each: Kept, decision: Decision, now: datetime) -> None:
        if each.record.name == trace:
            print(f"{now:%m-%d %H:%M:%S} {decision.step} at {decision.at}: {decision.why[:160]}", file=sys.stderr)

    table = Table(kept, lambda at, each: clock.due(at, each))
    world = World(table, lifecycle_fleet.settings(size), issuers, _random(seed, "work", *names))
    clock = Clock(world, kept, _random(seed, "clock", *names), superseded, told if trace else None)
    return clock, tally


def _random(seed: int, *words: str) -> Random:
    return Random("/".join((str(seed), *words)))  # noqa: S311 - simulated


def _issuer(name: str, size: int, days: int, seed: int) -> SimulatedIssuer:
    authority = next(each for each in AUTHORITIES if each.name == name)
    down = lifecycle_issuers.outages(days, _random(seed, "outages", name))
    revokes = START + timedelta(days=days * REVOKES) if authority.windows else None
    return SimulatedIssuer(authority, authority.allowed(size), down, _random(seed, "issuer", name), revokes)


def _ended(clock: Clock, tally: Tally, end: datetime) -> None:
    """Count what is known at the end only; what has expired by then counts too."""
    table = clock.world.inventory
    for each in clock.kept.values():
        if each.record.serving and each.record.serving.not_after < end:
            tally.superseded(each, each.record.serving, clock.world.issuers[each.authority.name], end)
    tally.renewals, tally.undue, tally.together = clock.world.renewals, clock.undue, table.together
    tally.reads, tally.writes = table.reads, table.writes
    for issuer in clock.world.issuers.values():
        tally.orders.update(issuer.orders)
        tally.refused += issuer.refused
        tally.unmet += issuer.unmet


def main(arguments: Iterable[str]) -> None:
    """What the arguments say."""
    given = json.loads(next(iter(arguments)))
    gc.set_threshold(100_000, 50, 100)  # a fleet is looked through in vain; only exceptions refer to themselves
    tally = simulated(given["size"], given["days"], given["seed"], tuple(given["names"]), given["trace"])
    print(json.dumps(tally.document()))


if __name__ == "__main__":
    main(sys.argv[1:])
