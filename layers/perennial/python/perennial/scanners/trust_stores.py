"""Trust stores: which CAs are trusted by load balancers, CloudFront and IAM Roles Anywhere. One sighting per CA.

| service | what its API tells | so |
| --- | --- | --- |
| Roles Anywhere | the list holds the certificates | read from the list, also in a quick scan |
| ELB | a number of CAs, which a replaced bundle may keep | each bundle is read once a scan |
| CloudFront | a number of CAs and an ETag, not the CAs nor their S3 source | a note names the number |

API Gateway's mutual TLS keeps its trust store in the customer's S3 bucket: `apigateway` tells its address.

Sources: ELBv2 API reference (GetTrustStoreCaCertificatesBundle), CloudFront API reference (TrustStore), IAM Roles
Anywhere API reference (Source).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

from botocore.exceptions import ClientError, EndpointConnectionError

from perennial.certificate import broken_blocks, ders, fingerprint, parse
from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

_MAX_BUNDLE = 10_000_000  # bytes
_BUNDLE_TIMEOUT = 10  # seconds
_S3_HOST = re.compile(  # S3's hosts in every partition; many others under amazonaws.com are customers'
    r"([a-z0-9.-]+\.)?s3(-fips)?([.-](dualstack\.)?[a-z]{2,4}(-[a-z]+)+-\d)?\."
    r"(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
_NOT_THERE = frozenset({"UnknownOperationException", "UnknownOperation", "InvalidAction"})


def scan(reading: Reading) -> Iterator[Seen]:
    """Every CA of every trust store in the region. CloudFront's are told in us-east-1 only: the service is global."""
    yield from _available("rolesanywhere", reading, _roles_anywhere)
    if reading.full:  # a bundle costs a call
        yield from _available("elbv2", reading, _elbv2)
    if reading.scope.region == "us-east-1":
        yield from _cloudfront(reading, reading.client("cloudfront"))


