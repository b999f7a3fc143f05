"""Who may ask for, grant, reject and end an exception, what is refused, and that all of it is in the audit trail."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from estate import NOW, Estate
from excepting import (
    APPROVER,
    DAY,
    OTHER_SECURITY,
    REQUESTER,
    SECURITY,
    VIEWER,
    ask,
    asked,
    granted,
    person,
)
from perennial import exceptions
from perennial.audit import Question
from perennial.audit import asked as trail
from perennial.audit_event import Event
from perennial.errors import AccessDenied, ConcurrentChange, InvalidInput, Unavailable
from perennial.exception_record import ExceptionState
from perennial.exception_selection import Selection
from perennial.inventory.store import Inventory
from perennial.roles import Grant, Person, Role, Source


def events(estate: Estate, who: Person) -> list[Event]:
    """What somebody did, the newest first."""
    question = Question(since=NOW - DAY, until=NOW + 60 * DAY, principal=who.principal or who.name)
    return [each.event for each in trail(estate.deployment.inventory, question)]


def grant(estate: Estate, by: Person, made: Any, **more: Any) -> Any:
    return exceptions.grant(estate.deployment, by, made, source="api", now=estate.clock.now, **more)


def test_what_is_asked_for_waits_and_covers_nothing(estate: Estate) -> None:
    """It is kept with who asked, listed as such, and not active."""
    made = ask(estate)
    stored = estate.deployment.inventory
    assert stored.exception(made.id) == made and made.state is ExceptionState.ASKED
    assert made.asked_by == (REQUESTER.principal,) and made.asked_name == "rita"
    assert stored.exceptions(ExceptionState.ASKED)[0] == [made] and stored.active_exceptions() == ()
    assert made.event == ""  # it is in the trail


def test_a_granted_exception_is_active_with_its_approver(estate: Estate) -> None:
    """It leaves the list of those that wait, and one query finds it."""
    made = granted(estate)
    stored = estate.deployment.inventory
    assert (made.state, made.decided_name, made.decided_by) == (ExceptionState.ACTIVE, "sam", (SECURITY.principal,))
    assert stored.active_exceptions() == (made,) and stored.exceptions(ExceptionState.ASKED) == ([], "")


@pytest.mark.parametrize(
    ("by", "reason"),
    [(REQUESTER, "no-role"), (APPROVER, "no-role"), (VIEWER, "no-role"), (person("adi", Role.ADMIN), "no-role")],
)
def test_only_security_grants(estate: Estate, by: Person, reason: str) -> None:
    """Everybody else is refused, and the refusal is in the trail with its reason; nothing changed."""
    made = ask(estate)
    with pytest.raises(AccessDenied, match="exceptions:grant needs the role security"):
        grant(estate, by, made)
    refused = events(estate, by)[0]
    assert (refused.action, refused.outcome, refused.subject) == ("exception.approve", "refused", made.id)
    assert "security" in refused.reason
    assert estate.deployment.inventory.exception(made.id) == made


def test_nobody_grants_or_rejects_their_own(estate: Estate) -> None:
    """Also where the same person has another principal, and is known by their e-mail address."""
    arn = "arn:aws:iam::123456789012:role/second"
    sam = replace(SECURITY, email="sam@example.com")
    twin = Person(principal=arn, name="sam", source=Source.OIDC, grants=SECURITY.grants, email="sam@example.com")
    made = ask(estate, sam)
    for by in (sam, twin):
        with pytest.raises(AccessDenied, match="nobody decides on what they asked for"):
            grant(estate, by, made)
        with pytest.raises(AccessDenied, match="nobody decides on what they asked for"):
            exceptions.reject(estate.deployment, by, made, reason="no", source="api", now=estate.clock.now)
        assert events(estate, by)[0].outcome == "refused"
    assert grant(estate, OTHER_SECURITY, made).state is ExceptionState.ACTIVE


def test_a_link_that_is_found_later_counts(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked under an identity that the configuration links by now to an address of theirs grants it under none."""
    made = ask(estate, SECURITY)
    twin = replace(OTHER_SECURITY, email="sam@example.com")
    settings = estate.deployment.settings
    linked = replace(settings, api=replace(settings.api, people={SECURITY.principal: "sam@example.com"}))
    monkeypatch.setitem(estate.deployment.__dict__, "settings", linked)
    with pytest.raises(AccessDenied, match="nobody decides on what they asked for"):
        grant(estate, twin, made)


