"""API: latency beside a bare Lambda proxy function, import time beside boto3, and what a page of a search reads.

Latency: the deployed hub's REST API and one of a function that does nothing, both in one local cloud with IAM
authorization, are asked by 1, 8 and 32 clients in turns. Each client keeps its connection. Import: CPU, in fresh
interpreters. Search: what `scripts/bench search` tells.

The targets were set before anything was measured. A route that asks nothing of AWS may take half as long again as the
bare function; a page of a list three times as long, which is as long as three requests in a row; a write six times, as
it keeps the reply of its Idempotency-Key, the change and the audit trail. That holds with any number of clients: where
the machine has no core left, the ratio is that of the CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benches import search
from benches.report import Result

PARTS = ("latency", "import", "search")
MOST_IMPORT = 1.5  # times that of boto3
REPEAT, QUICK_REPEAT = 7, 2
HANDLERS = ("api.handle", "api.authorizer")
WHOLE = "perennial.api.resolver:load"  # all that a request may need, as a snapshot of the function has it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part, repeatable; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer requests and certificates: two minutes at most")


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Every part that was asked for."""
    parts = options.part or PARTS
    if "latency" in parts:
        yield from _latency(quick=options.quick)
    if "import" in parts:
        yield from imports(QUICK_REPEAT if options.quick else REPEAT)
    if "search" in parts:
        yield from search.run(options)


def _latency(*, quick: bool) -> Iterator[Result]:
    from benches import api_latency
    from benches.deploy_cloud import SETTINGS, deployed_hub

    with deployed_hub({**SETTINGS, **api_latency.SETTINGS}) as hub:
        yield from api_latency.run(hub, api_latency.QUICK_LOADS if quick else api_latency.LOADS)


def imports(repeat: int) -> Iterator[Result]:
    """What the API's handlers cost as they start, beside boto3."""
    from benches.coldstart import YARDSTICK, best
    from benches.report import say

    say(f"importing the API's handlers and {YARDSTICK}, {repeat} times each")
    seconds, modules = best([YARDSTICK, *HANDLERS, WHOLE], repeat)
    for name in HANDLERS:
        yield Result(f"import {name}", seconds[name] / seconds[YARDSTICK], f"x import {YARDSTICK}", MOST_IMPORT)
    yield Result("import of all that a request may need", seconds[WHOLE] / seconds[YARDSTICK], f"x import {YARDSTICK}")
    yield Result("modules of all that a request may need", modules[WHOLE], "modules")
    yield Result(f"import {YARDSTICK}", 1_000 * seconds[YARDSTICK], "ms here")
