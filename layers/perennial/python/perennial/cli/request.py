"""`perennial request`: ask for a managed certificate, or for a change of one.

Each wish is a command of its own, with the words of the API and of the approval rules: so each takes only what makes
sense for it, and its help is short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import options
from perennial.cli.api_client import Api, Caller, api
from perennial.cli.api_options import asks
from perennial.cli.options import JSON, TABLE
from perennial.errors import InvalidInput
from perennial.roles import Action

if TYPE_CHECKING:
    from perennial.cli.waiting import Before

MAX_FILE = 20_000_000  # bytes
REVOCATIONS = ("unspecified", "key-compromise", "affiliation-changed", "superseded", "cessation-of-operation")
Document = Mapping[str, Any]


@click.group()
def request() -> None:
    """Ask for a managed certificate, or for a change of one.

    Policy judges it at once, and every violation is told. Where nobody has to approve it, it is done at once; else
    those are told who have to: perennial requests list shows it, perennial approve decides.
    """


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every wish takes."""
    reason = click.option("--reason", required=True, help="Why, for who approves; it is kept in the audit trail.")
    wait = click.option(
        "--wait",
        is_flag=True,
        help="Wait until it is decided and done; until a new version serves, too, where one is issued.",
    )
    return reason(wait(options.output(TABLE, JSON)(asks(command))))


def _declaring(command: Callable[..., Any]) -> Callable[..., Any]:
    """The fields of a declaration, each by an option, or the whole of it from a file. It gets them as `given`."""
    for option in reversed(
        (
            click.option("--name", "names", multiple=True, help="A DNS name or IP address; may be repeated."),
            click.option("--certificate-profile", help="A profile of perennial.toml."),
            click.option("--owner", help="Whose certificate it is: an owner of [policy.owners]."),
            click.option("--issuer", help="One that the profile allows.  [default: the profile's]"),
            click.option("--key", help="The key's type, as EC-256.  [default: the profile's first]"),
            click.option("--days", type=click.IntRange(1, 3_650), help="Validity.  [default: the profile's]"),
            click.option("--environment", help="One of [environments] of perennial.toml."),
            click.option("--service", help="The business service that depends on it."),
            click.option("--targets", type=click.File("rb"), help="TOML with its [[targets]], as deploy takes it."),
            click.option(
                "-f",
                "--file",
                type=click.File("rb"),
                help="certificates.yaml that declares it, instead of the options.",
            ),
        )
    ):
        command = option(command)
    return command


@request.command(
    epilog=options.example(
        "perennial request create shop --certificate-profile web --owner shop-team \\\n"
        '      --name www.shop.example.com --reason "new shop" --wait',
        'perennial request create shop -f certificates.yaml --reason "new shop"',
        'perennial request create api -f api.yaml --reason "ticket 4711" --json',
    )
)
@click.argument("managed", metavar="NAME")
@_declaring
@_common
def create(managed: str, reason: str, wait: bool, output: str, caller: Caller, **given: Any) -> int:
    """Ask for a managed certificate NAME: it is issued, put at its targets, and renewed from then on."""
    from perennial.cli import waiting

    declared = _declared(managed, {}, given)
    for name, option in (("names", "--name"), ("profile", "--certificate-profile"), ("owner", "--owner")):
        if not declared.get(name):
            raise click.UsageError(f"{option} is missing, or a file that declares {managed}: -f certificates.yaml")
    asked = api(caller)
    body = {"name": managed, **declared, "reason": reason}
    made = asked.post("managed", action=Action.REQUEST, body=body).document
    return _told(asked, made, output, wait, before=waiting.Before())


@request.command(
    epilog=options.example(
        'perennial request change shop --days 60 --reason "shorter"      # all else stays as it is',
        "perennial request change shop --name www.shop.example.com --name shop.example.com --reason merger",
        'perennial request change shop -f certificates.yaml --reason "ticket 4711" --wait',
    )
)
@click.argument("managed", metavar="NAME")
@_declaring
@_common
def change(managed: str, reason: str, wait: bool, output: str, caller: Caller, **given: Any) -> int:
    """Ask for a change of the managed certificate NAME. What no option names stays; --name names all names.

    The change is made of what is declared now: where someone else changes that meanwhile, it is refused.
    """
    asked = api(caller)
    found = asked.get("managed", managed, action=Action.READ_MANAGED)
    before = found.document.get("declaration")
    declared = _declared(managed, before if isinstance(before, Mapping) else {}, given)
    if declared == before:
        raise InvalidInput(f"nothing would change: {managed} is declared so already")
    body = {**declared, "reason": reason}
    made = asked.write("PUT", "managed", managed, action=Action.CHANGE, body=body, etag=found.etag).document
    return _told(asked, made, output, wait, before=None)


