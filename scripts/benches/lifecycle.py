"""Lifecycle: a year of 100,000 managed certificates, simulated with the decisions that are deployed.

Certificates of 47 and of 6 days, from issuers with rate limits, which are down from one hour to three days, throttle,
lose replies, refuse some for good, and once have to revoke what they issued; places that refuse; executions that die, a
tick that runs twice or stops; maintenance windows and blackouts. No certificate may expire whose issuer worked for two
days between its renewal time and its end, and no minute may see more than three times the mean of the orders.

The same seed gives the same year. Two processes share the issuers. A smaller fleet has too few orders for a minute to
tell anything: its peak is that of as many minutes as have 25 orders on the mean.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import TYPE_CHECKING

from benches.report import Result

if TYPE_CHECKING:
    from benches.lifecycle_tally import Tally

SIZE, DAYS = 100_000, 365
QUICK_SIZE, QUICK_DAYS = 2_000, 60
MOST_PEAK = 3  # times the mean
MOST_SECONDS = 600
ENOUGH, MANY = 2, 25  # orders on the mean of a minute for a peak of a minute to tell something; else of longer spans


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_SIZE:,} managed certificates for {QUICK_DAYS} days"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all that happens by chance (1)")
    parser.add_argument("--trace", default="", metavar="NAME", help="tell every decision about a certificate on stderr")


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Simulate, and judge."""
    from benches.lifecycle_fleet import SHARDS
    from benches.lifecycle_tally import together
    from benches.report import say

    size, days = (QUICK_SIZE, QUICK_DAYS) if options.quick else (SIZE, DAYS)
    say(f"{size:,} managed certificates for {days} days, seed {options.seed}")
    with ThreadPoolExecutor(len(SHARDS)) as pool:
        tallies = list(pool.map(lambda names: _simulated(size, days, options, names), SHARDS))
    found = together(tallies)
    for line in found.told:
        say(line)
    yield from figures(found)


def _simulated(size: int, days: int, options: argparse.Namespace, names: Sequence[str]) -> Tally:
    from benches import child
    from benches.lifecycle_tally import tally_of

    given = {"size": size, "days": days, "seed": options.seed, "names": names, "trace": options.trace}
    ran = child.module("benches.lifecycle_process", json.dumps(given), environment={}).fine()
    if options.trace and ran.errors:
        from benches.report import say

        say(ran.errors.strip())
    return tally_of(json.loads(ran.output))


def figures(tally: Tally) -> Iterator[Result]:
    """What was asked for, and what else the simulation tells."""
    yield Result("managed certificates", tally.certificates, "certificates")
    yield Result("simulated time", tally.minutes / 1440, "days")
    yield Result("renewals", tally.renewals, "renewals")
    yield Result("expired, though the issuer had worked for two days", tally.needless, "certificates", 0)
    yield Result("expired at all", tally.expired, "certificates")
    yield Result("without a next step", tally.undue, "times", 0)
    yield Result("two versions of one certificate under way", tally.together, "times", 0)
    yield from _orders(tally)
    yield from _table(tally)
    yield Result("run time", tally.seconds, "s", MOST_SECONDS)


def _orders(tally: Tally) -> Iterator[Result]:
    mean = tally.orders.total() / tally.minutes
    span = 1 if mean >= ENOUGH else ceil(MANY / mean)
    words = "a minute" if span == 1 else f"{span} minutes"
    yield Result("orders: mean of a minute", mean, "orders")
    most = peak(tally, span)
    yield Result(f"orders: most in {words}", most, "orders")
    yield Result(f"orders: most in {words}, to the mean", most / (mean * span), "x", MOST_PEAK)
    yield Result("orders that an issuer refused: too many", tally.refused, "orders")
    yield Result("attempts while an issuer was down, each renewal", tally.unmet / tally.renewals, "attempts")


def peak(tally: Tally, span: int) -> int:
    """The most orders in so many minutes, of all that begin at a multiple of them."""
    starts = range(0, tally.minutes, span)
    return max(sum(tally.orders[minute] for minute in range(start, start + span)) for start in starts)


def _table(tally: Tally) -> Iterator[Result]:
    for words, calls in (("reads", tally.reads), ("writes", tally.writes)):
        yield Result(f"table: {words} for each renewal", calls.total() / tally.renewals, "calls")
        for purpose, number in sorted(calls.items()):
            yield Result(f"table: {words} for each renewal, {purpose}", number / tally.renewals, "calls")
