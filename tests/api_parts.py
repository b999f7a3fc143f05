"""Change requests and exceptions as far as the API's own tests need them: the functions that the API calls, which keep
what they are called with, and records of the shape that they return.

They stand in the place of `perennial.change_requests`, `perennial.exceptions` and the questions of the inventory about
them, so that a test of the API is about the API alone: what it asks of whom, and what it answers.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import ModuleType
from typing import Any

import pytest

import perennial
from estate import NOW
from perennial.errors import NotFound
from perennial.inventory.store import Inventory

WAITING_ID, FOREIGN_ID, MISSING_ID = "0" * 31 + "1", "0" * 31 + "2", "0" * 32
DIGEST = "d" * 64
ASKER = "arn:aws:iam::123456789012:role/asker"


class Kind(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    RETIRE = "retire"
    REVOKE = "revoke"
    RENEW = "renew"


class RequestState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    DONE = "done"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True)
class Wish:
    kind: Any
    managed: str
    declared: Any = None
    version: int = 0
    why: str = ""
    force: bool = False
    revision: int = 0


@dataclass(frozen=True, kw_only=True)
class Need:
    role: str
    people: int
    owner: str = ""
    environment: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A change request."""

    id: str
    owner: str
    environment: str
    wish: Wish = Wish(kind=Kind.RENEW, managed="shop")
    digest: str = DIGEST
    asked_by: tuple[str, ...] = (ASKER,)
    principal: str = ASKER
    asked_name: str = "asker"
    asked_at: datetime = NOW
    reason: str = "it is time"
    needs: tuple[Need, ...] = ()
    decisions: tuple[Any, ...] = ()
    state: RequestState = RequestState.WAITING
    message: str = ""
    expires_at: datetime = NOW + timedelta(days=7)
    ended_at: datetime | None = None
    revision: int = 1


class ExceptionState(StrEnum):
    ASKED = "asked"
    ACTIVE = "active"
    REJECTED = "rejected"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Selection:
    fingerprint: str = ""
    name: str = ""
    subtree: bool = False
    owner: str = ""
    resource: str = ""
    account: str = ""
    region: str = ""
    managed: str = ""

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, kw_only=True)
class AskedException:
    rule: str
    selection: Selection
    reason: str
    owner: str
    ends: datetime


@dataclass(frozen=True, kw_only=True)
class Suspended:
    """An exception."""

    id: str
    owner: str
    environment: str = ""
    rule: str = "keys.weak"
    selection: Selection = Selection(name="shop.example.com")
    reason: str = "a printer"
    ends: datetime = NOW + timedelta(days=30)
    asked_by: tuple[str, ...] = (ASKER,)
    asked_name: str = "asker"
    asked_at: datetime = NOW
    state: ExceptionState = ExceptionState.ASKED
    decided_name: str = ""
    decided_at: datetime | None = None
    decision: str = ""
    ended_name: str = ""
    ended_at: datetime | None = None
    ended_why: str = ""
    revision: int = 1

    @property
    def position(self) -> str:
        return f"{self.asked_at:%Y-%m-%dT%H:%M:%S.%fZ}#{self.id}"


@dataclass
class Parts:
    """What there is, and what was called: (function, what it was given)."""

    requests: dict[str, Asked] = field(default_factory=dict)
    exceptions: dict[str, Suspended] = field(default_factory=dict)
    called: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def hold(self, owner: str, environment: str, foreign: str) -> None:
        """One of each of a team, and one of another."""
        for name, team in ((WAITING_ID, owner), (FOREIGN_ID, foreign)):
            need = Need(role="owner", people=1, owner=team, environment=environment)
            self.requests[name] = Asked(id=name, owner=team, environment=environment, needs=(need,))
            self.exceptions[name] = Suspended(id=name, owner=team, environment=environment)

    def ask(self, hub: Any, person: Any, wish: Any, **more: Any) -> Asked:
        self.called.append(("ask", {"person": person, "wish": wish, **more}))
        declared = wish.declared
        owner = declared.request.owner if declared else "shop-team"
        made = Asked(id=f"{len(self.called):032x}", owner=owner, environment="production", wish=wish)
        self.requests[made.id] = made
        return made

    def decide(self, name: str, state: Any) -> Any:
        def decided(hub: Any, person: Any, record: Any, **more: Any) -> Any:
            self.called.append((name, {"person": person, "record": record, **more}))
            return replace(record, state=state, revision=record.revision + 1)

        return decided

    def ask_exception(self, hub: Any, person: Any, asked: Any, **more: Any) -> Suspended:
        self.called.append(("ask_exception", {"person": person, "asked": asked, **more}))
        return Suspended(id="e" * 32, owner=asked.owner, selection=asked.selection)


def _page(kept: Any, position: str, limit: int, fits: Any) -> tuple[list[Any], str]:
    found = [each for each in sorted(kept, key=lambda each: each.id, reverse=True) if fits(each)]
    behind = [each for each in found if not position or each.id < position.rpartition("#")[2]]
    last = getattr(behind[limit - 1], "position", behind[limit - 1].id) if len(behind) > limit else ""
    return behind[:limit], last


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Put the parts in their places."""
    parts = Parts()
    requests = {"Kind": Kind, "RequestState": RequestState, "Wish": Wish}
    _module(monkeypatch, "change_request", requests)
    decisions = {
        name: parts.decide(name, state)
        for name, state in (
            ("approve", RequestState.APPROVED),
            ("reject", RequestState.REJECTED),
            ("withdraw", RequestState.WITHDRAWN),
        )
    }
    _module(monkeypatch, "change_requests", {**requests, "ask": parts.ask, **decisions})
    _module(monkeypatch, "exception_selection", {"Selection": Selection})
    _module(monkeypatch, "exception_record", {"AskedException": AskedException, "ExceptionState": ExceptionState})
    ends = {
        name: parts.decide(f"{name}_exception", state)
        for name, state in (
            ("grant", ExceptionState.ACTIVE),
            ("reject", ExceptionState.REJECTED),
            ("end", ExceptionState.ENDED),
        )
    }
    _module(monkeypatch, "exceptions", {"ask": parts.ask_exception, **ends})

    def one(kept: dict[str, Any]) -> Any:
        def read(_: Any, name: str) -> Any:
            if name not in kept:
                raise NotFound(f"there is no {name}")
            return kept[name]

        return read

    def change_requests(_: Any, *, state: Any, owner: str, position: str, limit: int) -> Any:
        def fits(each: Asked) -> bool:
            owners = ("", each.owner, *(need.owner for need in each.needs))
            return (state is None or str(each.state) == str(state)) and owner in owners

        return _page(parts.requests.values(), position, limit, fits)

    def exceptions(_: Any, state: Any, position: str, limit: int, fits: Any) -> Any:
        def wanted(each: Suspended) -> bool:
            return (state is None or str(each.state) == str(state)) and bool(fits(each))

        return _page(parts.exceptions.values(), position, limit, wanted)

    for name, function in {
        "change_request": one(parts.requests),
        "change_requests": change_requests,
        "exception": one(parts.exceptions),
        "exceptions": exceptions,
    }.items():
        monkeypatch.setattr(Inventory, name, function, raising=False)
    return parts


def _module(monkeypatch: pytest.MonkeyPatch, name: str, members: dict[str, Any]) -> None:
    module = ModuleType(f"perennial.{name}")
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, f"perennial.{name}", module)
    monkeypatch.setattr(perennial, name, module, raising=False)
