"""The life of a managed certificate: declared, issued, deployed, renewed, retired, and what may go wrong in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from copies import in_copies
from counted import COUNTED
from living import MINUTE, Killed, World, living_hub
from living_ca import BEGIN, LOSES, SILENT
from perennial import lifecycle_step, renewal
from perennial.errors import ConcurrentChange
from perennial.inventory.managed import Managed
from perennial.inventory.records import ManagedRecord, ManagedState, RolloutState, VersionState
from perennial.issuers.interface import RenewalWindow
from perennial.key_store import PREFIX

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SOON = "certificates_per_domain_and_week = 0\norders_per_hour = 3600"  # budgets that hold up nothing
NIGHTS = """
[windows.nights]
cron = "0 1 * * *"
minutes = 120

[environments.production]
windows = ["nights"]
grace_hours = 2
"""


def _served(world: World, **more: Any) -> ManagedRecord:
    """The world with a certificate that serves."""
    world.apply(world.declared("shop", **more))
    world.live(DAY, until=lambda: world.record("shop").serving is not None)
    world.settle()
    world.judge()
    return world.record("shop")


def _number(world: World) -> int:
    serving = world.record("shop").serving
    return serving.number if serving else 0


def _renewed(world: World, within: timedelta) -> timedelta:
    """How long it takes until a newer version serves."""
    before, begin = _number(world), world.now
    world.live(within, until=lambda: _number(world) > before)
    assert _number(world) > before, world.record("shop")
    return world.now - begin


# --- the whole life ---


def test_a_whole_life() -> None:
    """Declared, issued, deployed, serving, planned, renewed in time, and the old version retired after its grace."""
    with living_hub(issuer=SOON) as world:
        first = _served(world)
        assert first.serving is not None
        assert {each.serves for name, each in world.places.items() if name.startswith("shop")} == {
            first.serving.fingerprint
        }
        assert first.state is ManagedState.SERVING
        assert first.planned_at is not None and first.planned_for == renewal.LIFETIME
        due = renewal.share_at(first.serving)
        assert due - renewal.spread(first.serving) <= first.planned_at <= due + HOUR
        _renewed(world, timedelta(days=4))
        assert abs(world.now - first.planned_at) < timedelta(minutes=30)
        assert world.record("shop").retiring[0][0] == 1
        world.judge()
        world.live(timedelta(hours=25))
        assert world.record("shop").retiring == ()
        assert [each.state for each in world.versions("shop")] == [VersionState.ISSUED, VersionState.RETIRED]
        world.comes_to_rest()


def test_a_year() -> None:
    """A certificate of 47 days is renewed about every month, is always valid, and has one key."""
    with living_hub(days=47, issuer=SOON) as world:
        _served(world)
        for _ in range(52):
            world.live(timedelta(days=7))
            world.judge()
        assert 11 <= _number(world) <= 14
        world.comes_to_rest(timedelta(days=40))


def _life(world: World) -> None:
    """Until it serves, is renewed, and the old version is retired."""
    world.live(timedelta(days=5))


def _killed_before(send: Callable[[], Any]) -> Any:
    raise Killed


def _killed_after(send: Callable[[], Any]) -> Any:
    send()
    raise Killed


KILLS = {"before": _killed_before, "after": _killed_after}


def _killed(act: Callable[[Callable[[], Any]], Any], every: int) -> int:
    """Killed at every so many calls of a life, of which there are about a thousand; at how many."""

    def lived(now: Callable[[], bool]) -> None:
        with living_hub("shop-a", issuer=SOON) as world:
            world.apply(world.declared("shop"))
            with world.interrupted(0, act, now):
                _life(world)
            assert _number(world) == 2
            world.judge()
            world.comes_to_rest()
            paid = len(world.authority.asks)
            assert paid == len({each.ask for each in world.versions("shop")}), "a version was paid for twice"

    return len(in_copies(lived, every=every))


@pytest.mark.parametrize("what", sorted(KILLS))
def test_killed_now_and_then(what: str) -> None:
    """Killed at some call of a life, it goes on, and pays for no certificate twice."""
    assert _killed(KILLS[what], every=37) > 20


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(KILLS))
def test_killed_at_every_third_call(what: str, record_property: Callable[[str, object], None]) -> None:
    """The same at every third call."""
    record_property(f"{COUNTED}lifecycle, killed {what}", _killed(KILLS[what], every=3))


# --- leases ---


def test_a_stale_lease_changes_nothing() -> None:
    """An execution whose lease is another's does nothing any more, whatever its next state is."""
    with living_hub(issuer=SOON) as world:
        world.apply(world.declared("shop"))
        world.tick()
        (first,) = world.running()
        world.clock.now += lifecycle_step.LEASE + MINUTE
        world.tick()
        second = world.running()[-1]
        assert second is not first
        before = world.table.copy()
        world.run(first)
        assert world.table.copy() == before
        assert first.ran.status == "SUCCEEDED"
        assert world.decided == ["ended"]
        world.run(second)
        assert world.decided[1] == "issue"


