"""Windows and environments of perennial.toml: read whole, or every problem told at once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from perennial.errors import InvalidConfiguration, InvalidInput
from perennial.settings import Settings, load
from perennial.window_settings import MAX_BLACKOUTS, MAX_WINDOWS, Environment, calendar
from perennial.windows import Blackout, Calendar, Window

ROOT = Path(__file__).resolve().parents[3]
FULL = """
[windows.nights]
cron = "0 1 * * 2-4"
minutes = 180
time_zone = "Europe/Berlin"
[windows.sundays]
cron = "0 3 * * SUN"
minutes = 10080

[environments.production]
windows = ["nights", "sundays"]
blackouts = [
    { name = "year-end", start = "2026-12-20T00:00:00+01:00", end = 2027-01-06T00:00:00+01:00 },
    { name = "audit", start = 2026-06-01 00:00:00Z, end = "2026-06-01T00:00:00.5z" },
]
grace_hours = 0
[environments.test]
"""
NIGHTS = Window(name="nights", cron="0 1 * * 2-4", minutes=180, time_zone="Europe/Berlin")
SUNDAYS = Window(name="sundays", cron="0 3 * * SUN", minutes=10_080)
YEAR_END = Blackout(
    name="year-end", start=datetime(2026, 12, 19, 23, tzinfo=UTC), end=datetime(2027, 1, 5, 23, tzinfo=UTC)
)
AUDIT = Blackout(
    name="audit", start=datetime(2026, 6, 1, tzinfo=UTC), end=datetime(2026, 6, 1, 0, 0, 0, 500_000, tzinfo=UTC)
)
PRODUCTION = Environment(name="production", windows=("nights", "sundays"), blackouts=(YEAR_END, AUDIT), grace_hours=0)
WINDOWS = {"nights": NIGHTS, "sundays": SUNDAYS}


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(text)
    return str(caught.value).split("\n")


def test_every_field_is_taken() -> None:
    """A file that sets everything is read whole; times may be TOML's own, or texts."""
    found = load(FULL)
    assert found.windows == WINDOWS
    assert found.environments == {"production": PRODUCTION, "test": Environment(name="test")}
    assert found.environments["test"].grace_hours == 24
    assert (load("").windows, load("").environments) == ({}, {})


def test_json_says_the_same() -> None:
    """Times as texts survive JSON, which has none of its own."""
    window = {"cron": "0 1 * * 2-4", "minutes": 180, "time_zone": "Europe/Berlin"}
    dark = {"name": "year-end", "start": "2026-12-20T00:00:00+01:00", "end": "2027-01-06T00:00:00+01:00"}
    environment = {"windows": ["nights"], "blackouts": [dark]}
    found = load(json.dumps({"windows": {"nights": window}, "environments": {"live": environment}}))
    assert found.windows == {"nights": NIGHTS}
    assert found.environments == {"live": Environment(name="live", windows=("nights",), blackouts=(YEAR_END,))}


def test_the_example_is_right_and_whole() -> None:
    """The example in perennial.toml is read without a problem once its # are gone, and has every field."""
    text = (ROOT / "perennial.toml").read_text("utf-8")
    assert load(text) == Settings()
    example = text[text.index("# [windows.nights]") :].partition("\n[")[0]
    found = load(re.sub(r"^# (?=\[|[a-z_]+ = )", "", example, flags=re.MULTILINE))
    assert found.windows == {"nights": NIGHTS}
    assert found.environments == {
        "production": Environment(name="production", windows=("nights",), blackouts=(YEAR_END,))
    }
    documented = set(re.findall(r"^# ([a-z_]+) = ", example, re.MULTILINE))
    for kind in (Window, Environment):
        assert set(kind.__dataclass_fields__) - {"name"} <= documented


