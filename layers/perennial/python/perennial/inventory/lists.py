"""Lists that are read in pages: each page reads in proportion to what it holds, and goes on where the last one ended.

A list is walked in an order that never changes, and every entry has its mark in it, from which a later walk goes on.
What comes or goes meanwhile moves no other entry: none is skipped, none comes twice. A mark may come back from
outside, so it names no partition: those follow from the question. One that cannot be is an InvalidInput.

How much one walk may read is its `Effort`. Certificates and findings that were read are walked to the last one; where
another query is needed and the effort is spent, the walk raises `Spent`, and goes on from the mark of that last one.

| list | order | mark |
| --- | --- | --- |
| by time | end, then partition, then as the index has it | end, digest of the partition, fingerprint |
| by name | labels from the top, then fingerprint | sort key |
| at a resource | sort key of the sighting | sort key, digest of the partition key |
| of findings | severity, then partition, then id | severity, digest of the partition, sort key |
| of runs, of proofs | the newest first | sort key |

Entries of one end in one partition keep the order of the index, whatever that is: the walk goes on there behind the key
itself (ExclusiveStartKey, which need not exist any more). In every other partition a comparison of times is enough.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from perennial.certificate import Certificate
from perennial.checks.interface import Severity
from perennial.errors import InvalidInput
from perennial.findings import Finding, State
from perennial.inventory import conversion
from perennial.inventory.conversion import CERTIFICATE, certificate_key, name_key, summary_of
from perennial.inventory.indexes import INDEXES, SHARDS
from perennial.inventory.items import Item, stamp
from perennial.inventory.records import CertificateSummary, RunRecord
from perennial.inventory.rollouts import PROOF
from perennial.inventory.versions import managed_key
from perennial.inventory.writing import in_parallel

if TYPE_CHECKING:
    from perennial.proof import Proof

Mark = tuple[str, ...]  # where an entry is in its list
Entry = tuple[Mark, CertificateSummary | None]  # None: walked over, and nothing to show
FOR_EACH = 8  # items and queries for each entry that a page may hold
LEAST = 10  # entries; a smaller page may read as much, so that what few fit is not asked for a thousand times
LONGEST = 250  # items of one query; the first ones of a walk are shorter
BATCH = 100  # items that BatchGetItem takes
MAX_MARK = 1_100  # characters of a part of a mark
_LOW, _HIGH = "0", "~"  # before and behind every time
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_DIGEST = re.compile(r"[0-9a-f]{16}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_MONTH_END = re.compile(r"[0-9]{4}-[0-9]{2}")


class Spent(Exception):
    """A walk stops before its next query, as no more is to be read for this page. What was read came before."""


class Effort:
    """How much may still be read for one page: every item counts, and every query. May be used from any thread."""

    def __init__(self, left: int) -> None:
        self._left = left
        self._lock = threading.Lock()

    @classmethod
    def of_page(cls, limit: int) -> Effort:
        """That of a page which may hold so many entries: in proportion to them, however few fit."""
        return cls(FOR_EACH * max(limit, LEAST))

    def spend(self, items: int) -> None:
        """One query was made, and read so many items."""
        with self._lock:
            self._left -= items + 1

    @property
    def spent(self) -> bool:
        """Whether no more is to be read."""
        return self._left <= 0

    def go_on(self) -> None:
        """Nothing, where more may be read.

        Raises: Spent.
        """
        if self.spent:
            raise Spent

    def within(self, items: int) -> int:
        """So many items, or as many as may still be read: at least one."""
        return max(1, min(items, self._left))


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How a list is walked: which way, from which mark on, and how long the first queries are, all together."""

    effort: Effort
    after: Mark | None = None
    backward: bool = False
    first: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Ends that are asked for, as the table writes times; both ends are within."""

    since: str = _LOW
    until: str = _HIGH

    @classmethod
    def of(cls, since: datetime | None, until: datetime | None) -> Span:
        """What lies between two times; None is without a bound."""
        first, last = (stamp(each.astimezone(UTC)) if each else "" for each in (since, until))
        return cls(since=first or _LOW, until=last or _HIGH)


def digest(text: str) -> str:
    """A short name of a partition, for marks; partitions are walked in the order of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Lists:
    """The part of the inventory that is read in pages."""

    # --- certificates by time ---

    def by_time(self, index: str, values: Iterable[str], span: Span, walk: Walk) -> Iterator[Entry]:
        """The certificates of an index (owner, issuer, key, signature) with one of some values, by their end."""
        partitions = [f"{value[: conversion.MAX_WORD]}#{number}" for value in values for number in range(SHARDS)]
        return _merged(index, partitions, span, walk, _time_mark(walk.after))

    def by_public_key(self, public_key_sha256: str, span: Span, walk: Walk) -> Iterator[Entry]:
        """The certificates with a public key, by their end."""
        return _merged("public_key", [public_key_sha256], span, walk, _time_mark(walk.after))

    def all_by_time(self, span: Span, walk: Walk) -> Iterator[Entry]:
        """Every certificate whose end is known, by its end: the months that there are, one after the other. Behind each
        month comes an entry without a certificate, so that who walks over empty ones can stop."""
        mark = _time_mark(walk.after)
        for month in _months(span, walk, mark):
            walk.effort.go_on()
            within = mark if mark and mark[2] and mark[0].startswith(month) else None
            partitions = [f"{month}#{number}" for number in range(SHARDS)]
            yield from _merged("expiry", partitions, span, walk, within)
            yield (month, "", ""), None

    # --- certificates by name, and at a resource ---

    def by_name(self, name: str, subtree: bool, walk: Walk) -> Iterator[Entry]:
        """The certificates with a name, and with `subtree` those with a name below it, by name. A certificate with
        several of these names comes at the first of them alone."""
        zone, reverse = name_key(name)
        prefixes = [f"{reverse}#", *([f"{reverse}."] if subtree else [])]
        (at,) = _checked(walk.after, 1) or ("",)
        if at and not at.startswith(tuple(prefixes)):
            raise no_mark()
        for prefix in _onward(prefixes, at, walk.backward):
            walk.effort.go_on()
            start = _key(zone, at) if at.startswith(prefix) else None
            for some in _batches(_items(None, zone, Item.sk.startswith(prefix), walk, start), walk):
                yield from _named(some, zone, tuple(prefixes), walk.effort)

    def at_resource_by_place(self, resource: str, include_gone: bool, walk: Walk) -> Iterator[Entry]:
        """The certificates that a resource (ARN or host:port) holds or uses, by the place. One that is there in several
        places comes for each."""
        sk, seen = _checked(walk.after, 2) or ("", "")
        if sk and not sk.startswith(conversion.SIGHTING):
            raise no_mark()
        condition = Item.sk >= sk if sk else Item.sk.startswith(conversion.SIGHTING)
        found = _items("resource", resource[: conversion.MAX_KEY], condition, walk, None)
        for some in _batches(_behind(found, sk, seen) if sk else found, walk):
            yield from _placed(some, include_gone, walk.effort)

    def facts(self, fingerprints: Iterable[str], effort: Effort) -> dict[str, Certificate]:
        """All facts of some certificates."""
        found = _got(((certificate_key(each), CERTIFICATE) for each in fingerprints), effort)
        return {item.pk.removeprefix("CERT#"): conversion.certificate_of(item) for item in found}

    # --- words ---

    def words_with(self, kind: str, part: str, most: int) -> list[str] | None:
        """Known words that contain a text, compared without regard to case, and those that were cut, as they may; None
        where there are more than `most` words in all: then they are no help."""
        words = [item.sk for item in Item.query(f"WORD#{kind}", limit=most + 1, page_size=most + 1)]
        found = [word for word in words if part.lower() in word.lower() or len(word) >= conversion.MAX_WORD]
        return found if len(words) <= most else None

    # --- findings and runs ---

    def findings_by_severity(
        self, severities: Iterable[Severity], owners: Sequence[str] | None, walk: Walk
    ) -> Iterator[tuple[Mark, Finding | None]]:
        """Open findings, the worst severity first; of some owners, or of all (None). The index may lag behind: one that
        is resolved comes as None. Behind each partition comes one too."""
        mark = _finding_mark(walk.after)
        for severity in severities:
            if mark and severity.rank < Severity(mark[0]).rank:
                continue
            here = mark if mark and mark[0] == severity else None
            for name, index, value in _finding_partitions(severity, owners):
                if here and name < here[1]:
                    continue
                walk.effort.go_on()
                yield from _findings(severity, (name, index, value), walk, here[2] if here and here[1] == name else "")

    def runs_before(self, walk: Walk) -> Iterator[tuple[Mark, RunRecord]]:
        """Runs of Discovery, the newest first."""
        (at,) = _checked(walk.after, 1) or ("",)
        back = Walk(effort=walk.effort, backward=True, first=walk.first)
        for item in _items(None, "RUN", None, back, _key("RUN", at) if at else None):
            yield (item.sk,), conversion.run_of(item)

    def proofs_before(self, managed: str, walk: Walk) -> Iterator[tuple[Mark, Proof]]:
        """Proofs of a managed certificate, the newest first.

        Raises: InvalidInput where one is not what Perennial wrote.
        """
        from perennial.proof import of

        pk = managed_key(managed)
        (at,) = _checked(walk.after, 1) or ("",)
        if at and not at.startswith(PROOF):
            raise no_mark()
        back = Walk(effort=walk.effort, backward=True, first=walk.first)
        for item in _items(None, pk, Item.sk.startswith(PROOF), back, _key(pk, at) if at else None):
            yield (item.sk,), of(json.loads(item.content))


