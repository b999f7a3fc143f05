"""Which events of an account and region concern certificates, from the calls that `perennial.dispatch` knows."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_events
from constructs import Construct

from perennial.dispatch import CALLS

CLOUDTRAIL = "AWS API Call via CloudTrail"


def patterns() -> Mapping[str, aws_events.EventPattern]:
    """Rule id → pattern: ACM's own events, and for each service the calls that change where certificates are."""
    return {"AcmEvents": acm_events()} | {_rule_id(service): calls_of(service) for service in sorted(CALLS)}


def acm_events() -> aws_events.EventPattern:
    """All that ACM says by itself: approaching expiration, available, expired, action required, revoked."""
    return aws_events.EventPattern(source=["aws.acm"], detail_type=aws_events.Match.prefix("ACM "))


def calls_of(service: str) -> aws_events.EventPattern:
    """The successful calls to a service (`acm.amazonaws.com`) that concern certificates."""
    names = {name for calls in CALLS[service].values() for name in calls}
    return aws_events.EventPattern(
        detail_type=[CLOUDTRAIL],
        detail={
            "eventSource": [service],
            "eventName": sorted(names),
            "errorCode": [{"exists": False}],
        },
    )


def rules(scope: Construct, target: aws_events.IRuleTarget) -> list[aws_events.Rule]:
    """The rules on the default bus of this account and region, all with one target."""
    return [
        aws_events.Rule(scope, rule_id, event_pattern=pattern, targets=[target])
        for rule_id, pattern in patterns().items()
    ]


def _rule_id(service: str) -> str:
    return "".join(part.capitalize() for part in service.split(".")[0].split("-")) + "Calls"
