"""A rollout that is interrupted at each of its calls to AWS ends well, or with what was there before and a reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from copies import in_copies
from counted import COUNTED
from perennial.errors import PerennialError
from perennial.inventory.records import RolloutState
from perennial.rollout import Step
from rolling import MANAGED, RollingHub, rolling_hub
from target_conformance import FAULTS, KILLS, Calls, Killed, watched

pytestmark = pytest.mark.slow
ACTS = {**FAULTS, **KILLS}


def _deployed(hub: RollingHub) -> None:
    """Everything goes well."""


def _deaf(hub: RollingHub) -> None:
    """The place never serves the new version: the old one comes back."""
    hub.places["edge"].deaf = True


SCENES: dict[str, Callable[[RollingHub], None]] = {"forward": _deployed, "back": _deaf}


def _rolled_out(scene: str, calls: Calls) -> str:
    """A rollout with something happening at one call, settled by the tick, and judged. Returns its state."""
    with rolling_hub() as hub:
        SCENES[scene](hub)
        record = hub.request(deadline=10)
        with watched(calls), suppress(Killed):
            hub.run(record.reference)
        ended = hub.settle(record.reference)
        _judge(hub, ended.reference)
        return str(ended.state)


def _judge(hub: RollingHub, reference: str) -> None:
    ended = hub.rollout(reference)
    served = {each.serves for each in hub.places.values()}
    told = {each.told for each in hub.places.values()}
    assert ended.due_at is None
    assert ended.ended_at
    old, new = hub.versions[1].fingerprint, hub.versions[2].fingerprint
    if ended.state is RolloutState.DEPLOYED:
        assert served == told == {new}
        assert hub.current() == hub.versions[2].certificate_pem
        proven = {each.target for each in hub.deployment.inventory.proofs(MANAGED) if each.purpose == "deployed"}
        assert proven == {"edge"}
    else:
        assert served == told == {old}
        assert "Next: " in ended.message
        assert hub.current() != hub.versions[2].certificate_pem
    for place in hub.places.values():
        assert len(place.log) <= 2, "a place was changed more often than forth and back"
    table = hub.table()
    assert "PRIVATE KEY" not in table
    for each in hub.versions.values():
        assert each.private_key.splitlines()[1] not in table


@pytest.mark.parametrize("scene", sorted(SCENES))
@pytest.mark.parametrize("what", sorted(ACTS))
def test_interrupted_at_each_call(scene: str, what: str, record_property: Callable[[str, object], None]) -> None:
    """Killed, refused, throttled or left without a reply at any call, the rollout ends whole; its calls are counted."""
    whole = Calls()
    expected = _rolled_out(scene, whole)
    assert expected == ("deployed" if scene == "forward" else "returned")
    passing = what not in ("denied", "refused")
    ends = in_copies(lambda now: _rolled_out(scene, Calls(now=now, act=ACTS[what])))
    assert len(ends) == len(whole.names)
    record_property(f"{COUNTED}rollout, {scene}, {what}", len(ends))
    if passing:
        assert set(ends) == {expected}
    assert set(ends) <= {"deployed", "returned", "refused"}


def test_a_step_twice_at_once(record_property: Callable[[str, object], None]) -> None:
    """A step that runs a second time in the midst of any of its calls changes nothing: one of the two loses."""

    def rolled_out(now: Callable[[], bool]) -> None:
        with rolling_hub() as hub:
            record = hub.request()
            under_way: list[Callable[[], Step]] = []

            def around(name: str, step: Callable[[], Step]) -> Step:
                under_way[:] = [step]
                return step()

            def twice(name: str, send: Callable[[], Any]) -> Any:
                if under_way:
                    with suppress(PerennialError):
                        under_way[0]()
                return send()

            hub.around = around
            with watched(Calls(now=now, act=twice)):
                hub.run(record.reference)
            assert hub.settle(record.reference).state is RolloutState.DEPLOYED
            _judge(hub, record.reference)

    record_property(f"{COUNTED}rollout, a step twice at once", len(in_copies(rolled_out)))
