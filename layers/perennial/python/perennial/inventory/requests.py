"""Change requests, the lists of them, and the tokens of workflows that wait for a decision.

A request is one item. Each list is a partition of pointers, sorted by id and so by time: of all requests, of a state,
of an owner, of an owner's in a state. A pointer is written before the request gets its state, and removed behind it:
who reads a list looks at the request itself, and leaves out what is no longer so. Nothing is missed, and a list reads
as much as it returns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import PutError

from perennial import audit_event
from perennial.approvals import plain
from perennial.change_request import ChangeRequest, Decision, Kind, Need, RequestState, Verdict, Wish
from perennial.errors import ConcurrentChange, InvalidInput, NotFound
from perennial.inventory import conversion
from perennial.inventory.items import Item
from perennial.inventory.managed import declared_of
from perennial.inventory.records import DueKind
from perennial.inventory.writing import condition_failed

REQUEST, TOKEN = "REQUEST", "TOKEN"
MOST = 1_000  # of one page
BEYOND = timedelta(days=90)  # a pointer lives longer than its request, which may end after its time to be decided
_APART = ("id", "state", "revision", "wish", "untold")  # have attributes of their own


class Requests:
    """The part of the inventory that change requests use."""

    def save_change_request(
        self, request: ChangeRequest, due: datetime | None, before: RequestState | None = None
    ) -> ChangeRequest:
        """Write a request as it is now; `due`: when the tick is to look at it, `before`: the state that it had, None
        for a new one. Returns it with its new revision.

        Raises: ConcurrentChange when it was written since it was read.
        """
        unchanged = Item.revision == request.revision if request.revision else Item.pk.does_not_exist()
        saved = replace(request, revision=request.revision + 1)
        if before is not saved.state:
            _list(saved, (saved.state,) if before else (None, saved.state))
        try:
            _item(saved, due).save(condition=unchanged)
        except PutError as error:
            if not condition_failed(error):
                raise
            raise ConcurrentChange(f"the request {request.id} was changed meanwhile; it is read again") from error
        if before and before is not saved.state:
            _unlist(saved, before)
        return saved

    def change_request(self, request_id: str) -> ChangeRequest:
        """A request by its id.

        Raises: NotFound.
        """
        for item in Item.query(_key(request_id[:100]), Item.sk == REQUEST, consistent_read=True):
            return _request(item)
        raise NotFound(f"there is no request {request_id[:100]!r}; perennial requests list shows what there is")

    def change_requests(
        self, *, state: RequestState | None = None, owner: str = "", position: str = "", limit: int = 50
    ) -> tuple[list[ChangeRequest], str]:
        """Requests in a state, of an owner, in both, or all; the newest first. `position` is what the page before
        returned beside it: "" at the end.

        Raises: InvalidInput.
        """
        if not 1 <= limit <= MOST:
            raise InvalidInput(f"a page has 1 to {MOST} requests")
        wanted = limit + 1  # one more says whether there are more
        found: list[ChangeRequest] = []
        while len(found) < wanted:
            ids = _ids(_listed(state, owner), position, wanted - len(found))
            found += (each for each in _read(ids) if state in (None, each.state))
            if not ids:
                return found, ""
            position = ids[-1]
        return found[:limit], found[limit - 1].id

    def keep_request_token(self, request_id: str, token: str, forget_at: datetime) -> None:
        """Keep the token by which the workflow of a request that waits is woken. It is shown nowhere."""
        expires = int(forget_at.timestamp())
        Item(_key(request_id), TOKEN, kind="request-token", content=token, expires_at=expires).save()

    def request_token(self, request_id: str) -> str:
        """The token that was kept last; "" for none."""
        for item in Item.query(_key(request_id), Item.sk == TOKEN, consistent_read=True):
            return str(item.content)
        return ""


def _key(request_id: str) -> str:
    return f"REQUEST#{request_id}"


# --- lists ---


def _listed(state: RequestState | None, owner: str) -> str:
    """The partition of a list."""
    of_owner = f"#OF#{owner[: conversion.MAX_WORD]}" if owner else ""
    return f"REQUESTS#{state or ''}{of_owner}"


def _list(request: ChangeRequest, states: tuple[RequestState | None, ...]) -> None:
    """Write its pointers in the lists of some states; the same ones again change nothing."""
    expires = int((request.forget_at + BEYOND).timestamp())
    with Item.batch_write() as batch:
        for state in states:
            for owner in ("", *request.owners):
                batch.save(Item(_listed(state, owner), request.id, kind="request-listed", expires_at=expires))


def _unlist(request: ChangeRequest, state: RequestState) -> None:
    """Remove it from the lists of a state that it has left."""
    with Item.batch_write() as batch:
        for owner in ("", *request.owners):
            batch.delete(Item(_listed(state, owner), request.id))


def _ids(partition: str, before: str, limit: int) -> list[str]:
    below: Any = Item.sk < before if before else None
    query = Item.query(partition, below, consistent_read=True, scan_index_forward=False, limit=limit, page_size=limit)
    return [item.sk for item in query]


def _read(ids: list[str]) -> Iterator[ChangeRequest]:
    """The requests of some ids, in their order, as far as there are any."""
    keys = [(_key(each), REQUEST) for each in ids]
    found = {each.id: each for each in map(_request, Item.batch_get(keys, consistent_read=True))}
    return (found[each] for each in ids if each in found)


# --- items ---


def _item(request: ChangeRequest, due: datetime | None) -> Item:
    kept = {each.name: getattr(request, each.name) for each in fields(request) if each.name not in _APART}
    lists = {name: [asdict(each) for each in kept[name]] for name in ("needs", "decisions")}
    item = Item(
        _key(request.id),
        REQUEST,
        kind="change-request",
        status=str(request.state),
        revision=request.revision,
        request=_text(asdict(request.wish)),
        content=_text({**kept, **lists}),
        progress=_text([audit_event.document(each) for each in request.untold]),
    )
    if request.state.ended:
        item.expires_at = int(request.forget_at.timestamp())
    if due:
        item.due_key = conversion.due_key(DueKind.REQUEST, request.id)
        item.due_at = conversion.due_stamp(due)
    return item


def _text(value: Any) -> str:
    return json.dumps(value, default=plain)


_TIMES = ("asked_at", "expires_at", "told_at", "approved_at", "ended_at", "forget_at")


def _request(item: Item) -> ChangeRequest:
    kept = json.loads(item.content)
    times = {name: datetime.fromisoformat(kept[name]) if kept[name] else None for name in _TIMES}
    lists: dict[str, Any] = {
        "asked_by": tuple(kept["asked_by"]),
        "needs": tuple(Need(**each) for each in kept["needs"]),
        "decisions": tuple(map(_decision, kept["decisions"])),
        "untold": tuple(map(audit_event.of, json.loads(item.progress))),
    }
    own = {"id": item.pk.removeprefix("REQUEST#"), "state": RequestState(item.status), "revision": int(item.revision)}
    return ChangeRequest(**{**kept, **times, **lists, **own, "wish": _wish(json.loads(item.request))})


def _wish(document: dict[str, Any]) -> Wish:
    declared = declared_of(document["declared"]) if document["declared"] else None
    return Wish(**{**document, "kind": Kind(document["kind"]), "declared": declared})


def _decision(document: dict[str, Any]) -> Decision:
    own = {
        "verdict": Verdict(document["verdict"]),
        "by": tuple(document["by"]),
        "fills": tuple((role, owner, environment) for role, owner, environment in document["fills"]),
        "at": datetime.fromisoformat(document["at"]),
    }
    return Decision(**{**document, **own})
