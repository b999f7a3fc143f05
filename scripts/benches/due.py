"""Due: what the tick reads and writes that finds and leases what is due, among 1,000,000 managed certificates.

The same answer must cost the same in a fleet ten times as large, and a larger answer no more for each entry than a
smaller one. Counted where PERENNIAL_BENCH_DYNAMODB says, such as DynamoDB Local, else on dynalite, which npm installs
into .local/: its write units leave the indexes out, and a query that finds nothing costs nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benches.report import Result

SIZES, QUICK_SIZES = (100_000, 1_000_000), (10_000, 100_000)
MOST_GROWTH = 1.2  # times
_VARIABLES = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
Costs = Mapping[str, Mapping[str, float]]  # how many were due -> what is counted -> how often


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument("--quick", action="store_true", help="100,000 managed certificates in place of 1,000,000")


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Fill two tables, ask both the same, and compare."""
    small, large = sizes = QUICK_SIZES if options.quick else SIZES
    with _filled({_name(size): size for size in sizes}) as environment:
        costs = [_asked(environment, size) for size in sizes]
    yield from figures(small, large, *costs)


@contextmanager
def _filled(tables: Mapping[str, int]) -> Iterator[Mapping[str, str]]:
    """Variables that lead to these tables, each with so many managed certificates. They are gone afterwards."""
    from benches import due_engine, table

    url = table.endpoint()
    if url is None:
        with due_engine.filled(_VARIABLES, tables) as url:
            yield {**_VARIABLES, "AWS_ENDPOINT_URL": url}
        return
    environment = {**_VARIABLES, "AWS_ENDPOINT_URL": url}
    try:
        for name, size in tables.items():
            _fill(environment, name, size)
        yield environment
    finally:
        for name in tables:
            table.drop(table.client(environment), name)


def _fill(environment: Mapping[str, str], name: str, size: int) -> None:
    from benches import table
    from benches.due_fleet import lines
    from benches.report import say

    say(f"{size:,} managed certificates: writing them")
    table.fill(table.made(environment, name), name, map(json.loads, lines(size)))


def _name(size: int) -> str:
    return f"perennial-due-{size}"


def _asked(environment: Mapping[str, str], size: int) -> Costs:
    from benches import child
    from benches.report import say

    say(f"{size:,} managed certificates: what is due")
    ran = child.module("benches.due_process", _name(size), environment=environment).fine()
    costs: Costs = json.loads(ran.output)
    return costs


def queries() -> int:
    """What a tick asks where nothing is due: each shard of each kind. Exceptions are few, and due in one shard."""
    from perennial.inventory.indexes import SHARDS
    from perennial.inventory.records import DueKind

    return SHARDS * (len(DueKind) - 1) + 1


def figures(small: int, large: int, of_small: Costs, of_large: Costs) -> Iterator[Result]:
    """What both fleets cost, and how they compare."""
    none, less, more = of_large
    yield Result(f"none due of {large:,}: queries", of_large[none]["queries"], "calls", queries())
    yield Result(f"none due of {large:,}: items read", of_large[none]["items"], "items", 0)
    for size, costs in ((small, of_small), (large, of_large)):
        for due in (less, more):
            yield from _answer(f"{int(due):,} due of {size:,}", int(due), costs[due])
    for due in (less, more):
        growth = of_large[due]["read"] / of_small[due]["read"]
        yield Result(f"{int(due):,} due: read units, of {large:,} to {small:,}", growth, "x", MOST_GROWTH)
    growth = (of_large[more]["read"] / int(more)) / (of_large[less]["read"] / int(less))
    yield Result(f"read units for each due, of {int(more):,} to {int(less):,} due", growth, "x", MOST_GROWTH)


def _answer(name: str, due: int, cost: Mapping[str, float]) -> Iterator[Result]:
    yield Result(f"{name}: items read", cost["items"], "items", due)
    yield Result(f"{name}: read units", cost["read"], "read units")
    yield Result(f"{name}: queries", cost["queries"], "calls")
    yield Result(f"{name}: writes for each", cost["leases"] / due, "calls", 1)
    yield Result(f"{name}: write units for each", cost["written"] / due, "write units")
