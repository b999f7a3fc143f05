"""A fake of AWS Security Hub CSPM: the hub of an account and region, and its findings.

Rules and their sources (Security Hub CSPM user guide, "BatchImportFindings for finding providers", and the API model):
at most 100 findings a call, 240 KB each and 6 MB together; a finding that breaks the format lands in FailedFindings; a
product ARN that is not the caller's own is AccessDenied for the whole call, which is how the service reports a foreign
product; an update whose UpdatedAt is not later is ignored; a provider never overwrites what belongs to the customer;
findings go 90 days after their last update.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from local_cloud.fakes import finding_filters, finding_format, finding_record
from local_cloud.fakes.finding_format import Finding
from local_cloud.fakes.service import FakeService, ServiceError

MAX_FINDINGS = 100
MAX_BATCH_BYTES = 6 * 1024 * 1024
RETENTION = timedelta(days=90)

_PAGES: dict[str, Any] = {"token": "NextToken", "size": "MaxResults", "default": 100, "maximum": 100}
_PRODUCT = re.compile(r"arn:aws[a-z-]*:securityhub:[a-z0-9-]+:\d{0,12}:product/[^/\s]+/[^/\s]+")


@dataclass
class Stored:
    """A finding, when it was last updated by its provider, and what the customer has taken over."""

    finding: Finding
    refreshed: datetime
    overridden: set[str] = field(default_factory=set)


@dataclass
class Hub:
    """Security Hub in one account and region; `subscribed` is None while it is not enabled."""

    account: str
    region: str
    subscribed: datetime | None = None
    auto_enable_controls: bool = True
    control_finding_generator: str = "SECURITY_CONTROL"
    findings: dict[tuple[str, str], Stored] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:securityhub:{self.region}:{self.account}:hub/default"

    @property
    def product(self) -> str:
        """The default product ARN: the one under which an account may import findings of its own."""
        return f"arn:aws:securityhub:{self.region}:{self.account}:product/{self.account}/default"


class SecurityHub(FakeService[Hub]):
    """Security Hub CSPM, API 2018-10-26; see the module's docstring for the rules."""

    service = "securityhub"
    credential_scope = "securityhub"
    rates: ClassVar = {"BatchImportFindings": 10, "BatchUpdateFindings": 10, "GetFindings": 3, "EnableSecurityHub": 1}
    validation_error = "InvalidInputException"
    throttling_error = "TooManyRequestsException"

    def new_state(self, account: str, region: str) -> Hub:
        return Hub(account, region)

    def _validate(self, operation: str, request: dict[str, Any]) -> None:
        """Findings are judged one by one, so only their number is checked for the call as a whole."""
        if operation != "BatchImportFindings":
            super()._validate(operation, request)
        elif not 1 <= len(request.get("Findings", [])) <= MAX_FINDINGS:
            raise ServiceError("InvalidInputException", f"Findings must have 1 to {MAX_FINDINGS} members")

    def enable_security_hub(self, hub: Hub, request: dict[str, Any]) -> dict[str, Any]:
        if hub.subscribed:
            raise ServiceError("ResourceConflictException", f"Account {hub.account} is already subscribed")
        hub.subscribed = self.now()
        hub.control_finding_generator = request.get("ControlFindingGenerator", "SECURITY_CONTROL")
        return {}

    def describe_hub(self, hub: Hub, request: dict[str, Any]) -> dict[str, Any]:
        subscribed = _subscribed(hub)
        if request.get("HubArn", hub.arn) != hub.arn:
            raise ServiceError("ResourceNotFoundException", f"Hub {request['HubArn']} does not exist")
        return {
            "HubArn": hub.arn,
            "SubscribedAt": finding_record.timestamp(subscribed),
            "AutoEnableControls": hub.auto_enable_controls,
            "ControlFindingGenerator": hub.control_finding_generator,
        }

    def disable_security_hub(self, hub: Hub, request: dict[str, Any]) -> dict[str, Any]:
        _subscribed(hub)
        hub.subscribed = None
        return {}

    def batch_import_findings(self, hub: Hub, request: dict[str, Any]) -> dict[str, Any]:
        _subscribed(hub)
        findings = request["Findings"]
        _authorize_products(hub, findings)
        if len(json.dumps(findings).encode()) > MAX_BATCH_BYTES:
            raise ServiceError("InvalidInputException", "The batch should NOT be larger than 6 MB")
        failed = [failure for finding in findings if (failure := self._import(hub, finding))]
        return {
            "FailedCount": len(failed),
            "SuccessCount": len(findings) - len(failed),
            "FailedFindings": failed,
        }

    def _import(self, hub: Hub, finding: Finding) -> dict[str, str] | None:
        """Creates or updates one finding; its entry for FailedFindings where it is refused."""
        if reasons := finding_format.violations(finding):
            sentence = f"Finding does not adhere to Amazon Finding Format. {', '.join(reasons)}."
            return _failure(finding, "InvalidInput", sentence)
        if finding["AwsAccountId"] != hub.account:
            return _failure(finding, "InvalidAccess", "AwsAccountId must be the account that imports the finding")
        self._store(hub, finding)
        return None

    def _store(self, hub: Hub, finding: Finding) -> None:
        self._expire(hub)
        key = (finding["ProductArn"], finding["Id"])
        known = hub.findings.get(key)
        now = self.now()
        if known is None:
            hub.findings[key] = Stored(finding_record.created(finding, hub.region, now), now)
        elif finding_record.is_newer(finding, known.finding):
            known.finding = finding_record.updated(finding, known.finding, known.overridden, now)
            known.refreshed = now

    def _expire(self, hub: Hub) -> None:
        oldest = self.now() - RETENTION
        hub.findings = {key: stored for key, stored in hub.findings.items() if stored.refreshed >= oldest}

    def get_findings(self, hub: Hub, request: dict[str, Any]) -> dict[str, Any]:
        _subscribed(hub)
        self._expire(hub)
        filters = request.get("Filters", {})
        _accept_filters(filters)
        found = [s.finding for s in hub.findings.values() if finding_filters.matches(s.finding, filters, self.now())]
        ordered = _sorted(found, request.get("SortCriteria", []))
        page, token = self.page(ordered, request, **_PAGES)
        return {"Findings": page, "NextToken": token}

    def batch_update_findings(self, hub: Hub, request: dict[str, Any]) -> dict[str, Any]:
        """What the customer does: it changes investigation fields and leaves UpdatedAt alone."""
        _subscribed(hub)
        self._expire(hub)
        identifiers = request["FindingIdentifiers"]
        if len(identifiers) > MAX_FINDINGS:
            raise ServiceError("InvalidInputException", f"At most {MAX_FINDINGS} findings can be updated in a call")
        missing = [item for item in identifiers if (item["ProductArn"], item["Id"]) not in hub.findings]
        present = [item for item in identifiers if item not in missing]
        for item in present:
            stored = hub.findings[item["ProductArn"], item["Id"]]
            stored.overridden |= finding_record.apply_customer_update(stored.finding, request, self.now())
        return {"ProcessedFindings": present, "UnprocessedFindings": [_unprocessed(item) for item in missing]}


