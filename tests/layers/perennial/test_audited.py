"""Every change and every refusal is in the audit trail: who, which way, what was before and after, and why. Nothing
changes without its event, and no event is there twice, whatever is interrupted where."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from certificates import build
from declaring import ASKED_BY, NOW, DeclaringHub, declared, declaring_hub
from issuing import IssuingHub, issuing_hub
from living import Killed, World, living_hub
from living_ca import BEGIN
from managed_records import record
from perennial import (
    acknowledgement,
    forcing,
    issuance,
    lifecycle_step,
    retirement,
    revocation,
    rollout_request,
)
from perennial.audit_chain import Walk
from perennial.audit_event import Event, of
from perennial.errors import InvalidInput, NotFound, PolicyViolated, Unavailable
from perennial.inventory.records import ManagedState, RolloutState, Told, VersionState
from perennial.inventory.store import Inventory

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SOON = "certificates_per_domain_and_week = 0\norders_per_hour = 3600"  # budgets that hold up nothing
MINUTE = timedelta(minutes=1)


@pytest.fixture
def hub() -> Iterator[DeclaringHub]:
    with declaring_hub() as made:
        yield made


def trail(world: World) -> list[Event]:
    """Every event of a world, in the order of time, read past the inventory."""
    found = [of(json.loads(item["content"]["S"])["event"]) for item in world.table.items("audit")]
    return sorted(found, key=lambda each: each.at)


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(each.action, each.outcome) for each in events]


# --- what people do ---


def test_declaring(hub: DeclaringHub) -> None:
    """Created, changed with the fields that differ, retired, and created again: by whom, which way, and why."""
    hub.apply(declared("shop"), why="a new shop", request="r-1")
    hub.apply(declared("shop", service="tills"), now=NOW + MINUTE)
    hub.apply(prune=True, now=NOW + 2 * MINUTE)
    hub.apply(declared("shop"), now=NOW + 3 * MINUTE)
    created, changed, retired, again = hub.events()
    assert told([created, changed, retired, again]) == [
        ("managed.create", "done"),
        ("managed.change", "done"),
        ("managed.retire", "done"),
        ("managed.create", "done"),
    ]
    assert (created.principal, created.source, created.why, created.request) == (ASKED_BY, "cli", "a new shop", "r-1")
    assert (created.owner, created.before) == ("shop", None)
    assert created.after["names"] == "shop.example.com"
    assert (changed.before, changed.after) == (None, {"service": "tills"})
    assert (retired.before["service"], retired.after) == ("tills", None)


def test_what_is_applied_again_is_no_second_event(hub: DeclaringHub) -> None:
    """Nothing is written for it, in the trail neither."""
    hub.apply(declared("shop"))
    before = hub.table()
    hub.apply(declared("shop"))
    assert hub.table() == before


def test_adopting(hub: DeclaringHub) -> None:
    """A certificate that serves already is adopted."""
    there = build(names=["shop.example.com"])
    hub.known(there)
    hub.apply(declared("shop", adopts=there.fingerprint))
    (event,) = hub.events()
    assert (event.action, event.after["adopts"]) == ("managed.adopt", there.fingerprint)


def test_a_refused_declaration(hub: DeclaringHub) -> None:
    """Each certificate with a problem of its own has its event, with all of them; one without has none."""
    with pytest.raises(InvalidInput):
        hub.apply(
            declared("shop", names=["shop.other.org"], key="RSA-4096"), declared("fine"), declared("b.c", profile="no")
        )
    (event,) = hub.events()
    assert (event.action, event.outcome, event.principal) == ("managed.create", "refused", ASKED_BY)
    assert "certificates.shop" in event.reason
    assert event.after["names"] == "shop.other.org"
    assert hub.events("fine") == []
    assert [each.outcome for each in hub.events("b.c")] == ["refused"]
    assert list(hub.deployment.inventory.declared()) == []


def test_looking_at_the_difference_is_no_event(hub: DeclaringHub) -> None:
    """Nobody asked for a change."""
    from perennial import applying

    with pytest.raises(InvalidInput):
        applying.planned(hub.deployment, [declared("shop", names=["shop.other.org"])], NOW)
    assert hub.events() == []


def test_forcing(hub: DeclaringHub) -> None:
    """A renewal that is asked for, and one that is refused as the certificate is removed, or not there."""
    hub.apply(declared("shop"))
    forcing.force(hub.deployment, "shop", "jo", NOW + MINUTE, urgent=True, source="api", why="now", request="r-2")
    hub.apply(prune=True)
    with pytest.raises(InvalidInput):
        forcing.force(hub.deployment, "shop", "jo", NOW + 2 * MINUTE, urgent=False, source="api")
    with pytest.raises(NotFound):
        forcing.force(hub.deployment, "nobody", "jo", NOW, urgent=False, source="api")
    asked, refused = [each for each in hub.events() if each.action == "managed.renew"]
    assert (asked.principal, asked.source, asked.why, asked.request) == ("jo", "api", "now", "r-2")
    assert (asked.before["urgent"], asked.after["urgent"]) == (False, True)
    assert (refused.outcome, "no longer declared" in refused.reason) == ("refused", True)
    assert told(hub.events("nobody")) == [("managed.renew", "refused")]


def test_acknowledging(hub: DeclaringHub) -> None:
    """Who it is stands beside the name that they gave."""
    hub.apply(declared("shop"))
    inventory = hub.deployment.inventory
    inventory.save_managed(replace(hub.record(), told=Told(level=2, at=NOW)))
    acknowledgement.acknowledge(inventory, "shop", "Anna, until Monday", NOW, principal=ASKED_BY, source="cli")
    with pytest.raises(InvalidInput):
        acknowledgement.acknowledge(inventory, "shop", " ", NOW + MINUTE, principal=ASKED_BY, source="cli")
    done, refused = [each for each in hub.events() if each.action == "finding.acknowledge"]
    assert (done.principal, done.after["acknowledged_by"], done.before["acknowledged_by"]) == (
        ASKED_BY,
        "Anna, until Monday",
        "",
    )
    assert refused.outcome == "refused"


def test_requesting_a_version(hub: DeclaringHub) -> None:
    """One that is kept, and one that policy refuses, with every violation."""
    wanted = declared("shop").request
    issuance.request(hub.deployment, "shop", wanted, "jo", NOW, source="cli")
    with pytest.raises(PolicyViolated):
        issuance.request(
            hub.deployment, "shop", replace(wanted, names=("a.other.org",)), "jo", NOW + MINUTE, source="cli"
        )
    done, refused = hub.events()
    assert told([done, refused]) == [("version.request", "done"), ("version.request", "refused")]
    assert (done.after["version"], done.after["names"]) == (1, ["shop.example.com"])
    assert "a.other.org" in refused.reason
    assert refused.after["names"] == ["a.other.org"]


def test_deploying_what_is_not_there(hub: DeclaringHub) -> None:
    """It is refused, and that is kept."""
    with pytest.raises(NotFound):
        rollout_request.request(hub.deployment, "shop", None, "jo", NOW, source="cli")
    assert told(hub.events()) == [("managed.deploy", "refused")]


# --- revoking: the CA is asked after the event ---


@contextmanager
def revoking() -> Iterator[tuple[IssuingHub, Callable[[], list[Event]]]]:
    with issuing_hub() as hub:
        reference = hub.request("shop.example.com").reference
        hub.run(reference)
        version = hub.version(reference)
        served = lifecycle_step.served(version, None, hub.now)
        hub.deployment.inventory.save_managed(record(serving=served, state=ManagedState.SERVING))
        inventory, since = hub.deployment.inventory, hub.now - DAY

        def events() -> list[Event]:
            found = inventory.audit_of("managed", version.managed, since, hub.now + DAY)
            return [each.event for each in found if each.event.action.endswith(".revoke")]

        yield hub, events


def test_revoking_is_in_the_trail_before_the_ca_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the process dies as the CA is asked; where the event cannot be kept, the CA is not asked."""
    with revoking() as (hub, events):
        name = record().name
        from perennial.issuers.acme import Acme

        def killed(*_: object) -> None:
            assert [each.outcome for each in events()] == ["done"]
            raise Killed

        monkeypatch.setattr(Acme, "revoke", killed)
        with pytest.raises(Killed):
            revocation.revoke(hub.deployment, name, "key-compromise", "jo", hub.now, source="cli")
        (event,) = events()
        assert (event.action, event.after["version"], event.after["reason"]) == ("managed.revoke", 1, "key-compromise")

        def full(*_: object, **__: object) -> None:
            raise Unavailable("the table does not answer")

        monkeypatch.setattr(Inventory, "append_audit", full)
        monkeypatch.setattr(Acme, "revoke", lambda *_: pytest.fail("the CA was asked without an event"))
        with pytest.raises(Unavailable):
            revocation.revoke(hub.deployment, name, "key-compromise", "jo", hub.now, source="cli")


