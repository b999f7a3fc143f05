"""Signing requests: made with keys of every kind, here and elsewhere, and read from requesters who may be hostile."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import build
from perennial import keys, signing_request
from perennial.errors import InvalidInput, InvalidReply, Throttled
from perennial.profiles import KEYS

NAMES = ("shop.example.com", "*.shop.example.com", "192.0.2.1", "2001:db8::1")
EC = build("request.example.com").key
DER = signing_request.make(EC, NAMES)
SAN = "2.5.29.17"
PKCS1 = padding.PKCS1v15()


def key_of(kind: str) -> Any:
    return build("request.example.com", key=kind).key


def loaded(der: bytes) -> x509.CertificateSigningRequest:
    return x509.load_der_x509_csr(der)


def names_of(der: bytes) -> list[str]:
    extension = loaded(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(each.value) for each in extension.value]


def common_name_of(der: bytes) -> list[str]:
    return [str(each.value) for each in loaded(der).subject]


def armoured(der: bytes, label: str = "CERTIFICATE REQUEST") -> bytes:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()


# Making


@pytest.mark.parametrize("kind", KEYS)
def test_a_request_is_signed_by_a_key_of_each_type(kind: str) -> None:
    """Every kind of key signs with the hash that fits it, and what is read back is what was asked for."""
    private = key_of(kind)
    der = signing_request.make(private, NAMES)
    read = signing_request.read(der)
    assert (read.names, read.key, read.der, read.usages) == (NAMES, kind, der, ())
    expected_sha256 = keys.public_sha256(private.public_key())
    assert read.public_key_sha256 == signing_request.public_key_sha256(der) == expected_sha256
    found = loaded(der).signature_hash_algorithm
    expected = {"EC-384": "sha384"}.get(kind, "sha256" if kind[:2] in ("EC", "RS") else None)
    assert (found.name if found else None) == expected


LONG = f"{'a' * 40}.{'b' * 30}.example.com"


@pytest.mark.parametrize(
    ("names", "common_name", "expected"),
    [
        (NAMES, True, ["shop.example.com"]),
        (NAMES, False, []),
        (("192.0.2.1", "shop.example.com"), True, ["shop.example.com"]),
        (("192.0.2.1",), True, []),
        ((LONG, "shop.example.com"), True, []),
        ((f"{'a' * 52}.example.com",), True, [f"{'a' * 52}.example.com"]),
        ((f"{'a' * 53}.example.com",), True, []),
    ],
)
def test_the_common_name_is_the_first_host_where_it_fits(
    names: Sequence[str], common_name: bool, expected: list[str]
) -> None:
    """The subject holds the first DNS name of at most 64 characters; where it is empty, the names are critical."""
    der = signing_request.make(EC, names, common_name=common_name)
    assert common_name_of(der) == expected
    assert names_of(der) == list(names)
    assert loaded(der).extensions.get_extension_for_oid(x509.ObjectIdentifier(SAN)).critical is not bool(expected)


@pytest.mark.parametrize(
    "names",
    [(), ("",), ("a b",), ("a\0.example.com",), ("müller.example",), ("a..b",), ("a" * 64,), ("A.example",), ("::0",)],
)
def test_no_request_is_made_for_what_is_no_name(names: Sequence[str]) -> None:
    """An empty list, and texts that are no DNS names or addresses, or not canonical, are refused."""
    with pytest.raises(InvalidInput, match="name"):
        signing_request.make(EC, names)


# Keys that are elsewhere


@pytest.mark.parametrize("kind", KEYS)
def test_a_request_can_be_signed_elsewhere(kind: str) -> None:
    """A function that signs takes the key's place: the request equals, but for the signature, one that the key made."""
    private = key_of(kind)
    der = signing_request.make_with(private.public_key(), lambda message: signed(private, kind, message), kind, NAMES)
    made = loaded(signing_request.make(private, NAMES))
    assert loaded(der).is_signature_valid
    assert loaded(der).tbs_certrequest_bytes == made.tbs_certrequest_bytes
    assert loaded(der).signature_algorithm_oid == made.signature_algorithm_oid


