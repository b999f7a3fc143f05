"""Asking the API: signatures, tokens, retries, refusals, and servers that are none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from api_server import Answer, Server, answer, api_server, problem
from certificates import build, pem
from perennial.cli import api_client
from perennial.cli.api_client import MAX_REPLY, Api, Caller, api
from perennial.cli.api_connection import Address, Connection, address
from perennial.errors import (
    AccessDenied,
    ChangedMeanwhile,
    ConcurrentChange,
    InvalidConfiguration,
    InvalidInput,
    InvalidReply,
    NotFound,
    PerennialError,
    ServiceRefused,
    Throttled,
    Unavailable,
)
from perennial.roles import TABLE, Action
from tls_servers import server as socket_server
from tls_servers import tls_context

ME = ("GET", "/v1/me")
REQUESTS = ("GET", "/v1/requests")
CREATE = ("POST", "/v1/managed")
AWS, OWN = "https://a.execute-api.eu-west-1.amazonaws.com/v1", "https://certs.example.com"


@pytest.fixture
def server() -> Iterator[Server]:
    """An API that knows nobody yet."""
    with mock_aws(), api_server() as made:
        yield made


@pytest.fixture
def asked(server: Server) -> Api:
    """The API as a caller with AWS credentials asks it, without pauses."""
    return quick(api(Caller(url=server.url)))


def quick(made: Api) -> Api:
    made._pause = lambda seconds: None
    return made


def refusal(asked: Api, server: Server, given: Answer, action: Action = Action.REQUEST) -> PerennialError:
    """What a write ends with that is answered so."""
    server.answers[CREATE] = given
    with pytest.raises(PerennialError) as raised:
        asked.post("managed", action=action, body={})
    return raised.value


# --- who asks ---


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (("me",), {}),
        (("managed", "shop.window"), {}),
        (("managed", "a b/ü%"), {"owner": "a&b=c d/ü", "state": "serving"}),
        (("requests",), {"next": "x==+/", "limit": "5"}),
    ],
)
def test_requests_are_signed_as_api_gateway_verifies_them(
    asked: Api, server: Server, path: tuple[str, ...], query: dict[str, str]
) -> None:
    """Whatever a name or a question holds: the server calculates the same signature, and sees the same question."""
    with pytest.raises(AccessDenied, match="Missing Authentication Token"):  # there is no such route
        asked.get(*path, action=Action.READ_MANAGED, **query)
    assert server.refused == []
    assert server.asked[0].query == query


def test_a_body_is_signed_too(asked: Api, server: Server) -> None:
    """And it comes as it is, as JSON, with a key of its own."""
    server.answers[CREATE] = answer({"id": "1"}, 202)
    body = {"name": "shop", "names": ["ü.example"]}
    assert asked.post("managed", action=Action.REQUEST, body=body).document == {"id": "1"}
    (came,) = server.asked
    assert (came.document, came.headers["content-type"]) == (body, "application/json")
    assert len(came.headers["idempotency-key"]) == 32
    assert server.refused == []


def test_a_session_s_token_is_signed_along(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of a role have one."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    server.answers[ME] = answer({"name": "ada"})
    api(Caller(url=server.url)).get("me", action=None)
    (came,) = server.asked
    assert came.headers["x-amz-security-token"] == "session"
    assert "x-amz-security-token" in came.headers["authorization"]
    assert server.refused == []


def test_other_credentials_are_not_let_in(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's server is no yes-man: a wrong secret is refused."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    with pytest.raises(AccessDenied, match="signature we calculated does not match"):
        quick(api(Caller(url=server.url))).get("me", action=None)


def test_a_token_is_sent_in_place_of_a_signature(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No AWS credentials are needed then, where the address is given."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    server.answers[ME] = answer({"name": "ada"})
    assert api(Caller(token="a.b.c", url=server.url)).get("me", action=None).document == {"name": "ada"}
    assert server.asked[0].headers["authorization"] == "Bearer a.b.c"
    assert "x-amz-date" not in server.asked[0].headers


@pytest.mark.parametrize("token", ["a b", "a\nb: c", "ü", "x" * 20_000])
def test_what_is_no_token_is_not_sent(server: Server, token: str) -> None:
    """And not quoted either."""
    with pytest.raises(InvalidInput) as raised:
        api(Caller(token=token, url=server.url))
    assert token not in str(raised.value)


def test_a_caller_does_not_show_its_token() -> None:
    """Not in a log, not in a traceback."""
    assert "secret" not in repr(Caller(token="secret"))


def test_the_deployment_names_its_api(server: Server) -> None:
    """One address for AWS credentials, one for tokens; without a deployment the line says what to do."""
    with pytest.raises(InvalidInput, match=r"no API of Perennial in eu-west-1 .no parameter /perennial/api."):
        api(Caller())
    with pytest.raises(InvalidInput, match="no parameter /perennial/api-people"):
        api(Caller(token="a.b.c"))
    ssm = boto3.client("ssm", region_name="eu-west-1")
    ssm.put_parameter(Name="/perennial/api", Value=f"{server.url}/", Type="String")
    server.answers[ME] = answer({"name": "ada"})
    assert api(Caller()).get("me", action=None).document == {"name": "ada"}


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        (f"{AWS}/", {}, (AWS, AWS)),
        (OWN, {}, (f"{OWN}/v1",) * 2),
        ("http://127.0.0.1:80/v1", {}, ("http://127.0.0.1:80/v1",) * 2),
        (
            AWS,
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"},
            (AWS, "http://127.0.0.1:4566/v1"),
        ),
        (
            AWS,
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_EXECUTE_API": "http://127.0.0.1:2"},
            (AWS, "http://127.0.0.1:2/v1"),
        ),
        (OWN, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, (f"{OWN}/v1",) * 2),
    ],
)
def test_addresses(url: str, environment: dict[str, str], expected: tuple[str, str]) -> None:
    """The stage belongs to it; an API of AWS is reached where the standard variables say."""
    assert address(url, environment) == Address(*expected)


@pytest.mark.parametrize(
    "url",
    [
        "http://certs.example.com/v1",
        "ftp://x",
        "certs.example.com",
        "https://",
        "https://ada:pw@certs.example.com",
        "https://x/v1?a=b",
        "https://x:99999/",
        "https://[x/",
        "https://x/ y",
        "",
    ],
)
def test_nothing_is_sent_to_what_is_no_address(url: str) -> None:
    """Credentials go over TLS, or over loopback."""
    with pytest.raises(InvalidInput, match="is no address of an API"):
        address(url, {})


def test_no_request_goes_in_the_clear_to_another_endpoint() -> None:
    """But on loopback."""
    with pytest.raises(InvalidInput, match="is no address of an API"):
        address(AWS, {"AWS_ENDPOINT_URL": "http://cloud.example:4566"})


def test_the_api_s_name_goes_along_to_another_endpoint(server: Server) -> None:
    """The local cloud finds the API by its Host, and verifies the signature with it."""
    host = "a.execute-api.eu-west-1.amazonaws.com"
    server.answers[ME] = answer({"name": "ada"})
    made = api(Caller(url=server.url))
    made._at = Address(f"https://{host}/v1", server.url)
    assert made.get("me", action=None).document == {"name": "ada"}
    assert server.asked[0].headers["host"] == host


# --- what may pass ---


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_under_the_same_key(asked: Api, server: Server, status: int) -> None:
    """So that a write whose reply was lost is done once."""
    server.answers[CREATE] = [answer({"message": "no"}, status)] * 4 + [answer({"id": "1"}, 202)]
    assert asked.post("managed", action=Action.REQUEST, body={}).document == {"id": "1"}
    assert len(server.asked) == api_client.TRIES == 5
    assert len({each.headers["idempotency-key"] for each in server.asked}) == 1


def test_each_write_has_a_key_of_its_own(asked: Api, server: Server) -> None:
    """Two wishes are two."""
    server.answers[CREATE] = answer({"id": "1"}, 202)
    for _ in range(2):
        asked.post("managed", action=Action.REQUEST, body={})
    assert len({each.headers["idempotency-key"] for each in server.asked}) == 2


def test_a_write_that_is_under_way_is_asked_for_again(asked: Api, server: Server) -> None:
    """409 with Retry-After: the first try is not done yet."""
    server.answers[CREATE] = [problem(409, "is being done", retry_after="2"), answer({"id": "1"}, 202)]
    assert asked.post("managed", action=Action.REQUEST, body={}).document == {"id": "1"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 301, 302, 304])
def test_a_refusal_is_not_tried_again(asked: Api, server: Server, status: int) -> None:
    """Nor is a redirect followed."""
    refusal(asked, server, Answer(status, b"" if status == 304 else b"{}", {"Location": f"{server.url}/me"}))
    assert [each.path for each in server.asked] == ["/v1/managed"]


def test_pauses_are_bounded_and_as_the_api_asks(asked: Api, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Retry-After counts, up to 20 seconds; else the pauses grow. A person is told of a long one."""
    slept: list[float] = []
    asked._pause = slept.append
    refusal(asked, server, problem(429, "slow down", retry_after="7"))
    assert slept == [7.0] * 4
    assert capsys.readouterr().err == "the API does not take it now; again in 7 seconds\n" * 4
    slept.clear()
    refusal(asked, server, problem(503, "", retry_after="99999"))
    assert slept == [api_client.LONGEST_PAUSE] * 4
    slept.clear()
    refusal(asked, server, problem(503, "", retry_after="Fri, 31 Dec 1999 23:59:59 GMT"))
    assert all(0.25 * 2**n <= each <= 0.5 * 2**n for n, each in enumerate(slept))


