"""The strict UpdateDomainName refuses what API Gateway refuses, and changes ministack's own domains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from ministack import app
from ministack.core import responses

from bundles import NAMES, bundle
from certificates import NOW
from local_cloud.fakes import wire
from local_cloud.fakes.apigateway_domains import ApiGatewayDomains
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from regional_acm import RegionalAcm

DOMAIN = NAMES[0]


class Place:
    """A domain on the fake."""

    def __init__(self, **more: Any) -> None:
        self.now: datetime = NOW
        self.acm = RegionalAcm(lambda: self.now)
        self.record = {
            "domainName": DOMAIN,
            "regionalCertificateArn": self.acm.put(bundle(1)),
            "certificateArn": "",
            "regionalDomainName": "d-abc.execute-api.eu-central-1.amazonaws.com",
            "distributionDomainName": "d111111abcdef8.cloudfront.net",
            "endpointConfiguration": {"types": ["REGIONAL"]},
            "tags": {},
            **more,
        }
        self.fake = ApiGatewayDomains(
            where=here,
            clock=lambda: self.now,
            records=lambda *_: {DOMAIN: self.record},
            described=self.acm.described,
            updating=60,
        )
        self.api = client(self.fake)

    def patch(
        self, value: str, path: str = "/regionalCertificateArn", op: str = "replace", domain: str = DOMAIN
    ) -> Any:
        return self.api.update_domain_name(
            domainName=domain, patchOperations=[{"op": op, "path": path, "value": value}]
        )

    def refusal(self, value: str, *more: str) -> str:
        """Code and message of a refused change; nothing is changed."""
        before = dict(self.record)
        with pytest.raises(self.api.exceptions.ClientError) as refused:
            self.patch(value, *more)
        assert self.record == before
        error = refused.value.response["Error"]
        return f"{error['Code']}: {error['Message']}"


def test_a_domain_is_told_as_aws_tells_it() -> None:
    """Only what belongs to its endpoint is there, nothing that is empty, and its status."""
    told = Place().api.get_domain_name(domainName=DOMAIN)
    assert told["domainNameStatus"] == "AVAILABLE"
    assert told["regionalDomainName"].startswith("d-abc")
    assert not {"distributionDomainName", "certificateArn", "tags"} & set(told)


def test_an_update_takes_time() -> None:
    """The certificate is told at once with UPDATING; no other change is taken until the time has passed."""
    place = Place()
    first, second = place.acm.put(bundle(2)), place.acm.put(bundle(3))
    told = place.patch(first)
    assert (told["regionalCertificateArn"], told["domainNameStatus"]) == (first, "UPDATING")
    assert place.refusal(second).startswith("ConflictException: There is already an update in progress")
    place.now += timedelta(seconds=59)
    assert place.api.get_domain_name(domainName=DOMAIN)["domainNameStatus"] == "UPDATING"
    place.now += timedelta(seconds=1)
    assert place.api.get_domain_name(domainName=DOMAIN)["domainNameStatus"] == "AVAILABLE"
    assert place.patch(second)["regionalCertificateArn"] == second


def test_other_regions_and_accounts() -> None:
    """The certificate must be of the domain's region and account."""
    place = Place()
    elsewhere = place.acm.put(bundle(2), "us-east-1")
    assert place.refusal(elsewhere) == (
        f"BadRequestException: Invalid certificate ARN: {elsewhere}. Certificate must be in '{REGION}'."
    )
    assert "must be owned by the account" in place.refusal(place.acm.put(bundle(2)).replace(ACCOUNT, "444455556666"))
    assert "Invalid certificate ARN" in place.refusal("nonsense")


