"""Members of AWS's replies that no reply may leave out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perennial.errors import InvalidReply


def text(reply: Mapping[str, Any], member: str, doing: str) -> str:
    """A text in a reply.

    Raises: InvalidReply where there is none.
    """
    told = reply.get(member)
    if not isinstance(told, str) or not told:
        raise InvalidReply(f"{doing}: the reply has no {member}")
    return told


def inner(reply: Mapping[str, Any], member: str, doing: str) -> Mapping[str, Any]:
    """A structure in a reply.

    Raises: InvalidReply where there is none.
    """
    told = reply.get(member)
    if not isinstance(told, Mapping):
        raise InvalidReply(f"{doing}: the reply has no {member}")
    return told
