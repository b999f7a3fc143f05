"""schemathesis against the API: whatever is asked, by whomever, the reply is a documented one, and no error of ours.

Requests are made of docs/openapi.json and go through the Lambda handler, as API Gateway hands them on: those of the
document's limits, and some of chance, that fit the document and that do not, by people of each role and by nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest
import requests

from asked_api import NOBODY, ApiHub, api_hub, as_role
from dict_table import DictTable
from schema_calls import gateway
from schema_cases import BASE, CHECKS, LABELS, LEFT_OUT, checks, covering, drawn, judge, operation_of, written
from schema_known import ROLES, Known, allowed, configuration, grant

PRINCIPALS = "".join(f'"arn:aws:iam::123456789012:role/{role}" = ["{grant(role)}"]\n' for role in ROLES)
CONFIGURATION = f"{configuration()}\n[api.principals]\n{PRINCIPALS}"
DRAWN = 8  # cases of chance of an operation, of each mode, for each role
UNSIGNED = (400, 401, 413, 415)  # what nobody is answered: the limits are looked at first


@dataclass
class Asked:
    """The hub, and a session for each role and for nobody."""

    known: Known
    sessions: Mapping[str, requests.Session]

    def send(self, label: str, case: Any, who: str) -> int:
        """The status of the reply, which is judged."""
        response = case.call(base_url=BASE, session=self.sessions[who])
        judge(case, response, who)
        if who == "nobody":
            assert response.status_code in UNSIGNED, f"{label}: {response.status_code}"
        return int(response.status_code)


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    with api_hub(CONFIGURATION.encode()) as hub, DictTable().in_place():
        _let_workflows_run(hub)
        deployment = hub.estate.deployment
        sessions = {str(role): gateway(hub, as_role(str(role))) for role in ROLES}
        yield Asked(Known(deployment, hub.estate.clock).filled(), {**sessions, "nobody": gateway(hub, NOBODY)})


def _let_workflows_run(hub: ApiHub) -> None:
    deployment = hub.estate.deployment
    made = deployment.clients("stepfunctions").create_state_machine(
        name="PerennialDiscovery",
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/workflow",
    )
    deployment.environment["PERENNIAL_DISCOVERY_ARN"] = made["stateMachineArn"]  # type: ignore[index]


def test_every_check_is_asked_or_left_out_for_a_reason() -> None:
    """A newer schemathesis with more checks does not go by unnoticed."""
    from schemathesis.checks import CHECKS as ALL

    checks()
    assert {*CHECKS, *LEFT_OUT} == set(ALL.get_all_names())
    assert not set(CHECKS) & set(LEFT_OUT)


@pytest.mark.parametrize("label", LABELS)
def test_what_is_there(asked: Asked, label: str) -> None:
    """Everyone who may is answered with a success of each operation, as it is documented; nobody else is."""
    (case,) = drawn(operation_of(label), "positive", 1)
    for who in asked.sessions:
        status = asked.send(label, asked.known.fit(label, case), who)
        assert (status < 300) is (who in allowed(label)), f"{who}: {status}"


@pytest.mark.parametrize("label", LABELS)
def test_limits(asked: Asked, label: str) -> None:
    """What is at the limits of the document or just beyond them: for who may, and for everyone else in turn."""
    first = allowed(label)[0]
    others = cycle(each for each in asked.sessions if each != first)
    for case in covering(operation_of(label)):
        for who in (first, next(others)):
            asked.send(label, case, who)


@pytest.mark.parametrize("label", LABELS)
def test_chance(asked: Asked, label: str) -> None:
    """What fits the document and what does not, by chance, for each role and for nobody."""
    operation = operation_of(label)
    for case in [*drawn(operation, "positive", DRAWN), *drawn(operation, "negative", DRAWN)]:
        for who in asked.sessions:
            asked.send(label, case, who)


@pytest.mark.parametrize("label", [each for each in LABELS if "requestBody" in written(each)])
def test_members(asked: Asked, label: str) -> None:
    """What each member of a body can be and what it cannot, in a body that would succeed but for that."""
    operation, who = operation_of(label), allowed(label)[0]
    (good,) = drawn(operation, "positive", 1)
    for case in asked.known.members(label, good, [*covering(operation), *drawn(operation, "positive", DRAWN)]):
        asked.send(label, case, who)
