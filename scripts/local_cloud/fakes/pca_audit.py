"""The audit report of a private CA: the only list of what it issued.

Source: AWS Private CA User Guide, "Use audit reports with your private CA".
"""

import contextvars
import csv
import io
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local_cloud.fakes import acm_x509
from local_cloud.fakes.pca_authority import Authority, Issued

INTERVAL = timedelta(minutes=30)
Background = Callable[[Callable[[], None]], None]

FIELDS = (
    "awsAccountId",
    "requestedByServicePrincipal",
    "certificateArn",
    "serial",
    "subject",
    "notBefore",
    "notAfter",
    "issuedAt",
    "revokedAt",
    "revocationReason",
    "templateArn",
)


def in_thread(work: Callable[[], None]) -> None:
    """Runs work beside the request, as the account and region of the request.

    A report is written to ministack's S3, which runs on the event loop: waiting for it while a fake's lock is held
    could wait for ever.
    """
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), daemon=True).start()


def _time(value: datetime | None) -> str | None:
    return value.strftime("%Y-%m-%dT%H:%M:%S+0000") if value else None


def _row(authority: Authority, item: Issued) -> dict[str, Any]:
    certificate = item.certificate
    return {
        "awsAccountId": authority.account,
        "requestedByServicePrincipal": item.requested_by,
        "certificateArn": item.arn,
        "serial": acm_x509.serial_text(certificate.serial_number),
        "subject": certificate.subject.rfc4514_string(),
        "notBefore": _time(certificate.not_valid_before_utc),
        "notAfter": _time(certificate.not_valid_after_utc),
        "issuedAt": _time(item.issued_at),
        "revokedAt": _time(item.revoked_at),
        "revocationReason": item.revocation_reason,
        "templateArn": item.template_arn,
    }


def report(authority: Authority, kind: str) -> bytes:
    """The report as JSON, without the members that have no value, or as CSV."""
    rows = [_row(authority, item) for item in authority.issued.values()]
    if kind == "JSON":
        present = [{key: value for key, value in row.items() if value is not None} for row in rows]
        return json.dumps(present).encode()
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
