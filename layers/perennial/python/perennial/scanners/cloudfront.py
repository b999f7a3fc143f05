"""CloudFront: the certificates that distributions and their tenants show to viewers, and to their origins.

The listing alone tells everything (`ListDistributions` returns the whole `ViewerCertificate`), so quick and full scans
are the same. What CloudFront shows by itself, the certificate of *.cloudfront.net, is no sighting.

Sources: CloudFront API reference (ViewerCertificate, DistributionTenantSummary); Developer Guide, "Supported protocols
and ciphers between viewers and CloudFront".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

_PROTOCOLS = ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


def protocols(policy: str) -> list[str]:
    """The protocol versions that a security policy allows: its name begins with the lowest, and 1.3 is always on."""
    lowest = policy.partition("_")[0]
    return list(_PROTOCOLS[_PROTOCOLS.index(lowest) :]) if lowest in _PROTOCOLS else []


def scan(reading: Reading) -> Iterator[Seen]:
    """Every distribution's viewer certificate and origin client certificates, and every tenant's certificate."""
    cloudfront = reading.client("cloudfront")
    iam = _IamCertificates(reading)
    shared: dict[str, Mapping[str, Any]] = {}  # distributions that only serve through tenants, by id
    for page in cloudfront.get_paginator("list_distributions").paginate():
        for distribution in page["DistributionList"].get("Items", ()):
            yield from _viewer(distribution, iam)
            yield from _origins(distribution)
            if distribution.get("ConnectionMode") == "tenant-only":
                shared[distribution["Id"]] = distribution
    if shared:
        yield from _tenants(cloudfront, shared, iam)


class _IamCertificates:
    """Server certificate ids to ARNs; listed once, and only if a distribution names one."""

    def __init__(self, reading: Reading) -> None:
        self._listed = cache(lambda: dict(self._list(reading.client("iam"))))

    @staticmethod
    def _list(iam: Any) -> Iterator[tuple[str, str]]:
        for page in iam.get_paginator("list_server_certificates").paginate():
            for each in page["ServerCertificateMetadataList"]:
                yield each["ServerCertificateId"], each["Arn"]

    def arn(self, identifier: str) -> str | None:
        return self._listed().get(identifier)


def _viewer(distribution: Mapping[str, Any], iam: _IamCertificates) -> Iterator[Seen]:
    shown = distribution.get("ViewerCertificate", {})
    names = distribution.get("Aliases", {}).get("Items", [])
    yield from _attached(distribution["ARN"], shown, _about(distribution, distribution, names), iam)


def _attached(
    resource: str, shown: Mapping[str, Any], attributes: Mapping[str, Any], iam: _IamCertificates
) -> Iterator[Seen]:
    """The sighting of what a ViewerCertificate names: an ACM certificate, or an IAM one by its id."""
    identifier = shown.get("IAMCertificateId")
    holder = shown.get("ACMCertificateArn") or (iam.arn(identifier) if identifier else None)
    if not holder and not identifier:
        return
    if not holder:
        problem = f"the IAM server certificate {identifier} is not in this account"
        attributes = {**attributes, "problem": problem}
    yield _seen(f"{resource}#{holder or identifier}", resource, holder, attributes)


def _about(resource: Mapping[str, Any], distribution: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Attributes of a distribution, or of a tenant, whose TLS policy is its distribution's."""
    shown = distribution.get("ViewerCertificate", {})
    policy = shown.get("MinimumProtocolVersion")
    told = {
        "binding": "alias",
        "names": names,
        "policy": policy,
        "protocols": protocols(policy or ""),
        "ssl_support_method": shown.get("SSLSupportMethod"),
        "status": resource.get("Status") if resource.get("Enabled", True) else "Disabled",
    }
    return {name: value for name, value in told.items() if value}


def _origins(distribution: Mapping[str, Any]) -> Iterator[Seen]:
    """Client certificates that a distribution shows to its origins: when one ends, the origin refuses CloudFront."""
    using: dict[str, list[str]] = {}
    for origin in distribution.get("Origins", {}).get("Items", ()):
        arn = origin.get("CustomOriginConfig", {}).get("OriginMtlsConfig", {}).get("ClientCertificateArn")
        if arn:
            using.setdefault(arn, []).append(origin["Id"])
    resource = distribution["ARN"]
    for arn, origins in using.items():
        yield _seen(f"{resource}#origin#{arn}", resource, arn, {"binding": "origin", "origins": sorted(origins)})


def _tenants(cloudfront: Any, shared: Mapping[str, Mapping[str, Any]], iam: _IamCertificates) -> Iterator[Seen]:
    """Tenants of multi-tenant distributions: each with a certificate of its own, or with its distribution's."""
    for page in cloudfront.get_paginator("list_distribution_tenants").paginate():
        for tenant in page.get("DistributionTenantList", ()):
            distribution = shared.get(tenant["DistributionId"], {})
            own = tenant.get("Customizations", {}).get("Certificate", {}).get("Arn")
            shown = {"ACMCertificateArn": own} if own else distribution.get("ViewerCertificate", {})
            names = [each["Domain"] for each in tenant.get("Domains", ())]
            yield from _attached(tenant["Arn"], shown, _about(tenant, distribution, names), iam)


def _seen(location: str, resource: str, holder: str | None, attributes: Mapping[str, Any]) -> Seen:
    found = Sighting(
        location=location, role=Role.ATTACHED, resource=resource, holder=holder, attributes=dict(attributes)
    )
    return Seen(found)


SCANNER = Scanner(
    source="cloudfront",
    title="CloudFront distributions and tenants",
    actions=(
        "cloudfront:ListDistributions",
        "cloudfront:ListDistributionTenants",
        "iam:ListServerCertificates",
    ),
    scan=scan,
    everywhere=False,
)
