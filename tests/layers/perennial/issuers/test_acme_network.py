"""Hostile ACME servers: each ends in a clear error, within bounded time and memory, and nothing of theirs is used."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acme_server import JSON, PEM, PROBLEM, AcmeServer, Asker, Reply, acme, authorities
from certificates import build, pem
from perennial.errors import InvalidConfiguration, InvalidReply, PerennialError, Unavailable, ValidationFailed
from perennial.issuers import acme_http
from perennial.issuers.acme_http import Http
from perennial.issuers.acme_network import Network
from perennial.issuers.acme_reading import origins
from perennial.profiles import AcmeIssuer
from tls_servers import tls_server

pytestmark = pytest.mark.slow

JSON_KINDS = ("directory", "newOrder", "authorization", "order", "finalize")
ALL_KINDS = (*JSON_KINDS, "challenge", "certificate")
ELSEWHERE = "https://evil.example/x"


@pytest.fixture
def asker() -> Iterator[Asker]:
    """Someone with an account at a server."""
    with acme() as (server, secrets):
        made = Asker(server, secrets)
        made.warm()
        yield made


@pytest.fixture
def server(asker: Asker) -> AcmeServer:
    return asker.server


def _changed(**values: Any) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, values={**reply.values, **values})


# Bodies


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_huge_body_is_not_read(server: AcmeServer, asker: Asker, kind: str) -> None:
    """A gigabyte is announced and sent; a megabyte of it is read at most."""
    sent = []

    def flood(handler: BaseHTTPRequestHandler) -> None:
        content = PEM if kind == "certificate" else JSON
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content}\r\nContent-Length: 1000000000\r\n\r\n"
        handler.wfile.write(head.encode())
        try:
            for _ in range(1_000):
                handler.wfile.write(b" " * 1_000_000)
                handler.wfile.flush()
                sent.append(1)
        except OSError:
            return  # the client went away

    server.alter[kind] = lambda reply: Reply(raw=flood)
    with pytest.raises(InvalidReply, match="answered with more than"):
        asker.issue("a.example.com")
    assert len(sent) < 100


@pytest.mark.parametrize("where", ("head", "body", "chunks"))
def test_a_server_that_drips_ends_at_the_deadline(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps every read alive; the whole reply still has an end."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    start = {
        "head": b"HTTP/1.1 200 OK\r\nX-Long: ",
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    }[where]

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(start)
            while not stop.wait(0.01):
                try:
                    connection.sendall(b"1\r\na\r\n" if where == "chunks" else b"a")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        http = Http("", field="roots", reply_seconds=0.2)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(Unavailable, match=r"no whole reply within 0\.2 s"):
            http.send("GET", url, body=None, headers={}, limit=10**6)
    finally:
        stop.set()
        thread.join()
        listener.close()


def test_a_server_that_says_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces of a reply there is a bound of its own."""
    monkeypatch.setattr(acme_http, "READ_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(Unavailable, match="no whole reply"):
            Http("", field="roots").send("GET", url, body=None, headers={}, limit=10)


@pytest.mark.parametrize("kind", JSON_KINDS)
@pytest.mark.parametrize(
    "body",
    (b"", b"<html>", b"[]", b"null", b"3", b"{", b"\xff\xfe{}", b"[" * 400_000, b'{"a":' * 100_000, b"1" * 10_000),
    ids=("empty", "html", "list", "null", "number", "cut", "encoding", "deep-list", "deep-object", "long-number"),
)
def test_what_is_no_json_object_is_refused(server: AcmeServer, asker: Asker, kind: str, body: bytes) -> None:
    """Whatever the body is, it is one error, that names what was asked."""
    server.alter[kind] = lambda reply: replace(reply, body=body)
    with pytest.raises(InvalidReply, match=f"test: {kind} is not"):
        asker.issue("a.example.com")


@pytest.mark.parametrize("kind", (*JSON_KINDS, "certificate"))
@pytest.mark.parametrize("content", ("text/html", "", "application/jsonp", PROBLEM, "application/octet-stream"))
def test_another_content_type_is_refused(server: AcmeServer, asker: Asker, kind: str, content: str) -> None:
    """The type is judged, not guessed from the body."""
    server.alter[kind] = lambda reply: replace(reply, kind=content)
    with pytest.raises(InvalidReply, match="the reply is"):
        asker.issue("a.example.com")


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_parameters_of_the_content_type_are_allowed(server: AcmeServer, asker: Asker, kind: str) -> None:
    """`application/json; charset=utf-8` is JSON."""
    server.alter[kind] = lambda reply: replace(reply, kind="Application/JSON; charset=utf-8")
    asker.issue("a.example.com")
    assert server.issued == 1


def test_an_encoded_body_is_refused(server: AcmeServer, asker: Asker) -> None:
    """Nothing is decompressed: a small body could become a huge one."""
    server.alter["directory"] = lambda reply: replace(reply, headers={"Content-Encoding": "gzip"})
    with pytest.raises(InvalidReply, match="encoded body"):
        asker.issue("a.example.com")


@pytest.mark.parametrize("kind", (*ALL_KINDS, "newNonce"))
@pytest.mark.parametrize("status", (301, 302, 303, 307, 308))
def test_a_redirect_is_not_followed(server: AcmeServer, asker: Asker, kind: str, status: int) -> None:
    """Not even one to the same server: the server's word is not where to go."""
    server.alter[kind] = lambda reply: Reply(status, headers={**reply.headers, "Location": server.url("elsewhere")})
    with pytest.raises(InvalidReply, match="a redirect to"):
        asker.issue("a.example.com")
    assert "elsewhere" not in server.kinds


@pytest.mark.parametrize("kind", (*ALL_KINDS, "newNonce"))
@pytest.mark.parametrize(("status", "expected"), ((403, InvalidReply), (404, PerennialError), (502, Unavailable)))
def test_a_page_of_a_gateway_is_no_refusal(
    server: AcmeServer, asker: Asker, kind: str, status: int, expected: type[PerennialError]
) -> None:
    """HTML with an error's status comes from something that is no ACME server, or from one that is out of order."""
    server.alter[kind] = lambda reply: Reply(status, body=b"<html>" * 1000, kind="text/html")
    with pytest.raises(expected):
        asker.issue("a.example.com")
    assert len(server.kinds) < 30


def test_what_is_no_http_is_unavailable() -> None:
    """A server that speaks something else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(Unavailable, match="could not be asked"):
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            Http("", field="roots").send("GET", url, body=None, headers={}, limit=10)
        thread.join()


# URLs

_PLACES: dict[str, tuple[str, Callable[[Reply, Any], Reply]]] = {
    **{
        f"directory {name}": ("directory", lambda reply, url, name=name: _changed(**{name: url})(reply))  # type: ignore[misc]
        for name in ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo")
    },
    "newOrder location": ("newOrder", lambda reply, url: replace(reply, headers={**reply.headers, "Location": url})),
    "newOrder authorization": ("newOrder", lambda reply, url: _changed(authorizations=[url])(reply)),
    "newOrder finalize": ("newOrder", lambda reply, url: _changed(finalize=url)(reply)),
    "challenge": (
        "authorization",
        lambda reply, url: _changed(challenges=[{**each, "url": url} for each in reply.values["challenges"]])(reply),
    ),
    "certificate": ("finalize", lambda reply, url: _changed(status="valid", certificate=url)(reply)),
    "certificate, later": ("order", lambda reply, url: _changed(status="valid", certificate=url)(reply)),
    "alternate": (
        "certificate",
        lambda reply, url: replace(reply, headers={**reply.headers, "Link": f'<{url}>;rel="alternate"'}),
    ),
}
_FOREIGN = (
    ELSEWHERE,
    "http://127.0.0.1:1/x",
    "http://169.254.169.254/latest/meta-data",
    "https://127.0.0.1@evil.example/",
    "//evil.example/x",
    "file:///etc/passwd",
    "/relative",
    "https://evil.example\\@127.0.0.1/",
    "https://[::1/",
    "https://a:99999/",
    "ftp://127.0.0.1/",
    "x" * 5_000,
)


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("url", _FOREIGN, ids=lambda url: url[:30])
def test_a_url_elsewhere_is_never_asked(server: AcmeServer, asker: Asker, place: str, url: str) -> None:
    """In every place that a URL may be in, it has to be on the directory's origin."""
    kind, alter = _PLACES[place]
    server.alter[kind] = lambda reply: alter(reply, url)
    with pytest.raises(InvalidReply):
        asker.issue("a.example.com", preferred_root="Root Two")


def test_a_foreign_url_is_named_with_what_would_be_accepted(server: AcmeServer, asker: Asker) -> None:
    """The message has both origins and the setting."""
    server.alter["directory"] = _changed(newOrder=ELSEWHERE)
    with pytest.raises(InvalidReply) as raised:
        asker.issue("a.example.com")
    assert str(raised.value) == (
        f"test: directory: newOrder leads to https://evil.example, which is not of this issuer ({server.origin}); "
        "if it is right, add it to the issuer's origins"
    )


def test_a_configured_origin_is_allowed(server: AcmeServer, asker: Asker) -> None:
    """What the organisation configured may be asked: here a second name of the same server."""
    second = server.origin.replace("127.0.0.1", "localhost")
    asker = Asker(server, asker.secrets, origins=(second,))
    server.alter["directory"] = lambda reply: _changed(newNonce=f"{second}/newNonce")(reply)
    asker.issue("a.example.com")
    assert server.issued == 1


@pytest.mark.parametrize(
    "directory", ("http://ca.example/d", "ftp://127.0.0.1/", "https://", "", "ca.example", "https://u:p@ca.example/")
)
def test_a_directory_is_https_or_on_loopback(directory: str) -> None:
    """Plain http leaves the machine nowhere."""
    with pytest.raises(InvalidConfiguration, match="is not an https URL"):
        origins(AcmeIssuer(name="test", directory=directory))


def test_loopback_urls_of_an_https_directory_are_refused() -> None:
    """Only a directory that is itself plain on loopback may lead there plainly."""
    allowed = origins(AcmeIssuer(name="test", directory="https://ca.example/d", origins=("https://ca2.example:8443",)))
    assert allowed.url("https://CA.example:443/x", "Location") == "https://CA.example:443/x"
    assert allowed.url("https://ca2.example:8443/x", "Location")
    for url in ("http://ca.example/x", "http://127.0.0.1/x", "https://ca.example:444/x", "https://ca2.example/"):
        with pytest.raises(InvalidReply):
            allowed.url(url, "Location")


# Values

_WRONG: tuple[Any, ...] = (None, True, 3, -1.5, "", "x", "x" * 3_000, [], [[]], [3], {}, {"a": {}}, "\ud800", "\x00")
_FIELDS = {
    "directory": ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo", "meta"),
    "newOrder": ("status", "authorizations", "finalize"),
    "authorization": ("status", "identifier", "challenges", "wildcard"),
    "order": ("status", "error", "expires", "certificate"),
    "finalize": ("status", "certificate", "error"),
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in _FIELDS.items() for name in names])
def test_a_wrong_value_is_an_error_or_of_no_consequence(server: AcmeServer, asker: Asker, kind: str, name: str) -> None:
    """Each field takes each wrong value: an error of Perennial's vocabulary, or an order that ends well without it."""
    for value in _WRONG:
        server.alter[kind] = _changed(**{name: value})
        asker.order, asker.presented = "", False
        try:
            asker.issue("a.example.com")
        except PerennialError as error:
            assert len(str(error)) < 1_500
            assert str(error).isprintable()


