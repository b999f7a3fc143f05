"""`perennial sign-in` and `perennial sign-out`: be yourself at the API, without a token in any variable."""

from __future__ import annotations

import os
import webbrowser
from typing import TYPE_CHECKING

import click

from perennial.cli import options
from perennial.cli.plain import plain
from perennial.errors import InvalidInput

if TYPE_CHECKING:
    from perennial.cli.api_client import Caller
    from perennial.cli.api_connection import Address
    from perennial.cli.signing_in import Ways

_EPILOG = options.example(
    "perennial sign-in",
    "perennial sign-in --profile hub --region eu-west-1     # the deployment that these find",
    "perennial sign-in --api https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1",
    "perennial sign-in --no-browser                         # prints the URL alone",
)


@click.command("sign-in", epilog=_EPILOG)
@click.option("--no-browser", is_flag=True, help="Print the URL, and open nothing.")
@click.option("--api", "url", envvar="PERENNIAL_API", help="The address of the API for people (output PeopleApiUrl).")
@click.option("--region", type=options.ONE_REGION, help="Region of the deployment.")
@click.option("--profile", help="AWS profile to find the deployment with.")
def sign_in(no_browser: bool, url: str | None, region: str | None, profile: str | None) -> None:
    """Sign in at the deployment's user pool, or at your own issuer, in the browser.

    The address of the API comes from --api, or with AWS credentials from Parameter Store. The browser comes back to
    http://localhost:8765; from another machine, forward that port first: ssh -L 8765:localhost:8765 HOST.

    Who asks the API is, in this order: the token of --token or PERENNIAL_TOKEN; the AWS credentials of --profile or
    --region, where one is named; who has signed in here; the AWS credentials of the environment. A sign-in is for one
    deployment: with --api for another one it is not used.

    The tokens are in perennial/sign-in.json below XDG_STATE_HOME (~/.local/state), which nobody else may read. They
    are renewed as long as the issuer lets them be; then run this again.
    """
    from perennial.cli.api_client import Caller
    from perennial.cli.signing_in import sign_in_at

    at = _place(Caller(profile=profile, region=region, url=url or ""))
    made = sign_in_at(_ways(), at, lambda page: _show(page, no_browser), lambda line: click.echo(line, err=True))
    click.echo(plain(f"Signed in as {made.name} at {made.api}. perennial me shows your roles."))


def _place(caller: Caller) -> Address:
    """Raises: InvalidInput, ClientError, BotoCoreError."""
    from perennial.cli.api_client import place

    try:
        return place(caller, people=True)
    except InvalidInput as error:
        if caller.url or "--api" in str(error):
            raise
        raise InvalidInput(f"{error}; or without AWS: name the API's address with --api") from error


def _show(page: str, no_browser: bool) -> None:
    click.echo(f"Sign in here:\n\n  {plain(page)}\n", err=True)
    opened = not no_browser and webbrowser.open(page)
    click.echo(f"{'A browser opens it. ' if opened else ''}Waiting for it to come back, at most 5 minutes.", err=True)


@click.command("sign-out", epilog=options.example("perennial sign-out"))
def sign_out() -> None:
    """Forget who has signed in, and let the issuer revoke the refresh token.

    The last token that came of it stays valid until its end, at most an hour at the deployment's user pool.
    """
    from perennial.cli.signing_in import sign_out as signed_out

    found = signed_out(_ways())
    click.echo(plain(f"Signed out {found.name} of {found.api}.") if found else "Nobody was signed in.")


def _ways() -> Ways:
    from perennial.cli.api_connection import Connection, roots_of
    from perennial.cli.signing_in import Ways

    return Ways(connection=Connection(roots_of(None)), environ=os.environ)
