"""How commands that ask the API are told who asks: --profile and --region, or --token; and where it is: --api.

Without any of them who has signed in asks (`sign_in`), else the AWS credentials of the environment."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from perennial.cli import options
from perennial.cli.api_client import Caller


def asks(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of who asks; the command gets them as `caller`."""

    @wraps(command)
    def told(
        *arguments: Any, profile: str | None, region: str | None, token: str | None, url: str | None, **more: Any
    ) -> Any:
        return command(*arguments, caller=Caller(profile, region, token or "", url or ""), **more)

    for option in (
        click.option("--api", "url", envvar="PERENNIAL_API", help="The API's address.  [default: the deployment's]"),
        click.option(
            "--token",
            envvar="PERENNIAL_TOKEN",
            help="A token of your issuer, where perennial sign-in cannot be used. Better in PERENNIAL_TOKEN.",
        ),
        click.option("--region", type=options.ONE_REGION, help="Region of the deployment."),
        click.option("--profile", help="AWS profile to use, whoever has signed in."),
    ):
        told = option(told)
    return told
