"""What people are told of exceptions: bounded, clean, and enough to act."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from estate import NOW
from layers.perennial.hostile import TEXTS
from perennial import exception_event
from perennial.exception_message import attributes, coming, ended, wanted
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


def test_who_decides_is_told_all_that_one_needs() -> None:
    """What is asked for what, why, by whom, until when, where to sign in, and the commands; nothing of a decision."""
    asked = replace(RECORD, state=ExceptionState.ASKED, decided_name="", decided_at=None)
    subject, lines = wanted(asked, "https://c.example.com/decide")
    assert subject == "Perennial: Exception wanted: expiry.expired"
    assert list(lines) == [
        "Asked for until: 2026-11-15 12:00 UTC; undecided, it ends then",
        "Suspends: expiry.expired",
        "For: name shop.example.com and below, owner shop",
        "Owner: shop",
        "Reason: It closes.",
        "Asked by: rita",
        f"All of it: perennial exceptions show {RECORD.id}",
        "May decide: 1 person of security; nobody decides on what they asked for",
        f"Sign in to decide: https://c.example.com/decide#exception={RECORD.id}",
        f"Or: perennial exceptions approve {RECORD.id}",
        f"To refuse: perennial exceptions reject {RECORD.id} --reason WORDS",
    ]
    assert not any("Sign in" in each for each in wanted(asked, "")[1])


def test_the_event_says_what_the_message_says() -> None:
    """Whoever decides by the event alone has rule, selection, owner, reason, end, page and command."""
    told = exception_event.event(replace(RECORD, selection=Selection(managed="shop")), "https://c.example.com/decide")
    assert (told.rule, told.selection, told.certificate) == ("expiry.expired", "managed shop", "shop")
    assert (told.owner, told.reason, told.asked_by, told.ends) == (
        "shop",
        "It closes.",
        "rita",
        RECORD.ends.isoformat(),
    )
    assert told.page == f"https://c.example.com/decide#exception={RECORD.id}"
    assert told.command == f"perennial exceptions approve {RECORD.id}"
    entry = exception_event.entry(told, "bus", NOW)
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == ("perennial", "Exception Asked", "bus")


def test_an_end_says_by_whom_and_why() -> None:
    """Ended early, the words of who ended it are there."""
    subject, lines = ended(replace(RECORD, ended_at=NOW, ended_name="ann", ended_why="No need."))
    assert subject == "Perennial: Exception ended: expiry.expired"
    assert "Ended: 2026-11-01 12:00 UTC, by ann: No need." in list(lines)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_breaks_the_message(text: str) -> None:
    """Whatever a stranger wrote, each line shows as itself, and the whole fits what SNS takes."""
    record = replace(RECORD, reason=text, owner=text, asked_name=text, decided_name=text, ended_name=text)
    for subject, lines in (coming(record, NOW), ended(replace(record, ended_why=text)), wanted(record, "")):
        told = list(lines)
        assert re.fullmatch(r"[ -~]{1,100}", subject)
        assert all(each.isprintable() for each in told) and len("\n".join(told).encode()) < 20_000
    assert all(each["StringValue"].strip() for each in attributes(record, "ending").values())
    event = asdict(exception_event.event(record, ""))
    assert not set("".join(map(str, event.values()))) & set('"\\<>\n')


def test_subscriptions_filter_by_owner_and_state() -> None:
    """A team subscribes to its own."""
    found = {name: each["StringValue"] for name, each in attributes(RECORD, "ended").items()}
    assert found == {"owner": "shop", "exception": RECORD.id, "state": "ended"}
