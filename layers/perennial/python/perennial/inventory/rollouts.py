"""Rollouts of managed certificates, their targets, and the proofs.

The head of a rollout is small and written at each step; what is known of a target is an item of its own, so that a
rollout over a hundred targets does not write a hundred targets at each step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial.audit_event import Event
from perennial.errors import NotFound
from perennial.inventory import conversion
from perennial.inventory.items import Item, stamp, time_of
from perennial.inventory.records import DueKind, RolloutRecord, RolloutState, TargetRecord, TargetState
from perennial.inventory.versions import MANY, Versions, managed_key, parsed
from perennial.targets.interface import Found, TargetSettings

if TYPE_CHECKING:
    from perennial.proof import Proof

UNFINISHED = timedelta(minutes=10)
ROLLOUT, TARGET, PLACED, PROOF = "ROLLOUT#", "TARGET#", "PLACED#", "PROOF#"
OWN = "target/"  # before the index of a target that shares with none, behind its rollout's number


class Rollouts(Versions):
    """The part of the inventory that deploying uses."""

    def request_rollout(
        self,
        head: RolloutRecord,
        targets: Sequence[TargetSettings],
        now: datetime,
        event: Callable[[RolloutRecord], Event] | None = None,
    ) -> RolloutRecord:
        """Keep a rollout and its targets, due at once. `event` makes the audit event of it.

        The head is written first, in one transaction with the event, so that of two requests at once one alone writes
        targets; it is due at once only when they are all there. One that died in between is due `UNFINISHED` later, and
        ends for want of its targets.
        Raises: ConcurrentChange when another one took the number meanwhile.
        """
        latest = next(iter(self.rollouts(head.managed, limit=1)), None)
        numbered = replace(head, number=latest.number + 1 if latest else 1, count=len(targets))
        begun = self.save_rollout(numbered, now + UNFINISHED, event(numbered) if event else None)
        for index, settings in enumerate(targets):
            self.save_target(TargetRecord(managed=head.managed, rollout=begun.number, index=index, settings=settings))
        return self.save_rollout(begun, now)

    def save_rollout(self, record: RolloutRecord, due: datetime | None, event: Event | None = None) -> RolloutRecord:
        """Write the head as it is now, with the audit event of that in the same transaction; `due`: when the tick is to
        look at it. Returns it with its new revision.

        Raises: ConcurrentChange when it was written since it was read.
        """
        saved = replace(record, due_at=due, revision=record.revision + 1)
        self._put_as_read(_rollout_item(saved), record.revision, record.reference, event)
        return saved

    def _put_as_read(self, item: Item, revision: int, what: str, event: Event | None = None) -> None:
        self.put(item, Item.revision == revision if revision else Item.pk.does_not_exist(), what, event)

    def rollout(self, reference: str) -> RolloutRecord:
        """A rollout by its reference.

        Raises: NotFound, InvalidInput.
        """
        managed, number = parsed(reference)
        for item in Item.query(managed_key(managed), Item.sk == _numbered(ROLLOUT, number), consistent_read=True):
            return _rollout(item)
        raise NotFound(f"there is no rollout {reference[:100]}; perennial rollouts shows what there is")

    def rollouts(self, managed: str, limit: int = MANY) -> list[RolloutRecord]:
        """The rollouts of a managed certificate, the newest first."""
        query = Item.query(
            managed_key(managed),
            Item.sk.startswith(ROLLOUT),
            consistent_read=True,
            scan_index_forward=False,
            limit=limit,
        )
        return [_rollout(item) for item in query]

    def save_target(self, record: TargetRecord) -> TargetRecord:
        """Write what is known of a target. Returns it with its new revision.

        Raises: ConcurrentChange when it was written since it was read.
        """
        self._put_as_read(_target_item(record, record.revision + 1), record.revision, f"target {record.settings.name}")
        return replace(record, revision=record.revision + 1)

    def target(self, rollout: RolloutRecord, index: int) -> TargetRecord:
        """One target of a rollout.

        Raises: NotFound.
        """
        sk = f"{_numbered(TARGET, rollout.number)}#{index:04}"
        for item in Item.query(managed_key(rollout.managed), Item.sk == sk, consistent_read=True):
            return _target(item)
        raise NotFound(f"the rollout {rollout.reference} has no target {index}")

    def targets(self, rollout: RolloutRecord) -> list[TargetRecord]:
        """All targets of a rollout, in order."""
        begin = f"{_numbered(TARGET, rollout.number)}#"
        query = Item.query(managed_key(rollout.managed), Item.sk.startswith(begin), consistent_read=True)
        return [_target(item) for item in query]

    def keep_placed(self, managed: str, what: str, placed: str) -> None:
        """Keep what was made on the way to a target: what names the version and who shares it, or the target."""
        Item(managed_key(managed), f"{PLACED}{what}", kind="placed", content=placed).save()

    def placed(self, managed: str, what: str) -> str:
        """What was kept so; "" for nothing."""
        for item in Item.query(managed_key(managed), Item.sk == f"{PLACED}{what}", consistent_read=True):
            return str(item.content)
        return ""

    def placed_of(self, managed: str, version: int) -> dict[str, str]:
        """Everything that was kept so for a version: what → what was made."""
        return {what: placed for what, placed, of in self._placed(managed) if of == version}

    def placed_beside(self, managed: str, version: int) -> frozenset[str]:
        """What was made for every other version of a managed certificate."""
        return frozenset(placed for _, placed, of in self._placed(managed) if of != version)

    def _placed(self, managed: str) -> Iterator[tuple[str, str, int]]:
        """What, what was made, and for which version. What a single target has is kept under its rollout's number."""
        of_rollouts: dict[int, int] = {}
        for item in Item.query(managed_key(managed), Item.sk.startswith(PLACED), consistent_read=True):
            what = item.sk.removeprefix(PLACED)
            number, _, where = what.partition("/")
            version = int(number)
            if where.startswith(OWN):
                rollout = version
                if rollout not in of_rollouts:
                    of_rollouts[rollout] = self.rollout(f"{managed}/{rollout}").version
                version = of_rollouts[rollout]
            yield what, str(item.content), version

    def forget_placed(self, managed: str, what: str) -> None:
        """What was made on the way to a target is no longer there."""
        Item(managed_key(managed), f"{PLACED}{what}").delete()

    def keep_proof(self, proof: Proof) -> None:
        """Keep a proof. The same one again is the same item."""
        from perennial.proof import document

        sk = f"{PROOF}{stamp(proof.proven_at)}#{proof.id}"
        Item(managed_key(proof.managed), sk, kind="proof", content=json.dumps(document(proof))).save()

    def proofs(self, managed: str, limit: int = 1_000) -> list[Proof]:
        """The proofs of a managed certificate, the newest first.

        Raises: InvalidInput where one is not what Perennial wrote.
        """
        return list(self._proofs(managed, limit))

    def _proofs(self, managed: str, limit: int) -> Iterator[Proof]:
        from perennial.proof import of

        query = Item.query(
            managed_key(managed), Item.sk.startswith(PROOF), consistent_read=True, scan_index_forward=False, limit=limit
        )
        for item in query:
            yield of(json.loads(item.content))


