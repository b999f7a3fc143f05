"""The inventory of keys that quantum computers break."""

from __future__ import annotations

import pytest

from certificates import build
from layers.perennial.checks.cases import CA, SUMMARY, Case, place, problem, verdicts
from perennial.manifest import Role

ISSUER = build("Example CA", ca=True)
CASES = {"quantum.vulnerable": Case(place(build(key="ML-DSA-65", issuer=ISSUER).certificate), place())}


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("RSA-2048", True),
        ("EC-384", True),
        ("Ed25519", True),
        ("Ed448", True),
        ("ML-DSA-44", False),
        ("ML-DSA-87", False),
    ],
)
def test_kinds_of_keys(key: str, told: bool) -> None:
    """Everything that rests on factoring or discrete logarithms is vulnerable."""
    assert problem("quantum.vulnerable", place(build(key=key, issuer=ISSUER).certificate)) is told


def test_key_is_named() -> None:
    """The detail tells algorithm and size, for the inventory."""
    assert verdicts("quantum.vulnerable", place())[0].detail == "Its key is EC-256; Shor's algorithm breaks it."


def test_unknown_keys_and_cas_are_not_counted() -> None:
    """The inventory counts leaves whose key is known."""
    assert not problem("quantum.vulnerable", place(SUMMARY))
    assert not problem("quantum.vulnerable", place(CA, Role.ANCHOR))
