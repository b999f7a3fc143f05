"""A YAML text of declarations as plain values, with the line of each. JSON is YAML, and read too.

What may stand in it is bounded: size, depth, number of values; no anchors and aliases (a few lines of them unfold to
millions), no tags (a tag can name a type to construct), no key twice (YAML forbids it, and most readers take the last
silently). Every scalar stays the text that stands there, quoted or not: `no` is no boolean, `2026-01-02` no date,
`0x1f` no number. Where a whole number is wanted, a plain one becomes one; a plain `null`, `~` or nothing is None.

Sources: YAML 1.2.2 (chapters 3.2.1.1 and 6.9 on keys, tags and anchors); PyYAML's events, which are made one by one, so
that reading stops where a bound is reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from perennial.settings_table import shown

MAX_TEXT = 5_000_000  # characters
MAX_VALUES = 500_000
MAX_DEPTH = 12
MAX_PROBLEMS = 200
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,14}")
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_NOTHING = ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class Text:
    """What was read. `lines` has the line of each value by its path (`certificates.shop.targets[1].kind`), `problems`
    pairs of a line and what is wrong there. `whole`: the text was read to its end."""

    document: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    whole: bool = False


def read(text: str, whole_numbers: frozenset[str] = frozenset()) -> Text:
    """The values of a text; those of the keys in `whole_numbers` are whole numbers. It raises nothing: what is wrong
    stands among the problems."""
    found = _Reader(whole_numbers)
    text = text.removeprefix("\ufeff")  # some editors begin a file so
    if len(text) > MAX_TEXT:
        found.problem(1, f"the text has {len(text)} characters; at most {MAX_TEXT} are read")
        return found.text
    if text.lstrip().startswith("{"):
        text = _PAIR.sub(_character, text)
    try:
        text.encode()
    except UnicodeEncodeError:
        found.problem(1, "the text holds half a surrogate pair, which is no character; write the whole one")
        return found.text
    _read(text, found)
    return found.text


def _read(text: str, found: _Reader) -> None:
    import yaml  # type: ignore[import-untyped]

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, ten times as fast
    try:
        for event in yaml.parse(text, Loader=loader):
            found.take(event)
            if found.stopped:
                return
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        found.problem(mark.line + 1 if mark else 1, _words(error))
    except yaml.reader.ReaderError as error:
        found.problem(_line_of(text, error.position), f"this is no text of YAML: {str(error.reason)[:100]}")
    else:
        found.text.whole = True


def _character(pair: re.Match[str]) -> str:
    """The character that JSON writes as two escapes (RFC 8259 section 7), which YAML does not put together."""
    return pair[1] + chr(0x10000 + ((int(pair[2], 16) - 0xD800) << 10) + int(pair[3], 16) - 0xDC00)


def _words(error: Any) -> str:
    parts = [" ".join(str(each).split())[:200] for each in (error.context, error.problem) if each]
    return f"this is not YAML: {', '.join(parts)}; indent with spaces, and quote texts that begin with one of {{[*&!%@`"


def _line_of(text: str, position: Any) -> int:
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 1


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end was not read yet. `key` waits for its value, which goes to `holder`."""

    path: str
    values: dict[str, Any] | list[Any]
    holder: Any
    key: str | None = None


class _Reader:
    """Puts events together. Nothing here calls itself: how deep a text nests does not matter."""

    def __init__(self, whole_numbers: frozenset[str]) -> None:
        from yaml import events

        self.text = Text()
        self._events: Any = events
        self.stopped = False
        self._whole_numbers = whole_numbers
        self._open: list[_Open] = []
        self._count = self._documents = 0

    def problem(self, line: int, words: str) -> None:
        self.text.problems.append((line, words))
        self.stopped = self.stopped or len(self.text.problems) >= MAX_PROBLEMS

    def stop(self, line: int, words: str) -> None:
        self.problem(line, words)
        self.stopped = True

    def take(self, event: Any) -> None:
        """One event of the parser."""
        line = event.start_mark.line + 1
        if isinstance(event, self._events.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.stop(line, "a second document begins here; write one, without ---")
        elif isinstance(event, self._events.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, self._events.NodeEvent):
            self._count += 1
            if self._count > MAX_VALUES:
                return self.stop(line, f"there are more than {MAX_VALUES} values; write several files")
            self._node(event, line)
        return None

    def _node(self, event: Any, line: int) -> None:
        for words in _refused(event):
            self.problem(line, words)
        into = self._open[-1] if self._open else None
        if into and isinstance(into.values, dict) and into.key is None:
            if not isinstance(event, self._events.ScalarEvent):
                return self.stop(line, f"{into.path or 'the top'}: a key must be a text, and here is something else")
            return self._key(into, event.value, line)
        path = _path(into)
        self.text.lines.setdefault(path, line)
        if isinstance(event, self._events.CollectionStartEvent):
            return self._begin(into, path, isinstance(event, self._events.MappingStartEvent), line)
        self._put(into, self._scalar(event, into.key if into else None))
        return None

    def _key(self, into: _Open, key: str, line: int) -> None:
        into.key, into.holder = key, into.values
        path = _path(into)
        if isinstance(into.values, dict) and key in into.values:
            first = self.text.lines[path]
            self.problem(line, f"{path}: this key is here a second time; the first is in line {first}")
            into.holder = {}
        self.text.lines.setdefault(path, line)

    def _begin(self, into: _Open | None, path: str, mapping: bool, line: int) -> None:
        if len(self._open) >= MAX_DEPTH:
            return self.stop(line, f"it nests deeper than {MAX_DEPTH} levels")
        values: dict[str, Any] | list[Any] = {} if mapping else []
        self._put(into, values)
        self._open.append(_Open(path, values, values))
        return None

    def _put(self, into: _Open | None, value: Any) -> None:
        if into is None:
            self.text.document = value
        elif isinstance(into.values, list):
            into.values.append(value)
        else:
            into.holder[into.key] = value
            into.key = None

    def _scalar(self, event: Any, key: str | None) -> str | int | None:
        value = getattr(event, "value", None)  # an alias has none
        if value is None or event.style in ("'", '"', "|", ">"):
            return value
        if value in _NOTHING:
            return None
        return int(value) if key in self._whole_numbers and _WHOLE.fullmatch(value) else str(value)


def _path(into: _Open | None) -> str:
    if into is None:
        return ""
    if isinstance(into.values, list):
        return f"{into.path}[{len(into.values) + 1}]"
    return f"{into.path}.{shown(into.key)}" if into.path else shown(into.key)


def _refused(event: Any) -> Iterator[str]:
    tag = getattr(event, "tag", None)
    if event.anchor and not hasattr(event, "tag"):
        yield f"the alias {shown(event.anchor)} is not read; write out what it stands for"
    elif event.anchor:
        yield f"the anchor {shown(event.anchor)} is not read; remove it"
    if tag and tag != "!":  # "!" alone says that a scalar is a text
        yield f"the tag {shown(tag)} is not read; remove it"
