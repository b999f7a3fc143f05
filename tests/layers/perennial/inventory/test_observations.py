"""Any sequence of scans, interrupted anywhere, leaves the inventory as a simple model says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certificates import Built, build
from estate import HUB, LISTENERS, NOW, REGION, SCOPE, Estate
from layers.perennial.conftest import in_memory_hub
from perennial import discovery
from perennial.errors import Throttled
from perennial.findings import FindingsDifference
from perennial.inventory import observations
from perennial.inventory.records import DueKind
from perennial.inventory.store import Inventory
from perennial.manifest import Difference, Role, Scope, Sighting

ARNS = [f"arn:aws:acm:{REGION}:{HUB}:certificate/{number}" for number in range(3)]
BINDINGS = [f"arn:aws:elasticloadbalancing:{REGION}:{HUB}:listener/app/web/1/{number}" for number in range(2)]
LEAVES = {each.fingerprint: each for each in (build(f"n{number}.example.com") for number in range(3))}
FIRST, SECOND, THIRD = LEAVES


class Killed(BaseException):
    """The process is gone: nothing of it catches this."""


@contextmanager
def killed_after(writes: int | None) -> Iterator[None]:
    """Let so many updates of the table through and none after them."""
    if writes is None:
        yield
        return
    left, lock, original = [writes], Lock(), observations.update

    def update(*arguments: Any) -> bool:
        with lock:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(observations, "update", update)
        with suppress(Killed):
            yield


class Run:
    """An estate that is changed and scanned, and what should be known of it."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.inventory = estate.deployment.inventory
        self.ever: set[str] = set()

    def scan(self, scope: Scope, killed: int | None = None) -> None:
        self.estate.clock.now += timedelta(seconds=1)
        now = self.estate.clock.now
        with killed_after(killed):
            discovery.scan_scope(
                self.estate.deployment, run="r", scope=scope, now=now, deadline=now + timedelta(hours=1)
            )
        self.ever |= {built.fingerprint for built in self.held.values()} if scope == SCOPE else set()

    @property
    def held(self) -> dict[str, Built]:
        return self.estate.acm.holds

    def settle_due(self) -> None:
        """Nothing is due any more: what will be due later was made so later."""
        for place in ARNS:
            record = self.inventory.place(place)
            self.inventory.settle(record, _NOTHING, None, self.estate.clock.now)

    def due(self) -> set[str]:
        later = self.estate.clock.now + timedelta(days=1)
        return {each.pk.removeprefix("PLACE#") for each in self.inventory.due(DueKind.ASSESS, later, 100)}

    def check(self) -> None:
        """The inventory says what the model says."""
        live = {place: built.fingerprint for place, built in self.held.items()}
        for place in ARNS:
            record = self.inventory.place(place)
            held = record.held
            present = held is not None and held.gone_at is None
            assert present == (place in live), place
            if held is not None and present:
                assert held.sighting.fingerprint == live[place]
            attached = {each.sighting.location for each in record.attached}
            assert attached == {name for name, holder in self.estate.elbv2.holds.items() if holder == place}
        for fingerprint in self.ever:
            shown = self.inventory.show(fingerprint)
            assert shown is not None
            places = {place for place, held in live.items() if held == fingerprint}
            assert {each.sighting.location for each in shown.held if each.gone_at is None} == places
            assert set(self.inventory.places_of(fingerprint)) == places
            assert (shown.gone_at is None) == bool(places), "gone exactly where it is nowhere"
            bindings = {name for name, holder in self.estate.elbv2.holds.items() if holder in places}
            assert {each.sighting.location for each in shown.attached if each.gone_at is None} == bindings


_NOTHING = FindingsDifference(opened=(), changed=(), resolved=())

certificates = st.dictionaries(st.sampled_from(ARNS[:2]), st.sampled_from([FIRST, SECOND]), max_size=2)
attachments = st.dictionaries(st.sampled_from(BINDINGS), st.sampled_from(ARNS[:2]), max_size=2)
scans = st.tuples(certificates, attachments, st.sampled_from([SCOPE, SCOPE, LISTENERS]), st.none() | st.integers(0, 8))


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)  # each example makes an estate
@given(st.lists(scans, min_size=1, max_size=5))
def test_any_sequence_of_scans_ends_as_the_model_says(
    steps: list[tuple[dict[str, str], dict[str, str], Scope, int | None]],
) -> None:
    """Certificates appear, change, move, swap and go, listeners attach and detach, scans are killed after any write:
    after the next whole scans every place, pointer and attachment is right, and every changed place is due."""
    with in_memory_hub() as estate:
        run = Run(estate)
        for held, attached, scope, killed in steps:
            _set(run, held, attached)
            run.scan(scope, killed)
        run.scan(SCOPE)
        run.scan(LISTENERS)
        run.check()
        run.settle_due()
        before = _shown(run)
        _set(run, steps[0][0], steps[0][1])
        run.scan(SCOPE)
        run.scan(LISTENERS)
        run.check()
        after = _shown(run)
        known = {place for place in ARNS if run.inventory.place(place).held is not None}
        assert {place for place in known if before[place] != after[place]} <= run.due()


def _set(run: Run, held: dict[str, str], attached: dict[str, str]) -> None:
    run.estate.acm.holds = {place: LEAVES[fingerprint] for place, fingerprint in held.items()}
    run.estate.elbv2.holds = dict(attached)


