"""What an exception does: what it covers is suppressed, its end is announced and exact, and the finding returns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from certificates import build
from estate import NOW, Estate
from excepting import (
    APPROVER,
    ARN,
    DAY,
    OTHER,
    ask,
    granted,
    messages,
    open_findings,
    plant,
    scan,
    suppressed,
    work,
    workflow_of_findings,
)
from excepting import (
    OTHER_SECURITY as SECURITY_ASKS,
)
from perennial import exception_asking, exception_serving, exceptions, publishing
from perennial.audit import Question
from perennial.audit import asked as trail
from perennial.errors import PerennialError
from perennial.exception_record import ExceptionState
from perennial.exception_selection import Selection
from perennial.exception_settings import Exceptions
from perennial.exception_steps import BY_SETTINGS
from perennial.findings import State

EXPIRED = ("expiry.expired", ARN)


@pytest.fixture
def workflow() -> Iterator[dict[str, tuple[str, str]]]:
    """What Security Hub was told of findings, besides the findings."""
    with workflow_of_findings() as told:
        yield told


@pytest.fixture
def told_estate(estate: Estate, workflow: dict[str, tuple[str, str]]) -> Estate:
    """An estate with one expired certificate, of which everybody was told."""
    plant(estate)
    scan(estate)
    work(estate, rounds=2)
    assert EXPIRED in open_findings(estate)
    assert "expired" in messages(estate)[0]["Message"]
    return estate


def test_what_is_covered_is_suppressed_and_nobody_is_told(
    told_estate: Estate, workflow: dict[str, tuple[str, str]]
) -> None:
    """A granted exception takes the finding out of the open ones, says so in Security Hub, and tells no person."""
    made = granted(told_estate)
    work(told_estate, rounds=3)
    assert EXPIRED not in open_findings(told_estate)
    finding = suppressed(told_estate)[EXPIRED]
    assert (finding.state, finding.exception, finding.exception_ends) == (State.SUPPRESSED, made.id, made.ends)
    status, note = workflow["expiry.expired"]
    assert status == "SUPPRESSED" and made.id in note and f"{made.ends:%Y-%m-%d %H:%M} UTC" in note
    assert messages(told_estate) == []


def test_what_is_never_suspended_from_now_on(told_estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where perennial.toml names its rule later, an exception suspends nothing, ends, and the finding returns."""
    made = granted(told_estate)
    kept = granted(told_estate, rule="expiry.soon")
    work(told_estate, rounds=3)
    assert EXPIRED in suppressed(told_estate)
    deployment = told_estate.deployment
    settings = replace(deployment.settings, exceptions=Exceptions(never=("expiry.expired",)))
    monkeypatch.setitem(deployment.__dict__, "settings", settings)
    assert [each.id for each in deployment.active_exceptions()] == [kept.id]
    work(told_estate, rounds=3)
    ended = deployment.inventory.exception(made.id)
    assert (ended.state, ended.ended_why) == (ExceptionState.ENDED, BY_SETTINGS)
    assert EXPIRED in open_findings(told_estate)
    assert [each.id for each in deployment.inventory.active_exceptions()] == [kept.id]
    assert any(BY_SETTINGS in each["Message"] for each in messages(told_estate))


def test_another_finding_of_the_same_certificate_stays_open(told_estate: Estate) -> None:
    """One rule is suspended, and no other."""
    before = open_findings(told_estate).keys()
    granted(told_estate)
    work(told_estate, rounds=3)
    assert open_findings(told_estate).keys() == before - {EXPIRED}
    assert len(before) > 1


def test_a_finding_that_comes_under_an_exception_is_never_told(
    estate: Estate, workflow: dict[str, tuple[str, str]]
) -> None:
    """A certificate that is found while an exception covers it is suppressed from the beginning."""
    granted(estate)
    work(estate)
    plant(estate)
    scan(estate)
    work(estate, rounds=2)
    assert EXPIRED in suppressed(estate) and EXPIRED not in open_findings(estate)
    assert not any("SHOP" in each["Message"].upper() and "has expired" in each["Message"] for each in messages(estate))


