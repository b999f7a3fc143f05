"""What must never come into the audit trail: private keys, and values that look like secrets. Pure.

It is a net below the callers, who give no secrets in the first place: the trail cannot be changed, so that a secret in
it could never be removed. Nothing here returns or tells the value that was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from perennial.secret_content import content

WITHHELD = "(withheld: looks like a secret)"  # what stands in its place
_SHORTEST = 40  # characters of a key in any spelling that is worth decoding
_MARKS = re.compile(
    r"PRIVATE KEY-{2,}|AGE-SECRET-KEY-1|PuTTY-User-Key-File-|PGP PRIVATE KEY"  # labels of PEM and its likes
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"  # a signed JWT (RFC 7519)
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9+/_=.~-]{16,}",  # what an Authorization header has (RFC 6750, RFC 7617)
    re.IGNORECASE,
)
_NAMES = re.compile(
    r"(?:.*[_-])?(?:password|passphrase|passwd|private[_-]?key|key[_-]?pem|secret[_-]?access[_-]?key|session[_-]?token"
    r"|access[_-]?token|refresh[_-]?token|id[_-]?token|api[_-]?key|hmac[_-]?key|client[_-]?secret|authorization)",
    re.IGNORECASE,
)
_JWK_PRIVATE = frozenset({"d", "k", "p", "q", "priv"})  # members of a private or symmetric JWK (RFC 7518 section 6)
_HEX = re.compile(r"30(?:[0-9a-fA-F]{2}){30,}")
_URL = str.maketrans("-_", "+/")  # base64url to base64 (RFC 4648 section 5)


def secret_in(value: Any, where: str) -> str:
    """Where in a plain value something looks like a secret, in words; "" where nothing does."""
    return next(_found(value, where), "")


def _found(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, str):
        if looks_secret(value):
            yield f"{where} looks like a private key or a token"
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _found(each, f"{where}[{number}]")
    elif isinstance(value, dict):
        yield from _in_object(value, where)


def _in_object(value: dict[Any, Any], where: str) -> Iterator[str]:
    if "kty" in value and any(isinstance(value.get(each), str) for each in _JWK_PRIVATE):
        yield f"{where} looks like a private key in JSON (JWK)"
    for name, each in value.items():
        if looks_secret(str(name)):
            yield f"the name of a member of {where} looks like a private key or a token"
            return
        if _names_secret(str(name), each):
            yield f"{where}.{name[:40]} is named as a secret and holds a text"
        yield from _found(each, f"{where}.{str(name)[:40]}")


def _names_secret(name: str, value: Any) -> bool:
    """Whether a member is named as a secret and holds more than a reference to one."""
    return (
        isinstance(value, str)
        and value not in ("", WITHHELD)
        and not value.startswith("arn:")
        and bool(_NAMES.fullmatch(name))
    )


def looks_secret(text: str) -> bool:
    """Whether a text looks like a private key, in PEM, DER, hexadecimal or base64, or like a token."""
    if _MARKS.search(text):
        return True
    if len(text) < _SHORTEST:
        return False
    if _HEX.fullmatch(text) and _holds_key(bytes.fromhex(text)):
        return True
    return _holds_key(text) or (not text.isalnum() and _holds_key(text.translate(_URL)))


def _holds_key(data: str | bytes) -> bool:
    found = content(data)
    return found.has_key or any("keystore" in each.lower() or "pkcs" in each.lower() for each in found.problems)
