"""`perennial exceptions`: a check or a policy rule that is suspended for a selection, for a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any

import click

from perennial.cli import deciding, options
from perennial.cli.api_client import Caller, api
from perennial.cli.api_options import asks
from perennial.cli.options import JSON, TABLE
from perennial.cli.plain import plain
from perennial.roles import Action
from perennial.scanners.interface import GLOBAL
from perennial.settings import REGION

Document = Mapping[str, Any]
STATES = ("asked", "active", "rejected", "ended")
_WANTED = {"open": ("asked", "active"), "all": ("",)}  # as the API is asked, one after the other
SELECTION = ("fingerprint", "name", "owner", "resource", "account", "region", "managed")
_FACTS = {
    "owner": "Owner",
    "environment": "Environment",
    "ends": "Ends",
    "reason": "Reason",
    "asked_by": "Asked by",
    "asked_at": "Asked",
    "decided_by": "Decided by",
    "decided_at": "Decided",
    "decision": "because",
    "ended_by": "Ended by",
    "ended_at": "Ended",
    "ended_why": "because",
}
_TIMES = ("ends", "asked_at", "decided_at", "ended_at")
_REGION = options.Matching("region", re.compile(f"{REGION.pattern}|{GLOBAL}"), f"eu-west-1 or {GLOBAL}")
_DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


@click.group()
def exceptions() -> None:
    """Exceptions: checks and policy rules that are suspended, by whom, for what, and until when."""


@exceptions.command(
    "list",
    epilog=options.example(
        "perennial exceptions list                 # those that wait for somebody, and those that hold",
        "perennial exceptions list --state active",
        "perennial exceptions list --state all --json",
    ),
)
@click.option(
    "--state",
    type=click.Choice([*STATES, "open", "all"]),
    default="open",
    show_default=True,
    help="In this state alone. open: asked, then active.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@options.output(TABLE, JSON)
@asks
def list_exceptions(state: str, limit: int, output: str, caller: Caller) -> None:
    """The exceptions that you may see, the newest first."""
    from perennial.cli import documents

    asked, wanted = api(caller), _WANTED.get(state, (state,))
    listed = (asked.every("exceptions", action=Action.READ_EXCEPTIONS, most=limit, state=each) for each in wanted)
    found = islice(chain.from_iterable(listed), limit)
    if output == JSON:
        for line in documents.json_array(found):
            print(line)
        return
    lines = [line for each in found for line in _short(each)]
    for line in lines:
        print(line)
    if not lines:
        click.echo(f"There is no {'' if state == 'all' else f'{state} '}exception.", err=True)
        return
    click.echo("One of them in full: perennial exceptions show ID", err=True)


@exceptions.command(epilog=options.example("perennial exceptions show 0192f3a4b5c6d7e8f90a1b2c3d4e5f60"))
@click.argument("exception", metavar="ID")
@options.output(TABLE, JSON)
@asks
def show(exception: str, output: str, caller: Caller) -> None:
    """One exception in full."""
    found = api(caller).get("exceptions", exception, action=Action.READ_EXCEPTIONS).document
    _print(found, output)


@exceptions.command(
    epilog=options.example(
        "perennial exceptions ask keys.weak --managed legacy --owner shop-team --for 30d \\\n"
        '      --reason "the appliance takes RSA-1024 alone until it is replaced"',
        "perennial exceptions ask validity.too-long --name old.example.com --owner core --until 2027-01-31 \\\n"
        '      --reason "ticket 4711"',
    )
)
@click.argument("rule")
@click.option("--owner", required=True, help="The team that answers for it.")
@click.option("--reason", required=True, help="Why, for who decides; it is shown with what it covers.")
@click.option("--for", "length", type=options.Duration(), help="How long from now on: 30d.")
@click.option("--until", type=_DAY, help="Its end (UTC), instead of --for.")
@click.option("--managed", help="Covers all versions of this managed certificate.")
@click.option("--name", help="Covers certificates all of whose names are this one.")
@click.option("--subtree", is_flag=True, help="With --name: and every name below.")
@click.option("--fingerprint", help="Covers the certificate with this SHA-256.")
@click.option("--resource", help="Covers what is at this ARN or host:port; an ARN may end with *.")
@click.option("--account", type=options.ONE_ACCOUNT, help="Covers what is in this account.")
@click.option("--in-region", "in_region", type=_REGION, help="Covers what is in this region.")
@click.option("--of-owner", "of_owner", help="Covers what belongs to this owner.")
@options.output(TABLE, JSON)
@asks
def ask(
    rule: str,
    owner: str,
    reason: str,
    length: timedelta | None,
    until: datetime | None,
    subtree: bool,
    in_region: str | None,
    of_owner: str | None,
    output: str,
    caller: Caller,
    **covers: str | None,
) -> None:
    """Ask that the check or policy rule RULE be suspended for a selection. All conditions that are given must hold.

    Someone of security has to grant it. It ends at its end by itself, and what it covered comes back then.
    """
    chosen = {**covers, "region": in_region, "owner": of_owner}
    selection: dict[str, Any] = {name: chosen[name] for name in SELECTION if chosen[name]}
    if not selection:
        raise click.UsageError("say what it covers: --managed, --name, --fingerprint, --resource, --account …")
    if subtree:
        selection["subtree"] = True
    ends = _ends(length, until, datetime.now(UTC))
    body = {"rule": rule, "selection": selection, "reason": reason, "owner": owner, "ends": ends.isoformat()}
    made = api(caller).post("exceptions", action=Action.ASK_EXCEPTION, body=body).document
    _print(made, output)
    if output != JSON:
        click.echo(f"Someone of security decides: perennial exceptions approve {_text(made, 'id')}", err=True)


def _ends(length: timedelta | None, until: datetime | None, now: datetime) -> datetime:
    """Raises: UsageError."""
    if (length is None) == (until is None):
        raise click.UsageError("say how long: either --for 30d or --until 2027-01-31")
    return until.replace(tzinfo=UTC) if until else now.replace(microsecond=0) + (length or timedelta(0))


@exceptions.command(
    epilog=options.example(
        "perennial exceptions approve 0192f3a4b5c6d7e8f90a1b2c3d4e5f60",
        'perennial exceptions approve 0192f3a4b5c6d7e8f90a1b2c3d4e5f60 --reason "until it is replaced" --yes',
    )
)
@click.argument("exception", metavar="ID")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.output(TABLE, JSON)
@asks
def approve(exception: str, reason: str, yes: bool, output: str, caller: Caller) -> None:
    """Grant an exception, after it was shown. Nobody grants their own."""
    asked = api(caller)
    found = asked.get("exceptions", exception, action=Action.READ_EXCEPTIONS)
    for line in _lines(found.document):
        click.echo(line, err=True)
    if not yes:
        deciding.confirmed("Grant this?", "grant it with --yes")
    subject = ("exceptions", exception)
    _print(deciding.decide(asked, subject, "approval", Action.GRANT_EXCEPTION, reason), output)


@exceptions.command(
    epilog=options.example('perennial exceptions reject 0192f3a4b5c6d7e8f90a1b2c3d4e5f60 --reason "it can be replaced"')
)
@click.argument("exception", metavar="ID")
@click.option("--reason", required=True, help="Why: who asked is told.")
@options.output(TABLE, JSON)
@asks
def reject(exception: str, reason: str, output: str, caller: Caller) -> None:
    """Reject an exception."""
    _ended(caller, exception, "rejection", Action.GRANT_EXCEPTION, reason, output)


@exceptions.command(
    epilog=options.example('perennial exceptions end 0192f3a4b5c6d7e8f90a1b2c3d4e5f60 --reason "it was replaced"')
)
@click.argument("exception", metavar="ID")
@click.option("--reason", required=True, help="Why, for the record.")
@options.output(TABLE, JSON)
@asks
def end(exception: str, reason: str, output: str, caller: Caller) -> None:
    """End an exception before its time. What it covered is judged again within minutes."""
    _ended(caller, exception, "end", Action.END_EXCEPTION, reason, output)


def _ended(caller: Caller, exception: str, what: str, action: Action, reason: str, output: str) -> None:
    """Reject or end an exception."""
    _print(deciding.decide(api(caller), ("exceptions", exception), what, action, reason), output)


# --- showing ---


def _print(document: Document, output: str) -> None:
    from perennial.cli import documents

    for line in documents.json_lines(document) if output == JSON else _lines(document):
        print(line)


def _short(document: Document) -> Iterator[str]:
    """An exception in a list: two lines, the first with the whole id, to be copied."""
    from perennial.cli.change_request import minute

    title = f"{_text(document, 'rule')}: {_text(document, 'state')}, until {minute(_text(document, 'ends'))} UTC"
    yield plain(f"{_text(document, 'id')}  {title}")
    yield plain(f"  {_covers(document)}; {_text(document, 'owner')} answers; asked by {_text(document, 'asked_by')}")


def _lines(document: Document) -> Iterator[str]:
    from perennial.cli.change_request import fact, minute

    yield plain(f"{_text(document, 'rule')}: {_text(document, 'state')} ({_text(document, 'id')})")
    yield fact("Covers", _covers(document))
    for name, label in _FACTS.items():
        if found := _text(document, name):
            yield fact(label, f"{minute(found)} UTC" if name in _TIMES else found)


def _covers(document: Document) -> str:
    """`name shop.example.com and below, account 111122223333`."""
    found = document.get("selection")
    given = dict(found) if isinstance(found, Mapping) else {}
    if given.pop("subtree", False) and "name" in given:
        given["name"] = f"{given['name']} and below"
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _text(document: Document, name: str) -> str:
    found = document.get(name)
    return str(found) if isinstance(found, str | int) else ""
