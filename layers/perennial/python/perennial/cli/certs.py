"""`perennial certs`: the certificates of the deployed inventory."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import CSV, JSON, TABLE
from perennial.errors import NotFound

if TYPE_CHECKING:
    from perennial.inventory.records import CertificateSummary
    from perennial.inventory.store import Inventory

_SHA256 = options.Matching("sha256", re.compile(r"[0-9a-fA-F]{64}"), "64 hexadecimal digits")
_COLUMNS = ("fingerprint", "title", "not_after", "key", "owner", "issuer", "serial", "gone_at")


@click.group()
def certs() -> None:
    """Certificates of the deployed inventory."""


@certs.command(
    "list",
    epilog=options.example(
        "perennial certs list --expiring 30d",
        "perennial certs list --owner payments --key-algorithm RSA --json",
        "perennial certs list --name shop.example.com --subtree",
        "perennial certs list --issuer 'Example Root' --output csv",
    ),
)
@click.option("--expiring", type=options.Duration(), metavar="30d|12h|4w", help="Only those that end within this time.")
@click.option("--expired", is_flag=True, help="Only those that have ended; with --expiring: also those.")
@click.option("--owner", help="Only those of this owner.")
@click.option("--issuer", help="Only those whose issuer's name contains this.")
@click.option("--key-algorithm", "key", help="Only those with such a key: RSA, RSA-2048, EC-256, Ed25519, ML-DSA-65 …")
@click.option("--signature", help="Only those signed with this: sha256WithRSAEncryption, ecdsa-with-SHA256 …")
@click.option("--name", help="Only those with this name; a wildcard is a name of its own.")
@click.option("--subtree", is_flag=True, help="With --name: also every name below it.")
@click.option("--public-key", type=_SHA256, help="Only those with the public key of this SHA-256.")
@click.option("--resource", help="Only those at this ARN or host:port.")
@click.option("--include-gone", is_flag=True, help="Also those that are nowhere any more.")
@click.option("--limit", type=click.IntRange(1), help="The largest number to list.")
@options.output(TABLE, JSON, CSV)
@options.session
def list_certificates(
    output: str, limit: int | None, table_name: str | None, profile: str | None, region: str | None, **given: Any
) -> None:
    """List certificates, the earliest end first. All conditions given must hold."""
    if given["subtree"] and not given["name"]:
        raise click.UsageError("--subtree goes with --name")
    from perennial.cli.deployed import inventory
    from perennial.cli.selection import Conditions, select

    if given["public_key"]:
        given["public_key"] = given["public_key"].lower()
    conditions = Conditions(now=datetime.now(UTC), **given)
    _write(output, islice(select(inventory(table_name, profile, region), conditions), limit))


def _write(output: str, found: Iterable[CertificateSummary]) -> None:
    if output == TABLE:
        _table(found)
        return
    from perennial.cli import csv_output, documents

    rows = (_row(each) for each in found)
    lines = csv_output.lines(_COLUMNS, rows) if output == CSV else documents.json_array(rows)
    for line in lines:
        print(line)


def _row(summary: CertificateSummary) -> dict[str, Any]:
    from perennial.cli.documents import time

    times = {"not_after": time(summary.not_after), "gone_at": time(summary.gone_at)}
    return {name: times.get(name, getattr(summary, name)) for name in _COLUMNS}


def _table(found: Iterable[CertificateSummary]) -> None:
    from perennial.cli.tables import MAX_ROWS, day, listing

    shown = list(islice(found, MAX_ROWS + 1))
    rows = [(each.title, day(each.not_after), each.key, each.owner, each.fingerprint[:16]) for each in shown[:MAX_ROWS]]
    if rows:
        listing(("Certificate", "Ends", "Key", "Owner", "Fingerprint"), rows, sys.stdout)
        click.echo("One of them in full: perennial certs show FINGERPRINT", err=True)
    else:
        click.echo("No certificate fits.", err=True)
    if len(shown) > MAX_ROWS:
        click.echo(f"More than {MAX_ROWS}: --output json or csv shows all.", err=True)


@certs.command(
    epilog=options.example(
        "perennial certs show 5a3d…64 hexadecimal digits",
        "perennial certs show arn:aws:acm:eu-west-1:111111111111:certificate/1234 --json",
        "perennial certs show www.example.com:443 --pem",
    )
)
@click.argument("which", metavar="FINGERPRINT")
@click.option("--pem", is_flag=True, help="Print the certificate itself.")
@options.output(TABLE, JSON)
@options.session
def show(which: str, pem: bool, output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """All that is known of one certificate.

    FINGERPRINT is the SHA-256 of the certificate, or its first 8 digits or more, colons allowed; or the place where
    it is: an ARN or host:port.
    """
    from perennial.cli import deployed, record, suspensions
    from perennial.which_certificate import fingerprint_of

    stored = deployed.inventory(table_name, profile, region)
    fingerprint = fingerprint_of(stored, which)
    found = stored.show(fingerprint)
    if found is None:
        raise NotFound(f"{fingerprint} is not in the inventory")
    if pem:
        lines: Iterator[str] = record.pem(found.certificate)
    elif output == JSON:
        lines = record.json_lines(found, suspensions.of_certificate(stored, found, datetime.now(UTC)))
    else:
        covered = suspensions.of_certificate(stored, found, datetime.now(UTC))
        lines = record.text(found, _titles(stored), covered)
    for line in lines:
        print(line)


def _titles(inventory: Inventory) -> Callable[[str], str | None]:
    """What another certificate of the inventory is called."""

    def title(fingerprint: str) -> str | None:
        found = inventory.certificate_and_owner(fingerprint)
        return found[0].title if found else None

    return title
