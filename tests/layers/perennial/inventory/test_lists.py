"""Lists of findings, runs, proofs and audit events are told whole, in order, and page by page; on moto they answer as
on the table in dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import NOW, build
from estate import Estate
from paged_table import PagedTable
from perennial import audit_reading, discovery, finding_search, search
from perennial.audit import Question
from perennial.audit_chain import SHARDS, Link, following
from perennial.audit_event import Event, happened
from perennial.checks.interface import Severity
from perennial.errors import InvalidInput, NotFound
from perennial.findings import Finding, State
from perennial.inventory import audit as trail
from perennial.inventory import conversion
from perennial.inventory.items import Item
from perennial.inventory.lists import Effort, Mark, Walk
from perennial.inventory.records import RunRecord
from perennial.inventory.store import Inventory
from perennial.manifest import Scope
from perennial.search import Order, Search
from searching import MOST_PAGES, table

SCOPE = Scope("123456789012", "eu-west-1", "acm")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
ALL = tuple(Severity)


def every(read: Callable[[Mark | None], Any], of: str, between: Callable[[], object] = lambda: None) -> list[Any]:
    """What all pages hold; `of` names the member that has it."""
    found: list[Any] = []
    mark: Mark | None = None
    for _ in range(MOST_PAGES):
        page = read(mark)
        found += getattr(page, of)
        mark = page.next
        if mark is None:
            return found
        between()
    raise AssertionError(f"{MOST_PAGES} pages, and no end")


# --- on moto ---


@pytest.mark.parametrize("order", [None, Order.LATEST])
def test_pages_on_moto_are_those_of_the_whole_list(estate: Estate, order: Order | None) -> None:
    """Certificates of one end, over pages of two: as in one page, by time, owner, issuer and family of keys."""
    inventory = estate.deployment.inventory
    for number in range(9):
        made = build(f"n{number}.example.com", not_after=NOW + number // 4 * 40 * DAY + DAY).certificate
        inventory.keep([made], NOW)
        inventory.own(made.fingerprint or "", "shop", "p")
    for wanted in (
        Search(order=order),
        Search(owner="shop", order=order),
        Search(issuer="n", order=order),
        Search(key="ec", order=order),
    ):
        whole = search.page(inventory, wanted, None, None, 100)
        assert len(whole.certificates) == 9
        paged = every(lambda mark, wanted=wanted: search.page(inventory, wanted, None, mark, 2), "certificates")
        assert [each.fingerprint for each in paged] == [each.fingerprint for each in whole.certificates]


def test_names_and_resources_on_moto(estate: Estate) -> None:
    """Pages of one, by name below a name and at the resource that a scan saw."""
    for number in range(4):
        made = build(f"n{number}.shop.example.com", names=(f"n{number}.shop.example.com", "x.shop.example.com"))
        estate.acm.holds[f"arn:aws:acm:eu-west-1:1:certificate/{number}"] = made
    discovery.scan_scope(estate.deployment, run="r", scope=SCOPE, now=NOW, deadline=NOW + DAY)
    inventory = estate.deployment.inventory
    wanted = Search(name="shop.example.com", subtree=True)
    found = every(lambda mark: search.page(inventory, wanted, None, mark, 1), "certificates")
    assert [each.title for each in found] == [f"n{number}.shop.example.com" for number in range(4)]
    at = Search(resource="arn:aws:acm:eu-west-1:1:certificate/2")
    assert [each.title for each in every(lambda mark: search.page(inventory, at, None, mark, 1), "certificates")] == [
        "n2.shop.example.com"
    ]


# --- findings ---


def finding(number: int, severity: Severity, owner: str | None, check: str = "expiry.soon") -> Finding:
    place = f"arn:{number}"
    return Finding(
        check=check,
        severity=severity,
        title="It ends soon",
        detail="In a week.",
        remediation="Renew it.",
        scope=SCOPE,
        place=place,
        location=place,
        resource=place,
        subject=f"n{number}",
        owner=owner,
        opened_at=NOW,
        updated_at=NOW,
    )


def put(held: PagedTable, each: Finding) -> None:
    """Write a finding as assessment does."""
    pk, sk = conversion.finding_key(each)
    item = Item(pk, sk)
    for action in conversion.finding_actions(each, NOW):
        path, value = action.values[0], action.values[1] if len(action.values) > 1 else None
        name = path.attribute.attr_name
        setattr(item, name, path.attribute.deserialize(value.value[next(iter(value.value))]) if value else None)
    held.put(item.to_dynamodb_dict())


def listed(inventory: Inventory, within: frozenset[str] | None = None, limit: int = 3, **more: Any) -> list[str]:
    severities, check = more.get("severities", ALL), more.get("check")
    found = every(lambda mark: finding_search.page(inventory, severities, check, within, mark, limit), "findings")
    return [each.subject for each in found]


@pytest.fixture
def found() -> Iterator[tuple[PagedTable, Inventory]]:
    """Forty findings of every severity, of two owners and nobody, of three checks; every eighth one is resolved."""
    with table() as (held, inventory):
        for number in range(40):
            each = finding(number, ALL[number % 5], ("shop", "blog", None)[number % 3], CHECKS[number % 3])
            put(held, each)
        yield held, inventory


CHECKS = ("expiry.soon", "expiry.past", "keys.weak")


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize(
    "within",
    [None, frozenset({"shop"}), frozenset({"shop", "blog"}), frozenset({"other"})],
    ids=["all", "shop", "shop-blog", "other"],
)
def test_open_findings_come_worst_first_and_once(
    found: tuple[PagedTable, Inventory], within: frozenset[str] | None, limit: int
) -> None:
    """Of all, and of teams through their own index."""
    told = [int(each[1:]) for each in listed(found[1], within, limit)]
    expected = [each for each in range(40) if within is None or ("shop", "blog", None)[each % 3] in within]
    assert sorted(told) == expected
    assert [each % 5 for each in told] == sorted(each % 5 for each in told)


@pytest.mark.parametrize(
    ("check", "numbers"), [("expiry.soon", {0}), ("expiry", {0, 1}), ("keys.weak", {2}), ("keys", {2}), ("exp", set())]
)
def test_findings_of_a_check_or_of_a_topic(found: tuple[PagedTable, Inventory], check: str, numbers: set[int]) -> None:
    """A topic is all its checks; a part of a word is none."""
    assert sorted(listed(found[1], check=check)) == sorted(f"n{each}" for each in range(40) if each % 3 in numbers)


def test_findings_of_one_severity(found: tuple[PagedTable, Inventory]) -> None:
    """Those alone."""
    assert sorted(listed(found[1], severities=(Severity.HIGH,))) == sorted(f"n{each}" for each in range(1, 40, 5))


def test_more_teams_than_have_lists_see_their_findings(found: tuple[PagedTable, Inventory]) -> None:
    """And no others."""
    many = frozenset({"shop", *(f"team-{number}" for number in range(finding_search.MAX_TEAMS))})
    assert sorted(listed(found[1], many)) == sorted(f"n{each}" for each in range(0, 40, 3))


def test_a_resolved_finding_is_in_no_list(estate: Estate) -> None:
    """It leaves the index, and where that lags behind the item itself tells."""
    inventory = estate.deployment.inventory
    from perennial.findings import difference
    from perennial.inventory.records import PlaceRecord

    one, other = finding(1, Severity.HIGH, "shop"), finding(2, Severity.HIGH, "shop")
    for each in (one, other):
        record = PlaceRecord(place=each.place, held=None, attached=(), findings=(), due_at=None)
        inventory.settle(record, difference((), (each,), NOW), None, NOW)
    shop = frozenset({"shop"})
    assert sorted(listed(inventory, shop)) == sorted(listed(inventory)) == ["n1", "n2"]
    record = PlaceRecord(place=one.place, held=None, attached=(), findings=(one,), due_at=None)
    inventory.settle(record, difference((one,), (), NOW), None, NOW)
    assert listed(inventory, shop) == listed(inventory) == ["n2"]


def test_an_index_that_lags_behind_shows_no_resolved_finding(found: tuple[PagedTable, Inventory]) -> None:
    """The item is read again."""
    held, inventory = found
    resolved = finding(0, ALL[0], "shop")
    pk, sk = conversion.finding_key(resolved)
    (item,) = [each for each in held.items("finding") if each["pk"]["S"] == pk and each["sk"]["S"] == sk]
    held.put({**item, "state": {"S": str(State.RESOLVED)}})
    assert "n0" not in listed(inventory)
    assert "n0" not in listed(inventory, frozenset({"shop"}))


@given(
    first=st.sets(st.integers(0, 40), min_size=1, max_size=20),
    changes=st.lists(st.integers(0, 80), max_size=20),
    limit=st.integers(1, 5),
    within=st.sampled_from([None, frozenset({"shop"}), frozenset({"shop", "blog"})]),
)
@settings(max_examples=60, deadline=None)
def test_findings_that_stay_open_are_neither_skipped_nor_doubled(
    first: set[int], changes: list[int], limit: int, within: frozenset[str] | None
) -> None:
    """Others open and are resolved between the pages."""
    with table() as (held, inventory):
        for number in first:
            put(held, finding(number, ALL[number % 5], "shop"))
        left, touched = list(changes), set()

        def change() -> None:
            if left:
                number = left.pop()
                touched.add(number)
                now = finding(number, ALL[number % 5], "shop")
                if number in first:
                    pk, sk = conversion.finding_key(now)
                    held._remove((pk, sk))
                else:
                    put(held, now)

        read = lambda mark: finding_search.page(inventory, ALL, None, within, mark, limit)  # noqa: E731
        told = [int(each.subject[1:]) for each in every(read, "findings", change)]
        assert len(told) == len(set(told))
        assert first - touched <= set(told) <= first | touched


def test_findings_of_a_small_team_cost_little_in_a_large_estate() -> None:
    """Through the team's own index: as many items as it has findings, not as there are."""
    with table() as (held, inventory):
        for number in range(2_000):
            put(held, finding(number, Severity.HIGH, "rare" if number % 500 == 0 else "big"))
        held.reset()
        assert len(listed(inventory, frozenset({"rare"}), limit=50)) == 4
        assert held.items_read <= 20
        held.reset()
        first = finding_search.page(inventory, ALL, None, frozenset({"big"}), None, 50)
        assert len(first.findings) == 50
        assert held.items_read <= 4 * 50


