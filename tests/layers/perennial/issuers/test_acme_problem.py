"""What refusals mean: each type of RFC 8555 6.7 in a table, and each form of Retry-After."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import (
    InvalidConfiguration,
    PerennialError,
    RateLimited,
    ServiceRefused,
    Unavailable,
    ValidationFailed,
)
from perennial.issuers.acme_problem import PREFIX, Problem, meaning, read_problem, retry_after, validation_failed
from perennial.issuers.acme_reading import Fields, Origins, bounded

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
_TYPES: dict[type[PerennialError], str] = {
    ValidationFailed: "caa connection dns dnssec incorrectResponse rejectedIdentifier tls unauthorized unknownHost",
    InvalidConfiguration: "externalAccountRequired invalidContact invalidEmail invalidProfile unsupportedContact",
    ServiceRefused: "accountDoesNotExist alreadyReplaced alreadyRevoked badCSR badPublicKey badRevocationReason "
    "badSignatureAlgorithm malformed orderNotReady unsupportedIdentifier userActionRequired somethingNew",
    Unavailable: "serverInternal badNonce",
    RateLimited: "rateLimited",
}


def _problem(values: dict[str, object], status: int = 400) -> Problem:
    return read_problem(Fields(where="x", values=values, origins=Origins(frozenset(), False)), status)


@pytest.mark.parametrize(("expected", "code"), [(kind, code) for kind in _TYPES for code in _TYPES[kind].split()])
def test_each_type_has_its_meaning(expected: type[PerennialError], code: str) -> None:
    """The class decides whether the workflow tries again; the message has the CA's detail and what was asked."""
    error = meaning(_problem({"type": PREFIX + code, "detail": "because"}), "ca: newOrder")
    assert type(error) is expected
    assert str(error).startswith(f"ca: newOrder: {code}: because")
    assert expected in (Unavailable, RateLimited) or "; " in str(error)


@pytest.mark.parametrize(
    ("status", "expected"), ((500, Unavailable), (503, Unavailable), (429, RateLimited), (400, ServiceRefused))
)
def test_a_type_that_is_unknown_is_judged_by_its_status(status: int, expected: type[PerennialError]) -> None:
    """about:blank, or a type of another vocabulary."""
    assert type(meaning(_problem({"type": "about:blank", "detail": "x"}, status), "ca: order")) is expected


def test_a_rate_limit_without_an_end_lasts_an_hour() -> None:
    """There is always a due time."""
    assert meaning(Problem(code="rateLimited", detail=""), "ca").retry_after == 3_600


def test_subproblems_are_named() -> None:
    """Each with its identifier; the first decides what a compound problem is (RFC 8555 6.7.1)."""
    inner = [
        {"type": PREFIX + "caa", "detail": "no", "identifier": {"type": "dns", "value": "a.example"}},
        {"type": PREFIX + "dns", "detail": "none", "identifier": {"type": "dns", "value": "b.example"}},
    ]
    error = meaning(_problem({"type": PREFIX + "compound", "detail": "two", "subproblems": inner}), "ca: newOrder")
    assert type(error) is ValidationFailed
    assert str(error) == (
        "ca: newOrder: compound: two | a.example: caa: no | b.example: dns: none; "
        "let this CA issue in the name's CAA records (RFC 8659)"
    )


def test_many_failed_names_are_counted() -> None:
    """Ten are told with their next step."""
    error = validation_failed([Problem(code="dns", detail="x", name=f"n{n}.example") for n in range(100)], "ca")
    assert str(error).endswith("; and 90 more names")
    assert len(str(error)) < 3_000


@pytest.mark.parametrize(
    "values",
    (
        {},
        {"type": 3, "detail": [], "identifier": "x", "subproblems": {}},
        {"type": None, "subproblems": [3, None, [], {"subproblems": [{}]}]},
        {"identifier": {"value": 3}},
        {"title": "only a title"},
    ),
    ids=str,
)
def test_what_a_problem_has_wrongly_is_left_out(values: dict[str, object]) -> None:
    """A refusal stays one, whatever is wrong with its words."""
    assert type(meaning(_problem(values), "ca: order")) is ServiceRefused


@given(text=st.text(max_size=5_000), most=st.integers(2, 400))
def test_a_text_is_bounded_and_printable(text: str, most: int) -> None:
    """Control characters, line ends, surrogates and directional marks do not reach a log."""
    shown = bounded(text, most)
    assert len(shown) <= most
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    (
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "9" * 400}, 604_800.0),
        ({"retry-after": "Sun, 01 Nov 2026 12:05:00 GMT"}, 300.0),
        ({"retry-after": "Sun, 01 Nov 2026 13:05:00 GMT", "date": "Sun, 01 Nov 2026 13:00:00 GMT"}, 300.0),
        ({"retry-after": "Sun, 01 Nov 2026 12:05:00 GMT", "date": "no date"}, 300.0),
        ({"retry-after": "Sunday, 01-Nov-26 12:05:00 GMT"}, 300.0),
        ({"retry-after": "Sun Nov  1 12:05:00 2026"}, 300.0),
        ({"retry-after": "Sat, 31 Oct 2026 12:00:00 GMT"}, 1.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 604_800.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 12:05:00 GMT"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ),
    ids=str,
)
def test_each_form_of_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds or a date (RFC 9110 10.2.3), relative to the reply's own Date; from a second to a week."""
    assert retry_after(headers, NOW) == seconds


@given(value=st.text(max_size=80))
def test_any_retry_after_is_seconds_or_nothing(value: str) -> None:
    """No header makes it fail."""
    found = retry_after({"retry-after": value, "date": value}, None)
    assert found is None or 1 <= found <= 604_800
