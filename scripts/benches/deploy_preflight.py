"""What a preflight costs, in this process: for a certificate with some names, beside one plain TLS handshake in memory.

Both are measured in the same run, and of each the best turn counts; only their ratio says something of another machine.
A plain handshake has its contexts ready: it is what a client and a server do for one connection, with the certificate
of one name.
"""

from __future__ import annotations

import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benches.report import Result, say

if TYPE_CHECKING:
    from perennial.targets.interface import Bundle

PROTOCOLS = ("TLSv1.2", "TLSv1.3")


def run(sizes: Sequence[int], turns: int) -> Iterator[Result]:
    """The figures of certificates with some numbers of names."""
    say("preflights")
    plain = best(handshake(version(1)), 20 * turns)
    yield Result("a plain TLS handshake in memory", 1_000 * plain, "ms")
    for size in sizes:
        words = f"{size} {'name' if size == 1 else 'names'}"
        taken = best(preflight(version(size)), turns)
        yield Result(f"{words}: a preflight", 1_000 * taken, "ms")
        yield Result(f"{words}: a preflight, in plain handshakes", taken / plain, "handshakes")


def best(what: Callable[[], object], turns: int) -> float:
    """Seconds of the shortest of some turns."""
    taken = []
    for _ in range(turns):
        began = time.perf_counter()
        what()
        taken.append(time.perf_counter() - began)
    return min(taken)


def version(size: int) -> Bundle:
    """A version with so many names."""
    from bundles import bundle

    return bundle(1, names=tuple(f"n{number}.example.com" for number in range(size)), serial=50_000 + size)


def preflight(new: Bundle) -> Callable[[], None]:
    """The rules, and a handshake in memory for each name and for each of two protocols."""
    from bundles import authorities
    from perennial import preflight as judge

    roots = (authorities()[0].certificate,)

    def once() -> None:
        problems = judge.problems(
            new,
            names=new.names,
            claimed=(),
            keys=("EC-256",),
            max_chain=5,
            protocols=PROTOCOLS,
            roots=roots,
            now=datetime.now(UTC),
            with_key=True,
            handshakes=True,
            place="bench",
        )
        if problems:
            raise SystemExit(f"bench: the preflight refuses: {problems}")

    return once


def handshake(new: Bundle) -> Callable[[], None]:
    """One full handshake of TLS 1.3 with a client that verifies chain and name."""
    from bundles import authorities

    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with tempfile.NamedTemporaryFile() as file:  # readable by its owner alone
        Path(file.name).write_text(new.private_key + new.certificate_pem + new.chain_pem)
        server.load_cert_chain(file.name)
    client.load_verify_locations(cadata=authorities()[0].der)

    def once() -> None:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        sides = [
            client.wrap_bio(back, there, server_hostname=new.names[0]),
            server.wrap_bio(there, back, server_side=True),
        ]
        while sides:
            sides = [each for each in sides if not _done(each)]

    return once


def _done(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