def _subscribed(hub: Hub) -> datetime:
    if hub.subscribed is None:
        raise ServiceError("InvalidAccessException", f"Account {hub.account} is not subscribed to AWS Security Hub")
    return hub.subscribed


def _authorize_products(hub: Hub, findings: list[Finding]) -> None:
    """The product ARN is the IAM resource of the call: one that is not the caller's own denies all of it."""
    for product in {finding.get("ProductArn", hub.product) for finding in findings}:
        if not _PRODUCT.fullmatch(product):
            raise ServiceError("InvalidInputException", f'productArn: "{product}"')
        if product != hub.product:
            who = f"User: arn:aws:iam::{hub.account}:root is not authorized"
            what = f"to perform: securityhub:BatchImportFindings on resource: {product}"
            raise ServiceError("AccessDeniedException", f"{who} {what}", 403)


def _failure(finding: Finding, code: str, sentence: str) -> dict[str, str]:
    return {"Id": finding.get("Id", ""), "ErrorCode": code, "ErrorMessage": sentence}


def _unprocessed(identifier: dict[str, str]) -> dict[str, Any]:
    sentence = f"Finding {identifier['Id']} does not exist"
    return {"FindingIdentifier": identifier, "ErrorCode": "FindingNotFound", "ErrorMessage": sentence}


def _accept_filters(filters: dict[str, Any]) -> None:
    if reason := finding_filters.refusal(filters):
        raise ServiceError("InvalidInputException", reason)
    if unknown := finding_filters.unsupported(filters):
        raise ServiceError("NotImplementedException", f"The fake cannot filter by {', '.join(unknown)}", 501)


def _sorted(findings: list[Finding], criteria: list[dict[str, str]]) -> list[Finding]:
    """By the criteria, the first one weighing most; a finding without the attribute comes first in ascending order."""
    for criterion in reversed(criteria):
        read = finding_filters.SORTABLE.get(criterion.get("Field", ""))
        if read is None:
            raise ServiceError("InvalidInputException", f"Cannot sort by {criterion.get('Field')}")
        findings = sorted(findings, key=read, reverse=criterion.get("SortOrder") == "desc")
    return findings
