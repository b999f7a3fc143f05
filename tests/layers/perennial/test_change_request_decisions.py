"""Any sequence of what people and the workflow do: nothing is applied without its people, and nothing twice."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from declaring import declared
from perennial import change_request_steps
from perennial.change_request import ChangeRequest, Kind, RequestState, Verdict, Wish
from perennial.errors import InvalidInput, NotAllowed, NotFound, PreconditionFailed
from requesting import ALL, RequestingHub, quick_hub

RULES = """
[approvals.rules.usual]
kinds = ["create", "change", "retire"]
needs = { owner = 1, security = 1 }
[approvals.rules.renewals]
kinds = ["renew"]
needs = { security = 1 }
"""
HUMANS = {name: name.removesuffix("-at-work") for name in ALL}  # who is behind each identity
TEAM = {"ada", "ada-at-work", "bob", "ben", "both"}  # approvers of shop, as the table of people has them
GUARDS = {"ada-at-work", "both", "sue", "sid"}
SEATS = {Kind.RENEW: [GUARDS]}  # whom each kind needs; all others one of the team and one of security
USUAL = [TEAM, GUARDS]
REFUSALS = (NotAllowed, InvalidInput, NotFound, PreconditionFailed)
people = st.sampled_from(sorted(ALL))
deciders = st.sampled_from(["bob", "ben", "both", "sue", "ada", "ada-at-work", "eve"])
WISHES = ["create", "change", "retire", "renew", "hand over"]
ACTS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(["abel", "ada", "max", "otto"]), st.sampled_from(WISHES)),
    st.tuples(st.just("approve"), deciders, st.integers(0, 1)),
    st.tuples(st.just("approve"), deciders, st.integers(0, 3)),
    st.tuples(st.just("apply"), st.just(""), st.integers(0, 1)),
    st.tuples(st.sampled_from(["apply", "expire", "tell"]), st.just(""), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 60, 60, 5_000])),  # minutes
    st.tuples(st.sampled_from(["ask", "reject", "withdraw", "approve what was not seen"]), people, st.just(0)),
    st.tuples(st.just("declare"), st.just(""), st.sampled_from(["a", "b"])),
)


@dataclass
class Acting:
    """The hub, and how often each request was applied."""

    hub: RequestingHub
    asked: list[ChangeRequest] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def act(self, what: str, who: str, which: Any) -> None:
        with suppress(*REFUSALS):
            self._act(what, who, which)

    def _act(self, what: str, who: str, which: Any) -> None:
        if what == "ask":
            self.asked.append(self.hub.ask(who, self._wish(which or "create")))
        elif what == "declare":
            self.hub.declared(declared(service=which))
        elif what == "wait":
            self.hub.pass_time(timedelta(minutes=which))
        elif self.asked:
            self._on(what, who, self.asked[which % len(self.asked)])

    def _on(self, what: str, who: str, asked: ChangeRequest) -> None:
        if what == "approve what was not seen":
            self.hub.approve(who, asked, digest="0" * 64)
        elif what in ("approve", "reject", "withdraw"):
            getattr(self.hub, what)(who, asked)
        else:
            getattr(self.hub, what)(asked)

    def _wish(self, what: str) -> Wish:
        if what == "create":
            return self.hub.create()
        if what == "change":
            return self.hub.change(service=f"asked {len(self.asked)}")
        if what == "hand over":
            return self.hub.change(owner="bank")
        return Wish(kind=Kind(what), managed="shop")

    def judge(self) -> None:
        """What holds at every moment."""
        for each in self.asked:
            known = self.hub.request(each)
            applied = self.done[each.id]
            assert applied == (known.state is RequestState.DONE), "it is applied once, and says so"
            approved = [one.name for one in known.decisions if one.verdict is Verdict.APPROVED]
            if known.state in (RequestState.APPROVED, RequestState.DONE) or applied:
                assert _enough(known, approved), f"{known.wish.kind} by {known.asked_name} with {approved}"
            assert HUMANS[known.asked_name] not in {HUMANS[name] for name in approved}
            assert len({HUMANS[name] for name in approved}) == len(approved), "a person decides once"


def _enough(known: ChangeRequest, approved: list[str]) -> bool:
    """Whether each place can have a person of its own who has its role: by trying all."""
    if any(each.owner == "bank" for each in known.needs):
        return len(approved) == sum(each.people for each in known.needs)
    seats = SEATS.get(known.wish.kind, USUAL)
    others = {name for name in approved if HUMANS[name] != HUMANS[known.asked_name]}
    ways = permutations(sorted(others), len(seats))
    return any(all(name in seat for name, seat in zip(way, seats, strict=True)) for way in ways)


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTS, min_size=12, max_size=60))
def test_nothing_is_applied_without_its_people(acts: list[tuple[str, str, Any]]) -> None:
    """Whoever does whatever, in whatever order: what is applied has its people, one in each place, and is so once."""
    with quick_hub(RULES) as hub, pytest.MonkeyPatch.context() as patched:
        acting = Acting(hub)
        for kind, do in list(change_request_steps._DO.items()):
            patched.setitem(change_request_steps._DO, kind, _counted(acting, do))
        acting.act("ask", "abel", "create")
        for each in acts:
            acting.act(*each)
            acting.judge()
        for each in acting.asked:
            event(f"{each.wish.kind} ends {hub.request(each).state}")


def _counted(acting: Acting, do: Any) -> Any:
    def done(hub: Any, request: ChangeRequest, now: Any) -> None:
        do(hub, request, now)
        acting.done[request.id] += 1

    return done