def test_a_refusal_is_in_the_trail_whatever_one_calls_oneself(estate: Estate) -> None:
    """A name that looks like a token hides no refusal."""
    made = ask(estate)
    hidden = replace(VIEWER, name="Bearer abcdefghijklmnopqrstuvwxyz0123456789")
    with pytest.raises(AccessDenied):
        grant(estate, hidden, made)
    assert events(estate, hidden)[0].outcome == "refused"


def test_who_granted_a_forged_record_is_judged_by_the_kept_one(estate: Estate) -> None:
    """Who asked is not what a caller says, but what is kept."""
    made = ask(estate, SECURITY)
    forged = replace(made, asked_by=("arn:someone",), owner="other")
    with pytest.raises(AccessDenied, match="nobody decides on what they asked for"):
        grant(estate, SECURITY, forged)


@pytest.mark.parametrize(
    ("by", "owner"),
    [(VIEWER, "shop"), (APPROVER, "shop"), (REQUESTER, "bank"), (person("adi", Role.ADMIN), "shop")],
)
def test_who_may_not_ask_is_refused_and_that_is_audited(estate: Estate, by: Person, owner: str) -> None:
    """Asking needs the role, for the team that answers for it."""
    with pytest.raises(AccessDenied):
        ask(estate, by, owner=owner)
    refused = events(estate, by)[0]
    assert (refused.action, refused.outcome, refused.owner) == ("exception.create", "refused", owner)
    assert estate.deployment.inventory.exceptions()[0] == []


def test_nobody_is_refused(estate: Estate) -> None:
    """Without a sign-in nothing is asked for; the trail says so."""
    nobody = Person(principal="", name="nobody", source=Source.NONE)
    with pytest.raises(AccessDenied, match="nobody is signed in"):
        ask(estate, nobody)
    assert events(estate, nobody)[0].outcome == "refused"


def test_what_a_team_asks_for_covers_only_what_it_owns(estate: Estate) -> None:
    """Their name, and never a foreign certificate of that name: the owner is added. Another team's is refused."""
    made = ask(estate, selection=Selection(name="shop.example.com", subtree=True))
    assert made.selection == Selection(name="shop.example.com", subtree=True, owner="shop")
    with pytest.raises(AccessDenied):
        ask(estate, selection=Selection(name="bank.example.com", owner="bank"))
    free = ask(estate, SECURITY, selection=Selection(name="bank.example.com"))
    assert free.selection == Selection(name="bank.example.com")


def test_an_environment_that_is_not_theirs_is_refused(estate: Estate) -> None:
    """Who may ask in one environment alone may not ask for what belongs to none."""
    arn = REQUESTER.principal
    only = Person(
        principal=arn,
        name="rita",
        source=Source.IAM,
        grants=(Grant(role=Role.REQUESTER, team="shop", environment="test"),),
    )
    with pytest.raises(AccessDenied):
        ask(estate, only)


