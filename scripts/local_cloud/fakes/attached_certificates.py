"""What a service asks the fake ACM before it shows a certificate: is there one, is it issued, which names has it.

Services that take certificates from one region only (CloudFront, edge-optimized domains of API Gateway) ask about ARNs
of another region than that of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from local_cloud.fakes.service import FakeService, ServiceError

Described = Callable[[str], dict[str, Any] | None]
"""ARN -> DescribeCertificate's answer; None where ACM of the ARN's account and region has no such certificate."""

CLOUDFRONT_KEYS = ("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1")
_ABSENT = ("ResourceNotFoundException", "InvalidArnException", "ValidationException")


def _fake_of_this_process(service: str) -> FakeService[Any]:
    from local_cloud import fakes

    return fakes.fake(service)


def described_by(find: Callable[[str], FakeService[Any]] = _fake_of_this_process) -> Described:
    """Asks the fake of ACM, which `find` gets by botocore's name of the service."""

    def described(arn: str) -> dict[str, Any] | None:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "acm":
            return None
        try:
            question = {"CertificateArn": arn}
            answer = find("acm").call("DescribeCertificate", question, account=parts[4], region=parts[3])
        except ServiceError as error:
            if error.code in _ABSENT:
                return None
            raise
        certificate: dict[str, Any] = answer["Certificate"]
        return certificate

    return described


def usable(certificate: dict[str, Any]) -> bool:
    """Whether an integrated service may show it: issued and in date, and not obtained for an ACME client."""
    return certificate.get("Status") == "ISSUED" and certificate.get("CertificateKeyPairOrigin") != "ACME"


def covers(certificate: dict[str, Any], host: str) -> bool:
    """Whether a certificate has a host name (or wildcard) among its names, wildcards counting for one label."""
    held = {each.lower() for each in _names(certificate)}
    return host.lower() in held or f"*.{host.lower().partition('.')[2]}" in held


def _names(certificate: dict[str, Any]) -> Iterable[str]:
    return [certificate.get("DomainName", ""), *certificate.get("SubjectAlternativeNames", ())]
