"""One certificate in ACM, and the three ways in which ACM shows it: detail, summary and search result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from local_cloud.fakes.acm_x509 import Facts

VALIDATION_TIMEOUT = timedelta(hours=72)
SUMMARY_NAMES = 100


@dataclass(slots=True)
class Validation:
    """The state of the control over one name: PENDING_VALIDATION, SUCCESS or FAILED."""

    domain_name: str
    method: str
    status: str
    record_name: str = ""
    record_value: str = ""
    validation_domain: str | None = None

    def option(self) -> dict[str, Any]:
        """As DescribeCertificate shows it."""
        shown: dict[str, Any] = {
            "DomainName": self.domain_name,
            "ValidationDomain": self.validation_domain or self.domain_name,
            "ValidationStatus": self.status,
            "ValidationMethod": self.method,
        }
        if self.method == "DNS":
            shown["ResourceRecord"] = {"Name": self.record_name, "Type": "CNAME", "Value": self.record_value}
        if self.method == "EMAIL":
            mailboxes = ("admin", "administrator", "hostmaster", "postmaster", "webmaster")
            shown["ValidationEmails"] = [f"{box}@{shown['ValidationDomain']}" for box in mailboxes]
        return shown


@dataclass(slots=True)
class Renewal:
    """The outcome of ACM's managed renewal."""

    status: str
    updated_at: datetime
    reason: str | None = None


@dataclass(slots=True)
class Certificate:
    """One certificate. `stored_status` is what was decided; `status` adds what time does to it."""

    arn: str
    kind: str
    stored_status: str
    created_at: datetime
    origin: str
    requested_names: tuple[str, ...] = ()
    requested_key: str = "RSA_2048"
    facts: Facts | None = None
    der: bytes | None = None
    chain: tuple[bytes, ...] = ()
    private_key: bytes | None = None
    imported_at: datetime | None = None
    issued_at: datetime | None = None
    revoked_at: datetime | None = None
    revocation_reason: str | None = None
    failure_reason: str | None = None
    validations: tuple[Validation, ...] = ()
    validation_method: str | None = None
    renewal: Renewal | None = None
    export_option: str | None = None
    exported: bool = False
    authority_arn: str | None = None
    managed_by: str | None = None
    acme_endpoint_arn: str | None = None
    acme_account_id: str | None = None
    seeded_users: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def status(self, now: datetime) -> str:
        """The status at a time: an issued certificate expires, a request times out after 72 hours."""
        if self.stored_status == "ISSUED" and self.facts and self.facts.not_after < now:
            return "EXPIRED"
        if self.stored_status == "PENDING_VALIDATION" and self.created_at + VALIDATION_TIMEOUT < now:
            return "VALIDATION_TIMED_OUT"
        return self.stored_status

    @property
    def names(self) -> list[str]:
        """All names, the domain name first."""
        return self.facts.names if self.facts else list(self.requested_names)

    @property
    def domain_name(self) -> str | None:
        """The name that stands for the certificate."""
        return self.requested_names[0] if self.requested_names else (self.facts.domain_name if self.facts else None)

    @property
    def key_algorithm(self) -> str:
        """ACM's name of the key's kind and size."""
        return self.facts.key_algorithm if self.facts else self.requested_key

    @property
    def key_usages(self) -> tuple[str, ...]:
        """The key usages; none before the certificate is issued, and without the extension."""
        return (self.facts.key_usages if self.facts else None) or ()

    @property
    def usage_names(self) -> list[str]:
        """The extended key usages by name; none before the certificate is issued, NONE without the extension."""
        return self.facts.usage_names if self.facts else []

    @property
    def body_pem(self) -> str:
        """The certificate. Only for one that was issued or imported."""
        return _pem(self.der) if self.der else ""

    @property
    def chain_pem(self) -> str | None:
        """The chain, or None where there is none."""
        return "".join(_pem(der) for der in self.chain) or None

    def eligibility(self, in_use: bool) -> str:
        """Whether managed renewal applies: to what ACM issued, if it is in use or was exported."""
        managed = self.kind != "IMPORTED" and self.origin != "ACME" and self.stored_status == "ISSUED"
        return "ELIGIBLE" if managed and (in_use or self.exported) else "INELIGIBLE"


