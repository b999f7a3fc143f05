"""The states of a managed certificate and its next steps: every transition, and that there is always a next step."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managed_records import (
    DAY,
    DECLARED,
    HOUR,
    MINUTE,
    NOW,
    REQUEST,
    RULES,
    planned,
    record,
    rollout,
    serving,
    version,
)
from perennial import lifecycle, renewal
from perennial.inventory.records import Advice, ManagedState, RolloutState, VersionState
from perennial.lifecycle import Decision, Situation, Step, decide, noted
from perennial.managed_certificate import targets_digest
from perennial.windows import Blackout, Calendar, Window

SHARE = NOW + 59 * DAY  # two thirds of 90 days, one of which has passed
CLOSED = Calendar(blackouts=(Blackout(name="freeze", start=NOW - DAY, end=NOW + 2 * DAY),))
FAILED = version(2, "failed", reason="validation-failed", message="no TXT record")


def situation(known: Any, **more: Any) -> Situation:
    return Situation(record=known, **{"rules": RULES, **more})


def judged(known: Situation, now: datetime = NOW) -> Decision:
    """The decision after the last failure was counted."""
    return decide(replace(known, record=noted(known, now)), now)


ADVICE = Advice(start=NOW + 40 * DAY, end=NOW + 42 * DAY, at=NOW + 41 * DAY, ask_at=NOW + 6 * HOUR)
YOUNG = record(serving=serving())
OLD = record(serving=serving(age=70))
LATE = record(serving=serving(age=86))
GONE = record(serving=serving(age=91))
TWO = serving(2)
REMOVED = record(serving=serving(), removed_at=NOW - HOUR)
OTHER = replace(DECLARED, request=replace(REQUEST, names=("www.example.com",)))

CASES: dict[str, tuple[Situation, str, str, datetime | None]] = {
    "declared: planned": (situation(record()), "requested", "plan", NOW),
    "declared and planned: waits for its slot": (
        situation(planned(record(), "first", NOW + MINUTE)),
        "requested",
        "request",
        NOW + MINUTE,
    ),
    "declared: a window is not waited for where nothing serves": (
        situation(planned(record(), "first", NOW), calendar=CLOSED),
        "requested",
        "request",
        NOW,
    ),
    "the request was refused: tried again by the reason": (
        situation(record(failed="the request", failed_at=NOW, attempts=1, failure="policy")),
        "failing",
        "plan",
        NOW,
    ),
    "under way": (situation(record(), version=version(1, "requested", due_at=NOW)), "issuing", "issue", NOW),
    "under way, by another execution": (situation(record(), version=version(1, "prepared")), "issuing", "issue", NOW),
    "postponed by its issuer": (
        situation(record(), version=version(1, "prepared", attempts=1, message="slow down", due_at=NOW + HOUR)),
        "failing",
        "rest",
        NOW + HOUR,
    ),
    "the first version failed": (
        situation(record(), version=version(1, "failed", reason="validation-failed")),
        "failing",
        "plan",
        NOW,
    ),
    "the first version failed, and the next try is planned": (
        situation(
            planned(record(failed="version shop/1", failed_at=NOW, attempts=1), "retry", NOW + HOUR),
            version=version(1, "failed"),
        ),
        "failing",
        "request",
        NOW + HOUR,
    ),
    "issued: rolled out": (situation(record(), version=version(1)), "deploying", "roll-out", NOW),
    "issued, without targets": (
        situation(record(declared=replace(DECLARED, targets=())), version=version(1)),
        "deploying",
        "supersede",
        NOW,
    ),
    "rolling out": (
        situation(record(), version=version(1), rollout=rollout(1, "running", due_at=NOW)),
        "deploying",
        "deploy",
        NOW,
    ),
    "a rollout waits": (
        situation(
            record(),
            version=version(1),
            rollout=rollout(1, "running", attempts=2, message="throttled", due_at=NOW + HOUR),
        ),
        "failing",
        "rest",
        NOW + HOUR,
    ),
    "proven": (situation(record(), version=version(1), rollout=rollout(1)), "deploying", "supersede", NOW),
    "not proven: put there again after a pause": (
        situation(
            record(), version=version(1), rollout=rollout(1, "returned", reason="not-proven", message="old serial")
        ),
        "failing",
        "roll-out",
        NOW + 5 * MINUTE,
    ),
    "the rollout was refused before it began": (
        situation(
            record(failed="the request of a rollout", failed_at=NOW, attempts=1, failure="invalid-input"),
            version=version(1),
        ),
        "failing",
        "roll-out",
        NOW + HOUR,
    ),
    "something else is declared meanwhile": (
        situation(
            record(declared=OTHER),
            version=version(1),
            rollout=rollout(1, "refused", reason="not-fit"),
        ),
        "requested",
        "plan",
        NOW,
    ),
    "a new version waits for a window to be rolled out": (
        situation(OLD, version=version(2), calendar=CLOSED),
        "deploying",
        "roll-out",
        NOW + 2 * DAY,
    ),
    "serving: the renewal is planned ahead": (situation(YOUNG, version=version(1)), "serving", "plan", NOW),
    "serving and planned": (
        situation(planned(YOUNG, "lifetime", SHARE - DAY), version=version(1)),
        "serving",
        "request",
        SHARE - DAY,
    ),
    "serving, and the CA can be asked": (
        situation(planned(YOUNG, "lifetime", SHARE), version=version(1), advises=True),
        "serving",
        "ask",
        NOW,
    ),
    "serving, and the CA is asked again": (
        situation(planned(replace(YOUNG, advice=ADVICE), "advice", ADVICE.at), version=version(1), advises=True),
        "serving",
        "ask",
        NOW + 6 * HOUR,
    ),
    "serving, and an old version is to be retired": (
        situation(
            planned(record(serving=TWO, retiring=((1, NOW + HOUR),)), "lifetime", SHARE),
            version=version(2),
        ),
        "serving",
        "retire",
        NOW + HOUR,
    ),
    "due": (situation(OLD, version=version(1)), "due", "plan", NOW),
    "the tick stopped, and the planned time passed: planned anew": (
        situation(planned(OLD, "lifetime", NOW - 5 * MINUTE), version=version(1)),
        "due",
        "plan",
        NOW,
    ),
    "planned anew, and missed again": (
        situation(planned(OLD, "lifetime, missed", NOW - 5 * MINUTE), version=version(1)),
        "due",
        "request",
        NOW - 5 * MINUTE,
    ),
    "due, and waits for its window": (
        situation(planned(OLD, "lifetime", NOW), version=version(1), calendar=CLOSED),
        "due",
        "request",
        NOW + 2 * DAY,
    ),
    "planned for a time when it would be late: looked at before that": (
        situation(planned(OLD, "lifetime", NOW + 60 * DAY), version=version(1)),
        "due",
        "request",
        NOW + 15.5 * DAY,
    ),
    "late, and the last try failed: its pause is waited for": (
        situation(
            planned(replace(LATE, failed="version shop/2", failed_at=NOW, attempts=1), "retry", NOW + HOUR),
            version=FAILED,
        ),
        "failing",
        "request",
        NOW + HOUR,
    ),
    "due, and forced: waits for no window": (
        situation(planned(replace(OLD, urgent=True), "lifetime", NOW), version=version(1), calendar=CLOSED),
        "due",
        "request",
        NOW,
    ),
    "late: waits for no window": (situation(LATE, version=version(1), calendar=CLOSED), "due", "plan", NOW),
    "late and planned": (
        situation(planned(LATE, "hurry", NOW), version=version(1), calendar=CLOSED),
        "due",
        "request",
        NOW,
    ),
    "expired": (situation(GONE, version=version(1)), "expired", "plan", NOW),
    "expired, and the last try failed": (situation(GONE, version=FAILED), "expired", "plan", NOW),
    "other targets are declared": (
        situation(
            planned(replace(YOUNG, declared=replace(DECLARED, stays=True, targets=())), "lifetime", SHARE),
            version=version(1),
        ),
        "serving",
        "request",
        SHARE,
    ),
    "a target does not serve it": (
        situation(planned(YOUNG, "lifetime", SHARE), version=version(1), rules=replace(RULES, lost=("edge",))),
        "due",
        "roll-out",
        NOW,
    ),
    "it was put there again, and is lost again": (
        situation(
            planned(record(serving=serving(rollout=2)), "lifetime", SHARE),
            version=version(1),
            rollout=rollout(2),
            rules=replace(RULES, lost=("edge",)),
        ),
        "due",
        "roll-out",
        NOW,
    ),
    "it was put there again": (
        situation(
            planned(YOUNG, "lifetime", SHARE),
            version=version(1),
            rollout=rollout(2),
            rules=replace(RULES, lost=("edge",)),
        ),
        "serving",
        "supersede",
        NOW,
    ),
    "it could not be put there again": (
        situation(
            planned(YOUNG, "lifetime", SHARE),
            version=version(1),
            rollout=rollout(2, "returned", ended_at=NOW, reason="not-proven"),
            rules=replace(RULES, lost=("edge",)),
        ),
        "failing",
        "roll-out",
        NOW + 5 * MINUTE,
    ),
    "removed, and work is under way": (situation(REMOVED, version=version(2, "prepared")), "issuing", "issue", NOW),
    "removed": (
        situation(replace(REMOVED, retiring=((1, NOW + DAY),)), version=version(1)),
        "removing",
        "retire",
        NOW + DAY,
    ),
    "removed, while a version was under way that nobody knew of": (
        situation(replace(REMOVED, retiring=((1, NOW + DAY),)), version=version(2)),
        "removing",
        "retire",
        NOW,
    ),
    "removed, and everything is retired": (situation(REMOVED, version=version(1, "retired")), "retired", "end", None),
}


@pytest.mark.parametrize("name", CASES)
def test_every_transition(name: str) -> None:
    """Each situation has its state, its next step, and the time of it."""
    known, state, step, at = CASES[name]
    found = judged(known)
    assert (found.state, found.step, found.at) == (state, step, at), found


def test_every_state_and_step_is_in_the_table() -> None:
    """No state and no step is left out above; `rest` and `end` are steps too."""
    assert {state for _, state, _, _ in CASES.values()} == set(ManagedState)
    assert {step for _, _, step, _ in CASES.values()} == set(Step)


times = st.integers(-200 * 86_400, 200 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))
numbers = st.integers(0, 4)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Anything, also what should never be."""
    maybe = lambda strategy: draw(st.none() | strategy)  # noqa: E731
    serves = maybe(st.builds(serving, numbers, days=st.floats(0.01, 400), age=st.floats(0, 500)))
    known = record(
        serving=serves,
        planned_at=maybe(times),
        planned_for=draw(st.sampled_from(("", "first", "lifetime", "advice", "forced", "retry", "hurry"))),
        attempts=draw(st.integers(0, 40)),
        failed=draw(st.sampled_from(("", "the request", "the request of a rollout", "version shop/2"))),
        failed_at=maybe(times),
        failure=draw(st.sampled_from(("", "policy", "unavailable", "anything"))),
        forced_at=maybe(times),
        urgent=draw(st.booleans()),
        removed_at=maybe(times),
        retiring=tuple(draw(st.lists(st.tuples(numbers, times), max_size=2))),
        ask_at=maybe(times),
        advice=maybe(st.builds(lambda at: Advice(start=at - DAY, end=at + DAY, at=at, ask_at=at), times)),
    )
    versions = st.builds(
        lambda number, state, due, attempts, message: replace(
            version(number, state), due_at=due, attempts=attempts, message=message
        ),
        numbers,
        st.sampled_from([str(each) for each in VersionState]),
        st.none() | times,
        st.integers(0, 5),
        st.sampled_from(("", "slow down")),
    )
    rollouts = st.builds(
        lambda number, state, of, due: replace(rollout(number, state, version=of), due_at=due),
        numbers,
        st.sampled_from([str(each) for each in RolloutState]),
        numbers,
        st.none() | times,
    )
    windows = (Window(name="nights", cron="0 1 * * 2", minutes=120),)
    calendar = draw(st.sampled_from((Calendar(), CLOSED, Calendar(windows=windows))))
    return Situation(
        record=known,
        rules=replace(RULES, lost=("edge",) if draw(st.booleans()) else ()),
        version=maybe(versions),
        rollout=maybe(rollouts),
        calendar=calendar,
        advises=draw(st.booleans()),
    )


