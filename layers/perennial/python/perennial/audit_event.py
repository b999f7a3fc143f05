"""An audit event: who did what to which subject, when, why, and how it ended. Pure.

What is hashed is one canonical text (`text`): the JSON of everything with sorted members, no spaces, in UTF-8. What
comes back from storage or a file is not trusted: `of` takes what `document` writes and nothing else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from perennial import audit_json as reading
from perennial.audit_secrets import WITHHELD, looks_secret, secret_in
from perennial.errors import InvalidInput

SCHEMA = 1  # of the canonical text; another one is another text
DONE, REFUSED = "done", "refused"
SOURCES = ("api", "cli", "tick", "workflow")
MAX_LINE = 500  # characters of a principal, a subject's name, an owner
MAX_WHY = 2_000
MAX_TEXT = 16_000  # characters of one text in before and after: a chain in PEM fits
MAX_DEPTH = 12
MAX_VALUES = 2_000  # in before, and in after
MAX_EVENT = 64 * 1024  # bytes of the canonical text; DynamoDB keeps 400 KB in an item
MAX_STATE = 24 * 1024  # bytes of before, and of after, as `fitting` makes them
CUT = "(cut: {})"


class Verb(StrEnum):
    """What an action does to its subject."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"


ACTIONS: Mapping[str, Verb] = {  # the one registry: nothing else is an action
    "managed.create": Verb.CREATE,
    "managed.change": Verb.UPDATE,
    "managed.adopt": Verb.CREATE,
    "managed.renew": Verb.UPDATE,
    "managed.deploy": Verb.UPDATE,
    "managed.restore": Verb.UPDATE,
    "managed.revoke": Verb.UPDATE,
    "managed.retire": Verb.DELETE,
    "request.create": Verb.CREATE,
    "request.change": Verb.UPDATE,
    "request.cancel": Verb.DELETE,
    "request.expire": Verb.UPDATE,
    "approval.ask": Verb.CREATE,
    "approval.approve": Verb.UPDATE,
    "approval.reject": Verb.UPDATE,
    "exception.create": Verb.CREATE,
    "exception.change": Verb.UPDATE,
    "exception.approve": Verb.UPDATE,
    "exception.reject": Verb.UPDATE,
    "exception.end": Verb.DELETE,
    "version.request": Verb.CREATE,
    "version.issue": Verb.CREATE,
    "version.revoke": Verb.UPDATE,
    "version.retire": Verb.DELETE,
    "key.export": Verb.READ,
    "discovery.start": Verb.CREATE,
    "finding.acknowledge": Verb.UPDATE,
    "inventory.read": Verb.READ,
    "settings.read": Verb.READ,
    "proof.read": Verb.READ,
    "audit.read": Verb.READ,
    "audit.export": Verb.READ,
    "access.refuse": Verb.READ,  # a caller who is nobody: no token, or one that does not hold
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened. Times are UTC. One beyond the limits cannot be made; what else a new one must be, `admit` says.

    `id` is 32 hexadecimal digits, the same however often it is appended. `principal`: an ARN, or a person's name at the
    identity provider. `before` and `after`: what changed of the subject, plain JSON without numbers with a fraction.
    `why`: the words of who asked. `request`: the id of the request it belongs to. `reason`: why it was refused.
    Raises: InvalidInput.
    """

    id: str
    at: datetime
    principal: str
    source: str
    action: str
    subject_kind: str
    subject: str
    owner: str = ""
    before: Any = None
    after: Any = None
    why: str = ""
    request: str = ""
    outcome: str = DONE
    reason: str = ""

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise InvalidInput("the time of an audit event has no zone; give one in UTC")
        object.__setattr__(self, "at", self.at.astimezone(UTC))
        for name in _TEXTS:
            _EVENT[name](getattr(self, name), f"event.{name}")
        if (self.outcome == REFUSED) != bool(self.reason):
            raise InvalidInput("an audit event that is refused has a reason, and no other one has")
        for name in ("before", "after"):
            object.__setattr__(self, name, _plain(getattr(self, name), f"event.{name}"))
        _fits(text(self))


def happened(at: datetime, **facts: Any) -> Event:
    """A new event, with an id of its own.

    Raises: InvalidInput.
    """
    event = Event(id=secrets.token_hex(16), at=at, **facts)
    admit(event)
    return event


def admit(event: Event) -> None:
    """Nothing, when an event may come into the trail: its action and source are known, and it holds no secret. One that
    is read may be of another release, and so is not asked this.

    Raises: InvalidInput.
    """
    if event.action not in ACTIONS or event.source not in SOURCES:
        known = "perennial.audit_event.ACTIONS and SOURCES"
        raise InvalidInput(f"{event.source} and {event.action} are no source and action that are known: see {known}")
    for name in (*_TEXTS, "before", "after"):
        if found := secret_in(getattr(event, name), name):
            raise InvalidInput(f"an audit event is not kept: {found}; leave the secret out, and replace it")


def _fits(canonical: str) -> None:
    size = len(canonical.encode())
    if size > MAX_EVENT:
        raise InvalidInput(f"an audit event has {size} bytes; at most {MAX_EVENT} are kept: give before and after less")


# --- as a text, a document and back ---


def text(event: Event) -> str:
    """What is hashed."""
    return reading.canonical(document(event))


def document(event: Event) -> dict[str, Any]:
    """As it is stored and exported: plain values, which `of` reads again."""
    own = {each.name: getattr(event, each.name) for each in fields(event)}
    return {"schema": SCHEMA, **own, "at": reading.written(event.at)}


def of(document: object, where: str = "event") -> Event:
    """The event that a document holds.

    Raises: InvalidInput with the member that is not as `document` writes it.
    """
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        raise InvalidInput(f"{where} has another schema than {SCHEMA}, which is read here; use the release it is of")
    read = reading.members({"schema": reading.whole(SCHEMA, SCHEMA), **_EVENT}, document, where)
    del read["schema"]
    return Event(**read)


def _plain(value: Any, where: str) -> Any:
    """A copy of a plain value: objects, lists, texts, whole numbers, true, false, null, within the limits."""
    left = [MAX_VALUES]
    return _copied(value, where, MAX_DEPTH, left)


def _copied(value: Any, where: str, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth < 0 or left[0] < 0:
        raise InvalidInput(f"{where} has more than {MAX_VALUES} values, or is deeper than {MAX_DEPTH}; give less of it")
    if isinstance(value, dict):
        return {_name(name, where): _copied(each, where, depth - 1, left) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(each, where, depth - 1, left) for each in value]
    if type(value) is int and abs(value) > reading.MAX_WHOLE:
        raise InvalidInput(f"{where} has a number of more than 53 bits; give it as a text")
    if isinstance(value, str):
        return _encodable(str(value), where)
    if value is None or type(value) in (bool, int):
        return value
    raise InvalidInput(f"{where} has a {type(value).__name__}; give plain JSON, numbers with a fraction as texts")


def _name(name: Any, where: str) -> str:
    if not isinstance(name, str) or len(name) > MAX_LINE:
        raise InvalidInput(f"{where} has a member whose name is no text of at most {MAX_LINE} characters")
    return _encodable(name, where)


def _encodable(value: str, where: str) -> str:
    if len(value) > MAX_TEXT:
        raise InvalidInput(f"{where} has a text of {len(value)} characters; at most {MAX_TEXT} are kept")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{where} has a text that UTF-8 cannot write (half of a surrogate pair)") from error
    return value


def fitting(value: Any) -> Any:
    """A value as `before` and `after` take it: dataclasses as objects, times and other kinds as texts, what looks like
    a secret withheld, what is too long or too much cut. For callers whose change happens whether or not all of it can
    be kept."""
    made = _fitted(value, MAX_DEPTH - 1)
    try:
        size = len(reading.canonical(_plain(made, "value")).encode())
    except InvalidInput:
        return CUT.format("too many values")
    return made if size <= MAX_STATE else CUT.format(f"{size} bytes")


def _fitted(value: Any, depth: int) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if depth <= 0 and isinstance(value, Mapping | list | tuple | set | frozenset):
        return CUT.format("too deep")
    if isinstance(value, Mapping):
        return _fitted_object({str(name): _fitted(each, depth - 1) for name, each in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        every = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_fitted(each, depth - 1) for each in every]
    if value is None or type(value) is bool or (type(value) is int and abs(value) <= reading.MAX_WHOLE):
        return value
    return _fitted_text(value)


def _fitted_object(made: dict[str, Any]) -> Any:
    """Without the values of members that are named as secrets; withheld where more of it looks like one."""
    kept = {_clean(name)[:MAX_LINE]: WITHHELD if secret_in({name: each}, "") else each for name, each in made.items()}
    return WITHHELD if secret_in(kept, "") else kept


def _fitted_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    shown = _clean(value.hex() if isinstance(value, bytes) else str(value))
    if looks_secret(shown):
        return WITHHELD
    most = MAX_TEXT // 8
    return shown if len(shown) <= most else shown[:most] + CUT.format(f"{len(shown)} characters")


def _clean(shown: str) -> str:
    return shown.encode("utf-8", "replace").decode()


_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}")
_id = reading.like(re.compile(r"[0-9a-f]{32}"), "an id of 32 hexadecimal digits")
_EVENT: dict[str, reading.Reader] = {
    "id": _id,
    "at": reading.time,
    "principal": reading.line(1, MAX_LINE),
    "source": reading.like(_WORD, "a source like cli"),
    "action": reading.like(re.compile(r"[a-z-]{1,40}\.[a-z-]{1,40}"), "an action like managed.renew"),
    "subject_kind": reading.like(_WORD, "a kind of subject like managed or certificate"),
    "subject": reading.line(1, MAX_LINE),
    "owner": reading.line(0, MAX_LINE),
    "before": lambda value, where: value,
    "after": lambda value, where: value,
    "why": reading.line(0, MAX_WHY),
    "request": reading.line(0, 200),
    "outcome": reading.choice(DONE, REFUSED),
    "reason": reading.line(0, MAX_WHY),
}
assert set(_EVENT) == {each.name for each in fields(Event)}, "a member of Event that is not read"
_TEXTS = tuple(each for each in _EVENT if each not in ("at", "before", "after"))
