"""Asking for changes and deciding on them: what is applied, what is refused, and what the audit trail says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from declaring import declared, serving
from perennial import approvals, change_requests
from perennial.change_request import Kind, RequestState, Wish
from perennial.errors import (
    InvalidInput,
    NotAllowed,
    NotFound,
    PreconditionFailed,
    RateLimited,
    ServiceRefused,
    Throttled,
)
from perennial.inventory.records import ManagedState
from requesting import ALL, NOBODY, TWO, RequestingHub, requesting_hub, revoking

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def hub() -> Iterator[RequestingHub]:
    with requesting_hub() as made:
        yield made


def test_one_approver(hub: RequestingHub) -> None:
    """A new certificate waits for an approver of the team; approved, it is applied, and declared by who asked."""
    asked = hub.ask("ada", hub.create())
    assert asked.state is RequestState.WAITING
    assert hub.inventory.find_managed("shop") is None
    approved = hub.approve("bob", asked, reason="fine")
    assert approved.state is RequestState.APPROVED
    assert hub.inventory.find_managed("shop") is None
    assert hub.apply(asked).state is RequestState.DONE
    record = hub.inner.record()
    assert (record.declared, record.declared_by) == (declared(), ALL["ada"].principal)
    assert record.due_at is not None
    assert hub.request(asked).ended_at == hub.now


def test_two_people(hub: RequestingHub) -> None:
    """Where the team and security are needed, neither alone is enough, in whatever order they come."""
    hub.settings(TWO)
    for first, second in (("bob", "sue"), ("sue", "bob"), ("both", "bob"), ("bob", "both")):
        name = f"{first}-{second}"
        asked = hub.ask("ada", hub.create(name))
        assert hub.approve(first, asked).state is RequestState.WAITING
        assert hub.apply(asked).state is RequestState.WAITING
        assert hub.approve(second, asked).state is RequestState.APPROVED
        assert hub.apply(asked).state is RequestState.DONE


def test_nobody_is_needed(hub: RequestingHub) -> None:
    """Where a rule says so, a wish is applied as it is asked."""
    hub.settings(NOBODY)
    asked = hub.ask("ada", hub.create())
    assert asked.state is RequestState.DONE
    assert hub.inner.record().declared == declared()
    assert hub.tick() == []


def test_a_change_touches_nothing_else(hub: RequestingHub) -> None:
    """One certificate is changed; what else is declared stays as it is."""
    for each in ("shop", "blog"):
        hub.declared(declared(each))
    before = hub.inner.record("blog")
    asked = hub.ask("ada", hub.change(service="the shop"))
    hub.approve("bob", asked)
    hub.apply(asked)
    assert hub.inner.record().declared.service == "the shop"
    assert hub.inner.record("blog") == before


def test_retiring(hub: RequestingHub) -> None:
    """A certificate that is to be retired is removed from what is declared, and nothing else is."""
    for each in ("shop", "blog"):
        hub.declared(declared(each))
    asked = hub.ask("otto", Wish(kind=Kind.RETIRE, managed="shop"))
    hub.approve("bob", asked)
    hub.pass_time(HOUR)
    assert hub.apply(asked).state is RequestState.DONE
    assert hub.inner.record().state is ManagedState.REMOVING
    assert hub.inner.record("blog").removed_at is None


@pytest.mark.parametrize("force", [False, True])
def test_renewing_needs_nobody(hub: RequestingHub, force: bool) -> None:
    """A renewal is forced at once, urgent where that is asked."""
    hub.declared(declared())
    asked = hub.ask("otto", Wish(kind=Kind.RENEW, managed="shop", force=force))
    assert asked.state is RequestState.DONE
    record = hub.inner.record()
    assert (record.forced_at, record.forced_by, record.urgent) == (hub.now, ALL["otto"].principal, force)


def test_a_renewal_that_was_done_is_not_done_again(hub: RequestingHub) -> None:
    """Whoever applies a renewal a second time finds it forced, or renewed since, and forces nothing."""
    hub.declared(declared())
    asked = hub.ask("otto", Wish(kind=Kind.RENEW, managed="shop"))
    again = replace(hub.request(asked), state=RequestState.APPROVED)
    for known in ({"forced_at": hub.now + HOUR}, {"forced_at": None, "serving": serving(2)}):
        hub.inventory.save_managed(replace(hub.inner.record(), **known))
        before = hub.inner.record()
        again = hub.inventory.save_change_request(replace(again, state=RequestState.APPROVED), None, RequestState.DONE)
        assert hub.apply(again).state is RequestState.DONE
        assert hub.inner.record() == before
        again = hub.request(again)


def test_revoking_is_of_the_version_that_was_seen(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What served at the asking is revoked, though another version serves by the time of the approval."""
    revoked = revoking(hub, monkeypatch)
    asked = hub.ask("sue", Wish(kind=Kind.REVOKE, managed="shop", why="key-compromise"))
    assert asked.wish.version == 3
    hub.inventory.save_managed(replace(hub.inner.record(), serving=serving(4)))
    hub.approve("bob", asked)
    assert hub.apply(asked).state is RequestState.DONE
    assert revoked == [("shop", "key-compromise", ALL["sue"].principal, 3)]


