"""DER and PEM to frozen facts. Pure, and never loses a certificate.

Real stores hold certificates that no parser takes whole (about 3% of the public test corpora). Every attribute is read
by itself; what cannot be read becomes None and a line in `problems`, and the DER and its fingerprint always stay.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509

MAX_DER_BYTES = 256 * 1024  # a DynamoDB item holds 400 KB; real certificates stay under 16 KB
MAX_NAMES = 1_000  # names kept as facts; more stay readable in the DER
_PEM = re.compile(
    rb"-----BEGIN (?P<kind>X509 |TRUSTED )?CERTIFICATE-----(?P<body>.*?)"
    rb"(?:(?P<end>-----END (?:X509 |TRUSTED )?CERTIFICATE-----)|(?=-----BEGIN )|\Z)",
    re.DOTALL,
)
# A certificate begins with two sequences (RFC 5280 4.1); keys and PKCS #12 with a sequence and a number, their version.
_NO_CERTIFICATE = re.compile(rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...)\x02", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One X.509 certificate (RFC 5280). Its facts never change; times are UTC, hashes lower-case hexadecimal.

    `fingerprint` is the SHA-256 of the DER, and None only where a service told a summary and not the certificate (a
    quick scan); then every attribute that the summary lacks is None too. A check does not apply to what is None.
    """

    fingerprint: str | None
    der: bytes = field(default=b"", repr=False)
    serial: str | None = None  # hexadecimal, no leading zeros
    subject: str | None = None  # RFC 4514
    issuer: str | None = None  # RFC 4514
    common_name: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    dns_names: tuple[str, ...] | None = None  # None: unknown; (): the certificate has none
    ip_addresses: tuple[str, ...] | None = None
    other_names: tuple[str, ...] | None = None  # "email:…", "uri:…", "other:…"
    key_algorithm: str | None = None  # RSA, EC, DSA, Ed25519, Ed448, ML-DSA-44 …, or an OID
    key_size: int | None = None  # bits of the modulus or the field
    curve: str | None = None  # secp256r1 …
    signature_algorithm: str | None = None  # sha256WithRSAEncryption …, or an OID
    signature_hash: str | None = None  # sha256 …; None for signatures without a separate hash
    public_key_sha256: str | None = None  # of the SubjectPublicKeyInfo
    key_usage: tuple[str, ...] | None = None  # digital_signature …; None: unknown or no such extension
    extended_key_usage: tuple[str, ...] | None = None  # serverAuth …
    is_ca: bool | None = None
    path_length: int | None = None
    subject_key_identifier: str | None = None
    authority_key_identifier: str | None = None
    self_issued: bool | None = None  # subject equals issuer
    ca_issuers: tuple[str, ...] = ()
    ocsp: tuple[str, ...] = ()
    crl: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()  # OIDs
    sct_count: int | None = None  # embedded signed certificate timestamps (RFC 6962)
    problems: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """DNS names and IP addresses of the SAN extension."""
        return (self.dns_names or ()) + (self.ip_addresses or ())

    @property
    def title(self) -> str:
        """What a person would call it: the common name, else the first name, else the subject, else the fingerprint."""
        names = self.names
        return self.common_name or (names[0] if names else None) or self.subject or self.fingerprint or "unknown"

    @property
    def key(self) -> str | None:
        """Algorithm and size in one word: RSA-2048, EC-256, Ed25519, ML-DSA-65."""
        if self.key_algorithm in ("RSA", "EC", "DSA") and self.key_size:
            return f"{self.key_algorithm}-{self.key_size}"
        return self.key_algorithm


