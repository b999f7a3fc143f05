"""Which certificates ListCertificates and SearchCertificates return, in which order and pages."""

import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
from fake_estate import CLIENT, NOW, SERVER, Clock, make, refused

from local_cloud.fakes import acm_search
from local_cloud.fakes.acm import Acm
from local_cloud.fakes.acm_state import Listings
from local_cloud.fakes.acm_x509 import serial_text
from local_cloud.fakes.loopback import client, here
from local_cloud.fakes.references import References

ENDPOINT = "arn:aws:acm:eu-central-1:111122223333:acme-endpoint/a"
WEB = make(["www.example.com", "example.com"], extended=[SERVER])
API = make(["api.example.com"], kind="EC_prime256v1", days=200, extended=[SERVER, CLIENT])
OLD = make(["old.example.org"], days=10)
PLAIN = make(["plain.example.net"], kind="RSA_4096", usages=None, extended=None)

ESTATE: dict[str, dict[str, Any]] = {
    "web": {"pem": WEB.pem.decode(), "in_use_by": ["arn:aws:elasticloadbalancing:x"]},
    "api": {"pem": API.pem.decode(), "type": "AMAZON_ISSUED", "renewal_status": "FAILED", "export_option": "ENABLED"},
    "old": {"pem": OLD.pem.decode()},
    "plain": {"pem": PLAIN.pem.decode(), "type": "PRIVATE", "exported": True},
    "acme": {"pem": WEB.pem.decode(), "type": "AMAZON_ISSUED", "acme_endpoint_arn": ENDPOINT},
    "pending": {"domain_name": "new.example.com", "type": "AMAZON_ISSUED", "created_at": "2026-11-23T11:00:00+00:00"},
}


@pytest.fixture
def fake() -> Acm:
    return Acm(where=here, clock=Clock(), users=References(), resolve=lambda _: None)


@pytest.fixture
def acm(fake: Acm) -> Any:
    return client(fake)


@pytest.fixture
def arns(fake: Acm) -> dict[str, str]:
    """name in the estate -> ARN."""
    planted = fake.admin_seed(list(ESTATE.values()))["arns"]
    return dict(zip(ESTATE, planted, strict=True))


ALL_KEYS = ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]
ALL_ORIGINS = ["AWS_MANAGED", "ACME", "CUSTOMER_PROVIDED"]
LISTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the default drops EC, RSA_4096 and ACME": ({}, ["web", "old", "pending"]),
    "all key kinds": ({"Includes": {"keyTypes": ALL_KEYS}}, ["web", "api", "old", "plain", "pending"]),
    "all origins": ({"CertificateKeyPairOrigins": ALL_ORIGINS}, ["web", "old", "acme", "pending"]),
    "both": (
        {"Includes": {"keyTypes": ALL_KEYS}, "CertificateKeyPairOrigins": ALL_ORIGINS},
        ["web", "api", "old", "plain", "acme", "pending"],
    ),
    "one origin": ({"CertificateKeyPairOrigins": ["CUSTOMER_PROVIDED"]}, ["web", "old"]),
    "a status": ({"CertificateStatuses": ["EXPIRED", "PENDING_VALIDATION"]}, ["old", "pending"]),
    "an extended key usage": (
        {"Includes": {"keyTypes": ALL_KEYS, "extendedKeyUsage": ["TLS_WEB_CLIENT_AUTHENTICATION"]}},
        ["api", "old"],
    ),
    "no extended key usage": ({"Includes": {"keyTypes": ALL_KEYS, "extendedKeyUsage": ["NONE"]}}, ["plain"]),
    "a key usage": ({"Includes": {"keyUsage": ["KEY_ENCIPHERMENT"]}}, ["web", "old"]),
    "the export option": ({"Includes": {"keyTypes": ALL_KEYS, "exportOption": "ENABLED"}}, ["api", "plain"]),
    "newest first": ({"SortBy": "CREATED_AT", "SortOrder": "DESCENDING"}, ["pending", "web", "old"]),
}


@pytest.mark.parametrize("case", LISTED)
def test_what_is_listed(acm: Any, arns: dict[str, str], case: str) -> None:
    """ListCertificates returns what AWS returns, with its silent defaults."""
    request, names = LISTED[case]
    found = [item["CertificateArn"] for item in acm.list_certificates(**request)["CertificateSummaryList"]]
    assert found == [arns[name] for name in names]


def test_names_in_a_summary_are_cut_at_100(acm: Any, fake: Acm) -> None:
    """A summary has 100 names and says that there are more."""
    many = make([f"n{number}.example.com" for number in range(101)])
    fake.admin_seed([{"pem": many.pem.decode()}])
    found = acm.list_certificates()["CertificateSummaryList"][0]
    assert len(found["SubjectAlternativeNameSummaries"]) == 100
    assert found["HasAdditionalSubjectAlternativeNames"] is True


