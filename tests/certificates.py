"""Builds certificates in memory at fixed dates, for all tests.

    root = build("Example Root", ca=True)
    leaf = build("shop.example.com", names=("shop.example.com", "192.0.2.1"), key="RSA-2048", issuer=root)
    leaf.certificate.not_after, leaf.pem, leaf.key_pem

A key belongs to its kind and the certificate's name, and is made once a process: building the same certificate twice
gives the same key, other names have other keys. `key=other.key` reuses a key on purpose; `key="EC-256#2"` is another
key of the same name.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID, NameOID

from perennial.certificate import Certificate, parse

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOT_BEFORE = datetime(2026, 10, 1, tzinfo=UTC)
NOT_AFTER = datetime(2026, 12, 30, tzinfo=UTC)
CA_NOT_BEFORE = datetime(2024, 1, 1, tzinfo=UTC)
CA_NOT_AFTER = datetime(2034, 1, 1, tzinfo=UTC)
SERVER = ("serverAuth",)
_DEFAULT: Any = ("default",)  # stands for "as such a certificate usually has it"

_CURVES: dict[str, type[Any]] = {
    "256": ec.SECP256R1,
    "384": ec.SECP384R1,
    "521": ec.SECP521R1,
    "224": ec.SECP224R1,
    "secp256k1": ec.SECP256K1,
}
_MODERN: dict[str, Any] = {
    "Ed25519": ed25519.Ed25519PrivateKey,
    "Ed448": ed448.Ed448PrivateKey,
    "ML-DSA-44": mldsa.MLDSA44PrivateKey,
    "ML-DSA-65": mldsa.MLDSA65PrivateKey,
    "ML-DSA-87": mldsa.MLDSA87PrivateKey,
}
_RSA_SHA256 = bytes.fromhex("06092a864886f70d01010b")  # sha256WithRSAEncryption (RFC 8017 appendix C)
_WEAK = {
    "sha1": bytes.fromhex("06092a864886f70d010105"),
    "md5": bytes.fromhex("06092a864886f70d010104"),
}
_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_ALL_USAGES = (*_USAGES, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
_PURPOSES = {oid._name: oid for oid in vars(ExtendedKeyUsageOID).values() if isinstance(oid, x509.ObjectIdentifier)}


@dataclass(frozen=True)
class Built:
    """A certificate as a test needs it: the facts, both encodings, and its private key."""

    certificate: Certificate
    der: bytes = field(repr=False)
    key: Any = field(repr=False)
    x509: x509.Certificate = field(repr=False)

    @property
    def pem(self) -> str:
        return self.x509.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        plain = serialization.NoEncryption()
        data: bytes = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        return data.decode()

    @property
    def fingerprint(self) -> str:
        assert self.certificate.fingerprint is not None
        return self.certificate.fingerprint


def pem(*certificates: Built) -> str:
    """One PEM text of several certificates, in order."""
    return "".join(each.pem for each in certificates)


def facts(built: Built, **changed: Any) -> Certificate:
    """A certificate's facts with some of them changed: what no library builds any more (MD5, three-key usages …)."""
    return replace(built.certificate, **changed)


def build(
    common_name: str | None = "www.example.com",
    *,
    names: Iterable[str] | None = _DEFAULT,
    key: Any = "EC-256",
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    validity: timedelta | None = None,
    issuer: Built | None = None,
    ca: bool = False,
    path_length: int | None = None,
    subject: str | None = None,
    serial: int | None = None,
    signature_hash: str | None = "sha256",
    pss: bool = False,
    ku: Sequence[str] | None = _DEFAULT,
    eku: Sequence[str] | None = _DEFAULT,
    sct: int = 0,
    ocsp: Sequence[str] = (),
    ca_issuers: Sequence[str] = (),
    crl: Sequence[str] = (),
    policies: Sequence[str] = (),
    key_identifiers: bool = True,
    constraints: bool = True,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Built:
    """One certificate, signed by `issuer` or by its own key.

    `names` holds host names, IP addresses, `email:…` and `uri:…`; left out, it is the common name of a leaf; None or ()
    leaves the extension out. `ku` and `eku` hold the library's words (digital_signature, serverAuth or an OID); None
    leaves the extension out. `validity` counts from `not_before`. `subject` is a whole name in RFC 4514.
    `signature_hash` may also be sha1 or md5 where the signer's key is RSA; for others see `facts`.
    """
    begin = not_before or (CA_NOT_BEFORE if ca else NOT_BEFORE)
    end = not_after or (begin + validity if validity else CA_NOT_AFTER if ca else NOT_AFTER)
    own = _key(key, common_name or subject or "") if isinstance(key, str) else key
    name = _name(common_name, subject)
    signer = issuer.key if issuer else own
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.x509.subject if issuer else name)
        .public_key(own.public_key())
        .not_valid_before(begin)
        .not_valid_after(end)
        .serial_number(_serial(name, begin, end) if serial is None else serial)
    )
    wanted = [
        *(_constraints(ca, path_length) if constraints else ()),
        *_names(((common_name,) if common_name and not ca else ()) if names is _DEFAULT else names or ()),
        *_usage(_default_usage(ca) if ku is _DEFAULT else ku),
        *_purposes((None if ca else SERVER) if eku is _DEFAULT else eku),
        *_access(ocsp, ca_issuers),
        *_distribution(crl),
        *_policies(policies),
        *_timestamps(sct),
        *(_identifiers(own, signer) if key_identifiers else ()),
        *extensions,
    ]
    for value, critical in wanted:
        builder = builder.add_extension(value, critical)
    if signature_hash in _WEAK and isinstance(signer, rsa.RSAPrivateKey):
        loaded = _weakly_signed(builder, signer, signature_hash)
    else:
        loaded = builder.sign(signer, _hash(signer, signature_hash), rsa_padding=_padding(signer, pss))
    der = loaded.public_bytes(serialization.Encoding.DER)
    return Built(certificate=parse(der), der=der, key=own, x509=loaded)


