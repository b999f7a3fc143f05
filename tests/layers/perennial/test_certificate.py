"""DER and PEM to facts: each attribute, what is missing, what cannot be read, and whatever else people store."""

from __future__ import annotations

import base64
import ipaddress
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import CA_NOT_AFTER, NOT_AFTER, NOT_BEFORE, Built, build, pem
from perennial.certificate import MAX_DER_BYTES, MAX_NAMES, Certificate, broken_blocks, ders, fingerprint, parse

ROOT = build("Example Root", ca=True, path_length=1)
FULL = build(
    "shop.example.com",
    names=("shop.example.com", "*.shop.example.com", "192.0.2.1", "2001:db8::1", "email:a@example.com", "uri:urn:x"),
    issuer=ROOT,
    serial=0x0A0B0C,
    ku=("digital_signature", "key_agreement", "decipher_only"),
    eku=("serverAuth", "clientAuth", "1.2.3.4"),
    sct=3,
    ocsp=("http://ocsp.example.com",),
    ca_issuers=("http://ca.example.com/ca.der",),
    crl=("http://ca.example.com/crl",),
    policies=("2.23.140.1.2.1",),
)
BARE = build("bare", names=None, ku=None, eku=None, constraints=False, key_identifiers=False)


@pytest.mark.parametrize(
    ("attribute", "full", "bare"),
    [
        ("serial", "a0b0c", BARE.certificate.serial),
        ("subject", "CN=shop.example.com", "CN=bare"),
        ("issuer", "CN=Example Root", "CN=bare"),
        ("common_name", "shop.example.com", "bare"),
        ("not_before", NOT_BEFORE, NOT_BEFORE),
        ("not_after", NOT_AFTER, NOT_AFTER),
        ("dns_names", ("shop.example.com", "*.shop.example.com"), ()),
        ("ip_addresses", ("192.0.2.1", "2001:db8::1"), ()),
        ("other_names", ("email:a@example.com", "uri:urn:x"), ()),
        ("key_algorithm", "EC", "EC"),
        ("key_size", 256, 256),
        ("curve", "secp256r1", "secp256r1"),
        ("signature_algorithm", "ecdsa-with-SHA256", "ecdsa-with-SHA256"),
        ("signature_hash", "sha256", "sha256"),
        ("key_usage", ("digital_signature", "key_agreement", "decipher_only"), None),
        ("extended_key_usage", ("serverAuth", "clientAuth", "1.2.3.4"), None),
        ("is_ca", False, False),
        ("path_length", None, None),
        ("authority_key_identifier", ROOT.certificate.subject_key_identifier, None),
        ("self_issued", False, True),
        ("ca_issuers", ("http://ca.example.com/ca.der",), ()),
        ("ocsp", ("http://ocsp.example.com",), ()),
        ("crl", ("http://ca.example.com/crl",), ()),
        ("policies", ("2.23.140.1.2.1",), ()),
        ("sct_count", 3, 0),
        ("problems", (), ()),
    ],
    ids=range(26),
)
def test_every_attribute_is_read(attribute: str, full: Any, bare: Any) -> None:
    """A rich certificate tells each fact; in a bare one what is missing is told as missing, not as unread."""
    assert (getattr(FULL.certificate, attribute), getattr(BARE.certificate, attribute)) == (full, bare)


def test_a_ca_tells_its_rights() -> None:
    """CA, path length and usages of a root are facts too."""
    root = ROOT.certificate
    assert (root.is_ca, root.path_length, root.self_issued, root.not_after) == (True, 1, True, CA_NOT_AFTER)
    assert root.key_usage == ("key_cert_sign", "crl_sign")


@pytest.mark.parametrize(
    ("key", "algorithm", "size", "signature", "signature_hash"),
    [
        ("RSA-2048", "RSA", 2048, "sha256WithRSAEncryption", "sha256"),
        ("EC-384", "EC", 384, "ecdsa-with-SHA256", "sha256"),
        ("DSA-2048", "DSA", 2048, "dsa-with-sha256", "sha256"),
        ("Ed25519", "Ed25519", None, "ed25519", None),
        ("Ed448", "Ed448", None, "ed448", None),
        ("ML-DSA-44", "ML-DSA-44", None, "ML-DSA-44", None),
        ("ML-DSA-65", "ML-DSA-65", None, "ML-DSA-65", None),
        ("ML-DSA-87", "ML-DSA-87", None, "ML-DSA-87", None),
    ],
)
def test_every_kind_of_key_is_named(
    key: str, algorithm: str, size: int | None, signature: str, signature_hash: str | None
) -> None:
    """Key and signature are told by the same words for classical, Edwards and post-quantum algorithms."""
    certificate = build(key=key).certificate
    assert (certificate.key_algorithm, certificate.key_size, certificate.key) == (algorithm, size, key)
    assert (certificate.signature_algorithm, certificate.signature_hash) == (signature, signature_hash)
    assert certificate.problems == ()


