"""A TLS listener of an Application or Network Load Balancer, as its targets read and refuse it.

An Application Load Balancer takes every key type that ACM has. A Network Load Balancer takes RSA up to 3072 bits and
P-256, P-384 and P-521; AWS lets it have a larger RSA key all the same, and then no connection succeeds.

Sources: ELBv2 API reference (DescribeListeners, DescribeListenerCertificates, DescribeLoadBalancers,
DescribeSSLPolicies); Network Load Balancer user guide, "Server certificates".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perennial.errors import InvalidReply, NotFound
from perennial.scanners import elbv2 as scanner
from perennial.targets import acm_copy, attached_certificate
from perennial.targets.attached_certificate import asked
from perennial.targets.interface import Bundle, Found, Reach
from perennial.targets.reply_members import text

TLS = ("HTTPS", "TLS")
NETWORK_KEYS = ("EC-256", "EC-384", "RSA-2048", "RSA-3072")
_PAGE = {"PageSize": 400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listener: `default` is the ARN of its default certificate, "" where it has none."""

    arn: str
    balancer: str
    protocol: str
    port: int
    policy: str
    default: str

    @property
    def is_tls(self) -> bool:
        return self.protocol in TLS


def read(elbv2: Any, arn: str) -> Listener:
    """A listener as it is now.

    Raises: NotFound.
    """
    doing = f"elasticloadbalancing:DescribeListeners of {arn}"
    with asked(doing):
        told = elbv2.describe_listeners(ListenerArns=[arn]).get("Listeners", ())
    if len(told) != 1:
        raise NotFound(f"{doing}: there is no such listener; correct the target, or remove it where it is gone")
    return _listener(arn, told[0], doing)


def _listener(arn: str, told: Mapping[str, Any], doing: str) -> Listener:
    defaults = [text(each, "CertificateArn", doing) for each in told.get("Certificates", ())]
    if len(defaults) > 1:
        raise InvalidReply(f"{doing}: {len(defaults)} default certificates; a listener has one")
    return Listener(
        arn=arn,
        balancer=text(told, "LoadBalancerArn", doing),
        protocol=told.get("Protocol", ""),
        port=told.get("Port", 443),
        policy=told.get("SslPolicy", ""),
        default=defaults[0] if defaults else "",
    )


def listed(elbv2: Any, arn: str) -> list[str]:
    """The certificates of a listener for SNI. The default is among them only where it was added to the list too."""
    doing = f"elasticloadbalancing:DescribeListenerCertificates of {arn}"
    with asked(doing):
        pages = elbv2.get_paginator("describe_listener_certificates").paginate(ListenerArn=arn, PaginationConfig=_PAGE)
        told = [each for page in pages for each in page.get("Certificates", ())]
    return [text(each, "CertificateArn", doing) for each in told if not each.get("IsDefault")]


def listed_everywhere(elbv2: Any, balancer: str) -> int:
    """How many certificates all listeners of a load balancer have besides the default ones. AWS does not say whether it
    counts a certificate of two listeners once: it counts twice here."""
    doing = f"elasticloadbalancing:DescribeListeners of {balancer}"
    with asked(doing):
        pages = elbv2.get_paginator("describe_listeners").paginate(LoadBalancerArn=balancer, PaginationConfig=_PAGE)
        told = [each for page in pages for each in page.get("Listeners", ())]
    arns = [text(each, "ListenerArn", doing) for each in told if each.get("Protocol") in TLS]
    return sum(len(listed(elbv2, arn)) for arn in arns)


def found(elbv2: Any, listener: Listener, state: Mapping[str, Any], fingerprint: str) -> Found:
    """What is at a listener; `state` is what a kind of slot keeps of it."""
    with asked(f"elasticloadbalancing:DescribeLoadBalancers of {listener.balancer}"):
        told = elbv2.describe_load_balancers(LoadBalancerArns=[listener.balancer]).get("LoadBalancers", ())
    if len(told) != 1:
        raise NotFound(f"the load balancer of {listener.arn} is gone: correct the target, or remove it")
    about = {"protocol": listener.protocol, "type": told[0].get("Type", "")}
    return Found(
        state=json.dumps({**state, **about}, sort_keys=True),
        fingerprint=fingerprint,
        host=told[0].get("DNSName", ""),
        port=listener.port,
        protocols=_protocols(elbv2, listener.policy),
    )


def _protocols(elbv2: Any, policy: str) -> tuple[str, ...]:
    """The protocols of a security policy; AWS is asked about a policy that is not known here."""
    known = scanner.protocols(policy) if policy else []
    if known is None:
        with asked(f"elasticloadbalancing:DescribeSSLPolicies of {policy}"):
            told = elbv2.describe_ssl_policies(Names=[policy]).get("SslPolicies", ())
        known = sorted({each for one in told for each in one.get("SslProtocols", ())})
    return tuple(known)


def refusals(reach: Reach, arn: str, was: Mapping[str, Any], new: Bundle) -> list[str]:
    """Why a listener could not take a version, whatever its slot."""
    wrong = attached_certificate.elsewhere(reach, arn) + acm_copy.refusals(new, reach.account, reach.region)
    if was["protocol"] not in TLS:
        wrong.append(f"{arn} speaks {was['protocol']}, and only HTTPS and TLS listeners have certificates")
    if was["type"] == "network" and new.key not in NETWORK_KEYS:
        wrong.append(
            f"a Network Load Balancer cannot serve a key of type {new.key}, although AWS would attach it and all "
            f"connections would fail: use one of {', '.join(NETWORK_KEYS)}"
        )
    return wrong