@pytest.mark.parametrize("name", ("type", "url", "token", "status"))
def test_a_wrong_challenge_is_an_error_or_of_no_consequence(server: AcmeServer, asker: Asker, name: str) -> None:
    """The same for the fields of a challenge."""
    for value in _WRONG:
        server.alter["authorization"] = lambda reply, value=value: _changed(  # type: ignore[misc]
            challenges=[{**each, name: value} for each in reply.values["challenges"]]
        )(reply)
        asker.order, asker.presented = "", False
        try:
            asker.issue("a.example.com")
        except PerennialError as error:
            assert str(error).isprintable()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(JSON_KINDS), data=st.data())
def test_any_json_ends_in_an_error_that_is_meant(
    server: AcmeServer, asker: Asker, kind: str, data: st.DataObject
) -> None:
    """Whatever JSON a reply has, with its own fields replaced or not: nothing but Perennial's errors comes of it."""

    def alter(reply: Reply) -> Reply:
        changed = data.draw(st.dictionaries(st.sampled_from(sorted(reply.values)), _json, max_size=3))
        status = data.draw(st.sampled_from((200, 400, 403, 404, 429, 500)))
        return replace(reply, status=status, values={**reply.values, **changed})

    server.alter = {kind: alter}
    asker.order, asker.presented = "", False
    try:
        asker.finish(asker.ask("a.example.com"), most=70)
    except PerennialError as error:
        assert str(error).isprintable()


