"""A key that only an exception allows is no reason to renew while the exception holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from managed_records import NOW, record, serving
from perennial import lifecycle_rules
from perennial.exception_record import ExceptionRecord, ExceptionState
from perennial.exception_selection import Selection
from perennial.settings import Settings, parse

SETTINGS = {
    "issuers": {"public": {"kind": "acme", "directory": "https://ca.example.com/directory"}},
    "profiles": {"web": {"issuer": "public", "keys": ["EC-256"], "names": [".example.com"]}},
}
RSA = record(serving=replace(serving(), key="RSA-2048"))


def settings(**policy: Any) -> Settings:
    return parse({**SETTINGS, "policy": policy})


def exception(rule: str = "key_strength.profile", **more: Any) -> ExceptionRecord:
    usual: dict[str, Any] = {
        "id": "e" * 32,
        "rule": rule,
        "selection": Selection(managed="shop"),
        "reason": "why",
        "owner": "shop",
        "ends": NOW + timedelta(days=1),
        "asked_by": ("arn:x",),
        "asked_name": "rita",
        "asked_at": NOW,
        "state": ExceptionState.ACTIVE,
    }
    return ExceptionRecord(**{**usual, **more})


def keys(known: Settings, *active: ExceptionRecord) -> tuple[str, ...]:
    found = lifecycle_rules.rules(known, RSA)
    return lifecycle_rules.with_exceptions(found, known, RSA, lambda: active, NOW).keys


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        ((), ("EC-256",)),
        ((exception(),), ("EC-256", "RSA-2048")),
        ((exception(selection=Selection(name="shop.example.com")),), ("EC-256", "RSA-2048")),
        ((exception(selection=Selection(owner="bank")),), ("EC-256",)),
        ((exception(ends=NOW),), ("EC-256",)),
        ((exception("names.profile"),), ("EC-256",)),
    ],
)
def test_a_key_that_is_excepted_is_not_renewed_for_it(
    active: tuple[ExceptionRecord, ...], expected: tuple[str, ...]
) -> None:
    """Else each renewal would bring the same key again, and be renewed at once for it. When it ends, it counts."""
    assert keys(settings(), *active) == expected


def test_both_rules_that_forbid_a_key_must_be_suspended() -> None:
    """An exception from the profile is none from the organisation."""
    stricter = settings(keys=["EC-256"])
    assert keys(stricter, exception()) == ("EC-256",)
    assert keys(stricter, exception(), exception("key_strength.organisation")) == ("EC-256", "RSA-2048")


def test_exceptions_are_asked_for_only_where_the_key_is_not_allowed() -> None:
    """A step of a certificate with an allowed key costs what it did."""

    def never() -> Iterable[ExceptionRecord]:
        raise AssertionError

    fine = record(serving=serving())
    for each in (fine, record()):
        found = lifecycle_rules.rules(settings(), each)
        assert lifecycle_rules.with_exceptions(found, settings(), each, never, NOW) == found
