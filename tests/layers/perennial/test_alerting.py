"""The ladder: who is told at which time of a lifetime, how often, and when it ends."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from managed_records import DAY, DECLARED, HOUR, MINUTE, NOW, record
from perennial import alerting, renewal
from perennial.inventory.records import Advice, ManagedRecord, ManagedState, Serving, Told
from perennial.lifecycle import Decision, Step
from perennial.managed_certificate import targets_digest

LIFETIMES = {"6 min": 6 * MINUTE, "6 days": 6 * DAY, "47 days": 47 * DAY, "90 days": 90 * DAY, "398 days": 398 * DAY}
DOCUMENT = Path(__file__).resolve().parents[3] / "docs/alerts.md"
Fails = Any


def serving(lifetime: timedelta, *, share: float = 0) -> Serving:
    """A certificate of which a share of the lifetime has passed at NOW."""
    begin = NOW - lifetime * share
    return Serving(
        number=1,
        fingerprint="1" * 64,
        issuer="public",
        key="EC-256",
        signature="ecdsa-with-SHA256",
        not_before=begin,
        not_after=begin + lifetime,
        request=DECLARED.request,
        targets=targets_digest(DECLARED.targets),
        since=begin,
    )


def of(lifetime: timedelta, **more: Any) -> ManagedRecord:
    return record(**{"serving": serving(lifetime), **more})


def failing(lifetime: timedelta, reason: str = "policy", attempts: int = 1, **more: Any) -> ManagedRecord:
    return of(lifetime, attempts=attempts, failure=reason, failed="version shop/2", failure_message="it is so", **more)


def decided(state: str, at: datetime | None = None, step: Step = Step.REQUEST, reason: str = "") -> Decision:
    return Decision(state=ManagedState(state), step=step, at=at, reason=reason, why="because")


def at(known: ManagedRecord, left: float) -> datetime:
    """The moment at which a share of the lifetime is left."""
    assert known.serving
    return known.serving.not_after - renewal.lifetime(known.serving) * left


# --- levels ---

FAILING = decided("failing", NOW)
LADDER = [
    (0.9, 1),
    (0.5, 1),
    (0.17, 1),
    (0.166, 2),
    (0.11, 2),
    (0.0999, 3),
    (0.021, 3),
    (0.0199, 4),
    (0.001, 4),
    (-1, 4),
]


@pytest.mark.parametrize("lifetime", LIFETIMES.values(), ids=LIFETIMES.keys())
@pytest.mark.parametrize(("left", "level"), LADDER)
def test_the_ladder_of_a_renewal_that_needs_a_person(lifetime: timedelta, left: float, level: int) -> None:
    """The owner at once, the team with 1/6 left, business and on-call with 1/10, all with 1/50: of any lifetime."""
    known = failing(lifetime)
    assert alerting.level(known, FAILING, at(known, left)) == level


@pytest.mark.parametrize("lifetime", LIFETIMES.values(), ids=LIFETIMES.keys())
@pytest.mark.parametrize(("attempts", "level"), [(1, 0), (2, 0), (3, 1)])
@pytest.mark.parametrize("reason", sorted(alerting.PASSES))
def test_what_passes_by_itself(lifetime: timedelta, attempts: int, level: int, reason: str) -> None:
    """Nobody is told of it before the third attempt, unless the renewal is late by 1/20 of the lifetime."""
    known = failing(lifetime, reason, attempts)
    share = renewal.share_at(known.serving)  # type: ignore[arg-type]
    late = share + lifetime / alerting.LATE
    assert alerting.level(known, FAILING, late - timedelta(seconds=1)) == level
    assert alerting.level(known, FAILING, late) == 1
    assert alerting.level(known, FAILING, at(known, 0.166)) == 2


@pytest.mark.parametrize("lifetime", LIFETIMES.values(), ids=LIFETIMES.keys())
def test_what_waits_within_its_version(lifetime: timedelta) -> None:
    """A version that waits for its issuer is no failed attempt yet: it is told when it is late."""
    known, waits = of(lifetime), decided("failing", NOW, Step.REST, "rate-limited")
    late = renewal.share_at(known.serving) + lifetime / alerting.LATE  # type: ignore[arg-type]
    assert alerting.level(known, waits, late - timedelta(seconds=1)) == 0
    assert alerting.level(known, waits, late) == 1


@pytest.mark.parametrize("lifetime", LIFETIMES.values(), ids=LIFETIMES.keys())
@pytest.mark.parametrize("left", [0.9, 0.3, 0.16, 0.09, 0.03])
def test_whose_renewal_has_its_time_ahead(lifetime: timedelta, left: float) -> None:
    """A certificate that serves, and whose renewal has its time ahead, is not on the ladder."""
    known = of(lifetime)
    now = at(known, left)
    assert alerting.level(known, decided("serving", now + timedelta(seconds=1)), now) == 0


@pytest.mark.parametrize(("left", "level"), [(0.3, 0), (0.2, 0), (0.16, 1), (0.09, 1), (0.03, 1), (0.019, 4)])
def test_what_waits_for_its_window(left: float, level: int) -> None:
    """Who waits for a window is told alone, with 1/6 left; an emergency is one, whatever the window says."""
    known = of(90 * DAY)
    now = at(known, left)
    assert alerting.level(known, decided("due", now + HOUR), now) == level


@pytest.mark.parametrize(
    ("lifetime", "late"),
    [(6 * MINUTE, 3 * MINUTE + 90 * timedelta(seconds=1)), (2 * HOUR, HOUR + 10 * MINUTE), (90 * DAY, 64.5 * DAY)],
)
def test_work_that_lasts(lifetime: timedelta, late: timedelta) -> None:
    """What is under way is late after 1/20, but is given ten minutes, and of a short lifetime a quarter."""
    known, works = of(lifetime), decided("issuing", NOW, Step.ISSUE)
    assert alerting.level(known, works, NOW + late - timedelta(seconds=1)) == 0
    assert alerting.level(known, works, NOW + late) == 1


def test_late_is_counted_from_what_was_planned() -> None:
    """What was planned for a later window is late after that; what was adopted late, after its adoption."""
    known, works = of(90 * DAY), decided("issuing", NOW, Step.ISSUE)
    now = at(known, 0.2)
    assert alerting.level(known, works, now) == 1
    assert alerting.level(replace(known, planned_at=now - HOUR), works, now) == 0
    adopted = replace(known, serving=replace(known.serving, number=0, since=now - HOUR))  # type: ignore[type-var]
    assert alerting.level(adopted, works, now) == 0


def test_planned_retries_postpone_nothing() -> None:
    """An issuer that does not answer is asked again at later and later times: the renewal is late nevertheless."""
    waits, now = decided("failing", NOW + 80 * DAY, Step.REST, "unavailable"), NOW + 65 * DAY
    known = of(90 * DAY, planned_at=now + DAY, planned_for="again 7")
    assert alerting.level(known, waits, now) == 1
    assert alerting.level(known, waits, NOW + 76 * DAY) == 2


def test_the_time_of_the_advice_counts() -> None:
    """Where the CA says when to renew, it is late after that time, and not after the share."""
    known, now = of(90 * DAY), NOW + 40 * DAY
    advice = Advice(start=NOW + 30 * DAY, end=NOW + 31 * DAY, at=NOW + 30 * DAY, ask_at=NOW + 90 * DAY)
    works = decided("issuing", NOW, Step.ISSUE)
    assert alerting.level(known, works, now) == 0
    assert alerting.level(replace(known, advice=advice), works, now) == 1


@pytest.mark.parametrize(
    ("age", "attempts", "reason", "level"),
    [
        (MINUTE, 0, "", 0),
        (MINUTE, 1, "unavailable", 0),
        (MINUTE, 3, "unavailable", 1),
        (MINUTE, 1, "validation-failed", 1),
        (DAY, 1, "validation-failed", 2),
        (DAY, 1, "unavailable", 2),
        (DAY, 0, "", 2),
        (3 * DAY, 1, "validation-failed", 3),
        (300 * DAY, 0, "", 3),
    ],
)
def test_of_which_nothing_serves_yet(age: timedelta, attempts: int, reason: str, level: int) -> None:
    """The first failure that needs a person is the owner's; then its age since the declaration counts."""
    known = record(declared_at=NOW - age, attempts=attempts, failure=reason)
    state = "failing" if attempts else "issuing"
    assert alerting.level(known, decided(state, NOW), NOW) == level


