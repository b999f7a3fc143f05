"""Chains: what comes with a certificate."""

from __future__ import annotations

from datetime import timedelta

import pytest

from certificates import NOW, build
from layers.perennial.checks.cases import CA, Case, changes, listener, place, problem
from perennial.chain import ChainStatus
from perennial.checks.interface import Subject
from perennial.manifest import Role

SELF_SIGNED = build("shop.example.com").certificate


def chained(status: str, **attributes: object) -> Subject:
    return place(attributes={"type": "IMPORTED", "chain_status": status, **attributes})


COMPLETE = chained("complete", chain_not_after=(NOW + timedelta(days=900)).isoformat())
CASES = {
    "chain.incomplete": Case(COMPLETE, chained("incomplete")),
    "chain.misordered": Case(COMPLETE, chained("misordered")),
    "chain.untrusted": Case(COMPLETE, chained("untrusted")),
    "chain.expired-intermediate": Case(
        COMPLETE, chained("complete", chain_not_after=(NOW - timedelta(days=1)).isoformat())
    ),
    "chain.self-signed": Case(
        place(attached=(listener(),)),
        place(SELF_SIGNED, attached=(listener(),), attributes={"chain_status": "self-signed"}),
    ),
}
BY_STATUS = {
    ChainStatus.INCOMPLETE: "chain.incomplete",
    ChainStatus.MISORDERED: "chain.misordered",
    ChainStatus.UNTRUSTED: "chain.untrusted",
}


@pytest.mark.parametrize("status", list(ChainStatus))
def test_one_check_a_status(status: ChainStatus) -> None:
    """Each bad status has its check and the good ones have none."""
    told = [check for check in BY_STATUS.values() if problem(check, chained(str(status)))]
    assert told == ([BY_STATUS[status]] if status in BY_STATUS else [])


@pytest.mark.parametrize("check", [*BY_STATUS.values(), "chain.expired-intermediate", "chain.self-signed"])
def test_chains_of_acm_are_its_own(check: str) -> None:
    """ACM sends the chain with its own certificates, whatever was seen of it."""
    attributes = {
        "type": "AMAZON_ISSUED",
        "in_use": True,
        "chain_status": check.removeprefix("chain."),
        "chain_not_after": (NOW - timedelta(days=1)).isoformat(),
    }
    assert not problem(check, place(attributes=attributes))


@pytest.mark.parametrize("check", [*BY_STATUS.values(), "chain.expired-intermediate"])
def test_unknown_chain_is_not_judged(check: str) -> None:
    """A quick scan reads no chain and says nothing of it."""
    assert not problem(check, place(attributes={"type": "IMPORTED"}))


@pytest.mark.parametrize(
    ("after", "told"), [(timedelta(0), False), (timedelta.resolution, True), (timedelta(days=1), True)]
)
def test_intermediate_ends_with_its_last_second(after: timedelta, told: bool) -> None:
    """The verdict changes at the moment that `changes_at` tells."""
    subject = chained("complete", chain_not_after=NOW.isoformat())
    assert problem("chain.expired-intermediate", subject, NOW + after) is told
    assert changes("chain.expired-intermediate", subject, NOW + after) == (None if told else NOW + timedelta.resolution)


def test_self_signed_matters_where_it_is_presented() -> None:
    """A self-signed certificate that nothing uses harms nobody; one that a server shows does."""
    assert not problem("chain.self-signed", place(SELF_SIGNED))
    assert problem("chain.self-signed", place(SELF_SIGNED, Role.SERVED))


def test_presented_ca_certificate_is_self_signed_too() -> None:
    """`openssl req -x509` makes a CA certificate: presented by a server it is self-signed like any other."""
    assert problem("chain.self-signed", place(CA, Role.SERVED, attributes={"chain_status": "complete"}))


@pytest.mark.parametrize("role", [Role.AUTHORITY, Role.ANCHOR])
def test_roots_are_self_signed_by_right(role: Role) -> None:
    """A root in its own place is what it should be."""
    assert not problem("chain.self-signed", place(CA, role))