def test_a_server_that_is_not_there(server: Server) -> None:
    """Tried again, then said."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    made = quick(api(Caller(url=f"http://127.0.0.1:{port}")))
    with pytest.raises(Unavailable, match="could not be asked"):
        made.get("me", action=None)


# --- refusals ---


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, InvalidInput),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, NotFound),
        (409, ConcurrentChange),
        (412, ChangedMeanwhile),
        (413, InvalidInput),
        (415, ServiceRefused),
        (422, InvalidInput),
        (429, Throttled),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_a_status_is_an_error_of_the_library(
    asked: Api, server: Server, status: int, expected: type[PerennialError]
) -> None:
    """Whatever the body says."""
    assert type(refusal(asked, server, problem(status, "it is so"))) is expected


def test_every_violation_is_a_line(asked: Api, server: Server) -> None:
    """With where, the rule, and what would be accepted."""
    told = {"where": "body.names.0", "rule": "names.allowed", "message": "x.example is not allowed"}
    violations = [
        {**told, "accepted": ".y.example"},
        {"where": "", "rule": "", "message": "one more"},
        {"where": 3, "message": ["not", "a text"]},
        {"where": "body.x", "rule": "pattern_mismatch", "message": "must match ^a$", "accepted": "^a$"},
        "none",
    ]  # fmt: skip
    found = str(refusal(asked, server, problem(422, "3 violations", violations))).splitlines()
    assert found == [
        "names.0: x.example is not allowed (names.allowed); accepted: .y.example",
        "one more",
        "not, a text",
        "x: must match ^a$",
    ]


def test_a_flood_of_violations_is_bounded(asked: Api, server: Server) -> None:
    """So is each of them."""
    each = {"where": "a" * 5_000, "rule": "r", "message": "b\n" * 5_000, "accepted": ""}
    found = str(refusal(asked, server, problem(422, "", [each] * 300))).splitlines()
    assert len(found) == 101
    assert found[-1] == "and 200 more"
    assert max(map(len, found)) < 2_000


def test_a_refusal_says_who_may(asked: Api, server: Server) -> None:
    """In the API's words where it has some; else which roles may; always how to find out what is missing."""
    told = str(refusal(asked, server, problem(403, "managed:request needs the role requester for shop-team")))
    assert told.startswith("managed:request needs the role requester for shop-team\n")
    assert "perennial me" in told
    assert "perennial doctor" in told
    for action in (Action.REQUEST, Action.GRANT_EXCEPTION):
        told = str(refusal(asked, server, answer({"message": "Forbidden"}, 403), action))
        assert told.splitlines()[:2] == [
            "Forbidden",
            f"{action} needs one of these roles: {', '.join(TABLE[action].reach)}",
        ]
    assert "sign in again" in str(refusal(asked, server, answer({"message": "Unauthorized"}, 401)))