def test_a_refused_revocation() -> None:
    """A reason that is none, and a name that is not there."""
    with revoking() as (hub, events):
        with pytest.raises(InvalidInput):
            revocation.revoke(hub.deployment, record().name, "boredom", "jo", hub.now, 1, source="cli")
        (event,) = events()
        assert (event.action, event.outcome) == ("version.revoke", "refused")
        assert event.after == {"version": 1, "reason": "boredom"}


# --- what workflows do ---


def test_a_life() -> None:
    """Declared, issued, deployed, renewed, and the first version retired: one event each, by the workflow, in order."""
    with living_hub("shop-a", issuer=SOON) as world:
        world.apply(world.declared("shop"))
        world.live(5 * DAY)
        events = trail(world)
        actions = Counter(each.action for each in events)
        issued = [each for each in events if each.action == "version.issue"]
        versions = world.versions("shop")
        assert actions["managed.create"] == 1
        assert [each.after["version"] for each in issued] == sorted(
            each.number for each in versions if each.fingerprint
        )
        assert actions["managed.deploy"] == len(world.rollouts("shop"))
        assert actions["version.retire"] == len([each for each in versions if each.state is VersionState.RETIRED]) > 0
        first = issued[0]
        assert (first.principal, first.source, first.owner) == ("perennial", "workflow", "shop")
        newest = {each.number: each for each in versions}[first.after["version"]]
        assert first.after["fingerprint"] == newest.fingerprint
        assert first.after["names"] == ["shop.svc.internal"]
        at = {(each.action, each.after["version"]): each.at for each in events if each.action != "managed.create"}
        assert at["version.issue", 1] <= at["managed.deploy", 1] < at["version.issue", 2] <= at["managed.deploy", 2]
        assert at["managed.deploy", 2] < at["version.retire", 1]