@pytest.mark.parametrize("limit", [1, 10, 50, 100])
@pytest.mark.parametrize(
    "within",
    [None, frozenset(f"team-{number}" for number in range(12)), frozenset(f"team-{number}" for number in range(30))],
    ids=["all", "teams", "many-teams"],
)
def test_a_page_of_findings_that_few_fit_reads_in_proportion_too(within: frozenset[str] | None, limit: int) -> None:
    """Of a check that found little, among two thousand: ten items and queries for each that it may hold."""
    with table() as (held, inventory):
        for number in range(2_000):
            check = "keys.weak" if number % 500 == 0 else "expiry.soon"
            put(held, finding(number, ALL[number % 5], f"team-{number % 12}", check))
        told: list[str] = []
        mark: Mark | None = None
        for _ in range(1_000):
            held.reset()
            page = finding_search.page(inventory, ALL, "keys", within, mark, limit)
            assert held.items_read + held.queries <= 10 * max(limit, 10)
            told += [each.subject for each in page.findings]
            mark = page.next
            if mark is None:
                break
        assert sorted(told) == ["n0", "n1000", "n1500", "n500"]


@pytest.mark.parametrize(
    "mark",
    [(), ("high",), ("high", "shop", "FINDING#1"), ("worst", "0" * 16, "FINDING#1"), ("high", "0" * 16, "x" * 2_000)],
)
def test_a_mark_of_no_finding_is_refused(found: tuple[PagedTable, Inventory], mark: Mark) -> None:
    """With an error that says so."""
    with pytest.raises(InvalidInput, match="next"):
        finding_search.page(found[1], ALL, None, None, mark, 3)


