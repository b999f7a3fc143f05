"""Application and Network Load Balancers: the certificates of their TLS listeners, default and SNI.

Calls: one for the load balancers, one for each that can have TLS listeners, one for each TLS listener; one more if a
listener has a security policy whose protocols are not known here.

Sources: ELBv2 API reference (DescribeListeners, DescribeListenerCertificates, DescribeSSLPolicies); ALB and NLB user
guides, "Security policies".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from perennial import material
from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

_THREADS = 8
_PAGE = {"PageSize": 400}
_TLS = ("HTTPS", "TLS")
_GONE = ("LoadBalancerNotFound", "ListenerNotFound")
_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_POLICIES: tuple[tuple[str, tuple[str, ...]], ...] = (  # how a policy's name begins, and the protocols it allows
    ("ELBSecurityPolicy-TLS13-1-3-", _VERSIONS[3:]),
    ("ELBSecurityPolicy-TLS13-1-2-", _VERSIONS[2:]),
    ("ELBSecurityPolicy-TLS13-1-1-", _VERSIONS[1:]),
    ("ELBSecurityPolicy-TLS13-1-0-", _VERSIONS),
    ("ELBSecurityPolicy-TLS-1-2-", _VERSIONS[2:3]),
    ("ELBSecurityPolicy-TLS-1-1-", _VERSIONS[1:3]),
    ("ELBSecurityPolicy-TLS-1-0-", _VERSIONS[:3]),
    ("ELBSecurityPolicy-FS-1-2-", _VERSIONS[2:3]),
    ("ELBSecurityPolicy-FS-1-1-", _VERSIONS[1:3]),
    ("ELBSecurityPolicy-FS-2018-06", _VERSIONS[:3]),
    ("ELBSecurityPolicy-2016-08", _VERSIONS[:3]),
    ("ELBSecurityPolicy-2015-05", _VERSIONS[:3]),
)


@dataclass(frozen=True, slots=True)
class _Listener:
    """A TLS listener, its load balancer, and what is attached: certificate ARN → default or sni."""

    balancer: Mapping[str, Any]
    told: Mapping[str, Any]
    bindings: Mapping[str, str]


def scan(reading: Reading) -> Iterator[Seen]:
    """Every certificate of every TLS listener; a quick scan leaves out tags only."""
    client = reading.client("elbv2")
    tags = reading.tags("elasticloadbalancing:loadbalancer")
    listeners = _listeners(client)
    policies = _policies(client, {each.told.get("SslPolicy", "") for each in listeners})
    for listener in listeners:
        attributes = _attributes(listener, policies, tags)
        for certificate, binding in listener.bindings.items():
            sighting = _sighting(listener.told["ListenerArn"], certificate, {**attributes, "binding": binding})
            yield Seen(material.unchanged(sighting, reading.known.get(sighting.location)))


def _listeners(client: Any) -> list[_Listener]:
    """All TLS listeners with their certificates, in the order of the load balancers."""
    pages = client.get_paginator("describe_load_balancers").paginate(PaginationConfig=_PAGE)
    balancers = [each for page in pages for each in page["LoadBalancers"] if each.get("Type") != "gateway"]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda each: _of_balancer(client, each), balancers))
        pairs = [(balancer, told) for balancer, told_ones in zip(balancers, found, strict=True) for told in told_ones]
        bindings = list(pool.map(lambda pair: _bindings(client, pair[1]), pairs))
    return [_Listener(*pair, found) for pair, found in zip(pairs, bindings, strict=True)]


def _of_balancer(client: Any, balancer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A load balancer's TLS listeners; none where it was deleted since it was listed."""
    listed = _pages(client, "describe_listeners", "Listeners", LoadBalancerArn=balancer["LoadBalancerArn"])
    return [each for each in listed or () if each.get("Protocol") in _TLS]


def _bindings(client: Any, told: Mapping[str, Any]) -> dict[str, str]:
    """Certificate ARN → how it is attached, the default first; none where the listener was deleted since it was listed.
    The default may be listed twice, the second time without its mark."""
    attached = _pages(client, "describe_listener_certificates", "Certificates", ListenerArn=told["ListenerArn"])
    if attached is None:
        return {}
    marked = [each for each in attached if each.get("IsDefault")] or told.get("Certificates", ())
    defaults = {each["CertificateArn"] for each in marked}
    others = {each["CertificateArn"] for each in attached} - defaults
    return dict.fromkeys(sorted(defaults), "default") | dict.fromkeys(sorted(others), "sni")


def _pages(client: Any, operation: str, key: str, **request: Any) -> list[Mapping[str, Any]] | None:
    """Everything that a paginated call tells; None where what it asks about is gone."""
    try:
        pages = client.get_paginator(operation).paginate(**request, PaginationConfig=_PAGE)
        return [each for page in pages for each in page.get(key, ())]
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise


def protocols(policy: str) -> list[str] | None:
    """The protocol versions of a predefined security policy by its name; None: not a name that is known here."""
    return next((list(versions) for begin, versions in _POLICIES if policy.startswith(begin)), None)


def _policies(client: Any, names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Security policy → protocols. AWS is asked only about names that are not known here."""
    known = {name: versions for name in names if (versions := protocols(name)) is not None}
    if all(name in known or not name for name in names):
        return known
    pages = client.get_paginator("describe_ssl_policies").paginate(PaginationConfig=_PAGE)
    told = {each["Name"]: sorted(each.get("SslProtocols", ())) for page in pages for each in page["SslPolicies"]}
    return told | known


def _attributes(
    listener: _Listener, policies: Mapping[str, Sequence[str]], tags: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    balancer, told = listener.balancer, listener.told
    policy, mutual = told.get("SslPolicy", ""), told.get("MutualAuthentication", {})
    attributes = {
        "listener": f"{told.get('Protocol')}:{told.get('Port')}",
        "policy": policy,
        "protocols": list(policies.get(policy, ())),
        "scheme": balancer.get("Scheme"),
        "mutual_authentication": mutual.get("Mode") if mutual.get("Mode") != "off" else None,
        "trust_store": mutual.get("TrustStoreArn"),
        "tags": dict(tags.get(balancer["LoadBalancerArn"], {})),
    }
    return {name: value for name, value in attributes.items() if value}


def _sighting(listener: str, certificate: str, attributes: Mapping[str, Any]) -> Sighting:
    return Sighting(
        location=f"{listener}#{certificate}",
        role=Role.ATTACHED,
        resource=listener,
        holder=certificate,
        attributes=attributes,
    )


SCANNER = Scanner(
    source="elbv2",
    title="Application and Network Load Balancers",
    actions=(
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeListenerCertificates",
        "elasticloadbalancing:DescribeSSLPolicies",
    ),
    scan=scan,
)
