"""Signing in, as far as it is no input and output: what is asked for, what came back, whose token it is. Pure, but for
the random words.

The ID token comes from the token endpoint itself, over verified TLS: then its signature need not be verified (OpenID
Connect Core 1.0, 3.1.3.7, 6); the API verifies it at every request. Issuer, audience, time and nonce are verified here.

Sources: RFC 8252 (native apps), RFC 7636 (PKCE), RFC 9207 (issuer in the answer), OpenID Connect Core 1.0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from perennial.checks.wording import quoted
from perennial.errors import AccessDenied, InvalidReply
from perennial.sign_in import REDIRECT, SignIn

LEEWAY = 60  # seconds that the issuer's clock may differ from ours
MAX_CODE = 4_096  # characters
_PART = re.compile(r"[A-Za-z0-9_-]+")
_LATEST = 253_402_300_799  # seconds since 1970 at the end of the year 9999
_ERROR = re.compile(r"[a-z_]{1,60}")  # RFC 6749 4.1.2.1
Query = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One attempt to sign in: `state` binds the browser's answer to it, `nonce` the ID token, `verifier` the code."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(64), repr=False)

    @property
    def challenge(self) -> str:
        """RFC 7636 4.2, S256."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def url(sign_in: SignIn, asked: Asked) -> str:
    """The page of the issuer where a person signs in."""
    wanted = {
        "response_type": "code",
        "client_id": sign_in.client,
        "redirect_uri": REDIRECT,
        "scope": " ".join(sign_in.scopes),
        "state": asked.state,
        "nonce": asked.nonce,
        "code_challenge": asked.challenge,
        "code_challenge_method": "S256",
    }
    return f"{sign_in.authorization}?{urlencode(wanted)}"


def is_answer(asked: Asked, query: Query) -> bool:
    """Whether a request comes from the browser that was sent: it knows the state, and has each parameter once."""
    told = query.get("state", [])
    once = all(len(values) == 1 for values in query.values())
    return once and len(told) == 1 and hmac.compare_digest(told[0].encode(), asked.state.encode())


def code(sign_in: SignIn, query: Query) -> str:
    """The authorization code of an answer.

    Raises: AccessDenied where the issuer says no, InvalidReply.
    """
    said = {name: values[0] for name, values in query.items()}
    if said.get("iss", sign_in.issuer) != sign_in.issuer:
        raise InvalidReply("the answer came from another issuer than the one that was asked; sign in again")
    if "error" in said:
        word = said["error"] if _ERROR.fullmatch(said["error"]) else "an error"
        told = quoted(said.get("error_description", ""), 200)
        raise AccessDenied(f"the issuer answered {word}{f': {told}' if told else ''}; run perennial sign-in again")
    found = said.get("code", "")
    if not found or len(found) > MAX_CODE or not found.isascii() or not found.isprintable():
        raise InvalidReply("the issuer's answer has no code; run perennial sign-in again")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose an ID token is, and until when it is valid. `name` is for people."""

    subject: str
    name: str
    expires: datetime


def identity(sign_in: SignIn, id_token: str, now: datetime, *, nonce: str = "") -> Identity:
    """What an ID token says, which the token endpoint gave. `nonce` is that of the request, "" at a refresh, where
    there need be none (OpenID Connect Core 1.0, 12.2).

    Raises: InvalidReply.
    """
    claims = _claims(id_token)
    audiences = claims.get("aud")
    audiences = audiences if isinstance(audiences, list) else [audiences]
    if claims.get("iss") != sign_in.issuer:
        raise _wrong("is another issuer's")
    if sign_in.client not in audiences or claims.get("azp", sign_in.client) != sign_in.client:
        raise _wrong("is for another client")
    if nonce and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _wrong("answers another request (nonce)")
    expires, subject = time(claims, "exp"), claims.get("sub")
    if expires.timestamp() + LEEWAY <= now.timestamp():
        raise _wrong("has expired already; is this machine's clock right?")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise _wrong("says not whose it is")
    names = (claims.get(each) for each in ("email", "preferred_username", "name"))
    name = next((each for each in names if isinstance(each, str) and each), subject)
    return Identity(subject=subject, name=quoted(name, 200), expires=expires)


def ends(token: str) -> datetime | None:
    """When a JWT ends; None where it does not say, or is none."""
    try:
        return time(_claims(token), "exp")
    except InvalidReply:
        return None


def time(claims: Mapping[str, Any], name: str) -> datetime:
    """Raises: InvalidReply."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise _wrong(f"has no time {name}")
    return datetime.fromtimestamp(value, UTC)


def _claims(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        raise _wrong("is no signed JWT")
    try:
        found = json.loads(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), b"-_", validate=True))
    except (ValueError, RecursionError):
        found = None  # what it quotes is not for an error's chain either
    if not isinstance(found, dict):
        raise _wrong("holds no JSON object")
    return found


def _wrong(why: str) -> InvalidReply:
    return InvalidReply(f"the issuer's token {why}; nothing was kept, run perennial sign-in again")