# --- runs and proofs ---


def test_runs_come_newest_first_and_page_by_page(estate: Estate) -> None:
    """One that starts between two pages is in neither, and moves nothing."""
    inventory = estate.deployment.inventory

    def ran(number: int) -> None:
        at = NOW + number * MINUTE
        inventory.ran(RunRecord(run=f"run-{number}", started_at=at, completed_at=None, scopes=1, incomplete=0))

    for number in range(5):
        ran(number)
    told, mark = [], None
    for _ in range(5):
        walk = Walk(effort=Effort(1_000), after=mark, first=3)
        some = list(islice(inventory.runs_before(walk), 2))
        told += [each.run for _, each in some]
        if len(some) < 2:
            break
        mark = some[-1][0]
        ran(10 + len(told))
    assert told == [f"run-{number}" for number in (4, 3, 2, 1, 0)]


# --- the audit trail ---


def event(number: int, at: datetime, principal: str = "anna", subject: str = "shop") -> Event:
    action = ("managed.renew", "managed.change")[number % 2]
    return happened(
        at, principal=principal, source="api", action=action, subject_kind="managed", subject=subject, why=f"{number}"
    )


def append(held: PagedTable, chains: dict[Any, Link], each: Event, shard: int) -> Link:
    """Put an event into a chain, as the inventory does in a transaction."""
    day = each.at.date().isoformat()
    link = following((day, shard), chains.get((day, shard)), each)
    chains[(day, shard)] = link
    for item in trail._items(link):
        held.put(item.to_dynamodb_dict())
    return link


