"""Deploying: calls to AWS for each kind of target, time to the proof, and one certificate at a hundred targets.

Calls and state transitions are counted in memory, with nothing warm: on the places of the conformance tests, and on
the workflow's definition as it is deployed. Seconds are those of the deployed app in a local cloud of the bench's own,
whose edge answers real handshakes, and whose ACM keeps to AWS's rates.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benches.report import Result

PARTS = ("calls", "workflow", "preflight", "proof", "fleet")
SIZES, QUICK_SIZES = (1, 10, 100), (1, 10)  # targets of a rollout in memory
NAMES = (1, 10, 100)  # of a certificate in a preflight
TURNS, QUICK_TURNS = 10, 3  # of a preflight
BALANCERS, QUICK_BALANCERS = 10, 2  # with ten listeners each


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part, repeatable; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer rollouts and targets: two minutes instead of five")


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Every part that was asked for."""
    from benches import deploy_calls, deploy_preflight, deploy_workflow

    parts = options.part or PARTS
    if "calls" in parts:
        yield from deploy_calls.run()
    if "workflow" in parts:
        yield from deploy_workflow.run(QUICK_SIZES if options.quick else SIZES)
    if "preflight" in parts:
        yield from deploy_preflight.run(NAMES, QUICK_TURNS if options.quick else TURNS)
    if "proof" in parts or "fleet" in parts:
        yield from _deployed(parts, quick=options.quick)


def _deployed(parts: list[str] | tuple[str, ...], *, quick: bool) -> Iterator[Result]:
    """The parts that need the deployed hub, on one local cloud."""
    from benches import deploy_fleet, deploy_proof
    from benches.deploy_cloud import deployed_hub

    with deployed_hub() as hub:
        if "proof" in parts:
            yield from deploy_proof.run(hub, quick=quick)
        if "fleet" in parts:
            yield from deploy_fleet.run(hub, QUICK_BALANCERS if quick else BALANCERS)
