"""What a certificate may be used for."""

from __future__ import annotations

from layers.perennial.policy.cases import PRIVATE, Case, asked

BOTH = ("serverAuth", "clientAuth")
CASES = {
    "usages.known": Case(
        (asked(), asked(usages=BOTH), asked(usages=("clientAuth",))),
        ((asked(usages=()), "profile"), (asked(usages=("serverAuth", "codeSigning")), "profile")),
    ),
    "usages.public": Case(
        (asked(), asked(usages=BOTH, issuer=PRIVATE), asked(usages=("clientAuth",), issuer=PRIVATE)),
        ((asked(usages=BOTH), "profile"), (asked(usages=("clientAuth",)), "profile")),
    ),
}
