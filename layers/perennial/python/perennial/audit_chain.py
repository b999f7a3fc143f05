"""The hash chains of the audit trail, and what is wrong with one that was tampered with. Pure.

There is one chain for each day and shard. The hash of a link is SHA-256 over the hash before it, as 32 bytes, and the
canonical text of its event; the hash before the first link is that of the chain's name, so that no chain can stand in
for another one. A chain alone shows changes within it. That its end is still there, and that it was not written anew,
shows only a checkpoint (`Mark`): the number of links and the last hash at a moment, signed and locked away.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from perennial.audit_event import Event, text
from perennial.audit_json import written

SHARDS = 16  # chains of a day: so many writers do not wait for each other
MAX_SHARDS = 256  # that are read
AHEAD = 500  # links that are looked through to say what happened to a missing one
Chain = tuple[str, int]  # day, shard


class Wrong(StrEnum):
    """What is wrong with a link."""

    DROPPED = "dropped"  # it is missing, and later ones of its chain are there
    CHANGED = "changed"  # its content or hash is not what it was
    REORDERED = "reordered"  # it stands elsewhere
    INSERTED = "inserted"  # it was never in the chain
    TRUNCATED = "truncated"  # it and all after it are missing
    REWRITTEN = "rewritten"  # the chain is sound in itself, and another one than the signed checkpoint saw


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An event in its chain. `number` counts from 1; hashes are in hexadecimal."""

    day: str
    shard: int
    number: int
    previous: str
    hash: str
    event: Event

    @property
    def chain(self) -> Chain:
        return self.day, self.shard

    @property
    def reference(self) -> str:
        """Names the link for people: 2026-11-01.03.17."""
        return reference(self.chain, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The first link that does not hold, and why, in one sentence."""

    chain: Chain
    number: int
    wrong: Wrong
    message: str

    @property
    def reference(self) -> str:
        return reference(self.chain, self.number)


def reference(chain: Chain, number: int) -> str:
    return f"{chain[0]}.{chain[1]:02}.{number}"


def first(chain: Chain) -> str:
    """The hash before the first link of a chain."""
    return hashlib.sha256(f"perennial audit chain {chain[0]} {chain[1]:02}".encode()).hexdigest()


def linked(previous: str, canonical: str) -> str:
    """The hash of the link whose event has this canonical text."""
    return hashlib.sha256(bytes.fromhex(previous) + canonical.encode()).hexdigest()


def following(chain: Chain, last: Link | None, event: Event) -> Link:
    """The link with an event that continues a chain after its last one (None: begins it)."""
    previous = last.hash if last else first(chain)
    return Link(
        day=chain[0],
        shard=chain[1],
        number=last.number + 1 if last else 1,
        previous=previous,
        hash=linked(previous, text(event)),
        event=event,
    )


def holds(link: Link) -> bool:
    """Whether a link's hash is that of what it holds, and it stands in the chain of its day."""
    return linked(link.previous, text(link.event)) == link.hash and written(link.event.at)[:10] == link.day


# --- the walk along an export's chains ---


class Walk:
    """Walks along chains, ordered by day and shard, and stops at the first broken link.

    `counts`: how many links each chain is said to have. `marks`: chain → number of links → the hash that a checkpoint
    saw there. A copy (`copy.copy`) goes on from where the walk is.
    """

    __slots__ = ("_before", "_counts", "_hash", "_left", "_marks", "_seen", "chain", "number")

    def __init__(self, counts: Mapping[Chain, int], marks: Mapping[Chain, Mapping[int, str]]) -> None:
        self._counts = dict(counts)
        self._marks = marks
        for chain, seen in marks.items():
            self._counts[chain] = max((self._counts.get(chain, 0), *seen))
        self._left = tuple(sorted(each for each, count in self._counts.items() if count))
        self._seen = 0  # chains of `_left` that were begun or are over
        self.chain: Chain | None = None
        self.number = 0
        self._hash = self._before = ""

    def follow(self, links: Iterable[Link]) -> Broken | None:
        """Walk along all of them, and to the end."""
        coming = _Coming(links)
        for link in coming:
            broken = self.step(link, coming.ahead)
            if broken:
                return broken
        return self.end(lambda: ())

    def step(self, link: Link, ahead: Callable[[], Iterable[Link]]) -> Broken | None:
        """One link; `ahead` gives some that come after it."""
        if link.chain != self.chain:
            broken = self._turn(link, ahead)
            if broken:
                return broken
        if link.number != self.number + 1 or link.previous != self._hash or not holds(link):
            return self._broken(link, ahead)
        if link.number > self._counts[link.chain]:
            return self._found(link.number, Wrong.INSERTED, "there are more links than the export says")
        self.number, self._before, self._hash = link.number, self._hash, link.hash
        return self._compared(ahead)

    def end(self, ahead: Callable[[], Iterable[Link]]) -> Broken | None:
        """No link is left: whether all of them came."""
        return self._missing(None, ahead)

    def _turn(self, link: Link, ahead: Callable[[], Iterable[Link]]) -> Broken | None:
        """From one chain to another one."""
        if self.chain is not None and link.chain < self.chain:
            return self._at(link.chain, link.number, Wrong.REORDERED, "it stands after links of a later chain")
        broken = self._missing(link.chain, lambda: (link, *ahead()))
        if broken:
            return broken
        if link.chain not in self._counts:
            return self._at(link.chain, link.number, Wrong.INSERTED, "the export says nothing of its chain")
        self._begin(link.chain)
        return None

    def _begin(self, chain: Chain) -> None:
        self.chain, self.number, self._before, self._hash = chain, 0, "", first(chain)
        while self._seen < len(self._left) and self._left[self._seen] <= chain:
            self._seen += 1

    def _missing(self, until: Chain | None, ahead: Callable[[], Iterable[Link]]) -> Broken | None:
        """The first link that did not come, of this chain or of one between it and the next one."""
        if self.chain is not None and self.number < self._counts[self.chain]:
            return self._absent(self.chain, self.number + 1, ahead)
        if self._seen < len(self._left) and (until is None or self._left[self._seen] < until):
            return self._absent(self._left[self._seen], 1, ahead)
        return None

    def _absent(self, chain: Chain, number: int, ahead: Callable[[], Iterable[Link]]) -> Broken:
        if any(each.chain == chain and each.number == number for each in ahead()):
            return self._at(chain, number, Wrong.REORDERED, "it stands after links of a later chain")
        count = self._counts[chain]
        return self._at(chain, number, Wrong.TRUNCATED, f"the chain has {count} links, and from here on none is there")

    def _compared(self, ahead: Callable[[], Iterable[Link]]) -> Broken | None:
        """Whether a checkpoint saw the same hash here."""
        assert self.chain is not None
        marks = self._marks.get(self.chain, {})
        seen = marks.get(self.number, self._hash)
        if seen == self._hash:
            return None
        if any(each.hash == seen and each.chain == self.chain for each in ahead()):
            return self._found(self.number, Wrong.INSERTED, "the link that the checkpoint saw here comes after it")
        since = max((each for each in marks if each < self.number), default=0) + 1
        return self._found(since, Wrong.REWRITTEN, f"up to link {self.number} it is not what the checkpoint saw there")

    def _broken(self, link: Link, ahead: Callable[[], Iterable[Link]]) -> Broken:
        """What happened, as far as the links around it tell."""
        wanted = self.number + 1
        later = [each for each in ahead() if each.chain == link.chain]
        if link.number != wanted:
            return self._out_of_turn(link, wanted, later)
        if any(each.number == wanted and each.previous == self._hash and holds(each) for each in later):
            return self._found(wanted, Wrong.INSERTED, "the link that belongs here comes after it")
        if not holds(link):
            return self._found(wanted, Wrong.CHANGED, "its hash is not that of what it holds")
        return self._not_continuing(link, wanted, later)

    def _out_of_turn(self, link: Link, wanted: int, later: list[Link]) -> Broken:
        second = link.number == self.number and link.hash != self._hash
        if second and any(each.previous == link.hash for each in later):
            return self._found(self.number, Wrong.INSERTED, "a second link of its number is the one that goes on")
        if link.number < wanted:
            return self._found(wanted, Wrong.INSERTED, f"in its place stands a second link {link.number}")
        if any(each.number == wanted for each in later):
            return self._found(wanted, Wrong.REORDERED, f"in its place stands link {link.number}, and it comes later")
        return self._found(wanted, Wrong.DROPPED, f"in its place stands link {link.number}")

    def _not_continuing(self, link: Link, wanted: int, later: list[Link]) -> Broken:
        """A link that is sound in itself and does not continue the one before it."""
        if wanted > 1 and link.previous == self._before:
            return self._found(self.number, Wrong.INSERTED, "the next link continues the one before it")
        if any(each.hash == link.previous for each in later):
            return self._found(wanted, Wrong.REORDERED, "the link that it continues comes after it")
        assert self.chain is not None
        if wanted + len(later) < self._counts[self.chain] and len(later) < AHEAD // 2:
            return self._found(wanted, Wrong.DROPPED, "the next link continues one that is not there")
        return self._found(max(self.number, 1), Wrong.CHANGED, "the next link continues another one")

    def _found(self, number: int, wrong: Wrong, why: str) -> Broken:
        assert self.chain is not None
        return self._at(self.chain, number, wrong, why)

    def _at(self, chain: Chain, number: int, wrong: Wrong, why: str) -> Broken:
        return Broken(chain=chain, number=number, wrong=wrong, message=f"link {reference(chain, number)}: {why}")


class _Coming:
    """An iterator that can be looked ahead in, by `AHEAD` links at most."""

    def __init__(self, links: Iterable[Link]) -> None:
        self._links = iter(links)
        self._waiting: deque[Link] = deque()

    def __iter__(self) -> Iterator[Link]:
        return self

    def __next__(self) -> Link:
        return self._waiting.popleft() if self._waiting else next(self._links)

    def ahead(self) -> Iterable[Link]:
        self._waiting.extend(islice(self._links, AHEAD - len(self._waiting)))
        return self._waiting
