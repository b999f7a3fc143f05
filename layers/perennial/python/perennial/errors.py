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


class RateLimited(PerennialError):
    """An issuer's limit is used up. It ends at `retry_after`, which may be hours away: a due time, not a failure."""

    retry = True
    reason = "rate-limited"


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


class PolicyViolated(PerennialError):
    """What was requested is not allowed; the message has every violation, each with what would be accepted."""

    reason = "policy"


class ValidationFailed(PerennialError):
    """The issuer could not see that a name is controlled; the message has the name and what the issuer saw."""

    reason = "validation-failed"


class InvalidReply(PerennialError):
    """A server's reply breaks its protocol or its bounds, and nothing of it is used."""

    reason = "invalid-reply"


class WrongCertificate(PerennialError):
    """What was issued is not what was requested; it is revoked where that is possible, and never deployed."""

    reason = "wrong-certificate"


class NotFit(PerennialError):
    """A version may not go to a target: the preflight says why. Nothing was changed there."""

    reason = "not-fit"


class ChangedMeanwhile(PerennialError):
    """Someone else changed a target between looking and changing it. What they did stays."""

    reason = "changed-meanwhile"


class NotProven(PerennialError):
    """No handshake showed the expected certificate at a target before its deadline."""

    reason = "not-proven"


class NotAllowed(PerennialError):
    """Who asks may not do this (`roles.judge`); the message says which role would. The refusal is in the audit trail."""

    reason = "not-allowed"


class PreconditionFailed(PerennialError):
    """What the caller read has changed since (RFC 9110 13.1.1); read it again and decide again."""

    reason = "precondition-failed"


class PreconditionRequired(PerennialError):
    """A change must say which state it is made of (RFC 6585 3)."""

    reason = "precondition-required"


RETRYABLE: tuple[type[PerennialError], ...] = (Throttled, Unavailable, ConcurrentChange)
POSTPONED: tuple[type[PerennialError], ...] = (RateLimited,)
OF_ROLLOUTS: tuple[type[PerennialError], ...] = (NotFit, ChangedMeanwhile, NotProven)  # no other workflow ends so
OF_THE_API: tuple[type[PerennialError], ...] = (NotAllowed, PreconditionFailed, PreconditionRequired)
FINAL: tuple[type[PerennialError], ...] = (
    AccessDenied,
    RegionDisabled,
    NotFound,
    InvalidInput,
    InvalidConfiguration,
    ServiceRefused,
    PolicyViolated,
    ValidationFailed,
    InvalidReply,
    WrongCertificate,
    *OF_ROLLOUTS,
    *OF_THE_API,
)
