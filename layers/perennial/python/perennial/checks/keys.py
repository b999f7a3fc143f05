"""Public keys: too weak to rely on, or shared by several certificates."""

from __future__ import annotations

from datetime import datetime

from perennial.certificate import Certificate
from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts, leaf
from perennial.checks.wording import about_place, quoted

MIN_RSA_BITS = 2048
MIN_CURVE_BITS = 256
NAMED = 3  # other certificates with the same key that a finding names
PUBLIC_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})  # Baseline Requirements 6.1.5
PRIVATE_CURVES = PUBLIC_CURVES | {"brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"}  # RFC 8734


def _weak(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    reason = _weakness(facts(subject), subject.public is True)
    return about_place(f"Its key is {facts(subject).key}: {reason}." if reason else None)


def _weakness(certificate: Certificate, public: bool) -> str | None:
    size = certificate.key_size
    if certificate.key_algorithm == "DSA":
        return "DSA is no longer approved for signatures"
    if certificate.key_algorithm == "RSA" and size is not None and size < MIN_RSA_BITS:
        return f"RSA needs {MIN_RSA_BITS} bits or more"
    if certificate.key_algorithm == "EC":
        return _weak_curve(size, certificate.curve, PUBLIC_CURVES if public else PRIVATE_CURVES)
    return None


def _weak_curve(size: int | None, curve: str | None, accepted: frozenset[str]) -> str | None:
    if size is not None and size < MIN_CURVE_BITS:
        return f"a curve needs {MIN_CURVE_BITS} bits or more"
    if curve is not None and curve not in accepted:
        return f"the curve {quoted(curve)} is not one that TLS clients accept"
    return None


def _reused(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    others = sorted(subject.same_key)
    if not others:
        return ()
    shown = ", ".join(each[:16] for each in others[:NAMED])
    if len(others) > NAMED:  # and no more exact, so that a large group does not change with each member
        return about_place(f"More than {NAMED} other certificates have the same key, among them {shown}.")
    plural = "s have" if len(others) > 1 else " has"
    return about_place(f"{len(others)} other certificate{plural} the same key: {shown}.")


CHECKS = (
    Check(
        id="keys.weak",
        severity=Severity.HIGH,
        title="The public key is too weak",
        remediation=(
            "Have the certificate issued for a new key: EC P-256 (secp256r1) or RSA of 2048 bits or more. "
            "ACM cannot change the key type on re-import: import to a new ARN and attach that."
        ),
        cites="NIST SP 800-131A Rev. 2 section 3; Baseline Requirements section 6.1.5",
        applies=lambda subject: facts(subject).key_algorithm is not None,
        run=_weak,
    ),
    Check(
        id="keys.reused",
        severity=Severity.LOW,
        title="Several certificates have the same key",
        remediation=(
            "Make a new key for each certificate and at each renewal: "
            "when one copy of the key leaks, every certificate that has it must be replaced and revoked."
        ),
        cites="NIST SP 800-57 Part 1 Rev. 5 section 5.3",
        applies=leaf,
        run=_reused,
    ),
)
