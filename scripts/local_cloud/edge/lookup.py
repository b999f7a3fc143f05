"""``socket.getaddrinfo`` that leads to the edge what the edge knows, and asks the real function for everything else.

The text of this module also runs inside the local cloud's Lambda workers (see `edge_hooks`): it needs the standard
library only, and nothing of this package. ``socket.create_connection`` and asyncio's resolver use the same function.

A name may lead to another port than the one that was asked for: connect to the address and port of the answer.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import socket
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

PATH = "/_local_cloud/edge/resolve"
SECONDS = 10.0
"""The longest wait for the local cloud's answer."""

Real = Callable[..., list[Any]]


def at_the_edge(real: Real, endpoint: Callable[[], str | None]) -> Real:
    """A ``getaddrinfo`` that asks the local cloud of this URL first; None, or a cloud that is down: the real one."""

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
        name, number = _name(host), _number(port)
        url = endpoint() if name is not None and number is not None else None
        found = _asked(url, name, number) if url and name is not None and number is not None else None
        if not found:
            return real(host, port, *rest, **options)
        return [entry for address in found for entry in real(*address, *rest, **options)]

    return getaddrinfo


def install(endpoint: str | None) -> None:
    """Let the whole process resolve at the edge from now on."""
    socket.getaddrinfo = at_the_edge(socket.getaddrinfo, lambda: endpoint)


@contextlib.contextmanager
def resolving(cloud: Any) -> Iterator[None]:
    """Let this process resolve at the edge of a `Cloud` until the end of the block, also when that starts anew."""

    def endpoint() -> str | None:
        running = cloud.running()
        return running.url if running else None

    real = socket.getaddrinfo
    socket.getaddrinfo = at_the_edge(real, endpoint)
    try:
        yield
    finally:
        socket.getaddrinfo = real


def _name(host: Any) -> str | None:
    """The host as a name that the edge may know; None for addresses, for this machine itself, and for no name."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    if not isinstance(text, str) or not text.strip(".") or text.lower().rstrip(".") == "localhost":
        return None
    if text.lower().rstrip(".").endswith(".localhost"):
        return None
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(text.partition("%")[0])
        return None
    return text


def _number(port: Any) -> int | None:
    """The port as a number, 0 for none; None for a service that this machine does not know."""
    text = port.decode("ascii", "replace") if isinstance(port, bytes) else str(port or 0)
    if text.isdecimal():
        return int(text)
    with contextlib.suppress(OSError):
        return socket.getservbyname(text, "tcp")
    return None


def _asked(url: str, name: str, port: int) -> list[tuple[str, int]] | None:
    """(address, port) of each server; None for a name that the edge does not know, and where no cloud answers."""
    cloud = urllib.parse.urlsplit(url)
    if name.lower() == cloud.hostname:
        return None
    connection = http.client.HTTPConnection(cloud.hostname or "", cloud.port, timeout=SECONDS)
    try:
        connection.request("GET", f"{PATH}?{urllib.parse.urlencode({'host': name, 'port': port})}")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if answer.status not in (200, 404):
        raise socket.gaierror(socket.EAI_AGAIN, f"the local edge answered {answer.status} for {name}")
    return [(address, number) for address, number in json.loads(body)] if answer.status == 200 else None
