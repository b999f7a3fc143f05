"""`perennial scan`: look at an account with the caller's own credentials; nothing is deployed or kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from perennial.checks.interface import Severity
from perennial.cli import options
from perennial.cli.options import CSV, HTML, JSON, TABLE
from perennial.cli.program import EXIT_CODES, FAILED
from perennial.scanners import sources
from perennial.settings import Discovery, Settings

if TYPE_CHECKING:
    from perennial.cli.reach import Reach
    from perennial.findings import Finding
    from perennial.survey import Survey

ONLY_FULL = ("secretsmanager",)  # tells nothing without a call per certificate
LISTED = ("endpoints",)  # needs a list
FOUND = 1


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options as they were given."""

    profile: str | None
    region: tuple[tuple[str, ...], ...]
    accounts: tuple[tuple[str, ...], ...]
    role_name: str | None
    external_id: str | None
    source: tuple[str, ...]
    endpoints: IO[bytes] | None
    full: bool
    config: IO[bytes] | None
    output: str
    out: Path | None
    fail_on: str | None
    severity: str | None
    quiet: bool


@click.command(
    epilog=options.example(
        "perennial scan",
        "perennial scan --region all --full --output html --out report.html",
        "perennial scan --source acm --source elbv2 --json --fail-on high",
        "perennial scan --source endpoints --endpoints hosts.txt",
        "perennial scan --accounts 111111111111,222222222222 --role-name PerennialDiscovery",
    )
    + f"\n\n\b\n{EXIT_CODES}"
)
@click.option("--profile", help="AWS profile to use.")
@click.option(
    "--region",
    type=options.REGIONS,
    multiple=True,
    help="Region to scan, repeatable; or all.  [default: that of the profile or environment]",
)
@click.option("--accounts", type=options.ACCOUNTS, multiple=True, help="Accounts to scan, through a role in each.")
@click.option("--role-name", help="The role in other accounts.  [default: PerennialDiscovery]")
@click.option("--external-id", help="The external id that the role asks for.")
@click.option("--source", type=click.Choice(sources()), multiple=True, help="Where to look, repeatable; default: all.")
@click.option(
    "--endpoints", type=click.File("rb"), help="File with a host:port a line, to shake hands with; - is stdin."
)
@click.option("--full", is_flag=True, help="Read each certificate once: all checks, within the rates of AWS.")
@click.option(
    "--config", type=click.File("rb"), help="A perennial.toml: where to look, and what the organisation expects."
)
@options.output(TABLE, JSON, CSV, HTML)
@click.option("--out", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write to a file.")
@click.option("--fail-on", type=options.SEVERITY, help="Exit 1 where a finding is as bad as this or worse.")
@click.option(
    "--severity",
    type=options.SEVERITY,
    help="Show findings as bad as this or worse.  [default: low in a table, else all]",
)
@click.option("--quiet", is_flag=True, help="No progress and no notices.")
def scan(**given: Any) -> int:
    """Find the certificates of an account, and what is wrong with them.

    Read-only, with your own credentials; nothing is deployed or kept. Quick by default: it takes what the lists of AWS
    tell, and no call per certificate.
    """
    wanted = Wanted(**given)
    settings, chosen = _settings(wanted)
    survey = _survey(wanted, settings, chosen)
    least = Severity(wanted.severity or ("low" if wanted.output == TABLE else "informational")).rank
    shown = [each for each in survey.findings if each.severity.rank <= least]
    _write(wanted, survey, shown)
    if not wanted.quiet:
        for line in _notices(survey, shown):
            click.echo(line, err=True)
    return _exit_code(wanted, survey)


def _exit_code(wanted: Wanted, survey: Survey) -> int:
    if not survey.complete:
        return FAILED
    level = Severity(wanted.fail_on).rank if wanted.fail_on else -1
    return FOUND if any(each.severity.rank <= level for each in survey.findings) else 0


def _settings(wanted: Wanted) -> tuple[Settings, tuple[str, ...]]:
    """What the configuration and the options say together, the options first; and the sources to scan."""
    configured = _configured(wanted)
    discovery = configured.discovery
    if wanted.endpoints:
        from perennial.cli.endpoint_list import MAX_BYTES, endpoints

        discovery = replace(discovery, endpoints=endpoints(wanted.endpoints.read(MAX_BYTES + 1)))
    discovery = replace(
        discovery,
        role_name=wanted.role_name or discovery.role_name,
        external_id=wanted.external_id or discovery.external_id,
    )
    return replace(configured, discovery=discovery), _sources(wanted, discovery)


def _configured(wanted: Wanted) -> Settings:
    if wanted.config is None:
        return Settings()
    from perennial.errors import InvalidConfiguration
    from perennial.settings import MAX_FILE_BYTES, load

    try:
        text = wanted.config.read(MAX_FILE_BYTES + 1).decode()
    except UnicodeDecodeError as error:
        raise InvalidConfiguration(f"the configuration is not text in UTF-8: byte {error.start}") from error
    return load(text)


def _sources(wanted: Wanted, discovery: Discovery) -> tuple[str, ...]:
    """Those asked for; by default all that tell something in this way of scanning."""
    missing = [each for each in wanted.source if each in LISTED and not discovery.endpoints]
    if missing:
        raise click.UsageError("--source endpoints needs a list: --endpoints FILE")
    if needless := [each for each in wanted.source if each in ONLY_FULL and not wanted.full]:
        raise click.UsageError(f"--source {needless[0]} needs a call per certificate: add --full")
    skipped = (*(() if wanted.full else ONLY_FULL), *(() if discovery.endpoints else LISTED))
    return wanted.source or tuple(each for each in discovery.sources or sources() if each not in skipped)


def _survey(wanted: Wanted, settings: Settings, chosen: tuple[str, ...]) -> Survey:
    from perennial.checks import CHECKS
    from perennial.cli import progress, reach
    from perennial.survey import Order, survey

    clients = reach.clients_of(wanted.profile, None)
    tasks, failed = reach.tasks(clients, _reach(wanted, settings.discovery, chosen, clients))

    def whose() -> str:
        return str(clients("sts", clients.region or "us-east-1").get_caller_identity()["Account"])

    with progress.shown(len(tasks), quiet=wanted.quiet) as watch:
        order = Order(checks=CHECKS, now=datetime.now(UTC), full=wanted.full, settings=settings, watch=watch)
        return survey(tasks, failed, order, whose)


def _reach(wanted: Wanted, discovery: Discovery, chosen: tuple[str, ...], clients: Any) -> Reach:
    from perennial.cli.reach import Reach, accounts_of_organization, regions_of

    named = tuple(region for group in wanted.region for region in group)
    listed = tuple(account for group in wanted.accounts for account in group) or discovery.accounts
    if discovery.organization and not listed:
        listed = accounts_of_organization(clients)
    return Reach(
        regions=regions_of(clients.session, named or discovery.regions),
        sources=chosen,
        accounts=listed,
        role_name=discovery.role_name,
        external_id=discovery.external_id,
    )


def _write(wanted: Wanted, survey: Survey, shown: list[Finding]) -> None:
    if wanted.out is None:
        _write_to(sys.stdout, wanted, survey, shown)
        return
    with wanted.out.open("w", encoding="utf-8") as stream:
        _write_to(stream, wanted, survey, shown)


def _write_to(stream: IO[str], wanted: Wanted, survey: Survey, shown: list[Finding]) -> None:
    if wanted.output == TABLE:
        from perennial.cli.tables import scan_table

        scan_table(survey, shown, stream)
    else:
        stream.write("".join(f"{line}\n" for line in _lines(wanted.output, survey, shown)))


def _lines(output: str, survey: Survey, shown: list[Finding]) -> Iterable[str]:
    if output == CSV:
        from perennial.cli import csv_output

        return csv_output.lines(csv_output.SCAN_COLUMNS, csv_output.scan_rows(survey, shown))
    from perennial.cli.documents import json_lines, of_survey

    document = of_survey(survey, shown)
    if output == HTML:
        from perennial.cli.html_output import page

        return [page(document)]
    return json_lines(document)


def _notices(survey: Survey, shown: list[Finding]) -> Iterator[str]:
    """What the result does not say by itself, and the next command."""
    from perennial.cli.plain import plain

    for each in survey.scopes:
        if each.reason:
            yield f"incomplete: {each.scope.key}: {plain(' '.join(str(each.message).split()))} ({each.reason})"
    hidden = len(survey.findings) - len(shown)
    if hidden:
        yield f"{hidden} findings of lesser severity are not shown: add --severity informational"
    if survey.loose:
        yield f"{len(survey.loose)} attachments use certificates of sources or regions that were not scanned."
    if survey.not_judged:
        yield f"{len(survey.not_judged)} checks need each certificate: perennial scan --full"
    elif not survey.full:
        yield "Chains, public keys and tags are read by: perennial scan --full"
