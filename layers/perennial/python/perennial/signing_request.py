"""Certification requests (PKCS #10, RFC 2986): made with a key at hand or one elsewhere, or read.

What a requester sends is hostile until `read` returned it: bounded, exactly one request, its signature checked, and
nothing asked for but names and ordinary usages. Every violation is told at once.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perennial import keys
from perennial.errors import InvalidInput, InvalidReply
from perennial.names import canonical
from perennial.profiles import KEYS

if TYPE_CHECKING:
    from cryptography import x509

    from perennial.keys import PrivateKey, PublicKey

MAX_BYTES = 32 * 1024
MAX_COMMON_NAME = 64  # ub-common-name (RFC 5280 appendix A.1)
MAX_TOLD = 20  # violations in one message; more are counted
USAGES = ("serverAuth", "clientAuth")  # what a profile may allow
Sign = Callable[[bytes], bytes]  # the message in, its signature out, as the key's algorithm has it in a certificate

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_PEM = re.compile(
    rb"-----BEGIN (?P<label>(?:NEW )?CERTIFICATE REQUEST)-----(?P<body>[^-]*)-----END (?P=label)-----"  # RFC 7468 7
)
_HASHES = ("sha256", "sha384", "sha512")
_EXTENSION_REQUESTS = ("1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14")  # PKCS #9 (RFC 2985 5.4.2), Microsoft's own


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """A requester's request, judged. `names` are canonical: lower case, addresses as `ipaddress` writes them, each
    once. `usages` are the extended key usages asked for, () for none."""

    names: tuple[str, ...]
    key: str  # as in `profiles.KEYS`
    public_key_sha256: str
    der: bytes
    usages: tuple[str, ...] = ()


def make(private_key: PrivateKey, names: Sequence[str], *, common_name: bool = True) -> bytes:
    """A request in DER for DNS names and IP addresses, signed by its key.

    The subject is the first DNS name that there is, where it fits; empty otherwise.
    Raises: InvalidInput where a name is none.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    builder = _builder(names, common_name=common_name)
    return builder.sign(private_key, _hash(keys.word(private_key.public_key()))).public_bytes(Encoding.DER)


def make_with(public_key: PublicKey, sign: Sign, key: str, names: Sequence[str], *, common_name: bool = True) -> bytes:
    """A request in DER for a key that is elsewhere: `sign` signs it. `key` is the key's type.

    Raises: InvalidReply where the signature is not of that key; InvalidInput; what `sign` raises.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    if keys.word(public_key) != key:
        raise InvalidInput(f"the public key is of the type {keys.word(public_key)}, not {key}")
    builder = _builder(names, common_name=common_name)
    request = builder.sign(_elsewhere(public_key, sign), _hash(key))
    if not request.is_signature_valid:
        raise InvalidReply(f"the signature of the request does not fit the public key ({key}); was the key replaced?")
    return request.public_bytes(Encoding.DER)


def _elsewhere(public_key: PublicKey, sign: Sign) -> Any:
    """A private key that only knows how to have something signed.

    cryptography's key classes are abstract so that others may implement them, and its builder asks a key for nothing
    but its kind, its public half and a signature. So the request's DER, the algorithm identifiers included, is made by
    the library, and nothing has to be taken apart or put together by hand. All other methods stay unusable.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

    kinds: tuple[tuple[type, type], ...] = (
        (rsa.RSAPublicKey, rsa.RSAPrivateKey),
        (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey),
        (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey),
        (mldsa.MLDSA44PublicKey, mldsa.MLDSA44PrivateKey),
        (mldsa.MLDSA65PublicKey, mldsa.MLDSA65PrivateKey),
        (mldsa.MLDSA87PublicKey, mldsa.MLDSA87PrivateKey),
    )
    kind = next((private for public, private in kinds if isinstance(public_key, public)), None)
    if kind is None:
        raise InvalidInput(f"a key of the type {keys.word(public_key)} signs no request; use one of {', '.join(KEYS)}")
    abstract: frozenset[str] = kind.__abstractmethods__  # type: ignore[attr-defined]  # ABCMeta sets it
    methods: dict[str, Any] = dict.fromkeys(abstract, _unusable)
    methods["public_key"] = lambda _: public_key
    methods["sign"] = lambda _, message, *how: sign(bytes(message))
    return type("KeyElsewhere", (kind,), methods)()


def _unusable(*_: object) -> Any:
    raise NotImplementedError("the private key is elsewhere")


