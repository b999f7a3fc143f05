"""The whole error vocabulary. Each class answers one question: is it worth trying again?

Step Functions matches the class name that Lambda reports and knows no inheritance, so `infra/` generates its
`ErrorEquals` from `RETRYABLE` and `FINAL`. A message says what happened and what to do next, and holds no secret.
"""

from __future__ import annotations

from typing import ClassVar


class PerennialError(Exception):
    """Every error that Perennial raises on purpose; never raised itself."""

    retry: ClassVar[bool] = False
    reason: ClassVar[str] = "failed"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds; None: the caller's back-off decides


class Throttled(PerennialError):
    """The service asked to slow down, also after the client's own retries."""

    retry = True
    reason = "throttled"


class Unavailable(PerennialError):
    """The service did not answer, or answered with a fault of its own (5xx)."""

    retry = True
    reason = "unavailable"


class ConcurrentChange(PerennialError):
    """Someone else changed what was read before it could be written; read again and decide again."""

    retry = True
    reason = "concurrent-change"


class AccessDenied(PerennialError):
    """A permission is missing. Asking again does not help; the message names the action."""

    reason = "access-denied"


class RegionDisabled(PerennialError):
    """The account has not enabled this region."""

    reason = "region-disabled"


class NotFound(PerennialError):
    """What was named does not exist."""

    reason = "not-found"


class InvalidInput(PerennialError):
    """What the caller gave cannot be used; the message says what would be."""

    reason = "invalid-input"


class InvalidConfiguration(PerennialError):
    """perennial.toml or the deployment's settings cannot be used; the message names the field."""

    reason = "invalid-configuration"


class ServiceRefused(PerennialError):
    """The service refused the call for a reason that a repetition does not change."""

    reason = "refused"


RETRYABLE: tuple[type[PerennialError], ...] = (Throttled, Unavailable, ConcurrentChange)
FINAL: tuple[type[PerennialError], ...] = (
    AccessDenied,
    RegionDisabled,
    NotFound,
    InvalidInput,
    InvalidConfiguration,
    ServiceRefused,
)
