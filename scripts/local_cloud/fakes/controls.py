"""What a test or a bench steers in the fakes: injected faults, call counts and request rates.

One object, `controls`, serves all fakes of the process.
"""

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


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
class Pressed:
    """How an operation that has a rate was called in one account and region: all calls, those that were throttled, and
    the most within one second."""

    rate: float
    calls: int = 0
    throttled: int = 0
    most: int = 0
    _times: deque[float] = field(default_factory=deque)

    def add(self, now: float, *, admitted: bool) -> None:
        """One more call."""
        self.calls += 1
        self.throttled += not admitted
        self._times.append(now)
        while self._times[0] <= now - 1:
            self._times.popleft()
        self.most = max(self.most, len(self._times))


@dataclass
class Controls:
    """Faults, counts and rates. Every method may be called from any thread."""

    enforce_rates: bool = field(default_factory=lambda: os.environ.get("LOCAL_CLOUD_RATES") == "1")
    limiter: RateLimiter = field(default_factory=RateLimiter)
    clock: Callable[[], float] = time.monotonic
    _faults: dict[tuple[str, str], list[Fault]] = field(default_factory=dict)
    _calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    _pressed: dict[tuple[str, ...], Pressed] = field(default_factory=dict)
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
        if rate is None:
            return True
        with self._lock:
            admitted = not self.enforce_rates or self.limiter.allow(key, rate)
            self._pressed.setdefault(key, Pressed(rate)).add(self.clock(), admitted=admitted)
            return admitted

    def pressed(self) -> list[dict[str, Any]]:
        """One row for each operation with a rate that was called since the last reset, by account and region."""
        with self._lock:
            return [
                {
                    **dict(zip(("service", "operation", "account", "region"), key, strict=True)),
                    "rate": found.rate,
                    "calls": found.calls,
                    "throttled": found.throttled,
                    "most_in_a_second": found.most,
                }
                for key, found in sorted(self._pressed.items())
            ]

    def reset_calls(self) -> None:
        """Forgets the counts."""
        with self._lock:
            self._calls.clear()
            self._pressed.clear()

    def reset(self) -> None:
        """Forgets counts and faults."""
        self.reset_calls()
        with self._lock:
            self._faults.clear()


controls = Controls()