def test_a_fault_names_the_request(asked: Api, server: Server) -> None:
    """For whoever reads the log."""
    assert str(refusal(asked, server, problem(500, "x"))) == "the API answered 500: x (request r-1)"
    gateway = answer({"message": "Internal server error"}, 502, x_amzn_requestid="r-2")
    assert str(refusal(asked, server, gateway)) == "the API answered 502: Internal server error (request r-2)"


# --- hostile and broken servers ---


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Answer(200, b"<html>Sign in</html>", content_type="text/html"), "is text/html, not JSON"),
        (Answer(200, b"{}", content_type=""), "without a content type"),
        (Answer(200, b"[1]"), "not an object"),
        (Answer(200, b"{"), "is not JSON"),
        (Answer(200, b"\xff\xfe"), "is not JSON"),
        (Answer(200, b"[" * 100_000), "is not JSON"),
        (Answer(200, b'{"a":' * 100_000), "is not JSON"),
        (Answer(200, b'{"a":' + b"1" * 10_000 + b"}"), "is not JSON"),
        (Answer(200, b"{}", {"Content-Encoding": "gzip"}), "encoded body"),
        (Answer(200, b" " * (MAX_REPLY + 1)), f"more than {MAX_REPLY} bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reply_that_is_none_is_refused(asked: Api, server: Server, given: Answer, said: str) -> None:
    """In one line, and nothing of it is used."""
    server.answers[ME] = given
    with pytest.raises(InvalidReply, match=said) as raised:
        asked.get("me", action=None)
    assert len(str(raised.value).splitlines()) == 1
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "could not be asked"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "could not be asked"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{}", "2 of 10 bytes"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000 + b"\r\n", "could not be asked"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "could not be asked"),
    ],
)
def test_a_connection_that_breaks_off(asked: Api, server: Server, raw: bytes, said: str) -> None:
    """It may pass, so it is tried again; then it is said."""
    server.answers[ME] = Answer(raw=raw)
    with pytest.raises(Unavailable, match=said):
        asked.get("me", action=None)
    assert len(server.asked) == api_client.TRIES


