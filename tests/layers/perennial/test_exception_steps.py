"""What is next for an exception: a table, and a life in which the steps come late, twice and out of order."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estate import NOW
from perennial.exception_record import ExceptionRecord, ExceptionState, read, written
from perennial.exception_selection import Selection
from perennial.exception_steps import SETTLED, Step, announced, done, due_at, next_step, postponed, swept

DAY = timedelta(days=1)
DAYS = (14, 3)
ASKED = ExceptionRecord(
    id="a" * 32,
    rule="keys.weak",
    selection=Selection(owner="shop"),
    reason="why",
    owner="shop",
    ends=NOW + 30 * DAY,
    asked_by=("arn:x",),
    asked_name="rita",
    asked_at=NOW,
    told_asked=True,
)
ACTIVE = replace(ASKED, state=ExceptionState.ACTIVE, decided_at=NOW, decided_name="sam", sweep_at=None)
ENDED = replace(ACTIVE, state=ExceptionState.ENDED, ended_at=NOW + DAY, ended_name="ann", told_end=True)


@pytest.mark.parametrize(
    ("record", "day", "expected", "due"),
    [
        (ASKED, 0, None, 30),
        (ASKED, 30, Step.END, 30),
        (replace(ASKED, told_asked=False), 0, Step.ASK, 0),
        (replace(ASKED, told_asked=False), 30, Step.END, 0),  # too late to decide
        (replace(ASKED, told_asked=False, event="{}"), 0, Step.RECORD, 0),
        (replace(ACTIVE, told_asked=False), 0, None, 16),  # decided before anybody was told
        (replace(ASKED, event="{}"), 0, Step.RECORD, 0),
        (replace(ASKED, event="{}"), 40, Step.RECORD, 0),
        (ACTIVE, 0, None, 16),
        (ACTIVE, 16, Step.ANNOUNCE, 16),
        (replace(ACTIVE, announced=14), 16, None, 27),
        (replace(ACTIVE, announced=14), 27, Step.ANNOUNCE, 27),
        (replace(ACTIVE, announced=3), 28, None, 30),
        (ACTIVE, 30, Step.END, 16),
        (replace(ACTIVE, sweep_at=NOW), 0, Step.SWEEP, 0),
        (replace(ACTIVE, sweep_at=NOW), 30, Step.END, 0),
        (replace(ACTIVE, ends=NOW + 3 * DAY), 0, None, 3),  # granted for three days: nothing is announced
        (replace(ACTIVE, ends=NOW + 3 * DAY + DAY / 2), 1, Step.ANNOUNCE, 0.5),
        (ENDED, 99, None, None),
        (replace(ENDED, told_end=False), 1, Step.TELL, 1),
        (replace(ENDED, told_end=False, sweep_at=NOW + DAY), 1, Step.SWEEP, 1),
        (replace(ENDED, told_end=False, decided_at=None), 9, None, None),  # nobody had decided: nobody is told
        (replace(ASKED, state=ExceptionState.REJECTED, decided_at=NOW), 99, None, None),
    ],
)
def test_what_is_next_and_when(record: ExceptionRecord, day: float, expected: Step | None, due: float | None) -> None:
    """Each state has one next step at a time, and knows when it is due."""
    assert next_step(record, DAYS, NOW + day * DAY) == expected
    assert due_at(record, DAYS) == (None if due is None else NOW + due * DAY)


@pytest.mark.parametrize(("day", "expected"), [(16, 14), (26.9, 14), (27, 3), (29.9, 3)])
def test_of_late_announcements_only_the_one_that_fits_is_told(day: float, expected: int) -> None:
    """After an outage people are not told "in 14 days" of what ends in two."""
    assert announced(ACTIVE, DAYS, NOW + day * DAY) == expected


def test_a_step_that_fails_waits_longer_each_time_and_at_most_an_hour() -> None:
    """1, 2, 4 … minutes; meanwhile nothing is due; a success forgets it."""
    record, pauses = replace(ACTIVE, sweep_at=NOW), []
    for _ in range(8):
        record = postponed(record, "x" * 900, NOW)
        pauses.append((record.retry_at - NOW).total_seconds() / 60 if record.retry_at else 0)
        assert next_step(record, DAYS, NOW) is None and due_at(record, DAYS) == record.retry_at
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60] and len(record.trouble) == 500
    assert done(record) == replace(ACTIVE, sweep_at=NOW)


def test_two_sweeps_lie_apart_by_what_an_assessment_may_take() -> None:
    """The second finds what an assessment wrote that had begun before; there is no third. A late first one is early
    enough for the second."""
    first = swept(replace(ACTIVE, sweep_at=NOW), NOW + timedelta(minutes=1))
    assert first.sweep_at == NOW + SETTLED
    assert swept(first, NOW + SETTLED).sweep_at is None
    early = replace(ENDED, sweep_at=NOW + DAY)
    assert swept(early, NOW + DAY).sweep_at == NOW + DAY + SETTLED


def test_an_exception_holds_until_its_end_and_not_longer() -> None:
    """Its end is exact, whenever the due entry is served; what is not granted never holds."""
    assert ACTIVE.holds(ACTIVE.ends - timedelta(seconds=1)) and not ACTIVE.holds(ACTIVE.ends)
    assert not any(each.holds(NOW) for each in (ASKED, ENDED))


times = st.none() | st.datetimes(NOW.replace(tzinfo=None), (NOW + 90 * DAY).replace(tzinfo=None)).map(
    lambda each: each.replace(tzinfo=NOW.tzinfo)
)


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        replace,
        st.just(ACTIVE),
        reason=st.text(min_size=1, max_size=20),
        selection=st.builds(Selection, owner=st.text(max_size=9), subtree=st.booleans()),
        decided_at=times,
        sweep_at=times,
        retry_at=times,
        ended_at=times,
        told_end=st.booleans(),
        state=st.sampled_from(ExceptionState),
        asked_by=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    )
)
def test_an_exception_is_read_as_it_was_written(record: ExceptionRecord) -> None:
    """No field is lost or changed in the table."""
    assert read(written(record)) == record


def test_an_exception_of_another_release_is_read_and_never_covers_more() -> None:
    """A field that is not known is left out; a condition that is not known is never dropped from a selection."""
    kept = json.loads(written(ACTIVE))
    assert read(json.dumps({**kept, "colour": "red"})) == ACTIVE
    del kept["told_end"]
    assert read(json.dumps(kept)) == ACTIVE
    kept["selection"]["colour"] = "red"
    assert read(json.dumps(kept)).selection == Selection()


@settings(max_examples=150, deadline=None)
@given(
    length=st.integers(1, 90),
    gaps=st.lists(st.integers(1, 20 * 24), min_size=1, max_size=30),
    fails=st.sets(st.integers(0, 60)),
    early=st.none() | st.integers(0, 20),
)
def test_however_late_it_is_served_every_step_is_done_once(
    length: int, gaps: list[int], fails: set[int], early: int | None
) -> None:
    """Served at any times, with any failures and perhaps ended early, it ends; nothing is due for ever; each thing is
    told once, in order, and never after the end."""
    record: ExceptionRecord = replace(ACTIVE, ends=NOW + length * DAY, sweep_at=NOW)
    now, done_steps, turn = NOW, list[tuple[Step, Any]](), 0
    for number, hours in enumerate([*gaps, 91 * 24, *[2] * 70]):  # more rounds than there are failures
        now += timedelta(hours=hours)
        if number == early and record.holds(now):
            record = replace(record, state=ExceptionState.ENDED, ended_at=now, sweep_at=now)
        while step := next_step(record, DAYS, now):
            turn += 1
            if turn in fails:
                record = postponed(record, "x", now)
                continue
            done_steps.append((step, record.announced))
            record = done(_acted(record, step, now))
        due = due_at(record, DAYS)
        assert due is None or due > now
    assert record.state is ExceptionState.ENDED and record.told_end and due_at(record, DAYS) is None
    kinds = [step for step, _ in done_steps]
    assert kinds.count(Step.TELL) == 1 and kinds.count(Step.END) <= 1 and kinds.count(Step.ANNOUNCE) <= 2
    assert Step.ANNOUNCE not in kinds[kinds.index(Step.TELL) :]


def _acted(record: ExceptionRecord, step: Step, now: Any) -> ExceptionRecord:
    """What serving does to the record."""
    match step:
        case Step.END:
            return replace(record, state=ExceptionState.ENDED, ended_at=now, sweep_at=None)
        case Step.SWEEP:
            return swept(record, now)
        case Step.ANNOUNCE:
            return replace(record, announced=announced(record, DAYS, now))
        case Step.TELL:
            return replace(record, told_end=True)
        case _:
            return replace(record, event="")
