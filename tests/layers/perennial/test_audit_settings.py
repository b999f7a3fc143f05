"""`[audit]` of perennial.toml: how long checkpoints are locked away."""

from __future__ import annotations

import pytest

from perennial import audit
from perennial.errors import InvalidConfiguration
from perennial.settings import load


def test_the_default_is_more_than_a_year() -> None:
    """Without the table, and with an empty one."""
    assert load("").audit.retention_days == load("[audit]").audit.retention_days == 400


@pytest.mark.parametrize("days", [1, 365, audit.MAX_RETENTION])
def test_what_is_said(days: int) -> None:
    """From a day to a hundred years."""
    assert load(f"[audit]\nretention_days = {days}").audit.retention_days == days


@pytest.mark.parametrize("wrong", ["0", "-1", str(audit.MAX_RETENTION + 1), '"400"', "1.5", "true", "[]"])
def test_what_is_not_accepted(wrong: str) -> None:
    """A retention that Object Lock does not take is refused before anything is deployed."""
    with pytest.raises(InvalidConfiguration, match=r"audit\.retention_days: .* is not a whole number from 1 to 36500"):
        load(f"[audit]\nretention_days = {wrong}")


def test_an_unknown_field() -> None:
    """A misspelt field would leave the default in place."""
    with pytest.raises(InvalidConfiguration, match=r"audit\.retention: not known"):
        load("[audit]\nretention = 400")
