"""Options that several commands share, and the words that they take."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from perennial.checks.interface import Severity
from perennial.settings import ACCOUNT, REGION

Command = TypeVar("Command", bound=Callable[..., Any])
TABLE, JSON, CSV, HTML = "table", "json", "csv", "html"
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION = re.compile(r"(\d{1,5})([hdw])")


class Duration(click.ParamType[timedelta]):
    """A length of time: 12h, 30d, 4w."""

    name = "30d|12h|4w"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{str(value)[:40]!r} is not a length of time; write 12h, 30d or 4w", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


class Matching(click.ParamType[str]):
    """A text of a known form."""

    def __init__(self, name: str, pattern: re.Pattern[str], example: str) -> None:
        self.name = name
        self._pattern = pattern
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._pattern.fullmatch(str(value)):
            self.fail(f"{str(value)[:100]!r} is not like {self._example}", param, ctx)
        return str(value)


class Several(Matching):
    """Texts of a known form, separated by commas."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return tuple(super(Several, self).convert(each.strip(), param, ctx) for each in str(value).split(","))


ONE_ACCOUNT = Matching("id", ACCOUNT, "123456789012")
ONE_REGION = Matching("region", REGION, "eu-west-1")
REGIONS = Several("region", re.compile(f"{REGION.pattern}|all"), "eu-west-1 or all")
ACCOUNTS = Several("id[,id]", ACCOUNT, "123456789012")
SEVERITY = click.Choice([str(each) for each in Severity])


def session(command: Command) -> Command:
    """--profile and --region of a command that reads the deployed inventory, and its table."""
    for option in (
        click.option(
            "--table",
            "table_name",
            envvar="PERENNIAL_TABLE",
            help="The inventory's table.  [default: that of the deployment]",
        ),
        click.option(
            "--region", type=ONE_REGION, help="Region of the deployment.  [default: that of the profile or environment]"
        ),
        click.option("--profile", help="AWS profile to use."),
    ):
        command = option(command)
    return command


def output(*formats: str) -> Callable[[Command], Command]:
    """--output, and --json for short. The command gets the format as `output`."""

    def decorate(command: Command) -> Command:
        chosen = click.option(
            "--output", type=click.Choice(formats), default=TABLE, show_default=True, help="The format of the result."
        )
        short = click.option(
            "--json", "output", flag_value=JSON, help="The same as --output json.", type=click.Choice(formats)
        )
        return chosen(short(command))

    return decorate


def example(*lines: str) -> str:
    """An epilog of examples, one a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {each}" for each in lines)
