"""Unused certificates, and those that may do too much."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from certificates import NOW
from layers.perennial.checks.cases import CA, Case, changes, leaf, listener, place, problem
from perennial.manifest import Role

OLD = (NOW - timedelta(days=100)).isoformat()
BOTH = leaf(extended_key_usage=("serverAuth", "clientAuth"))
IDLE: dict[str, Any] = {"type": "AMAZON_ISSUED", "in_use": False, "changed_at": OLD, "renewal_eligible": "INELIGIBLE"}
CASES = {
    "usage.unused": Case(place(attributes=IDLE | {"in_use": True}), place(attributes=IDLE)),
    "usage.client-auth": Case(place(public=True), place(BOTH, public=True)),
}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, True),
        ({"in_use": None}, False),
        ({"origin": "ACME"}, False),
        ({"changed_at": None}, True),
        ({"exportable": "ENABLED"}, True),
        ({"exportable": "ENABLED", "renewal_eligible": "ELIGIBLE"}, False),
        ({"exportable": True, "renewal_eligible": True}, False),
        ({"type": "PRIVATE", "renewal_eligible": "ELIGIBLE"}, False),
        ({"type": "PRIVATE"}, True),
        ({"type": "IMPORTED"}, True),
    ],
)
def test_what_acm_tells(changed: dict[str, Any], told: bool) -> None:
    """ACM says whether something uses a certificate; what was exported or is ACME's may be used elsewhere."""
    assert problem("usage.unused", place(attributes=IDLE | changed)) is told


def test_attachment_is_use() -> None:
    """What is attached is used, even if ACM does not know of it yet."""
    assert not problem("usage.unused", place(attached=(listener(),), attributes=IDLE))


@pytest.mark.parametrize(
    ("full", "attached", "told"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_iam_certificates_by_their_attachments(full: bool, attached: bool, told: bool) -> None:
    """IAM does not say what uses a certificate: what is attached is known after a full scan only."""
    subject = place(source="iam", full=full, attached=(listener(),) if attached else (), attributes={"changed_at": OLD})
    assert problem("usage.unused", subject) is told


@pytest.mark.parametrize(
    ("role", "source"),
    [(Role.STORED, "secretsmanager"), (Role.AUTHORITY, "acm_pca"), (Role.ANCHOR, "trust_stores"), (Role.SERVED, "acm")],
)
def test_unknown_use_is_not_judged(role: Role, source: str) -> None:
    """Who reads a secret or trusts a root cannot be seen."""
    assert not problem("usage.unused", place(CA, role, source, attributes=IDLE))


@pytest.mark.parametrize(("days", "told"), [(0, False), (6.99, False), (7, True), (8, True)])
def test_a_week_of_grace(days: float, told: bool) -> None:
    """A new certificate has a week to be attached, and is looked at again when it is over."""
    now = NOW + timedelta(days=days)
    subject = place(attributes=IDLE | {"changed_at": NOW.isoformat()})
    assert problem("usage.unused", subject, now) is told
    assert changes("usage.unused", subject, now) == (None if told else NOW + timedelta(days=7))


@pytest.mark.parametrize("public", [False, None])
def test_private_certificates_may_authenticate_clients(public: bool | None) -> None:
    """Both purposes in one private certificate are nobody's business."""
    assert not problem("usage.client-auth", place(BOTH, public=public))


def test_client_certificate_is_no_server_certificate() -> None:
    """A certificate for clients only is not judged."""
    assert not problem("usage.client-auth", place(leaf(extended_key_usage=("clientAuth",)), public=True))