@given(situations())
def test_there_is_always_a_next_step(known: Situation) -> None:
    """Whatever is known, there is a state, a step and a time; only the end has none."""
    found = judged(known)
    assert found.state in ManagedState
    assert (found.at is None) == (found.step is Step.END) == (found.state is ManagedState.RETIRED)
    assert found.why


@given(situations())
def test_the_same_decision_holds_until_its_time(known: Situation) -> None:
    """Deciding twice counts a failure once, and changes nothing."""
    counted = noted(known, NOW)
    assert noted(replace(known, record=counted), NOW + MINUTE) == counted
    once = decide(replace(known, record=counted), NOW)
    assert decide(replace(known, record=counted), NOW) == once


@given(situations(), st.integers(1, 30))
def test_a_failure_is_never_slept_through(known: Situation, share: int) -> None:
    """The pause after a failure is at most a twentieth of what is left of the lifetime, or the reason's first pause."""
    left = 90 * DAY / share
    counted = replace(known.record, serving=serving(age=0), failed_at=NOW + 90 * DAY - left, urgent=False)
    waited = lifecycle._tried_again(counted, NOW) - (counted.failed_at or NOW)
    assert waited <= max(left / 20, HOUR)


def test_a_failure_is_counted_once_and_its_plan_is_forgotten() -> None:
    """The newest version's failure raises the count; the next look at it does not."""
    known = situation(planned(YOUNG, "lifetime", SHARE), version=FAILED)
    first = noted(known, NOW)
    assert (first.attempts, first.failed, first.failure, first.planned_at) == (
        1,
        "version shop/2",
        "validation-failed",
        None,
    )
    assert noted(replace(known, record=first), NOW + HOUR) is first


