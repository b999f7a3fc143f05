"""Where people sign in: what a deployment may say of it, and what not."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.errors import InvalidConfiguration
from perennial.sign_in import SignIn, of_user_pool, read

GOOD: dict[str, Any] = {
    "issuer": "https://login.example.com/r",
    "client": "perennial",
    "authorization": "https://login.example.com/r/authorize",
    "token": "https://login.example.com/r/token",
    "revocation": "https://login.example.com/r/revoke",
    "scopes": ["openid", "offline_access"],
    "tokens": "access",
}


def test_what_is_told_is_what_is_read() -> None:
    """The page's function, the command and the browser mean the same thing."""
    pool = of_user_pool(issuer="https://cognito-idp.x/p", client="c", domain="https://d.amazoncognito.com")
    assert read(pool.document()) == pool
    assert pool.token == "https://d.amazoncognito.com/oauth2/token"
    assert read(GOOD) == SignIn(**{**GOOD, "scopes": tuple(GOOD["scopes"])})
    assert read({**GOOD, "revocation": ""}).revocation == ""


@pytest.mark.parametrize("url", ["http://localhost:1/x", "http://127.0.0.1:8000/x", "http://[::1]:1/x", "https://a/b"])
def test_urls_over_tls_or_on_this_machine(url: str) -> None:
    """Tokens may go there."""
    assert read({**GOOD, "token": url}).token == url


@pytest.mark.parametrize(
    "more",
    [
        {"token": "http://login.example.com/token"},
        {"token": "https://user@login.example.com/token"},
        {"token": "https://login.example.com/token?x=1"},
        {"token": "https://login.example.com/token#x"},
        {"token": "https://login.example.com\\@evil/token"},
        {"token": "https://"},
        {"token": "https://[::1/x"},
        {"token": "http://127.0.0.1:0/x"},
        {"token": "javascript:alert(1)"},
        {"token": "https://login.example.com/" + "x" * 600},
        {"token": "https://login.example.com/a b"},
        {"token": 1},
        {"authorization": "file:///etc/passwd"},
        {"revocation": "ftp://x"},
        {"issuer": ""},
        {"client": "a b"},
        {"client": ""},
        {"client": "x" * 256},
        {"scopes": "openid"},
        {"scopes": ["a b"]},
        {"scopes": [1]},
        {"scopes": ["a"] * 21},
        {"tokens": "refresh"},
    ],
    ids=str,
)
def test_what_is_refused(more: dict[str, Any]) -> None:
    """Each field is checked, and the message names it."""
    with pytest.raises(InvalidConfiguration, match=next(iter(more))):
        read({**GOOD, **more})


@pytest.mark.parametrize("document", [None, [], "x", {}])
def test_what_is_no_document(document: Any) -> None:
    """It is refused as a whole."""
    with pytest.raises(InvalidConfiguration, match="cannot be used"):
        read(document)
