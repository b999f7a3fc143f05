"""The key store: a key is stored before it is returned, one ask has one key, and nothing of it is told."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from certificates import Built, build
from perennial import keys, secret_content
from perennial.errors import (
    AccessDenied,
    InvalidInput,
    InvalidReply,
    NotFound,
    PerennialError,
    ServiceRefused,
    Throttled,
    Unavailable,
    WrongCertificate,
)
from perennial.key_store import ACTIONS, MANAGED_TAG, RETIRES, KeyStore, _version_id
from scripted import Answer, Error, Script
from strict_secrets import strict_secrets

ASK, NEXT = "a" * 32, "b" * 32
NAME = "perennial/certificates/shop"
ARN = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{NAME}-AbCdEf"
ROOT = build("Store Root", ca=True)
OTHER = build("other.example.com", issuer=ROOT)


def issued(key: Any, name: str = "shop.example.com") -> tuple[bytes, ...]:
    """A chain for a key, as an issuer sends it."""
    return build(name, key=key, issuer=ROOT).der, ROOT.der


@dataclass
class Secrets:
    """Secrets Manager with its rules on tokens and stages, as its API reference has them; moto takes other content
    under a token that is pending. `before` is called ahead of every call, `after` behind it; an Error that they return
    is the answer."""

    before: Callable[[str], Error | None] = lambda _: None
    after: Callable[[str], Error | None] = lambda _: None
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)  # name -> version -> text
    stages: dict[str, str] = field(default_factory=dict)  # stage -> version, of the one secret of a test
    deleted: bool = False

    def __post_init__(self) -> None:
        operations = {
            "CreateSecret": self.create,
            "PutSecretValue": self.put,
            "GetSecretValue": self.get,
        }
        self.script = Script({f"secretsmanager.{name}": self.wrap(name, do) for name, do in operations.items()})
        self.store = KeyStore(self.script.client("secretsmanager"), key_id="alias/own", tags={"team": "pki"})

    def wrap(self, name: str, do: Callable[[Mapping[str, Any]], Answer]) -> Callable[[Mapping[str, Any]], Answer]:
        def answer(asked: Mapping[str, Any]) -> Answer:
            failed = self.before(name)
            if failed:
                return failed
            answered = do(asked)
            return self.after(name) or answered

        return answer

    def create(self, asked: Mapping[str, Any]) -> Answer:
        if self.deleted:
            return Error(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            )
        if asked["Name"] in self.secrets:
            return Error("ResourceExistsException")
        self.secrets[asked["Name"]] = {}
        return {"ARN": ARN, "Name": asked["Name"]}

    def put(self, asked: Mapping[str, Any]) -> Answer:
        versions = self.secrets.get(asked["SecretId"])
        if versions is None:
            return Error("ResourceNotFoundException")
        token, text = asked["ClientRequestToken"], asked["SecretString"]
        if versions.get(token, text) != text:
            return Error("ResourceExistsException", f"You can't use ClientRequestToken {token}")
        if token not in versions:
            if not versions:
                self.stages["AWSCURRENT"] = token
            for stage in asked["VersionStages"]:
                self.stages[stage] = token
        versions[token] = text
        return {"ARN": ARN, "VersionId": token}

    def get(self, asked: Mapping[str, Any]) -> Answer:
        if self.deleted:
            return Error("InvalidRequestException", "the secret was marked for deletion")
        version = asked.get("VersionId") or self.stages.get(asked["VersionStage"], "")
        text = self.secrets.get(asked["SecretId"], {}).get(version)
        if text is None:
            return Error("ResourceNotFoundException")
        return {"ARN": ARN, "VersionId": version, "SecretString": text}

    def held(self, version: str) -> dict[str, str]:
        document: dict[str, str] = json.loads(self.secrets[NAME][version])
        return document

    def promote(self, version: str) -> None:
        self.stages["AWSCURRENT"] = version

    def called(self) -> list[str]:
        return [name.partition(".")[2] for name, _ in self.script.calls]


def public(key: Any) -> str:
    return keys.public_sha256(key.public_key())


# One key for one ask


@pytest.mark.parametrize("kind", ["EC-256", "RSA-2048", "Ed25519", "ML-DSA-87"])
def test_a_key_is_stored_before_it_is_returned(kind: str) -> None:
    """The first call makes a secret with the customer's KMS key and tags, puts a pending version, and reads it back."""
    aws = Secrets()
    stored = aws.store.key_for("shop", ASK, kind)
    assert aws.called() == ["GetSecretValue", "CreateSecret", "PutSecretValue", "GetSecretValue"]
    (created,) = aws.script.made("secretsmanager.CreateSecret")
    assert (created["Name"], created["KmsKeyId"]) == (NAME, "alias/own")
    assert {each["Key"]: each["Value"] for each in created["Tags"]} == {"team": "pki", MANAGED_TAG: "shop"}
    assert "SecretString" not in created
    (put,) = aws.script.made("secretsmanager.PutSecretValue")
    assert put["VersionStages"] == ["AWSPENDING"]
    assert stored.arn == ARN
    assert aws.held(stored.version) == {"private_key": keys.to_pem(stored.private_key), "certificate": "", "chain": ""}
    assert keys.word(stored.private_key.public_key()) == kind


