"""The audit trail in the table: chains of events, what finds them, and the checkpoints.

| item | partition key | sort key |
| --- | --- | --- |
| link of a chain | `AUDIT#<day>#<shard>` | `<number, 12 digits>` |
| what happened to a subject | `AUDITOF#<kind>#<name>` | `<time>#<id>` |
| what a person did | `AUDITBY#<principal>` | `<time>#<id>` |
| checkpoint | `AUDITCHECKPOINT` | `<number, 12 digits>` |
| checkpoint of a day | `AUDITCHECKPOINT#<day>` | `<number, 12 digits>` |

A link and what finds it are written in one transaction, each where nothing is yet. Of two writers of one number one
alone succeeds, and the other one takes another chain; an event whose reply was lost is found by its id when it is
appended again. The item of a change is put in the same transaction as the event of it, so that neither is there without
the other. Nothing here changes or deletes an item of the trail.
"""

from __future__ import annotations

import heapq
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain as chained
from itertools import islice
from typing import Any

from pynamodb.exceptions import PutError, TransactWriteError
from pynamodb.transactions import TransactWrite

from perennial import audit_checkpoint, audit_event
from perennial import audit_json as reading
from perennial.audit_chain import SHARDS, Chain, Link, following, reference
from perennial.audit_checkpoint import Checkpoint
from perennial.audit_event import Event
from perennial.checks.wording import quoted
from perennial.clients import meant
from perennial.errors import ConcurrentChange, InvalidInput, NotFound
from perennial.inventory import conversion
from perennial.inventory.items import Item
from perennial.inventory.writing import condition_failed, unless_in_transaction

ATTEMPTS = 25
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 1.0  # seconds; each pause is a random part of it
PAGE, SHORT_PAGE = 100, 20  # items; of a day all chains are read at once
MAX_DAYS = 366  # that one question is about
_CHECKPOINTS = "AUDITCHECKPOINT"
_TAKEN = frozenset({"ConditionalCheckFailed", "TransactionConflict"})  # reasons of a cancelled transaction
_SLOW = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded", "TransactionInProgressException"})
_REFERENCE = re.compile(r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})\.(?P<shard>[0-9]{2,3})\.(?P<number>[1-9][0-9]{0,11})")
_MAX_LINK = 2 * audit_event.MAX_EVENT


