"""Foreign text for terminals and spreadsheets. Names in certificates are written by strangers."""

from __future__ import annotations

import re

# Control characters (escape sequences begin with one), what turns or hides text, lone surrogates, tag characters.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def plain(text: object) -> str:
    """A text that shows as itself: what could command a terminal or deceive a reader is written as its escape."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode(), str(text))


def cell(value: object) -> str:
    """A spreadsheet's cell: plain, and never taken for a formula."""
    text = "" if value is None else plain(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
