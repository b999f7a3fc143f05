"""Private keys of certificates that are made in KMS, sign there, and never leave it.

Such a key proves itself in a signing request; no TLS server of AWS can use it. KMS has no idempotency token for a new
key, so its alias is what makes it one: it is made of what the key is for, and KMS takes it once.

Sources: KMS API reference (CreateKey, CreateAlias, GetPublicKey, Sign, ScheduleKeyDeletion); FIPS 204.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from perennial import keys
from perennial.clients import meaning
from perennial.errors import InvalidConfiguration, InvalidReply, NotFound, ServiceRefused
from perennial.issuers.aws_replies import answered

if TYPE_CHECKING:
    from perennial.keys import PublicKey
    from perennial.signing_request import Sign

ACTIONS = (
    "kms:GetPublicKey",
    "kms:Sign",
    "kms:CreateKey",
    "kms:TagResource",  # CreateKey with tags
    "kms:CreateAlias",
    "kms:ScheduleKeyDeletion",
)
RETIRES = (
    "kms:DescribeKey",
    "kms:ListResourceTags",
    "kms:ListAliases",
    "kms:DeleteAlias",
    "kms:ScheduleKeyDeletion",
)
ALIASES = "alias/perennial/"
MANAGED_TAG = "perennial:managed"
MAX_RAW_BYTES = 4_096  # of a message that KMS hashes by itself (API reference: Sign)
PENDING_DAYS = 7  # until a key that is not needed is gone; the least that KMS takes
RETIRED_DAYS = 30  # until a key that was in use is gone; the most that KMS takes: so long it can be brought back


@dataclass(frozen=True, slots=True)
class _Kind:
    """What KMS calls a type of key and its signatures; `hashed` is the hash where it gets a digest."""

    spec: str
    algorithm: str
    hashed: str = ""


_KINDS = {
    "RSA-2048": _Kind("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", "sha256"),
    "RSA-3072": _Kind("RSA_3072", "RSASSA_PKCS1_V1_5_SHA_256", "sha256"),
    "RSA-4096": _Kind("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_256", "sha256"),
    "EC-256": _Kind("ECC_NIST_P256", "ECDSA_SHA_256", "sha256"),
    "EC-384": _Kind("ECC_NIST_P384", "ECDSA_SHA_384", "sha384"),
    "ML-DSA-44": _Kind("ML_DSA_44", "ML_DSA_SHAKE_256"),
    "ML-DSA-65": _Kind("ML_DSA_65", "ML_DSA_SHAKE_256"),
    "ML-DSA-87": _Kind("ML_DSA_87", "ML_DSA_SHAKE_256"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsKey:
    """A key in KMS: its ARN, its public half, and what has it sign."""

    arn: str
    public_key: PublicKey = field(repr=False)
    sign: Sign = field(repr=False)


def key_for(
    client: Any, managed: str, ask_id: str, key: str, *, tags: Mapping[str, str] = MappingProxyType({})
) -> KmsKey:
    """The KMS key of one asked-for certificate, made where there is none yet; "" as `ask_id` for the one that a managed
    certificate keeps through its renewals.

    A step that is interrupted between the new key and its alias leaves a key without alias, which its tag names.
    Raises: InvalidConfiguration where the key is of another type; InvalidReply; what AWS's errors mean.
    """
    _kind(key)
    alias = _alias(managed, ask_id)
    answer = _public(client, alias)
    if answer is None:
        _make(client, alias, key, {**tags, MANAGED_TAG: managed})
        answer = _call(client, "get_public_key", KeyId=alias)
    public_key, sign = _signer(client, answer, alias, key)
    return KmsKey(arn=str(answer["KeyId"]), public_key=public_key, sign=sign)


def kms_signer(client: Any, key_id: str, key: str) -> tuple[PublicKey, Sign]:
    """The public half of a KMS key, and what has it sign; `key` is the type that it must have.

    Raises: InvalidConfiguration where the key is of another type or not for signing; InvalidReply; what AWS's errors
    mean, also from the returned function.
    """
    _kind(key)
    return _signer(client, _call(client, "get_public_key", KeyId=key_id), key_id, key)


def retire(client: Any, managed: str, key_arn: str, ask_ids: Collection[str]) -> list[str]:
    """Schedule the deletion of a key, where it is for these asks alone ("" for the one that is kept through renewals),
    in `RETIRED_DAYS`; its alias goes first. Returns why it stays, a sentence, where somebody else may need it; [] when
    it is to be deleted or gone, or other asks have it. Until it is gone, CancelKeyDeletion brings it back.

    Raises: what AWS's errors mean.
    """
    if not _stands(client, key_arn):
        return []
    if _tags(client, key_arn).get(MANAGED_TAG) != managed:
        return [f"the KMS key {key_arn} has not the tag {MANAGED_TAG} = {managed}: delete it, or set the tag"]
    found, own = _aliases(client, key_arn), {_alias(managed, each) for each in ask_ids}
    if any(each.startswith(ALIASES) for each in found - own):
        return []
    if found - own:
        return [f"the KMS key {key_arn} has the alias {min(found - own)} too: take that off, then it is deleted"]
    for alias in sorted(found):
        _removed(client, "delete_alias", AliasName=alias)
    _schedule(client, key_arn)
    return []


def _alias(managed: str, ask_id: str) -> str:
    return ALIASES + hashlib.sha256(f"{managed}\n{ask_id}".encode()).hexdigest()


def _stands(client: Any, key_arn: str) -> bool:
    """Whether a key is there and not on its way out."""
    try:
        state = _call(client, "describe_key", KeyId=key_arn)["KeyMetadata"].get("KeyState", "")
    except NotFound:
        return False
    return state not in ("PendingDeletion", "PendingReplicaDeletion")


def _tags(client: Any, key_arn: str) -> dict[str, str]:
    with answered(f"kms:ListResourceTags of {key_arn}", {}):
        pages = client.get_paginator("list_resource_tags").paginate(KeyId=key_arn)
        return {each["TagKey"]: each["TagValue"] for page in pages for each in page.get("Tags", ())}


def _aliases(client: Any, key_arn: str) -> set[str]:
    with answered(f"kms:ListAliases of {key_arn}", {}):
        pages = client.get_paginator("list_aliases").paginate(KeyId=key_arn)
        return {each["AliasName"] for page in pages for each in page.get("Aliases", ())}


def _schedule(client: Any, key_arn: str) -> None:
    try:
        _removed(client, "schedule_key_deletion", KeyId=key_arn, PendingWindowInDays=RETIRED_DAYS)
    except ServiceRefused:
        if _stands(client, key_arn):  # else another call did it meanwhile
            raise


def _removed(client: Any, operation: str, **parameters: Any) -> None:
    """A call that removes; done where nothing is there any more."""
    try:
        _call(client, operation, **parameters)
    except NotFound:
        return


def _kind(key: str) -> _Kind:
    if key not in _KINDS:
        raise InvalidConfiguration(f"KMS signs no request with a key of the type {key[:40]}; use {', '.join(_KINDS)}")
    return _KINDS[key]


def _signer(client: Any, answer: Mapping[str, Any], key_id: str, key: str) -> tuple[PublicKey, Sign]:
    kind = _kind(key)
    public = _loaded(answer.get("PublicKey", b""))
    found = keys.word(public)
    if found != key or kind.algorithm not in answer.get("SigningAlgorithms", ()):
        spec = f"{found}, {answer.get('KeyUsage', 'no usage')}"
        raise InvalidConfiguration(f"the KMS key {key_id[:200]} is {spec}; {key}, SIGN_VERIFY is needed")

    def sign(message: bytes) -> bytes:
        sent = _message(message, kind, public)
        return bytes(_call(client, "sign", KeyId=key_id, SigningAlgorithm=kind.algorithm, **sent)["Signature"])

    return public, sign


def _loaded(der: bytes) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        return load_der_public_key(der)  # type: ignore[return-value]  # any other kind has no word in KEYS
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidReply(f"kms:GetPublicKey answered with no public key: {str(error)[:160]}") from error


def _message(message: bytes, kind: _Kind, public: Any) -> dict[str, Any]:
    """The message as KMS takes it: whole while it is short, else its hash. For ML-DSA the hash is the message
    representative mu, with an empty context (FIPS 204 algorithm 2 line 10, algorithm 7 line 6)."""
    if len(message) <= MAX_RAW_BYTES:
        return {"Message": message, "MessageType": "RAW"}
    if kind.hashed:
        return {"Message": hashlib.new(kind.hashed, message).digest(), "MessageType": "DIGEST"}
    of_key = hashlib.shake_256(public.public_bytes_raw()).digest(64)
    return {"Message": hashlib.shake_256(of_key + b"\x00\x00" + message).digest(64), "MessageType": "EXTERNAL_MU"}


def _public(client: Any, key_id: str) -> Mapping[str, Any] | None:
    """GetPublicKey's answer; None where there is no such key."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: Mapping[str, Any] = client.get_public_key(KeyId=key_id)
    except (ClientError, BotoCoreError) as error:
        if _code(error) == "NotFoundException":
            return None
        raise meaning(error, f"kms:GetPublicKey of {key_id}") from error
    return answer


