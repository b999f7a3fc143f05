"""Whatever happens in whatever order, each managed certificate has one renewal, serves, keeps its keys, and goes on.

The rules are what people, the tick, the workflows, the CA, the places and AWS do. After each of them `World.judge`
looks at everything; at the end everything works again, and each certificate comes to serve what is declared.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from living import SKEWED, ZERO, Killed, World, living_hub
from living_ca import CA_MODES, LOSES, SILENT
from living_places import DEAF, PLACE_MODES
from perennial.errors import PerennialError

NAMES = ("shop", "blog")
PLACES = ("shop-a", "shop-b", "blog-a")
SKEWS = st.sampled_from((ZERO, SKEWED, -SKEWED))
CALLS = st.integers(1, 40)  # into a step, at which something happens
WHICH = st.integers(0, 7)  # of the running executions
FAULTY = st.sampled_from((*CA_MODES, LOSES, SILENT))
BROKEN = st.sampled_from((*PLACE_MODES, DEAF))
DURATIONS = st.sampled_from((1, 10, 40, 180, 720, 2_880, 7_200))  # minutes
Act = Callable[[Callable[[], Any]], Any]


def _killed_before(send: Callable[[], Any]) -> Any:
    raise Killed


def _killed_after(send: Callable[[], Any]) -> Any:
    send()
    raise Killed


KILLS = st.sampled_from((_killed_before, _killed_after))


class Lives(RuleBasedStateMachine):
    """A world, and all that may happen in it."""

    def __init__(self) -> None:
        super().__init__()
        self._hub = living_hub(*PLACES, days=6)
        self.world: World = self._hub.__enter__()

    def teardown(self) -> None:
        """When everything works again, each certificate comes to serve what is declared."""
        try:
            self.world.comes_to_rest()
        finally:
            self._hub.__exit__(None, None, None)

    # --- people ---

    @rule(
        name=st.sampled_from(NAMES),
        second=st.booleans(),
        first=st.booleans(),
        stays=st.booleans(),
        skew=SKEWS,
    )
    def apply(self, name: str, second: bool, first: bool, stays: bool, skew: timedelta) -> None:
        """Declare a certificate, or other names, other targets or another order for one that is."""
        names = (f"{name}.svc.internal", *((f"www.{name}.svc.internal",) if second else ()))
        own = tuple(each for each in PLACES if each.startswith(name))
        places = own[:1] if first else own[::-1] if second else own
        self.world.apply(self.world.declared(name, *names, places=places, stays=stays), skew=skew)

    @precondition(lambda self: self.world.declarations)
    @rule(which=WHICH, skew=SKEWS)
    def remove(self, which: int, skew: timedelta) -> None:
        """Take a declaration away, with --prune."""
        names = sorted(self.world.declarations)
        self.world.remove(names[which % len(names)], skew)

    @precondition(lambda self: self.world.declarations)
    @rule(which=WHICH, urgent=st.booleans(), skew=SKEWS)
    def force(self, which: int, urgent: bool, skew: timedelta) -> None:
        """perennial renew, with and without --force."""
        names = sorted(self.world.declarations)
        self.world.force(names[which % len(names)], skew, urgent=urgent)

    @precondition(lambda self: self.world.declarations)
    @rule(which=WHICH)
    def revoke(self, which: int) -> None:
        """What serves was revoked."""
        names = sorted(self.world.declarations)
        self.world.revoke(names[which % len(names)])

    # --- the tick and the workflows ---

    @rule(skew=SKEWS)
    def tick(self, skew: timedelta) -> None:
        """The tick comes once."""
        self.world.tick(skew)

    @rule(skew=SKEWS)
    def tick_twice(self, skew: timedelta) -> None:
        """Two ticks see the same due entries."""
        self.world.tick_twice(skew)

    @precondition(lambda self: self.world.running())
    @rule(which=WHICH, states=st.integers(1, 4), skew=SKEWS)
    def step(self, which: int, states: int, skew: timedelta) -> None:
        """An execution does some states."""
        running = self.world.running()
        for _ in range(states):
            self.world.step(running[which % len(running)], skew)

    @precondition(lambda self: self.world.running())
    @rule(which=WHICH, skew=SKEWS)
    def run(self, which: int, skew: timedelta) -> None:
        """An execution goes on until it waits or ends."""
        running = self.world.running()
        self.world.run(running[which % len(running)], skew)

    @precondition(lambda self: self.world.running())
    @rule(which=WHICH, call=CALLS, act=KILLS, skew=SKEWS)
    def kill(self, which: int, call: int, act: Act, skew: timedelta) -> None:
        """The function of a state is killed at one of its calls."""
        running = self.world.running()
        with self.world.interrupted(call, act):
            self.world.run(running[which % len(running)], skew)

    @rule(call=CALLS, act=KILLS, skew=SKEWS)
    def kill_tick(self, call: int, act: Act, skew: timedelta) -> None:
        """The tick is killed at one of its calls."""
        with self.world.interrupted(call, act), suppress(Killed):
            self.world.tick(skew)

    @precondition(lambda self: self.world.running())
    @rule(which=WHICH, other=WHICH, call=CALLS, skew=SKEWS, what=st.sampled_from(("step", "tick", "force", "apply")))
    def meet(self, which: int, other: int, call: int, skew: timedelta, what: str) -> None:
        """In the midst of a step another execution goes on, a tick comes, or a person does something."""
        running = self.world.running()

        def act(send: Callable[[], Any]) -> Any:
            with suppress(PerennialError):
                self._meanwhile(what, other, skew)
            return send()

        with self.world.interrupted(call, act):
            self.world.run(running[which % len(running)], ZERO)

    def _meanwhile(self, what: str, which: int, skew: timedelta) -> None:
        names, running = sorted(self.world.declarations), self.world.running()
        if what == "tick":
            self.world.tick(skew)
        elif what == "step":
            self.world.step(running[which % len(running)], skew)
        elif what == "force" and names:
            self.world.force(names[which % len(names)], skew)
        elif names:
            name = names[which % len(names)]
            self.world.apply(self.world.declared(name, f"{name}.svc.internal", places=(f"{name}-a",)), skew=skew)

    @precondition(lambda self: self.world.running())
    @rule(which=WHICH, inside=st.booleans())
    def crash(self, which: int, inside: bool) -> None:
        """An execution is gone, with or without the workflow that runs inside it."""
        running = self.world.running()
        self.world.crash(running[which % len(running)], inside=inside)

    # --- time ---

    @rule(minutes=DURATIONS, skew=SKEWS)
    def live(self, minutes: int, skew: timedelta) -> None:
        """The tick comes each minute, and everything goes on."""
        self.world.live(timedelta(minutes=minutes), skew)

    @rule(minutes=DURATIONS)
    def sleep(self, minutes: int) -> None:
        """Time passes, and no tick comes."""
        self.world.sleep(timedelta(minutes=minutes))

    # --- what fails ---

    @rule(mode=FAULTY)
    def break_ca(self, mode: str) -> None:
        """The CA fails in some way."""
        self.world.break_ca(mode)

    @rule(name=st.sampled_from(PLACES), mode=BROKEN)
    def break_place(self, name: str, mode: str) -> None:
        """A place fails in some way."""
        self.world.break_place(name, mode)

    @rule(name=st.sampled_from((*PLACES, "ca", "all")))
    def mend(self, name: str) -> None:
        """What failed works again."""
        if name == "all":
            self.world.mend()
        elif name == "ca":
            self.world.authority.mode = ""
        else:
            self.world.places[name].cured()

    @rule()
    def break_channels(self) -> None:
        """Nobody can be told anything."""
        self.world.break_channels()

    # --- what holds ---

    @invariant()
    def holds(self) -> None:
        """One renewal at a time, something valid served, every key of some version, and a next step."""
        self.world.judge()


_KEPT = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),  # to shrink what fails takes many minutes
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_any_interleaving() -> None:
    """Some interleavings, the same ones in each run of the same code."""
    run_state_machine_as_test(Lives, settings=settings(_KEPT, max_examples=40, stateful_step_count=30))


@pytest.mark.slow
def test_many_interleavings() -> None:
    """More and longer ones."""
    run_state_machine_as_test(Lives, settings=settings(_KEPT, max_examples=120, stateful_step_count=60))
