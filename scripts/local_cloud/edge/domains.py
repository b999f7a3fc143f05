"""The custom domains of API Gateway and the distributions of CloudFront, as places that terminate TLS on port 443."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from local_cloud.edge.listeners import Place
from local_cloud.edge.store import Json, Store, Where

PORT = 443
API_ADDRESSES, DISTRIBUTION_ADDRESSES = 1, 2

_ENDPOINTS = {
    "REGIONAL": ("regionalCertificateArn", "regionalDomainName"),
    "EDGE": ("certificateArn", "distributionDomainName"),
}
_ALL = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


class ApiDomains:
    """Custom domain names of REST, HTTP and WebSocket APIs, which the first API version shows together.

    A domain with an edge and a regional certificate is two places of one name: each of AWS's two names shows its own.
    The domain name itself leads to the regional one first, as migrating there is what both are for. A private domain is
    none: it is reached from inside a VPC only.
    """

    kind = "apigateway"

    def __init__(self, store: Store) -> None:
        self._store = store

    def places(self) -> Iterator[Place]:
        for where in self._store.scopes(self.kind):
            for domain in self._store.listed(self.kind, "GetDomainNames", where, "items", ("position", "position")):
                yield from self._of_domain(where, domain)

    def again(self, place: Place) -> Place | None:
        domain = self._store.ask(self.kind, "GetDomainName", place.where, domainName=place.name)
        found = self._of_domain(place.where, domain) if domain else iter(())
        return next((each for each in found if each.hosts[0] == place.hosts[0]), None)

    def _of_domain(self, where: Where, domain: Json) -> Iterator[Place]:
        types = (domain.get("endpointConfiguration") or {}).get("types") or [*_ENDPOINTS]
        for kind, (certificate, host) in _ENDPOINTS.items():
            if kind in types and domain.get(certificate) and domain.get(host):
                yield self._place(where, domain, domain[certificate], domain[host])

    def _place(self, where: Where, domain: Json, certificate: str, host: str) -> Place:
        from perennial.scanners.apigateway import protocols

        return Place(
            place=f"arn:aws:apigateway:{where[1]}::/domainnames/{domain['domainName']}",
            kind=self.kind,
            where=where,
            name=domain["domainName"],
            hosts=(host.lower(), domain["domainName"].lower()),
            port=PORT,
            addresses=API_ADDRESSES,
            default=certificate,
            more=(),
            protocols=tuple(protocols(domain.get("securityPolicy") or "TLS_1_2")) or _ALL[2:],
        )


class Distributions:
    """Distributions that are enabled and show a certificate of their own; one without shows CloudFront's."""

    kind = "cloudfront"

    def __init__(self, store: Store) -> None:
        self._store = store

    def places(self) -> Iterator[Place]:
        token = ("Marker", "DistributionList.NextMarker")
        for where in self._store.scopes(self.kind):
            listed = self._store.listed(self.kind, "ListDistributions", where, "DistributionList.Items", token)
            yield from (place for each in listed if (place := self._place(where, each, each)))

    def again(self, place: Place) -> Place | None:
        answer = self._store.ask(self.kind, "GetDistribution", place.where, Id=place.name)
        found = answer["Distribution"] if answer else None
        return self._place(place.where, found, found["DistributionConfig"]) if found else None

    def _place(self, where: Where, told: Json, settings: Json) -> Place | None:
        from perennial.scanners.cloudfront import protocols

        shown: Json = settings.get("ViewerCertificate") or {}
        certificate = shown.get("ACMCertificateArn") or self._of_iam(where, shown.get("IAMCertificateId"))
        if not certificate or not settings["Enabled"]:
            return None
        aliases: list[Any] = (settings.get("Aliases") or {}).get("Items") or []
        return Place(
            place=told["ARN"],
            kind=self.kind,
            where=where,
            name=told["Id"],
            hosts=(told["DomainName"].lower(), *(each.lower() for each in aliases)),
            port=PORT,
            addresses=DISTRIBUTION_ADDRESSES,
            default=certificate,
            more=(),
            protocols=tuple(protocols(shown.get("MinimumProtocolVersion") or "TLSv1")) or _ALL,
        )

    def _of_iam(self, where: Where, identifier: str | None) -> str | None:
        """The ARN of the server certificate that a distribution names by its id."""
        if not identifier:
            return None
        items, token = "ServerCertificateMetadataList", ("Marker", "Marker")
        listed = self._store.listed("iam", "ListServerCertificates", where, items, token)
        return next((each["Arn"] for each in listed if each["ServerCertificateId"] == identifier), None)
