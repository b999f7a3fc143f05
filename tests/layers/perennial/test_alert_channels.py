"""An alert goes to the topic, the bus and Security Hub; one that fails stops no other."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from estate import HUB, NOW, REGION, Estate
from layers.perennial.hostile import TEXTS
from layers.perennial.test_alert_message import RETRY, failing, stuffed
from layers.perennial.test_security_hub import faults
from perennial import alert_channels, alert_event, security_hub
from perennial.alert_message import Alert, alert, resolved
from perennial.alert_settings import Alerts
from perennial.checks import CHECKS
from perennial.errors import AccessDenied, PerennialError, Throttled, Unavailable
from perennial.inventory.records import Told
from perennial.manifest import Scope

SCOPE = Scope(HUB, REGION, "managed")


def made(level: int = 2) -> Alert:
    return alert(failing(), RETRY, level, NOW)


@pytest.fixture
def bus(estate: Estate) -> str:
    """A queue behind the bus; its URL."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    url = str(sqs.create_queue(QueueName="bus")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="perennial", EventPattern=json.dumps({"source": ["perennial"]}))
    events.put_targets(Rule="all", EventBusName="perennial", Targets=[{"Id": "1", "Arn": arn}])
    return url


def received(url: str) -> list[dict[str, Any]]:
    found = boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(each["Body"]) for each in found]


def in_security_hub() -> list[dict[str, Any]]:
    return list(boto3.client("securityhub").get_findings(MaxResults=100)["Findings"])


class Broken:
    """Clients of a deployment, of which some services fail."""

    def __init__(self, clients: Any, **fails: str) -> None:
        self._clients, self._fails = clients, fails
        self.region, self.session = clients.region, clients.session

    def __call__(self, service: str) -> Any:
        return self if service in self._fails else self._clients(service)

    def __getattr__(self, operation: str) -> Any:
        service = {"publish": "sns", "put_events": "events", "batch_import_findings": "securityhub"}[operation]

        def fail(**_: Any) -> None:
            raise ClientError({"Error": {"Code": self._fails[service], "Message": "no"}}, operation)

        return fail


def breaking(estate: Estate, monkeypatch: pytest.MonkeyPatch, **fails: str) -> None:
    monkeypatch.setitem(estate.deployment.__dict__, "clients", Broken(estate.deployment.clients, **fails))
    monkeypatch.setitem(estate.deployment.__dict__, "account", HUB)


def configure(estate: Estate, **more: Any) -> None:
    settings = replace(estate.deployment.settings, alerts=Alerts(**more))
    estate.deployment.__dict__["settings"] = settings


def test_people_and_the_attributes_that_they_filter_by(estate: Estate, bus: str) -> None:
    """The topic has the message with its subject; level, owner, environment, service and name are attributes."""
    alert_channels.tell(estate.deployment, made(), NOW)
    (told,) = received(estate.alerts)
    assert told["Subject"] == "Not renewed: shop, until 2027-02-25 12:00 UTC"
    assert told["Message"].startswith("Certificate: shop: shop.example.com\nValid until: ")
    assert {name: each["Value"] for name, each in told["MessageAttributes"].items()} == {
        "level": "2",
        "managed": "shop",
        "owner": "shop-team",
        "environment": "production",
        "service": "Web shop",
        "state": "open",
    }
    assert told["MessageAttributes"]["level"]["Type"] == "Number"


def test_the_event(estate: Estate, bus: str) -> None:
    """The bus has the event of the alert, and another one when it is over, with the level that was told."""
    alert_channels.tell(estate.deployment, made(), NOW)
    alert_channels.tell(estate.deployment, resolved(failing(told=Told(level=3, at=NOW)), NOW), NOW)
    opened, over = sorted(received(bus), key=lambda each: str(each["detail-type"]))
    assert (opened["detail-type"], opened["source"]) == ("Certificate Alert", "perennial")
    assert opened["detail"] == asdict(alert_event.alert_event(made()))
    assert over["detail-type"] == "Certificate Alert Resolved"
    assert [over["detail"][name] for name in ("state", "level", "rank", "severity")] == ["resolved", 3, 0, "info"]
    assert over["detail"]["id"] == opened["detail"]["id"]