def test_records_of_names_that_were_not_requested_are_not_shown(server: AcmeServer, asker: Asker) -> None:
    """A hostile CA could have a record written in another zone."""
    server.alter["authorization"] = _changed(identifier={"type": "dns", "value": "bank.example"})
    with pytest.raises(InvalidReply, match=r"'bank\.example', which was not requested"):
        asker.issue("a.example.com")
    assert asker.challenges == ()


def test_a_wildcard_that_was_not_requested_is_not_shown(server: AcmeServer, asker: Asker) -> None:
    """The flag makes it another name."""
    server.alter["authorization"] = _changed(wildcard=True)
    with pytest.raises(InvalidReply, match=r"\*\.a\.example\.com"):
        asker.issue("a.example.com")


def test_more_authorizations_than_names_can_be_are_refused(server: AcmeServer, asker: Asker) -> None:
    """A list of URLs to ask is bounded."""
    server.alter["newOrder"] = _changed(authorizations=[server.url("authorization", "1")] * 101)
    with pytest.raises(InvalidReply, match="a list of at most 100"):
        asker.issue("a.example.com")


def test_a_server_without_nonces_is_refused(server: AcmeServer, asker: Asker) -> None:
    """newNonce has one to give (RFC 8555 7.2)."""
    server.alter["newNonce"] = lambda reply: replace(reply, headers={"Replay-Nonce": "not base64url!"})
    with pytest.raises(InvalidReply, match="no Replay-Nonce"):
        asker.issue("a.example.com")


