"""Cursors lead to the next page of the question that they belong to, and to nothing else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.pages import MAX_CURSOR, MAX_PARTS, MAX_TEXT, cursor, mark, taken
from perennial.errors import InvalidInput

QUESTION = {"list": "certificates", "teams": ["shop"]}
OTHERS: list[dict[str, Any]] = [
    {},
    {"list": "findings", "teams": ["shop"]},
    {"list": "certificates", "teams": None},
    {"list": "certificates", "teams": ["shop", "blog"]},
    {**QUESTION, "owner": "shop"},
]


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(parts=st.lists(st.text(max_size=40), min_size=1, max_size=20).map(tuple))
def test_a_cursor_leads_back_to_its_mark(parts: tuple[str, ...]) -> None:
    """Whatever the mark has in it, surrogates left out, and as letters that a URL takes as they are."""
    made = cursor(QUESTION, parts)
    assert made and made.isascii() and made.replace("-", "").replace("_", "").isalnum()
    assert mark(QUESTION, made) == parts


def test_without_a_mark_there_is_no_cursor_and_without_a_cursor_no_mark() -> None:
    """The first page, and the last one."""
    assert cursor(QUESTION, None) is None
    assert mark(QUESTION, None) is None


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_a_cursor_of_another_question_is_refused(other: dict[str, Any]) -> None:
    """Another list, another filter, and the teams of someone else."""
    with pytest.raises(InvalidInput, match="another question"):
        mark(other, cursor(QUESTION, ("a", "b")))


def test_the_longest_mark_fits() -> None:
    """A sort key of the table as long as it may be, beside two digests."""
    made = cursor(QUESTION, ("resource", "x" * 1_000, "0" * 16))
    assert made and len(made) <= MAX_CURSOR


@pytest.mark.parametrize(
    ("limit", "size", "count", "last"),
    [(3, 1, 3, ("2",)), (9, 1, 9, None), (20, 1, 9, None), (9, MAX_TEXT // 3, 4, ("3",)), (9, MAX_TEXT, 1, ("0",))],
)
def test_a_page_ends_at_its_limit_and_before_it_is_too_long(
    limit: int, size: int, count: int, last: tuple[str, ...] | None
) -> None:
    """And says where the next one begins, where there is one."""
    entries = iter([((str(number),), number) for number in range(9)])
    assert taken(entries, limit, lambda _: size) == (list(range(count)), last)


GOOD = cursor(QUESTION, ("a",)) or ""
DIGEST = json.loads(base64.urlsafe_b64decode(GOOD + "=" * (-len(GOOD) % 4)))[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        GOOD[:-1],
        GOOD + "A",
        "A" + GOOD,
        GOOD.swapcase(),
        GOOD + "\N{FULLWIDTH EQUALS SIGN}",
        "A" * (MAX_CURSOR + 4),
        encoded([]),
        encoded([DIGEST]),
        encoded(DIGEST),
        encoded({"0": DIGEST}),
        encoded([DIGEST, 1]),
        encoded([DIGEST, None]),
        encoded([DIGEST, ["a"]]),
        encoded([DIGEST, *["a"] * MAX_PARTS]),
        encoded(None),
        encoded(1e999),
        base64.urlsafe_b64encode(b'["' + DIGEST.encode() + b'", "a"').decode(),
        base64.urlsafe_b64encode(b"\xff\xfe[]").decode(),
        base64.urlsafe_b64encode(b"[" * 1_400).decode(),
        base64.urlsafe_b64encode(b"1" * 1_400).decode(),
    ],
    ids=lambda text: text[:20],
)
def test_a_damaged_cursor_is_refused(text: str) -> None:
    """With an error that says what to do, whatever is in it."""
    with pytest.raises(InvalidInput, match="`next`"):
        mark(QUESTION, text)


@given(text=st.text(max_size=60))
def test_no_text_breaks_the_reading_of_a_cursor(text: str) -> None:
    """Any text at all is refused: none is by chance one of ours."""
    with pytest.raises(InvalidInput, match="`next`"):
        mark(QUESTION, text)
