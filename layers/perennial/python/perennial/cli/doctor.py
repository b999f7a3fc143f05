"""`perennial doctor`: is the deployment well, and if not, what is to be done?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.api_client import Caller
from perennial.cli.api_options import asks
from perennial.cli.options import JSON, TABLE
from perennial.cli.plain import plain

if TYPE_CHECKING:
    from perennial.doctor import Diagnosis
    from perennial.doctor_permissions import MeFacts

TOPICS = ("deployment", "settings", "schedules", "audit", "permissions", "issuers", "dns")
_STYLES = {"wrong": "bold red", "warning": "yellow", "unknown": "cyan", "fine": "green"}


@click.command(
    epilog=options.example(
        "perennial doctor",
        "perennial doctor --all              # what is fine, too",
        "perennial doctor --topic dns --topic issuers",
        "perennial doctor --json",
    )
    + "\n\n\b\nExit codes: 0 all is fine, or a warning at most; 1 something is wrong;\n"
    "2 nothing is known to be wrong, and something could not be checked."
)
@click.option("--topic", "topics", type=click.Choice(TOPICS), multiple=True, help="Show this one; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Show what is fine, too.")
@options.output(TABLE, JSON)
@asks
def doctor(topics: tuple[str, ...], every: bool, output: str, caller: Caller) -> int:
    """Check the deployment: its parts, permissions, issuers, DNS, schedules and settings; and say what to do.

    It reads, and changes nothing. What cannot be checked is told as unknown with the reason. It ends within two
    minutes.
    """
    from datetime import UTC, datetime

    from perennial import doctor as judged
    from perennial.doctor_gathering import examine

    with _progress():
        found = examine(_asked(caller), datetime.now(UTC))
    found = [each for each in found if not topics or each.topic in topics]
    if output == JSON:
        from perennial.cli.documents import json_array

        for line in json_array(map(_row, found)):
            print(line)
    else:
        _show(found, every=every)
        click.echo(judged.summary(found), err=True)
    return judged.exit_code(found)


def _asked(caller: Caller) -> Any:
    from perennial import doctor_resolver
    from perennial.clients import Clients
    from perennial.doctor import Unknown
    from perennial.doctor_gathering import Asked
    from perennial.errors import Unavailable

    try:
        resolver: Any = doctor_resolver.Resolver(doctor_resolver.resolvers())
    except Unavailable as error:
        resolver = Unknown(str(error))
    clients = Clients(caller.clients.session, caller.clients.region, attempts=2)  # sooner than its deadlines
    return Asked(clients=clients, me=lambda: _me(caller), resolver=resolver)


def _me(caller: Caller) -> MeFacts:
    from perennial.cli.api_client import api
    from perennial.doctor_permissions import MeFacts

    document = api(caller).get("me", action=None).document
    grants = document.get("grants")
    told = tuple(str(each)[:200] for each in grants[:50]) if isinstance(grants, list) else ()
    return MeFacts(name=str(document.get("name", ""))[:200], grants=told)


@contextmanager
def _progress() -> Iterator[None]:
    """Something moves on a terminal while questions are under way."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status("asking AWS, issuers and DNS"):
        yield


def _show(found: Sequence[Diagnosis], *, every: bool) -> None:
    """The worst first; what is to be done under each."""
    from rich.padding import Padding
    from rich.text import Text

    from perennial.cli.tables import console
    from perennial.doctor import Verdict

    out = console(sys.stdout)
    for verdict in Verdict:
        for each in (one for one in found if one.verdict is verdict):
            if verdict is Verdict.FINE and not every:
                continue
            head = f" {each.topic}: {plain(each.subject)}: {plain(each.words)}"
            out.print(Text.assemble((f"{verdict.upper():<8}", _STYLES[verdict]), head))
            if each.advice:
                out.print(Padding(Text(f"→ {plain(each.advice)}", "dim"), (0, 0, 0, 9), expand=False))


def _row(each: Diagnosis) -> dict[str, Any]:
    return {
        "topic": each.topic,
        "subject": each.subject,
        "verdict": each.verdict,
        "words": each.words,
        "advice": each.advice or None,
    }
