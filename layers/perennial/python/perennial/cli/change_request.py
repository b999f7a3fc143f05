"""A change request as people read it. What is asked is shown whole: who approves it sees all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perennial.cli.plain import plain
from perennial.errors import InvalidReply

Document = Mapping[str, Any]
ENDED_WELL, ENDED_BADLY = ("done",), ("rejected", "withdrawn", "expired", "failed")
_FACTS = {  # member -> label, in the order in which they are shown
    "asked_by": "Asked by",
    "principal": "Principal",
    "asked_at": "Asked",
    "reason": "Reason",
    "owner": "Owner",
    "environment": "Environment",
    "expires_at": "Decide by",
    "ended_at": "Ended",
    "message": "Message",
    "digest": "Digest",
}
_TIMES = ("asked_at", "expires_at", "ended_at")
_APART = {*_FACTS, "id", "kind", "managed", "state", "needs", "decisions", "revision"}  # not of what is asked
_LABELS = {"why": "Tell the CA", "version": "Version", "force": "At once"}
_INDENT = 14


def text(document: Document, name: str) -> str:
    """A member as text; "" where there is none."""
    found = document.get(name)
    return str(found) if isinstance(found, str | int | float) else ""


def identified(document: Document) -> str:
    """The id of a request.

    Raises: InvalidReply where the document has none.
    """
    found = text(document, "id")
    if not found:
        raise InvalidReply("the API's reply is no change request; is the command of another version? pip install -U")
    return found


def title(document: Document) -> str:
    """`create shop: waiting`."""
    return f"{text(document, 'kind')} {text(document, 'managed')}: {text(document, 'state')}"


def short(document: Document) -> Iterator[str]:
    """A request in a list: two lines, the first with the whole id, to be copied."""
    yield plain(f"{identified(document)}  {title(document)}")
    wanted = needs(document) if text(document, "state") == "waiting" else ""
    waits = f"; waits for {wanted}" if wanted else ""
    decided = "".join(f"; {each}" for each in _verdicts(document))
    asked_at = minute(text(document, "asked_at"))
    yield plain(f"  {text(document, 'owner')}; asked by {text(document, 'asked_by')} on {asked_at} UTC{decided}{waits}")


def needs(document: Document) -> str:
    """Whom it needs: `1 of shop-team in production, 2 of security`."""
    listed = document.get("needs")
    found = [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    return ", ".join(map(_need, found))


def _need(need: Document) -> str:
    where = f" in {text(need, 'environment')}" if need.get("environment") else ""
    return f"{text(need, 'people')} of {text(need, 'owner') or text(need, 'role')}{where}"


def lines(document: Document) -> Iterator[str]:
    """The whole request."""
    yield plain(f"{title(document)} ({identified(document)})")
    if waits := needs(document):
        yield fact("Needs", waits)
    for name, label in _FACTS.items():
        if found := text(document, name):
            yield fact(label, f"{minute(found)} UTC" if name in _TIMES else found)
    for each in _decisions(document):
        yield fact("Decided", each)
    for name, value in asked(document).items():
        yield fact(_LABELS.get(name, name.removeprefix("declaration.")), value)


def asked(document: Document) -> dict[str, str]:
    """Everything that is asked for, flat: `declaration.names` -> `a.example, b.example`. What this version does not
    know is in it too."""
    return dict(_flat("", {name: value for name, value in document.items() if name not in _APART}))


def minute(time: str) -> str:
    """A time (ISO 8601, UTC) for people."""
    return time[:16].replace("T", " ")


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Leaves with their paths; what is empty is left out."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), each)
    elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        for number, each in enumerate(value):
            yield from _flat(f"{path}.{number}", each)
    elif isinstance(value, list):
        if value:
            yield path, ", ".join(map(str, value))
    elif value not in (None, "", 0, False):
        yield path, "yes" if value is True else str(value)


def differences(before: Document, after: Document) -> Iterator[str]:
    """What another declaration changes, member by member: `names: a.example → a.example, b.example`."""
    old, new = dict(_flat("", before)), dict(_flat("", after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield plain(f"{name}: {old.get(name, '(none)')} → {new.get(name, '(none)')}")


def _decisions(document: Document) -> Iterator[str]:
    for each, verdict in zip(_decided(document), _verdicts(document), strict=True):
        why = f": {each['reason']}" if each.get("reason") else ""
        yield f"{verdict} on {minute(str(each.get('at', '')))} UTC{why}"


def _verdicts(document: Document) -> Iterator[str]:
    """`approved by bert`, of each who decided."""
    return (f"{each.get('verdict', '')} by {each.get('name', '')}" for each in _decided(document))


def _decided(document: Document) -> list[Document]:
    listed = document.get("decisions")
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []


def fact(label: str, value: str) -> str:
    """A line of a thing in full."""
    return plain(f"  {label:<{_INDENT}} {value}")
