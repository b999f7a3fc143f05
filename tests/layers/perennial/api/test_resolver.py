"""Whatever arrives is answered with a bounded reply or a problem: never with a fault, and nothing of it is logged."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from functions.api import handle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import api_parts
from asked_api import ID, LAMBDA, ApiHub, api_hub, as_role, event
from perennial import errors
from perennial.api import problems, resolver
from perennial.api.arriving import MAX_BODY, arrived, read_json
from perennial.api.problems import Refused
from perennial.api.resolver import Api
from perennial.api.routes import ROUTES
from perennial.errors import PerennialError

API = Path(resolver.__file__).parent
CONFIGURATION = b"""
[api.principals]
"arn:aws:iam::123456789012:role/anna" = ["requester@shop-team"]
"arn:aws:iam::123456789012:role/admin" = ["admin", "requester"]
"""
ANNA, ADMIN = as_role("anna"), as_role("admin")


@pytest.fixture(scope="module")
def hub() -> Iterator[ApiHub]:
    with pytest.MonkeyPatch.context() as patched, api_hub(CONFIGURATION) as made:
        api_parts.stand_in(patched).hold("shop-team", "production", "mail-team")
        yield made


def test_every_module_of_routes_is_registered() -> None:
    """A module of this package that has a router is in MODULES; this names the one that is missing."""
    having = {f"perennial.api.{each.stem}" for each in API.glob("*.py") if "\nrouter = routes()" in each.read_text()}
    assert having == set(resolver.MODULES)


# --- what every reply has ---


def test_every_reply_has_the_request_s_id(hub: ApiHub) -> None:
    """Success and problem alike name the request, are kept by no cache, and are taken for what they are."""
    for answer in (hub.ask("GET", "/me", ANNA), hub.ask("GET", "/nothing", ANNA)):
        assert answer.headers["x-request-id"] == ID
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_problem_is_one_of_rfc_9457(hub: ApiHub) -> None:
    """Its members, its media type, and the id of the request as instance."""
    answer = hub.ask("GET", "/managed/other", ANNA)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.document == {
        "type": "urn:perennial:problem:not-allowed",
        "title": "Forbidden",
        "status": 403,
        "detail": answer.document["detail"],
        "instance": f"urn:perennial:request:{ID}",
        "violations": [],
    }
    assert "managed:read needs the role" in answer.document["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing", 404, None),
        ("GET", "/", 404, None),
        ("GET", "/v2/me", 404, None),
        ("POST", "/me", 405, "GET"),
        ("PATCH", "/managed/shop", 405, "DELETE, GET, PUT"),
        ("OPTIONS", "/managed", 405, "GET, POST"),
        ("HEAD", "/me", 405, "GET"),
        ("GET", "/managed/shop/", 403, None),
        ("GET", "/v1/managed/shop", 403, None),
        ("GET", "/nothing?x=1", 404, None),
    ],
)
def test_paths_and_methods(hub: ApiHub, method: str, path: str, status: int, allow: str | None) -> None:
    """No path is a problem 404; a wrong method 405 with those that there are; the stage in the path changes nothing."""
    answer = hub.ask(method, path, ANNA)
    assert (answer.status, answer.headers.get("allow")) == (status, allow)
    assert answer.headers["content-type"] == "application/problem+json"


# --- limits ---


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"body": "x" * (MAX_BODY + 1)}, 413),
        ({"body": "é" * (MAX_BODY // 2 + 1)}, 413),
        ({"body": base64.b64encode(b"x" * (MAX_BODY + 1)).decode(), "isBase64Encoded": True}, 413),
        ({"body": "x" * (10 * MAX_BODY), "isBase64Encoded": True}, 413),
        ({"body": "!", "isBase64Encoded": True}, 400),
        ({"body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True}, 400),
        ({"body": "\ud800"}, 400),
        ({"body": 7}, 400),
        ({"body": "{"}, 400),
        ({"body": "[" * 60_000}, 400),
        ({"body": '{"a":' * 40 + "1" + "}" * 40}, 400),
        ({"body": '{"name": "a", "name": "b"}'}, 400),
        ({"body": '{"name": NaN}'}, 400),
        ({"body": '{"validity_days": ' + "9" * 5_000 + "}"}, 400),
        ({"body": '{"name": "\\ud800"}'}, 400),
        ({"body": "[]"}, 422),
        ({"body": "null"}, 422),
        ({"body": '"x"'}, 422),
        ({"body": None}, 422),
        ({"body": "{}", "multiValueHeaders": {"Content-Type": ["text/plain"]}}, 415),
        ({"body": "{}", "multiValueHeaders": {"Content-Type": ["application/x-www-form-urlencoded"]}}, 415),
        ({"body": "{}", "multiValueHeaders": {"Content-Type": ["application/json; charset=utf-16"]}}, 415),
        ({"body": "{}", "multiValueHeaders": {"Content-Type": ["application/json", "text/plain"]}}, 415),
        ({"path": "/" + "x" * 3_000}, 400),
        ({"path": None}, 400),
        ({"httpMethod": None}, 400),
        ({"httpMethod": "get"}, 400),
        ({"multiValueQueryStringParameters": {"a": ["b"] * 51}}, 400),
    ],
)
def test_limits(hub: ApiHub, more: dict[str, Any], status: int) -> None:
    """Too much is 413, what is no JSON of one meaning 400, another media type 415, another shape 422."""
    answer = hub.send({**event("POST", "/managed", ADMIN, "{}"), **more})
    assert answer.status == status, answer.document
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_too_large_is_not_parsed(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit comes before the parser, and before it is asked who sent it."""
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("it was parsed"))
    monkeypatch.setattr(resolver, "asked", lambda *_: pytest.fail("it was asked who it is"))
    assert handle.handler(event("POST", "/managed", ADMIN, "{" * (MAX_BODY + 1)), LAMBDA)["statusCode"] == 413


