"""Someone answers an alert: it is not repeated any more, until it becomes worse."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from perennial.alert_message import MAX_NAME, clean
from perennial.audit import refusals
from perennial.audit_actor import Actor
from perennial.clients import meant
from perennial.errors import ConcurrentChange, InvalidInput
from perennial.inventory.records import ManagedRecord

if TYPE_CHECKING:
    from perennial.inventory.store import Inventory

TRIES = 5
ACTION = "finding.acknowledge"


@meant("acknowledging an alert")
def acknowledge(
    inventory: Inventory, name: str, by: str, now: datetime, *, principal: str, source: str, request: str = ""
) -> ManagedRecord:
    """Stop the repetition of the level that was told last. Returns the record as it is now. `by` is a name for people,
    `principal` who it is, and `source` the way: as the audit trail has it.

    Raises: NotFound; InvalidInput where nobody was told of anything, or `by` names nobody; ConcurrentChange when others
    change the certificate all the time.
    """
    actor = Actor(principal=principal, source=source, request=request)
    with refusals(inventory, actor, ACTION, name, now):
        who = clean(by, MAX_NAME)
        if not who:
            raise InvalidInput("name who acknowledges: --by NAME")
        for _ in range(TRIES - 1):
            try:
                return _acknowledged(inventory, name, who, actor, now)
            except ConcurrentChange:
                continue
        return _acknowledged(inventory, name, who, actor, now)


def _acknowledged(inventory: Inventory, name: str, by: str, actor: Actor, now: datetime) -> ManagedRecord:
    record = inventory.managed_certificate(name)
    if record.told is None:
        raise InvalidInput(f"{name} is not on the ladder: nobody was told that its renewal fails or is late")
    told = replace(record.told, acknowledged_by=by)
    owner = record.declared.request.owner
    event = actor.did(now, ACTION, name, owner=owner, before=record.told, after=told)
    return inventory.save_managed(replace(record, told=told), event)
