"""Calls to AWS for one target of each kind: of a rollout, of its way back, and of a repetition that changes nothing.

Every call of every boto3 client that a target makes is counted, in memory, on the strict AWS of the kind's conformance
test; each step begins as a new process does, with what was found and placed. Reads and writes are told apart by their
names. What the rollout itself asks (table, key, KMS) is counted in `deploy_workflow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benches.deploy_stands import PLACES, Place
from benches.report import Result, say

if TYPE_CHECKING:
    from perennial.targets.interface import Found, Target
    from target_conformance import Calls, Served, Stand

IMPORT = "ImportCertificate"
ROUNDS = 100  # of a step that asks to be called later


@dataclass
class Counted:
    """The calls of some steps. `changes` are those after which the place served something else than before."""

    names: list[str] = field(default_factory=list)
    writes: int = 0
    changes: int = 0

    @property
    def reads(self) -> int:
        return len(self.names) - self.writes

    @property
    def imports(self) -> int:
        return self.names.count(IMPORT)


@dataclass
class Rolling:
    """One target's steps, as a rollout makes them."""

    stand: Stand
    placed: str = ""

    def rollout(self) -> Counted:
        """Look at it, judge it, change it until that is done, and look again as the proof does."""
        counted = Counted()
        self.found = self._counting(counted, self._checked)
        self.activate(counted)
        there = self._counting(counted, lambda target: target.look())
        if there.fingerprint != self.stand.new.fingerprint:
            raise SystemExit(f"bench: {self.stand.kind} does not serve the version: {counted.names}")
        return counted

    def activate(self, counted: Counted) -> Counted:
        """Change it until that is done."""
        return self._until(counted, lambda target: target.activate(*self._new, self._keep))

    def restore(self) -> Counted:
        """Bring back what was found, until that is done."""
        return self._until(Counted(), lambda target: target.restore(*self._new, self.stand.earlier))

    @property
    def _new(self) -> tuple[Any, ...]:
        return self.found, self.stand.new, self.placed

    def _keep(self, placed: str) -> None:
        self.placed = placed

    def _checked(self, target: Target) -> Found:
        found = target.look()
        if refused := target.refusals(found, self.stand.new, self.stand.earlier):
            raise SystemExit(f"bench: {self.stand.kind} is refused: {refused}")
        return found

    def _until(self, counted: Counted, step: Callable[[Target], Any]) -> Counted:
        for _ in range(ROUNDS):
            later = self._counting(counted, step)
            if later is None:
                return counted
            self.stand.pass_time(later.seconds)
        raise SystemExit(f"bench: {self.stand.kind} asks to be called later for ever")

    def _counting(self, counted: Counted, step: Callable[[Target], Any]) -> Any:
        """What a step of a new process returns; only its own calls are counted."""
        from target_conformance import Calls, watched

        served: list[Served | None] = [self.stand.served()]
        calls = Calls(after=lambda: served.append(self.stand.served()))
        try:
            with watched(calls):
                return step(self.stand.target())
        finally:
            _add(counted, calls, served)


def _add(counted: Counted, calls: Calls, served: list[Served | None]) -> None:
    counted.names += calls.names
    counted.writes += len(calls.writes())
    counted.changes += sum(one != other for one, other in pairwise(served))


def run() -> Iterator[Result]:
    """The figures of all kinds."""
    say("one target of each kind")
    for place in PLACES:
        yield from of(place)


def of(place: Place) -> Iterator[Result]:
    """The figures of one kind."""
    with place.made() as stand:
        rolling = Rolling(stand)
        forth = rolling.rollout()
        again = rolling.activate(Counted())
        back = rolling.restore()
    yield Result(f"{place.words}: reads of a rollout", forth.reads, "calls")
    yield Result(
        f"{place.words}: writes of a rollout, imports aside", forth.writes - forth.imports, "calls", place.writes
    )
    if forth.imports:
        yield Result(f"{place.words}: imports of a rollout", forth.imports, "calls", 1)
    yield Result(f"{place.words}: calls that change what serves", forth.changes, "calls", place.changes)
    yield Result(f"{place.words}: reads of a repetition", again.reads, "calls")
    yield Result(f"{place.words}: writes of a repetition", again.writes, "calls", 0)
    yield Result(f"{place.words}: reads of the way back", back.reads, "calls")
    yield Result(f"{place.words}: writes of the way back", back.writes, "calls", place.back)
