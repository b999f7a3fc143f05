"""Search finds what fits, in order, page by page, and reads in proportion to the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import NOW, build
from paged_table import PagedTable
from perennial import search
from perennial.errors import InvalidInput
from perennial.inventory import conversion
from perennial.inventory.lists import Mark
from perennial.inventory.records import CertificateSummary
from perennial.inventory.store import Inventory
from perennial.roles import ANY, Grant, Role
from perennial.search import Order, Search, Way
from searching import ISSUERS, OWNERS, fact, fingerprint, joined, keep, pages, place, table

DAY = timedelta(days=1)
SIZE = 300
LARGE = 8_000
SHOP = frozenset({"shop"})


@cache
def a_fleet() -> PagedTable:
    """Three hundred certificates of two owners and nobody, seven to an end, every tenth one gone."""
    held = PagedTable()
    for number in range(SIZE):
        keep(held, fact(number), OWNERS[number % 5 % 3], gone=number % 10 == 9)
    return held


@pytest.fixture
def fleet() -> Iterator[tuple[PagedTable, Inventory]]:
    with table(a_fleet()) as found:
        yield found


def everything(inventory: Inventory, wanted: Search, within: Any = None, limit: int = 100) -> list[CertificateSummary]:
    return joined(pages(lambda mark: search.page(inventory, wanted, within, mark, limit)))


def numbers(found: list[CertificateSummary]) -> list[int]:
    return [int(each.serial or "0", 16) - 1 for each in found]


def fits(number: int, wanted: Search, within: frozenset[str] | None) -> bool:
    """Whether a certificate of the fleet is asked for, told anew."""
    certificate, owner = fact(number), OWNERS[number % 5 % 3]
    end = certificate.not_after
    assert end
    return (
        (wanted.include_gone or number % 10 != 9)
        and (within is None or owner in within)
        and (not wanted.owner or owner == wanted.owner)
        and (not wanted.issuer or wanted.issuer.lower() in str(certificate.issuer).lower())
        and (not wanted.key or f"{certificate.key}-".lower().startswith(f"{wanted.key}-".lower()))
        and (not wanted.signature or certificate.signature_algorithm == wanted.signature)
        and (not wanted.public_key or certificate.public_key_sha256 == wanted.public_key)
        and (not wanted.expiring_after or end >= wanted.expiring_after)
        and (not wanted.expiring_before or end <= wanted.expiring_before)
    )


SEARCHES = [
    Search(),
    Search(include_gone=True),
    Search(owner="shop"),
    Search(owner="shop", issuer="one"),
    Search(owner="nobody-has-this-name"),
    Search(issuer="ISSUING"),
    Search(issuer="elsewhere", key="EC"),
    Search(issuer="no such issuer"),
    Search(key="rsa"),
    Search(key="rsa-2048", include_gone=True),
    Search(key="RSA-20"),
    Search(key="ec-256", expiring_before=NOW + 100 * DAY),
    Search(public_key=fingerprint(7), include_gone=True),
    Search(public_key=fingerprint(7), owner="blog", include_gone=True),
    Search(expiring_after=NOW + 30 * DAY),
    Search(expiring_after=NOW + 30 * DAY, expiring_before=NOW + 90 * DAY),
    Search(expiring_after=NOW + 90 * DAY, expiring_before=NOW + 30 * DAY),
    Search(expiring_before=NOW - DAY),
]


@pytest.mark.parametrize("within", [None, SHOP, frozenset({"shop", "blog"}), frozenset({"other"})])
@pytest.mark.parametrize("order", [None, Order.END, Order.LATEST])
@pytest.mark.parametrize("wanted", SEARCHES)
def test_a_search_finds_all_that_fits_once_and_in_order(
    fleet: tuple[PagedTable, Inventory], wanted: Search, order: Order | None, within: frozenset[str] | None
) -> None:
    """Every condition, with teams and without, in both directions, over pages of seven."""
    found = everything(fleet[1], replace(wanted, order=order), within, limit=7)
    ends = [each.not_after for each in found if each.not_after]
    assert sorted(numbers(found)) == [each for each in range(SIZE) if fits(each, wanted, within)]
    assert ends == sorted(ends, reverse=order is Order.LATEST)


def test_a_signature_is_found_by_its_index_and_beside_another_condition(fleet: tuple[PagedTable, Inventory]) -> None:
    """Where the line does not tell, the certificate is asked."""
    with table() as (held, inventory):
        made = [build(f"n{number}.example.com", key=("EC-256", "RSA-2048")[number % 2]) for number in range(4)]
        for each in made:
            keep(held, each.certificate, "shop")
        algorithms = {each.certificate.signature_algorithm for each in made}
        assert len(algorithms) == 2
        for signature in algorithms:
            expected = {
                each.certificate.fingerprint for each in made if each.certificate.signature_algorithm == signature
            }
            for wanted in (Search(signature=signature), Search(signature=signature, owner="shop")):
                assert {each.fingerprint for each in everything(inventory, wanted, limit=1)} == expected


@pytest.mark.parametrize("limit", [1, 2, 7, 50, 100])
def test_pages_of_any_size_make_the_same_list(fleet: tuple[PagedTable, Inventory], limit: int) -> None:
    """The size of a page changes nothing else."""
    whole = [each.fingerprint for each in everything(fleet[1], Search())]
    assert [each.fingerprint for each in everything(fleet[1], Search(), limit=limit)] == whole


# --- teams ---


@pytest.mark.parametrize(
    ("grants", "seen"),
    [
        ((Grant(role=Role.VIEWER, team="shop"),), SHOP),
        ((Grant(role=Role.VIEWER, team="shop"), Grant(role=Role.APPROVER, team="blog")), {"shop", "blog"}),
        ((Grant(role=Role.AUDITOR),), None),
        ((Grant(role=Role.VIEWER, team="shop"), Grant(role=Role.VIEWER, team=ANY)), None),
        ((), frozenset()),
    ],
)
def test_grants_say_whose_certificates_are_seen(grants: tuple[Grant, ...], seen: frozenset[str] | None) -> None:
    """Teams that are named, or all."""
    assert search.teams(grants) == seen


def test_who_has_no_team_sees_nothing(fleet: tuple[PagedTable, Inventory]) -> None:
    """No team is not every team."""
    assert everything(fleet[1], Search(), frozenset()) == []


def test_a_team_that_is_not_ones_own_shows_nothing(fleet: tuple[PagedTable, Inventory]) -> None:
    """To ask for another owner does not widen what is seen, whatever else is asked."""
    for wanted in (
        Search(owner="blog"),
        Search(owner="blog", public_key=fingerprint(7)),
        Search(owner="blog", key="EC"),
    ):
        assert everything(fleet[1], wanted, SHOP) == []


def test_more_teams_than_are_merged_are_seen_too(fleet: tuple[PagedTable, Inventory]) -> None:
    """A person of many teams sees those of each of them and no others."""
    many = frozenset({"shop", *(f"team-{number}" for number in range(search.MAX_TEAMS))})
    expected = [each for each in range(SIZE) if fits(each, Search(), SHOP)]
    assert sorted(numbers(everything(fleet[1], Search(), many))) == expected


# --- names and resources ---


@cache
def a_zone() -> PagedTable:
    """Certificates with several names, alike at their beginning, in two zones."""
    with table() as (held, inventory):
        for number in range(12):
            names = (f"n{number}.shop.example.com", f"a{number % 3}.shop.example.com", "*.shop.example.com")
            made = build(f"n{number}", names=names[: 1 + number % 3])
            inventory.keep([made.certificate], NOW)
            keep(held, made.certificate, "shop" if number % 2 else "blog")
        for other in ("shop.example.com", "shop-two.example.com", "shop.example.org", "192.0.2.7"):
            inventory.keep([build(other, names=(other,)).certificate], NOW)
    return held


@pytest.fixture
def named() -> Iterator[tuple[PagedTable, Inventory]]:
    with table(a_zone()) as found:
        yield found


@pytest.mark.parametrize("order", [None, Order.NAME, Order.LAST_NAME])
@pytest.mark.parametrize("limit", [1, 5, 100])
def test_a_subtree_is_found_by_name_each_certificate_once(
    named: tuple[PagedTable, Inventory], limit: int, order: Order | None
) -> None:
    """Names below a name, itself, and not those that only begin alike; a certificate with three of them comes once."""
    found = everything(named[1], Search(name="shop.example.com", subtree=True, order=order), limit=limit)
    assert len({each.fingerprint for each in found}) == len(found) == 13
    titles = [each.title for each in found]
    assert titles[-1 if order is Order.LAST_NAME else 0] == "shop.example.com"


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("SHOP.example.com.", 1),
        ("*.shop.example.com", 4),
        ("a1.shop.example.com", 4),
        ("192.0.2.7", 1),
        ("example.com", 0),
        ("op.example.com", 0),
    ],
)
def test_a_name_is_found_exactly(named: tuple[PagedTable, Inventory], name: str, count: int) -> None:
    """A wildcard is a name of its own; case and a last dot do not matter."""
    assert len(everything(named[1], Search(name=name), limit=2)) == count


def test_a_name_is_found_within_ones_team(named: tuple[PagedTable, Inventory]) -> None:
    """Of certificates with a name, those of one's own team alone."""
    found = everything(named[1], Search(name="shop.example.com", subtree=True), SHOP, limit=3)
    assert {each.owner for each in found} == {"shop"}
    assert len(found) == 6