def test_a_repetition_ends_with_the_same_key() -> None:
    """A second call for the same ask puts nothing and gives the stored key; another ask has another key."""
    aws = Secrets()
    first, again, other = (aws.store.key_for("shop", ask, "EC-256") for ask in (ASK, ASK, NEXT))
    assert (public(first.private_key), first.version) == (public(again.private_key), again.version)
    assert public(other.private_key) != public(first.private_key)
    assert other.version != first.version
    assert aws.called().count("PutSecretValue") == 2


def test_two_steps_at_once_end_with_one_key() -> None:
    """While one step is between its look and its put, another puts: both return the key that was put first."""
    aws = Secrets()
    others: list[Any] = []

    def meanwhile(operation: str) -> None:
        if operation == "PutSecretValue":
            aws.before = lambda _: None
            others.append(aws.store.key_for("shop", ASK, "EC-256"))

    aws.before = meanwhile
    mine = aws.store.key_for("shop", ASK, "EC-256")
    assert aws.called().count("PutSecretValue") == 2
    assert public(mine.private_key) == public(others[0].private_key)
    assert len(aws.secrets[NAME]) == 1


def test_a_key_of_another_type_is_not_handed_out() -> None:
    """An ask that comes back with another key type is told so, and the stored key stays."""
    aws = Secrets()
    aws.store.key_for("shop", ASK, "EC-256")
    with pytest.raises(ServiceRefused, match="EC-256, not EC-384"):
        aws.store.key_for("shop", ASK, "EC-384")
    assert len(aws.secrets[NAME]) == 1


STEPS = 4  # calls of the first `key_for`, and of a run of `complete`


def failing(number: int) -> Callable[[str], Error | None]:
    """Fails the call of this number, once."""
    count = iter(range(1_000))
    return lambda _: Error("InternalServiceError", status=500) if next(count) == number else None


@pytest.mark.parametrize("lost", ["request", "reply"])
@pytest.mark.parametrize("number", range(STEPS))
def test_an_interruption_anywhere_loses_no_key(number: int, lost: str) -> None:
    """A call that never arrives, or whose reply is lost, is retryable, and the repetition ends with one stored key."""
    aws = Secrets()
    setattr(aws, "before" if lost == "request" else "after", failing(number))
    with pytest.raises(Unavailable):
        aws.store.key_for("shop", ASK, "EC-256")
    before = dict(aws.secrets.get(NAME, {}))
    stored = aws.store.key_for("shop", ASK, "EC-256")
    assert len(aws.secrets[NAME]) == 1
    assert not before or before == aws.secrets[NAME]
    assert aws.held(stored.version)["private_key"] == keys.to_pem(stored.private_key)


# The key of the version before


