from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from certificates import NOW
from perennial.manifest import Role, Scope, Sighting
from perennial.scanners.cloudfront import SCANNER, protocols
from perennial.scanners.interface import GLOBAL, Reading
from perennial.settings import Discovery
from scripted import Error, Script

ACM = "arn:aws:acm:us-east-1:111122223333:certificate/one"
IAM = "arn:aws:iam::111122223333:server-certificate/cloudfront/old"
DISTRIBUTION = "arn:aws:cloudfront::111122223333:distribution/E1"
TENANT = "arn:aws:cloudfront::111122223333:distribution-tenant/dt_1"


def distribution(viewer: dict[str, Any], *, identifier: str = "E1", **more: Any) -> dict[str, Any]:
    arn = f"arn:aws:cloudfront::111122223333:distribution/{identifier}"
    aliases = {"Quantity": 1, "Items": ["shop.example.com"]}
    return (
        {"Id": identifier, "ARN": arn, "Status": "Deployed", "Enabled": True, "Aliases": aliases}
        | more
        | {"ViewerCertificate": viewer}
    )


def page(*distributions: dict[str, Any], marker: str | None = None) -> Mapping[str, Any]:
    listed = {"Quantity": len(distributions), "IsTruncated": marker is not None}
    if marker:
        listed["NextMarker"] = marker
    items = {"Items": list(distributions)} if distributions else {}
    return {"DistributionList": listed | items}


def acm(arn: str = ACM, policy: str = "TLSv1.2_2021") -> dict[str, Any]:
    return {"ACMCertificateArn": arn, "SSLSupportMethod": "sni-only", "MinimumProtocolVersion": policy}


def scan(script: Script, *, full: bool = True) -> list[Sighting]:
    reading = Reading(
        scope=Scope("111122223333", GLOBAL, "cloudfront"),
        client=script.client,
        known={},
        full=full,
        settings=Discovery(),
        tags=lambda _: {},
        now=NOW,
    )
    return [seen.sighting for seen in SCANNER.scan(reading)]


def test_viewer_certificate() -> None:
    """A distribution's ACM certificate is an attached sighting with names, policy and protocols, from one listing."""
    script = Script({"cloudfront.ListDistributions": [page(distribution(acm()))]}, "us-east-1")
    assert scan(script, full=False) == [
        Sighting(
            location=f"{DISTRIBUTION}#{ACM}",
            role=Role.ATTACHED,
            resource=DISTRIBUTION,
            holder=ACM,
            attributes={
                "binding": "alias",
                "names": ["shop.example.com"],
                "policy": "TLSv1.2_2021",
                "protocols": ["TLSv1.2", "TLSv1.3"],
                "ssl_support_method": "sni-only",
                "status": "Deployed",
            },
        )
    ]
    assert [name for name, _ in script.calls] == ["cloudfront.ListDistributions"]


def test_default_certificate_is_no_sighting() -> None:
    """CloudFront's own certificate of *.cloudfront.net is nobody's to manage, and an empty account is empty."""
    own = {"CloudFrontDefaultCertificate": True, "MinimumProtocolVersion": "TLSv1"}
    assert scan(Script({"cloudfront.ListDistributions": [page(distribution(own))]})) == []
    assert scan(Script({"cloudfront.ListDistributions": [page()]})) == []


def test_pages() -> None:
    """Every page of the listing is read."""
    first = page(distribution(acm()), marker="more")
    second = page(distribution(acm(), identifier="E2"))
    script = Script({"cloudfront.ListDistributions": [first, second]})
    assert [each.resource[-2:] for each in scan(script)] == ["E1", "E2"]
    assert script.made("cloudfront.ListDistributions") == [{}, {"Marker": "more"}]


def test_iam_certificate_is_found_by_its_id() -> None:
    """IAM certificates are named by id: one listing for all distributions gives the ARN that `iam` tells."""
    viewer = {"IAMCertificateId": "ASCAEXAMPLE000001", "MinimumProtocolVersion": "TLSv1"}
    certificates = [{"ServerCertificateId": "ASCAEXAMPLE000001", "Arn": IAM}]
    script = Script(
        {
            "cloudfront.ListDistributions": [page(distribution(viewer), distribution(viewer, identifier="E2"))],
            "iam.ListServerCertificates": [{"ServerCertificateMetadataList": certificates}],
        }
    )
    first, second = scan(script)
    assert first.location == f"{DISTRIBUTION}#{IAM}"
    assert {first.holder, second.holder} == {IAM}
    assert first.attributes["protocols"] == ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]


