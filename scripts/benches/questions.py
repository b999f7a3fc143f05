"""What the inventory's questions read, in read units, for answers of several sizes in fleets of two sizes.

The same answer must cost the same in both fleets, and a larger answer no more for each certificate than a smaller one.
An index that finds nothing costs nothing on DynamoDB Local; AWS charges half a unit for each of the four shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benches import child, table
from benches.report import Result, machine, say

FLEETS = {True: 200_000, False: 10_000}  # with DynamoDB Local, without
SMALLER = 10  # the other fleet is a tenth
MEASURE = "benches.questions_process"


def run(environment: Mapping[str, str], larger: int | None) -> Iterator[Result]:
    """Fill two inventories, ask both the same, and compare."""
    size = larger or FLEETS[machine()["java"]]
    small, large = (_asked(environment, each) for each in (size // SMALLER, size))
    for question, answers in large.items():
        yield from _figures(question, answers, small[question], size)


def _asked(environment: Mapping[str, str], size: int) -> dict[str, Any]:
    say(f"an inventory of {size:,} certificates: filling it, then the questions")
    name = f"perennial-questions-{size}"
    client = table.made(environment, name)
    told = child.module(MEASURE, name, str(size), environment=environment).fine().output
    client.delete_table(TableName=name)
    found: dict[str, Any] = json.loads(told)
    return found


def _figures(question: str, large: Mapping[str, float], small: Mapping[str, float], size: int) -> Iterator[Result]:
    """`large` and `small`: certificates in the answer -> read units."""
    least, *_, most = sorted(large, key=int)
    for answer, units in large.items():
        yield Result(f"{question}, {int(answer):,} of {size:,}", units, "read units")
    growth = (large[most] / int(most)) / (large[least] / int(least))
    yield Result(f"{question}: units for each, of {int(most):,} to {int(least):,} found", growth, "x", 1)
    fleet = max(large[answer] / small[answer] for answer in large)
    yield Result(f"{question}: units, of {size:,} to {size // SMALLER:,} in all", fleet, "x", 1)
