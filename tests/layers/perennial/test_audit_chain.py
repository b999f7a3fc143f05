"""Chains: whatever is done to an export is detected, and the first link that does not hold is named."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.audit_chain import (
    Broken,
    Chain,
    Link,
    Walk,
    Wrong,
    first,
    following,
    holds,
    linked,
    reference,
)
from perennial.audit_event import Event, text

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY, NEXT = "2026-11-01", "2026-11-02"
Links = tuple[Link, ...]


def event(number: int, at: datetime = NOON, **more: str) -> Event:
    facts = {"principal": "jo", "source": "cli", "action": "managed.renew", "subject_kind": "managed"}
    return Event(**{"id": f"{number:032x}", "at": at, "subject": f"shop{number}", **facts, **more})


def chain_of(chain: Chain, count: int) -> Links:
    """A sound chain."""
    at = datetime.fromisoformat(f"{chain[0]}T12:00:00Z")
    links: list[Link] = []
    for number in range(1, count + 1):
        made = event(chain[1] * 100_000 + number, at + timedelta(seconds=number))
        links.append(following(chain, links[-1] if links else None, made))
    return tuple(links)


@cache
def export_of(events: int, chains: int = 20) -> Links:
    """Sound chains of two days, in the order of an export."""
    names = sorted((day, shard) for day in (DAY, NEXT) for shard in range(chains // 2))
    return tuple(link for name in names for link in chain_of(name, events // chains))


def heads(links: Sequence[Link]) -> dict[Chain, Link]:
    return {link.chain: link for link in links}


def walk_of(links: Sequence[Link]) -> Walk:
    """What an export of these links says, and what a checkpoint saw: all of them, and each chain half-way."""
    last = heads(links)
    counts = {chain: link.number for chain, link in last.items()}
    half = {link.chain: link for link in links if link.number == max(1, counts[link.chain] // 2)}
    marks = {chain: {each[chain].number: each[chain].hash for each in (half, last)} for chain in last}
    return Walk(counts, marks)


def changed(link: Link) -> Link:
    """Another subject, and the old hash."""
    return replace(link, event=replace(link.event, subject="other"))


def rehashed(link: Link, previous: str = "", number: int = 0) -> Link:
    """A link as who tampers would write it: with a hash that fits."""
    before = previous or link.previous
    return replace(link, number=number or link.number, previous=before, hash=linked(before, text(link.event)))


# --- at every place of an export of 10,000 events ---

EVENTS = 10_000
Mutation = Callable[[Links, int], Iterator[Link]]


def one_changed(links: Links, at: int) -> Iterator[Link]:
    yield changed(links[at])
    yield from _rest(links, at + 1)


def swapped(links: Links, at: int) -> Iterator[Link]:
    yield links[at + 1]
    yield links[at]
    yield from _rest(links, at + 2)


def inserted(links: Links, at: int) -> Iterator[Link]:
    yield rehashed(replace(links[at], event=replace(links[at].event, subject="forged")))
    yield from _rest(links, at)


def truncated(links: Links, at: int) -> Iterator[Link]:
    return iter(())


def _rest(links: Links, begin: int) -> Iterator[Link]:
    """The links from a place on, one at a time: the walk takes no more of them than it needs."""
    return (links[number] for number in range(begin, len(links)))


def at_every_place(links: Links, mutation: Mutation, places: int) -> Iterator[tuple[int, Broken | None]]:
    """What the walk says of an export that is sound up to each place, and from there on is the mutation's."""
    sound = walk_of(links)
    for at in range(places):
        yield at, copy.copy(sound).follow(mutation(links, at))
        assert sound.step(links[at], lambda: ()) is None


def dropped_lazily(links: Links, at: int) -> Iterator[Link]:
    return _rest(links, at + 1)


EXPECTED: Mapping[str, tuple[Mutation, int, frozenset[Wrong]]] = {
    "dropped": (dropped_lazily, EVENTS, frozenset({Wrong.DROPPED, Wrong.TRUNCATED})),
    "changed": (one_changed, EVENTS, frozenset({Wrong.CHANGED})),
    "reordered": (swapped, EVENTS - 1, frozenset({Wrong.REORDERED})),
    "inserted": (inserted, EVENTS, frozenset({Wrong.INSERTED})),
    "truncated": (truncated, EVENTS, frozenset({Wrong.TRUNCATED})),
}


@pytest.mark.parametrize(("mutation", "places", "wrong"), EXPECTED.values(), ids=EXPECTED)
def test_tampering_at_every_place_of_ten_thousand_events(
    mutation: Mutation, places: int, wrong: frozenset[Wrong]
) -> None:
    """Drop, change, reorder, insert and truncate at every place: each is detected, with the very link and what it is;
    the last link of a chain that is missing is told as truncated."""
    links = export_of(EVENTS)
    assert len(links) == EVENTS
    for at, broken in at_every_place(links, mutation, places):
        assert broken is not None, at
        assert (broken.chain, broken.number) == (links[at].chain, links[at].number), broken.message
        assert broken.wrong in wrong, broken.message
        last = links[at].number == EVENTS // 20
        assert mutation is not dropped_lazily or broken.wrong is (Wrong.TRUNCATED if last else Wrong.DROPPED)


def test_a_sound_export_holds() -> None:
    """Without tampering nothing is said."""
    links = export_of(EVENTS)
    assert walk_of(links).follow(links) is None


# --- who tampers with more care ---


def renumbered(links: Sequence[Link], by: int) -> list[Link]:
    return [replace(each, number=each.number + by) for each in links]


