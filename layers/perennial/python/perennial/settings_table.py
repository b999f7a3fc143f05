"""One table of perennial.toml while it is read: takes fields, collects problems, reports what nobody took.

Every problem is one bounded line with the field, what was found and what is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from perennial.errors import InvalidInput

T = TypeVar("T")
MAX_TABLES = 100  # of one kind
TABLE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def shown(value: Any) -> str:
    """What was found, on one line. Plain words as they are; numbers that Python refuses to write out by their kind."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,80}", value):
        return value
    try:
        return repr(str(value)[:80])
    except (ValueError, RecursionError):
        return f"this {type(value).__name__}"


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


class Table:
    """One table of the document, `within` another or at its top."""

    def __init__(self, document: Mapping[str, Any], name: str, problems: list[str], within: str = "") -> None:
        value = document.get(name, {})
        self.name = f"{within}.{name}" if within else name
        self.problems = problems
        self._left: dict[str, Any] = dict(value) if isinstance(value, Mapping) else {}
        self._known: list[str] = []
        self._is_table = isinstance(value, Mapping)
        if not self._is_table:
            problems.append(f"{self.name}: {shown(value)} is not a table")

    def take(
        self, key: str, default: Any, convert: Callable[[Any], T | None], accepted: str, *, quote: bool = True
    ) -> T | None:
        """A field, converted; None and a problem where `convert` returns None. It tells the value if `quote` is set."""
        self._known.append(key)
        value = self._left.pop(key, default)
        converted = convert(value)
        if converted is None:
            self.problem(key, f"{shown(value) if quote else 'this value'} is not {accepted}")
        return converted

    def need(self, key: str, convert: Callable[[Any], T | None], accepted: str) -> T | None:
        """A field that must be there, converted; None and a problem where it is not, or `convert` returns None."""
        if key in self._left:
            return self.take(key, None, convert, accepted)
        self._known.append(key)
        if self._is_table:
            self.problem(key, f"missing; it must be {accepted}")
        return None

    def problem(self, key: str, words: str) -> None:
        """Report a problem with a field."""
        self.problems.append(f"{self.name}.{shown(key)}: {words}")

    def done(self, build: Callable[[], T]) -> T:
        """What `build` builds of the table's fields; then every field that it did not take is a problem."""
        built = build()
        known = ", ".join(self._known)
        self.problems += [f"{self.name}.{shown(key)}: not known; there are {known}" for key in self._left]
        return built

    def tables(self) -> Iterator[tuple[str, Table]]:
        """The tables within and their names, where all that is within are tables whose names one chooses."""
        if len(self._left) > MAX_TABLES:
            self.problems.append(f"{self.name}: {len(self._left)} tables; at most {MAX_TABLES} are read")
            return
        for name in self._left:
            if TABLE_NAME.fullmatch(name):
                yield name, Table(self._left, name, self.problems, self.name)
            else:
                self.problems.append(f"{self.name}.{shown(name)}: not a name like {TABLE_NAME.pattern}")

    def text(self, key: str, default: str, pattern: re.Pattern[str]) -> str:
        """A text that fits a pattern."""
        accepted = f"a text like {pattern.pattern}"
        taken = self.take(key, default, lambda v: v if isinstance(v, str) and pattern.fullmatch(v) else None, accepted)
        return default if taken is None else taken

    def texts(self, key: str, default: tuple[str, ...], pattern: re.Pattern[str], every: str = "") -> tuple[str, ...]:
        """A list of texts; the word `every`, where there is one, stands for ()."""

        def convert(value: Any) -> tuple[str, ...] | None:
            if every and value == every:
                return ()
            fits = _are_texts(value) and all(map(pattern.fullmatch, value))
            return tuple(value) if fits else None

        accepted = f"a list of texts like {pattern.pattern}" + (f' or "{every}"' if every else "")
        taken = self.take(key, default, convert, accepted)
        return default if taken is None else taken

    def choice(self, key: str, default: str, options: tuple[str, ...]) -> str:
        """One of some words."""
        accepted = f"one of {', '.join(options)}"
        return (
            self.take(key, default, lambda v: v if isinstance(v, str) and v in options else None, accepted) or default
        )

    def converted(self, key: str, convert: Callable[[str], str], accepted: str, most: int = 100) -> tuple[str, ...]:
        """A list of texts, each as `convert` returns it. One that it refuses is a problem of its own."""
        taken = self.take(key, (), lambda v: v if _are_texts(v) and len(v) <= most else None, f"a list of {accepted}")
        found = []
        for each in taken or ():
            try:
                found.append(convert(each))
            except InvalidInput as error:
                self.problem(key, f"{shown(each)} is refused: {str(error)[:200]}; accepted are {accepted}")
        return tuple(found)

    def choices(self, key: str, default: tuple[str, ...], options: tuple[str, ...]) -> tuple[str, ...]:
        """A list of one or more different words."""

        def convert(value: Any) -> tuple[str, ...] | None:
            fits = _are_texts(value) and value and all(v in options for v in value)
            return tuple(value) if fits and len(set(value)) == len(value) else None

        return self.take(key, default, convert, f"a list of some of {', '.join(options)}, each once") or default

    def mapping(self, key: str, pattern: re.Pattern[str]) -> Mapping[str, str]:
        """A table from texts that fit a pattern to any texts."""

        def convert(value: Any) -> dict[str, str] | None:
            fits = isinstance(value, Mapping) and all(
                pattern.fullmatch(k) and isinstance(v, str) for k, v in value.items()
            )
            return dict(value) if fits else None

        return self.take(key, {}, convert, f"a table from texts like {pattern.pattern} to texts") or {}

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number."""

        def convert(value: Any) -> int | None:
            return value if type(value) is int and least <= value <= most else None

        taken = self.take(key, default, convert, f"a whole number from {least} to {most}")
        return default if taken is None else taken

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        taken = self.take(key, default, lambda v: v if isinstance(v, bool) else None, "true or false")
        return default if taken is None else taken
