"""How the commands that take declarations read files, and show what would change."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from perennial.cli.plain import plain
from perennial.declared_changes import Change, ChangeKind
from perennial.errors import InvalidInput

if TYPE_CHECKING:
    from perennial.declaration import Reading

MAX_FILE = 20_000_000  # bytes
SHOWN = 200  # changes in full on a terminal; all of them are in JSON
_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.CHANGED: "~", ChangeKind.REMOVED: "-"}
_STYLES = {ChangeKind.ADDED: "green", ChangeKind.CHANGED: "yellow", ChangeKind.REMOVED: "red"}


def read(files: Sequence[Any]) -> Reading:
    """What the files declare together.

    Raises: InvalidInput with every problem.
    """
    from perennial import declaration

    return declaration.read((_name(each), _text(each)) for each in files)


def _name(file: Any) -> str:
    name = getattr(file, "name", "-")  # what stands in for stdin may have none
    return "stdin" if name in ("-", "<stdin>") else str(name)


def _text(file: Any) -> str:
    data: bytes = file.read(MAX_FILE + 1)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{_name(file)} is not a text in UTF-8") from error


def counts(found: Sequence[Change], *, prune: bool) -> bool:
    """Whether anything would be written."""
    return any(_written(each, prune) for each in found)


def _written(change: Change, prune: bool) -> bool:
    return change.kind in (ChangeKind.ADDED, ChangeKind.CHANGED) or (change.kind is ChangeKind.REMOVED and prune)


def show(found: Sequence[Change], *, prune: bool) -> None:
    """The differences, field by field, on stdout."""
    from rich.text import Text

    from perennial.cli.tables import console

    out = console(sys.stdout)
    written = [each for each in found if _written(each, prune)]
    for each in written[:SHOWN]:
        for style, line in _lines(each):
            out.print(Text(line, style), soft_wrap=True)
    if len(written) > SHOWN:
        out.print(Text(f"… and {len(written) - SHOWN:,} more: --json shows all", "dim"))
    out.print(Text(summary(found, prune=prune)), soft_wrap=True)


def _lines(change: Change) -> Iterator[tuple[str, str]]:
    yield f"bold {_STYLES[change.kind]}", f"{_SIGNS[change.kind]} {plain(change.name)}"
    if change.kind is ChangeKind.REMOVED:
        return
    for each in change.fields:
        before, after = plain(each.before), plain(each.after)
        told = after if change.kind is ChangeKind.ADDED else f"{before or '(none)'} → {after or '(none)'}"
        yield "", f"    {plain(each.field)}: {told}"


def summary(found: Sequence[Change], *, prune: bool, done: bool = False) -> str:
    """How many there are of each kind, in one line."""
    count = {kind: sum(each.kind is kind for each in found) for kind in ChangeKind}
    kept = count[ChangeKind.REMOVED] and not prune
    gone = "no longer declared, and kept (--prune retires them)" if kept else "removed" if done else "to remove"
    words = {
        ChangeKind.ADDED: "added" if done else "to add",
        ChangeKind.CHANGED: "changed" if done else "to change",
        ChangeKind.REMOVED: gone,
        ChangeKind.UNCHANGED: "unchanged",
    }
    return ", ".join(f"{count[kind]:,} {word}" for kind, word in words.items())


def rows(found: Sequence[Change], *, prune: bool) -> Iterator[dict[str, Any]]:
    """Every change as JSON has it. `written`: whether applying writes it."""
    for each in found:
        yield {
            "name": each.name,
            "change": each.kind,
            "written": _written(each, prune),
            "fields": [
                {"field": one.field, "before": one.before or None, "after": one.after or None} for one in each.fields
            ],
        }
