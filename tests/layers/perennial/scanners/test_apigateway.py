from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from certificates import NOW
from perennial.manifest import Role, Scope, Sighting
from perennial.scanners.apigateway import SCANNER, protocols
from perennial.scanners.interface import Reading
from perennial.settings import Discovery
from scripted import Error, Script

EDGE = "arn:aws:acm:us-east-1:111122223333:certificate/edge"
REGIONAL = "arn:aws:acm:eu-west-1:111122223333:certificate/regional"
DOMAIN = "arn:aws:apigateway:eu-west-1::/domainnames/api.example.com"


def domain(name: str = "api.example.com", **more: Any) -> dict[str, Any]:
    return {"domainName": name, "domainNameStatus": "AVAILABLE", "securityPolicy": "TLS_1_2"} | more


def v2_domain(name: str = "api.example.com", certificate: str = REGIONAL, **more: Any) -> dict[str, Any]:
    configuration = {"CertificateArn": certificate, "EndpointType": "REGIONAL", "DomainNameStatus": "AVAILABLE"}
    return {"DomainName": name, "DomainNameConfigurations": [configuration | more]}


def scan(script: Script, *, full: bool = True) -> list[Sighting]:
    reading = Reading(
        scope=Scope("111122223333", "eu-west-1", "apigateway"),
        client=script.client,
        known={},
        full=full,
        settings=Discovery(),
        tags=lambda _: {},
        now=NOW,
    )
    return [seen.sighting for seen in SCANNER.scan(reading)]


def of(*domains: dict[str, Any], v2: tuple[dict[str, Any], ...] = ()) -> Script:
    return Script(
        {
            "apigateway.GetDomainNames": [{"items": list(domains)}],
            "apigatewayv2.GetDomainNames": [{"Items": list(v2)}],
        }
    )


def test_regional_domain() -> None:
    """A domain's certificate is an attached sighting with its name, policy, protocols, state and tags; v1 suffices."""
    script = of(domain(regionalCertificateArn=REGIONAL, tags={"team": "shop"}))
    assert scan(script, full=False) == [
        Sighting(
            location=f"{DOMAIN}#{REGIONAL}",
            role=Role.ATTACHED,
            resource=DOMAIN,
            holder=REGIONAL,
            attributes={
                "binding": "domain",
                "names": ["api.example.com"],
                "policy": "TLS_1_2",
                "protocols": ["TLSv1.2", "TLSv1.3"],
                "status": "AVAILABLE",
                "tags": {"team": "shop"},
            },
        )
    ]
    assert script.calls == [("apigateway.GetDomainNames", {"limit": 500})]


def test_edge_and_regional_while_migrating() -> None:
    """A domain that serves from the edge and the region has one sighting for each certificate."""
    found = scan(of(domain(certificateArn=EDGE, regionalCertificateArn=REGIONAL)))
    assert [each.holder for each in found] == [EDGE, REGIONAL]


def test_pages_of_both_versions() -> None:
    """Both listings are read to their end, and a domain that only v2 shows is there too."""
    script = Script(
        {
            "apigateway.GetDomainNames": [
                {"items": [domain(regionalCertificateArn=REGIONAL)], "position": "more"},
                {"items": [domain("b.example.com", regionalCertificateArn=REGIONAL)]},
            ],
            "apigatewayv2.GetDomainNames": [
                {"Items": [v2_domain()], "NextToken": "more"},
                {"Items": [v2_domain("c.example.com")]},
            ],
        }
    )
    names = [each.attributes["names"] for each in scan(script)]
    assert names == [["api.example.com"], ["b.example.com"], ["c.example.com"]]


