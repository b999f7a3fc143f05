"""The openings of one cron text in one time zone, as moments, forwards and backwards. Pure, and bounded work.

The cron text has the five fields of crontab(5): minute, hour, day of month, month, day of week, names of months and
days in three letters, and besides `L` and `LW` as day of month (the last day, the last weekday), `5L` (the last Friday)
and `2#2` (the second Tuesday) as day of week. Day of month and day of week must both match where one of them begins
with a star; else one of them is enough.

An opening is the first moment at which the clock shows its time or a later one. So, where daylight saving time begins,
an opening within the skipped hour comes as the clock jumps (02:30 comes at 03:00); where it ends, an opening within the
repeated hour comes the first time only, also of a text that opens every few minutes. cronsim has rules of its own for
such days, but with them the answer depends on where the search starts, and here it must not. So cronsim reads the text
and finds times on a clock that never changes; what moments those are is decided here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from perennial.errors import InvalidConfiguration

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MAX_CRON = 100  # characters
_CRON = re.compile(r"[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}")
_ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]{0,31}(/[A-Z][A-Za-z0-9_+-]{0,31}){0,2}")  # a name of IANA's, never a path
_REFERENCE = datetime(2000, 1, 1)  # noqa: DTZ001 - on a clock without a zone
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)


@lru_cache(maxsize=256)
def cron_fault(cron: str) -> str:
    """Why a text is no cron text that ever fires; "" when it is one. It never quotes it."""
    from cronsim import CronSim, CronSimError

    if len(cron) > MAX_CRON or not _CRON.fullmatch(cron):
        return f"cron must have five fields as crontab(5), one space between them, at most {MAX_CRON} characters"
    try:
        found = next(CronSim(cron, _REFERENCE), None)
    except CronSimError as error:  # its messages name the field, and quote nothing
        return f"cron cannot be read or never fires: {error}"
    return "" if found else "cron never fires: no day in 50 years fits all of its fields"


def zone_fault(name: str) -> str:
    """Why a text is no name of a time zone; "" when it is one. It never quotes it."""
    return "" if zone(name) else "time_zone must be a name of the IANA time zone database, such as Europe/Berlin"


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo | None:
    """A time zone of the machine's database, else of the package tzdata; None where there is none of that name."""
    from zoneinfo import ZoneInfo

    if not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, damaged, or a folder of the database
        return None


class Openings:
    """In order, and how long each lasts. It keeps what it found last: between two openings nothing is sought anew."""

    def __init__(self, cron: str, time_zone: str, length: timedelta) -> None:
        """Raises: InvalidConfiguration for what `cron_fault` or `zone_fault` refuses."""
        clock, wrong = zone(time_zone), cron_fault(cron)
        if wrong or clock is None:
            raise InvalidConfiguration(wrong or zone_fault(time_zone))
        self._cron, self._zone, self._length = cron, clock, length
        self._ahead: tuple[datetime, datetime | None] | None = None  # after the first, the next opening is the second
        self._behind: tuple[datetime | None, datetime] | None = None  # before the second, the last opening is the first

    def open_from(self, at: datetime) -> datetime | None:
        """The first moment from `at` on at which it is open."""
        opening = self._after(at - self._length)
        return None if opening is None else max(opening, at)

    def open_until(self, at: datetime) -> datetime | None:
        """The moment up to which it was open last before `at`."""
        opening = self._before(at)
        return None if opening is None else min(opening + self._length, at)

    def _after(self, moment: datetime) -> datetime | None:
        """The first opening after a moment. cronsim gives up after 50 years without one."""
        known = self._ahead
        if known and known[0] <= moment and (known[1] is None or moment < known[1]):
            return known[1]
        found = self._sought(moment)
        self._ahead = moment, found
        return found

    def _sought(self, moment: datetime) -> datetime | None:
        """The clock before a moment never showed less than it shows then, save in an hour that is repeated: openings
        of its first time are left out."""
        from cronsim import CronSim

        for time in CronSim(self._cron, moment.astimezone(self._zone).replace(tzinfo=None)):
            opening = self._moment(time)
            if opening > moment:
                return opening
        return None

    def _before(self, moment: datetime) -> datetime | None:
        """The last opening before a moment."""
        known = self._behind
        if known and moment <= known[1] and (known[0] is None or known[0] < moment):
            return known[0]
        found = self._sought_back(moment)
        self._behind = found, moment
        return found

    def _sought_back(self, moment: datetime) -> datetime | None:
        """From the latest that the clock had shown before, which in a repeated hour is more than what it shows."""
        from cronsim import CronSim

        ahead = self._offset(moment - _DAY) - self._offset(moment)
        latest = moment.astimezone(self._zone).replace(tzinfo=None) + max(ahead, timedelta(0))
        for time in CronSim(self._cron, latest, reverse=True):
            opening = self._moment(time)
            if opening < moment:
                return opening
        return None

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta(0)

    def _moment(self, time: datetime) -> datetime:
        """The first moment at which the clock shows a time or a later one (PEP 495 has what `fold` says)."""
        late = time.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        if late.astimezone(self._zone).replace(tzinfo=None) == time:
            return late
        early = time.replace(tzinfo=self._zone, fold=1).astimezone(UTC)  # before the jump; the other is behind it
        while late - early > _SECOND:
            middle = early + (late - early) // _SECOND // 2 * _SECOND
            if middle.astimezone(self._zone).replace(tzinfo=None) < time:
                early = middle
            else:
                late = middle
        return late
