"""The reading routes with a hub of their own: refusals in the audit trail, proofs, the trail itself, and runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from asked_api import Answered, ApiHub, api_hub, as_role
from certificates import build
from estate import HUB, NOW, REGION, SCOPE
from managed_records import record
from perennial import discovery
from perennial.audit_event import happened
from perennial.inventory.records import RunRecord
from perennial.manifest import Difference, Role, Sighting
from perennial.proof import Observation, Proof
from reading_hub import CONFIGURATION, DAY, MINUTE, OWNERS, everything, get, put_certificate, titles


@pytest.fixture
def fresh() -> Iterator[ApiHub]:
    """A hub of one's own, with three certificates, for tests that change it or read the trail."""
    with api_hub(CONFIGURATION) as made:
        for number in range(3):
            put_certificate(made.estate.deployment.inventory, number, OWNERS[number])
        yield made


def test_another_teams_certificates_cannot_be_asked_for(fresh: ApiHub) -> None:
    """To name a foreign owner is refused, and the refusal is in the audit trail."""
    reply = get(fresh, "/certificates", "shop", owner="blog")
    assert reply.status == 403
    (link,) = fresh.trail()
    assert (link.event.outcome, link.event.action, link.event.subject) == ("refused", "inventory.read", "blog")


def test_who_has_no_role_sees_no_list(fresh: ApiHub) -> None:
    """Each list is refused, and each refusal is audited."""
    paths = ("/certificates", "/findings", "/issuers", "/profiles", "/proofs?managed=shop", "/audit", "/runs")
    for path in paths:
        assert fresh.ask("GET", path, as_role("nobody-knows")).status == 403, path
    assert [link.event.outcome for link in fresh.trail()] == ["refused"] * len(paths)


