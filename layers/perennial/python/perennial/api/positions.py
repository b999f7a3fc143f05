"""Where a page of a list ended that goes on behind one name, in the cursors of `pages`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perennial.api import pages
from perennial.errors import InvalidInput


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


def cursor(question: Mapping[str, Any], name: str) -> str | None:
    """The cursor of the page behind a name; None for "", the end."""
    return pages.cursor(question, (name,) if name else None)
