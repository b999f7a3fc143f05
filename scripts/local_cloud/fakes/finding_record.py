"""How Security Hub keeps a finding: what it derives, what an update replaces, and what only the customer may change.

Source: "FindingProviderFields" and "BatchImportFindings for finding providers" in the Security Hub CSPM user guide.
Pure: every function takes what it needs and returns or changes a finding only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from local_cloud.fakes.finding_format import NORMALIZED, Finding, severity_label

CUSTOMER_FIELDS = ("Note", "UserDefinedFields", "VerificationState", "Workflow", "WorkflowState")
"""What BatchImportFindings cannot change once the finding exists."""
SHARED_FIELDS = ("Severity", "Types", "Confidence", "Criticality", "RelatedFindings")
"""What the provider states in FindingProviderFields and the customer may override with BatchUpdateFindings."""


def timestamp(when: datetime) -> str:
    """The time as Security Hub writes it: UTC, milliseconds, Z."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_newer(finding: Finding, known: Finding) -> bool:
    """Whether an update counts: one whose UpdatedAt is not after the stored one is ignored."""
    return datetime.fromisoformat(finding["UpdatedAt"]) > datetime.fromisoformat(known["UpdatedAt"])


def created(finding: Finding, region: str, now: datetime) -> Finding:
    """A new finding as it is stored: with the defaults and the fields that are derived."""
    defaults = {
        "Workflow": {"Status": "NEW"},
        "WorkflowState": "NEW",
        "RecordState": "ACTIVE",
        "Region": region,
        "ProductName": "Default",
        "CompanyName": "Personal",
    }
    return defaults | _derived(finding) | {"ProcessedAt": timestamp(now)}


def updated(finding: Finding, known: Finding, overridden: set[str], now: datetime) -> Finding:
    """The stored finding after its provider sent a newer version of it."""
    record = created(finding, known["Region"], now)
    kept = [*CUSTOMER_FIELDS, *overridden]
    record = {name: value for name, value in record.items() if name not in kept}
    record |= {name: known[name] for name in kept if name in known}
    if _reopens(record, known):
        record["Workflow"], record["WorkflowState"] = {"Status": "NEW"}, "NEW"
    return record


def _reopens(record: Finding, known: Finding) -> bool:
    """Workflow NOTIFIED or RESOLVED goes back to NEW when a finding is active again or no longer passes."""
    was_archived = known["RecordState"] == "ARCHIVED" and record["RecordState"] == "ACTIVE"
    passed = known.get("Compliance", {}).get("Status") == "PASSED"
    passes_no_more = passed and record.get("Compliance", {}).get("Status", "PASSED") != "PASSED"
    return known["Workflow"]["Status"] in ("NOTIFIED", "RESOLVED") and (was_archived or passes_no_more)


def apply_customer_update(finding: Finding, request: dict[str, Any], now: datetime) -> set[str]:
    """Changes `finding` by a BatchUpdateFindings request; the shared fields that are the customer's from now on."""
    for name in (*SHARED_FIELDS, "VerificationState", "UserDefinedFields", "Workflow"):
        if name in request:
            finding[name] = request[name]
    if "Severity" in request:
        finding["Severity"] = _severity(request["Severity"])
    if "Note" in request:
        finding["Note"] = request["Note"] | {"UpdatedAt": timestamp(now)}
    return {name for name in SHARED_FIELDS if name in request}


def _derived(finding: Finding) -> Finding:
    """The shared fields at the top from FindingProviderFields, and the other way round where those are missing."""
    provided = {name: finding[name] for name in SHARED_FIELDS if name in finding}
    provided |= finding.get("FindingProviderFields", {})
    record = finding | provided
    record["Severity"] = _severity(provided["Severity"])
    record["FindingProviderFields"] = provided | {"Severity": _provider_severity(record["Severity"])}
    return record


def _severity(given: dict[str, Any]) -> dict[str, Any]:
    """Label and Normalized, each from the other where one is missing."""
    label = given.get("Label") or severity_label(given.get("Normalized", given.get("Product", 0)))
    return given | {"Label": label, "Normalized": given.get("Normalized", NORMALIZED[label])}


def _provider_severity(severity: dict[str, Any]) -> dict[str, Any]:
    return {name: severity[name] for name in ("Label", "Original") if name in severity}
