"""Tokens for tests, put together by hand: a good one, and whatever an attacker would make of it.

token()                                     good, by RSA, in RS256
token({"exp": 0}, header={"alg": "none"})   with other claims, with another header
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from perennial.api_settings import Oidc, user_pool

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "https://login.example.com/realms/example"
OIDC = Oidc(issuer=ISSUER, keys=f"{ISSUER}/keys", audiences=("perennial",), algorithms=("RS256", "PS256", "ES256"))
POOL = user_pool("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI", "1example23456789")
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "ada",
    "aud": "perennial",
    "exp": SECONDS + 3_600,
    "iat": SECONDS - 60,
    "name": "Ada Lovelace",
    "email": "Ada@example.com",
    "email_verified": True,
    "groups": ["shop"],
}
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key(kind: str = "RSA-2048", number: int = 1) -> Any:
    """A private key, the same each time: RSA-<bits> or the name of a curve; `number` tells several apart."""
    return _key(kind, number)


@cache
def _key(kind: str, number: int) -> Any:
    if kind.startswith("RSA-"):
        return rsa.generate_private_key(65_537, int(kind[4:]))
    return ec.generate_private_key(_CURVES[kind]())


def jwk(kind: str = "RSA-2048", kid: str = "k1", *, number: int = 1, **more: Any) -> dict[str, Any]:
    """The public key as a JWK."""
    numbers = key(kind, number).public_key().public_numbers()
    if kind.startswith("RSA-"):
        made = {"kty": "RSA", "n": _number(numbers.n, numbers.n.bit_length()), "e": "AQAB"}
    else:
        size = key(kind, number).key_size
        made = {"kty": "EC", "crv": kind, "x": _number(numbers.x, size), "y": _number(numbers.y, size)}
    return {**made, "kid": kid, "use": "sig", **more}


def _number(value: int, bits: int) -> str:
    return b64(value.to_bytes((bits + 7) // 8, "big"))


def spki(encoding: serialization.Encoding) -> bytes:
    """The RSA public key in PEM or DER."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    made: bytes = key().public_key().public_bytes(encoding, form)
    return made


def sign(data: bytes, algorithm: str, signer: Any) -> bytes:
    """A signature as JWA has it (RFC 7518 3.3 to 3.5)."""
    digest = _HASHES[algorithm[2:]]
    if algorithm.startswith("ES"):
        size = (signer.key_size + 7) // 8
        r, s = decode_dss_signature(signer.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
    made: bytes = signer.sign(data, salted if algorithm.startswith("PS") else padding.PKCS1v15(), digest)
    return made


def assembled(header: bytes, payload: bytes, signature: Any) -> str:
    """A token of these very bytes; `signature` makes the signature of what is signed."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(signature(signed.encode()))}"


def token(
    claims: dict[str, Any] | None = None, *, header: dict[str, Any] | None = None, kind: str = "RSA-2048", **more: Any
) -> str:
    """A token with the claims and header parameters changed as given; a value of ... leaves one out."""
    head = _without({"alg": "RS256", "kid": "k1", "typ": "JWT", **(header or {})})
    body = _without({**CLAIMS, **(claims or {})})
    algorithm = more.get("algorithm", head.get("alg", "RS256"))
    signer = key(kind, more.get("number", 1))
    return assembled(json.dumps(head).encode(), json.dumps(body).encode(), lambda data: sign(data, algorithm, signer))


def _without(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not ...}
