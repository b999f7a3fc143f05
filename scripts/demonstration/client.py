"""A client of the service that never stops: it connects some twenty times a second, each time as a browser would.

    python -m demonstration.client CLOUD ROOTS.pem OUT.json NAME:PORT …

Each handshake is verified in full against the given roots. On its standard input's end it writes what it saw: for each
name the handshakes, those that failed with the reason, the serials in the order in which they appeared, and the longest
time in seconds between two that ended well.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.edge import resolving

EVERY = 0.05  # seconds
ANSWER = 5.0  # seconds that a handshake may take
RESOLVED = 1.0  # seconds for which an answer of DNS is used
LONGEST = 900.0  # seconds, after which it stops by itself


@dataclass
class Seen:
    """What one name showed."""

    handshakes: int = 0
    failed: list[str] = field(default_factory=list)
    serials: list[str] = field(default_factory=list)
    longest_gap: float = 0.0
    seconds: float = 0.0


def main() -> int:
    """Connect until standard input ends."""
    name, roots, out, *places = sys.argv[1:]
    context = ssl.create_default_context(cadata=Path(roots).read_text())
    over = threading.Event()
    seen = {each: Seen() for each in places}
    with resolving(Cloud.named(name)):
        threads = [
            threading.Thread(target=watch, args=(context, *each.split(":"), seen[each], over)) for each in places
        ]
        for each in threads:
            each.start()
        print("watching", flush=True)
        sys.stdin.read()
        over.set()
        for each in threads:
            each.join()
    Path(out).write_text(json.dumps({place: vars(each) for place, each in seen.items()}))
    return 0


def watch(context: ssl.SSLContext, name: str, port: str, seen: Seen, over: threading.Event) -> None:
    """Handshakes with all addresses of a name, in turn."""
    began = last = time.monotonic()
    addresses: list[Any] = []
    resolved, number = -RESOLVED, 0
    while not over.is_set() and time.monotonic() - began < LONGEST:
        start = time.monotonic()
        if start - resolved > RESOLVED:
            addresses, resolved = socket.getaddrinfo(name, int(port), type=socket.SOCK_STREAM), start
        number += 1
        problem, serial = shake(context, addresses[number % len(addresses)][4], name)
        seen.handshakes += 1
        if problem:
            seen.failed.append(problem)
        else:
            seen.longest_gap, last = max(seen.longest_gap, time.monotonic() - last), time.monotonic()
            if serial not in seen.serials:
                seen.serials.append(serial)
        over.wait(max(0.0, EVERY - (time.monotonic() - start)))
    seen.seconds = time.monotonic() - began


def shake(context: ssl.SSLContext, address: Any, name: str) -> tuple[str, str]:
    """One verified handshake: why it failed, "" for not; and the serial."""
    try:
        with (
            socket.create_connection(address[:2], timeout=ANSWER) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            return "", str((tls.getpeercert() or {}).get("serialNumber", "")).lower()
    except OSError as error:  # ssl.SSLError is one
        return f"{address[0]}:{address[1]}: {error}", ""


if __name__ == "__main__":
    sys.exit(main())
