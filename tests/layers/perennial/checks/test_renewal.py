"""Renewals that do not come."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from certificates import NOW
from layers.perennial.checks.cases import CA, Case, changes, leaf, listener, place, problem
from perennial.checks.interface import Organisation
from perennial.manifest import Role

MANAGED: dict[str, Any] = {"type": "AMAZON_ISSUED", "in_use": True}
CASES = {
    "renewal.stuck": Case(
        place(attributes=MANAGED | {"renewal_status": "SUCCESS"}),
        place(attributes=MANAGED | {"renewal_status": "PENDING_VALIDATION"}),
    ),
    "renewal.none": Case(
        place(attributes={"type": "IMPORTED", "in_use": False}), place(attributes={"type": "IMPORTED", "in_use": True})
    ),
}


@pytest.mark.parametrize(
    ("type_", "status", "told"),
    [
        ("AMAZON_ISSUED", "PENDING_VALIDATION", True),
        ("AMAZON_ISSUED", "FAILED", True),
        ("PRIVATE", "FAILED", True),
        ("PRIVATE", "SUCCESS", False),
        ("AMAZON_ISSUED", None, False),
        ("IMPORTED", "FAILED", False),
    ],
)
def test_status_that_acm_tells(type_: str, status: str | None, told: bool) -> None:
    """A renewal that waits for the owner or failed is stuck, for what ACM renews."""
    assert problem("renewal.stuck", place(attributes={"type": type_, "renewal_status": status})) is told


@pytest.mark.parametrize(("left", "told"), [(45, False), (42.001, False), (42, True), (10, True)])
def test_automatic_renewal_takes_days_at_most(left: float, told: bool) -> None:
    """ACM begins 45 days before the end; when it still tries after `stuck_days`, it is stuck."""
    end = NOW + timedelta(days=left)
    subject = place(
        leaf(not_after=end),
        attributes=MANAGED | {"renewal_status": "PENDING_AUTO_RENEWAL"},
        organisation=Organisation(stuck_days=3),
    )
    assert problem("renewal.stuck", subject) is told
    assert changes("renewal.stuck", subject) == (None if told else end - timedelta(days=42))


@pytest.mark.parametrize(
    ("source", "attributes", "attached", "told"),
    [
        ("acm", {"type": "IMPORTED", "in_use": True}, False, True),
        ("acm", {"type": "IMPORTED", "in_use": False}, False, False),
        ("acm", {"type": "IMPORTED"}, True, True),
        ("acm", {"type": "PRIVATE"}, True, False),
        ("iam", {}, True, True),
        ("iam", {}, False, False),
        ("secretsmanager", {}, True, True),
        ("secretsmanager", {}, False, False),
    ],
)
def test_what_nothing_renews(source: str, attributes: dict[str, Any], attached: bool, told: bool) -> None:
    """What is imported and in use is renewed by nobody; what nothing uses needs no renewal."""
    subject = place(source=source, attributes=attributes, attached=(listener(),) if attached else ())
    assert problem("renewal.none", subject) is told


@pytest.mark.parametrize(("role", "certificate"), [(Role.SERVED, leaf()), (Role.AUTHORITY, CA), (Role.ANCHOR, CA)])
def test_only_stored_leaves_are_renewed(role: Role, certificate: Any) -> None:
    """What was seen in a handshake tells nothing of who renews it, and CAs are replaced and not renewed."""
    assert not problem("renewal.none", place(certificate, role, "iam", attached=(listener(),)))
