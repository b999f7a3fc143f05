"""`perennial requests`: what was asked for and who decided; and `perennial me`: who the API takes you for."""

from __future__ import annotations

from typing import Any

import click

from perennial.cli import options
from perennial.cli.api_client import Caller, api
from perennial.cli.api_options import asks
from perennial.cli.options import JSON, TABLE
from perennial.cli.plain import plain
from perennial.roles import Action

STATES = ("waiting", "approved", "done", "rejected", "withdrawn", "expired", "failed")


@click.group()
def requests() -> None:
    """Requests for managed certificates, and who decided on them."""


@requests.command(
    "list",
    epilog=options.example(
        "perennial requests list                       # those that wait for someone",
        "perennial requests list --state all --owner shop-team --json",
    ),
)
@click.option(
    "--state", type=click.Choice([*STATES, "all"]), default="waiting", show_default=True, help="In this state alone."
)
@click.option("--owner", default="", help="Of this team alone.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@options.output(TABLE, JSON)
@asks
def list_requests(state: str, owner: str, limit: int, output: str, caller: Caller) -> None:
    """The requests that you may see, the newest first."""
    from perennial.cli import change_request, documents

    wanted = {"state": "" if state == "all" else state, "owner": owner}
    found = api(caller).every("requests", action=Action.READ_REQUESTS, most=limit, **wanted)
    if output == JSON:
        for line in documents.json_array(found):
            print(line)
        return
    lines = [line for each in found for line in change_request.short(each)]
    for line in lines:
        print(line)
    if not lines:
        click.echo("No request waits for anybody." if state == "waiting" else "There is no such request.", err=True)
        return
    click.echo("One of them in full: perennial requests show ID. To decide: perennial approve ID", err=True)


@requests.command(
    epilog=options.example(
        "perennial requests show 0192f3a4b5c6d7e8f90a1b2c3d4e5f60",
        "perennial requests show 0192f3a4b5c6d7e8f90a1b2c3d4e5f60 --wait",
    )
)
@click.argument("request", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until it is decided and done.")
@options.output(TABLE, JSON)
@asks
def show(request: str, wait: bool, output: str, caller: Caller) -> int:
    """One request in full: all that is asked, whom it needs, and what was decided."""
    from perennial.cli import change_request, documents, waiting

    asked = api(caller)
    found = asked.get("requests", request, action=Action.READ_REQUESTS).document
    found = waiting.decided(asked, found) if wait else found
    for line in documents.json_lines(found) if output == JSON else change_request.lines(found):
        print(line)
    return 2 if wait and change_request.text(found, "state") in change_request.ENDED_BADLY else 0


@click.command(epilog=options.example("perennial me", "perennial me --json"))
@options.output(TABLE, JSON)
@asks
def me(output: str, caller: Caller) -> None:
    """Who the API takes you for: your name, your roles, and what of them it did not understand."""
    from perennial.cli import documents

    found = api(caller).get("me", action=None).document
    if output == JSON:
        for line in documents.json_lines(found):
            print(line)
        return
    print(plain(f"{found.get('name', '')} ({found.get('principal', '')}, by {found.get('source', '')})"))
    for grant in _texts(found.get("grants")) or ("none: have an admin give you one (docs/roles.md)",):
        print(plain(f"  Role         {grant}"))
    for each in _texts(found.get("not_understood")):
        print(plain(f"  Not a role   {each}"))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