GOOD = 'cron = "0 1 * * *"\nminutes = 60\n'
DARK = "[environments.live]\nblackouts = "
START = 'start = "2026-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    ("text", "field", "found", "accepted"),
    [
        ("windows = 1", "windows", "1", "table"),
        ("windows.nights = 1", "windows.nights", "1", "table"),
        (f"[windows.Nights]\n{GOOD}", "windows.Nights", "not a name", "[a-z0-9]"),
        ("[windows.nights]\nminutes = 60", "windows.nights.cron", "missing", "five fields"),
        ('[windows.nights]\ncron = "0 1 * * *"', "windows.nights.minutes", "missing", "from 15 to 10080"),
        ("[windows.nights]\ncron = 1\nminutes = 60", "windows.nights.cron", "1", "five fields"),
        ('[windows.nights]\ncron = ""\nminutes = 60', "windows.nights.cron", "''", "five fields"),
        ('[windows.nights]\ncron = "0 1"\nminutes = 60', "windows.nights.cron", "0 1", "five fields"),
        ('[windows.nights]\ncron = "0 0 30 2 *"\nminutes = 60', "windows.nights.cron", "0 0 30 2 *", "never fires"),
        (
            f'[windows.nights]\ncron = "{"1," * 50_000}1 * * * *"\nminutes = 60',
            "windows.nights.cron",
            "1,1,1",
            "at most 100 characters",
        ),
        (f"[windows.nights]\n{GOOD}".replace("60", "14"), "windows.nights.minutes", "14", "from 15 to 10080"),
        (f"[windows.nights]\n{GOOD}".replace("60", "10081"), "windows.nights.minutes", "10081", "from 15"),
        (f"[windows.nights]\n{GOOD}".replace("60", "true"), "windows.nights.minutes", "True", "whole number"),
        (f'[windows.nights]\n{GOOD}time_zone = "CEST"', "windows.nights.time_zone", "CEST", "Europe/Berlin"),
        (f'[windows.nights]\n{GOOD}time_zone = "../UTC"', "windows.nights.time_zone", "../UTC", "Europe/Berlin"),
        (f"[windows.nights]\n{GOOD}time_zone = 1", "windows.nights.time_zone", "1", "a text"),
        (f"[windows.nights]\n{GOOD}zone = 1", "windows.nights.zone", "not known", "cron, minutes, time_zone"),
        ('[environments.live]\nwindows = "nights"', "environments.live.windows", "nights", "a list of at most 20"),
        ("[environments.live]\nwindows = [1]", "environments.live.windows", "[1]", "a list of at most 20"),
        ('[environments.live]\nwindows = ["a"]', "environments.live.windows", "a is not a window", "there are none"),
        (
            f'[windows.nights]\n{GOOD}[environments.live]\nwindows = ["nights", "nights"]',
            "environments.live.windows",
            "nights",
            "each once",
        ),
        (
            f'[windows.nights]\n{GOOD}[environments.live]\nwindows = ["night"]',
            "environments.live.windows",
            "night is not a window",
            "there are nights",
        ),
        ("[environments.live]\ngrace_hours = -1", "environments.live.grace_hours", "-1", "from 0 to 8760"),
        ("[environments.live]\ngrace_hours = 8761", "environments.live.grace_hours", "8761", "from 0 to 8760"),
        ("[environments.live]\ngrace = 1", "environments.live.grace", "not known", "windows, blackouts, grace_hours"),
        ('environments."a b" = {}', "environments.'a b'", "not a name", "[a-z0-9]"),
        (f"{DARK}1", "environments.live.blackouts", "1", "a list of at most 100"),
        (f"{DARK}[1]", "environments.live.blackouts[1]", "1", "not a table"),
        (f'{DARK}[{{name = "x", {START}}}]', "environments.live.blackouts[1].end", "missing", "RFC 3339"),
        (f'{DARK}[{{name = "x y", {START}, end = 2027-01-01T00:00:00Z}}]', "blackouts[1].name", "x y", "a name like"),
        (f'{DARK}[{{name = "x", {START}, end = 2027-01-01T00:00:00}}]', "blackouts[1].end", "2027-01-01", "offset"),
        (f'{DARK}[{{name = "x", {START}, end = 2027-01-01}}]', "blackouts[1].end", "2027-01-01", "offset"),
        (f'{DARK}[{{name = "x", {START}, end = "2027-02-30T00:00:00Z"}}]', "blackouts[1].end", "2027-02-30", "offset"),
        (f'{DARK}[{{name = "x", {START}, end = "2027-W01-1T00:00:00Z"}}]', "blackouts[1].end", "2027-W01", "offset"),
        (f'{DARK}[{{name = "x", {START}, end = "2200-01-01T00:00:00Z"}}]', "blackouts[1].end", "2200", "2000 to 2199"),
        (f'{DARK}[{{name = "x", {START}, end = 9999-12-31T23:59:59-12:00}}]', "blackouts[1].end", "9999", "2000 to"),
        (
            f'{DARK}[{{name = "x", {START}, end = "2026-01-01T01:00:00+01:00"}}]',
            "blackouts[1].end",
            "2026",
            "not after",
        ),
        (f'{DARK}[{{name = "x", {START}, until = 1}}]', "blackouts[1].until", "not known", "name, start, end"),
    ],
)
def test_a_problem_names_field_finding_and_what_is_accepted(text: str, field: str, found: str, accepted: str) -> None:
    """Each problem is one line with all that is needed to repair it."""
    lines = [each for each in problems(text) if field in each]
    assert [each for each in lines if found in each and accepted in each]
    assert all(len(each) < 400 for each in problems(text))


