"""The command ``scripts/local-cloud``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_cloud.cloud import HUB_ACCOUNT, REGION, REPOSITORY, Cloud, CloudError
from local_cloud.deploy import App, deploy

_DOWN = 3
"""Exit code of ``status``, ``env``, ``edge`` and ``as`` when the cloud is down."""

_COLUMNS = ("PLACE", "NAME", "ADDRESS", "BEHAVIOUR", "CERTIFICATE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 on success, 1 on failure, 2 on wrong usage and 3 when the cloud is down."""
    options = _parser().parse_args(arguments)
    cloud = Cloud.named(options.name)
    commands = {"up": _up, "down": _down, "status": _status, "env": _env, "edge": _edge, "as": _as}
    try:
        return commands[options.command](cloud, options)
    except CloudError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/local-cloud",
        description="An AWS of your own in one process on 127.0.0.1: no Docker, no account, no internet.",
        epilog='Point a shell at it with: eval "$(scripts/local-cloud env)"',
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = _command(commands, "up", "start the local cloud and deploy the CDK app into it")
    up.add_argument("--port", type=int, help="port to listen on (default: a free one)")
    up.add_argument("--no-deploy", action="store_true", help="start it empty")
    up.add_argument("--app", type=Path, default=REPOSITORY, help="directory of the CDK app (default: this repository)")
    up.add_argument("--stack", action="append", help="deploy only this stack (repeatable; default: all)")
    up.add_argument("--context", action="append", default=[], metavar="KEY=VALUE", help="CDK context (repeatable)")
    _command(commands, "down", "stop the local cloud; everything in it is gone")
    _command(commands, "status", "say whether it runs, and where")
    env = _command(commands, "env", "print the exports that point a shell at it")
    edge = _command(commands, "edge", "list what the local edge shows: real TLS for load balancers, domains and more")
    edge.add_argument("--json", action="store_true", help="print everything that is known, as JSON")
    whom = _command(commands, "as", "run perennial, or another command of .venv, as a person or a machine of the cloud")
    whom.add_argument("--roles", help='what they may do from now on, as "requester@shop-team"; needed the first time')
    whom.add_argument("person", help="the name of a user of IAM; who is not there is made")
    whom.add_argument("program", help="such as perennial")
    whom.add_argument("arguments", nargs=argparse.REMAINDER, help="of the program")
    for command in (up, env, whom):
        command.add_argument("--account", default=HUB_ACCOUNT, help=f"account to act in (default: {HUB_ACCOUNT})")
        command.add_argument("--region", default=REGION, help=f"region to act in (default: {REGION})")
    return parser


def _command(to: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    command = to.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument("--name", default="default", help="which local cloud, when several run side by side")
    return command


def _up(cloud: Cloud, options: argparse.Namespace) -> int:
    began = time.monotonic()
    was_up = cloud.running() is not None
    running = cloud.start(options.port)
    state = "was up already" if was_up else f"is up after {time.monotonic() - began:.1f} s"
    print(f"The local cloud {cloud.name!r} {state}: {running.url} (process {running.pid}, log {cloud.log}).")
    if options.no_deploy:
        return 0
    if not (options.app / "cdk.json").exists():
        raise CloudError(f"There is no cdk.json in {options.app}: use --app to name a CDK app, or --no-deploy.")
    print(f"Deploying {options.app} into account {options.account}, region {options.region} …", flush=True)
    began = time.monotonic()
    outputs = deploy(cloud, _app(options), options.account, options.region)
    print(f"Deployed in {time.monotonic() - began:.1f} s.")
    for stack, values in outputs.items():
        for key, value in values.items():
            print(f"  {stack}.{key} = {value}")
    return 0


def _app(options: argparse.Namespace) -> App:
    pairs = [item.partition("=") for item in options.context]
    context = {key: value for key, _, value in pairs}
    return App(options.app.resolve(), stacks=tuple(options.stack or ("--all",)), context=context)


def _down(cloud: Cloud, options: argparse.Namespace) -> int:
    print(f"The local cloud {cloud.name!r} {'is stopped' if cloud.stop() else 'was not up'}.")
    return 0


def _status(cloud: Cloud, options: argparse.Namespace) -> int:
    running = cloud.running()
    if running is None:
        print(f"The local cloud {cloud.name!r} is down.")
        return _DOWN
    print(f"The local cloud {cloud.name!r} is up: {running.url} (process {running.pid}, log {cloud.log}).")
    return 0


def _env(cloud: Cloud, options: argparse.Namespace) -> int:
    if cloud.running() is None:
        print(f"The local cloud {cloud.name!r} is down: start it with scripts/local-cloud up.", file=sys.stderr)
        return _DOWN
    print("unset AWS_PROFILE AWS_SESSION_TOKEN")
    for name, value in cloud.env(options.account, options.region).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _as(cloud: Cloud, options: argparse.Namespace) -> int:
    if cloud.running() is None:
        print(f"The local cloud {cloud.name!r} is down: start it with scripts/local-cloud up.", file=sys.stderr)
        return _DOWN
    from local_cloud import inside, people

    if options.roles is not None:
        people.principal(cloud, options.account, options.person, {people.ROLES: options.roles})
    who = people.credentials(cloud, options.account, options.person)
    own = {"XDG_STATE_HOME": str(cloud.directory / "people" / options.person)}  # who signs in there is this person
    os.environ.update(cloud.env(options.account, options.region) | who.env | own)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    return inside.main([str(cloud.directory), options.program, *options.arguments]) or 0


def _edge(cloud: Cloud, options: argparse.Namespace) -> int:
    if cloud.running() is None:
        print(f"The local cloud {cloud.name!r} is down: start it with scripts/local-cloud up.", file=sys.stderr)
        return _DOWN
    rows = cloud.edge()
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    shown = [_COLUMNS, *(_columns(row) for row in rows)]
    widths = [max(len(each) for each in column) for column in zip(*shown, strict=True)]
    for line in shown:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _columns(row: dict[str, Any]) -> tuple[str, ...]:
    shown = row["certificate"]
    more = f" (and {len(row['certificates']) - 1} more)" if len(row["certificates"]) > 1 else ""
    certificate = f"{shown['name']}, ends {shown['not_after'][:10]}, serial {shown['serial']}" if shown else "none"
    place = (f"{row['name']}:{row['listens']}", f"{row['address']}:{row['port']}")
    return row["kind"], *place, row["behaviour"], certificate + more


if __name__ == "__main__":
    sys.exit(main())
