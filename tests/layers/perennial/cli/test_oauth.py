"""Signing in, as far as it is no input and output: what is asked for, and what is believed."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from perennial.cli import oauth
from perennial.cli.oauth import Asked
from perennial.errors import AccessDenied, InvalidReply
from perennial.sign_in import REDIRECT, SignIn
from tokens_made import CLAIMS, ISSUER, NOW, SECONDS, b64, token

WHERE = SignIn(issuer=ISSUER, client="perennial", authorization="https://login.example.com/a", token="https://l/t")
NONCE = "n" * 43


def test_what_is_asked_for() -> None:
    """A code for the loopback address, bound to this attempt by state, nonce and an S256 challenge."""
    asked = Asked()
    url = urlsplit(oauth.url(WHERE, asked))
    assert f"{url.scheme}://{url.netloc}{url.path}" == WHERE.authorization
    digest = hashlib.sha256(asked.verifier.encode()).digest()
    assert parse_qs(url.query) == {
        "response_type": ["code"],
        "client_id": ["perennial"],
        "redirect_uri": [REDIRECT],
        "scope": ["openid profile email"],
        "state": [asked.state],
        "nonce": [asked.nonce],
        "code_challenge": [base64.urlsafe_b64encode(digest).decode().rstrip("=")],
        "code_challenge_method": ["S256"],
    }
    assert 43 <= len(asked.verifier) <= 128  # RFC 7636 4.1
    assert not {asked.state, asked.nonce, asked.verifier} & {Asked().state, Asked().nonce, Asked().verifier}
    assert asked.verifier not in repr(asked)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"state": ["other"]},
        {"state": [""]},
        {"state": ["{state}", "{state}"]},
        {"state": ["{state}x"]},
        {"state": ["{state}"], "code": ["a", "b"]},
        {"state": ["é"]},
    ],
    ids=str,
)
def test_answers_that_are_none(query: dict[str, list[str]]) -> None:
    """Without the state, or with a parameter twice, it is not the browser that was sent."""
    asked = Asked()
    given = {name: [value.replace("{state}", asked.state) for value in values] for name, values in query.items()}
    assert not oauth.is_answer(asked, given)
    assert oauth.is_answer(asked, {"state": [asked.state], "code": ["c"]})


def test_the_code() -> None:
    """It is taken, with the issuer's name (RFC 9207) or without."""
    assert oauth.code(WHERE, {"code": ["c1"]}) == "c1"
    assert oauth.code(WHERE, {"code": ["c1"], "iss": [ISSUER]}) == "c1"


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        ({"code": "c", "iss": "https://evil.example"}, InvalidReply, "another issuer"),
        ({"error": "access_denied"}, AccessDenied, "access_denied; run perennial sign-in again"),
        ({"error": "access_denied", "error_description": "no\x1b[2J"}, AccessDenied, "access_denied: no\ufffd"),
        ({"error": "<b>", "code": "c"}, AccessDenied, "answered an error;"),
        ({}, InvalidReply, "has no code"),
        ({"code": "é"}, InvalidReply, "has no code"),
        ({"code": "x" * 5_000}, InvalidReply, "has no code"),
    ],
    ids=str,
)
def test_answers_without_a_code(query: dict[str, str], error: type[Exception], said: str) -> None:
    """The issuer's refusal is told in bounded words; what is wrong is not believed."""
    with pytest.raises(error) as raised:
        oauth.code(WHERE, {name: [value] for name, value in query.items()})
    assert said in str(raised.value)


def test_whose_a_token_is() -> None:
    """Its subject, a name for people, and its end."""
    found = oauth.identity(WHERE, token({"nonce": NONCE}), NOW, nonce=NONCE)
    assert (found.subject, found.name) == ("ada", CLAIMS["email"])
    assert found.expires.timestamp() == SECONDS + 3_600
    bare = token({"nonce": NONCE, "email": ..., "name": "A\x1b[2J\n"})
    assert oauth.identity(WHERE, bare, NOW, nonce=NONCE).name == "A\ufffd[2J\ufffd"
    assert oauth.identity(WHERE, token({"aud": ["x", "perennial"], "azp": "perennial"}), NOW).subject == "ada"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://evil.example"}, "another issuer's"),
        ({"iss": ...}, "another issuer's"),
        ({"aud": "other"}, "another client"),
        ({"aud": ...}, "another client"),
        ({"azp": "other"}, "another client"),
        ({"nonce": "other"}, "nonce"),
        ({"nonce": ...}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"exp": SECONDS - 61}, "expired"),
        ({"exp": ...}, "no time exp"),
        ({"exp": True}, "no time exp"),
        ({"exp": 1e300}, "no time exp"),
        ({"exp": float("nan")}, "no time exp"),
        ({"sub": ...}, "whose"),
        ({"sub": "x" * 256}, "whose"),
    ],
    ids=str,
)
def test_tokens_that_are_not_believed(claims: dict[str, Any], said: str) -> None:
    """Another issuer's, another client's, another request's, an old one: each is refused, and nothing of it quoted."""
    given = token({"nonce": NONCE, **claims})
    with pytest.raises(InvalidReply, match=said) as raised:
        oauth.identity(WHERE, given, NOW, nonce=NONCE)
    assert given.split(".")[1] not in str(raised.value)


@pytest.mark.parametrize(
    "given", ["", "a", "a.b", "a.b.c.d", "..", f"a.{b64(b'[]')}.c", f"a.{b64(b'{')}.c", f"a.{b64(bytes([255]))}.c"]
)
def test_what_is_no_token(given: str) -> None:
    """It is refused without its text, also in the chain of the error."""
    with pytest.raises(InvalidReply) as raised:
        oauth.identity(WHERE, given, NOW)
    assert raised.value.__cause__ is None and raised.value.__context__ is None
    assert oauth.ends(given) is None
