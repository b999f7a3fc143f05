from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from certificates import NOW, build, pem
from perennial import handshake
from perennial.handshake import Handshake
from perennial.manifest import Role, Scope, Seen, Sighting, decode, encode
from perennial.scanners import endpoints
from perennial.scanners.endpoints import CONCURRENCY, SCANNER, Endpoint
from perennial.scanners.interface import GLOBAL, Reading
from perennial.settings import Discovery
from tls_servers import closed_port, raw_server, tls_server

SCOPE = Scope("111122223333", GLOBAL, "endpoints")
ROOT = build("Example Root", ca=True)
INTERMEDIATE = build("Example CA", ca=True, issuer=ROOT)
LEAF = build("localhost", issuer=INTERMEDIATE)
OTHER = build("localhost", issuer=INTERMEDIATE, serial=7)


def scan(*configured: str, known: Iterable[Sighting] = ()) -> list[Seen]:
    before = {each.location: each for each in decode(encode(SCOPE, NOW, known))}
    reading = Reading(
        scope=SCOPE,
        client=lambda service: pytest.fail(f"{service} is not needed"),
        known=before,
        full=True,
        settings=Discovery(endpoints=configured),
        tags=lambda _: {},
        now=NOW,
    )
    return list(SCANNER.scan(reading))


@pytest.fixture
def port() -> Iterator[int]:
    with tls_server(pem(LEAF, INTERMEDIATE, ROOT), LEAF.key_pem) as served:
        yield served


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Addresses and what they serve: a Built, or a problem."""
    served: dict[str, Any] = {}

    async def resolved(host: str, port: int, most: int) -> tuple[str, ...]:
        return tuple(sorted(served)[:most])

    async def shaken(address: str, port: int, host: str) -> Handshake:
        found = served[address]
        if isinstance(found, str):
            return Handshake(address=address, port=port, sni=host, problem=found)
        return Handshake(address=address, port=port, sni=host, chain=(found.der,), protocol="TLSv1.3")

    monkeypatch.setattr(handshake, "addresses", resolved)
    monkeypatch.setattr(handshake, "shake", shaken)
    return served


def test_served_certificate(port: int) -> None:
    """An endpoint is a served sighting with the leaf, the chain as sent and its verdict, and the protocol."""
    (seen,) = scan(f"127.0.0.1:{port}")
    assert (seen.certificate, seen.chain) == (LEAF.certificate, (INTERMEDIATE.certificate, ROOT.certificate))
    assert seen.sighting == Sighting(
        location=f"127.0.0.1:{port}",
        role=Role.SERVED,
        resource=f"127.0.0.1:{port}",
        fingerprint=LEAF.fingerprint,
        attributes={
            "names": ["127.0.0.1"],
            "protocol": "TLSv1.3",
            "chain": [INTERMEDIATE.fingerprint, ROOT.fingerprint],
            "chain_status": "complete",
            "chain_not_after": "2034-01-01T00:00:00+00:00",
            "public": False,
        },
    )


def test_unchanged(port: int) -> None:
    """A second scan gives the same sighting, and neither parses nor judges what is known."""
    first = scan(f"127.0.0.1:{port}")
    (again,) = scan(f"127.0.0.1:{port}", known=[first[0].sighting])
    assert again == Seen(first[0].sighting)


def test_incomplete_chain() -> None:
    """A server that leaves out its intermediate is told from one that sends it, also when the leaf stayed the same."""
    with tls_server(LEAF.pem, LEAF.key_pem) as port:
        location = f"127.0.0.1:{port}"
        attributes = {"chain": [INTERMEDIATE.fingerprint], "chain_status": "complete"}
        known = Sighting(
            location=location,
            role=Role.SERVED,
            resource=location,
            fingerprint=LEAF.fingerprint,
            attributes=attributes,
        )
        (seen,) = scan(location, known=[known])
    assert seen.sighting.attributes["chain_status"] == "incomplete"
    assert seen.certificate == LEAF.certificate


def test_name_is_sent() -> None:
    """A host name goes to the server, which chooses the certificate by it."""
    with tls_server(OTHER.pem, OTHER.key_pem, by_name={"localhost": (LEAF.pem, LEAF.key_pem)}) as port:
        by_name, by_address = scan(f"LOCALHOST:{port}", f"127.0.0.1:{port}")
    assert by_name.sighting.location == f"localhost:{port}"
    assert (by_name.certificate, by_address.certificate) == (LEAF.certificate, OTHER.certificate)


def test_every_failure_has_its_sentence(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints that do not answer are sightings with a problem, side by side with those that do."""
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.3)
    with raw_server(wait=True) as silent, raw_server(b"HTTP/1.0 400 Bad\r\n\r\n") as plain:
        configured = {
            f"127.0.0.1:{closed_port()}": "no connection",
            f"127.0.0.1:{silent}": "no end of the handshake",
            f"127.0.0.1:{plain}": "not with TLS",
            "unknown.invalid": "does not resolve",
            "a..b:443": "does not resolve",
            "127.0.0.1:99999": "there is no port 99999",
        }
        found = scan(f"127.0.0.1:{port}", *configured)
    assert found[0].certificate == LEAF.certificate
    for seen, sentence in zip(found[1:], configured.values(), strict=True):
        assert sentence in seen.sighting.attributes["problem"]
        assert (seen.certificate, seen.sighting.fingerprint) == (None, None)