def test_a_signature_of_another_key_is_refused() -> None:
    """A signature that does not fit the public key ends in an error, not in a request."""
    other = build("other.example.com").key
    with pytest.raises(InvalidReply, match="does not fit"):
        signing_request.make_with(EC.public_key(), lambda message: signed(other, "EC-256", message), "EC-256", NAMES)


def test_a_signature_that_is_none_is_refused() -> None:
    """Bytes that are no signature at all are refused in the same way."""
    for nonsense in (b"", b"\x00", b"\xff" * 300):
        with pytest.raises(InvalidReply):
            signing_request.make_with(EC.public_key(), lambda _, sent=nonsense: sent, "EC-256", NAMES)


def test_the_type_of_the_key_has_to_be_right() -> None:
    """A type that is not the public key's is told before anything is signed."""
    with pytest.raises(InvalidInput, match="EC-256, not Ed25519"):
        signing_request.make_with(EC.public_key(), lambda _: b"", "Ed25519", NAMES)


def test_the_error_of_what_signs_is_the_callers_error() -> None:
    """What the function raises comes through the builder as it is."""

    def refuse(_: bytes) -> bytes:
        raise Throttled("slow down")

    with pytest.raises(Throttled):
        signing_request.make_with(EC.public_key(), refuse, "EC-256", NAMES)


def signed(private: Any, kind: str, message: bytes) -> bytes:
    """A signature by a real key, as a certificate has it."""
    hashed = hashes.SHA384() if kind == "EC-384" else hashes.SHA256()
    if kind.startswith("RSA"):
        return bytes(private.sign(message, PKCS1, hashed))
    return bytes(private.sign(message, ec.ECDSA(hashed)) if kind.startswith("EC") else private.sign(message))


# Reading


def request(
    names: Sequence[x509.GeneralName] | None = (x509.DNSName("shop.example.com"),),
    *extensions: x509.ExtensionType,
    key: Any = EC,
    subject: str = "",
    hashed: Any = None,
) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name.from_rfc4514_string(subject))
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(key, hashed or hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def raw(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)


def usage(**wanted: bool) -> x509.KeyUsage:
    fields = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in fields + more})


HOST = (x509.DNSName("shop.example.com"),)
SERVER = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
ALLOWED = {
    "names only": (request(), ()),
    "key usage": (request(HOST, usage(digital_signature=True)), ()),
    "server": (request(HOST, SERVER), ("serverAuth",)),
    "both usages": (
        request(
            HOST,
            x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]),
        ),
        ("serverAuth", "clientAuth"),
    ),
    "no CA": (request(HOST, x509.BasicConstraints(ca=False, path_length=None)), ()),
    "must-staple": (request(HOST, x509.TLSFeature([x509.TLSFeatureType.status_request])), ()),
    "common name": (request(HOST, subject="CN=SHOP.example.com,O=Example"), ()),
    "upper case": (request((x509.DNSName("Shop.EXAMPLE.com"),)), ()),
    "twice the same": (request((*HOST, *HOST)), ()),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_request_may_ask_for_ordinary_things(name: str) -> None:
    """Names in either case, ordinary usages, ca=false and must-staple are taken, and the names come out canonical."""
    der, usages = ALLOWED[name]
    read = signing_request.read(der)
    assert (read.names, read.usages, read.der) == (("shop.example.com",), usages, der)


@pytest.mark.parametrize(
    "text",
    [
        armoured(DER),
        armoured(DER, "NEW CERTIFICATE REQUEST"),
        b"Certificate Request:\n    Version: 1\n" + armoured(DER) + b"\n\n",
        armoured(DER).replace(b"\n", b"\r\n"),
    ],
)
def test_a_request_comes_in_pem_too(text: bytes) -> None:
    """The usual labels, text around the block and either line end give the same DER."""
    assert signing_request.read(text).der == DER


def forged(der: bytes) -> bytes:
    """The request with its last byte, which is the signature's, changed."""
    return der[:-1] + bytes([der[-1] ^ 1])


