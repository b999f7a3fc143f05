"""The fake of Security Hub refuses what Security Hub refuses, shown through a boto3 client."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from balanced_account import refusal
from botocore.exceptions import ClientError

from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from local_cloud.fakes.security_hub import SecurityHub

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRODUCT = f"arn:aws:securityhub:{REGION}:{ACCOUNT}:product/{ACCOUNT}/default"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(clock: Clock) -> Any:
    """A client of an account where Security Hub is enabled."""
    made = client(SecurityHub(where=here, clock=clock), validate=False)
    made.enable_security_hub(EnableDefaultStandards=False)
    return made


def finding(**changes: Any) -> dict[str, Any]:
    """A valid finding; a change to None takes the field out."""
    made = {
        "SchemaVersion": "2018-10-08",
        "Id": "expiry/abc",
        "ProductArn": PRODUCT,
        "GeneratorId": "perennial/expiry",
        "AwsAccountId": ACCOUNT,
        "CreatedAt": "2026-11-01T00:00:00Z",
        "UpdatedAt": "2026-11-20T00:00:00.000Z",
        "Title": "The certificate expires soon",
        "Description": "The certificate of www.example.com expires on 2026-12-01",
        "Resources": [{"Type": "AwsCertificateManagerCertificate", "Id": "arn:aws:acm:eu-central-1:1:certificate/a"}],
        "FindingProviderFields": {
            "Severity": {"Label": "HIGH", "Original": "8"},
            "Types": ["Software and Configuration Checks/AWS Security Best Practices"],
        },
    } | changes
    return {name: value for name, value in made.items() if value is not None}


def imported(hub: Any, *findings: dict[str, Any]) -> Any:
    return hub.batch_import_findings(Findings=list(findings))


def only(hub: Any, **filters: Any) -> Any:
    """The one finding that the filters leave."""
    (found,) = hub.get_findings(Filters=filters)["Findings"]
    return found


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("describe_hub", {}),
        ("disable_security_hub", {}),
        ("get_findings", {}),
        ("batch_import_findings", {"Findings": [finding()]}),
        ("batch_update_findings", {"FindingIdentifiers": [{"Id": "a", "ProductArn": PRODUCT}]}),
    ],
)
def test_hub_not_enabled(operation: str, request_: dict[str, Any]) -> None:
    """Every operation answers InvalidAccessException (401) where Security Hub is not enabled."""
    with pytest.raises(ClientError) as error:
        getattr(client(SecurityHub(where=here)), operation)(**request_)
    assert error.value.response["Error"]["Code"] == "InvalidAccessException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401


def test_hub_life(hub: Any) -> None:
    """A hub is described after it is enabled, refuses to be enabled twice and is gone once disabled."""
    described = hub.describe_hub()
    assert described["HubArn"] == f"arn:aws:securityhub:{REGION}:{ACCOUNT}:hub/default"
    assert described["SubscribedAt"] == "2026-11-20T12:00:00.000Z"
    assert refusal(hub.enable_security_hub) == "ResourceConflictException"
    hub.disable_security_hub()
    assert refusal(hub.describe_hub) == "InvalidAccessException"


def test_import_derives(hub: Any) -> None:
    """A new finding gets its severity score, its types and its workflow derived from what the provider stated."""
    assert imported(hub, finding())["SuccessCount"] == 1
    stored = only(hub)
    assert stored["Severity"] == {"Label": "HIGH", "Normalized": 70, "Original": "8"}
    assert stored["Types"] == finding()["FindingProviderFields"]["Types"]
    assert (stored["RecordState"], stored["Workflow"], stored["Region"]) == ("ACTIVE", {"Status": "NEW"}, REGION)


def test_import_derives_provider_fields(hub: Any) -> None:
    """A finding with severity and types at the top only gets FindingProviderFields from them."""
    top = {"Severity": {"Normalized": 90}, "Types": ["Effects"], "FindingProviderFields": None}
    imported(hub, finding(**top))
    stored = only(hub)
    assert stored["FindingProviderFields"] == {"Severity": {"Label": "CRITICAL"}, "Types": ["Effects"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"SchemaVersion": "2018-10-09"},
        {"SchemaVersion": None},
        {"Id": "x" * 513},
        {"GeneratorId": None},
        {"AwsAccountId": "1234"},
        {"Title": "x" * 257},
        {"Title": ""},
        {"Description": "x" * 1025},
        {"CreatedAt": "2026-11-01"},
        {"UpdatedAt": "2026-11-01T00:00:00"},
        {"UpdatedAt": "yesterday"},
        {"UpdatedAt": "2026-02-31T00:00:00Z"},
        {"Resources": []},
        {"Resources": [{"Type": "Other", "Id": str(number)} for number in range(33)]},
        {"Resources": [{"Type": "", "Id": "a"}]},
        {"FindingProviderFields": {"Types": ["Effects"]}},
        {"FindingProviderFields": {"Severity": {"Label": "HIGH"}}},
        {"FindingProviderFields": {"Severity": {"Label": "URGENT"}, "Types": ["Effects"]}},
        {"FindingProviderFields": {"Severity": {"Label": "HIGH"}, "Types": ["Effects/a/b/c"]}},
        {"FindingProviderFields": {"Severity": {"Label": "HIGH"}, "Types": ["Certificates/Expiry"]}},
        {"Remediation": {"Recommendation": {"Text": "x" * 513}}},
        {"Remediation": {"Recommendation": {"Text": "Renew it", "Url": "see the runbook"}}},
        {"SourceUrl": "www.example.com"},
        {"RecordState": "RESOLVED"},
        {"ProductFields": {f"perennial/{number}": "x" for number in range(51)}},
        {"ProductFields": {"perennial/chain": "x" * 2049}},
        {"Note": {"Text": "x" * 245_760, "UpdatedBy": "a", "UpdatedAt": "2026-11-01T00:00:00Z"}},
    ],
)
def test_format_refused(hub: Any, changes: dict[str, Any]) -> None:
    """A finding that breaks the format lands in FailedFindings, and the rest of the call goes through."""
    answer = imported(hub, finding(**changes), finding(Id="good"))
    assert (answer["FailedCount"], answer["SuccessCount"]) == (1, 1)
    assert answer["FailedFindings"][0]["ErrorCode"] == "InvalidInput"
    assert only(hub)["Id"] == "good"


@pytest.mark.parametrize(
    "time", ["2026-11-01T00:00:00Z", "2026-11-01T00:00:00.123456789Z", "2026-11-01T01:00:00+01:00"]
)
def test_times(hub: Any, time: str) -> None:
    """A time may have up to nine decimal places, and an offset in the place of Z."""
    assert imported(hub, finding(CreatedAt=time, UpdatedAt=time))["SuccessCount"] == 1


def test_foreign_account_refused(hub: Any) -> None:
    """A finding about another account fails under the default product ARN of the caller."""
    answer = imported(hub, finding(AwsAccountId="999988887777"))
    assert answer["FailedFindings"][0]["ErrorCode"] == "InvalidAccess"


@pytest.mark.parametrize(
    ("product", "code"),
    [
        ("arn:aws:securityhub:eu-central-1:999988887777:product/999988887777/default", "AccessDeniedException"),
        (PRODUCT.replace(REGION, "us-east-1"), "AccessDeniedException"),
        ("arn:aws:securityhub:::product/perennial", "InvalidInputException"),
    ],
)
def test_foreign_product_refused(hub: Any, product: str, code: str) -> None:
    """A product ARN other than the caller's own in this region denies the whole call."""
    assert refusal(hub.batch_import_findings, Findings=[finding(), finding(ProductArn=product)]) == code
    assert hub.get_findings()["Findings"] == []


