"""Where people sign in: the endpoints of an issuer (OAuth 2.0) and the public client that asks there. Pure.

The stack knows it and tells the page (`approval_page`), which tells browsers and the command. Nothing of it is
secret: a public client has none, and shows by PKCE that it is the one that asked (RFC 7636).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from perennial.errors import InvalidConfiguration

REDIRECT = "http://localhost:8765/callback"  # where the command listens while a person signs in (RFC 8252 7.3)
SCOPES = ("openid", "profile", "email")  # OpenID Connect Core 1.0, 5.4
OFFLINE = "offline_access"  # asks for a refresh token (OpenID Connect Core 1.0, 11)
MAX_SCOPES = 20
SCOPE = re.compile(r"[!#-\[\]-~]{1,128}")  # RFC 6749 3.3
CLIENT = re.compile(r"[!-~]{1,255}")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """An issuer, its endpoints, and what is asked of them. `tokens` says which token the API takes: id or access.
    Without `revocation` a refresh token cannot be given back before its end."""

    issuer: str
    client: str
    authorization: str
    token: str
    revocation: str = ""
    scopes: tuple[str, ...] = SCOPES
    tokens: str = "id"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "scopes": list(self.scopes)}


def of_user_pool(*, issuer: str, client: str, domain: str) -> SignIn:
    """A user pool's: `domain` is the URL of its pages (Amazon Cognito Developer Guide, "User pool endpoints and managed
    login reference")."""
    return SignIn(
        issuer=issuer,
        client=client,
        authorization=f"{domain}/oauth2/authorize",
        token=f"{domain}/oauth2/token",
        revocation=f"{domain}/oauth2/revoke",
    )


def read(document: object) -> SignIn:
    """What a document says, each field of which is checked.

    Raises: InvalidConfiguration.
    """
    if not isinstance(document, Mapping):
        raise _unfit("it is no JSON object")
    scopes = document.get("scopes", list(SCOPES))
    if not isinstance(scopes, list) or len(scopes) > MAX_SCOPES or not all(map(_is_scope, scopes)):
        raise _unfit("scopes")
    return SignIn(
        issuer=_url(document, "issuer"),
        client=_text(document, "client", CLIENT),
        authorization=_url(document, "authorization"),
        token=_url(document, "token"),
        revocation=_url(document, "revocation") if document.get("revocation") else "",
        scopes=tuple(scopes),
        tokens=_text(document, "tokens", re.compile("id|access")),
    )


def _is_scope(value: object) -> bool:
    return isinstance(value, str) and SCOPE.fullmatch(value) is not None


def _text(document: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _unfit(name)
    return value


def _url(document: Mapping[str, Any], name: str) -> str:
    """A URL where tokens may go: over TLS, or on this machine."""
    value = _text(document, name, re.compile(r"[!-~]{1,512}"))
    try:
        parts = urlsplit(value)
        near = parts.scheme == "http" and parts.hostname in LOOPBACK and parts.port != 0
        fits = bool(parts.hostname) and "@" not in parts.netloc and not set(value) & set("?#\\")
    except ValueError as error:
        raise _unfit(name) from error
    if not fits or not (near or parts.scheme == "https"):
        raise _unfit(name)
    return value


def _unfit(what: str) -> InvalidConfiguration:
    return InvalidConfiguration(
        f"what the deployment says of how to sign in cannot be used: {what}; is it the API of Perennial, and the "
        "command of its version?"
    )
