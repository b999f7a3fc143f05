"""What comes with a certificate: whether a client that knows only the roots can build a path with it.

The chain that ACM sends with a certificate of its own is ACM's and always complete: it is not judged.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from perennial.chain import ChainStatus
from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts, instant, leaf, used
from perennial.checks.wording import about_place, on


def _judged(subject: Subject) -> bool:
    return leaf(subject) and subject.sighting.attributes.get("type") != "AMAZON_ISSUED"


def _status(subject: Subject) -> str | None:
    return subject.sighting.attributes.get("chain_status")


def _is(status: ChainStatus, detail: str) -> Callable[[Subject, datetime], tuple[Verdict, ...]]:
    return lambda subject, now: about_place(detail if _status(subject) == status else None)


def _has_chain(subject: Subject) -> bool:
    return _judged(subject) and _status(subject) is not None


def _expired(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    end = instant(subject.sighting, "chain_not_after")
    return about_place(f"The first of its chain to end was valid until {on(end)}." if end and now > end else None)


def _expires(subject: Subject, now: datetime) -> datetime | None:
    end = instant(subject.sighting, "chain_not_after")
    return end + timedelta.resolution if end and now <= end else None


def _self_signed(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    """Also a CA certificate that is presented as a server's own: `openssl req -x509` makes those."""
    own = _status(subject) == ChainStatus.SELF_SIGNED or facts(subject).self_issued is True
    return about_place("It is its own issuer, and something presents it." if own else None)


CHECKS = (
    Check(
        id="chain.incomplete",
        severity=Severity.MEDIUM,
        title="The chain is incomplete",
        remediation=(
            "Store and send the intermediate certificates behind the leaf, in order and up to the root "
            "(aws acm import-certificate --certificate-chain): most clients do not fetch what is missing."
        ),
        cites="RFC 8446 section 4.4.2; RFC 5246 section 7.4.2",
        applies=_has_chain,
        run=_is(ChainStatus.INCOMPLETE, "The issuer of the last certificate is neither sent along nor a public root."),
    ),
    Check(
        id="chain.misordered",
        severity=Severity.LOW,
        title="The chain is out of order or has strangers in it",
        remediation="Put the leaf first and each certificate's issuer after it; leave out what is not of the path.",
        cites="RFC 5246 section 7.4.2 (each must certify the one before it)",
        applies=_has_chain,
        run=_is(ChainStatus.MISORDERED, "All that a path needs is there, but in another order or with others between."),
    ),
    Check(
        id="chain.untrusted",
        severity=Severity.HIGH,
        title="A link of the chain does not hold",
        remediation="Replace the chain by the one that the CA delivered with this very certificate.",
        cites="RFC 5280 sections 6.1.3 (a) and 6.1.4 (k)",
        applies=_has_chain,
        run=_is(
            ChainStatus.UNTRUSTED, "A certificate has the issuer's name, but its key did not sign, or it is not a CA."
        ),
    ),
    Check(
        id="chain.expired-intermediate",
        severity=Severity.HIGH,
        title="A certificate of the chain has expired",
        remediation="Replace the chain by the CA's current one; where its root has ended, have the leaf issued again.",
        cites="RFC 5280 section 6.1.3 (a) (2)",
        applies=lambda subject: _judged(subject) and instant(subject.sighting, "chain_not_after") is not None,
        run=_expired,
        changes_at=_expires,
    ),
    Check(
        id="chain.self-signed",
        severity=Severity.MEDIUM,
        title="A self-signed certificate is in use",
        remediation="Replace it by a certificate of a public CA or of your private CA, whose root clients can trust.",
        cites="RFC 5280 section 6.1; RFC 9525 section 4.1",
        applies=lambda subject: _judged(subject) and used(subject),
        run=_self_signed,
    ),
)
