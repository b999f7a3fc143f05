"""How grants are written: what each text grants, and that no other text grants anything."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.grants import MAX_GRANTS, MAX_TEXT, read, read_all, read_tag
from perennial.roles import Grant, Role

REQUESTER = Role.REQUESTER


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("viewer", Grant(role=Role.VIEWER)),
        ("admin", Grant(role=Role.ADMIN)),
        ("requester@shop", Grant(role=REQUESTER, team="shop")),
        ("requester@shop/prod", Grant(role=REQUESTER, team="shop", environment="prod")),
        ("requester@*/prod", Grant(role=REQUESTER, environment="prod")),
        ("requester@+/prod", Grant(role=REQUESTER, environment="prod")),
        ("requester@shop/+", Grant(role=REQUESTER, team="shop")),
        ("requester@*", Grant(role=REQUESTER)),
        ("requester@shop@example.com/prod", Grant(role=REQUESTER, team="shop@example.com", environment="prod")),
        ("requester@group/shop/prod", Grant(role=REQUESTER, team="group/shop", environment="prod")),
        ("requester@Shop Team/prod", Grant(role=REQUESTER, team="Shop Team", environment="prod")),
        ("key-export@shop/prod", Grant(role=Role.KEY_EXPORT, team="shop", environment="prod")),
    ],
)
def test_what_a_text_grants(text: str, grant: Grant) -> None:
    """Each form of the syntax, and what is written of it is read as the same again."""
    assert read(text) == grant
    assert read(str(grant)) == grant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Viewer",
        "viewer ",
        " viewer",
        "root",
        "*",
        "@shop",
        "requester@",
        "requester@/prod",
        "requester@shop/",
        "requester@ shop",
        "requester@shop /prod",
        "requester@shop/Prod",
        "requester@shop/prod test",
        "requester@sh*p",
        "requester@**",
        "requester@shop/*/",
        "requester@/shop/prod",
        "requester@shop/prod approver@bank/test",
        "requester@shop viewer",
        "requester@shop\n",
        "requester@sh\u200bop",
        "requester@sh\x00op",
        "requester@" + "a" * 129,
        "requester@shop/" + "a" * 65,
        "security@shop",
        "admin@*",
        "auditor@shop/prod",
        "vіewer",  # a Cyrillic letter
    ],
)
def test_what_grants_nothing(text: str) -> None:
    """A text of another form, an empty part, an unknown role and a bound one of the whole organisation are told."""
    told = read(text)
    assert isinstance(told, str)
    assert "is no grant: " in told
    assert told.isprintable()
    assert len(told) < 300


def test_a_tag_has_several() -> None:
    """Spaces separate them, each counts once, in its order."""
    found = read_tag("  requester@shop/prod approver@shop   requester@shop/prod ")
    assert [str(each) for each in found.grants] == ["requester@shop/prod", "approver@shop"]
    assert found.problems == ()
    assert read_tag("") == read_tag("   ")


@pytest.mark.parametrize(
    "text", ["requester@Shop Team/test", "viewer root", "viewer\tadmin", "viewer,admin", "viewer\xa0admin"]
)
def test_a_tag_with_a_part_that_cannot_be_read_grants_nothing(text: str) -> None:
    """A word alone may grant more than the whole text meant."""
    found = read_tag(text)
    assert (found.grants, len(found.problems)) == ((), 1)


def test_limits() -> None:
    """A tag longer than IAM allows is not read, and no person has more grants than the limit."""
    assert read_tag("viewer " * 40).problems == (f"280 characters; at most {MAX_TEXT} are read",)
    many = read_all(f"viewer@team-{number}" for number in range(MAX_GRANTS + 1))
    assert (len(many.grants), many.problems) == (
        MAX_GRANTS,
        (f"{MAX_GRANTS + 1} grants; the first {MAX_GRANTS} count",),
    )


ENVIRONMENT = "(/([a-z0-9][a-z0-9-]{0,63}|[*+]))?"
ROLE = "(viewer|requester|approver|operator|key-export)"
GRAMMAR = re.compile(rf"security|admin|auditor|{ROLE}(@([^*/ ]+|[*]){ENVIRONMENT})?")
PIECES = st.sampled_from([*Role, "@", "/", "*", "+", " ", "shop", "prod", "A", "\n", "\u202e", ""])
TEXTS = st.text(max_size=300) | st.lists(PIECES, max_size=12).map("".join)


@given(TEXTS)
def test_no_text_grants_what_the_syntax_does_not(text: str) -> None:
    """Whatever a tag holds, nothing is raised, and only words of the syntax grant something, each what it says."""
    found = read_tag(text)
    words = [each for each in text.split(" ") if each]
    assert found.grants == () or found.problems == ()
    for grant in found.grants:
        assert any(word.partition("@")[0] == grant.role for word in words)
    if found.grants:
        simple = [word for word in words if word.count("/") < 2]
        assert all(map(GRAMMAR.fullmatch, simple)), words
    assert all(line.isprintable() and len(line) < 300 for line in found.problems)


@given(st.sampled_from([*Role]), TEXTS, TEXTS)
def test_what_a_team_is_called_widens_nothing(role: Role, team: str, environment: str) -> None:
    """A grant is for any team or environment only where the text says so by * or +."""
    found = read(f"{role}@{team}/{environment}")
    if isinstance(found, Grant):
        assert (found.team == "*") == (team in ("*", "+"))
        assert (found.environment == "*") == (environment in ("*", "+"))
        assert found.role is role
