"""The strict UpdateDistribution refuses what CloudFront refuses, and changes ministack's own distributions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from ministack import app
from ministack.core import responses

from bundles import NAMES, bundle
from certificates import NOW
from local_cloud.fakes import wire
from local_cloud.fakes.cloudfront_distributions import CloudFrontDistributions, read, written
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from regional_acm import RegionalAcm

HOME = "us-east-1"
IAM = "ASCAEXAMPLE"
TLS = {"SSLSupportMethod": "sni-only", "MinimumProtocolVersion": "TLSv1.2_2021"}


def configuration(viewer: Mapping[str, Any] | None, aliases: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """A distribution's configuration, with members of each kind: booleans, numbers, lists, nothing."""
    origin = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    found = {
        "CallerReference": "a",
        "Comment": "",
        "Enabled": True,
        "Aliases": {"Quantity": len(aliases), "Items": list(aliases)} if aliases else {"Quantity": 0},
        "Origins": {
            "Quantity": 1,
            "Items": [{"Id": "o", "DomainName": "o.example.com", "CustomOriginConfig": origin}],
        },
        "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "https-only"},
    }
    return found if viewer is None else {**found, "ViewerCertificate": viewer}


class Place:
    """A distribution on the fake."""

    def __init__(self) -> None:
        self.now: datetime = NOW
        self.acm = RegionalAcm(lambda: self.now)
        self.records: dict[str, dict[str, Any]] = {}
        self.fake = CloudFrontDistributions(
            where=here,
            clock=lambda: self.now,
            records=lambda _: self.records,
            described=self.acm.described,
            iam=lambda _: {IAM},
            deploying=60,
        )
        self.api = client(self.fake)
        self.first = configuration({"ACMCertificateArn": self.put(1), **TLS})
        self.identifier = self.fake.plant(ACCOUNT, self.first)

    def put(self, number: int, region: str = HOME, **more: Any) -> str:
        return self.acm.put(bundle(number, **more), region)

    def update(self, wanted: dict[str, Any], **more: Any) -> Any:
        etag = self.api.get_distribution_config(Id=self.identifier)["ETag"]
        return self.api.update_distribution(
            **{"Id": self.identifier, "IfMatch": etag, "DistributionConfig": wanted, **more}
        )

    def refusal(self, wanted: dict[str, Any], **more: Any) -> str:
        """The code of a refused change; nothing is changed."""
        before = dict(self.records[self.identifier])
        with pytest.raises(self.api.exceptions.ClientError) as refused:
            self.update(wanted, **more)
        assert self.records[self.identifier] == before
        return str(refused.value.response["Error"]["Code"])


def test_a_configuration_is_kept_as_it_is() -> None:
    """What is written as XML is read back the same, also through a client."""
    place = Place()
    assert read(written(place.first)) == place.first
    assert place.api.get_distribution_config(Id=place.identifier)["DistributionConfig"] == place.first
    told = place.api.get_distribution(Id=place.identifier)
    assert told["Distribution"]["DistributionConfig"] == place.first
    assert told["ETag"] == place.records[place.identifier]["ETag"]


def test_an_update_takes_time() -> None:
    """It is InProgress for a while, in which further updates are taken; each has a new ETag."""
    place = Place()
    etags = {place.records[place.identifier]["ETag"]}
    for number in (2, 3):
        wanted = configuration({"ACMCertificateArn": place.put(number), **TLS})
        answer = place.update(wanted)
        assert answer["Distribution"]["Status"] == "InProgress"
        assert answer["Distribution"]["DistributionConfig"] == wanted
        etags.add(answer["ETag"])
    assert len(etags) == 3
    place.now += timedelta(seconds=59)
    assert place.api.get_distribution(Id=place.identifier)["Distribution"]["Status"] == "InProgress"
    place.now += timedelta(seconds=1)
    assert place.api.get_distribution(Id=place.identifier)["Distribution"]["Status"] == "Deployed"


def test_the_etag() -> None:
    """An update needs the ETag of what is there now."""
    place = Place()
    wanted = configuration({"ACMCertificateArn": place.put(2), **TLS})
    assert place.refusal(wanted, IfMatch="E0") == "PreconditionFailed"
    assert place.refusal(wanted, IfMatch="") == "InvalidIfMatchVersion"


def test_what_cannot_be_changed() -> None:
    """The caller reference stays; an unknown distribution is NoSuchDistribution."""
    place = Place()
    assert place.refusal({**place.first, "CallerReference": "b"}) == "IllegalUpdate"
    assert place.refusal(place.first, Id="ENONE") == "NoSuchDistribution"


