"""Where the browser comes back to: the right answer is taken, and everything else answered and not believed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from perennial.cli import loopback
from perennial.cli.oauth import Query
from perennial.errors import InvalidInput, Unavailable

RIGHT = {"state": ["s"], "code": ["c"]}
Wait = Callable[[], Future[Query]]


@dataclass
class Waiting:
    """A command that waits, in a thread of its own."""

    port: int
    listening: threading.Event = field(default_factory=threading.Event)
    found: Future[Query] = field(default_factory=Future)
    told: list[str] = field(default_factory=list)

    def run(self) -> None:
        try:
            self.found.set_result(loopback.wait(lambda query: query == RIGHT, self.listening.set, self.told.append))
        except Exception as error:  # noqa: BLE001 - for the test's own thread
            self.found.set_exception(error)

    def send(self, request: bytes) -> str:
        """What is answered to these bytes; "" where the connection just ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            with suppress(OSError):  # it is closed while a huge request is being sent, or just before its end
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            received = b""
            with suppress(ConnectionError):
                while piece := connection.recv(65_536):
                    received += piece
        return received.decode()

    def get(self, target: str, method: str = "GET", host: str = "") -> str:
        named = host or f"localhost:{self.port}"
        return self.send(f"{method} {target} HTTP/1.1\r\nHost: {named}\r\n\r\n".encode())


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(loopback, "PORT", port)
    made = Waiting(port)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    assert made.listening.wait(20)
    yield made
    if not made.found.done():
        made.get("/callback?state=s&code=c")
    thread.join(20)
    assert not thread.is_alive()


def test_the_answer(waiting: Waiting) -> None:
    """Its parameters end the wait; the page says where it goes on, repeats nothing, loads nothing and is not kept."""
    page = waiting.get("/callback?state=s&code=c")
    assert waiting.found.result(20) == RIGHT
    head, _, body = page.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    for each in (
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy: no-referrer",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ):
        assert each in head.split("\r\n")
    assert "Close this page" in body and "<script" not in body


REFUSED = {
    "another state": ("GET", "/callback?state=other&code=c", "", 400),
    "no parameters": ("GET", "/callback", "", 400),
    "many parameters": ("GET", "/callback?" + "a=1&" * 30, "", 400),
    "no UTF-8": ("GET", "/callback?state=%ff", "", 400),
    "another path": ("GET", "/?state=s&code=c", "", 404),
    "a path below": ("GET", "/callback/?state=s&code=c", "", 404),
    "an absolute form": ("GET", "http://localhost/callback?state=s&code=c", "", 404),
    "a favicon": ("GET", "/favicon.ico", "", 404),
    "POST": ("POST", "/callback?state=s&code=c", "", 405),
    "HEAD": ("HEAD", "/callback?state=s&code=c", "", 405),
    "OPTIONS": ("OPTIONS", "/callback", "", 405),
    "another host": ("GET", "/callback?state=s&code=c", "evil.example:80", 400),
    "another port": ("GET", "/callback?state=s&code=c", "localhost:1", 400),
    "markup": ("GET", "/callback?<script>alert(1)</script>", "", 400),
}


@pytest.mark.parametrize(("method", "target", "host", "status"), list(REFUSED.values()), ids=list(REFUSED))
def test_other_requests_are_answered_and_not_believed(
    waiting: Waiting, method: str, target: str, host: str, status: int
) -> None:
    """The wait goes on behind each, and nothing of it is repeated."""
    page = waiting.get(target, method, host)
    assert page.startswith(f"HTTP/1.1 {status} ")
    assert "alert" not in page and "evil" not in page and "other" not in page
    assert not waiting.found.done()
    waiting.get("/callback?state=s&code=c")
    assert waiting.found.result(20) == RIGHT


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n\r\n",
        b"GET /callback?state=s&code=c\r\n\r\n",
        b"GET /callback?state=s&code=c HTTP/1.1\r\n\r\n",
        b"GET /callback?state=s&code=c HTTP/1.1\r\nHost: localhost:1\r\nHost: localhost:2\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET " + b"/" * 1_000_000,
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        bytes(range(256)) * 100,
    ],
    ids=["nothing", "empty", "HTTP/0.9", "no host", "two hosts", "TLS", "endless line", "huge header", "noise"],
)
def test_what_is_no_request(waiting: Waiting, sent: bytes) -> None:
    """It ends with a refusal or with the connection, and the wait goes on."""
    said = waiting.send(sent)
    assert said == "" or said.startswith("HTTP/1.1 4")
    waiting.get("/callback?state=s&code=c")
    assert waiting.found.result(20) == RIGHT


def test_connections_that_say_nothing(waiting: Waiting) -> None:
    """However many there are, and the answer comes as soon as one of them leaves; nor does the end wait for them."""
    held = [socket.create_connection(("127.0.0.1", waiting.port)) for _ in range(loopback.MAX_CONNECTIONS + 5)]
    try:
        assert waiting.get("/").startswith("HTTP/1.1 503 ")
        for each in held[:10]:
            each.close()
        while not waiting.get("/callback?state=s&code=c").startswith("HTTP/1.1 200 "):
            assert not waiting.found.done()
        assert waiting.found.result(20) == RIGHT
    finally:
        for each in held:
            each.close()


def test_who_never_ends_a_request_is_sent_away(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds, in which others come and go."""
    monkeypatch.setattr(loopback, "REQUEST_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", waiting.port), timeout=20) as slow:
        slow.sendall(b"GET /callback?state=s")
        assert waiting.get("/").startswith("HTTP/1.1 404 ")
        assert slow.recv(65_536)[:12] in (b"HTTP/1.1 408", b"")
    assert not waiting.found.done()


def test_it_listens_on_loopback_alone(waiting: Waiting) -> None:
    """Whatever other addresses this machine has."""
    with socket.socket(socket.AF_INET) as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", waiting.port)) != 0


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(loopback, "PORT", port)
        with pytest.raises(InvalidInput, match=rf"port {port} of 127\.0\.0\.1 is taken.*lsof -i :{port}"):
            loopback.wait(lambda query: True, lambda: None, lambda line: None)


def test_nobody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at its time, and says before that it still waits."""
    told: list[str] = []
    monkeypatch.setattr(loopback, "PORT", 0)
    monkeypatch.setattr(loopback, "SECONDS", 0.06)
    monkeypatch.setattr(loopback, "TELL_EVERY", 0.02)
    with pytest.raises(Unavailable, match="nobody signed in within"):
        loopback.wait(lambda query: True, lambda: None, told.append)
    assert told and all(each.startswith("still waiting for the browser") for each in told)
