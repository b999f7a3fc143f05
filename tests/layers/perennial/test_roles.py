"""Who may do what: the whole matrix against a table written by hand, and nobody on what they asked for."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from perennial.roles import (
    BY_THE_ASKER,
    NOT_BY_THE_ASKER,
    TABLE,
    WHOLE,
    Action,
    Grant,
    Person,
    Reach,
    Role,
    Source,
    judge,
    reaches,
    same_person,
)

# Written from the issue, not from the code. A: everywhere, T: own team in any environment, O: own team and environment.
ROLES = ["viewer", "requester", "approver", "operator", "security", "admin", "auditor", "key-export"]
EXPECTED = """
certificates:read              T T T T A A A .
findings:read                  T T T T A A A .
managed:read                   O O O O A A A .
requests:read                  O O O O A A A .
exceptions:read                T T T T A A A .
issuers:read                   A A A A A A A .
profiles:read                  A A A A A A A .
proofs:read                    O O O O A A A .
audit:read                     . . . . A A A .
runs:read                      A A A A A A A .
managed:request                . O . . . . . .
managed:change                 . O . . . . . .
managed:renew                  . O . O . . . .
managed:revoke-request         . O . O A . . .
managed:retire                 . O . O . . . .
requests:withdraw              . O . . . . . .
requests:approve               . . O . . . . .
requests:approve-as-security   . . . . A . . .
requests:reject                . . O . A . . .
exceptions:request             . O . O A . . .
exceptions:grant               . . . . A . . .
exceptions:end                 . . O . A . . .
runs:start                     . . . A A A . .
keys:export                    . . . . . . . O
configuration:change           . . . . . A . .
"""
PLACES = {  # the grant is for shop in production
    ("shop", "production"): "ATO",
    ("shop", "test"): "AT",
    ("shop", None): "AT",
    ("bank", "production"): "A",
    ("bank", "test"): "A",
    (None, "production"): "A",
    (None, None): "A",
    ("", ""): "A",
    ("*", "*"): "A",
    ("Shop", "production"): "A",
}
STRANGER = ("someone-else",)


def table() -> dict[str, dict[str, str]]:
    lines = (line.split() for line in EXPECTED.strip().splitlines())
    return {action: dict(zip(ROLES, letters, strict=True)) for action, *letters in lines}


def person(*grants: Grant, **more: object) -> Person:
    given = {"principal": "p", "name": "Ada", "source": Source.OIDC, "grants": grants, **more}
    return Person(**given)  # type: ignore[arg-type]


def granted(role: str) -> Grant:
    """The role for shop in production; one for the whole organisation as it is."""
    return (
        Grant(role=Role(role)) if Role(role) in WHOLE else Grant(role=Role(role), team="shop", environment="production")
    )


def test_the_table_has_every_action_and_role() -> None:
    """What stands here is what there is: seven roles and the right to export keys, and every action once."""
    assert sorted(table()) == sorted(Action)
    assert sorted(ROLES) == sorted(Role)
    assert sorted(TABLE) == sorted(Action)


@pytest.mark.parametrize(("action", "role"), [*product(table(), ROLES)])
def test_the_matrix(action: str, role: str) -> None:
    """Each role may do each action where the table above says so, and nowhere else."""
    letter = table()[action][role]
    for (owner, environment), letters in PLACES.items():
        refused = judge(person(granted(role)), Action(action), owner, environment, asked_by=STRANGER, export_keys=True)
        assert (refused is None) == (letter in letters), (action, role, owner, environment, refused)


@pytest.mark.parametrize(("action", "role"), [*product(table(), ROLES)])
def test_grants_for_any(action: str, role: str) -> None:
    """A role for any team and environment reaches what the table allows of it everywhere, also what nobody owns."""
    for owner, environment in PLACES:
        refused = judge(
            person(Grant(role=Role(role))), Action(action), owner, environment, asked_by=STRANGER, export_keys=True
        )
        assert (refused is None) == (table()[action][role] != "."), (action, role, owner, environment)


@pytest.mark.parametrize("action", Action)
def test_a_team_in_every_environment_and_every_team_in_one(action: Action) -> None:
    """A part that is any counts for that part alone."""
    role = next((r for r, letter in table()[action].items() if letter == "O"), None)
    if role is None:
        return
    team = person(Grant(role=Role(role), team="shop"))
    environment = person(Grant(role=Role(role), environment="production"))
    places = [("shop", "production"), ("shop", None), ("bank", "production"), (None, "production"), ("bank", "test")]
    allowed = [
        [judge(who, action, *place, asked_by=STRANGER, export_keys=True) is None for place in places]
        for who in (team, environment)
    ]
    assert allowed == [[True, True, False, False, False], [True, False, True, True, False]]


def test_teams_and_environments_are_not_mixed_between_grants() -> None:
    """Requester for test and viewer for production is not requester for production."""
    both = person(
        Grant(role=Role.REQUESTER, team="shop", environment="test"),
        Grant(role=Role.VIEWER, team="shop", environment="production"),
        Grant(role=Role.REQUESTER, team="bank", environment="production"),
    )
    assert judge(both, Action.REQUEST, "shop", "production") is not None
    assert judge(both, Action.REQUEST, "shop", "test") is None


@pytest.mark.parametrize("action", Action)
def test_without_a_grant(action: Action) -> None:
    """Who has no grant may do nothing, and who is not signed in may not, whatever grants are claimed."""
    anonymous = person(*(Grant(role=role) for role in Role), source=Source.NONE)
    for who in (person(), anonymous):
        refused = judge(who, action, "shop", "production", asked_by=STRANGER, export_keys=True)
        assert refused is not None
        assert refused.action is action
        assert reaches(who, action) == ()
    assert refused.reason == "nobody"


def test_a_grant_for_a_team_without_a_name() -> None:
    """It reaches nothing, and not what has no owner."""
    nameless = person(Grant(role=Role.REQUESTER, team="", environment=""))
    assert all(judge(nameless, Action.REQUEST, *place) is not None for place in PLACES)


def test_keys_are_not_exported_unless_the_configuration_says_so() -> None:
    """The right alone is not enough, and no role has it."""
    everything = person(*(Grant(role=role) for role in Role))
    off = judge(everything, Action.EXPORT_KEY, "shop", "production")
    assert off is not None
    assert (off.reason, off.needed) == ("off", ())
    assert judge(everything, Action.EXPORT_KEY, "shop", "production", export_keys=True) is None
    roles = person(*(Grant(role=role) for role in Role if role is not Role.KEY_EXPORT))
    none = judge(roles, Action.EXPORT_KEY, "shop", "production", export_keys=True)
    assert none is not None
    assert none.words.startswith("keys:export needs the right key-export for shop in production; Ada has ")


@pytest.mark.parametrize("action", NOT_BY_THE_ASKER)
@pytest.mark.parametrize(
    ("more", "asked_by", "reason"),
    [
        ({"principal": "arn"}, ("arn",), "own-request"),
        ({"email": "ada@example.com"}, ("arn", "ada@example.com"), "own-request"),
        ({"session": "Ada@Example.com"}, ("ada@example.com",), "own-request"),
        ({"email": "ada@home.example", "linked": "ada@example.com"}, ("arn", "ada@example.com"), "own-request"),
        ({"email": "ada@example.com"}, ("arn", "bob@example.com"), None),
        ({"session": "pipeline"}, ("pipeline",), None),
        ({}, (), "asker-unknown"),
        ({"email": ""}, ("",), None),
    ],
)
def test_nobody_decides_on_what_they_asked_for(
    action: Action, more: dict[str, str], asked_by: tuple[str, ...], reason: str | None
) -> None:
    """Principal, verified e-mail address and a session named by an address each show that it is the same person; where
    nobody knows who asked, nobody approves."""
    who = person(Grant(role=Role.APPROVER), Grant(role=Role.SECURITY), **more)
    refused = judge(who, action, "shop", "production", asked_by=asked_by)
    assert (refused.reason if refused else None) == reason


def test_one_may_reject_and_end_what_one_asked_for() -> None:
    """What makes nothing possible needs no second person."""
    who = person(Grant(role=Role.APPROVER), Grant(role=Role.SECURITY))
    for action in (Action.REJECT, Action.END_EXCEPTION):
        assert judge(who, action, "shop", "production", asked_by=who.known_as) is None


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", [*ROLES, ""])
def test_whoever_asked_takes_it_back(action: Action, role: str) -> None:
    """Withdrawing is for who asked, whatever their role and whosever it is; nothing else is theirs by asking."""
    who = person(*([Grant(role=Role(role), team="bank", environment="test")] if role else []))
    mine, theirs = (judge(who, action, "shop", "production", asked_by=each) for each in (who.known_as, STRANGER))
    if action in BY_THE_ASKER:
        assert (mine is None, theirs is None) == (True, False)
    else:
        assert mine is not None or theirs is None


@pytest.mark.parametrize(
    ("more", "asked_by", "may"),
    [
        ({"email": "ada@example.com"}, ("arn", "ada@example.com"), True),
        ({"email": "ada@home.example", "linked": "ada@example.com"}, ("arn", "ada@example.com"), True),
        ({"session": "ada@example.com"}, ("arn", "ada@example.com"), False),
        ({"source": Source.NONE}, ("p",), False),
        ({}, (), False),
    ],
)
def test_who_asked_is_who_is_proven_to_be_so(more: dict[str, Any], asked_by: tuple[str, ...], may: bool) -> None:
    """A session's name is chosen by whoever takes a role: it may forbid, and takes back nobody's request."""
    assert (judge(person(**more), Action.WITHDRAW, "shop", None, asked_by=asked_by) is None) is may


def test_the_same_person() -> None:
    """One name in common is enough; none is not, nor is nothing at all."""
    assert same_person(("a", "b"), ("b", "c"))
    assert not same_person(("a",), ("b",))
    assert not same_person((), ())


@pytest.mark.parametrize(
    ("grants", "action", "place", "reason", "words"),
    [
        (
            [Grant(role=Role.VIEWER, team="shop")],
            Action.APPROVE,
            ("shop", "production"),
            "no-role",
            "requests:approve needs the role approver for shop in production; Ada has viewer@shop",
        ),
        (
            [Grant(role=Role.REQUESTER, team="bank", environment="test")],
            Action.RENEW,
            ("shop", "production"),
            "elsewhere",
            "managed:renew needs the role requester or operator for shop in production; Ada has requester@bank/test",
        ),
        (
            [],
            Action.REQUEST_REVOCATION,
            (None, None),
            "no-role",
            "managed:revoke-request needs the role requester or operator for any team, as this has no owner in any "
            "environment, as this has none, or security; Ada has no role",
        ),
        (
            [Grant(role=Role.VIEWER)],
            Action.READ_AUDIT,
            (None, None),
            "no-role",
            "audit:read needs the role security or admin or auditor; Ada has viewer",
        ),
        (
            [],
            Action.READ_CERTIFICATES,
            ("a\x1b[2Jb", None),
            "no-role",
            "certificates:read needs the role viewer or requester or approver or operator for 'a\\x1b[2Jb', or "
            "security or admin or auditor; Ada has no role",
        ),
    ],
)
def test_a_refusal_says_what_would_be_enough(
    grants: list[Grant], action: Action, place: tuple[str | None, str | None], reason: str, words: str
) -> None:
    """The sentence names the role, the team and the environment, and what the person has."""
    refused = judge(person(*grants), action, *place, asked_by=STRANGER)
    assert refused is not None
    assert (refused.reason, refused.words) == (reason, words)
    assert set(refused.needed) == {Role(r) for r, letter in table()[action].items() if letter != "."}


@pytest.mark.parametrize("action", Action)
def test_lists_show_what_the_judgement_allows(action: Action) -> None:
    """`reaches` and `judge` agree on every place, for people with several grants."""
    if action in NOT_BY_THE_ASKER:
        return
    who = person(
        *map(granted, ("viewer", "requester", "approver", "key-export")), Grant(role=Role.OPERATOR, team="bank")
    )
    found = reaches(who, action)
    for owner, environment in PLACES:
        shown = any(each.team in ("*", owner) and each.environment in ("*", environment) for each in found)
        assert shown == (judge(who, action, owner, environment, export_keys=True) is None), (owner, environment)


def test_every_row_says_what_it_is() -> None:
    """Each action has a line of description without a full stop, and somebody may do it."""
    assert all(row.words and row.words[0].isupper() and not row.words.endswith(".") for row in TABLE.values())
    assert all(row.reach for row in TABLE.values())
    assert all(row.reach.get(role) in (None, Reach.ANYWHERE) for row in TABLE.values() for role in WHOLE)
