"""Search of the inventory: certificates that fit some conditions, a page at a time.

A page reads in proportion to what it may hold, whatever the inventory's size. The narrowest condition that has an index
chooses what is walked (`Way`); the others are judged on the line, or on the certificate where the line does not tell.
Where those are narrow, a page ends after so many items and queries for each certificate that it may hold (`Effort`): it
may be short or empty, and still have a next.

Certificates come by their end, the earliest first. By name they come where a name is asked for, and by place where a
resource is: their ends are not in the order of any index. One whose end cannot be read is found by name, by resource,
and by fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from perennial.errors import InvalidInput
from perennial.inventory.conversion import name_key
from perennial.inventory.lists import Effort, Entry, Mark, Span, Spent, Walk, no_mark
from perennial.roles import ANY, Grant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perennial.certificate import Certificate
    from perennial.inventory.records import CertificateSummary
    from perennial.inventory.store import Inventory

MAX_PAGE = 100  # certificates
MAX_TEAMS = 16  # whose lists are merged; with more, all certificates are walked
MAX_MERGED = 8  # issuers, or kinds of key, whose lists are merged
MAX_WORDS = 200  # of these that are looked through for a part of a name
_KEYS = {each.lower(): each for each in ("Ed25519", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87")}
_SIZED = ("RSA-", "EC-", "DSA-")


class Order(StrEnum):
    """How a list is sorted; with - from its end."""

    END = "not_after"
    LATEST = "-not_after"
    NAME = "name"
    LAST_NAME = "-name"


class Way(StrEnum):
    """What is walked, from the narrowest."""

    RESOURCE = "resource"
    PUBLIC_KEY = "public_key"
    NAME = "name"
    OWNER = "owner"
    ISSUER = "issuer"
    SIGNATURE = "signature"
    KEY = "key"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """All must hold; None asks for nothing. `key` is a family (RSA) or a key (RSA-2048), `issuer` a part of the name;
    an end lies in `expiring_after` … `expiring_before`, both included. `order` None: as the list comes."""

    expiring_after: datetime | None = None
    expiring_before: datetime | None = None
    owner: str | None = None
    issuer: str | None = None
    key: str | None = None
    signature: str | None = None
    name: str | None = None
    subtree: bool = False
    public_key: str | None = None
    resource: str | None = None
    include_gone: bool = False
    order: Order | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What was found, and the mark from which the next page goes on; None where there is no more. A mark begins with
    the way that was walked: what is known of issuers may have changed meanwhile."""

    certificates: tuple[CertificateSummary, ...]
    next: Mark | None


def teams(grants: Iterable[Grant]) -> frozenset[str] | None:
    """The teams whose certificates grants let one see; None: all, also those of nobody."""
    named = frozenset(each.team for each in grants)
    return None if ANY in named else named


def page(
    inventory: Inventory, search: Search, within: frozenset[str] | None, after: Mark | None = None, limit: int = 50
) -> Page:
    """The certificates that fit, of the teams `within` alone (None: of all), behind a mark, at most `limit`.

    Raises: InvalidInput for an order that the list does not have, and for a mark of another list.
    """
    _check(search)
    owners = _owners(search, within)
    if owners is not None and not owners:
        return Page(certificates=(), next=None)
    limit = max(1, min(limit, MAX_PAGE))
    way = _way(inventory, search, owners) if after is None else _way_of(after)
    walk = Walk(
        effort=Effort.of_page(limit),
        after=after[1:] if after else None,
        backward=search.order in (Order.LATEST, Order.LAST_NAME),
        first=limit + 1,
    )
    return _Reading(inventory, search, owners, way, walk).page(limit)


