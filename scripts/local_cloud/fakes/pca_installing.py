"""ImportCertificateAuthorityCertificate: what may be installed as the certificate of a private CA.

Source: AWS Private CA API Reference, "ImportCertificateAuthorityCertificate".
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID as Oid

from local_cloud.fakes import pca_names
from local_cloud.fakes.pca_authority import Authority
from local_cloud.fakes.service import ServiceError

MAY_BE_CRITICAL = frozenset(
    {
        Oid.AUTHORITY_KEY_IDENTIFIER,
        Oid.BASIC_CONSTRAINTS,
        Oid.CERTIFICATE_POLICIES,
        Oid.EXTENDED_KEY_USAGE,
        Oid.INHIBIT_ANY_POLICY,
        Oid.ISSUER_ALTERNATIVE_NAME,
        Oid.KEY_USAGE,
        Oid.NAME_CONSTRAINTS,
        Oid.POLICY_MAPPINGS,
        Oid.SUBJECT_ALTERNATIVE_NAME,
        Oid.SUBJECT_DIRECTORY_ATTRIBUTES,
        Oid.SUBJECT_KEY_IDENTIFIER,
        Oid.SUBJECT_INFORMATION_ACCESS,
    }
)


def _malformed(message: str) -> ServiceError:
    return ServiceError("MalformedCertificateException", message)


def _mismatch(message: str) -> ServiceError:
    return ServiceError("CertificateMismatchException", message)


def read(pem: bytes, what: str) -> list[x509.Certificate]:
    """The certificates of a PEM text. Raises MalformedCertificateException."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise _malformed(f"The {what} cannot be read.") from error


def check(authority: Authority, own: x509.Certificate, chain: Sequence[x509.Certificate], now: datetime) -> None:
    """Whether a certificate and its chain may be installed. Raises ServiceError."""
    _check_identity(authority, own)
    for certificate in (own, *chain):
        _check_authority(certificate)
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise _malformed("The certificate is not valid at this time.")
    if authority.kind == "ROOT":
        _check_root(own, chain)
    else:
        _check_subordinate(own, chain)


def _check_identity(authority: Authority, own: x509.Certificate) -> None:
    if _spki(own) != authority.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise _mismatch("The public key of the certificate is not the one of the certificate authority.")
    if own.subject != pca_names.subject(authority.configuration["Subject"]):
        raise _mismatch("The subject of the certificate is not the one of the certificate authority.")


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_authority(certificate: x509.Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise _malformed("A CA certificate needs basic constraints.") from error
    if not (constraints.critical and constraints.value.ca):
        raise _malformed("The basic constraints of a CA certificate must be critical and say that it is a CA.")
    refused = [item.oid for item in certificate.extensions if item.critical and item.oid not in MAY_BE_CRITICAL]
    if refused:
        raise _malformed(f"The extension {refused[0].dotted_string} must not be critical.")


def _check_root(own: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    if not _issued_by(own, own):
        raise _malformed("Only a self-signed certificate can be imported as a root CA.")
    if chain:
        raise ServiceError("InvalidRequestException", "A root CA certificate has no chain.")


def _check_subordinate(own: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    if _issued_by(own, own):
        raise _malformed("A self-signed certificate cannot be imported as a subordinate CA.")
    if not chain:
        raise ServiceError("InvalidRequestException", "A subordinate CA certificate needs its chain.")
    for child, parent in zip((own, *chain), (*chain, chain[-1]), strict=True):
        if not _issued_by(child, parent):
            raise _malformed("The chain must lead link by link from the certificate to a self-signed root.")


def _issued_by(child: x509.Certificate, parent: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
