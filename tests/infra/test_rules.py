"""The rules match the events that dispatch understands, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from perennial.dispatch import CALLS, concerned

CLOUDTRAIL = "AWS API Call via CloudTrail"


def _matches(pattern: Any, value: Any) -> bool:
    """EventBridge's matching, as far as the rules use it: nested fields, lists of values, prefix and exists."""
    if isinstance(pattern, Mapping):
        return all(_matches(wanted, (value or {}).get(field)) for field, wanted in pattern.items())
    return any(_one(wanted, value) for wanted in pattern)


def _one(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return bool(wanted == value)
    if "exists" in wanted:
        return (value is not None) is wanted["exists"]
    return isinstance(value, str) and value.startswith(wanted["prefix"])


def _event(service: str, name: str, **detail: str) -> dict[str, Any]:
    return {
        "source": f"aws.{service.split('.')[0]}",
        "detail-type": CLOUDTRAIL,
        "account": "111122223333",
        "region": "eu-central-1",
        "detail": {"eventSource": service, "eventName": name, **detail},
    }


def _calls() -> Iterator[tuple[str, str]]:
    for service, sources in CALLS.items():
        yield from ((service, name) for name in {name for names in sources.values() for name in names})


def _patterns(stack: Any) -> list[dict[str, Any]]:
    rules = stack.of("AWS::Events::Rule").values()
    on_default_bus = (each["Properties"] for each in rules if "EventBusName" not in each["Properties"])
    return [each["EventPattern"] for each in on_default_bus if "EventPattern" in each]


@pytest.mark.parametrize("which", ["hub", "member"])
def test_every_known_call_matches_once(which: str, request: pytest.FixtureRequest) -> None:
    """Each call that dispatch knows is sent by exactly one rule, if it succeeded, and makes a scope due."""
    patterns = _patterns(request.getfixturevalue(which))
    for service, name in _calls():
        assert sum(_matches(each, _event(service, name)) for each in patterns) == 1
        assert not any(_matches(each, _event(service, name, errorCode="AccessDenied")) for each in patterns)
        assert concerned(_event(service, name))


@pytest.mark.parametrize(
    "name", ["Approaching Expiration", "Available", "Expired", "Renewal Action Required", "Revoked"]
)
def test_acms_own_events_match(member: Any, name: str) -> None:
    """What ACM says by itself is sent once."""
    event = {"source": "aws.acm", "detail-type": f"ACM Certificate {name}", "detail": {}}
    assert sum(_matches(each, event) for each in _patterns(member)) == 1


def test_reading_calls_do_not_match(member: Any) -> None:
    """Calls that change nothing are not sent, and so neither are Perennial's own."""
    events = [_event("acm.amazonaws.com", "DescribeCertificate"), _event("s3.amazonaws.com", "PutObject")]
    assert not [event for event in events for each in _patterns(member) if _matches(each, event)]


def test_hub_takes_only_forwarded_events_of_aws(hub: Any) -> None:
    """On its own bus the hub reacts to events of AWS services, not to those that it puts there itself."""
    (pattern,) = (
        each["Properties"]["EventPattern"]
        for each in hub.of("AWS::Events::Rule").values()
        if "EventBusName" in each["Properties"]
    )
    assert _matches(pattern, {"source": "aws.acm"})
    assert not _matches(pattern, {"source": "perennial"})


def test_member_forwards_to_the_hub(member: Any) -> None:
    """Every rule of a member has one target, the hub's bus, by a role that may do nothing else."""
    targets = [target for each in member.of("AWS::Events::Rule").values() for target in each["Properties"]["Targets"]]
    (role,) = {each["RoleArn"]["Fn::GetAtt"][0] for each in targets}
    assert {each["Arn"]["Ref"] for each in targets} == {"HubBus"}
    assert member.actions(role) == {"events:PutEvents"}


def test_schedules(hub: Any) -> None:
    """Discovery runs every 12 hours with an empty input, the tick every minute, and each hour a checkpoint is made."""
    scheduled = {
        each["Properties"]["ScheduleExpression"]: each["Properties"]["Targets"][0].get("Input")
        for each in hub.of("AWS::Events::Rule").values()
        if "ScheduleExpression" in each["Properties"]
    }
    assert scheduled == {"rate(12 hours)": "{}", "rate(1 minute)": None, "rate(1 hour)": None}