@pytest.mark.parametrize("state", ["removing", "retired"])
def test_what_is_removed_leaves(state: str) -> None:
    """What is no longer declared is nobody's trouble, also where it has expired."""
    known = failing(6 * DAY, told=Told(level=4, at=NOW))
    assert alerting.level(known, decided(state, NOW), at(known, -1)) == 0
    assert alerting.level(replace(known, removed_at=NOW), decided("failing", NOW), at(known, -1)) == 0


def test_renewed_it_leaves() -> None:
    """A new version that serves ends the trouble; so does a declaration by which nothing is to be renewed any more."""
    told = Told(level=3, at=NOW)
    renewed = replace(of(90 * DAY, told=told), serving=replace(serving(90 * DAY), since=NOW + MINUTE))
    for state in ("serving", "due", "issuing"):
        assert alerting.level(renewed, decided(state, NOW + DAY), NOW + 2 * MINUTE) == 0
    assert alerting.level(of(90 * DAY, told=told), decided("serving", NOW + DAY), NOW + MINUTE) == 0


@pytest.mark.parametrize("state", ["due", "issuing", "deploying", "failing"])
def test_trying_again_is_no_end(state: str) -> None:
    """While a failed renewal is tried again the level stays, also after someone declared something else."""
    told = Told(level=2, at=NOW)
    for attempts in (0, 1):
        known = failing(90 * DAY, attempts=attempts, told=told)
        assert alerting.level(known, decided(state, NOW + 2 * MINUTE), NOW + MINUTE) == 2


