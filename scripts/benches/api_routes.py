"""What the bench of the API asks, and what was asked for of each route (see `api` for why)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from benches.api_fleet import TEAM

PAGE = 50
ROLES = f"auditor requester@{TEAM}"
BARE = "bare"
_NUMBERS = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What is asked. `most`: what was asked for, in times of the bare function's latency."""

    name: str
    method: str
    path: str
    most: float | None
    content: Callable[[], Any] | None = None
    writes: bool = False  # under a new Idempotency-Key each time


def _creation() -> dict[str, Any]:
    name = f"wished-{next(_NUMBERS)}"
    names = [f"{name}.example.com"]
    return {"name": name, "names": names, "profile": "web", "owner": TEAM, "reason": "a bench"}


ROUTES = (
    Route(name=BARE, method="GET", path="me", most=None),
    Route(name="GET /v1/me", method="GET", path="me", most=1.5),
    Route(name=f"GET /v1/managed?limit={PAGE}", method="GET", path=f"managed?limit={PAGE}", most=3),
    Route(name=f"GET /v1/certificates?limit={PAGE}", method="GET", path=f"certificates?limit={PAGE}", most=3),
    Route(name="POST /v1/managed", method="POST", path="managed", most=6, content=_creation, writes=True),
)

BESIDE = ROUTES[0]
READS = tuple(route for route in ROUTES if not route.writes)
WRITES = (BESIDE, *(route for route in ROUTES if route.writes))