def twice(extension: bytes) -> bytes:
    """An extensionRequest with one extension twice, signed: no builder makes it."""
    both = der_of(0x30, extension * 2)
    return resigned(both)


def resigned(*extension_requests: bytes) -> bytes:
    """A request of EC with these extensionRequest values, each an attribute of its own, written by hand and signed."""
    oid = bytes.fromhex("06092a864886f70d01090e")
    attributes = b"".join(sorted(der_of(0x30, oid + der_of(0x31, each)) for each in extension_requests))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = EC.public_key().public_bytes(serialization.Encoding.DER, form)
    info = der_of(0x30, b"\x02\x01\x00" + b"\x30\x00" + public + der_of(0xA0, attributes))
    signature = EC.sign(info, ec.ECDSA(hashes.SHA256()))
    return der_of(0x30, info + bytes.fromhex("300a06082a8648ce3d040302") + der_of(0x03, b"\x00" + signature))


def der_of(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x81" + bytes([size]) if size < 256 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + length + content


def san_of(*names: str) -> bytes:
    value = der_of(0x30, b"".join(der_of(0x82, name.encode()) for name in names))
    return der_of(0x30, bytes.fromhex("0603551d11") + der_of(0x04, value))


def explicit_curve() -> bytes:
    """The request whose curve is not named but written out: P-256's parameters in place of its OID (RFC 3279 2.3.5)."""
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    p = (2**256 - 2**224 + 2**192 + 2**96 - 1).to_bytes(32)
    b = bytes.fromhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b")
    g = bytes.fromhex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
    n = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
    field = der_of(0x30, bytes.fromhex("06072a8648ce3d0101") + der_of(0x02, b"\x00" + p))
    curve = der_of(0x30, der_of(0x04, (int.from_bytes(p) - 3).to_bytes(32)) + der_of(0x04, b))
    parameters = b"\x02\x01\x01" + field + curve + der_of(0x04, g) + der_of(0x02, b"\x00" + n) + b"\x02\x01\x01"
    algorithm = der_of(0x30, bytes.fromhex("06072a8648ce3d0201") + der_of(0x30, parameters))
    public = der_of(0x30, algorithm + der_of(0x03, b"\x00" + point))
    info = der_of(0x30, b"\x02\x01\x00\x30\x00" + public + b"\xa0\x00")
    signature = private.sign(info, ec.ECDSA(hashes.SHA256()))
    return der_of(0x30, info + bytes.fromhex("300a06082a8648ce3d040302") + der_of(0x03, b"\x00" + signature))


def short_rsa() -> bytes:
    """A request with an RSA key of 512 bits, which no library makes any more, and a signature of zeros."""
    modulus = der_of(0x02, b"\x00" + (2**511 + 111).to_bytes(64))
    key = der_of(0x30, modulus + b"\x02\x03\x01\x00\x01")
    public = der_of(0x30, bytes.fromhex("300d06092a864886f70d0101010500") + der_of(0x03, b"\x00" + key))
    info = der_of(0x30, b"\x02\x01\x00\x30\x00" + public + b"\xa0\x00")
    return der_of(0x30, info + bytes.fromhex("300d06092a864886f70d01010b0500") + der_of(0x03, b"\x00" + bytes(64)))


RSA = key_of("RSA-2048")
RSA_DER = request(key=RSA)
EXPONENT_1 = RSA_DER.replace(b"\x02\x03\x01\x00\x01", b"\x02\x03\x00\x00\x01")
EXPONENT_3 = request(key=rsa.generate_private_key(3, 2048))


def sha1() -> bytes:
    """RSA's request, signed with SHA-1 as it should not be (RFC 9155)."""
    info = loaded(RSA_DER).tbs_certrequest_bytes
    algorithm = bytes.fromhex("300d06092a864886f70d0101050500")
    return der_of(0x30, info + algorithm + der_of(0x03, b"\x00" + RSA.sign(info, PKCS1, hashes.SHA1())))


CASES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "exactly one"),
    "text": (b"please", "exactly one"),
    "too large": (DER + bytes(32 * 1024), "at most 32768"),
    "two in PEM": (armoured(DER) * 2, "exactly one"),
    "with its key": (armoured(DER) + armoured(b"x" * 40, "PRIVATE KEY"), "private key"),
    "with its old key": (armoured(b"x" * 40, "RSA PRIVATE KEY") + armoured(DER), "private key"),
    "with a certificate": (armoured(DER) + armoured(build().der, "CERTIFICATE"), "exactly one"),
    "labels differ": (armoured(DER).replace(b"-----END ", b"-----END NEW "), "exactly one"),
    "not base64": (armoured(DER).replace(b"\nMI", b"\n!!"), "base64"),
    "a certificate": (build().der, "DER"),
    "cut off": (DER[:-1], "DER"),
    "with bytes behind": (DER + b"\x00", "DER"),
    "two in DER": (DER + DER, "DER"),
    "forged": (forged(DER), "not of its own key"),
    "names exchanged": (DER.replace(b"\x82\x10shop.example.com", b"\x82\x10evil.example.com"), "not of its own key"),
    "SHA-1": (sha1(), "sha256"),
    "RSA of 512 bits": (short_rsa(), "RSA-512|public key"),
    "RSA of 1024 bits": (request(key=rsa.generate_private_key(65_537, 1_024)), "RSA-1024"),
    "DSA": (request(key=dsa.generate_private_key(2_048)), "DSA-2048"),
    "P-521": (request(key=ec.generate_private_key(ec.SECP521R1())), "EC-521"),
    "another curve": (request(key=ec.generate_private_key(ec.SECP256K1())), "EC secp256k1"),
    "an explicit curve": (explicit_curve(), "public key|names"),
    "exponent 1": (EXPONENT_1, "DER|public key"),
    "exponent 3": (EXPONENT_3, "exponent is 3: use 65537"),
    "no names": (request(None), "subjectAltName"),
    "a common name only": (request(None, subject="CN=shop.example.com"), "subjectAltName"),
    "an empty list of names": (request(()), "subjectAltName"),
    "another common name": (request(subject="CN=other.example.com"), r"other.example.com.*not one of its names"),
    "an e-mail address": (request((*HOST, x509.RFC822Name("a@example.com"))), "RFC822Name 'a@example.com'"),
    "a URI": (request((*HOST, x509.UniformResourceIdentifier("https://x.example"))), "UniformResourceIdentifier"),
    "a directory name": (request((*HOST, x509.DirectoryName(x509.Name([])))), "DirectoryName"),
    "another name": (request((*HOST, x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"))), "OtherName"),
    "a registered id": (request((*HOST, x509.RegisteredID(x509.ObjectIdentifier("1.2.3")))), "RegisteredID"),
    "a network": (request((x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),)), "name each address"),
    "NUL in a name": (request((x509.DNSName("shop.example.com\0.evil.example"),)), r"\\x00"),
    "a blank": (request((x509.DNSName("a b.example"),)), "space"),
    "an empty name": (request((x509.DNSName(""),)), "empty"),
    "a trailing dot": (request((x509.DNSName("shop.example.com."),)), "to be written shop.example.com"),
    "a wildcard inside": (request((x509.DNSName("a.*.example.com"),)), "DNS name"),
    "a long label": (request((x509.DNSName(f"{'a' * 64}.example"),)), "DNS name"),
    "a long name": (request((x509.DNSName(".".join(["a" * 60] * 5)),)), "DNS name"),
    "an address as a DNS name": (request((x509.DNSName("192.0.2.1"),)), "192.0.2.1.* as an IP address"),
    "an IPv4 address in IPv6": (
        request((x509.IPAddress(ipaddress.ip_address("::ffff:192.0.2.1")),)),
        "write 192.0.2.1",
    ),
    "a broken A-label": (request((x509.DNSName("xn--a.example"),)), "xn--a"),
    "no IA5": (request(None, raw(SAN, b"\x30\x03\x82\x01\xff")), "extensions"),
    "a broken address": (request(None, raw(SAN, b"\x30\x05\x87\x03\x01\x02\x03")), "extensions"),
    "broken names": (request(None, raw(SAN, b"\xff")), "extensions"),
    "a CA": (request(HOST, x509.BasicConstraints(ca=True, path_length=0)), "CA certificate"),
    "a CA's usage": (request(HOST, usage(key_cert_sign=True)), "keyCertSign"),
    "a CRL's usage": (request(HOST, usage(crl_sign=True)), "cRLSign"),
    "code signing": (request(HOST, x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING])), "5.5.7.3.3"),
    "any usage": (
        request(HOST, x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
        "2.5.29.37.0",
    ),
    "name constraints": (request(HOST, x509.NameConstraints([x509.DNSName("x")], None)), "2.5.29.30"),
    "a policy": (
        request(HOST, x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])),
        "2.5.29.32",
    ),
    "a key identifier": (request(HOST, x509.SubjectKeyIdentifier(b"x" * 20)), "2.5.29.14"),
    "an unknown extension": (request(HOST, raw("1.3.6.1.4.1.99999.7", b"\x05\x00")), r"1\.3\.6\.1\.4\.1\.99999\.7"),
    "names twice": (twice(san_of("a.example.com")), "extensions"),
    "two lists of extensions": (
        resigned(der_of(0x30, san_of("a.example.com")), der_of(0x30, san_of("b.example.com"))),
        "twice",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_taken_is_refused_with_the_reason(name: str) -> None:
    """Every broken, hostile or too demanding request is an InvalidInput that names what is wrong, in bounded length."""
    csr, told = CASES[name]
    with pytest.raises(InvalidInput, match=told) as caught:
        signing_request.read(csr)
    assert len(str(caught.value)) < 2_000
    assert str(caught.value).isprintable()


def test_requests_written_by_hand_are_read_where_they_are_right() -> None:
    """The hand-written forms of the cases above differ from a good request in the one thing that they show."""
    assert signing_request.read(resigned(der_of(0x30, san_of("a.example.com")))).names == ("a.example.com",)


def test_all_violations_are_told_at_once() -> None:
    """One message has the key, the names, the extensions and the common name that are wrong."""
    csr = request(
        (x509.DNSName("a b"), x509.RFC822Name("a@example.com")),
        x509.BasicConstraints(ca=True, path_length=None),
        raw("1.2.3.4", b"\x05\x00"),
        key=rsa.generate_private_key(65_537, 1_024),
        subject="CN=other.example.com",
    )
    with pytest.raises(InvalidInput) as caught:
        signing_request.read(csr)
    for told in ("RSA-1024", "'a b'", "RFC822Name", "CA certificate", "1.2.3.4", "other.example.com"):
        assert told in str(caught.value)


def test_many_violations_are_counted() -> None:
    """A message with hundreds of violations tells the first ones and how many more there are."""
    csr = request((*HOST, *(x509.RFC822Name(f"a{number}@example.com") for number in range(500))))
    with pytest.raises(InvalidInput, match="and 480 more") as caught:
        signing_request.read(csr)
    assert len(str(caught.value)) < 3_000


SEEDS = [DER, RSA_DER, armoured(DER), *(der for der, _ in ALLOWED.values()), *(csr for csr, _ in CASES.values() if csr)]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request, good or bad, with some bytes changed, cut out or put in."""
    data = bytearray(draw(st.sampled_from(SEEDS))[: 8 * 1024])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["flip", "cut", "insert", "end"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + draw(st.integers(1, 8))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case _:
                del data[at:]
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda data: b"\x30" + data) | mutated())
def test_any_bytes_are_a_good_request_or_invalid_input(csr: bytes) -> None:
    """Random bytes and mutated requests never end in anything else, and what is read was signed by its key."""
    try:
        read = signing_request.read(csr)
    except InvalidInput as error:
        assert len(str(error)) < 4_000
        return
    assert loaded(read.der).is_signature_valid
    assert read.names
    assert read.key in KEYS