def test_a_certificate_at_very_many_places_is_told_in_part(fresh: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that there are more."""
    inventory = fresh.estate.deployment.inventory
    (line,) = everything(fresh, "/certificates", "shop", name="n0.example.com")
    places = tuple(
        Sighting(location=f"arn:{number}", role=Role.STORED, resource="r", fingerprint=line["fingerprint"])
        for number in range(4)
    )
    inventory.apply(SCOPE, Difference(added=places, changed=(), gone=()), NOW)
    monkeypatch.setattr("perennial.api.certificates.MAX_PLACES", 3)
    found = get(fresh, f"/certificates/{line['fingerprint']}", "shop").document
    assert (len(found["places"]), found["more_places"]) == (3, True)


def test_certificates_that_come_and_go_between_pages_move_no_others(fresh: ApiHub) -> None:
    """Those that stay are told once."""
    inventory = fresh.estate.deployment.inventory
    made = {number: put_certificate(inventory, number, "shop") for number in (3, 6, 9)}
    first = get(fresh, "/certificates", "shop", limit=2).document
    put_certificate(inventory, 20, "shop")
    inventory.own(made[9], None, f"arn:aws:acm:{REGION}:{HUB}:certificate/9")
    told = titles([*first["items"], *everything(fresh, "/certificates", "shop", limit=2, next=first["next"])])
    assert len(told) == len(set(told))
    assert {"n0.example.com", "n3.example.com", "n6.example.com"} <= set(told)
    assert "n9.example.com" not in told


def test_a_foreign_owners_findings_are_refused(fresh: ApiHub) -> None:
    """And the refusal is audited."""
    assert get(fresh, "/findings", "shop", owner="blog").status == 403
    assert [link.event.outcome for link in fresh.trail()] == ["refused"]


def _proof(number: int) -> Proof:
    at = NOW + number * MINUTE
    seen = Observation(address="192.0.2.1", port=443, sni="shop.example.com", serial="a1", chain=("a" * 64,))
    return Proof(
        id=f"{number:032x}",
        managed="shop",
        version=1,
        rollout=1,
        target="edge",
        kind="elbv2",
        place="arn:aws:x",
        method="handshake",
        purpose="deployed",
        expected="a" * 64,
        serial="a1",
        observations=(seen,),
        began_at=at,
        proven_at=at,
        asked_by="anna",
    )


def declare(api: ApiHub, environment: str) -> None:
    made = record()
    wanted = replace(made.declared, environment=environment, request=replace(made.declared.request, owner="shop"))
    api.estate.deployment.inventory.save_managed(replace(made, declared=wanted))
    for number in range(5):
        api.estate.deployment.inventory.keep_proof(_proof(number))


@pytest.mark.parametrize(
    ("who", "environment", "status"),
    [
        ("shop", "production", 200),
        ("test-only", "test", 200),
        ("test-only", "production", 403),
        ("blog", "production", 403),
        ("auditor", "production", 200),
    ],
)
def test_proofs_belong_to_a_team_and_an_environment(fresh: ApiHub, who: str, environment: str, status: int) -> None:
    """As the managed certificate does."""
    declare(fresh, environment)
    assert get(fresh, "/proofs", who, managed="shop").status == status


def test_proofs_come_newest_first_with_the_record_that_was_signed(fresh: ApiHub) -> None:
    """Which the command verifies: `proof.load` reads it back."""
    from perennial.proof import load

    declare(fresh, "")
    found = everything(fresh, "/proofs", "shop", managed="shop", limit=2)
    assert [each["id"] for each in found] == [f"{number:032x}" for number in (4, 3, 2, 1, 0)]
    assert load(json.dumps(found[0]["document"])) == (_proof(4),)
    assert found[0]["signed"] is False


def append_events(api: ApiHub, count: int) -> None:
    inventory = api.estate.deployment.inventory
    for number in reversed(range(count)):  # the oldest first, as a trail grows
        inventory.append_audit(
            happened(
                NOW - number * MINUTE,
                principal=("anna", "ben")[number % 2],
                source="api",
                action=("managed.renew", "managed.change")[number % 3 % 2],
                subject_kind="managed",
                subject=("shop", "blog")[number % 2],
                owner="shop",
                before={"key": "EC-256"},
                after={"key": "RSA-2048"},
                why=f"{number}",
            )
        )


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, range(9)),
        ({"person": "ben"}, [1, 3, 5, 7]),
        ({"kind": "managed", "subject": "shop"}, [0, 2, 4, 6, 8]),
        ({"action": "managed.change"}, [1, 4, 7]),
        ({"outcome": "refused"}, []),
        ({"kind": "managed"}, range(9)),
        ({"kind": "version"}, []),
        ({"since": "2026-11-01T11:56:30Z"}, [0, 1, 2, 3]),
        ({"until": "2026-11-01T11:56:30Z"}, [4, 5, 6, 7, 8]),
    ],
    ids=str,
)
@pytest.mark.parametrize("limit", [2, 50])
def test_events_by_subject_person_time_action_and_outcome(
    fresh: ApiHub, query: dict[str, str], numbers: Any, limit: int
) -> None:
    """The newest first, over pages, and each once, though every page adds an event of its own."""
    append_events(fresh, 9)
    found = everything(fresh, "/audit", "auditor", limit=limit, **query)
    assert [int(each["why"]) for each in found if each["action"] != "audit.read"] == list(numbers)
    assert len({each["id"] for each in found}) == len(found)


def test_an_event_has_what_was_kept(fresh: ApiHub) -> None:
    """Before and after, and where it is in the trail."""
    append_events(fresh, 1)
    (event,) = everything(fresh, "/audit", "auditor", person="anna")
    assert (event["before"], event["after"]) == ({"key": "EC-256"}, {"key": "RSA-2048"})
    assert event["reference"].startswith("2026-11-01.")
    assert len(event["hash"]) == 64


def test_to_read_the_audit_trail_is_an_event(fresh: ApiHub) -> None:
    """Of each page, with what was asked for; the next reader sees it."""
    append_events(fresh, 3)
    everything(fresh, "/audit", "auditor", limit=2, person="ben")
    reads = [link.event for link in fresh.trail() if link.event.action == "audit.read"]
    assert reads[0].principal.endswith("role/auditor")
    assert reads[0].after["person"] == "ben"
    assert "audit.read" in [each["action"] for each in everything(fresh, "/audit", "auditor")]


@pytest.mark.parametrize("who", ["shop", "everyone", "operator"])
def test_the_audit_trail_is_for_roles_of_the_whole_organisation(fresh: ApiHub, who: str) -> None:
    """Others are refused, and that is in it."""
    assert get(fresh, "/audit", who).status == 403
    assert [(link.event.action, link.event.outcome) for link in fresh.trail()] == [("audit.read", "refused")]


@pytest.fixture
def machine(fresh: ApiHub) -> str:
    """A state machine in the place of Discovery's."""
    made = fresh.estate.deployment.clients("stepfunctions").create_state_machine(
        name="perennial-discovery",
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}),
        roleArn=f"arn:aws:iam::{HUB}:role/any",
    )
    environment: Any = fresh.estate.deployment.environment
    environment["PERENNIAL_DISCOVERY_ARN"] = made["stateMachineArn"]
    return str(made["stateMachineArn"])