def test_the_current_key_is_reused() -> None:
    """A profile that keeps its key gets AWSCURRENT's, stored as the new ask's own pending version."""
    aws = Secrets()
    first = aws.store.key_for("shop", ASK, "EC-256")
    done = aws.store.complete("shop", ASK, issued(first.private_key))
    aws.promote(done.version)
    again, repeated = (aws.store.reuse("shop", NEXT) for _ in range(2))
    assert public(again.private_key) == public(first.private_key)
    assert again.version == repeated.version not in (first.version, done.version)
    assert aws.held(again.version)["certificate"] == ""
    assert aws.stages == {"AWSCURRENT": done.version, "AWSPENDING": again.version}


def test_no_key_to_reuse_is_told_with_the_next_step() -> None:
    """Without a secret, and with a current version without key, the message says what to configure."""
    aws = Secrets()
    with pytest.raises(NotFound, match="rotate_key = true"):
        aws.store.reuse("shop", NEXT)
    aws.store.complete("shop", ASK, issued("EC-256"), with_key=False)
    with pytest.raises(NotFound, match="rotate_key = true"):
        aws.store.reuse("shop", NEXT)
    assert len(aws.secrets[NAME]) == 1


# The final version


def test_key_certificate_and_chain_end_in_one_version() -> None:
    """The final version is another than the pending one, takes over AWSPENDING, and is read as a scan reads secrets."""
    aws = Secrets()
    pending = aws.store.key_for("shop", ASK, "EC-256")
    chain = issued(pending.private_key)
    done = aws.store.complete("shop", ASK, chain)
    assert done.arn == ARN
    assert done.version != pending.version
    assert aws.stages["AWSPENDING"] == done.version
    assert aws.held(done.version)["private_key"] == keys.to_pem(pending.private_key)
    (held,) = secret_content.content(aws.secrets[NAME][done.version]).held
    assert (held.certificate.der, held.chain[0].der) == chain
    assert aws.store.complete("shop", ASK, chain) == done
    assert len(aws.secrets[NAME]) == 2


def test_a_repetition_needs_no_pending_version() -> None:
    """Secrets Manager may remove a version without stages; the final one answers a repetition by itself."""
    aws = Secrets()
    pending = aws.store.key_for("shop", ASK, "EC-256")
    chain = issued(pending.private_key)
    done = aws.store.complete("shop", ASK, chain)
    aws.promote(done.version)
    del aws.secrets[NAME][pending.version]
    assert aws.store.complete("shop", ASK, chain) == done


def test_another_certificate_for_the_same_ask_is_refused() -> None:
    """What is stored stays: a second chain under one ask is an error, whether it is seen first or at the put."""
    aws = Secrets()
    key = aws.store.key_for("shop", ASK, "EC-256").private_key
    chain = issued(key)
    done = aws.store.complete("shop", ASK, chain)
    before = aws.held(done.version)
    for other in (issued(key, "www.example.com"), chain[:1]):
        with pytest.raises(ServiceRefused, match="another certificate"):
            aws.store.complete("shop", ASK, other)
    with pytest.raises(ServiceRefused, match="a private key"):
        aws.store.complete("shop", ASK, chain, with_key=False)
    assert aws.held(done.version) == before


def test_two_chains_put_at_once_are_one_and_an_error() -> None:
    """The later of two puts of different content is refused by Secrets Manager, and told."""
    aws = Secrets()
    key = aws.store.key_for("shop", ASK, "EC-256").private_key

    def meanwhile(operation: str) -> None:
        if operation == "PutSecretValue":
            aws.before = lambda _: None
            aws.store.complete("shop", ASK, issued(key, "www.example.com"))

    aws.before = meanwhile
    with pytest.raises(ServiceRefused, match="another certificate"):
        aws.store.complete("shop", ASK, issued(key))


def test_a_certificate_for_another_key_is_not_stored() -> None:
    """The public keys are compared before anything is put."""
    aws = Secrets()
    aws.store.key_for("shop", ASK, "EC-256")
    with pytest.raises(WrongCertificate, match=str(OTHER.certificate.public_key_sha256)):
        aws.store.complete("shop", ASK, (OTHER.der, ROOT.der))
    assert len(aws.secrets[NAME]) == 1