def test_a_problem_that_is_html_or_broken_counts_by_its_status(asked: Api, server: Server) -> None:
    """A proxy's page is not shown; its kind is."""
    page = Answer(403, b"<html>\x1b[31mBlocked by the proxy</html>", content_type="text/html; charset=utf-8")
    assert str(refusal(asked, server, page)).startswith("the API answered 403 (text/html)")
    broken = Answer(422, b'{"violations": [', content_type="application/problem+json")
    assert str(refusal(asked, server, broken)) == "the API answered 422"


def test_a_server_that_sends_a_byte_now_and_then_ends_too() -> None:
    """The whole reply has a deadline, however it comes."""

    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        connection.settimeout(0.02)
        for _ in range(100_000):
            try:
                connection.recv(1)  # waits, as nothing comes
                return  # the client hung up
            except TimeoutError:
                connection.sendall(b" ")

    with socket_server(drip) as port:
        made = Api(
            Address(f"http://127.0.0.1:{port}/v1", f"http://127.0.0.1:{port}/v1"), _plain, Connection(reply_seconds=0.3)
        )
        with pytest.raises(Unavailable, match=r"no whole reply within 0\.3 s"):
            quick(made).get("me", action=None)


def _plain(method: str, url: str, body: bytes, headers: object) -> dict[str, str]:
    return {}


