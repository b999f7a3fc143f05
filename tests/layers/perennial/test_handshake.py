from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
import time
import warnings
from types import SimpleNamespace

import pytest

from certificates import NOW, build, pem
from perennial import handshake
from perennial.handshake import Handshake, addresses, chain_as_sent, name_to_send, shake
from tls_servers import closed_port, raw_server, server, tls_context, tls_server

ROOT = build("Example Root", ca=True)
INTERMEDIATE = build("Example CA", ca=True, issuer=ROOT)
LEAF = build("shop.example.com", issuer=INTERMEDIATE)
RSA = build("rsa.example.com", key="RSA-2048", issuer=INTERMEDIATE)


def look(port: int, name: str = "shop.example.com", address: str = "127.0.0.1") -> Handshake:
    return asyncio.run(shake(address, port, name))


def only(version: ssl.TLSVersion) -> object:
    def configure(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version

    return configure


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short timeouts."""
    monkeypatch.setattr(handshake, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.3)


@pytest.mark.parametrize("leaf", [LEAF, RSA], ids=["EC", "RSA"])
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_chain_as_sent(leaf: object, version: str) -> None:
    """The whole chain comes as sent with every protocol version and key, and the version is told."""
    chain = (leaf, INTERMEDIATE, ROOT)
    with tls_server(pem(*chain), leaf.key_pem, configure=only(ssl.TLSVersion[version])) as port:
        seen = look(port)
    assert seen == Handshake(
        address="127.0.0.1",
        port=port,
        sni="shop.example.com",
        chain=tuple(each.der for each in chain),
        protocol=version.replace("_", "."),
    )


def test_chain_is_not_completed() -> None:
    """A chain is what the server sent: nothing is added, left out or put in order, and nothing is verified."""
    ended = build("ended.example.com", not_before=NOW.replace(year=2020), not_after=NOW.replace(year=2021))
    with tls_server(ended.pem, ended.key_pem) as port:
        assert look(port).chain == (ended.der,)
    with tls_server(pem(LEAF, ROOT, INTERMEDIATE), LEAF.key_pem) as port:
        assert look(port).chain == (LEAF.der, ROOT.der, INTERMEDIATE.der)


def test_name_decides() -> None:
    """The name is sent, and the server chooses its certificate by it; an IP address is never sent as a name."""
    with tls_server(LEAF.pem, LEAF.key_pem, by_name={"rsa.example.com": (RSA.pem, RSA.key_pem)}) as port:
        assert look(port, "RSA.example.com.").chain == (RSA.der,)
        assert look(port, "other.example.com").chain == (LEAF.der,)
        assert look(port, "127.0.0.1") == Handshake(
            address="127.0.0.1", port=port, sni=None, chain=(LEAF.der,), protocol="TLSv1.3"
        )


def test_server_ends_the_handshake_too() -> None:
    """The last message is sent, so that the server does not log a failed handshake for every look at it."""
    done = threading.Event()
    context = tls_context(LEAF.pem, LEAF.key_pem)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True):
            done.set()

    with server(handle) as port:
        assert look(port).problem is None
    assert done.wait(5)


def test_weak_key() -> None:
    """A key too weak for any client is seen all the same."""
    weak = build("weak.example.com", key="RSA-1024")
    with tls_server(weak.pem, weak.key_pem) as port:
        assert look(port).chain == (weak.der,)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_server_that_asks_for_a_client_certificate(version: str) -> None:
    """A server that insists on a client certificate has shown its own: the chain is there, also if the rest fails."""

    def configure(context: ssl.SSLContext) -> None:
        only(ssl.TLSVersion[version])(context)
        context.verify_mode = ssl.CERT_REQUIRED

    with tls_server(pem(LEAF, INTERMEDIATE), LEAF.key_pem, configure=configure) as port:
        seen = look(port)
    assert seen.chain == (LEAF.der, INTERMEDIATE.der)
    assert (seen.problem is None) == (version == "TLSv1_3")  # there it refuses after the client's side is done


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("answer", "repeat", "wait", "problem"),
    [
        (b"", False, True, "no end of the handshake within 0.3 s"),
        (b"", False, False, "the server closed the connection during the handshake"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, False, "the server answered, but not with TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False, True, "the server answered, but not with TLS"),
        (os.urandom(1).replace(b"\x16", b"x").replace(b"\x15", b"x") + b"y" * 99, True, True, "but not with TLS"),
        (b"\x16\x03\x03\x40\x00" + b"\x02\x00\x40\x00" + b"x" * 16_380, True, True, "the handshake failed: "),
        (b"\x15\x03\x03\x00\x02\x02\x28", False, True, "the handshake failed: "),
        (b"\x16\x03\x03\x00\x04\x00\x00\x00\x00", True, True, "handshake"),
        (b"\x16", False, True, "no end of the handshake within 0.3 s"),
    ],
    ids=["silent", "closes", "http", "ssh", "garbage", "broken hello", "alert", "endless hello requests", "stalls"],
)
def test_hostile_servers(answer: bytes, repeat: bool, wait: bool, problem: str) -> None:
    """Whatever a server does instead of TLS gives a sentence, in bounded time."""
    started = time.monotonic()
    with raw_server(answer, repeat=repeat, wait=wait) as port:
        seen = look(port)
    assert time.monotonic() - started < 2
    assert seen.chain == ()
    assert seen.problem is not None
    assert problem in seen.problem


def test_endless_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends more than any chain holds is left before it has sent everything."""
    monkeypatch.setattr(handshake, "MAX_RECEIVED", 1_000)
    with raw_server(b"\x16\x03\x03\x40\x00" + b"\x0b\x00\x90\x00" + b"x" * 10_000, wait=True) as port:
        seen = look(port)
    assert seen.problem is not None
    assert "bytes" in seen.problem or "failed" in seen.problem


def test_huge_chain() -> None:
    """A chain of more than OpenSSL's 100 KB is refused by its announced size."""
    others = [build(f"h{number}.example.com", key=LEAF.key) for number in range(250)]
    with tls_server(pem(LEAF, *others), LEAF.key_pem) as port:
        assert look(port).problem == "the handshake failed: excessive message size"


def test_refused() -> None:
    """A port on which nobody listens gives a sentence."""
    problem = look(closed_port()).problem
    assert problem is not None
    assert "refused" in problem.lower()


@pytest.mark.parametrize("name", [".example.com", "a" * 64 + ".example.com", "a..b"])
def test_name_that_cannot_be_asked_for(name: str) -> None:
    """A name that TLS cannot carry gives a sentence."""
    with tls_server(LEAF.pem, LEAF.key_pem) as port:
        problem = look(port, name).problem
    assert problem is not None
    assert "name" in problem


def test_addresses() -> None:
    """A host's addresses are distinct and sorted; an address is its own; an unknown name is an error."""
    assert asyncio.run(addresses("127.0.0.1", 443)) == ("127.0.0.1",)
    assert "127.0.0.1" in asyncio.run(addresses("localhost", 443))
    with pytest.raises(socket.gaierror):
        asyncio.run(addresses("unknown.invalid", 443))


@pytest.mark.parametrize(
    ("host", "name"),
    [("Shop.Example.COM.", "shop.example.com"), ("192.0.2.1", None), ("[2001:db8::1]", None), ("2001:db8::1", None)],
)
def test_name_to_send(host: str, name: str | None) -> None:
    """Names go without a final dot; IP addresses are no names (RFC 6066 section 3)."""
    assert name_to_send(host) == name


def test_both_ways_to_the_chain() -> None:
    """The public function of Python 3.13 is taken where it is; below, the same one of the private object."""
    public = SimpleNamespace(get_unverified_chain=lambda: [b"leaf", b"issuer"])
    assert chain_as_sent(public) == (b"leaf", b"issuer")
    private = [SimpleNamespace(public_bytes=lambda form: b"leaf" if form == 2 else b"")]
    assert chain_as_sent(SimpleNamespace(_sslobj=SimpleNamespace(get_unverified_chain=lambda: private))) == (b"leaf",)
    assert chain_as_sent(SimpleNamespace(_sslobj=SimpleNamespace(get_unverified_chain=lambda: None))) == ()


def test_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A failing handshake writes no warning to the log: asyncio does not see an unhandled error."""
    caplog.set_level(logging.WARNING)
    with raw_server(b"nonsense", wait=False) as port:
        look(port)
    assert caplog.records == []
