from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from perennial.manifest import Role
from scanning import ACCOUNT, REGION, remembered, scan
from scripted_aws import Answer, ScriptedAws, pages, refuse

CERTIFICATE = f"arn:aws:iam::{ACCOUNT}:server-certificate/old"
ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/old"


def listener(
    port: int = 443,
    protocol: str = "HTTPS",
    certificate: str | None = CERTIFICATE,
    policies: tuple[str, ...] = ("tls",),
) -> dict[str, Any]:
    told = {"Protocol": protocol, "LoadBalancerPort": port, "InstancePort": 80}
    if certificate:
        told["SSLCertificateId"] = certificate
    return {"Listener": told, "PolicyNames": list(policies)}


def balancer(*listeners: dict[str, Any], name: str = "old") -> dict[str, Any]:
    return {"LoadBalancerName": name, "Scheme": "internal", "ListenerDescriptions": list(listeners)}


def policy(name: str = "tls", reference: str | None = "ELBSecurityPolicy-2016-08", **protocols: str) -> dict[str, Any]:
    allowed = protocols or {"TLSv1": "true", "TLSv1.1": "true", "TLSv1.2": "true", "SSLv3": "false"}
    pairs = [(f"Protocol-{version}", value) for version, value in allowed.items()]
    pairs += [("Server-Defined-Cipher-Order", "true"), ("ECDHE-RSA-AES128-GCM-SHA256", "true")]
    if reference:
        pairs.append(("Reference-Security-Policy", reference))
    described = [{"AttributeName": key, "AttributeValue": value} for key, value in pairs]
    return {"PolicyName": name, "PolicyTypeName": "SSLNegotiationPolicyType", "PolicyAttributeDescriptions": described}


def script(*balancers: dict[str, Any], policies: tuple[dict[str, Any], ...] = (), **more: Answer) -> ScriptedAws:
    """Load balancers, one a page, all with the same policies."""
    listed = pages("LoadBalancerDescriptions", *([each] for each in balancers), token="Marker", output="NextMarker")
    told = {"PolicyDescriptions": list(policies or (policy(),))}
    answers: dict[str, Answer] = {
        "elb.DescribeLoadBalancers": listed,
        "elb.DescribeLoadBalancerPolicies": lambda request: told,
    }
    return ScriptedAws(answers | more)


def test_listener() -> None:
    """A classic listener's certificate is an attached sighting of its load balancer, with policy and protocols."""
    tags = {"elasticloadbalancing:loadbalancer": {ARN: {"team": "web"}}}
    (seen,) = scan("elb", script(balancer(listener())), tags=tags)
    assert (seen.sighting.location, seen.sighting.resource) == (f"{ARN}:443#{CERTIFICATE}", ARN)
    assert (seen.sighting.role, seen.sighting.holder) == (Role.ATTACHED, CERTIFICATE)
    assert seen.sighting.attributes == {
        "binding": "default",
        "listener": "HTTPS:443",
        "policy": "ELBSecurityPolicy-2016-08",
        "protocols": ["TLSv1", "TLSv1.1", "TLSv1.2"],
        "scheme": "internal",
        "tags": {"team": "web"},
    }


def test_pages_and_calls() -> None:
    """Every page is read, and only load balancers with TLS listeners cost a second call, one each."""
    made = script(
        balancer(listener(), listener(8443, "SSL")),
        balancer(listener(80, "HTTP", None, ()), name="plain"),
        balancer(listener(), name="third"),
    )
    seen = scan("elb", made)
    assert [each.sighting.attributes["listener"] for each in seen] == ["HTTPS:443", "SSL:8443", "HTTPS:443"]
    asked = [request["LoadBalancerName"] for request in made.made("elb.DescribeLoadBalancerPolicies")]
    assert asked == ["old", "third"]


def test_one_certificate_on_two_ports() -> None:
    """The same certificate on two listeners is two sightings."""
    seen = scan("elb", script(balancer(listener(443), listener(8443))))
    assert len({each.sighting.location for each in seen}) == 2


