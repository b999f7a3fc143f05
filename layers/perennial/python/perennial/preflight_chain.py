"""The preflight's rules of the chain: in order, complete, in time, and built to an expected root. Pure.

Sources: RFC 5280 section 6.1, RFC 5246 section 7.4.2, RFC 8446 section 4.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from perennial.certificate import Certificate
from perennial.chain import issued
from perennial.checks.wording import on, quoted
from perennial.issued import no_path

if TYPE_CHECKING:
    from cryptography import x509

_NOT_VERIFIED = ("Ed25519", "Ed448")  # keys of which x509.verification takes no signature; the handshake judges them


def problems(certificates: Sequence[Certificate], roots: Sequence[Certificate], now: datetime) -> Iterator[str]:
    """Why a leaf and the certificates above it, all read in full, cannot serve as they are to clients that trust these
    roots alone. Only where order, dates and root hold, the whole of RFC 5280 6.1 is asked."""
    found = [*_built(certificates, roots), *_outdated(certificates[1:], now)]
    yield from found
    if not found:
        reason = _refused(certificates, roots, now)
        if reason:
            yield (
                f"The chain does not build to an expected root ({reason}); issue a new version, or correct the "
                "issuer's roots."
            )


def _built(certificates: Sequence[Certificate], roots: Sequence[Certificate]) -> Iterator[str]:
    """Each certificate signs the one before it, and a root the last (RFC 5246 7.4.2), so that the place can send them
    as they are."""
    path = _path(certificates)
    top = path[-1]
    if not roots:
        yield "There is no root that the chain could build to; configure the issuer's roots."
    elif not _anchored(path, roots):
        which = "no CA above the leaf is there" if len(certificates) == 1 else "a CA between is missing"
        yield (
            f"The chain is not complete: no expected root, and nothing else in it, signed {quoted(top.title, 100)} "
            f"({which}, or the root is another one: {quoted(top.issuer, 200)}); correct the issuer's chain or roots."
        )
    elif path != list(certificates):
        at = next((at for at, each in enumerate(path) if each != certificates[at]), len(path))
        yield (
            f"The chain is out of order: its certificate {at} ({quoted(certificates[at].title, 100)}) did not sign the "
            f"one before it; issue a new version with a chain in which each signs the one before."
        )


def _path(certificates: Sequence[Certificate]) -> list[Certificate]:
    """From the leaf up, in whatever order the chain has."""
    path, rest = [certificates[0]], list(certificates[1:])
    while above := next((each for each in rest if each not in path and issued(path[-1], by=each)), None):
        path.append(above)
    return path


def _anchored(path: Sequence[Certificate], roots: Sequence[Certificate]) -> bool:
    """Whether a root signed the top of a path, or is in it, also with another issuer's signature over it."""
    anchors = {(root.subject, root.public_key_sha256) for root in roots}
    if any((each.subject, each.public_key_sha256) in anchors for each in path[1:]):
        return True
    return any(issued(path[-1], by=root) for root in roots if root.subject == path[-1].issuer)


def _outdated(chain: Sequence[Certificate], now: datetime) -> Iterator[str]:
    for each in chain:
        if each.not_after is not None and now > each.not_after:
            yield f"The chain's {quoted(each.title, 100)} expired on {on(each.not_after)}; get the issuer's new chain."
        if each.not_before is not None and now < each.not_before:
            yield f"The chain's {quoted(each.title, 100)} is not valid before {on(each.not_before)}; deploy it then."


def _refused(certificates: Sequence[Certificate], roots: Sequence[Certificate], now: datetime) -> str:
    """Why x509.verification builds no path (path lengths, name constraints, critical extensions, a root's dates); ""
    where it does. The leaf's own dates are told elsewhere, so the time is one of them. The client verifier compares no
    name; policies are open for private CAs, as in `issued`."""
    leaf = certificates[0]
    at = min(max(now, leaf.not_before or now), leaf.not_after or now)
    tops = (certificates[-1].issuer, certificates[-1].subject)
    near = [root for root in roots if root.subject in tops]
    if any(each.key_algorithm in _NOT_VERIFIED for each in (*certificates, *near)):
        return ""
    return quoted(no_path(certificates, roots, at), 200)


def _x509(certificate: Certificate) -> x509.Certificate:
    """The library's view of a certificate that was parsed."""
    from cryptography import x509

    return x509.load_der_x509_certificate(certificate.der)