# --- marks ---


def no_mark() -> InvalidInput:
    """The error of a mark that is none of the list it came with."""
    return InvalidInput("`next` does not belong to this list; ask for the first page again")


def _checked(mark: Mark | None, parts: int) -> Mark | None:
    """A mark of so many texts that may be sort keys.

    Raises: InvalidInput.
    """
    if mark is None:
        return None
    if len(mark) != parts or not all(each and len(each.encode("utf-8", "replace")) <= MAX_MARK for each in mark):
        raise no_mark()
    return mark


def _time_mark(mark: Mark | None) -> Mark | None:
    """A mark of a list by time: of an entry, or of the end of a month.

    Raises: InvalidInput.
    """
    if mark is None:
        return None
    readers = (_TIME, _DIGEST, _FINGERPRINT)
    ended = len(mark) == 3 and _MONTH_END.fullmatch(mark[0]) and mark[1:] == ("", "")
    whole = len(mark) == 3 and all(reader.fullmatch(each) for reader, each in zip(readers, mark, strict=True))
    if not ended and not whole:
        raise no_mark()
    return mark


def _finding_mark(mark: Mark | None) -> Mark | None:
    if mark is None:
        return None
    fits = len(mark) == 3 and mark[0] in tuple(Severity) and _DIGEST.fullmatch(mark[1]) and len(mark[2]) <= MAX_MARK
    if not fits:
        raise no_mark()
    return mark