@pytest.mark.parametrize("number", [0, 101])
def test_batch_size(hub: Any, number: int) -> None:
    """A call takes 1 to 100 findings."""
    assert refusal(hub.batch_import_findings, Findings=[finding()] * number) == "InvalidInputException"


def test_batch_bytes(hub: Any) -> None:
    """A call of more than 6 MB is refused as a whole."""
    big = finding(Network={"SourceDomain": "x" * 200_000})
    assert refusal(hub.batch_import_findings, Findings=[big] * 40) == "InvalidInputException"


@pytest.mark.parametrize(
    ("updated_at", "title"),
    [
        ("2026-11-20T00:00:00.000Z", "The certificate expires soon"),
        ("2026-11-19T00:00:00Z", "The certificate expires soon"),
        ("2026-11-20T00:00:01Z", "New"),
    ],
)
def test_update_needs_later_time(hub: Any, updated_at: str, title: str) -> None:
    """An update counts as a success and is ignored, unless its UpdatedAt is later than the stored one."""
    imported(hub, finding())
    assert imported(hub, finding(Title="New", UpdatedAt=updated_at))["SuccessCount"] == 1
    assert only(hub)["Title"] == title


def test_customer_fields_stay(hub: Any) -> None:
    """A provider's update changes neither the customer's note, workflow and fields nor a severity that they set."""
    imported(hub, finding())
    identifiers = [{"Id": "expiry/abc", "ProductArn": PRODUCT}]
    customer = {
        "Workflow": {"Status": "SUPPRESSED"},
        "Note": {"Text": "Known", "UpdatedBy": "ana"},
        "UserDefinedFields": {"ticket": "T-1"},
        "VerificationState": "BENIGN_POSITIVE",
        "Severity": {"Label": "LOW"},
    }
    hub.batch_update_findings(FindingIdentifiers=identifiers, **customer)
    assert only(hub)["UpdatedAt"] == finding()["UpdatedAt"]
    provider = {
        "Workflow": {"Status": "RESOLVED"},
        "Note": {"Text": "Mine", "UpdatedBy": "perennial", "UpdatedAt": "2026-11-21T00:00:00Z"},
        "UserDefinedFields": {"ticket": "none"},
        "VerificationState": "TRUE_POSITIVE",
    }
    imported(hub, finding(UpdatedAt="2026-11-21T00:00:00Z", Title="New", **provider))
    stored = only(hub)
    assert stored["Title"] == "New"
    assert stored["Note"]["Text"] == "Known"
    assert {name: stored[name] for name in ("Workflow", "UserDefinedFields", "VerificationState")} == {
        name: customer[name] for name in ("Workflow", "UserDefinedFields", "VerificationState")
    }
    assert (stored["Severity"]["Label"], stored["FindingProviderFields"]["Severity"]["Label"]) == ("LOW", "HIGH")


