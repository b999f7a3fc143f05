"""Private keys: made, written and read as PEM, and named by the words of `profiles.KEYS`. Pure.

No error of this module quotes a key, and none has an exception as its context that could.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from perennial.errors import InvalidInput
from perennial.profiles import KEYS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import types

    PrivateKey = types.CertificateIssuerPrivateKeyTypes
    PublicKey = types.CertificatePublicKeyTypes

MAX_PEM_CHARACTERS = 32 * 1024  # an ML-DSA-87 key with seed and expanded form has 7 KB, one of RSA-16384 13 KB
_BEGIN = re.compile(r"-----BEGIN ")
_CURVES = {"secp256r1": "EC-256", "secp384r1": "EC-384", "secp521r1": "EC-521"}


def generate(key: str) -> PrivateKey:
    """A new private key.

    Raises: InvalidInput for a word that is not in `profiles.KEYS`.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

    match key:
        case "RSA-2048" | "RSA-3072" | "RSA-4096":
            return rsa.generate_private_key(public_exponent=65_537, key_size=int(key.removeprefix("RSA-")))
        case "EC-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EC-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ML-DSA-44":
            return mldsa.MLDSA44PrivateKey.generate()
        case "ML-DSA-65":
            return mldsa.MLDSA65PrivateKey.generate()
        case "ML-DSA-87":
            return mldsa.MLDSA87PrivateKey.generate()
    raise InvalidInput(f"no key type {key[:40]!r}; there are {', '.join(KEYS)}")


def to_pem(private: PrivateKey) -> str:
    """PKCS #8 (RFC 5958), unencrypted: Secrets Manager encrypts it."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def from_pem(text: str) -> PrivateKey:
    """The private key in a PEM text (PKCS #8, PKCS #1 or SEC 1), unencrypted and of a kind in `profiles.KEYS`.

    Raises: InvalidInput, which says nothing of the text.
    """
    if len(text) > MAX_PEM_CHARACTERS:
        raise InvalidInput(f"the private key has {len(text)} characters, more than {MAX_PEM_CHARACTERS}")
    private = _loaded(text)
    if private is None:
        raise InvalidInput("the private key cannot be read; give one unencrypted key in PEM (PKCS #8)")
    kind = word(private.public_key())
    if kind not in KEYS:
        raise InvalidInput(f"the private key is of the type {kind}; there may be {', '.join(KEYS)}")
    return private


def _loaded(text: str) -> PrivateKey | None:
    """The key, or None. The parser's exception ends here, so that no later one has it as its context."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if len(_BEGIN.findall(text)) != 1:
        return None
    try:
        loaded = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        return None
    return loaded  # type: ignore[return-value]  # kinds that sign no certificate have no word in KEYS: from_pem


def word(public: PublicKey) -> str:
    """The type of a key as in `profiles.KEYS`; for any other what it is, for messages: "RSA-1024", "EC secp256k1"."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, mldsa, rsa

    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA-{public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return _CURVES.get(public.curve.name, f"EC {public.curve.name}")
    if isinstance(public, dsa.DSAPublicKey):
        return f"DSA-{public.key_size}"
    kinds = {
        ed25519.Ed25519PublicKey: "Ed25519",
        mldsa.MLDSA44PublicKey: "ML-DSA-44",
        mldsa.MLDSA65PublicKey: "ML-DSA-65",
        mldsa.MLDSA87PublicKey: "ML-DSA-87",
    }
    own = type(public).__name__.removesuffix("PublicKey")
    return next((name for kind, name in kinds.items() if isinstance(public, kind)), own)


def public_sha256(public: PublicKey) -> str:
    """SHA-256 of the SubjectPublicKeyInfo in lower-case hexadecimal, as `Certificate.public_key_sha256`."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
