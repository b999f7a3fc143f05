"""What every test of a scanner needs: a reading of one scope, and what a scan of it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from certificates import NOW
from perennial.manifest import Scope, Seen, Sighting, decode, encode
from perennial.scanners import scanner
from perennial.scanners.interface import GLOBAL, Reading
from perennial.settings import Discovery

ACCOUNT = "111122223333"
REGION = "eu-west-1"
Tags = Mapping[str, Mapping[str, Mapping[str, str]]]


def scan(
    source: str,
    client: Callable[..., Any],
    *,
    known: Mapping[str, Sighting] | None = None,
    full: bool = True,
    tags: Tags | None = None,
) -> list[Seen]:
    """Everything that a source's scanner yields. `tags` are resource type → ARN → tags."""
    chosen = scanner(source)
    reading = Reading(
        scope=Scope(ACCOUNT, REGION if chosen.everywhere else GLOBAL, source),
        client=client,
        known=known or {},
        full=full,
        settings=Discovery(),
        tags=lambda resource_type: (tags or {}).get(resource_type, {}),
        now=NOW,
    )
    return list(chosen.scan(reading))


def remembered(seen: Iterable[Seen], source: str = "acm") -> dict[str, Sighting]:
    """The manifest of a scan as the next one gets it: through its encoding."""
    kept = decode(encode(Scope(ACCOUNT, REGION, source), NOW, [each.sighting for each in seen]))
    return {each.location: each for each in kept}
