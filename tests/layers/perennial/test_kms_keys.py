"""Keys in KMS: each signs requests under KMS's rules, and one purpose has one key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto import mock_aws

from certificates import build
from perennial import keys, kms_keys, signing_request
from perennial.errors import AccessDenied, InvalidConfiguration, InvalidReply, ServiceRefused, Throttled
from perennial.profiles import KEYS
from scripted import Error, Script

NAMES = ("shop.example.com", "*.shop.example.com", "192.0.2.1")
MANY = tuple(f"n{number}.{'a' * 50}.example.com" for number in range(80))
PKCS1 = padding.PKCS1v15()
KMS_KEYS = tuple(key for key in KEYS if key != "Ed25519")
ARN = "arn:aws:kms:eu-west-1:123456789012:key/1"
ASK, NEXT = "a" * 32, "b" * 32


def key_of(kind: str) -> Any:
    return build("kms.example.com", key=kind).key


def signed(private: Any, kind: str, message: bytes) -> bytes:
    """A signature by a real key, as a certificate has it."""
    hashed = hashes.SHA384() if kind == "EC-384" else hashes.SHA256()
    if kind.startswith("RSA"):
        return bytes(private.sign(message, PKCS1, hashed))
    return bytes(private.sign(message, ec.ECDSA(hashed)) if kind.startswith("EC") else private.sign(message))


class Kms:
    """KMS with one key, which really signs, under the rules of its API reference."""

    def __init__(self, kind: str, spki: bytes | None = None, **answer: Any) -> None:
        self.key, self.kind = key_of(kind), kind
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public = self.key.public_key().public_bytes(serialization.Encoding.DER, form) if spki is None else spki
        self.algorithm = kms_keys._KINDS[kind].algorithm
        told = {"KeyId": ARN, "PublicKey": public, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": [self.algorithm]}
        self.script = Script({"kms.GetPublicKey": lambda _: {**told, **answer}, "kms.Sign": self.sign})
        self.client = self.script.client("kms")

    def sign(self, asked: Mapping[str, Any]) -> Mapping[str, Any] | Error:
        message, how = asked["Message"], asked["MessageType"]
        if len(message) > 4_096 or asked["SigningAlgorithm"] != self.algorithm:
            return Error("ValidationException")
        return {"Signature": self.signature(message, how)}

    def signature(self, message: bytes, how: str) -> bytes:
        if how == "RAW":
            return signed(self.key, self.kind, message)
        if how == "EXTERNAL_MU":
            return bytes(self.key.sign_mu(message))
        hashed = Prehashed(hashes.SHA384() if self.kind == "EC-384" else hashes.SHA256())
        if self.kind.startswith("EC"):
            return bytes(self.key.sign(message, ec.ECDSA(hashed)))
        return bytes(self.key.sign(message, PKCS1, hashed))


@pytest.mark.parametrize(("names", "whole"), [(NAMES, True), (MANY, False)])
@pytest.mark.parametrize("kind", KMS_KEYS)
def test_kms_signs_short_requests_whole_and_long_ones_by_their_hash(
    kind: str, names: Sequence[str], whole: bool
) -> None:
    """Up to 4,096 bytes go to KMS as they are, more as a digest, for ML-DSA as the representative mu; each is valid."""
    kms = Kms(kind)
    public, sign = kms_keys.kms_signer(kms.client, "alias/key", kind)
    der = signing_request.make_with(public, sign, kind, names)
    (call,) = kms.script.made("kms.Sign")
    hashed = "EXTERNAL_MU" if kind.startswith("ML-DSA") else "DIGEST"
    assert call["MessageType"] == ("RAW" if whole else hashed)
    assert signing_request.read(der).names == tuple(names)


def test_the_border_between_whole_and_hash_is_4096_bytes() -> None:
    """KMS gets 4,096 bytes raw, and of one byte more the SHA-256 digest."""
    kms = Kms("EC-256")
    _, sign = kms_keys.kms_signer(kms.client, "key", "EC-256")
    for size in (4_096, 4_097):
        kms.key.public_key().verify(sign(b"x" * size), b"x" * size, ec.ECDSA(hashes.SHA256()))
    first, second = kms.script.made("kms.Sign")
    assert (first["MessageType"], len(first["Message"])) == ("RAW", 4_096)
    assert (second["MessageType"], second["Message"]) == ("DIGEST", hashlib.sha256(b"x" * 4_097).digest())


@pytest.mark.parametrize(
    ("spec", "kind"), [("RSA_2048", "RSA-2048"), ("ECC_NIST_P256", "EC-256"), ("ECC_NIST_P384", "EC-384")]
)
@mock_aws
def test_the_emulated_kms_signs(spec: str, kind: str) -> None:
    """Against moto's KMS, RSA and EC keys give valid requests."""
    client = boto3.client("kms", region_name="eu-west-1")
    key = client.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    public, sign = kms_keys.kms_signer(client, key, kind)
    assert signing_request.read(signing_request.make_with(public, sign, kind, NAMES)).key == kind