def test_revoking_is_left_to_the_workflow(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody is needed, a revocation waits for the tick all the same: who answers people talks to no CA."""
    hub.settings(NOBODY)
    revoked = revoking(hub, monkeypatch)
    asked = hub.ask("sue", Wish(kind=Kind.REVOKE, managed="shop", why="superseded"))
    assert (asked.state, revoked) == (RequestState.APPROVED, [])
    hub.pass_time(2 * approvals.SOON)
    (name,) = hub.tick()
    assert hub.states.started[name]["step"]["next"] == "apply"


@pytest.mark.parametrize("error", [Throttled("slow"), RateLimited("much", retry_after=60)])
def test_what_passes_is_tried_again(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A CA that has no time leaves the request approved, and due."""
    revoking(hub, monkeypatch, error)
    asked = hub.ask("sue", Wish(kind=Kind.REVOKE, managed="shop", why="superseded"))
    hub.approve("bob", asked)
    with pytest.raises(type(error)):
        hub.apply(asked)
    assert hub.request(asked).state is RequestState.APPROVED
    hub.pass_time(2 * approvals.SOON)
    assert len(hub.tick()) == 1


def test_what_does_not_pass_is_a_failure(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CA that refuses ends the request as failed, with its words, in the trail too."""
    revoking(hub, monkeypatch, ServiceRefused("do it at the CA"))
    asked = hub.ask("sue", Wish(kind=Kind.REVOKE, managed="shop", why="superseded"))
    hub.approve("bob", asked)
    failed = hub.apply(asked)
    assert (failed.state, failed.failure, failed.message) == (RequestState.FAILED, "refused", "do it at the CA")
    (event,) = (each for each in hub.events() if each.action == "request.change")
    assert (event.outcome, event.reason, event.request) == ("refused", "do it at the CA", asked.id)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no: Bearer abcdefghijklmnopqrstuvwxyz0123456789", "(withheld: looks like a secret)"),
        ("no\x1b[2J\x00", "no [2J"),
        ("one\ntwo", "one two"),
        ("", "refused"),
    ],
)
def test_words_that_no_trail_takes_end_it_too(
    hub: RequestingHub, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    """Whatever a CA says as it refuses, the request has failed: it is not applied again and again."""
    revoked = revoking(hub, monkeypatch, ServiceRefused(said))
    asked = hub.ask("sue", Wish(kind=Kind.REVOKE, managed="shop", why="superseded"))
    hub.approve("bob", asked)
    assert hub.apply(asked).state is RequestState.FAILED
    (event,) = (each for each in hub.events() if each.action == "request.change")
    assert event.reason.strip() == told
    hub.pass_time(2 * HOUR)
    assert (hub.tick(), len(revoked)) == ([], 1)


def test_a_refusal_is_in_the_trail_whatever_one_calls_oneself(hub: RequestingHub) -> None:
    """A name that looks like a token hides no refusal: the name is withheld, and all else is told."""
    asked = hub.ask("ada", hub.create())
    hidden = replace(ALL["eve"], name="Bearer abcdefghijklmnopqrstuvwxyz0123456789")
    with pytest.raises(NotAllowed):
        change_requests.reject(hub.hub, hidden, asked, reason="no", source="api", now=hub.now)
    with pytest.raises(NotAllowed):
        change_requests.ask(hub.hub, hidden, hub.create("other"), reason="", source="api", now=hub.now)
    refused = [each for each in hub.events() if each.outcome == "refused"]
    assert {(each.action, each.principal) for each in refused} == {
        (action, hidden.principal) for action in ("approval.reject", "request.create")
    }


# --- who may ask ---

MAY_ASK: dict[str, tuple[str, Kind, bool]] = {
    "a requester creates": ("abel", Kind.CREATE, True),
    "a viewer creates": ("vic", Kind.CREATE, False),
    "a requester of another team creates": ("eve", Kind.CREATE, False),
    "an approver creates": ("bob", Kind.CREATE, False),
    "an operator creates": ("otto", Kind.CREATE, False),
    "an operator retires": ("otto", Kind.RETIRE, True),
    "a requester renews": ("abel", Kind.RENEW, True),
    "an approver renews": ("bob", Kind.RENEW, False),
    "security retires": ("sue", Kind.RETIRE, False),
}


@pytest.mark.parametrize("case", MAY_ASK)
def test_who_may_ask(hub: RequestingHub, case: str) -> None:
    """As the table of roles says; a refusal is in the trail, and leaves no request."""
    who, kind, allowed = MAY_ASK[case]
    wish = hub.create() if kind is Kind.CREATE else Wish(kind=kind, managed="shop")
    if kind is not Kind.CREATE:
        hub.declared(declared())
    if allowed:
        assert hub.ask(who, wish).state in (RequestState.WAITING, RequestState.DONE)
        return
    with pytest.raises(NotAllowed, match="needs the role"):
        hub.ask(who, wish)
    assert hub.inventory.change_requests() == ([], "")
    assert hub.told() == [("request.create", "refused")]
    assert hub.events()[0].subject == "shop"


def test_a_certificate_is_handed_over_by_both_teams(hub: RequestingHub) -> None:
    """Who hands a certificate to another team must be of both, and approvers of both approve."""
    hub.declared(declared())
    over = hub.change(owner="bank")
    with pytest.raises(NotAllowed, match="bank"):
        hub.ask("abel", over)
    asked = hub.ask("max", over)
    assert set(asked.owners) == {"shop", "bank"}
    assert hub.approve("bob", asked).state is RequestState.WAITING
    assert hub.approve("eve", asked).state is RequestState.APPROVED
    assert hub.apply(asked).state is RequestState.DONE
    assert hub.inner.record().declared.request.owner == "bank"


def test_a_name_is_not_taken_over(hub: RequestingHub) -> None:
    """What another team removed stays theirs: its versions and keys would come back with it."""
    hub.declared(declared("old", owner="bank"))
    hub.inner.apply(prune=True, now=hub.now)
    with pytest.raises(NotAllowed, match="bank"):
        hub.ask("abel", hub.create("old"))


# --- what may be asked ---

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "policy": ({"declared": declared("shop", names=["a.other.com", "b.other.com"])}, InvalidInput, "b.other.com"),
    "another name": ({"declared": declared("blog")}, InvalidInput, "is not the name"),
    "a strange name": ({"managed": "../shop"}, InvalidInput, "is not the name"),
    "what is there": ({"managed": "there", "declared": declared("there")}, InvalidInput, "is there already"),
    "nothing": ({"declared": None}, NotAllowed, "needs the role"),
    "nothing of what is there": (
        {"kind": Kind.CHANGE, "managed": "there", "declared": None},
        InvalidInput,
        "change needs a declaration",
    ),
    "a change of what is not there": ({"kind": Kind.CHANGE}, NotFound, "is not declared"),
    "no change": (
        {"kind": Kind.CHANGE, "managed": "there", "declared": declared("there")},
        InvalidInput,
        "is so already",
    ),
    "a renewal of what is not there": ({"kind": Kind.RENEW, "managed": "none", "declared": None}, NotAllowed, "needs"),
    "a revocation of nothing": (
        {"kind": Kind.REVOKE, "managed": "there", "declared": None, "why": "superseded"},
        NotFound,
        "no version",
    ),
    "a revocation for no reason": (
        {"kind": Kind.REVOKE, "managed": "there", "declared": None, "why": "boredom"},
        InvalidInput,
        "key-compromise",
    ),
    "a renewal with a declaration": (
        {"kind": Kind.RENEW, "managed": "there", "declared": declared("there")},
        InvalidInput,
        "renew takes no declaration",
    ),
    "of an earlier revision": (
        {"kind": Kind.CHANGE, "managed": "there", "declared": declared("there", service="x"), "revision": 7},
        PreconditionFailed,
        "since you read it",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked(hub: RequestingHub, case: str) -> None:
    """What policy refuses, and what makes no sense, is told at once with what to do; no request is kept."""
    more, error, words = REFUSED[case]
    hub.declared(declared("there"))
    wish = replace(Wish(kind=Kind.CREATE, managed="shop", declared=declared("shop")), **more)
    with pytest.raises(error, match=words):
        hub.ask("ada", wish)
    assert hub.inventory.change_requests() == ([], "")


def test_every_violation_at_once(hub: RequestingHub) -> None:
    """All that policy refuses is in one answer, and in the trail on one line."""
    with pytest.raises(InvalidInput) as caught:
        hub.ask("ada", hub.create("shop", names=["a.other.com", "b.other.com"]))
    assert all(name in str(caught.value) for name in ("a.other.com", "b.other.com"))
    (event,) = hub.events()
    assert "a.other.com" in event.reason
    assert "b.other.com" in event.reason


@pytest.mark.parametrize("reason", ["a\nb", "x" * 2_001, "\x1b[2J"])
def test_reasons_are_one_bounded_line(hub: RequestingHub, reason: str) -> None:
    """A reason that no trail would take is refused before anything is kept."""
    with pytest.raises(InvalidInput, match="a reason is a text"):
        hub.ask("ada", hub.create(), reason)
    assert hub.inventory.change_requests() == ([], "")


def test_a_secret_in_a_reason_is_kept_nowhere(hub: RequestingHub) -> None:
    """Words that look like a token are refused, and neither the table nor the trail has them."""
    token = "Bearer abcdefghijklmnopqrstuvwxyz0123456789"
    with pytest.raises(InvalidInput, match="leave the secret out"):
        hub.ask("ada", hub.create(), token)
    assert token not in str(hub.inner.table())


# --- who may decide ---

MAY_NOT: dict[str, tuple[str, str]] = {
    "the asker": ("ada", "nobody decides on what they asked for"),
    "the asker's other identity": ("ada-at-work", "nobody decides on what they asked for"),
    "another team": ("eve", "needs the role approver for shop"),
    "a requester": ("abel", "needs the role approver"),
    "security, where the team is needed": ("sue", "needs the role approver"),
}


@pytest.mark.parametrize("case", MAY_NOT)
def test_who_may_not_approve(hub: RequestingHub, case: str) -> None:
    """A refusal changes nothing, and is in the trail with who, what and why."""
    who, words = MAY_NOT[case]
    asked = hub.ask("ada", hub.create())
    with pytest.raises(NotAllowed, match=words):
        hub.approve(who, asked)
    assert hub.request(asked) == asked
    event = next(each for each in hub.events() if each.outcome == "refused")
    assert (event.action, event.principal, event.subject) == ("approval.approve", ALL[who].principal, asked.id)
    assert words in event.reason


def test_nobody_fills_two_places(hub: RequestingHub) -> None:
    """Who has both roles approves once; under another identity they are refused."""
    hub.settings(TWO)
    asked = hub.ask("abel", hub.create())
    assert hub.approve("ada", asked).state is RequestState.WAITING
    with pytest.raises(NotAllowed, match="nobody fills two places"):
        hub.approve("ada-at-work", asked)
    assert hub.request(asked).state is RequestState.WAITING


def test_what_is_filled_takes_nobody_more(hub: RequestingHub) -> None:
    """A second approver of the team is told that the request waits for security."""
    hub.settings(TWO)
    asked = hub.ask("ada", hub.create())
    hub.approve("bob", asked)
    with pytest.raises(InvalidInput, match="waits for 1 person of security"):
        hub.approve("ben", asked)


def test_what_was_not_seen_is_not_approved(hub: RequestingHub) -> None:
    """An approval names the digest of what was seen; another one approves nothing."""
    asked = hub.ask("ada", hub.create())
    with pytest.raises(PreconditionFailed, match="than what you saw"):
        hub.approve("bob", asked, digest="0" * 64)
    assert hub.request(asked).decisions == ()


def test_deciding_again_changes_nothing(hub: RequestingHub) -> None:
    """Whoever's reply was lost decides again, and finds the request as it is."""
    asked = hub.ask("ada", hub.create())
    first = hub.approve("bob", asked)
    assert hub.approve("bob", asked) == first
    assert [each.action for each in hub.events()].count("approval.approve") == 1


ENDS: dict[str, tuple[str, str, RequestState, str]] = {
    "an approver rejects": ("reject", "bob", RequestState.REJECTED, "approval.reject"),
    "security rejects": ("reject", "sue", RequestState.REJECTED, "approval.reject"),
    "a requester withdraws": ("withdraw", "abel", RequestState.WITHDRAWN, "request.cancel"),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_ends_a_request(hub: RequestingHub, case: str) -> None:
    """One rejection or withdrawal ends it, for good and for everyone; it is kept for as long as configured."""
    how, who, state, action = ENDS[case]
    asked = hub.ask("ada", hub.create())
    ended = getattr(hub, how)(who, asked)
    assert (ended.state, ended.ended_at) == (state, hub.now)
    assert ended.forget_at == hub.now + timedelta(days=400)
    assert getattr(hub, how)(who, asked) == ended
    with pytest.raises(InvalidInput, match=f"is {state}"):
        hub.approve("ben", asked)
    assert hub.apply(asked) == ended
    assert sorted(each.action for each in hub.events()) == sorted(["request.create", action])
    assert hub.tick() == []


@pytest.mark.parametrize(
    ("who", "wish"), [("otto", Kind.RETIRE), ("sue", Kind.REVOKE), ("ada", Kind.CREATE), ("ada-at-work", Kind.CREATE)]
)
def test_whoever_asked_withdraws(hub: RequestingHub, monkeypatch: pytest.MonkeyPatch, who: str, wish: Kind) -> None:
    """An operator, security and a requester take back what they asked, also under another identity of theirs."""
    if wish is Kind.CREATE:
        asked = hub.ask("ada", hub.create())
    else:
        revoking(hub, monkeypatch)
        asked = hub.ask(who, Wish(kind=wish, managed="shop", why="superseded" if wish is Kind.REVOKE else ""))
    assert hub.withdraw(who, asked).state is RequestState.WITHDRAWN
    assert [each.principal for each in hub.events() if each.action == "request.cancel"] == [ALL[who].principal]


@pytest.mark.parametrize(
    ("how", "who"),
    [
        *(("reject", "eve"), ("reject", "abel"), ("reject", "vic")),
        *(("withdraw", "eve"), ("withdraw", "bob"), ("withdraw", "otto"), ("withdraw", "sue")),
    ],
)
def test_who_may_not_end_it(hub: RequestingHub, how: str, who: str) -> None:
    """Rejecting is for approvers of the team and security, withdrawing for who asked and the team's requesters."""
    asked = hub.ask("ada", hub.create())
    with pytest.raises(NotAllowed):
        getattr(hub, how)(who, asked)
    assert hub.request(asked).state is RequestState.WAITING


def test_a_rejection_has_a_reason(hub: RequestingHub) -> None:
    """Without a reason nobody learns what to do better."""
    asked = hub.ask("ada", hub.create())
    with pytest.raises(InvalidInput, match="give one"):
        hub.reject("bob", asked, " ")
    assert hub.reject("bob", asked, "too many names").message == "too many names"


# --- time ---


def test_what_nobody_decides_expires(hub: RequestingHub) -> None:
    """After the configured days it ends, also where it is an approver who comes too late."""
    hub.settings("[approvals]\nexpires_days = 2\nkeep_days = 10\n")
    first, second = hub.ask("ada", hub.create("a")), hub.ask("ada", hub.create("b"))
    hub.pass_time(2 * DAY - timedelta(seconds=1))
    assert hub.expire(first).state is RequestState.WAITING
    hub.pass_time(timedelta(seconds=1))
    assert hub.expire(first).state is RequestState.EXPIRED
    with pytest.raises(InvalidInput, match="is expired"):
        hub.approve("bob", second)
    ended = hub.request(second)
    assert (ended.state, ended.message) == (RequestState.EXPIRED, "nobody decided in time; ask again")
    assert ended.forget_at == hub.now + 10 * DAY
    assert [each.action for each in hub.events() if each.source == "workflow"] == ["request.expire"] * 2


def test_what_is_approved_does_not_expire(hub: RequestingHub) -> None:
    """What was approved in time is applied, however late that is."""
    asked = hub.ask("ada", hub.create())
    hub.approve("bob", asked)
    hub.pass_time(30 * DAY)
    assert hub.expire(asked).state is RequestState.APPROVED
    assert hub.apply(asked).state is RequestState.DONE
