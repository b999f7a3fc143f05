"""The audit reports of one private CA: having one made, finding one that is there, reading it from the bucket.

AWS makes one report per CA in 30 minutes and chooses the object's name, `audit-report/<CA>/<report>.json`; removing old
ones is for the bucket's lifecycle rules. Only the owner of a CA can have one made.
Source: ACM PCA API Reference (CreateCertificateAuthorityAuditReport, DescribeCertificateAuthorityAuditReport); AWS
Private CA User Guide, "Use audit reports with your private CA".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perennial.errors import ServiceRefused
from perennial.issuers import pca_audit
from perennial.issuers.aws_replies import answered, code, refused

FOLDER = "audit-report/"  # where AWS puts them
REPORTING = timedelta(hours=6)  # how long writing one may take
# Which error says that 30 minutes are not over is not documented: it may be one of these, or a throttling one.
TOO_SOON = ("RequestInProgressException", "LimitExceededException", "ThrottlingException", "TooManyRequestsException")
_ID = re.compile(r"[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}")


@dataclass(frozen=True, slots=True)
class Report:
    """A report's id, and its object in the bucket."""

    id: str
    key: str


class Reports:
    """The reports of the CA `authority` in the bucket of the hub."""

    def __init__(self, authority: str, *, client: Any, s3: Any, bucket: str) -> None:
        self._authority = authority
        self._client = client
        self._s3 = s3
        self._bucket = bucket

    def since(self, settled: datetime) -> Report | None:
        """A new report, or where AWS makes none now, the newest one made at `settled` or later; None without either.

        Raises: PerennialError.
        """
        return self._made() or self._found(settled)

    def _made(self) -> Report | None:
        from botocore.exceptions import ClientError

        doing = f"acm-pca:CreateCertificateAuthorityAuditReport of {self._authority}"
        request = {"S3BucketName": self._bucket, "AuditReportResponseFormat": "JSON"}
        with answered(doing, {}):
            try:
                made = self._client.create_certificate_authority_audit_report(
                    CertificateAuthorityArn=self._authority, **request
                )
            except ClientError as error:
                if code(error) in TOO_SOON:
                    return None
                raise refused(error, doing, {}) from error
        return Report(str(made["AuditReportId"]), str(made["S3Key"]))

    def _found(self, settled: datetime) -> Report | None:
        prefix = f"{FOLDER}{self._authority.rpartition('/')[2]}/"
        with answered(f"s3:ListObjectsV2 of {prefix}", {}):
            listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix).get("Contents", [])
        recent = sorted((each["LastModified"], str(each["Key"])) for each in listed if each["LastModified"] >= settled)
        if not recent:
            return None
        key = recent[-1][1]
        name, _, kind = key.removeprefix(prefix).rpartition(".")
        if kind != "json" or not _ID.fullmatch(name):
            return None
        created = self._described(name).get("CreatedAt")
        return Report(name, key) if created is not None and created >= settled else None

    def _described(self, name: str) -> Mapping[str, Any]:
        with answered(f"acm-pca:DescribeCertificateAuthorityAuditReport {name}", {}):
            found: Mapping[str, Any] = self._client.describe_certificate_authority_audit_report(
                CertificateAuthorityArn=self._authority, AuditReportId=name
            )
        return found

    def is_written(self, report: Report, now: datetime) -> bool:
        """Whether a report is in the bucket.

        Raises: ServiceRefused when it will not be; NotFound when AWS does not know it any more; PerennialError.
        """
        found = self._described(report.id)
        status, created = found.get("AuditReportStatus"), found.get("CreatedAt")
        if status == "SUCCESS":
            return True
        if status == "FAILED" or (created is not None and now - created > REPORTING):
            raise ServiceRefused(
                f"the audit report {report.id} was not written to {self._bucket}: let acm-pca.amazonaws.com put"
                f" {FOLDER}* there, in the bucket's policy and its key's, then resume the request"
            )
        return False

    def listed(
        self, report: Report, *, since: datetime, until: datetime, validity_days: int
    ) -> tuple[pca_audit.Listed, ...]:
        """What the CA issued in a span of time with about this validity, the oldest first.

        Raises: InvalidReply, NotFound when the object is gone, PerennialError.
        """
        with answered(f"s3:GetObject {report.key}", {}):
            body = self._s3.get_object(Bucket=self._bucket, Key=report.key)["Body"]
            try:
                return pca_audit.listed(
                    body.iter_chunks(65_536),
                    authority=self._authority,
                    since=since,
                    until=until,
                    validity_days=validity_days,
                )
            finally:
                body.close()
