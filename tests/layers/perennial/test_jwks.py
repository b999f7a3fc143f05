"""The issuer's keys: when they are asked for, what is kept, and what of a reply is refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import CA_NOT_AFTER, CA_NOT_BEFORE, build, pem
from perennial.errors import InvalidConfiguration, InvalidReply, PerennialError, Unavailable
from perennial.issuers.acme_http import Answer, Http
from perennial.jwks import AGAIN, KEPT, MAX_REPLY, RETRY, STALE, Keys, read
from tls_servers import server, tls_context
from tokens_made import NOW, jwk

URL = "https://login.example.com/keys"
SECOND = timedelta(seconds=1)


def jwks(*kids: str) -> bytes:
    return json.dumps({"keys": [jwk(kid=kid) for kid in kids]}).encode()


class Issuer:
    """Answers what the test says, and counts."""

    def __init__(self, *kids: str) -> None:
        self.answer: Answer | PerennialError = Answer(status=200, headers={}, body=jwks(*kids))
        self.asked: list[tuple[str, str, int]] = []

    def send(self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], limit: int) -> Answer:
        assert body is None
        self.asked.append((method, url, limit))
        if isinstance(self.answer, PerennialError):
            raise self.answer
        return self.answer

    def has(self, *kids: str) -> None:
        self.answer = Answer(status=200, headers={}, body=jwks(*kids))


def kids(found: tuple[Mapping[str, object], ...]) -> list[object]:
    return [each["kid"] for each in found]


def test_they_are_asked_for_once_and_kept() -> None:
    """One bounded GET to the configured URL, and none more while they are fresh."""
    issuer = Issuer("k1")
    keys = Keys(URL, issuer)
    for seconds in (0, 1, 3_599):
        assert kids(keys.having("k1", NOW + seconds * SECOND)) == ["k1"]
    assert issuer.asked == [("GET", URL, MAX_REPLY)]
    keys.having("k1", NOW + KEPT)
    assert len(issuer.asked) == 2


def test_a_key_that_the_issuer_withdrew_ends() -> None:
    """After the time for which they are kept, what is not published any more is not there."""
    issuer = Issuer("k1", "k2")
    keys = Keys(URL, issuer)
    keys.having("k1", NOW)
    issuer.has("k2")
    assert kids(keys.having("k1", NOW + KEPT - SECOND)) == ["k1", "k2"]
    assert kids(keys.having("k1", NOW + KEPT)) == ["k2"]


def test_a_new_key_is_found() -> None:
    """A kid that is unknown makes them be asked for again, once the last request is minutes ago."""
    issuer = Issuer("k1")
    keys = Keys(URL, issuer)
    keys.having("k1", NOW)
    issuer.has("k1", "k2")
    assert kids(keys.having("k2", NOW + AGAIN - SECOND)) == ["k1"]
    assert kids(keys.having("k2", NOW + AGAIN)) == ["k1", "k2"]
    assert len(issuer.asked) == 2


@given(st.lists(st.tuples(st.integers(0, 400), st.text(max_size=5)), max_size=40))
def test_invented_kids_cost_no_requests(visits: list[tuple[int, str]]) -> None:
    """However many tokens with whatever kids come, there is one request in five minutes at most."""
    issuer = Issuer("k1")
    keys, now, times = Keys(URL, issuer), NOW, []
    for seconds, kid in visits:
        now += seconds * SECOND
        before = len(issuer.asked)
        keys.having(kid, now)
        times += [now] * (len(issuer.asked) - before)
    assert all(later - earlier >= AGAIN for earlier, later in pairwise(times))


def test_an_issuer_that_does_not_answer() -> None:
    """What was got before serves on for a day, and the issuer is asked now and then; then there are no keys."""
    issuer = Issuer("k1")
    keys = Keys(URL, issuer)
    keys.having("k1", NOW)
    issuer.answer = Unavailable("down")
    late = NOW + KEPT
    for seconds in (0, 1, 14):
        assert kids(keys.having("k1", late + seconds * SECOND)) == ["k1"]
    assert len(issuer.asked) == 2
    assert kids(keys.having("k1", late + RETRY)) == ["k1"]
    assert len(issuer.asked) == 3
    with pytest.raises(Unavailable, match="down"):
        keys.having("k1", NOW + STALE)
    issuer.has("k3")
    assert kids(keys.having("k3", NOW + STALE + RETRY)) == ["k3"]


def test_an_issuer_that_never_answered() -> None:
    """There are no keys, said at once, with one request in a quarter of a minute."""
    issuer = Issuer()
    issuer.answer = Unavailable("down")
    keys = Keys(URL, issuer)
    for seconds in (0, 1, 14, 15, 16):
        with pytest.raises(Unavailable, match="down"):
            keys.having("k1", NOW + seconds * SECOND)
    assert len(issuer.asked) == 2


def test_a_failure_for_an_unknown_kid_is_not_repeated_at_once() -> None:
    """While the kept keys are fresh, a request that failed waits as long as one that found nothing."""
    issuer = Issuer("k1")
    keys = Keys(URL, issuer)
    keys.having("k1", NOW)
    issuer.answer = Unavailable("down")
    assert kids(keys.having("k2", NOW + AGAIN)) == ["k1"]
    keys.having("k2", NOW + AGAIN + RETRY)
    assert len(issuer.asked) == 2
    keys.having("k2", NOW + 2 * AGAIN)
    assert len(issuer.asked) == 3


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [
        (301, InvalidReply, "301, not 200; no redirect is followed"),
        (204, InvalidReply, "204"),
        (404, InvalidReply, "404"),
        (429, Unavailable, "429"),
        (503, Unavailable, "503"),
    ],
)
def test_statuses(status: int, error: type[PerennialError], why: str) -> None:
    """Nothing but 200 is a reply with keys, whatever its body says."""
    issuer = Issuer()
    issuer.answer = Answer(status=status, headers={"location": "https://evil.example.com"}, body=jwks("k1"))
    with pytest.raises(error, match=why):
        Keys(URL, issuer).having("k1", NOW)
    assert [url for _, url, _ in issuer.asked] == [URL]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[7]}',
        b'{"keys":null}',
        b'{"keys":"\xff"}',
        json.dumps({"keys": [{}] * 101}).encode(),
        b'{"keys":' + b"[" * 100_000,
    ],
)
def test_bodies(body: bytes) -> None:
    """What is no JWK Set of a hundred keys at most is refused."""
    with pytest.raises(InvalidReply, match=r"no JSON|no JWK Set"):
        read(body, URL)


@given(st.binary(max_size=200))
def test_no_body_raises_anything_else(body: bytes) -> None:
    """Whatever an issuer answers, the only error is the documented one."""
    with pytest.raises(InvalidReply):
        read(body, URL)


def test_another_scheme_is_not_asked() -> None:
    """Also where the configuration would have let it through."""
    issuer = Issuer("k1")
    with pytest.raises(InvalidReply, match="not https"):
        Keys("http://login.example.com/keys", issuer).having("k1", NOW)
    assert issuer.asked == []


ROOT = build("Example Root", ca=True)
LEAF = build("localhost", names=("localhost",), issuer=ROOT, not_before=CA_NOT_BEFORE, not_after=CA_NOT_AFTER)


def over_tls(reply: bytes, use: Callable[[str], Any]) -> tuple[Any, list[bytes]]:
    """What `use` makes of a server that answers with these bytes, and what the server was sent."""
    context, seen = tls_context(pem(LEAF, ROOT), LEAF.key_pem), []

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as served:
            seen.append(served.recv(4_096))
            served.sendall(reply)

    with server(handle) as port:
        return use(f"https://localhost:{port}/keys"), seen


def response(body: bytes, head: bytes = b"200 OK\r\nContent-Type: application/json") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (head, len(body), body)


def test_over_the_network() -> None:
    """By real TLS: the server is verified, no redirect is followed, and a large reply is not read."""
    http = Http(ROOT.pem, field="roots", reply_seconds=5)

    def asked(url: str) -> Any:
        return kids(Keys(url, http).having("k1", NOW))

    def error(url: str, sender: Any = http) -> Any:
        with pytest.raises(PerennialError) as caught:
            Keys(url, sender).having("k1", NOW)
        return type(caught.value), str(caught.value)

    found, seen = over_tls(response(jwks("k1")), asked)
    assert found == ["k1"]
    assert seen[0].startswith(b"GET /keys HTTP/1.1\r\n")
    assert b"authorization" not in seen[0].lower()
    moved = response(b"", b"302 Found\r\nLocation: https://localhost:1/evil")
    (kind, why), _ = over_tls(moved, error)
    assert (kind, "302, not 200" in why) == (InvalidReply, True)
    (kind, why), _ = over_tls(response(b" " * (MAX_REPLY + 1)), error)
    assert (kind, "more than" in why) == (InvalidReply, True)
    (kind, why), _ = over_tls(response(jwks("k1")), lambda url: error(url, Http("", field="roots", reply_seconds=5)))
    assert (kind, "not trusted" in why) == (InvalidConfiguration, True)
