"""What every bench prints: a table for people, or one JSON object, each result with the figure that was asked for."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

FINE, MISSED = 0, 1
DYNAMODB = "PERENNIAL_BENCH_DYNAMODB"  # names a DynamoDB-compatible endpoint on loopback
_HEAD = ("result", "value", "unit", "target", "met")


@dataclass(frozen=True)
class Result:
    """One figure. `target` is what was asked for, None where nothing was: a most, or with `at_least` a least."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def machine() -> dict[str, Any]:
    """What the figures depend on. `dynamodb`: whether an endpoint is named whose units are true."""
    named = bool(os.environ.get(DYNAMODB))
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "dynamodb": named}


def document(bench: str, results: Iterable[Result]) -> dict[str, Any]:
    """The results as `--json` prints them."""
    return {"bench": bench, "machine": machine(), "results": [_row(each) for each in results]}


def _row(result: Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "value": rounded(result.value),
        "unit": result.unit,
        "target": result.target,
        "met": result.met,
    }


def rounded(value: float) -> float:
    """A figure with the four significant digits that it is worth; whole numbers stay whole."""
    if value == int(value):
        return int(value)
    return float(f"{value:.4g}")


def table(bench: str, results: Iterable[Result]) -> Iterator[str]:
    """The results as lines for people."""
    here = machine()
    named = "with" if here["dynamodb"] else "without"
    yield f"{bench}: {here['cpus']} CPUs, Python {here['python']}, {named} {DYNAMODB}"
    rows = [_HEAD, *(_cells(each) for each in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        yield _line(row, widths)


def _cells(result: Result) -> tuple[str, ...]:
    sign = ">=" if result.at_least else "<="
    target = "" if result.target is None else f"{sign} {_number(result.target)}"
    met = {True: "yes", False: "NO", None: ""}[result.met]
    return result.name, _number(result.value), result.unit, target, met


def _number(value: float) -> str:
    return f"{rounded(value):,}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        text.rjust(width) if column == 1 else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def show(bench: str, results: Sequence[Result], *, as_json: bool, strict: bool) -> int:
    """Print what was found; returns the exit code: 1 with `strict` where a target is missed, else 0."""
    if as_json:
        print(json.dumps(document(bench, results), indent=2))
    else:
        print("\n".join(table(bench, results)))
    return MISSED if strict and any(each.met is False for each in results) else FINE


def say(text: str) -> None:
    """Tell on stderr how far a bench is."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