def test_a_stale_lease_retires_nothing() -> None:
    """Retiring asks for the lease too."""
    with living_hub(issuer=SOON) as world:
        record = _served(world)
        world.force("shop")
        _renewed(world, HOUR)
        before = world.table.copy()
        assert lifecycle_step.retire(world.deployment(), "shop/1", record.fence - 1, world.now + 2 * DAY) == []
        assert world.table.copy() == before


def test_a_tick_twice_starts_once() -> None:
    """Two ticks that see the same due entry start one execution."""
    with living_hub(issuer=SOON) as world:
        world.apply(world.declared("shop"), world.declared("blog"))
        world.tick_twice()
        assert sorted(json.loads(each.input)["managed"] for each in world.executions) == ["blog", "shop"]


def test_an_execution_that_dies_is_taken_up() -> None:
    """Whatever state an execution dies in, the due index brings the next one, which goes on."""
    with living_hub("shop-a", issuer=SOON) as world:
        world.apply(world.declared("shop"))
        states: set[str] = set()
        for number in range(60):
            if _number(world):
                break
            world.clock.now = max(world.now, world.next_due() or world.now)
            world.tick()
            running = world.running()
            for _ in range(number % 7):
                for each in running:
                    world.step(each)
            for each in world.running():
                states.add(f"{each.machine} {each.at}")
                world.crash(each, inside=bool(number % 2))
            world.judge()
        world.comes_to_rest()
        assert len(states) >= 3


# --- decisions ---


def test_who_loses_every_write_waits() -> None:
    """A step whose writes are all overtaken ends after some decisions, and the workflow asks again soon."""
    with living_hub(issuer=SOON) as world, pytest.MonkeyPatch.context() as patched:
        world.apply(world.declared("shop"))
        asked = []

        def overtaken(_: Managed, record: ManagedRecord, event: object = None) -> ManagedRecord:
            asked.append(record.name)
            raise ConcurrentChange("scripted")

        patched.setattr(Managed, "save_managed", overtaken)
        step = lifecycle_step.step(world.deployment(), "shop", 0, world.now)
        assert (step.next, step.seconds) == ("wait", lifecycle_step.SOONEST)
        assert len(asked) == lifecycle_step.ACTS


def test_a_certificate_that_is_not_there() -> None:
    """A name that is not declared ends the execution."""
    with living_hub() as world:
        assert lifecycle_step.step(world.deployment(), "nobody", 1, world.now).next == "ended"


# --- the CA ---


@pytest.mark.parametrize("mode", ["unavailable", "throttled", "rate-limited", "refuses", LOSES, SILENT])
def test_a_ca_that_fails_and_recovers(mode: str) -> None:
    """The old certificate serves, a time of the next try is told, and the new one comes when the CA works again."""
    with living_hub(issuer=SOON) as world:
        first = _served(world)
        assert first.serving is not None
        world.break_ca(mode)
        world.live(timedelta(days=3, hours=12))
        world.judge()
        record = world.record("shop")
        assert record.state in (ManagedState.FAILING, ManagedState.ISSUING)
        assert record.due_at is not None
        assert world.places["shop-a"].serves == first.serving.fingerprint
        world.mend()
        assert _renewed(world, DAY) < timedelta(hours=9)
        world.comes_to_rest()


def test_who_waits_for_a_ca_is_woken_when_it_answers_another() -> None:
    """Two wait for a CA that is down; as soon as one is issued, the other goes on, and does not sleep on."""
    with living_hub(issuer=SOON) as world:
        world.apply(world.declared("shop"), world.declared("blog"))
        world.break_ca("unavailable")
        world.live(12 * HOUR)
        world.mend()
        world.force("shop")
        world.live(HOUR, until=lambda: world.record("shop").serving is not None)
        assert world.record("shop").serving is not None
        begin = world.now
        world.live(HOUR, until=lambda: world.record("blog").serving is not None)
        assert world.record("blog").serving is not None
        assert world.now - begin < timedelta(minutes=5)


