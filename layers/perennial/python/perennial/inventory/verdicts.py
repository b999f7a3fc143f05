"""What assessment and publishing read and write, and what is due.

Who settles a due entry names the due time that it saw: what became due again meanwhile stays due.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pynamodb.expressions.update import Action

from perennial.certificate import Certificate
from perennial.findings import Finding, FindingsDifference
from perennial.inventory import conversion
from perennial.inventory.conversion import CERTIFICATE, certificate_key, finding_key, place_item_key, place_key
from perennial.inventory.indexes import SHARDS
from perennial.inventory.items import Item, stamp
from perennial.inventory.observations import Observations
from perennial.inventory.records import Due, DueKind, OutgoingFinding, PlaceRecord, SightingRecord
from perennial.inventory.writing import in_parallel, update
from perennial.manifest import Scope

PAGE = 500


class Verdicts(Observations):
    """The half of the inventory that assessment and publishing use."""

    def place(self, place: str) -> PlaceRecord:
        """What is held at a place and attached to it, and its findings (one consistent query)."""
        held: SightingRecord | None = None
        due_at: str | None = None
        attached: list[SightingRecord] = []
        findings: list[Finding] = []
        for item in Item.query(place_key(place), consistent_read=True):
            if item.kind == "finding":
                findings.append(conversion.finding_of(item))
            elif item.location == place:
                held, due_at = conversion.sighting_of(item), item.due_at
            elif not item.gone_at:
                attached.append(conversion.sighting_of(item))
        return PlaceRecord(place=place, held=held, attached=tuple(attached), findings=tuple(findings), due_at=due_at)

    def certificate_and_owner(self, fingerprint: str) -> tuple[Certificate, str | None] | None:
        """The facts of one certificate and its recorded owner; None when it is not in the inventory."""
        for item in Item.query(certificate_key(fingerprint), Item.sk == CERTIFICATE, consistent_read=True):
            return conversion.certificate_of(item), item.owner
        return None

    def settle(self, record: PlaceRecord, change: FindingsDifference, again: datetime | None, now: datetime) -> None:
        """Write the findings that changed, each due for publication, then the time of the place's next assessment."""
        for finding in change.findings:
            update(finding_key(finding), conversion.finding_actions(finding, now))
        if record.held is None or (record.due_at is None and again is None):
            return
        condition = Item.due_at == record.due_at if record.due_at else Item.due_at.does_not_exist()
        update(place_item_key(record.place), _due(DueKind.ASSESS, record.place, again), condition)

    def own(self, fingerprint: str, owner: str | None, place: str) -> None:
        """Record who owns a certificate. Where several places disagree, the first that named an owner decides."""
        key = (certificate_key(fingerprint), CERTIFICATE)
        mine = Item.owner_place == place
        if owner is None:
            update(key, [Item.owner.remove(), Item.owner_key.remove(), Item.owner_place.remove()], mine)
            return
        self.remember("owner", owner)
        spread = conversion.sharded(owner, fingerprint)
        actions = [Item.owner.set(owner), Item.owner_key.set(spread), Item.owner_place.set(place)]
        update(key, actions, Item.pk.exists() & (Item.owner_place.does_not_exist() | mine))

    def due(self, kind: DueKind, until: datetime, limit: int, shard: int | None = None) -> Iterator[Due]:
        """The entries of one kind that are due, the longest due first within each shard, at most `limit`."""
        before = Item.due_at < stamp(until) + "$"  # sorts behind "#", which follows the time
        for number in range(SHARDS) if shard is None else (shard,):
            if limit <= 0:
                return
            for item in Item.due_index.query(f"{kind}#{number}", before, limit=limit, page_size=min(limit, PAGE)):
                limit -= 1
                yield Due(kind, item.pk, item.sk, item.due_at)

    def lease(self, due: Due, until: datetime) -> OutgoingFinding | None:
        """The finding of a due entry as it is now, for one publisher alone: for all others it is due again `until`
        then. None when another one has it, or when the entry is no longer due."""
        item = update((due.pk, due.sk), [Item.due_at.set(conversion.due_stamp(until))], Item.due_at == due.due_at)
        return conversion.outgoing_of(item) if item else None

    def release(self, out: OutgoingFinding, now: datetime) -> None:
        """Give a leased finding back: it is due again at once."""
        update(finding_key(out.finding), _due(DueKind.PUBLISH, out.finding.place, now), Item.due_at == out.due_at)

    def told(self, findings: Iterable[Finding]) -> None:
        """The present state of these findings went to people and the event bus."""
        in_parallel(
            lambda finding: update(
                finding_key(finding), [Item.told.set(conversion.state_name(finding))], Item.pk.exists()
            ),
            findings,
        )

    def published(
        self, out: OutgoingFinding, again: datetime | None, expires_at: int | None, *, shown: bool = False
    ) -> None:
        """Publication succeeded. An open finding is refreshed later; a resolved one is forgotten after `expires_at`.
        `shown`: Security Hub does not have it as suppressed any more."""
        actions = [Item.attempts.remove(), Item.reason.remove(), *_due(DueKind.PUBLISH, out.finding.place, again)]
        if shown:
            actions.append(Item.hidden.remove())
        if expires_at:
            actions.append(Item.expires_at.set(expires_at))
        update(finding_key(out.finding), actions, Item.due_at == out.due_at)

    def not_published(self, out: OutgoingFinding, again: datetime, error: str) -> None:
        """Publication failed; it is tried again, and the reason is kept with the finding."""
        failed: list[Action] = [Item.attempts.set(out.attempts + 1), Item.reason.set(error[:500])]
        actions = [*failed, *_due(DueKind.PUBLISH, out.finding.place, again)]
        update(finding_key(out.finding), actions, Item.due_at == out.due_at)

    def scan_soon(self, scope: Scope, at: datetime) -> bool:
        """Make a scope due for a scan, once until it starts: a storm of events is one scan. False: it was already."""
        actions = conversion.due_actions(DueKind.SCAN, scope.key, at)
        return update(("SCOPE", scope.key), actions, Item.due_key.does_not_exist()) is not None

    def scan_started(self, due: Due) -> None:
        """The scan of a due scope was started."""
        update((due.pk, due.sk), _due(DueKind.SCAN, due.sk, None), Item.due_at == due.due_at)


def _due(kind: DueKind, spread: str, time: datetime | None) -> list[Action]:
    return conversion.due_actions(kind, spread, time) if time else [Item.due_key.remove(), Item.due_at.remove()]
