"""Issuance: HTTP requests and time for a certificate against Pebble, state transitions, calls to AWS and write units.

Measured in one run, beside a tight client loop, lego and certbot: lego and certbot only where they are on PATH
(scripts/setup --with-acme-clients). Pebble (scripts/setup --with-pebble) is strict and validates without sleeping.
State transitions are counted on the workflow's definition as it is deployed; calls and units in memory, with the table
where PERENNIAL_BENCH_DYNAMODB says.

A rate is that of key, CSR and the issuer's steps, on threads and in processes that are warm. Left out are what the
state machine waits, and the calls to AWS.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benches.report import Result

PARTS = ("requests", "rates", "workflow")
SIZES = (1, 10, 100)
PEERS_SIZES = (1, 10)  # lego takes five seconds for each name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part, repeatable; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer certificates: a minute, figures less steady")


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Every part that was asked for."""
    from benches import issuance_workflow

    parts = options.part or PARTS
    if "requests" in parts or "rates" in parts:
        yield from _against_pebble(parts, quick=options.quick)
    if "workflow" in parts:
        yield from issuance_workflow.run(SIZES)


def _against_pebble(parts: list[str] | tuple[str, ...], *, quick: bool) -> Iterator[Result]:
    """The parts that need a CA, on one Pebble of the bench's own."""
    from acme_servers.install import program
    from acme_servers.pebble import MISSING
    from benches import issuance_peers, issuance_rates, issuance_requests
    from benches.issuance_lab import lab
    from benches.report import say

    if program("pebble") is None:
        say(f"no requests and no rates: {MISSING}")
        return
    installed = issuance_peers.installed()
    for peer in issuance_peers.PEERS:
        if peer not in installed:
            say(f"not beside {peer.name}, which is not installed: run scripts/setup --with-acme-clients")
    with lab() as here:
        peers = {peer: peer.warmed(here) for peer in installed}
        if "requests" in parts:
            yield from issuance_requests.run(here, peers, SIZES, PEERS_SIZES)
        if "rates" in parts:
            yield from issuance_rates.run(here, peers, quick=quick)
