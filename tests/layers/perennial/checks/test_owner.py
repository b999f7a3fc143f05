"""Certificates without an owner."""

from __future__ import annotations

from layers.perennial.checks.cases import CA, Case, place, problem
from perennial.manifest import Role

CASES = {"owner.missing": Case(place(owner="shop-team"), place())}


def test_unknown_is_not_missing() -> None:
    """Where no source of ownership could be read, nobody is accused."""
    assert not problem("owner.missing", place(owner_known=False))


def test_anchors_need_no_owner() -> None:
    """A trusted root belongs to its CA; a private CA needs an owner."""
    assert not problem("owner.missing", place(CA, Role.ANCHOR))
    assert problem("owner.missing", place(CA, Role.AUTHORITY))


def test_unreadable_certificate_needs_an_owner_most() -> None:
    """Also a certificate that could not be read belongs to somebody."""
    assert problem("owner.missing", place(None, attributes={"problem": "AccessDenied"}))