def test_by_time_it_ends_and_the_finding_returns_as_new_and_is_told(
    told_estate: Estate, workflow: dict[str, tuple[str, str]]
) -> None:
    """At its end date the finding opens anew, Security Hub has it as NEW, and people are told of both."""
    made = granted(told_estate)
    work(told_estate, rounds=3)
    messages(told_estate)
    told_estate.clock.now = made.ends - timedelta(minutes=1, seconds=1)
    work(told_estate)
    assert EXPIRED in suppressed(told_estate)
    told_estate.clock.now = made.ends - timedelta(minutes=1)
    messages(told_estate)
    work(told_estate)
    finding = open_findings(told_estate)[EXPIRED]
    assert (finding.state, finding.exception, finding.opened_at) == (State.OPEN, "", told_estate.clock.now)
    assert workflow["expiry.expired"][0] == "NEW"
    texts = [each["Message"] for each in messages(told_estate)]
    assert any("has expired" in each for each in texts) and any(made.id in each for each in texts)
    assert told_estate.deployment.inventory.exception(made.id).state is ExceptionState.ENDED
    assert suppressed(told_estate) == {}


def test_ended_early_the_finding_returns_within_minutes(
    told_estate: Estate, workflow: dict[str, tuple[str, str]]
) -> None:
    """An approver of the team ends it; two runs later the finding is open, new and told."""
    made = granted(told_estate)
    work(told_estate, rounds=3)
    now = told_estate.clock.now
    exceptions.end(told_estate.deployment, APPROVER, made, reason="The shop stays.", source="cli", now=now)
    work(told_estate, rounds=2)
    assert EXPIRED in open_findings(told_estate) and suppressed(told_estate) == {}
    assert workflow["expiry.expired"][0] == "NEW"
    texts = "\n".join(each["Message"] for each in messages(told_estate))
    assert "has expired" in texts and "The shop stays." in texts


def test_what_an_assessment_under_way_wrote_after_its_beginning_is_found_by_the_second_sweep(
    told_estate: Estate,
) -> None:
    """A batch that read what is active before the exception began leaves its finding open for a quarter of an hour."""
    granted(told_estate)
    work(told_estate, rounds=3)
    publishing.assess_place(told_estate.deployment, ARN, told_estate.clock.now)  # as one that knows of no exception
    assert EXPIRED in open_findings(told_estate)
    work(told_estate, after=timedelta(minutes=15), rounds=2)
    assert EXPIRED in suppressed(told_estate) and EXPIRED not in open_findings(told_estate)


def test_coming_ends_are_announced_once_each_to_the_owner(told_estate: Estate) -> None:
    """14 and 3 days before its end the topic is told, with the owner to filter by."""
    made = granted(told_estate)
    work(told_estate, rounds=3)
    messages(told_estate)
    told: dict[float, list[str]] = {}
    for left in (15, 14, 13.5, 4, 3, 2.5, 0.5):
        told_estate.clock.now = made.ends - left * DAY - timedelta(minutes=1)
        work(told_estate)
        told[left] = []
        for each in messages(told_estate):
            told[left].append(each["Subject"])
            assert each["MessageAttributes"]["owner"]["Value"] == "shop"
            assert made.id in each["Message"] and "rita" in each["Message"] and "sam" in each["Message"]
    assert told.pop(14) == ["Perennial: Exception ends in 14 days: expiry.expired"]
    assert told.pop(3) == ["Perennial: Exception ends in 3 days: expiry.expired"]
    assert not any(told.values())