def _available(service: str, reading: Reading, part: Callable[[Reading, Any], Iterator[Seen]]) -> Iterator[Seen]:
    """One service's part; nothing where AWS does not run that service in this region."""
    client = reading.client(service)
    try:
        yield from part(reading, client)
    except (EndpointConnectionError, ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        if (code and code not in _NOT_THERE) or _exists(service, client):
            raise


def _exists(service: str, client: Any) -> bool:
    """Whether AWS runs the service in the client's region, as far as botocore's endpoint data knows."""
    from botocore.session import get_session

    regions = get_session().get_available_regions(service, client.meta.partition)
    return not regions or client.meta.region_name in regions


def _roles_anywhere(reading: Reading, client: Any) -> Iterator[Seen]:
    for page in client.get_paginator("list_trust_anchors").paginate():
        for anchor in page.get("trustAnchors", ()):
            arn, source = anchor["trustAnchorArn"], anchor.get("source", {})
            about = {"store": anchor.get("name"), "status": "ENABLED" if anchor.get("enabled") else "DISABLED"}
            data = source.get("sourceData", {})
            if "acmPcaArn" in data:
                yield _private_ca(arn, data["acmPcaArn"], about)
            else:
                yield from _anchors(reading, arn, data.get("x509CertificateData", "").encode(), about)


def _private_ca(store: str, authority: str, about: Mapping[str, Any]) -> Seen:
    """A trust anchor that names a private CA: it trusts whatever certificate that CA has."""
    location = f"{store}#{authority}"
    return Seen(Sighting(location=location, role=Role.ATTACHED, resource=store, holder=authority, attributes=about))


def _elbv2(reading: Reading, client: Any) -> Iterator[Seen]:
    for page in client.get_paginator("describe_trust_stores").paginate():
        for store in page.get("TrustStores", ()):
            arn = store["TrustStoreArn"]
            try:
                location = client.get_trust_store_ca_certificates_bundle(TrustStoreArn=arn)["Location"]
                trusted_by = _associations(client, arn)
            except client.exceptions.TrustStoreNotFoundException:  # deleted since it was listed
                continue
            about = {"store": store.get("Name"), "status": store.get("Status"), "trusted_by": trusted_by}
            try:
                bundle = _fetch(location, client.meta.endpoint_url)
            except (OSError, HTTPException, ValueError) as error:  # URLError and timeouts are OSErrors
                yield _problem(arn, about, f"the CA bundle cannot be fetched: {_reason(error)}")
                continue
            yield from _anchors(reading, arn, bundle, about)


def _associations(client: Any, arn: str) -> list[str]:
    pages = client.get_paginator("describe_trust_store_associations").paginate(TrustStoreArn=arn)
    return sorted(each["ResourceArn"] for page in pages for each in page.get("TrustStoreAssociations", ()))


class _NoRedirect(HTTPRedirectHandler):
    """A redirect could lead anywhere, also into the network of the scanner."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _fetch(url: str, endpoint: str) -> bytes:
    """A bundle from the address that ELB told: S3 over HTTPS, or the endpoint that the client itself talks to.

    Raises: OSError or HTTPException when it cannot be read; ValueError when the address is another one, or the bundle
    too large or cut short.
    """
    parts, own = urlsplit(url), urlsplit(endpoint)
    from_s3 = parts.scheme == "https" and bool(_S3_HOST.fullmatch(parts.netloc.removesuffix(":443")))
    if not from_s3 and (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
        raise ValueError("its address is not one of Amazon S3")
    with build_opener(_NoRedirect).open(url, timeout=_BUNDLE_TIMEOUT) as answer:
        bundle: bytes = answer.read(_MAX_BUNDLE + 1)
        promised = int(answer.headers.get("Content-Length") or 0)
    if len(bundle) > _MAX_BUNDLE:
        raise ValueError(f"it is larger than {_MAX_BUNDLE} bytes")
    if len(bundle) < promised:  # http.client does not tell where a size is given to read
        raise ValueError(f"it ended after {len(bundle)} of {promised} bytes")
    return bundle


def _reason(error: Exception) -> str:
    """What went wrong, without the address: that is signed, and as good as a password until it ends."""
    if isinstance(error, HTTPException):
        return type(error).__name__
    return str(error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error)[:200]


def _cloudfront(reading: Reading, client: Any) -> Iterator[Seen]:
    for page in client.get_paginator("list_trust_stores").paginate():
        for store in page.get("TrustStoreList", ()):
            about = {
                "store": store.get("Name"),
                "status": store.get("Status"),
                "status_message": store.get("Reason"),
                "trusted_by": _distributions(client, store["Id"]) if reading.full else None,
                "note": f"CloudFront does not give out its {store.get('NumberOfCaCertificates', 0)} CA certificates",
            }
            arn, version = store["Arn"], store.get("ETag", "")
            yield Seen(Sighting(location=arn, role=Role.ANCHOR, resource=arn, version=version, attributes=_told(about)))


def _distributions(client: Any, identifier: str) -> list[str]:
    pages = client.get_paginator("list_distributions_by_trust_store").paginate(TrustStoreIdentifier=identifier)
    return sorted(each["ARN"] for page in pages for each in page["DistributionList"].get("Items", ()))


def _anchors(reading: Reading, store: str, bundle: bytes, about: Mapping[str, Any]) -> Iterator[Seen]:
    """One sighting for each CA of a bundle; parsed only where the manifest does not know it."""
    certificates = {fingerprint(der): der for der in ders(bundle)}
    for digest, der in certificates.items():
        location = f"{store}#{digest}"
        sighting = Sighting(
            location=location, role=Role.ANCHOR, resource=store, fingerprint=digest, attributes=_told(about)
        )
        yield Seen(sighting, None if location in reading.known else parse(der))
    broken = broken_blocks(bundle)
    if broken or not certificates:
        problem = f"the bundle cannot be read in full: {'; '.join(broken)[:300]}" if broken else "the store holds no CA"
        yield _problem(store, about, problem)


def _told(about: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in about.items() if value}


def _problem(store: str, about: Mapping[str, Any], problem: str) -> Seen:
    attributes = {**_told(about), "problem": problem}
    return Seen(Sighting(location=store, role=Role.ANCHOR, resource=store, attributes=attributes))


SCANNER = Scanner(
    source="trust_stores",
    title="Trust stores of ELB, CloudFront and IAM Roles Anywhere",
    actions=(
        "cloudfront:ListDistributionsByTrustStore",
        "cloudfront:ListTrustStores",
        "elasticloadbalancing:DescribeTrustStoreAssociations",
        "elasticloadbalancing:DescribeTrustStores",
        "elasticloadbalancing:GetTrustStoreCaCertificatesBundle",
        "rolesanywhere:ListTrustAnchors",
    ),
    scan=scan,
)