def _check(search: Search) -> None:
    by_name = search.order in (Order.NAME, Order.LAST_NAME)
    if search.resource and search.order:
        raise InvalidInput("`sort` cannot be had with `resource`: what is at a resource comes by place; leave it out")
    if search.name and not search.resource and not search.public_key and search.order and not by_name:
        raise InvalidInput("certificates with a name come by `name` or `-name`; give one of these as `sort`, or none")
    if by_name and (not search.name or search.public_key):
        raise InvalidInput("`sort` by name needs `name`, and no `public_key`; give not_after or -not_after, or none")
    if search.subtree and not search.name:
        raise InvalidInput("`subtree` needs `name`; give the name below which to look")


def _owners(search: Search, within: frozenset[str] | None) -> frozenset[str] | None:
    """Whose certificates are asked for, as far as they may be seen; None: those of all."""
    if search.owner is None:
        return within
    wanted = frozenset({search.owner})
    return wanted if within is None else wanted & within


# --- ways ---


def _way(inventory: Inventory, search: Search, owners: frozenset[str] | None) -> Way:
    for way, asked in ((Way.RESOURCE, search.resource), (Way.PUBLIC_KEY, search.public_key), (Way.NAME, search.name)):
        if asked:
            return way
    if owners is not None and len(owners) <= MAX_TEAMS:
        return Way.OWNER
    if search.issuer and _known(inventory, "issuer", search.issuer, MAX_MERGED) is not None:
        return Way.ISSUER
    if search.signature:
        return Way.SIGNATURE
    return Way.KEY if search.key and _keys(inventory, search.key, MAX_MERGED) is not None else Way.ALL


def _way_of(mark: Mark) -> Way:
    if not mark or mark[0] not in tuple(Way):
        raise no_mark()
    return Way(mark[0])