def test_a_failure_is_tried_again_ever_later() -> None:
    """Final refusals are counted, and the pauses between them grow."""
    with living_hub(issuer=SOON) as world:
        world.break_ca("refuses")
        world.apply(world.declared("shop"))
        world.live(12 * HOUR)
        requested = [each.requested_at for each in reversed(world.versions("shop"))]
        pauses = [after - before for before, after in itertools.pairwise(requested)]
        assert len(pauses) >= 3
        assert pauses == sorted(pauses)
        assert world.record("shop").attempts == len(requested)
        world.comes_to_rest()


def test_force_ignores_the_pause() -> None:
    """Who forces a failed request is served at once."""
    with living_hub(issuer=SOON) as world:
        world.break_ca("refuses")
        world.apply(world.declared("shop"))
        world.live(DAY)
        world.mend()
        due = world.record("shop").due_at
        assert due is not None and due > world.now + HOUR
        world.force("shop")
        assert _renewed(world, HOUR) < timedelta(minutes=10)


def test_force_ignores_the_pause_of_a_version_that_waits() -> None:
    """A version that waits for a rate limit goes on when someone forces it."""
    with living_hub(issuer=SOON) as world:
        world.break_ca("rate-limited")
        world.apply(world.declared("shop"))
        world.live(6 * HOUR)
        world.mend()
        assert world.record("shop").step == "rest"
        world.force("shop")
        assert _renewed(world, HOUR) < timedelta(minutes=10)
        assert len(world.versions("shop")) == 1


# --- the places ---


@pytest.mark.parametrize("mode", ["denied", "unavailable", "gone", "deaf"])
def test_a_rollout_that_fails_is_tried_again(mode: str) -> None:
    """The old certificate serves everywhere; the same version is rolled out again later, and no other is issued."""
    with living_hub(issuer=SOON) as world:
        first = _served(world)
        assert first.serving is not None
        world.force("shop")
        world.break_place("shop-b", mode)
        world.live(timedelta(hours=20))
        world.judge()
        record = world.record("shop")
        assert record.attempts >= 2 or mode == "unavailable"
        assert record.serving == first.serving
        assert {world.places[each].serves for each in ("shop-a", "shop-b")} == {first.serving.fingerprint}
        assert len(world.versions("shop")) == 2
        assert len(world.rollouts("shop")) >= (2 if mode == "unavailable" else 3)
        world.mend()
        _renewed(world, DAY)
        assert len(world.versions("shop")) == 2
        world.comes_to_rest()


def test_other_targets_get_the_same_version() -> None:
    """What serves is put at a new target, without a new certificate."""
    with living_hub(issuer=SOON) as world:
        first = _served(world, places=("shop-a",))
        assert first.serving is not None
        world.apply(world.declared("shop"))
        world.live(HOUR)
        assert world.places["shop-b"].serves == first.serving.fingerprint
        assert len(world.versions("shop")) == 1
        assert [each.state for each in world.rollouts("shop")] == [RolloutState.DEPLOYED] * 2
        world.comes_to_rest()


# --- reasons ---


def test_other_names_get_another_version() -> None:
    """What is declared anew is issued, and serves."""
    with living_hub(issuer=SOON) as world:
        _served(world)
        world.apply(world.declared("shop", "shop.svc.internal", "www.shop.svc.internal"))
        _renewed(world, HOUR)
        serving = world.record("shop").serving
        assert serving is not None and serving.request is not None
        assert serving.request.names == ("shop.svc.internal", "www.shop.svc.internal")


def test_what_was_revoked_is_renewed_at_once() -> None:
    """A revoked certificate is replaced within minutes."""
    with living_hub(issuer=SOON) as world:
        _served(world)
        world.revoke("shop")
        assert _renewed(world, HOUR) < timedelta(minutes=20)
        serving = world.record("shop").serving
        assert serving is not None and serving.revoked_at is None


def test_the_advice_of_the_ca_is_asked_and_kept() -> None:
    """The CA's window is asked for, one time in it is drawn, and what is planned follows it; a window that is moved
    into the past renews at once."""
    with living_hub(issuer=SOON) as world:
        first = _served(world)
        assert first.serving is not None
        opens = world.now + DAY
        world.authority.window = RenewalWindow(start=opens, end=opens + 6 * HOUR, retry_after=3_600)
        world.live(12 * HOUR)
        record = world.record("shop")
        assert record.advice is not None
        assert opens <= record.advice.at <= opens + 6 * HOUR
        assert record.planned_for == renewal.ADVICE
        assert record.planned_at is not None and abs(record.planned_at - record.advice.at) < HOUR
        world.authority.window = RenewalWindow(start=world.now - 2 * HOUR, end=world.now - HOUR, retry_after=3_600)
        _renewed(world, 8 * HOUR)