def test_a_curve_is_told_beside_its_size() -> None:
    """Two curves of 256 bits are the same kind of key and different curves."""
    certificate = build(key="EC-secp256k1").certificate
    assert (certificate.key, certificate.curve) == ("EC-256", "secp256k1")


def test_pss_is_named_with_its_hash() -> None:
    """RSASSA-PSS carries the hash in its parameters."""
    certificate = build(issuer=build("RSA Root", ca=True, key="RSA-2048"), pss=True).certificate
    assert (certificate.signature_algorithm, certificate.signature_hash) == ("rsassaPss", "sha256")


def test_the_same_key_has_the_same_hash() -> None:
    """A key used again is recognised by the hash of its public half, whatever the names are."""
    first, second = build("a.example.com"), build("b.example.com", key=build("a.example.com").key)
    assert first.certificate.public_key_sha256 == second.certificate.public_key_sha256
    assert first.certificate.public_key_sha256 != build("c.example.com").certificate.public_key_sha256


@pytest.mark.parametrize(
    "year", [(1, 1, 1), (1950, 1, 1), (1969, 12, 31), (2038, 1, 20), (2050, 1, 1), (9999, 12, 31)], ids=str
)
def test_dates_of_any_century_are_read(year: tuple[int, int, int]) -> None:
    """Beginnings and ends before 1970, after 2038 and in the year 9999 (RFC 5280 4.1.2.5: no end) are exact."""
    moment = datetime(*year, tzinfo=UTC)
    der = _with_times(FULL.der, moment, moment)
    certificate = parse(der)
    assert (certificate.not_before, certificate.not_after, certificate.problems) == (moment, moment, ())


def _with_times(der: bytes, begin: datetime, end: datetime) -> bytes:
    """The validity as GeneralizedTime, which knows every year; the other parts as they were, the signature void."""
    validity = der[der.index(b"\x30\x1e\x17\x0d") :][:32]
    times = b"".join(b"\x18\x0f" + f"{at:%Y%m%d%H%M%SZ}".rjust(15, "0").encode() for at in (begin, end))
    return _grown(der, validity, b"\x30\x22" + times)


def _grown(der: bytes, old: bytes, new: bytes) -> bytes:
    """Exchange one part and correct the two lengths around it (both in two bytes)."""
    more = len(new) - len(old)
    assert der[1] == 0x82 and der[5] == 0x82
    outer, inner = int.from_bytes(der[2:4]) + more, int.from_bytes(der[6:8]) + more
    body = der[8:].replace(old, new, 1)
    return b"\x30\x82" + outer.to_bytes(2) + b"\x30\x82" + inner.to_bytes(2) + body


@pytest.mark.parametrize(
    ("number", "expected"), [(b"\xfb", "-5"), (b"\x00", "0"), (b"\x7f" * 20, "7f" * 20), (b"\x00\xff" * 30, None)]
)
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_odd_serials_are_facts(number: bytes, expected: str | None) -> None:
    """Negative, zero and oversized serials (RFC 5280 4.1.2.2 forbids them) are told as they are."""
    old = b"\x02\x03\x0a\x0b\x0c"
    assert old in FULL.der
    certificate = parse(_grown(FULL.der, old, bytes([2, len(number)]) + number))
    assert certificate.serial == (expected or number.hex().removeprefix("00"))
    assert certificate.problems == ()


@pytest.mark.parametrize(
    ("built", "title"),
    [
        (FULL, "shop.example.com"),
        (build(None, names=("a.example.com",)), "a.example.com"),
        (build(None, names=("192.0.2.1",)), "192.0.2.1"),
        (build(subject="O=Example,C=DE", names=None), "O=Example,C=DE"),
        (build("", names=("a.example.com",)), "a.example.com"),
    ],
)
def test_a_person_is_told_the_best_name(built: Built, title: str) -> None:
    """The common name, else the first name, else the subject."""
    assert built.certificate.title == title


