"""Signatures over statements: ECDSA with SHA-256 by a P-256 key in KMS, and their verification without KMS.

KMS gets the hash of the statement, so that one may have any length, and so that it needs nothing but the public key and
`openssl` to check one.

Sources: KMS API reference (Sign, GetPublicKey); FIPS 186-5 section 6.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

from perennial.checks.wording import quoted
from perennial.errors import InvalidConfiguration, InvalidInput, InvalidReply
from perennial.issuers.aws_replies import answered

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

ACTIONS = ("kms:Sign",)
READS = ("kms:GetPublicKey",)  # who verifies
ALGORITHM = "ECDSA_SHA_256"
KEY_SPEC = "ECC_NIST_P256"
ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):key/[A-Za-z0-9-]{1,64}")
MAX_PEM = 16 * 1024  # characters


def sign(kms: Any, key_id: str, statement: bytes, what: str) -> str:
    """The signature over a statement (DER, in base64). `key_id` is the ARN of the key; `what` it signs, for people:
    "proofs".

    Raises: InvalidConfiguration where `key_id` is no ARN of a key; InvalidReply; what AWS's errors mean.
    """
    if not ARN.fullmatch(key_id):
        raise InvalidConfiguration(
            f"{quoted(key_id, 100)} is not the ARN of a KMS key; name the key that signs {what} by its ARN"
        )
    digest = hashlib.sha256(statement).digest()
    with answered(f"kms:Sign of {key_id}", _advice(what)):
        answer = kms.sign(KeyId=key_id, Message=digest, MessageType="DIGEST", SigningAlgorithm=ALGORITHM)
    signature = answer.get("Signature", b"")
    if not 1 <= len(signature) <= 80:  # DER of two numbers of 256 bits
        raise InvalidReply(f"kms:Sign of {key_id}: {len(signature)} bytes are no signature by a P-256 key")
    return base64.b64encode(signature).decode()


def _advice(what: str) -> dict[str, str]:
    return {
        "DisabledException": f"enable the key that signs {what}",
        "InvalidKeyUsageException": f"name a key of the usage SIGN_VERIFY and the type {KEY_SPEC}",
        "KMSInvalidStateException": f"enable the key that signs {what}, or cancel its deletion",
        "KeyUnavailableException": f"look at the state of the key that signs {what}",
        "NotFoundException": f"deploy the stack, which makes the key that signs {what}",
    }


def signed(signature: str, statement: bytes, public_key_der: bytes) -> bool:
    """Whether a signature is this key's over a statement.

    Raises: InvalidInput for a key that is not of the type P-256; binascii.Error for a signature that is not base64.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = _loaded(public_key_der)
    try:
        key.verify(base64.b64decode(signature, validate=True), statement, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def public_key(kms: Any, key_id: str) -> bytes:
    """The public half (DER, SubjectPublicKeyInfo) of the key with this ARN.

    Raises: InvalidInput where `key_id` is no ARN of a key; InvalidReply; what AWS's errors mean.
    """
    if not ARN.fullmatch(key_id):
        raise InvalidInput(f"{quoted(key_id, 100) or 'nothing'} is not the ARN of a KMS key; give --public-key")
    with answered(f"kms:GetPublicKey of {key_id}", {}):
        answer = kms.get_public_key(KeyId=key_id)
    told = str(answer.get("KeyId", key_id))  # an ARN; emulators tell the id alone
    if told.rpartition("/")[2] != key_id.rpartition("/")[2]:
        raise InvalidReply(f"kms:GetPublicKey of {key_id}: it answers for {quoted(told, 200)}")
    der = bytes(answer.get("PublicKey", b""))
    _loaded(der)
    return der


def public_key_of(pem: bytes) -> bytes:
    """The public key (DER) of a PEM text.

    Raises: InvalidInput.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    if len(pem) > MAX_PEM:
        raise InvalidInput(f"the public key has more than {MAX_PEM} characters")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput("the public key cannot be read; give one in PEM (BEGIN PUBLIC KEY)") from error
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _loaded(der)
    return der


def _loaded(der: bytes) -> EllipticCurvePublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput("the public key cannot be read; give one of the type P-256") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise InvalidInput(f"the public key is not one of the type P-256, with which Perennial signs ({KEY_SPEC})")
    return key
