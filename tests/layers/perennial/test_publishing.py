"""From a changed place to a published finding: assessed once, told once, refreshed, and resolved."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from certificates import build
from estate import HUB, LISTENERS, REGION, SCOPE, Estate
from perennial import discovery, publishing
from perennial.findings import Finding, State
from perennial.inventory.indexes import SHARDS
from perennial.inventory.records import DueKind

ARN = f"arn:aws:acm:{REGION}:{HUB}:certificate/1"
OTHER = f"arn:aws:acm:{REGION}:{HUB}:certificate/2"
LISTENER = f"arn:aws:elasticloadbalancing:{REGION}:{HUB}:listener/app/web/1/2"


def scan(estate: Estate) -> None:
    estate.clock.now += timedelta(seconds=1)
    now = estate.clock.now
    for scope in (SCOPE, LISTENERS):
        discovery.scan_scope(estate.deployment, run="run", scope=scope, now=now, deadline=now + timedelta(minutes=9))


def assess(estate: Estate, days: float = 0) -> int:
    estate.clock.now += timedelta(days=days, seconds=1)
    now, assessed = estate.clock.now, 0
    for shard in range(SHARDS):
        result = publishing.assess_due(estate.deployment, shard=shard, now=now, deadline=now + timedelta(minutes=9))
        assert not result["remaining"]
        assessed += result["assessed"]
    return assessed


def publish(estate: Estate) -> dict[str, Any]:
    estate.clock.now += timedelta(seconds=1)
    now = estate.clock.now
    return publishing.publish_due(estate.deployment, now=now, deadline=now + timedelta(minutes=9))


def open_findings(estate: Estate) -> dict[str, Finding]:
    return {each.check: each for each in estate.deployment.inventory.findings()}


def alerts(estate: Estate) -> list[str]:
    sqs, texts = boto3.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=estate.alerts, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            texts.append(json.loads(message["Body"])["Message"])
            sqs.delete_message(QueueUrl=estate.alerts, ReceiptHandle=message["ReceiptHandle"])
    return texts


def in_security_hub() -> dict[str, str]:
    found = boto3.client("securityhub").get_findings(MaxResults=100)["Findings"]
    return {each["GeneratorId"].removeprefix("perennial/"): each["RecordState"] for each in found}


def expired(estate: Estate) -> datetime:
    """Plant a certificate that ended yesterday."""
    end = estate.clock.now - timedelta(days=1)
    estate.acm.holds[ARN] = build("shop.example.com", not_before=end - timedelta(days=90), not_after=end)
    return end


def test_an_expired_certificate_opens_a_finding_with_its_owner(estate: Estate) -> None:
    """What a scan found is assessed, and the finding names the certificate, its place and its owner."""
    expired(estate)
    scan(estate)
    assert assess(estate) == 1
    finding = open_findings(estate)["expiry.expired"]
    assert (finding.resource, finding.owner, finding.subject) == (ARN, "shop", "shop.example.com")


def test_the_same_state_alerts_once(estate: Estate) -> None:
    """Assessed and published again without a change, nobody is told a second time."""
    expired(estate)
    scan(estate)
    assess(estate)
    assert publish(estate)["published"] >= 1
    assert len(alerts(estate)) == 1
    estate.deployment.inventory.assess_soon([ARN], estate.clock.now)
    assert assess(estate) == 1
    assert publish(estate) == {"published": 0, "failed": 0, "remaining": False}
    assert alerts(estate) == []


def test_a_finding_reaches_security_hub_and_is_archived_when_it_is_resolved(estate: Estate) -> None:
    """A finding is ACTIVE in the resource's account while it holds, and ARCHIVED when the certificate is gone."""
    expired(estate)
    scan(estate)
    assess(estate)
    publish(estate)
    assert in_security_hub()["expiry.expired"] == "ACTIVE"
    estate.acm.holds.clear()
    scan(estate)
    assess(estate)
    publish(estate)
    assert in_security_hub()["expiry.expired"] == "ARCHIVED"
    assert open_findings(estate) == {}


def test_time_alone_opens_a_finding_when_it_is_due(estate: Estate) -> None:
    """A healthy certificate is not looked at again until time changes a verdict, and then it is."""
    end = estate.clock.now + timedelta(days=60)
    estate.acm.holds[ARN] = build("shop.example.com", not_before=end - timedelta(days=180), not_after=end)
    scan(estate)
    assess(estate)
    assert not any(check.startswith("expiry.") for check in open_findings(estate))
    assert assess(estate, days=20) == 0
    assert assess(estate, days=15) == 1
    assert "expiry.approaching" in open_findings(estate)