@cache
def a_listener() -> PagedTable:
    """A listener that uses what thirty places hold, and used what three more held."""
    with table() as (held, inventory):
        for number in range(33):
            made = build(f"p{number}.example.com").certificate
            inventory.keep([made], NOW)
            arn = f"arn:acm:{number:03}"
            place(held, arn, arn, fingerprint=made.fingerprint or "")
            place(held, f"listener#{arn}", "listener", number >= 30, holder=arn)
    return held


@pytest.fixture
def placed() -> Iterator[tuple[PagedTable, Inventory]]:
    with table(a_listener()) as found:
        yield found


@pytest.mark.parametrize("limit", [1, 4, 30, 100])
@pytest.mark.parametrize(("include_gone", "count"), [(False, 30), (True, 33)])
def test_what_a_resource_uses_is_found_by_place(
    placed: tuple[PagedTable, Inventory], include_gone: bool, count: int, limit: int
) -> None:
    """A listener's certificates are those of the places that it uses."""
    found = everything(placed[1], Search(resource="listener", include_gone=include_gone), limit=limit)
    assert [each.title for each in found] == [f"p{number}.example.com" for number in range(count)]


def test_a_resource_and_a_name_must_both_fit(placed: tuple[PagedTable, Inventory]) -> None:
    """Of what a listener uses, what has a name."""
    assert [each.title for each in everything(placed[1], Search(resource="listener", name="p7.example.com"))] == [
        "p7.example.com"
    ]
    assert everything(placed[1], Search(resource="arn:acm:003", name="p7.example.com")) == []


