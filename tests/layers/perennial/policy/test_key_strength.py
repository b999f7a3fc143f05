"""Which keys may be certified."""

from __future__ import annotations

from dataclasses import replace

import pytest

from layers.perennial.policy.cases import ORGANISATION, PRIVATE, PUBLIC, Case, asked, violations
from perennial.policy import CsrFacts, key
from perennial.profiles import KEYS

ALL = replace(PUBLIC, keys=KEYS)
STRICT = replace(ORGANISATION, keys=("EC-384",))
RSA = CsrFacts(names=("shop.example.com",), key="RSA-2048")
CASES = {
    "key_strength.profile": Case(
        (asked(), asked(key="EC-256"), asked(key="RSA-2048", keys=("EC-256", "RSA-2048")), asked(csr=RSA, keys=KEYS)),
        (
            (asked(key="EC-384"), "key"),
            (asked(csr=RSA), "key"),
            (asked(keys=()), "key"),
            (asked(key="RSA-1024"), "key"),
        ),
    ),
    "key_strength.organisation": Case(
        (asked(), asked(key="EC-384", organisation=STRICT)),
        ((asked(organisation=STRICT), "key"), (asked(key="DSA-2048"), "key")),
    ),
    "key_strength.issuer": Case(
        (asked(), asked(key="ML-DSA-65", issuer=PRIVATE)),
        ((asked(key="ML-DSA-65"), "key"), (asked(key="Ed25519", issuer=PRIVATE), "key")),
    ),
    "key_strength.public": Case(
        (asked(issuer=ALL), asked(key="RSA-4096", issuer=ALL), asked(key="ML-DSA-44", issuer=PRIVATE)),
        tuple((asked(key=each, issuer=ALL), "key") for each in ("Ed25519", "ML-DSA-44", "ML-DSA-87", "EC-521")),
    ),
}


@pytest.mark.parametrize("word", KEYS)
def test_public_keys(word: str) -> None:
    """Of all key types the Baseline Requirements know RSA and the NIST curves alone."""
    found = violations("key_strength.public", asked(key=word, issuer=ALL))
    assert bool(found) is not word.startswith(("RSA", "EC-"))


def test_the_key_that_is_judged() -> None:
    """The CSR's key counts most, then the request's, then the profile's first."""
    assert key(asked(keys=("RSA-3072", "EC-256"))) == "RSA-3072"
    assert key(asked(key="EC-256", keys=("RSA-3072", "EC-256"))) == "EC-256"
    assert key(asked(key="EC-256", csr=RSA)) == "RSA-2048"
