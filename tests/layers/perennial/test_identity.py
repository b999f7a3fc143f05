"""Who asks: IAM principals by tag or configuration, people by the groups of their token, nobody by anything else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api_settings import Api
from perennial.identity import (
    CONTEXT,
    MAX_CONTEXT,
    NOBODY,
    TAG,
    Caller,
    Identified,
    caller,
    identify,
    kept_of,
    linked,
)
from perennial.roles import Action, Grant, Person, Role, Source, judge
from perennial.tokens import Verified, verify
from tokens_made import ISSUER, NOW, OIDC, SECONDS, jwk, token

HUB = "111122223333"
ROLE = f"arn:aws:iam::{HUB}:role/pipeline"
SESSION = f"arn:aws:sts::{HUB}:assumed-role/pipeline/build-7"
REQUESTER = Grant(role=Role.REQUESTER, team="shop", environment="prod")
API = Api(
    oidc=OIDC,
    groups={
        "shop": (REQUESTER,),
        "security": (Grant(role=Role.SECURITY),),
        "both": (REQUESTER, Grant(role=Role.VIEWER)),
    },
    principals={ROLE: (Grant(role=Role.VIEWER, team="bank"),)},
    people={ROLE: "ada@example.com", f"{ISSUER}#bob": "bob@example.com"},
)


def signed(arn: object, **more: Any) -> dict[str, Any]:
    return {"identity": {"userArn": arn, "accountId": HUB}, "authorizer": None, **more}


def by_iam(arn: object = SESSION, tag: object = "", api: Api = Api(), account: str = HUB) -> Identified:  # noqa: B008 - frozen
    return identify(signed(arn), api, account=account, tags={TAG: tag, "other": "admin"}, now=NOW)  # type: ignore[dict-item]


def kept(claims: dict[str, Any] | None = None, api: Api = API) -> str:
    return kept_of(verify(token(claims), [jwk()], OIDC, NOW), api, OIDC)


def by_token(claims: dict[str, Any] | None = None, api: Api = API, at: Any = NOW) -> Identified:
    return identify({"authorizer": {CONTEXT: kept(claims, api)}}, api, account=HUB, tags={}, now=at)


@pytest.mark.parametrize(
    ("arn", "found"),
    [
        (SESSION, Caller(arn=ROLE, account=HUB, kind="role", name="pipeline", session="build-7")),
        (
            f"arn:aws:iam::{HUB}:user/division/ada",
            Caller(arn=f"arn:aws:iam::{HUB}:user/ada", account=HUB, kind="user", name="ada"),
        ),
        (
            "arn:aws-us-gov:sts::444455556666:assumed-role/AWSReservedSSO_Ops_0a1b/ada@example.com",
            Caller(
                arn="arn:aws-us-gov:iam::444455556666:role/AWSReservedSSO_Ops_0a1b",
                account="444455556666",
                kind="role",
                name="AWSReservedSSO_Ops_0a1b",
                session="ada@example.com",
            ),
        ),
        (ROLE, None),
        (f"arn:aws:iam::{HUB}:root", None),
        (f"arn:aws:sts::{HUB}:federated-user/ada", None),
        (f"{SESSION}/more", None),
        (f"{SESSION}\n", None),
        (f"arn:aws:sts::{HUB}:assumed-role/pipeline", None),
        ("arn:aws:sts::1:assumed-role/pipeline/s", None),
        ("", None),
        (None, None),
        (7, None),
        ("a" * 100_000, None),
    ],
)
def test_principals(arn: object, found: Caller | None) -> None:
    """A role's session is its role, whatever it is named, and a user itself; nothing else is a principal."""
    assert caller(signed(arn)) == found
    if found is None:
        assert identify(signed(arn), API, account=HUB, tags={TAG: "admin"}, now=NOW).person == NOBODY


def test_a_tagged_role() -> None:
    """It has the grants of its tag, and no others; its name tells the session."""
    assert by_iam(tag="requester@shop/prod viewer@shop") == Identified(
        person=Person(
            principal=ROLE,
            name="pipeline/build-7",
            source=Source.IAM,
            grants=(REQUESTER, Grant(role=Role.VIEWER, team="shop")),
            session="build-7",
        )
    )