def _make(client: Any, alias: str, key: str, tags: Mapping[str, str]) -> None:
    """A new key under its alias. Where another step took the alias first, the new key is deleted: nobody knows it."""
    from botocore.exceptions import BotoCoreError, ClientError

    made = _call(
        client,
        "create_key",
        KeySpec=_kind(key).spec,
        KeyUsage="SIGN_VERIFY",
        Description="Key of a managed certificate of Perennial",
        Tags=[{"TagKey": name, "TagValue": value} for name, value in tags.items()],
    )["KeyMetadata"]["KeyId"]
    try:
        client.create_alias(AliasName=alias, TargetKeyId=made)
    except (ClientError, BotoCoreError) as error:
        if _code(error) != "AlreadyExistsException":
            raise meaning(error, f"kms:CreateAlias of {alias}") from error
        _call(client, "schedule_key_deletion", KeyId=made, PendingWindowInDays=PENDING_DAYS)


def _call(client: Any, operation: str, **parameters: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(client, operation)(**parameters)
    except (ClientError, BotoCoreError) as error:
        name = "".join(part.title() for part in operation.split("_"))
        where = parameters.get("KeyId") or parameters.get("AliasName") or "a new key"
        raise meaning(error, f"kms:{name} of {where[:200]}") from error


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