def test_every_violation_at_once(hub: ApiHub) -> None:
    """A body with five faults gets five violations, each with its place; a member that is unknown is one of them."""
    body = {"name": "-", "names": [], "profile": "Web!", "validity_days": "x", "key": "DSA", "nmae": 1}
    answer = hub.ask("POST", "/managed", ADMIN, body)
    assert answer.status == 422
    assert {each["where"] for each in answer.document["violations"]} == {
        f"body.{name}" for name in ("name", "names", "profile", "owner", "validity_days", "key", "nmae", "reason")
    }


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "onwer=x", "state=none", "next=%00"]
)
def test_parameters(hub: ApiHub, query: str) -> None:
    """A parameter that does not fit, is there twice or is not known is refused, and never left out of account."""
    answer = hub.ask("GET", f"/managed?{query}", ADMIN)
    assert answer.status in (400, 422), answer.document


@pytest.mark.parametrize(
    ("member", "value", "fits"),
    [
        ("validity_days", 30, True),
        ("validity_days", 30.0, True),
        ("validity_days", "30", False),
        ("validity_days", True, False),
        ("service", "shop", True),
        ("service", 5, False),
    ],
)
def test_a_value_is_taken_as_it_is_written(hub: ApiHub, member: str, value: Any, fits: bool) -> None:
    """A whole number may have a point; of another type than the document has it, a value is refused, not converted."""
    body = {"name": "new", "names": ["new.example.com"], "profile": "web", "owner": "shop-team", "reason": "new"}
    assert hub.ask("POST", "/managed", ADMIN, {**body, member: value}).status == (202 if fits else 422)


