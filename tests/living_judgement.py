"""What holds in a living world at every moment, and where everything leads once all works again."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from living_places import LivingPlace
from perennial import lifecycle, lifecycle_step, renewal
from perennial.certificate import Certificate
from perennial.inventory.records import ManagedRecord, ManagedState, VersionRecord, VersionState
from perennial.key_store import PREFIX
from perennial.managed_certificate import ManagedCertificate

if TYPE_CHECKING:
    from living import World

PAUSE_MOST = timedelta(hours=33)  # backoff.LONGEST, and what clocks differ


def judge(world: World) -> None:
    """What holds at every moment."""
    for record in world.records():
        _one_at_a_time(world, record)
        _goes_on(world, record)
        _serves(world, record)
        _keys_belong(world, record)
    assert "PRIVATE KEY" not in repr(world.table.copy())


def _one_at_a_time(world: World, record: ManagedRecord) -> None:
    under_way = [each.reference for each in world.versions(record.name) if not each.state.ended]
    rolling = [each.reference for each in world.rollouts(record.name) if not each.state.ended]
    assert len(under_way) <= 1, f"versions under way at once: {under_way}"
    assert len(rolling) <= 1, f"rollouts under way at once: {rolling}"
    owning = [
        each
        for each in world.running()
        if each.machine == "Renewal" and json.loads(each.input) == {"managed": record.name, "fence": record.fence}
    ]
    assert len(owning) <= 1, f"executions with the same lease: {owning}"
    asks = list(world.authority.asks.values())
    assert len(asks) == len(set(asks)), "a version was paid for twice"


def _goes_on(world: World, record: ManagedRecord) -> None:
    """There is a next step, and a time of it."""
    if record.state is ManagedState.RETIRED:
        return
    assert record.due_at is not None, f"{record.name} is {record.state} and never due"
    undecided = record.state in (ManagedState.REQUESTED, ManagedState.REMOVING)  # as `apply` leaves it
    assert record.step or undecided, f"{record.name} has no step"
    known = lifecycle_step.noted(lifecycle_step.gather(world.deployment(), record, world.now), world.now)
    decision = lifecycle.decide(known, world.now)
    assert decision.at is not None or decision.state is ManagedState.RETIRED, f"{record.name}: no time: {decision}"
    latest = world.now + PAUSE_MOST
    if record.serving:
        latest = max(latest, renewal.late_at(record.serving))
    assert record.due_at <= latest, f"{record.name} sleeps until {record.due_at}"


def _serves(world: World, record: ManagedRecord) -> None:
    """What was given to a place is served there with a key that is kept, until it is replaced; and it is valid,
    where everything worked for a while before it would have expired. A place that was no target for a while may
    serve what was retired meanwhile, until it gets what serves."""
    by_fingerprint = {each.fingerprint: each for each in world.versions(record.name) if each.fingerprint}
    for settings in record.declared.targets:
        place = world.places[settings.name]
        assert place.serves, f"{place.name} serves nothing"
        version = by_fingerprint.get(place.serves)
        if version is None:
            assert place.serves == place.foreign, f"{place.name} serves what nobody knows"
            continue
        retired = record.serving is None and version.state is VersionState.RETIRED  # removed, and declared again
        back = world.found.get(place.name) == place.serves
        if not record.removed_at and not retired and not back:
            held = world.secrets.secrets.get(PREFIX + record.name, {}).get(version.secret_version)
            assert held is not None, f"the key of {version.reference} is deleted, and {place.name} serves it"
            assert held.labels, f"the key of {version.reference} has no label, and {place.name} serves it"
            assert version.state is VersionState.ISSUED, f"{place.name} serves {version.reference}: {version.state}"
            _valid(world, record, place, world.authority.made[place.serves])


def _valid(world: World, record: ManagedRecord, place: LivingPlace, served: Certificate) -> None:
    assert served.not_before is not None
    assert served.not_after is not None
    if world.good_since is None or served.not_after >= world.now:
        return
    enough = max((served.not_after - served.not_before) / 10, timedelta(hours=6))
    assert served.not_after - world.good_since < enough, (
        f"{place.name} serves what expired at {served.not_after}, and all works since {world.good_since}: {record}"
    )


def _keys_belong(world: World, record: ManagedRecord) -> None:
    """Every key that is kept belongs to a version that is not retired, or is to be retired again: what was removed
    and is declared again gets its secret back as it was."""
    owners = {owned: each for each in world.versions(record.name) for owned in secret_versions(each)}
    for name in world.secrets.labelled(PREFIX + record.name):
        assert name in owners, f"the secret version {name} belongs to no version"
        owner = owners[name]
        again = owner.number in dict(record.retiring)
        assert owner.state is not VersionState.RETIRED or again, f"{owner.reference} is retired, and its key is kept"


# --- where everything leads ---


def comes_to_rest(world: World, within: timedelta = timedelta(days=4)) -> None:
    """When everything works again, each certificate that is declared serves what is declared, with no more keys
    than it needs; what was removed is retired."""
    world.mend()
    world.good_since = None
    world.live(within, until=lambda: rests(world))
    for name, declared in world.declarations.items():
        _rests(world, name, declared)
    _retires(world, within)
    judge(world)


def rests(world: World) -> bool:
    """Whether all serve what is declared, and nothing waits to be retired."""
    return all(_at_rest(world, world.record(name), declared) for name, declared in world.declarations.items())


def _at_rest(world: World, record: ManagedRecord, declared: ManagedCertificate) -> bool:
    serving = record.serving
    return (
        record.state is ManagedState.SERVING
        and record.declared == declared
        and serving is not None
        and serving.request is not None
        and renewal.same(declared.request, serving.request)
        and not record.retiring
        and all(world.places[each.name].serves == serving.fingerprint for each in declared.targets)
    )


def _rests(world: World, name: str, declared: ManagedCertificate) -> None:
    record = world.record(name)
    assert _at_rest(world, record, declared), f"it does not come to rest: {record}\n{world.versions(name)[:1]}"
    assert record.serving is not None
    version = world.inventory.version(f"{name}/{record.serving.number}")
    kept = set(world.secrets.labelled(PREFIX + name))
    assert version.secret_version in kept
    assert kept <= set(secret_versions(version)), "a key is kept that nothing serves"
    assert world.authority.made[record.serving.fingerprint].not_after > world.now  # type: ignore[operator]


def _retires(world: World, within: timedelta) -> None:
    removed = [each.name for each in world.records() if each.name not in world.declarations]
    world.live(within, until=lambda: all(world.record(each).state is ManagedState.RETIRED for each in removed))
    for name in removed:
        assert world.record(name).state is ManagedState.RETIRED, world.record(name)
        assert not world.secrets.labelled(PREFIX + name), f"{name} is retired, and has a key"
        assert all(each.state is VersionState.RETIRED for each in world.versions(name))


def secret_versions(version: VersionRecord) -> tuple[str, str]:
    """The ids of the pending and the final secret version of a version."""
    pending, final = (
        hashlib.sha256(f"perennial {stage} {version.ask}".encode()).hexdigest() for stage in ("pending", "final")
    )
    return pending, final
