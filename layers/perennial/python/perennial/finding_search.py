"""Open findings, a page at a time, the worst first.

A page reads in proportion to what it may hold: those of few owners are found by them, those of all by severity. Where a
check is asked for that found little, or there are many teams, a page ends after so many items and queries for each
finding that it may hold (`Effort`): it may be short or empty, and still have a next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perennial.inventory.lists import Effort, Mark, Spent, Walk

if TYPE_CHECKING:
    from perennial.checks.interface import Severity
    from perennial.findings import Finding
    from perennial.inventory.store import Inventory

MAX_PAGE = 100  # findings
MAX_TEAMS = 16  # that are asked for one after the other; with more, all findings are walked


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The findings of a page, and the mark from which the next one goes on; None where there is no more."""

    findings: tuple[Finding, ...]
    next: Mark | None


def page(
    inventory: Inventory,
    severities: Sequence[Severity],
    check: str | None,
    within: frozenset[str] | None,
    after: Mark | None = None,
    limit: int = 50,
) -> Findings:
    """Open findings behind a mark, at most `limit`: of some severities, of a check or a topic of checks (None: of
    all), of the owners `within` (None: of all, also of nobody).

    Raises: InvalidInput for a mark of another list.
    """
    limit = max(1, min(limit, MAX_PAGE))
    owners = sorted(within) if within is not None and len(within) <= MAX_TEAMS else None
    walk = Walk(effort=Effort.of_page(limit), after=after, first=limit + 1)
    entries = inventory.findings_by_severity(severities, owners, walk)
    found: dict[str, Finding] = {}
    last = after
    try:
        for mark, finding in entries:
            last = mark
            if finding is not None and _fits(finding, check, within):
                found[finding.id] = finding
            if len(found) >= limit:
                break
        more = next(entries, None) is not None
    except Spent:
        more = True
    return Findings(findings=tuple(found.values()), next=last if more else None)


def _fits(finding: Finding, check: str | None, within: frozenset[str] | None) -> bool:
    owned = within is None or finding.owner in within
    return owned and (check is None or finding.check == check or finding.check.startswith(f"{check}."))
