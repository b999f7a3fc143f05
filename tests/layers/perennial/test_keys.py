"""Private keys: every kind is made, written, read and named; nothing is said of one that cannot be read."""

from __future__ import annotations

import traceback

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import build
from perennial import keys
from perennial.errors import InvalidInput
from perennial.profiles import KEYS

EC = build("keys.example.com")
PLAIN = serialization.NoEncryption()


def pem_of(private: serialization.PrivateFormat, key: object, encryption: object = PLAIN) -> str:
    return key.private_bytes(serialization.Encoding.PEM, private, encryption).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_each_type_is_made_and_comes_back_from_its_pem(key: str) -> None:
    """Each word of KEYS gives a key of that type, whose PKCS #8 text gives the same key again."""
    made = keys.generate(key)
    text = keys.to_pem(made)
    again = keys.from_pem(text)
    assert keys.word(made.public_key()) == keys.word(again.public_key()) == key
    assert text.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert keys.public_sha256(again.public_key()) == keys.public_sha256(made.public_key())


@pytest.mark.parametrize("key", ["EC-256", "Ed25519"])
def test_a_key_is_made_anew_each_time(key: str) -> None:
    """Two calls give two keys."""
    first, second = keys.generate(key), keys.generate(key)
    assert keys.public_sha256(first.public_key()) != keys.public_sha256(second.public_key())


@pytest.mark.parametrize("key", ["", "EC-512", "RSA-1024", "RSA-2048 ", "ec-256", "x" * 10_000])
def test_an_unknown_type_is_refused_with_those_there_are(key: str) -> None:
    """The message has the known types and stays short, whatever was asked."""
    with pytest.raises(InvalidInput, match=r"RSA-4096.*ML-DSA-87") as caught:
        keys.generate(key)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("kind", ["RSA-2048", "EC-256", "EC-384", "Ed25519", "ML-DSA-65"])
def test_the_hash_and_the_word_equal_those_of_a_certificate(kind: str) -> None:
    """A key's hash is the one that a certificate for it has, and so is its word."""
    built = build("hash.example.com", key=kind)
    assert keys.public_sha256(built.key.public_key()) == built.certificate.public_key_sha256
    assert keys.word(built.key.public_key()) == built.certificate.key


@pytest.mark.parametrize(
    ("private", "expected"),
    [
        (rsa.generate_private_key(65_537, 1024), "RSA-1024"),
        (ec.generate_private_key(ec.SECP521R1()), "EC-521"),
        (ec.generate_private_key(ec.SECP256K1()), "EC secp256k1"),
        (ec.generate_private_key(ec.BrainpoolP256R1()), "EC brainpoolP256r1"),
        (dsa.generate_private_key(1024), "DSA-1024"),
        (ed448.Ed448PrivateKey.generate(), "Ed448"),
        (x25519.X25519PrivateKey.generate(), "X25519"),
    ],
)
def test_other_kinds_are_named_and_not_taken(private: object, expected: str) -> None:
    """A key that KEYS does not have is named in the refusal; a 256-bit field is not P-256 by its size."""
    assert keys.word(private.public_key()) == expected  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match=expected):
        keys.from_pem(pem_of(serialization.PrivateFormat.PKCS8, private))


def test_older_encodings_are_read() -> None:
    """SEC 1 and PKCS #1 texts give the same key as PKCS #8."""
    for built in (EC, build("keys.example.com", key="RSA-2048")):
        read = keys.from_pem(pem_of(serialization.PrivateFormat.TraditionalOpenSSL, built.key))
        assert keys.public_sha256(read.public_key()) == built.certificate.public_key_sha256


TEXTS = {
    "empty": "",
    "no PEM": "password",
    "cut off": EC.key_pem[:-60],
    "two keys": EC.key_pem * 2,
    "a certificate": EC.pem,
    "a certificate before the key": EC.pem + EC.key_pem,
    "encrypted": pem_of(serialization.PrivateFormat.PKCS8, EC.key, serialization.BestAvailableEncryption(b"x")),
    "a wrong character": EC.key_pem.replace("\nMI", "\n!I"),
    "a broken body": EC.key_pem.replace("\nMI", "\nAA"),
    "too long": EC.key_pem + " " * keys.MAX_PEM_CHARACTERS,
    "a lone surrogate": EC.key_pem + "\ud800",
    "public": EC.key.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode(),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_no_key_is_refused_without_a_word_of_it(name: str) -> None:
    """Neither the message nor the traceback has any part of the text, and no exception is kept as its context."""
    with pytest.raises(InvalidInput) as caught:
        keys.from_pem(TEXTS[name])
    told = str(caught.value) + "".join(traceback.format_exception_only(caught.value))
    body = "".join(TEXTS[name].split("\n")[1:-2])
    assert not any(body[at : at + 12] in told for at in range(len(body) - 12))
    assert caught.value.__context__ is None


@settings(deadline=None)
@given(st.text(max_size=300) | st.text(max_size=200).map(lambda text: EC.key_pem.replace("\nMI", f"\n{text}")))
def test_any_text_is_a_key_or_invalid_input(text: str) -> None:
    """No text raises anything else."""
    try:
        keys.from_pem(text)
    except InvalidInput as error:
        assert len(str(error)) < 250
