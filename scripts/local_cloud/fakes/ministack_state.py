"""What the fakes need of ministack's own services: Route 53 records, who uses a certificate, objects in S3.

What is read comes from the memory of services that ministack has loaded; one that was never called has no state.
"""

import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from local_cloud.fakes.references import Index, Provider, References

_VIEWER_CERTIFICATE = re.compile(r"ACMCertificateArn>([^<]+)<")
_SERVER_CERTIFICATE = re.compile(r"IAMCertificateId>([^<]+)<")
_DOMAIN_FIELDS = ("certificateArn", "regionalCertificateArn", "ownershipVerificationCertificateArn")


def _service(name: str) -> ModuleType | None:
    return sys.modules.get(f"ministack.services.{name}")


def _stored(module: ModuleType, name: str) -> list[tuple[Any, Any]]:
    """(scoped key, value) of one of ministack's account-scoped stores, for all accounts, as they are now."""
    return list(getattr(module, name)._data.items())


def cname(name: str) -> str | None:
    """The target of a CNAME in any hosted zone of any account, without the last dot; None if there is none."""
    wanted = name.rstrip(".").lower()
    route53 = _service("route53")
    for _, records in _stored(route53, "_records") if route53 else []:
        for record in records:
            if record["Type"] == "CNAME" and record["Name"].rstrip(".").lower() == wanted:
                return next((value.rstrip(".").lower() for value in record.get("ResourceRecords", [])), None)
    return None


def put_object(bucket: str, key: str, body: bytes, content_type: str) -> int:
    """Writes an object into ministack's S3, as the account of the request being served; the HTTP status."""
    from ministack import app

    headers = {"content-type": content_type, "content-length": str(len(body)), "host": "s3.amazonaws.com"}
    handler = app.SERVICE_HANDLERS["s3"]
    status, _, _ = app.call_service_handler_sync(handler, "PUT", f"/{bucket}/{key}", headers, body, {})
    return status


def _inverted(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """certificate ARN -> ARNs of the resources that use it."""
    found: dict[str, list[str]] = {}
    for certificate, resource in pairs:
        found.setdefault(certificate, []).append(resource)
    return found


def distributions(account: str, region: str) -> dict[str, list[str]]:
    """The certificates of CloudFront distributions, all of which are in us-east-1."""
    module = _service("cloudfront") if region == "us-east-1" else None
    return _inverted(_distribution_pairs(module, account, _VIEWER_CERTIFICATE)) if module else {}


def server_certificate_users(account: str, region: str, arn: str) -> list[str]:
    """The distributions that show a server certificate of IAM: they name it by its id, and not by its ARN."""
    module = _service("cloudfront") if ":server-certificate/" in arn else None
    identifier = _identifier(account, arn) if module else None
    if module is None or identifier is None:
        return []
    return _inverted(_distribution_pairs(module, account, _SERVER_CERTIFICATE)).get(identifier, [])


def _identifier(account: str, arn: str) -> str | None:
    """The id that the fake IAM of this process knows a server certificate by; None where it has none."""
    from local_cloud import fakes

    answer = fakes.fake("iam").call("ListServerCertificates", {"MaxItems": 1000}, account=account)
    listed = answer["ServerCertificateMetadataList"]
    return next((each["ServerCertificateId"] for each in listed if each["Arn"] == arn), None)


def _distribution_pairs(module: ModuleType, account: str, names: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for (owner, _), record in _stored(module, "_distributions"):
        found = names.search(record.get("config_xml", "")) if owner == account else None
        if found:
            yield found.group(1).strip(), record["ARN"]


def domain_names(account: str, region: str) -> dict[str, list[str]]:
    """The certificates of API Gateway's custom domain names, both of REST and of HTTP APIs."""
    module = _service("apigateway_v1")
    return _inverted(_domain_pairs(module, account)) if module else {}


def _domain_pairs(module: ModuleType, account: str) -> Iterator[tuple[str, str]]:
    for (owner, region, name), record in _stored(module, "_domain_names"):
        for field in _DOMAIN_FIELDS:
            if owner == account and record.get(field):
                yield record[field], f"arn:aws:apigateway:{region}::/domainnames/{name}"


def register_users(references: References) -> None:
    """Adds ministack's own users of certificates."""
    references.register("cloudfront", _provider(distributions), index=distributions)
    references.register("cloudfront-iam", server_certificate_users, index=lambda account, region: {})
    references.register("apigateway", _provider(domain_names), index=domain_names)


def _provider(index: Index) -> Provider:
    return lambda account, region, arn: index(account, region).get(arn, [])
