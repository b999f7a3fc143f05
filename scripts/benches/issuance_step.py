"""One step of an order in a process of its own: it knows what is in a file, and leaves there what comes of it."""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benches import child, issuance_client
from benches.issuance_client import MOST_STEPS, Place
from perennial.issuers.interface import Ask, Issued, Present


@dataclass(frozen=True, kw_only=True)
class State:
    """What is kept between two steps. `done` says what the last one ended with."""

    place: Place
    ask: str  # id
    names: tuple[str, ...]
    csr: str  # base64
    order: str = ""
    shown: tuple[str, ...] = ()
    done: str = ""

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> State:
        found = json.loads(file.read_text())
        place, names, shown = Place(**found.pop("place")), tuple(found.pop("names")), tuple(found.pop("shown"))
        return cls(place=place, names=names, shown=shown, **found)

    def wanted(self) -> Ask:
        """What is asked for."""
        return issuance_client.ask(self.ask, self.names, b64decode(self.csr))


def step(file: Path) -> None:
    """Go on with the order in the file."""
    state, kept = State.read(file), []
    asked = issuance_client.deployed(state.place)
    outcome = asked(state.wanted(), state.order, bool(state.shown), kept.append)
    shown = state.shown
    if isinstance(outcome, Present):
        for each in outcome.challenges:
            state.place.show(each.where, each.value)
        shown = tuple(each.where for each in outcome.challenges)
    changed = {"order": kept[-1] if kept else state.order, "shown": shown, "done": type(outcome).__name__}
    State(place=state.place, ask=state.ask, names=state.names, csr=state.csr, **changed).write(file)


def issue(place: Place, file: Path, names: Sequence[str], settle: Callable[[], object]) -> int:
    """One certificate, each step in a process of its own; `settle` returns when the CA has done what it was asked for.
    Returns the number of processes."""
    ask = issuance_client.ask_for(names)
    State(place=place, ask=ask.id, names=ask.names, csr=b64encode(ask.csr).decode()).write(file)
    for number in range(1, MOST_STEPS + 1):
        child.module("benches.issuance_step", str(file), environment={}).fine()
        state = State.read(file)
        if state.done == Issued.__name__:
            for name in state.shown:
                place.hide(name)
            return number
        settle()
    raise SystemExit(f"bench: {names[0]} was not issued after {MOST_STEPS} processes")


if __name__ == "__main__":
    step(Path(sys.argv[1]))
