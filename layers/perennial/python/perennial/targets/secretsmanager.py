"""A secret of a consumer in Secrets Manager: key, certificate and chain together as one version, in one of the formats
of `key_formats`, with whatever else the consumer keeps in it.

A version is put as AWSPENDING under an id that is made of the rollout's facts, so that a repetition finds it; then
AWSCURRENT is moved to it in one call, from the version that was found and from no other (`RemoveFromVersionId`). The
way back moves it the same way. A version is never changed once it is there, so what was found comes back as it was: no
version is deleted for a day, and none that has a label. Nothing is kept of a secret but the id of its version.

A replicated secret is done when each region has the version as its AWSCURRENT. PutSecretValue may not be called more
often than once in 10 minutes, sustained, or versions become more than Secrets Manager deletes.

Sources: Secrets Manager API Reference (DescribeSecret, GetSecretValue, PutSecretValue, UpdateSecretVersionStage), User
Guide ("What's in a secret", "Replicate secrets across Regions", "Quotas").
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from perennial import key_formats, secret_content
from perennial.certificate import fingerprint
from perennial.clients import meaning
from perennial.errors import ChangedMeanwhile, NotFit, NotFound, PerennialError, ServiceRefused, Unavailable
from perennial.issuers.aws_replies import answered, code
from perennial.key_formats import Material
from perennial.profiles import KEYS
from perennial.targets.interface import DEADLINE, Bundle, Field, Found, Keep, Later, Reach, TargetSettings

__all__ = [
    "CHANGES",
    "DEADLINE",
    "FIELDS",
    "HANDSHAKES",
    "KEYS",
    "LOOKS",
    "MAX_CHAIN",
    "RETIRES",
    "TITLE",
    "Secret",
    "target",
]

TITLE = "Secrets Manager secret"
_NAME = r"[A-Za-z0-9_.$-]{1,100}"
FIELDS = (
    Field(
        name="secret",
        pattern=r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}"
        r"|[A-Za-z0-9/_+=.@-]{1,512}",
        words="the secret's ARN or name; the whole ARN where it is in another account than the target's",
        needed=True,
    ),
    Field(
        name="format",
        pattern="|".join(key_formats.FORMATS),
        words="how key and certificate are in it: pem, fullchain, pkcs12 or jks (weak)",
        default="pem",
    ),
    Field(name="key_field", pattern=_NAME, words="the JSON field of the key (pem, fullchain), not private_key"),
    Field(
        name="certificate_field",
        pattern=_NAME,
        words="the JSON field of the certificate, of the full chain, or of the container, not certificate, fullchain, "
        "pkcs12 or jks",
    ),
    Field(name="chain_field", pattern=_NAME, words="the JSON field of the chain (pem), not chain"),
    Field(name="password_field", pattern=_NAME, words="the JSON field of the password (pkcs12, jks), not password"),
)
LOOKS = ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "kms:Decrypt")
CHANGES = ("secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage", "kms:GenerateDataKey")
RETIRES: tuple[str, ...] = ()
MAX_CHAIN = 10
HANDSHAKES = False
MAX_BYTES = 65_536  # of a version's value
HUB_PREFIX = "perennial/certificates/"  # `key_store.PREFIX`
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
WAIT = 10.0  # seconds, for replicas
_LOGS = ("botocore.endpoint", "botocore.parsers")  # their DEBUG lines are whole requests and responses: here, keys
ADVICE = {
    "AccessDeniedException": "give the secret the tag perennial:target, by which the roles of rollouts may reach it; "
    "the policy of a KMS key of your own must allow them too",
    "DecryptionFailure": "let the key policy of the secret's KMS key allow kms:Decrypt to Perennial's role",
    "EncryptionFailure": "let the key policy of the secret's KMS key allow kms:GenerateDataKey to Perennial's role",
    "LimitExceededException": "the secret has as many versions as it may; put no version for a day",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replica:
    region: str
    status: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What DescribeSecret tells. `current` and `pending` are ids of versions, "" where there is none."""

    arn: str
    current: str
    pending: str
    rotates: bool
    owner: str  # the AWS service that manages the secret
    primary: str  # the region of the secret that this one is a replica of
    replicas: tuple[_Replica, ...]