def test_an_issuer_whose_name_is_cut_in_the_index_is_found_by_its_end() -> None:
    """What is asked for may stand behind what lists are asked by."""
    with table() as (held, inventory):
        long = f"CN={'x' * 260} the end"
        keep(held, fact(1, issuer=long), "shop")
        keep(held, fact(2), "shop")
        item = conversion.certificate_item(fact(1, issuer=long), NOW)
        assert len(str(item.issuer_key)) == conversion.MAX_WORD + 2
        assert numbers(everything(inventory, Search(issuer="the end"))) == [1]
        assert numbers(everything(inventory, Search(issuer="not there"))) == []


# --- stability ---


@given(
    ends=st.lists(st.integers(0, 6), min_size=1, max_size=25),
    changes=st.lists(st.tuples(st.sampled_from(["come", "go", "move"]), st.integers(0, 60)), max_size=25),
    limit=st.integers(1, 6),
    order=st.sampled_from([Order.END, Order.LATEST]),
    wanted=st.sampled_from([Search(), Search(owner="shop"), Search(issuer="one"), Search(key="EC-256")]),
)
@settings(max_examples=80, deadline=None)
def test_what_stays_is_neither_skipped_nor_doubled(
    ends: list[int], changes: list[tuple[str, int]], limit: int, order: Order, wanted: Search
) -> None:
    """Between any two pages certificates come, go and change hands; all that stay are told once, in order."""
    with table() as (held, inventory):
        left = list(changes)

        def put(number: int, end: int, owner: str | None = "shop", gone: bool = False) -> None:
            made = fact(
                number,
                not_after=NOW + end * 15 * DAY,
                issuer=ISSUERS[0],
                key_algorithm="EC",
                key_size=256,
                public_key_sha256=fingerprint(1),
            )
            keep(held, made, owner, gone)

        for number, end in enumerate(ends):
            put(number, end)
        touched: set[int] = set()

        def change() -> None:
            if left:
                how, which = left.pop()
                if how == "come":
                    put(1_000 + which, which % 7)
                    touched.add(1_000 + which)
                elif which < len(ends):
                    put(which, ends[which], *(("shop", True) if how == "go" else ("blog", False)))
                    touched.add(which)

        told = numbers(
            joined(pages(lambda mark: search.page(inventory, replace(wanted, order=order), None, mark, limit), change))
        )
        stayed = set(range(len(ends))) - touched
        assert len(told) == len(set(told))
        assert stayed <= set(told)
        in_order = [ends[each] for each in told if each in stayed]
        assert in_order == sorted(in_order, reverse=order is Order.LATEST)


