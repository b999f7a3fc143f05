"""What `[windows]` and `[environments]` of perennial.toml say: when certificates of an environment may be renewed.

    [windows.nights]
    cron = "0 1 * * 2-4"
    minutes = 180
    time_zone = "Europe/Berlin"

    [environments.production]
    windows = ["nights"]
    blackouts = [{ name = "year-end", start = "2026-12-20T00:00:00+01:00", end = "2027-01-06T00:00:00+01:00" }]
    grace_hours = 24

`settings` reads the file and reports every problem at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from perennial.errors import InvalidInput
from perennial.settings_table import TABLE_NAME, Table, shown
from perennial.window_openings import cron_fault, zone_fault
from perennial.windows import LEAST_MINUTES, MOST_MINUTES, Blackout, Calendar, Window

MAX_BLACKOUTS = 100  # of one environment
MAX_WINDOWS = 20  # that hold at the same place
MAX_GRACE_HOURS = 8_760  # a year
YEARS = range(2000, 2200)  # of blackouts
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_ACCEPTED = f"a time with its offset, as 2026-12-20T00:00:00+01:00 (RFC 3339), in the years {YEARS[0]} to {YEARS[-1]}"
_NAME = f"a name like {TABLE_NAME.pattern}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """`[environments.<name>]`: what holds for the managed certificates that say they are of it."""

    name: str
    windows: tuple[str, ...] = ()  # names under [windows]; (): always open but for the blackouts
    blackouts: tuple[Blackout, ...] = ()
    grace_hours: int = 24  # after which a superseded version is retired


def windows(table: Table) -> Mapping[str, Window]:
    """`[windows]`: by name, those without a problem."""
    found = {name: _window(each, name) for name, each in table.tables()}
    return {name: each for name, each in found.items() if each}


def _window(table: Table, name: str) -> Window | None:
    before = len(table.problems)
    window = table.done(
        lambda: Window(
            name=name,
            cron=table.need("cron", _text, 'five fields as crontab(5), such as "0 1 * * 2-4"') or "",
            minutes=table.need("minutes", _minutes, f"a whole number from {LEAST_MINUTES} to {MOST_MINUTES}") or 0,
            time_zone=table.text("time_zone", "UTC", re.compile(r".{1,100}")),
        )
    )
    for key, value, fault in (
        ("cron", window.cron, window.cron and cron_fault(window.cron)),
        ("time_zone", window.time_zone, zone_fault(window.time_zone)),
    ):
        if fault:
            table.problem(key, f"{shown(value)} is refused: {fault}")
    return window if len(table.problems) == before else None


def environments(table: Table) -> Mapping[str, Environment]:
    """`[environments]`: by name."""
    return {name: _environment(each, name) for name, each in table.tables()}


def _environment(table: Table, name: str) -> Environment:
    default = Environment(name=name)
    accepted = f"a list of at most {MAX_WINDOWS} names of tables under [windows], each once"
    return table.done(
        lambda: Environment(
            name=name,
            windows=table.take("windows", [], _names, accepted) or (),
            blackouts=_blackouts(table),
            grace_hours=table.number("grace_hours", default.grace_hours, 0, MAX_GRACE_HOURS),
        )
    )


def _names(value: Any) -> tuple[str, ...] | None:
    fits = isinstance(value, list) and len(value) <= MAX_WINDOWS and all(map(_name, value))
    return tuple(value) if fits and len(set(value)) == len(value) else None


def _blackouts(table: Table) -> tuple[Blackout, ...]:
    accepted = f"a list of at most {MAX_BLACKOUTS} tables with name, start and end"
    listed = table.take("blackouts", [], _few, accepted) or []
    found = (_blackout(each, f"blackouts[{number}]", table) for number, each in enumerate(listed, start=1))
    return tuple(each for each in found if each)


def _few(value: Any) -> list[Any] | None:
    return value if isinstance(value, list) and len(value) <= MAX_BLACKOUTS else None


def _blackout(entry: Any, where: str, within: Table) -> Blackout | None:
    table = Table({where: entry}, where, within.problems, within.name)
    name, start, end = table.done(
        lambda: (
            table.need("name", _name, _NAME),
            table.need("start", _moment, _ACCEPTED),
            table.need("end", _moment, _ACCEPTED),
        )
    )
    if name is None or start is None or end is None:
        return None
    if end <= start:
        table.problem("end", f"{end.isoformat()} is not after start, {start.isoformat()}")
        return None
    return Blackout(name=name, start=start, end=end)


def _moment(value: Any) -> datetime | None:
    """A moment in UTC of TOML's offset date-time, or of a text; None for local ones, and far from now."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            value = datetime.fromisoformat(value.upper())
        except ValueError:  # no such day or hour
            return None
    if not isinstance(value, datetime) or value.utcoffset() is None or value.year not in YEARS:
        return None
    return value.astimezone(UTC)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and TABLE_NAME.fullmatch(value) else None


def _minutes(value: Any) -> int | None:
    return value if type(value) is int and LEAST_MINUTES <= value <= MOST_MINUTES else None


def misfits(environments: Mapping[str, Environment], named: frozenset[str]) -> Iterator[str]:
    """Windows of environments that are not there, one line each. `named` are those of the file, faulty ones too."""
    known = ", ".join(map(shown, sorted(named)[:10])) or "none"
    for environment in environments.values():
        strange = [each for each in environment.windows if each not in named]
        for each in strange:
            yield f"environments.{environment.name}.windows: {each} is not a window; there are {known}"


def calendar(windows: Mapping[str, Window], environment: Environment | None, own: tuple[str, ...] = ()) -> Calendar:
    """What holds for a managed certificate: its own windows, else those of its environment, and the environment's
    blackouts in any case.

    Raises: InvalidInput for more windows than may hold at once, and for those that are not there.
    """
    wanted = own or (environment.windows if environment else ())
    if len(wanted) > MAX_WINDOWS:
        raise InvalidInput(f"{len(wanted)} windows; name at most {MAX_WINDOWS} of [windows] in perennial.toml")
    strange = [each for each in wanted if each not in windows]
    if strange:
        known = ", ".join(sorted(windows)[:10]) or "none"
        raise InvalidInput(f"{shown(strange[0])} is not a window of perennial.toml; there are {known}")
    return Calendar(
        windows=tuple(windows[each] for each in dict.fromkeys(wanted)),
        blackouts=environment.blackouts if environment else (),
    )