def test_no_certificate_of_a_server_that_refuses_the_client() -> None:
    """A handshake that fails behind the certificate keeps the certificate, and says how it failed."""

    def configure(context: Any) -> None:
        import ssl

        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED

    with tls_server(LEAF.pem, LEAF.key_pem, configure=configure) as port:
        (seen,) = scan(f"127.0.0.1:{port}")
    assert seen.certificate == LEAF.certificate
    assert "handshake failed" in seen.sighting.attributes["handshake"]


def test_addresses_that_serve_the_same(network: dict[str, Any]) -> None:
    """One certificate on all addresses is one sighting that does not change with the addresses."""
    network.update({"192.0.2.1": LEAF, "192.0.2.2": LEAF})
    first = scan("shop.example.com:443")
    network.clear()
    network.update({"192.0.2.8": LEAF, "192.0.2.9": LEAF})
    assert [each.sighting for each in scan("shop.example.com")] == [each.sighting for each in first]
    assert "addresses" not in first[0].sighting.attributes


def test_addresses_that_differ(network: dict[str, Any]) -> None:
    """An address with another certificate is a sighting of its own; the place itself is what most addresses serve."""
    network.update({"192.0.2.1": OTHER, "192.0.2.2": LEAF, "192.0.2.3": LEAF})
    first, second = (each.sighting for each in scan("shop.example.com"))
    assert (first.location, first.fingerprint) == ("shop.example.com:443", LEAF.fingerprint)
    assert first.attributes["addresses"] == ["192.0.2.2", "192.0.2.3"]
    assert (second.location, second.fingerprint) == ("shop.example.com:443#192.0.2.1", OTHER.fingerprint)
    assert second.resource == "shop.example.com:443"


def test_address_that_stops_to_answer(network: dict[str, Any]) -> None:
    """A known place that fails is reported with a problem; an address that never gave a certificate is not."""
    network.update({"192.0.2.1": OTHER, "192.0.2.2": LEAF, "192.0.2.3": LEAF, "192.0.2.4": "no connection"})
    known = [each.sighting for each in scan("shop.example.com")]
    assert len(known) == 2
    network["192.0.2.1"] = "no connection: refused"
    _, failed = scan("shop.example.com", known=known)
    assert failed.sighting.location == "shop.example.com:443#192.0.2.1"
    assert failed.sighting.attributes["problem"] == "no connection: refused"


def test_endpoint_that_stops_to_answer(network: dict[str, Any]) -> None:
    """When a whole endpoint fails, all its known places keep being reported, with the problem."""
    network.update({"192.0.2.1": OTHER, "192.0.2.2": LEAF, "192.0.2.3": LEAF})
    known = [each.sighting for each in scan("shop.example.com")]
    network.update({"192.0.2.1": "down", "192.0.2.2": "closed", "192.0.2.3": "closed"})
    failed = [each.sighting for each in scan("shop.example.com", known=known)]
    assert [each.location for each in failed] == [each.location for each in known]
    assert [each.attributes["problem"] for each in failed] == ["closed; down", "down"]


def test_many_addresses(network: dict[str, Any]) -> None:
    """No more than eight addresses of a host are looked at."""
    network.update({f"192.0.2.{number}": LEAF for number in range(1, 9)} | {"192.0.2.99": OTHER})
    assert len(scan("shop.example.com")) == 1


def test_at_most_a_hundred_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many endpoints there are, a hundred handshakes run at once."""
    running: list[int] = [0, 0]

    async def resolved(host: str, port: int, most: int) -> tuple[str, ...]:
        return ("192.0.2.1", "192.0.2.2")

    async def shaken(address: str, port: int, host: str) -> Handshake:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0.001)
        running[0] -= 1
        return Handshake(address=address, port=port, sni=host, problem="down")

    monkeypatch.setattr(handshake, "addresses", resolved)
    monkeypatch.setattr(handshake, "shake", shaken)
    assert len(scan(*(f"h{number}" for number in range(300)))) == 300
    assert running[1] == CONCURRENCY


def test_long_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a chain that never ends only the first certificates are judged and kept."""
    monkeypatch.setattr(endpoints, "MAX_CHAIN", 1)
    with tls_server(pem(LEAF, INTERMEDIATE, ROOT), LEAF.key_pem) as port:
        (seen,) = scan(f"127.0.0.1:{port}")
    assert seen.sighting.attributes["chain"] == [INTERMEDIATE.fingerprint]


def test_repeated_endpoints(port: int) -> None:
    """An endpoint that is configured twice is looked at once."""
    assert len(scan(f"127.0.0.1:{port}", f"127.0.0.1:{port}")) == 1


def test_no_endpoints() -> None:
    """Without endpoints there is nothing to see."""
    assert scan() == []


def test_many_endpoints() -> None:
    """Many endpoints on many ports are all seen."""
    with ExitStack() as stack:
        ports = [stack.enter_context(tls_server(LEAF.pem, LEAF.key_pem)) for _ in range(30)]
        found = scan(*(f"127.0.0.1:{port}" for port in ports))
    assert {seen.sighting.fingerprint for seen in found} == {LEAF.fingerprint}


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("Shop.Example.com", "shop.example.com:443"),
        ("shop.example.com:8443", "shop.example.com:8443"),
        ("[2001:DB8::1]:8443", "[2001:db8::1]:8443"),
        ("[::1]", "[::1]:443"),
    ],
)
def test_locations(text: str, location: str) -> None:
    """A location is host:port in lower case, IPv6 addresses in brackets, 443 where no port is written."""
    assert Endpoint.of(text).location == location