def test_certificates_that_are_not_fit() -> None:
    """One that is not there, not issued, expired, or of other names is refused."""
    place = Place()
    assert "does not exist" in place.refusal(f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/none")
    requested = place.acm.client().request_certificate(DomainName=DOMAIN, ValidationMethod="DNS")["CertificateArn"]
    assert "is not issued" in place.refusal(requested)
    assert "does not cover" in place.refusal(place.acm.put(bundle(2, names=("www.example.org",))))
    soon = place.acm.put(bundle(3, not_after=NOW + timedelta(days=1)))
    place.now += timedelta(days=2)
    assert "is not issued" in place.refusal(soon)


def test_a_wildcard_covers_one_label() -> None:
    """*.example.com covers shop.example.com."""
    place = Place()
    assert place.patch(place.acm.put(bundle(2, names=("*.example.com",))))["domainNameStatus"] == "UPDATING"


def test_an_edge_optimized_endpoint() -> None:
    """It takes certificates of us-east-1 on its own path, with the keys that CloudFront has."""
    place = Place(endpointConfiguration={"types": ["EDGE"]})
    assert "no endpoint of type REGIONAL" in place.refusal(place.acm.put(bundle(2)))
    assert "must be in 'us-east-1'" in place.refusal(place.acm.put(bundle(2)), "/certificateArn")
    strong = place.acm.put(bundle(3, key="EC-384"), "us-east-1")
    assert "EC_secp384r1 is not supported" in place.refusal(strong, "/certificateArn")
    taken = place.acm.put(bundle(2), "us-east-1")
    told = place.patch(taken, "/certificateArn")
    assert (told["certificateArn"], told["distributionDomainName"]) == (taken, "d111111abcdef8.cloudfront.net")


@pytest.mark.parametrize(("path", "op"), [("/regionalCertificateArn", "remove"), ("/certificate_body", "replace")])
def test_other_paths_and_operations(path: str, op: str) -> None:
    """A path or an operation that there is not is refused with those that there are."""
    place = Place()
    assert "Invalid patch path" in place.refusal(place.acm.put(bundle(2)), path, op)


def test_mutual_tls() -> None:
    """With mutual TLS, an imported certificate needs an ownership verification certificate."""
    place = Place(mutualTlsAuthentication={"truststoreUri": "s3://cas/roots.pem"})
    imported = place.acm.put(bundle(2))
    assert place.refusal(imported) == "BadRequestException: Missing ownershipVerificationCertificate."
    place.record["ownershipVerificationCertificateArn"] = "arn"
    assert place.patch(imported)["domainNameStatus"] == "UPDATING"


def test_an_unknown_domain() -> None:
    """A domain that is not there is NotFoundException, for both operations."""
    place = Place()
    with pytest.raises(place.api.exceptions.NotFoundException):
        place.api.get_domain_name(domainName="none.example.com")
    with pytest.raises(place.api.exceptions.NotFoundException):
        place.patch("x", domain="none.example.com")


# --- over ministack ---


class Served:
    """The fake with ministack behind it, as the local cloud registers it."""

    service = "apigateway"

    def __init__(self, fake: ApiGatewayDomains, service: str) -> None:
        self.fake, self.service = fake, service
        fake.fallback = app.SERVICE_HANDLERS["apigateway"]

    def handle(self, request: wire.HttpRequest) -> wire.Response:
        headers, query = dict(request.headers), dict(request.query)
        return asyncio.run(self.fake(request.method, request.path, headers, request.body, query))


@pytest.fixture
def account() -> Iterator[None]:
    """ministack serves the test's account and region."""
    before = responses.get_account_id(), responses.get_region()
    responses.set_request_account_id(ACCOUNT)
    responses.set_request_region(REGION)
    yield
    responses.set_request_account_id(before[0])
    responses.set_request_region(before[1])


@pytest.mark.usefixtures("account")
def test_ministacks_own_domains_are_changed() -> None:
    """What ministack created, in either version, is changed, and its own operations tell of it."""
    now = NOW
    acm = RegionalAcm(lambda: now)
    fake = ApiGatewayDomains(clock=lambda: now, described=acm.described, updating=60)
    v1, v2 = (client(Served(fake, service)) for service in ("apigateway", "apigatewayv2"))
    new = acm.put(bundle(2))
    settings = {"CertificateArn": acm.put(bundle(1)), "EndpointType": "REGIONAL"}
    v2.create_domain_name(DomainName=DOMAIN, DomainNameConfigurations=[settings])
    try:
        v1.create_base_path_mapping(domainName=DOMAIN, restApiId="api", stage="prod")
        change = {"op": "replace", "path": "/regionalCertificateArn", "value": new}
        v1.update_domain_name(domainName=DOMAIN, patchOperations=[change])
        assert v2.get_domain_name(DomainName=DOMAIN)["DomainNameConfigurations"][0]["CertificateArn"] == new
        listed = next(each for each in v1.get_domain_names()["items"] if each["domainName"] == DOMAIN)
        assert (listed["regionalCertificateArn"], listed["domainNameStatus"]) == (new, "UPDATING")
        now += timedelta(seconds=60)
        listed = next(each for each in v1.get_domain_names()["items"] if each["domainName"] == DOMAIN)
        assert listed["domainNameStatus"] == "AVAILABLE"
        assert v1.get_base_path_mappings(domainName=DOMAIN)["items"][0]["restApiId"] == "api"
    finally:
        v1.delete_domain_name(domainName=DOMAIN)