def _numbered(prefix: str, number: int) -> str:
    return f"{prefix}{number:06}"


def _rollout_item(record: RolloutRecord) -> Item:
    progress = {name: getattr(record, name) for name in ("at", "count", "stays", "asked_by", "targets")}
    item = Item(
        managed_key(record.managed),
        _numbered(ROLLOUT, record.number),
        kind="rollout",
        number=record.number,
        version=str(record.version),
        status=str(record.state),
        revision=record.revision,
        progress=json.dumps(progress),
        attempted_at=stamp(record.requested_at),
        completed_at=stamp(record.ended_at) if record.ended_at else None,
        attempts=record.attempts,
        reason=record.reason or None,
        detail=record.message or None,
    )
    if record.due_at:
        item.due_key = conversion.due_key(DueKind.DEPLOY, record.reference)
        item.due_at = conversion.due_stamp(record.due_at)
    return item


def _rollout(item: Item) -> RolloutRecord:
    return RolloutRecord(
        managed=item.pk.removeprefix("MANAGED#"),
        number=int(item.number),
        version=int(item.version),
        state=RolloutState(item.status),
        requested_at=time_of(item.attempted_at),
        revision=int(item.revision),
        ended_at=conversion.time(item.completed_at),
        attempts=int(item.attempts or 0),
        reason=item.reason or "",
        message=item.detail or "",
        due_at=time_of(item.due_at.partition("#")[0]) if item.due_at else None,
        **json.loads(item.progress),
    )


def _target_item(record: TargetRecord, revision: int) -> Item:
    found = asdict(record.found) if record.found else None
    progress = {"found": found, "seen": record.seen, "proof": record.proof, "began_at": _iso(record.began_at)}
    return Item(
        managed_key(record.managed),
        f"{_numbered(TARGET, record.rollout)}#{record.index:04}",
        kind="target",
        number=record.index,
        status=str(record.state),
        revision=revision,
        request=json.dumps(asdict(record.settings)),
        progress=json.dumps(progress),
        completed_at=stamp(record.proven_at) if record.proven_at else None,
        reason=record.reason or None,
        detail=record.message or None,
    )


def _target(item: Item) -> TargetRecord:
    progress = json.loads(item.progress)
    return TargetRecord(
        managed=item.pk.removeprefix("MANAGED#"),
        rollout=int(item.sk.split("#")[1]),
        index=int(item.number),
        settings=_settings(json.loads(item.request)),
        state=TargetState(item.status),
        found=_found(progress["found"]),
        seen=progress["seen"],
        began_at=datetime.fromisoformat(progress["began_at"]) if progress["began_at"] else None,
        proven_at=conversion.time(item.completed_at),
        proof=progress["proof"],
        reason=item.reason or "",
        message=item.detail or "",
        revision=int(item.revision),
    )


def _settings(document: dict[str, Any]) -> TargetSettings:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in document["fields"].items()}
    lists = {name: tuple(document[name]) for name in ("names", "endpoints")}
    return TargetSettings(**{**document, **lists, "fields": fields})


def _found(document: dict[str, Any] | None) -> Found | None:
    if document is None:
        return None
    lists = {name: tuple(document[name]) for name in ("claimed", "protocols")}
    return Found(**{**document, **lists})


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
