"""The ACME server of the demo, as several acts know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Authority:
    """A running ACME server: its name for people, and what the configuration needs."""

    name: str
    directory: str
    directory_roots: str
    roots: str
