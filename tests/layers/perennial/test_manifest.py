"""Manifests: what is written is read again, and a difference leads from any state that can be to what is there."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterable, Mapping
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estate import HUB, NOW, SCOPE
from perennial.errors import InvalidInput
from perennial.manifest import Difference, Role, Scope, Sighting, begun, decode, difference, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
sightings = st.builds(
    Sighting,
    location=st.text(min_size=1, max_size=30),
    role=st.sampled_from(Role),
    resource=st.text(max_size=30),
    fingerprint=st.none() | st.just("a" * 64),
    holder=st.none() | st.text(min_size=1, max_size=10),
    version=st.text(max_size=10),
    attributes=st.dictionaries(st.text(max_size=10), json_values, max_size=4),
)
listings = st.lists(sightings, max_size=6, unique_by=lambda each: each.location)


@settings(max_examples=150, deadline=None)
@given(listings)
def test_what_is_encoded_is_decoded_again(listing: list[Sighting]) -> None:
    """Every sighting comes back equal, hostile text and nested attributes included, sorted by its location."""
    assert decode(encode(SCOPE, NOW, listing)) == sorted(listing, key=lambda each: each.location)


@settings(max_examples=50, deadline=None)
@given(listings, st.randoms(use_true_random=False))
def test_equal_content_gives_equal_bytes(listing: list[Sighting], random: object) -> None:
    """The order in which a source lists does not show, so an ETag tells whether a manifest changed."""
    shuffled = list(listing)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert encode(SCOPE, NOW, shuffled) == encode(SCOPE, NOW, iter(listing))


def test_the_first_line_says_what_it_is() -> None:
    """A manifest can be read with zcat: its scope, its time and its format come first."""
    head = json.loads(gzip.decompress(encode(SCOPE, NOW, ())).splitlines()[0])
    assert head == {"format": 1, "scope": SCOPE.key, "scanned_at": NOW.isoformat()}


GOOD = encode(SCOPE, NOW, [Sighting(location="a", role=Role.STORED, resource="a")])


@pytest.mark.parametrize(
    "data",
    [
        b"not gzip",
        GOOD[:-12],
        GOOD[:20],
        b"\x1f\x8b",
        gzip.compress(b""),
        gzip.compress(b"[]\n"),
        gzip.compress(b'"text"\n'),
        gzip.compress(b'{"format": 2}\n'),
        gzip.compress(b"{}\n"),
        gzip.compress(b'{"format": 1}\nnot json\n'),
        gzip.compress(b'{"format": 1}\n[]\n'),
        gzip.compress(b'{"format": 1}\n{"location": "a", "role": "owner", "resource": "a"}\n'),
        gzip.compress(b'{"format": 1}\n{"location": "a", "role": "stored", "resource": "a", "colour": 1}\n'),
    ],
    ids=range(13),
)
def test_a_damaged_or_foreign_manifest_is_refused_with_what_to_do(data: bytes) -> None:
    """Half a manifest is never taken for a whole one: that would mark everything else as gone."""
    with pytest.raises(InvalidInput, match=r"restore|deploy"):
        decode(data)


@pytest.mark.parametrize(
    ("key", "scope"),
    [
        (f"{HUB}/eu-west-1/acm", SCOPE),
        (f"{HUB}/aws-global/iam", Scope(HUB, "aws-global", "iam")),
        ("", None),
        ("acm", None),
        ("a/b", None),
        ("a/b/c/d", None),
        ("//acm", None),
        ("a//c", None),
    ],
)
def test_a_scope_is_named_by_its_key(key: str, scope: Scope | None) -> None:
    """account/region/source and back; anything else gets a clear error."""
    if scope is None:
        with pytest.raises(InvalidInput, match="account/region/source"):
            Scope.of(key)
    else:
        assert (Scope.of(key), scope.key) == (scope, key)


def test_the_place_is_where_the_certificate_is_held() -> None:
    """What is attached belongs to its holder's place, what holds to its own."""
    held = Sighting(location="arn:certificate", role=Role.STORED, resource="r")
    attached = Sighting(location="arn:listener", role=Role.ATTACHED, resource="r", holder="arn:certificate")
    assert held.place == attached.place == "arn:certificate"


small = st.builds(
    Sighting,
    location=st.sampled_from("abcd"),
    role=st.just(Role.STORED),
    resource=st.just("r"),
    fingerprint=st.sampled_from(["1" * 64, "2" * 64, "3" * 64]),
)
states = st.lists(small, max_size=4).map(lambda every: {each.location: each for each in every})


