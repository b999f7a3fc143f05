"""Discovery, killed before or after any of its AWS calls and run again, ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from certificates import build
from counted import COUNTED
from estate import HUB, NOW, REGION, Estate
from layers.perennial.conftest import in_memory_hub
from perennial import discovery, publishing
from perennial.inventory.indexes import SHARDS
from perennial.manifest import Scope

ARNS = [f"arn:aws:acm:{REGION}:{HUB}:certificate/{number}" for number in range(3)]
LISTENER = f"arn:aws:elasticloadbalancing:{REGION}:{HUB}:listener/app/web/1/2"
CONFIGURATION = f'discovery.regions = ["{REGION}"]'.encode()
VOLATILE = {"first_seen", "gone_at", "due_at", "attempted_at", "completed_at", "opened_at", "updated_at", "run", "told"}
VOLATILE |= {"expires_at", "attempts", "reason"}


PARTS = 4  # each part takes every fourth call


class Killed(BaseException):
    """The process is gone: nothing of it catches this."""


@contextmanager
def killed_after(number: int) -> Iterator[list[int]]:
    """Kill when the n-th AWS call has taken effect and its reply is lost; nothing is called any more after that."""
    calls = [0]
    original = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        if calls[0] >= number:
            raise Killed
        calls[0] += 1
        reply = original(client, operation, request)
        if calls[0] >= number:
            raise Killed
        return reply

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", call)
        yield calls


def run(estate: Estate, name: str) -> None:
    """The workflow's steps, in its order."""
    estate.clock.now += timedelta(minutes=1)
    now = estate.clock.now
    deadline = now + timedelta(minutes=9)
    discovery.plan(estate.deployment, run=name, scopes=None, now=now)
    for key in estate.deployment.manifests.load_plan(name):
        discovery.scan_scope(estate.deployment, run=name, scope=Scope.of(key), now=now, deadline=deadline)
    discovery.collect(estate.deployment, run=name, started_at=now, now=now)
    for shard in range(SHARDS):
        publishing.assess_due(estate.deployment, shard=shard, now=now, deadline=deadline)
    publishing.publish_due(estate.deployment, now=now, deadline=deadline)


EXPIRED = build("expired.example.com", not_before=NOW - timedelta(days=92), not_after=NOW - timedelta(days=2))
SHOP, SERVED = build("shop.example.com"), build("served.example.com")
SAME_KEY = build("other.example.com", key=SERVED.key)


def begin(estate: Estate) -> None:
    """Two certificates, one behind a listener, one expired."""
    estate.acm.holds |= {ARNS[0]: EXPIRED, ARNS[1]: SHOP}
    estate.elbv2.holds[LISTENER] = ARNS[1]


def change(estate: Estate) -> None:
    """One certificate goes, one is re-imported, one appears with a key that is in use already."""
    del estate.acm.holds[ARNS[0]]
    estate.acm.holds |= {ARNS[1]: SERVED, ARNS[2]: SAME_KEY}


def settle(estate: Estate) -> None:
    """What the tick does afterwards: whatever is still due, and what a killed publisher had leased."""
    for number in range(2):
        estate.clock.now += publishing.LEASE
        run(estate, f"settle-{number}")


def state(estate: Estate) -> dict[str, Any]:
    """Everything that is kept, without what only says when."""
    clients = estate.deployment.clients
    rows = clients("dynamodb").scan(TableName=estate.deployment.environment["PERENNIAL_TABLE"])["Items"]
    kept = {
        f"{item['pk']['S']} {item['sk']['S']}": {
            **{name: repr(value) for name, value in item.items() if name not in VOLATILE},
            "gone": "gone_at" in item,
        }
        for item in rows
        if item["pk"]["S"] != "RUN"
    }
    hub = clients("securityhub").get_findings(MaxResults=100)["Findings"]
    return {"table": kept, "hub": {each["Id"]: each["RecordState"] for each in hub}}


def ended(which: str = "", number: int = 0) -> tuple[dict[str, Any], int]:
    """Two runs, one of them perhaps killed, each run again: what is kept in the end, and the calls until the kill."""
    made = 0
    with in_memory_hub(CONFIGURATION) as estate:
        for name, prepare in (("first", begin), ("second", change)):
            prepare(estate)
            if name == which:
                with killed_after(number) as calls, suppress(Killed):
                    run(estate, name)
                made = calls[0]
            run(estate, f"{name}-again")
        settle(estate)
        return state(estate), made


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("which", ["first", "second"])
def test_killed_at_any_call_and_run_again_the_inventory_ends_the_same(
    which: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    """Whatever call of a run is its last, the next runs lead to the same table and the same findings."""
    reference, _ = ended()
    _, total = ended(which, 1_000_000)
    numbers = range(1 + part, total + 1, PARTS)
    for number in numbers:
        result, _ = ended(which, number)
        assert result == reference, f"killed after call {number} of {total}"
    record_property(f"{COUNTED}Discovery, the {which} run", len(numbers))
