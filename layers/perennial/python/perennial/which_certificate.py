"""Which certificate of the inventory a person means: by its fingerprint, the beginning of that, or the place where it
is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perennial.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from perennial.inventory.store import Inventory

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_BEGINNING = re.compile("[0-9a-f]{8,63}")


def fingerprint_of(inventory: Inventory, which: str) -> str:
    """The fingerprint of a certificate that is named by its fingerprint (colons allowed), by 8 digits of it or more,
    or by an ARN or host:port where it is. A whole fingerprint comes back as it is, known or not.

    Raises: InvalidInput, also where several begin so; NotFound.
    """
    text = which.replace(":", "").lower()
    if _FINGERPRINT.fullmatch(text):
        return text
    if _BEGINNING.fullmatch(text):
        return _completed(inventory, text)
    if ":" not in which:
        raise InvalidInput(f"{which[:100]!r} is not a fingerprint (8 to 64 hexadecimal digits), an ARN or host:port")
    found = inventory.certificate_of_place(which)
    if found is None:
        raise NotFound(f"no certificate is known at {which[:300]}")
    return found


def _completed(inventory: Inventory, beginning: str) -> str:
    """The one fingerprint that begins so."""
    found = inventory.beginning_with(beginning, limit=2)
    if not found:
        raise NotFound(f"no certificate in the inventory has a fingerprint that begins with {beginning}")
    if len(found) > 1:
        raise InvalidInput(f"{beginning} begins several fingerprints; give more digits")
    return found[0]