def test_a_version_whose_key_does_not_fit_its_certificate_is_found_when_read_back() -> None:
    """A final version that someone else wrote with another key is not taken for done."""
    aws = Secrets()
    key = aws.store.key_for("shop", ASK, "EC-256").private_key
    chain = issued(key)
    done = aws.store.complete("shop", ASK, chain)
    aws.secrets[NAME][done.version] = json.dumps({**aws.held(done.version), "private_key": OTHER.key_pem})
    with pytest.raises(WrongCertificate):
        aws.store.complete("shop", ASK, chain)


def test_the_key_that_an_issuer_made_is_stored_with_its_certificate() -> None:
    """An exported key needs no pending version; it must fit too."""
    aws = Secrets()
    made = build("exported.example.com", key="RSA-2048", issuer=ROOT)
    done = aws.store.complete("shop", ASK, (made.der, ROOT.der), key_pem=made.key_pem)
    assert aws.held(done.version)["private_key"] == made.key_pem
    assert aws.store.complete("shop", ASK, (made.der, ROOT.der), key_pem=made.key_pem) == done
    with pytest.raises(WrongCertificate):
        aws.store.complete("shop", NEXT, (made.der,), key_pem=OTHER.key_pem)


def test_without_a_key_of_its_own_the_certificate_is_stored_alone() -> None:
    """Where the requester or KMS keeps the key, the version has no member private_key at all."""
    aws = Secrets()
    chain = issued("EC-256")
    done = aws.store.complete("shop", ASK, chain, with_key=False)
    assert set(aws.held(done.version)) == {"certificate", "chain"}
    assert aws.store.complete("shop", ASK, chain, with_key=False) == done


def test_no_pending_key_is_told() -> None:
    """A certificate whose key was never stored, or was removed, is not stored without it."""
    aws = Secrets()
    with pytest.raises(NotFound, match="no pending key"):
        aws.store.complete("shop", ASK, issued("EC-256"))
    with pytest.raises(InvalidInput, match="no certificate"):
        aws.store.complete("shop", ASK, ())
    assert aws.secrets == {}


@pytest.mark.parametrize("lost", ["request", "reply"])
@pytest.mark.parametrize("number", range(STEPS))
def test_an_interruption_of_completing_is_repeated_to_one_version(number: int, lost: str) -> None:
    """Each call of `complete` fails in turn, before or after it took effect; a repetition ends with one version."""
    aws = Secrets()
    key = aws.store.key_for("shop", ASK, "EC-256").private_key
    setattr(aws, "before" if lost == "request" else "after", failing(number))
    chain = issued(key)
    with pytest.raises(Unavailable):
        aws.store.complete("shop", ASK, chain)
    done = aws.store.complete("shop", ASK, chain)
    assert len(aws.secrets[NAME]) == 2
    assert aws.stages["AWSPENDING"] == done.version


# Bounds and errors


def test_more_than_a_secret_holds_is_refused() -> None:
    """A chain beyond 64 KB is told with its size before anything is put."""
    aws = Secrets()
    key = aws.store.key_for("shop", ASK, "EC-256").private_key
    with pytest.raises(ServiceRefused, match=r"\d{5,} bytes, more than 65536"):
        aws.store.complete("shop", ASK, (*issued(key), b"\x30" * 60_000))
    assert len(aws.secrets[NAME]) == 1


def test_a_secret_that_is_being_deleted_is_told_with_the_next_step() -> None:
    """The message says RestoreSecret, whichever call meets the deletion."""
    for first in ("GetSecretValue", "CreateSecret"):
        aws = Secrets()
        aws.before = lambda name, at=first, to=aws: setattr(to, "deleted", name == at)  # type: ignore[misc]
        with pytest.raises(ServiceRefused, match="RestoreSecret"):
            aws.store.key_for("shop", ASK, "EC-256")