@cache
def _key(kind: str, name: str) -> Any:
    kind = kind.partition("#")[0]
    if kind in _MODERN:
        return _MODERN[kind].generate()
    family, _, size = kind.partition("-")
    if family == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(size))
    if family == "DSA":
        return dsa.generate_private_key(key_size=int(size))
    return ec.generate_private_key(_CURVES[size]())


def _name(common_name: str | None, subject: str | None) -> x509.Name:
    if subject is not None:
        return x509.Name.from_rfc4514_string(subject)
    if common_name is None:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name, _validate=False)])


def _serial(name: x509.Name, begin: datetime, end: datetime) -> int:
    seed = f"{name.rfc4514_string()} {begin} {end}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(seed).digest()[:16], "big") >> 1 | 1 << 120


def _hash(signer: Any, name: str | None) -> Any:
    if isinstance(signer, tuple(_MODERN.values())) or name is None:
        return None
    return getattr(hashes, name.upper().replace("SHA3-", "SHA3_"))()


def _weakly_signed(builder: x509.CertificateBuilder, signer: Any, name: str) -> x509.Certificate:
    """Signed by RSA with a hash that the builder refuses: the algorithm is exchanged in the DER, then signed again."""
    strong = builder.sign(signer, hashes.SHA256())
    body = strong.tbs_certificate_bytes
    weak = body.replace(_RSA_SHA256, _WEAK[name])
    signature = signer.sign(weak, padding.PKCS1v15(), _hash(signer, name))
    der = strong.public_bytes(serialization.Encoding.DER).replace(body, weak).replace(strong.signature, signature)
    return x509.load_der_x509_certificate(der.replace(_RSA_SHA256, _WEAK[name]))


def _padding(signer: Any, pss: bool) -> Any:
    if not pss:
        return None
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)


def _constraints(ca: bool, path_length: int | None) -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), True)]


def _names(names: Iterable[str]) -> list[tuple[x509.ExtensionType, bool]]:
    general = [_general_name(each) for each in names]
    return [(x509.SubjectAlternativeName(general), False)] if general else []


def _general_name(name: str) -> x509.GeneralName:
    kind, _, value = name.partition(":")
    if kind == "email":
        return x509.RFC822Name(value)
    if kind == "uri":
        return x509.UniformResourceIdentifier(value)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _default_usage(ca: bool) -> tuple[str, ...]:
    return ("key_cert_sign", "crl_sign") if ca else ("digital_signature",)


def _usage(usages: Sequence[str] | None) -> list[tuple[x509.ExtensionType, bool]]:
    if usages is None:
        return []
    return [(x509.KeyUsage(**{name: name in usages for name in _ALL_USAGES}), True)]


def _purposes(purposes: Sequence[str] | None) -> list[tuple[x509.ExtensionType, bool]]:
    if not purposes:
        return []
    oids = [_PURPOSES.get(name) or x509.ObjectIdentifier(name) for name in purposes]
    return [(x509.ExtendedKeyUsage(oids), False)]


def _access(ocsp: Sequence[str], ca_issuers: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
    methods = AuthorityInformationAccessOID
    pairs = [(methods.OCSP, url) for url in ocsp] + [(methods.CA_ISSUERS, url) for url in ca_issuers]
    described = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in pairs]
    return [(x509.AuthorityInformationAccess(described), False)] if described else []


def _distribution(urls: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
    points = [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]
    return [(x509.CRLDistributionPoints(points), False)] if points else []


def _policies(oids: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
    policies = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    return [(x509.CertificatePolicies(policies), False)] if policies else []


def _timestamps(count: int) -> list[tuple[x509.ExtensionType, bool]]:
    """`count` signed certificate timestamps that nobody signed (RFC 6962 section 3.3: TLS lists in an OCTET STRING)."""
    if not count:
        return []
    each = b"\x00" + bytes(32) + (1_790_000_000_000).to_bytes(8, "big") + b"\x00\x00" + b"\x04\x03" + b"\x00\x01\x00"
    entries = (len(each).to_bytes(2, "big") + each) * count
    listed = len(entries).to_bytes(2, "big") + entries
    size = len(listed)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big") if size > 255 else bytes([0x81, size])
    value = b"\x04" + length + listed
    oid = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
    return [(x509.UnrecognizedExtension(oid, value), False)]


def _identifiers(own: Any, signer: Any) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ]
