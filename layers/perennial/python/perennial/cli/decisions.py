"""`perennial approve`, `reject` and `withdraw`: what becomes of a request.

An approval names the digest of what was seen: what is approved is what stood on the screen, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from perennial.cli import deciding, options
from perennial.cli.api_client import Api, Caller, api
from perennial.cli.api_options import asks
from perennial.cli.options import JSON, TABLE
from perennial.errors import AccessDenied, ChangedMeanwhile, NotFound
from perennial.roles import Action

Document = Mapping[str, Any]


@click.command(
    epilog=options.example(
        "perennial approve 0192f3a4b5c6d7e8f90a1b2c3d4e5f60",
        'perennial approve 0192f3a4b5c6d7e8f90a1b2c3d4e5f60 --reason "as agreed in ticket 4711" --wait',
        "perennial approve 0192f3a4b5c6d7e8f90a1b2c3d4e5f60 --digest 3b5d…  # what a program has shown",
    )
)
@click.argument("request", metavar="ID")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--digest", default="", help="Approve only what has this digest; then nothing is asked.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait until it is decided and done.")
@options.output(TABLE, JSON)
@asks
def approve(request: str, reason: str, digest: str, yes: bool, wait: bool, output: str, caller: Caller) -> int:
    """Approve a request, after it was shown. Nobody approves what they asked for themselves."""
    from perennial.cli import change_request, waiting

    asked = api(caller)
    found = asked.get("requests", request, action=Action.READ_REQUESTS)
    seen = change_request.text(found.document, "digest")
    _show(asked, found.document)
    _agreed(seen, digest, yes)
    made = deciding.decide(asked, ("requests", request), "approval", Action.APPROVE, reason, digest=seen)
    return _told(waiting.decided(asked, made) if wait else made, output)


def _agreed(seen: str, digest: str, yes: bool) -> None:
    """Raises: ChangedMeanwhile, InvalidInput, Abort."""
    if digest:
        if digest != seen:
            raise ChangedMeanwhile(f"the digest of what is asked is {seen}, not {digest[:100]}; look at it again")
        return
    if yes:
        return
    deciding.confirmed("Approve this?", "approve what you saw by its --digest, or with --yes")


def _show(asked: Api, document: Document) -> None:
    """All of what is asked, on stderr: stdout is for the result."""
    from perennial.cli import change_request

    for line in (*change_request.lines(document), *_changes(asked, document)):
        click.echo(line, err=True)


def _changes(asked: Api, document: Document) -> Iterator[str]:
    """What a change would change, as far as one may see what is there."""
    from perennial.cli import change_request

    if change_request.text(document, "kind") != "change":
        return
    try:
        now = asked.get("managed", change_request.text(document, "managed"), action=Action.READ_MANAGED).document
    except (AccessDenied, NotFound):
        yield "  What is there now cannot be shown to you; the whole of what is asked stands above."
        return
    before, after = now.get("declaration"), document.get("declaration")
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return
    yield "  It changes:"
    for line in change_request.differences(before, after):
        yield f"    {line}"


@click.command(
    epilog=options.example('perennial reject 0192f3a4b5c6d7e8f90a1b2c3d4e5f60 --reason "not before the freeze ends"')
)
@click.argument("request", metavar="ID")
@click.option("--reason", required=True, help="Why: who asked is told.")
@options.output(TABLE, JSON)
@asks
def reject(request: str, reason: str, output: str, caller: Caller) -> int:
    """Reject a request."""
    return _ended(caller, request, "rejection", Action.REJECT, reason, output, well="rejected")


@click.command(epilog=options.example("perennial withdraw 0192f3a4b5c6d7e8f90a1b2c3d4e5f60"))
@click.argument("request", metavar="ID")
@click.option("--reason", default="", help="Why, for the record.")
@options.output(TABLE, JSON)
@asks
def withdraw(request: str, reason: str, output: str, caller: Caller) -> int:
    """Take back a request of yours, before it is decided."""
    return _ended(caller, request, "withdrawal", Action.WITHDRAW, reason, output, well="withdrawn")


def _ended(caller: Caller, request: str, what: str, action: Action, reason: str, output: str, *, well: str) -> int:
    """End a request."""
    return _told(deciding.decide(api(caller), ("requests", request), what, action, reason), output, well=well)


def _told(made: Document, output: str, well: str = "") -> int:
    from perennial.cli import change_request, documents

    for line in documents.json_lines(made) if output == JSON else [change_request.title(made)]:
        print(line)
    state = change_request.text(made, "state")
    if output != JSON and state == "waiting":
        click.echo(f"It still waits for {change_request.needs(made)}.", err=True)
    return 2 if state in change_request.ENDED_BADLY and state != well else 0
