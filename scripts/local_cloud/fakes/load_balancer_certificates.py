"""Which certificates a load balancer may serve: those of ACM in its account and region, and IAM's of its account.

Source: "Create an HTTPS listener" in the ELB user guide. Certificates that ACM obtained for an ACME client cannot be
attached to load balancers, and one that is not issued yet cannot either: UnsupportedCertificate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local_cloud.fakes.service import FakeService, ServiceError

Refusal = Callable[[str, str, str], str | None]
"""(account, region, certificate ARN) -> the error code with which it is refused, or None."""

_ABSENT = ("ResourceNotFoundException", "InvalidArnException", "ValidationException", "NoSuchEntity", "ValidationError")
_NOT_YET_ISSUED = ("PENDING_VALIDATION", "VALIDATION_TIMED_OUT", "FAILED")


def _fake_of_this_process(service: str) -> FakeService[Any]:
    from local_cloud import fakes

    return fakes.fake(service)


def refusal_by(find: Callable[[str], FakeService[Any]] = _fake_of_this_process) -> Refusal:
    """A check of certificates against the fakes of ACM and IAM, which `find` gets by botocore's name of the service."""

    def refusal(account: str, region: str, arn: str) -> str | None:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[4] != account:
            return "CertificateNotFound"
        if parts[2] == "iam":
            return _iam_refusal(find("iam"), account, region, arn)
        found_here = parts[2] == "acm" and parts[3] == region
        return _acm_refusal(find("acm"), account, region, arn) if found_here else "CertificateNotFound"

    return refusal


def _acm_refusal(acm: FakeService[Any], account: str, region: str, arn: str) -> str | None:
    answer = _answer(acm, "DescribeCertificate", {"CertificateArn": arn}, account, region)
    if answer is None:
        return "CertificateNotFound"
    certificate = answer["Certificate"]
    unusable = certificate.get("Status") in _NOT_YET_ISSUED or certificate.get("CertificateKeyPairOrigin") == "ACME"
    return "UnsupportedCertificate" if unusable else None


def _iam_refusal(iam: FakeService[Any], account: str, region: str, arn: str) -> str | None:
    name = {"ServerCertificateName": arn.rsplit("/", 1)[-1]}
    answer = _answer(iam, "GetServerCertificate", name, account, region)
    same = answer is not None and answer["ServerCertificate"]["ServerCertificateMetadata"]["Arn"] == arn
    return None if same else "CertificateNotFound"


def _answer(
    fake: FakeService[Any], operation: str, request: dict[str, str], account: str, region: str
) -> dict[str, Any] | None:
    """What the other fake says about a certificate; None where it has no such certificate."""
    try:
        return fake.call(operation, request, account=account, region=region)
    except ServiceError as error:
        if error.code in _ABSENT:
            return None
        raise