@pytest.mark.parametrize(
    ("level", "severity", "rank"), [(1, "LOW", 4), (2, "MEDIUM", 3), (3, "HIGH", 2), (4, "CRITICAL", 1)]
)
def test_the_finding_follows_the_level(estate: Estate, bus: str, level: int, severity: str, rank: int) -> None:
    """Security Hub has one finding for the certificate, with the level's severity; it is archived when it is over."""
    alert_channels.tell(estate.deployment, made(1), NOW)
    alert_channels.tell(estate.deployment, made(level), NOW)
    (found,) = in_security_hub()
    assert (found["Severity"]["Label"], found["RecordState"]) == (severity, "ACTIVE")
    assert found["Resources"][0]["Id"] == "perennial/managed/shop"
    assert alert_event.alert_event(made(level)).rank == rank
    alert_channels.tell(estate.deployment, resolved(failing(told=Told(level=level, at=NOW)), NOW), NOW)
    assert [each["RecordState"] for each in in_security_hub()] == ["ARCHIVED"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_breaks_the_finding(text: str) -> None:
    """Whatever strangers write, Security Hub's format is kept."""
    found = alert_channels.finding(stuffed(text), SCOPE)
    assert faults(security_hub.asff(found, partition="aws", region=REGION, now=NOW)) == []


def test_no_check_has_the_finding_s_name() -> None:
    """The finding of an alert is no check's: nothing else changes or resolves it."""
    assert alert_channels.CHECK.partition(".")[0] not in {each.partition(".")[0] for each in CHECKS}


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        ({"sns": "InternalFailure"}, Unavailable),
        ({"events": "AccessDeniedException"}, AccessDenied),
        ({"securityhub": "ThrottlingException"}, Throttled),
        ({"sns": "AccessDenied", "events": "ThrottlingException"}, Throttled),
    ],
)
def test_a_channel_that_fails_stops_no_other(
    estate: Estate, bus: str, monkeypatch: pytest.MonkeyPatch, fails: dict[str, str], error: type[PerennialError]
) -> None:
    """All channels are tried; then the first error is raised, so that the whole is told again."""
    breaking(estate, monkeypatch, **fails)
    with pytest.raises(error):
        alert_channels.tell(estate.deployment, made(), NOW)
    reached = {"sns": received(estate.alerts), "events": received(bus), "securityhub": in_security_hub()}
    assert {name for name, each in reached.items() if not each} == set(fails)


def test_the_bus_refuses(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that the bus did not take is an error, although the call succeeded."""

    class Full:
        def put_events(self, **_: Any) -> dict[str, Any]:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}

    clients = estate.deployment.clients

    def of(service: str) -> Any:
        return Full() if service == "events" else clients(service)

    monkeypatch.setitem(estate.deployment.__dict__, "clients", of)
    configure(estate, security_hub=False)
    with pytest.raises(Unavailable, match="refused an alert: InternalFailure"):
        alert_channels.tell(estate.deployment, made(), NOW)
    assert len(received(estate.alerts)) == 1


def test_security_hub_does_not_repeat_people(estate: Estate, bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it refuses for good, as it is not enabled, people are told once, and of that too; nothing is raised."""
    breaking(estate, monkeypatch, securityhub="InvalidAccessException")
    alert_channels.tell(estate.deployment, made(), NOW)
    (told,) = received(estate.alerts)
    assert "\nSecurity Hub did not take it: telling an alert to Security Hub: InvalidAccessException" in told["Message"]
    assert len(received(bus)) == 1


def test_what_is_configured(estate: Estate, bus: str) -> None:
    """Below its level nobody is told; without Security Hub it gets nothing."""
    configure(estate, from_level=2, security_hub=False)
    alert_channels.tell(estate.deployment, made(1), NOW)
    assert (received(estate.alerts), received(bus)) == ([], [])
    alert_channels.tell(estate.deployment, made(2), NOW)
    assert len(received(estate.alerts)) == len(received(bus)) == 1
    assert in_security_hub() == []
