"""`perennial issuers`: the CAs that the deployment may ask, and the accounts that it has at them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import CSV, JSON, TABLE
from perennial.errors import InvalidInput

if TYPE_CHECKING:
    from perennial.issuers.acme import Acme
    from perennial.profiles import Issuer

_COLUMNS = ("issuer", "kind", "asked", "public", "keys", "profiles")


@click.group()
def issuers() -> None:
    """Issuers of the deployment, and its accounts at ACME CAs."""


@issuers.command("list", epilog=options.example("perennial issuers list", "perennial issuers list --json"))
@options.output(TABLE, JSON, CSV)
@options.session
def list_issuers(output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """Every issuer of perennial.toml, and the profiles that use it."""
    from perennial.cli.deployed import deployment

    settings = deployment(table_name, profile, region).settings
    rows = [
        _row(each, sorted(name for name, found in settings.profiles.items() if found.issuer == each.name))
        for each in settings.issuers.values()
    ]
    if output != TABLE:
        from perennial.cli import csv_output, documents

        for line in csv_output.lines(_COLUMNS, rows) if output == CSV else documents.json_array(rows):
            print(line)
        return
    if not rows:
        click.echo("perennial.toml has no [issuers] yet: docs/issuance.md says how to add one.", err=True)
        return
    from perennial.cli.tables import listing

    lines = [(row["issuer"], row["kind"], row["asked"], ", ".join(row["profiles"])) for row in rows]
    listing(("Issuer", "Kind", "Asked at", "Profiles"), lines, sys.stdout)


def _row(issuer: Issuer, profiles: list[str]) -> dict[str, Any]:
    asked = getattr(issuer, "directory", "") or getattr(issuer, "authority", "") or getattr(issuer, "region", "")
    return {
        "issuer": issuer.name,
        "kind": issuer.kind,
        "asked": asked or "ACM, in the hub's region",
        "public": issuer.public,
        "keys": list(issuer.keys),
        "profiles": profiles,
    }


@issuers.command("change-key", epilog=options.example("perennial issuers change-key lets-encrypt"))
@click.argument("name", metavar="ISSUER")
@options.session
def change_key(name: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """Give the account at an ACME issuer a new key (RFC 8555 7.3.5).

    The new key is stored before the CA is told. Interrupted, run it again: it goes on where it was.
    """
    _acme(name, table_name, profile, region).change_key()
    click.echo(f"The account at {name} has a new key.", err=True)


@issuers.command(epilog=options.example("perennial issuers deactivate lets-encrypt --yes"))
@click.argument("name", metavar="ISSUER")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.session
def deactivate(name: str, yes: bool, table_name: str | None, profile: str | None, region: str | None) -> None:
    """Deactivate the account at an ACME issuer, for good (RFC 8555 7.3.6). The next certificate makes a new one."""
    if not yes:
        click.confirm(f"Deactivate the account at {name} for good?", abort=True, err=True)
    _acme(name, table_name, profile, region).deactivate()
    click.echo(f"The account at {name} is deactivated; the next certificate makes a new one.", err=True)


def _acme(name: str, table_name: str | None, profile: str | None, region: str | None) -> Acme:
    from perennial.cli.deployed import deployment
    from perennial.issuers import acme
    from perennial.profiles import AcmeIssuer

    found = deployment(table_name, profile, region, with_key=True)
    settings = found.settings.issuers.get(name)
    if settings is None:
        known = ", ".join(sorted(found.settings.issuers)) or "none"
        raise InvalidInput(f"there is no issuer {name[:100]!r}; perennial.toml has {known}")
    if not isinstance(settings, AcmeIssuer):
        raise InvalidInput(f"{name} is of the kind {settings.kind}, which has no account; only acme has")
    return acme.issuer(settings, found)
