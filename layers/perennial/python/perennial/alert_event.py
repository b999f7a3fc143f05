"""The event of an alert on the bus `perennial`, typed and versioned. A consumer may rely on every field of its version.

| detail-type | when |
| --- | --- |
| Certificate Alert | a renewal does not succeed: at each higher level, and again until it is acknowledged |
| Certificate Alert Resolved | the certificate is valid and proven again, or no longer declared |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perennial import telling
from perennial.alert_message import Alert, subject

VERSION = "1"
OPENED, RESOLVED = "Certificate Alert", "Certificate Alert Resolved"
SEVERITIES = ("info", "warning", "warning", "error", "critical")  # by level, as most receivers call them


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """Version 1. Times are ISO 8601 in UTC; `id` and `told_at` together name one message.

    No text has a line break, a double quote, a backslash or an angle bracket, so that input transformers of EventBridge
    may put each into JSON as it is. None but `not_after` is null.
    """

    version: str
    id: str
    state: str
    level: int
    before: int
    rank: int
    severity: str
    certificate: str
    names: str
    fingerprint: str
    not_after: str | None
    until: str
    owner: str
    whom: str
    service: str
    environment: str
    targets: str
    reason: str
    failed: str
    next: str
    you: str
    subject: str
    told_at: str


def alert_event(alert: Alert) -> AlertEvent:
    """The event of an alert."""
    return AlertEvent(
        version=VERSION,
        id=alert.id,
        state="resolved" if alert.resolved else "open",
        level=alert.level,
        before=alert.before,
        rank=0 if alert.resolved else 5 - alert.level,
        severity=SEVERITIES[0 if alert.resolved else alert.level],
        certificate=alert.name,
        names=", ".join(alert.names),
        fingerprint=alert.fingerprint,
        not_after=alert.not_after.isoformat() if alert.not_after else None,
        until=alert.until,
        owner=alert.owner,
        whom=", ".join(alert.whom),
        service=alert.service,
        environment=alert.environment,
        targets=", ".join(alert.targets),
        reason=alert.reason,
        failed=alert.failed,
        next=alert.next,
        you=alert.you,
        subject=subject(alert),
        told_at=alert.told_at.isoformat(),
    )


def entry(alert: Alert, bus: str) -> dict[str, Any]:
    """The event as PutEvents takes it."""
    return telling.entry(RESOLVED if alert.resolved else OPENED, alert_event(alert), bus, alert.told_at)
