"""Pages of lists: how many, from where on, and the cursor that leads to the next one.

A cursor is opaque: a mark in its list (`inventory.lists`) and the digest of the question that it belongs to, as JSON in
base64url. It gives no right: what a person may see follows from who asks, at every page. One that is damaged, too long
or of another question is an InvalidInput; so is one whose mark the list does not take.

A list is stable: what comes or goes between two pages makes no other entry be skipped or come twice. A page may have
fewer entries than `limit`, even none, and still have `next`: what few entries fit is searched for step by step.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Generic, TypeVar

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from perennial.api.models import Model
from perennial.errors import InvalidInput
from perennial.inventory.lists import Mark

MAX_CURSOR = 2_000  # characters
MAX_PARTS = 24  # of a mark
MAX_TEXT = 2_000_000  # characters of a page's long entries: a Lambda function returns 6 MB at most
DEFAULT, MOST = 50, 100  # entries of a page
T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=MOST, description=f"How many entries at most: 1 to {MOST}.")]
Next = Annotated[
    str | None,
    Query(
        alias="next",
        max_length=MAX_CURSOR,
        description="`next` of the page before; the other parameters stay as they were.",
    ),
]


class Page(Model, Generic[T]):
    """A page of a list."""

    items: list[T]
    next: str | None = Field(
        default=None,
        description="Ask again with this as `next` for what follows; null: there is no more. "
        "A page may be short or empty and still have one.",
    )


def cursor(question: Mapping[str, Any], mark: Mark | None) -> str | None:
    """The cursor of a mark in the list of a question; None for none."""
    if mark is None:
        return None
    content = json.dumps([_digest(question), *mark], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def mark(question: Mapping[str, Any], text: str | None) -> Mark | None:
    """The mark of a cursor that belongs to this question; None for the first page.

    Raises: InvalidInput.
    """
    if text is None:
        return None
    found = _decoded(text)
    if len(found) < 2 or found[0] != _digest(question):
        raise InvalidInput(
            "`next` belongs to another question; give the parameters that it was found with, or leave it out"
        )
    return tuple(found[1:])


def taken(
    entries: Iterator[tuple[Mark, T]], limit: int, size: Callable[[T], int] = lambda _: 0
) -> tuple[list[T], Mark | None]:
    """The next entries of a list, at most `limit` and about `MAX_TEXT` characters by their `size`, and the mark of the
    last one; None where there is no more."""
    found: list[T] = []
    last: Mark | None = None
    left = MAX_TEXT
    for last, each in entries:  # noqa: B007 - it is used behind the loop
        found.append(each)
        left -= size(each)
        if len(found) >= limit or left <= 0:
            break
    return found, last if next(entries, None) is not None else None


def _decoded(text: str) -> list[str]:
    broken = InvalidInput("`next` is no cursor of this API; leave it out for the first page")
    if len(text) > MAX_CURSOR or not text.isascii():
        raise broken
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = json.loads(content.decode())
    except (binascii.Error, ValueError, RecursionError) as error:
        raise broken from error
    if not isinstance(found, list) or len(found) > MAX_PARTS or not all(isinstance(each, str) for each in found):
        raise broken
    return found


def _digest(question: Mapping[str, Any]) -> str:
    """Of everything that makes the list: its name, filters, order, and whose entries are in it; not of `limit`."""
    content = json.dumps(question, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
