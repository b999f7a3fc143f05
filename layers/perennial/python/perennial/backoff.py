"""How long to wait after a failure, by its reason: from seconds to 32 hours. Pure.

What passes by itself is tried again soon and often. What a person has to put right is tried again rarely, as they may
do so at any time, and `perennial renew NAME --force` does not wait. The end of a certificate's life is never slept
through: the nearer it is, the shorter the pause.
"""

from __future__ import annotations

from datetime import timedelta

LONGEST = timedelta(hours=32)
SHORTEST = timedelta(seconds=5)
_SECONDS, _MINUTES, _HOURS = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
PAUSES: dict[str, tuple[timedelta, timedelta]] = {  # reason of `errors` -> the first pause, the longest
    "concurrent-change": (5 * _SECONDS, 5 * _MINUTES),
    "throttled": (30 * _SECONDS, _HOURS),
    "unavailable": (_MINUTES, _HOURS),
    "rate-limited": (_MINUTES, 4 * _HOURS),  # where the issuer does not say
    "failed": (_MINUTES, 8 * _HOURS),
    "invalid-reply": (5 * _MINUTES, 8 * _HOURS),
    "validation-failed": (5 * _MINUTES, 32 * _HOURS),
    "not-proven": (5 * _MINUTES, 8 * _HOURS),
    "changed-meanwhile": (5 * _MINUTES, 8 * _HOURS),
    "not-fit": (30 * _MINUTES, 32 * _HOURS),
    "refused": (15 * _MINUTES, 32 * _HOURS),
    "wrong-certificate": (_HOURS, 32 * _HOURS),
    "access-denied": (15 * _MINUTES, 8 * _HOURS),
    "not-found": (15 * _MINUTES, 8 * _HOURS),
    "region-disabled": (_HOURS, 32 * _HOURS),
    "invalid-input": (_HOURS, 32 * _HOURS),
    "invalid-configuration": (15 * _MINUTES, 8 * _HOURS),
    "policy": (_HOURS, 32 * _HOURS),
}
DEFAULT = (_MINUTES, LONGEST)
LAST_TRIES = 20  # that fit into what is left of a lifetime, at the least


def pause(reason: str, attempts: int, left: timedelta | None = None) -> timedelta:
    """How long to wait after so many attempts (1: the first one failed). `left`: until the certificate that serves
    expires, where there is one that has not expired."""
    first, longest = PAUSES.get(reason, DEFAULT)
    waited = min(first * (1 << min(max(attempts - 1, 0), 20)), longest, LONGEST)
    if left is not None:
        waited = min(waited, max(left / LAST_TRIES, first))
    return max(waited, SHORTEST)
