"""ACM Private CA: the certificates of the account's private CAs, and of those that others share with it.

What a CA issued has no list (the audit report is one); issued certificates are found where they are kept or served.
Sources: ACM PCA API reference (ListCertificateAuthorities, CertificateAuthority, GetCertificateAuthorityCertificate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perennial import acm_words, material
from perennial.certificate import Certificate
from perennial.manifest import Role, Seen, Sighting
from perennial.scanners.interface import Reading, Scanner

_OWNERS = ("SELF", "OTHER_ACCOUNTS")
_WITHOUT = {  # status -> why there is no certificate
    "CREATING": "the CA is being created",
    "PENDING_CERTIFICATE": "the CA has no certificate yet: sign its request and import the certificate",
    "FAILED": "the CA could not be created",
}
_DENIED = "the certificate cannot be read: acm-pca:GetCertificateAuthorityCertificate is denied"
_PROBLEMS = {
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "InvalidStateException": "the certificate cannot be read in this state of the CA",
}


def scan(reading: Reading) -> Iterator[Seen]:
    """The certificate of every CA, own or shared; in a quick scan, what the listing tells of it."""
    client = reading.client("acm-pca")
    tags = reading.tags("acm-pca:certificate-authority")
    for authority in _listed(client).values():
        sighting = _sighting(authority, reading.scope.account, tags)
        known = reading.known.get(sighting.location)
        problem = _WITHOUT.get(authority.get("Status", ""))
        if problem is not None:
            yield material.unreadable(sighting, problem, known)
        elif not reading.full:
            yield Seen(sighting, _certificate(authority))
        elif (seen := _current(client, sighting, known)) is not None:
            yield seen


def _listed(client: Any) -> Mapping[str, Mapping[str, Any]]:
    """The CAs by ARN: those of this account, then those shared with it."""
    paginator = client.get_paginator("list_certificate_authorities")
    return {
        authority["Arn"]: authority
        for owner in _OWNERS
        for page in paginator.paginate(ResourceOwner=owner, PaginationConfig={"PageSize": 1000})
        for authority in page.get("CertificateAuthorities", ())
    }


def _sighting(authority: Mapping[str, Any], account: str, tags: Mapping[str, Mapping[str, str]]) -> Sighting:
    arn = authority["Arn"]
    attributes = {
        "type": authority.get("Type"),
        "status": authority.get("Status"),
        "usage_mode": authority.get("UsageMode"),
        "shared": arn.split(":")[4] != account,
        "tags": dict(tags.get(arn, {})) or None,
    }
    return Sighting(
        location=arn,
        role=Role.AUTHORITY,
        resource=arn,
        version=_version(authority),
        attributes={name: value for name, value in attributes.items() if value is not None},
    )


def _version(authority: Mapping[str, Any]) -> str:
    """What a renewed or imported CA certificate changes."""
    begin, end = acm_words.utc(authority.get("NotBefore")), acm_words.utc(authority.get("NotAfter"))
    return "|".join([authority.get("Serial", ""), *(time.isoformat() if time else "" for time in (begin, end))])


def _certificate(authority: Mapping[str, Any]) -> Certificate:
    configuration = authority.get("CertificateAuthorityConfiguration", {})
    subject = configuration.get("Subject", {})
    root = authority.get("Type") == "ROOT"
    name = acm_words.distinguished_name(subject)
    return Certificate(
        fingerprint=None,
        serial=acm_words.serial(authority.get("Serial")),
        subject=name,
        issuer=name if root else None,
        common_name=subject.get("CommonName"),
        not_before=acm_words.utc(authority.get("NotBefore")),
        not_after=acm_words.utc(authority.get("NotAfter")),
        is_ca=True,
        self_issued=root,
        **acm_words.key_facts(configuration.get("KeyAlgorithm")),
    )


def _current(client: Any, sighting: Sighting, known: Sighting | None) -> Seen | None:
    def get() -> tuple[str, str | None]:
        answer = client.get_certificate_authority_certificate(CertificateAuthorityArn=sighting.location)
        return answer.get("Certificate", ""), answer.get("CertificateChain")

    return material.current(sighting, known, get, gone="ResourceNotFoundException", problems=_PROBLEMS)


SCANNER = Scanner(
    source="acm_pca",
    title="ACM Private CA",
    actions=("acm-pca:ListCertificateAuthorities", "acm-pca:GetCertificateAuthorityCertificate"),
    scan=scan,
)
