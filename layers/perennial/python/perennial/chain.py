"""What the certificates sent or kept with a leaf say about it. Pure.

The verdict is without time, so that it can be kept with a sighting: the ends of the chain's certificates are kept
beside it and judged when time passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from perennial.certificate import Certificate, ders, parse

UNVERIFIED = ("md5", "sha1")  # hashes of signatures that cryptography refuses to verify in certificates


class ChainStatus(StrEnum):
    """How the certificates that come with a leaf build (RFC 5246 7.4.2, RFC 8446 4.4.2: each signs the one before)."""

    COMPLETE = "complete"  # leads to a root that is in it, or whose issuer is a known public root
    INCOMPLETE = "incomplete"  # the leaf's issuer is neither sent nor a public root
    UNANCHORED = "unanchored"  # ends at a CA whose issuer is not sent and not public: right for a private root
    MISORDERED = "misordered"  # everything needed is there, in another order or with strangers between
    SELF_SIGNED = "self-signed"  # the leaf is its own issuer
    UNTRUSTED = "untrusted"  # a link's signature or CA rights do not hold
    UNKNOWN = "unknown"  # a certificate of it could not be read


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain's verdict: its status, the earliest end in it (leaf excluded), and whether its root is public."""

    status: ChainStatus
    not_after: str | None  # ISO 8601, UTC
    public: bool
    fingerprints: tuple[str, ...]

    def attributes(self) -> dict[str, Any]:
        """As a sighting carries it."""
        return {
            "chain": list(self.fingerprints),
            "chain_status": str(self.status),
            "chain_not_after": self.not_after,
            "public": self.public,
        }


def judge(leaf: Certificate, sent: Sequence[Certificate]) -> Chain:
    """The verdict on a leaf and what was sent or kept behind it, in the order in which it came."""
    roots = public_roots()
    others = [each for each in sent if each.fingerprint != leaf.fingerprint]
    status, top = _build(leaf, others, roots)
    ends = [each.not_after for each in others if each.not_after is not None]
    return Chain(
        status=status,
        not_after=min(ends).isoformat() if ends else None,
        public=top is not None and _anchored(top, roots),
        fingerprints=tuple(each.fingerprint or "" for each in others),
    )


def _build(
    leaf: Certificate, others: list[Certificate], roots: Mapping[str, tuple[Certificate, ...]]
) -> tuple[ChainStatus, Certificate | None]:
    """The status, and the highest certificate that was reached."""
    if leaf.subject is None or any(each.subject is None for each in others):
        return ChainStatus.UNKNOWN, None
    if leaf.self_issued and not leaf.is_ca:
        return ChainStatus.SELF_SIGNED, leaf
    path = [leaf]
    while not path[-1].self_issued and len(path) <= len(others):
        candidates = [each for each in others if each.subject == path[-1].issuer and each not in path]
        issuer = next((each for each in candidates if issued(path[-1], by=each) or _seems_issued(path[-1], each)), None)
        if issuer is None:
            if candidates and not _anchored(path[-1], roots):
                return ChainStatus.UNTRUSTED, path[-1]
            break
        path.append(issuer)
    if not path[-1].self_issued and not _anchored(path[-1], roots):
        return (ChainStatus.INCOMPLETE if len(path) == 1 else ChainStatus.UNANCHORED), path[-1]
    in_order = others[: len(path) - 1] == path[1:] and len(others) <= len(path)
    return (ChainStatus.COMPLETE if in_order else ChainStatus.MISORDERED), path[-1]


def _anchored(top: Certificate, roots: Mapping[str, tuple[Certificate, ...]]) -> bool:
    """Whether the top of a path is a public root, or was signed by one."""
    if any(root.public_key_sha256 == top.public_key_sha256 for root in roots.get(top.subject or "", ())):
        return True
    return any(issued(top, by=root) for root in roots.get(top.issuer or "", ()))


def issued(certificate: Certificate, *, by: Certificate) -> bool:
    """Whether `by` is a CA whose key signed the certificate (RFC 5280 6.1.3 a, 6.1.4 k)."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    if by.is_ca is False and not by.self_issued:
        return False
    try:
        loaded = x509.load_der_x509_certificate(certificate.der)
        loaded.verify_directly_issued_by(x509.load_der_x509_certificate(by.der))
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _seems_issued(certificate: Certificate, by: Certificate) -> bool:
    """Whether names and key identifiers say that a CA issued a certificate, whose signature is of a kind that is no
    longer verified (SHA-1, MD5). `signatures.weak` reports that; it is no reason to call the chain broken. Never asked
    of public roots: what anybody can forge does not make a chain public."""
    return (
        certificate.signature_hash in UNVERIFIED
        and by.is_ca is not False
        and certificate.issuer == by.subject
        and certificate.authority_key_identifier in (None, by.subject_key_identifier)
    )


@lru_cache(maxsize=1)
def public_roots() -> Mapping[str, tuple[Certificate, ...]]:
    """The roots that browsers and operating systems trust (Mozilla's programme, through certifi), by subject."""
    import certifi

    return by_subject(map(parse, ders(Path(certifi.where()).read_bytes())))


def by_subject(certificates: Iterable[Certificate]) -> Mapping[str, tuple[Certificate, ...]]:
    """Certificates grouped by their subject."""
    grouped: dict[str, tuple[Certificate, ...]] = {}
    for each in certificates:
        grouped[each.subject or ""] = (*grouped.get(each.subject or "", ()), each)
    return grouped
