"""What scripts/bench due fills, counts and judges, and where its table is."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from moto import mock_aws

from benches import child, counting, due, due_engine, due_fleet, due_process, table
from benches.report import DYNAMODB, Result
from perennial.deployment import Deployment
from perennial.dispatch import LEASE
from perennial.inventory.items import Item
from perennial.inventory.managed import item_of, record_of
from perennial.inventory.records import DueKind

NAME = "perennial-due-test"
VARIABLES = {**due._VARIABLES, "AWS_ENDPOINT_URL": "https://dynamodb.eu-west-1.amazonaws.com"}
FIRST_LATER = sum(due_fleet.ANSWERS)  # the number of the first that is due after the bench


@pytest.mark.parametrize(
    ("url", "is_loopback"),
    [
        ("http://127.0.0.1:8000", True),
        ("https://127.1.2.3:8000", True),
        ("http://localhost:8000/", True),
        ("http://[::1]:8000", True),
        ("https://dynamodb.eu-west-1.amazonaws.com", False),
        ("http://127.0.0.1.example.com:8000", False),
        ("http://127.0.0.1@example.com", False),
        ("http://10.0.0.1:8000", False),
        ("http://[::1", False),
        ("127.0.0.1:8000", False),
        ("file://localhost/table", False),
    ],
)
def test_only_an_endpoint_on_loopback_is_used(url: str, is_loopback: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are made and deleted at the endpoint that is named, so it may be nowhere else."""
    monkeypatch.setenv(DYNAMODB, url)
    if is_loopback:
        assert table.endpoint() == url
        assert table.tables({"AWS_REGION": "any"}) == {"AWS_REGION": "any", "AWS_ENDPOINT_URL_DYNAMODB": url}
        return
    with pytest.raises(SystemExit, match="must be a URL on loopback"):
        table.endpoint()