def test_the_server_s_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the public roots, or those of AWS_CA_BUNDLE, as boto3 does."""
    now = datetime.now(UTC)
    dates = {"not_before": now - timedelta(days=1), "not_after": now + timedelta(days=1)}
    root = build("Test root", ca=True, **dates)
    own = build("localhost", names=["localhost"], issuer=root, **dates)
    context = tls_context(pem(own), own.key_pem)

    def reply(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as served:
            served.recv(65_536)
            body = b'{"name": "ada"}'
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            served.sendall(head.encode() + body)

    with socket_server(reply) as port:
        caller = Caller(token="a.b.c", url=f"https://localhost:{port}")
        with pytest.raises(InvalidConfiguration, match=r"not trusted .* AWS_CA_BUNDLE"):
            quick(api(caller)).get("me", action=None)
        bundle = tmp_path / "roots.pem"
        bundle.write_text(pem(root))
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
        assert api(caller).get("me", action=None).document == {"name": "ada"}
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
        with pytest.raises(InvalidConfiguration, match="AWS_CA_BUNDLE"):
            api(caller)


def test_a_proxy_of_the_environment_is_used_but_not_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """As boto3 does; NO_PROXY counts."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    made = Connection()
    assert str(made._way("https://certs.example.com/v1/me").proxy.url) == "http://proxy.example:3128"
    assert made._way("https://127.0.0.1/v1/me") is made._direct
    monkeypatch.setenv("NO_PROXY", "certs.example.com")
    assert made._way("https://certs.example.com/v1/me") is made._direct


# --- lists ---


def test_a_list_goes_on_until_its_end(asked: Api, server: Server) -> None:
    """Also over pages that are empty; no more is read than was asked for."""
    pages = [
        answer({"items": [{"n": 1}, {"n": 2}], "next": "a"}),
        answer({"items": [], "next": "b"}),
        answer({"items": [{"n": 3}], "next": None}),
    ]
    server.answers[REQUESTS] = list(pages)
    found = asked.every("requests", action=Action.READ_REQUESTS, most=100, state="waiting", owner="")
    assert [each["n"] for each in found] == [1, 2, 3]
    assert [each.query.get("next") for each in server.asked] == [None, "a", "b"]
    assert all(each.query["state"] == "waiting" and "owner" not in each.query for each in server.asked)
    server.answers[REQUESTS] = list(pages)
    server.asked.clear()
    assert len(list(asked.every("requests", action=Action.READ_REQUESTS, most=2))) == 2
    assert len(server.asked) == 1


def test_a_list_without_end_ends(asked: Api, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always names one more page is not followed for ever."""
    monkeypatch.setattr(api_client, "MAX_PAGES", 5)
    server.answers[REQUESTS] = answer({"items": [], "next": "again"})
    with pytest.raises(InvalidReply, match="does not end after 5 pages"):
        list(asked.every("requests", action=Action.READ_REQUESTS, most=10))


@pytest.mark.parametrize("items", [None, {}, "x", [1]])
def test_a_list_that_is_none(asked: Api, server: Server, items: object) -> None:
    """Said, and not taken for an empty one."""
    server.answers[REQUESTS] = answer({"items": items})
    with pytest.raises(InvalidReply, match="no list of items"):
        list(asked.every("requests", action=Action.READ_REQUESTS, most=10))


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 501])
def test_a_name_is_one_segment_of_a_path(asked: Api, server: Server, name: str) -> None:
    """What could lead to another route is not asked."""
    with pytest.raises(InvalidInput, match="names nothing"):
        asked.get("managed", name, action=Action.READ_MANAGED)
    assert server.asked == []