@pytest.mark.parametrize(
    "tag", ["", "root", "requester@", "viewer admin@shop", "a" * 300, 7, None, ["admin"], "admin\n"]
)
def test_a_tag_that_cannot_be_read(tag: object) -> None:
    """It grants nothing and is told; a tag that is no text is none."""
    found = by_iam(tag=tag)
    assert (found.person.grants, found.person.principal) == ((), ROLE)
    assert bool(found.told) == (isinstance(tag, str) and tag != "")
    assert all(each.startswith(f"the tag {TAG}: ") and each.isprintable() and len(each) < 400 for each in found.told)


@pytest.mark.parametrize("account", ["444455556666", "", "hub"])
def test_tags_of_another_account(account: str) -> None:
    """Whoever may tag in another account grants nothing here, also where it is not known which account the hub is."""
    found = by_iam(tag="admin", account=account)
    assert found.person.grants == ()
    assert found.told == (f"the tag {TAG} of another account's principal does not count; name it in [api.principals]",)


def test_a_configured_principal() -> None:
    """The configuration grants to principals of any account, beside a tag, and says whose they are."""
    found = by_iam(tag="requester@shop/prod", api=API).person
    assert found.grants == (Grant(role=Role.VIEWER, team="bank"), REQUESTER)
    assert found.email == "ada@example.com"
    assert found.known_as == {ROLE, "ada@example.com"}
    other = ROLE.replace(HUB, "444455556666")
    elsewhere = SESSION.replace(HUB, "444455556666")
    assert by_iam(elsewhere, api=Api(principals={other: (REQUESTER,)})).person.grants == (REQUESTER,)
    assert by_iam(elsewhere, api=API).person.grants == ()


def test_a_person_with_a_token() -> None:
    """Who it is, with the grants of the groups that the configuration maps."""
    assert by_token({"groups": ["shop", "unknown", "both", "shop"]}) == Identified(
        person=Person(
            principal=f"{ISSUER}#ada",
            name="Ada Lovelace",
            source=Source.OIDC,
            grants=(REQUESTER, Grant(role=Role.VIEWER)),
            email="ada@example.com",
        )
    )


@pytest.mark.parametrize(
    ("groups", "grants", "told"),
    [
        ("shop", 1, False),
        (["shop"], 1, False),
        (["security", "shop"], 2, False),
        ([], 0, False),
        (..., 0, False),
        ("", 0, False),
        ("shop security", 0, False),
        ("shop,security", 0, False),
        ('["security"]', 0, False),
        (["SECURITY", "security ", "security\n", "secur\u200bity", "*", ".*"], 0, False),
        (["admin", "security@shop", "requester@shop/prod"], 0, False),
        (["a" * 129], 0, True),
        ([["security"], {"security": 1}, None, 7, True], 0, True),
        (["shop", ["security"]], 1, True),
        ({"security": True}, 0, True),
        ({"shop": ["security"]}, 0, True),
        (7, 0, True),
        (True, 0, True),
        (["\ud800", "\x00", "' OR 1=1", "../security"], 0, False),
    ],
)
def test_groups(groups: Any, grants: int, told: bool) -> None:
    """A list of texts, or one text: each is compared whole, and no text but a configured name grants anything."""
    found = by_token({"groups": groups})
    assert len(found.person.grants) == grants
    assert bool(found.told) == told


