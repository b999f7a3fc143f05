from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from hypothesis import given
from hypothesis import strategies as st

from certificates import Built, build, pem
from perennial.secret_content import MAX_CERTIFICATES, Content, content

ROOT = build("Example Root", ca=True)
INTERMEDIATE = build("Example CA", ca=True, issuer=ROOT)
LEAF = build("shop.example.com", issuer=INTERMEDIATE)
OTHER = build("other.example.com", issuer=INTERMEDIATE)
FULL = pem(LEAF, INTERMEDIATE, ROOT)


def b64(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def key_der(built: Built, form: PrivateFormat) -> bytes:
    data: bytes = built.key.private_bytes(Encoding.DER, form, NoEncryption())
    return data


def names(found: Content) -> list[list[str]]:
    return [[each.certificate.title, *(above.title for above in each.chain)] for each in found.held]


@pytest.mark.parametrize(
    "secret",
    [
        FULL,
        FULL.encode(),
        FULL.replace("\n", "\r\n"),
        json.dumps({"certificate": FULL}),
        json.dumps({"cert": LEAF.pem, "chain": pem(INTERMEDIATE, ROOT)}),
        json.dumps({"ca": ROOT.pem, "tls": {"chain": [INTERMEDIATE.pem]}, "tls.crt": LEAF.pem}),
        json.dumps({"certificate": FULL.replace("\n", "\\n")}),
        json.dumps(json.dumps({"certificate": FULL})),
        json.dumps({"tls.crt": b64(FULL)}),
        json.dumps([b64(LEAF.der), b64(INTERMEDIATE.der), b64(ROOT.der)]),
        b64(FULL),
        "CERT=" + FULL.replace("\n", "\\n"),
        "{not json " + FULL,
    ],
)
def test_forms(secret: str | bytes) -> None:
    """The same leaf and chain are found in every form in which secrets are written."""
    assert names(content(secret)) == [["shop.example.com", "Example CA", "Example Root"]]


def test_der() -> None:
    """A binary secret may be one certificate in DER."""
    assert content(LEAF.der).held[0].certificate == LEAF.certificate


def test_two_certificates() -> None:
    """Two leaves of one CA are both held, each with the issuers that lie in the secret."""
    found = content(json.dumps({"a": LEAF.pem, "b": pem(OTHER, INTERMEDIATE), "ca": ROOT.pem}))
    assert names(found) == [
        ["shop.example.com", "Example CA", "Example Root"],
        ["other.example.com", "Example CA", "Example Root"],
    ]


def test_order_of_a_sequence_is_kept() -> None:
    """A chain in the wrong order in one PEM text stays so: it is what a server would send."""
    assert names(content(pem(LEAF, ROOT, INTERMEDIATE))) == [["shop.example.com", "Example Root", "Example CA"]]


@pytest.mark.parametrize("secret", [pem(INTERMEDIATE, ROOT), pem(ROOT, INTERMEDIATE)])
def test_authorities_alone(secret: str) -> None:
    """Where there are only CAs, the lowest is the one that is held."""
    assert names(content(secret)) == [["Example CA", "Example Root"]]


def test_two_roots_of_one_name() -> None:
    """A root and its successor of the same name do not hide each other."""
    successor = build("Example Root", ca=True, key="EC-256#2")
    assert len(content(pem(ROOT, successor)).held) == 2


def test_crossed_authorities() -> None:
    """CAs that certify each other in a circle still leave something that is held."""
    first = build("One", ca=True, issuer=build("Two", ca=True))
    second = build("Two", ca=True, issuer=build("One", ca=True))
    assert len(content(pem(first, second)).held) == 1


def test_repeated_certificate() -> None:
    """A certificate that a secret repeats is held once."""
    assert len(content(LEAF.pem * 3).held) == 1


@pytest.mark.parametrize(
    "key",
    [
        LEAF.key_pem,
        LEAF.key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        LEAF.key_pem.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        b64(LEAF.key_pem),
        b64(key_der(LEAF, PrivateFormat.PKCS8)),
        b64(key_der(LEAF, PrivateFormat.TraditionalOpenSSL)),
        b64(key_der(build("rsa", key="RSA-2048"), PrivateFormat.TraditionalOpenSSL)),
        b64(key_der(build("rsa", key="RSA-2048"), PrivateFormat.PKCS8)),
    ],
)
def test_key(key: str) -> None:
    """A private key in any form is noticed, and only noticed."""
    found = content(json.dumps({"cert": LEAF.pem, "key": key}))
    assert found.has_key
    assert names(found) == [["shop.example.com"]]
    assert not content(json.dumps({"cert": LEAF.pem})).has_key


def test_containers() -> None:
    """Containers that need a password are named, not opened."""
    encryption = NoEncryption()
    container = serialize_key_and_certificates(b"shop", LEAF.key, LEAF.x509, None, encryption)
    assert "PKCS #12" in content(container).problems[0]
    assert "PKCS #12" in content(json.dumps({"p12": b64(container)})).problems[0]
    assert "Java keystore" in content(b"\xfe\xed\xfe\xed\x00\x00\x00\x02").problems[0]


def test_bounds() -> None:
    """More certificates than are kept, and more bytes than AWS allows, are told and not followed."""
    many = content("".join(build(f"h{number}", key=LEAF.key).pem for number in range(MAX_CERTIFICATES + 2)))
    assert len(many.held) == MAX_CERTIFICATES
    assert "52 certificates; the first 50 are kept" in many.problems
    assert "70000 bytes" in content("x" * 70_000).problems[0]


def test_deep_nesting() -> None:
    """JSON that nests without end is looked at as text, and what it holds is found."""
    deep = "[" * 20_000 + json.dumps(LEAF.pem) + "]" * 20_000
    assert names(content(deep)) == [["shop.example.com"]]
    assert names(content("[" * 500 + json.dumps(LEAF.pem) + "]" * 500)) == [["shop.example.com"]]


@pytest.mark.parametrize("secret", ["", "password", "{}", "null", "\ud800", b"\x00\xff", '"\\ud800"', "-----BEGIN"])
def test_nothing(secret: str | bytes) -> None:
    """Anything else holds nothing and is no error."""
    assert content(secret) == Content((), False, ())


@given(st.one_of(st.text(max_size=400), st.binary(max_size=400), st.text('{}[]",:\\n0-=MIb\x30\x82', max_size=200)))
def test_never_raises(secret: str | bytes) -> None:
    """No content makes it raise: an exception could carry the secret."""
    content(secret)
