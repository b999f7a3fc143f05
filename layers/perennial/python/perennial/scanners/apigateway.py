"""API Gateway: the certificates of custom domains (REST, HTTP and WebSocket APIs), and the trust stores of mutual TLS.

The v1 listing shows every custom domain with its certificates. A full scan also takes the v2 listing, which tells the
state of each configuration where v1 tells the domain's. One domain gives one sighting per certificate: an edge
certificate (held in us-east-1) and a regional one are there together while a domain migrates.

Sources: API Gateway API reference (DomainName), v2 API reference (DomainNameConfiguration); Developer Guide,
"Supported security policies".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

_PROTOCOLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_POLICY = re.compile(r"(?:SecurityPolicy_)?TLS_?1_?(?P<named>\d)(?:_1_(?P<lowest>\d)_)?")
_PAGE = 500  # the most that v1 returns at once
_BETTER_IN_V2 = ("status", "status_message", "ownership_certificate")


def protocols(policy: str) -> list[str]:
    """The versions that a security policy allows, 1.3 always among them.

    TLS_1_0 and TLS_1_2 name the lowest; so does SecurityPolicy_TLS13_1_2_… after the highest, and of the edge policies
    (SecurityPolicy_TLS12_2018_EDGE) the only version is the lowest.
    """
    match = _POLICY.match(policy)
    lowest = int(match["lowest"] or match["named"]) if match else len(_PROTOCOLS)
    return list(_PROTOCOLS[lowest:])


def scan(reading: Reading) -> Iterator[Seen]:
    """Every certificate of every custom domain in the region."""
    told = _v2(reading) if reading.full else {}
    shown = set()
    v1 = reading.client("apigateway")
    for page in v1.get_paginator("get_domain_names").paginate(limit=_PAGE):
        for domain in page.get("items", ()):
            arn = _arn(v1, domain)
            for certificate in _certificates(domain):
                key = (domain["domainName"], certificate)
                shown.add(key)
                yield _seen(arn, certificate, _merged(_about(domain), told.get(key, {})))
            if not any(_certificates(domain)):
                yield from _uploaded(arn, domain)
    for (name, certificate), attributes in told.items():
        if (name, certificate) not in shown:
            yield _seen(_arn(v1, {"domainName": name}), certificate, attributes)


def _arn(client: Any, domain: Mapping[str, Any]) -> str:
    """The ARN of a domain name. A private one may exist several times, and only the service knows its ARN."""
    if "PRIVATE" in domain.get("endpointConfiguration", {}).get("types", ()) and "domainNameArn" in domain:
        return str(domain["domainNameArn"])
    return f"arn:{client.meta.partition}:apigateway:{client.meta.region_name}::/domainnames/{domain['domainName']}"


def _certificates(domain: Mapping[str, Any]) -> Iterator[str]:
    """The ARNs of a domain's edge (or private) and regional certificate, each once."""
    arns = (domain.get("certificateArn"), domain.get("regionalCertificateArn"))
    yield from dict.fromkeys(arn for arn in arns if arn)


def _uploaded(arn: str, domain: Mapping[str, Any]) -> Iterator[Seen]:
    """A certificate that was uploaded to API Gateway itself, as edge domains took it before ACM: it cannot be read."""
    name = domain.get("certificateName") or domain.get("regionalCertificateName")
    if name:
        problem = f"the certificate {name!r} was uploaded to API Gateway, which does not give it out; move it to ACM"
        yield Seen(
            Sighting(location=arn, role=Role.STORED, resource=arn, attributes={**_about(domain), "problem": problem})
        )


def _about(domain: Mapping[str, Any]) -> dict[str, Any]:
    policy = domain.get("securityPolicy")
    return _told(
        names=[domain["domainName"]],
        policy=policy,
        protocols=protocols(policy or ""),
        status=domain.get("domainNameStatus"),
        status_message=domain.get("domainNameStatusMessage"),
        ownership_certificate=domain.get("ownershipVerificationCertificateArn"),
        trust_store=_trust_store(domain.get("mutualTlsAuthentication", {})),
        tags=domain.get("tags"),
    )


def _told(**attributes: Any) -> dict[str, Any]:
    return {"binding": "domain"} | {name: value for name, value in attributes.items() if value}


def _trust_store(mutual: Mapping[str, Any]) -> dict[str, Any]:
    """Where mutual TLS takes its CAs from: {uri, version, warnings}, as far as they are there."""
    keys = {"uri": "truststoreUri", "version": "truststoreVersion", "warnings": "truststoreWarnings"}
    return {name: mutual[key] for name, key in keys.items() if mutual.get(key)}


def _v2(reading: Reading) -> dict[tuple[str, str], dict[str, Any]]:
    """What v2 tells: (domain, certificate ARN) -> attributes."""
    pages = reading.client("apigatewayv2").get_paginator("get_domain_names").paginate()
    return {
        (domain["DomainName"], configuration["CertificateArn"]): _about_configuration(domain, configuration)
        for page in pages
        for domain in page.get("Items", ())
        for configuration in domain.get("DomainNameConfigurations", ())
        if configuration.get("CertificateArn")
    }


def _merged(v1: Mapping[str, Any], v2: Mapping[str, Any]) -> dict[str, Any]:
    """v1 knows more policies; v2 knows the state of the configuration that this certificate serves."""
    return {**v2, **v1, **{name: v2[name] for name in _BETTER_IN_V2 if name in v2}}


def _about_configuration(domain: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    mutual = domain.get("MutualTlsAuthentication", {})
    policy = configuration.get("SecurityPolicy")
    return _told(
        names=[domain["DomainName"]],
        policy=policy,
        protocols=protocols(policy or ""),
        status=configuration.get("DomainNameStatus"),
        status_message=configuration.get("DomainNameStatusMessage"),
        ownership_certificate=configuration.get("OwnershipVerificationCertificateArn"),
        trust_store=_trust_store({key[0].lower() + key[1:]: value for key, value in mutual.items()}),
        tags=domain.get("Tags"),
    )


def _seen(domain: str, certificate: str, attributes: Mapping[str, Any]) -> Seen:
    found = Sighting(
        location=f"{domain}#{certificate}",
        role=Role.ATTACHED,
        resource=domain,
        holder=certificate,
        attributes=dict(attributes),
    )
    return Seen(found)


SCANNER = Scanner(
    source="apigateway",
    title="API Gateway custom domains",
    actions=("apigateway:GET",),
    scan=scan,
)
