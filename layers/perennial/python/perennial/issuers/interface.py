"""What an issuer is: it moves one order forward, as far as it can without waiting.

An order is a text that only its issuer reads: the caller keeps it and hands it back, in whatever process goes on. An
issuer calls `keep` with the order after every request that changes something at the CA, before the next one, so that
an interruption anywhere loses nothing. It never sleeps and never asks a clock.

Abilities beyond issuing are Protocols of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from perennial.certificate import Certificate
from perennial.profiles import Profile
from perennial.solvers.interface import Challenge


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One certificate that is asked for. `id` is its own (32 hexadecimal digits): idempotency tokens are made of it.

    `csr` is DER and always the same one for one ask; b"" where the issuer makes the key (ACM).
    """

    id: str
    names: tuple[str, ...]
    csr: bytes
    key: str  # key type, as in `profiles.KEYS`
    profile: Profile
    validity_days: int
    replaces: Certificate | None = None  # what it renews (RFC 9773)


@dataclass(frozen=True, slots=True)
class Present:
    """Show these challenges; when they are visible everywhere, go on with `presented`."""

    challenges: tuple[Challenge, ...]


@dataclass(frozen=True, slots=True)
class Later:
    """Go on after some seconds; `doing` says what is waited for, in words for people."""

    seconds: float
    doing: str


@dataclass(frozen=True, slots=True)
class Issued:
    """The certificate and its chain, DER, the leaf first, without the root where the issuer leaves it out.

    `arn` is ACM's or ACM PCA's. `key_pem` is the exported key of an issuer that made it (ACM), else "".
    """

    chain: tuple[bytes, ...]
    arn: str = ""
    key_pem: str = ""

    def __repr__(self) -> str:
        return f"Issued({len(self.chain)} certificates, arn={self.arn!r})"


Outcome = Present | Later | Issued
Keep = Callable[[str], None]


class Issuer(Protocol):
    """A CA that Perennial can ask."""

    def advance(self, ask: Ask, order: str, *, presented: bool, now: datetime, keep: Keep) -> Outcome:
        """Go on with an order ("" for a new one).

        Raises: RateLimited (`retry_after` seconds), Throttled, Unavailable; ValidationFailed, ServiceRefused,
        InvalidReply, AccessDenied and others that are final.
        """


class Revoker(Protocol):
    """An issuer that revokes."""

    def revoke(self, certificate: Certificate, arn: str, reason: int) -> None:
        """Revoke a certificate that this issuer issued; one that is revoked already stays so. `reason` is a CRLReason
        code (RFC 5280 5.3.1).

        Raises: PerennialError.
        """


@dataclass(frozen=True, slots=True)
class RenewalWindow:
    """When a CA wishes a certificate to be renewed (RFC 9773 4.2), and in how many seconds to ask again."""

    start: datetime
    end: datetime
    retry_after: float
    explanation: str = ""  # URL


class RenewalAdviser(Protocol):
    """An issuer that says when to renew."""

    def renewal_window(self, certificate: Certificate) -> RenewalWindow | None:
        """The window; None where this issuer has no such service.

        Raises: PerennialError.
        """
