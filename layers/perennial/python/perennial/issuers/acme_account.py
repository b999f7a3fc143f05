"""The account at an ACME CA (RFC 8555 7.1.2): one an issuer, kept in Secrets Manager.

The key is stored before the CA hears of it: when a reply is lost, the same key finds the same account again
(RFC 8555 7.3.1). A warm account costs no request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perennial.errors import InvalidConfiguration, PerennialError, ServiceRefused
from perennial.issuers.acme_account_secret import ACTIONS, PENDING, AccountSecret, Kept, new_key, secret_name
from perennial.issuers.acme_network import Directory, Network, Reply, Signer, sign
from perennial.profiles import AcmeIssuer

if TYPE_CHECKING:
    from josepy.jwk import JWKEC

__all__ = ("ACTIONS", "Accounts", "refused", "secret_name", "thumbprint")

_ANOTHER = "deactivate the issuer's account here, so that the next order creates another"


class Accounts:
    """The account of one issuer. `secrets` is a Secrets Manager client, `key_id` the KMS key of the secret."""

    def __init__(self, settings: AcmeIssuer, secrets: Any, key_id: str) -> None:
        self._settings = settings
        self._secret = AccountSecret(settings, secrets, key_id)

    def account(self, network: Network) -> Signer:
        """The account, created at the CA where there is none yet.

        Raises: PerennialError.
        """
        kept = self._secret.read() or self._secret.create()
        if not kept.url or kept.directory != self._settings.directory:
            kept = self._register(network, kept)
        elif kept.contacts != self._settings.contacts:
            kept = self._update(network, kept)
        return self._secret.signer(kept)

    def change_key(self, network: Network) -> Signer:
        """Give the account another key (RFC 8555 7.3.5). To be repeated until it returns: the new key is stored as
        AWSPENDING first, and what was interrupted is found out by asking the CA which key it knows.

        Raises: PerennialError.
        """
        current = self._secret.read()
        if current is None or not current.url or current.directory != self._settings.directory:
            self.account(network)
            current = self._secret.existing()
        old = self._secret.signer(current)
        pending = self._secret.read(PENDING)
        begun = pending is not None and pending.private_key != current.private_key
        if pending is None or not begun:
            pending = self._secret.put_pending(current)
        new = self._secret.signer(pending)
        if not (begun and self._known(network, new)):
            self._ask_change(network, old, new)
        self._secret.promote(pending)
        return new

    def deactivate(self, network: Network) -> None:
        """Deactivate the account for good (RFC 8555 7.3.6). The next order makes another one, with another key.

        Raises: PerennialError.
        """
        kept = self._secret.existing()
        if kept.url and kept.directory == self._settings.directory:
            body = _json({"status": "deactivated"})
            gone = ("unauthorized", "accountDoesNotExist")  # it was deactivated before
            network.post(kept.url, body, self._secret.signer(kept), "deactivate account", tolerate=gone)
        self._secret.put(Kept(private_key=new_key()), f"after {kept.version}")

    def _register(self, network: Network, kept: Kept) -> Kept:
        """newAccount (RFC 8555 7.3), which finds the account where the key has one."""
        directory = network.directory
        signer = Signer(key=self._secret.signer(kept).key)
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
        return self._secret.put(known, f"{known.url} of {kept.version}")

    def _update(self, network: Network, kept: Kept) -> Kept:
        """Tell the CA the contacts as they are configured now (RFC 8555 7.3.2)."""
        wished = {"contact": list(self._settings.contacts)}
        self._ask(network, kept.url, wished, self._secret.signer(kept), "account contacts")
        known = replace(kept, contacts=self._settings.contacts)
        return self._secret.put(known, f"{' '.join(known.contacts)} after {kept.version}")

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
            return self._secret.unusable(self._settings.eab_secret, f"the CA does not accept it: {why}")
        return refused(reply)

    def _binding(self, key: JWKEC, directory: Directory) -> Mapping[str, Any]:
        """The external account's consent (RFC 8555 7.3.4)."""
        from acme.messages import Directory as Urls
        from acme.messages import ExternalAccountBinding

        kid, hmac_key = self._secret.external_account()
        try:
            urls = Urls({"newAccount": directory.new_account})
            return ExternalAccountBinding.from_data(key.public_key(), kid, hmac_key, urls)
        except (ValueError, TypeError):  # it may quote the key
            raise self._secret.unusable(self._settings.eab_secret, "hmac_key is not base64url") from None

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


def refused(reply: Reply) -> PerennialError:
    """The error of a CA that does not let the account do what it asked (RFC 8555 7.3.6)."""
    said = reply.problem.detail if reply.problem is not None else ""
    return ServiceRefused(f"{reply.doing}: the CA does not accept the account: {said}; {_ANOTHER}")


def thumbprint(key: JWKEC) -> str:
    """The key's thumbprint in base64url (RFC 7638)."""
    from josepy.b64 import b64encode

    return b64encode(key.thumbprint()).decode()


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values).encode()
