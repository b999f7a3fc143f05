"""A TLS certificate for a server on 127.0.0.1, and the CA of its own that signed it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALIDITY = timedelta(days=7)
_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A self-signed CA."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFiles:
    """PEM files of a server's certificate and key, and the PEM text of the root that signed it."""

    certificate: Path
    key: Path
    root: str


def make_authority(common_name: str) -> Authority:
    """A new CA with an EC P-256 key, valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    usage = (x509.KeyUsage(**{**_NO_USAGE, "key_cert_sign": True, "crl_sign": True}), True)
    builder = _builder(name, name, key, timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True).add_extension(*usage)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    return Authority(certificate=builder.sign(key, hashes.SHA256()), key=key)


def write_server_files(directory: Path) -> ServerFiles:
    """A new CA and a certificate of it for 127.0.0.1 and localhost, written to the directory."""
    authority = make_authority("Loopback test root")
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    issuer = authority.certificate.subject
    builder = _builder(_name("localhost"), issuer, key, _VALIDITY)
    builder = builder.add_extension(names, False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    leaf = builder.add_extension(signer, False).sign(authority.key, hashes.SHA256())
    files = ServerFiles(certificate=directory / "server.pem", key=directory / "server-key.pem", root=authority.pem)
    files.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    write_key(key, files.key)
    return files


def write_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    """Write a private key as PKCS #8 PEM, for this user only."""
    path.touch(mode=0o600)
    plain = serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


_NO_USAGE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, validity: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + validity)
    )
