"""What Security Hub accepts as a finding: the AWS Security Finding Format (ASFF), version 2018-10-08.

Source: "AWS Security Finding Format" in the Security Hub CSPM user guide and the member documentation of the
BatchImportFindings API. `violations` is pure; the sentences imitate the service's ("data.Title should NOT be longer
than 256 characters"), because people search for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

SCHEMA_VERSION = "2018-10-08"
MAX_FINDING_BYTES = 240 * 1024
MAX_RESOURCES = 32
MAX_TYPES = 50
MAX_PRODUCT_FIELDS = 50

NORMALIZED = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}
"""Severity label -> the Normalized score that Security Hub derives when only the label is given."""

_REQUIRED = ("SchemaVersion", "Id", "ProductArn", "GeneratorId", "AwsAccountId", "CreatedAt", "UpdatedAt",
             "Title", "Description", "Resources")  # fmt: skip
_MAX_LENGTH = {"Id": 512, "GeneratorId": 512, "Title": 256, "Description": 1024}
_TIMES = ("CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)")
_TYPE = re.compile(r"[^/]+(/[^/]+){0,2}")
_NAMESPACES = ("Software and Configuration Checks", "TTPs", "Effects", "Unusual Behaviors",
               "Sensitive Data Identifications")  # fmt: skip
_URL = re.compile(r"https?://[^\s/]+\S*")

Finding = dict[str, Any]


def violations(finding: Finding) -> list[str]:
    """Every rule of the format that `finding` breaks, as sentences; empty when it is valid."""
    missing = [f"data should have required property '{name}'" for name in _REQUIRED if name not in finding]
    if missing:
        return missing
    checks = (_identity, _lengths, _times, _severity, _types, _resources, _remediation, _product_fields, _size)
    return [sentence for check in checks for sentence in check(finding)]


def severity_label(normalized: float) -> str:
    """The label of a Normalized score from 0 to 100: the highest one whose range it has reached."""
    if normalized < 1:
        return "INFORMATIONAL"
    return max((score, label) for label, score in NORMALIZED.items() if score <= normalized)[1]


def _identity(finding: Finding) -> Iterator[str]:
    if finding["SchemaVersion"] != SCHEMA_VERSION:
        yield f"data.SchemaVersion should be equal to constant {SCHEMA_VERSION}"
    if not re.fullmatch(r"\d{12}", finding["AwsAccountId"]):
        yield 'data.AwsAccountId should match pattern "^[0-9]{12}$"'
    if finding.get("RecordState", "ACTIVE") not in ("ACTIVE", "ARCHIVED"):
        yield "data.RecordState should be equal to one of the allowed values"


def _lengths(finding: Finding) -> Iterator[str]:
    for name, limit in _MAX_LENGTH.items():
        yield from _length(f"data.{name}", finding[name], limit)


def _length(path: str, value: str, limit: int) -> Iterator[str]:
    if len(value) < 1:
        yield f"{path} should NOT be shorter than 1 characters"
    elif len(value) > limit:
        yield f"{path} should NOT be longer than {limit} characters"


def _times(finding: Finding) -> Iterator[str]:
    """RFC 3339 with a zone: the user guide allows `Z` and an offset, and never a bare local time."""
    for name in _TIMES:
        if name in finding and not _is_time(finding[name]):
            yield f"data.{name} should be a valid RFC 3339 date-time with a time zone"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _TIME.fullmatch(text) is not None


def _severity(finding: Finding) -> Iterator[str]:
    provided = finding.get("FindingProviderFields", {})
    if not finding.get("Severity") and not provided.get("Severity"):
        yield "data should have required property 'FindingProviderFields.Severity' or 'Severity'"
    for path, severity in (("data", finding.get("Severity")), ("data.FindingProviderFields", provided.get("Severity"))):
        yield from _one_severity(f"{path}.Severity", severity or {})


def _one_severity(path: str, severity: dict[str, Any]) -> Iterator[str]:
    if "Label" in severity and severity["Label"] not in NORMALIZED:
        yield f"{path}.Label should be equal to one of the allowed values"
    if not 0 <= severity.get("Normalized", 0) <= 100:
        yield f"{path}.Normalized should be >= 0 and <= 100"
    if "Original" in severity:
        yield from _length(f"{path}.Original", severity["Original"], 64)


def _types(finding: Finding) -> Iterator[str]:
    provided = finding.get("FindingProviderFields", {})
    if "Types" not in finding and "Types" not in provided:
        yield "data should have required property 'FindingProviderFields.Types' or 'Types'"
    for path, types in (("data", finding.get("Types")), ("data.FindingProviderFields", provided.get("Types"))):
        yield from _one_type_list(f"{path}.Types", types or [])


def _one_type_list(path: str, types: list[str]) -> Iterator[str]:
    if len(types) > MAX_TYPES:
        yield f"{path} should NOT have more than {MAX_TYPES} items"
    for index, value in enumerate(types):
        if not _TYPE.fullmatch(value) or value.split("/")[0] not in _NAMESPACES:
            yield f'{path}[{index}] should match pattern "^([^/]+)(/[^/]+){{0,2}}$" with a valid namespace'


def _resources(finding: Finding) -> Iterator[str]:
    resources = finding["Resources"]
    if not resources:
        yield "data.Resources should NOT have fewer than 1 items"
    if len(resources) > MAX_RESOURCES:
        yield f"data.Resources should NOT have more than {MAX_RESOURCES} items"
    for index, resource in enumerate(resources):
        for name, limit in (("Type", 256), ("Id", 512)):
            yield from _length(f"data.Resources[{index}].{name}", resource.get(name, ""), limit)


def _remediation(finding: Finding) -> Iterator[str]:
    recommendation = finding.get("Remediation", {}).get("Recommendation", {})
    if "Text" in recommendation:
        yield from _length("data.Remediation.Recommendation.Text", recommendation["Text"], 512)
    for path, url in (("Remediation.Recommendation.Url", recommendation.get("Url")),
                      ("SourceUrl", finding.get("SourceUrl"))):  # fmt: skip
        if url is not None and not _URL.fullmatch(url):
            yield f"data.{path} should be a valid URL"


def _product_fields(finding: Finding) -> Iterator[str]:
    fields = finding.get("ProductFields", {})
    if len(fields) > MAX_PRODUCT_FIELDS:
        yield f"data.ProductFields should NOT have more than {MAX_PRODUCT_FIELDS} properties"
    for key, value in fields.items():
        yield from _length("data.ProductFields key", key, 128)
        if len(value) > 2048:
            yield f"data.ProductFields['{key}'] should NOT be longer than 2048 characters"


def _size(finding: Finding) -> Iterator[str]:
    if len(json.dumps(finding).encode()) > MAX_FINDING_BYTES:
        yield "Finding size should NOT be larger than 240 KB"
