"""Maintenance windows: when a managed certificate may be renewed, and whether it can be renewed in time. Pure.

A window opens at each time that its cron text gives on the wall clock of its time zone, and stays open for so many
elapsed minutes; `window_openings` says what may stand in the text and what happens where the clock changes. Several
windows add up, and a blackout closes them all. Moments that are returned are in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from perennial.errors import InvalidConfiguration, InvalidInput
from perennial.window_openings import Openings, cron_fault, zone_fault

LEAST_MINUTES, MOST_MINUTES = 15, 10_080
HORIZON = 400  # days: more than a year, so that whatever comes once a year is seen
MAX_HORIZON = 4_000
LOOKS = 2_000  # ahead, of one search for closed times
_YEARS = range(1900, 9_000)  # far from where datetime ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`[windows.<name>]`: opens at each time that `cron` gives in `time_zone`, for `minutes`."""

    name: str
    cron: str
    minutes: int  # 15 to 10,080, a week
    time_zone: str = "UTC"  # a name of the IANA time zone database


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """No renewal from `start` until right before `end` (both with a zone), however a window lies."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What holds for one managed certificate. Without windows it is always open, but for the blackouts."""

    windows: tuple[Window, ...] = ()
    blackouts: tuple[Blackout, ...] = ()


def open_at(calendar: Calendar, moment: datetime) -> bool:
    """Whether it may be renewed at a moment.

    Raises: InvalidInput for a moment without a zone, InvalidConfiguration for a window that `faults` refuses.
    """
    return _Timetable(calendar).open_from(_utc(moment)) == moment


def next_open(calendar: Calendar, moment: datetime, until: datetime) -> datetime | None:
    """The first moment from `moment` on at which it is open, in UTC; None where that is not before `until`.

    Raises: as `open_at`.
    """
    last = _utc(until)
    found = _Timetable(calendar).open_from(_utc(moment), last)
    return found if found is not None and found < last else None


def longest_gap(calendar: Calendar, start: datetime, days: int = HORIZON) -> timedelta:
    """The longest time without an opening, of those that begin (or last) within so many days from `start` on, to its
    end wherever that is; `timedelta.max` where it never opens again.

    It looks at 2,000 moments at the most, evenly spread, and from a closed one in both directions. So it is exact
    above a 2,000th of the horizon (4.8 hours of 400 days); of shorter ones it may tell one that is not the longest, or
    zero.

    Raises: as `open_at`.
    """
    if not 1 <= days <= MAX_HORIZON:
        raise InvalidInput(f"a horizon of {days} days; give one from 1 to {MAX_HORIZON}")
    begin = _utc(start)
    begun, opened = _longest(_Timetable(calendar), begin, begin + timedelta(days=days), timedelta(days=days) / LOOKS)
    return timedelta.max if opened is None else opened - begun


def faults(window: Window) -> list[str]:
    """Why a window cannot be used, a sentence each; [] when it can. Any texts may be in it."""
    fits = type(window.minutes) is int and LEAST_MINUTES <= window.minutes <= MOST_MINUTES
    minutes = "" if fits else f"minutes must be a whole number from {LEAST_MINUTES} to {MOST_MINUTES}"
    return [each for each in (cron_fault(window.cron), minutes, zone_fault(window.time_zone)) if each]


def problems(calendar: Calendar, *, first: datetime, last: datetime) -> list[str]:
    """Why renewals that fall due at `first` could not happen before `last`, a sentence each; [] when they can.

    A certificate is issued again and again, on days that nobody knows when it is declared. So it is not enough that
    it opens between these two: any time as long as from `first` to `last` must have an opening in it, wherever it
    begins in the 400 days from `first` on. A window that opens once a year is refused for 47 days, one that opens
    each week for certificates of 6 days that are renewed in their last 3. Every closed time of that length is seen;
    where the length is less than a 2,000th of the horizon (4.8 hours), each of the next 2,000 such lengths is looked
    at, and beyond them closed times from 4.8 hours on are.

    Raises: InvalidInput for a moment without a zone.
    """
    broken = [(each.name[:64], fault) for each in calendar.windows for fault in faults(each)]
    if broken:
        return [f"the window {name!r} cannot be used: {fault}" for name, fault in broken]
    begin, end = _utc(first), _utc(last)
    if begin >= end:
        return ["nothing is left between the renewal time and the end; renew it earlier"]
    alone = _too_long(_Timetable(Calendar(windows=calendar.windows)), begin, end - begin)
    if alone:
        names = ", ".join(each.name[:64] for each in calendar.windows[:10])
        return [f"the windows ({names}) are closed {alone}; let one open more often, or longer"]
    dark = _too_long(_Timetable(calendar), begin, end - begin)
    if dark:
        return [f"with the blackouts it is closed {dark}; shorten the blackout, or let a window open beside it"]
    return []