def x509_filter(**content: Any) -> dict[str, Any]:
    """A statement with one X.509 filter."""
    return {"Filter": {"X509AttributeFilter": content}}


def metadata_filter(**content: Any) -> dict[str, Any]:
    """A statement with one metadata filter."""
    return {"Filter": {"AcmCertificateMetadataFilter": content}}


def san(operator: str, value: str) -> dict[str, Any]:
    """A statement on DNS names."""
    return x509_filter(SubjectAlternativeName={"DnsName": {"Value": value, "ComparisonOperator": operator}})


def common_name(operator: str, value: str) -> dict[str, Any]:
    """A statement on the common name."""
    return x509_filter(Subject={"CommonName": {"Value": value, "ComparisonOperator": operator}})


SEARCHED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, list(ESTATE)),
    "a DNS name": ({"FilterStatement": san("EQUALS", "Example.com")}, ["web", "acme"]),
    "part of a DNS name": ({"FilterStatement": san("CONTAINS", "example.org")}, ["old"]),
    "a common name": ({"FilterStatement": common_name("EQUALS", "api.example.com")}, ["api"]),
    "a key kind": ({"FilterStatement": x509_filter(KeyAlgorithm="RSA_4096")}, ["plain"]),
    "a key usage": ({"FilterStatement": x509_filter(KeyUsage="KEY_ENCIPHERMENT")}, ["web", "api", "old", "acme"]),
    "no extended key usage": ({"FilterStatement": x509_filter(ExtendedKeyUsage="NONE")}, ["plain"]),
    "a serial number": (
        {"FilterStatement": x509_filter(SerialNumber=serial_text(API.certificate.serial_number))},
        ["api"],
    ),
    "an end of validity": ({"FilterStatement": x509_filter(NotAfter={"End": NOW})}, ["old"]),
    "a range of ends": (
        {"FilterStatement": x509_filter(NotAfter={"Start": NOW, "End": NOW + timedelta(days=70)})},
        ["web", "plain", "acme"],
    ),
    "a status": ({"FilterStatement": metadata_filter(Status="EXPIRED")}, ["old"]),
    "a renewal status": ({"FilterStatement": metadata_filter(RenewalStatus="FAILED")}, ["api"]),
    "in use": ({"FilterStatement": metadata_filter(InUse=True)}, ["web"]),
    "exported": ({"FilterStatement": metadata_filter(Exported=True)}, ["plain"]),
    "an origin": ({"FilterStatement": metadata_filter(CertificateKeyPairOrigin="ACME")}, ["acme"]),
    "an ACME endpoint": ({"FilterStatement": metadata_filter(AcmeEndpointArn=ENDPOINT)}, ["acme"]),
    "a type": ({"FilterStatement": metadata_filter(Type="PRIVATE")}, ["plain"]),
    "and": (
        {"FilterStatement": {"And": [san("EQUALS", "example.com"), metadata_filter(InUse=True)]}},
        ["web"],
    ),
    "or": (
        {"FilterStatement": {"Or": [metadata_filter(InUse=True), metadata_filter(Exported=True)]}},
        ["web", "plain"],
    ),
    "not": (
        {"FilterStatement": {"Not": {"Or": [san("CONTAINS", "example.com"), metadata_filter(Exported=True)]}}},
        ["old"],
    ),
    "sorted by the end": (
        {"SortBy": "NOT_AFTER", "SortOrder": "ASCENDING"},
        ["old", "web", "plain", "acme", "api", "pending"],
    ),
    "sorted by the end, last first": (
        {"SortBy": "NOT_AFTER", "SortOrder": "DESCENDING", "FilterStatement": san("CONTAINS", "example.com")},
        ["api", "web", "acme", "pending"],
    ),
    "sorted by name": (
        {"SortBy": "COMMON_NAME", "SortOrder": "ASCENDING"},
        ["api", "pending", "old", "plain", "web", "acme"],
    ),
}


@pytest.mark.parametrize("case", SEARCHED)
def test_what_is_found(acm: Any, arns: dict[str, str], case: str) -> None:
    """SearchCertificates finds what a filter statement selects, in the order that is asked for."""
    request, names = SEARCHED[case]
    found = [item["CertificateArn"] for item in acm.search_certificates(**request)["Results"]]
    assert found == [arns[name] for name in names]


