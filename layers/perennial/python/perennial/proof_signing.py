"""The signature over a proof, by a key in KMS, and its verification (`statement_signing`)."""

from __future__ import annotations

import binascii
from dataclasses import replace
from typing import Any

from perennial import statement_signing
from perennial.checks.wording import quoted
from perennial.errors import InvalidInput
from perennial.proof import Proof, statement, unproven

ACTIONS = statement_signing.ACTIONS
READS = statement_signing.READS  # who verifies


def sign(kms: Any, key_id: str, proof: Proof) -> Proof:
    """The same proof, signed. `key_id` is the ARN of the key, which is signed too.

    Raises: InvalidInput for a proof that shows nothing; InvalidConfiguration where `key_id` is no ARN of a key;
    InvalidReply; what AWS's errors mean.
    """
    reason = unproven(proof)
    if reason:
        raise InvalidInput(f"proof {quoted(proof.id, 100)} is not signed: {reason}")
    named = replace(proof, key_id=key_id, signature="")
    return replace(named, signature=statement_signing.sign(kms, key_id, statement(named), "proofs"))


def verify(proof: Proof, public_key_der: bytes) -> None:
    """Nothing, when the signature is this key's over everything that the proof says, and that shows what it claims.

    Raises: InvalidInput with the reason.
    """
    try:
        is_signed = statement_signing.signed(proof.signature, statement(proof), public_key_der)
    except binascii.Error as error:
        raise InvalidInput("the signature is not base64") from error
    if not is_signed:
        raise InvalidInput(
            "the signature is not this key's over what it says" if proof.signature else "it is not signed"
        )
    reason = unproven(proof)
    if reason:
        raise InvalidInput(f"what it holds does not show what it says: {reason}")
