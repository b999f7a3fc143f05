"""A listener of a Classic Load Balancer as it is now, and what its security policy allows.

A policy's ciphers may leave out ECDSA, or RSA: a certificate with such a key would be attached, and no connection would
succeed.

Sources: Elastic Load Balancing API Reference, version 2012-06-01 (DescribeLoadBalancers, DescribeLoadBalancerPolicies);
Classic Load Balancer user guide, "SSL negotiation configurations".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perennial.errors import NotFound
from perennial.targets.attached_certificate import asked

TLS = ("HTTPS", "SSL")
_POLICY_TYPE = "SSLNegotiationPolicyType"
_PROTOCOL = "Protocol-"  # attributes of a policy: Protocol-TLSv1.2 = true, ECDHE-ECDSA-AES128-GCM-SHA256 = true
_NO_CIPHERS = ("Reference-Security-Policy", "Server-Defined-Cipher-Order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listener: `certificate` is an ARN, "" where it has none; `host` is the DNS name of its load balancer."""

    balancer: str
    host: str
    protocol: str
    certificate: str
    policies: tuple[str, ...]


def read(elb: Any, balancer: str, port: int) -> Listener:
    """The listener of a port.

    Raises: NotFound.
    """
    with asked(f"elasticloadbalancing:DescribeLoadBalancers of {balancer}"):
        told = elb.describe_load_balancers(LoadBalancerNames=[balancer]).get("LoadBalancerDescriptions", ())
    for one in told:
        for each in one.get("ListenerDescriptions", ()):
            listener = each.get("Listener", {})
            if listener.get("LoadBalancerPort") == port:
                return Listener(
                    balancer=balancer,
                    host=one.get("DNSName", ""),
                    protocol=listener.get("Protocol", "").upper(),
                    certificate=listener.get("SSLCertificateId", ""),
                    policies=tuple(each.get("PolicyNames", ())),
                )
    raise NotFound(f"{balancer}:{port}: there is no listener on this port; correct the target, or remove it")


def allowed(elb: Any, listener: Listener) -> tuple[tuple[str, ...], list[str]]:
    """What a listener's security policy allows: protocols (`TLSv1.2`), and families of keys (`EC`, `RSA`); nothing
    where it has no policy."""
    if not listener.policies:
        return (), []
    with asked(f"elasticloadbalancing:DescribeLoadBalancerPolicies of {listener.balancer}"):
        told = elb.describe_load_balancer_policies(
            LoadBalancerName=listener.balancer, PolicyNames=list(listener.policies)
        ).get("PolicyDescriptions", ())
    policies = [each for each in told if each.get("PolicyTypeName") == _POLICY_TYPE]
    pairs = [pair for each in policies for pair in each.get("PolicyAttributeDescriptions", ())]
    on = [each.get("AttributeName", "") for each in pairs if each.get("AttributeValue", "").lower() == "true"]
    return tuple(sorted(each.removeprefix(_PROTOCOL) for each in on if each.startswith(_PROTOCOL))), _keys(on)


def _keys(on: Sequence[str]) -> list[str]:
    """The families of keys that ciphers serve; [] where there is no cipher."""
    ciphers = [each for each in on if not each.startswith(_PROTOCOL) and each not in _NO_CIPHERS and each]
    return sorted({"EC" if "-ECDSA-" in each else "RSA" for each in ciphers})
