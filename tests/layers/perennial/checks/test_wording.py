"""Details in bounded words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.checks.wording import about_place, listed, on, quoted


@pytest.mark.parametrize(
    ("texts", "expected"),
    [([], ""), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d"], "a, b, c and 1 more")],
)
def test_three_are_listed(texts: list[str], expected: str) -> None:
    """Three texts are shown, and how many more there are."""
    assert listed(texts) == expected


@given(st.text(), st.integers(1, 300))
def test_quoted_texts_are_short_and_clean(text: str, limit: int) -> None:
    """Whatever a stranger wrote comes out within the limit and printable."""
    assert len(quoted(text, limit)) <= limit
    assert quoted(text, limit).isprintable()


def test_short_texts_stay() -> None:
    """A name of the longest length is shown whole."""
    assert quoted("x" * 253) == "x" * 253
    assert quoted("x" * 254) == "x" * 252 + "…"


def test_times_are_shown_in_utc() -> None:
    """A time of another zone is shown in UTC."""
    assert on(datetime(2026, 11, 1, 2, tzinfo=timezone(timedelta(hours=5)))) == "2026-10-31 21:00 UTC"


def test_no_detail_no_verdict() -> None:
    """None is a pass."""
    assert about_place(None) == ()
    assert [each.detail for each in about_place("x")] == ["x"]
