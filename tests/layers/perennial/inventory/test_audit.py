"""The audit trail in the table: nothing is lost, doubled or half there, whoever writes at once or dies."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError
from pynamodb.connection.base import Connection

from dict_aws import Counted
from dict_table import DictTable
from estate import Estate
from perennial import audit_checkpoint
from perennial.audit_chain import SHARDS, Chain, Link, Walk, following, holds
from perennial.audit_checkpoint import Checkpoint, Head
from perennial.audit_event import Event, happened
from perennial.clients import meant
from perennial.errors import AccessDenied, ConcurrentChange, InvalidInput, NotFound, Throttled, Unavailable
from perennial.inventory import audit as table_part
from perennial.inventory import writing
from perennial.inventory.audit import ATTEMPTS, days_of
from perennial.inventory.items import Item
from perennial.inventory.store import Inventory

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = "2026-11-01"
ARN = "arn:aws:iam::123456789012:user/jo"


def event(number: int = 0, at: datetime = NOON, **more: Any) -> Event:
    facts: dict[str, Any] = {"principal": ARN, "source": "cli", "action": "managed.renew", "subject_kind": "managed"}
    return Event(**{"id": f"{number:032x}", "at": at + timedelta(seconds=number), "subject": "shop", **facts, **more})


def append(inventory: Inventory, made: Event) -> Link:
    return inventory.append_audit(made, pause=lambda seconds: None)


def chains(inventory: Inventory, day: str = DAY) -> dict[Chain, list[Link]]:
    """Every chain of a day, whole."""
    heads = inventory.audit_heads(day)
    return {chain: list(inventory.audit_chain(chain, head.number)) for chain, head in heads.items()}


def sound(inventory: Inventory, day: str = DAY) -> list[Link]:
    """Every link of a day, after the walk along its chains found nothing wrong."""
    found = chains(inventory, day)
    links = [link for chain in sorted(found) for link in found[chain]]
    assert Walk({chain: len(each) for chain, each in found.items()}, {}).follow(links) is None
    return links


def whole(inventory: Inventory) -> list[str]:
    """The ids of the events, after each was found by its subject and by who it was, once: nothing is half there."""
    ids = sorted(link.event.id for link in sound(inventory))
    end = NOON + timedelta(days=1)
    by_subject = sorted(link.event.id for link in inventory.audit_of("managed", "shop", NOON, end))
    assert by_subject == ids == sorted(link.event.id for link in inventory.audit_by(ARN, NOON, end))
    return ids


# --- appended ---


def test_an_event_comes_back_as_it_went(estate: Estate) -> None:
    """All of it, from its place in its chain."""
    made = event(owner="web", why="it ends soon", before={"days": 90}, after={"days": 47, "names": ["é"]}, request="r1")
    link = append(estate.deployment.inventory, made)
    assert (link.day, link.number, link.event) == (DAY, 1, made)
    assert holds(link)
    assert estate.deployment.inventory.audit_link(link.reference) == link
    assert estate.deployment.inventory.audit_head(link.chain) == link


def test_chains_continue(estate: Estate) -> None:
    """Events of a day are spread over its chains, and each chain is sound."""
    for number in range(40):
        append(estate.deployment.inventory, event(number))
    append(estate.deployment.inventory, event(40, NOON + timedelta(days=1)))
    assert len(sound(estate.deployment.inventory)) == 40
    assert len(chains(estate.deployment.inventory)) > 1
    assert len(sound(estate.deployment.inventory, "2026-11-02")) == 1


def test_the_same_event_again_is_the_link_that_it_has(estate: Estate) -> None:
    """Who appends again after a lost reply doubles nothing, in whatever chain it tries."""
    first = append(estate.deployment.inventory, event())
    assert {append(estate.deployment.inventory, event()).reference for _ in range(30)} == {first.reference}
    assert len(whole(estate.deployment.inventory)) == 1


def test_what_may_not_be_kept_is_not(estate: Estate) -> None:
    """A secret is refused before anything is written."""
    with pytest.raises(InvalidInput, match="leave the secret out"):
        append(estate.deployment.inventory, event(after={"password": "correct horse"}))
    assert chains(estate.deployment.inventory) == {}


def test_when_every_chain_is_taken(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempts are bounded, with longer and longer pauses, and the error says what to do."""
    chain = (DAY, 0)
    append_at, inventory = following(chain, None, event(1)), estate.deployment.inventory
    table_part._put_together(table_part._items(append_at))
    monkeypatch.setattr(Inventory, "audit_head", lambda self, chain: None)
    monkeypatch.setattr(table_part, "SHARDS", 1)
    pauses: list[float] = []
    monkeypatch.setattr(table_part, "_share", lambda longest: longest)
    with pytest.raises(ConcurrentChange, match="append the same event again"):
        inventory.append_audit(event(2), pauses.append)
    assert len(pauses) == ATTEMPTS
    assert pauses == sorted(pauses)
    assert max(pauses) == table_part.LONGEST_PAUSE