def test_a_topic_that_fails_delays_the_announcement_and_nothing_else(
    told_estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be told is kept with its reason, raised for the alarm, and told later; findings go on."""
    made = granted(told_estate)
    work(told_estate, rounds=3)
    messages(told_estate)
    told_estate.clock.now = made.ends - 14 * DAY
    denied = ClientError({"Error": {"Code": "AuthorizationError", "Message": "no"}}, "Publish")
    with monkeypatch.context() as patched:
        patched.setattr(exception_serving, "_publish", _raising(denied))
        with pytest.raises(PerennialError, match="AuthorizationError"):
            work(told_estate)
    kept = told_estate.deployment.inventory.exception(made.id)
    assert kept.attempts == 1 and "AuthorizationError" in kept.trouble and kept.announced == 0
    work(told_estate, after=timedelta(minutes=2))
    kept = told_estate.deployment.inventory.exception(made.id)
    assert (kept.attempts, kept.trouble, kept.announced) == (0, "", 14)
    assert len(messages(told_estate)) == 1


def test_who_decides_is_told_once_that_an_exception_is_asked_for(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic, with what subscriptions filter by, and the bus; what was decided before is not told."""
    put: list[dict[str, Any]] = []
    original = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        put.extend(request["Entries"] if operation == "PutEvents" else ())
        return original(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    made = ask(estate)
    granted(estate)
    work(estate, rounds=3)
    (message,) = messages(estate)
    assert message["Subject"] == "Perennial: Exception wanted: expiry.expired"
    assert f"perennial exceptions approve {made.id}" in message["Message"]
    assert {name: each["Value"] for name, each in message["MessageAttributes"].items()} == {
        "owner": "shop",
        "exception": made.id,
        "state": "asked",
    }
    (event,) = (each for each in put if each["DetailType"] == "Exception Asked")
    assert json.loads(event["Detail"])["id"] == made.id
    assert estate.deployment.inventory.exception(made.id).told_asked


def test_what_could_not_be_told_delays_nothing_that_is_decided(
    told_estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that fails again and again is tried an hour later at last; what is granted meanwhile covers at once."""
    made = ask(told_estate)
    denied = ClientError({"Error": {"Code": "AuthorizationError", "Message": "no"}}, "Publish")
    with monkeypatch.context() as patched:
        patched.setattr(exception_serving, "_publish", _raising(denied))
        for minutes in (1, 2, 4, 8, 16, 32):
            with pytest.raises(PerennialError, match="AuthorizationError"):
                work(told_estate, after=timedelta(minutes=minutes, seconds=1))
    now = told_estate.clock.now
    exceptions.grant(told_estate.deployment, SECURITY_ASKS, made, source="api", now=now)
    work(told_estate, rounds=2)
    assert EXPIRED in suppressed(told_estate)


def test_an_exception_on_which_nobody_decides_ends_with_its_date(estate: Estate) -> None:
    """It was never active, covers nothing, and leaves the list of those that wait; nobody is told of an end."""
    made = ask(estate)
    estate.clock.now = made.ends
    work(estate)
    kept = estate.deployment.inventory.exception(made.id)
    assert (kept.state, kept.ended_why) == (ExceptionState.ENDED, "nobody decided before its end")
    assert messages(estate) == []


def test_every_change_is_in_the_trail_with_before_and_after(told_estate: Estate) -> None:
    """Asking, granting and the end by time are three events of the exception, by whom and from which state."""
    made = granted(told_estate)
    told_estate.clock.now = made.ends
    work(told_estate)
    question = Question(since=NOW - DAY, until=NOW + 60 * DAY, kind="exception", subject=made.id)
    events = [each.event for each in reversed(trail(told_estate.deployment.inventory, question))]
    assert [(each.action, each.source) for each in events] == [
        ("exception.create", "api"),
        ("exception.approve", "api"),
        ("exception.end", "tick"),
    ]
    assert [each.principal.rpartition("/")[2] for each in events] == ["rita", "sam", "perennial"]
    assert [(each.before or {}).get("state") for each in events] == [None, "asked", "active"]
    assert [each.after["state"] for each in events] == ["asked", "active", "ended"]
    assert events[0].after["selection"] == {"owner": "shop"} and events[1].after["decided_by"] == "sam"


def test_an_estate_without_exceptions_pays_one_query_a_batch(
    told_estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred places in a batch ask once for what is active, and nothing else that they did not ask before."""
    for number in range(100):
        plant(told_estate, f"{ARN}{number:03}", f"n{number}.example.com", key="EC-256#shared")
    scan(told_estate)
    asked: list[str] = []
    original = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        asked.append(str(request.get("ExpressionAttributeValues")))
        return original(client, operation, request)

    with monkeypatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", call)
        now = told_estate.clock.now
        for shard in range(4):
            publishing.assess_due(told_estate.deployment, shard=shard, now=now, deadline=now + timedelta(minutes=9))
    of_exceptions = [each for each in asked if "EXCEPTION" in each]
    assert 1 <= len(of_exceptions) <= 4 and all("EXCEPTIONS#active" in each for each in of_exceptions)


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize(
    "selection",
    [
        Selection(name="shop.example.com"),
        Selection(name="example.com", subtree=True, owner="shop"),
        Selection(resource=ARN),
        Selection(managed="shop"),
    ],
    ids=str,
)
def test_whatever_names_it_what_is_covered_is_found_and_little_else_is_assessed(
    told_estate: Estate, monkeypatch: pytest.MonkeyPatch, selection: Selection, few: int
) -> None:
    """By its certificates where it names few, else by the findings: only what it may cover becomes due."""
    from perennial.inventory.records import DueKind
    from perennial.inventory.store import Inventory

    fingerprint = told_estate.acm.holds[ARN].certificate.fingerprint
    plant(told_estate, OTHER, "other.example.net")
    scan(told_estate)
    work(told_estate, rounds=2)
    monkeypatch.setattr(Inventory, "fingerprints_of", lambda inventory, managed: frozenset({fingerprint}))
    monkeypatch.setattr(exception_asking, "_environment", lambda *_: "")
    monkeypatch.setattr(exception_serving, "FEW", few)
    granted(told_estate, by=SECURITY_ASKS, selection=selection)
    told_estate.clock.now += timedelta(minutes=1)
    now = told_estate.clock.now
    assert exception_serving.serve_due(told_estate.deployment, now=now, deadline=now + DAY) is None
    due = told_estate.deployment.inventory.due(DueKind.ASSESS, now, 10)
    assert [each.pk for each in due] == [f"PLACE#{ARN}"]
    work(told_estate)
    assert suppressed(told_estate).keys() == {EXPIRED}


def test_a_managed_certificate_is_asked_for_once_a_batch_and_only_where_it_decides(
    told_estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which certificates a managed one has is read once, and only for a finding that all else of the selection fits."""
    from perennial.inventory.store import Inventory

    fingerprint = told_estate.acm.holds[ARN].certificate.fingerprint
    plant(told_estate, OTHER, "other.example.com")
    scan(told_estate)
    work(told_estate)
    calls: list[str] = []

    def fingerprints_of(inventory: Inventory, managed: str) -> frozenset[str]:
        calls.append(managed)
        return frozenset({fingerprint})

    monkeypatch.setattr(Inventory, "fingerprints_of", fingerprints_of)
    monkeypatch.setattr(exception_asking, "_environment", lambda *_: "")
    granted(told_estate, by=SECURITY_ASKS, selection=Selection(managed="shop"))
    granted(told_estate, by=SECURITY_ASKS, selection=Selection(managed="bank", owner="bank"))
    work(told_estate)  # both begin
    calls.clear()
    work(told_estate)
    assert suppressed(told_estate).keys() == {EXPIRED}
    assert set(calls) == {"shop"} and len(calls) <= 4  # a batch for each shard at the most


def test_a_key_that_is_reused_under_an_exception_still_wakes_the_other_certificate(estate: Estate) -> None:
    """The exception for the one hides nothing of the other."""
    granted(estate, by=SECURITY_ASKS, rule="keys.reused", selection=Selection(resource=OTHER))
    work(estate)
    first = build("a.example.com")
    estate.acm.holds[ARN] = first
    scan(estate)
    work(estate)
    estate.acm.holds[OTHER] = build("b.example.com", key=first.key)
    scan(estate)
    work(estate, rounds=3)
    assert ("keys.reused", ARN) in open_findings(estate)
    assert ("keys.reused", OTHER) in suppressed(estate)


def test_a_suppressed_finding_that_is_resolved_is_archived_and_no_person_hears_of_it(
    told_estate: Estate, workflow: dict[str, tuple[str, str]]
) -> None:
    """It is gone, and when it comes back without an exception Security Hub does not hide it."""
    granted(told_estate)
    work(told_estate, rounds=3)
    told_estate.acm.holds.clear()
    scan(told_estate)
    work(told_estate, rounds=2)
    found = boto3.client("securityhub").get_findings(MaxResults=100)["Findings"]
    assert {each["RecordState"] for each in found if each["GeneratorId"].endswith("expiry.expired")} == {"ARCHIVED"}
    assert workflow["expiry.expired"][0] == "NEW"
    assert not any("has expired" in each["Message"] for each in messages(told_estate))


def test_what_security_hub_does_not_know_yet_is_told_again(
    told_estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finding that was imported a moment ago may not be found: its publication is tried again."""
    granted(told_estate)
    monkeypatch.setattr(
        "perennial.security_hub.tell_workflow",
        lambda client, told: {document["Id"]: "FindingNotFound: x" for document, _ in told},
    )
    work(told_estate, rounds=3)
    monkeypatch.undo()
    with workflow_of_findings() as workflow:
        work(told_estate, after=timedelta(minutes=3))
        assert workflow["expiry.expired"][0] == "SUPPRESSED"


def _raising(error: BaseException) -> Any:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


def test_the_managed_certificate_of_an_exception_is_looked_at_when_it_ends(estate: Estate) -> None:
    """Its rule holds again: what is next is decided at once, not at the next renewal."""
    from managed_records import record

    inventory = estate.deployment.inventory
    inventory.save_managed(record(due_at=NOW + 300 * DAY))
    made = granted(estate, by=SECURITY_ASKS, rule="key_strength.profile", selection=Selection(managed="shop"))
    estate.clock.now = made.ends
    work(estate)
    assert inventory.managed_certificate("shop").due_at == estate.clock.now
