"""The command's frame: finds the subcommands, and turns every expected error into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from perennial import __version__
from perennial.cli.plain import plain
from perennial.errors import PerennialError

FAILED, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
_COMMANDS = {  # name -> module and attribute, in the order of the help
    "scan": ("perennial.cli.scan", "scan"),
    "certs": ("perennial.cli.certs", "certs"),
    "apply": ("perennial.cli.apply", "apply"),
    "diff": ("perennial.cli.apply", "diff"),
    "adopt": ("perennial.cli.adopt", "adopt"),
    "schema": ("perennial.cli.apply", "schema"),
    "managed": ("perennial.cli.managed", "managed"),
    "why": ("perennial.cli.lifecycle", "why"),
    "renew": ("perennial.cli.lifecycle", "renew"),
    "revoke": ("perennial.cli.lifecycle", "revoke"),
    "deploy": ("perennial.cli.rollouts", "deploy"),
    "rollouts": ("perennial.cli.rollouts", "rollouts"),
    "alerts": ("perennial.cli.alerts", "alerts"),
    "proof": ("perennial.cli.proof", "proof"),
    "audit": ("perennial.cli.audit", "audit"),
    "issuers": ("perennial.cli.issuers", "issuers"),
    "findings": ("perennial.cli.coverage", "findings"),
    "scopes": ("perennial.cli.coverage", "scopes"),
    "request": ("perennial.cli.request", "request"),
    "requests": ("perennial.cli.requests", "requests"),
    "approve": ("perennial.cli.decisions", "approve"),
    "reject": ("perennial.cli.decisions", "reject"),
    "withdraw": ("perennial.cli.decisions", "withdraw"),
    "exceptions": ("perennial.cli.exceptions", "exceptions"),
    "sign-in": ("perennial.cli.sign_in", "sign_in"),
    "sign-out": ("perennial.cli.sign_in", "sign_out"),
    "me": ("perennial.cli.requests", "me"),
    "doctor": ("perennial.cli.doctor", "doctor"),
    "completion": ("perennial.cli.completion", "completion"),
}
EXIT_CODES = (
    "Exit codes: 0 done; 1 findings at or above --fail-on, a proof that does not hold, an audit export "
    "that was tampered with, a difference in diff, or what doctor finds wrong; 2 not or not completely done, or not "
    "allowed; 130 interrupted; 141 the reader of the output went away."
)


class Program(click.Group):
    """Commands that are loaded when they are called, under an error frame."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            code = super().main(args, "perennial", complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = FAILED
        except click.ClickException as error:
            code = _tell(_usage(error))
        except click.Abort:
            code = _tell("interrupted", INTERRUPTED)
        except _expected() as error:
            code = _tell(_message(error))
        sys.exit(code or 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough, as `head` has
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the interpreter's own flush at the end
            return PIPE_CLOSED
        return code


def _tell(message: str, code: int = FAILED) -> int:
    for line in message.splitlines() or [""]:
        click.echo(f"perennial: {plain(line)}", err=True)
    return code


def _usage(error: click.ClickException) -> str:
    message = error.format_message()
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return message
    return f"{' '.join(message.split())} ({error.ctx.command_path} --help)"


def _expected() -> tuple[type[Exception], ...]:
    """What a user's input, account or network can cause. Asked for only when something was raised."""
    from botocore.exceptions import BotoCoreError, ClientError

    found: tuple[type[Exception], ...] = (PerennialError, BotoCoreError, ClientError, OSError)
    if "pynamodb" in sys.modules:
        from pynamodb.exceptions import PynamoDBException

        return (*found, PynamoDBException)
    return found


def _message(error: Exception) -> str:
    """What happened, in the words of its cause."""
    from botocore.exceptions import ClientError

    from perennial.clients import meaning

    cause = getattr(error, "cause", None) or error
    if isinstance(cause, ClientError):
        return str(meaning(cause, f"AWS refused {cause.operation_name}"))
    if isinstance(cause, OSError) and cause.strerror:
        return ": ".join(str(part) for part in (cause.filename, cause.strerror) if part)
    return str(cause)


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  perennial scan\n  perennial scan --region all --full --output html --out report.html\n"
    f"  perennial certs list --expiring 30d\n\n\b\n{EXIT_CODES}",
)
@click.version_option(__version__, prog_name="perennial", message="%(prog)s %(version)s")
def program() -> None:
    """Certificates that stay valid, by themselves.

    `scan` looks at an account with your own credentials and needs nothing deployed. request, requests, approve, reject,
    withdraw, exceptions and me ask the API of a deployment, by your roles there; the other commands work on the
    deployment with your AWS permissions.
    """
