"""Issuance, refused at any of its AWS calls and ACME requests: throttled, denied, failing, rate limited, forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from counted import COUNTED
from interrupting import ACTS, ASKS, PARTS, at_every_point

REFUSALS = [
    (issuer, what)
    for issuer in ASKS
    for what, (kind, _) in ACTS.items()
    if kind == "aws" or (kind == "acme" and issuer == "ACME")
]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("issuer", "what"), REFUSALS)
def test_refused_at_any_call_it_ends_with_one_certificate_or_a_reason(
    issuer: str, what: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    """Whatever AWS or the CA answers once: exactly one certificate, or none and a final reason with its next step."""
    record_property(f"{COUNTED}issuance, {issuer}, {what}", at_every_point(issuer, what, part))
