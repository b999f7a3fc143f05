"""The public CA behind the fake ACM: a root and an issuing CA made at first use, for this process only.

Source of the profile: ACM User Guide "ACM public certificate characteristics" (198 days, serverAuth only).
"""

import datetime
import functools
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = datetime.timedelta(days=198)
_CURVES: dict[str, type[Any]] = {
    "EC_prime256v1": ec.SECP256R1,
    "EC_secp384r1": ec.SECP384R1,
    "EC_secp521r1": ec.SECP521R1,
}


def new_key(algorithm: str) -> Any:
    """A private key of one of ACM's kinds, for example RSA_2048 or EC_prime256v1."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    return rsa.generate_private_key(65537, int(algorithm.removeprefix("RSA_")))


def key_pem(key: Any) -> bytes:
    """The key as unencrypted PKCS #8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(common_name: str, organization: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COUNTRY_NAME, "US")] if organization else []
    attributes += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, is_authority: bool, is_rsa: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=is_rsa and not is_authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


class PublicAuthority:
    """Issues what a public ACM request asks for."""

    @functools.cached_property
    def _root(self) -> tuple[Any, x509.Certificate]:
        key = new_key("EC_prime256v1")
        name = _name("Local Cloud Root CA 1", "Amazon")
        return key, self._authority(name, key, name, key)

    @functools.cached_property
    def _issuing(self) -> tuple[Any, x509.Certificate]:
        root_key, root = self._root
        key = new_key("EC_prime256v1")
        return key, self._authority(_name("Amazon Local Cloud M01", "Amazon"), key, root.subject, root_key)

    def _authority(self, subject: x509.Name, key: Any, issuer: x509.Name, signer: Any) -> x509.Certificate:
        start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        usage = _key_usage(is_authority=True, is_rsa=False)
        return (
            _builder(subject, issuer, key.public_key(), start, start.replace(year=2060))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(signer, hashes.SHA256())
        )

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The issuing CA's certificate and the root, in DER."""
        return tuple(pair[1].public_bytes(Encoding.DER) for pair in (self._issuing, self._root))

    def issue(self, names: Sequence[str], key: Any, now: datetime.datetime) -> x509.Certificate:
        """A server certificate for the names, the first of which is the common name where it fits (64 characters)."""
        signer, issuer = self._issuing
        start = now.replace(hour=0, minute=0, second=0, microsecond=0)
        common_name = next((name for name in names if len(name) <= 64), None)
        subject = _name(common_name) if common_name else x509.Name([])
        is_rsa = isinstance(key, rsa.RSAPrivateKey)
        return (
            _builder(subject, issuer.subject, key.public_key(), start, start + VALIDITY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False, is_rsa=is_rsa), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(signer, hashes.SHA256())
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, start: datetime.datetime, end: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def request_pem(names: Sequence[str], key: Any) -> bytes:
    """The CSR that ACM sends to a private CA for the names."""
    subject = _name(names[0]) if len(names[0]) <= 64 else x509.Name([])
    sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(sans, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
