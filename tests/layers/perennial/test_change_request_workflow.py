"""The workflow of a change request: approvers are told, a decision wakes it, and whatever is lost is done again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from perennial import approvals, audit, change_request_steps, change_requests
from perennial.change_request import Kind, RequestState
from perennial.errors import (
    ConcurrentChange,
    Throttled,
    Unavailable,
)
from requesting import NOBODY, TWO, RequestingHub, requesting_hub

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def hub() -> Iterator[RequestingHub]:
    with requesting_hub() as made:
        yield made


def test_approvers_are_told_once(hub: RequestingHub) -> None:
    """The tick starts the workflow at once, under one name; asking tells the topic and the bus, once."""
    asked = hub.ask("ada", hub.create())
    (name,) = hub.tick()
    assert hub.states.started[name] == {"request": asked.id, "step": {"next": "ask", "seconds": 7 * 86_400}}
    assert name not in hub.tick()
    hub.tell(asked)
    hub.tell(asked, "token-2")
    (message,) = hub.messages()
    assert message["Subject"] == "Approval wanted: create shop"
    assert f"perennial approve {asked.id}" in message["Message"]
    assert hub.request(asked).told_at == hub.now
    assert [each.action for each in hub.events()].count("approval.ask") == 1


def test_the_link_to_the_page(hub: RequestingHub) -> None:
    """It leads to the deployment's own page, to that of `[api] page` where one is named, and has the id in a part that
    no server sees."""
    environment: Any = hub.hub.environment
    environment["PERENNIAL_PAGE"] = "https://a.example/v1/page"
    for own, url in (("", "https://a.example/v1/page"), ("https://c.example.com", "https://c.example.com")):
        api = replace(hub.hub.settings.api, page=own)
        hub.hub.__dict__["settings"] = replace(hub.hub.settings, api=api)
        asked = hub.ask("ada", hub.create())
        hub.tell(asked)
        assert f"Sign in to decide: {url}#request={asked.id}" in hub.messages()[-1]["Message"].splitlines()


def test_a_decision_wakes_the_workflow(hub: RequestingHub) -> None:
    """The token that was kept last is sent back, when nobody more is needed, and with nothing but the state."""
    hub.settings(TWO)
    asked = hub.ask("ada", hub.create())
    hub.tell(asked, "token-1")
    hub.tell(asked, "token-2")
    hub.approve("bob", asked)
    assert hub.states.woken == []
    hub.approve("sue", asked)
    assert hub.states.woken == [("token-2", '{"state": "approved"}')]


def test_a_workflow_that_asks_too_late_wakes_itself(hub: RequestingHub) -> None:
    """Where the decision came before the token, whoever keeps the token sees the decision, and tells nobody."""
    asked = hub.ask("ada", hub.create())
    hub.approve("bob", asked)
    hub.tell(asked)
    assert hub.states.woken == [("token-1", '{"state": "approved"}')]
    assert hub.messages() == []


@pytest.mark.parametrize("token", ["", "gone"])
def test_a_token_that_is_lost_hinders_nothing(hub: RequestingHub, token: str) -> None:
    """Without a token, or with one of a workflow that is over, the next tick starts another workflow."""
    asked = hub.ask("ada", hub.create())
    hub.tick()
    if token:
        hub.tell(asked, token)
        hub.states.gone.add(token)
    assert hub.approve("bob", asked).state is RequestState.APPROVED
    hub.pass_time(2 * approvals.SOON)
    (name,) = hub.tick()
    assert hub.states.started[name]["step"]["next"] == "apply"


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What was logged of what is done later: the line, and what it names."""
    found = (each for each in caplog.records if each.name == "perennial.postponed")
    return [{"line": each.getMessage(), **{name: each.__dict__[name] for name in NAMED}} for each in found]


NAMED = ("request", "reason", "error")


def test_a_workflow_that_is_not_woken_is_logged(hub: RequestingHub, caplog: pytest.LogCaptureFixture) -> None:
    """The line names the request and what Step Functions said, without the token that it repeats."""
    asked = hub.ask("ada", hub.create())
    hub.tell(asked, "very-secret-token")
    hub.states.gone.add("very-secret-token")
    hub.approve("bob", asked)
    (line,) = logged(caplog)
    assert (line["request"], line["reason"]) == (asked.id, "refused")
    assert "the task (withheld) is over" in line["error"]
    assert "waking the workflow of a request" in line["line"]


