"""Managed certificates: what is declared, what serves, what is next; and the leases under which it is done.

One item holds all of a managed certificate that changes at its steps. Who writes it names the revision that was read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from datetime import datetime
from typing import Any

from perennial.audit_event import Event
from perennial.certificate_request import CertificateRequest
from perennial.errors import NotFound
from perennial.inventory import conversion
from perennial.inventory.items import Item, time_of
from perennial.inventory.records import (
    Advice,
    Due,
    DueKind,
    ManagedRecord,
    ManagedState,
    Serving,
    Told,
)
from perennial.inventory.versions import MANY, Versions, managed_key
from perennial.inventory.writing import update
from perennial.managed_certificate import Contacts, ManagedCertificate
from perennial.targets.interface import TargetSettings

DECLARED = "DECLARED"
_APART = ("declared", "state", "reason", "message", "due_at", "revision", "fence")  # have attributes of their own


class Managed(Versions):
    """The part of the inventory that the lifecycle uses."""

    def save_managed(self, record: ManagedRecord, event: Event | None = None) -> ManagedRecord:
        """Write a managed certificate as it is now, due at `due_at`, with the audit event of that in the same
        transaction. Returns it with its new revision.

        Raises: ConcurrentChange when it was written since it was read.
        """
        saved = replace(record, revision=record.revision + 1)
        unchanged = Item.revision == record.revision if record.revision else Item.pk.does_not_exist()
        if not record.revision:
            self.remember("managed", record.name)
        self.put(item_of(saved), unchanged, record.name, event)
        return saved

    def managed_certificate(self, name: str) -> ManagedRecord:
        """A managed certificate by its name.

        Raises: NotFound.
        """
        found = self.find_managed(name)
        if found is None:
            raise NotFound(f"{name[:100]!r} is not declared; perennial managed list shows what there is")
        return found

    def find_managed(self, name: str) -> ManagedRecord | None:
        """A managed certificate by its name; None where none is declared."""
        for item in Item.query(managed_key(name), Item.sk == DECLARED, consistent_read=True):
            return record_of(item)
        return None

    def declared(self) -> Iterator[ManagedRecord]:
        """Every managed certificate that is declared or being retired, by name."""
        yield from self.declared_as(item.sk for item in Item.query("WORD#managed", page_size=MANY))

    def claim(self, places: Iterable[str], name: str) -> None:
        """A managed certificate is to be put at these places (digests). That is kept before it is declared, so that
        whoever declares another one there finds it; of what is no longer declared there it says nothing."""
        for place in places:
            Item(f"CLAIM#{place}", name, kind="claim").save()

    def claimants(self, places: Iterable[str]) -> list[ManagedRecord]:
        """The managed certificates that are, or were once, declared to be put at one of these places, by name."""
        names = {item.sk for place in places for item in Item.query(f"CLAIM#{place}", consistent_read=True)}
        return self.declared_as(names)

    def declared_as(self, names: Iterable[str]) -> list[ManagedRecord]:
        """The managed certificates of these names, by name; those that are none are left out."""
        keys = [(managed_key(name), DECLARED) for name in names]
        return sorted(map(record_of, Item.batch_get(keys, consistent_read=True)), key=lambda each: each.name)

    def lease_managed(self, due: Due, until: datetime) -> int | None:
        """Lease the next step of a managed certificate that is due. Returns the number of the lease, which fences off
        every earlier one; None where someone else has it, or it is no longer due. It is due again `until` then."""
        actions = [Item.due_at.set(conversion.due_stamp(until)), Item.fence.add(1), Item.revision.add(1)]
        item = update((due.pk, due.sk), actions, Item.due_at == due.due_at)
        return int(item.fence) if item else None

    def wake_managed(self, name: str, now: datetime) -> bool:
        """Let a managed certificate be looked at now. False where none of that name is declared."""
        actions = [*conversion.due_actions(DueKind.RENEW, name, now), Item.revision.add(1)]
        return update((managed_key(name), DECLARED), actions, Item.pk.exists()) is not None

    def serves(self, fingerprint: str, name: str) -> None:
        """A certificate is that of a managed certificate: who sees it vanish can tell which."""
        Item(f"SERVES#{fingerprint}", "MANAGED", kind="serves", content=name).save()

    def served_by(self, fingerprint: str) -> str:
        """The managed certificate of which a certificate is; "" for none."""
        for item in Item.query(f"SERVES#{fingerprint}", Item.sk == "MANAGED"):
            return str(item.content)
        return ""


def item_of(record: ManagedRecord) -> Item:
    """The table's item of a managed certificate."""
    own = {each.name for each in fields(record)} - set(_APART)
    item = Item(
        managed_key(record.name),
        DECLARED,
        kind="managed",
        status=str(record.state),
        reason=record.reason or None,
        detail=record.message or None,
        revision=record.revision,
        fence=record.fence,
        request=json.dumps(_plain(record.declared)),
        progress=json.dumps({name: _plain(getattr(record, name)) for name in sorted(own)}),
    )
    if record.due_at:
        item.due_key = conversion.due_key(DueKind.RENEW, record.name)
        item.due_at = conversion.due_stamp(record.due_at)
    return item


