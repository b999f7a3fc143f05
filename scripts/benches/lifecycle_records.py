"""Changed copies of the inventory's records. A simulation makes tens of millions: as `dataclasses.replace`, in less
than half its time, since nothing is validated and no constructor runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

Record = TypeVar("Record")
Setter = Callable[[Any, Any], None]


@cache
def _slots(kind: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[Setter, ...], Mapping[str, Setter]]:
    names = [each.name for each in fields(kind)]
    setters = {name: getattr(kind, name).__set__ for name in names}
    return attrgetter(*names), tuple(setters.values()), setters


def changed(record: Record, /, **changes: Any) -> Record:
    """A copy of a frozen dataclass with slots, with some fields changed. Raises KeyError for others than it has."""
    kind: Any = type(record)
    values, setters, by_name = _slots(kind)
    made: Record = object.__new__(kind)
    for put, value in zip(setters, values(record), strict=True):
        put(made, value)
    for name, value in changes.items():
        by_name[name](made, value)
    return made