@pytest.mark.parametrize(
    ("kms", "kind", "error", "told"),
    [
        (Kms("EC-256"), "EC-384", InvalidConfiguration, "EC-384"),
        (Kms("EC-256"), "Ed25519", InvalidConfiguration, "Ed25519"),
        (
            Kms("RSA-2048", SigningAlgorithms=[], KeyUsage="ENCRYPT_DECRYPT"),
            "RSA-2048",
            InvalidConfiguration,
            "ENCRYPT_DECRYPT",
        ),
        (Kms("EC-256", spki=b""), "EC-256", InvalidReply, "no public key"),
        (Kms("EC-256", spki=b"\x30\x03\x02\x01\x01"), "EC-256", InvalidReply, "no public key"),
    ],
)
def test_a_kms_key_that_does_not_fit_is_refused(kms: Kms, kind: str, error: type[Exception], told: str) -> None:
    """Another type, another use and an answer that is no key are told before anything is signed."""
    with pytest.raises(error, match=told):
        kms_keys.kms_signer(kms.client, "alias/key", kind)
    assert kms.script.made("kms.Sign") == []


@pytest.mark.parametrize("operation", ["kms.GetPublicKey", "kms.Sign"])
def test_errors_of_kms_say_what_they_mean(operation: str) -> None:
    """A denial names the action, at either call."""
    kms = Kms("EC-256")
    kms.script._answers[operation] = [Error("AccessDeniedException")]
    with pytest.raises(AccessDenied, match=operation.replace(".", ":")):
        public, sign = kms_keys.kms_signer(kms.client, "alias/key", "EC-256")
        signing_request.make_with(public, sign, "EC-256", NAMES)


# One key for one purpose


@mock_aws
def test_a_key_is_made_once_for_one_ask() -> None:
    """The first call makes a key with its alias and tags; a repetition gives the same one, another ask another."""
    client = boto3.client("kms", region_name="eu-west-1")
    first, again = (kms_keys.key_for(client, "shop", ASK, "EC-256", tags={"team": "pki"}) for _ in range(2))
    other = kms_keys.key_for(client, "shop", NEXT, "EC-256", tags={})
    assert first.arn == again.arn != other.arn
    assert keys.public_sha256(first.public_key) == keys.public_sha256(again.public_key)
    tags = {each["TagKey"]: each["TagValue"] for each in client.list_resource_tags(KeyId=first.arn)["Tags"]}
    assert tags == {"team": "pki", "perennial:managed": "shop"}
    assert client.describe_key(KeyId=first.arn)["KeyMetadata"]["KeyUsage"] == "SIGN_VERIFY"
    der = signing_request.make_with(first.public_key, first.sign, "EC-256", NAMES)
    assert signing_request.public_key_sha256(der) == keys.public_sha256(first.public_key)
    assert len(client.list_keys()["Keys"]) == 2


