"""`perennial audit`: who did what, and whether the record of it was tampered with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.options import JSON, TABLE
from perennial.cli.plain import plain
from perennial.errors import InvalidInput

if TYPE_CHECKING:
    from perennial.audit_chain import Link
    from perennial.audit_checkpoint import Checkpoint
    from perennial.audit_export import Checked, PublicKeys

FAILED, NOT_CHECKED = 1, 2  # exit codes: it does not hold; nobody knows
MAX_GIVEN = 100  # files of keys and of checkpoints
_FORMATS = click.Choice(["json", "ocsf"])
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


@click.group()
def audit() -> None:
    """The record of every change and refusal, which nobody can change without being seen."""


@audit.command(
    "list",
    epilog=options.example(
        "perennial audit list",
        "perennial audit list --subject managed/shop --last 30d",
        "perennial audit list --by arn:aws:iam::123456789012:user/jo --json",
    ),
)
@click.option("--subject", help="What it happened to, as KIND/NAME: managed/shop.")
@click.option("--by", "principal", default="", help="Who did it.")
@click.option("--action", default="", help="What was done, as managed.renew.")
@click.option("--outcome", type=click.Choice(["done", "refused"]), default=None, help="How it ended.")
@click.option("--last", type=options.Duration(), default="7d", show_default=True, help="How far to look back.")
@click.option("--since", type=_TIME, help="From when on (UTC), instead of --last.")
@click.option("--until", type=_TIME, help="Before when (UTC).  [default: now]")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@options.output(TABLE, JSON)
@options.session
def list_(
    subject: str | None,
    principal: str,
    action: str,
    outcome: str | None,
    last: timedelta,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    output: str,
    table_name: str | None,
    profile: str | None,
    region: str | None,
) -> None:
    """What happened, the newest first: of a subject, by a person, in a time."""
    from perennial.audit import Question, asked
    from perennial.cli.deployed import inventory

    end = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    begin = since.replace(tzinfo=UTC) if since else end - last
    kind, name = _subject(subject)
    question = Question(
        since=begin, until=end, kind=kind, subject=name, principal=principal, action=action, outcome=outcome or ""
    )
    _print(asked(inventory(table_name, profile, region), question, limit), output)


def _subject(text: str | None) -> tuple[str, str]:
    kind, _, name = (text or "").partition("/")
    if text is not None and not (kind and name):
        raise click.UsageError(f"--subject {text[:100]!r} is not KIND/NAME, as managed/shop")
    return kind, name


def _print(links: Sequence[Link], output: str) -> None:
    if output == JSON:
        from perennial.cli.documents import json_array

        for line in json_array(map(_document, links)):
            print(line)
        return
    from perennial.cli.tables import listing

    rows = [(each.reference, f"{each.event.at:%H:%M}", *_what(each)) for each in links]
    listing(("Event", "UTC", "Who", "What", "Subject"), rows, sys.stdout)
    if links:
        click.echo("One of them in full: perennial audit show EVENT", err=True)


def _document(link: Link) -> dict[str, Any]:
    from perennial.audit_event import document

    own = document(link.event)
    del own["schema"]
    return {"reference": link.reference, **own, "hash": link.hash, "previous": link.previous}


def _what(link: Link) -> tuple[str, str, str]:
    from perennial.cli.documents import short

    event = link.event
    done = event.action if event.outcome == "done" else f"{event.action} {event.outcome}"
    return short(event.principal), done, f"{event.subject_kind}/{event.subject}"


@audit.command(
    epilog=options.example(
        "perennial audit show 2026-11-01.03.17",
        "perennial audit show 2026-11-01.03.17 --json",
        "perennial audit show 2026-11-01.03.17 --output ocsf",
    )
)
@click.argument("event")
@options.output(TABLE, JSON, "ocsf")
@options.session
def show(event: str, output: str, table_name: str | None, profile: str | None, region: str | None) -> None:
    """One audit EVENT in full, or as OCSF has it."""
    from perennial.audit_ocsf import ocsf
    from perennial.cli.deployed import inventory
    from perennial.cli.documents import json_lines

    link = inventory(table_name, profile, region).audit_link(event)
    if output == TABLE:
        for line in _text(link):
            print(line)
        return
    for line in json_lines(ocsf(link) if output == "ocsf" else _document(link)):
        print(line)


def _text(link: Link) -> Iterator[str]:
    from perennial.audit_json import canonical

    event = link.event
    yield f"{plain(event.action)} {plain(event.subject_kind)}/{plain(event.subject)}: {plain(event.outcome)}"
    facts = {
        "Event": link.reference,
        "Time": f"{event.at:%Y-%m-%d %H:%M:%S} UTC",
        "Who": f"{event.principal} ({event.source})",
        "Owner": event.owner,
        "Why": event.why,
        "Refused": event.reason,
        "Request": event.request,
        "Before": canonical(event.before) if event.before is not None else "",
        "After": canonical(event.after) if event.after is not None else "",
        "Id": event.id,
        "Hash": link.hash,
        "Follows": link.previous,
    }
    for label, value in facts.items():
        if value:
            yield f"  {label:<8} {plain(value)}"


# --- export ---


@audit.command(
    epilog=options.example(
        "perennial audit export --last 30d > audit.jsonl",
        "perennial audit export --since 2026-11-01 --until 2026-12-01 --out audit.jsonl",
        "perennial audit export --last 1d --output ocsf",
    )
)
@click.option("--last", type=options.Duration(), default="7d", show_default=True, help="How far to look back.")
@click.option("--since", type=_TIME, help="From the day of when on (UTC), instead of --last.")
@click.option("--until", type=_TIME, help="Before when (UTC); the whole day of it.  [default: now]")
@click.option("--out", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="The file to write.")
@click.option(
    "--output",
    type=_FORMATS,
    default="json",
    show_default=True,
    help="JSON lines that audit verify takes, or one OCSF event a line.",
)
@click.option("--json", "output", flag_value="json", help="The same as --output json.", type=_FORMATS)
@options.session
def export(
    last: timedelta,
    since: datetime | None,
    until: datetime | None,
    out: Any,
    output: str,
    table_name: str | None,
    profile: str | None,
    region: str | None,
) -> None:
    """Write whole days with their signed checkpoints, as JSON lines that `audit verify` checks offline."""
    from perennial import audit as trail
    from perennial.cli.deployed import inventory
    from perennial.inventory.audit import days_of

    now = datetime.now(UTC)
    end = until.replace(tzinfo=UTC) if until else now
    days = days_of(since.replace(tzinfo=UTC) if since else end - last, end)
    found = inventory(table_name, profile, region)
    for line in trail.ocsf(found, days) if output == "ocsf" else trail.export(found, days, now, _pem(profile, region)):
        out.write(f"{line}\n")


def _pem(profile: str | None, region: str | None) -> Any:
    """From the ARN of a key in KMS to its public half in PEM."""
    from perennial.cli.reach import clients_of
    from perennial.issuers.aws_replies import pem
    from perennial.statement_signing import ARN, public_key

    clients = clients_of(profile, region)

    def read(key_id: str) -> str:
        arn = ARN.fullmatch(key_id)
        if arn is None:
            raise InvalidInput(f"a checkpoint names {key_id[:100]!r} as its key, which is no KMS key")
        return pem("PUBLIC KEY", public_key(clients("kms", arn["region"]), key_id))

    return read


# --- verify ---


@audit.command(
    epilog=options.example(
        "perennial audit verify audit.jsonl --public-key audit.pem",
        "perennial audit verify audit.jsonl --checkpoint 000000000412.json --json",
    )
    + "\n\n\b\nExit codes: 0 it holds; 1 it was tampered with; 2 it could not be checked, or no checkpoint covers it."
)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--public-key",
    "pems",
    type=click.File("rb"),
    multiple=True,
    help="The key of the deployment, in PEM; several where it was replaced.  [default: those in the export]",
)
@click.option(
    "--checkpoint",
    "locked",
    type=click.File("rb"),
    multiple=True,
    help="A checkpoint from the bucket in which they are locked: shows that the export is not an older state.",
)
@options.output(TABLE, JSON)
def verify(file: Any, pems: Sequence[Any], locked: Sequence[Any], output: str) -> int:
    """Check the export in FILE without AWS, and name the first link that does not hold.

    The keys in an export are its own: who made up the export could make up the keys. Give --public-key.
    """
    from perennial.audit_export import check

    if max(len(pems), len(locked)) > MAX_GIVEN:
        raise click.UsageError(f"at most {MAX_GIVEN} keys and {MAX_GIVEN} checkpoints are taken")
    further = [_checkpoint(each) for each in locked]
    checked = check(_lines(file), _trusted(pems) if pems else None, further)
    code = 0 if checked.holds and checked.covers else NOT_CHECKED if checked.holds else FAILED
    if output == JSON:
        from perennial.cli.documents import json_lines

        for line in json_lines(_result(checked)):
            print(line)
    else:
        for line in _verdict(checked):
            print(plain(line))
    return code


def _lines(file: Any) -> Iterator[str]:
    from perennial.audit_export import MAX_HEADER

    for number, line in enumerate(iter(lambda: file.readline(MAX_HEADER + 1), b""), 1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"line {number} of the export is not text in UTF-8") from error


def _checkpoint(file: Any) -> Checkpoint:
    from perennial.audit_checkpoint import MAX_SIZE, load

    try:
        return load(file.read(MAX_SIZE + 1).decode(), f"the checkpoint in {file.name}")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the checkpoint in {file.name} is not text in UTF-8") from error


def _trusted(files: Sequence[Any]) -> PublicKeys:
    """The given keys. A checkpoint names its key, and that name is signed; which of several keys it is, shows the
    signature."""
    from perennial.statement_signing import MAX_PEM, public_key_of

    keys = tuple(public_key_of(each.read(MAX_PEM + 1)) for each in files)
    return lambda _: keys


def _result(checked: Checked) -> dict[str, Any]:
    broken = checked.broken
    return {
        "holds": checked.holds,
        "first_broken": {"event": broken.reference, "wrong": str(broken.wrong), "message": broken.message}
        if broken
        else None,
        "problem": checked.problem or None,
        "since": checked.contents.since,
        "until": checked.contents.until,
        "events": checked.events,
        "checkpoints": len(checked.checkpoints),
        "last_checkpoint": checked.checkpoints[-1].number if checked.checkpoints else None,
        "not_covered": checked.uncovered_events,
        "keys": "export" if checked.own_keys else "given",
        "key_sha256": list(checked.key_hashes),
    }


def _verdict(checked: Checked) -> Iterator[str]:
    days = f"{checked.contents.since} to {checked.contents.until}"
    if not checked.holds:
        yield f"DOES NOT HOLD  {days}"
        yield f"  {checked.broken.wrong}: {checked.broken.message}" if checked.broken else f"  {checked.problem}"
        return
    word = "holds" if checked.covers else "not checked"
    yield f"{word:<14} {days}: {checked.events:,} events, {len(checked.checkpoints):,} checkpoints"
    if checked.checkpoints:
        last = checked.checkpoints[-1]
        yield f"  Up to        checkpoint {last.number} of {last.at:%Y-%m-%d %H:%M:%S} UTC"
    if checked.uncovered_events:
        yield f"  Not covered  the last {checked.uncovered_events:,} events: no checkpoint has seen them yet"
    if checked.own_keys:
        yield "  Keys         came with the export: compare them with the deployment's, or give --public-key"
    for each in checked.key_hashes:
        yield f"  Key          SHA-256 {each}"
