"""Weak keys and shared keys."""

from __future__ import annotations

import pytest

from certificates import build
from layers.perennial.checks.cases import CA, LEAF, SUMMARY, Case, leaf, place, problem, verdicts
from perennial.manifest import Role

OTHER = "ab" * 32
CASES = {
    "keys.weak": Case(place(), place(build(key="RSA-1024").certificate)),
    "keys.reused": Case(place(), place(same_key=(OTHER,))),
}


@pytest.mark.parametrize(
    ("key", "weak"),
    [
        ("RSA-1024", True),
        ("RSA-2048", False),
        ("DSA-2048", True),
        ("EC-224", True),
        ("EC-256", False),
        ("EC-384", False),
        ("EC-secp256k1", True),
        ("Ed25519", False),
        ("ML-DSA-65", False),
    ],
)
def test_key_kinds(key: str, weak: bool) -> None:
    """Short RSA and EC keys, DSA, and curves that TLS does not use are weak."""
    ca = build("Example CA", ca=True)
    assert problem("keys.weak", place(build(key=key, issuer=ca).certificate)) is weak


@pytest.mark.parametrize(("public", "weak"), [(True, True), (False, False), (None, False)])
def test_brainpool_is_for_private_certificates(public: bool | None, weak: bool) -> None:
    """Brainpool curves of 256 bits are accepted unless the certificate is public."""
    assert problem("keys.weak", place(leaf(curve="brainpoolP256r1"), public=public)) is weak


@pytest.mark.parametrize(("size", "weak"), [(2047, True), (2048, False)])
def test_size_boundary(size: int, weak: bool) -> None:
    """2048 bits of RSA are just enough."""
    assert problem("keys.weak", place(leaf(key_algorithm="RSA", key_size=size))) is weak


def test_anchor_with_a_weak_key_is_told() -> None:
    """A trusted root is as weak as its key."""
    assert problem("keys.weak", place(build("Old Root", ca=True, key="RSA-1024").certificate, Role.ANCHOR))


def test_unknown_key_is_not_judged() -> None:
    """A key that the parser has no name for, or that a summary does not tell, is not called weak."""
    assert not problem("keys.weak", place(SUMMARY))
    assert not problem("keys.weak", place(leaf(key_algorithm="1.2.3.4", key_size=None)))


def test_reuse_tells_how_many_and_the_first() -> None:
    """The detail names three other certificates in a stable order, and does not change with each further one."""
    others = tuple(f"{number:02x}" * 32 for number in (5, 4, 3, 2, 1))
    (verdict,) = verdicts("keys.reused", place(same_key=others))
    assert verdict.detail == (
        "More than 3 other certificates have the same key, among them "
        "0101010101010101, 0202020202020202, 0303030303030303."
    )
    assert verdicts("keys.reused", place(same_key=others[::-1])) == (verdict,)


def test_reuse_beyond_what_is_counted() -> None:
    """At most twenty others are known, and the detail does not pretend to know all."""
    (verdict,) = verdicts("keys.reused", place(same_key=tuple(f"{number:064x}" for number in range(20))))
    assert verdict.detail.startswith("More than 3 other certificates")


@pytest.mark.parametrize("role", [Role.AUTHORITY, Role.ANCHOR])
def test_cross_signed_cas_share_a_key(role: Role) -> None:
    """Several CA certificates for one key are cross-signing and no problem."""
    assert not problem("keys.reused", place(CA, role, same_key=(LEAF.fingerprint or "",)))