def _pem(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def detail(item: Certificate, now: datetime, users: list[str]) -> dict[str, Any]:
    """As DescribeCertificate returns it."""
    shown = _common(item, now, bool(users))
    shown.pop("Exported")
    shown.pop("InUse")
    export = shown.pop("ExportOption")
    options = {"CertificateTransparencyLoggingPreference": _transparency(item), "Export": export}
    return {
        **shown,
        **(_x509_detail(item.facts) if item.facts else {}),
        "SubjectAlternativeNames": item.names or None,
        "DomainValidationOptions": [validation.option() for validation in item.validations] or None,
        "InUseBy": users,
        "RevocationReason": item.revocation_reason,
        "FailureReason": item.failure_reason,
        "RenewalSummary": _renewal_summary(item),
        "CertificateAuthorityArn": item.authority_arn,
        "Options": options,
        "AcmeEndpointArn": item.acme_endpoint_arn,
        "AcmeAccountId": item.acme_account_id,
    }


def _transparency(item: Certificate) -> str:
    return "ENABLED" if item.kind == "AMAZON_ISSUED" else "DISABLED"


def _x509_detail(facts: Facts) -> dict[str, Any]:
    return {
        "Serial": facts.serial,
        "Subject": facts.subject,
        "Issuer": facts.issuer,
        "SignatureAlgorithm": facts.signature_algorithm,
        "KeyUsages": [{"Name": name} for name in facts.key_usages or ()],
        "ExtendedKeyUsages": [{"Name": name, "OID": oid} for name, oid in facts.extended_key_usages or ()],
    }


def _renewal_summary(item: Certificate) -> dict[str, Any] | None:
    if item.renewal is None:
        return None
    validations = item.validations or tuple(Validation(name, "DNS", "SUCCESS") for name in item.names)
    return {
        "RenewalStatus": item.renewal.status,
        "RenewalStatusReason": item.renewal.reason,
        "DomainValidationOptions": [validation.option() for validation in validations],
        "UpdatedAt": item.renewal.updated_at,
    }


def _common(item: Certificate, now: datetime, in_use: bool) -> dict[str, Any]:
    """What detail and summary share."""
    facts = item.facts
    return {
        "CertificateArn": item.arn,
        "DomainName": item.domain_name,
        "Status": item.status(now),
        "Type": item.kind,
        "KeyAlgorithm": item.key_algorithm,
        "ExportOption": item.export_option,
        "Exported": item.exported,
        "InUse": in_use,
        "RenewalEligibility": item.eligibility(in_use),
        "NotBefore": facts and facts.not_before,
        "NotAfter": facts and facts.not_after,
        "CreatedAt": item.created_at,
        "IssuedAt": item.issued_at,
        "ImportedAt": item.imported_at,
        "RevokedAt": item.revoked_at,
        "ManagedBy": item.managed_by,
        "CertificateKeyPairOrigin": item.origin,
    }


def summary(item: Certificate, now: datetime, in_use: bool) -> dict[str, Any]:
    """As ListCertificates returns it: at most 100 names."""
    names = item.names
    return {
        **_common(item, now, in_use),
        "SubjectAlternativeNameSummaries": names[:SUMMARY_NAMES],
        "HasAdditionalSubjectAlternativeNames": len(names) > SUMMARY_NAMES,
        "KeyUsages": list(item.key_usages),
        "ExtendedKeyUsages": item.usage_names,
    }


def search_result(item: Certificate, now: datetime, in_use: bool) -> dict[str, Any]:
    """As SearchCertificates returns it: no tags, no PEM, no ARNs of users."""
    return {
        "CertificateArn": item.arn,
        "X509Attributes": _x509_attributes(item),
        "CertificateMetadata": {"AcmCertificateMetadata": metadata(item, now, in_use)},
    }


def _x509_attributes(item: Certificate) -> dict[str, Any]:
    facts = item.facts
    if facts is None:
        names = [{"DnsName": name} for name in item.names]
        return {"SubjectAlternativeNames": names, "KeyAlgorithm": item.key_algorithm}
    return {
        "Issuer": facts.issuer_name,
        "Subject": facts.subject_name,
        "SubjectAlternativeNames": list(facts.general_names),
        "ExtendedKeyUsages": facts.usage_names,
        "KeyAlgorithm": facts.key_algorithm,
        "KeyUsages": list(facts.key_usages or ()),
        "SerialNumber": facts.serial,
        "NotAfter": facts.not_after,
        "NotBefore": facts.not_before,
    }


METADATA: dict[str, Callable[[Certificate], Any]] = {
    "CreatedAt": lambda item: item.created_at,
    "Exported": lambda item: item.exported,
    "ImportedAt": lambda item: item.imported_at,
    "IssuedAt": lambda item: item.issued_at,
    "RevokedAt": lambda item: item.revoked_at,
    "RenewalStatus": lambda item: item.renewal and item.renewal.status,
    "Type": lambda item: item.kind,
    "ExportOption": lambda item: item.export_option,
    "ManagedBy": lambda item: item.managed_by,
    "ValidationMethod": lambda item: item.validation_method,
    "CertificateKeyPairOrigin": lambda item: item.origin,
    "AcmeEndpointArn": lambda item: item.acme_endpoint_arn,
    "AcmeAccountId": lambda item: item.acme_account_id,
}


def metadata(item: Certificate, now: datetime, in_use: bool) -> dict[str, Any]:
    """ACM's own attributes of the certificate, under the names of SearchCertificates."""
    found = {name: read(item) for name, read in METADATA.items()}
    return {
        **found,
        "Status": item.status(now),
        "InUse": in_use,
        "RenewalEligibility": item.eligibility(in_use),
    }
