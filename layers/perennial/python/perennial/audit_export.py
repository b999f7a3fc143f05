"""An export of the audit trail: JSON lines that anybody can check without Perennial's table and without AWS.

| line | what |
| --- | --- |
| 1 | `export`: the days, when it was made, and how many links each chain had then |
| then | `key`: a public key in PEM, one for each key that signed a checkpoint |
| then | `checkpoint`: the signed checkpoints of those days, and all between them, in order |
| then | `event`: the links, by day, shard and number |

The first line and the keys are not signed: who checks compares the keys with those of the deployment. What no
checkpoint covers yet, because it happened after the last one, is said (`Checked.uncovered`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial import audit_checkpoint, audit_event
from perennial import audit_json as reading
from perennial.audit_chain import MAX_SHARDS, Broken, Chain, Link, Walk
from perennial.audit_checkpoint import Checkpoint, hash_of, signed_by
from perennial.errors import InvalidInput

SCHEMA = 1
MAX_DAYS = 366
MAX_LINE = 4 * audit_event.MAX_EVENT  # characters; the first line of a year has 6,000 chains
MAX_HEADER = 1024 * 1024
MAX_KEYS = 100
MAX_CHECKPOINTS = 50_000
EXPORT, KEY, CHECKPOINT, EVENT = "export", "key", "checkpoint", "event"
_ORDER = (KEY, CHECKPOINT, EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The first line: which days, and how many links each of their chains had at `exported_at`."""

    since: str
    until: str  # the last day
    exported_at: datetime
    counts: Mapping[Chain, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What an export shows. `broken`: the first link that does not hold; `problem`: the first checkpoint that does not.
    `uncovered`: chain → the number of its first link that no checkpoint covers, where there is one. `own_keys`: the
    keys came with the export, so that it shows only that it is whole in itself."""

    contents: Contents
    events: int
    checkpoints: tuple[Checkpoint, ...]
    uncovered: Mapping[Chain, int]
    own_keys: bool
    key_hashes: tuple[str, ...] = ()  # SHA-256 of the public keys (DER) whose signatures were found, in hexadecimal
    broken: Broken | None = None
    problem: str = ""

    @property
    def holds(self) -> bool:
        return not self.broken and not self.problem

    @property
    def uncovered_events(self) -> int:
        return sum(self.contents.counts[chain] - number + 1 for chain, number in self.uncovered.items())

    @property
    def covers(self) -> bool:
        """Whether a checkpoint covers any of it. An export without events needs none."""
        return not self.contents.counts or self.uncovered_events < sum(self.contents.counts.values())


# --- written ---


def lines(
    contents: Contents, keys: Mapping[str, str], checkpoints: Iterable[Checkpoint], links: Iterable[Link]
) -> Iterator[str]:
    """The lines of an export, without their ends; `keys`: ARN → PEM."""
    chains = [{"day": day, "shard": shard, "count": each} for (day, shard), each in sorted(contents.counts.items())]
    days = {"since": contents.since, "until": contents.until}
    at = reading.written(contents.exported_at)
    yield _line({"type": EXPORT, "schema": SCHEMA, **days, "exported_at": at, "chains": chains})
    for name, pem in keys.items():
        yield _line({"type": KEY, "key_id": name, "pem": pem})
    for each in checkpoints:
        yield _line({"type": CHECKPOINT, "checkpoint": audit_checkpoint.document(each)})
    yield from map(line_of, links)


def line_of(link: Link) -> str:
    """The line of one link."""
    own = {name: getattr(link, name) for name in ("day", "shard", "number", "previous", "hash")}
    return _line({"type": EVENT, **own, "event": audit_event.document(link.event)})


def _line(document: Mapping[str, Any]) -> str:
    """In ASCII: what could command a terminal is an escape."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


# --- read ---


def link_of(document: Any, where: str) -> Link:
    """The link of an event's line.

    Raises: InvalidInput.
    """
    read = reading.members(_LINK, document, where)
    del read["type"]
    return Link(**read)


def contents_of(document: Any, where: str) -> Contents:
    """What the first line says.

    Raises: InvalidInput.
    """
    if not isinstance(document, dict) or document.get("type") != EXPORT:
        raise InvalidInput(f"{where} is not how an export begins; give what perennial audit export writes")
    if document.get("schema") != SCHEMA:
        raise InvalidInput(f"{where}: the export has another schema than {SCHEMA}; check it with the release it is of")
    read = reading.members(_CONTENTS, document, where)
    chains = [(each["day"], each["shard"]) for each in read["chains"]]
    if chains != sorted(set(chains)) or any(not read["since"] <= day <= read["until"] for day, _ in chains):
        raise InvalidInput(f"{where}.chains are not in order, each once, and of the days of the export")
    counts = {(each["day"], each["shard"]): each["count"] for each in read["chains"]}
    return Contents(since=read["since"], until=read["until"], exported_at=read["exported_at"], counts=counts)


def _word(word: str) -> reading.Reader:
    return reading.choice(word)


_shard = reading.whole(0, MAX_SHARDS - 1)
_LINK: dict[str, reading.Reader] = {
    "type": _word(EVENT),
    "day": reading.day,
    "shard": _shard,
    "number": reading.whole(1),
    "previous": reading.sha256,
    "hash": reading.sha256,
    "event": audit_event.of,
}
_KEY: dict[str, reading.Reader] = {"type": _word(KEY), "key_id": reading.line(1, 300), "pem": lambda v, _: str(v)}
_CHECKPOINT: dict[str, reading.Reader] = {"type": _word(CHECKPOINT), "checkpoint": audit_checkpoint.of}
_CHAIN: dict[str, reading.Reader] = {"day": reading.day, "shard": _shard, "count": reading.whole(1)}
_CONTENTS: dict[str, reading.Reader] = {
    "type": _word(EXPORT),
    "schema": reading.whole(SCHEMA, SCHEMA),
    "since": reading.day,
    "until": reading.day,
    "exported_at": reading.time,
    "chains": reading.several(lambda v, where: reading.members(_CHAIN, v, where), MAX_DAYS * MAX_SHARDS),
}


class _Lines:
    """The lines of an export as documents, in the order of their types; `where` names the line that was read last."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = enumerate(texts, 1)
        self._stands = 0  # in `_ORDER`
        self._waiting: dict[str, Any] | None = None
        self.where = "line 1"

    def first(self) -> Any:
        return self._read(next(self._texts, (1, "")), MAX_HEADER)

    def of(self, kind: str) -> Iterator[Any]:
        """The documents of one type, up to the first of another one."""
        while document := self._next():
            if document["type"] != kind:
                self._waiting = document
                return
            yield document

    def _next(self) -> dict[str, Any] | None:
        waiting, self._waiting = self._waiting, None
        if waiting:
            return waiting
        for numbered in self._texts:
            document = self._read(numbered, MAX_LINE)
            kind = document.get("type") if isinstance(document, dict) else None
            if kind not in _ORDER[self._stands :]:
                raise InvalidInput(f"{self.where} is no key, checkpoint or event, in this order; nothing else is read")
            self._stands = _ORDER.index(kind)
            return dict(document)
        return None

    def _read(self, numbered: tuple[int, str], most: int) -> Any:
        self.where = f"line {numbered[0]}"
        return reading.parsed(numbered[1].rstrip("\r\n"), self.where, most)


# --- checked ---

PublicKeys = Callable[[str], tuple[bytes, ...]]  # from the ARN of a KMS key to what its public half (DER) may be


def check(texts: Iterable[str], given: PublicKeys | None = None, further: Iterable[Checkpoint] = ()) -> Checked:
    """What the lines of an export show. `given` are the keys that are trusted; without it, the export's own are used.
    `further` are checkpoints that the checker has from elsewhere, as from the bucket in which they are locked.

    Raises: InvalidInput for what is no export.
    """
    read = _Lines(texts)
    contents = contents_of(read.first(), read.where)
    own = dict(_keys(read))
    every = tuple(_checkpoints(read))
    signers = _Signers(given or _own(own))
    others = tuple(further)
    problem = _unsound(every, signers) or _foreign(others, every, signers) or _disagreeing((*every, *others))
    marks = _marks((*every, *others), contents)
    walk = Walk(contents.counts, marks)
    counted = _Counted(link_of(document, read.where) for document in read.of(EVENT))
    broken = None if problem else walk.follow(counted)
    return Checked(
        contents=contents,
        events=counted.count,
        checkpoints=every,
        uncovered=_uncovered(contents, marks),
        own_keys=given is None,
        key_hashes=tuple(sorted({hashlib.sha256(each).hexdigest() for each in signers.found})),
        broken=broken,
        problem=problem,
    )


class _Counted:
    def __init__(self, links: Iterable[Link]) -> None:
        self._links, self.count = links, 0

    def __iter__(self) -> Iterator[Link]:
        for link in self._links:
            self.count += 1
            yield link


def _keys(read: _Lines) -> Iterator[tuple[str, bytes]]:
    from perennial.statement_signing import public_key_of

    for count, document in enumerate(read.of(KEY)):
        if count >= MAX_KEYS:
            raise InvalidInput(f"{read.where}: there are more than {MAX_KEYS} keys")
        found = reading.members(_KEY, document, read.where)
        yield found["key_id"], public_key_of(found["pem"].encode("utf-8", "replace"))


def _checkpoints(read: _Lines) -> Iterator[Checkpoint]:
    for count, document in enumerate(read.of(CHECKPOINT)):
        if count >= MAX_CHECKPOINTS:
            raise InvalidInput(f"{read.where}: there are more than {MAX_CHECKPOINTS} checkpoints")
        yield reading.members(_CHECKPOINT, document, read.where)["checkpoint"]


def _own(keys: Mapping[str, bytes]) -> PublicKeys:
    def public_keys(key_id: str) -> tuple[bytes, ...]:
        if key_id not in keys:
            raise InvalidInput("a checkpoint is signed by a key that the export does not have; give --public-key")
        return (keys[key_id],)

    return public_keys


class _Signers:
    """Which keys signed what was looked at."""

    def __init__(self, public_keys: PublicKeys) -> None:
        self._public_keys = public_keys
        self.found: set[bytes] = set()

    def signed(self, checkpoint: Checkpoint) -> bool:
        for key in self._public_keys(checkpoint.key_id):
            if signed_by(checkpoint, key):
                self.found.add(key)
                return True
        return False


def _unsound(checkpoints: tuple[Checkpoint, ...], signers: _Signers) -> str:
    """What is wrong with the first checkpoint that does not hold; "" for nothing."""
    last: Checkpoint | None = None
    for each in checkpoints:
        wrong = _wrong(each, last, signers)
        if wrong:
            return f"checkpoint {each.number}: {wrong}"
        last = each
    return ""


def _wrong(each: Checkpoint, last: Checkpoint | None, signers: _Signers) -> str:
    if not signers.signed(each):
        return "it was changed: its signature is not this key's over what it says" if each.signature else "not signed"
    if last is None:
        return "" if each.number > 1 or each.previous == audit_checkpoint.FIRST else "it is not how checkpoints begin"
    if each.number > last.number + 1:
        return f"the one before it, {each.number - 1}, was dropped"
    if each.number <= last.number:
        return f"it stands after checkpoint {last.number}"
    return "" if each.previous == hash_of(last) else f"it does not follow checkpoint {last.number} of this export"


def _foreign(further: tuple[Checkpoint, ...], every: tuple[Checkpoint, ...], signers: _Signers) -> str:
    """What is wrong with the checkpoints from elsewhere, or with those of the export beside them."""
    known = {each.number: hash_of(each) for each in every}
    for each in further:
        if not signers.signed(each):
            return f"checkpoint {each.number} from elsewhere: its signature is not this key's over what it says"
        if known.get(each.number, hash_of(each)) != hash_of(each):
            return f"checkpoint {each.number}: the export has another one than was locked away"
    return ""


def _disagreeing(checkpoints: Iterable[Checkpoint]) -> str:
    """Two checkpoints that saw different chains of one name; "" for none."""
    seen: dict[tuple[str, int, int], tuple[str, int]] = {}
    for each in checkpoints:
        for head in each.heads:
            known, number = seen.setdefault((each.day, head.shard, head.count), (head.hash, each.number))
            if known != head.hash:
                return f"checkpoint {each.number}: it saw another chain {each.day}.{head.shard:02} than {number} did"
    return ""


def _marks(checkpoints: Iterable[Checkpoint], contents: Contents) -> dict[Chain, dict[int, str]]:
    """What checkpoints saw of the chains of the export's days."""
    found: dict[Chain, dict[int, str]] = {}
    for each in checkpoints:
        if contents.since <= each.day <= contents.until:
            for head in each.heads:
                found.setdefault((each.day, head.shard), {}).setdefault(head.count, head.hash)
    return found


def _uncovered(contents: Contents, marks: Mapping[Chain, Mapping[int, str]]) -> dict[Chain, int]:
    covered = {chain: max(seen) for chain, seen in marks.items()}
    return {
        chain: covered.get(chain, 0) + 1 for chain, count in contents.counts.items() if count > covered.get(chain, 0)
    }