@pytest.mark.parametrize(
    "field", ["CREATED_AT", "STATUS", "IN_USE", "RENEWAL_ELIGIBILITY", "ACME_ENDPOINT_ARN", "REVOKED_AT"]
)
def test_every_certificate_is_in_a_sorted_result(acm: Any, arns: dict[str, str], field: str) -> None:
    """Sorting by a value that not all certificates have loses none."""
    found = acm.search_certificates(SortBy=field, SortOrder="DESCENDING")["Results"]
    assert {item["CertificateArn"] for item in found} == set(arns.values())


def test_a_search_result_has_attributes_but_no_tags(acm: Any, arns: dict[str, str]) -> None:
    """X.509 attributes and metadata are in the result; tags, users and PEM are not."""
    statement = {"Filter": {"CertificateArn": arns["web"]}}
    found = acm.search_certificates(FilterStatement=statement)["Results"][0]
    assert set(found) == {"CertificateArn", "X509Attributes", "CertificateMetadata"}
    attributes = found["X509Attributes"]
    assert attributes["SubjectAlternativeNames"] == [{"DnsName": "www.example.com"}, {"DnsName": "example.com"}]
    assert attributes["Subject"] == {"CommonName": "www.example.com"}
    metadata = found["CertificateMetadata"]["AcmCertificateMetadata"]
    assert (metadata["InUse"], metadata["Status"], metadata["Type"]) == (True, "ISSUED", "IMPORTED")


def test_search_takes_pages_of_500_at_most(acm: Any, fake: Acm) -> None:
    """The default page is 100, the largest 500, and all pages together are the whole."""
    fake.admin_seed([ESTATE["web"]] * 1203)
    first = acm.search_certificates()
    assert len(first["Results"]) == 100
    with refused("ValidationException", "less than or equal to 500"):
        acm.search_certificates(MaxResults=501)
    sizes, token = [], {}
    while True:
        answer = acm.search_certificates(MaxResults=500, **token)
        sizes.append(len(answer["Results"]))
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert sizes == [500, 500, 203]


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a page of more than 1000": ("list_certificates", {"MaxItems": 1001}),
    "SortBy without SortOrder": ("list_certificates", {"SortBy": "CREATED_AT"}),
    "an unknown key kind": ("list_certificates", {"Includes": {"keyTypes": ["RSA_8192"]}}),
    "a token that is none": ("list_certificates", {"NextToken": "abc"}),
    "an unknown sort field": ("search_certificates", {"SortBy": "SHOE_SIZE"}),
    "two branches in one statement": (
        "search_certificates",
        {"FilterStatement": {"And": [san("EQUALS", "a")], "Or": [san("EQUALS", "a")]}},
    ),
    "sixteen parts of an And": ("search_certificates", {"FilterStatement": {"And": [san("EQUALS", "a")] * 16}}),
    "a serial number without colons": ("search_certificates", {"FilterStatement": x509_filter(SerialNumber="abcd")}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_queries_that_acm_refuses(fake: Acm, case: str) -> None:
    """A query that breaks the model's constraints is refused, though boto3 lets it through."""
    operation, request = REFUSED[case]
    with refused("ValidationException"):
        getattr(client(fake, validate=False), operation)(**request)


def test_a_token_belongs_to_its_query(acm: Any, fake: Acm) -> None:
    """A token of one query is refused by another."""
    fake.admin_seed([ESTATE["web"]] * 3)
    token = acm.list_certificates(MaxItems=1)["NextToken"]
    with refused("ValidationException", "NextToken"):
        acm.list_certificates(MaxItems=1, CertificateStatuses=["ISSUED"], NextToken=token)


def test_a_query_runs_once_for_all_its_pages(acm: Any, fake: Acm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later pages come from the result of the first one; only a query that was pushed out runs again."""
    runs = []
    order = acm_search.ordered
    monkeypatch.setattr(acm_search, "ordered", lambda *args: runs.append(args) or order(*args))
    fake.admin_seed([ESTATE["web"]] * 30)
    pages = list(acm.get_paginator("search_certificates").paginate(PaginationConfig={"PageSize": 7}))
    assert [len(page["Results"]) for page in pages] == [7, 7, 7, 7, 2]
    assert len(runs) == 1
    token = acm.search_certificates(MaxResults=7)["NextToken"]
    for name in range(Listings.KEPT):
        acm.search_certificates(FilterStatement=san("EQUALS", str(name)))
    assert len(acm.search_certificates(MaxResults=7, NextToken=token)["Results"]) == 7
    assert len(runs) == 3 + Listings.KEPT


def test_100000_certificates_fit(fake: Acm) -> None:
    """A seeded certificate costs less than 1.5 KB besides its own bytes, and is found by a filter."""
    tracemalloc.start()
    fake.admin_seed([ESTATE["web"]] * 5000)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / 5000 < 1500