def _builder(names: Sequence[str], *, common_name: bool) -> x509.CertificateSigningRequestBuilder:
    from cryptography import x509

    if not names:
        raise InvalidInput("there is no name to request a certificate for")
    wrong = [problem for name in names if (problem := _problem(name))]
    if wrong:
        raise InvalidInput("; ".join(wrong[:MAX_TOLD]))
    hosts = [name for name in names if _address(name) is None]
    common = hosts[:1] if common_name and hosts and len(hosts[0]) <= MAX_COMMON_NAME else []
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in common])
    alternative = x509.SubjectAlternativeName([_general(name) for name in names])
    # An empty subject makes the names critical (RFC 5280 4.2.1.6).
    return x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(alternative, critical=not common)


def _general(name: str) -> x509.GeneralName:
    from cryptography import x509

    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _problem(name: str) -> str:
    """Why a name is not canonical; "" where it is. A CA compares names as they are written."""
    try:
        expected = canonical(name)
    except InvalidInput as error:
        return str(error)
    return "" if name == expected else f"the name {name[:80]!a} is to be written {expected}"


def _hash(key: str) -> Any:
    """The hash that a key's signature takes; None where the algorithm has its own (RFC 8410, RFC 9881)."""
    from cryptography.hazmat.primitives import hashes

    if key == "Ed25519" or key.startswith("ML-DSA"):
        return None
    return hashes.SHA384() if key == "EC-384" else hashes.SHA256()