def rewritten(links: Sequence[Link], at: int) -> list[Link]:
    """From a place on, a chain that is sound in itself, with another event there."""
    made = list(links[:at])
    for number, each in enumerate(links[at:]):
        own = each.event if number else replace(each.event, subject="forged")
        made.append(following(each.chain, made[-1] if made else None, own))
    return made


CHAIN = chain_of((DAY, 3), 20)
OTHER = chain_of((DAY, 4), 20)
CAREFUL: dict[str, tuple[Sequence[Link], int, Wrong]] = {
    "changed, with a hash that fits": ((*CHAIN[:6], rehashed(changed(CHAIN[6])), *CHAIN[7:]), 7, Wrong.CHANGED),
    "the first one changed, with a hash that fits": ((rehashed(changed(CHAIN[0])), *CHAIN[1:]), 1, Wrong.CHANGED),
    "only the hash changed": ((*CHAIN[:6], replace(CHAIN[6], hash="0" * 64), *CHAIN[7:]), 7, Wrong.CHANGED),
    "dropped, and numbered anew": ((*CHAIN[:6], *renumbered(CHAIN[7:], -1)), 7, Wrong.DROPPED),
    "a copy after it": ((*CHAIN[:7], CHAIN[6], *CHAIN[7:]), 8, Wrong.INSERTED),
    "inserted, and numbered anew": (
        (*CHAIN[:6], rehashed(changed(CHAIN[6]), CHAIN[5].hash, 7), *renumbered(CHAIN[6:], 1)),
        7,
        Wrong.INSERTED,
    ),
    "swapped, and numbered anew": (
        (*CHAIN[:6], replace(CHAIN[7], number=7), replace(CHAIN[6], number=8), *CHAIN[8:]),
        7,
        Wrong.REORDERED,
    ),
    "moved far away": ((*CHAIN[:6], *CHAIN[7:], CHAIN[6]), 7, Wrong.REORDERED),
    "backwards": (CHAIN[::-1], 1, Wrong.REORDERED),
    "the end cut off": (CHAIN[:15], 16, Wrong.TRUNCATED),
    "nothing left": ((), 1, Wrong.TRUNCATED),
    "another chain in its place": (tuple(replace(each, shard=3) for each in OTHER), 1, Wrong.CHANGED),
    "more at the end": ((*CHAIN, following((DAY, 3), CHAIN[-1], event(99))), 21, Wrong.INSERTED),
    "written anew after a checkpoint": (rewritten(CHAIN, 14), 11, Wrong.REWRITTEN),
    "written anew from the beginning": (rewritten(CHAIN, 0), 1, Wrong.REWRITTEN),
    "an event of another day": (
        (*CHAIN[:6], following((DAY, 3), CHAIN[5], event(7, NOON + timedelta(days=1))), *CHAIN[7:]),
        7,
        Wrong.CHANGED,
    ),
}


@pytest.mark.parametrize(("links", "number", "wrong"), CAREFUL.values(), ids=CAREFUL)
def test_careful_tampering(links: Sequence[Link], number: int, wrong: Wrong) -> None:
    """Also numbers and hashes that were made to fit do not help: a later hash or a checkpoint tells."""
    broken = walk_of(CHAIN).follow(links)
    assert broken is not None
    assert (broken.number, broken.wrong) == (number, wrong), broken.message
    assert broken.message.startswith(f"link {broken.reference}: ")


def test_whole_chains() -> None:
    """A chain that is gone, one that nobody knows, and chains in another order are told with the chain."""
    links = (*CHAIN, *OTHER)
    lost = walk_of(links).follow(CHAIN)
    assert lost is not None
    assert (lost.reference, lost.wrong) == (reference((DAY, 4), 1), Wrong.TRUNCATED)
    unknown = walk_of(CHAIN).follow(links)
    assert unknown is not None
    assert (unknown.reference, unknown.wrong) == (reference((DAY, 4), 1), Wrong.INSERTED)
    turned = walk_of(links).follow((*OTHER, *CHAIN))
    assert turned is not None
    assert (turned.reference, turned.wrong) == (reference((DAY, 3), 1), Wrong.REORDERED)


def test_what_no_checkpoint_saw() -> None:
    """After the last checkpoint a chain that was written anew is sound: that is why it is told as not covered."""
    counts, marks = {(DAY, 3): 20}, {(DAY, 3): {10: CHAIN[9].hash}}
    assert Walk(counts, marks).follow(rewritten(CHAIN, 14)) is None
    assert Walk(counts, marks).follow(rewritten(CHAIN, 9)) is not None


def test_hashes() -> None:
    """The hash of a link is what the documentation says, and the first one names its chain."""
    import hashlib

    link = CHAIN[0]
    name = hashlib.sha256(b"perennial audit chain 2026-11-01 03").hexdigest()
    assert link.previous == first((DAY, 3)) == name
    assert link.hash == hashlib.sha256(bytes.fromhex(name) + text(link.event).encode()).hexdigest()
    assert CHAIN[1].previous == link.hash
    assert holds(link)
    assert not holds(replace(link, day=NEXT))


SMALL = export_of(60, 6)


@settings(deadline=None, max_examples=300)
@given(st.permutations(range(len(SMALL))).filter(lambda order: order != sorted(order)))
def test_any_order_but_the_right_one_is_detected(order: list[int]) -> None:
    """Whatever permutation of an export: the first broken link is not after the first place that differs."""
    broken = walk_of(SMALL).follow([SMALL[each] for each in order])
    assert broken is not None


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(range(len(SMALL))), max_size=80).filter(lambda each: each != list(range(len(SMALL)))))
def test_any_selection_is_detected(chosen: list[int]) -> None:
    """Whatever is dropped, doubled or moved of an export."""
    assert walk_of(SMALL).follow([SMALL[each] for each in chosen]) is not None
