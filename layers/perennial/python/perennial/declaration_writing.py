"""A declaration as YAML that people read and edit on: written by itself, or added to a file that keeps its comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from perennial import declaration
from perennial.errors import InvalidInput
from perennial.managed_certificate import ManagedCertificate

INDENT = 2
_PLAIN = re.compile(r"[a-z][a-z0-9]*([._-][a-z0-9]+)*")  # no number and no date in any version of YAML
_WORDS_OF_YAML = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


def text(declared: ManagedCertificate, remarks: Iterable[str] = (), by: int = INDENT) -> str:
    """The entry of a managed certificate, indented by some spaces, its remarks as comments above it."""
    lines = [*(f"# {_one_line(each)}" for each in remarks), f"{_scalar(declared.name)}:"]
    lines += (f"{' ' * INDENT}{each}" for each in _table(declaration.document(declared)))
    return "".join(f"{' ' * by}{each}\n" for each in lines)


def added(file_name: str, before: str, declared: ManagedCertificate, remarks: Sequence[str] = ()) -> str:
    """The text of a file with one more entry at its end; everything that stood in it stays as it was.

    Raises: InvalidInput where the file cannot be read, has an entry of that name, or is laid out so that nothing can be
    added at its end.
    """
    if empty(before):
        return f"{_whole_lines(before)}{declaration.TOP}:\n{text(declared, remarks)}"
    known = declaration.read([(file_name, before)])
    if any(each.name == declared.name for each in known.certificates):
        raise InvalidInput(f"{file_name} declares {declared.name} already; choose another name with --name")
    by = _indentation(before)
    after = f"{_whole_lines(before)}{text(declared, remarks, by)}" if by else ""
    if not _holds(after, declaration.document(declared), known, declared.name):
        raise InvalidInput(
            f"{file_name} is laid out so that nothing can be added at its end; add what adopt prints by hand"
        )
    return after


def _whole_lines(before: str) -> str:
    return before if not before or before.endswith("\n") else f"{before}\n"


def empty(before: str) -> bool:
    """Whether a text says nothing: comments and blank lines alone."""
    return all(not line.strip() or line.startswith("#") for line in before.splitlines())


def _holds(after: str, entry: Mapping[str, Any], known: declaration.Reading, name: str) -> bool:
    """Whether a text declares what was known and the new entry, which a person may have to complete."""
    from perennial import declaration_text

    found = declaration_text.read(after, declaration.WHOLE_NUMBERS)
    listed = found.document.get(declaration.TOP) if isinstance(found.document, Mapping) else None
    if found.problems or not isinstance(listed, Mapping):
        return False
    others = {key: value for key, value in listed.items() if key != name}
    return listed.get(name) == entry and declaration.parse({declaration.TOP: others}) == list(known.certificates)


def _indentation(before: str) -> int:
    """How far the entries are indented; 0 where they are not in block style."""
    found = re.search(rf"^{declaration.TOP}:[ \t]*(#.*)?\r?\n([ \t]*(#.*)?\r?\n)*( +)[^ #\r\n]", before, re.MULTILINE)
    return len(found[4]) if found else 0


def _table(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"{' ' * INDENT}{each}" for each in _table(value))
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{key}:"
            for entry in value:
                yield from (f"{'  - ' if at == 0 else '    '}{each}" for at, each in enumerate(_table(entry)))
        else:
            yield f"{key}: {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_scalar, value))}]"
    return str(value) if isinstance(value, int) else _scalar(value)


def _scalar(value: str) -> str:
    """A text, plain where no reader could take it for something else."""
    if _PLAIN.fullmatch(value) and value not in _WORDS_OF_YAML:
        return value
    return "".join(
        each if each.isprintable() else f"\\U{ord(each):08x}" for each in json.dumps(value, ensure_ascii=False)
    )


def _one_line(remark: str) -> str:
    return "".join(each if each.isprintable() else " " for each in remark)[:500]
