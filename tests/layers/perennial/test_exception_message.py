"""What people are told of exceptions: bounded, clean, and enough to act."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from estate import NOW
from layers.perennial.hostile import TEXTS
from perennial.exception_message import attributes, coming, ended
from perennial.exception_record import ExceptionRecord, ExceptionState
from perennial.exception_selection import Selection

DAY = timedelta(days=1)
RECORD = ExceptionRecord(
    id="a" * 32,
    rule="expiry.expired",
    selection=Selection(name="shop.example.com", subtree=True, owner="shop"),
    reason="It closes.",
    owner="shop",
    ends=NOW + 14 * DAY,
    asked_by=("arn:x",),
    asked_name="rita",
    asked_at=NOW,
    state=ExceptionState.ACTIVE,
    decided_name="sam",
    decided_at=NOW,
)


@pytest.mark.parametrize(
    ("left", "words"),
    [(14 * DAY, "in 14 days"), (1.5 * DAY, "in a day"), (timedelta(hours=3), "within a day"), (-DAY, "within a day")],
)
def test_the_subject_says_how_long_is_left(left: timedelta, words: str) -> None:
    """One glance at a mailbox tells when, and of what."""
    subject, _ = coming(RECORD, RECORD.ends - left)
    assert subject == f"Perennial: Exception ends {words}: expiry.expired"


def test_the_message_names_all_that_one_needs() -> None:
    """What is suspended for what, why, by whom, until when, and how to see more."""
    text = "\n".join(coming(RECORD, NOW)[1])
    for each in ("2026-11-15 12:00 UTC", "name shop.example.com and below, owner shop", "It closes.", "rita", "sam"):
        assert each in text
    assert text.endswith(f"perennial exceptions show {RECORD.id}")


def test_an_end_says_by_whom_and_why() -> None:
    """Ended early, the words of who ended it are there."""
    subject, lines = ended(replace(RECORD, ended_at=NOW, ended_name="ann", ended_why="No need."))
    assert subject == "Perennial: Exception ended: expiry.expired"
    assert "Ended: 2026-11-01 12:00 UTC, by ann: No need." in list(lines)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_breaks_the_message(text: str) -> None:
    """Whatever a stranger wrote, each line shows as itself, and the whole fits what SNS takes."""
    record = replace(RECORD, reason=text, owner=text, asked_name=text, decided_name=text, ended_name=text)
    for subject, lines in (coming(record, NOW), ended(replace(record, ended_why=text))):
        told = list(lines)
        assert re.fullmatch(r"[ -~]{1,100}", subject)
        assert all(each.isprintable() for each in told) and len("\n".join(told).encode()) < 20_000
    assert all(each["StringValue"].strip() for each in attributes(record, "ending").values())


def test_subscriptions_filter_by_owner_and_state() -> None:
    """A team subscribes to its own."""
    found = {name: each["StringValue"] for name, each in attributes(RECORD, "ended").items()}
    assert found == {"owner": "shop", "exception": RECORD.id, "state": "ended"}
