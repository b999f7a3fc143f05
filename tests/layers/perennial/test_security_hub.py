"""Findings for Security Hub conform to its format whatever strangers put into names, and are imported in batches."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

from estate import HUB, NOW, REGION
from layers.perennial.hostile import FINDING, TEXTS, stuffed
from local_cloud.fakes.finding_format import violations
from perennial.checks import CHECKS
from perennial.findings import Finding, State
from perennial.security_hub import BATCH, asff, product_arn, send, tell_workflow, workflow

LATER = NOW + timedelta(days=75)
MODEL = boto3.client("securityhub", region_name=REGION).meta.service_model.operation_model("BatchImportFindings")


def document(finding: Finding, now: datetime = LATER) -> dict[str, Any]:
    return asff(finding, partition="aws", region=REGION, now=now)


def blank_texts(value: Any) -> list[Any]:
    """Texts that AWS's NonEmptyString (`.*\\S.*`) refuses, which botocore does not check."""
    if isinstance(value, dict):
        return [each for part in value.values() for each in blank_texts(part)]
    if isinstance(value, list):
        return [each for part in value for each in blank_texts(part)]
    return [value] if isinstance(value, str) and not value.strip() else []


def faults(made: dict[str, Any]) -> list[Any]:
    report = ParamValidator().validate({"Findings": [made]}, MODEL.input_shape)
    return [*violations(made), *blank_texts(made), *([report.generate_report()] if report.has_errors() else [])]


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_s_words_fit_the_format(check: str) -> None:
    """Title and remediation of every check are within ASFF's lengths, uncut."""
    rule = CHECKS[check]
    finding = replace(FINDING, check=rule.id, severity=rule.severity, title=rule.title, remediation=rule.remediation)
    made = document(finding)
    assert faults(made) == []
    assert (made["Title"], made["Remediation"]["Recommendation"]["Text"]) == (rule.title, rule.remediation)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("state", State)
def test_no_text_breaks_the_format(text: str, state: State) -> None:
    """Endless, blank, binary and misleading texts are cut or left out, never refused by Security Hub."""
    assert faults(document(replace(stuffed(text), state=state))) == []


@pytest.mark.parametrize(
    ("not_after", "told"),
    [
        (None, None),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59.000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T00:00:00.000Z"),
    ],
)
def test_times_of_any_year_are_told_in_utc(not_after: datetime | None, told: str | None) -> None:
    """A certificate's end is told as it is, also in the year 1 and 9999."""
    assert document(replace(FINDING, not_after=not_after))["ProductFields"].get("perennial/notAfter") == told


def test_what_is_the_customer_s_is_not_sent() -> None:
    """Workflow, notes and the like stay as the customer set them."""
    sent = document(FINDING).keys()
    assert sent.isdisjoint({"Workflow", "WorkflowState", "Note", "Confidence", "Criticality", "UserDefinedFields"})


def test_severity_and_types_are_the_provider_s() -> None:
    """FindingProviderFields carry them, so that a customer's own severity is not overwritten."""
    made = document(FINDING)
    assert made["FindingProviderFields"]["Severity"]["Label"] == "CRITICAL"
    assert made["FindingProviderFields"]["Types"] == made["Types"]


def test_an_id_is_stable_and_an_update_is_later() -> None:
    """A refresh or another state has the same id and creation, and a later update: else Security Hub ignores it."""
    first, again = document(FINDING, NOW), document(replace(FINDING, detail="x", state=State.RESOLVED), LATER)
    assert first["Id"] == again["Id"] == f"perennial/{REGION}/{HUB}/expiry.expired/{FINDING.id}"
    assert first["CreatedAt"] == again["CreatedAt"] == "2026-11-01T12:00:00.000Z"
    assert first["UpdatedAt"] < again["UpdatedAt"]
    assert again["CreatedAt"] <= again["UpdatedAt"]
    assert not re.search(r"2026|2027", first["Id"])


@pytest.mark.parametrize(
    ("state", "expected"), [(State.OPEN, "ACTIVE"), (State.SUPPRESSED, "ACTIVE"), (State.RESOLVED, "ARCHIVED")]
)
def test_a_resolved_finding_is_archived(state: State, expected: str) -> None:
    """The record's state follows the finding's."""
    assert document(replace(FINDING, state=state))["RecordState"] == expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (f"arn:aws:acm:{REGION}:{HUB}:certificate/1", "AwsCertificateManagerCertificate"),
        (f"arn:aws:cloudfront::{HUB}:distribution/E1", "AwsCloudFrontDistribution"),
        (f"arn:aws:secretsmanager:{REGION}:{HUB}:secret:tls-x", "AwsSecretsManagerSecret"),
        (f"arn:aws:elasticloadbalancing:{REGION}:{HUB}:listener/app/web/1/2", "Other"),
        ("shop.example.com:443", "Other"),
        ("arn:443", "Other"),
        ("arn:", "Other"),
    ],
)
def test_a_resource_has_the_type_that_a_person_filters_by(resource: str, expected: str) -> None:
    """Where ASFF has a type for the resource it is told; a host that is called "arn" is no ARN."""
    (told,) = document(replace(FINDING, resource=resource))["Resources"]
    assert (told["Type"], told["Id"], told["Region"]) == (expected, resource, REGION)


