"""Every check: one file a topic, one line here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from perennial.checks.interface import Check, registry

TOPICS = (
    "expiry",
    "renewal",
    "issuance",
    "names",
    "chain",
    "policy",
    "keys",
    "signatures",
    "validity",
    "usage",
    "issuer",
    "owner",
    "unreadable",
    "quantum",
)


def _checks() -> Iterator[Check]:
    for topic in TOPICS:
        yield from import_module(f"perennial.checks.{topic}").CHECKS


CHECKS = registry(tuple(_checks()))