def test_texts_of_the_server_are_bounded_and_printable(server: AcmeServer, asker: Asker) -> None:
    """A detail may hold anything, and as much as it wants."""
    detail = "\x1b[31m" + "evil\r\nX-Log: forged " * 10_000
    server.refuse["newOrder"] = [
        Reply(400, {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": detail}, kind=PROBLEM)
    ]
    with pytest.raises(ValidationFailed) as raised:
        asker.issue("a.example.com")
    assert len(str(raised.value)) < 500
    assert str(raised.value).isprintable()


# Chains


def _leaf() -> bytes:
    return build("a.example.com", issuer=authorities()[0]).pem.encode()


_CHAINS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"no certificate",
    "a key beside": lambda: _leaf() + build("a.example.com").key_pem.encode(),
    "a comment": lambda: b"hello\n" + _leaf(),
    "a CA first": lambda: pem(*authorities()).encode(),
    "no certificate inside": lambda: b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    "no base64": lambda: b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n",
    "cut": lambda: _leaf()[:-40],
    "too many": lambda: _leaf() * 21,
    "spaces": lambda: b"-----BEGIN CERTIFICATE-----" + b" " * 200_000,
    "begins": lambda: b"-----BEGIN CERTIFICATE-----\n" * 9_000,
}


@pytest.mark.parametrize("name", _CHAINS)
def test_a_chain_that_is_none_is_refused(server: AcmeServer, asker: Asker, name: str) -> None:
    """Only certificates, the leaf first, and not too many."""
    server.alter["certificate"] = lambda reply: replace(reply, body=_CHAINS[name]())
    with pytest.raises(InvalidReply, match="test: certificate"):
        asker.issue("a.example.com")


def test_an_alternate_chain_of_another_certificate_is_refused(server: AcmeServer, asker: Asker) -> None:
    """An alternate chain begins with the same certificate (RFC 8555 7.4.2)."""
    others = iter((None, _leaf()))

    def swap(reply: Reply) -> Reply:
        other = next(others)
        return replace(reply, body=other) if other else reply

    server.alter["certificate"] = swap
    with pytest.raises(InvalidReply, match="of another certificate"):
        asker.issue("a.example.com", preferred_root="Root Two")


def test_at_most_ten_alternate_chains_are_fetched(server: AcmeServer, asker: Asker) -> None:
    """A header can name thousands."""

    def many(reply: Reply) -> Reply:
        links = ",".join(f'<{server.url("certificate", _number(server), 0)}>;rel="alternate"' for _ in range(200))
        return replace(reply, headers={**reply.headers, "Link": links})

    server.alter["certificate"] = many
    asker.issue("a.example.com", preferred_root="Root Nine")
    assert server.kinds.count("certificate") == 11


def _number(server: AcmeServer) -> str:
    (url,) = server.orders
    return url.rpartition("/")[2]


# TLS, and what stays out


def test_a_certificate_of_the_directory_that_is_not_trusted_is_a_wrong_setting() -> None:
    """The message names the setting that the root belongs into."""
    own = build("localhost", names=("localhost", "127.0.0.1"))
    with tls_server(own.pem, own.key_pem) as port:
        http = Http("", field="issuers.test.directory_roots")
        with pytest.raises(InvalidConfiguration, match=r"put its root into issuers\.test\.directory_roots"):
            http.send("GET", f"https://127.0.0.1:{port}/", body=None, headers={}, limit=10)


def test_roots_that_are_none_are_a_wrong_setting() -> None:
    """Before anything is asked."""
    with pytest.raises(InvalidConfiguration, match="roots does not hold PEM certificates"):
        Http("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", field="roots")


def test_proxies_of_the_environment_are_not_asked(
    server: AcmeServer, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sets an environment variable does not decide who answers for a CA."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    asker.issue("a.example.com")
    assert server.issued == 1


def test_a_connection_that_the_server_closed_is_made_anew(server: AcmeServer) -> None:
    """A warm process finds its idle connections closed."""
    http = Http("", field="roots")
    network = Network(http, AcmeIssuer(name="test", directory=server.directory))
    for _ in range(2):
        network.get(server.directory, "directory")
        server.alter["directory"] = lambda reply: replace(reply, headers={"Connection": "close"})
    assert network.get(server.directory, "directory").answer.status == 200
    assert json.loads(network.get(server.directory, "directory").answer.body)["newNonce"]
    assert http.requests == 4


def test_many_threads_share_one_issuer(server: AcmeServer, asker: Asker) -> None:
    """It holds nothing of an order; every thread gets its certificate."""
    issuer = asker.acme()
    done = []

    def run(number: int) -> None:
        own = Asker(server, asker.secrets)
        own.acme = lambda: issuer  # type: ignore[method-assign]
        done.append(own.issue(f"t{number}.example.com"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    started = time.monotonic()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(done) == server.issued == 8, f"after {time.monotonic() - started:.1f} s"
    assert issuer.requests == 8 * 9