def test_asking_tells_nobody_which_managed_certificates_others_have(estate: Estate) -> None:
    """One of another team is as if it were not there; who may not ask at all is refused in the same words for both."""
    from managed_records import record

    estate.deployment.inventory.save_managed(record())  # of shop-team
    for name in ("shop", "nothing"):
        with pytest.raises(InvalidInput, match=f"there is no managed certificate {name} of shop$"):
            ask(estate, selection=Selection(managed=name))
        with pytest.raises(AccessDenied, match="exceptions:request needs the role"):
            ask(estate, VIEWER, selection=Selection(managed=name))
    team = person("tom", Role.REQUESTER, "shop-team")
    assert ask(estate, team, owner="shop-team", selection=Selection(managed="shop")).selection.owner == "shop-team"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rule": "keys.week"}, "is the id of no check"),
        ({"rule": ["keys.weak"]}, "is the id of no check"),
        ({"rule": "key_strength.public"}, "is never suspended"),
        ({"rule": "csr.read"}, "is never suspended"),
        ({"rule": "names.owner", "selection": Selection(account="111122223333")}, "a policy rule judges requests"),
        ({"selection": Selection()}, "would cover everything"),
        ({"selection": Selection(managed="nothing")}, "there is no managed certificate nothing"),
        ({"reason": ""}, "reason: it is not"),
        ({"reason": "   "}, "reason: it is not"),
        ({"reason": "two\nlines"}, "reason: it is not"),
        ({"reason": "\x1b[2Jgone"}, "reason: it is not"),
        ({"reason": "x" * 1_001}, "reason: it is not"),
        ({"owner": ""}, "owner: it is not"),
        ({"ends": NOW}, "is over"),
        ({"ends": NOW - DAY}, "is over"),
        ({"ends": NOW + timedelta(milliseconds=1)}, "is over"),
        ({"ends": NOW + 91 * DAY}, "at most 90 days"),
        ({"ends": datetime(2026, 11, 20)}, "not a time with a zone"),  # noqa: DTZ001 - what is refused
        ({"ends": "tomorrow"}, "not a time with a zone"),
    ],
)
def test_what_cannot_be_asked_for_is_told(estate: Estate, more: dict[str, Any], words: str) -> None:
    """A rule that is unknown or never suspended, hostile texts, an empty selection, an end too late or over."""
    with pytest.raises(InvalidInput) as raised:
        ask(estate, SECURITY, **more)
    assert words in str(raised.value)
    assert estate.deployment.inventory.exceptions()[0] == []


def test_every_problem_is_told_at_once(estate: Estate) -> None:
    """One answer names all that is wrong."""
    with pytest.raises(InvalidInput) as raised:
        ask(estate, rule="x", reason="", owner="", ends=NOW, selection=Selection(fingerprint="x"))
    assert len(str(raised.value).splitlines()) == 5


def test_a_secret_in_the_reason_is_not_kept_anywhere(estate: Estate) -> None:
    """What looks like a key is refused before anything is written."""
    secret = "-----BEGIN PRIVATE KEY----- MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ -----END PRIVATE KEY-----"
    with pytest.raises(InvalidInput, match="secret"):
        ask(estate, reason=secret)
    assert estate.deployment.inventory.exceptions()[0] == []


