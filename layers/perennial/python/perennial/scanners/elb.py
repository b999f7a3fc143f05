"""Classic Load Balancers: the certificate of each HTTPS or SSL listener.

A classic listener has no ARN; its location is the load balancer's ARN, the port and the certificate. The TLS policy
needs one call for each load balancer with such listeners, and is left out in a quick scan.

Sources: Elastic Load Balancing API reference, version 2012-06-01 (DescribeLoadBalancers, DescribeLoadBalancerPolicies);
user guide for Classic Load Balancers, "Predefined SSL security policies".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from perennial import material
from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

_TLS = ("HTTPS", "SSL")
_POLICY_TYPE = "SSLNegotiationPolicyType"
_PROTOCOL = "Protocol-"  # attributes of a policy: Protocol-TLSv1.2 = true
_GONE = "LoadBalancerNotFound"


def scan(reading: Reading) -> Iterator[Seen]:
    """Every certificate of every classic TLS listener."""
    client = reading.client("elb")
    tags = reading.tags("elasticloadbalancing:loadbalancer")
    for balancer in _listed(client):
        arn = _arn(client, reading, balancer["LoadBalancerName"])
        listeners = [each for each in balancer.get("ListenerDescriptions", ()) if _is_tls(each)]
        policies = _policies(client, balancer["LoadBalancerName"]) if listeners and reading.full else {}
        if policies is None:
            continue
        for listener in listeners:
            about = {"scheme": balancer.get("Scheme"), "tags": dict(tags.get(arn, {})), **_policy(listener, policies)}
            sighting = _sighting(arn, listener["Listener"], about)
            yield Seen(material.unchanged(sighting, reading.known.get(sighting.location)))


def _listed(client: Any) -> list[Mapping[str, Any]]:
    pages = client.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 400})
    return [each for page in pages for each in page["LoadBalancerDescriptions"]]


def _arn(client: Any, reading: Reading, name: str) -> str:
    """The ARN of a classic load balancer, which the API does not tell (Service Authorization Reference)."""
    scope = reading.scope
    return f"arn:{client.meta.partition}:elasticloadbalancing:{scope.region}:{scope.account}:loadbalancer/{name}"


def _is_tls(listener: Mapping[str, Any]) -> bool:
    told = listener["Listener"]
    return told.get("Protocol", "").upper() in _TLS and bool(told.get("SSLCertificateId"))


def _policies(client: Any, name: str) -> Mapping[str, Mapping[str, Any]] | None:
    """A load balancer's SSL negotiation policies by name; None where it was deleted since it was listed."""
    try:
        found = client.describe_load_balancer_policies(LoadBalancerName=name)["PolicyDescriptions"]
    except ClientError as error:
        if error.response["Error"]["Code"] == _GONE:
            return None
        raise
    return {each["PolicyName"]: _told(each) for each in found if each.get("PolicyTypeName") == _POLICY_TYPE}


def _told(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The predefined policy that one refers to (a custom one: its own name), and the protocols it allows."""
    pairs = policy.get("PolicyAttributeDescriptions", ())
    values = {each["AttributeName"]: each.get("AttributeValue", "") for each in pairs}
    allowed = [name for name, value in values.items() if name.startswith(_PROTOCOL) and value.lower() == "true"]
    return {
        "policy": values.get("Reference-Security-Policy") or policy["PolicyName"],
        "protocols": sorted(name.removeprefix(_PROTOCOL) for name in allowed),
    }


def _policy(listener: Mapping[str, Any], policies: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The negotiation policy of a listener; its other policies are about stickiness."""
    return next((policies[name] for name in listener.get("PolicyNames", ()) if name in policies), {})


def _sighting(balancer: str, told: Mapping[str, Any], about: Mapping[str, Any]) -> Sighting:
    certificate = told["SSLCertificateId"]
    held = certificate.startswith("arn:")
    attributes = {
        "binding": "default",
        "listener": f"{told['Protocol'].upper()}:{told['LoadBalancerPort']}",
        **about,
        "problem": None if held else f"the listener's certificate no longer exists: {certificate[:100]}",
    }
    return Sighting(
        location=f"{balancer}:{told['LoadBalancerPort']}#{certificate}",
        role=Role.ATTACHED,
        resource=balancer,
        holder=certificate if held else None,
        attributes={name: value for name, value in attributes.items() if value},
    )


SCANNER = Scanner(
    source="elb",
    title="Classic Load Balancers",
    actions=("elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeLoadBalancerPolicies"),
    scan=scan,
)
