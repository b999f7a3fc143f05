"""`perennial scan` end to end, on in-memory AWS."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.endpoint import Endpoint
from moto.acm.responses import AWSCertificateManagerResponse
from moto.core.exceptions import JsonRESTError

from certificates import build
from command import Run

NOW = datetime.now(UTC)
ROOT = build("Example Root", ca=True)
SOURCES = ("--source", "acm", "--source", "elbv2", "--source", "iam")


class _Unknown(JsonRESTError):
    code = 400


def _search_certificates(_: Any) -> str:
    raise _Unknown("UnknownOperationException", "moto does not know it")


@pytest.fixture(autouse=True)
def _without_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto lacks SearchCertificates; it answers as AWS does where that is not available."""
    monkeypatch.setattr(AWSCertificateManagerResponse, "search_certificates", _search_certificates, raising=False)


def _import(name: str, days: int) -> str:
    leaf = build(
        name, issuer=ROOT, key="RSA-2048", not_before=NOW - timedelta(days=70), not_after=NOW + timedelta(days)
    )
    answer = boto3.client("acm").import_certificate(
        Certificate=leaf.pem, PrivateKey=leaf.key_pem, CertificateChain=ROOT.pem
    )
    return str(answer["CertificateArn"])


def _listen(certificate: str) -> str:
    ec2, elb = boto3.client("ec2"), boto3.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}")
        for number, zone in enumerate("ab")
    ]
    balancer = elb.create_load_balancer(Name="shop", Subnets=[each["Subnet"]["SubnetId"] for each in subnets])
    group = elb.create_target_group(Name="shop", Protocol="HTTPS", Port=443, VpcId=vpc)["TargetGroups"][0]
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )
    return str(listener["Listeners"][0]["ListenerArn"])


def _upload(name: str) -> None:
    leaf = build(name, issuer=ROOT, not_after=NOW + timedelta(days=300))
    boto3.client("iam").upload_server_certificate(
        ServerCertificateName="old-shop", CertificateBody=leaf.pem, PrivateKey=leaf.key_pem
    )


@pytest.mark.parametrize("way", [(), ("--full",)], ids=["quick", "full"])
def test_what_is_imported_attached_and_uploaded_is_found_and_judged(run: Run, way: tuple[str, ...]) -> None:
    """The listener is joined with its certificate, and the one that ends is a critical finding."""
    arn = _import("shop.example.com", days=2)
    listener = _listen(arn)
    _import("quiet.example.com", days=60)
    _upload("legacy.example.com")
    found = json.loads(run("scan", *SOURCES, *way, "--json", "--fail-on", "critical", expect=1).stdout)
    places = {each["location"]: each for each in found["certificates"]}
    assert len(places) == 3
    assert places[arn]["title"] == "shop.example.com"
    assert [each["resource"] for each in places[arn]["attached"]] == [listener]
    assert (arn, "expiry.imminent") in {(each["location"], each["check"]) for each in found["findings"]}
    assert {each["scope"] for each in found["scopes"]} == {
        "123456789012/eu-west-1/acm",
        "123456789012/eu-west-1/elbv2",
        "123456789012/aws-global/iam",
    }
    assert (found["quick"], found["complete"]) == (not way, True)


def test_a_full_scan_reads_each_certificate(run: Run) -> None:
    """Then fingerprints, keys, chains and tags are known."""
    arn = _import("shop.example.com", days=40)
    boto3.client("acm").add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "owner", "Value": "shop"}])
    (certificate,) = json.loads(run("scan", "--source", "acm", "--full", "--json").stdout)["certificates"]
    assert len(certificate["fingerprint"]) == 64
    assert certificate["owner"] == "shop"
    assert certificate["attributes"]["chain_status"]


def test_all_regions_are_those_that_the_account_enabled(run: Run) -> None:
    """A global service is one scope, also then."""
    _upload("legacy.example.com")
    found = json.loads(run("scan", "--region", "all", "--source", "iam", "--source", "elbv2", "--json").stdout)
    regions = {each["RegionName"] for each in boto3.client("ec2").describe_regions()["Regions"]}
    assert {each["scope"].split("/")[1] for each in found["scopes"]} == regions | {"aws-global"}
    assert len(found["scopes"]) == len(regions) + 1


def test_a_quick_scan_makes_no_call_but_the_lists(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call per certificate, none for the account's number, none for the regions."""
    _listen(_import("shop.example.com", days=40))
    for number in range(5):
        _import(f"quiet{number}.example.com", days=60)
    _upload("legacy.example.com")
    calls: list[str] = []
    send = Endpoint.make_request

    def count(endpoint: Any, model: Any, request: Any) -> Any:
        calls.append(model.name)
        return send(endpoint, model, request)

    monkeypatch.setattr(Endpoint, "make_request", count)
    run("scan", *SOURCES, "--source", "apigateway", "--json")
    assert sorted(calls) == [
        "DescribeListenerCertificates",
        "DescribeListeners",
        "DescribeLoadBalancers",
        "GetDomainNames",
        "ListCertificates",
        "ListServerCertificates",
        "SearchCertificates",
    ]
