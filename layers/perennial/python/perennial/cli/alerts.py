"""`perennial alerts`: which managed certificates people were told of, and answering."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import JSON, TABLE

if TYPE_CHECKING:
    from perennial.inventory.records import ManagedRecord
    from perennial.lifecycle import Decision

MAX_ROWS = 200


@click.group()
def alerts() -> None:
    """Alerts of managed certificates whose renewal fails or is late."""


@alerts.command("list", epilog=options.example("perennial alerts list", "perennial alerts list --all --json"))
@click.option("--all", "every", is_flag=True, help="Every declared certificate, also those with nothing to tell.")
@options.output(TABLE, JSON)
@options.session
def list_alerts(every: bool, output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """The certificates on the ladder, the worst first: 1 owner, 2 team, 3 business and on-call, 4 emergency."""
    from datetime import UTC

    from perennial.cli.deployed import inventory

    now = datetime.now(UTC)
    found = _ranked(list(inventory(table_name, profile, region).declared()), now)
    shown = [each for each in found if every or each[0] or each[1].told]
    if output == JSON:
        from perennial.cli import documents

        for line in documents.json_array(_row(level, record) for level, record in shown):
            print(line)
        return
    _table(shown, now)


def _ranked(records: Sequence[ManagedRecord], now: datetime) -> list[tuple[int, ManagedRecord]]:
    """Each with its level now, the worst first, then by the end of what serves."""
    from perennial import alerting

    found = [(alerting.level(each, _decided(each), now), each) for each in records]
    return sorted(found, key=lambda each: (-each[0], _ends(each[1]) or now, each[1].name))


def _decided(record: ManagedRecord) -> Decision:
    """What was decided last, as it is kept: no further read for each certificate."""
    from perennial.lifecycle import Decision, Step

    step = Step(record.step) if record.step else Step.PLAN
    return Decision(state=record.state, step=step, at=record.due_at, reason=record.reason, why=record.message)


def _ends(record: ManagedRecord) -> datetime | None:
    return record.serving.not_after if record.serving else None


def _table(shown: Sequence[tuple[int, ManagedRecord]], now: datetime) -> None:
    from perennial.cli.tables import listing

    if not shown:
        click.echo("Nobody is to be told of anything.", err=True)
        return
    rows = [
        (level, each.name, each.declared.request.owner, _short(_ends(each)), *_told(each), each.failure or each.state)
        for level, each in shown[:MAX_ROWS]
    ]
    listing(("Level", "Certificate", "Owner", "Until (UTC)", "Told", "Answered by", "Reason"), rows, sys.stdout)
    if len(shown) > MAX_ROWS:
        click.echo(f"and {len(shown) - MAX_ROWS:,} more: --json shows all", err=True)
    click.echo("To stop repetitions: perennial alerts ack NAME. What is next: perennial why NAME", err=True)


def _told(record: ManagedRecord) -> tuple[str, str]:
    told = record.told
    if told is None:
        return "", ""
    return f"{told.level} {_short(told.at)}", told.acknowledged_by.rpartition("/")[2]


def _short(time: datetime | None) -> str:
    return f"{time:%m-%d %H:%M}" if time else "never"


def _row(level: int, record: ManagedRecord) -> dict[str, Any]:
    from perennial.cli.documents import time

    told = record.told
    return {
        "managed": record.name,
        "level": level,
        "state": record.state,
        "owner": record.declared.request.owner,
        "service": record.declared.service or None,
        "environment": record.declared.environment or None,
        "not_after": time(_ends(record)),
        "told_level": told.level if told else 0,
        "told_at": time(told.at) if told else None,
        "acknowledged_by": (told.acknowledged_by or None) if told else None,
        "attempts": record.attempts,
        "reason": record.failure or None,
        "message": record.failure_message or None,
    }


@alerts.command(
    epilog=options.example("perennial alerts ack shop", "perennial alerts ack shop --by 'Anna, until Monday'")
)
@click.argument("name", metavar="NAME")
@click.option("--by", default="", help="Who answers.  [default: your ARN]")
@options.session
def ack(name: str, by: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """Acknowledge the alert of the managed certificate NAME.

    It is not repeated any more. When it becomes worse, it is told again, to more people.
    """
    from datetime import UTC, datetime

    from perennial import acknowledgement
    from perennial.cli.deployed import deployment
    from perennial.cli.plain import plain

    found = deployment(table_name, profile, region)
    arn, now = str(found.clients("sts").get_caller_identity()["Arn"]), datetime.now(UTC)
    told = acknowledgement.acknowledge(found.inventory, name, by or arn, now, principal=arn, source="cli").told
    assert told is not None
    click.echo(plain(f"{name}: level {told.level} is acknowledged by {told.acknowledged_by}"), err=True)
