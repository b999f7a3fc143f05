"""Requests for certificates that were not issued."""

from __future__ import annotations

from datetime import timedelta

import pytest

from certificates import NOW
from layers.perennial.checks.cases import Case, changes, place, problem
from perennial.checks.interface import Organisation, Subject
from perennial.manifest import Role


def requested(
    days_ago: float | None = 0, status: str = "PENDING_VALIDATION", source: str = "acm", days: int = 3
) -> Subject:
    """A request that was made so many days ago."""
    at = None if days_ago is None else (NOW - timedelta(days=days_ago)).isoformat()
    attributes = {"status": status, "changed_at": at}
    return place(None, source=source, attributes=attributes, organisation=Organisation(stuck_days=days))


CASES = {"issuance.stuck": Case(requested(1), requested(4))}


@pytest.mark.parametrize(("ago", "days", "told"), [(0, 3, False), (2.99, 3, False), (3, 3, True), (4, 5, False)])
def test_waiting_is_stuck_after_some_days(ago: float, days: int, told: bool) -> None:
    """A request may wait `stuck_days` for its validation, and is looked at again when they are over."""
    subject = requested(ago, days=days)
    assert problem("issuance.stuck", subject) is told
    assert changes("issuance.stuck", subject) == (None if told else NOW + timedelta(days=days - ago))


@pytest.mark.parametrize(("status", "told"), [("VALIDATION_TIMED_OUT", True), ("FAILED", True), ("ISSUED", False)])
def test_request_that_was_given_up(status: str, told: bool) -> None:
    """What ACM gave up is told at once, what it issued is not."""
    subject = requested(0, status)
    assert problem("issuance.stuck", subject) is told
    assert changes("issuance.stuck", subject) is None


def test_without_a_date_waiting_is_not_judged() -> None:
    """Where nothing tells since when a request waits, it is not called stuck."""
    assert not problem("issuance.stuck", requested(None))


def test_other_services_have_other_states() -> None:
    """FAILED is said of a private CA or a domain too, and means something else there."""
    assert not problem("issuance.stuck", requested(9, "FAILED", source="acm_pca"))
    assert not problem("issuance.stuck", place(None, Role.AUTHORITY, attributes={"status": "FAILED"}))