@given(
    first=st.sets(st.integers(0, 30), min_size=1, max_size=12),
    come=st.lists(st.integers(31, 60), unique=True, max_size=10),
    limit=st.integers(1, 4),
    order=st.sampled_from([Order.NAME, Order.LAST_NAME]),
)
@settings(max_examples=25, deadline=None)
def test_names_that_come_between_pages_change_nothing_for_others(
    first: set[int], come: list[int], limit: int, order: Order
) -> None:
    """By name too: what was there is told once, whatever comes meanwhile."""
    with table() as (_, inventory):

        def put(number: int) -> None:
            names = (f"n{number}.shop.example.com", f"m{number % 5}.shop.example.com")
            inventory.keep([build(f"n{number}", names=names, key="EC-256").certificate], NOW)

        for number in first:
            put(number)
        wanted, left = Search(name="shop.example.com", subtree=True, order=order), list(come)
        found = joined(
            pages(
                lambda mark: search.page(inventory, wanted, None, mark, limit),
                lambda: put(left.pop()) if left else None,
            )
        )
        told = [each.title for each in found]
        assert len(told) == len(set(told))
        assert {f"n{number}" for number in first} <= set(told)


# --- proportion ---


@cache
def a_large_fleet() -> PagedTable:
    """Eight thousand certificates: a small team among large ones, half of them gone."""
    held = PagedTable()
    for number in range(LARGE):
        owner = "rare" if number % 1_000 == 0 else f"team-{number % 7}"
        key: dict[str, Any] = {"key_algorithm": "Ed25519", "key_size": None} if number % 500 == 0 else {}
        keep(held, fact(number, not_after=NOW + timedelta(minutes=number * 30), **key), owner, gone=number % 2 == 1)
    return held


@pytest.fixture
def large() -> Iterator[tuple[PagedTable, Inventory]]:
    with table(a_large_fleet()) as found:
        yield found


