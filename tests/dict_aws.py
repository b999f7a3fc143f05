"""AWS in dictionaries, as far as the lifecycle calls it: Secrets Manager, KMS's signature, and the start of executions.

Each is as strict as AWS documents it. Every call goes through `Calls.around`, where a test may stop it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

REGION, ACCOUNT = "eu-west-1", "123456789012"
PROOF_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/proofs"
DELETED_AFTER = timedelta(hours=24)  # versions without a label: Secrets Manager deletes none that is younger
CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"


def refused(code: str, operation: str, message: str = "scripted", status: int = 400) -> ClientError:
    """AWS's refusal of a call."""
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


@dataclass
class Calls:
    """Every call to AWS, in order: "secretsmanager:PutSecretValue"."""

    names: list[str] = field(default_factory=list)
    around: Callable[[str, Callable[[], Any]], Any] = lambda name, send: send()

    def call(self, name: str, send: Callable[[], Any]) -> Any:
        self.names.append(name)
        return self.around(name, send)


class Client:
    """A boto3 client of a fake: `client.put_secret_value(…)` is its method of that name."""

    def __init__(self, service: str, fake: Any, calls: Calls) -> None:
        self._service, self._fake, self._calls = service, fake, calls

    def __getattr__(self, method: str) -> Callable[..., Any]:
        operation = "".join(word.capitalize() for word in method.split("_"))
        answer = getattr(self._fake, method)
        return lambda **request: self._calls.call(f"{self._service}:{operation}", lambda: answer(**request))


class DictClients:
    """In the place of `perennial.clients.Clients`: one account, one region."""

    region = REGION

    @property
    def session(self) -> DictClients:
        return self

    def get_partition_for_region(self, region: str) -> str:
        return "aws"

    def __init__(self, calls: Calls, **fakes: Any) -> None:
        self._made = {name: Client(name, fake, calls) for name, fake in fakes.items()}

    def __call__(self, service: str, region: str | None = None) -> Client:
        return self._made[service]

    def at(self, region: str) -> DictClients:
        return self

    def beside(self, *, once: bool = False) -> DictClients:
        return self


# --- Secrets Manager ---


@dataclass
class SecretVersion:
    """A version of a secret: what it holds, and since when."""

    text: str
    created: datetime
    labels: set[str] = field(default_factory=set)


@dataclass
class SecretsManager:
    """Secrets by name (API reference: CreateSecret, PutSecretValue, GetSecretValue, UpdateSecretVersionStage)."""

    clock: Callable[[], datetime]
    secrets: dict[str, dict[str, SecretVersion]] = field(default_factory=dict)
    deleted: dict[str, datetime] = field(default_factory=dict)  # scheduled for it: when they are gone

    def create_secret(self, *, Name: str, **_: Any) -> dict[str, Any]:
        self._forget(Name)
        if Name in self.deleted:
            raise refused("InvalidRequestException", "CreateSecret", "it is already scheduled for deletion")
        if Name in self.secrets:
            raise refused("ResourceExistsException", "CreateSecret")
        self.secrets[Name] = {}
        return {"ARN": _arn(Name), "Name": Name}

    def put_secret_value(
        self, *, SecretId: str, ClientRequestToken: str, SecretString: str, VersionStages: list[str]
    ) -> dict[str, Any]:
        versions = self._versions(SecretId, "PutSecretValue")
        there = versions.get(ClientRequestToken)
        if there is not None and there.text != SecretString:
            raise refused("ResourceExistsException", "PutSecretValue")
        if there is None:
            labels = [*VersionStages, *(() if versions else (CURRENT,))]
            versions[ClientRequestToken] = SecretVersion(SecretString, self.clock())
            for label in labels:
                _move(versions, label, ClientRequestToken)
        return {"ARN": _arn(SecretId), "VersionId": ClientRequestToken}

    def get_secret_value(self, *, SecretId: str, VersionId: str = "", VersionStage: str = "") -> dict[str, Any]:
        versions = self._versions(SecretId, "GetSecretValue")
        found = VersionId or next((name for name, each in versions.items() if VersionStage in each.labels), "")
        if found not in versions:
            raise refused("ResourceNotFoundException", "GetSecretValue")
        return {"ARN": _arn(SecretId), "VersionId": found, "SecretString": versions[found].text}

    def describe_secret(self, *, SecretId: str) -> dict[str, Any]:
        versions = self._versions(SecretId, "DescribeSecret")
        stages = {name: sorted(each.labels) for name, each in versions.items() if each.labels}
        told = {"DeletedDate": self.clock()} if SecretId in self.deleted else {}
        return {"ARN": _arn(SecretId), "Name": SecretId, "VersionIdsToStages": stages, **told}

    def update_secret_version_stage(
        self, *, SecretId: str, VersionStage: str, MoveToVersionId: str = "", RemoveFromVersionId: str = ""
    ) -> dict[str, Any]:
        operation = "UpdateSecretVersionStage"
        versions = self._versions(SecretId, operation)
        holder = next((name for name, each in versions.items() if VersionStage in each.labels), "")
        if MoveToVersionId and MoveToVersionId not in versions:
            raise refused("ResourceNotFoundException", operation)
        if holder != RemoveFromVersionId and holder != MoveToVersionId:
            raise refused("InvalidParameterException", operation, f"RemoveFromVersionId must be {holder or 'left out'}")
        if MoveToVersionId:
            _move(versions, VersionStage, MoveToVersionId)
        else:
            versions[holder].labels.discard(VersionStage)
        return {"ARN": _arn(SecretId)}

    def delete_secret(self, *, SecretId: str, RecoveryWindowInDays: int) -> dict[str, Any]:
        self._versions(SecretId, "DeleteSecret")
        assert 7 <= RecoveryWindowInDays <= 30  # API reference, DeleteSecret
        self.deleted[SecretId] = self.clock() + timedelta(days=RecoveryWindowInDays)
        return {"ARN": _arn(SecretId), "Name": SecretId, "DeletionDate": self.deleted[SecretId]}

    def restore_secret(self, *, SecretId: str) -> dict[str, Any]:
        self._forget(SecretId)
        if SecretId not in self.secrets:
            raise refused("ResourceNotFoundException", "RestoreSecret")
        self.deleted.pop(SecretId, None)
        return {"ARN": _arn(SecretId), "Name": SecretId}

    def labelled(self, name: str) -> dict[str, SecretVersion]:
        """The versions of a secret that have a label."""
        found = {} if name in self.deleted else self.secrets.get(name, {})
        return {each: version for each, version in found.items() if version.labels}

    def delete(self, name: str) -> None:
        """Someone deletes a secret for good."""
        self.secrets.pop(name, None)
        self.deleted.pop(name, None)

    def _forget(self, name: str) -> None:
        """What was scheduled for deletion is gone when its time has come."""
        if name in self.deleted and self.deleted[name] <= self.clock():
            self.delete(name)

    def _versions(self, name: str, operation: str) -> dict[str, SecretVersion]:
        self._forget(name)
        if name not in self.secrets:
            raise refused("ResourceNotFoundException", operation)
        if name in self.deleted and operation != "DescribeSecret":
            raise refused("InvalidRequestException", operation, "the secret was marked for deletion")
        old = self.clock() - DELETED_AFTER
        versions = self.secrets[name]
        for each in [each for each, version in versions.items() if not version.labels and version.created < old]:
            del versions[each]
        return versions


