"""The search for private keys, which follows every test of the deployed issuance, finds them however they are spelt."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from certificates import build
from key_search import WINDOW, Known, private_part

KINDS = ("EC-256", "EC-384", "RSA-2048", "Ed25519")
TOKEN = "q8Jx2vB5nW0sLk7Tz4Yd1Rf6Hc9Mg3PaUeXi_-oSbVwQ"


@cache
def key(kind: str, number: int = 0) -> Any:
    """A private key of a kind; another one for each number."""
    if kind.startswith("EC"):
        return ec.generate_private_key(ec.SECP256R1() if kind == "EC-256" else ec.SECP384R1())
    return rsa.generate_private_key(65537, 2048) if kind.startswith("RSA") else ed25519.Ed25519PrivateKey.generate()


def encoded(kind: str) -> Mapping[str, bytes]:
    """A key in every way in which it might be written."""
    held = key(kind)
    pem = held.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    der = held.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    body = b"".join(pem.splitlines()[1:-1])
    scalar = held.private_numbers().d.to_bytes(256, "big") if kind.startswith("RSA") else private_part(held)
    number = int.from_bytes(scalar, "big")
    return {
        "PEM": pem,
        "PEM in JSON": json.dumps({"private_key": pem.decode()}).encode(),
        "PEM in JSON in JSON": json.dumps(json.dumps({"private_key": pem.decode()})).encode(),
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM body": pem.split(b"-----")[2],
        "PEM body in one line": body,
        "PEM in base64": base64.b64encode(pem),
        "PEM in base64, moved by one": base64.b64encode(b"x" + pem),
        "PEM in base64, moved by two": base64.b64encode(b"xx" + pem),
        "PEM body in base64": base64.b64encode(body),
        "DER": der,
        "DER in hexadecimal": der.hex().encode(),
        "DER in capital hexadecimal": der.hex().upper().encode(),
        "DER in base64": base64.b64encode(der),
        "DER in base64url": base64.urlsafe_b64encode(der).rstrip(b"="),
        "private value in hexadecimal": f"0x{number:x}".encode(),
        "private value in decimal": str(number).encode(),
        "private value in base64": base64.b64encode(scalar),
        "private value in base64url (JWK)": base64.urlsafe_b64encode(scalar).rstrip(b"="),
        **_traditional(held, kind),
        "half of the PEM": pem[: len(pem) * 2 // 3],
    }


def _traditional(held: Any, kind: str) -> Mapping[str, bytes]:
    """PKCS #1 or SEC 1, which not every kind has."""
    if kind == "Ed25519":
        return {}
    pem = held.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    der = held.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return {
        "traditional PEM": pem,
        "traditional PEM in base64": base64.b64encode(pem),
        "traditional DER in hexadecimal": der.hex().encode(),
        "traditional DER in base64": base64.b64encode(der),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", [0, 1, 7, 1_000], ids=lambda size: f"after {size} characters")
def test_a_key_is_found_in_every_encoding(kind: str, around: int) -> None:
    """However a key is written, and wherever in a longer text: it is found."""
    known = Known.of([key(kind)])
    texts = {name: b"-" * around + each + b"-" * around for name, each in encoded(kind).items()}
    assert [name for name, text in texts.items() if not known.shown_in(text)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_and_what_everyone_may_know_are_not_found(kind: str) -> None:
    """Neither another key of the kind, nor the public half, nor a certificate for it is taken for the key."""
    known = Known.of([key(kind)])
    other = key(kind, 1)
    pem, der = (other.private_bytes(each, PrivateFormat.PKCS8, NoEncryption()) for each in (Encoding.PEM, Encoding.DER))
    public = key(kind).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    made = build("shop.example.com", key=key(kind))
    harmless = (pem, der, der.hex(), spki, spki.hex(), base64.b64encode(spki), made.pem, made.der.hex())
    assert [each for each in harmless if known.shown_in(each)] == []


def test_a_secret_text_is_found() -> None:
    """The key of an external account binding is found as it is, in hexadecimal and in base64."""
    known, data = Known.of([], [TOKEN]), TOKEN.encode()
    for each in (TOKEN, data.hex(), base64.b64encode(data).decode(), base64.b64encode(b"x" + data).decode()):
        assert known.shown_in(json.dumps({"hmac_key": each}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_piece_is_enough(kind: str) -> None:
    """Any piece of 24 characters is found at any place; fewer are not looked for."""
    known, digits = Known.of([key(kind)]), private_part(key(kind)).hex()
    cuts = [f"{'.' * place}{digits[place : place + WINDOW]}" for place in range(len(digits) - WINDOW + 1)]
    assert all(map(known.shown_in, cuts))
    assert not known.shown_in(digits[: WINDOW - 1])