def fingerprint(der: bytes) -> str:
    """SHA-256 of the DER, in lower-case hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def ders(pem: bytes | str) -> list[bytes]:
    """The DER of every certificate in a PEM text, in order (RFC 7468). A block that is cut off or not base64 is skipped
    here and reported by `broken_blocks`."""
    return [der for der, problem in _blocks(pem) if problem is None]


def pem(der: bytes) -> str:
    """A certificate in PEM (RFC 7468 section 5): base64 in lines of 64 characters."""
    body = base64.b64encode(der).decode()
    lines = (body[at : at + 64] for at in range(0, len(body), 64))
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


def broken_blocks(pem: bytes | str) -> list[str]:
    """Why the blocks that `ders` skipped could not be decoded."""
    return [problem for _, problem in _blocks(pem) if problem is not None]


def _blocks(pem: bytes | str) -> Iterator[tuple[bytes, str | None]]:
    text = pem.encode("utf-8", "surrogatepass") if isinstance(pem, str) else pem
    for number, match in enumerate(_PEM.finditer(text), start=1):
        problem = None if match["end"] else "its END line is missing"
        try:
            der = base64.b64decode(b"".join(match["body"].split()), validate=True)
        except binascii.Error as error:
            yield b"", f"block {number}: {problem or error}"
            continue
        if not der:
            problem = problem or "it is empty"
        elif _NO_CERTIFICATE.match(der):
            problem = "it is a private key or a container, not a certificate"
        if problem:
            yield b"", f"block {number}: {problem}"
        else:
            yield _first(der), None


def _first(der: bytes) -> bytes:
    """The certificate of a block alone: behind it may lie what it is trusted for (OpenSSL's X509_CERT_AUX), or a key.
    What reads PEM for use takes the first element too."""
    if len(der) < 2 or der[1] == 0x80:
        return der
    size = der[1] & 0x7F if der[1] & 0x80 else 0  # bytes of the length (X.690 8.1.3)
    length = int.from_bytes(der[2 : 2 + size]) if size else der[1]
    return der[: 2 + size + length]


def parse(der: bytes) -> Certificate:
    """Facts from DER. Never raises for what a certificate contains: see `problems`."""
    digest = fingerprint(der)
    if len(der) > MAX_DER_BYTES:
        problem = f"size: {len(der)} bytes, more than the {MAX_DER_BYTES} that are kept"
        return Certificate(fingerprint=digest, problems=(problem,))
    x509, unreadable = _x509()
    try:
        loaded = x509.load_der_x509_certificate(der)
    except unreadable as error:
        return Certificate(fingerprint=digest, der=der, problems=(_problem("load", error),))
    return _Reader(loaded, unreadable).read(digest, der)


@lru_cache(maxsize=1)
def _x509() -> tuple[Any, tuple[type[Exception], ...]]:
    """The parser, and everything it raises for a certificate that it does not take."""
    from cryptography import utils, x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm

    warnings.simplefilter("ignore", utils.CryptographyDeprecationWarning)  # odd serials and versions are facts here
    warnings.filterwarnings("ignore", message="Attribute's length must be")  # and so are odd names
    own = (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion)
    return x509, (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InternalError, *own)


def _problem(attribute: str, error: BaseException) -> str:
    return f"{attribute}: {type(error).__name__}: {str(error)[:160]}"


class _Reader:
    """Reads one loaded certificate attribute by attribute, and remembers what could not be read."""

    def __init__(self, loaded: x509.Certificate, unreadable: tuple[type[Exception], ...]) -> None:
        self._loaded = loaded
        self._unreadable = unreadable
        self._problems: list[str] = []

    def read(self, digest: str, der: bytes) -> Certificate:
        facts: dict[str, Any] = {}
        for attribute, reader in _READERS:
            try:
                facts.update(reader(self._loaded))
            except self._unreadable as error:
                self._problems.append(_problem(attribute, error))
        return Certificate(fingerprint=digest, der=der, problems=tuple(self._problems), **facts)


def _serial(loaded: x509.Certificate) -> dict[str, Any]:
    return {"serial": f"{loaded.serial_number:x}"}


def _version(loaded: x509.Certificate) -> dict[str, Any]:
    loaded.version  # noqa: B018 - reading it raises for versions that X.509 does not have
    return {}


def _subject(loaded: x509.Certificate) -> dict[str, Any]:
    x509, _ = _x509()
    subject = loaded.subject
    common = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    value = common[0].value if common else None
    return {"subject": subject.rfc4514_string(), "common_name": value if isinstance(value, str) else None}


def _issuer(loaded: x509.Certificate) -> dict[str, Any]:
    issuer = loaded.issuer
    return {"issuer": issuer.rfc4514_string(), "self_issued": issuer == loaded.subject}


def _validity(loaded: x509.Certificate) -> dict[str, Any]:
    return {"not_before": loaded.not_valid_before_utc, "not_after": loaded.not_valid_after_utc}


def _public_key(loaded: x509.Certificate) -> dict[str, Any]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = loaded.public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name = _KEY_NAMES.get(type(key).__name__.lstrip("_"), loaded.public_key_algorithm_oid.dotted_string)
    curve = getattr(key, "curve", None)
    return {
        "key_algorithm": name,
        "key_size": getattr(key, "key_size", None),
        "curve": curve.name if curve is not None else None,
        "public_key_sha256": hashlib.sha256(spki).hexdigest(),
    }


_KEY_NAMES = {
    "RSAPublicKey": "RSA",
    "ECPublicKey": "EC",
    "DSAPublicKey": "DSA",
    "Ed25519PublicKey": "Ed25519",
    "Ed448PublicKey": "Ed448",
    "X25519PublicKey": "X25519",
    "X448PublicKey": "X448",
    "MLDSA44PublicKey": "ML-DSA-44",
    "MLDSA65PublicKey": "ML-DSA-65",
    "MLDSA87PublicKey": "ML-DSA-87",
}


def _signature(loaded: x509.Certificate) -> dict[str, Any]:
    oid = loaded.signature_algorithm_oid
    name = oid._name  # the registered name of the OID; there is no public accessor
    return {"signature_algorithm": oid.dotted_string if name == "Unknown OID" else name}


def _signature_hash(loaded: x509.Certificate) -> dict[str, Any]:
    algorithm = loaded.signature_hash_algorithm
    return {"signature_hash": algorithm.name if algorithm is not None else None}


def _extensions(loaded: x509.Certificate) -> dict[str, Any]:
    """Facts of the extensions. A missing extension has its own value, other than None for "not read"."""
    facts: dict[str, Any] = {"dns_names": (), "ip_addresses": (), "other_names": (), "is_ca": False, "sct_count": 0}
    for extension in loaded.extensions:
        reader = _EXTENSIONS.get(extension.oid.dotted_string)
        if reader is not None:
            facts.update(reader(extension.value))
    return facts


def _san(value: Any) -> dict[str, Any]:
    x509, _ = _x509()
    dns: list[str] = []
    ips: list[str] = []
    others: list[str] = []
    for name in value:
        kind = type(name)
        if kind is x509.DNSName:
            dns.append(name.value)
        elif kind is x509.IPAddress:
            ips.append(str(name.value))
        else:
            prefix = {x509.RFC822Name: "email", x509.UniformResourceIdentifier: "uri"}.get(kind, "other")
            others.append(f"{prefix}:{name.value}"[:500])
    return {
        "dns_names": tuple(dns[:MAX_NAMES]),
        "ip_addresses": tuple(ips[:MAX_NAMES]),
        "other_names": tuple(others[:MAX_NAMES]),
    }


def _key_usage(value: Any) -> dict[str, Any]:
    usages = [name for name in _KEY_USAGES if getattr(value, name)]
    if value.key_agreement:
        usages += [name for name in ("encipher_only", "decipher_only") if getattr(value, name)]
    return {"key_usage": tuple(usages)}


_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


def _extended_key_usage(value: Any) -> dict[str, Any]:
    return {"extended_key_usage": tuple(_oid_name(oid) for oid in value)}


def _oid_name(oid: Any) -> str:
    return str(oid.dotted_string if oid._name == "Unknown OID" else oid._name)


def _authority_information(value: Any) -> dict[str, Any]:
    ocsp: list[str] = []
    issuers: list[str] = []
    told = {"1.3.6.1.5.5.7.48.1": ocsp, "1.3.6.1.5.5.7.48.2": issuers}
    for access in value:
        location = getattr(access.access_location, "value", None)
        method = access.access_method.dotted_string
        if isinstance(location, str) and method in told:
            told[method].append(location[:500])
    return {"ocsp": tuple(ocsp), "ca_issuers": tuple(issuers)}


def _crl(value: Any) -> dict[str, Any]:
    names = (name.value for point in value for name in point.full_name or ())
    return {"crl": tuple(name[:500] for name in names if isinstance(name, str))}


_EXTENSIONS: dict[str, Callable[[Any], dict[str, Any]]] = {  # RFC 5280 section 4.2.1; RFC 6962 section 3.3
    "2.5.29.17": _san,
    "2.5.29.15": _key_usage,
    "2.5.29.37": _extended_key_usage,
    "2.5.29.19": lambda value: {"is_ca": value.ca, "path_length": value.path_length},
    "2.5.29.14": lambda value: {"subject_key_identifier": value.digest.hex()},
    "2.5.29.35": lambda value: {
        "authority_key_identifier": value.key_identifier.hex() if value.key_identifier is not None else None
    },
    "1.3.6.1.5.5.7.1.1": _authority_information,
    "2.5.29.31": _crl,
    "2.5.29.32": lambda value: {"policies": tuple(policy.policy_identifier.dotted_string for policy in value)},
    "1.3.6.1.4.1.11129.2.4.2": lambda value: {"sct_count": len(value)},
}

_READERS: tuple[tuple[str, Callable[[Any], dict[str, Any]]], ...] = (
    ("version", _version),
    ("serial", _serial),
    ("subject", _subject),
    ("issuer", _issuer),
    ("validity", _validity),
    ("public key", _public_key),
    ("signature algorithm", _signature),
    ("signature hash", _signature_hash),
    ("extensions", _extensions),
)
