"""The account at an ACME CA (RFC 8555 7.1.2): one an issuer, kept in Secrets Manager.

The secret `perennial/acme/<issuer>` is JSON: `private_key` (PEM, PKCS #8, P-256), `url` (of the account, "" until it
is known), `directory` (the CA's URL), `contacts`. The key is stored before the CA hears of it: when a reply is lost,
the same key finds the same account again (RFC 8555 7.3.1). A warm account costs no request.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from perennial.clients import meant
from perennial.errors import InvalidConfiguration, NotFound, PerennialError, ServiceRefused
from perennial.issuers.acme_network import Directory, Network, Reply, Signer, sign
from perennial.profiles import AcmeIssuer

if TYPE_CHECKING:
    from josepy.jwk import JWKEC

ACTIONS = (
    "secretsmanager:GetSecretValue",
    "secretsmanager:CreateSecret",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
)
_ANOTHER = "deactivate the issuer's account here, so that the next order creates another"
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


class Accounts:
    """The account of one issuer. `secrets` is a Secrets Manager client, `key_id` the KMS key of the secret."""

    def __init__(self, settings: AcmeIssuer, secrets: Any, key_id: str) -> None:
        self._settings = settings
        self._secrets = secrets
        self._key_id = key_id
        self._name = secret_name(settings.name)

    def account(self, network: Network) -> Signer:
        """The account, created at the CA where there is none yet.

        Raises: PerennialError.
        """
        kept = self._read() or self._create()
        if not kept.url or kept.directory != self._settings.directory:
            kept = self._register(network, kept)
        elif kept.contacts != self._settings.contacts:
            kept = self._update(network, kept)
        return _signer(kept, self._name)

    def change_key(self, network: Network) -> Signer:
        """Give the account another key (RFC 8555 7.3.5). To be repeated until it returns: the new key is stored as
        AWSPENDING first, and what was interrupted is found out by asking the CA which key it knows.

        Raises: PerennialError.
        """
        current = self._read()
        if current is None or not current.url:
            self.account(network)
            current = self._existing()
        old = _signer(current, self._name)
        pending = self._read(PENDING)
        begun = pending is not None and pending.private_key != current.private_key
        if pending is None or not begun:
            pending = self._put_pending(current)
        new = _signer(pending, self._name)
        if not (begun and self._known(network, new)):
            self._ask_change(network, old, new)
        self._promote(pending)
        return new

    def deactivate(self, network: Network) -> None:
        """Deactivate the account for good (RFC 8555 7.3.6). The next order makes another one, with another key.

        Raises: PerennialError.
        """
        kept = self._existing()
        if kept.url and kept.directory == self._settings.directory:
            body = _json({"status": "deactivated"})
            gone = ("unauthorized", "accountDoesNotExist")  # it was deactivated before
            network.post(kept.url, body, _signer(kept, self._name), "deactivate account", tolerate=gone)
        self._put(Kept(private_key=_new_key()), f"after {kept.version}")

    def _register(self, network: Network, kept: Kept) -> Kept:
        """newAccount (RFC 8555 7.3), which finds the account where the key has one."""
        directory = network.directory
        signer = Signer(key=_key(kept, self._name))
        wished: dict[str, Any] = {"termsOfServiceAgreed": True, "contact": list(self._settings.contacts)}
        if self._settings.eab_secret:
            wished["externalAccountBinding"] = self._binding(signer.key, directory)
        elif directory.account_bound:
            raise InvalidConfiguration(
                f"{self._settings.name} requires an external account: name a secret with the kid and hmac_key that "
                f"the CA gave you in issuers.{self._settings.name}.eab_secret"
            )
        reply = self._ask(network, directory.new_account, wished, signer, "newAccount")
        known = replace(kept, url=reply.location, directory=self._settings.directory, contacts=self._settings.contacts)
        return self._put(known, f"{known.url} of {kept.version}")

    def _update(self, network: Network, kept: Kept) -> Kept:
        """Tell the CA the contacts as they are configured now (RFC 8555 7.3.2)."""
        wished = {"contact": list(self._settings.contacts)}
        self._ask(network, kept.url, wished, _signer(kept, self._name), "account contacts")
        known = replace(kept, contacts=self._settings.contacts)
        return self._put(known, f"{' '.join(known.contacts)} after {kept.version}")

    def _ask(self, network: Network, url: str, wished: Mapping[str, Any], signer: Signer, what: str) -> Reply:
        """Ask something of the account, which has to be valid."""
        reply = network.post(url, _json(wished), signer, what, tolerate=("unauthorized",))
        if reply.problem is not None:
            raise self._refused(reply)
        status = reply.read().one_of("status", ("valid", "deactivated", "revoked"), "valid")
        if status != "valid":
            raise ServiceRefused(f"{reply.doing}: the account is {status}; {_ANOTHER}")
        return reply

    def _refused(self, reply: Reply) -> PerennialError:
        """The error of a CA that accepts neither the account nor, where it is created, its external account."""
        if reply.doing.endswith("newAccount") and self._settings.eab_secret:
            why = f"{reply.doing}: {reply.problem.detail if reply.problem else ''}"
            return self._unusable(self._settings.eab_secret, f"the CA does not accept it: {why}")
        return refused(reply)

    def _binding(self, key: JWKEC, directory: Directory) -> Mapping[str, Any]:
        """The external account's consent (RFC 8555 7.3.4)."""
        from acme.messages import Directory as Urls
        from acme.messages import ExternalAccountBinding

        kid, hmac_key = self._external()
        try:
            urls = Urls({"newAccount": directory.new_account})
            return ExternalAccountBinding.from_data(key.public_key(), kid, hmac_key, urls)
        except (ValueError, TypeError):
            raise self._unusable(self._settings.eab_secret, "hmac_key is not base64url") from None  # quotes the key

    def _external(self) -> tuple[str, str]:
        with meant(f"secretsmanager:GetSecretValue of {self._settings.eab_secret}"):
            text = self._secrets.get_secret_value(SecretId=self._settings.eab_secret).get("SecretString", "")
        values = _object(text)
        kid, hmac_key = values.get("kid"), values.get("hmac_key")
        if not isinstance(kid, str) or not isinstance(hmac_key, str) or not kid or not hmac_key:
            raise self._unusable(self._settings.eab_secret, 'it is not JSON as {"kid": "…", "hmac_key": "…"}')
        return kid, hmac_key.rstrip("=")

    def _known(self, network: Network, new: Signer) -> bool:
        """Whether a key change reached the CA: whether it knows the account under the new key (RFC 8555 7.3.1)."""
        body = _json({"onlyReturnExisting": True})
        reply = network.post(
            network.directory.new_account,
            body,
            Signer(key=new.key),
            "newAccount of an existing key",
            tolerate=("accountDoesNotExist",),
        )
        return reply.problem is None and reply.location == new.url

    def _ask_change(self, network: Network, old: Signer, new: Signer) -> None:
        url = network.directory.key_change
        if not url:
            raise ServiceRefused(f"{self._settings.name} offers no key change; deactivate the account instead")
        wished = _json({"account": old.url, "oldKey": old.key.public_key().to_partial_json()})
        network.post(url, sign(wished, Signer(key=new.key), url, None), old, "keyChange")

    def _promote(self, pending: Kept) -> None:
        self._put(pending, f"promoted {pending.version}")
        with meant(f"secretsmanager:UpdateSecretVersionStage of {self._name}"):
            self._secrets.update_secret_version_stage(
                SecretId=self._name, VersionStage=PENDING, RemoveFromVersionId=pending.version
            )

    def _read(self, stage: str = CURRENT) -> Kept | None:
        """What the secret holds under a stage; None where there is nothing."""
        try:
            with meant(f"secretsmanager:GetSecretValue of {self._name}"):
                answer = self._secrets.get_secret_value(SecretId=self._name, VersionStage=stage)
        except NotFound:
            return None
        return self._kept(answer.get("SecretString", ""), answer["VersionId"])

    def _existing(self) -> Kept:
        found = self._read()
        if found is None:
            raise NotFound(f"{self._settings.name} has no account: there is no secret {self._name}")
        return found

    def _kept(self, text: str, version: str) -> Kept:
        values = _object(text)
        texts = [values.get(name, "") for name in ("private_key", "url", "directory")]
        contacts = values.get("contacts", [])
        known = isinstance(contacts, list) and all(isinstance(each, str) for each in (*texts, *contacts))
        if not known or not texts[0]:
            raise self._unusable(self._name, "it does not hold an account as Perennial keeps it")
        return Kept(private_key=texts[0], url=texts[1], directory=texts[2], contacts=tuple(contacts), version=version)

    def _create(self) -> Kept:
        """Store a new key; where someone stored one meanwhile, theirs."""
        made = Kept(private_key=_new_key())
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
                return self._existing()
        return replace(made, version=answer["VersionId"])

    def _put(self, kept: Kept, what: str) -> Kept:
        """Store a new current version. Two that store at once for the same reason end with what the first stored."""
        return self._stored(kept, _token(self._name, what), CURRENT)

    def _put_pending(self, current: Kept) -> Kept:
        return self._stored(replace(current, private_key=_new_key()), _token(self._name, current.version), PENDING)

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

    def _unusable(self, secret: str, why: str) -> PerennialError:
        return InvalidConfiguration(f"the secret {secret} of issuer {self._settings.name} cannot be used: {why}")


def refused(reply: Reply) -> PerennialError:
    """The error of a CA that does not let the account do what it asked (RFC 8555 7.3.6)."""
    said = reply.problem.detail if reply.problem is not None else ""
    return ServiceRefused(f"{reply.doing}: the CA does not accept the account: {said}; {_ANOTHER}")


def thumbprint(key: JWKEC) -> str:
    """The key's thumbprint in base64url (RFC 7638)."""
    from josepy.b64 import b64encode

    return b64encode(key.thumbprint()).decode()


def _signer(kept: Kept, name: str) -> Signer:
    return Signer(key=_key(kept, name), url=kept.url)


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


def _new_key() -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _object(text: str) -> Mapping[str, Any]:
    """A secret's JSON object; {} for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values).encode()


def _token(name: str, what: str) -> str:
    """The idempotency token of one wish."""
    return str(uuid.uuid5(_SPACE, f"{name} {what}"))
