"""An inventory of keys that a quantum computer would break: what is left to migrate."""

from __future__ import annotations

from datetime import datetime

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts, leaf
from perennial.checks.wording import about_place

VULNERABLE = frozenset({"RSA", "DSA", "EC", "Ed25519", "Ed448", "X25519", "X448"})


def _run(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    certificate = facts(subject)
    vulnerable = certificate.key_algorithm in VULNERABLE
    return about_place(f"Its key is {certificate.key}; Shor's algorithm breaks it." if vulnerable else None)


CHECKS = (
    Check(
        id="quantum.vulnerable",
        severity=Severity.INFORMATIONAL,
        title="The key does not withstand quantum computers",
        remediation=(
            "Plan the move to ML-DSA: private certificates first (AWS Private CA has ML_DSA_44 to 87), public ones "
            "when CAs offer it. Until then let TLS policies negotiate hybrid key exchange."
        ),
        cites="NIST IR 8547 (initial public draft) section 4.1; FIPS 204",
        applies=lambda subject: leaf(subject) and facts(subject).key_algorithm is not None,
        run=_run,
    ),
)
