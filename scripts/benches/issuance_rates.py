"""Certificates a second, 1, 8 and 32 orders at once: Perennial beside a tight client loop, lego and certbot.

Each certificate has one name and a new key. Clients take turns, and of each the best turn counts. At 8 at once both
Python clients run on threads of one process, which share its lock, and in two processes; the better is judged. In AWS
no two orders share a process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benches import issuance_client, issuance_lab
from benches.issuance_lab import Lab, Running, process
from benches.issuance_peers import LEGO, Peer
from benches.report import Result, say

LEAST_SHARE = 0.5  # of the tight loop's rate
LEAST_TIMES = 10.0  # lego's rate
JUDGED = 8  # orders at once, where both were asked for
TURNS, QUICK_TURNS = 3, 2
PEBBLES = 5
OURS, TIGHT = "perennial", "tight"


@dataclass(frozen=True, kw_only=True)
class Load:
    """So many certificates, so many of them at once, on the threads of some processes."""

    at_once: int
    certificates: int
    processes: int = 1

    @property
    def words(self) -> str:
        place = "threads" if self.processes == 1 else f"{self.processes} processes"
        return f"{self.at_once} at once" + (f" in {place}" if self.at_once > 1 else "")


FULL = (
    Load(at_once=1, certificates=40),
    Load(at_once=8, certificates=160),
    Load(at_once=8, certificates=160, processes=2),
    Load(at_once=32, certificates=160),
)
QUICK = (
    Load(at_once=1, certificates=10),
    Load(at_once=8, certificates=64),
    Load(at_once=8, certificates=64, processes=2),
    Load(at_once=32, certificates=64),
)
PEERS = {"lego": {1: 2, 8: 8, 32: 32}, "certbot": {1: 2, 8: 8}}  # certificates, by how many at once


@dataclass(frozen=True)
class Rate:
    """Certificates a second, and for each the client's CPU and Pebble's requests."""

    certificates: float
    cpu_seconds: float
    requests: float


def run(lab: Lab, peers: Mapping[Peer, Path], *, quick: bool) -> Iterator[Result]:
    """The rates of all clients, and how Perennial's best at 8 orders at once is beside the others' best."""
    of_peers = {peer: dict(_of_peer(lab, peer, directory, quick)) for peer, directory in peers.items()}
    best = dict.fromkeys((OURS, TIGHT), 0.0)
    for load in QUICK if quick else FULL:
        say(f"certificates a second: {load.words}")
        rates = _measured(load, QUICK_TURNS if quick else TURNS)
        yield from _told(load, rates)
        if load.at_once == JUDGED:
            best = {kind: max(rate, rates[kind].certificates) for kind, rate in best.items()}
    for at_once in (1, JUDGED, 32):
        for peer, found in of_peers.items():
            if at_once in found:
                yield Result(f"{at_once} at once: {peer.name}", found[at_once], "certs/s")
    yield from judged(best[OURS], best[TIGHT], of_peers[LEGO][JUDGED] if LEGO in of_peers else None)


def judged(ours: float, tight: float, lego: float | None) -> Iterator[Result]:
    """The rates that were asked for, as shares."""
    name = f"{JUDGED} at once: Perennial's best, in the tight loop's best"
    yield Result(name, ours / tight, "share", LEAST_SHARE, at_least=True)
    if lego is not None:
        yield Result(f"{JUDGED} at once: Perennial's best, in lego's", ours / lego, "times", LEAST_TIMES, at_least=True)


def _told(load: Load, rates: Mapping[str, Rate]) -> Iterator[Result]:
    for kind, name in ((OURS, "Perennial"), (TIGHT, "tight loop")):
        yield Result(f"{load.words}: {name}", rates[kind].certificates, "certs/s")
        yield Result(f"{load.words}: {name}, requests", rates[kind].requests, "requests/cert")
        yield Result(f"{load.words}: {name}, its CPU", 1_000 * rates[kind].cpu_seconds, "ms/cert")


def _measured(load: Load, turns: int) -> dict[str, Rate]:
    """The rates of both clients, on a Pebble of their own; on another one where it stops to answer."""
    for _ in range(PEBBLES):
        try:
            with issuance_lab.lab() as own:
                advance = issuance_client.deployed(own.place)
                issuance_client.issue(own.place, advance, ("first.example.com",), own.settled)
                return _in_turns(own, load, turns)
        except issuance_lab.SilentError:
            say("Pebble does not answer any more, as happens to it under load; once more, with another one")
    raise SystemExit(f"bench: {PEBBLES} Pebbles stopped to answer; try again when the machine is idle")


def _in_turns(lab: Lab, load: Load, turns: int) -> dict[str, Rate]:
    """The best rate of each client, in turns, so that a slow minute hits both alike."""
    with ExitStack() as stack:
        groups = {kind: [stack.enter_context(each) for each in _workers(lab, load, kind)] for kind in (OURS, TIGHT)}
        for worker in (each for group in groups.values() for each in group):
            worker.answer()
        found: dict[str, list[Rate]] = {kind: [] for kind in groups}
        for _ in range(turns):
            for kind, group in groups.items():
                found[kind].append(_turn(lab, group, load.certificates))
    return {kind: max(rates, key=lambda rate: rate.certificates) for kind, rates in found.items()}


def _workers(lab: Lab, load: Load, kind: str) -> Iterator[AbstractContextManager[Running]]:
    for number in range(load.processes):
        told = {
            "client": kind,
            "place": asdict(lab.place),
            "threads": load.at_once // load.processes,
            "certificates": load.certificates // load.processes,
            "prefix": f"{kind}-{load.at_once}-{load.processes}-{number}",
        }
        yield process("benches.issuance_worker", json.dumps(told))


def _turn(lab: Lab, workers: list[Running], certificates: int) -> Rate:
    """All workers at once, from the word to the last one's answer."""
    cpu: list[float] = []

    def all_at_once() -> float:
        began = time.monotonic()
        for each in workers:
            each.tell("go")
        cpu.extend(float(each.answer()) for each in workers)
        return time.monotonic() - began

    seconds, requests = _timed(lab, all_at_once)
    return Rate(certificates / seconds, sum(cpu) / certificates, requests / certificates)


def _timed(lab: Lab, what: Callable[[], float]) -> tuple[float, int]:
    """What it says, and the requests that Pebble had meanwhile."""
    seconds: list[float] = []
    requests = lab.counted(lambda: seconds.append(what()))
    return seconds[0], requests


def _of_peer(lab: Lab, peer: Peer, directory: Path, quick: bool) -> Iterator[tuple[int, float]]:
    """How many at once → certificates a second, of processes as people run them."""
    for at_once, certificates in PEERS[peer.name].items():
        if quick and at_once not in (1, JUDGED):
            continue
        say(f"certificates a second: {peer.name}, {at_once} at once")
        batches = [
            [f"{peer.name}-{at_once}-{batch}-{number}.example.com" for number in range(at_once)]
            for batch in range(1 if quick else certificates // at_once)
        ]
        for batch in batches:
            peer.copies(directory, batch)
        began = time.monotonic()
        for batch in batches:
            peer.issue_at_once(lab, directory, batch)
        yield at_once, sum(map(len, batches)) / (time.monotonic() - began)
