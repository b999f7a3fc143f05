"""A distribution of CloudFront as it is, its certificate, and its update on the condition that nobody changed it since.

What names a certificate is {"ACMCertificateArn": …} or {"IAMCertificateId": …}, as in ViewerCertificate; {} stands for
the one of *.cloudfront.net, which is CloudFront's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perennial.certificate import Certificate
from perennial.errors import InvalidInput, InvalidReply, NotFound
from perennial.issuers.aws_replies import answered, code
from perennial.targets import acm_copy, iam_copy
from perennial.targets.reply_members import inner, text

REGION = "us-east-1"  # where CloudFront takes certificates from
ACM, IAM = "ACMCertificateArn", "IAMCertificateId"
_KEPT = ("SSLSupportMethod", "MinimumProtocolVersion")  # of a ViewerCertificate; the rest names the certificate
_STALE = ("PreconditionFailed", "InvalidIfMatchVersion")
_ADVICE = {
    "InvalidViewerCertificate": (
        f"the certificate must be issued and in {REGION}, come with its chain from a CA that Mozilla includes, and"
        " cover every alias"
    ),
    "TooManyCertificates": "remove distributions with dedicated IP addresses, or have the quota raised",
    "CNAMEAlreadyExists": "another distribution has one of the aliases: remove it there",
    "IllegalUpdate": "look at the distribution in CloudFront: something else in its configuration is refused",
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution as it is now, and its certificate. `shown` names that: {} for *.cloudfront.net."""

    etag: str
    told: Mapping[str, Any]
    shown: Mapping[str, str]
    certificate: Certificate | None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate; "" where it cannot be read."""
        return self.certificate.fingerprint or "" if self.certificate else ""

    @property
    def configuration(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.told["DistributionConfig"]
        return found

    @property
    def viewer(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.configuration.get("ViewerCertificate", {})
        return found

    @property
    def aliases(self) -> tuple[str, ...]:
        return tuple(self.configuration.get("Aliases", {}).get("Items", ()))

    def with_certificate(self, shown: Mapping[str, str]) -> dict[str, Any]:
        """The whole configuration with another certificate."""
        kept = {name: self.viewer[name] for name in _KEPT if name in self.viewer}
        return {**self.configuration, "ViewerCertificate": {"CloudFrontDefaultCertificate": False, **kept, **shown}}


@dataclass(frozen=True, slots=True)
class Distributions:
    """CloudFront of an account, and the stores of certificates: ACM in us-east-1, and IAM."""

    account: str
    api: Any
    acm: Any
    iam: Any

    def read(self, identifier: str) -> Distribution:
        """A distribution as it is now.

        Raises: NotFound, InvalidReply.
        """
        answer = self._answer(identifier)
        told: Mapping[str, Any] = answer.get("Distribution", {})
        if not answer.get("ETag") or not told.get("DistributionConfig"):
            raise InvalidReply(f"cloudfront:GetDistribution of {identifier}: no ETag, or no configuration")
        viewer = told["DistributionConfig"].get("ViewerCertificate", {})
        shown = {name: str(viewer[name]) for name in (ACM, IAM) if viewer.get(name)}
        return Distribution(str(answer["ETag"]), told, shown, self.certificate(shown))

    def _answer(self, identifier: str) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        doing = f"cloudfront:GetDistribution of {identifier}"
        with answered(doing, _ADVICE):
            try:
                answer: Mapping[str, Any] = self.api.get_distribution(Id=identifier)
            except ClientError as error:
                if code(error) != "NoSuchDistribution":
                    raise
                raise NotFound(f"{doing}: there is none in account {self.account}; check id and account") from error
        return answer

    def certificate(self, shown: Mapping[str, str]) -> Certificate | None:
        """What is under a name now; None where nothing is, or it is not known."""
        if ACM in shown:
            return acm_copy.certificate(self.acm, shown[ACM])
        return self._of_iam(shown[IAM]) if IAM in shown else None

    def _of_iam(self, identifier: str) -> Certificate | None:
        """A server certificate by its id; None where the account has none of that id."""
        doing = "iam:ListServerCertificates"
        with answered(doing, {}):
            pages = self.iam.get_paginator("list_server_certificates").paginate()
            listed = [each for page in pages for each in page.get("ServerCertificateMetadataList", ())]
        name = next((text(each, "ServerCertificateName", doing) for each in listed if _has(each, identifier)), "")
        return iam_copy.certificate(self.iam, name) if name else None

    def update(self, identifier: str, here: Distribution, shown: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Another certificate: the distribution after the change; None where someone changed it since it was read."""
        from botocore.exceptions import ClientError

        wanted = here.with_certificate(shown)
        with answered(f"cloudfront:UpdateDistribution of {identifier} to {words(shown)}", _ADVICE):
            try:
                answer = self.api.update_distribution(Id=identifier, IfMatch=here.etag, DistributionConfig=wanted)
            except ClientError as error:
                if code(error) not in _STALE:
                    raise
                return None
        told: Mapping[str, Any] = answer.get("Distribution", {})
        return told

    def manages(self, shown: Mapping[str, str]) -> bool:
        """Whether CloudFront itself made a certificate, and renews it."""
        arn = shown.get(ACM, "")
        if not arn:
            return False
        doing = f"acm:DescribeCertificate of {arn}"
        with answered(doing, {}):
            answer = self.acm.describe_certificate(CertificateArn=arn)
        return bool(inner(answer, "Certificate", doing).get("ManagedBy") == "CLOUDFRONT")


def _has(listed: Mapping[str, Any], identifier: str) -> bool:
    return bool(listed.get("ServerCertificateId") == identifier)


def named_in(state: str) -> dict[str, str]:
    """What names a certificate, from the state that was kept."""
    try:
        found = json.loads(state)
    except ValueError as error:
        raise InvalidInput(f"the kept state of a distribution cannot be read: {state[:200]!r}") from error
    if not isinstance(found, dict) or not set(found) <= {ACM, IAM}:
        raise InvalidInput(f"the kept state is not of a distribution: {state[:200]!r}")
    return {name: str(value) for name, value in found.items()}


def words(shown: Mapping[str, str]) -> str:
    """What names a certificate, for people."""
    return shown.get(ACM) or shown.get(IAM) or "the certificate of *.cloudfront.net"