@pytest.mark.parametrize(
    ("time", "fits"),
    [
        ("2026-10-31T12:00:00Z", True),
        ("2026-10-31T12:00:00.123%2B02:00", True),
        ("1793448000", False),
        ("0", False),
        ("2026-10-31T12:00:00", False),
        ("2026-10-31", False),
        ("0001-01-01T00:00:00Z", False),
        ("2026-13-31T12:00:00Z", False),
    ],
)
def test_times(hub: ApiHub, time: str, fits: bool) -> None:
    """A time is one of RFC 3339 with its zone, and no number of seconds, which pydantic would take too."""
    assert hub.ask("GET", f"/certificates?expiring_after={time}", ADMIN).status == (200 if fits else 422)


# --- no fault, whatever comes ---

_TEXT = st.text(max_size=40)
_JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda within: st.lists(within, max_size=4) | st.dictionaries(_TEXT, within, max_size=4),
    max_leaves=12,
)
_MEMBERS = st.sampled_from(
    [
        "name",
        "names",
        "profile",
        "owner",
        "reason",
        "targets",
        "contacts",
        "adopts",
        "digest",
        "rule",
        "selection",
        "ends",
    ]
)


@given(
    route=st.integers(0, 10_000),
    name=st.sampled_from(["shop", "0" * 32, "..", "%2e", "a b", "x" * 300, "é"]) | _TEXT,
    body=_JSON | st.dictionaries(_MEMBERS, _JSON, max_size=8),
    query=st.dictionaries(st.sampled_from(["limit", "next", "owner", "state", "reason"]) | _TEXT, _TEXT, max_size=3),
    headers=st.dictionaries(
        st.sampled_from(["If-Match", "Idempotency-Key", "Content-Type", "Cookie"]), _TEXT, max_size=3
    ),
)
@settings(max_examples=120, suppress_health_check=list(HealthCheck))
def test_no_request_is_a_fault(
    hub: ApiHub, route: int, name: str, body: Any, query: dict[str, str], headers: dict[str, str]
) -> None:
    """Any path, body, query and headers on any route: an answer below 500, and a problem where it is no success."""
    asked = ROUTES[route % len(ROUTES)]
    path = re.sub(r"\{\w+\}", lambda _: name, asked.path)
    sent = event(asked.method, path, ADMIN, json.dumps(body), headers)
    sent["multiValueQueryStringParameters"] = {key: [value] for key, value in query.items()}
    answer = hub.send(sent)
    assert answer.status < 500, answer.document
    assert answer.status < 300 or answer.document["status"] == answer.status


@given(
    st.dictionaries(
        st.sampled_from(
            ["httpMethod", "path", "headers", "multiValueHeaders", "body", "requestContext", "isBase64Encoded"]
        ),
        _JSON,
        max_size=7,
    )
)
@settings(max_examples=250)
def test_no_event_is_a_fault(sent: dict[str, Any]) -> None:
    """Any event at all is read within the limits, or refused as a problem below 500."""
    try:
        found = arrived(sent)
    except Refused as error:
        assert 400 <= error.status < 500
    else:
        assert all(isinstance(each, str) for values in found["multiValueHeaders"].values() for each in values)


@given(st.text(max_size=200))
def test_json_is_read_or_refused(text: str) -> None:
    """Any text is JSON that UTF-8 can write again, or is refused with 400."""
    try:
        json.dumps(read_json(text), ensure_ascii=False).encode()
    except Refused as error:
        assert error.status == 400


# --- our own faults ---


