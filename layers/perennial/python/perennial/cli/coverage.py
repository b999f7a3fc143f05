"""`perennial findings` and `perennial scopes`: what is wrong, and how far the deployed Discovery sees."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import CSV, JSON, ONE_ACCOUNT, TABLE

if TYPE_CHECKING:
    from perennial.findings import Finding
    from perennial.inventory.records import ScopeRecord

_FINDING = (
    "severity",
    "check",
    "title",
    "detail",
    "certificate",
    "not_after",
    "owner",
    "scope",
    "location",
    "resource",
    "fingerprint",
    "remediation",
)
_SCOPE = ("scope", "status", "reason", "message", "sightings", "completed_at", "attempted_at")


@click.command(
    epilog=options.example(
        "perennial findings --severity high",
        "perennial findings --owner payments --json",
        "perennial findings --check expiry.soon --output csv",
        "perennial findings --suppressed",
    )
)
@click.option(
    "--severity",
    type=options.SEVERITY,
    default="informational",
    help="Only those as bad as this or worse.",
    show_default=True,
)
@click.option("--owner", help="Only those of this owner's certificates.")
@click.option("--check", help="Only those of this check, by its id.")
@click.option("--account", type=ONE_ACCOUNT, help="Only those in this account.")
@click.option("--suppressed", is_flag=True, help="Those that an exception covers, in place of the open ones.")
@options.output(TABLE, JSON, CSV)
@options.session
def findings(
    severity: str,
    owner: str | None,
    check: str | None,
    account: str | None,
    suppressed: bool,
    output: str,
    table_name: str | None,
    profile: str | None,
    region: str | None,
) -> None:
    """Open findings of the deployment, the worst first. What an exception covers is not among them."""
    from perennial.assessment import worst_first
    from perennial.checks.interface import Severity
    from perennial.cli.deployed import inventory

    if check is not None:
        _known(check)
    wanted = list(Severity)[: Severity(severity).rank + 1]
    stored = inventory(table_name, profile, region)
    found = worst_first(
        each
        for each in (stored.suppressed_findings() if suppressed else stored.findings(wanted))
        if each.severity in wanted
        and (owner is None or each.owner == owner)
        and (check is None or each.check == check)
        and (account is None or each.scope.account == account)
    )
    if output == TABLE:
        _findings_table(found, "suppressed" if suppressed else "open")
    else:
        from perennial.cli.documents import of_finding

        columns = (*_FINDING, "exception", "exception_ends") if suppressed else _FINDING
        _print(output, columns, map(of_finding, found))


def _known(check: str) -> None:
    from perennial.checks import CHECKS
    from perennial.errors import InvalidInput

    if check not in CHECKS:
        raise InvalidInput(f"there is no check {check[:60]!r}; there are {', '.join(CHECKS)}")


def _findings_table(found: list[Finding], kind: str) -> None:
    from perennial.cli.tables import console, findings_table

    if not found:
        click.echo(f"No {kind} findings. How far Discovery sees: perennial scopes", err=True)
    findings_table(found, console(sys.stdout))


@click.command(epilog=options.example("perennial scopes", "perennial scopes --incomplete --json"))
@click.option("--incomplete", is_flag=True, help="Only those whose last scan was not complete.")
@options.output(TABLE, JSON, CSV)
@options.session
def scopes(incomplete: bool, output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """Every scope that Discovery scans, and how its last scan ended."""
    from perennial.cli.deployed import inventory

    records = list(inventory(table_name, profile, region).scopes())
    found = [each for each in records if not incomplete or each.status != "complete"]
    rows = [_row(each) for each in found]
    if output != TABLE:
        _print(output, _SCOPE, rows)
        return
    if not found:
        every = "Every scope was read to its end: perennial certs list"
        none = "No scope was scanned yet: start Discovery (docs/deploy.md), or look without it: perennial scan"
        click.echo(every if records else none, err=True)
        return
    from perennial.cli.tables import day, listing

    lines = [
        (each.scope.key, each.status, each.sightings, day(each.completed_at), row["reason"], row["message"])
        for each, row in zip(found, rows, strict=True)
    ]
    listing(("Scope", "Last scan", "Sightings", "Complete on", "Reason", "Message"), lines, sys.stdout)


def _row(record: ScopeRecord) -> dict[str, Any]:
    from perennial.cli.documents import time

    return {
        "scope": record.scope.key,
        "status": record.status,
        "reason": record.reason,
        "message": record.message,
        "sightings": record.sightings,
        "completed_at": time(record.completed_at),
        "attempted_at": time(record.attempted_at),
    }


def _print(output: str, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    from perennial.cli import csv_output, documents

    for line in csv_output.lines(columns, rows) if output == CSV else documents.json_array(rows):
        print(line)