def test_quick_scan_asks_for_no_policy() -> None:
    """A quick scan is the listing alone, and does not guess policies."""
    made = script(balancer(listener()))
    (seen,) = scan("elb", made, full=False)
    assert made.calls == ["elb.DescribeLoadBalancers"]
    assert not {"policy", "protocols"} & seen.sighting.attributes.keys()


def test_stickiness_policy_is_not_the_tls_policy() -> None:
    """Of a listener's policies, the one about TLS tells; a custom one goes by its own name, also with SSLv3."""
    stickiness = {"PolicyName": "sticky", "PolicyTypeName": "LBCookieStickinessPolicyType"}
    custom = policy("custom", None, **{"SSLv3": "true", "TLSv1.2": "True", "TLSv1": "false"})
    made = script(balancer(listener(policies=("sticky", "custom"))), policies=(stickiness, policy(), custom))
    (seen,) = scan("elb", made)
    assert seen.sighting.attributes["policy"] == "custom"
    assert seen.sighting.attributes["protocols"] == ["SSLv3", "TLSv1.2"]


def test_certificate_that_no_longer_exists() -> None:
    """A listener whose certificate was deleted has no holder and a problem that says so."""
    (seen,) = scan("elb", script(balancer(listener(certificate="Invalid-Certificate"))))
    assert seen.sighting.holder is None
    assert "Invalid-Certificate" in seen.sighting.attributes["problem"]


def test_unchanged_sighting_is_the_known_object() -> None:
    """What did not change is the object of the manifest."""
    known = remembered(scan("elb", script(balancer(listener()))), "elb")
    (seen,) = scan("elb", script(balancer(listener())), known=known)
    assert seen.sighting is known[seen.sighting.location]


def test_deleted_meanwhile() -> None:
    """A load balancer that is deleted after it was listed is not there, and no error."""
    gone: dict[str, Any] = {"elb.DescribeLoadBalancerPolicies": refuse("LoadBalancerNotFound")}
    assert scan("elb", script(balancer(listener()), **gone)) == []


@pytest.mark.parametrize("operation", ["DescribeLoadBalancers", "DescribeLoadBalancerPolicies"])
def test_errors_raise(operation: str) -> None:
    """What may not be read makes the scope incomplete."""
    refused: dict[str, Any] = {f"elb.{operation}": refuse("AccessDenied")}
    with pytest.raises(ClientError, match="AccessDenied"):
        scan("elb", script(balancer(listener()), **refused))


def test_hostile_values_survive() -> None:
    """Names and policies without sense, and load balancers without listeners, are taken as they are."""
    bare = {"PolicyName": "tls", "PolicyTypeName": "SSLNegotiationPolicyType"}
    made = script(balancer(listener(), name="x" * 500), {"LoadBalancerName": "none"}, policies=(bare,))
    (seen,) = scan("elb", made)
    assert seen.sighting.attributes["policy"] == "tls"
    assert "protocols" not in seen.sighting.attributes


@pytest.mark.parametrize(("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn")])
def test_partition(region: str, partition: str) -> None:
    """The ARN of a load balancer is of the partition of its region."""
    made = script(balancer(listener()))
    elb = made("elb", region)
    (seen,) = scan("elb", lambda service: elb)
    assert seen.sighting.resource.startswith(f"arn:{partition}:elasticloadbalancing:")


@mock_aws
def test_real_listener_through_an_emulator() -> None:
    """A classic load balancer that was really set up is found with its certificate."""
    elb: Any = boto3.client("elb", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    iam: Any = boto3.client("iam", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    uploaded = iam.upload_server_certificate(ServerCertificateName="old", CertificateBody="x", PrivateKey="x")
    arn = uploaded["ServerCertificateMetadata"]["Arn"]
    told = {"Protocol": "https", "LoadBalancerPort": 443, "InstancePort": 80, "SSLCertificateId": arn}
    elb.create_load_balancer(LoadBalancerName="old", Listeners=[told], AvailabilityZones=[f"{REGION}a"])
    (seen,) = scan("elb", lambda service: elb)
    assert (seen.sighting.holder, seen.sighting.attributes["listener"]) == (arn, "HTTPS:443")
