"""Which findings exceptions cover, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from certificates import build
from estate import HUB, NOW, REGION, SCOPE
from layers.perennial.hostile import FINDING
from perennial.exception_record import ExceptionRecord, ExceptionState
from perennial.exception_selection import Selection
from perennial.findings import Finding, State, difference, told
from perennial.manifest import Scope
from perennial.suppression import NOTHING, covering, names_of, suppressed, suspensions, until

DAY = timedelta(days=1)
LEAF = build("shop.example.com").certificate


def exception(selection: Selection, **more: Any) -> ExceptionRecord:
    usual: dict[str, Any] = {
        "id": "a" * 32,
        "rule": "expiry.expired",
        "selection": selection,
        "reason": "why",
        "owner": "shop",
        "ends": NOW + DAY,
        "asked_by": ("arn:x",),
        "asked_name": "rita",
        "asked_at": NOW,
        "state": ExceptionState.ACTIVE,
    }
    return ExceptionRecord(**{**usual, **more})


def judged(finding: Finding, *active: ExceptionRecord) -> Finding:
    known = suspensions(active, NOW, lambda managed: frozenset({"a" * 64} if managed == "shop" else ()))
    (found,) = suppressed((finding,), LEAF, known)
    return found


@pytest.mark.parametrize(
    ("selection", "covered"),
    [
        (Selection(fingerprint="a" * 64), True),
        (Selection(fingerprint="b" * 64), False),
        (Selection(owner="shop"), True),
        (Selection(owner="bank"), False),
        (Selection(name="shop.example.com"), True),
        (Selection(name="example.com", subtree=True), True),
        (Selection(name="bank.example.com"), False),
        (Selection(resource=FINDING.resource), True),
        (Selection(resource=f"arn:aws:acm:{REGION}:{HUB}:*"), True),
        (Selection(account=HUB, region=REGION), True),
        (Selection(account=HUB, region="us-east-1"), False),
        (Selection(managed="shop"), True),
        (Selection(managed="bank"), False),
        (Selection(owner="shop", managed="bank"), False),
    ],
)
def test_a_finding_is_covered_by_what_fits_it(selection: Selection, covered: bool) -> None:
    """Each condition is held against the finding and the certificate that it is about."""
    found = judged(FINDING, exception(selection))
    assert (found.state is State.SUPPRESSED) is covered
    assert (found.exception, found.exception_ends) == (("a" * 32, NOW + DAY) if covered else ("", None))


def test_what_is_attached_is_a_place_of_its_own() -> None:
    """An exception for the certificate's region says nothing of a listener in another one."""
    elsewhere = replace(FINDING, scope=Scope(HUB, "us-east-1", "elbv2"), resource="arn:listener")
    assert judged(elsewhere, exception(Selection(region=REGION))).state is State.OPEN


@pytest.mark.parametrize(
    "more",
    [
        {"rule": "keys.weak"},
        {"ends": NOW},
        {"state": ExceptionState.ASKED},
        {"state": ExceptionState.REJECTED},
        {"state": ExceptionState.ENDED},
    ],
)
def test_what_does_not_hold_covers_nothing(more: dict[str, Any]) -> None:
    """Another rule, an end that has come, or what was never granted."""
    assert judged(FINDING, exception(Selection(owner="shop"), **more)) == FINDING


def test_of_several_the_one_that_ends_last_covers() -> None:
    """When the shorter one ends nothing changes, and so nothing is told."""
    long = exception(Selection(owner="shop"), id="b" * 32, ends=NOW + 9 * DAY)
    found = judged(FINDING, exception(Selection(owner="shop")), long)
    assert (found.exception, until([found])) == ("b" * 32, NOW + 9 * DAY)
    assert until([FINDING]) is None


def test_without_exceptions_findings_are_the_same_objects() -> None:
    """Nothing is asked, made or copied."""
    assert suppressed((FINDING,), None, NOTHING)[0] is FINDING
    assert covering(FINDING, None, NOTHING) is None


def test_a_certificate_without_names_is_known_by_its_common_name() -> None:
    """As the inventory finds it; one that cannot be read has no name, and no condition on names covers it."""
    assert names_of(None) == ()
    assert names_of(LEAF) == ("shop.example.com",)


def test_suppressed_anew_only_where_something_is_another() -> None:
    """The same exception over the same verdict is no change; another end, detail or exception is one; the time of
    opening stays."""
    first = judged(FINDING, exception(Selection(owner="shop")))
    assert difference([FINDING], [first], NOW + DAY).suppressed == (first,)
    assert not difference([first], [replace(first, opened_at=NOW + DAY, updated_at=NOW + DAY)], NOW + DAY)
    for more in ({"exception_ends": NOW + 2 * DAY}, {"detail": "x"}, {"exception": "b" * 32}):
        now = replace(first, opened_at=NOW + DAY, **more)  # type: ignore[arg-type]
        (changed,) = difference([first], [now], NOW + DAY).suppressed
        assert changed.opened_at == NOW


def test_after_its_exception_a_finding_opens_anew() -> None:
    """It is opened, not changed, with the time of now: whoever was told long ago is told again."""
    first = judged(FINDING, exception(Selection(owner="shop")))
    again = replace(FINDING, opened_at=NOW + DAY, updated_at=NOW + DAY)
    change = difference([first], [again], NOW + DAY)
    assert change.opened == (again,) and not (change.changed or change.resolved or change.suppressed)


def test_resolved_under_an_exception_it_keeps_whose_it_was() -> None:
    """So that nobody is told of the end of what they were not told of."""
    first = judged(FINDING, exception(Selection(owner="shop")))
    (resolved,) = difference([first], [], NOW + DAY).resolved
    assert (resolved.state, resolved.exception) == (State.RESOLVED, "a" * 32)


def test_what_was_told_before_exceptions_came_is_not_told_again() -> None:
    """The mark of what people know is the same as before for a finding without an exception."""
    assert told(FINDING) == (
        FINDING.detail,
        FINDING.severity,
        FINDING.owner,
        FINDING.fingerprint,
        FINDING.resource,
        FINDING.subject,
    )
    assert FINDING.scope == SCOPE
