"""An inventory in memory for the bench of search, and pages of its lists with what each read.

It is some years old: of the certificates that have ended, most are nowhere any more, and stay in the inventory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from paged_table import PagedTable
from perennial import search
from perennial.certificate import Certificate
from perennial.inventory import conversion
from perennial.inventory.items import Item
from perennial.inventory.lists import Mark, digest
from perennial.inventory.store import Inventory
from perennial.search import Order, Search, Way

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
YEARS = timedelta(days=5 * 365)  # over which the certificates end
FIRST = NOW - 4 * YEARS / 5  # the first of them
STAYS = 50  # every so manieth certificate that has ended is still somewhere
TEAMS, ISSUERS, RARE = 20, 12, 500  # every so manieth certificate is of the rare team, and has the rare key
KEYS = ("RSA-2048", "EC-256", "RSA-4096", "EC-384")
SIGNATURES = ("sha256WithRSAEncryption", "ecdsa-with-SHA256")
PLACEHOLDER = bytes(900)  # in the place of the DER, which no list reads


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A list: what is searched, of whose teams, and by which way a cursor goes on. `indexed`: whether an index has
    those that fit and no others; otherwise another condition is judged on each line."""

    name: str
    search: Search
    within: frozenset[str] | None = None
    way: Way = Way.ALL
    indexed: bool = True


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page: how many certificates it holds, and what it read."""

    found: int
    items: int
    units: float


def asked() -> tuple[Asked, ...]:
    """The lists that are walked."""
    whole: dict[str, Any] = {"include_gone": True}
    three = frozenset(f"team-{number}" for number in range(3))
    many = frozenset(f"team-{number}" for number in range(TEAMS - 1))
    both = Search(owner="team-3", issuer="ca 7", **whole)
    return (
        Asked(name="all, by their end", search=Search(**whole)),
        Asked(name="all, the latest end first", search=Search(order=Order.LATEST, **whole)),
        Asked(name="that are somewhere", search=Search(), indexed=False),
        Asked(name="that are somewhere and have not ended", search=Search(expiring_after=NOW), indexed=False),
        Asked(name="of an owner", search=Search(owner="team-3", **whole), way=Way.OWNER),
        Asked(name="of three teams", search=Search(**whole), within=three, way=Way.OWNER),
        Asked(name="of nearly all teams", search=Search(**whole), within=many, indexed=False),
        Asked(name="of an issuer", search=Search(issuer="ca 7", **whole), way=Way.ISSUER),
        Asked(name="with a key", search=Search(key="RSA-2048", **whole), way=Way.KEY),
        Asked(name="with a kind of key", search=Search(key="RSA", **whole), way=Way.KEY),
        Asked(name="with a signature", search=Search(signature=SIGNATURES[0], **whole), way=Way.SIGNATURE),
        Asked(name="ending within a year", search=Search(expiring_before=FIRST + YEARS / 5, **whole)),
        Asked(name="of an issuer and an owner", search=both, way=Way.OWNER, indexed=False),
        Asked(name="of a small team", search=Search(**whole), within=frozenset({"rare"}), way=Way.OWNER),
        Asked(name="with a rare kind of key", search=Search(key="DSA", **whole), way=Way.KEY),
        Asked(name="with a kind of key that none has", search=Search(key="SLH", **whole), way=Way.KEY),
        Asked(
            name="of an owner, with a rare kind of key",
            search=Search(owner="team-0", key="DSA", **whole),
            way=Way.OWNER,
            indexed=False,
        ),
    )


class Fleet:
    """The table and the inventory in it."""

    def __init__(self, table: PagedTable, inventory: Inventory) -> None:
        self._table, self._inventory = table, inventory

    def pages(self, asked: Asked, place: float, limit: int, most: int) -> Iterator[Page]:
        """Pages of a list from a place on: a part of the years, from the end where the list comes from there."""
        mark = _mark(asked, place) if place else None
        for _ in range(most):
            self._table.reset()
            found = search.page(self._inventory, asked.search, asked.within, mark, limit)
            table = self._table
            yield Page(found=len(found.certificates), items=table.items_read, units=table.units)
            mark = found.next
            if mark is None:
                return


def _mark(asked: Asked, place: float) -> Mark:
    """A mark deep within a list, where no certificate need be."""
    begin, end = asked.search.expiring_after or FIRST, asked.search.expiring_before or FIRST + YEARS
    length = (end - begin) * place
    at = end - length if asked.search.order is Order.LATEST else begin + length
    return (asked.way, at.strftime("%Y-%m-%dT%H:%M:%SZ"), digest("somewhere"), "0" * 64)


@contextmanager
def filled(size: int) -> Iterator[Fleet]:
    """A fleet of so many certificates."""
    table = PagedTable()
    for number in range(size):
        table.put(_item(number, size))
    for kind, words in _words(size).items():
        for word in words:
            table.put(Item(f"WORD#{kind}", word, kind="word").to_dynamodb_dict())
    with table.in_place():
        yield Fleet(table, Inventory("search", region="eu-west-1"))


def _words(size: int) -> Mapping[str, set[str]]:
    ends = {conversion.expiry_bucket(_end(number, size)) for number in range(size)}
    keys = {"DSA", *KEYS}
    return {"issuer": {_issuer(number) for number in range(ISSUERS)}, "month": ends, "key": keys}


def _end(number: int, size: int) -> datetime:
    return (FIRST + YEARS * number / size).replace(microsecond=0)


def _issuer(number: int) -> str:
    return f"CN=Issuing CA {number % ISSUERS},O=Example Corp"


def _item(number: int, size: int) -> dict[str, dict[str, str]]:
    rare = number % RARE == 0
    owner = "rare" if rare else f"team-{number % TEAMS}"
    named = f"host{number}.example.com"
    item = conversion.certificate_item(
        Certificate(
            fingerprint=hashlib.sha256(str(number).encode()).hexdigest(),
            der=PLACEHOLDER,
            serial=f"{number:032x}",
            issuer=_issuer(number),
            common_name=named,
            not_after=_end(number, size),
            key_algorithm="DSA" if rare else KEYS[number % len(KEYS)],
            signature_algorithm=SIGNATURES[number // 2 % 2],
            public_key_sha256=hashlib.sha256(f"key {number}".encode()).hexdigest(),
        ),
        NOW,
    )
    item.owner, item.owner_key = owner, conversion.sharded(owner, item.fingerprint)
    if _end(number, size) < NOW and number % STAYS:
        item.gone_at = "2026-10-01T12:00:00Z"
    made: dict[str, dict[str, str]] = item.to_dynamodb_dict()
    return made
