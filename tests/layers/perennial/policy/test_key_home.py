"""Where the key is made: request, profile and issuer agree."""

from __future__ import annotations

from layers.perennial.policy.cases import AMAZON, PRIVATE, Case, asked
from perennial.policy import CsrFacts
from perennial.profiles import KeyHome

CSR = CsrFacts(names=("shop.example.com",), key="EC-256")
CASES = {
    "key_home.csr": Case(
        (asked(), asked(csr=CSR), asked(key_home=KeyHome.KMS)),
        ((asked(key_home=KeyHome.REQUESTER), "csr"), (asked(csr=CSR, key_home=KeyHome.SECRET), "csr")),
    ),
    "key_home.issuer": Case(
        (asked(), asked(issuer=AMAZON), asked(key_home=KeyHome.KMS, issuer=PRIVATE)),
        (
            (asked(key_home=KeyHome.ISSUER), "profile"),
            (asked(key_home=KeyHome.ISSUER, issuer=PRIVATE), "profile"),
            (asked(key_home=KeyHome.SECRET, issuer=AMAZON), "profile"),
        ),
    ),
    "key_home.kms": Case(
        (asked(key_home=KeyHome.KMS), asked(targets=("listener",))),
        ((asked(key_home=KeyHome.KMS, targets=("listener",)), "profile"),),
    ),
}
