"""Events of AWS, from the hub's own account and forwarded from the member's, that make one scope due for a scan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from deployed import HUB_ACCOUNT, MEMBER_ACCOUNT, REGION, Hub, until

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("hub")]

LONG_AGO = "2000-01-01T00:00:00Z#moved"
AVAILABLE = ("aws.acm", "ACM Certificate Available", {"Action": "ISSUANCE", "CommonName": "www.example.com"})


def call(service: str, name: str) -> tuple[str, str, dict[str, Any]]:
    """An event of CloudTrail's."""
    detail = {"eventSource": f"{service}.amazonaws.com", "eventName": name}
    return f"aws.{service}", "AWS API Call via CloudTrail", detail


CASES = {
    "the hub's ACM": (HUB_ACCOUNT, AVAILABLE, f"{HUB_ACCOUNT}/{REGION}/acm"),
    "the member's ACM": (MEMBER_ACCOUNT, AVAILABLE, f"{MEMBER_ACCOUNT}/{REGION}/acm"),
    "a call in the hub": (
        HUB_ACCOUNT,
        call("secretsmanager", "PutSecretValue"),
        f"{HUB_ACCOUNT}/{REGION}/secretsmanager",
    ),
    "a call in the member": (
        MEMBER_ACCOUNT,
        call("iam", "UploadServerCertificate"),
        f"{MEMBER_ACCOUNT}/aws-global/iam",
    ),
}


def due(hub: Hub) -> list[str]:
    """The scopes that are due for a scan."""
    return [key for key, record in hub.scopes().items() if "due_at" in record]


def bring_forward(hub: Hub, scope: str) -> None:
    """Let the time pass that a due scope waits for further calls."""
    hub.client("dynamodb").update_item(
        TableName=hub.outputs["TableName"],
        Key={"pk": {"S": "SCOPE"}, "sk": {"S": scope}},
        UpdateExpression="SET due_at = :past",
        ExpressionAttributeValues={":past": {"S": LONG_AGO}},
    )


@pytest.mark.parametrize("case", CASES)
def test_event_makes_its_scope_due_and_the_tick_scans_just_that(hub: Hub, case: str) -> None:
    """An event makes the scope due that it concerns, and no other; the tick starts one run with just that scope."""
    account, (source, detail_type, detail), scope = CASES[case]
    hub.clear()
    hub.cloud.emit(source, detail_type, detail, account=account, region=REGION)
    until(lambda: due(hub), "a scope to become due")
    assert due(hub) == [scope]
    assert hub.invoke("DispatchTick", {})["started"] == []  # further calls may follow
    bring_forward(hub, scope)
    started = hub.invoke("DispatchTick", {})["started"]
    assert [name.partition("-")[0] for name in started] == ["event"]
    ended = hub.finish(hub.outputs["DiscoveryArn"].replace(":stateMachine:", ":execution:") + f":{started[0]}")
    assert (ended["status"], json.loads(ended["input"])) == ("SUCCEEDED", {"scopes": [scope]})
    assert (due(hub), hub.scopes()[scope]["status"]) == ([], "complete")


def test_call_that_failed_or_concerns_no_certificate_makes_nothing_due(hub: Hub) -> None:
    """Of a failed call, one that concerns no certificate and one that does, only the last makes its scope due."""
    hub.clear()
    source, detail_type, detail = call("acm", "ImportCertificate")
    hub.cloud.emit(source, detail_type, {**detail, "errorCode": "AccessDenied"}, account=MEMBER_ACCOUNT)
    hub.cloud.emit(*call("acm", "ListCertificates"), account=MEMBER_ACCOUNT)
    hub.cloud.emit(*call("elasticloadbalancing", "ModifyTrustStore"), account=MEMBER_ACCOUNT)
    until(lambda: due(hub), "a scope to become due")
    assert due(hub) == [f"{MEMBER_ACCOUNT}/{REGION}/trust_stores"]
