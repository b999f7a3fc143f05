"""ACME (RFC 8555): Let's Encrypt, Google, ACM's own ACME endpoints, step-ca and others.

The order's steps are in `acme_steps`, its text in `acme_order`, the account in `acme_account`, one request in
`acme_network` and `acme_http`.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from perennial.certificate import Certificate
from perennial.errors import InvalidReply, ServiceRefused
from perennial.issuers import acme_account, acme_order
from perennial.issuers.acme_account import Accounts
from perennial.issuers.acme_chain import certificate_id
from perennial.issuers.acme_http import Http
from perennial.issuers.acme_network import Network, Reply
from perennial.issuers.acme_reading import origins
from perennial.issuers.acme_steps import Steps
from perennial.issuers.interface import Ask, Keep, Outcome, RenewalWindow
from perennial.profiles import AcmeIssuer

if TYPE_CHECKING:
    from perennial.deployment import Deployment

ACTIONS = acme_account.ACTIONS
ASK_AGAIN_SECONDS = 21_600.0  # renewal information whose server does not say (RFC 9773 4.3.2)
_SHORTEST, _LONGEST = 60.0, 86_400.0  # between two questions for it


class Acme:
    """One ACME issuer. It holds connections and their count (`requests`), and nothing of an order: threads and
    processes may share the work. `secrets` is a Secrets Manager client, `key_id` the KMS key of the account's secret.
    """

    def __init__(self, settings: AcmeIssuer, *, secrets: Any, key_id: str) -> None:
        self.settings = settings
        self._accounts = Accounts(settings, secrets, key_id)

    @cached_property
    def _http(self) -> Http:
        return Http(self.settings.directory_roots, field=f"issuers.{self.settings.name}.directory_roots")

    @property
    def requests(self) -> int:
        """HTTP requests that were sent to the CA."""
        return self._http.requests

    def advance(self, ask: Ask, order: str, *, presented: bool, now: datetime, keep: Keep) -> Outcome:
        """See `interface.Issuer`."""
        state = acme_order.read(order, self.settings.directory, origins(self.settings))
        network = self._network(now, state)
        account = self._accounts.account(network)
        return Steps(network, account, ask, state, now, keep).go(presented)

    def revoke(self, certificate: Certificate, arn: str, reason: int) -> None:
        """See `interface.Revoker` (RFC 8555 7.6)."""
        from josepy.b64 import b64encode

        network = self._network()
        account = self._accounts.account(network)
        if not network.directory.revoke:
            raise ServiceRefused(f"{self.settings.name} offers no revocation; revoke at the CA")
        body = json.dumps({"certificate": b64encode(certificate.der).decode(), "reason": reason}).encode()
        network.post(network.directory.revoke, body, account, "revokeCert", tolerate=("alreadyRevoked",))

    def renewal_window(self, certificate: Certificate) -> RenewalWindow | None:
        """See `interface.RenewalAdviser` (RFC 9773). None also for a certificate that the CA does not know."""
        network = self._network()
        url, identifier = network.directory.renewal_info, certificate_id(certificate)
        if not url or not identifier:
            return None
        reply = network.get(f"{url.rstrip('/')}/{identifier}", "renewalInfo", tolerate=("404",))
        return None if reply.problem is not None else _window(reply)

    def change_key(self) -> None:
        """Give the account a new key (RFC 8555 7.3.5); to be repeated until it returns.

        Raises: PerennialError.
        """
        self._accounts.change_key(self._network())

    def deactivate(self) -> None:
        """Deactivate the account for good (RFC 8555 7.3.6).

        Raises: PerennialError.
        """
        self._accounts.deactivate(self._network())

    def _network(self, now: datetime | None = None, order: acme_order.Order | None = None) -> Network:
        if order is None:
            return Network(self._http, self.settings, now=now)
        return Network(self._http, self.settings, now=now, directory=order.directory, nonce=order.nonce)


def _window(reply: Reply) -> RenewalWindow:
    """The suggested window (RFC 9773 4.2)."""
    fields = reply.read()
    suggested = fields.of("suggestedWindow")
    start, end = suggested.time("start"), suggested.time("end")
    if start is None or end is None or end < start:
        raise InvalidReply(f"{reply.doing}: the suggested window has no start, no end, or ends before it starts")
    seconds = reply.retry_after or ASK_AGAIN_SECONDS
    return RenewalWindow(start, end, min(max(seconds, _SHORTEST), _LONGEST), fields.link("explanationURL"))


def issuer(settings: AcmeIssuer, deployment: Deployment) -> Acme:
    """The issuer in a deployment.

    Raises: InvalidConfiguration.
    """
    return Acme(settings, secrets=deployment.clients("secretsmanager"), key_id=deployment.named("PERENNIAL_KEY_ID"))