# --- walking ---


def _merged(index: str, partitions: Sequence[str], span: Span, walk: Walk, mark: Mark | None) -> Iterator[Entry]:
    """Partitions of an index, merged by time; those of one end in the order of their partitions."""
    if mark and not (mark[2] and span.since <= mark[0] <= span.until):
        raise no_mark()
    named = sorted((digest(value), value) for value in partitions)
    sources = [each for name, value in named for each in _source(index, name, value, span, walk, mark, len(named))]
    in_parallel(_Source.begin, sources)
    return heapq.merge(*sources, key=_Source.end, reverse=walk.backward)


class _Source(Iterator[Entry]):
    """One partition. Its first query is made by `begin`, so that those of several are made at once."""

    def __init__(self, name: str, items: Iterator[Item]) -> None:
        self._name, self._items = name, items

    def begin(self) -> None:
        self._items = chain(list(islice(self._items, 1)), self._items)

    def __next__(self) -> Entry:
        item = next(self._items)
        return (item.not_after, self._name, item.pk.removeprefix("CERT#")), summary_of(item)

    @staticmethod
    def end(entry: Entry) -> str:
        return entry[0][0]


def _source(
    index: str, name: str, value: str, span: Span, walk: Walk, mark: Mark | None, beside: int
) -> Iterator[_Source]:
    """A partition from a mark on; none where nothing can be behind the mark. An end that was reached in one partition
    is done in those before it, and still to come in those behind it."""
    low, high, start = span.since, span.until, None
    if mark:
        if name == mark[1]:
            start = _index_key(index, value, mark)
        elif walk.backward:
            high = mark[0] if name > mark[1] else mark[0][:-1]  # without its Z: before that end, behind all earlier
        else:
            low = mark[0] if name > mark[1] else mark[0] + "!"  # behind that end, before all later
    if low <= high:
        share = -(-walk.first // beside)  # and half as much more, as no shard has just its share: one query is enough
        own = Walk(effort=walk.effort, backward=walk.backward, first=share + share // 2 + 1)
        yield _Source(name, _items(index, value, Item.not_after.between(low, high), own, start))


def _items(index: str | None, value: str, condition: Any, walk: Walk, start: Any) -> Iterator[Item]:
    """The items of a partition, in queries that grow: who stops soon has read little.

    Raises: Spent before any query but the first.
    """
    source: Any = getattr(Item, f"{index}_index") if index else Item
    longest = min(walk.first, LONGEST)
    while True:
        size = walk.effort.within(longest)
        query = source.query(
            value,
            condition,
            scan_index_forward=not walk.backward,
            last_evaluated_key=start,
            limit=size,
            page_size=size,
        )
        items = list(query)
        walk.effort.spend(len(items))
        yield from items
        start, longest = query.last_evaluated_key, min(2 * longest, LONGEST)
        if start is None:
            return
        walk.effort.go_on()


def _key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _index_key(index: str, value: str, mark: Mark) -> dict[str, dict[str, str]]:
    """The key of a certificate in an index, as DynamoDB begins behind it."""
    partition, sort, _ = INDEXES[index]
    return {**_key(certificate_key(mark[2]), CERTIFICATE), partition: {"S": value}, sort: {"S": mark[0]}}


def _months(span: Span, walk: Walk, mark: Mark | None) -> Iterator[str]:
    """The months in which certificates end, as far as they are asked for, from a mark on."""
    low, high = span.since[:7], span.until[:7]
    done = mark[0] if mark and not mark[2] else ""
    if mark and walk.backward:
        high = min(high, mark[0][:7])
    elif mark:
        low = max(low, mark[0][:7])
    if low > high:
        return
    few = Walk(effort=walk.effort, backward=walk.backward, first=12)
    for item in _items(None, "WORD#month", Item.sk.between(low, high), few, None):
        if item.sk != done:
            yield item.sk


def _onward(prefixes: Sequence[str], at: str, backward: bool) -> list[str]:
    """The prefixes that are still to be walked, in order."""
    ordered = sorted(prefixes, reverse=backward)
    first = next((number for number, each in enumerate(ordered) if at.startswith(each)), 0) if at else 0
    return ordered[first:]


def _batches(items: Iterator[Item], walk: Walk) -> Iterator[list[Item]]:
    """Items in batches as they come, so that what they name is read together.

    Raises: Spent behind those that were read.
    """
    some: list[Item] = []
    try:
        for item in items:
            some.append(item)
            if len(some) >= min(walk.first, BATCH):
                yield some
                some = []
    except Spent:
        if some:
            yield some
        raise
    if some:
        yield some


def _got(keys: Iterable[tuple[str, str]], effort: Effort, *, consistent: bool = False) -> list[Item]:
    """Items by their keys, each once."""
    found = list(Item.batch_get(list(dict.fromkeys(keys)), consistent_read=consistent))
    effort.spend(len(found))
    return found


# --- by name ---


def _named(items: Sequence[Item], zone: str, prefixes: tuple[str, ...], effort: Effort) -> Iterator[Entry]:
    keys = [(certificate_key(each.fingerprint), CERTIFICATE) for each in items]
    found = {item.pk: item for item in _got(keys, effort)}
    for each in items:
        item = found.get(certificate_key(each.fingerprint))
        first = item is not None and each.sk == _first_name(item, zone, prefixes)
        yield (each.sk,), summary_of(item) if item is not None and first else None


def _first_name(item: Item, zone: str, prefixes: tuple[str, ...]) -> str | None:
    """The sort key of the first of a certificate's names that are asked for."""
    aids = conversion.finding_aids(conversion.certificate_of(item))
    return min((each.sk for each in aids if each.pk == zone and each.sk.startswith(prefixes)), default=None)


# --- at a resource ---


def _behind(items: Iterator[Item], sk: str, seen: str) -> Iterator[Item]:
    """What comes behind a sighting. Sightings stay in the table for good, so it is still there."""
    for item in items:
        if item.sk != sk:
            raise no_mark()
        if digest(item.pk) == seen:
            break
    return items


def _placed(items: Sequence[Item], include_gone: bool, effort: Effort) -> Iterator[Entry]:
    """What is held at sightings, or at the places that they use."""
    wanted = [each for each in items if include_gone or not each.gone_at]
    at = _held((each.pk for each in wanted if not each.fingerprint), effort)
    held = {(each.pk, each.sk): each.fingerprint or at.get(each.pk) for each in wanted}
    keys = [(certificate_key(each), CERTIFICATE) for each in held.values() if each]
    found = {item.pk: summary_of(item) for item in _got(keys, effort)}
    for each in items:
        fingerprint = held.get((each.pk, each.sk))
        yield (each.sk, digest(each.pk)), found.get(certificate_key(fingerprint)) if fingerprint else None


def _held(places: Iterable[str], effort: Effort) -> dict[str, str]:
    """The fingerprints of what places hold now, by their partition keys."""
    keys = [conversion.place_item_key(each.removeprefix(conversion.PLACE)) for each in places]
    found = _got(keys, effort)
    return {item.pk: item.fingerprint for item in found if item.fingerprint and not item.gone_at}


# --- findings ---


def _finding_partitions(severity: Severity, owners: Sequence[str] | None) -> list[tuple[str, str, str]]:
    """Digest, index and value of each partition that holds findings of a severity."""
    if owners is None:
        found = [("finding", f"{severity}#{number}") for number in range(SHARDS)]
    else:
        found = [("owned_finding", conversion.owned_finding_key(severity, owner)) for owner in owners]
    return sorted((digest(value), index, value) for index, value in found)


def _findings(
    severity: Severity, partition: tuple[str, str, str], walk: Walk, after: str
) -> Iterator[tuple[Mark, Finding | None]]:
    name, index, value = partition
    if after == _HIGH:
        return
    condition = Item.sk > after if after else None
    for some in _batches(_items(index, value, condition, walk, None), walk):
        got = _got(((item.pk, item.sk) for item in some), walk.effort, consistent=True)
        found = {(item.pk, item.sk): conversion.finding_of(item) for item in got}
        for item in some:
            finding = found.get((item.pk, item.sk))
            yield (severity, name, item.sk), finding if finding and finding.state is State.OPEN else None
    yield (severity, name, _HIGH), None
