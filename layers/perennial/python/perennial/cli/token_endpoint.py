"""An issuer's token endpoint: a code or a refresh token for tokens (RFC 6749 4.1.3, 6), and a refresh token back
(RFC 7009).

One request, one bounded reply. Nothing that was sent or came is quoted in an error but the issuer's own error word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from perennial.cli.api_client import MAX_TOKEN
from perennial.cli.api_connection import through
from perennial.errors import AccessDenied, InvalidReply, PerennialError, ServiceRefused, Unavailable
from perennial.sign_in import REDIRECT, SignIn

if TYPE_CHECKING:
    from perennial.cli.api_connection import Connection
    from perennial.issuers.acme_http import Answer

MAX_REPLY = 256 * 1024  # bytes
AGAIN = "run perennial sign-in"
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_WORD = re.compile(r"[a-z_]{1,60}")  # RFC 6749 5.2
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the token endpoint gave; "" for what it did not."""

    id: str = field(default="", repr=False)
    access: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)
    seconds: int = 0  # for which the access token is valid


def redeem(connection: Connection, sign_in: SignIn, code: str, verifier: str, environ: Mapping[str, str]) -> Tokens:
    """The tokens for an authorization code.

    Raises: AccessDenied, ServiceRefused, InvalidReply, Unavailable, InvalidConfiguration.
    """
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": verifier}
    return _tokens(_asked(connection, sign_in.token, {**form, "client_id": sign_in.client}, environ))


def refresh(connection: Connection, sign_in: SignIn, refresh_token: str, environ: Mapping[str, str]) -> Tokens:
    """New tokens. `refresh` is "" where the old one goes on.

    Raises: AccessDenied where it has ended; as `redeem`.
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": sign_in.client}
    return _tokens(_asked(connection, sign_in.token, form, environ))


def revoke(connection: Connection, sign_in: SignIn, refresh_token: str, environ: Mapping[str, str]) -> None:
    """Give a refresh token back, and what was made with it.

    Raises: as `redeem`.
    """
    form = {"token": refresh_token, "token_type_hint": "refresh_token", "client_id": sign_in.client}
    answer = _asked(connection, sign_in.revocation, form, environ)
    if error := _refusal(answer):
        raise error


def _asked(connection: Connection, url: str, form: Mapping[str, str], environ: Mapping[str, str]) -> Answer:
    body = urlencode(form).encode()
    return connection.send("POST", through(url, environ), body=body, headers=_FORM, limit=MAX_REPLY)


def _tokens(answer: Answer) -> Tokens:
    if error := _refusal(answer):
        raise error
    said = _document(answer)
    if said is None:
        raise InvalidReply(f"the token endpoint answered with no JSON object; {AGAIN} again")
    if str(said.get("token_type", "")).lower() != "bearer":
        raise InvalidReply(f"the token endpoint gave another kind of token than a bearer's; {AGAIN} again")
    seconds = said.get("expires_in")
    return Tokens(
        id=_token(said, "id_token"),
        access=_token(said, "access_token"),
        refresh=_token(said, "refresh_token"),
        seconds=seconds if isinstance(seconds, int) and 0 <= seconds <= 86_400 else 0,
    )


def _token(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_TOKEN or (value and not _TOKEN.fullmatch(value)):
        raise InvalidReply(f"the token endpoint's {name} is no token of at most {MAX_TOKEN} characters")
    return value


def _refusal(answer: Answer) -> PerennialError | None:
    """The error of an answer; None for a success."""
    if answer.status == 200:
        return None
    if answer.status >= 500 or answer.status == 429:
        return Unavailable(f"the issuer answered {answer.status}; try again in a minute")
    word = (_document(answer) or {}).get("error")
    told = word if isinstance(word, str) and _WORD.fullmatch(word) else f"status {answer.status}"
    if told == "invalid_grant":
        return AccessDenied(f"you are not signed in any more: {AGAIN}")
    return ServiceRefused(f"the issuer refuses ({told}); {AGAIN} again, and if it stays, show this to who runs it")


def _document(answer: Answer) -> Mapping[str, Any] | None:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
