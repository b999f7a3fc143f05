"""The steps of one ACME order (RFC 8555 7.4): from what is kept of it as far as it goes without waiting.

    new ► ordered ► challenged ► (shown by the caller) ► answered ► finalized ► issued

n names take 2n + 7 requests with a warm account: directory, nonce, newOrder, n authorizations, n challenges, one look
at the order, finalize, one look more, and the certificate. The order is looked at, never each authorization: those are
read again only to say why it failed.

The order is kept once the challenges are answered, and not after each of them: answering one again changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from perennial.errors import InvalidConfiguration, ServiceRefused
from perennial.issuers import acme_challenge, acme_problem
from perennial.issuers import acme_invalid_order as invalid_order
from perennial.issuers.acme_account import refused, thumbprint
from perennial.issuers.acme_certificate import fetch_chain
from perennial.issuers.acme_chain import certificate_id
from perennial.issuers.acme_network import Network, Reply, Signer
from perennial.issuers.acme_order import MAX_NAMES, Authorization, Order, Phase, started_again, write
from perennial.issuers.acme_problem import Problem
from perennial.issuers.acme_reading import Fields
from perennial.issuers.interface import Ask, Issued, Keep, Later, Outcome, Present

MAX_ATTEMPTS = 3  # orders that may expire, before the reason is asked for
MAX_POLLS = 60  # looks at an order in one phase
LOOKED_CLOSER = (2, 8, 32)  # looks after which a pending order's authorizations are read: some CAs leave it pending
ANSWERED_SECONDS = 3.0  # what a validation usually takes
MAX_DEFAULT_SECONDS = 60.0
MAX_WAIT_SECONDS = 300.0
STATUSES = ("pending", "ready", "processing", "valid", "invalid")  # of an order (RFC 8555 7.1.6)
# Refusals that may be about `replaces`. Pebble answers 500 where it finds no order of the certificate, as of any serial
# whose DER begins with a zero octet, which it does not know again. 502 to 504 are about no order.
_NOT_REPLACED = ("alreadyReplaced", "malformed", "unauthorized", "409", "404", "500")


class Steps:
    """One step of one order. Methods return None where the CA does not have the order any more."""

    def __init__(self, network: Network, account: Signer, ask: Ask, order: Order, now: datetime, keep: Keep) -> None:
        self._network = network
        self._settings = network.settings
        self._account = account
        self._thumbprint = thumbprint(account.key)
        self._ask = ask
        self._order = order
        self._now = now
        self._tell = keep

    def go(self, presented: bool) -> Outcome:
        """As far as it goes; `presented` says that the order's challenges are shown.

        Raises: PerennialError.
        """
        outcome = None
        if self._order.phase is Phase.NEW or self._order.account == self._account.url:
            outcome = self._go(presented)
        while outcome is None:
            self._start_again()
            outcome = self._go(presented=False)
        return outcome

    def _go(self, presented: bool) -> Outcome | None:
        phase = self._order.phase
        if phase is Phase.NEW:
            return self._request()
        if phase is Phase.ORDERED:
            return self._read_authorizations()
        if phase is Phase.CHALLENGED:
            return self._answer() if presented and self._same_key() else self._present()
        if phase is Phase.ISSUED:
            return self._fetch()
        return self._look()

    def _start_again(self) -> None:
        if self._order.attempts + 1 >= MAX_ATTEMPTS:
            raise ServiceRefused(
                f"{self._settings.name}: {MAX_ATTEMPTS} orders expired before they were done; check how long "
                f"challenges take to be seen, then request again"
            )
        self._order = started_again(self._order)
        self._keep()

    def _keep(self, **changed: Any) -> None:
        """Change the order, and have it kept with the latest nonce."""
        network = self._network
        self._order = replace(self._order, directory=network.known_directory, nonce=network.nonce, **changed)
        self._tell(write(self._order))

    def _post(self, url: str, what: str, payload: bytes = b"", *tolerate: str) -> Reply:
        return self._network.post(url, payload, self._account, what, tolerate=tolerate)

    # newOrder

    def _request(self) -> Outcome | None:
        reply = self._new_order()
        fields = reply.read()
        status = fields.one_of("status", STATUSES)
        self._keep(
            phase=Phase.ORDERED if status == "pending" else Phase.ANSWERED,
            account=self._account.url,
            thumbprint=self._thumbprint,
            url=reply.location,
            finalize=fields.url("finalize"),
            pages=fields.urls("authorizations", MAX_NAMES),
        )
        return self._read_authorizations() if status == "pending" else self._went_on(fields, reply)

    def _new_order(self) -> Reply:
        """newOrder, with what is replaced (RFC 9773 5); without it where the CA does not want to hear that. Where no
        order comes then either, that is not kept: the next time begins with it again."""
        url, wished, replaced = self._network.directory.new_order, self._wished(), self._replaced()
        if replaced:
            body = _json(wished | {"replaces": replaced})
            reply = self._post(url, "newOrder", body, *_NOT_REPLACED)
            if reply.problem is None:
                return reply
            self._order = replace(self._order, without_replaces=True)
        reply = self._post(url, "newOrder", _json(wished), "unauthorized")
        if reply.problem is not None:
            raise refused(reply)
        return reply

    def _wished(self) -> dict[str, Any]:
        wished: dict[str, Any] = {"identifiers": acme_challenge.identifiers(self._ask.names)}
        profile, offered = self._ask.profile.acme_profile, self._network.directory.profiles
        if profile and profile not in offered:
            raise InvalidConfiguration(
                f"profiles.{self._ask.profile.name}.acme_profile is {profile!r}; {self._settings.name} offers "
                f"{', '.join(offered) or 'no profiles'}"
            )
        return wished | {"profile": profile} if profile else wished

    def _replaced(self) -> str:
        old = self._ask.replaces
        if old is None or self._order.without_replaces or not self._network.directory.renewal_info:
            return ""
        return certificate_id(old)

    # Authorizations and challenges

    def _read_authorizations(self) -> Outcome | None:
        """Read all authorizations; those that are valid already need nothing."""
        waiting: list[Authorization] = []
        failed: list[Problem] = []
        for url in self._order.pages:
            reply = self._post(url, "authorization", b"", "404")
            if reply.problem is not None:
                return None
            fields = reply.read()
            status = fields.one_of("status", acme_challenge.STATUSES)
            if status == "pending":
                name = acme_challenge.named(fields, self._ask.names)
                waiting.append(acme_challenge.chosen(fields, url, name, self._settings, self._account.url))
            elif status == "invalid":
                failed.append(invalid_order.seen(fields))
            elif status != "valid":
                return None
        if failed:
            raise acme_problem.validation_failed(failed, self._doing)
        self._keep(phase=Phase.CHALLENGED if waiting else Phase.ANSWERED, authorizations=tuple(waiting), polls=0)
        return self._present() if waiting else self._look()

    def _present(self) -> Outcome:
        """The challenges, as the account's present key proves them."""
        if not self._same_key():
            self._keep(thumbprint=self._thumbprint)
        kind, account = self._settings.challenge, self._account.url
        return Present(
            tuple(acme_challenge.shown(each, kind, self._thumbprint, account) for each in self._order.authorizations)
        )

    def _same_key(self) -> bool:
        return self._order.thumbprint == self._thumbprint

    def _answer(self) -> Outcome | None:
        """Tell the CA to look at each challenge (RFC 8555 7.5.1)."""
        seconds = ANSWERED_SECONDS
        for each in self._order.authorizations:
            reply = self._post(each.challenge, f"challenge of {each.name}", b"{}", "malformed", "404")
            if reply.problem is not None and not self._settled(each, reply.problem):
                return None
            seconds = max(seconds, reply.retry_after or 0)
        self._keep(phase=Phase.ANSWERED, polls=0)
        return Later(_clamped(seconds), f"{self._settings.name} looks at the challenges")

    def _settled(self, answered: Authorization, problem: Problem) -> bool:
        """Whether a challenge that was refused had been answered before: the step ran twice. False where the
        authorization is gone; what is still open was refused for another reason, which is raised."""
        if problem.status == 404:
            return False
        fields = self._post(answered.url, "authorization").read()
        challenges = fields.each("challenges", acme_challenge.MAX_CHALLENGES)
        ours = [each for each in challenges if each.values.get("url") == answered.challenge]
        if fields.text("status") == "pending" and [each.text("status", "pending") for each in ours] == ["pending"]:
            raise acme_problem.meaning(problem, f"{self._doing}: challenge of {answered.name}")
        return True

    # The order

    def _look(self) -> Outcome | None:
        reply = self._post(self._order.url, "order", b"", "404")
        return self._gone(reply) if reply.problem is not None else self._went_on(reply.read(), reply)

    def _gone(self, reply: Reply) -> Outcome | None:
        """The CA says that it has no such order. Once it has the CSR, it may have issued: then another order would be a
        second certificate, so the same one is asked for again."""
        return self._later(reply, "issues") if self._order.phase is Phase.FINALIZED else None

    def _went_on(self, fields: Fields, reply: Reply) -> Outcome | None:
        """Go on from what the CA says of the order."""
        status = fields.one_of("status", STATUSES)
        if status == "ready":
            return self._finalize()
        if status == "valid":
            self._keep(phase=Phase.ISSUED, certificate=fields.url("certificate"))
            return self._fetch()
        if status == "invalid":
            invalid_order.raise_reason(self._network, self._account, self._order, fields, self._now)
            return None
        if status == "pending" and self._order.polls in LOOKED_CLOSER:
            invalid_order.raise_failed(self._network, self._account, self._order)
        doing = "issues" if status == "processing" else "looks at the challenges"
        return self._later(reply, doing, None if status == "pending" else Phase.FINALIZED)

    def _finalize(self) -> Outcome | None:
        """Send the CSR (RFC 8555 7.4). Whatever the CA answers, the next look at the order tells how it went."""
        from josepy.b64 import b64encode

        body = _json({"csr": b64encode(self._ask.csr).decode()})
        reply = self._post(self._order.finalize, "finalize", body, "orderNotReady", "404")
        if reply.problem is not None:
            return self._gone(reply) if reply.problem.status == 404 else self._later(reply, "prepares the order")
        first = self._order.phase is not Phase.FINALIZED
        self._keep(phase=Phase.FINALIZED, polls=0 if first else self._order.polls)
        fields = reply.read()
        status = fields.one_of("status", STATUSES)
        return self._later(reply, "issues") if status in ("ready", "pending") else self._went_on(fields, reply)

    def _later(self, reply: Reply, doing: str, phase: Phase | None = None) -> Later:
        """Wait as long as the CA says, else 2, 4, 8 … seconds; not for ever."""
        polls = self._order.polls + 1
        if polls > MAX_POLLS:
            raise ServiceRefused(
                f"{self._doing}: no end after {MAX_POLLS} looks at the order; ask the CA about it, then request again"
            )
        self._keep(polls=polls, phase=phase or self._order.phase)
        default = min(2.0 ** min(polls, 10), MAX_DEFAULT_SECONDS)
        return Later(_clamped(reply.retry_after or default), f"{self._settings.name} {doing}")

    @property
    def _doing(self) -> str:
        return f"{self._settings.name}: order {self._order.url}"

    def _fetch(self) -> Issued:
        root = self._ask.profile.preferred_root
        return Issued(fetch_chain(self._network, self._account, self._order.certificate, root))


def _clamped(seconds: float) -> float:
    return min(max(seconds, 1.0), MAX_WAIT_SECONDS)


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode()
