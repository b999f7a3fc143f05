"""Where a place answers: the addresses and ports of its names, as this machine's resolver tells them.

The port that the resolver tells is the one to connect to. It is the one that was asked for, unless the resolver is told
to lead elsewhere, as that of the local cloud is.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from perennial import handshake
from perennial.checks.wording import quoted
from perennial.handshake import name_to_send
from perennial.settings import HOST_PORT

MAX_ADDRESSES = 16  # of one name
HTTPS, LAST_PORT = 443, 65_535
Place = tuple[str, int]  # an address and a port


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of a name; `problem` says why there are none."""

    places: tuple[Place, ...] = ()
    problem: str = ""
    unasked: tuple[str, ...] = ()


async def resolve(host: str, port: int) -> Found:
    """The addresses and ports of a host as the resolver tells them, IPv6 only where this machine has it."""
    if not host:
        return Found()
    if port > LAST_PORT:
        return Found(problem=f"there is no port {port}")
    loop = asyncio.get_running_loop()
    plain = host.removeprefix("[").removesuffix("]")
    flags = socket.AI_ADDRCONFIG if name_to_send(host) else 0
    try:
        async with asyncio.timeout(handshake.CONNECT_SECONDS):
            found = await loop.getaddrinfo(plain, port, type=socket.SOCK_STREAM, flags=flags)
    except TimeoutError:
        return Found(problem="the name was not resolved in time")
    except (OSError, UnicodeError) as error:  # UnicodeError: a label is empty or too long
        words = getattr(error, "strerror", None) or error
        return Found(problem=f"the name does not resolve: {quoted(words, 100)}")
    return _chosen({(str(each[4][0]), int(each[4][1])) for each in found})


def _chosen(places: set[Place]) -> Found:
    """Those that this machine has a way to, and not more than `MAX_ADDRESSES`. Where it has a way to none, all are
    asked, and say so."""
    reached = sorted(filter(_has_way, places)) or sorted(places)
    asked = tuple(reached[:MAX_ADDRESSES])
    return Found(asked, unasked=tuple(sorted({address for address, _ in places - set(asked)})))


def _has_way(place: Place) -> bool:
    """Whether this machine has a route to an IPv6 address. Connecting a datagram socket looks for one, and sends
    nothing. A load balancer with both kinds of addresses must not fail where a function has IPv4 alone."""
    if ":" not in place[0]:
        return True
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(place)
    except OSError:
        return False
    return True


def host_port(endpoint: str) -> Place:
    """The host and the port of an endpoint, as the settings accept it."""
    match = HOST_PORT.fullmatch(endpoint)
    if match is None:
        return endpoint, HTTPS  # which does not resolve, and is told so
    return match["host"], int(match["port"] or HTTPS)
