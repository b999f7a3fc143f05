"""Exceptions in the table.

| item | partition key | sort key |
| --- | --- | --- |
| exception, with its due entry | `EXCEPTION#<id>` | `EXCEPTION` |
| exception in the list of its state | `EXCEPTIONS#<state>` | `<asked at>#<id>` |

Both hold the whole exception and are written in one transaction, so a list is as exact as the item. So one query reads
all that are active. An entry of a list that it left is empty, and expires.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from perennial.checks.interface import Severity
from perennial.clients import meant
from perennial.errors import ConcurrentChange, InvalidInput, NotFound
from perennial.exception_record import ExceptionRecord, ExceptionState, read, written
from perennial.findings import Finding
from perennial.inventory import conversion
from perennial.inventory.indexes import SHARDS, shard
from perennial.inventory.items import Item
from perennial.inventory.managed import Managed
from perennial.inventory.records import DueKind
from perennial.inventory.verdicts import Verdicts
from perennial.inventory.versions import VERSION, managed_key

EXCEPTION = "EXCEPTION"
SPREAD = "exceptions"  # all are due in one shard: they are few, and so a tick asks once
MOST = 1_000  # that are active, and that wait for a decision: each batch of assessments reads all active ones
PAGE = 100
LOOKED_AT = 1_000  # exceptions for one page, of which those are left out that do not fit; those that ended are kept
LEFT = timedelta(days=1)  # until the empty entry of a list that it left expires
FOUND_AT_ONCE = 500
LATEST_VERSIONS = 20  # whose certificates belong to a managed certificate; older ones serve nowhere
_TAKEN = frozenset({"ConditionalCheckFailed", "TransactionConflict"})


class ExceptionItems(Managed, Verdicts):
    """The part of the inventory that exceptions use."""

    def save_exception(
        self, record: ExceptionRecord, was: ExceptionState, due: datetime | None, now: datetime
    ) -> ExceptionRecord:
        """Write an exception as it is now, due at `due`. `was`: the state in which it was read. Returns it with its new
        revision.

        Raises: ConcurrentChange when it was written since it was read; InvalidInput where its new list is full.
        """
        if record.state is not was or not record.revision:
            self._has_room(record.state)
        saved = replace(record, revision=record.revision + 1)
        unchanged = Item.revision == record.revision if record.revision else Item.pk.does_not_exist()
        with meant(f"dynamodb:TransactWriteItems of the exception {record.id}"):
            try:
                _write_together(saved, was, due, now, unchanged)
            except TransactWriteError as error:
                if not _codes(error) & _TAKEN:
                    raise
                told = f"the exception {record.id} was changed by someone else; look at it, and decide again"
                raise ConcurrentChange(told) from error
        return saved

    def _has_room(self, state: ExceptionState) -> None:
        if state not in (ExceptionState.ACTIVE, ExceptionState.ASKED):
            return
        if sum(1 for _ in islice(_listed(state, ""), MOST)) >= MOST:
            raise InvalidInput(f"{MOST:,} exceptions are {state}, and more cannot be: end or reject some first")

    def exception(self, exception_id: str) -> ExceptionRecord:
        """An exception by its id.

        Raises: NotFound.
        """
        for item in Item.query(_key(exception_id), Item.sk == EXCEPTION, consistent_read=True):
            return read(item.content)
        raise NotFound(f"there is no exception {exception_id[:64]!r}; perennial exceptions list shows what there is")

    def active_exceptions(self) -> tuple[ExceptionRecord, ...]:
        """All active exceptions, the newest first: one query, whatever the estate."""
        return tuple(_listed(ExceptionState.ACTIVE, ""))

    def exceptions(
        self,
        state: ExceptionState | None = None,
        position: str = "",
        limit: int = PAGE,
        fits: Callable[[ExceptionRecord], bool] = lambda record: True,
    ) -> tuple[list[ExceptionRecord], str]:
        """A page of exceptions of one state, of all for None, the newest first, and the position of the next page, ""
        at the end. `position` is that of the last one that was seen: what comes or goes meanwhile moves nothing. Where
        few fit, a page ends after `LOOKED_AT`, and may be empty.
        """
        lists = [_listed(each, position) for each in ([state] if state else ExceptionState)]
        return _page(heapq.merge(*lists, key=lambda record: record.position, reverse=True), limit, fits)

    def exceptions_due(self, now: datetime, limit: int) -> Iterator[str]:
        """The ids of exceptions that are due, the longest due first."""
        for due in self.due(DueKind.EXCEPTION, now, limit, shard(SPREAD)):
            yield due.pk.removeprefix("EXCEPTION#")

    # --- what they cover ---

    def open_findings_of(self, check: str, severity: Severity) -> Iterator[Finding]:
        """The open findings of one check; `severity` is the check's, which never varies."""
        return (each for each in _findings(str(severity)) if each.check == check)

    def suppressed_findings(self) -> Iterator[Finding]:
        """The findings that an exception covers."""
        return _findings(conversion.SUPPRESSED)

    def fingerprints_of(self, managed: str) -> frozenset[str]:
        """The certificates of a managed certificate: of its latest versions, and the one that it adopts."""
        newest = Item.query(
            managed_key(managed),
            Item.sk.startswith(VERSION),
            consistent_read=True,
            scan_index_forward=False,
            limit=LATEST_VERSIONS,
            attributes_to_get=["pk", "sk", "fingerprint"],
        )
        declared = self.find_managed(managed)
        adopted = {declared.declared.adopts} if declared else set()
        return frozenset({*adopted, *(item.fingerprint for item in newest)} - {"", None})


