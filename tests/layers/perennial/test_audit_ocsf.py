"""Audit events as OCSF has them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.audit_chain import following
from perennial.audit_event import ACTIONS, REFUSED, Event
from perennial.audit_ocsf import ocsf

NOW = datetime(2026, 11, 1, 12, 0, 1, 250_000, tzinfo=UTC)
EVENT = Event(
    id="0" * 32,
    at=NOW,
    principal="arn:aws:iam::123456789012:user/jo",
    source="api",
    action="managed.change",
    subject_kind="managed",
    subject="shop",
    owner="web",
    before={"days": 90},
    after={"days": 47},
    why="too long",
    request="r1",
)
# Required attributes and their JSON types of OCSF 1.3.0's base event, Entity Management, metadata and product.
REQUIRED = {
    "activity_id": int,
    "category_uid": int,
    "class_uid": int,
    "entity": dict,
    "metadata": dict,
    "severity_id": int,
    "time": int,
    "type_uid": int,
}


def of(event: Event) -> dict[str, Any]:
    made = ocsf(following(("2026-11-01", 3), None, event))
    return dict(json.loads(json.dumps(made)))


def test_what_ocsf_requires() -> None:
    """Every required attribute is there, and the ids of the class agree."""
    for action in ACTIONS:
        made = of(replace(EVENT, action=action))
        assert {name: type(made[name]) for name in REQUIRED} == REQUIRED
        assert (made["category_uid"], made["class_uid"]) == (3, 3004)
        assert made["type_uid"] == 3004 * 100 + made["activity_id"]
        assert made["metadata"]["version"] == "1.3.0"
        assert {"vendor_name", "name"} <= set(made["metadata"]["product"])
        assert made["activity_id"] in (1, 2, 3, 4)
        assert made["time"] == 1_793_534_401_250


def test_what_is_told() -> None:
    """Who, what before and after, why, the request, and where it stands in its chain."""
    made = of(EVENT)
    assert (made["activity_id"], made["activity_name"], made["type_name"]) == (3, "Update", "Entity Management: Update")
    assert made["actor"]["user"] == {"name": EVENT.principal, "type": "User", "type_id": 1}
    assert made["entity"] == {"name": "shop", "type": "managed", "uid": "managed/shop", "data": {"days": 90}}
    assert made["entity_result"]["data"] == {"days": 47}
    assert (made["comment"], made["metadata"]["correlation_uid"]) == ("too long", "r1")
    assert (made["metadata"]["sequence"], made["metadata"]["uid"]) == (1, EVENT.id)
    assert made["unmapped"]["owner"] == "web"
    assert (made["status_id"], made["status"], made["severity_id"]) == (1, "Success", 1)


def test_a_refusal() -> None:
    """It is a failure with its reason, and of more weight than what was done."""
    made = of(replace(EVENT, outcome=REFUSED, reason="not of your team"))
    assert (made["status_id"], made["status"], made["status_detail"]) == (2, "Failure", "not of your team")
    assert (made["severity_id"], made["severity"]) == (2, "Low")


@pytest.mark.parametrize("source", ["tick", "workflow"])
def test_what_happens_by_itself(source: str) -> None:
    """The actor is the system."""
    assert of(replace(EVENT, source=source))["actor"]["user"]["type_id"] == 3


def test_an_action_of_another_release() -> None:
    """OCSF's Other, with the action's own name."""
    made = of(replace(EVENT, action="campaign.start"))
    assert (made["activity_id"], made["activity_name"], made["type_uid"]) == (99, "campaign.start", 300499)


def test_states_that_are_no_objects() -> None:
    """OCSF's data is an object; without a state there is none."""
    made = of(replace(EVENT, before="old", after=None, why=""))
    assert made["entity"]["data"] == {"value": "old"}
    assert not {"entity_result", "comment", "status_detail"} & set(made)
    assert "data" not in of(replace(EVENT, before=None))["entity"]