class Secret:
    """`interface.Target` of one secret."""

    shares = ""

    def __init__(self, settings: TargetSettings, reach: Reach) -> None:
        for name in _LOGS:
            logging.getLogger(name).setLevel(logging.INFO)
        self._name = settings.text("secret")
        self._reach = reach
        self._region = self._name.split(":")[3] if self._name.startswith("arn:") else reach.region
        names = {what: settings.text(f"{what}_field") for what in ("key", "certificate", "chain", "password")}
        self._format = key_formats.named(settings.text("format") or "pem", **names)

    def look(self) -> Found:
        facts = self._facts()
        text = self._value(facts.current) or ""
        return Found(state=json.dumps({"version": facts.current}), fingerprint=self._leaf(text))

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        facts = self._facts()
        text = self._value(facts.current) or ""
        return [*self._of_the_secret(facts, new), *self._of_the_content(text, new), *self._of_the_replicas(facts)]

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        before, facts = _version(found), self._facts()
        ours = self._id(before, new)
        if facts.current == before:
            text = self._value(before) or ""
            if self._holds(text, new):
                return self._replicated(facts, before)
            self._put(ours, text, new)
            self._move(ours, before)
            facts = self._facts()
            if facts.current == before:
                return Later(WAIT, f"{self._name} to show what has moved")
        if facts.current != ours:
            raise self._changed(facts)
        return self._settled(facts, ours, ours)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        before, facts = _version(found), self._facts()
        ours = self._id(before, new)
        if facts.current == ours:
            self._move(before, ours)
        elif facts.current != before:
            raise self._changed(facts)
        return self._settled(facts, before, ours)

    # --- reading ---

    def _client(self, region: str = "") -> Any:
        return self._reach.clients("secretsmanager", region or self._region)

    def _facts(self, region: str = "", name: str = "") -> _Facts:
        """Raises: NotFound, also where the secret is scheduled for deletion."""
        secret = name or self._name
        doing = f"secretsmanager:DescribeSecret of {secret}" + (f" in {region}" if region else "")
        with answered(doing, ADVICE):
            answer = self._client(region).describe_secret(SecretId=secret)
        if answer.get("DeletedDate"):
            raise NotFound(f"{doing}: it is scheduled for deletion; call RestoreSecret, or remove the target")
        stages: Mapping[str, list[str]] = answer.get("VersionIdsToStages", {})
        return _Facts(
            arn=str(answer["ARN"]),
            current=next((version for version, labels in stages.items() if CURRENT in labels), ""),
            pending=next((version for version, labels in stages.items() if PENDING in labels), ""),
            rotates=bool(answer.get("RotationEnabled")),
            owner=str(answer.get("OwningService") or ""),
            primary=str(answer.get("PrimaryRegion") or ""),
            replicas=tuple(
                _Replica(region=each["Region"], status=each["Status"], message=each.get("StatusMessage") or "")
                for each in answer.get("ReplicationStatus", ())
            ),
        )

    def _value(self, version: str) -> str | None:
        """The text of a version; None where it is not there, or is binary."""
        from botocore.exceptions import ClientError

        if not version:
            return None
        with answered(f"secretsmanager:GetSecretValue of {self._name}", ADVICE):
            try:
                answer = self._client().get_secret_value(SecretId=self._name, VersionId=version)
            except ClientError as error:
                if code(error) == "ResourceNotFoundException":
                    return None
                raise
        text: str | None = answer.get("SecretString")
        return text

    def _leaf(self, text: str) -> str:
        """SHA-256 of the certificate in a value: as its format says, else the one that its PEM holds."""
        found = self._format.read(_document(text) or {})
        if found is not None:
            return fingerprint(found.chain[0])
        held = secret_content.content(text).held
        return held[0].certificate.fingerprint or "" if len(held) == 1 else ""

    def _holds(self, text: str, new: Bundle) -> bool:
        found = self._format.read(_document(text) or {})
        return found is not None and found.same(_material(new))

    # --- refusals ---

    def _of_the_secret(self, facts: _Facts, new: Bundle) -> list[str]:
        found = []
        if facts.rotates:
            found.append("it has rotation switched on, and both would replace each other's versions: switch it off")
        if facts.owner:
            found.append(f"it belongs to {facts.owner}, which replaces its versions; name a secret of your own")
        if facts.primary and facts.primary != self._region:
            found.append(f"it is a replica; name the secret in {facts.primary}")
        if facts.arn == new.secret or f":secret:{HUB_PREFIX}" in facts.arn:
            found.append("it is where Perennial itself keeps a managed certificate; name a secret of the consumer")
        return [f"{self._name}: {each}" for each in found]

    def _of_the_content(self, text: str, new: Bundle) -> list[str]:
        document = _document(text)
        if document is None:
            return [
                f"{self._name}: its value is no JSON object, and would be lost; put one there ({{}} is enough), or "
                "name another secret"
            ]
        found = [] if new.private_key else [_no_key(new)]
        found += [f"{self._name}: {each}" for each in self._format.refusals(new.key, document)]
        if _numbers(text) != _numbers(json.dumps(document)):
            found.append(f"{self._name}: a number in its value has more digits than would be kept; write it as a text")
        size = 0 if found else len(self._text(document, new).encode())
        if size > MAX_BYTES:
            found.append(f"{self._name}: its value would have {size} bytes, more than the {MAX_BYTES} of a version")
        return found

    def _of_the_replicas(self, facts: _Facts) -> list[str]:
        """Each is read already now: later, when AWSCURRENT has moved, a refusal would come too late."""
        found = []
        for each in facts.replicas:
            if each.status == "Failed":
                found.append(f"{self._name}: its replica in {each.region} has failed: {each.message[:200]}")
            else:
                self._facts(each.region, _arn_in(facts.arn, each.region))
        return found

    # --- changing ---

    def _id(self, before: str, new: Bundle) -> str:
        """Of the version that a rollout puts: the same for the same version onto the same one that was found. Whoever
        changes the other fields makes another version, so that theirs are never put back by an older one of ours."""
        facts = [before, new.reference, new.fingerprint, self._format.name, *self._format.fields.values()]
        return hashlib.sha256(json.dumps(["perennial", *facts]).encode()).hexdigest()

    def _text(self, document: Mapping[str, object], new: Bundle) -> str:
        return json.dumps({**document, **self._format.written(_material(new), new.managed)})

    def _put(self, version: str, text: str, new: Bundle) -> None:
        """A version as AWSPENDING: the one that is there already, or one that is put now.

        Raises: NotFit; ServiceRefused where another content is there under its id.
        """
        there = self._value(version)
        if there is None:
            refused = self._put_now(version, self._new_text(text, new))
            if refused is not None:  # without its cause, which could quote the request
                raise refused
            there = self._value(version)
        if there is None:
            raise Unavailable(f"{self._name}: the version that was just put is not to be seen yet")
        if not self._holds(there, new):
            raise ServiceRefused(f"{self._name}: version {version} holds something else; who put it there?")

    def _new_text(self, text: str, new: Bundle) -> str:
        document, refusals = _document(text), self._of_the_content(text, new)
        if document is None or refusals:
            raise NotFit("; ".join(refusals))
        return self._text(document, new)

    def _put_now(self, version: str, text: str) -> PerennialError | None:
        from botocore.exceptions import BotoCoreError, ClientError

        from perennial.issuers.aws_replies import refused

        doing = f"secretsmanager:PutSecretValue of {self._name}"
        try:
            self._client().put_secret_value(
                SecretId=self._name, ClientRequestToken=version, SecretString=text, VersionStages=[PENDING]
            )
        except ClientError as error:
            # a container is encrypted anew each time: a step that ran at the same time was first
            return None if code(error) == "ResourceExistsException" else refused(error, doing, ADVICE)
        except BotoCoreError as error:
            return meaning(error, doing)
        return None

    def _move(self, to: str, away: str) -> None:
        """Move AWSCURRENT, if it is where it was. Secrets Manager leaves AWSPREVIOUS there."""
        try:
            with answered(f"secretsmanager:UpdateSecretVersionStage of {self._name}", ADVICE):
                self._client().update_secret_version_stage(
                    SecretId=self._name, VersionStage=CURRENT, MoveToVersionId=to, RemoveFromVersionId=away
                )
        except ServiceRefused:  # also the SDK's own repetition of a call whose answer was lost
            now = self._facts()
            if now.current not in (to, away):
                raise self._changed(now) from None
            if now.current != to:
                raise

    def _settled(self, facts: _Facts, current: str, ours: str) -> Later | None:
        """Take AWSPENDING from our version: RotateSecret would take it for a rotation in progress."""
        if facts.pending == ours:
            with answered(f"secretsmanager:UpdateSecretVersionStage of {self._name}", ADVICE):
                self._client().update_secret_version_stage(
                    SecretId=self._name, VersionStage=PENDING, RemoveFromVersionId=ours
                )
        return self._replicated(facts, current)

    def _replicated(self, facts: _Facts, version: str) -> Later | None:
        """None when every replica has a version as its AWSCURRENT."""
        for each in facts.replicas:
            if each.status == "Failed":
                raise ServiceRefused(
                    f"{self._name}: replication to {each.region} has failed: {each.message[:200]}; the other regions "
                    "have the version"
                )
            if self._facts(each.region, _arn_in(facts.arn, each.region)).current != version:
                return Later(WAIT, f"the replica of {self._name} in {each.region} to have version {version}")
        return None

    def _changed(self, facts: _Facts) -> ChangedMeanwhile:
        return ChangedMeanwhile(
            f"{self._name}: its current version is {facts.current or 'none'}, which someone else put there"
        )


def target(settings: TargetSettings, reach: Reach) -> Secret:
    """The secret that settings name."""
    return Secret(settings, reach)


def _version(found: Found) -> str:
    return str(json.loads(found.state)["version"])


def _document(text: str) -> dict[str, object] | None:
    """A value as a JSON object; None where it is none. A parser's exception would hold the secret: it ends here."""
    try:
        document = json.loads(text)
        text.encode()
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _numbers(text: str) -> object:
    """A JSON document with every digit of its numbers."""
    return json.loads(text, parse_float=Decimal)


def _material(new: Bundle) -> Material:
    return Material(private_key=new.private_key, chain=(new.certificate.der, *(each.der for each in new.chain)))


def _arn_in(arn: str, region: str) -> str:
    """The ARN of a secret's replica: the same but for the region."""
    parts = arn.split(":")
    return ":".join((*parts[:3], region, *parts[4:]))


def _no_key(new: Bundle) -> str:
    return (
        f"{new.reference}: the secret gets its private key, which Perennial does not hold; use a profile with "
        'key_home = "secret"'
    )