@pytest.mark.parametrize("limit", [10, 100])
@pytest.mark.parametrize(
    ("wanted", "within"),
    [
        (Search(include_gone=True), None),
        (Search(include_gone=True, order=Order.LATEST), None),
        (Search(owner="team-3", include_gone=True), None),
        (Search(include_gone=True), frozenset({"team-1", "team-2", "team-3"})),
        (Search(issuer="two", include_gone=True), None),
        (Search(key="RSA-2048", include_gone=True), None),
        (Search(signature="ecdsa-with-SHA256", include_gone=True), None),
        (Search(expiring_after=NOW + 40 * DAY, include_gone=True), None),
    ],
)
def test_a_page_reads_in_proportion_to_what_it_holds(
    large: tuple[PagedTable, Inventory], wanted: Search, within: frozenset[str] | None, limit: int
) -> None:
    """At most four items for each certificate of a page and forty more, at the beginning and deep within the list."""
    held, inventory = large
    mark: Mark | None = None
    for _ in range(12):
        held.reset()
        found = search.page(inventory, wanted, within, mark, limit)
        assert len(found.certificates) == limit or found.next is None
        assert held.items_read <= 4 * limit + 40
        mark = found.next
        if mark is None:
            break


@pytest.mark.parametrize(
    ("wanted", "within"),
    [
        (Search(owner="rare"), None),
        (Search(), frozenset({"rare"})),
        (Search(key="Ed25519"), frozenset({"rare", "team-0"})),
        (Search(key="ED25519"), None),
        (Search(key="Ed"), None),
        (Search(key="Ed25519"), frozenset(f"team-{number}" for number in range(30))),
        (Search(issuer="no such issuer"), None),
        (Search(expiring_before=NOW - DAY), None),
    ],
)
def test_a_narrow_search_reads_little_for_each_page(
    large: tuple[PagedTable, Inventory], wanted: Search, within: frozenset[str] | None
) -> None:
    """However few certificates fit: a page ends, and the whole list is still told."""
    held, inventory = large
    found, mark = [], None
    for _ in range(200):
        held.reset()
        page = search.page(inventory, wanted, within, mark, 50)
        assert held.items_read + held.queries <= 10 * 50
        found += page.certificates
        mark = page.next
        if mark is None:
            break
    assert mark is None
    owners = {wanted.owner} if wanted.owner else within
    expected = [
        number
        for number in range(0, LARGE, 2)
        if (owners is None or ("rare" if number % 1_000 == 0 else f"team-{number % 7}") in owners)
        and ((wanted.key != "Ed25519" and wanted.key != "ED25519") or number % 500 == 0)
        and wanted.issuer is None
        and wanted.expiring_before is None
        and wanted.key != "Ed"
    ]
    assert numbers(found) == expected


@pytest.mark.parametrize("limit", [1, 10, 50, 100])
@pytest.mark.parametrize(
    ("wanted", "within"),
    [
        (Search(key="Ed25519"), frozenset({"rare", "team-0"})),
        (Search(key="Ed25519"), frozenset(f"team-{number}" for number in range(30))),
        (Search(owner="team-3", issuer="no such issuer"), None),
        (Search(owner="team-3", signature="none"), None),
        (Search(expiring_before=NOW - DAY), None),
    ],
)
def test_a_page_that_few_fit_reads_in_proportion_too(
    large: tuple[PagedTable, Inventory], wanted: Search, within: frozenset[str] | None, limit: int
) -> None:
    """Items and queries, ten for each certificate that it may hold; a page of one may read as one of ten."""
    held, inventory = large
    mark: Mark | None = None
    for _ in range(20):
        held.reset()
        mark = search.page(inventory, wanted, within, mark, limit).next
        assert held.items_read + held.queries <= 10 * max(limit, 10)
        if mark is None:
            break