def test_a_token_that_cannot_be_read_is_no_failure_of_the_decision(
    hub: RequestingHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who approves is told that it is approved, whatever the table says of the token; the tick finds the request."""

    def broken(*_: Any) -> str:
        raise Unavailable("no answer")

    asked = hub.ask("ada", hub.create())
    monkeypatch.setattr(type(hub.inventory), "request_token", broken)
    assert hub.approve("bob", asked).state is RequestState.APPROVED
    assert [each["error"] for each in logged(caplog)] == ["no answer"]
    hub.pass_time(2 * approvals.SOON)
    assert len(hub.tick()) == 1


def test_what_cannot_be_applied_at_once_is_logged(
    hub: RequestingHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is asked and approved, stays due for the tick, and the line names it and the error's message."""

    def broken(*_: Any) -> None:
        raise Throttled("slow down")

    hub.settings(NOBODY)
    monkeypatch.setitem(change_request_steps._DO, Kind.CREATE, broken)
    asked = hub.ask("ada", hub.create())
    assert asked.state is RequestState.APPROVED
    assert [(each["request"], each["reason"], each["error"]) for each in logged(caplog)] == [
        (asked.id, "throttled", "slow down")
    ]
    hub.pass_time(2 * approvals.SOON)
    assert len(hub.tick()) == 1


def test_a_workflow_that_died_is_followed_by_another(hub: RequestingHub) -> None:
    """Where nobody was told within half an hour, or a request is left behind its end, the tick starts anew."""
    asked = hub.ask("ada", hub.create())
    hub.tick()
    hub.pass_time(timedelta(minutes=31))
    assert len(hub.tick()) == 1
    hub.tell(asked)
    hub.pass_time(6 * DAY)
    assert hub.tick() == []
    hub.pass_time(DAY)
    (name,) = hub.tick()
    assert hub.states.started[name]["step"]["next"] == "expire"


def test_the_token_is_shown_nowhere(hub: RequestingHub, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the request, nor the trail, nor a log, nor an error has it."""
    asked = hub.ask("ada", hub.create())
    hub.tell(asked, "very-secret-token")
    hub.states.gone.add("very-secret-token")
    found = hub.approve("bob", asked)
    logs = [each.__dict__ for each in caplog.records]
    assert "very-secret-token" not in repr([found, hub.events(), hub.messages(), caplog.text, logs])


def test_the_trail_may_be_late(
    hub: RequestingHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the trail takes nothing now, the decision stands and is logged, and the event is brought in later, once."""
    asked = hub.ask("ada", hub.create())
    append = audit.append

    def broken(*_: Any) -> Any:
        raise Throttled("not now")

    monkeypatch.setattr(audit, "append", broken)
    approved = hub.approve("bob", asked)
    assert approved.state is RequestState.APPROVED
    assert len(approved.untold) == 1
    assert (asked.id, "not now") in [(each["request"], each["error"]) for each in logged(caplog)]
    monkeypatch.setattr(audit, "append", append)
    hub.pass_time(2 * HOUR)
    assert hub.apply(asked).state is RequestState.DONE
    assert [each.action for each in hub.events()].count("approval.approve") == 1


def test_others_decide_at_the_same_time(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two approvals at once are both kept; where others write all the time, it is said."""
    hub.settings(TWO)
    asked = hub.ask("ada", hub.create())
    read, first = type(hub.inventory).change_request, [True]

    def meanwhile(inventory: Any, request_id: str) -> Any:
        found = read(inventory, request_id)
        if first and first.pop():
            hub.approve("sue", asked)
        return found

    monkeypatch.setattr(type(hub.inventory), "change_request", meanwhile)
    assert hub.approve("bob", asked).state is RequestState.APPROVED
    assert {each.name for each in hub.request(asked).decisions} == {"bob", "sue"}


def test_where_others_write_all_the_time_it_is_said(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some attempts the caller is asked to come again."""
    asked = hub.ask("ada", hub.create())
    tried: list[int] = []

    def changed(*_: Any) -> Any:
        tried.append(1)
        raise ConcurrentChange("again and again")

    monkeypatch.setattr(change_requests, "keep", changed)
    with pytest.raises(ConcurrentChange):
        hub.approve("bob", asked)
    assert len(tried) == change_requests.TRIES


def test_an_end_that_another_one_wrote_counts(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two apply at once, both see that it is done."""
    asked = hub.ask("ada", hub.create())
    hub.approve("bob", asked)
    before = hub.request(asked)
    assert hub.apply(asked).state is RequestState.DONE
    monkeypatch.setattr(change_request_steps, "settle", lambda *_: before)
    assert hub.apply(asked).state is RequestState.DONE
    assert [each.action for each in hub.events()].count("request.change") == 1
