"""`perennial deploy` and `perennial rollouts`: put an issued certificate at its targets, and see how that goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import JSON, TABLE
from perennial.cli.plain import plain
from perennial.errors import NotFound

if TYPE_CHECKING:
    from perennial.inventory.records import RolloutRecord, TargetRecord
    from perennial.inventory.store import Inventory

PAUSE = 2.0  # seconds between two looks
MAX_FILE = 262_144  # bytes


@click.command(
    epilog=options.example(
        "perennial deploy shop --targets shop.targets.toml --wait",
        "perennial deploy shop                # the newest version, to the targets of the rollout before",
        "perennial deploy shop --version 3    # an earlier one",
    )
)
@click.argument("managed", metavar="MANAGED")
@click.option(
    "--targets", type=click.File("rb"), help="TOML with its [[targets]].  [default: those of the last rollout]"
)
@click.option("--version", type=click.IntRange(1, 999_999), help="Version.  [default: the newest that is issued]")
@click.option("--wait", is_flag=True, help="Wait until it is proven everywhere, or what was there before is back.")
@options.session
def deploy(
    managed: str,
    targets: Any,
    version: int | None,
    wait: bool,
    table_name: str | None,
    profile: str | None,
    region: str | None,
) -> int:
    """Put a version of the managed certificate MANAGED at its targets, one after the other.

    Nothing is changed unless the version fits all of them. Each target is proven by TLS handshakes before the next one
    is changed; where one fails, what was there before comes back. The tick starts it within a minute.
    """
    from datetime import UTC, datetime

    from perennial import rollout_request, target_settings
    from perennial.cli.deployed import deployment

    declared = target_settings.load(_text(targets), managed) if targets else None
    found = deployment(table_name, profile, region)
    asked_by = str(found.clients("sts").get_caller_identity()["Arn"])
    now = datetime.now(UTC)
    record = rollout_request.request(found, managed, declared, asked_by, now, version or 0, source="cli")
    if wait:
        return _wait(found.inventory, record)
    click.echo(f"Requested rollout {record.reference}. How it goes on: perennial rollouts {managed}", err=True)
    return 0


def _text(file: Any) -> str:
    data: bytes = file.read(MAX_FILE + 1)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        from perennial.errors import InvalidInput

        raise InvalidInput("the targets are not a text in UTF-8") from error


def _wait(inventory: Inventory, record: RolloutRecord) -> int:
    """Say what changes until the rollout has ended. Returns the exit code."""
    import time

    from perennial.inventory.records import RolloutState

    told: set[str] = set()
    while True:
        record = inventory.rollout(record.reference)
        for line in _changes(record, inventory.targets(record)):
            if line not in told:
                told.add(line)
                click.echo(line, err=True)
        if record.state.ended and record.ended_at:
            break
        time.sleep(PAUSE)
    for line in _of(record, inventory.targets(record)):
        print(line)
    return 0 if record.state is RolloutState.DEPLOYED else 2


def _changes(record: RolloutRecord, targets: list[TargetRecord]) -> Iterator[str]:
    for each in targets:
        yield plain(f"{each.settings.name}: {each.state}")
    yield f"rollout {plain(record.reference)}: {record.state}"


@click.command(epilog=options.example("perennial rollouts shop", "perennial rollouts shop --json"))
@click.argument("managed", metavar="MANAGED")
@click.option("--all", "every", is_flag=True, help="Every rollout in full, not only the newest.")
@options.output(TABLE, JSON)
@options.session
def rollouts(
    managed: str, every: bool, output: str, table_name: str | None, profile: str | None, region: str | None
) -> None:
    """The rollouts of the managed certificate MANAGED, the newest first: each target's state, and what is next."""
    from perennial.cli.deployed import inventory

    stored = inventory(table_name, profile, region)
    records = stored.rollouts(managed)
    if not records:
        raise NotFound(
            f"{managed[:100]!r} has no rollout yet; perennial deploy {managed[:100]} --targets FILE begins one"
        )
    if output == JSON:
        from perennial.cli import documents

        for line in documents.json_array(_row(each, stored.targets(each)) for each in records):
            print(line)
        return
    for number, record in enumerate(records):
        for line in _of(record, stored.targets(record)) if every or number == 0 else _short(record):
            print(line)


def _short(record: RolloutRecord) -> Iterator[str]:
    at = f"{record.requested_at:%Y-%m-%d %H:%M} UTC"
    yield f"Rollout {plain(record.reference)}, version {record.version}: {record.state}, {at}"


def _of(record: RolloutRecord, targets: list[TargetRecord]) -> Iterator[str]:
    yield f"Rollout {plain(record.reference)}, version {record.version}: {record.state}"
    facts = {
        "Asked by": record.asked_by,
        "Asked": f"{record.requested_at:%Y-%m-%d %H:%M:%S} UTC",
        "Took": f"{(record.ended_at - record.requested_at).total_seconds():.0f} s" if record.ended_at else "",
        "Reason": record.reason,
        "Message": record.message,
        "Looked at": f"{record.due_at:%Y-%m-%d %H:%M} UTC" if record.due_at else "",
    }
    for label, value in facts.items():
        if value:
            yield f"  {label:<10} {plain(value)}"
    for each in targets:
        yield from _target(each)
    if any(each.proof for each in targets):
        yield f"  The proofs: perennial proof show {plain(record.managed)}"


def _target(record: TargetRecord) -> Iterator[str]:
    place = ", ".join(plain(str(value)) for value in record.settings.fields.values() if value)
    yield f"  {record.index + 1}. {plain(record.settings.name)} ({record.settings.kind}): {record.state}"
    yield f"     at      {place}"
    if record.seen:
        yield f"     before  {plain(record.seen)}"
    if record.proof:
        yield f"     proof   {plain(record.proof)}"
    if record.message:
        yield f"     reason  {plain(record.message)}"


def _row(record: RolloutRecord, targets: list[TargetRecord]) -> dict[str, Any]:
    from perennial.cli.documents import time

    return {
        "managed": record.managed,
        "rollout": record.number,
        "version": record.version,
        "state": record.state,
        "asked_by": record.asked_by,
        "requested_at": time(record.requested_at),
        "ended_at": time(record.ended_at),
        "on_failure": "stay" if record.stays else "return",
        "attempts": record.attempts,
        "due_at": time(record.due_at),
        "reason": record.reason or None,
        "message": record.message or None,
        "targets": [_target_row(each) for each in targets],
    }


def _target_row(record: TargetRecord) -> dict[str, Any]:
    from perennial.cli.documents import time

    settings = record.settings
    return {
        "name": settings.name,
        "kind": settings.kind,
        "account": settings.account or None,
        "region": settings.region or None,
        "fields": {name: list(value) if isinstance(value, tuple) else value for name, value in settings.fields.items()},
        "state": record.state,
        "found": record.found.fingerprint if record.found and record.found.fingerprint else None,
        "seen": record.seen or None,
        "proof": record.proof or None,
        "proven_at": time(record.proven_at),
        "reason": record.reason or None,
        "message": record.message or None,
    }
