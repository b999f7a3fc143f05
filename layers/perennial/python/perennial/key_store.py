"""Private keys of certificates in AWS Secrets Manager: the only module that puts them there and gets them.

A managed certificate has one secret, `perennial/certificates/<id>`, with versions of one JSON object each:
{"private_key": PKCS #8 PEM, "certificate": PEM, "chain": PEM}. An asked-for certificate (`Ask.id`) has two of them: the
pending one, with its key alone, is there before anyone sees the public half; the final one, complete, is what a target
is given. Both are put as AWSPENDING; moving AWSCURRENT is for who has proven that the certificate serves.

The id of a version is made of the ask's, so that a repeated step, or one that runs twice at once, ends with the one
version that was stored first: Secrets Manager refuses other content under an id that is there.

A version without a label is deprecated, and Secrets Manager deletes it: that is how a key is given up.

Sources: Secrets Manager API reference (CreateSecret, PutSecretValue, GetSecretValue, UpdateSecretVersionStage: "the
version is considered to be 'deprecated' and can be deleted") and its quotas.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perennial import keys
from perennial.certificate import parse, pem
from perennial.clients import meaning
from perennial.errors import (
    ConcurrentChange,
    InvalidInput,
    InvalidReply,
    NotFound,
    ServiceRefused,
    Unavailable,
    WrongCertificate,
)

if TYPE_CHECKING:
    from perennial.keys import PrivateKey

ACTIONS = (
    "secretsmanager:CreateSecret",
    "secretsmanager:TagResource",  # CreateSecret with tags
    "secretsmanager:PutSecretValue",
    "secretsmanager:GetSecretValue",
    "secretsmanager:DescribeSecret",
    "secretsmanager:RestoreSecret",
    "kms:GenerateDataKey",
    "kms:Decrypt",
)
READS = ("secretsmanager:GetSecretValue", "kms:Decrypt")  # of a step that puts a certificate in place
PROMOTES = ("secretsmanager:DescribeSecret", "secretsmanager:UpdateSecretVersionStage")
RETIRES = (*PROMOTES, "secretsmanager:DeleteSecret")  # labels; the secret of a certificate that is no longer declared
RECOVERY_DAYS = 30  # for which a deleted secret can be restored: the most that Secrets Manager offers
PREFIX = "perennial/certificates/"
MANAGED_TAG = "perennial:managed"
MAX_BYTES = 65_536  # of a version's value
_MANAGED = re.compile(r"[A-Za-z0-9_.@=+-]{1,200}")  # what the name of a secret may hold, but for "/"
_ASK = re.compile(r"[0-9a-f]{32}")
_OWN_LABELS = ("AWSPREVIOUS", "AWSPENDING")
_LOGS = ("botocore.endpoint", "botocore.parsers")  # their DEBUG lines are whole requests and responses: here, keys


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A private key as it is stored, and where: the secret's ARN and the version's id. Its text shows no key."""

    private_key: PrivateKey = field(repr=False)
    arn: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCertificate:
    """Where a certificate, its chain and its key are stored together."""

    arn: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Content:
    """What a version holds; None where the key is not Perennial's to keep."""

    private_key: str | None
    certificate: str = ""
    chain: str = ""

    def text(self) -> str:
        held = {"private_key": self.private_key, "certificate": self.certificate, "chain": self.chain}
        return json.dumps({name: value for name, value in held.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Version:
    arn: str
    version: str
    content: _Content


class KeyStore:
    """The secrets of managed certificates. `key_id` is the customer-managed KMS key that encrypts them.

    All methods raise Throttled, Unavailable, AccessDenied, ServiceRefused and InvalidReply, as AWS's answers mean them.
    """

    def __init__(self, client: Any, *, key_id: str, tags: Mapping[str, str]) -> None:
        self._client = client
        self._key_id = key_id
        self._tags = dict(tags)
        for name in _LOGS:
            logging.getLogger(name).setLevel(logging.INFO)

    def key_for(self, managed: str, ask_id: str, key: str) -> StoredKey:
        """The private key of one asked-for certificate, made where there is none yet.

        It is stored before it is returned, and what is returned is what is stored.
        Raises: ServiceRefused where the stored key is of another type than `key`.
        """
        found = self._pending(managed, ask_id, lambda: keys.to_pem(keys.generate(key)))
        stored = _key(found)
        kind = keys.word(stored.private_key.public_key())
        if kind != key:
            raise ServiceRefused(
                f"{_shown(found)} holds a key of the type {kind}, not {key}; ask for a new certificate"
            )
        return stored

    def reuse(self, managed: str, ask_id: str) -> StoredKey:
        """The private key that the managed certificate has now (AWSCURRENT), of whatever type, kept for one asked-for
        certificate too.

        Raises: NotFound where it has none.
        """
        return _key(self._pending(managed, ask_id, lambda: self._current(managed)))

    def complete(
        self, managed: str, ask_id: str, chain: Sequence[bytes], *, key_pem: str = "", with_key: bool = True
    ) -> StoredCertificate:
        """Put the certificate, its chain (DER, the leaf first) and its key into one version.

        The key is the pending one, or `key_pem` where the issuer made it; none with `with_key=False`, where the
        requester or KMS keeps it. A repetition ends with the same version.
        Raises: WrongCertificate where the certificate is for another key; NotFound where no key is pending;
        ServiceRefused where the version holds another certificate already, as one ask has one certificate: what is
        stored stays, since it may be in use.
        """
        secret, version = _secret(managed), _version_id("final", ask_id)
        found = self._get(secret, version)
        if found is None:
            content = self._complete_content(managed, ask_id, chain, key_pem, with_key)
            _match(content, chain, f"the key of {secret}")
            if key_pem or not with_key:
                self._create(managed)
            found = self._put(secret, version, content)
        if (found.content.certificate, found.content.chain) != _pems(chain):
            raise ServiceRefused(f"{_shown(found)} holds another certificate; ask for a new certificate")
        if (found.content.private_key is not None) != with_key:
            has = "no private key" if with_key else "a private key"
            raise ServiceRefused(
                f"{_shown(found)} holds {has}; the profile changed meanwhile: ask for a new certificate"
            )
        _match(found.content, chain, _shown(found))
        return StoredCertificate(arn=found.arn, version=found.version)

    def private_key(self, managed: str, version: str) -> str:
        """The private key (PKCS #8 PEM) in a version that `complete` stored; "" where that has none.

        Raises: NotFound.
        """
        found = self._get(_secret(managed), version)
        if found is None:
            raise NotFound(f"{_secret(managed)} has no version {version[:80]}; request a new certificate")
        return found.content.private_key or ""

    def promote(self, managed: str, version: str) -> None:
        """Let a version be the current one (AWSCURRENT); what was is AWSPREVIOUS then. For one that is proven to serve.

        Raises: NotFound; ConcurrentChange where another one became current meanwhile.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        secret = _secret(managed)
        try:
            stages = self._client.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
            current = next((each for each, named in stages.items() if "AWSCURRENT" in named), "")
            if current == version:
                return
            before = {"RemoveFromVersionId": current} if current else {}
            self._client.update_secret_version_stage(
                SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=version, **before
            )
        except (ClientError, BotoCoreError) as error:
            if _code(error) == "InvalidParameterException" and "RemoveFromVersionId" in str(error):
                raise ConcurrentChange(f"{secret}: another version became the current one; it is read again") from error
            raise _meaning(error, "UpdateSecretVersionStage", secret) from error

    def retire(self, managed: str, ask_id: str) -> list[str]:
        """Take the labels off the two versions of an ask, so that Secrets Manager deletes them. Returns why one stays,
        a sentence each, where it has a label of somebody else. A secret that is gone, or is to be deleted, has none.

        Raises: InvalidInput where one of them is the current version (AWSCURRENT): nothing is changed then.
        """
        secret = _secret(managed)
        found = self._labels(secret)
        labels = {each: found.get(each, []) for each in (_version_id("pending", ask_id), _version_id("final", ask_id))}
        if any("AWSCURRENT" in named for named in labels.values()):
            raise InvalidInput(f"{secret}: the version is the current one (AWSCURRENT), which is never retired")
        for version, named in labels.items():
            for label in sorted(set(named) & set(_OWN_LABELS)):
                self._unlabel(secret, version, label)
        foreign = {each: sorted(set(named) - set(_OWN_LABELS)) for each, named in labels.items()}
        return [_kept_by(secret, version, named) for version, named in foreign.items() if named]

    def give_up(self, managed: str) -> None:
        """Delete the whole secret of a managed certificate that is no longer declared; for `RECOVERY_DAYS` it can be
        restored. One that is gone, or is to be deleted, stays so."""
        from botocore.exceptions import BotoCoreError, ClientError

        secret = _secret(managed)
        if not self._labels(secret):
            return
        try:
            self._client.delete_secret(SecretId=secret, RecoveryWindowInDays=RECOVERY_DAYS)
        except (ClientError, BotoCoreError) as error:
            if _code(error) != "ResourceNotFoundException":
                raise _meaning(error, "DeleteSecret", secret) from error

    def restore(self, managed: str) -> None:
        """Take back the secret of a certificate that was removed and is declared again, where it is to be deleted."""
        from botocore.exceptions import BotoCoreError, ClientError

        secret = _secret(managed)
        try:
            if self._client.describe_secret(SecretId=secret).get("DeletedDate"):
                self._client.restore_secret(SecretId=secret)
        except (ClientError, BotoCoreError) as error:
            if _code(error) != "ResourceNotFoundException":
                raise _meaning(error, "RestoreSecret", secret) from error

    def _labels(self, secret: str) -> Mapping[str, list[str]]:
        """The labels of each version that has any; {} where the secret is gone or is to be deleted."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            told = self._client.describe_secret(SecretId=secret)
        except (ClientError, BotoCoreError) as error:
            if _code(error) == "ResourceNotFoundException":
                return {}
            raise _meaning(error, "DescribeSecret", secret) from error
        found: Mapping[str, list[str]] = {} if told.get("DeletedDate") else told.get("VersionIdsToStages", {})
        return found

    def _unlabel(self, secret: str, version: str, label: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.update_secret_version_stage(SecretId=secret, VersionStage=label, RemoveFromVersionId=version)
        except (ClientError, BotoCoreError) as error:
            if _code(error) == "InvalidParameterException" and label not in self._labels(secret).get(version, []):
                return  # another call took it off, or it moved to another version
            raise _meaning(error, "UpdateSecretVersionStage", secret) from error

    def _complete_content(
        self, managed: str, ask_id: str, chain: Sequence[bytes], key_pem: str, with_key: bool
    ) -> _Content:
        certificate, above = _pems(chain)
        if not with_key:
            private = None
        elif key_pem:
            private = keys.to_pem(keys.from_pem(key_pem))
        else:
            private = self._pending_key(managed, ask_id)
        return _Content(private_key=private, certificate=certificate, chain=above)

    def _pending_key(self, managed: str, ask_id: str) -> str:
        secret, version = _secret(managed), _version_id("pending", ask_id)
        pending = self._get(secret, version)
        if pending is None:
            raise NotFound(f"{secret} has no pending key (version {version}); ask for a new certificate")
        return pending.content.private_key or ""

    def _pending(self, managed: str, ask_id: str, make: Callable[[], str]) -> _Version:
        """The pending version: the one that is there, else one with a key that is made now."""
        secret, version = _secret(managed), _version_id("pending", ask_id)
        found = self._get(secret, version)
        if found is not None:
            return found
        content = _Content(private_key=make())
        self._create(managed)
        return self._put(secret, version, content)

    def _current(self, managed: str) -> str:
        secret = _secret(managed)
        found = self._get(secret)
        if found is None or not found.content.private_key:
            raise NotFound(f"{secret} has no current key to reuse; use a profile with rotate_key = true once")
        return found.content.private_key

    def _create(self, managed: str) -> None:
        """The secret, without a value; nothing where it is there."""
        from botocore.exceptions import BotoCoreError, ClientError

        tags = {**self._tags, MANAGED_TAG: managed}
        secret = _secret(managed)
        try:
            self._client.create_secret(
                Name=secret,
                Description="Key, certificate and chain of a managed certificate of Perennial",
                KmsKeyId=self._key_id,
                Tags=[{"Key": name, "Value": value} for name, value in tags.items()],
            )
        except (ClientError, BotoCoreError) as error:
            if _code(error) != "ResourceExistsException":
                raise _meaning(error, "CreateSecret", secret) from error

    def _put(self, secret: str, version: str, content: _Content) -> _Version:
        """Put a version, and read what is stored under its id: this content, or what another step put first.

        Stages are always named: without them AWSCURRENT would move at once. The first version of a secret gets it
        anyway, which harms nobody, as nothing uses the secret yet.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        text = content.text()
        if len(text.encode()) > MAX_BYTES:
            size = len(text.encode())
            raise ServiceRefused(
                f"{secret}: key, certificate and chain have {size} bytes, more than {MAX_BYTES} of a secret"
            )
        refused = None
        try:
            self._client.put_secret_value(
                SecretId=secret, ClientRequestToken=version, SecretString=text, VersionStages=["AWSPENDING"]
            )
        except (ClientError, BotoCoreError) as error:
            if _code(error) != "ResourceExistsException":
                refused = _meaning(error, "PutSecretValue", secret)
        if refused is not None:  # without the cause, which could quote the request
            raise _seen_later(refused)
        found = self._get(secret, version)
        if found is None:
            raise Unavailable(f"{secret}: the version that was just put is not to be seen yet")
        return found

    def _get(self, secret: str, version: str = "") -> _Version | None:
        """A version, or the current one; None where it is not there."""
        from botocore.exceptions import BotoCoreError, ClientError

        which = {"VersionId": version} if version else {"VersionStage": "AWSCURRENT"}
        try:
            answer = self._client.get_secret_value(SecretId=secret, **which)
        except (ClientError, BotoCoreError) as error:
            if _code(error) == "ResourceNotFoundException":
                return None
            raise _meaning(error, "GetSecretValue", secret) from error
        found = str(answer["VersionId"])
        return _Version(arn=str(answer["ARN"]), version=found, content=_parsed(answer, f"{secret} version {found}"))


def _secret(managed: str) -> str:
    if not _MANAGED.fullmatch(managed):
        raise InvalidInput(f"{managed[:80]!a} is no id of a managed certificate")
    return PREFIX + managed


def _version_id(stage: str, ask_id: str) -> str:
    """The id of an ask's version: 64 hexadecimal digits (a ClientRequestToken has 32 to 64 characters)."""
    if not _ASK.fullmatch(ask_id):
        raise InvalidInput(f"{ask_id[:80]!a} is no id of an asked-for certificate (32 hexadecimal digits)")
    return hashlib.sha256(f"perennial {stage} {ask_id}".encode()).hexdigest()


def _kept_by(secret: str, version: str, labels: Sequence[str]) -> str:
    named = ", ".join(each[:60] for each in labels[:5])
    return f"the version {version} of {secret} has the label {named}, which Perennial did not attach: take it off"


def _shown(found: _Version) -> str:
    return f"the version {found.version} of {found.arn}"


def _key(found: _Version) -> StoredKey:
    if not found.content.private_key:
        raise InvalidReply(f"{_shown(found)} holds no private key; someone else wrote it: ask for a new certificate")
    private = keys.from_pem(found.content.private_key)
    return StoredKey(private_key=private, arn=found.arn, version=found.version)


def _pems(chain: Sequence[bytes]) -> tuple[str, str]:
    """The leaf and the rest in PEM."""
    if not chain:
        raise InvalidInput("there is no certificate to store")
    leaf, *above = map(pem, chain)
    return leaf, "".join(above)


def _match(content: _Content, chain: Sequence[bytes], where: str) -> None:
    if content.private_key is None:
        return
    held = keys.public_sha256(keys.from_pem(content.private_key).public_key())
    issued = parse(chain[0]).public_key_sha256
    if held != issued:
        raise WrongCertificate(f"the certificate is for another public key ({issued}) than {where} ({held})")


def _parsed(answer: Mapping[str, Any], where: str) -> _Content:
    """The content of an answer. A parser's exception would hold the secret, so it ends in `_document`."""
    held = _document(answer.get("SecretString", ""))
    fields = [held.get(name, "") for name in ("private_key", "certificate", "chain")]
    if not held or not all(isinstance(each, str) for each in fields):
        raise InvalidReply(f"{where} is not what Perennial wrote (private_key, certificate, chain); who changed it?")
    return _Content(private_key=held.get("private_key"), certificate=fields[1], chain=fields[2])


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _meaning(error: Any, operation: str, secret: str) -> Exception:
    message = str(error).lower()
    if _code(error) == "InvalidRequestException" and "delet" in message:
        return ServiceRefused(
            f"the secret {secret} is scheduled for deletion; call RestoreSecret for it, or wait until it is gone"
        )
    return meaning(error, f"secretsmanager:{operation} of {secret}")


def _seen_later(error: Exception) -> Exception:
    """A secret that was just made may not be seen everywhere yet."""
    return Unavailable(str(error)) if isinstance(error, NotFound) else error