# --- with a change: both or neither ---


def _change(content: str = "new") -> Item:
    return Item("MANAGED#shop", "DECLARED", kind="managed", revision=1, content=content)


def _put(inventory: Inventory, item: Item, made: Event, pause: Callable[[float], Any] = lambda seconds: None) -> None:
    inventory.put(item, Item.pk.does_not_exist(), "shop", made, pause)


def test_a_change_and_its_event(estate: Estate) -> None:
    """Both are there; one that does not hold is neither written nor told."""
    inventory = estate.deployment.inventory
    _put(inventory, _change(), event())
    with pytest.raises(ConcurrentChange, match="shop was changed by another step"):
        _put(inventory, _change("other"), event(1))
    assert [item.content for item in Item.query("MANAGED#shop")] == ["new"]
    assert whole(inventory) == [event().id]


def test_a_change_whose_event_may_not_be_kept_is_not_made(estate: Estate) -> None:
    """A secret would stay for ever."""
    inventory = estate.deployment.inventory
    with pytest.raises(InvalidInput, match="leave the secret out"):
        _put(inventory, _change(), event(after={"password": "correct horse"}))
    assert list(Item.query("MANAGED#shop")) == []


def test_a_change_takes_another_chain_where_one_is_taken(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever appends meanwhile does not hold it up, and it is made once."""
    inventory, pauses = estate.deployment.inventory, list[float]()
    for shard in range(SHARDS - 1):
        table_part._put_together(table_part._items(following((DAY, shard), None, event(100 + shard))))
    stale = {(DAY, shard): None for shard in range(SHARDS)}
    monkeypatch.setattr(Inventory, "audit_head", lambda self, chain: stale[chain])
    shards = iter([3, 7, SHARDS - 1])
    monkeypatch.setattr(
        table_part, "secrets", SimpleNamespace(randbelow=lambda most: next(shards) if most == SHARDS else 0)
    )
    _put(inventory, _change(), event(), pauses.append)
    assert len(pauses) == 2
    monkeypatch.undo()
    assert len(whole(inventory)) == SHARDS


def test_a_change_where_every_chain_is_taken(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempts are bounded, and nothing is changed."""
    inventory, pauses = estate.deployment.inventory, list[float]()
    table_part._put_together(table_part._items(following((DAY, 0), None, event(1))))
    monkeypatch.setattr(Inventory, "audit_head", lambda self, chain: None)
    monkeypatch.setattr(table_part, "SHARDS", 1)
    with pytest.raises(ConcurrentChange, match="took no event"):
        _put(inventory, _change(), event(), pauses.append)
    assert len(pauses) == ATTEMPTS
    assert list(Item.query("MANAGED#shop")) == []


@pytest.mark.parametrize(
    ("code", "means"),
    [("AccessDeniedException", AccessDenied), ("ThrottlingException", Throttled), ("InternalServerError", Unavailable)],
)
def test_what_a_change_meets(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, code: str, means: type[Exception]
) -> None:
    """Another error than that of a condition goes on as what it means, and is no change by another step."""
    refused: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    call = BaseClient._make_api_call

    def asked(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        if operation == "TransactWriteItems":
            raise ClientError(refused, operation)
        return call(client, operation, request)

    inventory = estate.deployment.inventory
    monkeypatch.setattr(BaseClient, "_make_api_call", asked)
    with pytest.raises(means), meant("a change"):
        _put(inventory, _change(), event())


def test_fifty_changes_of_one_item(estate: Estate) -> None:
    """Of 50 that change the same revision at once one succeeds, with its event, and 49 are told to read again."""
    inventory, begin = estate.deployment.inventory, threading.Barrier(50)

    def change(number: int) -> bool:
        begin.wait()
        try:
            _put(inventory, _change(str(number)), event(number))
        except ConcurrentChange:
            return False
        return True

    inventory.audit_head((DAY, 0))
    with one_call_at_a_time(), ThreadPoolExecutor(50) as pool:
        done = list(pool.map(change, range(50)))
    winner = done.index(True)
    assert done.count(True) == 1
    assert [item.content for item in Item.query("MANAGED#shop")] == [str(winner)]
    assert whole(inventory) == [event(winner).id]


def test_who_writes_an_item_of_a_transaction_waits(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB refuses a plain write of an item that is part of another writer's transaction: it is written again, and
    where that goes on it is a change by someone else, which passes."""
    refused: Any = {"Error": {"Code": "TransactionConflictException", "Message": "ongoing"}, "ResponseMetadata": {}}
    call, left, sent = BaseClient._make_api_call, [3], Counter[str]()

    def asked(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        sent[operation] += 1
        if operation in ("PutItem", "UpdateItem") and left[0]:
            left[0] -= 1
            raise ClientError(refused, operation)
        return call(client, operation, request)

    inventory = estate.deployment.inventory
    monkeypatch.setattr(writing, "FIRST_PAUSE", 0)
    monkeypatch.setattr(BaseClient, "_make_api_call", asked)
    inventory.put(_change(), Item.pk.does_not_exist(), "shop")
    left[0] = 3
    assert writing.update(("MANAGED#shop", "DECLARED"), [Item.revision.add(1)], Item.revision == 1) is not None
    assert sent == {"PutItem": 4, "UpdateItem": 4}
    for write in (
        lambda: inventory.put(_change(), Item.pk.exists(), "shop"),
        lambda: writing.update(("MANAGED#shop", "DECLARED"), [Item.revision.add(1)]),
    ):
        left[0] = writing.PATIENCE
        with pytest.raises(ConcurrentChange), meant("a change"):
            write()
        assert left[0] == 0


# --- many at once ---


@contextmanager
def one_call_at_a_time() -> Iterator[None]:
    """DynamoDB's calls are atomic. moto's transactions copy the whole table and put it back, and so need a lock.
    Between their calls the writers run as they come."""
    lock, call = threading.Lock(), BaseClient._make_api_call

    def alone(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        with lock:
            return call(client, operation, request)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", alone)
        yield


def test_fifty_writers_at_once(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 writers, each with 2 events, all begun at once: no event is lost or doubled, and no chain is forked."""
    inventory, begin, conflicts = estate.deployment.inventory, threading.Barrier(50), Counter[str]()
    not_appended = Inventory._not_appended

    def counted(self: Inventory, error: Any, made: Event) -> Any:
        conflicts["met"] += 1
        return not_appended(self, error, made)

    monkeypatch.setattr(Inventory, "_not_appended", counted)
    inventory.audit_head((DAY, 0))
    one_client = Item._get_connection().connection.client  # making 50 takes longer than all that they do
    monkeypatch.setattr(Connection, "client", one_client)

    def write(writer: int) -> list[Link]:
        begin.wait()
        return [inventory.append_audit(event(writer * 10 + each)) for each in range(2)]

    with one_call_at_a_time(), ThreadPoolExecutor(50) as pool:
        told = [link for links in pool.map(write, range(50)) for link in links]
    assert conflicts["met"] > 0, "the writers never met: the test shows nothing"
    assert len({link.reference for link in told}) == 100
    assert whole(inventory) == sorted(f"{writer * 10 + each:032x}" for writer in range(50) for each in range(2))
    assert {link.reference: link for link in sound(inventory)} == {link.reference: link for link in told}
    assert len(chains(inventory)) > SHARDS // 2


# --- killed, and replies lost ---


class Killed(BaseException):
    """The process is gone."""


def killed_before(send: Callable[[], Any]) -> Any:
    raise Killed


def killed_after(send: Callable[[], Any]) -> Any:
    send()
    raise Killed


def reply_lost(send: Callable[[], Any]) -> Any:
    send()
    raise ReadTimeoutError(endpoint_url="https://dynamodb.example")


@contextmanager
def at_call(number: int, act: Callable[[Callable[[], Any]], Any]) -> Iterator[list[str]]:
    """At the call of this number something happens; yields the operations so far."""
    call, seen = Connection._make_api_call, list[str]()

    def called(self: Connection, operation: str, request: dict[str, Any], *more: Any) -> Any:
        seen.append(operation)
        send = lambda: call(self, operation, request, *more)  # noqa: E731
        return act(send) if len(seen) == number else send()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Connection, "_make_api_call", called)
        yield seen


@pytest.mark.parametrize("act", [killed_before, killed_after, reply_lost])
def test_a_writer_that_dies_at_any_call(fresh_estate: Any, act: Callable[[Callable[[], Any]], Any]) -> None:
    """Whichever call it is, the event is there with all that finds it or not at all, and appending it again makes it
    one."""
    number, reached = 0, True
    while reached:
        number += 1
        with fresh_estate() as hub:
            append(hub.deployment.inventory, event(1))
            with at_call(number, act) as seen, suppress(Killed, Unavailable):
                append(hub.deployment.inventory, event(2))
            reached = len(seen) >= number
            assert whole(hub.deployment.inventory) in ([f"{1:032x}"], [f"{1:032x}", f"{2:032x}"])
            append(hub.deployment.inventory, event(2))
            assert whole(hub.deployment.inventory) == [f"{1:032x}", f"{2:032x}"]
    assert number > 2, "an append has a read and a write at the least"


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("AccessDeniedException", AccessDenied),
        ("ProvisionedThroughputExceededException", Throttled),
        ("InternalServerError", Unavailable),
    ],
)
def test_what_aws_answers(estate: Estate, code: str, meant: type[Exception]) -> None:
    """Errors of AWS are told as Perennial's, with the call."""

    def refused(send: Callable[[], Any]) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "scripted"}}, "Query")

    with at_call(1, refused), pytest.raises(meant, match="audit trail"):
        append(estate.deployment.inventory, event())