def test_what_is_declared_anew_is_tried_at_once() -> None:
    """With the attempts set back, a failed version is followed by a request now."""
    known = situation(
        record(serving=serving(age=70), failed="version shop/2", failed_at=NOW - HOUR, failure="policy"),
        version=version(2, "failed", reason="policy"),
    )
    found = judged(known)
    assert (found.step, found.at, found.first) == (Step.PLAN, NOW, NOW + MINUTE)


def test_who_forces_does_not_wait() -> None:
    """After `renew --force` a failed version is followed by a request now, whatever its reason's pause is."""
    waiting = record(failed="version shop/1", failed_at=NOW - HOUR, failure="policy", attempts=5)
    known = situation(waiting, version=version(1, "failed", reason="policy"))
    assert judged(known).first == NOW - HOUR + 16 * HOUR
    forced = replace(waiting, forced_at=NOW - MINUTE, overruled=5, urgent=True)
    assert judged(replace(known, record=forced)).first == NOW
    asked = replace(waiting, forced_at=NOW - MINUTE)
    assert judged(replace(known, record=asked)).first == NOW - HOUR + 16 * HOUR


@pytest.mark.parametrize("forced_at", [NOW - 2 * HOUR, NOW - HOUR, NOW + 5 * MINUTE])
def test_what_fails_after_it_was_forced_waits(forced_at: datetime) -> None:
    """Who forces it ends the pause after the failures so far, and not the one after the next, whatever their clock
    says: else it would be tried again and again without a pause until then."""
    failed = {"failed": "version shop/1", "failed_at": NOW - HOUR, "failure": "policy", "urgent": True}
    again = record(**failed, forced_at=forced_at, attempts=6, overruled=5)
    known = situation(again, version=version(1, "failed", reason="policy"))
    assert judged(known).first == NOW - HOUR + 32 * HOUR
    first = record(**failed, forced_at=forced_at, attempts=5, overruled=5)
    assert judged(replace(known, record=first)).first == NOW


