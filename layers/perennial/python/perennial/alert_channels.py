"""Telling an alert: Security Hub, the event bus and, behind it, the destinations of perennial.toml, and the SNS topic.

Delivery is at least once. All channels are tried; where one fails, the first error is raised, and the whole is told
again. What Security Hub refuses for good (it is not enabled, or its permission is missing) is said in the message to
people: it would otherwise be told to them again and again for its sake (docs/decisions/0011).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from perennial import alert_event, alert_message, security_hub, telling
from perennial.alert_message import Alert
from perennial.checks.interface import Severity
from perennial.clients import meant
from perennial.errors import PerennialError, ServiceRefused
from perennial.findings import Finding, State
from perennial.manifest import Scope

if TYPE_CHECKING:
    from perennial.deployment import Deployment

CHECK = "lifecycle.renewal"  # the finding's generator; no check has this topic
SEVERITIES = (Severity.INFORMATIONAL, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)  # by level


def tell(deployment: Deployment, alert: Alert, now: datetime) -> None:
    """Tell an alert on every channel, from the level on that perennial.toml names.

    Raises: PerennialError, the first channel's that failed, after all were tried.
    """
    settings = deployment.settings.alerts
    if alert.level < settings.from_level:
        return
    imported = _tried(lambda: _import(deployment, alert, now)) if settings.security_hub else None
    refused = imported if imported and not imported.retry else None
    failed = [
        _tried(lambda: _put(deployment, alert)),
        _tried(lambda: _publish(deployment, alert, refused)),
        imported if imported is not refused else None,
    ]
    for error in failed:
        if error:
            raise error


def _tried(channel: Callable[[], None]) -> PerennialError | None:
    """The error of a channel, which must not stop the others."""
    try:
        channel()
    except PerennialError as error:
        return error
    return None


@meant("telling an alert to the event bus")
def _put(deployment: Deployment, alert: Alert) -> None:
    telling.put(deployment, lambda bus: alert_event.entry(alert, bus), "an alert")


@meant("telling an alert to the topic")
def _publish(deployment: Deployment, alert: Alert, refused: PerennialError | None) -> None:
    lines = list(alert_message.lines(alert))
    if refused:
        lines.append(alert_message.clean(f"Security Hub did not take it: {refused}", alert_message.MAX_TEXT))
    telling.publish(deployment, alert_message.subject(alert), lines, attributes(alert))


def attributes(alert: Alert) -> telling.Attributes:
    """What subscriptions filter by."""
    texts = {
        "managed": alert.name,
        "owner": alert.owner,
        "environment": alert.environment,
        "service": alert.service,
        "state": "resolved" if alert.resolved else "open",
    }
    return {"level": {"DataType": "Number", "StringValue": str(alert.level)}, **telling.attributes(texts)}


@meant("telling an alert to Security Hub")
def _import(deployment: Deployment, alert: Alert, now: datetime) -> None:
    """One finding for each managed certificate, in the hub's own account and region."""
    clients = deployment.clients
    region = clients.region or "us-east-1"
    scope = Scope(deployment.account, region, "managed")
    partition = clients.session.get_partition_for_region(region)
    document = security_hub.asff(finding(alert, scope), partition=partition, region=region, now=now)
    errors = security_hub.send(clients("securityhub"), [document])
    if errors:
        raise ServiceRefused(f"Security Hub refused the finding of {alert.name}: {'; '.join(errors.values())[:300]}")


def finding(alert: Alert, scope: Scope) -> Finding:
    """The finding of a managed certificate that is in trouble. Its severity is the level's."""
    place = f"managed/{alert.name}"
    return Finding(
        check=CHECK,
        severity=SEVERITIES[alert.level],
        title="The renewal of a managed certificate does not succeed",
        detail=f"{alert.failed}. Valid until: {alert.until}. Perennial {alert.next}.",
        remediation=f"A person must do: {alert.you}. Explained by: perennial why {alert.name}",
        scope=scope,
        place=place,
        location=place,
        resource=f"perennial/{place}",
        subject=alert.names[0] if alert.names else alert.name,
        fingerprint=alert.fingerprint or None,
        not_after=alert.not_after,
        owner=alert.owner or None,
        state=State.RESOLVED if alert.resolved else State.OPEN,
        opened_at=alert.told_at,
        updated_at=alert.told_at,
    )


__all__ = ["attributes", "finding", "tell"]