# --- asked ---


def test_by_subject_person_and_time(estate: Estate) -> None:
    """Each question finds its own, the newest first, from `since` on and before `until`."""
    inventory = estate.deployment.inventory
    made = [
        event(1),
        event(2, subject="mail"),
        event(3, principal="tick"),
        event(4, subject_kind="issuer"),
        event(5, NOON + timedelta(days=1)),
    ]
    for each in made:
        append(inventory, each)
    end = NOON + timedelta(days=2)

    def numbers(links: Iterator[Link]) -> list[int]:
        return [int(link.event.id, 16) for link in links]

    assert numbers(inventory.audit_of("managed", "shop", NOON, end)) == [5, 3, 1]
    assert numbers(inventory.audit_of("issuer", "shop", NOON, end)) == [4]
    assert numbers(inventory.audit_by(ARN, NOON, end)) == [5, 4, 2, 1]
    assert numbers(inventory.audit_by("tick", NOON, end)) == [3]
    assert numbers(inventory.audit_between(NOON, end)) == [5, 4, 3, 2, 1]
    since, until = NOON + timedelta(seconds=2), NOON + timedelta(seconds=4)
    assert numbers(inventory.audit_between(since, until)) == [3, 2]
    assert numbers(inventory.audit_by(ARN, since, until)) == [2]
    assert numbers(inventory.audit_of("managed", "nobody", NOON, end)) == []


