"""What the inventory's questions read for answers of several sizes, in fleets of two sizes.

The same answer must cost the same in both fleets, and a larger answer no more for each certificate than a smaller one.
Counted in read units where PERENNIAL_BENCH_DYNAMODB names an endpoint. On DynamoDB Local an index that finds nothing
costs nothing (AWS charges half a unit for each of the four shards). The local cloud's table tells no true units: there
the items are counted that were read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from benches import child, table
from benches.report import Result, say

FLEETS = {True: 1_000_000, False: 10_000}  # with an endpoint of true units, without
UNITS = {True: "read units", False: "items read"}
SMALLER = 10  # the other fleet is a tenth
Answers = Mapping[str, Mapping[str, float]]  # certificates in the answer -> unit -> how many


def run(environment: Mapping[str, str], larger: int | None) -> Iterator[Result]:
    """Fill two inventories, ask both the same, and compare."""
    true = table.endpoint() is not None
    size = larger or FLEETS[true]
    small, large = (_asked(environment, each) for each in (size // SMALLER, size))
    for question, answers in large.items():
        yield from _figures(question, answers, small[question], size, UNITS[true])


def _asked(environment: Mapping[str, str], size: int) -> dict[str, Answers]:
    say(f"an inventory of {size:,} certificates: filling it, then the questions")
    name = f"perennial-questions-{size}"
    client = table.made(environment, name)
    ran = child.module("benches.questions_process", name, str(size), environment=environment).fine()
    client.delete_table(TableName=name)
    found: dict[str, Answers] = json.loads(ran.output)
    return found


def _figures(question: str, large: Answers, small: Answers, size: int, unit: str) -> Iterator[Result]:
    least, *_, most = sorted(large, key=int)
    for answer, read in large.items():
        yield Result(f"{question}, {int(answer):,} of {size:,}", read[unit], unit)
    growth = (large[most][unit] / int(most)) / (large[least][unit] / int(least))
    yield Result(f"{question}: {unit} for each, of {int(most):,} to {int(least):,} found", growth, "x", 1)
    fleet = max(large[answer][unit] / small[answer][unit] for answer in large)
    yield Result(f"{question}: {unit}, of {size:,} to {size // SMALLER:,} in all", fleet, "x", 1)