def executions(api: ApiHub, machine: str) -> dict[str, Any]:
    client = api.estate.deployment.clients("stepfunctions")
    listed = client.list_executions(stateMachineArn=machine)["executions"]
    return {
        each["name"]: json.loads(client.describe_execution(executionArn=each["executionArn"])["input"])
        for each in listed
    }


def start(api: ApiHub, who: str, body: Any, key: str) -> Answered:
    return api.ask("POST", "/runs", as_role(who), body, Idempotency_Key=key)


def test_runs_come_newest_first(fresh: ApiHub) -> None:
    """With how complete they were."""
    for number in range(5):
        at = NOW - number * MINUTE
        run = RunRecord(run=f"run-{number}", started_at=at, completed_at=at + MINUTE, scopes=9, incomplete=number)
        fresh.estate.deployment.inventory.ran(run)
    found = everything(fresh, "/runs", "shop", limit=2)
    assert [(each["run"], each["incomplete"]) for each in found] == [(f"run-{number}", number) for number in range(5)]


def test_a_run_over_everything_is_started_once(fresh: ApiHub, machine: str) -> None:
    """Who asks while it goes on is told of it, and no second one is started; the start is audited."""
    first = start(fresh, "operator", {}, "key-1")
    assert (first.status, first.document["started"]) == (202, True)
    assert executions(fresh, machine) == {first.document["run"]: {}}
    second = start(fresh, "auditor", {}, "key-2")
    assert second.status == 403
    third = start(fresh, "operator", {"scopes": []}, "key-3")
    assert third.document == {"run": first.document["run"], "started": False, "going_on": []}
    assert len(executions(fresh, machine)) == 1
    started = [
        link.event for link in fresh.trail() if link.event.action == "discovery.start" and link.event.outcome == "done"
    ]
    assert [each.subject for each in started] == [first.document["run"]]


def test_a_run_over_some_scopes_is_started_beside_others(fresh: ApiHub, machine: str) -> None:
    """And tells which go on."""
    client = fresh.estate.deployment.clients("stepfunctions")
    client.start_execution(stateMachineArn=machine, name="scheduled", input="{}")
    scopes = [f"{HUB}/{REGION}/acm", f"{HUB}/aws-global/iam"]
    found = start(fresh, "operator", {"scopes": scopes}, "key-1").document
    assert (found["started"], found["going_on"]) == (True, ["scheduled"])
    assert executions(fresh, machine)[found["run"]] == {"scopes": scopes}


@pytest.mark.parametrize(
    ("scopes", "status"),
    [
        (["everything"], 422),
        ([f"{HUB}/{REGION}/acm"] * 101, 422),
        ([f"{HUB}/{REGION}/nothing"], 400),
        (["999999999999/eu-west-1/acm"], 400),
        ("all", 422),
    ],
    ids=lambda value: str(value)[:30],
)
def test_scopes_that_discovery_does_not_look_at_start_nothing(
    fresh: ApiHub, machine: str, scopes: Any, status: int
) -> None:
    """And leave no event of a start."""
    assert start(fresh, "operator", {"scopes": scopes}, "key-1").status == status
    assert executions(fresh, machine) == {}
    assert fresh.trail() == []


@pytest.mark.parametrize("who", ["shop", "blog", "everyone", "auditor", "nobody-knows"])
def test_who_may_not_start_a_run_starts_none(fresh: ApiHub, machine: str, who: str) -> None:
    """And the refusal is audited."""
    assert start(fresh, who, {}, "key-1").status == 403
    assert executions(fresh, machine) == {}
    assert [(link.event.action, link.event.outcome) for link in fresh.trail()] == [("discovery.start", "refused")]


def test_what_discovery_found_is_listed(fresh: ApiHub) -> None:
    """A scan, then the list: nothing more is needed between them."""
    fresh.estate.acm.holds["arn:aws:acm:new"] = build("scanned.example.com")
    discovery.scan_scope(fresh.estate.deployment, run="r", scope=SCOPE, now=NOW, deadline=NOW + DAY)
    assert "scanned.example.com" in titles(everything(fresh, "/certificates", "auditor", limit=3))