def test_without_any_name_the_fingerprint_is_the_title() -> None:
    """A certificate without subject and names is told by its fingerprint; one of which nothing is known as unknown."""
    certificate = build(None, names=None).certificate
    assert certificate.title == certificate.fingerprint
    assert Certificate(fingerprint=None).title == "unknown"


def test_names_are_bounded_and_the_der_stays() -> None:
    """Of more than a thousand names the first thousand are facts, and the DER has all of them."""
    certificate = build("many", names=[f"n{number}.example.com" for number in range(MAX_NAMES + 500)]).certificate
    assert certificate.dns_names is not None and len(certificate.dns_names) == MAX_NAMES
    assert b"n1499.example.com" in certificate.der


def test_an_internationalised_name_is_kept_in_ascii() -> None:
    """A-labels are compared as they stand in the certificate (RFC 5280 7.2); a Unicode common name is text."""
    certificate = build("bücher.example.com", names=("xn--bcher-kva.example.com",)).certificate
    assert (certificate.dns_names, certificate.common_name) == (("xn--bcher-kva.example.com",), "bücher.example.com")


def test_other_access_methods_are_not_issuers() -> None:
    """Only caIssuers (RFC 5280 4.2.2.1) says where the issuer's certificate is; a repository is something else."""
    repository = x509.AccessDescription(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.48.5"), x509.UniformResourceIdentifier("http://repository")
    )
    certificate = build(extensions=[(x509.AuthorityInformationAccess([repository]), False)]).certificate
    assert (certificate.ocsp, certificate.ca_issuers, certificate.problems) == ((), (), ())


@pytest.mark.parametrize(
    "name",
    [
        x509.DirectoryName(x509.Name([])),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01u"),
    ],
)
def test_rare_kinds_of_names_are_kept_as_other(name: x509.GeneralName) -> None:
    """A directory name, an OID or a UPN among the names is told, and hides nothing else."""
    address = x509.IPAddress(ipaddress.ip_address("::1"))
    names = x509.SubjectAlternativeName([x509.DNSName("a.example.com"), name, address])
    certificate = build("rare", names=None, extensions=[(names, False)]).certificate
    assert (certificate.dns_names, certificate.ip_addresses) == (("a.example.com",), ("::1",))
    assert certificate.other_names is not None and certificate.other_names[0].startswith("other:")


def test_what_a_malformed_extension_hides_is_unknown_and_not_missing() -> None:
    """Where the extensions cannot be read, names and usages are None, the rest is told, and the reason is kept."""
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.36"), b"\x30\x03\x02\x01")
    certificate = build("broken", extensions=[(broken, False)]).certificate
    assert (certificate.dns_names, certificate.is_ca, certificate.sct_count) == (None, None, None)
    assert (certificate.not_after, certificate.common_name) == (NOT_AFTER, "broken")
    (problem,) = certificate.problems
    assert problem.startswith("extensions: ValueError: ")


@pytest.mark.parametrize(
    "der", [b"", b"\x30", b"\x30\x80", b"not a certificate", FULL.der[:-1], FULL.der + b"\x00"], ids=range(6)
)
def test_what_is_no_certificate_keeps_der_fingerprint_and_reason(der: bytes) -> None:
    """Nothing is dropped: bytes that do not load are kept under their hash."""
    certificate = parse(der)
    assert (certificate.der, certificate.fingerprint, certificate.subject) == (der, fingerprint(der), None)
    assert len(certificate.problems) == 1 and certificate.problems[0].startswith("load: ")


def test_a_certificate_that_is_too_large_is_kept_by_its_fingerprint() -> None:
    """More than the table can hold is told with its size, and its DER is not kept."""
    huge = bytes(MAX_DER_BYTES + 1)
    certificate = parse(huge)
    assert (certificate.fingerprint, certificate.der) == (fingerprint(huge), b"")
    assert certificate.problems == (f"size: {len(huge)} bytes, more than the {MAX_DER_BYTES} that are kept",)