def test_an_open_finding_is_refreshed_before_security_hub_forgets_it(estate: Estate) -> None:
    """An open finding is sent again within 90 days, to Security Hub only: no person hears of it twice."""
    expired(estate)
    scan(estate)
    assess(estate)
    count = publish(estate)["published"]
    alerts(estate)
    estate.clock.now += timedelta(days=89)
    assert publish(estate)["published"] == count
    assert alerts(estate) == []


def test_what_security_hub_refuses_is_tried_again_later_and_people_hear_once(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that does not answer delays only its own copy: people and the bus are told once, the import is retried."""
    denied = ClientError({"Error": {"Code": "InvalidAccessException", "Message": "not enabled"}}, "BatchImportFindings")
    expired(estate)
    scan(estate)
    assess(estate)
    with monkeypatch.context() as patched:
        patched.setattr("perennial.security_hub.send", _raising(denied))
        result = publish(estate)
        assert result["failed"] > 0 and result["published"] == 0
    assert len(alerts(estate)) == 1
    estate.clock.now += timedelta(minutes=2)
    assert publish(estate)["published"] == result["failed"]
    assert alerts(estate) == []
    assert in_security_hub()["expiry.expired"] == "ACTIVE"


def test_a_finding_that_security_hub_fails_alone_is_retried_alone(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FailedFindings are read: the ones that failed stay due, the others are settled."""
    expired(estate)
    scan(estate)
    assess(estate)
    with monkeypatch.context() as patched:
        patched.setattr(
            "perennial.security_hub.send", lambda client, documents: {documents[0]["Id"]: "InvalidInput: x"}
        )
        result = publish(estate)
    assert result["failed"] == 1
    assert len(list(estate.deployment.inventory.due(DueKind.PUBLISH, estate.clock.now, 10))) == 0
    later = estate.clock.now + timedelta(minutes=5)
    assert len(list(estate.deployment.inventory.due(DueKind.PUBLISH, later, 10))) == 1


def test_interrupted_after_telling_and_before_settling_nothing_is_lost(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between sending and settling, the next publication settles without telling people again."""
    expired(estate)
    scan(estate)
    assess(estate)
    with monkeypatch.context() as patched:
        patched.setattr("perennial.publishing._settle", _raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            publish(estate)
    assert len(alerts(estate)) == 1
    assert publish(estate)["failed"] == 0
    assert alerts(estate) == []


def test_a_key_used_twice_is_a_finding_on_both_certificates(estate: Estate) -> None:
    """When a second certificate with the same key appears, the first one's place is assessed again too."""
    first = build("a.example.com")
    estate.acm.holds[ARN] = first
    scan(estate)
    assess(estate)
    assert "keys.reused" not in open_findings(estate)
    estate.acm.holds[OTHER] = build("b.example.com", key=first.key)
    scan(estate)
    while assess(estate):
        pass
    reused = [each for each in estate.deployment.inventory.findings() if each.check == "keys.reused"]
    assert {each.location for each in reused} == {ARN, OTHER}


def test_a_place_that_changes_during_its_assessment_stays_due(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change between reading a place and settling it is not lost."""
    expired(estate)
    scan(estate)
    settle = type(estate.deployment.inventory).settle

    def change_first(inventory: Any, record: Any, *rest: Any) -> None:
        inventory.assess_soon([record.place], estate.clock.now)
        settle(inventory, record, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(type(estate.deployment.inventory), "settle", change_first)
        publishing.assess_place(estate.deployment, ARN, estate.clock.now)
    assert assess(estate) == 1


def test_a_message_for_people_is_bounded_and_says_what_to_do(estate: Estate) -> None:
    """Thousands of findings make one message that a topic takes, with the command that shows the rest."""
    expired(estate)
    scan(estate)
    assess(estate)
    (finding, *_) = open_findings(estate).values()
    subject, text = publishing.message([finding] * 5_000)
    assert len(subject) <= 100 and len(text.encode()) < 256_000
    assert "and 4800 more: perennial findings" in text
    assert finding.state is State.OPEN and finding.remediation in text


def _raising(error: BaseException) -> Any:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


def test_other_rules_judge_anew_what_did_not_change(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the organisation's expectations change, the next scan makes every place due, and the one after that none."""
    estate.acm.holds |= {ARN: build("shop.example.com"), OTHER: build("blog.example.com")}
    scan(estate)
    assess(estate)
    scan(estate)
    assert assess(estate) == 0
    stricter = replace(
        estate.deployment.settings, checks=replace(estate.deployment.settings.checks, allowed_issuers=("Example Corp",))
    )
    estate.deployment.__dict__["settings"] = stricter
    scan(estate)
    assert assess(estate) == 2
    assert "issuer.not-allowed" in open_findings(estate)
    scan(estate)
    assert assess(estate) == 0
