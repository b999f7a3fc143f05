"""`perennial managed`: the managed certificates of the deployment, and how their versions were issued."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import CSV, JSON, TABLE
from perennial.cli.plain import plain
from perennial.errors import NotFound

if TYPE_CHECKING:
    from perennial.certificate import Certificate
    from perennial.inventory.records import VersionRecord
    from perennial.inventory.store import Inventory

MAX_CSR = 32_768  # bytes
PAUSE = 2.0  # seconds between two looks
_COLUMNS = (
    "managed",
    "version",
    "state",
    "names",
    "profile",
    "issuer",
    "owner",
    "key",
    "secret",
    "secret_version",
    "arn",
    "fingerprint",
    "requested_at",
    "issued_at",
    "revoked_at",
    "seconds",
    "attempts",
    "due_at",
    "reason",
    "message",
)


@click.group()
def managed() -> None:
    """Managed certificates of the deployment, and their versions."""


@managed.command("list", epilog=options.example("perennial managed list", "perennial managed list --json"))
@options.output(TABLE, JSON, CSV)
@options.session
def list_managed(output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """The latest version of every managed certificate."""
    from perennial.cli.deployed import inventory

    stored = inventory(table_name, profile, region)
    latest = (record for name in stored.managed() for record in stored.versions(name, limit=1))
    if output != TABLE:
        _print(output, map(_row, latest))
        return
    from perennial.cli.tables import listing

    rows = [
        (each.managed, each.number, _state(each), each.issuer, each.key, each.request.owner, _took(each), each.reason)
        for each in latest
    ]
    if not rows:
        click.echo("No certificate was requested yet.", err=True)
        return
    listing(("Managed", "Version", "State", "Issuer", "Key", "Owner", "Took", "Reason"), rows, sys.stdout)
    click.echo("One of them in full: perennial managed show NAME", err=True)


@managed.command(epilog=options.example("perennial managed show shop", "perennial managed show shop --json"))
@click.argument("name")
@options.output(TABLE, JSON)
@options.session
def show(name: str, output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """The versions of one managed certificate, the newest first: state, key reference, chain, and what is next."""
    from perennial.cli.deployed import inventory

    records = inventory(table_name, profile, region).versions(name)
    if not records:
        raise NotFound(f"there is no managed certificate {name[:100]!r}; perennial managed list shows what there is")
    if output == JSON:
        _print(JSON, ({**_row(each), "chain": [_of_chain(one) for one in _chain(each)]} for each in records))
        return
    for record in records:
        for line in _text(record):
            print(line)


@managed.command(
    epilog=options.example(
        "perennial managed request shop --certificate-profile web --owner shop-team --name shop.example.com --wait",
        "perennial managed request mtls --certificate-profile private --owner core --name api.core.internal --days 30",
        "perennial managed request hsm --certificate-profile own-key --owner core --name x.example.com --csr x.csr",
    )
)
@click.argument("managed_name", metavar="MANAGED")
@click.option("--name", "names", multiple=True, required=True, help="A DNS name or IP address; may be repeated.")
@click.option("--certificate-profile", required=True, help="A profile of perennial.toml.")
@click.option("--owner", required=True, help="Whose certificate it is: an owner of [policy.owners].")
@click.option("--key", default="", help="The key's type, as EC-256.  [default: the profile's first]")
@click.option("--days", type=click.IntRange(1, 3_650), default=None, help="Validity.  [default: the profile's]")
@click.option("--csr", type=click.File("rb"), help="A CSR (PEM or DER), where you keep the key.")
@click.option("--wait", is_flag=True, help="Wait until it is issued or has failed.")
@options.session
def request(
    managed_name: str,
    names: tuple[str, ...],
    certificate_profile: str,
    owner: str,
    key: str,
    days: int | None,
    csr: Any,
    wait: bool,
    table_name: str | None,
    profile: str | None,
    region: str | None,
) -> int:
    """Request a certificate, as the next version of the managed certificate MANAGED.

    Everything that is not allowed is said at once, with what would be. The tick starts the issuance within a minute.
    """
    from datetime import UTC, datetime

    from perennial import issuance
    from perennial.certificate_request import CertificateRequest
    from perennial.cli.deployed import deployment
    from perennial.names import canonical

    wanted = CertificateRequest(
        names=tuple(map(canonical, names)),
        profile=certificate_profile,
        owner=owner,
        key=key,
        validity_days=days or 0,
        csr=csr.read(MAX_CSR + 1) if csr else b"",
    )
    found = deployment(table_name, profile, region)
    asked_by = str(found.clients("sts").get_caller_identity()["Arn"])
    record = issuance.request(found, managed_name, wanted, asked_by, datetime.now(UTC), source="cli")
    if wait:
        return _wait(found.inventory, record)
    click.echo(f"Requested version {record.number}. How it goes on: perennial managed show {managed_name}", err=True)
    return 0


def _wait(inventory: Inventory, record: VersionRecord) -> int:
    """Say what changes until the version has ended. Returns the exit code."""
    import time

    from perennial.inventory.records import VersionState

    told = ""
    while not record.state.ended:
        if told != (told := f"{record.state}{f': {record.message}' if record.message else ''}"):
            click.echo(plain(told), err=True)
        time.sleep(PAUSE)
        record = inventory.version(record.reference)
    for line in _text(record):
        print(line)
    return 0 if record.state is VersionState.ISSUED else 2


def _print(output: str, rows: Iterable[dict[str, Any]]) -> None:
    from perennial.cli import csv_output, documents

    for line in csv_output.lines(_COLUMNS, rows) if output == CSV else documents.json_array(rows):
        print(line)


def _row(record: VersionRecord) -> dict[str, Any]:
    from perennial.cli.documents import time

    return {
        "managed": record.managed,
        "version": record.number,
        "state": record.state,
        "names": list(record.request.names),
        "profile": record.request.profile,
        "issuer": record.issuer,
        "owner": record.request.owner,
        "key": record.key or None,
        "secret": record.secret or None,
        "secret_version": record.secret_version or None,
        "arn": record.arn or None,
        "fingerprint": record.fingerprint or None,
        "requested_at": time(record.requested_at),
        "issued_at": time(record.issued_at),
        "revoked_at": time(record.revoked_at),
        "seconds": _seconds(record),
        "attempts": record.attempts,
        "due_at": time(record.due_at),
        "reason": record.reason or None,
        "message": record.message or None,
    }


def _state(record: VersionRecord) -> str:
    """For people: what is revoked is that, though it was issued."""
    from perennial.inventory.records import VersionState

    return "revoked" if record.revoked_at and record.state is VersionState.ISSUED else record.state


def _seconds(record: VersionRecord) -> float | None:
    """From the request to the stored certificate."""
    return (record.issued_at - record.requested_at).total_seconds() if record.issued_at else None


def _took(record: VersionRecord) -> str:
    seconds = _seconds(record)
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def _chain(record: VersionRecord) -> list[Certificate]:
    from perennial.certificate import parse

    return [parse(each) for each in record.chain]


def _of_chain(certificate: Certificate) -> dict[str, Any]:
    from perennial.cli.documents import time

    return {
        "fingerprint": certificate.fingerprint,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "not_after": time(certificate.not_after),
    }


def _text(record: VersionRecord) -> Iterator[str]:
    yield f"{plain(record.managed)}, version {record.number}: {_state(record)}"
    facts = {
        "Names": ", ".join(record.request.names),
        "Profile": record.request.profile,
        "Issuer": record.issuer,
        "Owner": record.request.owner,
        "Key": record.key,
        "Kept in": record.secret,
        "as version": record.secret_version,
        "Issued as": record.arn,
        "Fingerprint": record.fingerprint,
        "Requested": f"{record.requested_at:%Y-%m-%d %H:%M:%S} UTC",
        "Took": _took(record),
        "Revoked": f"{record.revoked_at:%Y-%m-%d %H:%M:%S} UTC" if record.revoked_at else "",
        "Reason": record.reason,
        "Message": record.message,
        "Looked at": f"{record.due_at:%Y-%m-%d %H:%M} UTC" if record.due_at else "",
    }
    for label, value in facts.items():
        if value:
            yield f"  {label:<12} {plain(value)}"
    for number, each in enumerate(_chain(record)):
        end = f", until {each.not_after:%Y-%m-%d %H:%M} UTC" if each.not_after else ""
        yield f"  {'Chain' if number == 0 else '':<12} {plain(each.subject or each.title)}{end}"
        yield f"  {'':<12}   by {plain(each.issuer or 'an issuer that cannot be read')}"
    yield ""