def _shown(run: Run) -> dict[str, tuple[Any, ...]]:
    """What an assessment would see of each place."""
    bindings = run.estate.elbv2.holds
    return {
        place: (
            run.held[place].fingerprint if place in run.held else None,
            tuple(sorted(name for name, holder in bindings.items() if holder == place)),
        )
        for place in ARNS
    }


def stored(location: str, fingerprint: str | None) -> Sighting:
    return Sighting(location=location, role=Role.STORED, resource=location, fingerprint=fingerprint)


def kept(estate: Estate) -> Inventory:
    estate.deployment.inventory.keep([each.certificate for each in LEAVES.values()], NOW)
    return estate.deployment.inventory


def gone(inventory: Inventory, fingerprint: str) -> datetime | None:
    record = inventory.show(fingerprint)
    assert record is not None
    return record.gone_at


def test_two_certificates_that_change_places_are_both_there(estate: Estate) -> None:
    """A swap by two re-imports leaves each certificate somewhere: neither is gone, whichever is written first."""
    inventory = kept(estate)
    a, b = stored("a", FIRST), stored("b", SECOND)
    inventory.apply(SCOPE, Difference((a, b), (), ()), NOW)
    swapped = ((a, stored("a", SECOND)), (b, stored("b", FIRST)))
    for pair in swapped:  # one after the other: the first certificate is nowhere in between
        inventory.apply(SCOPE, Difference((), (pair,), ()), NOW + timedelta(seconds=1))
    assert (gone(inventory, FIRST), gone(inventory, SECOND)) == (None, None)


def test_a_certificate_that_moves_to_another_scope_is_not_gone(estate: Estate) -> None:
    """Found in another account after it was kept and before its old place was marked, it is still somewhere."""
    inventory = kept(estate)
    here, there = stored("here", FIRST), stored("there", FIRST)
    inventory.apply(SCOPE, Difference((here,), (), ()), NOW)
    inventory.keep([LEAVES[FIRST].certificate], NOW)
    inventory.apply(SCOPE, Difference((), (), (here,)), NOW + timedelta(seconds=1))
    assert gone(inventory, FIRST) == NOW + timedelta(seconds=1)
    inventory.apply(Scope("1" * 12, REGION, "acm"), Difference((there,), (), ()), NOW + timedelta(seconds=2))
    assert gone(inventory, FIRST) is None
    assert inventory.places_of(FIRST) == ["there"]


def test_found_between_the_look_and_the_mark_a_certificate_is_not_gone(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan of another scope may place the certificate just when this one finds it nowhere."""
    inventory = kept(estate)
    here = stored("here", FIRST)
    inventory.apply(SCOPE, Difference((here,), (), ()), NOW)
    look, looked = inventory.places_of, list[str]()

    def looking(fingerprint: str) -> list[str]:
        found = look(fingerprint)
        if not looked:
            looked.append(fingerprint)
            inventory.apply(LISTENERS, Difference((stored("there", FIRST),), (), ()), NOW)
        return found

    monkeypatch.setattr(inventory, "places_of", looking)
    inventory.apply(SCOPE, Difference((), (), (here,)), NOW)
    assert gone(inventory, FIRST) is None


def test_the_first_time_of_leaving_stays(estate: Estate) -> None:
    """Marked gone twice, because the first scan was interrupted, a place tells the first time."""
    inventory = kept(estate)
    here = stored("here", FIRST)
    inventory.apply(SCOPE, Difference((here,), (), ()), NOW)
    for seconds in (1, 2):
        inventory.apply(SCOPE, Difference((), (), (here,)), NOW + timedelta(seconds=seconds))
    assert gone(inventory, FIRST) == NOW + timedelta(seconds=1)


def test_a_listener_that_moves_makes_both_places_due(estate: Estate) -> None:
    """What is attached to another certificate from now on concerns the old place and the new one."""
    inventory = kept(estate)
    inventory.apply(SCOPE, Difference((stored("a", FIRST), stored("b", SECOND)), (), ()), NOW)
    before, after = (
        Sighting(location="listener", role=Role.ATTACHED, resource="listener", holder=holder) for holder in "ab"
    )
    inventory.apply(LISTENERS, Difference((before,), (), ()), NOW)
    for place in "ab":
        inventory.settle(inventory.place(place), _NOTHING, None, NOW)
    inventory.apply(LISTENERS, Difference((), ((before, after),), ()), NOW)
    assert {each.pk for each in inventory.due(DueKind.ASSESS, NOW, 10)} == {"PLACE#a", "PLACE#b"}
    assert [len(inventory.place(place).attached) for place in "ab"] == [0, 1]


def test_what_was_read_before_an_error_is_kept_with_its_certificate(estate: Estate) -> None:
    """A scan that is throttled before a batch was full keeps the certificates of the places that it remembers."""
    throttled = ClientError({"Error": {"Code": "Throttling", "Message": ""}}, "GetCertificate")
    estate.acm.holds |= dict(zip(ARNS, LEAVES.values(), strict=True))
    estate.acm.fails, estate.acm.after = throttled, 2
    with pytest.raises(Throttled):
        discovery.scan_scope(estate.deployment, run="r", scope=SCOPE, now=NOW, deadline=NOW + timedelta(hours=1))
    estate.acm.fails = None
    run = Run(estate)
    run.scan(SCOPE)
    run.check()
    assert estate.acm.reads == 3
