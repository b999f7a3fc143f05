"""HTTP requests for one certificate, directory and nonce included, by Pebble's own log; the account is warm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from benches import issuance_client, issuance_step
from benches.issuance_lab import Lab
from benches.issuance_peers import Peer
from benches.report import Result, say


def target(names: int) -> int:
    """Directory, nonce, newOrder, n authorizations, n challenges, two looks at the order, finalize, certificate."""
    return 2 * names + 7


def run(lab: Lab, peers: Mapping[Peer, Path], sizes: Sequence[int], peers_sizes: Sequence[int]) -> Iterator[Result]:
    """The requests of every client, for certificates of some numbers of names."""
    advance = issuance_client.deployed(lab.place)
    issuance_client.issue(lab.place, advance, ("first.example.com",), lab.settled)
    for size in sizes:
        say(f"requests for a certificate with {size} names")
        before = f"{_words(size)}: Perennial"
        names = _names(size, "one-process")
        one = lab.counted(partial(issuance_client.issue, lab.place, advance, names, lab.settled))
        yield Result(f"{before}, in one process", one, "requests", target(size))
        file, names = lab.directory / f"order-{size}.json", _names(size, "own-process")
        own = lab.counted(partial(issuance_step.issue, lab.place, file, names, lab.settled))
        yield Result(f"{before}, each step in its own process", own, "requests", target(size))
        for peer, directory in peers.items() if size in peers_sizes else ():
            counted = lab.counted(partial(peer.issue, lab, directory, _names(size, peer.name)))
            yield Result(f"{_words(size)}: {peer.name}", counted, "requests")


def _words(names: int) -> str:
    return f"{names} {'name' if names == 1 else 'names'}"


def _names(size: int, client: str) -> tuple[str, ...]:
    return tuple(f"{client}-{size}-{number}.example.com" for number in range(size))