@pytest.mark.parametrize(
    ("operation", "code", "expected"),
    [
        (operation, code, expected)
        for operation in ("GetSecretValue", "CreateSecret", "PutSecretValue")
        for code, expected in (("AccessDeniedException", AccessDenied), ("ThrottlingException", Throttled))
    ]
    + [("PutSecretValue", "ResourceNotFoundException", Unavailable)],
)
def test_errors_say_what_they_mean(operation: str, code: str, expected: type[PerennialError]) -> None:
    """Each call's error keeps its meaning and names the call; a secret that is not to be seen yet is worth a retry."""
    aws = Secrets()
    aws.before = lambda name: Error(code) if name == operation else None
    with pytest.raises(expected, match=operation):
        aws.store.key_for("shop", ASK, "EC-256")


def test_a_version_that_is_not_to_be_seen_yet_is_worth_a_retry() -> None:
    """A read that misses what was just put is not taken for a lost key."""
    aws = Secrets()
    aws.after = lambda name: Error("ResourceNotFoundException") if name == "GetSecretValue" else None
    with pytest.raises(Unavailable, match="yet"):
        aws.store.key_for("shop", ASK, "EC-256")
    aws.after = lambda _: None
    aws.store.key_for("shop", ASK, "EC-256")
    assert len(aws.secrets[NAME]) == 1


STRANGE = {
    "no JSON": OTHER.key_pem,
    "cut off": '{"private_key": "' + OTHER.key_pem,
    "a list": json.dumps([OTHER.key_pem]),
    "deep": "[" * 50_000,
    "a number": json.dumps({"private_key": 7}),
    "null": json.dumps({"private_key": None, "certificate": ""}),
    "no key": json.dumps({"certificate": "", "chain": ""}),
    "an empty key": json.dumps({"private_key": ""}),
    "a broken key": json.dumps({"private_key": OTHER.key_pem.replace("\nMI", "\nAA")}),
    "blank": " ",
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_version_that_someone_else_wrote_is_told_without_its_content(name: str) -> None:
    """Whatever lies under a version's id ends in an error with nothing of it, and nothing of it in what led there."""
    aws = Secrets()
    version = aws.store.key_for("shop", ASK, "EC-256").version
    aws.secrets[NAME][version] = STRANGE[name]
    with pytest.raises((InvalidReply, InvalidInput)) as caught:
        aws.store.key_for("shop", ASK, "EC-256")
    assert not leaks("".join(traceback.format_exception(caught.value)), OTHER)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("managed", ["", "a/b", "a b", "a" * 201, "shop\n", "ä"])
def test_an_id_that_is_no_name_is_refused(managed: str) -> None:
    """What would be another secret's name, or none, never reaches AWS; neither does a malformed ask."""
    aws = Secrets()
    with pytest.raises(InvalidInput, match="id of a managed certificate"):
        aws.store.key_for(managed, ASK, "EC-256")
    with pytest.raises(InvalidInput, match="asked-for"):
        aws.store.key_for("shop", ASK[1:], "EC-256")
    assert aws.called() == []


# Nothing secret


def parts(text: str) -> Iterator[str]:
    body = "".join(line for line in text.split("\n") if not line.startswith("-----"))[36:]  # behind what is common
    return (body[at : at + 16] for at in range(len(body) - 16))


def leaks(text: str, built: Built) -> bool:
    joined = text.replace("\\n", "").replace("\n", "")
    return any(part in joined for part in parts(built.key_pem))


def test_a_stored_key_shows_no_key() -> None:
    """Neither its text nor that of a container of it has the key."""
    stored = Secrets().store.key_for("shop", ASK, "EC-256")
    assert repr([stored]) == f"[StoredKey(arn={ARN!r}, version={stored.version!r})]"
    assert str(stored) == repr(stored)


def test_an_error_that_quotes_the_request_is_told_without_the_key() -> None:
    """Secrets Manager's validation quotes what it refuses; neither the message nor the traceback passes it on."""
    aws = Secrets()
    made = build("exported.example.com", key="RSA-2048", issuer=ROOT)
    quoting = f"1 validation error detected: Value '{made.key_pem}' at 'secretString' failed to satisfy constraint"
    aws.before = lambda name: Error("ValidationException", quoting) if name == "PutSecretValue" else None
    with pytest.raises(ServiceRefused) as caught:
        aws.store.complete("shop", ASK, (made.der,), key_pem=made.key_pem)
    assert not leaks("".join(traceback.format_exception(caught.value)), made)
    assert leaks(quoting, made)


@mock_aws
def test_nothing_is_logged_of_a_key(caplog: pytest.LogCaptureFixture) -> None:
    """With every logger at DEBUG, the SDK's too, no part of a key is in a log line; against moto's Secrets Manager."""
    client = boto3.client("secretsmanager", region_name="eu-west-1")
    made = build("exported.example.com", key="RSA-2048", issuer=ROOT)
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "botocore"):  # which other tests may have set
        store = KeyStore(client, key_id="alias/own", tags={})
        store.complete("shop", ASK, (made.der, ROOT.der), key_pem=made.key_pem)
        store.complete("shop", ASK, (made.der, ROOT.der), key_pem=made.key_pem)
        stored = store.key_for("shop", NEXT, "RSA-2048")
    own = keys.to_pem(stored.private_key)
    text = caplog.text.replace("\\n", "").replace("\n", "")
    assert "PutSecretValue" in text
    assert not any(part in text for pem in (made.key_pem, own) for part in parts(pem))


