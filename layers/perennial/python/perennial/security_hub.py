"""Findings as AWS Security Hub CSPM takes them (ASFF), and their import.

Ids are stable. Severity and types go into FindingProviderFields; Workflow and Note are the customer's and never sent
with a finding. Only an exception, which the customer granted, sets them by a call of its own, and its end takes that
back. Source: AWS Security Hub user guide, BatchImportFindings, BatchUpdateFindings and ASFF.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from perennial.findings import Finding, State

BATCH = 100  # findings in one call
COMPANY = "Perennial"
NOTE = 512  # characters
TYPE = "Software and Configuration Checks/AWS Security Best Practices/Certificates"
_RESOURCE_TYPES = {  # the service of an ARN -> ASFF resource type
    "acm": "AwsCertificateManagerCertificate",
    "cloudfront": "AwsCloudFrontDistribution",
    "secretsmanager": "AwsSecretsManagerSecret",
}


def product_arn(partition: str, region: str, account: str) -> str:
    """The default product of an account: findings of one's own."""
    return f"arn:{partition}:securityhub:{region}:{account}:product/{account}/default"


def asff(finding: Finding, *, partition: str, region: str, now: datetime) -> dict[str, Any]:
    """One finding in the AWS Security Finding Format 2018-10-08. `UpdatedAt` is the time of sending, so that a refresh
    counts. Texts that AWS would refuse (blank ones, longer ones) are left out or cut."""
    account = finding.scope.account
    severity = {"Label": str(finding.severity).upper(), "Original": str(finding.severity)}
    return {
        "SchemaVersion": "2018-10-08",
        "Id": f"perennial/{region}/{account}/{finding.check}/{finding.id}",
        "ProductArn": product_arn(partition, region, account),
        "ProductName": COMPANY,
        "CompanyName": COMPANY,
        "GeneratorId": f"perennial/{finding.check}",
        "AwsAccountId": account,
        "CreatedAt": _time(finding.opened_at),
        "UpdatedAt": _time(now),
        "Title": finding.title[:256],
        "Description": finding.detail[:1024] if finding.detail[:1024].strip() else finding.title[:256],
        "Remediation": {"Recommendation": {"Text": finding.remediation[:512]}},
        "FindingProviderFields": {"Severity": severity, "Types": [TYPE]},
        "Severity": severity,
        "Types": [TYPE],
        "Resources": [_resource(finding, partition, region)],
        "ProductFields": _fields(finding),
        "RecordState": "ARCHIVED" if finding.state is State.RESOLVED else "ACTIVE",
    }


def _resource(finding: Finding, partition: str, region: str) -> dict[str, Any]:
    service = [*finding.resource.split(":"), "", ""][2] if finding.resource.startswith("arn:") else ""
    details = {"Check": finding.check, "Certificate": finding.subject[:300], "Location": finding.location[:500]}
    return {
        "Type": _RESOURCE_TYPES.get(service, "Other"),
        "Id": finding.resource[:512] if finding.resource.strip() else finding.id,
        "Partition": partition,
        "Region": region,
        "Details": {"Other": _filled(details)},
    }


def _fields(finding: Finding) -> dict[str, str]:
    fields = {
        "perennial/check": finding.check,
        "perennial/certificate": finding.fingerprint or "",
        "perennial/notAfter": _time(finding.not_after) if finding.not_after else "",
        "perennial/owner": (finding.owner or "")[:128],
        "perennial/source": finding.scope.source,
    }
    return _filled(fields)


def _filled(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value.strip()}


def _time(time: datetime) -> str:
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def send(client: Any, documents: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Import ASFF documents of one account and region. Returns id → error for those that Security Hub did not take.

    Raises: ClientError when a whole call is refused.
    """
    failed: dict[str, str] = {}
    for start in range(0, len(documents), BATCH):
        reply = client.batch_import_findings(Findings=list(documents[start : start + BATCH]))
        for each in reply.get("FailedFindings", ()):
            failed[each["Id"]] = f"{each.get('ErrorCode', '')}: {each.get('ErrorMessage', '')}"
    return failed


def workflow(finding: Finding, *, hidden: bool) -> tuple[str, str] | None:
    """The Workflow status and the note that a finding is to have: SUPPRESSED while an exception covers it, NEW where
    Security Hub may still have it as suppressed (`hidden`). None: both stay as the customer set them."""
    if finding.state is State.SUPPRESSED:
        end = f" until {finding.exception_ends:%Y-%m-%d %H:%M} UTC" if finding.exception_ends else ""
        named = f"perennial exceptions show {finding.exception}"
        return "SUPPRESSED", f"Suspended by the exception {finding.exception}{end}. Who granted it, and why: {named}"
    return ("NEW", "No exception covers this any more.") if hidden else None


def tell_workflow(client: Any, told: Sequence[tuple[dict[str, Any], tuple[str, str]]]) -> dict[str, str]:
    """Set status and note of imported findings. Returns id → error for those that Security Hub did not take: one that
    was imported just now may not be known yet, and is told later.

    Raises: ClientError when a whole call is refused.
    """
    failed: dict[str, str] = {}
    for (status, note), group in groupby(sorted(told, key=lambda each: each[1]), key=lambda each: each[1]):
        named = [{"Id": document["Id"], "ProductArn": document["ProductArn"]} for document, _ in group]
        for start in range(0, len(named), BATCH):
            reply = client.batch_update_findings(
                FindingIdentifiers=named[start : start + BATCH],
                Note={"Text": note[:NOTE], "UpdatedBy": COMPANY},
                Workflow={"Status": status},
            )
            for each in reply.get("UnprocessedFindings", ()):
                words = f"{each.get('ErrorCode', '')}: {each.get('ErrorMessage', '')}"
                failed[each["FindingIdentifier"]["Id"]] = words
    return failed