REAL = [
    FULL.der,
    BARE.der,
    ROOT.der,
    build("post-quantum", key="ML-DSA-44").der,
    build("pss", issuer=build("RSA Root", ca=True, key="RSA-2048"), pss=True).der,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real certificate with some bytes exchanged, inserted, removed or cut off."""
    der = bytearray(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(der) - 1, 0)))
        match draw(st.integers(0, 3)):
            case 0 if der:
                der[at] = draw(st.integers(0, 255))
            case 1:
                der[at:at] = draw(st.binary(min_size=1, max_size=3))
            case 2:
                del der[at : at + draw(st.integers(1, 4))]
            case _:
                del der[at:]
    return bytes(der)


@settings(max_examples=400, deadline=None)
@given(st.one_of(mutated(), st.binary(max_size=300), st.binary(max_size=40).map(lambda tail: b"\x30\x82" + tail)))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_parse_never_raises_and_never_loses_anything(der: bytes) -> None:
    """Whatever the bytes are, they are kept with their hash, and every fact is text that can be stored."""
    certificate = parse(der)
    assert (certificate.der, certificate.fingerprint) == (der, fingerprint(der))
    assert certificate.problems or certificate.not_after is not None
    for text in (certificate.title, certificate.issuer or "", *certificate.names, *certificate.problems):
        text.encode()


ROOT_RSA = build("RSA Root", ca=True, key="RSA-2048")
BODY = base64.encodebytes(FULL.der).decode()
TRUST = bytes.fromhex("300c300a06082b06010505070301")  # what OpenSSL appends: trusted for servers


def block(body: str, label: str = "CERTIFICATE") -> str:
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


@pytest.mark.parametrize(
    "text",
    [
        FULL.pem,
        FULL.pem.replace("\n", "\r\n"),
        FULL.pem.replace("\n", "\n\n  "),
        FULL.pem.replace("\n", ""),
        block(BODY.replace("\n", "")),
        "Bag Attributes\n    friendlyName: é\nsubject=CN = x\n" + FULL.pem + "\x00 trailing garbage",
        "\ufeff" + FULL.pem,
        "\ud800" + FULL.pem,
        block(BODY, "X509 CERTIFICATE"),
        block(base64.encodebytes(FULL.der + TRUST).decode(), "TRUSTED CERTIFICATE"),
        block(BODY, "TRUSTED CERTIFICATE"),
        FULL.key_pem + FULL.pem,
    ],
    ids=range(12),
)
def test_pem_as_people_store_it(text: str) -> None:
    """Line ends, indentation, surrounding text, old labels and OpenSSL's trust settings hide no certificate."""
    assert ders(text) == [FULL.der]
    assert broken_blocks(text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (block("!!!!"), "Only base64 data is allowed"),
        (block("MII"), "Incorrect padding"),
        (block("MIIB-aaa"), "Only base64 data is allowed"),
        (block(""), "it is empty"),
        (FULL.pem[:-30], "its END line is missing"),
        (FULL.key_pem.replace("PRIVATE KEY", "CERTIFICATE"), "it is a private key"),
        (ROOT_RSA.key_pem.replace("PRIVATE KEY", "CERTIFICATE"), "it is a private key"),
        (FULL.pem[:200], "its END line is missing"),
        (block("Proc-Type: 4,CLEAR\n\n" + BODY), "Only base64 data is allowed"),
    ],
    ids=range(9),
)
def test_a_broken_block_is_told_and_hides_no_other(text: str, reason: str) -> None:
    """What cannot be decoded is reported with its number, and the certificates around it are read."""
    whole = ROOT.pem + text + FULL.pem
    assert ders(whole) == [ROOT.der, FULL.der]
    (told,) = broken_blocks(whole)
    assert told.startswith("block 2: ") and reason in told


@pytest.mark.parametrize(
    "text", ["", "hello", FULL.key_pem, "-----BEGIN CERTIFICATE REQUEST-----\nMII=\n-----END"], ids=range(4)
)
def test_other_pem_is_not_a_certificate(text: str) -> None:
    """Keys and requests are neither certificates nor broken ones."""
    assert (ders(text), broken_blocks(text)) == ([], [])


def test_the_order_of_a_bundle_is_kept() -> None:
    """A chain is read in the order in which it lies."""
    assert ders(pem(FULL, ROOT, BARE).encode()) == [FULL.der, ROOT.der, BARE.der]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from([FULL.pem[:60], "-----", "BEGIN ", "END ", "TRUSTED "
    "CERTIFICATE", "CERTIFICATE-----", "\n", "MAA=", "MIIB", "\ud800"]), max_size=20).map("".join)))  # fmt: skip
def test_reading_pem_never_raises(text: str) -> None:
    """No text makes the reader fail, and a block is either decoded or told as broken."""
    assert all(ders(text))
    assert all(each.startswith("block ") for each in broken_blocks(text))


def test_what_stands_behind_a_certificate_in_its_block_is_not_kept() -> None:
    """A private key appended inside the block, by whatever tool, never reaches what is kept."""
    built = build("shop.example.com")
    key = built.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    body = base64.encodebytes(built.der + key).decode()
    assert ders(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n") == [built.der]