@mock_aws
def test_a_key_of_another_type_is_not_taken() -> None:
    """The same purpose with another type is told, as the alias has its key already."""
    client = boto3.client("kms", region_name="eu-west-1")
    kms_keys.key_for(client, "shop", ASK, "EC-256", tags={})
    with pytest.raises(InvalidConfiguration, match="EC-384"):
        kms_keys.key_for(client, "shop", ASK, "EC-384", tags={})


@pytest.mark.parametrize("kind", KMS_KEYS)
def test_of_two_steps_at_once_one_key_stays(kind: str) -> None:
    """Where the alias is taken meanwhile, the key that was made in vain is deleted, and the other one is used. The new
    one is of the type that was asked for, as KMS calls it."""
    kms = Kms(kind)
    found_first = iter([Error("NotFoundException")])
    known = kms.script._answers["kms.GetPublicKey"]
    assert callable(known)
    kms.script._answers["kms.GetPublicKey"] = lambda asked: next(found_first, None) or known(asked)
    kms.script._answers["kms.CreateKey"] = [{"KeyMetadata": {"KeyId": "mine"}}]
    kms.script._answers["kms.CreateAlias"] = [Error("AlreadyExistsException")]
    kms.script._answers["kms.ScheduleKeyDeletion"] = [{}]
    found = kms_keys.key_for(kms.client, "shop", ASK, kind, tags={})
    assert keys.public_sha256(found.public_key) == keys.public_sha256(kms.key.public_key())
    assert kms.script.made("kms.ScheduleKeyDeletion") == [{"KeyId": "mine", "PendingWindowInDays": 7}]
    assert {name.replace(".", ":") for name, _ in kms.script.calls} <= set(kms_keys.ACTIONS)
    (made,) = kms.script.made("kms.CreateKey")
    assert made["KeySpec"] in kms.client.meta.service_model.shape_for("KeySpec").enum
    assert made["KeySpec"].replace("_", "-").endswith(kind.replace("EC-", "P"))


@pytest.mark.parametrize("operation", ["GetPublicKey", "CreateKey", "CreateAlias"])
def test_errors_of_making_a_key_say_what_they_mean(operation: str) -> None:
    """Throttling stays retryable at each call, and names it."""
    script = Script(
        {
            "kms.GetPublicKey": [Error("NotFoundException")],
            "kms.CreateKey": [{"KeyMetadata": {"KeyId": "new"}}],
            "kms.CreateAlias": [{}],
            f"kms.{operation}": [Error("ThrottlingException")],
        }
    )
    with pytest.raises(Throttled, match=operation):
        kms_keys.key_for(script.client("kms"), "shop", ASK, "EC-256", tags={})


# --- retiring ---


def alone(client: Any, key_arn: str, *ask_ids: str) -> list[str]:
    return kms_keys.retire(client, "shop", key_arn, ask_ids)


def state(client: Any, key_arn: str) -> str:
    return str(client.describe_key(KeyId=key_arn)["KeyMetadata"]["KeyState"])


@mock_aws
def test_a_retired_key_is_deleted_in_thirty_days() -> None:
    """Its alias goes, its deletion is scheduled; again, nothing is left to do; a key of another ask stays."""
    client = boto3.client("kms", region_name="eu-west-1")
    own, other = (kms_keys.key_for(client, "shop", each, "EC-256").arn for each in (ASK, NEXT))
    calls: list[str] = []
    client.meta.events.register("before-call.kms.*", lambda model, **_: calls.append(f"kms:{model.name}"))
    for _ in range(2):
        assert alone(client, own, ASK) == []
        told = client.describe_key(KeyId=own)["KeyMetadata"]
        assert told["KeyState"] == "PendingDeletion"
        assert 29 < (told["DeletionDate"] - told["CreationDate"]).total_seconds() / 86_400 < 31
        assert [each["TargetKeyId"] in other for each in client.list_aliases()["Aliases"]].count(True) == 1
    assert not client.list_aliases(KeyId=own)["Aliases"]
    assert state(client, other) == "Enabled"
    assert set(calls) <= {*kms_keys.RETIRES}
    assert calls.count("kms:ScheduleKeyDeletion") == calls.count("kms:DeleteAlias") == 1


