"""``socket.getaddrinfo`` of whoever connects."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from local_cloud.edge import lookup, resolving

KNOWN = {
    ("www.example.com", 443): [["127.1.2.3", 40443], ["127.1.2.4", 40444]],
    ("www.example.com", 0): [["127.1.2.3", 0]],
}
REAL = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.9", 1))]


class Endpoint(BaseHTTPRequestHandler):
    """A local cloud that knows some names, and notes what it was asked."""

    asked: list[tuple[str, int]]
    status = 0

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        key = (query["host"], int(query["port"]))
        self.asked.append(key)
        body = json.dumps(KNOWN.get(key, {})).encode()
        self.send_response(self.status or (200 if key in KNOWN and url.path == lookup.PATH else 404))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def endpoint() -> Iterator[Any]:
    """The running endpoint; `url`, `asked` and `status` are its attributes."""
    handler = type("Handler", (Endpoint,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    handler.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield handler
    server.shutdown()
    server.server_close()


def real(host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
    """The real function, but for names outside, which no test may ask about."""
    is_address = isinstance(host, str) and host.replace(".", "").isdecimal()
    return socket.getaddrinfo(host, port, *rest, **options) if is_address else list(REAL)


def test_known_name_leads_to_the_edge(endpoint: Any) -> None:
    """Every server of the answer is there, in every kind of socket that was asked for, and with its own port."""
    ask = lookup.at_the_edge(real, lambda: endpoint.url)
    found = ask("www.example.com", 443, type=socket.SOCK_STREAM)
    assert [entry[4] for entry in found] == [("127.1.2.3", 40443), ("127.1.2.4", 40444)]
    assert {entry[:2] for entry in found} == {(socket.AF_INET, socket.SOCK_STREAM)}
    assert len(ask("www.example.com", 443)) > len(found)  # also datagrams, as the real function has it
    for host, port in (("www.example.com", "443"), ("www.example.com", "https"), (b"www.example.com", b"443")):
        assert ask(host, port, 0, socket.SOCK_STREAM)[0][4] == ("127.1.2.3", 40443)
    assert ask("www.example.com", None, 0, socket.SOCK_STREAM)[0][4] == ("127.1.2.3", 0)


def test_known_name_has_no_ipv6_address(endpoint: Any) -> None:
    """Who asks for IPv6 only is told that there is none."""
    with pytest.raises(socket.gaierror):
        lookup.at_the_edge(real, lambda: endpoint.url)("www.example.com", 443, socket.AF_INET6)


def test_unknown_name_goes_to_the_real_function(endpoint: Any) -> None:
    """A name that the edge does not know, and a known one on another port, are asked for and then looked up."""
    ask = lookup.at_the_edge(real, lambda: endpoint.url)
    assert ask("www.example.org", 443) == ask("www.example.com", 80) == REAL
    assert endpoint.asked == [("www.example.org", 443), ("www.example.com", 80)]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "::1", "fe80::1%eth0", "192.0.2.1", None, "", "."]
)
def test_this_machine_and_addresses_are_not_asked_for(endpoint: Any, host: str | None) -> None:
    """Addresses and names of this machine go to the real function at once."""
    assert lookup.at_the_edge(lambda *_: REAL, lambda: endpoint.url)(host, 443) == REAL
    assert endpoint.asked == []


def test_endpoint_itself_and_unknown_services_are_not_asked_for(endpoint: Any) -> None:
    """The endpoint's own name would ask for itself, and a service without a number cannot be asked for."""
    url = endpoint.url.replace("127.0.0.1", "cloud.example.com")
    assert lookup.at_the_edge(lambda *_: REAL, lambda: url)("Cloud.example.com", 443) == REAL
    assert lookup.at_the_edge(lambda *_: REAL, lambda: endpoint.url)("www.example.com", "no-such-service") == REAL
    assert endpoint.asked == []


@pytest.mark.parametrize("url", [None, "", "http://127.0.0.1:9"])
def test_without_a_cloud_the_real_function_answers(url: str | None) -> None:
    """No endpoint, and one on which nobody answers."""
    assert lookup.at_the_edge(real, lambda: url)("www.example.com", 443) == REAL


def test_broken_cloud_is_a_failed_lookup(endpoint: Any) -> None:
    """An endpoint that fails is no reason to look elsewhere: the lookup fails, and says why."""
    endpoint.status = 500
    with pytest.raises(socket.gaierror, match="the local edge answered 500 for www"):
        lookup.at_the_edge(real, lambda: endpoint.url)("www.example.com", 443)


def test_block_resolves_and_ends(endpoint: Any) -> None:
    """In the block asyncio and plain sockets resolve at the edge; after it nothing is changed."""
    before = socket.getaddrinfo
    running: list[Any] = [SimpleNamespace(url=endpoint.url)]
    cloud = SimpleNamespace(running=lambda: running[0])
    with resolving(cloud):
        found = asyncio.run(looked_up("www.example.com"))
        assert [entry[4] for entry in found] == [("127.1.2.3", 40443), ("127.1.2.4", 40444)]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("www.example.com", 443), 5)
        running[0] = None
        assert socket.getaddrinfo("127.0.0.1", 80)
    assert socket.getaddrinfo is before


async def looked_up(host: str) -> list[Any]:
    return await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
