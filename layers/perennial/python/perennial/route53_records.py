"""Record sets of Route 53: what one holds, how values are put into it and taken out, and what fits one request. Pure.

Sources: API_ResourceRecordSet, API_ResourceRecord, API_ChangeResourceRecordSets; "Quotas" and "DNS domain name format"
in the Route 53 developer guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from perennial.errors import InvalidConfiguration, InvalidInput, ServiceRefused

TTL = 60  # seconds, of record sets that Perennial creates
MAX_VALUES = 400  # of one record set
MAX_VALUE = 4_000  # characters of one value
BATCH_RECORDS = 1_000  # values in one request, those of a DELETE and those of a CREATE
BATCH_CHARACTERS = 32_000  # of all values in one request
STRING = 255  # bytes of one of the strings of a TXT value (RFC 1035 3.3)
_PLAIN = frozenset({"Name", "Type", "TTL", "ResourceRecords"})
_ESCAPE = re.compile(r"\\([0-3][0-7]{2})")
_NAME = re.compile(r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """One record set. `name` is spelled as Route 53 spells it, `values` are in its own form: TXT values with quotes."""

    name: str
    type: str
    ttl: int  # seconds
    values: tuple[str, ...]
    special: bool = False  # an alias, or one of several under a routing policy

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> RecordSet:
        """From an answer of ListResourceRecordSets."""
        return cls(
            name=found["Name"],
            type=found["Type"],
            ttl=int(found.get("TTL", 0)),
            values=tuple(each["Value"] for each in found.get("ResourceRecords", ())),
            special=not _PLAIN.issuperset(found),
        )

    def document(self) -> dict[str, Any]:
        """As ChangeResourceRecordSets takes it."""
        values = [{"Value": each} for each in self.values]
        return {"Name": self.name, "Type": self.type, "TTL": self.ttl, "ResourceRecords": values}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Values that are to be at a name, or no longer there. `confirm`: what is there already is written once more, so
    that there is a change whose spreading can be asked for."""

    name: str
    type: str  # TXT or CNAME
    values: tuple[str, ...]
    add: bool
    confirm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A record set as it was read, and as it is to be: Route 53 refuses the change unless `before` is still there,
    with all its values and its TTL, or still nothing is."""

    before: RecordSet | None
    after: RecordSet | None

    @property
    def changes(self) -> list[dict[str, Any]]:
        """As ChangeResourceRecordSets takes them, in this order."""
        steps = (("DELETE", self.before), ("CREATE", self.after))
        return [{"Action": action, "ResourceRecordSet": each.document()} for action, each in steps if each]

    @property
    def values(self) -> tuple[str, ...]:
        """Every value of the request, which its limits count."""
        return tuple(value for each in (self.before, self.after) if each for value in each.values)


def edit(wish: Wish, found: Iterable[RecordSet]) -> Edit | None:
    """What brings a wish about, where `found` is at its name; None where nothing is to be done.

    Raises: InvalidConfiguration where someone's record stands in the way, ServiceRefused where one gets too large.
    """
    same = [each for each in found if each.type == wish.type]
    if any(each.special for each in same):
        if wish.add:
            raise InvalidConfiguration(_SPECIAL.format(name=wish.name, type=wish.type))
        return None  # what is there was not made here
    before = same[0] if same else None
    made = _with(wish, before) if wish.add else _without(wish, before)
    return _checked(wish, made) if made else None


_SPECIAL = (
    "{name} has {type} records that are an alias or have a routing policy, and no value can be added to those; replace "
    "them by a simple record, or make {name} a CNAME to a name elsewhere"
)


def _with(wish: Wish, before: RecordSet | None) -> Edit | None:
    if before is None:
        values = tuple(dict.fromkeys(wish.values))
        return Edit(before=None, after=RecordSet(name=f"{wish.name}.", type=wish.type, ttl=TTL, values=values))
    held = {_compared(wish.type, value) for value in before.values}
    new = tuple(each for each in dict.fromkeys(wish.values) if _compared(wish.type, each) not in held)
    if wish.type == "CNAME" and new:
        raise InvalidConfiguration(
            f"{wish.name} is a CNAME to {before.values[0][:253]} already, and is to be one to {new[0]}; remove the old "
            f"record if nothing needs it"
        )
    return Edit(before=before, after=replace(before, values=before.values + new)) if new or wish.confirm else None


def _without(wish: Wish, before: RecordSet | None) -> Edit | None:
    if before is None:
        return None
    gone = {_compared(wish.type, value) for value in wish.values}
    left = tuple(value for value in before.values if _compared(wish.type, value) not in gone)
    if left == before.values:
        return None
    return Edit(before=before, after=replace(before, values=left) if left else None)


def _compared(kind: str, value: str) -> str:
    return canonical(value) if kind == "CNAME" else value


def _checked(wish: Wish, made: Edit) -> Edit:
    count = len(made.after.values) if made.after else 0
    longest = max(map(len, wish.values))
    if longest > MAX_VALUE:
        raise InvalidInput(f"{wish.name}: a value has {longest} characters, and Route 53 takes {MAX_VALUE}")
    if count > MAX_VALUES or not _fits(made.values):
        raise ServiceRefused(
            f"{wish.name} would have {count} values, more than Route 53 takes (at most {MAX_VALUES}, and "
            f"{BATCH_CHARACTERS} characters in one change, old and new): remove values that nothing needs any more"
        )
    return made


def _fits(values: tuple[str, ...]) -> bool:
    return len(values) <= BATCH_RECORDS and sum(map(len, values)) <= BATCH_CHARACTERS


def batches(edits: Iterable[Edit]) -> Iterator[tuple[Edit, ...]]:
    """The edits of one zone in as few requests as the limits allow, each edit whole."""
    batch: tuple[Edit, ...] = ()
    for each in edits:
        if batch and not _fits(tuple(value for one in (*batch, each) for value in one.values)):
            yield batch
            batch = ()
        batch = (*batch, each)
    if batch:
        yield batch


def quoted(text: str) -> str:
    """A text as a TXT value: strings of at most 255 bytes in quotes, what is not printable ASCII in octal."""
    data = text.encode()
    parts = (data[start : start + STRING] for start in range(0, max(1, len(data)), STRING))
    return " ".join(f'"{"".join(map(_escaped, part))}"' for part in parts)


def _escaped(byte: int) -> str:
    return chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}"


def canonical(name: str) -> str:
    """A DNS name as it is compared: lower case, no dot at its end, no escapes (Route 53 writes `*` as `\\052`)."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), name).lower().removesuffix(".")


def checked_name(text: str) -> str:
    """The canonical form of a name that a record may have or point to.

    Raises: InvalidInput.
    """
    name = canonical(text[:1_024])
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise InvalidInput(f"{text[:80]!r} is not a name that a DNS record can have")
    return name