def test_certificates_that_are_not_fit() -> None:
    """Other regions and accounts, unknown, not issued, expired, of a key or with names that do not do."""
    place = Place()
    requested = place.acm.client(HOME).request_certificate(DomainName=NAMES[0], ValidationMethod="DNS")
    soon = place.put(6, not_after=NOW + timedelta(days=1))
    place.now += timedelta(days=2)
    for arn in (
        place.put(2, REGION),
        place.put(2).replace(ACCOUNT, "444455556666"),
        f"arn:aws:acm:{HOME}:{ACCOUNT}:certificate/none",
        "nonsense",
        requested["CertificateArn"],
        soon,
        place.put(3, key="EC-384"),
        place.put(4, names=NAMES[:1]),
    ):
        assert place.refusal(configuration({"ACMCertificateArn": arn, **TLS})) == "InvalidViewerCertificate", arn


@pytest.mark.parametrize(
    ("names", "aliases"),
    [
        (("*.example.com",), ("shop.example.com", "*.example.com")),
        (("shop.example.com", "*.shop.example.com"), ("shop.example.com", "www.shop.example.com")),
    ],
)
def test_wildcards(names: tuple[str, ...], aliases: tuple[str, ...]) -> None:
    """A wildcard covers one label, and an alias that is that wildcard."""
    place = Place()
    wanted = configuration({"ACMCertificateArn": place.put(2, names=names), **TLS}, aliases)
    assert place.update(wanted)["Distribution"]["Status"] == "InProgress"


@pytest.mark.parametrize(
    ("viewer", "code"),
    [
        ({"CloudFrontDefaultCertificate": True}, "InvalidViewerCertificate"),
        (None, "InvalidViewerCertificate"),
        ({"IAMCertificateId": "ASCANONE", **TLS}, "InvalidViewerCertificate"),
        ({"IAMCertificateId": IAM, "ACMCertificateArn": "arn", **TLS}, "InvalidArgument"),
        ({"IAMCertificateId": IAM, "CloudFrontDefaultCertificate": True, **TLS}, "InvalidArgument"),
        ({"IAMCertificateId": IAM}, "InvalidArgument"),
    ],
)
def test_other_viewer_certificates(viewer: Mapping[str, Any] | None, code: str) -> None:
    """Aliases need one certificate, with what TLS it is for."""
    assert Place().refusal(configuration(viewer)) == code


def test_a_server_certificate_of_iam() -> None:
    """One that is there is taken."""
    wanted = configuration({"IAMCertificateId": IAM, "CloudFrontDefaultCertificate": False, **TLS})
    assert Place().update(wanted)["Distribution"]["DistributionConfig"] == wanted


# --- over ministack ---


class Served:
    """The fake with ministack behind it, as the local cloud registers it."""

    service = "cloudfront"

    def __init__(self, fake: CloudFrontDistributions) -> None:
        self.fake = fake
        fake.fallback = app.SERVICE_HANDLERS["cloudfront"]

    def handle(self, request: wire.HttpRequest) -> wire.Response:
        headers, query = dict(request.headers), dict(request.query)
        return asyncio.run(self.fake(request.method, request.path, headers, request.body, query))


@pytest.fixture
def account() -> Iterator[None]:
    """ministack serves an account of the test."""
    before = responses.get_account_id()
    responses.set_request_account_id(ACCOUNT)
    yield
    responses.set_request_account_id(before)


@pytest.mark.usefixtures("account")
def test_ministacks_own_distributions_are_changed() -> None:
    """What ministack created is changed, and its listing tells of it; one with an alias that its certificate does not
    cover can be created, and is updated only with a certificate that covers it."""
    now = NOW
    acm = RegionalAcm(lambda: now)
    fake = CloudFrontDistributions(clock=lambda: now, described=acm.described, iam=lambda _: set(), deploying=60)
    api = client(Served(fake), HOME)
    poor, fit = acm.put(bundle(1, names=NAMES[:1]), HOME), acm.put(bundle(2), HOME)
    first = configuration({"ACMCertificateArn": poor, **TLS})
    made = api.create_distribution(DistributionConfig={**first, "Enabled": False})["Distribution"]["Id"]

    def listed() -> dict[str, Any]:
        found = api.list_distributions()["DistributionList"]["Items"]
        return next(each for each in found if each["Id"] == made)

    try:
        answer = api.get_distribution(Id=made)
        wanted = answer["Distribution"]["DistributionConfig"]
        with pytest.raises(api.exceptions.InvalidViewerCertificate):
            api.update_distribution(Id=made, IfMatch=answer["ETag"], DistributionConfig=wanted)
        wanted["ViewerCertificate"]["ACMCertificateArn"] = fit
        api.update_distribution(Id=made, IfMatch=answer["ETag"], DistributionConfig=wanted)
        assert (listed()["ViewerCertificate"]["ACMCertificateArn"], listed()["Status"]) == (fit, "InProgress")
        now += timedelta(seconds=60)
        assert listed()["Status"] == "Deployed"
    finally:
        api.delete_distribution(Id=made, IfMatch=api.get_distribution(Id=made)["ETag"])
