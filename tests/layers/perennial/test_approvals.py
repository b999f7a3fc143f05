"""Whom a request needs, who may fill that, and what becomes of it: tables."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managed_records import DECLARED, NOW, record
from perennial import approvals
from perennial.approvals import Step
from perennial.audit_event import happened
from perennial.change_request import ChangeRequest, Decision, Kind, Need, Place, RequestState, Verdict, Wish
from perennial.managed_certificate import ManagedCertificate
from perennial.roles import Source
from perennial.settings import Settings, load
from requesting import ALL, WORK, person

KNOWN = f"""
[issuers.public]
kind = "acme"
directory = "https://ca.example/directory"

[issuers.private]
kind = "acme"
directory = "https://private.example/directory"
public = false

[profiles.web]
issuer = "public"
issuers = ["private"]
names = [".example.com"]

[profiles.inside]
issuer = "private"
names = [".example.com"]

[environments.production]
[environments.test]

[policy.owners]
shop-team = [".example.com"]
bank-team = [".example.com"]

[api.people]
"{WORK}" = "ada@example.com"
"""
TEAM, SECURITY = ("owner", "shop-team", "production"), ("security", "", "")


def settings(text: str = "") -> Settings:
    return load(KNOWN + text)


def certificate(
    *names: str, owner: str = "shop-team", environment: str = "production", **more: Any
) -> ManagedCertificate:
    asked = replace(DECLARED.request, names=names or ("www.example.com",), owner=owner, **more)
    return replace(DECLARED, request=asked, environment=environment)


def wish(kind: Kind, declared: ManagedCertificate | None = None) -> Wish:
    return Wish(kind=kind, managed="shop", declared=declared)


def people(found: tuple[Need, ...]) -> dict[str, int]:
    return {f"{each.role} {each.owner} {each.environment}".strip(): each.people for each in found}


PLAIN, WILD = certificate(), certificate("www.example.com", "*.example.com")
OF_TEAM = "owner shop-team production"
BUILT_IN: dict[str, tuple[Wish, ManagedCertificate | None, dict[str, int]]] = {
    "create": (wish(Kind.CREATE, PLAIN), None, {OF_TEAM: 1}),
    "change": (wish(Kind.CHANGE, PLAIN), certificate("a.example.com"), {OF_TEAM: 1}),
    "retire": (wish(Kind.RETIRE), PLAIN, {OF_TEAM: 1}),
    "revoke": (wish(Kind.REVOKE), PLAIN, {OF_TEAM: 1}),
    "renew": (wish(Kind.RENEW), PLAIN, {}),
    "create a wildcard": (wish(Kind.CREATE, WILD), None, {OF_TEAM: 2}),
    "change to a wildcard": (wish(Kind.CHANGE, WILD), PLAIN, {OF_TEAM: 2}),
    "change from a wildcard": (wish(Kind.CHANGE, PLAIN), WILD, {OF_TEAM: 2}),
    "revoke a wildcard, which must be quick": (wish(Kind.REVOKE), WILD, {OF_TEAM: 1}),
    "renew a wildcard": (wish(Kind.RENEW), WILD, {}),
    "hand over to another team": (
        wish(Kind.CHANGE, certificate(owner="bank-team")),
        PLAIN,
        {OF_TEAM: 1, "owner bank-team production": 1},
    ),
    "hand over to another environment": (
        wish(Kind.CHANGE, certificate(environment="test")),
        PLAIN,
        {OF_TEAM: 1, "owner shop-team test": 1},
    ),
}


@pytest.mark.parametrize("case", BUILT_IN)
def test_what_is_built_in(case: str) -> None:
    """Without rules: one approver of the team, two for wildcards, nobody for a renewal."""
    wanted, before, needed = BUILT_IN[case]
    assert people(approvals.needs(settings(), wanted, before)) == needed


RULE = "[approvals.rules.r]\nneeds = { security = 1 }\n"
BLOG = certificate("a.blog.example.com")
CONDITIONS: dict[str, tuple[str, Wish, ManagedCertificate | None, bool]] = {
    "its kind": ('kinds = ["create"]', wish(Kind.CREATE, PLAIN), None, True),
    "another kind": ('kinds = ["change"]', wish(Kind.CREATE, PLAIN), None, False),
    "its profile": ('profiles = ["web"]', wish(Kind.CREATE, PLAIN), None, True),
    "another profile": ('profiles = ["inside"]', wish(Kind.CREATE, PLAIN), None, False),
    "its environment": ('environments = ["production"]', wish(Kind.CREATE, PLAIN), None, True),
    "another environment": ('environments = ["test", ""]', wish(Kind.CREATE, PLAIN), None, False),
    "no environment": ('environments = [""]', wish(Kind.CREATE, certificate(environment="")), None, True),
    "its owner": ('owners = ["shop-team"]', wish(Kind.CREATE, PLAIN), None, True),
    "another owner": ('owners = ["bank-team"]', wish(Kind.CREATE, PLAIN), None, False),
    "one of its names": (
        'names = [".blog.example.com"]',
        wish(Kind.CREATE, certificate("a.example.com", "a.blog.example.com")),
        None,
        True,
    ),
    "none of its names": ('names = [".blog.example.com"]', wish(Kind.CREATE, PLAIN), None, False),
    "a wildcard": ("wildcard = true", wish(Kind.CREATE, WILD), None, True),
    "no wildcard": ("wildcard = true", wish(Kind.CREATE, PLAIN), None, False),
    "none wanted": ("wildcard = false", wish(Kind.CREATE, WILD), None, False),
    "a public issuer": ("public = true", wish(Kind.CREATE, PLAIN), None, True),
    "a private profile": ("public = true", wish(Kind.CREATE, certificate(profile="inside")), None, False),
    "a private issuer that was chosen": (
        "public = true",
        wish(Kind.CREATE, certificate(issuer="private")),
        None,
        False,
    ),
    "a profile that is gone": ("public = false", wish(Kind.RETIRE), certificate(profile="gone"), True),
    "all of several": ('public = true\nkinds = ["create"]', wish(Kind.CREATE, PLAIN), None, True),
    "not all of several": ('public = true\nkinds = ["renew"]', wish(Kind.CREATE, PLAIN), None, False),
    "as it was": ('names = [".blog.example.com"]', wish(Kind.CHANGE, PLAIN), BLOG, True),
    "as it is to be": ('names = [".blog.example.com"]', wish(Kind.CHANGE, BLOG), PLAIN, True),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_when_a_rule_holds(case: str) -> None:
    """A rule holds where all of its conditions do; where none holds, the built-in ones do."""
    condition, wanted, before, holds = CONDITIONS[case]
    found = people(approvals.needs(settings(RULE + condition), wanted, before))
    assert ("security" in found) is holds


def test_the_strictest_counts() -> None:
    """Of all rules that hold, the most people of each role; a rule that needs nobody takes nothing from the others."""
    text = """
    [approvals.rules.nobody]
    needs = {}
    [approvals.rules.one]
    needs = { owner = 1, security = 1 }
    [approvals.rules.two]
    needs = { owner = 2 }
    """
    assert people(approvals.needs(settings(text), wish(Kind.CREATE, PLAIN), None)) == {OF_TEAM: 2, "security": 1}


def test_nobody_where_a_rule_says_so() -> None:
    """A rule that needs nobody takes the place of the built-in ones, for what it holds for."""
    text = "[approvals.rules.tests]\nenvironments = ['test']\nneeds = {}"
    assert approvals.needs(settings(text), wish(Kind.CREATE, certificate(environment="test")), None) == ()
    assert people(approvals.needs(settings(text), wish(Kind.CREATE, PLAIN), None)) == {OF_TEAM: 1}


def test_two_people_for_public_certificates_of_named_domains() -> None:
    """What the organisation wants: another domain and a private issuer need one approver, these two need two people."""
    text = """
    [approvals.rules.usual]
    kinds = ["create", "change"]
    needs = { owner = 1 }
    [approvals.rules.shops]
    kinds = ["create", "change"]
    public = true
    names = [".shop.example.com"]
    needs = { owner = 1, security = 1 }
    """
    known, shop = settings(text), certificate("www.shop.example.com")
    assert people(approvals.needs(known, wish(Kind.CREATE, shop), None)) == {OF_TEAM: 1, "security": 1}
    private = certificate("www.shop.example.com", issuer="private")
    for other in (PLAIN, private):
        assert people(approvals.needs(known, wish(Kind.CREATE, other), None)) == {OF_TEAM: 1}


# --- who may fill it ---

NEEDS = (Need(role="owner", people=1, owner="shop", environment="production"), Need(role="security", people=1))
OWN, SEC = NEEDS[0].place, NEEDS[1].place
FILLS: dict[str, tuple[Any, tuple[Place, ...], str]] = {
    "an approver of the team": (ALL["bob"], (OWN,), ""),
    "security": (ALL["sue"], (SEC,), ""),
    "someone with both roles": (ALL["both"], (OWN, SEC), ""),
    "an approver of another team": (ALL["eve"], (), "elsewhere"),
    "a requester": (ALL["abel"], (), "no-role"),
    "an operator": (ALL["otto"], (), "no-role"),
    "the asker": (ALL["ada"], (), "own-request"),
    "the asker's other identity": (ALL["ada-at-work"], (), "own-request"),
    "the asker's role, without its address": (person("x", "approver@shop", principal=WORK), (), "own-request"),
    "nobody": (replace(ALL["bob"], source=Source.NONE), (), "nobody"),
}


@pytest.mark.parametrize("case", FILLS)
def test_who_may_fill_what(case: str) -> None:
    """A place is filled by who has its role there, and never by the asker, under whatever name."""
    someone, places, reason = FILLS[case]
    asked_by = (WORK,) if "without" in case else tuple(ALL["ada"].known_as)
    found, refusal = approvals.fills(someone, NEEDS, asked_by, settings().api)
    assert found == places
    assert (refusal.reason if refusal else "") == reason


def test_who_asked_must_be_known() -> None:
    """Nobody can approve what nobody knows to have asked."""
    assert approvals.fills(ALL["both"], NEEDS, (), settings().api)[0] == ()


def request(*decisions: Decision, needs: tuple[Need, ...] = NEEDS, **more: Any) -> ChangeRequest:
    known: dict[str, Any] = {
        "id": "0" * 32,
        "wish": wish(Kind.CREATE, PLAIN),
        "owner": "shop",
        "environment": "production",
        "digest": "d",
        "asked_by": tuple(sorted(ALL["ada"].known_as)),
        "principal": ALL["ada"].principal,
        "asked_name": "ada",
        "asked_at": NOW,
        "source": "api",
        "reason": "",
        "needs": needs,
        "expires_at": NOW + timedelta(days=7),
        "forget_at": NOW + timedelta(days=400),
        "decisions": decisions,
    }
    return ChangeRequest(**{**known, **more})


def approved(name: str, *places: Place, digest: str = "d", by: tuple[str, ...] = ()) -> Decision:
    known = by or tuple(ALL[name].known_as if name in ALL else (name,))
    return Decision(verdict=Verdict.APPROVED, by=known, principal=name, name=name, at=NOW, fills=places, digest=digest)


OPEN: dict[str, tuple[tuple[Decision, ...], dict[str, int]]] = {
    "nobody yet": ((), {"owner shop production": 1, "security": 1}),
    "one of two": ((approved("bob", OWN),), {"security": 1}),
    "both": ((approved("bob", OWN), approved("sue", SEC)), {}),
    "one person fills one place": ((approved("both", OWN, SEC),), {"owner shop production": 1}),
    "who could fill both takes what is left": ((approved("both", OWN, SEC), approved("bob", OWN)), {}),
    "two of the same role": ((approved("bob", OWN), approved("ben", OWN)), {"security": 1}),
    "one person twice": ((approved("bob", OWN), approved("bob", SEC)), {"owner shop production": 1}),
    "two identities with one address": (
        (approved("x", OWN, by=("x", "b@example.com")), approved("y", SEC, by=("y", "b@example.com"))),
        {"owner shop production": 1},
    ),
    "two identities that a third one links": (
        (approved("x", OWN, by=("x",)), approved("y", SEC, by=("y",)), approved("z", by=("x", "y"))),
        {"owner shop production": 1},
    ),
    "the asker": ((approved("ada", OWN, SEC),), {"owner shop production": 1, "security": 1}),
    "the asker's role, linked since": ((approved("w", OWN, by=(WORK,)),), {"owner shop production": 1, "security": 1}),
    "of another wish": ((approved("bob", OWN, digest="e"),), {"owner shop production": 1, "security": 1}),
    "of another place": (
        (approved("eve", ("owner", "bank", "production")),),
        {"owner shop production": 1, "security": 1},
    ),
}


@pytest.mark.parametrize("case", OPEN)
def test_what_is_still_needed(case: str) -> None:
    """Two people are two persons, each in one place, and only approvals of this wish count."""
    decisions, left = OPEN[case]
    found = people(approvals.open_needs(request(*decisions), settings().api))
    if case.startswith(("one person", "two identities")):
        assert sum(found.values()) == 1
    else:
        assert found == left


@given(
    seats=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)),
    who=st.lists(st.sets(st.sampled_from([0, 1, 2])), max_size=5),
)
def test_as_many_places_are_filled_as_can_be(seats: tuple[int, ...], who: list[set[int]]) -> None:
    """The matching is as large as the best of all ways to seat people, tried one by one."""
    places = [("owner", f"t{number}", "") for number in range(3)]
    needs = tuple(Need(role="owner", people=many, owner=f"t{number}") for number, many in enumerate(seats) if many)
    decisions = [approved(f"p{number}", *(places[each] for each in sorted(may))) for number, may in enumerate(who)]
    left = sum(each.people for each in approvals.open_needs(request(*decisions, needs=needs), API))
    assert sum(seats) - left == _best(list(seats), who)


def _best(seats: list[int], who: list[set[int]]) -> int:
    best = 0
    for chosen in itertools.product(*([None, *sorted(may)] for may in who)):
        taken = [sum(each == number for each in chosen) for number in range(3)]
        if all(count <= most for count, most in zip(taken, seats, strict=True)):
            best = max(best, sum(taken))
    return best


API = Settings().api


# --- what becomes of it ---


@pytest.mark.parametrize(
    ("before", "verdict", "state"),
    [
        ((), Verdict.APPROVED, RequestState.WAITING),
        ((approved("sue", SEC),), Verdict.APPROVED, RequestState.APPROVED),
        ((), Verdict.REJECTED, RequestState.REJECTED),
        ((approved("sue", SEC),), Verdict.REJECTED, RequestState.REJECTED),
        ((approved("sue", SEC),), Verdict.WITHDRAWN, RequestState.WITHDRAWN),
    ],
)
def test_states(before: tuple[Decision, ...], verdict: Verdict, state: RequestState) -> None:
    """The last approval that is needed approves; one rejection or withdrawal ends it."""
    decision = replace(approved("bob", OWN), verdict=verdict, reason="why")
    found = approvals.decided(request(*before), decision, settings().api)
    assert found.state is state
    assert found.decisions == (*before, decision)
    assert found.approved_at == (NOW if state is RequestState.APPROVED else None)
    assert found.ended_at == (NOW if state.ended else None)


EVENT = happened(NOW, principal="x", source="api", action="request.create", subject_kind="request", subject="0" * 32)
MINUTE = timedelta(minutes=1)
WEEK = NOW + timedelta(days=7)
STEPS: dict[str, tuple[dict[str, Any], Any, Step, Any]] = {
    "new": ({}, NOW, Step(next="ask", seconds=7 * 86_400), NOW),
    "told": ({"told_at": NOW}, NOW + MINUTE, Step(next="ask", seconds=7 * 86_400 - 60), WEEK + approvals.LATE),
    "a moment before its end": (
        {"told_at": NOW},
        WEEK - timedelta(milliseconds=1),
        Step(next="ask", seconds=1),
        WEEK + approvals.LATE,
    ),
    "at its end": ({"told_at": NOW}, WEEK, Step(next="expire"), WEEK + approvals.LATE),
    "approved": ({"state": RequestState.APPROVED}, NOW, Step(next="apply"), NOW + approvals.SOON),
    "approved long ago": ({"state": RequestState.APPROVED}, WEEK, Step(next="apply"), WEEK + approvals.SOON),
    "not in the trail yet": ({"untold": (EVENT,)}, NOW, Step(next="apply"), NOW + approvals.SOON),
    "ended, not in the trail yet": (
        {"state": RequestState.DONE, "untold": (EVENT,)},
        NOW,
        Step(next="apply"),
        NOW + approvals.SOON,
    ),
    **{str(each): ({"state": each}, NOW, Step(next="ended"), None) for each in RequestState if each.ended},
}


@pytest.mark.parametrize("case", STEPS)
def test_what_is_next(case: str) -> None:
    """Every request that has not ended has a next step, and a time at which the tick looks at it."""
    more, now, step, due = STEPS[case]
    found = request(**more)
    assert approvals.step(found, now) == step
    assert approvals.due_at(found, now) == due


# --- what it is about ---


def test_a_digest_is_of_everything() -> None:
    """Any other wish has another digest; the same one has the same, however often it is made."""
    base = wish(Kind.CREATE, PLAIN)
    others = [
        replace(base, kind=Kind.CHANGE),
        replace(base, managed="blog"),
        replace(base, declared=WILD),
        replace(base, declared=replace(PLAIN, targets=())),
        replace(base, declared=replace(PLAIN, request=replace(PLAIN.request, csr=b"x"))),
        replace(base, version=1),
        replace(base, why="superseded"),
        replace(base, force=True),
        replace(base, revision=1),
    ]
    digests = {approvals.digest(each) for each in (base, *others)}
    assert len(digests) == len(others) + 1
    assert approvals.digest(replace(base)) == approvals.digest(base)


def test_a_mark_changes_with_the_declaration_alone() -> None:
    """What the lifecycle does changes nothing of the mark; a declaration does, also one that goes back."""
    known = record()
    mark = approvals.mark(known)
    assert approvals.mark(None) == ""
    assert approvals.mark(replace(known, revision=9, fence=3, attempts=2, due_at=NOW, forced_at=NOW)) == mark
    assert approvals.mark(replace(known, declared_at=NOW)) != mark
    assert approvals.mark(replace(known, removed_at=NOW)) != mark
    assert approvals.mark(replace(known, declared=WILD)) != mark


def test_needs_in_words() -> None:
    """For people: how many, of whom."""
    needs = (replace(NEEDS[0], people=2), replace(NEEDS[0], environment=""), NEEDS[1], replace(NEEDS[1], people=2))
    assert list(approvals.told(needs)) == [
        "2 approvers of shop for production",
        "1 approver of shop",
        "1 person of security",
        "2 people of security",
    ]