def told(
    inventory: Inventory, question: Question, limit: int, between: Callable[[], object] = lambda: None
) -> list[int]:
    found = every(lambda mark: audit_reading.page(inventory, question, mark, limit), "links", between)
    return [int(each.event.why) for each in found]


SINCE, UNTIL = NOW - 3 * DAY, NOW + DAY


@pytest.fixture
def kept() -> Iterator[tuple[PagedTable, Inventory]]:
    """Sixty events of three days, by two people, about two subjects, in whatever chains."""
    with table() as (held, inventory):
        chains: dict[Any, Link] = {}
        for number in range(60):
            at = NOW - 2 * DAY + number * 50 * MINUTE
            each = event(number, at, ("anna", "ben")[number % 3 % 2], ("shop", "blog")[number % 4 % 2])
            append(held, chains, each, number * 7 % SHARDS)
        yield held, inventory


@pytest.mark.parametrize("limit", [1, 8, 100])
@pytest.mark.parametrize(
    ("question", "fits"),
    [
        ({}, lambda number: True),
        ({"principal": "anna"}, lambda number: number % 3 % 2 == 0),
        ({"kind": "managed", "subject": "blog"}, lambda number: number % 4 % 2 == 1),
        (
            {"kind": "managed", "subject": "shop", "principal": "ben"},
            lambda number: number % 4 % 2 == 0 and number % 3 == 1,
        ),
        ({"action": "managed.renew"}, lambda number: number % 2 == 0),
        ({"outcome": "refused"}, lambda number: False),
        ({"since": NOW - DAY, "until": NOW}, lambda number: 24 * 60 <= number * 50 < 48 * 60),
        ({"principal": "ben", "since": NOW - DAY}, lambda number: number % 3 == 1 and number * 50 >= 24 * 60),
    ],
)
def test_events_come_newest_first_and_once(
    kept: tuple[PagedTable, Inventory], question: dict[str, Any], fits: Callable[[int], bool], limit: int
) -> None:
    """By subject, person, action, outcome and time."""
    asked = Question(**{"since": SINCE, "until": UNTIL, **question})
    assert told(kept[1], asked, limit) == [number for number in range(59, -1, -1) if fits(number)]


@given(
    first=st.lists(st.tuples(st.integers(0, SHARDS - 1), st.integers(0, 4_000)), max_size=40),
    later=st.lists(st.integers(0, SHARDS - 1), max_size=20),
    limit=st.integers(1, 6),
    by=st.sampled_from([{}, {"principal": "anna"}, {"kind": "managed", "subject": "shop"}]),
)
@settings(max_examples=60, deadline=None)
def test_events_that_are_appended_between_pages_move_no_others(
    first: list[tuple[int, int]], later: list[int], limit: int, by: dict[str, str]
) -> None:
    """Every event that was there is told once; a page that is itself an event does not make a list without end. Clocks
    differ: within a chain times are not always in order."""
    with table() as (held, inventory):
        chains: dict[Any, Link] = {}
        for number, (shard, minutes) in enumerate(first):
            append(held, chains, event(number, NOW - minutes * MINUTE), shard)
        left = list(later)

        def another() -> None:
            shard = left.pop() if left else 3
            append(held, chains, event(1_000 + len(left), NOW + MINUTE), shard)

        question = Question(since=NOW - 3 * DAY, until=NOW + timedelta(seconds=1), **by)
        assert sorted(told(inventory, question, limit, another)) == list(range(len(first)))


def test_quiet_days_end_a_page_and_are_walked_over_in_the_end(kept: tuple[PagedTable, Inventory]) -> None:
    """A year with events on three days: many short pages, and every event."""
    held, inventory = kept
    question = Question(since=NOW - 300 * DAY, until=NOW + 60 * DAY)
    mark, found, pages = None, [], 0
    while True:
        held.reset()
        page = audit_reading.page(inventory, question, mark, 50)
        assert held.queries + held.items_read <= audit_reading.EFFORT + 300
        found += page.links
        pages, mark = pages + 1, page.next
        if mark is None:
            break
    assert len(found) == 60
    assert pages < 30