def _known(inventory: Inventory, kind: str, part: str, most: int) -> list[str] | None:
    """The issuers, or the keys, whose names contain a part; None where there are too many to merge their lists."""
    known = inventory.words_with(kind, part, MAX_WORDS * most // MAX_MERGED)
    return known if known is not None and len(known) <= most else None


def _keys(inventory: Inventory, key: str, most: int) -> list[str] | None:
    """What the index of keys is asked for: a key, or at least those of a family that there are; None as above."""
    exact = _index_key(key)
    return [exact] if exact else _known(inventory, "key", key, most)


def _index_key(key: str) -> str | None:
    """A key as the index has it: RSA-2048 for rsa-2048; None for a family, and for what it may have otherwise."""
    if key.upper().startswith(_SIZED) and key.partition("-")[2].isascii() and key.partition("-")[2].isdigit():
        return key.upper()
    return _KEYS.get(key.lower())


@dataclass(slots=True)
class _Reading:
    """One page as it is read."""

    inventory: Inventory
    search: Search
    owners: frozenset[str] | None
    way: Way
    walk: Walk
    last: Mark | None = field(init=False, default=None)  # of what was walked over so far
    spent: bool = field(init=False, default=False)  # the walk stopped for that

    def page(self, limit: int) -> Page:
        entries = self._entries()
        self.last = self.walk.after
        found: dict[str, CertificateSummary] = {}
        while some := self._fitting(entries, limit - len(found)):
            found |= {each.fingerprint: each for each in self._with_facts(some)}
            if len(found) >= limit or self.walk.effort.spent:
                break
        more = self._is_more(entries)
        return Page(certificates=tuple(found.values()), next=(self.way, *self.last) if more and self.last else None)

    def _is_more(self, entries: Iterator[Entry]) -> bool:
        try:
            return self.spent or next(entries, None) is not None
        except Spent:
            return True

    def _entries(self) -> Iterator[Entry]:
        search, inventory, walk = self.search, self.inventory, self.walk
        if self.way is Way.RESOURCE and search.resource:
            return inventory.at_resource_by_place(search.resource, search.include_gone, walk)
        if self.way is Way.NAME and search.name:
            return inventory.by_name(search.name, search.subtree, walk)
        span = Span.of(search.expiring_after, search.expiring_before)
        if span.since > span.until:
            return iter(())
        if self.way is Way.PUBLIC_KEY and search.public_key:
            return inventory.by_public_key(search.public_key, span, walk)
        values = self._values()
        return inventory.all_by_time(span, walk) if values is None else inventory.by_time(self.way, values, span, walk)

    def _values(self) -> Iterable[str] | None:
        """What the index of this way is asked for; None where all certificates are walked.

        Raises: InvalidInput where this search has no such way, as a mark from outside may say.
        """
        search = self.search
        values: Mapping[Way, Iterable[str] | None] = {
            Way.OWNER: self.owners if self.owners is not None and len(self.owners) <= MAX_TEAMS else None,
            Way.SIGNATURE: [search.signature] if search.signature else None,
        }
        if self.way is Way.ALL:
            return None
        most = MAX_MERGED * (2 if self.walk.after else 1)  # more may have become known since the first page
        found = values.get(self.way)
        if self.way is Way.ISSUER and search.issuer:
            found = _known(self.inventory, "issuer", search.issuer, most)
        if self.way is Way.KEY and search.key:
            found = _keys(self.inventory, search.key, most)
        if found is None:
            raise no_mark()
        return found

    def _fitting(self, entries: Iterator[Entry], most: int) -> list[CertificateSummary]:
        """The next lines that fit, as far as the effort goes."""
        return list(islice(self._lines(entries), most))

    def _lines(self, entries: Iterator[Entry]) -> Iterator[CertificateSummary]:
        try:
            for mark, line in entries:
                self.last = mark
                if line is not None and _fits(line, self.search, self.owners):
                    yield line
        except Spent:
            self.spent = True

    def _with_facts(self, lines: list[CertificateSummary]) -> list[CertificateSummary]:
        """Those of which the certificate itself fits too, where it has to be asked."""
        search = self.search
        asked = (
            (search.public_key, Way.PUBLIC_KEY),
            (search.name, Way.NAME),
            (search.signature, Way.SIGNATURE),
        )
        if not any(wanted and self.way is not way for wanted, way in asked):
            return lines
        facts = self.inventory.facts((each.fingerprint for each in lines), self.walk.effort)
        return [each for each in lines if each.fingerprint in facts and _facts_fit(facts[each.fingerprint], search)]


# --- judging ---


def _fits(line: CertificateSummary, search: Search, owners: frozenset[str] | None) -> bool:
    """What the line tells."""
    return (
        (search.include_gone or line.gone_at is None)
        and (owners is None or line.owner in owners)
        and (search.issuer is None or search.issuer.lower() in (line.issuer or "").lower())
        and (search.key is None or _key_fits((line.key or "").lower(), search.key.lower()))
        and (search.expiring_after is None or _not_before(line.not_after, search.expiring_after))
        and (search.expiring_before is None or _not_before(search.expiring_before, line.not_after))
    )


def _key_fits(key: str, wanted: str) -> bool:
    return key == wanted or key.startswith(f"{wanted}-")


def _not_before(one: datetime | None, other: datetime | None) -> bool:
    """Whether one time is not before another one, to the second, as times are kept."""
    return one is not None and other is not None and one.replace(microsecond=0) >= other.replace(microsecond=0)


def _facts_fit(certificate: Certificate, search: Search) -> bool:
    """What the certificate alone tells."""
    return (
        (search.public_key is None or certificate.public_key_sha256 == search.public_key)
        and (search.signature is None or certificate.signature_algorithm == search.signature)
        and (search.name is None or _name_fits(certificate, search.name, search.subtree))
    )


def _name_fits(certificate: Certificate, wanted: str, subtree: bool) -> bool:
    zone, reverse = name_key(wanted)
    names = certificate.names or ((certificate.common_name,) if certificate.common_name else ())
    keys = map(name_key, names)
    return any(at == zone and (key == reverse or (subtree and key.startswith(f"{reverse}."))) for at, key in keys)
