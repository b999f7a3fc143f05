"""Who acts, and the events of what they do: they fit, whatever they are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import build
from perennial.audit_actor import WORKFLOWS, Actor
from perennial.audit_event import MAX_EVENT, MAX_LINE, Event, admit, text
from perennial.audit_secrets import WITHHELD
from perennial.errors import InvalidInput, PolicyViolated
from perennial.keys import to_pem

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ANNA = Actor(principal="arn:aws:iam::123456789012:user/anna", source="cli", why="the key was seen", request="r-1")


def test_what_was_done() -> None:
    """Who, by which way, what, to which managed certificate, whose it is, what was and is, why, and the request."""
    made = ANNA.did(NOW, "managed.renew", "shop", owner="web", before={"urgent": False}, after={"urgent": True})
    assert made == Event(
        id=made.id,
        at=NOW,
        principal=ANNA.principal,
        source="cli",
        action="managed.renew",
        subject_kind="managed",
        subject="shop",
        owner="web",
        before={"urgent": False},
        after={"urgent": True},
        why="the key was seen",
        request="r-1",
    )


def test_what_was_refused() -> None:
    """The reason is on one line, with every violation."""
    error = PolicyViolated("names[0]: not yours;\nkey: RSA-2048 is not accepted")
    made = ANNA.was_refused(NOW, "managed.create", "shop", error, after={"names": ["a"]})
    assert (made.outcome, made.reason) == ("refused", "names[0]: not yours; key: RSA-2048 is not accepted")
    assert (made.before, made.after) == (None, {"names": ["a"]})


def test_two_acts_are_two_events() -> None:
    """Each has an id of its own, also in the same moment."""
    assert ANNA.did(NOW, "managed.renew", "shop").id != ANNA.did(NOW, "managed.renew", "shop").id


def test_what_workflows_do_has_a_name() -> None:
    """It is found by that name, and no person's."""
    made = WORKFLOWS.did(NOW, "version.issue", "shop", after={"expires": NOW + timedelta(days=90)})
    assert (made.principal, made.source) == ("perennial", "workflow")
    assert made.after == {"expires": "2027-01-30T12:00:00+00:00"}


@pytest.mark.parametrize("member", ["why", "request", "principal"])
def test_a_secret_in_words_is_withheld(member: str) -> None:
    """The change is recorded all the same, and the key is in no event."""
    words: dict[str, Any] = {"principal": "jo", "source": "cli", member: f"it is {to_pem(build('a').key)}"}
    made = Actor(**words).did(NOW, "managed.renew", "shop")
    assert getattr(made, member) == WITHHELD
    assert "PRIVATE KEY" not in text(made)


def test_a_secret_in_a_refusal_is_withheld() -> None:
    """Also where an error quotes what it refused, and in what was asked for."""
    pem = to_pem(build("a").key)
    made = ANNA.was_refused(NOW, "managed.create", "shop", InvalidInput(f"names[0]: {pem}"), after={"names": [pem]})
    assert made.reason == WITHHELD
    assert "PRIVATE KEY" not in text(made)


def test_an_unknown_action_is_a_mistake() -> None:
    """Actions are of one registry."""
    with pytest.raises(InvalidInput, match="no source and action that are known"):
        ANNA.did(NOW, "managed.paint", "shop")


@given(st.text(max_size=3_000), st.text(max_size=3_000), st.text(max_size=3_000))
def test_whatever_the_words(name: str, why: str, reason: str) -> None:
    """Hostile texts make an event that is kept: on one line each, within the limits."""
    actor = Actor(principal=name, source="api", why=why, request=why)
    for made in (actor.did(NOW, "managed.renew", name, owner=why), actor.was_refused(NOW, "audit.read", name, reason)):
        admit(made)
        assert 1 <= len(made.subject) <= MAX_LINE
        assert len(text(made).encode()) <= MAX_EVENT
