"""Lists that go on behind one name: how far a page looks, and where it ended, in the cursors of `pages`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from perennial.api import pages
from perennial.errors import InvalidInput

LOOKED_AT = 500  # entries for one page, of which those are left out that one may not read
T = TypeVar("T")


def behind(question: Mapping[str, Any], text: str | None, fits: re.Pattern[str]) -> str:
    """The name behind which a page begins; "" for the first page. A cursor is a caller's by the time it comes back.

    Raises: InvalidInput.
    """
    found = pages.mark(question, text)
    if found is None:
        return ""
    if len(found) != 1 or not fits.fullmatch(found[0]):
        raise InvalidInput("`next` is no cursor of this list; leave it out for the first page")
    return found[0]


def walked(
    read: Callable[[str, int], tuple[list[T], str]],
    after: str,
    limit: int,
    wanted: Callable[[T], bool],
    name: Callable[[T], str],
) -> tuple[list[T], str]:
    """At most `limit` that are wanted, of at most LOOKED_AT behind a name, and the name to go on behind; "" at the end.
    One more says whether there are more; where all are wanted, no others are read. `read` gives so many behind a name,
    and the name that follows or ""."""
    items: list[T] = []
    for size in (limit + 1, *(pages.MOST,) * (LOOKED_AT // pages.MOST - 1)):
        records, last = read(after, size)
        for each in filter(wanted, records):
            if len(items) == limit:
                return items, name(items[-1])
            items.append(each)
        if not last:
            return items, ""
        after = last
    return items, after


def cursor(question: Mapping[str, Any], name: str) -> str | None:
    """The cursor of the page behind a name; None for "", the end."""
    return pages.cursor(question, (name,) if name else None)
