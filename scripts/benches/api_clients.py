"""Clients of an API at the local edge that ask at the same time, each on one connection that it keeps.

What is sent is signed before the clock starts.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

from local_cloud.cloud import Cloud

SECONDS = 60.0  # the longest reply
PORT = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it is sent; `headers` have the signature."""

    method: str
    url: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """A reply, and how long it took, in seconds."""

    request: Request
    seconds: float
    status: int
    body: bytes = field(repr=False)

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    def fine(self) -> Replied:
        """Itself. Ends the bench with what was answered where that is no success."""
        if not self.succeeded:
            told = self.body[:500].decode(errors="replace")
            raise SystemExit(f"bench: {self.request.method} {self.request.url} was answered {self.status}: {told}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Where a host of AWS's is answered, and the TLS with which it is."""

    address: tuple[str, int]
    host: str
    tls: ssl.SSLContext


def edge(cloud: Cloud, url: str) -> Edge:
    """The edge of a URL's host; its certificate is verified."""
    host = urlsplit(url).hostname or ""
    with cloud.open(f"/_local_cloud/edge/resolve?{urlencode({'host': host, 'port': PORT})}") as answer:
        address, port = json.load(answer)[0]
    with cloud.open("/_local_cloud/edge/root") as answer:
        trusted = ssl.create_default_context(cadata=answer.read().decode())
    return Edge(address=(address, port), host=host, tls=trusted)


class Connection(HTTPConnection):
    """HTTP over TLS to a host that is answered elsewhere."""

    def __init__(self, at: Edge) -> None:
        super().__init__(*at.address, timeout=SECONDS)
        self._at = at

    def connect(self) -> None:
        super().connect()
        self.sock = self._at.tls.wrap_socket(self.sock, server_hostname=self._at.host)


def together(at: Edge, requests: Sequence[Sequence[Request]]) -> tuple[list[Replied], float]:
    """The replies to as many clients as there are lists of requests, and the seconds until all were there. Every client
    is connected before the first one asks."""
    ready = threading.Barrier(len(requests) + 1, timeout=SECONDS)
    with ThreadPoolExecutor(len(requests)) as pool:
        asking = [pool.submit(_client, at, each, ready) for each in requests]
        with suppress(threading.BrokenBarrierError):  # where a client could not connect, which it says below
            ready.wait()
        began = time.perf_counter()
        replies = [each for client in asking for each in client.result()]
        return replies, time.perf_counter() - began


def _client(at: Edge, requests: Sequence[Request], ready: threading.Barrier) -> list[Replied]:
    with closing(Connection(at)) as connection:
        try:
            connection.connect()
        except OSError:
            ready.abort()
            raise
        ready.wait()
        return [_replied(connection, each) for each in requests]


def _replied(connection: Connection, request: Request) -> Replied:
    parts = urlsplit(request.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    began = time.perf_counter()
    connection.request(request.method, target, request.body or None, request.headers)
    reply = connection.getresponse()
    body = reply.read()
    seconds = time.perf_counter() - began
    if reply.will_close:
        raise SystemExit("bench: the local cloud ended a connection that was to be kept")
    return Replied(request=request, seconds=seconds, status=reply.status, body=body)