def record_of(item: Item) -> ManagedRecord:
    """What an item holds."""
    kept = json.loads(item.progress)
    times: dict[str, Any] = {
        name: _time(kept[name]) for name in ("ask_at", "planned_at", "failed_at", "forced_at", "removed_at")
    }
    texts = {
        name: kept[name]
        for name in (
            "declared_by",
            "step",
            "planned_for",
            "failed",
            "failure",
            "failure_message",
            "forced_by",
            "suspect",
        )
    }
    return ManagedRecord(
        declared=declared_of(json.loads(item.request)),
        state=ManagedState(item.status),
        declared_at=datetime.fromisoformat(kept["declared_at"]),
        reason=item.reason or "",
        message=item.detail or "",
        due_at=time_of(item.due_at.partition("#")[0]) if item.due_at else None,
        revision=int(item.revision),
        fence=int(item.fence or 0),
        serving=_serving(kept["serving"]),
        advice=_advice(kept["advice"]),
        attempts=kept["attempts"],
        overruled=kept.get("overruled", 0),  # what an earlier release wrote has none
        urgent=kept["urgent"],
        retiring=tuple((number, datetime.fromisoformat(at)) for number, at in kept["retiring"]),
        removing=tuple(kept.get("removing", ())),  # what an earlier release wrote has none
        told=_told(kept["told"]),
        **times,
        **texts,
    )


def declared_of(document: dict[str, Any]) -> ManagedCertificate:
    """A declaration as it was kept."""
    lists = {name: tuple(document[name]) for name in ("windows",)}
    return ManagedCertificate(
        **{
            **document,
            **lists,
            "request": _request(document["request"]),
            "targets": tuple(map(settings_of, document["targets"])),
            "contacts": Contacts(**{name: tuple(value) for name, value in document["contacts"].items()}),
        }
    )


def settings_of(document: dict[str, Any]) -> TargetSettings:
    """The settings of a target as they were kept."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in document["fields"].items()}
    lists = {name: tuple(document[name]) for name in ("names", "endpoints")}
    return TargetSettings(**{**document, **lists, "fields": given})


def _plain(value: Any) -> Any:
    """As JSON has it: times as ISO 8601, bytes as base64."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _request(document: dict[str, Any]) -> CertificateRequest:
    own = {**document, "names": tuple(document["names"]), "csr": base64.b64decode(document["csr"])}
    return CertificateRequest(**own)


def _serving(document: dict[str, Any] | None) -> Serving | None:
    if document is None:
        return None
    times = {name: _time(document[name]) for name in ("not_before", "not_after", "since", "revoked_at")}
    request = _request(document["request"]) if document["request"] else None
    return Serving(**{**document, **times, "request": request})


def _advice(document: dict[str, Any] | None) -> Advice | None:
    if document is None:
        return None
    return Advice(**{**document, **{name: _time(document[name]) for name in ("start", "end", "at", "ask_at")}})


def _told(document: dict[str, Any] | None) -> Told | None:
    return None if document is None else Told(**{**document, "at": _time(document["at"])})


__all__ = ["DECLARED", "Managed", "declared_of", "item_of", "record_of", "settings_of"]