def test_what_is_over_or_forbidden_by_now_is_not_granted(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between asking and granting the end may pass, and the configuration may change."""
    made = ask(estate)
    settings = estate.deployment.settings
    stricter = replace(settings, exceptions=replace(settings.exceptions, never=("expiry.expired",)))
    with monkeypatch.context() as patched:
        patched.setitem(estate.deployment.__dict__, "settings", stricter)
        with pytest.raises(InvalidInput, match="is never suspended"):
            grant(estate, SECURITY, made)
    estate.clock.now = made.ends
    with pytest.raises(InvalidInput, match="is over"):
        grant(estate, SECURITY, made)


def test_rejected_is_the_end(estate: Estate) -> None:
    """With a reason and by whom; nothing is granted or ended after that."""
    made = ask(estate)
    now = estate.clock.now
    with pytest.raises(InvalidInput, match="reason"):
        exceptions.reject(estate.deployment, SECURITY, made, reason="", source="api", now=now)
    rejected = exceptions.reject(estate.deployment, SECURITY, made, reason="Renew it.", source="api", now=now)
    assert (rejected.state, rejected.decision) == (ExceptionState.REJECTED, "Renew it.")
    with pytest.raises(InvalidInput, match="decided already"):
        grant(estate, SECURITY, made)
    with pytest.raises(InvalidInput, match="nothing is to be ended"):
        exceptions.end(estate.deployment, SECURITY, made, reason="x", source="api", now=now)
    assert estate.deployment.inventory.exceptions(ExceptionState.REJECTED)[0] == [rejected]


@pytest.mark.parametrize(("by", "may"), [(APPROVER, True), (SECURITY, True), (REQUESTER, False), (VIEWER, False)])
def test_who_may_end_it_early(estate: Estate, by: Person, may: bool) -> None:
    """An approver of the team and security; nobody else."""
    made, now = granted(estate), estate.clock.now
    if not may:
        with pytest.raises(AccessDenied):
            exceptions.end(estate.deployment, by, made, reason="x", source="cli", now=now)
        assert events(estate, by)[0].action == "exception.end"
        return
    ended = exceptions.end(estate.deployment, by, made, reason="No need.", source="cli", now=now)
    assert (ended.state, ended.ended_name, ended.ended_why) == (ExceptionState.ENDED, by.name, "No need.")
    assert estate.deployment.inventory.active_exceptions() == ()
    with pytest.raises(InvalidInput, match="nothing is to be ended"):
        exceptions.end(estate.deployment, by, made, reason="x", source="cli", now=now)


def test_of_two_who_decide_at_once_one_alone_succeeds(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told that someone else was faster, and nothing of theirs is kept."""
    made = ask(estate)
    exception = Inventory.exception

    def overtaken(inventory: Inventory, exception_id: str) -> Any:
        found = exception(inventory, exception_id)
        monkeypatch.undo()
        exceptions.reject(estate.deployment, OTHER_SECURITY, made, reason="no", source="api", now=estate.clock.now)
        return found

    monkeypatch.setattr(Inventory, "exception", overtaken)
    with pytest.raises(ConcurrentChange):
        grant(estate, SECURITY, made)
    assert estate.deployment.inventory.exception(made.id).state is ExceptionState.REJECTED
    assert events(estate, SECURITY) == []


def test_where_the_trail_does_not_answer_the_change_is_done_and_its_event_is_not_lost(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The event is kept with the exception in one write, and the due entry appends it, as it was; the log names it."""
    from perennial import exception_serving

    made = ask(estate)

    def fails(*_: object) -> None:
        raise Unavailable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr("perennial.audit.append", fails)
        kept = grant(estate, SECURITY, made)
    assert kept.state is ExceptionState.ACTIVE and kept.event and events(estate, SECURITY) == []
    (line,) = (each.__dict__ for each in caplog.records if each.name == "perennial.postponed")
    assert (line["exception"], line["reason"], line["error"]) == (made.id, "unavailable", "no answer")
    at = estate.clock.now
    estate.clock.now += timedelta(minutes=1)
    now = estate.clock.now
    assert exception_serving.serve_due(estate.deployment, now=now, deadline=now + DAY) is None
    assert [(each.action, each.at) for each in events(estate, SECURITY)] == [("exception.approve", at)]
    assert estate.deployment.inventory.exception(made.id).event == ""


def test_a_change_is_asked_by_and_after_and_why(estate: Estate) -> None:
    """The event of a grant says what was granted, by whom, and their words."""
    made = ask(estate, selection=Selection(name="shop.example.com", owner="shop"))
    grant(estate, SECURITY, made, reason="Until the move.", request="req-1")
    (event,) = events(estate, SECURITY)
    assert (event.why, event.request, event.owner, event.before["state"]) == (
        "Until the move.",
        "req-1",
        "shop",
        "asked",
    )
    assert event.after["selection"] == {"name": "shop.example.com", "owner": "shop"}
    assert event.after["ends"] == asked(NOW).ends.isoformat()
