"""ETag and If-Match (RFC 9110 8.8.3, 13.1.1): who changes something says which state of it they read."""

from __future__ import annotations

import re
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Header

from perennial.errors import PreconditionFailed, PreconditionRequired

_TAGS = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,100}"')
MAX_HEADER = 500  # characters
IF_MATCH = "If-Match"
IfMatch = Annotated[
    str | None,
    Header(
        alias=IF_MATCH,
        max_length=MAX_HEADER,
        description='The ETag of what was read, as in `"7"`: it is refused where that was changed meanwhile.',
    ),
]


def etag(revision: int) -> str:
    """The strong entity tag of a revision."""
    return f'"{revision}"'


def must_match(header: str | None, revision: int, what: str) -> None:
    """Nothing, where a header If-Match names the revision, or any (`*`). A weak tag names none.

    Raises: PreconditionRequired without a header; PreconditionFailed.
    """
    if header is None:
        raise PreconditionRequired(f"{what}: send If-Match with the ETag of what you read, so that no change is lost")
    named = _TAGS.findall(header)
    if header.strip() != "*" and etag(revision) not in named:
        raise PreconditionFailed(f"{what} was changed meanwhile; read it again, and send its ETag as If-Match")
