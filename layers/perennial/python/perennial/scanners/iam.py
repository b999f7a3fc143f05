"""IAM server certificates: the old store, still used by classic load balancers and CloudFront, with no renewal at all.

Sources: IAM API reference (ListServerCertificates, ServerCertificateMetadata, GetServerCertificate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perennial import material
from perennial.acm_words import utc
from perennial.certificate import Certificate
from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

_DENIED = "the certificate cannot be read: iam:GetServerCertificate is denied"
_PROBLEMS = {"AccessDenied": _DENIED, "AccessDeniedException": _DENIED}


def scan(reading: Reading) -> Iterator[Seen]:
    """Every server certificate of the account; a quick scan knows when it ends, and no more."""
    client = reading.client("iam")
    tags = reading.tags("iam:server-certificate")
    for metadata in _listed(client):
        sighting = _sighting(metadata, tags)
        if not reading.full:
            yield Seen(sighting, Certificate(fingerprint=None, not_after=utc(metadata.get("Expiration"))))
        elif (seen := _current(client, metadata, sighting, reading.known.get(sighting.location))) is not None:
            yield seen


def _listed(client: Any) -> list[Mapping[str, Any]]:
    pages = client.get_paginator("list_server_certificates").paginate(PaginationConfig={"PageSize": 1000})
    return [metadata for page in pages for metadata in page["ServerCertificateMetadataList"]]


def _sighting(metadata: Mapping[str, Any], tags: Mapping[str, Mapping[str, str]]) -> Sighting:
    arn = metadata["Arn"]
    uploaded, ends = utc(metadata.get("UploadDate")), utc(metadata.get("Expiration"))
    attributes = {"changed_at": uploaded.isoformat() if uploaded else None, "tags": dict(tags.get(arn, {})) or None}
    return Sighting(
        location=arn,
        role=Role.STORED,
        resource=arn,
        version="|".join(
            [metadata["ServerCertificateId"], *(each.isoformat() if each else "" for each in (ends, uploaded))]
        ),
        attributes={name: value for name, value in attributes.items() if value is not None},
    )


def _current(client: Any, metadata: Mapping[str, Any], sighting: Sighting, known: Sighting | None) -> Seen | None:
    def get() -> tuple[str, str | None]:
        answer = client.get_server_certificate(ServerCertificateName=metadata["ServerCertificateName"])
        found = answer["ServerCertificate"]
        return found["CertificateBody"], found.get("CertificateChain")

    return material.current(sighting, known, get, gone="NoSuchEntity", problems=_PROBLEMS)


SCANNER = Scanner(
    source="iam",
    title="IAM server certificates",
    actions=("iam:ListServerCertificates", "iam:GetServerCertificate"),
    scan=scan,
    everywhere=False,
)
