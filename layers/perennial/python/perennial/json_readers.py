"""Readers for JSON that may be hostile: a text, then each value where it stands. Pure.

    read = members({"id": line(1, 40), "count": whole(0, 10)}, parsed(text, "the file", 1_000), "file", "perennial x")

Numbers are whole: a number with a fraction has more than one spelling, and who checks a hash in another language would
write another one (RFC 8785 section 3.2.2.3). Every error is InvalidInput, with the place and what is read there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from perennial.checks.wording import quoted
from perennial.errors import InvalidInput

MAX_WHOLE = 2**53 - 1  # what every reader of JSON knows exactly (RFC 8259 section 6)
Reader = Callable[[Any, str], Any]


def parsed(text: str, what: str, most: int) -> Any:
    """The value of a JSON text of at most so many characters; `what` names it in an error.

    Raises: InvalidInput, also for a member that is there twice, a number with a fraction, NaN and Infinity.
    """
    if len(text) > most:
        raise InvalidInput(f"{what} has more than {most} characters")
    try:
        return json.loads(text, object_pairs_hook=once, parse_float=_no_fraction, parse_constant=_no_fraction)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} cannot be read as JSON: {quoted(error, 200)}") from error


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without a member that is there twice: readers would not agree about its value (RFC 8259 4).

    Raises: ValueError.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a member twice")
    return found


def _no_fraction(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a whole number")


# --- readers: each takes a value and where it stands ---


def members(readers: Mapping[str, Reader], value: Any, where: str, made_by: str) -> dict[str, Any]:
    """The members of an object, each by its reader; it has all of them and no other. `made_by` writes such objects.

    Raises: InvalidInput.
    """
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} is not an object; give what {made_by} writes")
    missing, more = [each for each in readers if each not in value], [each for each in value if each not in readers]
    if missing or more:
        wrong = f"{where} has no member {missing[0]}" if missing else f"{where} has the member {quoted(more[0], 40)}"
        raise InvalidInput(f"{wrong}; give what {made_by} writes")
    return {name: reader(value[name], f"{where}.{name}") for name, reader in readers.items()}


def line(least: int, most: int) -> Reader:
    """A text on one line."""

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or not least <= len(value) <= most or not value.isprintable():
            raise InvalidInput(f"{where} is not a text of {least} to {most} characters on one line")
        return value

    return read


def like(pattern: re.Pattern[str], words: str) -> Reader:
    """A text of a known form."""

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise InvalidInput(f"{where} is not {words}")
        return value

    return read


def choice(*words: str) -> Reader:
    """One of some words."""
    return like(re.compile("|".join(map(re.escape, words))), f"one of {', '.join(words)}")


def whole(least: int, most: int = MAX_WHOLE) -> Reader:
    """A whole number."""

    def read(value: Any, where: str) -> int:
        if type(value) is not int or not least <= value <= most:
            raise InvalidInput(f"{where} is not a whole number from {least} to {most}")
        return value

    return read


def several(reader: Reader, most: int) -> Reader:
    """A list."""

    def read(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise InvalidInput(f"{where} is not a list of at most {most}")
        return tuple(reader(each, f"{where}[{number}]") for number, each in enumerate(value))

    return read


def optional(reader: Reader) -> Reader:
    """What a reader takes, or null."""
    return lambda value, where: None if value is None else reader(value, where)


sha256 = like(re.compile(r"[0-9a-f]{64}"), "a SHA-256 in lower-case hexadecimal")