@pytest.mark.parametrize(("status", "after"), [("RESOLVED", "NEW"), ("NOTIFIED", "NEW"), ("SUPPRESSED", "SUPPRESSED")])
def test_reactivated_finding(hub: Any, status: str, after: str) -> None:
    """A finding that becomes active again is new again, unless the customer suppressed it."""
    imported(hub, finding(RecordState="ARCHIVED"))
    identifiers = [{"Id": "expiry/abc", "ProductArn": PRODUCT}]
    hub.batch_update_findings(FindingIdentifiers=identifiers, Workflow={"Status": status})
    imported(hub, finding(UpdatedAt="2026-11-21T00:00:00Z", RecordState="ACTIVE"))
    assert only(hub)["Workflow"]["Status"] == after


def test_customer_update_of_unknown_finding(hub: Any) -> None:
    """BatchUpdateFindings reports a finding that does not exist, and takes at most 100."""
    unknown = {"Id": "nothing", "ProductArn": PRODUCT}
    answer = hub.batch_update_findings(FindingIdentifiers=[unknown], Workflow={"Status": "NOTIFIED"})
    assert answer["UnprocessedFindings"][0]["ErrorCode"] == "FindingNotFound"
    assert refusal(hub.batch_update_findings, FindingIdentifiers=[unknown] * 101) == "InvalidInputException"


def test_retention(hub: Any, clock: Clock) -> None:
    """A finding goes 90 days after its last update; an ignored update does not keep it."""
    imported(hub, finding(), finding(Id="refreshed"))
    clock.now = NOW + timedelta(days=60)
    imported(hub, finding(), finding(Id="refreshed", UpdatedAt="2027-01-19T00:00:00Z"))
    clock.now = NOW + timedelta(days=91)
    assert only(hub)["Id"] == "refreshed"