def test_a_ca_that_gives_no_advice_holds_up_no_renewal() -> None:
    """Where the CA does not answer what to do when, the share of the lifetime counts."""
    with living_hub(issuer=SOON) as world, pytest.MonkeyPatch.context() as patched:
        first = _served(world)
        assert first.serving is not None

        def silent() -> None:
            raise ConcurrentChange("scripted")

        patched.setattr(world.authority, "_window", silent)
        _renewed(world, timedelta(days=4))
        assert world.now <= renewal.share_at(first.serving) + HOUR


# --- windows ---


def test_renewals_wait_for_their_window() -> None:
    """The first certificate comes at once; each later one only while a window is open."""
    with living_hub(issuer=SOON, more=NIGHTS) as world:
        _served(world, environment="production")
        assert world.now - BEGIN < HOUR
        for _ in range(4):
            _renewed(world, timedelta(days=6))
            assert 1 <= world.now.hour < 3, world.now


def test_force_waits_for_no_window() -> None:
    """--force renews while the window is closed; renew without it waits for the window."""
    with living_hub(issuer=SOON, more=NIGHTS) as world:
        _served(world, environment="production")
        world.force("shop", urgent=False)
        _renewed(world, DAY)
        assert 1 <= world.now.hour < 3
        world.live(8 * HOUR)
        assert world.now.hour >= 9
        world.force("shop", urgent=True)
        assert _renewed(world, HOUR) < timedelta(minutes=20)


# --- removed ---


def test_what_is_removed_is_retired() -> None:
    """After the grace period its versions and their keys are retired; what serves goes on serving."""
    with living_hub(issuer=SOON) as world:
        first = _served(world)
        assert first.serving is not None
        world.remove("shop")
        world.live(20 * HOUR)
        world.judge()
        assert world.record("shop").state is ManagedState.REMOVING
        assert world.secrets.labelled(PREFIX + "shop")
        world.live(DAY)
        record = world.record("shop")
        assert (record.state, record.due_at) == (ManagedState.RETIRED, None)
        assert [each.state for each in world.versions("shop")] == [VersionState.RETIRED]
        assert not world.secrets.labelled(PREFIX + "shop")
        assert world.places["shop-a"].serves == first.serving.fingerprint


def test_what_is_removed_and_declared_again_serves() -> None:
    """Within the grace period it keeps what serves."""
    with living_hub(issuer=SOON) as world:
        _served(world)
        world.remove("shop")
        world.live(HOUR)
        world.apply(world.declared("shop"))
        world.live(HOUR)
        assert (world.record("shop").state, _number(world)) == (ManagedState.SERVING, 1)
        world.comes_to_rest()


def test_what_was_retired_and_is_declared_again_gets_a_new_version() -> None:
    """Also while its secret is still scheduled for deletion."""
    with living_hub(issuer=SOON) as world:
        _served(world)
        world.remove("shop")
        world.live(3 * DAY)
        world.apply(world.declared("shop"))
        _renewed(world, HOUR)
        world.comes_to_rest()


# --- who is told ---


def test_people_are_told_and_told_when_it_is_over() -> None:
    """A renewal that fails climbs the ladder; when it serves, it leaves it."""
    with living_hub(issuer=SOON) as world:
        _served(world)
        world.break_ca("refuses")
        world.force("shop")
        world.live(timedelta(days=5, hours=22))
        told = world.record("shop").told
        assert told is not None and told.level == 4
        assert world.channels.told
        world.mend()
        world.force("shop")
        _renewed(world, HOUR)
        world.live(HOUR)
        assert world.record("shop").told is None


def test_nobody_who_can_be_told_holds_up_no_renewal() -> None:
    """Where no channel answers, the certificate is renewed all the same."""
    with living_hub(issuer=SOON) as world:
        _served(world)
        world.break_ca("refuses")
        world.force("shop")
        world.live(DAY)
        world.break_channels()
        world.live(DAY)
        world.authority.mode = ""
        with suppress(Killed):
            _renewed(world, DAY)
        world.comes_to_rest()