def test_no_group_is_taken_apart() -> None:
    """A group named like a grant is a group, and grants what the configuration says of it."""
    api = replace(API, groups={"admin": (Grant(role=Role.VIEWER, team="shop"),)})
    assert by_token({"groups": ["admin"]}, api).person.grants == (Grant(role=Role.VIEWER, team="shop"),)


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({}, "ada@example.com"),
        ({"email_verified": "true"}, "ada@example.com"),
        ({"email_verified": False}, ""),
        ({"email_verified": "false"}, ""),
        ({"email_verified": 1}, ""),
        ({"email_verified": ...}, ""),
        ({"email": ["ada@example.com"]}, ""),
        ({"email": "ada"}, ""),
        ({"email": "ada@example.com\n"}, ""),
        ({"email": "ada@example.com, bob@example.com"}, ""),
        ({"email": "a" * 65 + "@example.com"}, ""),
        ({"email": 7}, ""),
        ({"sub": "bob", "email_verified": False}, "bob@example.com"),
    ],
)
def test_addresses(claims: dict[str, Any], email: str) -> None:
    """Only one that the issuer verified counts, or one that the configuration gives."""
    assert by_token(claims).person.email == email


def test_a_verified_address_hides_no_link() -> None:
    """Who has an address of their own at the issuer is known by the configured one besides: both are that person."""
    api = replace(API, people={f"{ISSUER}#ada": "ada@work.example"})
    assert by_token({}, api).person.known_as == {f"{ISSUER}#ada", "ada@example.com", "ada@work.example"}


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({}, "Ada Lovelace"),
        ({"name": ""}, "ada@example.com"),
        ({"name": ..., "preferred_username": "ada7"}, "ada7"),
        ({"name": 7, "cognito:username": "ada8"}, "ada8"),
        ({"name": ..., "cognito:username": "ada"}, "ada@example.com"),
        ({"name": ..., "username": "ada", "email": ...}, "ada"),
        ({"name": "\x1b[2J\u202eada\n\ud800"}, "[2J ada"),
        ({"name": "a" * 200}, "a" * 127 + "…"),
        ({"name": ..., "email": ...}, "ada"),
    ],
)
def test_names(claims: dict[str, Any], name: str) -> None:
    """What a person is called is fit to be shown, and never empty. A user name that is the subject's id, as Cognito
    makes one up where people sign in with their e-mail address, tells nobody who it is."""
    shown = by_token(claims).person.name
    assert shown == name or (name == "ada@example.com" and shown == "Ada@example.com")
    assert shown.isprintable()


def test_nobody_signed_in() -> None:
    """No identity at all is nobody, without a word; both at once, and an expired token, are nobody with one."""
    for context in ({}, {"identity": None}, {"identity": {}, "authorizer": {}}, {"authorizer": {"principalId": "x"}}):
        assert identify(context, API, account=HUB, tags={TAG: "admin"}, now=NOW) == Identified(person=NOBODY)
    both = identify(signed(SESSION, authorizer={CONTEXT: kept()}), API, account=HUB, tags={TAG: "admin"}, now=NOW)
    assert (both.person, "both" in both.told[0]) == (NOBODY, True)


def test_an_answer_of_the_authorizer_that_was_kept_too_long() -> None:
    """The token's end holds, give or take the clock's minute, whatever API Gateway keeps."""
    end = SECONDS + 3_600 + 60
    assert by_token(at=NOW.fromtimestamp(end - 1, NOW.tzinfo)).person.source is Source.OIDC
    late = by_token(at=NOW.fromtimestamp(end, NOW.tzinfo))
    assert (late.person, late.told) == (NOBODY, ("the token has expired; sign in again",))


