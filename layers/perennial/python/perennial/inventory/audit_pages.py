"""The audit trail in pages, the newest first: as `lists`, with marks that never move.

| list | mark |
| --- | --- |
| of a subject, of a person | sort key of the pointer: time and id |
| of all | the end of the time asked for, the day, and of each chain the number that was reached, "" for none |

The end stays that of the first page. An event that is appended between two pages comes in a later one only where it is
before that end and nothing of its chain was told yet. The chains of a day are merged by time; within one the order is
that of its numbers, as clocks may differ by minutes.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from perennial import audit_json as reading
from perennial.audit_chain import SHARDS, Chain, Link
from perennial.errors import InvalidInput, NotFound
from perennial.inventory.audit import (
    chain_key,
    days_of,
    link_of,
    numbered,
    parsed_reference,
    principal_key,
    subject_key,
)
from perennial.inventory.items import Item
from perennial.inventory.lists import BATCH, LONGEST, Effort, Mark, Walk, no_mark
from perennial.inventory.writing import in_parallel

Entry = tuple[Mark, Link | None]  # None: walked over, and nothing to show
_NUMBER = re.compile(r"[0-9]{0,12}")


class TrailPages:
    """The part of the inventory that reads the audit trail in pages."""

    def audit_page_of(self, kind: str, name: str, since: datetime, until: datetime, walk: Walk) -> Iterator[Entry]:
        """What happened to a subject from `since` on and before `until`, the newest first.

        Raises: InvalidInput; NotFound for an event that was removed from the table.
        """
        return _pointed(subject_key(kind, name), since, until, walk)

    def audit_page_by(self, principal: str, since: datetime, until: datetime, walk: Walk) -> Iterator[Entry]:
        """What a person or program did in this time, the newest first.

        Raises: as `audit_page_of`.
        """
        return _pointed(principal_key(principal), since, until, walk)

    def audit_page_between(self, since: datetime, until: datetime, walk: Walk) -> Iterator[Entry]:
        """What happened in this time, the newest first. Behind each day comes an entry without an event.

        Raises: InvalidInput, also for more days than one question may be about.
        """
        end, day, numbers = _at(walk.after, until)
        for each in reversed(days_of(since, end)):
            if not day or each <= day:
                here = numbers if each == day else ("",) * SHARDS
                for mark, link in _of_day(each, here, walk) if here else ():
                    within = since <= link.event.at < end
                    yield (reading.written(end), each, *mark), link if within else None
                yield (reading.written(end), each), None


def _at(mark: Mark | None, until: datetime) -> tuple[datetime, str, tuple[str, ...]]:
    """The end, day and numbers of a mark. No numbers: that day is done.

    Raises: InvalidInput.
    """
    if mark is None:
        return until, "", ()
    if len(mark) not in (2, 2 + SHARDS) or not all(map(_NUMBER.fullmatch, mark[2:])):
        raise no_mark()
    try:
        end, day = reading.time(mark[0], "next"), reading.day(mark[1], "next")
    except InvalidInput as error:
        raise no_mark() from error
    return min(end, until), day, mark[2:]


# --- a day ---


def _of_day(day: str, numbers: Sequence[str], walk: Walk) -> Iterator[tuple[tuple[str, ...], Link]]:
    """The links of a day behind the numbers that were reached, with the numbers that are reached then."""
    first = -(-walk.first // SHARDS) + 1
    chains = [_Chain((day, shard), number, walk.effort, first) for shard, number in enumerate(numbers)]
    in_parallel(_Chain.begin, chains)
    reached = list(numbers)
    for link in heapq.merge(*chains, key=lambda each: (each.event.at, each.reference), reverse=True):
        reached[link.shard] = str(link.number)
        yield tuple(reached), link


class _Chain(Iterator[Link]):
    """The links of a chain before a number, backwards. `begin` makes the first query."""

    def __init__(self, chain: Chain, number: str, effort: Effort, first: int) -> None:
        condition = Item.sk < numbered(int(number)) if number else None
        self._links = map(link_of, _backwards(chain_key(chain), condition, effort, first))
        self._begun: list[Link] = []

    def begin(self) -> None:
        self._begun = list(islice(self._links, 1))

    def __next__(self) -> Link:
        return self._begun.pop() if self._begun else next(self._links)


def _backwards(pk: str, condition: Any, effort: Effort, first: int) -> Iterator[Item]:
    """The items of a partition, the last first, in queries that grow."""
    size, start = min(first, LONGEST), None
    while True:
        query = Item.query(
            pk,
            condition,
            consistent_read=True,
            scan_index_forward=False,
            last_evaluated_key=start,
            limit=size,
            page_size=size,
        )
        items = list(query)
        effort.spend(len(items))
        yield from items
        start, size = query.last_evaluated_key, min(2 * size, LONGEST)
        if start is None:
            return


# --- by subject and person ---


def _pointed(pk: str, since: datetime, until: datetime, walk: Walk) -> Iterator[Entry]:
    low, high = reading.written(since), reading.written(until)
    if walk.after is not None and (len(walk.after) != 1 or not low <= walk.after[0] < high):
        raise no_mark()
    if low >= high:
        return
    behind = walk.after[0] if walk.after else ""
    between = Item.sk.between(low, behind or high)
    pointers = (each for each in _backwards(pk, between, walk.effort, walk.first) if each.sk != behind)
    while some := list(islice(pointers, min(walk.first, BATCH))):
        yield from _resolved(some, walk.effort)


def _resolved(pointers: Sequence[Item], effort: Effort) -> Iterator[Entry]:
    keys = [
        (chain_key(chain), numbered(number)) for chain, number in (parsed_reference(each.content) for each in pointers)
    ]
    found = {link.reference: link for link in map(link_of, Item.batch_get(keys, consistent_read=True))}
    effort.spend(len(found))
    for each in pointers:
        if each.content not in found:
            raise NotFound(f"the audit event {each.content} was removed from the table; export the trail and verify it")
        yield (each.sk,), found[each.content]