def test_what_serves_is_put_there_again_after_a_pause_beside_a_failed_version() -> None:
    """While a newer version has failed, a rollout of what serves that was refused is not repeated without a pause."""
    failed = record(serving=serving(age=30), failed="version shop/2", failed_at=NOW, failure="policy", attempts=1)
    known = planned(failed, "retry", NOW + HOUR)
    refused = rollout(2, "refused", reason="not-fit", ended_at=NOW, targets=targets_digest(known.declared.targets))
    beside = situation(known, version=version(2, "failed", reason="policy"), rules=replace(RULES, lost=("edge",)))
    first, again = judged(beside), judged(replace(beside, rollout=refused))
    assert (first.step, first.at) == (Step.ROLL_OUT, NOW)
    assert again.at is not None
    assert again.at > NOW + MINUTE
    elsewhere = judged(replace(beside, rollout=replace(refused, targets="others")))
    assert (elsewhere.step, elsewhere.at) == (Step.ROLL_OUT, NOW)


def test_a_request_is_planned_ahead_of_its_time() -> None:
    """A renewal for its lifetime is planned within a twentieth of the lifetime before two thirds have passed; one that
    holds now is planned now."""
    ahead = judged(situation(YOUNG, version=version(1)))
    assert (ahead.purpose, ahead.first, ahead.last) == ("lifetime", SHARE - 4.5 * DAY, SHARE)
    now = judged(situation(OLD, version=version(1)))
    assert (now.first, now.last) == (NOW + MINUTE, NOW + MINUTE)  # in the next tick's slot


def test_advice_is_followed_in_its_window() -> None:
    """The time that was drawn in the CA's window is planned, and a changed time is planned anew."""
    found = judged(situation(replace(YOUNG, advice=ADVICE), version=version(1)))
    assert (found.step, found.purpose, found.last) == (Step.PLAN, renewal.ADVICE, ADVICE.at)


@pytest.mark.parametrize(
    ("attempts", "left", "first", "last"),
    [
        (1, 20 * DAY, MINUTE, 4 * MINUTE),
        (3, 20 * DAY, 8 * MINUTE, 64 * MINUTE),
        (9, 20 * DAY, DAY / 2, 4 * DAY),
        (9, 2 * DAY, 2 * DAY / 40, 2 * DAY / 5),
        (9, -DAY, MINUTE, MINUTE),
    ],
)
def test_an_issuer_is_asked_again_within_a_fifth(
    attempts: int, left: timedelta, first: timedelta, last: timedelta
) -> None:
    """Soon after the first failure, then ever later; what has much left leaves the nearest eighth to what has less."""
    waited = replace(version(2, "prepared"), due_at=NOW, attempts=attempts, message="down", reason="unavailable")
    found = judged(situation(record(serving=serving(days=90, age=90 - left / DAY)), version=waited))
    assert (found.step, found.purpose) == (Step.PLAN, f"again {attempts} unavailable")
    assert found.first is not None and found.last is not None
    assert (found.first - NOW, found.last - NOW) == (first, last)
