"""What a check is, and what it is shown.

A check is a rule about a certificate in its place. It sees one `Subject`, decides without I/O, and answers with one
sentence of detail or with None. Its id and severity are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from perennial.certificate import Certificate
from perennial.manifest import Scope, Sighting


class Severity(StrEnum):
    """Security Hub's labels (ASFF Severity.Label), from the worst."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFORMATIONAL = "informational"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """What the organisation expects of its certificates (`[checks]` in perennial.toml)."""

    allowed_issuers: tuple[str, ...] = ()  # substrings of the issuer's name, case-insensitive; (): any
    expiry_days: tuple[int, ...] = (30, 14, 7)  # medium, high, critical
    stuck_days: int = 3  # a renewal pending for longer is stuck


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A certificate in its place, and what is attached to that place.

    `sighting` is the place that holds the certificate. `attached` are the listeners, domains and distributions that use
    it. `same_key` are fingerprints of other certificates with the same public key (at most 4). `public` says whether
    the certificate chains to a publicly trusted root; None: unknown.
    `full` is False in a quick scan, where attributes that need a call per certificate are unknown.
    """

    scope: Scope
    sighting: Sighting
    certificate: Certificate | None
    attached: tuple[tuple[Scope, Sighting], ...] = ()
    owner: str | None = None
    owner_known: bool = True  # False where no source of ownership was readable (a quick scan reads no tags)
    same_key: tuple[str, ...] = ()
    public: bool | None = None
    full: bool = True
    organisation: Organisation = field(default_factory=Organisation)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One problem: one sentence of detail, and the sighting that it is about (the place or something attached)."""

    detail: str
    scope: Scope | None = None  # None: the subject's own place
    sighting: Sighting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule. `run` is called only where `applies` holds and returns the problems found, none when it passes.

    `changes_at` tells the next time after `now` at which the verdict changes by time alone, for checks that depend on
    time. `cites` names the source of the rule (RFC, Baseline Requirements section, AWS document).
    """

    id: str  # topic.rule, constant for ever: Security Hub ids are made of it
    severity: Severity
    title: str
    remediation: str
    cites: str
    applies: Callable[[Subject], bool]
    run: Callable[[Subject, datetime], tuple[Verdict, ...]]
    changes_at: Callable[[Subject, datetime], datetime | None] = lambda subject, now: None
    needs_full: bool = False  # judged only where each certificate was read (perennial scan --full, discovery)


def registry(checks: tuple[Check, ...]) -> Mapping[str, Check]:
    """Checks by id.

    Raises: ValueError when an id is taken twice.
    """
    by_id = {check.id: check for check in checks}
    if len(by_id) != len(checks):
        twice = sorted({check.id for check in checks if [each.id for each in checks].count(check.id) > 1})
        raise ValueError(f"check ids used twice: {', '.join(twice)}")
    return by_id