def test_a_question_reads_what_it_answers(estate: Estate) -> None:
    """By subject, two calls find one event among many: nothing is scanned."""
    for number in range(30):
        append(estate.deployment.inventory, event(number, subject=f"s{number}"))
    with at_call(0, killed_before) as seen:
        assert len(list(estate.deployment.inventory.audit_of("managed", "s7", NOON, NOON + timedelta(hours=1)))) == 1
    assert seen == ["Query", "BatchGetItem"]


def test_many_of_one_subject_come_in_pages(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page of events come all, in their order."""
    monkeypatch.setattr(table_part, "PAGE", 4)
    for number in range(11):
        append(estate.deployment.inventory, event(number))
    found = estate.deployment.inventory.audit_of("managed", "shop", NOON, NOON + timedelta(hours=1))
    assert [int(link.event.id, 16) for link in found] == list(range(10, -1, -1))


def test_an_event_that_somebody_removed(estate: Estate) -> None:
    """What is named by its subject and is not there is told, not left out."""
    link = append(estate.deployment.inventory, event())
    Item(f"AUDIT#{DAY}#{link.shard:02}", f"{1:012}").delete()
    with pytest.raises(NotFound, match=f"{link.reference} was removed"):
        list(estate.deployment.inventory.audit_of("managed", "shop", NOON, NOON + timedelta(hours=1)))


def test_long_names_fit(estate: Estate) -> None:
    """Names of the greatest length, in characters of four bytes, are kept and found."""
    name = "\N{MATHEMATICAL BOLD CAPITAL A}" * 500
    append(estate.deployment.inventory, event(subject=name, principal=name))
    end = NOON + timedelta(hours=1)
    assert len(list(estate.deployment.inventory.audit_of("managed", name, NOON, end))) == 1
    assert len(list(estate.deployment.inventory.audit_by(name, NOON, end))) == 1


@pytest.mark.parametrize("named", ["", "2026-11-01", "2026-11-01.0.1", "2026-11-01.00.0", "a\x1b.00.1", "1" * 10_000])
def test_what_names_no_event(estate: Estate, named: str) -> None:
    """A reference has one form, and the error does not command a terminal."""
    with pytest.raises(InvalidInput, match="names no audit event") as caught:
        estate.deployment.inventory.audit_link(named)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
    with pytest.raises(NotFound, match=r"no audit event 2026-11-01\.00\.1"):
        estate.deployment.inventory.audit_link("2026-11-01.00.1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "has no member event"),
        ("[" * 100_000, "cannot be read as JSON|more than"),
        ('{"event":NaN,"hash":"","previous":""}', "NaN is not a whole number"),
        ('{"event":1,"event":1}', "a member twice"),
    ],
)
def test_what_somebody_else_wrote_into_the_table(estate: Estate, content: str, said: str) -> None:
    """An item that is not Perennial's is an error that names it, not a traceback."""
    inventory = estate.deployment.inventory
    Item(f"AUDIT#{DAY}#00", f"{1:012}", kind="audit", content=content).save()
    with pytest.raises(InvalidInput, match=said) as caught:
        inventory.audit_link(f"{DAY}.00.1")
    assert f"{DAY}.00.1" in str(caught.value)


DAYS: dict[str, tuple[datetime, datetime, tuple[str, ...]]] = {
    "within one": (NOON, NOON + timedelta(seconds=1), (DAY,)),
    "up to midnight": (NOON, datetime(2026, 11, 2, tzinfo=UTC), (DAY,)),
    "over midnight": (NOON, datetime(2026, 11, 2, 0, 0, 1, tzinfo=UTC), (DAY, "2026-11-02")),
    "over the end of February": (
        datetime(2028, 2, 28, tzinfo=UTC),
        datetime(2028, 3, 2, tzinfo=UTC),
        ("2028-02-28", "2028-02-29", "2028-03-01"),
    ),
}


@pytest.mark.parametrize(("since", "until", "days"), DAYS.values(), ids=DAYS)
def test_the_days_of_a_time(since: datetime, until: datetime, days: tuple[str, ...]) -> None:
    """The end is not part of it."""
    assert days_of(since, until) == days


def test_days_are_bounded() -> None:
    """No question is about no day, or about more than a year."""
    for until in (NOON - timedelta(days=1), NOON + timedelta(days=366)):
        with pytest.raises(InvalidInput, match="ask about 1 to 366"):
            days_of(NOON, until)


# --- checkpoints ---


def checkpoint(number: int, day: str = DAY, **more: Any) -> Checkpoint:
    head = Head(shard=0, count=number, hash="a" * 64)
    return Checkpoint(**{"number": number, "day": day, "at": NOON, "heads": (head,), "signature": "AAAA", **more})


def test_checkpoints(estate: Estate) -> None:
    """They are kept once under each number, and found by their day with those between them."""
    inventory = estate.deployment.inventory
    assert inventory.last_checkpoint() is None
    assert list(inventory.checkpoints_of([DAY])) == []
    every = [checkpoint(1), checkpoint(2, "2026-11-02"), checkpoint(3), checkpoint(4, "2026-11-03")]
    for each in every:
        inventory.keep_checkpoint(each)
    assert inventory.last_checkpoint() == every[3]
    assert inventory.last_checkpoint(DAY) == every[2]
    assert list(inventory.checkpoints_of([DAY])) == every[:3]
    assert list(inventory.checkpoints_of(["2026-11-02"])) == [every[1]]
    assert audit_checkpoint.of(audit_checkpoint.document(every[0])) == every[0]


def test_no_two_checkpoints_of_one_number(estate: Estate) -> None:
    """Of two runs at once one alone makes a checkpoint; the other one is told."""
    estate.deployment.inventory.keep_checkpoint(checkpoint(1))
    for again in (checkpoint(1), replace(checkpoint(1), day="2026-11-02")):
        with pytest.raises(ConcurrentChange, match="the audit checkpoint 1 was made by someone else"):
            estate.deployment.inventory.keep_checkpoint(again)
    assert list(estate.deployment.inventory.checkpoints_of(["2026-11-02"])) == []


def test_a_new_event_has_an_id_of_its_own() -> None:
    """Two events that are alike are two."""
    facts = {
        "principal": "jo",
        "source": "cli",
        "action": "managed.renew",
        "subject_kind": "managed",
        "subject": "shop",
    }
    assert happened(NOON, **facts).id != happened(NOON, **facts).id


# --- the table in dictionaries ---


def _answers(inventory: Inventory) -> list[Any]:
    """What the trail answers after some changes, one of which does not hold."""
    for number in range(6):
        _put(inventory, Item(f"MANAGED#{number}", "DECLARED", kind="managed", revision=1), event(number))
    with suppress(ConcurrentChange):
        _put(inventory, Item("MANAGED#3", "DECLARED", kind="managed", revision=1), event(6))
    append(inventory, event(2))
    heads = inventory.audit_heads(DAY)
    between = NOON + timedelta(seconds=1), NOON + timedelta(seconds=4)
    questions = (
        inventory.audit_of("managed", "shop", *between),
        inventory.audit_by(ARN, *between),
        inventory.audit_between(*between),
        *(inventory.audit_chain(chain, count) for chain in sorted(heads) for count in (1, 2, 9)),
    )
    return [[(link.reference, link.hash) for link in each] for each in questions]


def test_the_dictionaries_answer_as_moto_does(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table that many tests run on has the same transactions and ranges of keys."""
    monkeypatch.setattr(table_part, "secrets", Counted("chain"))
    on_moto = _answers(estate.deployment.inventory)
    monkeypatch.setattr(table_part, "secrets", Counted("chain"))
    with DictTable().in_place():
        assert _answers(estate.deployment.inventory) == on_moto
    assert [len(each) for each in on_moto[:3]] == [3, 3, 3]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([{"Delete": {"Key": {"pk": {"S": "a"}, "sk": {"S": "b"}}}}], id="another kind of write"),
        pytest.param([{"Put": {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}}}] * 2, id="an item twice"),
        pytest.param([{"Put": {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "New": 1}}], id="an unknown member"),
        pytest.param([], id="nothing"),
    ],
)
def test_the_dictionaries_are_strict(wrong: list[Any]) -> None:
    """A transaction that DynamoDB would refuse, or that is not known, is an error of the test."""
    table = DictTable()
    with pytest.raises(AssertionError):
        table._TransactWriteItems({"TransactItems": wrong})
    assert table.copy() == {}
