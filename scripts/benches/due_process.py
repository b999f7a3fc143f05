"""Runs the tick on a filled table, and prints what it read and wrote as JSON. Workflows are not started.

Run with the table's name. Prints {how many were due: {"queries", "items", "read", "leases", "written"}}.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from benches import counting

if TYPE_CHECKING:
    from perennial.deployment import Deployment


def main() -> None:
    counts = counting.everywhere()
    from benches.due_fleet import ANSWERS

    here = deployment(sys.argv[1], os.environ["AWS_REGION"])
    print(json.dumps({answer: cost(counts, here, answer) for answer in ANSWERS}))


@dataclass(frozen=True)
class Starts:
    """The hub's clients, of which the tick needs one: it takes executions, and starts none."""

    region: str

    def __call__(self, _: str) -> Starts:
        return self

    def start_execution(self, **_: str) -> None:
        return None


def deployment(name: str, region: str) -> Deployment:
    """A hub with this table."""
    from perennial.deployment import Deployment

    made = Deployment({"PERENNIAL_TABLE": name, "PERENNIAL_RENEWAL_ARN": "renewal"})
    made.__dict__["clients"] = Starts(region)
    return made


def cost(counts: counting.Counts, here: Deployment, answer: int) -> dict[str, float]:
    """What the ticks read and wrote that started so many renewals. Ends the bench where they did not, or where what
    was started is still due."""
    from benches.due_fleet import asked_at
    from perennial.dispatch import AT_ONCE, tick

    before, now = _figures(counts), asked_at(answer)
    started = sum(len(tick(here, now)["started"]) for _ in range(ceil(answer / AT_ONCE) or 1))
    used = {name: figure - before[name] for name, figure in _figures(counts).items()}
    if started != answer or tick(here, now)["started"]:
        raise SystemExit(f"{started} were due instead of {answer}, or are still due after they were leased")
    return used


def _figures(counts: counting.Counts) -> dict[str, float]:
    return {
        "queries": counts.calls["dynamodb.Query"],
        "items": counts.items,
        "read": counts.read,
        "leases": counts.calls["dynamodb.UpdateItem"],
        "written": counts.written,
    }


if __name__ == "__main__":
    main()