@mock_aws
def test_the_emulated_secrets_manager_keeps_a_certificate() -> None:
    """Against moto: key, repetition, completion and reuse go through, and AWSCURRENT moves by nothing of it."""
    client = boto3.client("secretsmanager", region_name="eu-west-1")
    store = KeyStore(client, key_id="alias/own", tags={"team": "pki"})
    first, again = store.key_for("shop", ASK, "EC-256"), store.key_for("shop", ASK, "EC-256")
    assert first.version == again.version
    done = store.complete("shop", ASK, issued(first.private_key))
    client.update_secret_version_stage(
        SecretId=NAME,
        VersionStage="AWSCURRENT",
        MoveToVersionId=done.version,
        RemoveFromVersionId=first.version,
    )
    reused = store.reuse("shop", NEXT)
    assert public(reused.private_key) == public(first.private_key)
    described = client.describe_secret(SecretId=NAME)
    assert described["KmsKeyId"] == "alias/own"
    assert described["VersionIdsToStages"][reused.version] == ["AWSPENDING"]
    assert "AWSCURRENT" in described["VersionIdsToStages"][done.version]


def test_the_actions_are_those_of_the_calls() -> None:
    """The declared IAM actions cover every call that the store makes."""
    aws = Secrets()
    key = aws.store.key_for("shop", ASK, "EC-256").private_key
    aws.store.complete("shop", ASK, issued(key))
    assert {f"secretsmanager:{name}" for name in aws.called()} <= set(ACTIONS)


# --- retiring ---


@dataclass
class Kept:
    """Strict Secrets Manager with two asks whose certificates are complete; the second is the current one."""

    client: Any
    store: KeyStore
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)  # ask -> pending and final version

    def labels(self) -> dict[str, list[str]]:
        return dict(self.client.describe_secret(SecretId=NAME)["VersionIdsToStages"])

    def label(self, name: str, version: str) -> None:
        self.client.update_secret_version_stage(SecretId=NAME, VersionStage=name, MoveToVersionId=version)


@pytest.fixture
def kept() -> Iterator[Kept]:
    with strict_secrets():
        client = boto3.client("secretsmanager", region_name="eu-west-1")
        found = Kept(client, KeyStore(client, key_id="alias/own", tags={}))
        for ask in (ASK, NEXT):
            key = found.store.key_for("shop", ask, "EC-256")
            done = found.store.complete("shop", ask, issued(key.private_key))
            found.versions[ask] = key.version, done.version
            found.store.promote("shop", done.version)
        yield found