def test_a_rare_family_of_keys_is_found_by_the_keys_that_there_are() -> None:
    """It costs what it finds; a family that nobody has costs the list of keys."""
    with table() as (held, inventory):
        for number in range(1_000):
            rare = number % 250 == 0
            key = {"key_algorithm": "DSA", "key_size": 1_024 * (1 + number % 500 // 250)} if rare else {}
            keep(held, fact(number, **key))
        held.reset()
        assert numbers(everything(inventory, Search(key="dsa"))) == [0, 250, 500, 750]
        assert held.items_read <= 30
        held.reset()
        assert everything(inventory, Search(key="SLH")) == []
        assert held.items_read + held.queries <= 20


def test_more_kinds_of_a_family_than_are_merged_are_found_too() -> None:
    """All certificates are walked then."""
    with table() as (held, inventory):
        for number in range(4 * search.MAX_MERGED):
            keep(held, fact(number, key_algorithm=("RSA", "EC")[number % 2], key_size=256 + number))
        wanted = Search(key="RSA")
        assert search._way(inventory, wanted, None) is Way.ALL
        assert sorted(numbers(everything(inventory, wanted, limit=5))) == list(range(0, 4 * search.MAX_MERGED, 2))


def test_a_key_that_becomes_known_between_two_pages_breaks_no_list() -> None:
    """The list goes on in its way, with one family more than is merged at first."""
    with table() as (held, inventory):
        for number in range(4 * search.MAX_MERGED):
            keep(held, fact(number, key_algorithm="RSA", key_size=1_024 + number % search.MAX_MERGED))
        first = search.page(inventory, Search(key="RSA"), None, None, 5)
        assert first.next and first.next[0] is Way.KEY
        keep(held, fact(9_999, key_algorithm="RSA", key_size=9_216))
        rest = joined(pages(lambda mark: search.page(inventory, Search(key="RSA"), None, mark or first.next, 5)))
        told = numbers([*first.certificates, *rest])
        assert sorted(told) == [*range(4 * search.MAX_MERGED), 9_999]


@given(
    rare=st.sets(st.integers(0, 399), max_size=12),
    limit=st.integers(1, 6),
    order=st.sampled_from([Order.END, Order.LATEST]),
    wanted=st.sampled_from([Search(key="DSA", owner="shop"), Search(issuer="rare", owner="shop"), Search()]),
)
@settings(max_examples=40, deadline=None)
def test_pages_that_few_fit_make_the_whole_list(rare: set[int], limit: int, order: Order, wanted: Search) -> None:
    """However many end short or empty, what fits comes once and in order, and nothing else."""
    with table(PagedTable()) as (held, inventory):
        for number in range(400):
            more = {"key_algorithm": "DSA", "key_size": 1_024, "issuer": "CN=rare"} if number in rare else {}
            keep(held, fact(number, **more), "shop", gone=number not in rare)
        read = list(pages(lambda mark: search.page(inventory, replace(wanted, order=order), None, mark, limit)))
        ends = [number // 7 for number in numbers(joined(read))]
        assert sorted(numbers(joined(read))) == sorted(rare)
        assert ends == sorted(ends, reverse=order is Order.LATEST)
        assert all(len(each) <= limit for each in read)


def test_names_and_places_are_read_in_proportion_to_the_page() -> None:
    """Below a name, and at a resource, that have two hundred certificates each."""
    with table() as (held, inventory):
        key = build("shared", key="EC-256").key
        for number in range(200):
            made = build(f"n{number}", names=(f"n{number}.shop.example.com",), key=key).certificate
            inventory.keep([made], NOW)
            place(held, f"arn:{number:03}", f"arn:{number:03}", fingerprint=made.fingerprint or "")
            place(held, f"listener#{number:03}", "listener", holder=f"arn:{number:03}")
        for wanted, each in ((Search(name="shop.example.com", subtree=True), 2), (Search(resource="listener"), 3)):
            mark: Mark | None = None
            for _ in range(5):
                held.reset()
                found = search.page(inventory, wanted, None, mark, 10)
                assert len(found.certificates) == 10
                assert held.items_read <= 2 * (each * 10 + 5)
                mark = found.next


# --- what cannot be asked ---


@pytest.mark.parametrize(
    "wanted",
    [
        Search(order=Order.NAME),
        Search(name="a.example.com", order=Order.END),
        Search(resource="r", order=Order.END),
        Search(public_key=fingerprint(1), name="a.example.com", order=Order.NAME),
        Search(subtree=True),
    ],
)
def test_an_order_that_a_list_does_not_have_is_refused(fleet: tuple[PagedTable, Inventory], wanted: Search) -> None:
    """With words that say which one it has."""
    with pytest.raises(InvalidInput, match="`"):
        search.page(fleet[1], wanted, None)


END = "2026-11-10T12:00:00Z"
DIGEST, FINGERPRINT = "0" * 16, "0" * 64


@pytest.mark.parametrize(
    ("wanted", "mark"),
    [
        (Search(), ()),
        (Search(), ("",)),
        (Search(), ("nowhere", END, DIGEST, FINGERPRINT)),
        (Search(), (Way.OWNER, END, DIGEST, FINGERPRINT)),
        (Search(), (Way.KEY, END, DIGEST, FINGERPRINT)),
        (Search(), (Way.ISSUER, END, DIGEST, FINGERPRINT)),
        (Search(), (Way.SIGNATURE, END, DIGEST, FINGERPRINT)),
        (Search(), (Way.NAME, "com.example#" + FINGERPRINT)),
        (Search(), (Way.ALL, END, DIGEST, "CERT")),
        (Search(), (Way.ALL, END, DIGEST, FINGERPRINT, "more")),
        (Search(), (Way.ALL, "2026-11~", "", "")),
        (Search(), (Way.ALL, "yesterday", DIGEST, FINGERPRINT)),
        (Search(), (Way.ALL, END, "shop#0", FINGERPRINT)),
        (Search(owner="shop"), (Way.OWNER, "2026-11", "", "")),
        (Search(owner="shop", expiring_before=NOW), (Way.OWNER, END, DIGEST, FINGERPRINT)),
        (Search(name="a.example.com"), (Way.NAME, "com.example.b#" + FINGERPRINT)),
        (Search(name="a.example.com"), (Way.NAME, "")),
        (Search(name="a.example.com"), (Way.NAME, "com.example.a#" + "0" * 2_000)),
        (Search(resource="r"), (Way.RESOURCE, "CERT", DIGEST)),
        (Search(resource="listener"), (Way.RESOURCE, "SIGHTING#")),
    ],
)
def test_a_mark_that_is_none_of_the_list_is_refused(
    fleet: tuple[PagedTable, Inventory], wanted: Search, mark: tuple[str, ...]
) -> None:
    """Whatever comes back from outside: an error that says so, and nothing else."""
    with pytest.raises(InvalidInput, match="next"):
        search.page(fleet[1], wanted, None, mark)


@given(
    mark=st.lists(st.text(max_size=70), max_size=5).map(tuple),
    wanted=st.sampled_from([*SEARCHES, Search(resource="r")]),
)
@settings(max_examples=200, deadline=None)
def test_no_mark_breaks_a_search(mark: Mark, wanted: Search) -> None:
    """Any texts as a mark: refused, or a page of the teams that are seen."""
    with table() as (held, inventory):
        keep(held, fact(1), "shop")
        keep(held, fact(2), "blog")
        for way in Way:
            try:
                found = search.page(inventory, wanted, SHOP, (way, *mark))
            except InvalidInput:
                continue
            assert {each.owner for each in found.certificates} <= {"shop"}


def test_a_forged_mark_shows_no_other_team(fleet: tuple[PagedTable, Inventory]) -> None:
    """A mark made by hand leads to a place in one's own list, by whatever way."""
    for way in (Way.ALL, Way.OWNER):
        found = search.page(fleet[1], Search(), SHOP, (way, "2026-11-01T12:00:00Z", DIGEST, FINGERPRINT))
        assert found.certificates
        assert {each.owner for each in found.certificates} == {"shop"}
