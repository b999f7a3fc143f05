"""What deploys by itself: an agent, Ansible, a pipeline. It gets a signed event, and reports back before a deadline.

The event is public but for a reference to the secret version with the key, which the receiver may read or not. It
answers 2xx to take the event, and later posts {"status": "done"|"failed"} to the event's callback (`callbacks`).

What it serves cannot be looked at here: `look` tells of what was last reported done, and a change that someone makes
beside the receiver is not seen. The handshakes after it are the proof, not the report.

An event has one id for all attempts, and is sent again until it is known that the receiver took it: the receiver drops
those that it knows. `shares`, `placed` and `keep` are not used: the record in the table (`webhook_receiver`) says what
was begun. All of it happens in the hub: no other account is asked, and no action is needed there.

Source: Standard Webhooks 1.0.0, "Webhook metadata", "Delivery success and failure".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from perennial import webhook_event, webhook_signature
from perennial.clients import meant
from perennial.errors import (
    ChangedMeanwhile,
    ConcurrentChange,
    InvalidConfiguration,
    InvalidReply,
    NotFound,
    PerennialError,
    ServiceRefused,
    Unavailable,
)
from perennial.issuers.acme_reading import bounded
from perennial.profiles import KEYS as KEYS
from perennial.targets.interface import Bundle, Field, Found, Keep, Later, Reach, TargetSettings
from perennial.webhook_receiver import Answered, Deployed, Event, Receiver, Wish, asked, noted, receiver_id

if TYPE_CHECKING:
    from perennial.deployment import Deployment

TITLE = "Webhook"
_REST = r"(:[0-9]{1,5})?(/[!$%&'()*+,./0-9:;=?@A-Z_a-z~-]{0,1900})?"
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
FIELDS = (
    Field(
        name="url",
        pattern=rf"https://{_HOST}{_REST}|http://(localhost|127(\.[0-9]{{1,3}}){{3}}|\[::1\]){_REST}",
        words="the receiver's URL: https, without credentials and fragment; http is accepted on loopback only",
        needed=True,
    ),
    Field(
        name="secret",
        pattern=rf"(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{{12}}:secret:)?{webhook_signature.SECRETS}"
        r"[A-Za-z0-9/_+=.@-]{1,200}",
        words=f"name or ARN of a secret of the hub that begins with {webhook_signature.SECRETS} and holds "
        '{"key": "whsec_<base64>"}',
        needed=True,
    ),
)
LOOKS: tuple[str, ...] = ()  # nothing in the target's account: the table and the secrets are the hub's
CHANGES: tuple[str, ...] = ()
RETIRES: tuple[str, ...] = ()
MAX_CHAIN = 10
DEADLINE = 1_800
HANDSHAKES = True
CALLBACK_URL = "PERENNIAL_CALLBACK_URL"  # where reports go: an event's id follows it, behind a slash
STEP = 10.0  # seconds between two looks for a report
SOON = 1.0


def target(settings: TargetSettings, reach: Reach) -> Webhook:
    """The receiver that settings describe.

    Raises: InvalidConfiguration outside of a deployment.
    """
    if reach.deployment is None:
        raise InvalidConfiguration(f"the webhook {settings.name} needs the hub's table; use it from the hub")
    return Webhook(settings, reach.deployment)


class Webhook:
    """One receiver. Its clock is the deployment's, for signatures and the deadline."""

    shares = ""

    def __init__(self, settings: TargetSettings, deployment: Deployment) -> None:
        self._settings = settings
        self._deployment = deployment
        self._url, self._secret = settings.text("url"), settings.text("secret")
        self._named = f"webhook {settings.name}"

    def look(self) -> Found:
        """What was last reported done; nothing where nothing was."""
        receiver = self._read()
        state = {"revision": receiver.revision, "there": asdict(receiver.there)}
        return Found(state=json.dumps(state), fingerprint=receiver.there.fingerprint)

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        """What can be known without sending anything."""
        from perennial import webhook_delivery

        said = [self._elsewhere(), _unreachable_key(new)]
        tried: tuple[Callable[[], object], ...] = (
            self._keys,
            lambda: self._deployment.named(CALLBACK_URL),
            lambda: webhook_delivery.check(self._url),
        )
        return [each for each in (*said, *map(_wrong, tried)) if each]

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        """Ask for the new version; wait for the report."""
        receiver, since = self._read(), _revision(found)
        if not _is_deploy_of(receiver.event, new, since):
            if receiver.revision != since:
                raise self._changed()
            receiver = self._ask(receiver, Wish.DEPLOY, _references(new), since, new)
            return self._send(receiver, new, first=True)
        return self._go_on(receiver, new)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        """Ask for what was found, unless the new version was never asked for, or never taken."""
        receiver, since, before = self._read(), _revision(found), _there(found)
        event = receiver.event
        material = earlier if earlier and earlier.fingerprint == before.fingerprint else None
        if event and event.wish is Wish.RESTORE and event.since == since:
            return self._go_on(receiver, material)
        if not event or not _is_deploy_of(event, new, since):
            if receiver.revision == since or (receiver.there == before and not receiver.waits):
                return None
            raise self._changed()
        if event.state is Answered.REFUSED:
            return None
        receiver = self._ask(receiver, Wish.RESTORE, before, since, material or new)
        return self._send(receiver, material, first=True)

    # --- one event ---

    def _ask(self, receiver: Receiver, wish: Wish, what: Deployed, since: int, kept_for: Bundle) -> Receiver:
        now = self._deployment.clock()
        made = asked(
            replace(receiver, secret=self._secret),
            wish,
            what,
            since=since,
            now=now,
            deadline=timedelta(seconds=self._settings.deadline),
            until=kept_for.certificate.not_after or now,
        )
        return self._save(made)

    def _go_on(self, receiver: Receiver, material: Bundle | None) -> Later | None:
        """What is next for the latest event: send it, wait for its report, or hand the report on."""
        event = _event(receiver)
        if event.state is Answered.DONE:
            return None
        if event.state is Answered.FAILED:
            raise ServiceRefused(
                f"{self._named}: the receiver reported that it failed: {event.message or 'it gave no message'}; "
                "look at its log"
            )
        if event.state is Answered.ACCEPTED:
            return Later(STEP, f"{self._named} to report on the event {event.id}")
        if event.state is Answered.REFUSED:
            return self._send(self._save(noted(receiver, Answered.SENT)), material, first=True)
        return self._send(receiver, material, first=False)

    def _send(self, receiver: Receiver, material: Bundle | None, *, first: bool) -> Later:
        """Send the latest event. `first`: no earlier attempt may have reached the receiver, so that a refusal says that
        it has nothing of it."""
        event = _event(receiver)
        refused = self._posted(
            event.id, webhook_event.body(receiver, event, material, self._deployment.named(CALLBACK_URL))
        )
        if isinstance(refused, ServiceRefused) and first:
            self._note(receiver, Answered.REFUSED)
        if refused:
            raise refused
        if not self._note(receiver, Answered.ACCEPTED):
            return Later(SOON, f"{self._named}: reading what was reported meanwhile")
        return Later(STEP, f"{self._named} to report on the event {event.id}")

    def _note(self, receiver: Receiver, state: Answered) -> bool:
        """Note how far the event is; False where the receiver's report was faster, which says more."""
        try:
            self._save(noted(receiver, state))
        except ConcurrentChange:
            return False
        return True

    def _posted(self, event_id: str, body: bytes) -> PerennialError | None:
        """Send it once; why the receiver does not take it, None where it does.

        Raises: PerennialError where it is not known whether the receiver has it.
        """
        from perennial import webhook_delivery

        now = self._deployment.clock()
        headers = webhook_signature.sign(event_id, now, body, self._keys())
        try:
            answer = webhook_delivery.post(self._url, body, headers)
        except (Unavailable, InvalidConfiguration, InvalidReply) as error:
            raise type(error)(f"{self._named}: {_without(self._url, str(error))}") from error
        return webhook_delivery.refused(answer, self._named, now)

    # --- the hub ---

    def _read(self) -> Receiver:
        named = receiver_id(self._settings.managed, self._settings.name)
        with meant(f"dynamodb:GetItem of the record of {self._named}"):
            found = self._deployment.inventory.receiver(named)
        return found or Receiver(id=named, managed=self._settings.managed, target=self._settings.name)

    def _save(self, receiver: Receiver) -> Receiver:
        with meant(f"dynamodb:PutItem of the record of {self._named}"):
            return self._deployment.inventory.save_receiver(receiver)

    def _keys(self) -> tuple[bytes, ...]:
        return webhook_signature.keys(self._deployment.clients("secretsmanager"), self._secret)

    def _changed(self) -> ChangedMeanwhile:
        return ChangedMeanwhile(
            f"{self._named}: another rollout has asked this receiver for something, or it has reported, since it was "
            "looked at; let that one end, and start again"
        )

    def _elsewhere(self) -> str:
        account, region = self._settings.account, self._settings.region
        home = self._deployment.clients.region or ""
        if (account and account != self._deployment.account) or (region and region != home):
            return f"{self._named} and its secret are the hub's, in {home}: leave account and region out"
        return ""


