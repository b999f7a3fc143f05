"""Results as JSON knows them: plain values under stable names, the same in JSON, CSV and HTML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from perennial.certificate import Certificate
from perennial.checks.interface import Severity, Subject
from perennial.findings import Finding
from perennial.manifest import Scope, Sighting
from perennial.survey import Scanned, Survey

Document = dict[str, Any]
UNKNOWN = Certificate(fingerprint=None).title  # of what a quick scan learned no name
_FACTS = (
    "serial",
    "subject",
    "issuer",
    "common_name",
    "dns_names",
    "ip_addresses",
    "other_names",
    "public_key_sha256",
    "signature_algorithm",
    "key_usage",
    "extended_key_usage",
    "is_ca",
    "problems",
)


def of_survey(survey: Survey, shown: Iterable[Finding]) -> Document:
    """The whole result of a scan; of its findings those that are shown."""
    return {
        "scanned_at": time(survey.scanned_at),
        "complete": survey.complete,
        "quick": not survey.full,
        "summary": summary(survey),
        "not_judged": survey.not_judged,
        "scopes": [of_scanned(each) for each in survey.scopes],
        "certificates": [of_subject(each) for each in (*survey.subjects, *survey.loose)],
        "findings": [of_finding(each) for each in shown],
    }


def summary(survey: Survey) -> Document:
    """Counts: places that hold a certificate, what is attached, what could not be joined, findings by severity."""
    counts = Counter(each.severity for each in survey.findings)
    return {
        "certificates": len(survey.subjects),
        "attachments": sum(len(each.attached) for each in survey.subjects) + len(survey.loose),
        "attachments_without_certificate": len(survey.loose),
        "scopes": len(survey.scopes),
        "incomplete_scopes": sum(1 for each in survey.scopes if each.reason),
        "findings": {str(severity): counts[severity] for severity in Severity},
    }


def of_scanned(scanned: Scanned) -> Document:
    return {
        "scope": scanned.scope.key,
        "status": scanned.status,
        "reason": scanned.reason,
        "message": scanned.message,
        "sightings": len(scanned.seen),
    }


def of_subject(subject: Subject) -> Document:
    """A certificate in its place, with everything that is attached to it there."""
    return {
        **place(subject.scope, subject.sighting),
        **of_certificate(subject.certificate or Certificate(fingerprint=subject.sighting.fingerprint)),
        "owner": subject.owner,
        "public": subject.public,
        "attached": [place(scope, sighting) for scope, sighting in subject.attached],
    }


def of_certificate(certificate: Certificate) -> Document:
    """The facts that are known; what is not is left out."""
    told: Document = {name: value for name in _FACTS if (value := getattr(certificate, name))}
    ends = {"not_before": time(certificate.not_before), "not_after": time(certificate.not_after)}
    title = certificate.title
    return {
        "title": title if title != UNKNOWN else None,
        "fingerprint": certificate.fingerprint,
        "key": certificate.key,
        **ends,
        **told,
    }


def place(scope: Scope, sighting: Sighting) -> Document:
    """A sighting, as in its manifest."""
    return {
        "scope": scope.key,
        "location": sighting.location,
        "resource": sighting.resource,
        "role": sighting.role,
        **({"holder": sighting.holder} if sighting.holder else {}),
        "attributes": sighting.attributes,
    }


def of_finding(finding: Finding) -> Document:
    return {
        "id": finding.id,
        "severity": finding.severity,
        "check": finding.check,
        "title": finding.title,
        "detail": finding.detail,
        "remediation": finding.remediation,
        "certificate": called(finding),
        "not_after": time(finding.not_after),
        "owner": finding.owner,
        "scope": finding.scope.key,
        "place": finding.place,
        "location": finding.location,
        "resource": finding.resource,
        "fingerprint": finding.fingerprint,
        **_exception(finding),
    }


def _exception(finding: Finding) -> Document:
    """What covers a finding; nothing where it is open."""
    return {"exception": finding.exception, "exception_ends": time(finding.exception_ends)} if finding.exception else {}


def called(finding: Finding) -> str:
    """What a person would look for: the certificate's name, else the resource's."""
    return finding.subject if finding.subject != UNKNOWN else short(finding.resource)


def short(resource: str) -> str:
    """An ARN's last part, which names the resource in its account, region and service."""
    parts = resource.split(":", 5)
    return parts[5] if len(parts) == 6 and parts[0] == "arn" else resource


def time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def json_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """JSON with a line for each member and for each element of a list: read by programs, and by grep and diff."""
    yield "{"
    left = len(document)
    for name, value in document.items():
        left -= 1
        comma = "," if left else ""
        if isinstance(value, list) and value:
            yield f"{json.dumps(name)}: ["
            yield from json_list(value)
            yield f"]{comma}"
        else:
            yield f"{json.dumps(name)}: {_json(value)}{comma}"
    yield "}"


def json_list(values: Iterable[Any]) -> Iterator[str]:
    """The elements of a JSON list, one a line, as they come."""
    before: str | None = None
    for value in values:
        if before is not None:
            yield f"{before},"
        before = _json(value)
    if before is not None:
        yield before


def json_array(values: Iterable[Any]) -> Iterator[str]:
    """A JSON list, an element a line, as they come."""
    yield "["
    yield from json_list(values)
    yield "]"


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=dict)


def _json(value: Any) -> str:
    """ASCII: what could command a terminal is an escape."""
    return _ENCODER.encode(value)
