"""Maintenance windows: when they are open, on days when the clock changes too, and whether they open in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from perennial import window_openings
from perennial.errors import InvalidConfiguration, InvalidInput
from perennial.window_openings import Openings, cron_fault, zone_fault
from perennial.windows import (
    Blackout,
    Calendar,
    Window,
    faults,
    longest_gap,
    next_open,
    open_at,
    problems,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NIGHTS = Window(name="nights", cron="0 1 * * 2-4", minutes=180, time_zone="Europe/Berlin")
SUNDAYS = Window(name="sundays", cron="0 3 * * SUN", minutes=60)
YEARLY = Window(name="yearly", cron="0 0 1 3 *", minutes=600)
ALWAYS = Window(name="always", cron="0 0 * * *", minutes=1_440)
START = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str, zone: str = "UTC") -> datetime:
    """A moment, such as `2026-03-29 02:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def blackout(start: datetime, end: datetime) -> Blackout:
    return Blackout(name="freeze", start=start, end=end)


def only(*windows: Window) -> Calendar:
    return Calendar(windows=windows)


def test_without_windows_it_is_always_open() -> None:
    """An empty calendar never closes, and nothing is wrong with it."""
    assert open_at(Calendar(), START)
    assert next_open(Calendar(), START, START + MINUTE) == START
    assert longest_gap(Calendar(), START) == timedelta(0)
    assert problems(Calendar(), first=START, last=START + timedelta(seconds=1)) == []


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-06-09 00:59", False),  # a Tuesday
        ("2026-06-09 01:00", True),
        ("2026-06-09 03:59:59.999999", True),
        ("2026-06-09 04:00", False),
        ("2026-06-12 01:30", False),  # a Friday
    ],
)
def test_a_window_is_open_from_its_time_on(moment: str, is_open: bool) -> None:
    """The first moment belongs to it, the one after its last minute does not; the zone's clock counts."""
    asked = at(moment, "Europe/Berlin")
    assert open_at(only(NIGHTS), asked) is is_open
    assert (next_open(only(NIGHTS), asked, asked + 9 * DAY) == asked) is is_open


def test_the_next_opening() -> None:
    """It is the first of any window, and none where that is not before `until`."""
    friday = at("2026-06-12 12:00", "Europe/Berlin")
    tuesday = at("2026-06-16 01:00", "Europe/Berlin")
    assert next_open(only(NIGHTS), friday, friday + 9 * DAY) == tuesday
    assert next_open(only(NIGHTS), friday, tuesday) is None
    assert next_open(only(NIGHTS), friday, tuesday + timedelta(microseconds=1)) == tuesday
    assert next_open(only(NIGHTS, SUNDAYS), friday, friday + 9 * DAY) == at("2026-06-14 03:00")
    assert next_open(only(NIGHTS), tuesday, tuesday) is None


def test_blackouts_close_every_window() -> None:
    """From its start until right before its end nothing is open; what is left of a window then is."""
    night = at("2026-06-09 01:00", "Europe/Berlin")
    dark = (blackout(night - HOUR, night + HOUR), blackout(night + HOUR, night + 2 * HOUR))
    calendar = Calendar(windows=(NIGHTS,), blackouts=dark)
    assert not open_at(calendar, night)
    assert next_open(calendar, night, night + DAY) == night + 2 * HOUR
    through = Calendar(windows=(NIGHTS,), blackouts=(*dark, blackout(night + 2 * HOUR, night + 24 * HOUR)))
    assert next_open(through, night, night + DAY) is None
    assert next_open(through, night, night + 2 * DAY) == night + DAY
    assert next_open(Calendar(blackouts=dark), night, night + DAY) == night + 2 * HOUR


@pytest.mark.parametrize(
    ("zone", "cron", "near", "openings"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),  # skipped
        ("Europe/Berlin", "30 2 * * *", "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),  # repeated
        ("Europe/Berlin", "0,45 2 * * *", "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:00"]),  # both at once
        ("Europe/Berlin", "*/30 * 25 10 *", "2026-10-25 00:50", ["2026-10-25 02:00", "2026-10-25 02:30"]),  # once only
        ("Australia/Lord_Howe", "10 2 * * *", "2026-10-03 00:00", ["2026-10-03 15:30", "2026-10-04 15:10"]),  # half an
        ("Australia/Lord_Howe", "*/20 2 * * *", "2026-04-04 15:00", ["2026-04-04 15:30", "2026-04-04 15:50"]),  # hour
        ("Africa/Cairo", "*/30 0 * * *", "2026-04-23 12:00", ["2026-04-23 22:00", "2026-04-24 21:00"]),  # no midnight
        ("Pacific/Apia", "0 12 * * *", "2011-12-30 00:00", ["2011-12-30 10:00", "2011-12-30 22:00"]),  # no 30 December
        ("UTC", "0 1 * * 2#2", "2026-06-01 00:00", ["2026-06-09 01:00", "2026-07-14 01:00"]),
        ("UTC", "0 1 L * *", "2026-01-31 02:00", ["2026-02-28 01:00", "2026-03-31 01:00"]),
        ("UTC", "0 1 13 * FRI", "2026-06-01 00:00", ["2026-06-05 01:00", "2026-06-12 01:00"]),  # either is enough
    ],
)
def test_openings_where_the_clock_changes(zone: str, cron: str, near: str, openings: list[str]) -> None:
    """An opening is the first moment at which the clock shows its time or a later one. (Moments here are in UTC.)"""
    window = Window(name="x", cron=cron, minutes=15, time_zone=zone)
    moment, found = at(near), []
    for _ in openings:
        opened = next_open(only(window), moment, moment + 90 * DAY)
        assert opened is not None
        found.append(opened.strftime("%Y-%m-%d %H:%M"))
        moment = opened + 15 * MINUTE
    assert found == openings


# --- against a model that goes through every minute ---

PLACES = {  # weeks in which the clock of the zone changes
    "UTC": datetime(2026, 3, 20, tzinfo=UTC),
    "Europe/Berlin": datetime(2026, 3, 20, tzinfo=UTC),
    "America/New_York": datetime(2026, 10, 24, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 3, 27, tzinfo=UTC),
    "Africa/Cairo": datetime(2026, 4, 16, tzinfo=UTC),
}
MINUTES = 21 * 24 * 60


@cache
def _clock(zone: str) -> tuple[datetime, ...]:
    """What the clock of a zone shows at each minute of its weeks."""
    start, place = PLACES[zone], ZoneInfo(zone)
    return tuple((start + number * MINUTE).astimezone(place).replace(tzinfo=None) for number in range(MINUTES))


def _fires(zone: str, minutes: set[int], hours: set[int], days: set[int]) -> Iterator[int]:
    """The numbers of the minutes at which the clock first shows a time that fits, or a later one."""
    peak = _clock(zone)[0] - MINUTE
    for number, shown in enumerate(_clock(zone)):
        while peak < shown:
            peak += MINUTE
            if peak.minute in minutes and peak.hour in hours and peak.isoweekday() in days:
                yield number


def _text(numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


_FIELDS = st.tuples(
    st.sets(st.integers(0, 59), min_size=1, max_size=4),
    st.sets(st.integers(0, 23), min_size=1, max_size=24),
    st.sets(st.integers(1, 7), min_size=1),
    st.sampled_from([15, 16, 59, 60, 61, 90, 240, 1_440, 3_000]),
)
_DARK = st.lists(st.tuples(st.integers(0, MINUTES), st.integers(1, 2_000)), max_size=3)


@example_settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(sorted(PLACES)),
    fields=st.lists(_FIELDS, min_size=1, max_size=2),
    dark=_DARK,
    asked=st.lists(st.integers(4_000, MINUTES - 1), min_size=1, max_size=30),
)
def test_it_is_open_when_every_minute_says_so(
    zone: str, fields: list[tuple[set[int], set[int], set[int], int]], dark: list[tuple[int, int]], asked: list[int]
) -> None:
    """Open moments, the next opening and the longest gap are those of a model that goes through every minute of weeks
    in which the clock changes; half a minute later nothing is different."""
    is_open = bytearray(MINUTES)
    windows = []
    for minutes, hours, days, length in fields:
        cron = f"{_text(minutes)} {_text(hours)} * * {_text(days)}"
        windows.append(Window(name="w", cron=cron, minutes=length, time_zone=zone))
        for number in _fires(zone, minutes, hours, days):
            is_open[number : number + length] = b"\1" * len(is_open[number : number + length])
    for begun, length in dark:
        is_open[begun : begun + length] = b"\0" * len(is_open[begun : begun + length])
    start = PLACES[zone]
    blackouts = tuple(blackout(start + begun * MINUTE, start + (begun + length) * MINUTE) for begun, length in dark)
    calendar = Calendar(windows=tuple(windows), blackouts=blackouts)

    edges = [number for number in range(4_000, MINUTES) if is_open[number] != is_open[number - 1]]
    for number in {*asked, *edges[:20], *(edge - 1 for edge in edges[:20])}:
        moment = start + number * MINUTE
        expected = is_open.find(1, number)
        until = start + MINUTES * MINUTE
        assert next_open(calendar, moment, until) == (start + expected * MINUTE if expected >= 0 else None)
        assert open_at(calendar, moment + MINUTE / 2) == bool(is_open[number])

    closed, begin, end = [0], 6_000, 6_000 + 8 * 24 * 60
    while begin < end:
        ending = is_open.find(1, begin)
        assume(ending >= 0)  # else the model does not see the end of the gap
        closed.append(ending - begin)
        begin = is_open.find(0, ending)
        if begin < 0:
            break
    found = longest_gap(calendar, start + 6_000 * MINUTE, 8)
    least = timedelta(days=8) / 2_000
    longest = max(closed) * MINUTE
    assert found == longest if longest > least else found <= longest


@example_settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 600)), min_size=2, max_size=20))
@example([(True, 60), (True, 90), (True, 75), (False, 90), (False, 30), (False, 89)])
def test_what_was_asked_before_changes_no_answer(asked: list[tuple[bool, int]]) -> None:
    """What is remembered of earlier questions gives the answer that it would give without."""

    def fresh() -> Openings:
        return Openings("*/20 0-4 * * *", "Europe/Berlin", 15 * MINUTE)

    used, night = fresh(), datetime(2026, 10, 24, 21, tzinfo=UTC)  # 03:00 comes twice
    for forwards, number in asked:
        moment = night + number * MINUTE
        if forwards:
            assert used.open_from(moment) == fresh().open_from(moment)
        else:
            assert used.open_until(moment) == fresh().open_until(moment)


# --- what is refused when it is declared ---


@pytest.mark.parametrize(
    ("windows", "left", "told"),
    [
        ((NIGHTS,), 15, ""),  # a third of 47 days
        ((NIGHTS,), 3, "the windows (nights) are closed from 2026-10-22 02:00 to 2026-10-27 00:00 UTC (4.9 days)"),
        ((SUNDAYS,), 3, "and between renewal time and expiry there are 3 days"),  # a half of 6 days
        ((SUNDAYS,), 15, ""),
        ((YEARLY,), 15, "the windows (yearly) are closed from 2026-03-01 10:00 to 2027-03-01 00:00 UTC"),
        ((YEARLY,), 132, "there are 132 days"),
        ((NIGHTS, YEARLY), 15, ""),
        ((ALWAYS,), 1, ""),
        ((replace(NIGHTS, cron="0 0 29 2 *"),), 132, "are closed from 2026-01-01 00:00 to 2028-02-28 23:00 UTC"),
        ((replace(SUNDAYS, minutes=10_080),), 3, ""),
    ],
)
def test_a_window_must_open_between_renewal_time_and_expiry(windows: tuple[Window, ...], left: int, told: str) -> None:
    """It must whatever day a certificate is issued on: a weekly window fits one of 47 days, and not one of 6."""
    found = problems(only(*windows), first=START, last=START + left * DAY)
    assert len(found) == (1 if told else 0)
    assert told in "".join(found)


def test_a_rare_opening_that_happens_to_fit_is_not_enough() -> None:
    """The yearly window opens between these two; next year's certificates would miss it."""
    first = at("2026-02-20 00:00")
    assert next_open(only(YEARLY), first, first + 17 * DAY)
    assert problems(only(YEARLY), first=first, last=first + 17 * DAY)


def test_blackouts_count_too() -> None:
    """A blackout that is longer than what is left is told as such, and so is one that never ends in sight."""
    dark = blackout(at("2026-12-20 00:00"), at("2027-01-06 00:00"))
    (told,) = problems(Calendar(blackouts=(dark,)), first=START, last=START + 3 * DAY)
    assert told.startswith("with the blackouts it is closed from 2026-12-20 00:00 to 2027-01-06 00:00 UTC (17 days)")
    assert problems(Calendar(blackouts=(dark,)), first=START, last=START + 18 * DAY) == []
    (told,) = problems(Calendar(windows=(SUNDAYS,), blackouts=(dark,)), first=START, last=START + 18 * DAY)
    assert "from 2026-12-13 04:00 to 2027-01-10 03:00 UTC" in told
    past = blackout(at("2025-01-01 00:00"), at("2026-01-01 00:00"))
    assert problems(Calendar(blackouts=(past,)), first=START, last=START + HOUR) == []


@pytest.mark.parametrize(
    ("left", "minutes", "refused"),
    [(HOUR, 30, False), (30 * MINUTE, 30, True), (31 * MINUTE, 30, False), (10 * MINUTE, 40, True), (MINUTE, 59, True)],
)
def test_short_times_are_looked_at_closely(left: timedelta, minutes: int, refused: bool) -> None:
    """Closed times of minutes matter to certificates that live minutes; one as long as what is left is too long."""
    hourly = Window(name="hourly", cron="0 * * * *", minutes=minutes)
    assert bool(problems(only(hourly), first=START, last=START + left)) is refused


def test_nothing_left_is_a_problem() -> None:
    """A renewal time at the end leaves no time for any window."""
    (told,) = problems(Calendar(), first=START, last=START)
    assert "renew it earlier" in told


def test_the_longest_gap() -> None:
    """From Thursday's end to Tuesday's start, an hour less where the clock jumps; from `start` where it is closed then;
    to an opening beyond the horizon."""
    assert longest_gap(only(NIGHTS), START, 30) == timedelta(days=4, hours=21)
    assert longest_gap(only(NIGHTS), at("2026-03-24 00:00"), 7) == timedelta(days=4, hours=20)
    assert longest_gap(only(NIGHTS), at("2026-03-27 12:00"), 1) == timedelta(days=3, hours=11)
    assert longest_gap(only(YEARLY), START) == timedelta(days=365) - timedelta(hours=10)
    assert longest_gap(only(replace(YEARLY, cron="0 0 29 2 *")), START) == at("2028-02-29 00:00") - START
    assert longest_gap(only(ALWAYS, NIGHTS), START) == timedelta(0)


def test_gaps_at_the_edges_of_blackouts() -> None:
    """Blackouts that touch are one gap, though the first is shorter than the step of the search; a window that opens as
    a blackout begins was never open."""
    noon = START + 12 * HOUR
    touching = (blackout(noon, noon + HOUR), blackout(noon + HOUR, noon + 10 * DAY))
    assert longest_gap(Calendar(blackouts=touching), START) == 10 * DAY
    sunday = at("2026-01-11 03:00")
    over = Calendar(windows=(SUNDAYS,), blackouts=(blackout(sunday, sunday + HOUR),))
    assert longest_gap(over, START) == 14 * DAY - HOUR
    until = Calendar(windows=(SUNDAYS,), blackouts=(blackout(sunday - HOUR, sunday + 10 * MINUTE),))
    assert longest_gap(until, START, 14) == 7 * DAY - 50 * MINUTE


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-10-25 00:50", "2026-10-24 01:05"),  # as it opens, it was open yesterday
        ("2026-10-25 00:51", "2026-10-25 00:51"),
        ("2026-10-25 01:20", "2026-10-25 01:05"),  # the clock shows 02:20 again, and opened at 02:50
        ("2026-10-25 02:20", "2026-10-25 01:05"),
        ("2026-03-29 00:59", "2026-03-28 02:05"),  # the clock shows 01:59
        ("2026-03-29 01:00", "2026-03-28 02:05"),  # it jumps
        ("2026-03-29 01:20", "2026-03-29 01:15"),  # it jumped to 03:00, and 02:50 came with it
    ],
)
def test_when_it_was_open_last(moment: str, until: str) -> None:
    """A search backwards has the same openings, those before a repeated hour too."""
    assert Openings("50 2 * * *", "Europe/Berlin", 15 * MINUTE).open_until(at(moment)) == at(until)


def test_a_window_that_never_opens_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the search gives up, the gap is endless, no moment is the next, and the problem says so."""
    monkeypatch.setattr(Openings, "_sought", lambda self, moment: None)
    last = only(replace(SUNDAYS, name="last"))  # of no other test: what was found is remembered
    assert next_open(last, START, START + 9 * DAY) is None
    assert longest_gap(last, START) == timedelta.max
    (told,) = problems(last, first=START, last=START + 30 * DAY)
    assert "are closed from 2026-01-01 00:00 UTC on for good" in told


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        ("", "five fields"),
        ("0 1 * *", "five fields"),
        ("0 0 1 * * *", "five fields"),
        ("@daily", "five fields"),
        ("0 1 * * *\n", "five fields"),
        ("0  1 * * *", "five fields"),
        ("٠ 1 * * *", "five fields"),
        ("0 1 * * " + "1," * 1_000_000 + "1", "five fields"),
        ("0 1 * * " + "1/" * 40 + "1", "Bad day-of-week"),
        ("60 1 * * *", "Bad minute"),
        ("0 24 * * *", "Bad hour"),
        ("0 1 0 * *", "Bad day-of-month"),
        ("0 1 * 13 *", "Bad month"),
        ("0 1 * * 8", "Bad day-of-week"),
        ("*/0 1 * * *", "Bad minute"),
        ("5-1 1 * * *", "Bad minute"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("* * */20 * 1L", "never fires"),
    ],
)
def test_a_cron_text_that_is_none_is_refused(cron: str, told: str) -> None:
    """One bounded line says why, of what never fires too, and quotes nothing."""
    fault = cron_fault(cron)
    assert told in fault and len(fault) < 200 and "\n" not in fault
    with pytest.raises(InvalidConfiguration):
        Openings(cron, "UTC", HOUR)


@example_settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text("0123456789*,/-#LW FRIfri", max_size=8), min_size=5, max_size=5).map(" ".join)
    | st.from_regex(window_openings._CRON, fullmatch=True)
    | st.text(max_size=30)
)
def test_any_text_is_taken_or_refused(cron: str) -> None:
    """No text ends in an error of the cron library's; what is taken has an opening."""
    fault = cron_fault(cron)
    if not fault:
        opened = Openings(cron, "UTC", HOUR).open_from(START)
        assert opened is None or opened >= START
    assert len(fault) < 200


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_time_zone(name: str) -> None:
    """Names of the IANA database are taken."""
    assert zone_fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("", "Mars/Olympus", "europe/berlin", "Europe", "/etc/passwd", "../Europe/Berlin", "Europe/../UTC"),
        *("right/UTC", "posixrules", "Europe/Berlin\n", "Europe/Berlin/", "A" * 100_000, "\x00"),
    ],
)
def test_what_is_no_time_zone(name: str) -> None:
    """A name that is unknown, a path or a folder of the database is refused in one line."""
    assert zone_fault(name).startswith("time_zone must be a name")
    with pytest.raises(InvalidConfiguration, match="time_zone must be a name"):
        Openings("0 1 * * *", name, HOUR)


def test_zones_come_from_the_package_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a database on the machine, as in Lambda, tzdata has every zone, and the same folders are none."""
    import zoneinfo

    monkeypatch.setattr(window_openings, "zone", window_openings.zone.__wrapped__)
    before = zoneinfo.TZPATH
    try:
        zoneinfo.reset_tzpath(())
        ZoneInfo.clear_cache()
        assert zone_fault("Europe/Berlin") == ""
        assert zone_fault("Europe") and zone_fault("Mars/Olympus")
    finally:
        zoneinfo.reset_tzpath(before)
        ZoneInfo.clear_cache()


def test_a_broken_window_is_told_and_never_used() -> None:
    """All that is wrong with a window is told where it is declared; asking it is an error that names it."""
    broken = Window(name="b\n" * 100, cron="x", minutes=5, time_zone="Nowhere")
    assert [each.split()[0] for each in faults(broken)] == ["cron", "minutes", "time_zone"]
    assert [each.split()[0] for each in faults(replace(NIGHTS, minutes=10_081))] == ["minutes"]
    assert faults(replace(NIGHTS, minutes=True)) and faults(NIGHTS) == []
    told = problems(only(NIGHTS, broken), first=START, last=START + DAY)
    assert len(told) == 3 and all("\n" not in each and len(each) < 400 for each in told)
    for ask in (lambda: open_at(only(broken), START), lambda: longest_gap(only(broken), START)):
        with pytest.raises(InvalidConfiguration, match="cannot be used: cron"):
            ask()


@pytest.mark.parametrize("moment", [START.replace(tzinfo=None), START.replace(year=1), START.replace(year=9_999)])
def test_moments_need_a_zone_and_a_sensible_year(moment: datetime) -> None:
    """What cannot be compared or counted with is refused before anything is sought."""
    with pytest.raises(InvalidInput, match="time zone"):
        open_at(only(NIGHTS), moment)
    with pytest.raises(InvalidInput, match="time zone"):
        open_at(Calendar(blackouts=(blackout(START, moment),)), START)
    with pytest.raises(InvalidInput, match="horizon"):
        longest_gap(only(NIGHTS), START, 0)


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often windows open, and however rarely others do, a year is judged with a bounded number of searches."""
    sought: list[str] = []
    before = Openings._sought

    def counted(self: Openings, moment: datetime) -> datetime | None:
        sought.append(self._cron)
        return before(self, moment)

    monkeypatch.setattr(Openings, "_sought", counted)
    every = tuple(Window(name=f"w{n}", cron=f"{n}-59/1 * * * *", minutes=15) for n in range(44, 47))
    rare = tuple(Window(name=f"r{n}", cron=f"{n} 0 29 2 *", minutes=15) for n in range(5))
    assert longest_gap(only(*rare, *every), START) <= 50 * MINUTE
    assert problems(only(*rare, *every), first=START, last=START + HOUR) == []
    assert 2_000 < len(sought) < 4 * 2_001 * len(every)
    assert sum(cron.endswith(" 29 2 *") for cron in sought) <= 4 * len(rare)