def _arn(name: str) -> str:
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf"


def _move(versions: Mapping[str, SecretVersion], label: str, to: str) -> None:
    """A label is on one version at a time; what was the current one is the previous one then."""
    before = next((name for name, each in versions.items() if label in each.labels), "")
    if before == to:
        return
    if before:
        versions[before].labels.discard(label)
        if label == CURRENT:
            _move(versions, PREVIOUS, before)
    versions[to].labels.add(label)


# --- KMS ---


class Kms:
    """One key that signs digests (Sign with ECDSA_SHA_256)."""

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, Any]:
        assert (KeyId, MessageType, SigningAlgorithm) == (PROOF_KEY, "DIGEST", "ECDSA_SHA_256")
        return {"Signature": _signer().sign(Message, ec.ECDSA(Prehashed(hashes.SHA256())))}


@cache
def _signer() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


# --- who is told ---


@dataclass
class Channels:
    """SNS, EventBridge and Security Hub, which take everything. `told` are the subjects of messages, in order. With
    `broken` none of them answers."""

    told: list[str] = field(default_factory=list)
    broken: bool = False

    def publish(self, *, Subject: str, **_: Any) -> dict[str, Any]:
        self._answers("Publish")
        self.told.append(Subject)
        return {"MessageId": str(len(self.told))}

    def put_events(self, *, Entries: list[Any]) -> dict[str, Any]:
        self._answers("PutEvents")
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}

    def batch_import_findings(self, *, Findings: list[Any]) -> dict[str, Any]:
        self._answers("BatchImportFindings")
        return {"FailedCount": 0, "SuccessCount": len(Findings), "FailedFindings": []}

    def _answers(self, operation: str) -> None:
        if self.broken:
            raise refused("InternalFailure", operation, status=500)


# --- ids that are the same in each run ---


class Counted:
    """In the place of `uuid` and `secrets`: no two ids are the same, and each run has the same ones."""

    def __init__(self, name: str) -> None:
        self._name, self._number = name, 0

    def uuid4(self) -> Counted:
        return self

    @property
    def hex(self) -> str:
        return self._next()[:32]

    def token_hex(self, size: int) -> str:
        return self._next()[: 2 * size]

    def randbelow(self, most: int) -> int:
        return int(self._next(), 16) % most

    def _next(self) -> str:
        self._number += 1
        return hashlib.sha256(f"{self._name} {self._number}".encode()).hexdigest()
