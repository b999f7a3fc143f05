"""Issuers outside the organisation's list."""

from __future__ import annotations

import pytest

from layers.perennial.checks.cases import CA, SUMMARY, Case, leaf, place, problem, verdicts
from perennial.checks.interface import Organisation
from perennial.manifest import Role

AMAZON = Organisation(allowed_issuers=("O=Amazon", "Example CA"))
CASES = {"issuer.not-allowed": Case(place(organisation=AMAZON), place(leaf(issuer="CN=Other"), organisation=AMAZON))}


@pytest.mark.parametrize(
    ("issuer", "told"),
    [
        ("CN=Amazon RSA 2048 M02,O=Amazon,C=US", False),
        ("CN=EXAMPLE ca", False),
        ("CN=Amazone,O=Someone", True),
        (None, False),
    ],
)
def test_part_of_the_name_is_enough(issuer: str | None, told: bool) -> None:
    """An allowed issuer is a part of the issuer's name, without regard to case; an unknown issuer is not judged."""
    assert problem("issuer.not-allowed", place(leaf(issuer=issuer), organisation=AMAZON)) is told


def test_without_a_list_any_issuer_is_allowed() -> None:
    """An organisation that lists nobody excludes nobody."""
    assert not problem("issuer.not-allowed", place(leaf(issuer="CN=Other")))


def test_cas_are_not_judged() -> None:
    """The list is about what is issued, not about CAs; a summary without issuer is not judged."""
    assert not problem("issuer.not-allowed", place(CA, Role.ANCHOR, organisation=Organisation(allowed_issuers=("x",))))
    assert not problem("issuer.not-allowed", place(SUMMARY, organisation=AMAZON))


def test_detail_is_bounded() -> None:
    """An issuer of any length makes a short detail."""
    (verdict,) = verdicts("issuer.not-allowed", place(leaf(issuer="CN=" + "\n" * 9_999), organisation=AMAZON))
    assert len(verdict.detail) < 300
    assert verdict.detail.isprintable()
