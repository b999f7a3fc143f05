"""What failed and is done later, by its due entry: one line in the log, so that a failure that repeats is seen.

The line is an object where the function logs JSON: what it is about, the error's reason and its message. A message of
`errors` holds no secret.
"""

from __future__ import annotations

import logging

from perennial.errors import PerennialError

MAX_MESSAGE = 1_000  # characters
logger = logging.getLogger("perennial.postponed")


def log(what: str, error: PerennialError, *, without: str = "", **subject: str) -> None:
    """Log that something failed and stays due. `subject` names it, as `request="…"`. `without` is a text that the log
    must not have, and that a reply of AWS may repeat."""
    words = str(error).replace(without, "(withheld)") if without else str(error)
    told = {**subject, "reason": error.reason, "error": words[:MAX_MESSAGE]}
    logger.warning("%s failed, and is tried again when it is due", what, extra=told)
