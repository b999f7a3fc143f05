"""TLS policies and negotiated versions."""

from __future__ import annotations

import pytest

from layers.perennial.checks.cases import Case, listener, place, problem, verdicts
from perennial.manifest import Role

MODERN = listener(1, policy="ELBSecurityPolicy-TLS13-1-2-2021-06", protocols=["TLSv1.2", "TLSv1.3"])
OLD = listener(2, policy="ELBSecurityPolicy-2016-08", protocols=["TLSv1", "TLSv1.1", "TLSv1.2"])
CASES = {"policy.weak": Case(place(attached=(MODERN,)), place(attached=(MODERN, OLD)))}


def test_the_listener_is_told_and_not_the_certificate() -> None:
    """The verdict names the listener whose policy it is, and what the policy allows."""
    (verdict,) = verdicts("policy.weak", place(attached=(MODERN, OLD)))
    assert (verdict.scope, verdict.sighting) == OLD
    assert verdict.detail == "The policy ELBSecurityPolicy-2016-08 allows TLSv1, TLSv1.1."


@pytest.mark.parametrize(
    ("protocols", "told"),
    [(["SSLv3", "TLSv1.2"], True), (["TLSv1.1"], True), (["TLSv1.2"], False), ([], False), (None, False)],
)
def test_protocols(protocols: list[str] | None, told: bool) -> None:
    """TLS 1.2 is the first version that is still safe; where nothing is known of the policy, nothing is said."""
    assert problem("policy.weak", place(attached=(listener(protocols=protocols),))) is told


@pytest.mark.parametrize(
    ("protocol", "told"), [("TLSv1", True), ("TLSv1.1", True), ("TLSv1.2", False), ("TLSv1.3", False)]
)
def test_negotiated_version(protocol: str, told: bool) -> None:
    """An endpoint that negotiates an old version with a client that offers new ones knows nothing better."""
    assert problem("policy.weak", place(role=Role.SERVED, attributes={"protocol": protocol})) is told