def test_at_most_a_hundred_blackouts() -> None:
    """As many as the limit are read, and one more is refused."""
    dark = '{ name = "x", start = "2026-01-01T00:00:00Z", end = "2026-01-02T00:00:00Z" },'
    assert len(load(f"{DARK}[{dark * MAX_BLACKOUTS}]").environments["live"].blackouts) == MAX_BLACKOUTS
    (line,) = problems(f"{DARK}[{dark * (MAX_BLACKOUTS + 1)}]")
    assert line.startswith("environments.live.blackouts: ")


def test_all_problems_are_told_at_once() -> None:
    """A file with problems in several tables is repaired in one go; a window that is faulty is there all the same."""
    text = """
    [windows.nights]
    cron = "x"
    minutes = 1
    time_zone = "x"
    [environments.live]
    windows = ["nights", "days"]
    grace_hours = "x"
    """
    assert [each.split(":")[0] for each in problems(text)] == [
        "environments.live.grace_hours",
        "environments.live.windows",
        "windows.nights.cron",
        "windows.nights.minutes",
        "windows.nights.time_zone",
    ]


@pytest.mark.parametrize(
    ("environment", "own", "expected"),
    [
        (None, (), Calendar()),
        (None, ("nights",), Calendar(windows=(NIGHTS,))),
        (PRODUCTION, (), Calendar(windows=(NIGHTS, SUNDAYS), blackouts=(YEAR_END, AUDIT))),
        (PRODUCTION, ("sundays",), Calendar(windows=(SUNDAYS,), blackouts=(YEAR_END, AUDIT))),
        (Environment(name="test"), ("nights", "nights"), Calendar(windows=(NIGHTS,))),
    ],
)
def test_the_calendar(environment: Environment | None, own: tuple[str, ...], expected: Calendar) -> None:
    """A certificate's own windows take the place of its environment's; the environment's blackouts always hold."""
    assert calendar(WINDOWS, environment, own) == expected


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (("days",), "days is not a window of perennial.toml; there are nights, sundays"),
        (("a\nb" * 100,), "there are nights, sundays"),
        (("nights",) * (MAX_WINDOWS + 1), "name at most 20"),
    ],
)
def test_windows_that_are_not_there(own: tuple[str, ...], told: str) -> None:
    """Names of a declaration come from outside: an unknown one, or too many, is told in one line."""
    with pytest.raises(InvalidInput) as refused:
        calendar(WINDOWS, None, own)
    assert told in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 300


_ANY: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FIELD = st.sampled_from(["cron", "minutes", "time_zone", "windows", "blackouts", "grace_hours", "name", "start", "x"])
_TABLE = st.dictionaries(_FIELD, _ANY | st.lists(st.dictionaries(_FIELD, _ANY), max_size=2))


@example_settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["windows", "environments"]), st.dictionaries(st.just("a"), _TABLE | _ANY) | _ANY)
)
def test_no_document_makes_the_reader_fail(document: dict[str, Any]) -> None:
    """Any JSON is either taken or refused with lines of bounded length."""
    try:
        load(json.dumps(document))
    except InvalidConfiguration as error:
        assert all(len(line) < 500 for line in str(error).split("\n"))
