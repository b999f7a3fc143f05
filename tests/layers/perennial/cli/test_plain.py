"""Foreign text for terminals and spreadsheets."""

from __future__ import annotations

import pytest

from perennial.cli.plain import cell, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop.example.com", "shop.example.com"),
        ("Zürich 日本語 🔒", "Zürich 日本語 🔒"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b2J", "\\x9b2J"),
        ("gnp\u202eexe", "gnp\\u202eexe"),
        ("\ud800", "\\ud800"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_only_what_commands_or_deceives_is_escaped(text: str, shown: str) -> None:
    """Every other script of the world stays as it is."""
    assert plain(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", " =1", "＝1"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    """Spreadsheets show what begins with an apostrophe as text."""
    assert cell(text) == f"'{text}"


def test_nothing_is_an_empty_cell() -> None:
    """And a number is its digits."""
    assert (cell(None), cell(3)) == ("", "3")
