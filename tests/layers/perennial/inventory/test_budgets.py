"""What is reserved of budgets, and what waits for an issuer, in the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from estate import NOW, Estate
from managed_records import RULES, record, serving
from perennial import budget, planning
from perennial.inventory.store import Inventory
from perennial.lifecycle import Situation, decide
from perennial.settings import load

DAY = timedelta(days=1)
CONFIGURATION = """
[issuers.public]
kind = "acme"
directory = "https://ca.example.com/directory"
orders_per_hour = 60
certificates_per_domain_and_week = 50
[profiles.web]
issuer = "public"
names = [".example.com"]
"""


@pytest.fixture
def inventory(estate: Estate) -> Inventory:
    return estate.deployment.inventory


def test_a_slot_has_so_many_places(inventory: Inventory) -> None:
    """One that is full gives none, except to who takes one too many; what is given back is free for the next."""
    assert [inventory.take_slot("orders/ca", NOW, 2) for _ in range(3)] == [True, True, False]
    assert inventory.take_slot("orders/ca", NOW, budget.ANY)
    inventory.give_slot_back("orders/ca", NOW)
    assert not inventory.take_slot("orders/ca", NOW, 2)
    inventory.give_slot_back("orders/ca", NOW)
    assert inventory.take_slot("orders/ca", NOW, 2)


def test_what_was_never_taken_is_not_given_back(inventory: Inventory) -> None:
    """No slot comes to hold more than it has."""
    inventory.give_slot_back("orders/ca", NOW)
    assert [inventory.take_slot("orders/ca", NOW, 1) for _ in range(2)] == [True, False]


def test_what_expires_first_is_woken_first(inventory: Inventory) -> None:
    """What serves nothing comes before all others, whatever their names; each is told once until it is woken."""
    for name, until in (("a", NOW + 9 * DAY), ("b", NOW + 2 * DAY), ("c", None), ("b", NOW + 2 * DAY)):
        inventory.issuer_failed("ca", name, "it does not answer", NOW, until)
    assert [each.managed for each in inventory.waiting_for("ca", 10)] == ["c", "b", "a"]
    (first,) = inventory.waiting_for("ca", 1)
    inventory.waits_no_more("ca", first)
    assert [each.managed for each in inventory.waiting_for("ca", 10)] == ["b", "a"]
    assert inventory.waiting_for("other", 10) == []


def test_a_place_that_is_not_needed_is_given_back(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is planned anew leaves its place to others, in every budget; what was planned for the past had its place."""
    deployment: Any = estate.deployment
    monkeypatch.setitem(deployment.__dict__, "settings", load(CONFIGURATION))
    known = Situation(record=record(serving=serving(age=70)), rules=RULES)
    first = planning.reserved(deployment, known, decide(known, NOW), NOW)
    planned = replace(known.record, planned_at=first)
    assert planning.reserved(deployment, known, decide(known, NOW), NOW) != first
    planning.given_back(deployment, planned, "public", first)
    assert planning.reserved(deployment, known, decide(known, NOW), NOW) != first
    planning.given_back(deployment, planned, "public", first - DAY)
    assert planning.reserved(deployment, known, decide(known, NOW), NOW) == first