def test_a_failed_version() -> None:
    """A CA that refuses: the version ends with an event that says why."""
    with living_hub("shop-a", issuer=SOON) as world:
        world.apply(world.declared("shop"))
        world.break_ca("refuses")
        world.live(HOUR)
        refused = [each for each in trail(world) if each.outcome == "refused"]
        assert {each.action for each in refused} == {"version.issue"}
        assert "suspended" in refused[0].reason
        assert len(refused) == len([each for each in world.versions("shop") if each.state is VersionState.FAILED])


def test_what_was_not_asked_for_is_revoked_after_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the step dies as it asks the CA, and runs again: one event of the revocation, one of the end."""
    import acme_server
    from perennial.issuers.acme import Acme

    issue, revoke, deaths = acme_server._issue, Acme.revoke, [1]
    monkeypatch.setattr(acme_server, "_issue", lambda csr, names: issue(csr, ["other.example.com"]))
    with issuing_hub() as hub:

        def dying(*given: Any) -> None:
            if deaths and deaths.pop():
                raise Unavailable("nobody knows what became of the call")
            revoke(*given)

        monkeypatch.setattr(Acme, "revoke", dying)
        record = hub.request("shop.example.com")
        assert hub.run(record.reference) == "failed"
        found = hub.deployment.inventory.audit_of("managed", record.managed, hub.now - DAY, hub.now + DAY)
        asked, revoked, ended = sorted((each.event for each in found), key=lambda each: each.at)
        assert told([asked, revoked, ended]) == [
            ("version.request", "done"),
            ("version.revoke", "done"),
            ("version.issue", "refused"),
        ]
        assert (revoked.principal, revoked.after["reason"]) == ("perennial", "superseded")
        assert "other.example.com" in ended.reason
        assert len(hub.server.revoked) == 1


def test_what_is_brought_back() -> None:
    """A place that serves nothing new gets back what it had, which is an event before it happens."""
    with living_hub("shop-a", issuer=SOON) as world:
        world.apply(world.declared("shop"))
        world.break_place("shop-a", "deaf")
        world.live(2 * HOUR)
        restored = [each for each in trail(world) if each.action == "managed.restore"]
        returned = [each for each in world.rollouts("shop") if each.state is RolloutState.RETURNED]
        assert [each.after["rollout"] for each in restored] == sorted(each.number for each in returned)
        assert restored
        assert (restored[0].before["state"], restored[0].after["state"]) == ("running", "returning")
        assert "shop-a" in restored[0].why


def test_what_is_refused_again_and_again_is_told_once() -> None:
    """Policy refuses the request of the lifecycle each time it tries; the same refusal is one event."""
    with living_hub("shop-a", issuer=SOON) as world:
        world.apply(world.declared("shop"))

        def refused(*_: object, **__: object) -> None:
            raise PolicyViolated("names[0]: not allowed any more")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(issuance, "_judged", refused)
            world.live(3 * DAY)
        attempts = world.record("shop").attempts
        (event,) = [each for each in trail(world) if each.outcome == "refused"]
        assert attempts > 1
        assert (event.action, event.reason) == ("version.request", "names[0]: not allowed any more")


def test_what_is_removed_day_after_day_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of which something is in use is looked at each day until all is gone: that it began is one event."""
    retire, tried = retirement.retire, Counter[int]()

    def in_use(deployment: Any, managed: str, version: int, now: Any) -> list[str]:
        tried[version] += 1
        return ["the target shop-a has it"] if tried[version] < 4 else retire(deployment, managed, version, now)

    monkeypatch.setattr(retirement, "retire", in_use)
    with living_hub("shop-a", issuer=SOON) as world:
        world.apply(world.declared("shop"))
        world.live(11 * DAY)
        begun = [each.after["version"] for each in trail(world) if each.action == "version.retire"]
        assert tried[1] == 4
        assert begun.count(1) == 1
        assert sorted(begun) == sorted(tried)
        assert world.inventory.version("shop/1").state is VersionState.RETIRED
        assert 1 not in world.record("shop").removing


