"""Pages of a list behind an opaque token."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


class BadToken(ValueError):
    """The token is none of ours, or was given out for another query."""


def fingerprint(query: Any) -> str:
    """A short digest of the parameters that a token belongs to."""
    return hashlib.sha256(json.dumps(query, sort_keys=True, default=str).encode()).hexdigest()[:16]


def encode(offset: int, query: Any = None) -> str:
    """A token for the page that starts at `offset` of the result of `query`."""
    return base64.urlsafe_b64encode(f"{fingerprint(query)}:{offset}".encode()).decode()


def decode(token: str | None, query: Any = None) -> int:
    """The offset that a token stands for; 0 without one. Raises BadToken."""
    if token is None:
        return 0
    try:
        digest, _, offset = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        start = int(offset)
    except (ValueError, binascii.Error) as error:
        raise BadToken(token) from error
    if digest != fingerprint(query):
        raise BadToken(token)
    return start


def page(items: Sequence[Item], token: str | None, size: int, query: Any = None) -> tuple[list[Item], str | None]:
    """(the page, the token of the next one or None). `query` binds the token to the request's other parameters."""
    start = decode(token, query)
    end = start + size
    return list(items[start:end]), encode(end, query) if end < len(items) else None