def test_the_product_is_the_account_s_own() -> None:
    """A finding is imported under the default product of its account, in any partition."""
    assert product_arn("aws-cn", "cn-north-1", HUB) == f"arn:aws-cn:securityhub:cn-north-1:{HUB}:product/{HUB}/default"


class Hub:
    """Takes what it is sent, apart from the documents that it is told to fail."""

    def __init__(self, *fails: str) -> None:
        self.sizes: list[int] = []
        self.fails = fails

    def batch_import_findings(self, Findings: list[dict[str, Any]]) -> dict[str, Any]:
        self.sizes.append(len(Findings))
        failed = [{"Id": each["Id"], "ErrorCode": "InvalidInput", "ErrorMessage": "why"} for each in Findings
                  if each["Id"] in self.fails]  # fmt: skip
        return {"FailedCount": len(failed), "FailedFindings": failed}


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_a_hundred_findings_go_in_a_call(count: int, sizes: list[int]) -> None:
    """No call has more than Security Hub takes, and nothing is left out."""
    hub = Hub()
    assert send(hub, [{"Id": str(number)} for number in range(count)]) == {}
    assert hub.sizes == sizes
    assert max(sizes, default=0) <= BATCH


def test_findings_that_failed_are_returned_with_the_reason() -> None:
    """A call that succeeds may still refuse single findings: each is told with its error."""
    assert send(Hub("7", "142"), [{"Id": str(number)} for number in range(150)]) == {
        "7": "InvalidInput: why",
        "142": "InvalidInput: why",
    }


SUPPRESSED = replace(FINDING, state=State.SUPPRESSED, exception="e" * 32, exception_ends=LATER)


@pytest.mark.parametrize(
    ("finding", "hidden", "status"),
    [
        (FINDING, False, None),
        (FINDING, True, "NEW"),
        (SUPPRESSED, False, "SUPPRESSED"),
        (SUPPRESSED, True, "SUPPRESSED"),
        (replace(SUPPRESSED, state=State.RESOLVED), True, "NEW"),
        (replace(FINDING, state=State.RESOLVED), False, None),
    ],
)
def test_only_an_exception_and_its_end_set_the_workflow(finding: Finding, hidden: bool, status: str | None) -> None:
    """Where no exception covers a finding, or did, what the customer set is never touched."""
    told = workflow(finding, hidden=hidden)
    assert (told and told[0]) == status


def test_the_note_names_the_exception_and_its_end() -> None:
    """Whoever finds a suppressed finding sees until when, and how to learn why."""
    _, note = workflow(SUPPRESSED, hidden=False) or ("", "")
    assert "e" * 32 in note and f"{LATER:%Y-%m-%d %H:%M} UTC" in note and "perennial exceptions show" in note


class Updated:
    """Takes updates, apart from those that it is told not to know; what it is sent must fit AWS's model."""

    def __init__(self, *unknown: str) -> None:
        self.calls: list[dict[str, Any]] = []
        self.unknown = unknown

    def batch_update_findings(self, **request: Any) -> dict[str, Any]:
        model = boto3.client("securityhub", region_name=REGION).meta.service_model
        report = ParamValidator().validate(request, model.operation_model("BatchUpdateFindings").input_shape)
        assert not report.has_errors(), report.generate_report()
        self.calls.append(request)
        missing = [each for each in request["FindingIdentifiers"] if each["Id"] in self.unknown]
        told = [{"FindingIdentifier": each, "ErrorCode": "FindingNotFound", "ErrorMessage": "x"} for each in missing]
        return {"UnprocessedFindings": told}


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (100, [100]), (250, [100, 100, 50])])
def test_a_hundred_workflows_go_in_a_call(count: int, sizes: list[int]) -> None:
    """Those with the same status and note together, no more than Security Hub takes."""
    hub = Updated()
    told = [({"Id": str(number), "ProductArn": "p"}, ("SUPPRESSED", "note")) for number in range(count)]
    assert tell_workflow(hub, told) == {}
    assert [len(each["FindingIdentifiers"]) for each in hub.calls] == sizes


def test_each_exception_has_its_own_note_and_what_is_not_known_is_returned() -> None:
    """Two notes are two calls; a finding that Security Hub does not know yet is told with its error."""
    hub = Updated("2")
    notes = [("SUPPRESSED", "one"), ("NEW", "two"), ("SUPPRESSED", "one")]
    told = [({"Id": str(number), "ProductArn": "p"}, note) for number, note in enumerate(notes)]
    assert tell_workflow(hub, told) == {"2": "FindingNotFound: x"}
    sent = {each["Note"]["Text"]: [one["Id"] for one in each["FindingIdentifiers"]] for each in hub.calls}
    assert sent == {"one": ["0", "2"], "two": ["1"]}
    assert {each["Workflow"]["Status"] for each in hub.calls} == {"SUPPRESSED", "NEW"}
    assert {each["Note"]["UpdatedBy"] for each in hub.calls} == {"Perennial"}