# --- nothing changes without its event, and none is there twice ---


def judged(world: World) -> None:
    """What holds after every single write: what the table says happened is in the trail, once."""
    events = [each for each in trail(world) if each.outcome == "done"]
    counted = Counter((each.subject, each.action) for each in events)
    for item in world.table.items("managed"):
        name = item["pk"]["S"].removeprefix("MANAGED#")
        assert counted[name, "managed.create"] == 1
        kept = json.loads(item["progress"]["S"])
        begun = [each.after["version"] for each in events if (each.subject, each.action) == (name, "version.retire")]
        assert len(set(begun)) == len(begun), f"the retirement of a version is in the trail twice: {begun}"
        assert set(kept["removing"]) <= set(begun)
        states = {int(each["number"]["N"]): each for each in world.table.items("version") if each["pk"] == item["pk"]}
        issued = [each.after["version"] for each in events if (each.subject, each.action) == (name, "version.issue")]
        assert sorted(issued) == [number for number, each in sorted(states.items()) if "fingerprint" in each]
        assert {number for number, each in states.items() if each["status"]["S"] == "retired"} <= set(begun)
    rollouts = Counter(each["pk"]["S"].removeprefix("MANAGED#") for each in world.table.items("rollout"))
    assert rollouts == Counter(each.subject for each in events if each.action == "managed.deploy")


def test_after_every_write_the_trail_is_whole() -> None:
    """A month with a CA that is down for a while and a place that goes deaf, looked at after each write."""
    with living_hub("shop-a", "blog-a", issuer=SOON) as world:
        looked = Counter[str]()

        def around(operation: str, send: Callable[[], Any]) -> Any:
            done = send()
            if operation not in ("Query", "BatchGetItem"):
                looked[operation] += 1
                judged(world)
            return done

        world.table.around = around
        world.apply(world.declared("shop"), world.declared("blog"))
        world.live(4 * DAY)
        world.break_ca("unavailable")
        world.live(DAY)
        world.mend()
        world.break_place("blog-a", "deaf")
        world.live(DAY)
        world.comes_to_rest()
        assert looked["TransactWriteItems"] > 20
        assert looked["PutItem"] > 100
        heads = world.inventory.audit_heads(f"{BEGIN:%Y-%m-%d}")
        links = [each for chain in sorted(heads) for each in world.inventory.audit_chain(chain, heads[chain].number)]
        assert Walk({chain: head.number for chain, head in heads.items()}, {}).follow(links) is None
        assert len(links) > 3


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "after it was sent"])
def test_killed_at_any_call(after: bool) -> None:
    """Declaring, forcing and removing, killed at each call to the table in turn: what is changed has its event, what is
    not has none. Whoever does the same again finishes it, without a second event of what was done."""
    acts: tuple[Callable[[World], None], ...] = (
        lambda world: world.apply(world.declared("shop")),
        lambda world: world.force("shop"),
        lambda world: world.remove("shop"),
    )

    def killed(send: Callable[[], Any]) -> None:
        if after:
            send()
        raise Killed

    with living_hub("shop-a") as world, world.interrupted(10_000, killed) as calls:
        for act in acts:
            act(world)
    assert len(calls) > 10
    for number in range(1, len(calls) + 1):
        with living_hub("shop-a") as world, world.interrupted(number, killed) as names:
            for act in acts:
                with suppress(Killed):
                    act(world)
                if len(names) == number:  # it was this one
                    _as_the_table_says(world)
                    act(world)
            found = Counter(each.action for each in trail(world))
            forced = found.pop("managed.renew")
            assert found == {"managed.create": 1, "managed.retire": 1}, f"at {names[number - 1]}, call {number}"
            assert forced == 1 or (after and forced == 2), "who asks twice, as no reply came, has asked twice"


def _as_the_table_says(world: World) -> None:
    found, records = Counter(each.action for each in trail(world)), world.records()
    assert found["managed.create"] == len(records)
    assert found["managed.renew"] == len([each for each in records if each.forced_at])
    assert found["managed.retire"] == len([each for each in records if each.removed_at])