def _wrong(attempt: Callable[[], object]) -> str:
    """What is wrong with the configuration, as a sentence."""
    try:
        attempt()
    except (InvalidConfiguration, NotFound) as error:
        return str(error)
    return ""


def _unreachable_key(new: Bundle) -> str:
    if new.secret_version or not (new.private_key or new.arn):
        return ""  # the receiver gets a reference, or has the key already: it made the CSR
    return (
        f"{new.reference}: its private key is in no secret that a receiver could read; use a profile with key_home = "
        '"secret", or let the receiver make the CSR'
    )


def _event(receiver: Receiver) -> Event:
    assert receiver.event is not None
    return receiver.event


def _is_deploy_of(event: Event | None, new: Bundle, since: int) -> bool:
    """Whether an event is this rollout's: for this version, asked for after the same look."""
    if event is None or event.wish is not Wish.DEPLOY:
        return False
    return event.since == since and event.what == _references(new)


def _references(new: Bundle) -> Deployed:
    return Deployed(
        version=new.version, fingerprint=new.fingerprint, secret=new.secret, secret_version=new.secret_version
    )


def _revision(found: Found) -> int:
    return int(json.loads(found.state)["revision"])


def _there(found: Found) -> Deployed:
    return Deployed(**json.loads(found.state)["there"])


def _without(url: str, text: str) -> str:
    """A message without the URL, whose path may be known to few."""
    return text.replace(bounded(url), "its url")
