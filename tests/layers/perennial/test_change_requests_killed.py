"""Whoever asks, decides, tells or applies dies at each call to AWS, before or behind it: what follows finishes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from copies import in_copies
from declaring import declared
from perennial import approvals
from perennial.change_request import ChangeRequest, Kind, RequestState, Wish
from perennial.inventory.records import DueKind
from requesting import RequestingHub, quick_hub

TWO = "[approvals.rules.two]\nneeds = { owner = 1, security = 1 }\n"
ROUND = timedelta(minutes=31)  # behind which the tick takes a workflow for dead
T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: nothing of it catches this."""


@dataclass
class Mortal:
    """Processes, each of which may die at one of its calls to AWS: before it, or behind it."""

    now: Callable[[], bool]
    after: bool
    acts: bool = False

    def __call__(self, act: Callable[..., T], *given: Any) -> T | None:
        """What a process does, or None where it dies."""
        self.acts = True
        try:
            return act(*given)
        except Killed:
            return None
        finally:
            self.acts = False

    def around(self, name: str, send: Callable[[], Any]) -> Any:
        if not (self.acts and self.now()):
            return send()
        if self.after:
            send()
        raise Killed


@dataclass
class Workflows:
    """The executions that the tick starts, run as the state machine runs them. One that dies stays dead."""

    hub: RequestingHub
    mortal: Mortal
    waiting: dict[str, str] = field(default_factory=dict)  # token → request
    seen: set[str] = field(default_factory=set)

    def run(self) -> None:
        for name in sorted(set(self.hub.states.started) - self.seen):
            self.seen.add(name)
            given = self.hub.states.started[name]
            if "request" in given:
                self.mortal(self._go, given["request"], given["step"]["next"], name)
        for token, _ in self.hub.states.woken:
            request = self.waiting.pop(token, "")
            if request:
                self.mortal(self.hub.apply, self.hub.inventory.change_request(request))

    def _go(self, request: str, step: str, token: str) -> None:
        while step == "apply":
            step = approvals.step(self.hub.apply(self.hub.inventory.change_request(request)), self.hub.now).next
        if step == "ask":
            self.hub.tell(self.hub.inventory.change_request(request), token)
            self.waiting[token] = request


def live(hub: RequestingHub, asked_for: Wish, mortal: Mortal) -> ChangeRequest:
    """Someone asks until there is a request; approvers approve what waits; the tick comes; until all is done."""
    workflows = Workflows(hub, mortal)
    for _ in range(12):
        found = hub.inventory.change_requests()[0]
        if not found:
            mortal(hub.ask, "ada", asked_for)
            continue
        (request,) = found
        mortal(hub.tick)
        workflows.run()
        for who in ("bob", "sue"):
            known = hub.request(request)
            if known.state is RequestState.WAITING and who not in {each.name for each in known.decisions}:
                mortal(hub.approve, who, request)
        workflows.run()
        hub.pass_time(ROUND)
    return hub.request(request)


def life(now: Callable[[], bool], kind: Kind, *, after: bool) -> str:
    """One request from its asking to its end, and what must hold then."""
    with quick_hub(TWO) as hub:
        wish = hub.create() if kind is Kind.CREATE else Wish(kind=kind, managed="shop")
        if kind is not Kind.CREATE:
            hub.declared(declared())
            hub.pass_time(ROUND)
        mortal = Mortal(now, after)
        assert hub.table and hub.calls
        hub.table.around = hub.calls.around = mortal.around
        ended = live(hub, wish, mortal)
        assert ended.state is RequestState.DONE, ended
        assert ended.untold == ()
        record = hub.inner.record()
        at = {Kind.CREATE: record.declared_at, Kind.RETIRE: record.removed_at, Kind.RENEW: record.forced_at}[kind]
        assert at == ended.approved_at, "it is applied as of the approval, once"
        counted = Counter(each.action for each in hub.events() if each.outcome == "done")
        told = counted.pop("approval.ask", 0)  # none where both decide before anyone could tell them
        assert counted == {"request.create": 1, "approval.approve": 2, "request.change": 1}
        assert told <= len(hub.messages()) <= 2, "they are told again only where nobody knows whether they were"
        assert [each.id for each in hub.inventory.change_requests(state=RequestState.DONE)[0]] == [ended.id]
        for other in (RequestState.WAITING, RequestState.APPROVED):
            assert hub.inventory.change_requests(state=other)[0] == []
        assert list(hub.inventory.due(DueKind.REQUEST, hub.now + timedelta(days=30), 10)) == []
        return str(ended.state)


@pytest.mark.parametrize("after", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("kind", [Kind.CREATE, Kind.RETIRE, Kind.RENEW])
def test_whoever_dies_is_followed(kind: Kind, after: bool) -> None:
    """At each call of a whole request one process dies; the request is done once, with one event for each change."""
    ends = in_copies(lambda now: life(now, kind, after=after))
    assert len(ends) > 40
    assert set(ends) == {"done"}
