"""Certificates in memory at fixed dates, and clients of fakes with a clock that stands still."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
CODE = ExtendedKeyUsageOID.CODE_SIGNING
_CURVES = {"EC_prime256v1": ec.SECP256R1, "EC_secp384r1": ec.SECP384R1, "EC_secp521r1": ec.SECP521R1}


class Clock:
    """A clock that moves when told."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **parts: float) -> None:
        """Moves on by a timedelta's parts."""
        self.now += timedelta(**parts)


class Issued(NamedTuple):
    """A certificate and its key, as PEM and as objects."""

    pem: bytes
    key_pem: bytes
    certificate: x509.Certificate
    key: Any


@cache
def private_key(kind: str = "RSA_2048", number: int = 0) -> Any:
    """A key of one of ACM's kinds; the same one for the same arguments, since RSA keys are slow to make."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind]())
    return rsa.generate_private_key(65537, int(kind.removeprefix("RSA_")))


def pem_of(key: Any, encryption: KeySerializationEncryption | None = None) -> bytes:
    """The key as PKCS #8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def encrypted(key: Any) -> bytes:
    """The key as encrypted PKCS #8 PEM."""
    return pem_of(key, BestAvailableEncryption(b"secret"))


def named(common_name: str | None) -> x509.Name:
    """A name with nothing but a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def key_usage(*names: str) -> x509.KeyUsage:
    """A key usage extension with these attributes set."""
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in names for name in every})


def make(
    names: Sequence[str] = ("www.example.com",),
    *,
    kind: str = "RSA_2048",
    number: int = 0,
    start: datetime = NOW - timedelta(days=30),
    days: int = 90,
    issuer: Issued | None = None,
    authority: bool = False,
    usages: Sequence[str] | None = ("digital_signature", "key_encipherment"),
    extended: Sequence[x509.ObjectIdentifier] | None = (SERVER, CLIENT),
    common_name: str | None = "",
) -> Issued:
    """A certificate, self-signed without an issuer. `common_name=None` leaves the subject empty."""
    key = private_key(kind, number)
    subject = named((names[0] if names else "nobody") if common_name == "" else common_name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names and not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    if usages is not None:
        builder = builder.add_extension(key_usage(*usages), critical=True)
    if extended is not None and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Issued(certificate.public_bytes(Encoding.PEM), pem_of(key), certificate, key)


def authority(name: str, issuer: Issued | None = None, number: int = 7, kind: str = "RSA_2048") -> Issued:
    """A CA certificate."""
    usages = ("key_cert_sign", "crl_sign")
    return make([name], issuer=issuer, authority=True, usages=usages, number=number, kind=kind, days=3650)


class Refusal:
    """`with refused("Code", "part of the message"):` expects that error of a boto3 call."""

    def __init__(self, code: str, text: str = "") -> None:
        self._code = code
        self._text = text
        self._raises = pytest.raises(ClientError)

    def __enter__(self) -> None:
        self._caught = self._raises.__enter__()

    def __exit__(self, *problem: Any) -> bool:
        handled = self._raises.__exit__(*problem)
        error = self._caught.value.response["Error"]
        assert error["Code"] == self._code, error
        assert self._text.lower() in error["Message"].lower(), error
        return bool(handled)


refused = Refusal