class Table:
    """A table as the inventory keeps it: what stands at each location, and which certificates are held where."""

    def __init__(self, state: Mapping[str, Sighting] = {}) -> None:
        self.stands: dict[str, Sighting] = {}
        self.held: set[tuple[str, str | None]] = set()
        for each in state.values():
            self.see(each)

    def see(self, now: Sighting) -> None:
        self.stands[now.location] = now
        self.held.add((now.location, now.fingerprint))

    def leave(self, was: Sighting) -> None:
        self.held.discard((was.location, was.fingerprint))

    def miss(self, was: Sighting) -> None:
        self.stands.pop(was.location, None)
        self.leave(was)

    def apply(self, change: Difference, writes: int | None = None) -> None:
        """Write a difference, or the first `writes` of its certificates."""
        steps = [(self.see, each) for each in change.added]
        for was, now in change.changed:
            steps += [(self.leave, was)] * (was.fingerprint != now.fingerprint) + [(self.see, now)]
        steps += [(self.miss, each) for each in change.gone]
        for write, sighting in steps[:writes]:
            write(sighting)

    def shows(self, state: Mapping[str, Sighting]) -> bool:
        return self.stands == state and self.held == {(each.location, each.fingerprint) for each in state.values()}


@settings(max_examples=200, deadline=None)
@given(states, states)
def test_a_difference_leads_from_before_to_after(before: dict[str, Sighting], after: dict[str, Sighting]) -> None:
    """Applied to a table that shows the state before, it shows the state after; an equal state differs in nothing."""
    table = Table(before)
    table.apply(difference(before, after))
    assert table.shows(after)
    assert not difference(after, dict(after))
    assert bool(difference(before, after)) == (before != after)


@settings(max_examples=400, deadline=None)
@given(states, st.lists(st.tuples(states, st.integers(0, 8)), max_size=4), states)
def test_after_any_number_of_crashes_the_table_shows_what_is_there(
    before: dict[str, Sighting], crashes: list[tuple[dict[str, Sighting], int]], after: dict[str, Sighting]
) -> None:
    """However often a scan was killed after however many writes, and whatever changed meanwhile, the next one corrects
    everything: no ghost stays, nothing that came back stays gone, and no certificate is held where it is not."""
    table, unsure = Table(before), list[Sighting]()
    for seen, writes in crashes:
        change = difference(before, seen, unsure)
        unsure = decode(encode(SCOPE, NOW, begun(unsure, change.touched)))
        table.apply(change, writes)
    table.apply(difference(before, after, unsure))
    assert table.shows(after)


def test_an_unsure_location_is_written_again_though_nothing_changed() -> None:
    """What a killed scan may have marked gone is present again, also where both manifests agree about it."""
    state = {"a": Sighting(location="a", role=Role.STORED, resource="r", fingerprint="1" * 64)}
    assert difference(state, state, state.values()) == Difference(tuple(state.values()), (), ())


def test_what_was_begun_is_remembered_once_and_the_newest_last() -> None:
    """Crash after crash the memory of what may stand in the table grows with the changes, not with the crashes."""
    first, second = (Sighting(location="a", role=Role.STORED, resource="r", fingerprint=number * 64) for number in "12")
    assert begun([first, second], [first]) == [second, first]
    assert begun(begun([first], [second]), [second]) == [first, second]


def test_a_large_scope_fits_into_memory() -> None:
    """The manifests of a hundred thousand sightings and their difference stay far below a function's memory."""
    tracemalloc.start()
    before = _many(20_000)
    change = difference(before, _many(20_000, changed=100))
    encode(SCOPE, NOW + timedelta(days=1), before.values())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(change.changed) == 200
    assert peak * 5 < 700_000_000  # a fifth of the hundred thousand


def _many(count: int, changed: int = 0) -> dict[str, Sighting]:
    return {each.location: each for each in _sightings(count, changed)}


def _sightings(count: int, changed: int) -> Iterable[Sighting]:
    for number in range(count):
        arn = f"arn:aws:acm:eu-west-1:{HUB}:certificate/{number:036d}"
        attributes = {"type": "IMPORTED", "in_use": True, "tags": {"owner": "shop"}, "public": False}
        version = "new" if changed and number % changed == 0 else "old"
        yield Sighting(location=arn, role=Role.STORED, resource=arn, fingerprint="a" * 64, version=version,
                       attributes=attributes)  # fmt: skip