def test_the_authorizer_hands_on_little() -> None:
    """Only what means something here, in a text that API Gateway carries, however many groups there are."""
    names = [f"{number:03d}{'é' * 120}" for number in range(500)]
    api = replace(API, groups=dict.fromkeys(names, (REQUESTER,)))
    claims = {"groups": names, "phone_number": "+49 30 1234567", "name": "é" * 500}
    text = kept_of(Verified(issuer=ISSUER, subject="ada", expires=NOW + timedelta(hours=1), claims=claims), api, OIDC)
    assert len(text) <= MAX_CONTEXT
    assert text.isascii()
    handed = json.loads(text)
    assert set(handed) == {"iss", "sub", "exp", "name", "email", "groups", "told"}
    assert handed["groups"] == names[: len(handed["groups"])]
    found = identify({"authorizer": {CONTEXT: text}}, api, account=HUB, tags={}, now=NOW)
    assert (found.person.grants, found.told) == (
        (REQUESTER,),
        (f"only the first {len(handed['groups'])} groups count",),
    )
    assert json.loads(kept({"groups": ["unknown", "shop"]}))["groups"] == ["shop"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "{",
        "[" * 5_000,
        7,
        ["x"],
        "a" * 100_000,
        *(
            json.dumps({**json.loads(kept()), name: value})
            for name, value in {
                "iss": "",
                "sub": 7,
                "exp": True,
                "groups": "security",
                "name": None,
                "email": [],
                "told": {},
            }.items()
        ),
        json.dumps({**json.loads(kept()), "exp": 1e99}),
        json.dumps({**json.loads(kept()), "groups": [["security"]]}),
    ],
)
def test_what_the_authorizer_did_not_hand_on(text: Any) -> None:
    """A context that is not ours is nobody."""
    found = identify({"authorizer": {CONTEXT: text}}, API, account=HUB, tags={}, now=NOW)
    assert (found.person, len(found.told)) == (NOBODY, 1)


def test_one_person_with_two_identities() -> None:
    """Who asked as a role that the configuration links to an address cannot approve with a token of that address, nor
    the other way round, also where the link came after the request."""
    approver = Api(
        oidc=OIDC, groups={"shop": (Grant(role=Role.APPROVER),)}, principals={ROLE: (Grant(role=Role.APPROVER),)}
    )
    role, ada = by_iam(api=approver).person, by_token(api=approver).person
    later = replace(approver, people={ROLE: "ada@example.com"})

    def may(who: Person, asked_by: Any) -> bool:
        return judge(who, Action.APPROVE, "shop", "prod", asked_by=asked_by) is None

    assert may(ada, role.known_as)
    assert not may(ada, linked(role.known_as, later))
    assert not may(by_iam(api=later).person, ada.known_as)
    assert not may(by_iam(SESSION.replace("build-7", "other"), api=approver).person, role.known_as)


def test_a_session_named_by_an_address_grants_nothing() -> None:
    """The name of a session is what its taker says: it forbids, and never allows."""
    api = replace(API, people={"ada@example.com": "x"}, principals={"ada@example.com": (Grant(role=Role.ADMIN),)})
    found = by_iam(SESSION.replace("build-7", "Ada@Example.com"), api=api).person
    assert (found.grants, found.email) == ((), "")
    assert "ada@example.com" in found.known_as


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from([SESSION, ROLE, "admin"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["identity", "authorizer", "userArn", CONTEXT, "claims"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["identity", "authorizer", "accountId"]), JSON, max_size=3))
def test_no_context_raises_or_grants(context: dict[str, Any]) -> None:
    """Whatever a request context holds, there is no error, and without a tag and configuration no grant."""
    found = identify(context, Api(), account=HUB, tags={}, now=NOW)
    assert found.person.grants == ()


@given(st.text(max_size=300))
def test_no_tag_grants_more_than_it_says(text: str) -> None:
    """Whatever a tag holds, every grant is a word of it."""
    found = by_iam(tag=text)
    words = text.split(" ")
    assert all(any(word.startswith(each.role) for word in words) for each in found.person.grants)
    assert not (found.person.grants and found.told)


CLAIMS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["shop", "security"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["groups", "name", "email", "email_verified", "preferred_username"]), CLAIMS))
def test_no_claims_raise_or_grant_more(claims: dict[str, Any]) -> None:
    """Whatever a token claims, a group grants only where its whole name stands in the claim of groups."""
    verified = Verified(issuer=ISSUER, subject="ada", expires=NOW.replace(hour=13), claims=claims)
    text = kept_of(verified, API, OIDC)
    found = identify({"authorizer": {CONTEXT: text}}, API, account=HUB, tags={}, now=NOW)
    groups = claims.get("groups")
    named = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    expected = {grant for each in named if isinstance(each, str) for grant in API.groups.get(each, ())}
    assert set(found.person.grants) == expected
    assert found.person.principal == f"{ISSUER}#ada"