def test_another_step_that_is_next_is_no_end() -> None:
    """While a renewal fails, a question to the CA that comes first does not end the trouble."""
    known = failing(90 * DAY, told=Told(level=1, at=NOW))
    assert alerting.level(known, decided("serving", NOW + HOUR, Step.ASK), NOW + MINUTE) == 1


# --- repeating ---


@pytest.mark.parametrize(
    ("lifetime", "span", "emergency"),
    [
        (6 * MINUTE, MINUTE, MINUTE),
        (DAY, 48 * MINUTE, 48 * MINUTE),
        (6 * DAY, 4.8 * HOUR, HOUR),
        (47 * DAY, 37.6 * HOUR, HOUR),
        (90 * DAY, 3 * DAY, HOUR),
        (398 * DAY, 3 * DAY, HOUR),
    ],
)
def test_how_often_it_is_repeated(lifetime: timedelta, span: timedelta, emergency: timedelta) -> None:
    """Once in 1/30 of the lifetime, from a minute to three days; an emergency at least each hour."""
    known = failing(lifetime, told=Told(level=1, at=NOW))
    assert (alerting.span(known, 1), alerting.span(known, 4)) == (span, emergency)
    assert not alerting.must_tell(known, 1, NOW + span - timedelta(seconds=1))
    assert alerting.must_tell(known, 1, NOW + span)


@pytest.mark.parametrize(
    ("told", "level", "after", "tells"),
    [
        (None, 0, MINUTE, False),
        (None, 1, MINUTE, True),
        (Told(level=1, at=NOW), 1, MINUTE, False),
        (Told(level=1, at=NOW), 2, MINUTE, True),
        (Told(level=1, at=NOW), 1, 3 * DAY, True),
        (Told(level=1, at=NOW, acknowledged_by="anna"), 1, 30 * DAY, False),
        (Told(level=1, at=NOW, acknowledged_by="anna"), 2, MINUTE, True),
        (Told(level=3, at=NOW, acknowledged_by="anna"), 4, MINUTE, True),
        (Told(level=4, at=NOW, acknowledged_by="anna"), 4, DAY, False),
        (Told(level=4, at=NOW), 4, HOUR, True),
    ],
)
def test_when_it_is_told(told: Told | None, level: int, after: timedelta, tells: bool) -> None:
    """A new level at once, the same one after its span; acknowledging ends the repetition, and nothing else."""
    assert alerting.must_tell(failing(90 * DAY, told=told), level, NOW + after) is tells


def test_retries_are_not_repetitions() -> None:
    """Further attempts that fail for the same or another reason tell nobody anything new."""
    told = Told(level=1, at=NOW)
    for attempts, reason in ((2, "policy"), (7, "unavailable"), (40, "validation-failed")):
        known = failing(90 * DAY, reason, attempts, told=told)
        level = alerting.level(known, FAILING, NOW + DAY)
        assert (level, alerting.must_tell(known, level, NOW + DAY)) == (1, False)


# --- the next moment ---


def test_the_moments_of_a_renewal_that_fails() -> None:
    """An acknowledged failure is looked at again exactly when it becomes worse, and then no more."""
    known, moments = failing(60 * DAY, told=Told(level=1, at=NOW, acknowledged_by="anna")), []
    now: datetime | None = NOW
    while now := alerting.next_at(known, FAILING, now):
        level = alerting.level(known, FAILING, now)
        moments.append((level, now))
        known = replace(known, told=Told(level=level, at=now, acknowledged_by="anna"))
    assert moments == [(2, NOW + 50 * DAY), (3, NOW + 54 * DAY), (4, NOW + 58.8 * DAY)]


def test_what_could_not_be_told_is_tried_again_soon() -> None:
    """After five minutes, or sooner where the lifetime is short: not at once, as the channel has just failed."""
    assert alerting.next_at(failing(90 * DAY), FAILING, NOW) == NOW + 5 * MINUTE
    assert alerting.next_at(failing(6 * MINUTE), FAILING, NOW) == NOW + MINUTE
    left = of(90 * DAY, told=Told(level=1, at=NOW))
    assert alerting.next_at(left, decided("serving", NOW + DAY), NOW + HOUR) == NOW + HOUR + 5 * MINUTE