class Trail:
    """The part of the inventory that the audit uses."""

    def put(
        self,
        item: Item,
        unchanged: Any,
        what: str,
        event: Event | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """Put an item where a condition holds, and append the event of that change in the same transaction.

        Raises: ConcurrentChange where the condition does not hold, or every chain was taken; pynamodb's errors.
        """
        try:
            if event:
                self._put_with(item, unchanged, event, pause)
            else:
                unless_in_transaction(lambda: item.save(condition=unchanged))
        except PutError as error:
            if not condition_failed(error):
                raise
            raise ConcurrentChange(f"{what} was changed by another step; it is read again") from error
        except TransactWriteError as error:
            if _changed(error):
                raise ConcurrentChange(f"{what} was changed by another step; it is read again") from error
            raise

    def _put_with(self, item: Item, unchanged: Any, event: Event, pause: Callable[[float], object]) -> None:
        audit_event.admit(event)
        for attempt in range(ATTEMPTS):
            try:
                _put_together(_items(self._next_link(event, secrets.randbelow(SHARDS))), (item, unchanged))
            except TransactWriteError as error:
                if _changed(error) or not _passes(error):
                    raise
            else:
                return
            pause(_share(min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)))
        raise ConcurrentChange(f"the audit trail took no event in {ATTEMPTS} attempts; do the same again")

    def append_audit(self, event: Event, pause: Callable[[float], object] = time.sleep) -> Link:
        """Append an event to one of its day's chains. The same event again is the link that it has.

        Raises: InvalidInput for one that may not be kept; ConcurrentChange where after `ATTEMPTS` every chain was
        taken; what AWS's errors mean: it may be written then, and appending it again shows.
        """
        audit_event.admit(event)
        with meant("dynamodb:TransactWriteItems of the audit trail"):
            for attempt in range(ATTEMPTS):
                link = self._appended(event, secrets.randbelow(SHARDS))
                if link:
                    return link
                pause(_share(min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)))
        raise ConcurrentChange(f"the audit trail took no event in {ATTEMPTS} attempts; append the same event again")

    def _next_link(self, event: Event, shard: int) -> Link:
        chain = (reading.written(event.at)[:10], shard)
        return following(chain, self.audit_head(chain), event)

    def _appended(self, event: Event, shard: int) -> Link | None:
        link = self._next_link(event, shard)
        try:
            _put_together(_items(link))
        except TransactWriteError as error:
            return self._not_appended(error, event)
        return link

    def _not_appended(self, error: TransactWriteError, event: Event) -> Link | None:
        """The link that the event has already; None where the chain was taken meanwhile.

        Raises: the error, for any other reason.
        """
        if not _passes(error):
            raise error
        for item in Item.query(
            subject_key(event.subject_kind, event.subject), Item.sk == _moment(event), consistent_read=True
        ):
            return self.audit_link(item.content)
        return None

    # --- questions ---

    def audit_head(self, chain: Chain) -> Link | None:
        """The last link of a chain; None where it has none."""
        query = Item.query(chain_key(chain), consistent_read=True, scan_index_forward=False, limit=1, page_size=1)
        return next(map(link_of, query), None)

    def audit_heads(self, day: str) -> dict[Chain, Link]:
        """The last link of every chain of a day that has one."""
        found = {(day, shard): self.audit_head((day, shard)) for shard in range(SHARDS)}
        return {chain: head for chain, head in found.items() if head}

    def audit_chain(self, chain: Chain, count: int) -> Iterator[Link]:
        """The first `count` links of a chain, in order."""
        query = Item.query(chain_key(chain), Item.sk <= numbered(count), consistent_read=True, page_size=PAGE)
        return map(link_of, query)

    def audit_link(self, named: str) -> Link:
        """A link by its reference, as 2026-11-01.03.17.

        Raises: NotFound, InvalidInput.
        """
        chain, number = parsed_reference(named)
        for item in Item.query(chain_key(chain), Item.sk == numbered(number), consistent_read=True):
            return link_of(item)
        raise NotFound(f"there is no audit event {reference(chain, number)}; perennial audit list shows what there is")

    def audit_of(self, kind: str, name: str, since: datetime, until: datetime) -> Iterator[Link]:
        """What happened to a subject from `since` on and before `until`, the newest first.

        Raises: NotFound for an event that was removed from the table.
        """
        return self._pointed(subject_key(kind, name), since, until)

    def audit_by(self, principal: str, since: datetime, until: datetime) -> Iterator[Link]:
        """What a person or program did in this time, the newest first.

        Raises: as `audit_of`.
        """
        return self._pointed(principal_key(principal), since, until)

    def audit_between(self, since: datetime, until: datetime) -> Iterator[Link]:
        """What happened in this time, the newest first. Of its first and last day, what lies outside is read too.

        Raises: InvalidInput for more than `MAX_DAYS`.
        """
        days = reversed(days_of(since, until))
        return (each for each in chained.from_iterable(map(_newest, days)) if since <= each.event.at < until)

    def _pointed(self, pk: str, since: datetime, until: datetime) -> Iterator[Link]:
        between = Item.sk.between(reading.written(since), reading.written(until))
        pointers = Item.query(pk, between, consistent_read=True, scan_index_forward=False, page_size=PAGE)
        while page := [item.content for item in islice(pointers, PAGE)]:
            keys = [(chain_key(chain), numbered(number)) for chain, number in map(parsed_reference, page)]
            found = {link.reference: link for link in map(link_of, Item.batch_get(keys, consistent_read=True))}
            for each in page:
                if each not in found:
                    raise NotFound(f"the audit event {each} was removed from the table; export the trail and verify it")
                yield found[each]

    # --- checkpoints ---

    def keep_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a signed checkpoint under its number.

        Raises: ConcurrentChange where another one has the number; what AWS's errors mean.
        """
        content, number = reading.canonical(audit_checkpoint.document(checkpoint)), numbered(checkpoint.number)
        items = (
            Item(_CHECKPOINTS, number, kind="checkpoint", content=content),
            Item(f"{_CHECKPOINTS}#{checkpoint.day}", number, kind="checkpoint-of-day", content=content),
        )
        with meant(f"dynamodb:TransactWriteItems of the audit checkpoint {checkpoint.number}"):
            try:
                _put_together(items)
            except TransactWriteError as error:
                if not _codes(error) & _TAKEN:
                    raise
                raise ConcurrentChange(
                    f"the audit checkpoint {checkpoint.number} was made by someone else; the next run follows theirs"
                ) from error

    def last_checkpoint(self, day: str = "") -> Checkpoint | None:
        """The last checkpoint, of a day or of all; None where there is none."""
        pk = f"{_CHECKPOINTS}#{day}" if day else _CHECKPOINTS
        query = Item.query(pk, consistent_read=True, scan_index_forward=False, limit=1, page_size=1)
        return next(map(_checkpoint, query), None)

    def checkpoints_of(self, days: Iterable[str]) -> Iterator[Checkpoint]:
        """The checkpoints of some days, and those between them, in order: so that none can be left out unseen."""
        numbers = [item.sk for day in days for item in Item.query(f"{_CHECKPOINTS}#{day}", consistent_read=True)]
        if not numbers:
            return iter(())
        between = Item.sk.between(min(numbers), max(numbers))
        return map(_checkpoint, Item.query(_CHECKPOINTS, between, consistent_read=True, page_size=PAGE))


def days_of(since: datetime, until: datetime) -> tuple[str, ...]:
    """The days (UTC) from `since` on and before `until`, in order.

    Raises: InvalidInput where there are none, or more than `MAX_DAYS`.
    """
    first, last = since.astimezone(UTC).date(), (until - timedelta(microseconds=1)).astimezone(UTC).date()
    count = (last - first).days + 1
    if not 1 <= count <= MAX_DAYS:
        raise InvalidInput(f"from {first} to {last} there are {max(count, 0)} days; ask about 1 to {MAX_DAYS}")
    return tuple((first + timedelta(days=each)).isoformat() for each in range(count))


def _newest(day: str) -> Iterator[Link]:
    """The links of a day, the newest first: its chains are merged by time."""
    chains = (map(link_of, _backwards((day, shard))) for shard in range(SHARDS))
    return heapq.merge(*chains, key=lambda link: (link.event.at, link.reference), reverse=True)


def _backwards(chain: Chain) -> Any:
    return Item.query(chain_key(chain), consistent_read=True, scan_index_forward=False, page_size=SHORT_PAGE)


# --- items ---


def _items(link: Link) -> tuple[Item, Item, Item]:
    """A link, and what finds it by its subject and by who it was."""
    event, where = link.event, link.reference
    own = {"event": audit_event.document(event), "hash": link.hash, "previous": link.previous}
    return (
        Item(chain_key(link.chain), numbered(link.number), kind="audit", content=reading.canonical(own)),
        Item(subject_key(event.subject_kind, event.subject), _moment(event), kind="audit-of", content=where),
        Item(principal_key(event.principal), _moment(event), kind="audit-by", content=where),
    )


def link_of(item: Item) -> Link:
    """The link of an item.

    Raises: InvalidInput where it is not what Perennial wrote.
    """
    day, _, shard = item.pk.removeprefix("AUDIT#").partition("#")
    where = f"audit event {day}.{shard}.{item.sk.lstrip('0')}"
    readers = {"event": audit_event.of, "hash": reading.sha256, "previous": reading.sha256}
    found = reading.members(readers, reading.parsed(item.content, where, _MAX_LINK), where)
    return Link(day=day, shard=int(shard), number=int(item.sk), **found)


def _checkpoint(item: Item) -> Checkpoint:
    return audit_checkpoint.load(item.content, f"audit checkpoint {item.sk.lstrip('0')}")


def chain_key(chain: Chain) -> str:
    """The partition of a chain; its sort keys are `numbered`."""
    return f"AUDIT#{chain[0]}#{chain[1]:02}"


def subject_key(kind: str, name: str) -> str:
    """The partition of what points to the events of a subject, sorted by time and id."""
    return conversion.fitting(f"AUDITOF#{kind}#{name}")


def principal_key(principal: str) -> str:
    """The partition of what points to the events of a person or program, sorted by time and id."""
    return conversion.fitting(f"AUDITBY#{principal}")


def _moment(event: Event) -> str:
    return f"{reading.written(event.at)}#{event.id}"


def numbered(number: int) -> str:
    """The sort key of a number: texts sort as numbers do."""
    return f"{number:012}"


def parsed_reference(named: str) -> tuple[Chain, int]:
    """The chain and number of a reference.

    Raises: InvalidInput.
    """
    match = _REFERENCE.fullmatch(named)
    if match is None:
        raise InvalidInput(f"{quoted(named, 60)!r} names no audit event; name one as 2026-11-01.03.17")
    return (match["day"], int(match["shard"])), int(match["number"])


def _put_together(items: Sequence[Item], change: tuple[Item, Any] | None = None) -> None:
    """Write all of them where nothing is yet, and an item under a condition of its own, or none.

    Raises: TransactWriteError.
    """
    connection = Item._get_connection().connection  # with the credentials and region of the inventory
    with TransactWrite(connection=connection) as transaction:
        if change:  # the first one, as `_changed` has it
            transaction.save(change[0], condition=change[1])
        for item in items:
            transaction.save(item, condition=Item.pk.does_not_exist())


def _codes(error: TransactWriteError) -> set[str]:
    """Why a transaction was refused: the reasons of each of its items, or the one of all."""
    reasons = {each.code for each in error.cancellation_reasons if each}
    response = getattr(error.cause, "response", None) or {}  # where no answer came there is none
    return reasons or {str(response.get("Error", {}).get("Code", ""))} - {""}


def _passes(error: TransactWriteError) -> bool:
    """Whether a transaction was refused for what passes: a chain that was taken, or a table that is slow."""
    codes = _codes(error)
    return bool(codes) and codes <= _TAKEN | _SLOW


def _changed(error: TransactWriteError) -> bool:
    """Whether the item of a change, the first of its transaction, was not as it was read."""
    first = next(iter(error.cancellation_reasons), None)
    return first is not None and first.code == "ConditionalCheckFailed"


def _share(longest: float) -> float:
    """A random part of a time (full jitter), so that who met once does not meet again."""
    return longest * secrets.randbelow(1_000) / 1_000
