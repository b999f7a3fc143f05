"""Perennial's own events, typed and versioned, for its event bus. A consumer may rely on every field of its version.

| detail-type | when |
| --- | --- |
| Finding Opened | a check fails where it did not before |
| Finding Changed | it still fails, and the detail, the owner or the certificate is another |
| Finding Suppressed | it fails, and an exception covers it: people are not told |
| Finding Resolved | it passes again, or the certificate is gone |
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from perennial.errors import Unavailable
from perennial.findings import Finding

SOURCE = "perennial"
VERSION = "1"
BATCH = 10  # entries in one PutEvents call
LENGTHS = {"title": 256, "detail": 1024, "remediation": 512, "resource": 512, "certificate": 300, "owner": 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingEvent:
    """Version 1. Times are ISO 8601 in UTC; `id` and `updated_at` together name one state of one finding. Texts are cut
    to `LENGTHS`, so that every call stays below the 256 KB that EventBridge takes."""

    version: str
    id: str
    check: str
    severity: str
    state: str
    title: str
    detail: str
    remediation: str
    account: str
    region: str
    source: str
    resource: str
    certificate: str
    fingerprint: str | None
    not_after: str | None
    owner: str | None
    opened_at: str
    updated_at: str
    exception: str | None
    exception_ends: str | None


def finding_event(finding: Finding) -> FindingEvent:
    """The event of a finding's present state."""
    return FindingEvent(
        version=VERSION,
        id=finding.id,
        check=finding.check,
        severity=str(finding.severity),
        state=str(finding.state),
        title=finding.title,
        detail=finding.detail,
        remediation=finding.remediation,
        account=finding.scope.account,
        region=finding.scope.region,
        source=finding.scope.source,
        resource=finding.resource,
        certificate=finding.subject,
        fingerprint=finding.fingerprint,
        not_after=finding.not_after.isoformat() if finding.not_after else None,
        owner=finding.owner,
        opened_at=finding.opened_at.isoformat(),
        updated_at=finding.updated_at.isoformat(),
        exception=finding.exception or None,
        exception_ends=finding.exception_ends.isoformat() if finding.exception_ends else None,
    )


def detail_type(finding: Finding) -> str:
    """`Finding Opened` for its first state, else what became of it."""
    if finding.state in ("resolved", "suppressed"):
        return f"Finding {finding.state.title()}"
    return "Finding Opened" if finding.opened_at == finding.updated_at else "Finding Changed"


def send(client: Any, bus: str, findings: Sequence[Finding]) -> None:
    """Put one event for each finding.

    Raises: ClientError; Unavailable when the bus did not take all of them.
    """
    for start in range(0, len(findings), BATCH):
        entries = [
            {
                "Source": SOURCE,
                "DetailType": detail_type(each),
                "Detail": json.dumps(_bounded(finding_event(each)), ensure_ascii=False),
                "Resources": [_told(each.resource, LENGTHS["resource"])],
                "EventBusName": bus,
            }
            for each in findings[start : start + BATCH]
        ]
        reply = client.put_events(Entries=entries)
        if reply.get("FailedEntryCount"):
            codes = sorted({each["ErrorCode"] for each in reply["Entries"] if "ErrorCode" in each})
            raise Unavailable(f"the event bus {bus} refused {reply['FailedEntryCount']} events: {', '.join(codes)}")


def _bounded(event: FindingEvent) -> dict[str, Any]:
    return {
        name: _told(value, LENGTHS[name]) if name in LENGTHS and value is not None else value
        for name, value in asdict(event).items()
    }


def _told(text: str, length: int) -> str:
    """At most so many characters, and only such as UTF-8 has."""
    return text[:length].encode("utf-8", "replace").decode()
