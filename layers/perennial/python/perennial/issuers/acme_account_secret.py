"""The secret of an ACME account, `perennial/acme/<issuer>`: what it holds, and how it is written.

It is JSON: `private_key` (PEM, PKCS #8, P-256), `url` (of the account, "" until it is known), `directory` (the CA's
URL), `contacts`. A version that is written twice for the same reason is written once: the request's token says so.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from perennial import keys
from perennial.clients import meant
from perennial.errors import InvalidConfiguration, NotFound, PerennialError
from perennial.issuers.acme_network import Signer
from perennial.profiles import AcmeIssuer

if TYPE_CHECKING:
    from josepy.jwk import JWKEC

ACTIONS = (
    "secretsmanager:GetSecretValue",
    "secretsmanager:CreateSecret",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
)
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
_SPACE = uuid.UUID("6f1f8f5e-5f3b-4b0e-9a44-0d9a4f9a7c11")  # of the tokens of Secrets Manager's requests


def secret_name(issuer: str) -> str:
    """The secret of an issuer's account."""
    return f"perennial/acme/{issuer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the secret holds. `version` is the secret's version that it was read from, "" before it is stored."""

    private_key: str = field(repr=False)
    url: str = ""
    directory: str = ""
    contacts: tuple[str, ...] = ()
    version: str = ""

    def text(self) -> str:
        return json.dumps(
            {
                "private_key": self.private_key,
                "url": self.url,
                "directory": self.directory,
                "contacts": list(self.contacts),
            }
        )


class AccountSecret:
    """The secret of one issuer. `secrets` is a Secrets Manager client, `key_id` the KMS key of the secret. Every method
    raises PerennialError."""

    def __init__(self, settings: AcmeIssuer, secrets: Any, key_id: str) -> None:
        self._settings = settings
        self._secrets = secrets
        self._key_id = key_id
        self._name = secret_name(settings.name)

    def read(self, stage: str = CURRENT) -> Kept | None:
        """What the secret holds under a stage; None where there is nothing."""
        try:
            with meant(f"secretsmanager:GetSecretValue of {self._name}"):
                answer = self._secrets.get_secret_value(SecretId=self._name, VersionStage=stage)
        except NotFound:
            return None
        return self._kept(answer.get("SecretString", ""), answer["VersionId"])

    def existing(self) -> Kept:
        found = self.read()
        if found is None:
            raise NotFound(f"{self._settings.name} has no account: there is no secret {self._name}")
        return found

    def _kept(self, text: str, version: str) -> Kept:
        values = _object(text)
        texts = [values.get(name, "") for name in ("private_key", "url", "directory")]
        contacts = values.get("contacts", [])
        known = isinstance(contacts, list) and all(isinstance(each, str) for each in (*texts, *contacts))
        if not known or not texts[0]:
            raise self.unusable(self._name, "it does not hold an account as Perennial keeps it")
        return Kept(private_key=texts[0], url=texts[1], directory=texts[2], contacts=tuple(contacts), version=version)

    def create(self) -> Kept:
        """Store a new key; where someone stored one meanwhile, theirs."""
        made = Kept(private_key=new_key())
        with meant(f"secretsmanager:CreateSecret {self._name}"):
            try:
                answer = self._secrets.create_secret(
                    Name=self._name,
                    Description=f"Perennial's account at the ACME issuer {self._settings.name}",
                    KmsKeyId=self._key_id,
                    SecretString=made.text(),
                    ClientRequestToken=_token(self._name, "created"),
                )
            except self._secrets.exceptions.ResourceExistsException:
                return self.existing()
        return replace(made, version=answer["VersionId"])

    def put(self, kept: Kept, what: str) -> Kept:
        """Store a new current version. Two that store at once for the same reason end with what the first stored."""
        return self._stored(kept, _token(self._name, what), CURRENT)

    def put_pending(self, current: Kept) -> Kept:
        """Store another key beside the current one."""
        return self._stored(replace(current, private_key=new_key()), _token(self._name, current.version), PENDING)

    def _stored(self, kept: Kept, token: str, stage: str) -> Kept:
        with meant(f"secretsmanager:PutSecretValue of {self._name}"):
            try:
                self._secrets.put_secret_value(
                    SecretId=self._name, ClientRequestToken=token, SecretString=kept.text(), VersionStages=[stage]
                )
            except self._secrets.exceptions.ResourceExistsException:
                answer = self._secrets.get_secret_value(SecretId=self._name, VersionId=token)
                return self._kept(answer.get("SecretString", ""), token)
        return replace(kept, version=token)

    def promote(self, pending: Kept) -> None:
        """Make the pending key the current one."""
        self.put(pending, f"promoted {pending.version}")
        with meant(f"secretsmanager:UpdateSecretVersionStage of {self._name}"):
            self._secrets.update_secret_version_stage(
                SecretId=self._name, VersionStage=PENDING, RemoveFromVersionId=pending.version
            )

    def external_account(self) -> tuple[str, str]:
        """Key identifier and HMAC key (base64url) of the external account (RFC 8555 7.3.4)."""
        with meant(f"secretsmanager:GetSecretValue of {self._settings.eab_secret}"):
            text = self._secrets.get_secret_value(SecretId=self._settings.eab_secret).get("SecretString", "")
        values = _object(text)
        kid, hmac_key = values.get("kid"), values.get("hmac_key")
        if not isinstance(kid, str) or not isinstance(hmac_key, str) or not kid or not hmac_key:
            raise self.unusable(self._settings.eab_secret, 'it is not JSON as {"kid": "…", "hmac_key": "…"}')
        return kid, hmac_key.rstrip("=")

    def signer(self, kept: Kept) -> Signer:
        """Who signs with what is kept."""
        return Signer(key=_key(kept, self._name), url=kept.url)

    def unusable(self, secret: str, why: str) -> PerennialError:
        """The error of a secret that does not hold what it should."""
        return InvalidConfiguration(f"the secret {secret} of issuer {self._settings.name} cannot be used: {why}")


def _key(kept: Kept, name: str) -> JWKEC:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from josepy.jwk import JWKEC

    try:
        key = load_pem_private_key(kept.private_key.encode(), None)
    except (ValueError, TypeError):
        key = None  # the error may quote what it read
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidConfiguration(f"the secret {name} holds no P-256 key in PEM; delete it to make another account")
    return JWKEC(key=key)


def new_key() -> str:
    """A new account key, PEM."""
    return keys.to_pem(keys.generate("EC-256"))


def _object(text: str) -> Mapping[str, Any]:
    """A secret's JSON object; {} for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _token(name: str, what: str) -> str:
    """The idempotency token of one wish."""
    return str(uuid.uuid5(_SPACE, f"{name} {what}"))
