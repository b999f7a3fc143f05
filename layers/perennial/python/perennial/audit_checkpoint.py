"""Checkpoints of the audit trail: what every chain of a day was at a moment, signed, and locked away.

A checkpoint names the checkpoint before it by hash, so that none can be left out. It is signed as a proof is (ECDSA
with SHA-256 by a P-256 key in KMS), and put into a bucket whose Object Lock nobody can lift before the retention ends,
the account's root user included (S3 user guide, "Object Lock", compliance mode).
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from perennial import audit_json as reading
from perennial import statement_signing
from perennial.audit_chain import MAX_SHARDS, Chain, Link
from perennial.errors import InvalidInput, ServiceRefused
from perennial.issuers.aws_replies import answered, code

SCHEMA = 1
ACTIONS = ("kms:Sign", "s3:GetObject", "s3:PutObject", "s3:PutObjectRetention")  # of who makes checkpoints
FIRST = hashlib.sha256(b"perennial audit checkpoints").hexdigest()  # the hash before the first checkpoint
PREFIX = "checkpoints/"
MAX_SIZE = 64 * 1024  # characters of one
_THERE = frozenset({"PreconditionFailed", "412"})
_OF_S3 = {
    "InvalidRequest": "the bucket of checkpoints must have Object Lock: deploy the stack, which makes it",
    "NoSuchBucket": "deploy the stack, which makes the bucket of checkpoints",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last link of a chain: how many there are, and its hash."""

    shard: int
    count: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What the chains of a day were `at` a moment (UTC). `number` counts all checkpoints from 1; `previous` is the hash
    of the one before it. `key_id`: ARN of the KMS key; `signature`: base64 of the ECDSA signature (DER)."""

    number: int
    day: str
    at: datetime
    heads: tuple[Head, ...]
    previous: str = FIRST
    key_id: str = ""
    signature: str = ""


def next_checkpoint(last: Checkpoint | None, heads: Mapping[Chain, Link], day: str, at: datetime) -> Checkpoint:
    """The checkpoint of a day's chains after the last one, not yet signed."""
    every = tuple(
        Head(shard=chain[1], count=link.number, hash=link.hash)
        for chain, link in sorted(heads.items())
        if chain[0] == day
    )
    number, previous = (last.number + 1, hash_of(last)) if last else (1, FIRST)
    return Checkpoint(number=number, day=day, at=at, heads=every, previous=previous)


def is_cut(before: Checkpoint, now: Checkpoint) -> bool:
    """Whether a chain of a day lost links since its last checkpoint, or its last link is another one."""
    heads = {each.shard: each for each in now.heads}
    for seen in before.heads:
        head = heads.get(seen.shard)
        if head is None or head.count < seen.count or (head.count == seen.count and head.hash != seen.hash):
            return True
    return False


# --- as a text, a document and back ---


def statement(checkpoint: Checkpoint) -> bytes:
    """What is signed: everything but the signature."""
    content = document(checkpoint)
    del content["signature"]
    return reading.canonical(content).encode()


def hash_of(checkpoint: Checkpoint) -> str:
    """What the next checkpoint names it by. Without the signature, of which a holder of the key can make many."""
    return hashlib.sha256(statement(checkpoint)).hexdigest()


def document(checkpoint: Checkpoint) -> dict[str, Any]:
    """As it is stored and exported: plain values, which `of` reads again."""
    own = {each.name: getattr(checkpoint, each.name) for each in fields(checkpoint)}
    heads = [{"shard": each.shard, "count": each.count, "hash": each.hash} for each in checkpoint.heads]
    return {"schema": SCHEMA, **own, "at": reading.written(checkpoint.at), "heads": heads}


def of(document: object, where: str = "checkpoint") -> Checkpoint:
    """The checkpoint that a document holds.

    Raises: InvalidInput with the member that is not as `document` writes it.
    """
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        raise InvalidInput(f"{where} has another schema than {SCHEMA}, which is read here; use the release it is of")
    read = reading.members({"schema": reading.whole(SCHEMA, SCHEMA), **_CHECKPOINT}, document, where)
    del read["schema"]
    found = Checkpoint(**read)
    shards = [each.shard for each in found.heads]
    if shards != sorted(set(shards)):
        raise InvalidInput(f"{where}.heads has its shards not in order, or one of them twice")
    return found


