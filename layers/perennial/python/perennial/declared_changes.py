"""What applying a declaration would change, name by name and field by field, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from perennial.declaration import document
from perennial.inventory.records import ManagedRecord
from perennial.managed_certificate import ManagedCertificate


class ChangeKind(StrEnum):
    """What becomes of a managed certificate."""

    ADDED = "added"  # it is new, or declared again after it was removed
    CHANGED = "changed"
    REMOVED = "removed"  # no longer declared; it stays until someone prunes
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field before and after, as texts; "" where it is not there. Fields of targets are named
    `targets.<name>.<field>`, and `targets` itself is their order."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One managed certificate. `declared` is what it will be, `record` what is kept of it now; None where there is
    none."""

    kind: ChangeKind
    name: str
    fields: tuple[FieldChange, ...] = ()
    declared: ManagedCertificate | None = field(default=None, repr=False)
    record: ManagedRecord | None = field(default=None, repr=False)


def changes(declared: Sequence[ManagedCertificate], existing: Sequence[ManagedRecord]) -> tuple[Change, ...]:
    """Every managed certificate that is declared, in its order, then those that are no longer, by name."""
    known = {each.name: each for each in existing}
    named = {each.name for each in declared}
    gone = sorted(name for name, record in known.items() if record.removed_at is None and name not in named)
    return (*(_of(each, known.get(each.name)) for each in declared), *(_removed(known[name]) for name in gone))


def _of(declared: ManagedCertificate, record: ManagedRecord | None) -> Change:
    before = record.declared if record and record.removed_at is None else None
    if before == declared:
        return Change(kind=ChangeKind.UNCHANGED, name=declared.name, declared=declared, record=record)
    kind = ChangeKind.CHANGED if before else ChangeKind.ADDED
    different = tuple(_different(before, declared))
    return Change(kind=kind, name=declared.name, fields=different, declared=declared, record=record)


def told_of(record: ManagedRecord | None, after: ManagedCertificate | None) -> tuple[dict[str, str], dict[str, str]]:
    """What the audit trail tells of a declaration: its fields that differ from the one before, before and after."""
    before = record.declared if record and record.removed_at is None else None
    different = tuple(_different(before, after))
    was = {each.field: each.before for each in different if each.before}
    return was, {each.field: each.after for each in different if each.after}


def _removed(record: ManagedRecord) -> Change:
    different = tuple(_different(record.declared, None))
    return Change(kind=ChangeKind.REMOVED, name=record.name, fields=different, record=record)


def _different(before: ManagedCertificate | None, after: ManagedCertificate | None) -> Iterator[FieldChange]:
    was = dict(_fields(before)) if before else {}
    now = dict(_fields(after)) if after else {}
    for name in dict.fromkeys((*now, *was)):
        if was.get(name, "") != now.get(name, ""):
            yield FieldChange(name, was.get(name, ""), now.get(name, ""))


def _fields(declared: ManagedCertificate) -> Iterator[tuple[str, str]]:
    """Every field that is not left at its default, and its value as a text."""
    for name, value in document(declared).items():
        if name == "targets":
            yield name, ", ".join(each["name"] for each in value)
            yield from (pair for each in value for pair in _of_table(f"{name}.{each['name']}", each))
        elif isinstance(value, Mapping):
            yield from _of_table(name, value)
        else:
            yield name, _text(value)


def _of_table(name: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((f"{name}.{key}", _text(value)) for key, value in table.items() if key != "name")


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