def read(csr: bytes) -> SigningRequest:
    """The request of a requester, in DER or PEM.

    Raises: InvalidInput with every violation, and with what would be accepted.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    request = _loaded(_der(csr))
    public = _own_key(request)
    extensions, names = _extensions(request)
    violations = [*_key_violations(request, public), *_extension_violations(extensions), *_names_violations(names)]
    violations += _subject_violations(request, names)
    if violations:
        more = f"; and {len(violations) - MAX_TOLD} more" if len(violations) > MAX_TOLD else ""
        raise InvalidInput(f"the signing request cannot be used: {'; '.join(violations[:MAX_TOLD])}{more}")
    return SigningRequest(
        names=tuple(dict.fromkeys(names)),
        key=keys.word(public),
        public_key_sha256=keys.public_sha256(public),
        der=request.public_bytes(Encoding.DER),
        usages=_usages(extensions),
    )


def public_key_sha256(csr: bytes) -> str:
    """SHA-256 of the public key of a request in DER, as `Certificate.public_key_sha256`.

    Raises: InvalidInput.
    """
    return keys.public_sha256(_own_key(_loaded(csr)))


def _der(csr: bytes) -> bytes:
    """The one request in DER or PEM. Text around a PEM block is ignored (RFC 7468 2), another block is not."""
    if len(csr) > MAX_BYTES:
        raise InvalidInput(f"the signing request has {len(csr)} bytes; at most {MAX_BYTES} are read")
    if csr[:1] == b"\x30":
        return csr
    labels = [label.decode() for label in _BEGIN.findall(csr)]
    if any("PRIVATE KEY" in label for label in labels):
        raise InvalidInput("there is a private key beside the signing request: replace that key, send no key")
    found = _PEM.search(csr)
    if found is None or len(labels) != 1:
        raise InvalidInput("there must be exactly one signing request, in DER or PEM (CERTIFICATE REQUEST)")
    try:
        return base64.b64decode(b"".join(found["body"].split()), validate=True)
    except binascii.Error as error:
        raise InvalidInput(f"the signing request's PEM is not base64: {error}") from error


def _unreadable() -> tuple[type[Exception], ...]:
    """Everything that cryptography raises for what it does not take."""
    from cryptography import x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm

    own = (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion)
    return (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InternalError, *own)


def _refusal(what: str, error: Exception) -> InvalidInput:
    return InvalidInput(f"the signing request's {what} cannot be read: {type(error).__name__}: {str(error)[:160]}")


def _loaded(der: bytes) -> x509.CertificateSigningRequest:
    from cryptography import x509

    try:
        request = x509.load_der_x509_csr(der)
        request.subject  # noqa: B018 - reading it raises where it is broken
    except _unreadable() as error:
        raise _refusal("DER", error) from error
    return request


def _own_key(request: x509.CertificateSigningRequest) -> PublicKey:
    try:
        return request.public_key()
    except _unreadable() as error:
        raise _refusal("public key", error) from error


def _extensions(request: x509.CertificateSigningRequest) -> tuple[list[x509.Extension[Any]], tuple[str, ...]]:
    """The extensions asked for, and the names among them that are DNS names and addresses, canonical."""
    try:
        asked = [each.oid.dotted_string for each in request.attributes]
        extensions = list(request.extensions)
        names = tuple(_names(extensions))
    except _unreadable() as error:
        raise _refusal("extensions", error) from error
    if sum(asked.count(oid) for oid in _EXTENSION_REQUESTS) > 1:  # one is read here, the other perhaps by the CA
        raise InvalidInput("the signing request asks for extensions twice; there may be one extensionRequest attribute")
    return extensions, names


def _names(extensions: Sequence[x509.Extension[Any]]) -> Iterator[str]:
    from cryptography import x509

    for extension in extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            for name in extension.value:
                if isinstance(name, x509.DNSName):
                    yield name.value.lower()
                elif isinstance(name, x509.IPAddress):
                    yield str(name.value)


def _key_violations(request: x509.CertificateSigningRequest, public: PublicKey) -> Iterator[str]:
    """What is wrong with the key: its type, its exponent (NIST SP 800-89 5.3.3), and the proof that it is there."""
    kind = keys.word(public)
    if kind not in KEYS:
        yield f"its key is of the type {kind}: use one of {', '.join(KEYS)}"
        return  # no need to compute with it
    exponent = public.public_numbers().e if kind.startswith("RSA") else 65_537  # type: ignore[union-attr]
    if exponent < 65_537 or exponent % 2 == 0 or exponent.bit_length() > 64:
        yield f"its RSA exponent is {str(exponent)[:20]}: use 65537"
        return
    try:
        hashed, proven = request.signature_hash_algorithm, request.is_signature_valid
    except _unreadable() as error:
        yield f"its signature cannot be verified ({str(error)[:100]}): sign it with {', '.join(_HASHES)}"
        return
    if hashed is not None and hashed.name not in _HASHES:
        yield f"its signature is made with {hashed.name}: sign it with {', '.join(_HASHES)}"
    elif not proven:
        yield "its signature is not of its own key: sign it with the private key of its public key"


def _extension_violations(extensions: Sequence[x509.Extension[Any]]) -> Iterator[str]:
    from cryptography import x509

    for extension in extensions:
        value, oid = extension.value, extension.oid.dotted_string
        if isinstance(value, x509.SubjectAlternativeName):
            yield from _other_names(value)
        elif isinstance(value, x509.KeyUsage):
            if value.key_cert_sign or value.crl_sign:
                yield "its key usage has those of a CA (keyCertSign, cRLSign): leave them out"
        elif isinstance(value, x509.ExtendedKeyUsage):
            other = [usage.dotted_string[:60] for usage in value if usage._name not in USAGES]
            if other:
                yield f"it asks for the extended key usages {', '.join(other[:5])}: there may be {', '.join(USAGES)}"
        elif isinstance(value, x509.BasicConstraints):
            if value.ca:
                yield "it asks for a CA certificate: ask for basicConstraints with ca=false, or leave it out"
        elif not isinstance(value, x509.TLSFeature):
            yield f"it asks for the extension {oid[:60]}, which it may not: leave it out"


def _other_names(value: x509.SubjectAlternativeName) -> Iterator[str]:
    from cryptography import x509

    for name in value:
        if not isinstance(name, x509.DNSName | x509.IPAddress):
            told = ascii(name.value)[:80] if isinstance(name.value, str) else ""
            yield f"it asks for the name {type(name).__name__} {told}: there may be DNS names and IP addresses"
        elif isinstance(name, x509.DNSName) == (_address(str(name.value)) is not None):
            yield f"it asks for {ascii(name.value)[:80]}: name each address, as an IP address"


def _names_violations(names: Sequence[str]) -> Iterator[str]:
    if not names:
        yield "it has no names: put them into the extension subjectAltName; a common name is not enough"
    yield from filter(None, map(_problem, names))


def _subject_violations(request: x509.CertificateSigningRequest, names: Sequence[str]) -> Iterator[str]:
    """The common name is no source of names; it has to be one of them, as a CA may take it into the certificate
    (Baseline Requirements 7.1.4.3)."""
    from cryptography import x509

    for attribute in request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME) if names else ():
        if str(attribute.value).lower() not in names:
            yield f"its common name {ascii(attribute.value)[:80]} is not one of its names: leave it out or add it"


def _usages(extensions: Sequence[x509.Extension[Any]]) -> tuple[str, ...]:
    from cryptography import x509

    asked = [each.value for each in extensions if isinstance(each.value, x509.ExtendedKeyUsage)]
    return tuple(dict.fromkeys(usage._name for value in asked for usage in value))
