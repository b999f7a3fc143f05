"""How today's verdicts differ from those of before."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estate import HUB, NOW, SCOPE
from perennial.checks.interface import Severity
from perennial.findings import Finding, State, difference
from perennial.manifest import Scope

LATER = NOW + timedelta(days=1)
FINDING = Finding(
    check="expiry.expired",
    severity=Severity.CRITICAL,
    title="It has expired",
    detail="It ended on 2026-10-01.",
    remediation="Renew it.",
    scope=SCOPE,
    place="arn:place",
    location="arn:place",
    resource="arn:place",
    subject="shop.example.com",
    fingerprint="a" * 64,
    not_after=NOW,
    owner="shop",
    opened_at=NOW,
    updated_at=NOW,
)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, False),
        ({"opened_at": LATER, "updated_at": LATER}, False),
        ({"not_after": LATER}, False),
        ({"title": "another wording"}, False),
        ({"remediation": "another wording"}, False),
        ({"detail": "It ended on 2026-10-02."}, True),
        ({"severity": Severity.HIGH}, True),
        ({"owner": "blog"}, True),
        ({"owner": None}, True),
        ({"fingerprint": "b" * 64}, True),
        ({"resource": "arn:other"}, True),
        ({"subject": "other.example.com"}, True),
    ],
)
def test_what_counts_as_a_change(changed: dict[str, object], expected: bool) -> None:
    """Only what a reader is told makes a change; times and wording of the rule alone never alert again."""
    now = replace(FINDING, **changed)  # type: ignore[arg-type]
    found = difference([FINDING], [now], LATER)
    assert (found.opened, found.resolved, bool(found.changed)) == ((), (), expected)
    assert all(each.opened_at == NOW for each in found.changed)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([], [], (0, 0, 0)),
        ([], [FINDING], (1, 0, 0)),
        ([FINDING], [], (0, 0, 1)),
        ([replace(FINDING, state=State.RESOLVED)], [], (0, 0, 0)),
        ([replace(FINDING, state=State.RESOLVED)], [FINDING], (1, 0, 0)),
        ([FINDING], [replace(FINDING, location="arn:listener")], (1, 0, 1)),
        ([FINDING], [replace(FINDING, check="expiry.soon")], (1, 0, 1)),
    ],
)
def test_what_is_opened_changed_and_resolved(
    before: list[Finding], now: list[Finding], expected: tuple[int, int, int]
) -> None:
    """A finding opens where it was not open, and is resolved where it no longer holds."""
    found = difference(before, now, LATER)
    assert (len(found.opened), len(found.changed), len(found.resolved)) == expected
    assert bool(found) == any(expected)


def test_a_resolved_finding_keeps_its_opening_and_gets_the_time_of_its_end() -> None:
    """What is told of a resolved finding says when it began and when it ended."""
    (resolved,) = difference([FINDING], [], LATER).resolved
    assert (resolved.state, resolved.opened_at, resolved.updated_at) == (State.RESOLVED, NOW, LATER)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"detail": "x", "severity": Severity.LOW, "owner": None, "title": "y"}, True),
        ({"fingerprint": "b" * 64, "not_after": None, "subject": "z"}, True),
        ({"opened_at": LATER, "updated_at": LATER, "state": State.RESOLVED}, True),
        ({"scope": Scope(HUB, "us-east-1", "elbv2")}, True),
        ({"check": "expiry.soon"}, False),
        ({"location": "arn:other"}, False),
        ({"scope": Scope("1" * 12, "eu-west-1", "acm")}, False),
    ],
)
def test_an_id_is_made_of_check_account_and_location_only(changed: dict[str, object], same: bool) -> None:
    """Renewals, owners and dates leave the id as it is; another rule, account or place is another finding."""
    assert (replace(FINDING, **changed).id == FINDING.id) is same  # type: ignore[arg-type]
    assert re.fullmatch(r"[0-9a-f]{32}", FINDING.id)


def test_an_id_never_changes_between_versions() -> None:
    """Security Hub knows findings by this id: a new release must not make every one of them new."""
    assert FINDING.id == "69ec3eb7654ac68df03ba9c1eb516556"


findings = st.builds(
    replace,
    st.just(FINDING),
    check=st.sampled_from(["expiry.expired", "keys.weak", "names.missing"]),
    location=st.sampled_from(["arn:place", "arn:a", "arn:b"]),
    detail=st.sampled_from(["one", "two"]),
    owner=st.sampled_from([None, "shop"]),
    state=st.sampled_from(State),
    opened_at=st.sampled_from([NOW, LATER]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(findings, max_size=8), st.lists(findings, max_size=8))
def test_the_difference_leads_from_before_to_now(before: list[Finding], verdicts: list[Finding]) -> None:
    """Written over what was known, a difference leaves exactly the verdicts of now open, and is empty the next time."""
    now = [replace(each, state=State.OPEN, opened_at=LATER) for each in verdicts]
    known = {each.id: each for each in before}
    change = difference(known.values(), now, LATER)
    after = known | {each.id: each for each in (*change.opened, *change.changed, *change.resolved)}
    told = {each.id: each for each in now}
    still_open = {key: each for key, each in after.items() if each.state is State.OPEN}
    assert still_open.keys() == told.keys()
    assert all(each.detail == told[key].detail and each.owner == told[key].owner for key, each in still_open.items())
    assert not difference(after.values(), now, LATER + timedelta(days=1))
    was_open = {key: each for key, each in known.items() if each.state is State.OPEN}
    assert all(each.opened_at == was_open[key].opened_at for key, each in still_open.items() if key in was_open)