@request.command(epilog=options.example('perennial request retire shop --reason "the shop has closed"'))
@click.argument("managed", metavar="NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_common
def retire(managed: str, reason: str, wait: bool, yes: bool, output: str, caller: Caller) -> int:
    """Ask for the end of the managed certificate NAME: it is renewed no more, and its versions are retired."""
    asked = api(caller)
    found = asked.get("managed", managed, action=Action.READ_MANAGED)
    _sure(yes, f"Retire {managed}, which {_serves(found.document)}?")
    made = asked.write(
        "DELETE", "managed", managed, action=Action.RETIRE, etag=found.etag, query={"reason": reason}
    ).document
    return _told(asked, made, output, wait, before=None)


@request.command(
    epilog=options.example(
        'perennial request revoke shop --revocation-reason key-compromise --reason "the key was in a log"',
        "perennial request revoke shop --version 3 --revocation-reason superseded --reason cleanup --yes",
    )
)
@click.argument("managed", metavar="NAME")
@click.option(
    "--revocation-reason",
    "code",
    type=click.Choice(REVOCATIONS),
    required=True,
    help="What the CA is told (RFC 5280 5.3.1).",
)
@click.option("--version", type=click.IntRange(1, 999_999), help="Version.  [default: the one that serves]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_common
def revoke(
    managed: str,
    code: str,
    version: int | None,
    reason: str,
    wait: bool,
    yes: bool,
    output: str,
    caller: Caller,
) -> int:
    """Ask for the revocation of a version of NAME, which cannot be taken back. What serves is renewed at once."""
    which = f"version {version}" if version else "the version that serves"
    _sure(yes, f"Revoke {which} of {managed} for good?")
    asked = api(caller)
    body = {"why": code, "version": version or 0, "reason": reason}
    made = asked.post("managed", managed, "revocations", action=Action.REQUEST_REVOCATION, body=body).document
    return _told(asked, made, output, wait, before=None)


@request.command(
    epilog=options.example(
        'perennial request renew shop --reason "the load balancer moves"         # in the next window',
        'perennial request renew shop --force --reason "key in a backup" --wait  # now',
    )
)
@click.argument("managed", metavar="NAME")
@click.option("--force", is_flag=True, help="Wait for no window, and for no pause after a failure.")
@_common
def renew(managed: str, force: bool, reason: str, wait: bool, output: str, caller: Caller) -> int:
    """Ask for a renewal of NAME before its time."""
    from perennial.cli import waiting

    asked = api(caller)
    before = waiting.before(asked.get("managed", managed, action=Action.READ_MANAGED).document) if wait else None
    body = {"force": force, "reason": reason}
    made = asked.post("managed", managed, "renewals", action=Action.RENEW, body=body).document
    return _told(asked, made, output, wait, before=before)


def _sure(yes: bool, question: str) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def _serves(managed: Document) -> str:
    from perennial.cli import waiting

    version = waiting.before(managed).version
    return f"serves version {version}" if version > 0 else "serves nothing of ours yet"


def _told(asked: Api, made: Document, output: str, wait: bool, *, before: Before | None) -> int:
    """Show the request, wait for its end where that is wished, and return the exit code. `before`: what served, where
    another version is to be waited for."""
    from perennial.cli import change_request, documents, waiting

    named, managed = change_request.identified(made), change_request.text(made, "managed")
    ended = waiting.decided(asked, made) if wait else made
    if output == JSON:
        for line in documents.json_lines(ended):
            print(line)
    else:
        for line in change_request.lines(ended):
            print(line)
    state = change_request.text(ended, "state")
    if wait and state == "done" and before is not None:
        return 0 if waiting.served(asked, managed, before) else 2
    if not wait:
        further = f"perennial why {managed}" if state == "done" else f"perennial requests show {named}"
        click.echo(f"How it goes on: {further}", err=True)
    return 2 if state in change_request.ENDED_BADLY else 0


# --- the declaration ---


def _declared(managed: str, before: Document, given: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration as the API takes it: that of the file, or what was declared with what the options change.

    Raises: InvalidInput, UsageError.
    """
    file, targets = given["file"], given["targets"]
    told = {
        "names": list(given["names"]),
        "profile": given["certificate_profile"],
        "owner": given["owner"],
        "issuer": given["issuer"],
        "key": given["key"],
        "validity_days": given["days"],
        "environment": given["environment"],
        "service": given["service"],
    }
    chosen = {name: value for name, value in told.items() if value}
    if file is not None:
        if chosen or targets:
            raise click.UsageError("-f has the whole declaration: leave the other options of it out")
        return _of_file(managed, file)
    return {**before, **chosen, **(_targets(managed, targets) if targets else {})}


def _of_file(managed: str, file: Any) -> dict[str, Any]:
    """Raises: InvalidInput."""
    from perennial import declaration
    from perennial.cli import declared

    for each in declared.read([file]).certificates:
        if each.name == managed:
            return declaration.document(each)
    raise InvalidInput(f"the file declares no {managed[:100]!r}; NAME is the name in it")


def _targets(managed: str, file: Any) -> dict[str, Any]:
    """Raises: InvalidInput."""
    from perennial import declaration, target_settings
    from perennial.certificate_request import CertificateRequest
    from perennial.managed_certificate import ManagedCertificate

    try:
        text = file.read(MAX_FILE + 1).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("the targets are not a text in UTF-8") from error
    found = target_settings.load(text, managed)
    nothing = CertificateRequest(names=(), profile="", owner="")
    certificate = ManagedCertificate(name=managed, request=nothing, targets=found.targets, stays=found.stays)
    document = declaration.document(certificate)
    return {name: document[name] for name in ("targets", "on_failure") if name in document}