@pytest.mark.parametrize("value", [None, ""])
def test_without_an_endpoint_the_table_is_the_local_clouds(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is asked where the variable is not set, or empty."""
    monkeypatch.delenv(DYNAMODB, raising=False)
    if value is not None:
        monkeypatch.setenv(DYNAMODB, value)
    assert table.endpoint() is None
    assert table.tables({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}) == {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


def test_items_are_those_that_the_inventory_makes() -> None:
    """Each line is what `item_of` makes of the record with that number, and is read back as that record."""
    numbers = (0, 99, 100, FIRST_LATER - 1, FIRST_LATER, 1_999)
    made = dict(enumerate(json.loads(line) for line in due_fleet.lines(2_000)))
    for number in numbers:
        record = due_fleet.record(number)
        expected, item = item_of(record).to_dynamodb_dict(), made[number]
        for each in (expected, item):  # the end of a due time is drawn
            each["due_at"]["S"] = each["due_at"]["S"].partition("#")[0]
        assert item == expected
        assert record_of(Item.from_raw_data(item)) == record
    assert len({(each["pk"]["S"], each["sk"]["S"]) for each in made.values()}) == 2_000


def test_so_many_become_due_by_each_time_as_are_asked_for() -> None:
    """By each time the answer's number is due that was not before, and no lease has ended; all others are due later."""
    times = [due_fleet.due_at(number) for number in range(5_000)]
    asked = [due_fleet.asked_at(answer) for answer in due_fleet.ANSWERS]
    since = [asked[0] - timedelta(days=1000), *asked]
    for answer, after, by in zip(due_fleet.ANSWERS, since, asked, strict=False):
        assert sum(after < time <= by for time in times) == answer
    assert min(times[FIRST_LATER:]) > asked[-1]
    assert asked[-1] < asked[1] + LEASE


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[counting.Counts]:
    monkeypatch.setattr(counting.Session, "create_client", counting.Session.create_client)  # put back afterwards
    for name, value in due._VARIABLES.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        monkeypatch.setattr(Item, "_connection", None)
        yield counting.everywhere()


def _filled(*numbers: int) -> Deployment:
    lines = list(due_fleet.lines(max(numbers) + 1))
    table.fill(table.made(VARIABLES, NAME), NAME, (json.loads(lines[number]) for number in numbers))
    return due_process.deployment(NAME, "eu-west-1")


def test_a_tick_is_counted_with_its_queries_and_leases(counts: counting.Counts) -> None:
    """None due costs a query for each kind and shard, and one for exceptions; 100 due cost as many items and writes."""
    hub, queries = _filled(*range(100), *range(FIRST_LATER, FIRST_LATER + 60)), due.queries()
    none = due_process.cost(counts, hub, 0)
    assert (none["queries"], none["items"], none["leases"]) == (queries, 0, 0)
    found = due_process.cost(counts, hub, 100)
    assert (found["queries"], found["items"], found["leases"]) == (queries, 100, 100)
    assert not list(hub.inventory.due(DueKind.RENEW, due_fleet.asked_at(1_000), 500))


def test_a_fleet_with_another_number_due_ends_the_bench(counts: counting.Counts) -> None:
    """What was not found is not measured."""
    hub = _filled(*range(99))
    with pytest.raises(SystemExit, match="99 were due instead of 100"):
        due_process.cost(counts, hub, 100)


def test_a_table_is_empty_when_it_is_made_and_gone_when_it_is_dropped(counts: counting.Counts) -> None:
    """What an earlier bench left is deleted; dropping what is not there is nothing."""
    here = table.made(VARIABLES, NAME)
    table.fill(here, NAME, map(json.loads, due_fleet.lines(30)))
    assert here.scan(TableName=NAME)["Count"] == 30
    assert table.made(VARIABLES, NAME).scan(TableName=NAME)["Count"] == 0
    for _ in range(2):
        table.drop(here, NAME)
        assert here.list_tables()["TableNames"] == []


def test_what_is_not_taken_is_written_again() -> None:
    """A batch goes on until nothing of it is left over."""
    taken: list[Any] = []

    class Slow:
        def batch_write_item(self, *, RequestItems: Any) -> Any:
            first, *rest = RequestItems[NAME]
            taken.append(first["PutRequest"]["Item"])
            return {"UnprocessedItems": {NAME: rest} if rest else {}}

    table.fill(Slow(), NAME, ({"pk": number} for number in range(60)))
    assert sorted(each["pk"] for each in taken) == list(range(60))


def _costs(read: float, items: int = 100) -> due.Costs:
    none = {"queries": due.queries(), "items": 0, "read": 0, "leases": 0, "written": 0}
    less = {"queries": due.queries(), "items": items, "read": read, "leases": 100, "written": 400}
    more = {"queries": 46, "items": 1_000, "read": 10 * read, "leases": 1_000, "written": 4_000}
    return {"0": none, "100": less, "1000": more}


@pytest.mark.parametrize(
    ("of_large", "missed"),
    [
        (_costs(2), []),
        (_costs(2, items=101), ["100 due of 1,000,000: items read"]),
        (_costs(20), [f"{due_} due: read units, of 1,000,000 to 100,000" for due_ in ("100", "1,000")]),
        ({**_costs(2), "0": {**_costs(2)["0"], "queries": due.queries() + 1}}, ["none due of 1,000,000: queries"]),
        (
            {**_costs(2), "1000": {**_costs(2)["1000"], "read": 25}},
            ["1,000 due: read units, of 1,000,000 to 100,000", "read units for each due, of 1,000 to 100 due"],
        ),
        (
            {**_costs(2), "100": {**_costs(2)["100"], "leases": 150}},
            ["100 due of 1,000,000: writes for each"],
        ),
    ],
)
def test_reads_that_grow_with_the_fleet_miss_their_target(of_large: due.Costs, missed: list[str]) -> None:
    """Each way in which a tick may cost more than what is due is a missed target, and nothing else is."""
    made = list(due.figures(100_000, 1_000_000, _costs(2), of_large))
    assert [each.name for each in made if each.met is False] == missed
    assert Result("100 due of 100,000: write units for each", 4, "write units") in made


def test_the_lock_names_every_package_with_its_hash_and_no_address() -> None:
    """dynalite is installed as it was tested, from whatever registry npm is set to."""
    text = (due_engine.LOCKED / "package-lock.json").read_text()
    packages = {name: each for name, each in json.loads(text)["packages"].items() if name}
    assert packages["node_modules/dynalite"]["license"] == "Apache-2.0"
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert "://" not in text


def test_where_npm_cannot_install_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bench ends with npm's words and the other way, and leaves nothing that looks installed."""
    home, locked = tmp_path / "dynalite", tmp_path / "locked"
    locked.mkdir()
    monkeypatch.setattr(due_engine, "HOME", home)
    monkeypatch.setattr(due_engine, "SERVER", home / "cli.js")
    monkeypatch.setattr(due_engine, "LOCKED", locked)
    with pytest.raises(SystemExit, match=f"npm cannot install dynalite; {DYNAMODB} may name another endpoint"):
        due_engine.install()
    assert not home.exists()


@pytest.mark.slow
def test_on_dynalite_a_tick_reads_what_is_due_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items are found and leased by their keys there as on DynamoDB; the process and its data end with the block."""
    monkeypatch.delenv(DYNAMODB, raising=False)
    name, size = due._name(3_000), 3_000
    with due._filled({name: size}) as environment:
        read = json.loads(child.module("benches.due_process", name, environment=environment).fine().output)
        pages = table.client(environment).get_paginator("scan").paginate(TableName=name, Select="COUNT")
        kept = sum(page["Count"] for page in pages)
    assert [read[answer]["items"] for answer in ("0", "100", "1000")] == [0, 100, 1_000]
    assert [read[answer]["leases"] for answer in ("0", "100", "1000")] == [0, 100, 1_000]
    assert 0 < read["100"]["read"] * 2 < read["1000"]["read"] <= read["100"]["read"] * 12
    assert kept == size
    assert not list(due_engine.HOME.glob("data-*"))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", urlsplit(environment["AWS_ENDPOINT_URL"]).port or 0)) != 0


def test_help_says_how_to_measure_less() -> None:
    """The option is there without an environment."""
    command = [sys.executable, "-I", str(child.ROOT / "scripts" / "bench"), "due", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--quick" in done.stdout
