"""Tables for a terminal. Only what shows them imports this module, and with it rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import IO

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perennial.checks.interface import Severity
from perennial.cli.documents import called, short
from perennial.cli.plain import plain
from perennial.findings import Finding
from perennial.manifest import Scope
from perennial.survey import Survey

MAX_ROWS = 200  # of a list, and
MAX_OF_CHECK = 10  # findings of one check; all of them are in JSON, CSV and HTML
WIDE = 130  # columns in which a finding fits on one line
STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFORMATIONAL: "dim",
}


def console(stream: IO[str]) -> Console:
    """A console for a stream: as wide as the terminal; 80 columns and no colour elsewhere, nor with NO_COLOR."""
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)


def scan_table(survey: Survey, shown: Sequence[Finding], stream: IO[str]) -> None:
    """The findings check by check, the worst first, and the counts."""
    out = console(stream)
    findings_table(shown, out)
    out.print(_counts(survey))
    for each in survey.scopes:
        if each.reason:
            out.print(Text(f"Not complete: {each.scope.key} ({each.reason})", "red"))


def findings_table(findings: Iterable[Finding], out: Console) -> None:
    """Findings, expected in the order of `worst_first`, under a heading for each check."""
    by_check: dict[str, list[Finding]] = {}
    for finding in findings:
        by_check.setdefault(finding.check, []).append(finding)
    accounts = {each.scope.account for every in by_check.values() for each in every}
    for every in by_check.values():
        _check(every, out, with_account=len(accounts) > 1)


def _check(findings: list[Finding], out: Console, *, with_account: bool) -> None:
    first = findings[0]
    style = STYLES[first.severity]
    out.print(Text.assemble((first.severity.upper(), style), f"  {plain(first.title)} ", (f"({len(findings)})", "dim")))
    out.print(Padding(Text(plain(first.remediation), "dim"), (0, 0, 0, 2), expand=False))
    rows = [
        (Text(plain(called(each)), "bold"), Text(plain(_detail(each))), Text(_where(each, with_account), "dim"))
        for each in findings[:MAX_OF_CHECK]
    ]
    out.print(_side_by_side(rows) if out.width >= WIDE else _below(rows))
    if len(findings) > MAX_OF_CHECK:
        out.print(Text(f"  … and {len(findings) - MAX_OF_CHECK:,} more: --output json, csv or html shows all", "dim"))
    out.print()


def _detail(finding: Finding) -> str:
    """The detail, and what covers it."""
    if not finding.exception:
        return finding.detail
    return f"{finding.detail} Suspended until {day(finding.exception_ends)} by the exception {finding.exception}."


def _side_by_side(rows: Sequence[tuple[Text, ...]]) -> Padding:
    table = Table.grid("", "", "", padding=(0, 2, 0, 0))
    for column, ratio in zip(table.columns, (2, 4, 3), strict=True):
        column.ratio, column.overflow = ratio, "fold"
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 2))


def _below(rows: Sequence[tuple[Text, ...]]) -> Group:
    indents = (2, 4, 4)
    return Group(
        *(Padding(text, (0, 0, 0, by), expand=False) for row in rows for text, by in zip(row, indents, strict=True))
    )


def _where(finding: Finding, with_account: bool) -> str:
    """The resource without what its scope says already: `certificate/1234… · acm eu-west-1`."""
    return f"{plain(short(finding.resource))} · {_scope(finding.scope, with_account)}"


def _scope(scope: Scope, with_account: bool) -> str:
    return " ".join((scope.source, scope.region, *((scope.account,) if with_account else ())))


def _counts(survey: Survey) -> Text:
    text = Text(f"{_number(len(survey.subjects), 'certificate')} in {_number(len(survey.scopes), 'scope')}")
    count = 0
    for severity, group in groupby(survey.findings, lambda each: each.severity):
        number = len(list(group))
        count += number
        text.append(" · ").append(f"{number} {severity}", STYLES[severity])
    return text if count else text.append(" · ").append("no findings", "green")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def day(time: datetime | None) -> str:
    """A date as a list shows it."""
    return f"{time:%Y-%m-%d}" if time else ""


def listing(columns: Sequence[str], rows: Sequence[Sequence[object]], stream: IO[str]) -> None:
    """A plain list; long cells are folded, nothing is cut."""
    out = console(stream)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else plain(value)) for value in row))
    out.print(table)
