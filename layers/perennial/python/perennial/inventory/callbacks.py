"""What the receivers of webhooks were asked and reported."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from pynamodb.exceptions import PutError

from perennial.errors import ConcurrentChange
from perennial.inventory.items import Item
from perennial.inventory.writing import condition_failed
from perennial.webhook_receiver import Answered, Deployed, Event, Receiver, Wish

CALLBACK = "CALLBACK"


class Callbacks:
    """The part of the inventory that webhooks use."""

    def receiver(self, receiver_id: str) -> Receiver | None:
        """A record; None where there is none."""
        try:
            item = Item.get(_key(receiver_id), CALLBACK, consistent_read=True)
        except Item.DoesNotExist:
            return None
        return _receiver(item)

    def save_receiver(self, receiver: Receiver) -> Receiver:
        """Write a record as it is now. Returns it with its new revision.

        Raises: ConcurrentChange when it was written since it was read.
        """
        unchanged = Item.revision == receiver.revision if receiver.revision else Item.pk.does_not_exist()
        saved = replace(receiver, revision=receiver.revision + 1)
        try:
            _item(saved).save(condition=unchanged)
        except PutError as error:
            if not condition_failed(error):
                raise
            raise ConcurrentChange(
                f"the webhook {receiver.target} of {receiver.managed} was written by another step; it is read again"
            ) from error
        return saved


def _key(receiver_id: str) -> str:
    return f"CALLBACK#{receiver_id}"


def _item(receiver: Receiver) -> Item:
    content = asdict(receiver)
    for kept_beside in ("id", "revision", "expires_at"):
        del content[kept_beside]
    return Item(
        _key(receiver.id),
        CALLBACK,
        kind="callback",
        content=json.dumps(content),
        status=str(receiver.event.state) if receiver.event else None,
        detail=(receiver.event.message or None) if receiver.event else None,
        revision=receiver.revision,
        expires_at=receiver.expires_at,
    )


def _receiver(item: Item) -> Receiver:
    content: dict[str, Any] = json.loads(item.content)
    event = content.pop("event")
    return Receiver(
        id=item.pk.removeprefix("CALLBACK#"),
        managed=content["managed"],
        target=content["target"],
        secret=content["secret"],
        there=Deployed(**content["there"]),
        event=_event(event) if event else None,
        earlier=tuple((each, report) for each, report in content["earlier"]),
        expires_at=int(item.expires_at or 0),
        revision=int(item.revision),
    )


def _event(content: dict[str, Any]) -> Event:
    named = {"wish": Wish(content["wish"]), "state": Answered(content["state"]), "what": Deployed(**content["what"])}
    return Event(**{**content, **named})