def test_a_retired_version_has_no_label(kept: Kept) -> None:
    """AWSPREVIOUS and AWSPENDING are taken off the pending and the final version, so that Secrets Manager deletes both;
    the current version and its labels stay; again, no call writes."""
    pending, final = kept.versions[ASK]
    kept.client.update_secret_version_stage(
        SecretId=NAME,
        VersionStage="AWSPENDING",
        MoveToVersionId=pending,
        RemoveFromVersionId=kept.versions[NEXT][1],
    )
    assert kept.labels() == {pending: ["AWSPENDING"], final: ["AWSPREVIOUS"], kept.versions[NEXT][1]: ["AWSCURRENT"]}
    calls: list[str] = []
    kept.client.meta.events.register(
        "before-call.secretsmanager.*", lambda model, **_: calls.append(f"secretsmanager:{model.name}")
    )
    assert kept.store.retire("shop", ASK) == []
    assert kept.labels() == {kept.versions[NEXT][1]: ["AWSCURRENT"]}
    assert set(calls) == set(RETIRES) - {"secretsmanager:DeleteSecret"}
    calls.clear()
    assert kept.store.retire("shop", ASK) == []
    assert calls == ["secretsmanager:DescribeSecret"]


def test_the_current_version_is_never_retired(kept: Kept) -> None:
    """An error says that it is the current one, and no label moves, also where it is the pending one."""
    before = kept.labels()
    with pytest.raises(InvalidInput, match=r"current one \(AWSCURRENT\), which is never retired"):
        kept.store.retire("shop", NEXT)
    assert kept.labels() == before
    pending, final = kept.versions[NEXT]
    kept.client.update_secret_version_stage(
        SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=pending, RemoveFromVersionId=final
    )
    before = kept.labels()
    with pytest.raises(InvalidInput, match="AWSCURRENT"):
        kept.store.retire("shop", NEXT)
    assert kept.labels() == before


def test_a_label_of_somebody_else_is_told(kept: Kept) -> None:
    """A label that Perennial did not attach stays and keeps the version, which is told."""
    final = kept.versions[ASK][1]
    kept.label("live", final)
    (told,) = kept.store.retire("shop", ASK)
    assert told == f"the version {final} of {NAME} has the label live, which Perennial did not attach: take it off"
    assert kept.labels()[final] == ["live"]


def test_a_secret_that_is_gone_holds_nothing(kept: Kept) -> None:
    """A secret that is to be deleted, or is not there, has nothing to retire."""
    assert kept.store.retire("unknown", ASK) == []
    kept.client.delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
    assert kept.store.retire("shop", NEXT) == []


@pytest.mark.parametrize("after", [[], ["AWSPREVIOUS"]])
def test_a_label_that_moved_meanwhile(after: list[str]) -> None:
    """Where another call took the label off meanwhile it is done; where it is still there, the refusal is told."""
    version = _version_id("final", ASK)
    told = iter([{version: ["AWSPREVIOUS"]}, {version: after} if after else {}])
    script = Script(
        {
            "secretsmanager.DescribeSecret": lambda _: {"VersionIdsToStages": next(told)},
            "secretsmanager.UpdateSecretVersionStage": lambda _: Error("InvalidParameterException", "not attached"),
        }
    )
    store = KeyStore(script.client("secretsmanager"), key_id="alias/own", tags={})
    if after:
        with pytest.raises(ServiceRefused, match="UpdateSecretVersionStage"):
            store.retire("shop", ASK)
    else:
        assert store.retire("shop", ASK) == []


@pytest.mark.parametrize("operation", ["DescribeSecret", "UpdateSecretVersionStage"])
def test_errors_of_retiring(operation: str) -> None:
    """A denial is AccessDenied and names the action."""
    version = _version_id("final", ASK)
    answers: dict[str, Any] = {
        "secretsmanager.DescribeSecret": lambda _: {"VersionIdsToStages": {version: ["AWSPREVIOUS"]}},
        f"secretsmanager.{operation}": lambda _: Error("AccessDeniedException"),
    }
    store = KeyStore(Script(answers).client("secretsmanager"), key_id="alias/own", tags={})
    with pytest.raises(AccessDenied, match=f"secretsmanager:{operation} of {NAME}"):
        store.retire("shop", ASK)