@mock_aws
def test_a_key_that_versions_share_is_not_retired() -> None:
    """The key that is kept through renewals stays with its alias, unless it is retired as such."""
    client = boto3.client("kms", region_name="eu-west-1")
    shared = kms_keys.key_for(client, "shop", "", "EC-256").arn
    assert alone(client, shared, ASK) == []
    assert state(client, shared) == "Enabled"
    assert len(client.list_aliases(KeyId=shared)["Aliases"]) == 1
    assert alone(client, shared, ASK, "") == []
    assert state(client, shared) == "PendingDeletion"


@mock_aws
def test_a_key_that_somebody_else_uses_stays() -> None:
    """An alias that somebody else gave it, or another's tag, keeps a key, and is told."""
    client = boto3.client("kms", region_name="eu-west-1")
    own = kms_keys.key_for(client, "shop", ASK, "EC-256").arn
    client.create_alias(AliasName="alias/signer", TargetKeyId=own)
    assert alone(client, own, ASK) == [
        f"the KMS key {own} has the alias alias/signer too: take that off, then it is deleted"
    ]
    assert len(client.list_aliases(KeyId=own)["Aliases"]) == 2
    (told,) = kms_keys.retire(client, "other", own, [ASK])
    assert told == f"the KMS key {own} has not the tag perennial:managed = other: delete it, or set the tag"
    assert state(client, own) == "Enabled"


def retiring(**answers: Any) -> Script:
    """KMS with one key of `shop`, its alias gone already."""
    return Script(
        {
            "kms.DescribeKey": lambda _: {"KeyMetadata": {"KeyId": ARN, "KeyState": "Enabled"}},
            "kms.ListResourceTags": lambda _: {"Tags": [{"TagKey": "perennial:managed", "TagValue": "shop"}]},
            "kms.ListAliases": lambda _: {"Aliases": []},
            "kms.ScheduleKeyDeletion": lambda _: {},
        }
        | {f"kms.{name}": answer for name, answer in answers.items()}
    )


@pytest.mark.parametrize("operation", ["DescribeKey", "ScheduleKeyDeletion"])
def test_a_key_that_is_gone_is_retired(operation: str) -> None:
    """A key that KMS does not find any more counts as deleted."""
    script = retiring(**{operation: lambda _: Error("NotFoundException")})
    assert alone(script.client("kms"), ARN, ASK) == []


def test_an_alias_that_is_gone_already() -> None:
    """An interrupted call took the alias off: the key is deleted all the same."""
    script = retiring()
    assert alone(script.client("kms"), ARN, ASK) == []
    assert script.made("kms.ScheduleKeyDeletion") == [{"KeyId": ARN, "PendingWindowInDays": 30}]


@pytest.mark.parametrize(("after", "raises"), [("PendingDeletion", False), ("Enabled", True)])
def test_a_key_whose_state_changed_meanwhile(after: str, raises: bool) -> None:
    """Where another call scheduled the deletion meanwhile it is done; any other refusal is told."""
    states = iter(["Enabled", after])
    script = retiring(
        DescribeKey=lambda _: {"KeyMetadata": {"KeyId": ARN, "KeyState": next(states)}},
        ScheduleKeyDeletion=lambda _: Error("KMSInvalidStateException"),
    )
    if raises:
        with pytest.raises(ServiceRefused, match=r"kms:ScheduleKeyDeletion of .*KMSInvalidState"):
            alone(script.client("kms"), ARN, ASK)
    else:
        assert alone(script.client("kms"), ARN, ASK) == []


@pytest.mark.parametrize("operation", ["DescribeKey", "ListResourceTags", "ListAliases", "ScheduleKeyDeletion"])
def test_errors_of_retiring_a_key(operation: str) -> None:
    """A denial at any call is AccessDenied and names the action, and no later call is made."""
    script = retiring(**{operation: lambda _: Error("AccessDeniedException")})
    with pytest.raises(AccessDenied, match=f"kms:{operation} of"):
        alone(script.client("kms"), ARN, ASK)
    assert script.calls[-1][0] == f"kms.{operation}"
