"""Signatures with broken hashes."""

from __future__ import annotations

import pytest

from certificates import build
from layers.perennial.checks.cases import CA, SUMMARY, Case, leaf, place, problem
from perennial.manifest import Role

ISSUER = build("Example RSA CA", ca=True, key="RSA-2048")
CASES = {"signatures.weak": Case(place(), place(build(issuer=ISSUER, signature_hash="sha1").certificate))}


@pytest.mark.parametrize(
    ("algorithm", "weak"),
    [
        ("md5WithRSAEncryption", True),
        ("sha1WithRSAEncryption", True),
        ("ecdsa-with-SHA1", True),
        ("dsa-with-sha1", True),
        ("1.2.840.113549.1.1.2", True),
        ("sha256WithRSAEncryption", False),
        ("ecdsa-with-SHA384", False),
        ("ed25519", False),
        ("1.2.840.113549.1.1.14", False),
    ],
)
def test_algorithm_names(algorithm: str, weak: bool) -> None:
    """The name of the algorithm is enough where the hash could not be read."""
    assert problem("signatures.weak", place(leaf(signature_algorithm=algorithm, signature_hash=None))) is weak


def test_hash_of_pss() -> None:
    """RSASSA-PSS does not tell its hash by name: the hash itself is judged."""
    assert problem("signatures.weak", place(leaf(signature_algorithm="RSASSA-PSS", signature_hash="sha1")))


def test_md5_as_it_is_issued() -> None:
    """A whole certificate signed with MD5 fails."""
    assert problem("signatures.weak", place(build(issuer=ISSUER, signature_hash="md5").certificate))


def test_root_signs_only_itself() -> None:
    """SHA-1 in the signature of a root on itself weakens nothing."""
    root = build("Old Root", ca=True, key="RSA-2048", signature_hash="sha1").certificate
    assert not problem("signatures.weak", place(root, Role.ANCHOR))


def test_rollover_certificate_is_signed_by_another_key() -> None:
    """A CA certificate that the CA's earlier key signed has its own name as issuer, and its signature counts."""
    rolled = build("Example RSA CA", ca=True, key="RSA-2048#2", issuer=ISSUER, signature_hash="sha1").certificate
    assert rolled.self_issued
    assert problem("signatures.weak", place(rolled, Role.AUTHORITY))


def test_unknown_signature_is_not_judged() -> None:
    """A summary that tells no signature is not judged, a good CA passes."""
    assert not problem("signatures.weak", place(SUMMARY))
    assert not problem("signatures.weak", place(CA, Role.AUTHORITY))