def _key(exception_id: str) -> str:
    return f"EXCEPTION#{exception_id[:64]}"


def _list_key(state: ExceptionState) -> str:
    return f"EXCEPTIONS#{state}"


def _listed(state: ExceptionState, position: str) -> Iterator[ExceptionRecord]:
    """A list from a position on, the newest first, page by page."""
    older = Item.sk < position if position else None
    query = Item.query(_list_key(state), older, consistent_read=True, scan_index_forward=False, page_size=PAGE)
    return (read(item.content) for item in query if item.content)


def _page(
    found: Iterable[ExceptionRecord], limit: int, fits: Callable[[ExceptionRecord], bool]
) -> tuple[list[ExceptionRecord], str]:
    """The first ones that fit, and behind which to go on; "" at the end. One more says whether there are more."""
    page: list[ExceptionRecord] = []
    last = ""
    for number, record in enumerate(found):
        if number == LOOKED_AT:
            return page, last
        if fits(record):
            if len(page) == limit:
                return page, page[-1].position
            page.append(record)
        last = record.position
    return page, ""


def _findings(partition: str) -> Iterator[Finding]:
    """The findings of a partition of their index. The index may lag behind: each is read again, and told as it is."""
    for number in range(SHARDS):
        listed = Item.finding_index.query(f"{partition}#{number}", page_size=FOUND_AT_ONCE)
        keys = ((item.pk, item.sk) for item in listed)
        while page := list(islice(keys, PAGE)):
            found = map(conversion.finding_of, Item.batch_get(page, consistent_read=True))
            yield from (each for each in found if conversion.partition_of(each) == partition)


def _write_together(
    saved: ExceptionRecord, was: ExceptionState, due: datetime | None, now: datetime, unchanged: Any
) -> None:
    content = written(saved)
    own = Item(_key(saved.id), EXCEPTION, kind="exception", revision=saved.revision, status=str(saved.state))
    own.content = content
    if due:
        own.due_key, own.due_at = conversion.due_key(DueKind.EXCEPTION, SPREAD), conversion.due_stamp(due)
    connection = Item._get_connection().connection  # with the credentials and region of the inventory
    with TransactWrite(connection=connection) as transaction:
        transaction.save(own, condition=unchanged)
        transaction.save(Item(_list_key(saved.state), saved.position, kind="exception-listed", content=content))
        if was is not saved.state:
            left = Item(_list_key(was), saved.position, kind="exception-left")
            left.expires_at = int((now + LEFT).timestamp())
            transaction.save(left)


def _codes(error: TransactWriteError) -> set[str]:
    """Why a transaction was refused: the reasons of each of its items, or the one of all."""
    reasons = {each.code for each in error.cancellation_reasons if each}
    response = getattr(error.cause, "response", None) or {}  # where no answer came there is none
    return reasons or {str(response.get("Error", {}).get("Code", ""))} - {""}