def test_iam_certificate_that_is_gone() -> None:
    """A distribution whose IAM certificate is not in the account is reported with the id as its problem."""
    script = Script(
        {
            "cloudfront.ListDistributions": [page(distribution({"IAMCertificateId": "ASCAEXAMPLE000002"}))],
            "iam.ListServerCertificates": [{"ServerCertificateMetadataList": []}],
        }
    )
    (found,) = scan(script)
    assert found.holder is None
    assert "ASCAEXAMPLE000002" in found.attributes["problem"]


def test_origin_client_certificate() -> None:
    """A client certificate that a distribution shows to its origins is a sighting of its own."""
    mutual = {"CustomOriginConfig": {"OriginMtlsConfig": {"ClientCertificateArn": ACM}}}
    origins = {"Quantity": 3, "Items": [{"Id": "b", **mutual}, {"Id": "a", **mutual}, {"Id": "bucket"}]}
    own = {"CloudFrontDefaultCertificate": True}
    script = Script({"cloudfront.ListDistributions": [page(distribution(own, Origins=origins))]})
    (found,) = scan(script)
    assert found.location == f"{DISTRIBUTION}#origin#{ACM}"
    assert found.attributes == {"binding": "origin", "origins": ["a", "b"]}


def test_tenants() -> None:
    """Tenants of a multi-tenant distribution have their own certificate or its; its TLS policy is theirs."""
    own = ACM.replace("one", "two")
    tenants: list[dict[str, Any]] = [
        {"Id": "dt_1", "DistributionId": "E1", "Arn": TENANT, "Domains": [{"Domain": "a.example.com"}]},
        {"Id": "dt_2", "DistributionId": "E1", "Arn": TENANT[:-1] + "2", "Domains": [{"Domain": "b.example.com"}]},
    ]
    tenants[1] |= {"Customizations": {"Certificate": {"Arn": own}}, "Enabled": False}
    shared = distribution(acm(), ConnectionMode="tenant-only", Aliases={"Quantity": 0})
    script = Script(
        {
            "cloudfront.ListDistributions": [page(shared)],
            "cloudfront.ListDistributionTenants": [
                {"DistributionTenantList": tenants[:1], "NextMarker": "more"},
                {"DistributionTenantList": tenants[1:]},
            ],
        }
    )
    _, first, second = scan(script)
    assert (first.resource, first.holder, first.attributes["names"]) == (TENANT, ACM, ["a.example.com"])
    assert (second.holder, second.attributes["names"]) == (own, ["b.example.com"])
    assert second.attributes["policy"] == "TLSv1.2_2021"
    assert second.attributes["status"] == "Disabled"


def test_denied() -> None:
    """A missing permission ends the scan with the service's error: the scope is incomplete, not empty."""
    with pytest.raises(ClientError):
        scan(Script({"cloudfront.ListDistributions": [Error("AccessDenied", status=403)]}))


@pytest.mark.parametrize(
    ("policy", "lowest"),
    [
        ("SSLv3", "SSLv3"),
        ("TLSv1", "TLSv1"),
        ("TLSv1_2016", "TLSv1"),
        ("TLSv1.1_2016", "TLSv1.1"),
        ("TLSv1.2_2018", "TLSv1.2"),
        ("TLSv1.2_2025", "TLSv1.2"),
        ("TLSv1.3_2025", "TLSv1.3"),
    ],
)
def test_protocols(policy: str, lowest: str) -> None:
    """A policy allows the version in its name and everything above, always up to TLS 1.3."""
    assert protocols(policy)[0] == lowest
    assert protocols(policy)[-1] == "TLSv1.3"


def test_unknown_policy() -> None:
    """Nothing is claimed of a policy that is not known."""
    assert protocols("Quantum_2031") == []
