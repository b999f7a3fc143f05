"""Discovery: calls to AWS, units of the table, bytes in S3, memory and CPU of scans, and what questions read.

Counted on the local cloud, with the table where PERENNIAL_BENCH_DYNAMODB says, such as DynamoDB Local. The clients'
pacing is off in counted scans. Prowler and Cloud Custodian run side by side where they are on PATH or named.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator

from benches.report import Result

PARTS = ("scans", "quick", "facts", "questions")
SIZES_HELP = "certificates of the scans (1000,10000,100000); the first scan of 100,000 takes half an hour"
QUESTIONS_HELP = "certificates in the larger inventory that is asked (1000000; 10000 on the local cloud's table)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part, repeatable; default: all")
    parser.add_argument("--sizes", type=sizes, default=(1_000, 10_000, 100_000), metavar="N,…", help=SIZES_HELP)
    parser.add_argument("--questions", type=int, metavar="N", help=QUESTIONS_HELP)
    parser.add_argument("--prowler", default=shutil.which("prowler"), metavar="PATH", help="Prowler's command")
    parser.add_argument("--custodian", default=shutil.which("custodian"), metavar="PATH", help="Custodian's command")


def sizes(text: str) -> tuple[int, ...]:
    """The sizes in a text like 1000,10000."""
    return tuple(int(each) for each in text.split(","))


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Every part that was asked for, on one local cloud of the bench's own."""
    from benches import facts, questions, quick, scans, table
    from local_cloud.cloud import Cloud

    parts = options.part or PARTS
    if "facts" in parts:
        yield from facts.run()
    cloud = Cloud.named(f"bench-{os.getpid()}")
    cloud.start()
    try:
        if "quick" in parts:
            yield from quick.run(cloud, {"prowler": options.prowler, "custodian": options.custodian})
        if "scans" in parts:
            yield from scans.run(cloud, table.tables(cloud.env()), options.sizes)
        if "questions" in parts:
            yield from questions.run(table.tables(cloud.env()), options.questions)
    finally:
        cloud.stop()
        shutil.rmtree(cloud.directory, ignore_errors=True)