STATES = st.sampled_from(["requested", "issuing", "deploying", "serving", "due", "failing", "expired"])
REASONS = st.sampled_from(["", "policy", "unavailable", "rate-limited", "validation-failed"])
SPANS = st.floats(-0.2, 1.3)


@st.composite
def situations(draw: st.DrawFn) -> tuple[ManagedRecord, Decision, datetime]:
    """A record, a decision and a moment, whatever they may be."""
    lifetime = draw(st.sampled_from(list(LIFETIMES.values())))
    now = NOW + lifetime * draw(SPANS)
    told = draw(
        st.none() | st.builds(Told, level=st.integers(1, 4), at=st.just(now - lifetime * draw(st.floats(0, 1))))
    )
    if told and draw(st.booleans()):
        told = replace(told, acknowledged_by="anna")
    known = record(
        serving=draw(st.sampled_from([None, serving(lifetime)])),
        declared_at=NOW,
        attempts=draw(st.integers(0, 5)),
        failure=draw(REASONS),
        told=told,
        planned_at=draw(st.none() | st.just(now + lifetime * draw(st.floats(-0.3, 0.3)))),
    )
    ahead = draw(st.none() | st.just(now + lifetime * draw(st.floats(-0.1, 0.5))))
    return known, decided(draw(STATES), ahead, reason=draw(REASONS)), now


@given(situations())
def test_the_next_moment_always_leads_to_a_change(found: tuple[ManagedRecord, Decision, datetime]) -> None:
    """It is ahead, there is something to tell then, and nothing before: at no moment in between."""
    known, decision, now = found
    moment = alerting.next_at(known, decision, now)
    until = moment or now + 1_000 * DAY
    assert until > now
    if moment:
        assert _untold(known, decision, moment)
    if not _untold(known, decision, now):
        between = [now + (until - now) * part / 50 for part in range(50)]
        assert not any(_untold(known, decision, each) for each in between)


def _untold(known: ManagedRecord, decision: Decision, now: datetime) -> bool:
    level = alerting.level(known, decision, now)
    return alerting.must_tell(known, level, now) if level else known.told is not None


@given(situations(), st.lists(st.tuples(STATES, REASONS, st.integers(1, 5), st.floats(0, 0.2)), max_size=12))
def test_a_level_never_falls_while_the_trouble_lasts(
    found: tuple[ManagedRecord, Decision, datetime], steps: list[tuple[str, str, int, float]]
) -> None:
    """Whatever state, reason and number of attempts come and go: without something new that serves, it only rises."""
    known, _, now = found
    known = replace(known, attempts=max(known.attempts, 1), told=None)
    before = 0
    for state, reason, attempts, later in steps:
        now += 47 * DAY * later
        known = replace(known, attempts=attempts, failure=reason)
        level = alerting.level(known, decided(state, now + DAY), now)
        assert level >= before
        if alerting.must_tell(known, level, now):
            known, before = replace(known, told=Told(level=level, at=now)), level


@given(situations())
def test_acknowledging_never_hides_an_escalation(found: tuple[ManagedRecord, Decision, datetime]) -> None:
    """Whoever acknowledged what: the level is the same, and a higher one is told at the same moment."""
    known, decision, now = found
    assume(known.told is not None)
    assert known.told
    answered = replace(known, told=replace(known.told, acknowledged_by="anna"))
    level = alerting.level(known, decision, now)
    assert alerting.level(answered, decision, now) == level
    if level > known.told.level:
        assert alerting.must_tell(answered, level, now)
    elif level:
        assert not alerting.must_tell(answered, level, now)


# --- the page ---


def test_the_table_of_the_page() -> None:
    """docs/alerts.md says when each lifetime reaches each level, and how often it is repeated: as it is decided."""
    rows = re.findall(r"^\| (\d+ (?:min|days)) \| (.+) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert dict(rows) == {name: " | ".join(_cells(lifetime)) for name, lifetime in LIFETIMES.items()}


def _cells(lifetime: timedelta) -> list[str]:
    known = failing(lifetime, attempts=3)
    assert known.serving
    end = known.serving.not_after
    late = renewal.share_at(known.serving) + lifetime / alerting.LATE
    steps = [*alerting._steps(known).values(), renewal.emergency_at(known.serving)]
    spans = [alerting.span(known, 1), alerting.span(known, 4)]
    return [
        _length(each) for each in (end - renewal.share_at(known.serving), *(end - x for x in (late, *steps)), *spans)
    ]


def _length(time: timedelta) -> str:
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if time >= unit:
            return f"{time / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{time.total_seconds():.0f} s"
