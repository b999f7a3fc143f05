"""Listeners and policies of Classic Load Balancers, as plain values: what is complete, what is allowed, what is shown.

Sources: "Listeners for your Classic Load Balancer" and "Predefined SSL security policies" in the ELB user guide, and
the documentation of the API's Listener.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local_cloud.fakes.load_balancer_certificates import Refusal
from local_cloud.fakes.service import ServiceError
from local_cloud.fakes.ssl_policies import CLASSIC_POLICIES, DEFAULT_POLICY, classic_attributes

SECURE = ("HTTPS", "SSL")
NEGOTIATION = "SSLNegotiationPolicyType"
_LAYERS = {"HTTP": 7, "HTTPS": 7, "TCP": 4, "SSL": 4}
_TYPES = (NEGOTIATION, "AppCookieStickinessPolicyType", "LBCookieStickinessPolicyType", "PublicKeyPolicyType",
          "BackendServerAuthenticationPolicyType", "ProxyProtocolPolicyType")  # fmt: skip
_REFERENCE = "Reference-Security-Policy"


@dataclass
class Listener:
    """One listener: the port it is known by, its settings as the API shows them, and its policies."""

    port: int
    settings: dict[str, Any]
    policies: list[str] = field(default_factory=list)

    @property
    def is_secure(self) -> bool:
        return self.settings["Protocol"] in SECURE

    @property
    def certificate(self) -> str | None:
        return self.settings.get("SSLCertificateId")


@dataclass(frozen=True)
class Policy:
    """A policy that was created for a load balancer, or a predefined one."""

    name: str
    type: str
    attributes: list[dict[str, str]]

    def described(self) -> dict[str, Any]:
        """The policy as DescribeLoadBalancerPolicies shows it."""
        return {
            "PolicyName": self.name,
            "PolicyTypeName": self.type,
            "PolicyAttributeDescriptions": self.attributes,
        }


def predefined() -> dict[str, Policy]:
    """The security policies that AWS defines, by name."""
    policies = CLASSIC_POLICIES.values()
    return {policy.name: Policy(policy.name, NEGOTIATION, classic_attributes(policy)) for policy in policies}


def listener(request: dict[str, Any], refusal: Refusal, account: str, region: str) -> Listener:
    """The listener that a request asks for. Raises ServiceError where it is incomplete or not allowed."""
    protocol = request["Protocol"].upper()
    inner = request.get("InstanceProtocol", "HTTP" if _LAYERS.get(protocol) == 7 else "TCP").upper()
    for name in (protocol, inner):
        if name not in _LAYERS:
            raise ServiceError("UnsupportedProtocol", f"Protocol {name} is not supported")
    if _LAYERS[protocol] != _LAYERS[inner]:
        raise ServiceError("ValidationError", f"Protocol {protocol} and instance protocol {inner} differ in layer")
    if not 1 <= request["LoadBalancerPort"] <= 65535:
        raise ServiceError("ValidationError", "Load balancer port must be between 1 and 65535 inclusive")
    _check_certificate(protocol, request.get("SSLCertificateId"), refusal, account, region)
    settings = request | {"Protocol": protocol, "InstanceProtocol": inner}
    return Listener(request["LoadBalancerPort"], settings, [DEFAULT_POLICY] if protocol in SECURE else [])


def _check_certificate(protocol: str, arn: str | None, refusal: Refusal, account: str, region: str) -> None:
    if protocol not in SECURE:
        if arn:
            raise ServiceError("InvalidConfigurationRequest", f"{protocol} listeners take no certificate")
        return
    if not arn:
        raise ServiceError("ValidationError", "Secure Listeners need to specify a SSLCertificateId")
    require_certificate(arn, refusal, account, region)


def require_certificate(arn: str, refusal: Refusal, account: str, region: str) -> None:
    """Raises ServiceError where a load balancer cannot serve the certificate."""
    if refusal(account, region, arn):
        raise ServiceError("CertificateNotFoundException", f"Server Certificate not found for the key: {arn}")


def policy(request: dict[str, Any]) -> Policy:
    """The policy that a request asks for: one that refers to a predefined policy takes over its attributes."""
    kind, given = request["PolicyTypeName"], request.get("PolicyAttributes", [])
    if kind not in _TYPES:
        raise ServiceError("PolicyTypeNotFound", f"Policy type {kind} does not exist")
    attributes = {entry["AttributeName"]: entry.get("AttributeValue", "") for entry in given}
    reference = attributes.get(_REFERENCE)
    if kind == NEGOTIATION and reference:
        if reference not in CLASSIC_POLICIES:
            raise ServiceError("InvalidConfigurationRequest", f"There is no predefined policy {reference}")
        referred = classic_attributes(CLASSIC_POLICIES[reference])
        given = [{"AttributeName": _REFERENCE, "AttributeValue": reference}, *referred]
    return Policy(request["PolicyName"], kind, given)


def check_assignment(item: Listener, names: list[str], policies: dict[str, Policy]) -> None:
    """Raises ServiceError where a listener cannot have the policies of these names."""
    for name in names:
        if name not in policies:
            raise ServiceError("PolicyNotFound", f"There is no policy with name {name} for this load balancer")
    negotiating = [name for name in names if policies[name].type == NEGOTIATION]
    if negotiating and not item.is_secure:
        raise ServiceError("InvalidConfigurationRequest", "Only HTTPS and SSL listeners take an SSL negotiation policy")
    if len(negotiating) > 1:
        raise ServiceError("InvalidConfigurationRequest", "A listener takes at most one SSL negotiation policy")