def test_v2_tells_the_state_of_the_configuration() -> None:
    """v2's state wins, v1's policy stays: v2 does not know the newer policies."""
    policy = "SecurityPolicy_TLS13_1_3_2025_09"
    told = v2_domain(
        DomainNameStatus="PENDING_OWNERSHIP_VERIFICATION",
        DomainNameStatusMessage="verify",
        OwnershipVerificationCertificateArn=EDGE,
        SecurityPolicy="TLS_1_2",
    )
    (found,) = scan(of(domain(regionalCertificateArn=REGIONAL, securityPolicy=policy), v2=(told,)))
    assert found.attributes["status"] == "PENDING_OWNERSHIP_VERIFICATION"
    assert found.attributes["status_message"] == "verify"
    assert found.attributes["ownership_certificate"] == EDGE
    assert (found.attributes["policy"], found.attributes["protocols"]) == (policy, ["TLSv1.3"])


@pytest.mark.parametrize("by", ["v1", "v2"])
def test_mutual_tls_trust_store(by: str) -> None:
    """The trust store of mutual TLS is told with its address, version and warnings."""
    warnings = ["CA certificate expires soon"]
    store = {"TruststoreUri": "s3://bucket/ca.pem", "TruststoreVersion": "3", "TruststoreWarnings": warnings}
    lower = {name[0].lower() + name[1:]: value for name, value in store.items()}
    told = v2_domain() | {"MutualTlsAuthentication": store}
    v1 = domain(regionalCertificateArn=REGIONAL, mutualTlsAuthentication=lower)
    (found,) = scan(of(v1) if by == "v1" else of(v2=(told,)))
    assert found.attributes["trust_store"] == {"uri": "s3://bucket/ca.pem", "version": "3", "warnings": warnings}


def test_private_domain() -> None:
    """A private domain may exist several times under one name; the service tells its ARN."""
    arn = "arn:aws:apigateway:eu-west-1:111122223333:/domainnames/private.example.com+abcd1234"
    configuration = {"types": ["PRIVATE"]}
    private = domain(
        "private.example.com", domainNameArn=arn, endpointConfiguration=configuration, certificateArn=REGIONAL
    )
    (found,) = scan(of(private))
    assert (found.resource, found.location) == (arn, f"{arn}#{REGIONAL}")


def test_uploaded_certificate() -> None:
    """A certificate that was uploaded to API Gateway itself cannot be read, and is reported as that."""
    (found,) = scan(of(domain(certificateName="old")))
    assert (found.location, found.holder, found.fingerprint) == (DOMAIN, None, None)
    assert "'old'" in found.attributes["problem"]


@pytest.mark.parametrize("service", ["apigateway", "apigatewayv2"])
def test_denied(service: str) -> None:
    """A denied listing ends the scan with the service's error: the scope is incomplete, not empty."""
    script = {"apigateway.GetDomainNames": [{}], "apigatewayv2.GetDomainNames": [{}]}
    with pytest.raises(ClientError):
        scan(Script(script | {f"{service}.GetDomainNames": [Error("AccessDeniedException", status=403)]}))


@pytest.mark.parametrize(
    ("policy", "lowest"),
    [
        ("TLS_1_0", "TLSv1"),
        ("TLS_1_2", "TLSv1.2"),
        ("SecurityPolicy_TLS13_1_3_2025_09", "TLSv1.3"),
        ("SecurityPolicy_TLS13_1_3_FIPS_2025_09", "TLSv1.3"),
        ("SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", "TLSv1.2"),
        ("SecurityPolicy_TLS13_1_2_2021_06", "TLSv1.2"),
        ("SecurityPolicy_TLS13_2025_EDGE", "TLSv1.3"),
        ("SecurityPolicy_TLS12_PFS_2025_EDGE", "TLSv1.2"),
        ("SecurityPolicy_TLS12_2018_EDGE", "TLSv1.2"),
    ],
)
def test_protocols(policy: str, lowest: str) -> None:
    """Every policy of the service model allows the versions from its lowest up to TLS 1.3."""
    assert (protocols(policy)[0], protocols(policy)[-1]) == (lowest, "TLSv1.3")


def test_unknown_policy() -> None:
    """Nothing is claimed of a policy that is not known."""
    assert protocols("Quantum_2031") == protocols("") == []
