"""Signatures made with a broken hash. The signature of a root on itself is relied upon by nobody and not judged."""

from __future__ import annotations

from datetime import datetime

from perennial.certificate import Certificate
from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts
from perennial.checks.wording import about_place, quoted

WEAK_HASHES = ("md2", "md4", "md5", "sha1")
WEAK_OIDS = frozenset(
    {"1.2.840.113549.1.1.2", "1.2.840.113549.1.1.3"}
)  # RSA with MD2, with MD4: the parser has no name


def _self_signed(certificate: Certificate) -> bool:
    """Its own key signed it: issuer and subject are equal and so, where both are there, are the key identifiers."""
    signer = certificate.authority_key_identifier
    own = certificate.subject_key_identifier
    return certificate.self_issued is True and (signer is None or own is None or signer == own)


def _applies(subject: Subject) -> bool:
    certificate = facts(subject)
    known = certificate.signature_algorithm is not None or certificate.signature_hash is not None
    return known and not _self_signed(certificate)


def _run(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    certificate = facts(subject)
    name = certificate.signature_algorithm or ""
    words = name.lower().replace("-", " ").replace("with", " ").split()
    weak = name in WEAK_OIDS or certificate.signature_hash in WEAK_HASHES or not set(words).isdisjoint(WEAK_HASHES)
    shown = quoted(name or certificate.signature_hash)
    return about_place(f"It is signed with {shown}, for which collisions can be made." if weak else None)


CHECKS = (
    Check(
        id="signatures.weak",
        severity=Severity.HIGH,
        title="The certificate is signed with a broken hash",
        remediation="Have it issued again by a CA that signs with SHA-256 or better: TLS clients refuse this one.",
        cites="RFC 8446 section 4.4.2.4; RFC 6149 (MD2); Baseline Requirements section 7.1.3.2",
        applies=_applies,
        run=_run,
    ),
)
