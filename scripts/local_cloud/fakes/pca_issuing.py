"""IssueCertificate: validity, template and signature of what a private CA issues.

Source: AWS Private CA API Reference, "IssueCertificate" and "Validity".
"""

import calendar
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local_cloud.fakes import pca_names
from local_cloud.fakes.pca_authority import Authority, require_fitting, sign
from local_cloud.fakes.pca_templates import DEFAULT, Template, find
from local_cloud.fakes.service import ServiceError

BACKDATED = timedelta(minutes=60)
SHORT_LIVED = timedelta(days=7)
_SAN = x509.SubjectAlternativeName.oid


@dataclass(frozen=True)
class Order:
    """An IssueCertificate request, read and checked as far as that goes without the CA."""

    template: Template
    csr: x509.CertificateSigningRequest
    signing_algorithm: str
    not_before: datetime
    not_after: datetime
    passthrough: dict[str, Any]


def beyond(message: str) -> ServiceError:
    """The answer to a validity that is not allowed."""
    return ServiceError("ValidationException", message)


def order(request: dict[str, Any], now: datetime) -> Order:
    """The order in a request. Raises ServiceError."""
    template = find(request.get("TemplateArn", DEFAULT))
    given = request.get("ValidityNotBefore")
    if given and given["Type"] != "ABSOLUTE":
        raise beyond("ValidityNotBefore must be of type ABSOLUTE.")
    start = moment(given, now) if given else now - BACKDATED
    end = moment(request["Validity"], now)
    if end <= now or end <= start:
        raise beyond("The end of the validity lies in the past, or before its start.")
    passthrough = request.get("ApiPassthrough", {}) if template.api else {}
    return Order(template, _csr(request["Csr"]), request["SigningAlgorithm"], start, end, passthrough)


def moment(validity: dict[str, Any], now: datetime) -> datetime:
    """The time that a Validity structure means. Raises ServiceError."""
    kind, value = validity["Type"], validity["Value"]
    try:
        if kind == "ABSOLUTE":
            return datetime.fromtimestamp(value, UTC)
        if kind == "END_DATE":
            return _end_date(str(value))
        if kind == "DAYS":
            return (now + timedelta(days=value)).replace(microsecond=0)
        return _months_later(now, value * (12 if kind == "YEARS" else 1)).replace(microsecond=0)
    except (ValueError, OverflowError, OSError) as error:
        raise beyond(f"The validity {value} of type {kind} is not valid: {error}") from error


def _end_date(text: str) -> datetime:
    """YYMMDDHHMMSS (UTCTime: years from 50 on are in the 20th century) or YYYYMMDDHHMMSS."""
    if len(text) <= 12:
        text = text.zfill(12)
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _months_later(now: datetime, months: int) -> datetime:
    total = now.year * 12 + now.month - 1 + months
    year, month = divmod(total, 12)
    return now.replace(year=year, month=month + 1, day=min(now.day, calendar.monthrange(year, month + 1)[1]))


def _csr(pem: bytes) -> x509.CertificateSigningRequest:
    try:
        csr = x509.load_pem_x509_csr(pem)
        valid = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ServiceError("MalformedCSRException", "The certificate signing request cannot be read.") from error
    if not valid:
        raise ServiceError("MalformedCSRException", "The signature of the certificate signing request is not valid.")
    return csr


def check(authority: Authority, wanted: Order, now: datetime) -> None:
    """Whether the CA may issue what is ordered. Raises ServiceError."""
    require_fitting(wanted.signing_algorithm, authority.key_algorithm)
    if wanted.template.base == "RootCA":
        _check_root(authority, wanted, now)
        return
    authority.require(now, "ACTIVE")
    own = authority.certificate
    if own and wanted.not_after > own.not_valid_after_utc:
        raise beyond("The certificate validity specified exceeds the certificate authority validity.")
    if authority.usage_mode == "SHORT_LIVED_CERTIFICATE" and wanted.not_after - now > SHORT_LIVED:
        raise beyond("A certificate authority in the mode SHORT_LIVED_CERTIFICATE issues for 7 days at most.")
    length = authority.path_length
    if wanted.template.is_authority and length is not None and (wanted.template.path or 0) >= length:
        raise beyond(f"The path length of the template does not fit below a CA with path length {length}.")
    if not _has_identity(wanted):
        raise ServiceError("MalformedCSRException", "The request provides neither a subject nor an alternative name.")


def _check_root(authority: Authority, wanted: Order, now: datetime) -> None:
    """A root template is for the CA's own key, before it is active or to renew its certificate."""
    if authority.kind != "ROOT":
        raise pca_names.invalid("A root CA template needs a root CA.")
    authority.require(now, "PENDING_CERTIFICATE", "ACTIVE")
    if _spki(wanted.csr.public_key()) != _spki(authority.key.public_key()):
        raise ServiceError("MalformedCSRException", "The request is not the one of the certificate authority.")


def _spki(key: Any) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _has_identity(wanted: Order) -> bool:
    return bool(_subject(wanted).rdns) or any(item.oid == _SAN for item in _extensions(wanted))


def _subject(wanted: Order) -> x509.Name:
    described = wanted.passthrough.get("Subject")
    return pca_names.subject(described) if described else wanted.csr.subject


def _extensions(wanted: Order, of_authority: Sequence[x509.Extension[Any]] = ()) -> list[x509.Extension[Any]]:
    """The extensions: of the template, the CA, the API passthrough, the CSR; the first one of a kind counts."""
    candidates = [*wanted.template.extensions(), *of_authority]
    candidates += pca_names.extensions(wanted.passthrough.get("Extensions", {}))
    candidates += [item for item in wanted.csr.extensions if wanted.template.csr or item.oid == _SAN]
    chosen: dict[x509.ObjectIdentifier, x509.Extension[Any]] = {}
    for item in candidates:
        chosen.setdefault(item.oid, item)
    return list(chosen.values())


def issue(authority: Authority, wanted: Order) -> x509.Certificate:
    """The certificate that is ordered, signed by the CA."""
    key = wanted.csr.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(wanted))
        .issuer_name(authority.certificate.subject if authority.certificate else wanted.csr.subject)
        .public_key(key)
        .serial_number(secrets.randbits(127) | (1 << 126))
        .not_valid_before(wanted.not_before)
        .not_valid_after(wanted.not_after)
    )
    for item in _extensions(wanted, _of_authority(authority, key)):
        builder = builder.add_extension(item.value, item.critical)
    return sign(builder, authority.key, wanted.signing_algorithm)


def _of_authority(authority: Authority, key: Any) -> list[x509.Extension[Any]]:
    """Key identifiers, and the CRL's address where the CA publishes one."""
    signer = x509.SubjectKeyIdentifier.from_public_key(authority.key.public_key())
    found: list[Any] = [x509.SubjectKeyIdentifier.from_public_key(key)]
    found.append(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer))
    if address := crl_address(authority):
        names = [x509.UniformResourceIdentifier(address)]
        found.append(x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]))
    return [x509.Extension(value.oid, False, value) for value in found]


def crl_address(authority: Authority) -> str | None:
    """The address of the CRL that goes into certificates; None without a CRL or where the extension is omitted."""
    crl = authority.revocation["CrlConfiguration"]
    omitted = crl.get("CrlDistributionPointExtensionConfiguration", {}).get("OmitExtension", False)
    if not crl["Enabled"] or omitted:
        return None
    region = authority.arn.split(":")[3]
    host = crl.get("CustomCname") or f"{crl['S3BucketName']}.s3.{region}.amazonaws.com"
    return f"http://{host}/crl/{authority.arn.rpartition('/')[2]}.crl"
