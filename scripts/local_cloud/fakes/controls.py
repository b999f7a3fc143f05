"""What a test or a bench steers in the fakes: injected faults, call counts and request rates.

One object, `controls`, serves all fakes of the process.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Fault:
    """An error that the next `times` calls of one operation answer with."""

    code: str
    times: int
    message: str
    status: int


class RateLimiter:
    """A token bucket for each key that holds one second's worth of calls, like AWS's request throttling."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}

    def allow(self, key: tuple[str, ...], rate: float) -> bool:
        """Whether one more call fits the rate (calls per second); a call that fits is counted."""
        now = self._clock()
        tokens, since = self._buckets.get(key, (max(rate, 1.0), now))
        tokens = min(max(rate, 1.0), tokens + (now - since) * rate)
        self._buckets[key] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1


@dataclass
class Controls:
    """Faults, counts and rates. Every method may be called from any thread."""

    enforce_rates: bool = field(default_factory=lambda: os.environ.get("LOCAL_CLOUD_RATES") == "1")
    limiter: RateLimiter = field(default_factory=RateLimiter)
    _faults: dict[tuple[str, str], list[Fault]] = field(default_factory=dict)
    _calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(
        self, service: str, operation: str, code: str, times: int = 1, message: str = "", status: int = 400
    ) -> None:
        """Makes the next `times` calls of `operation` ("*" for any) of `service` fail with `code`."""
        with self._lock:
            self._faults.setdefault((service, operation), []).append(Fault(code, times, message or code, status))

    def fault(self, service: str, operation: str) -> Fault | None:
        """The fault that this call meets, used up by it."""
        with self._lock:
            for key in ((service, operation), (service, "*")):
                if waiting := self._faults.get(key):
                    return self._use(key, waiting)
        return None

    def _use(self, key: tuple[str, str], waiting: list[Fault]) -> Fault:
        fault = waiting[0]
        fault.times -= 1
        if fault.times <= 0:
            waiting.pop(0)
        if not waiting:
            del self._faults[key]
        return fault

    def count(self, service: str, operation: str) -> None:
        """Counts a call, whatever its outcome."""
        with self._lock:
            self._calls[service, operation] += 1

    def calls(self) -> dict[str, dict[str, int]]:
        """service -> operation -> number of calls since the last reset."""
        with self._lock:
            found: dict[str, dict[str, int]] = {}
            for (service, operation), number in sorted(self._calls.items()):
                found.setdefault(service, {})[operation] = number
            return found

    def within_rate(self, key: tuple[str, ...], rate: float | None) -> bool:
        """Whether a call may pass; always, unless rates are enforced and the operation has one."""
        if not self.enforce_rates or rate is None:
            return True
        with self._lock:
            return self.limiter.allow(key, rate)

    def reset_calls(self) -> None:
        """Forgets the counts."""
        with self._lock:
            self._calls.clear()

    def reset(self) -> None:
        """Forgets counts and faults."""
        with self._lock:
            self._calls.clear()
            self._faults.clear()


controls = Controls()