def equals(value: str, comparison: str = "EQUALS") -> list[dict[str, str]]:
    return [{"Value": value, "Comparison": comparison}]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"Id": equals("a")}, "a"),
        ({"Id": equals("a") + equals("c")}, "ac"),
        ({"Id": equals("a", "NOT_EQUALS") + equals("b", "NOT_EQUALS")}, "c"),
        ({"GeneratorId": equals("perennial/", "PREFIX")}, "abc"),
        ({"GeneratorId": equals("perennial/", "PREFIX"), "Id": equals("b")}, "b"),
        ({"GeneratorId": equals("perennial/", "PREFIX") + equals("perennial/2", "NOT_EQUALS")}, "ac"),
        ({"GeneratorId": equals("perennial/2", "PREFIX_NOT_EQUALS")}, "ac"),
        ({"AwsAccountId": equals(ACCOUNT), "ProductArn": equals(PRODUCT)}, "abc"),
        ({"RecordState": equals("ARCHIVED")}, "c"),
        ({"SeverityLabel": equals("LOW")}, "b"),
        ({"ResourceType": equals("AwsElbv2LoadBalancer")}, "c"),
        ({"ResourceId": equals("arn:aws:acm", "PREFIX")}, "ab"),
        ({"Title": equals("The certificate", "PREFIX"), "Type": equals("Effects")}, "b"),
        ({"WorkflowStatus": equals("NEW")}, "abc"),
        ({"UpdatedAt": [{"DateRange": {"Value": 2, "Unit": "DAYS"}}]}, "ab"),
        ({"UpdatedAt": [{"DateRange": {"Value": 2, "Unit": "DAYS", "Comparison": "OLDER_THAN"}}]}, "c"),
        ({"UpdatedAt": [{"Start": "2026-11-01T00:00:00Z", "End": "2026-11-10T00:00:00Z"}]}, "c"),
        ({"SeverityNormalized": [{"Gte": 40}]}, "ac"),
        ({"ProductFields": [{"Key": "owner", "Value": "shop", "Comparison": "EQUALS"}]}, "b"),
    ],
)
def test_filters(hub: Any, filters: dict[str, Any], ids: str) -> None:
    """GetFindings joins positive values by OR, negative ones by AND and attributes by AND."""
    low = {"Severity": {"Label": "LOW"}, "Types": ["Effects"]}
    other = [{"Type": "AwsElbv2LoadBalancer", "Id": "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/a"}]
    imported(
        hub,
        finding(Id="a", GeneratorId="perennial/1"),
        finding(Id="b", GeneratorId="perennial/2", FindingProviderFields=low, ProductFields={"owner": "shop"}),
        finding(Id="c", RecordState="ARCHIVED", UpdatedAt="2026-11-05T00:00:00Z", Resources=other),
    )
    found = hub.get_findings(Filters=filters, SortCriteria=[{"Field": "Id", "SortOrder": "asc"}])["Findings"]
    assert "".join(item["Id"] for item in found) == ids


@pytest.mark.parametrize(
    "request_",
    [
        {"Filters": {"Title": equals("certificate", "CONTAINS")}},
        {"Filters": {"Id": equals("a") + equals("b", "NOT_EQUALS")}},
        {"Filters": {"Id": [{"Value": "a"}]}},
        {"Filters": {"Id": equals("a") * 21}},
        {"Filters": {"Id": equals("a", "LIKE")}},
        {"MaxResults": 101},
        {"NextToken": "bogus"},
        {"SortCriteria": [{"Field": "Colour", "SortOrder": "asc"}]},
    ],
)
def test_query_refused(hub: Any, request_: dict[str, Any]) -> None:
    """GetFindings refuses filters that only automation rules know, mixed comparisons, big pages and foreign tokens."""
    assert refusal(hub.get_findings, **request_) == "InvalidInputException"


def test_unknown_filter_is_not_faked(hub: Any) -> None:
    """A filter that the fake does not know answers NotImplementedException and never matches everything."""
    assert refusal(hub.get_findings, Filters={"MalwareName": equals("a")}) == "NotImplementedException"


def test_pages(hub: Any) -> None:
    """GetFindings pages through all findings, each once."""
    imported(hub, *(finding(Id=f"{number:03}") for number in range(100)))
    pages = list(hub.get_paginator("get_findings").paginate(PaginationConfig={"PageSize": 30}))
    assert [len(page["Findings"]) for page in pages] == [30, 30, 30, 10]
    assert len({item["Id"] for page in pages for item in page["Findings"]}) == 100


def test_sort(hub: Any) -> None:
    """GetFindings sorts by the criteria, the first one weighing most."""
    imported(hub, finding(Id="a", Title="x"), finding(Id="b", Title="y"), finding(Id="c", Title="x"))
    criteria = [{"Field": "Title", "SortOrder": "desc"}, {"Field": "Id", "SortOrder": "asc"}]
    assert [item["Id"] for item in hub.get_findings(SortCriteria=criteria)["Findings"]] == ["b", "a", "c"]
