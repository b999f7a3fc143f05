"""What a scan writes: certificates, and the difference of what a scope holds.

Every write is idempotent: a scan that was interrupted is run again and ends the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pynamodb.exceptions import PutError
from pynamodb.expressions.update import Action

from perennial.certificate import Certificate
from perennial.inventory import conversion
from perennial.inventory.conversion import CERTIFICATE, PLACE, certificate_key, place_item_key
from perennial.inventory.items import Item, stamp
from perennial.inventory.records import DueKind
from perennial.inventory.writing import condition_failed, in_parallel, update
from perennial.manifest import Difference, Role, Scope, Sighting


class Observations:
    """The half of the inventory that scans write."""

    def __init__(self) -> None:
        self._words: set[tuple[str, str]] = set()

    def keep(self, certificates: Iterable[Certificate], now: datetime) -> None:
        """Keep certificates by their fingerprint; those already known stay as they are, and are no longer gone. What
        finds a certificate is written before it, so that none is kept and not found."""
        kept = list({each.fingerprint: each for each in certificates}.values())
        with Item.batch_write() as batch:
            for certificate in kept:
                for item in conversion.finding_aids(certificate):
                    batch.save(item)
        for issuer in {each.issuer for each in kept if each.issuer}:
            self.remember("issuer", issuer)
        for key in {each.key for each in kept if each.key}:
            self.remember("key", key)
        for month in {conversion.expiry_bucket(each.not_after) for each in kept if each.not_after}:
            self.remember("month", month)
        in_parallel(lambda certificate: self._keep(certificate, now), kept)

    def _keep(self, certificate: Certificate, now: datetime) -> None:
        item = conversion.certificate_item(certificate, now)
        try:
            item.save(condition=Item.pk.does_not_exist())
        except PutError as error:
            if not condition_failed(error):
                raise
            update((item.pk, item.sk), [Item.gone_at.remove()], Item.gone_at.exists())

    def remember(self, kind: str, word: str) -> None:
        """Remember a word that lists are asked by, so that a part of it finds the whole."""
        if (kind, word) not in self._words:
            Item(f"WORD#{kind}", word[: conversion.MAX_WORD], kind="word").save()
            self._words.add((kind, word))

    def apply(self, scope: Scope, change: Difference, now: datetime) -> None:
        """Write what changed in a scope, and make every place that it concerns due for assessment."""
        in_parallel(lambda sighting: self._see(scope, sighting, now), change.added)
        in_parallel(lambda pair: self._change(scope, pair[0], pair[1], now), change.changed)
        self._are_back({each.fingerprint for each in (*change.added, *(pair[1] for pair in change.changed))} - {None})
        in_parallel(lambda sighting: self._miss(scope, sighting, now), change.gone)

    def _see(self, scope: Scope, sighting: Sighting, now: datetime) -> None:
        if sighting.fingerprint:
            update(conversion.held_key(scope, sighting), conversion.held_actions(scope, sighting, now))
        update(conversion.sighting_key(sighting), conversion.sighting_actions(scope, sighting, now))
        if sighting.role is Role.ATTACHED:
            self._assess_soon(sighting.place, now)

    def _change(self, scope: Scope, before: Sighting, after: Sighting, now: datetime) -> None:
        if before.place != after.place:
            self._miss(scope, before, now)
        elif before.fingerprint and before.fingerprint != after.fingerprint:
            self._leave(scope, before, now)
        self._see(scope, after, now)

    def _miss(self, scope: Scope, sighting: Sighting, now: datetime) -> None:
        """Mark a sighting gone, once: the first time stays."""
        actions: list[Action] = [Item.gone_at.set(stamp(now))]
        if sighting.role is not Role.ATTACHED:
            actions += conversion.due_actions(DueKind.ASSESS, sighting.place, now)
        update(conversion.sighting_key(sighting), actions, Item.pk.exists() & Item.gone_at.does_not_exist())
        if sighting.role is Role.ATTACHED:
            self._assess_soon(sighting.place, now)
        if sighting.fingerprint:
            self._leave(scope, sighting, now)

    def _leave(self, scope: Scope, sighting: Sighting, now: datetime) -> None:
        """A certificate is no longer held at a place. When that was its last it is gone, and stays in the inventory."""
        fingerprint = sighting.fingerprint or ""
        present = Item.pk.exists() & Item.gone_at.does_not_exist()
        update(conversion.held_key(scope, sighting), [Item.gone_at.set(stamp(now))], present)
        if not self.places_of(fingerprint):
            update((certificate_key(fingerprint), CERTIFICATE), [Item.gone_at.set(stamp(now))], present)
            if self.places_of(fingerprint):  # found elsewhere in between
                self._is_back(fingerprint)

    def _are_back(self, fingerprints: Iterable[str | None]) -> None:
        """What is held somewhere now and was marked gone before, or by another scope meanwhile, is not gone."""
        keys = [(certificate_key(each or ""), CERTIFICATE) for each in fingerprints]
        for item in Item.batch_get(keys, consistent_read=True, attributes_to_get=["pk", "sk", "gone_at"]):
            if item.gone_at:
                self._is_back(item.pk.removeprefix("CERT#"))

    def _is_back(self, fingerprint: str) -> None:
        update((certificate_key(fingerprint), CERTIFICATE), [Item.gone_at.remove()], Item.gone_at.exists())

    def places_of(self, fingerprint: str) -> list[str]:
        """The places that hold a certificate now."""
        held = Item.query(certificate_key(fingerprint), Item.sk.startswith(PLACE), consistent_read=True)
        return [item.location for item in held if not item.gone_at]

    def assess_soon(self, places: Iterable[str], now: datetime) -> None:
        """Make places due for assessment."""
        in_parallel(lambda place: self._assess_soon(place, now), places)

    def _assess_soon(self, place: str, now: datetime) -> None:
        """A place that is not known yet becomes due when it is found."""
        update(place_item_key(place), conversion.due_actions(DueKind.ASSESS, place, now), Item.pk.exists())
