"""The scripted CA of a living world: it issues, advises, and fails as it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509

from certificates import Built, build
from dict_aws import Calls
from estate import Clock
from perennial.certificate import Certificate
from perennial.errors import PerennialError, RateLimited, ServiceRefused, Throttled, Unavailable
from perennial.issuers.interface import Ask, Issued, Later, Outcome, RenewalWindow

BEGIN = datetime(2026, 11, 2, 8, tzinfo=UTC)  # of a world
BACKDATED = timedelta(hours=1)  # as public CAs do


@cache
def cas() -> tuple[Built, Built]:
    """Its root, and the CA above what it issues."""
    root = build("Example Root", ca=True, not_after=BEGIN + timedelta(days=36_500))
    above = build("Example Issuing CA", ca=True, issuer=root, not_after=BEGIN + timedelta(days=36_500))
    return root, above


@dataclass
class _Public:
    """In the place of a key of which the CA knows the public half."""

    public: Any

    def public_key(self) -> Any:
        return self.public


CA_MODES: Mapping[str, Callable[[], PerennialError]] = {
    "unavailable": lambda: Unavailable("the CA does not answer"),
    "throttled": lambda: Throttled("the CA asks to slow down"),
    "rate-limited": lambda: RateLimited("too many certificates", retry_after=7_200),
    "refuses": lambda: ServiceRefused("the CA refuses: the account is suspended"),
}
LOSES = "loses the reply"  # it issues, and nobody hears of it
SILENT = "silent"  # it takes its time


@dataclass
class Authority:
    """A CA that issues in two steps, one certificate for each order. `mode` is what it does instead: one of `CA_MODES`,
    `LOSES`, `SILENT`; "" when it works. `window` is what it advises."""

    clock: Clock
    calls: Calls
    mode: str = ""
    days: float = 6.0
    window: RenewalWindow | None = None
    orders: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)  # what was issued: order → ask
    made: dict[str, Certificate] = field(default_factory=dict)  # by fingerprint

    def advance(self, ask: Ask, order: str, *, presented: bool, now: datetime, keep: Callable[[str], None]) -> Outcome:
        return self.calls.call("ca:advance", lambda: self._advance(ask, order, keep))  # type: ignore[no-any-return]

    def _advance(self, ask: Ask, order: str, keep: Callable[[str], None]) -> Outcome:
        if self.mode in CA_MODES:
            raise CA_MODES[self.mode]()
        if not order:
            keep(f"order-{len(self.orders) + 1}-{ask.id[:8]}")
            return Later(5, "the CA")
        if self.mode == SILENT:
            return Later(600, "the CA")
        if order not in self.orders:
            self.orders[order] = self._issued(ask)
            self.asks[order] = ask.id
        if self.mode == LOSES:
            raise Unavailable("the CA's reply was lost")
        return Issued(chain=self.orders[order])

    def _issued(self, ask: Ask) -> tuple[bytes, ...]:
        _, above = cas()
        begin = self.clock.now - BACKDATED
        leaf = build(
            ask.names[0],
            names=ask.names,
            key=_Public(x509.load_der_x509_csr(ask.csr).public_key()),
            not_before=begin,
            not_after=self.clock.now + timedelta(days=self.days) - timedelta(seconds=1),
            serial=1_000_000 + len(self.orders),
            issuer=above,
        )
        self.made[leaf.fingerprint] = leaf.certificate
        return leaf.der, above.der

    def renewal_window(self, certificate: Certificate) -> RenewalWindow | None:
        return self.calls.call("ca:renewalInfo", self._window)  # type: ignore[no-any-return]

    def _window(self) -> RenewalWindow | None:
        if self.mode in CA_MODES:
            raise CA_MODES[self.mode]()
        return self.window
