"""`perennial why`, `renew` and `revoke`: what a managed certificate does next, and asking for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import JSON, TABLE
from perennial.cli.plain import plain

if TYPE_CHECKING:
    from perennial.inventory.records import ManagedRecord, Serving
    from perennial.lifecycle import Decision, Situation

PAUSE = 2.0  # seconds between two looks
REASONS = ("unspecified", "key-compromise", "affiliation-changed", "superseded", "cessation-of-operation")
STATES = {  # for people
    "requested": "is declared; nothing is issued yet",
    "issuing": "gets a new version",
    "deploying": "is being put at its targets",
    "serving": "serves",
    "due": "is to be renewed",
    "failing": "could not be renewed yet",
    "expired": "has expired",
    "removing": "is no longer declared, and is being retired",
    "retired": "is retired",
}
STEPS = {
    "plan": "the next request is planned in the issuer's budget",
    "request": "a new version is requested",
    "issue": "the version is issued",
    "roll-out": "the version is put at its targets",
    "deploy": "the version is put at its targets and proven there",
    "supersede": "the new version becomes the one that serves",
    "ask": "the CA is asked when to renew",
    "retire": "an earlier version is retired",
    "rest": "it waits",
    "end": "nothing",
}


@click.command(epilog=options.example("perennial why shop", "perennial why shop --json"))
@click.argument("name", metavar="NAME")
@options.output(TABLE, JSON)
@options.session
def why(name: str, output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """Explain a managed certificate: its state and the reason, the next step, and when that is."""
    from datetime import UTC

    from perennial import lifecycle, lifecycle_step
    from perennial.cli import suspensions
    from perennial.cli.deployed import deployment

    found, now = deployment(table_name, profile, region), datetime.now(UTC)
    record = found.inventory.managed_certificate(name)
    known = lifecycle_step.noted(lifecycle_step.gather(found, record, now), now)
    decision = lifecycle.decide(known, now)
    covered = suspensions.of_managed(found.inventory, record, now)
    if output == JSON:
        from perennial.cli import documents

        document = {**_document(known, decision), "exceptions": suspensions.documents(covered)}
        for line in documents.json_array([document]):
            print(line)
        return
    for line in (*_lines(known, decision, now), *suspensions.lines(covered)):
        print(line)


@click.command(
    epilog=options.example(
        "perennial renew shop                 # in the next window, after the pause of a failure",
        "perennial renew shop --force --wait  # now",
    )
)
@click.argument("name", metavar="NAME")
@click.option("--force", is_flag=True, help="Wait for no window, and for no pause after a failure.")
@click.option("--wait", is_flag=True, help="Wait until a new version serves, or the attempt has failed.")
@options.session
def renew(name: str, force: bool, wait: bool, table_name: str | None, profile: str | None, region: str | None) -> int:
    """Renew a managed certificate before its time. The tick starts it within a minute."""
    from datetime import UTC

    from perennial import forcing
    from perennial.cli.deployed import deployment

    found = deployment(table_name, profile, region)
    by = str(found.clients("sts").get_caller_identity()["Arn"])
    record = forcing.force(found, name, by, datetime.now(UTC), urgent=force, source="cli")
    if not wait:
        click.echo(f"Asked to renew {name}. What it does next: perennial why {name}", err=True)
        return 0
    return _wait(found.inventory, record)


@click.command(
    epilog=options.example(
        "perennial revoke shop --reason key-compromise         # the version that serves; a new one is issued at once",
        "perennial revoke shop --version 3 --reason superseded --yes",
    )
)
@click.argument("name", metavar="NAME")
@click.option("--reason", type=click.Choice(REASONS), required=True, help="Why, as the CA is told (RFC 5280 5.3.1).")
@click.option("--version", type=click.IntRange(1, 999_999), help="Version.  [default: the one that serves]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.session
def revoke(
    name: str,
    reason: str,
    version: int | None,
    yes: bool,
    table_name: str | None,
    profile: str | None,
    region: str | None,
) -> None:
    """Revoke a version of a managed certificate, which cannot be taken back. What serves is renewed at once."""
    from datetime import UTC

    from perennial import revocation
    from perennial.cli.deployed import deployment

    if not yes:
        which = f"version {version}" if version else "the version that serves"
        click.confirm(f"Revoke {which} of {name} for good?", abort=True, err=True)
    found = deployment(table_name, profile, region, with_key=True)
    by = str(found.clients("sts").get_caller_identity()["Arn"])
    record = revocation.revoke(found, name, reason, by, datetime.now(UTC), version or 0, source="cli")
    click.echo(f"Version {record.reference} is revoked. What happens next: perennial why {name}", err=True)


def _wait(inventory: Any, asked: ManagedRecord) -> int:
    """Say what changes until the renewal that was asked for has ended. Returns the exit code."""
    import time

    told, record = "", asked
    while record.forced_at == asked.forced_at and record.attempts <= asked.attempts:
        if told != (told := f"{record.state}: {record.message}".rstrip(": ")):
            click.echo(plain(told), err=True)
        time.sleep(PAUSE)
        record = inventory.managed_certificate(asked.name)
    if record.attempts > asked.attempts:
        click.echo(plain(f"{record.failed} failed ({record.failure}): {record.failure_message}"), err=True)
        return 2
    serving = record.serving
    click.echo(f"{asked.name}: version {serving.number if serving else 0} serves", err=True)
    return 0


def _lines(known: Situation, decision: Decision, now: datetime) -> Iterator[str]:
    record = known.record
    yield f"{plain(record.name)} {STATES[decision.state]}"
    facts = {
        "Names": ", ".join(record.declared.request.names),
        "Owner": record.declared.request.owner,
        "Service": record.declared.service,
        "Serves": _serving(record.serving, now),
        "Why": decision.why,
        "Next": _next(decision, now),
        "Renews": _renews(record, decision),
        "Failed": _failed(record),
        "Asked by": record.forced_by,
        "Retires": ", ".join(f"version {number} on {_at(at)}" for number, at in record.retiring),
        "Advice": _advice(record),
        "Told": _told(record),
        "Looked at": _at(record.due_at) if record.due_at else "",
    }
    for label, value in facts.items():
        if value:
            yield f"  {label:<10} {plain(value)}"
    for line in _commands(record, decision):
        yield f"  {line}"


def _at(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else ""


def _serving(serving: Serving | None, now: datetime) -> str:
    if serving is None:
        return "nothing yet"
    what = f"version {serving.number}" if serving.number else f"the adopted {serving.fingerprint[:16]}"
    left = serving.not_after - now
    ends = f"until {_at(serving.not_after)} ({_span(left)})" if left.total_seconds() > 0 else "EXPIRED"
    return f"{what}, {serving.key}, {ends}"


def _span(time: Any) -> str:
    seconds = time.total_seconds()
    for length, word in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {word}"
    return f"{seconds:.0f} seconds"


def _next(decision: Decision, now: datetime) -> str:
    if decision.at is None:
        return "nothing more"
    when = f"in {_span(decision.at - now)}, {_at(decision.at)}" if decision.at > now else "now"
    return f"{STEPS[decision.step]}: {when}"


def _renews(record: ManagedRecord, decision: Decision) -> str:
    """When it is to be renewed, where something else comes before."""
    if record.serving is None or decision.state != "serving" or decision.step == "request":
        return ""
    from perennial import renewal

    wanted = renewal.timed(record.serving, record.advice)
    return f"on {_at(record.planned_at or wanted.at)}: {wanted.detail}"


def _failed(record: ManagedRecord) -> str:
    if not record.failed:
        return ""
    times = f"{record.attempts} times in a row" if record.attempts > 1 else "once"
    return f"{record.failed}, {times} ({record.failure}): {record.failure_message}"


def _advice(record: ManagedRecord) -> str:
    advice = record.advice
    if advice is None:
        return ""
    drawn = f"the CA's window is {_at(advice.start)} to {_at(advice.end)}; drawn: {_at(advice.at)}"
    return f"{drawn}; it does not answer now" if advice.failed else drawn


def _told(record: ManagedRecord) -> str:
    told = record.told
    if told is None:
        return ""
    return f"level {told.level} on {_at(told.at)}" + (
        f", acknowledged by {told.acknowledged_by}" if told.acknowledged_by else ""
    )


def _commands(record: ManagedRecord, decision: Decision) -> Iterator[str]:
    if decision.state in ("failing", "expired"):
        yield f"Try again now: perennial renew {record.name} --force"
    if decision.state in ("issuing", "failing"):
        yield f"Its versions:  perennial managed show {record.name}"
    if decision.state in ("deploying", "failing"):
        yield f"Its rollouts:  perennial rollouts {record.name}"


def _document(known: Situation, decision: Decision) -> dict[str, Any]:
    from perennial.cli.documents import time

    record, serving = known.record, known.record.serving
    return {
        "managed": record.name,
        "state": decision.state,
        "reason": decision.reason or None,
        "why": decision.why,
        "next": decision.step,
        "at": time(decision.at),
        "planned_at": time(record.planned_at),
        "planned_for": record.planned_for or None,
        "names": list(record.declared.request.names),
        "owner": record.declared.request.owner,
        "service": record.declared.service or None,
        "environment": record.declared.environment or None,
        "serving": None
        if serving is None
        else {
            "version": serving.number,
            "fingerprint": serving.fingerprint,
            "issuer": serving.issuer or None,
            "not_before": time(serving.not_before),
            "not_after": time(serving.not_after),
            "since": time(serving.since),
        },
        "attempts": record.attempts,
        "failed": record.failed or None,
        "failure": record.failure or None,
        "failure_message": record.failure_message or None,
        "retiring": [{"version": number, "at": time(at)} for number, at in record.retiring],
        "alert_level": record.told.level if record.told else 0,
        "acknowledged_by": (record.told.acknowledged_by or None) if record.told else None,
        "due_at": time(record.due_at),
    }