def test_a_page_of_events_reads_in_proportion_to_it() -> None:
    """Of a day with five thousand events."""
    with table() as (held, inventory):
        chains: dict[Any, Link] = {}
        for number in range(5_000):
            append(held, chains, event(number, NOW + timedelta(seconds=number)), number % SHARDS)
        mark = None
        for _ in range(5):
            held.reset()
            page = audit_reading.page(inventory, Question(since=NOW, until=NOW + DAY / 3), mark, 50)
            assert len(page.links) == 50
            assert held.items_read <= 4 * 50 + 40
            mark = page.next


def test_a_page_of_long_events_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a reply has more than a function may return; none is left out."""
    monkeypatch.setattr(audit_reading, "MAX_TEXT", 30_000)
    with table() as (held, inventory):
        chains: dict[Any, Link] = {}
        for number in range(9):
            each = replace(event(number, NOW + number * MINUTE), after={"text": "x" * 10_000})
            append(held, chains, each, number % SHARDS)
        question = Question(since=NOW, until=NOW + DAY / 3)
        assert len(audit_reading.page(inventory, question, None, 100).links) == 3
        assert told(inventory, question, 100) == list(range(8, -1, -1))


def test_an_event_that_was_removed_is_told(kept: tuple[PagedTable, Inventory]) -> None:
    """A pointer without its event is no short list."""
    held, inventory = kept
    removed = next(key for key in held.copy() if key[0].startswith("AUDIT#"))
    held._remove(removed)
    with pytest.raises(NotFound, match="removed"):
        told(inventory, Question(since=SINCE, until=UNTIL, principal="anna"), 100)
        told(inventory, Question(since=SINCE, until=UNTIL, principal="ben"), 100)


@pytest.mark.parametrize(
    "question",
    [
        Question(since=UNTIL, until=SINCE),
        Question(since=SINCE, until=SINCE),
        Question(since=NOW - 400 * DAY, until=NOW),
        Question(since=SINCE, until=UNTIL, subject="shop"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(kept: tuple[PagedTable, Inventory], question: Question) -> None:
    """With what would be accepted."""
    with pytest.raises(InvalidInput):
        audit_reading.page(kept[1], question)


TIME = "2026-11-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    "mark",
    [
        (),
        (TIME,),
        (TIME, "2026-13-01"),
        ("now", "2026-11-01"),
        (TIME, "2026-11-01", "1"),
        (TIME, "2026-11-01", *["-1"] * SHARDS),
        (TIME, "2026-11-01", *["1" * 13] * SHARDS),
        (TIME, "2026-11-01", *["1"] * (SHARDS + 1)),
    ],
)
def test_a_mark_of_no_event_is_refused(kept: tuple[PagedTable, Inventory], mark: Mark) -> None:
    """Of the days, and of a person's events."""
    with pytest.raises(InvalidInput, match="next"):
        audit_reading.page(kept[1], Question(since=SINCE, until=UNTIL), mark)
    with pytest.raises(InvalidInput, match="next"):
        audit_reading.page(kept[1], Question(since=SINCE, until=SINCE + DAY, principal="anna"), mark)


@given(mark=st.lists(st.text(max_size=30), max_size=20).map(tuple))
@settings(max_examples=100, deadline=None)
def test_no_mark_breaks_a_list(mark: Mark) -> None:
    """Any texts as a mark: refused, or a page."""
    with table() as (held, inventory):
        append(held, {}, event(1, NOW), 0)
        put(held, finding(1, Severity.HIGH, "shop"))
        for read in (
            lambda: audit_reading.page(inventory, Question(since=SINCE, until=UNTIL), mark),
            lambda: audit_reading.page(inventory, Question(since=SINCE, until=UNTIL, principal="anna"), mark),
            lambda: finding_search.page(inventory, ALL, None, None, ("high", *mark)),
            lambda: list(inventory.runs_before(Walk(effort=Effort(9), after=mark))),
            lambda: list(inventory.proofs_before("shop", Walk(effort=Effort(9), after=mark))),
        ):
            try:
                read()
            except InvalidInput:
                continue