def load(text: str, where: str = "checkpoint") -> Checkpoint:
    """The checkpoint of a JSON text, as it lies in the bucket.

    Raises: InvalidInput.
    """
    return of(reading.parsed(text, where, MAX_SIZE), where)


def _head(value: Any, where: str) -> Head:
    readers = {"shard": reading.whole(0, MAX_SHARDS - 1), "count": reading.whole(1), "hash": reading.sha256}
    return Head(**reading.members(readers, value, where))


_CHECKPOINT: dict[str, reading.Reader] = {
    "number": reading.whole(1),
    "day": reading.day,
    "at": reading.time,
    "heads": reading.several(_head, MAX_SHARDS),
    "previous": reading.sha256,
    "key_id": reading.line(0, 300),
    "signature": reading.like(re.compile(r"[A-Za-z0-9+/]{0,200}={0,2}"), "base64"),
}
assert set(_CHECKPOINT) == {each.name for each in fields(Checkpoint)}, "a member of Checkpoint that is not read"


# --- signed ---


def sign(kms: Any, key_id: str, checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint, signed. `key_id` is the ARN of the key, which is signed too.

    Raises: InvalidConfiguration where `key_id` is no ARN of a key; InvalidReply; what AWS's errors mean.
    """
    named = replace(checkpoint, key_id=key_id, signature="")
    return replace(named, signature=statement_signing.sign(kms, key_id, statement(named), "checkpoints"))


def signed_by(checkpoint: Checkpoint, public_key_der: bytes) -> bool:
    """Whether the signature is this key's over everything that the checkpoint says.

    Raises: InvalidInput for a key that is not of the type P-256.
    """
    try:
        return statement_signing.signed(checkpoint.signature, statement(checkpoint), public_key_der)
    except binascii.Error:
        return False


# --- locked away ---


def key_of(checkpoint: Checkpoint) -> str:
    """Where a checkpoint lies in the bucket: by day, then in the order in which they were made."""
    return f"{PREFIX}{checkpoint.day}/{checkpoint.number:012}.json"


def lock_away(s3: Any, bucket: str, checkpoint: Checkpoint, retention: timedelta) -> bool:
    """Put a signed checkpoint into the bucket, locked until `retention` after its moment. False where it is there
    already: it is never put twice.

    Raises: InvalidInput for one that is not signed; ServiceRefused where another one lies under its number, so that the
    table was set back; what AWS's errors mean.
    """
    from botocore.exceptions import ClientError

    if not checkpoint.signature:
        raise InvalidInput(f"checkpoint {checkpoint.number} is not signed; sign it before it is put away")
    body = reading.canonical(document(checkpoint)).encode()
    with answered(f"s3:PutObject of checkpoint {checkpoint.number} in {bucket}", _OF_S3):
        try:
            _put(s3, bucket, checkpoint, body, checkpoint.at + retention)
        except ClientError as error:
            if code(error) not in _THERE:
                raise
            _same(s3, bucket, checkpoint, body)
            return False
    return True


def _put(s3: Any, bucket: str, checkpoint: Checkpoint, body: bytes, until: datetime) -> None:
    s3.put_object(
        Bucket=bucket,
        Key=key_of(checkpoint),
        Body=body,
        ContentType="application/json",
        IfNoneMatch="*",
        ChecksumAlgorithm="SHA256",  # S3 takes no object with a retention without a checksum
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until,
    )


def _same(s3: Any, bucket: str, checkpoint: Checkpoint, body: bytes) -> None:
    locked = s3.get_object(Bucket=bucket, Key=key_of(checkpoint))["Body"].read(MAX_SIZE)
    if locked != body:
        raise ServiceRefused(
            f"another checkpoint {checkpoint.number} of {checkpoint.day} than the table's is locked away in "
            f"{bucket}: the audit trail in the table was set back; compare both, and look for who wrote the table"
        )
