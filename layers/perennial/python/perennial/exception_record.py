"""An exception as it is kept, and its text in the table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from perennial.exception_selection import Selection


class ExceptionState(StrEnum):
    """How far an exception is."""

    ASKED = "asked"  # nobody has decided
    ACTIVE = "active"  # granted; it holds until its end
    REJECTED = "rejected"
    ENDED = "ended"  # by time, early, or as nobody decided before its end


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedException:
    """What someone asks for: `rule` is the id of a check or policy rule, `owner` the team that answers for it, `ends`
    an aware time."""

    rule: str
    selection: Selection
    reason: str
    owner: str
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionRecord:
    """An exception. Nothing of it is secret.

    `asked_by` and `decided_by` are what those people are known as (`roles.Person.known_as`). `decision` are the words
    of who decided, `ended_by` and `ended_why` those of who ended it.

    How far its steps are (`exception_steps`): `event` is an audit event that is not in the trail yet, `sweep_at` when
    what it covers is made due once more, `told_asked` whether who decides was told, `announced` of how many days before
    its end people were told last (0: none), `told_end` whether they were told that it ended. `retry_at` and `trouble`:
    when a step that failed is tried again, and why it failed.
    """

    id: str  # 32 hexadecimal digits
    rule: str
    selection: Selection
    reason: str
    owner: str
    ends: datetime
    environment: str = ""
    asked_by: tuple[str, ...]
    asked_name: str
    asked_at: datetime
    state: ExceptionState = ExceptionState.ASKED
    decided_by: tuple[str, ...] = ()
    decided_name: str = ""  # the approver, where it was granted
    decided_at: datetime | None = None
    decision: str = ""
    ended_name: str = ""
    ended_at: datetime | None = None
    ended_why: str = ""
    event: str = ""
    sweep_at: datetime | None = None
    told_asked: bool = False
    announced: int = 0
    told_end: bool = False
    attempts: int = 0
    retry_at: datetime | None = None
    trouble: str = ""
    revision: int = 0

    def holds(self, now: datetime) -> bool:
        """Whether it suspends its rule now; its end is exact, whenever the due entry is served."""
        return self.state is ExceptionState.ACTIVE and now < self.ends

    @property
    def position(self) -> str:
        """Where it stands in lists, the newest last."""
        return f"{self.asked_at:%Y-%m-%dT%H:%M:%S.%fZ}#{self.id}"


_CONDITIONS = {each.name for each in fields(Selection)}
_FIELDS = tuple(each.name for each in fields(ExceptionRecord))
_TIMES = tuple(each.name for each in fields(ExceptionRecord) if "datetime" in str(each.type))


def written(record: ExceptionRecord) -> str:
    """An exception as text; times as ISO 8601."""
    return json.dumps(asdict(record), default=lambda value: value.isoformat())


def read(text: str) -> ExceptionRecord:
    """The exception of such a text. What another release wrote beside is left out; one with a condition that this
    release does not know covers nothing."""
    document = json.loads(text)
    kept: dict[str, Any] = {name: document[name] for name in _FIELDS if name in document}
    times = {name: datetime.fromisoformat(kept[name]) for name in _TIMES if kept.get(name)}
    people = {name: tuple(kept[name]) for name in ("asked_by", "decided_by")}
    known = kept["selection"].keys() <= _CONDITIONS
    selection = Selection(**kept["selection"]) if known else Selection()
    own = {"selection": selection, "state": ExceptionState(kept["state"])}
    return ExceptionRecord(**{**kept, **times, **people, **own})