def _failing(hub: ApiHub, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Any:
    def fail(_: Any, name: str) -> None:
        raise error

    monkeypatch.setattr(type(hub.estate.deployment.inventory), "find_managed", fail)
    return hub.ask("GET", "/managed/shop", ADMIN)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInput("no"), 400),
        (errors.NotAllowed("no"), 403),
        (errors.AccessDenied("no"), 403),
        (errors.NotFound("no"), 404),
        (errors.ConcurrentChange("no"), 409),
        (errors.PreconditionFailed("no"), 412),
        (errors.PolicyViolated("names[0] a: no. Accepted: b. (names.known)\nkey: no"), 422),
        (errors.PreconditionRequired("no"), 428),
        (errors.Throttled("no"), 429),
        (errors.RateLimited("no", retry_after=30), 429),
        (errors.Unavailable("no"), 503),
        (errors.InvalidConfiguration("secret-place"), 500),
        (ClientError({"Error": {"Code": "AccessDeniedException", "Message": "secret-place"}}, "Query"), 500),
        (ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "Query"), 429),
        (ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "Query"), 503),
        (RuntimeError("secret-place"), 500),
        (KeyError("secret-place"), 500),
    ],
)
def test_errors(hub: ApiHub, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int) -> None:
    """Each error has its status; what is our fault is told as that alone; 429 and 503 say when to come back."""
    answer = _failing(hub, monkeypatch, error)
    assert answer.status == status
    assert ("retry-after" in answer.headers) is (status in (429, 503))
    assert "secret-place" not in answer.raw["body"]
    if isinstance(error, errors.RateLimited):
        assert answer.headers["retry-after"] == "30"


def test_violations_of_policy(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of the library is a violation: its place, its rule, and what would be accepted."""
    ruled = "certificates.shop.names[1]: a.example: It is not allowed. Accepted: .example.com. (names.allowed)"
    told = f"{ruled}\ncertificates.shop.key: no"
    answer = _failing(hub, monkeypatch, errors.InvalidInput(told))
    assert answer.status == 422
    assert answer.document["violations"] == [
        {
            "where": "certificates.shop.names[1]",
            "rule": "names.allowed",
            "message": "a.example: It is not allowed.",
            "accepted": ".example.com",
        },
        {"where": "certificates.shop.key", "rule": "invalid-input", "message": "no", "accepted": ""},
    ]


def test_every_error_of_ours_has_a_status() -> None:
    """Each class of the vocabulary is a status of HTTP; who adds one decides here whether it is the caller's."""
    ours = {
        errors.InvalidConfiguration,
        errors.RegionDisabled,
        errors.ValidationFailed,
        errors.InvalidReply,
        errors.WrongCertificate,
        errors.NotFit,
        errors.NotProven,
    }
    every = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, PerennialError)}
    assert every - {PerennialError, errors.AccessDenied} == set(problems.STATUS) | ours


def test_who_cannot_be_known_is_not_let_in(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where IAM does not say a principal's tags, nobody is let in by what is not known: 503, and nothing is read."""

    def fail(*_: Any) -> None:
        raise errors.Unavailable("iam does not answer")

    monkeypatch.setattr(resolver.PrincipalTags, "of", fail)
    assert hub.ask("GET", "/managed", ADMIN).status == 503


def test_a_refusal_that_cannot_be_audited_is_one(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the audit trail cannot be written, the answer is 503, and the person does not get in either."""

    def fail(*_: Any) -> None:
        raise errors.Unavailable("the table does not answer")

    monkeypatch.setattr("perennial.audit.append", fail)
    assert hub.ask("GET", "/managed/mail", ANNA).status == 503


# --- the log ---


def test_nothing_of_a_request_is_logged(hub: ApiHub, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Neither body, headers, query nor the text of a fault are in the log, also where events are to be logged."""
    written = io.StringIO()
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    monkeypatch.setattr(handle.logger.handlers[0], "stream", written)
    hub.ask("POST", "/managed?x=in-query", ADMIN, {"name": "in-body"}, Cookie="in-cookie", Authorization="in-token")
    _failing(hub, monkeypatch, RuntimeError("in-fault"))
    logged = written.getvalue() + "".join(f"{vars(each)}" for each in caplog.records if each.name != "api")
    assert "answered" in logged
    assert "RuntimeError" in logged
    assert not [each for each in ("in-query", "in-body", "in-cookie", "in-token", "in-fault") if each in logged]


def test_events_without_a_hub() -> None:
    """Nothing is made before it is needed: an event that is refused needs no AWS."""
    assert Api(object()).answer({}, LAMBDA)["statusCode"] == 400  # type: ignore[arg-type]