def _too_long(timetable: _Timetable, begin: datetime, needed: timedelta) -> str:
    """In words the longest closed time that is as long as `needed`; "" where none is."""
    coarse = max(needed, timedelta(days=HORIZON) / LOOKS)
    spans = [(begin + timedelta(days=HORIZON), coarse), (begin + needed * LOOKS, needed)]
    for end, step in spans if needed < coarse else spans[:1]:
        begun, opened = _longest(timetable, begin, end, step)
        if opened is None:
            return f"from {begun:%Y-%m-%d %H:%M} UTC on for good"
        if opened - begun >= needed:
            return (
                f"from {begun:%Y-%m-%d %H:%M} to {opened:%Y-%m-%d %H:%M} UTC ({_length(opened - begun)}), and between "
                f"renewal time and expiry there are {_length(needed)}"
            )
    return ""


def _length(time: timedelta) -> str:
    """Such as `3 days`, `17 hours` or `20 minutes`, in the largest unit of which there are two."""
    for unit, seconds in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if time.total_seconds() >= 2 * seconds:
            return f"{time.total_seconds() / seconds:.1f}".removesuffix(".0") + f" {unit}"
    return f"{time.total_seconds():.0f} seconds"


def _longest(
    timetable: _Timetable, start: datetime, end: datetime, step: timedelta
) -> tuple[datetime, datetime | None]:
    """When the longest closed time that begins from `start` until `end` begins and ends; None: it never ends.

    Probes lie `step` apart, and as soon as a longer one is known, that far: nothing longer fits between two.
    """
    longest, length, at = (start, start), timedelta(0), start
    while at < end + max(step, length):
        opened = timetable.open_from(at)
        if opened is None or opened > at:
            begun = max(start, timetable.open_until(at) or start)
            if opened is None:
                return begun, None
            if begun < end and opened - begun > length:
                longest, length = (begun, opened), opened - begun
        at = opened + max(step, length)
    return longest


class _Timetable:
    """A calendar that is asked for the open moments around a moment. Everything is in UTC."""

    def __init__(self, calendar: Calendar) -> None:
        self._windows = tuple(map(_openings, calendar.windows))
        self._dark = tuple((_utc(each.start), _utc(each.end)) for each in calendar.blackouts)

    def open_from(self, at: datetime, until: datetime | None = None) -> datetime | None:
        """The first open moment from `at` on; None where there is none, or it is not sought beyond `until`.

        Each round leaves at least one blackout behind, and never meets it again.
        """
        found: datetime | None = at
        while found is not None and (until is None or found < until):
            found = self._window_from(found)
            if found is None:
                return None
            ends = [end for start, end in self._dark if start <= found < end]
            if not ends:
                return found
            found = max(ends)
        return None

    def open_until(self, at: datetime) -> datetime | None:
        """The moment up to which it was open last before `at` (`at` itself, where it was open right before it)."""
        found: datetime | None = at
        while found is not None:
            found = self._window_until(found)
            starts = [start for start, end in self._dark if found is not None and start < found <= end]
            if not starts:
                return found
            found = min(starts)
        return None

    def _window_from(self, at: datetime) -> datetime | None:
        found: datetime | None = None if self._windows else at
        for each in self._windows:
            opened = each.open_from(at)
            if opened is not None and (found is None or opened < found):
                found = opened
            if found == at:
                break
        return found

    def _window_until(self, at: datetime) -> datetime | None:
        if not self._windows:
            return at
        return max((each for each in (window.open_until(at) for window in self._windows) if each), default=None)


@lru_cache(maxsize=256)  # a fleet shares a few windows
def _openings(window: Window) -> Openings:
    wrong = faults(window)
    if wrong:
        raise InvalidConfiguration(f"the window {window.name[:64]!r} cannot be used: {'; '.join(wrong)}")
    return Openings(window.cron, window.time_zone, timedelta(minutes=window.minutes))


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None or moment.year not in _YEARS:
        raise InvalidInput("a moment has no time zone, or lies before 1900 or after 8999; give one that does not")
    return moment.astimezone(UTC)
