"""Deploy a real CDK app into a local cloud, with the real ``cdk`` of this virtual environment.

Nothing leaves the machine: telemetry, notices and version checks are off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local_cloud.cloud import Cloud, CloudError, tail

Outputs = dict[str, dict[str, str]]
"""The outputs of the deployed stacks: stack name -> output key -> value."""

_TOOLKIT_STACK = "CDKToolkit"
_LOG_TAIL_LINES = 25
_CDK_SECONDS = 900


@dataclass(frozen=True)
class App:
    """A CDK app: a directory with a ``cdk.json``, and what is passed to it.

    ``stacks`` are the stacks to deploy, all of them by default. ``variables`` join the environment of ``cdk`` and of
    the app. ``command`` replaces the ``app`` line of ``cdk.json``.
    """

    directory: Path
    stacks: Sequence[str] = ("--all",)
    context: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    command: str | None = None


def deploy(cloud: Cloud, app: App, account: str | None = None, region: str | None = None) -> Outputs:
    """Bootstrap the account and region once, deploy the app, and return the outputs.

    Raises `CloudError` with the end of the log when ``cdk`` fails; the whole log is ``cdk.log`` beside the server's.
    """
    account, region = account or cloud.account, region or cloud.region
    bootstrap(cloud, account, region)
    outputs = cloud.directory / f"outputs-{account}-{region}.json"
    outputs.unlink(missing_ok=True)
    arguments = [
        "deploy",
        *app.stacks,
        "--require-approval=never",
        "--progress=events",
        f"--outputs-file={outputs}",
        f"--output={cloud.directory / f'cdk.out-{account}-{region}'}",
        *(f"--context={key}={value}" for key, value in app.context.items()),
        *((f"--app={app.command}",) if app.command else ()),
    ]
    _cdk(cloud, arguments, app.directory, {**cloud.env(account, region), **app.variables})
    return dict(json.loads(outputs.read_text())) if outputs.exists() else {}


def bootstrap(cloud: Cloud, account: str, region: str) -> None:
    """Run ``cdk bootstrap`` for an account and region that has no bootstrap stack yet."""
    if is_bootstrapped(cloud, account, region):
        return
    target = f"aws://{account}/{region}"
    _cdk(cloud, ["bootstrap", target], cloud.directory, cloud.env(account, region))


def is_bootstrapped(cloud: Cloud, account: str, region: str) -> bool:
    """Whether the account and region hold a complete bootstrap stack."""
    pages = cloud.client("cloudformation", account, region).get_paginator("list_stacks")
    complete = ["CREATE_COMPLETE", "UPDATE_COMPLETE"]
    summaries = pages.paginate(StackStatusFilter=complete).search("StackSummaries[].StackName")
    return _TOOLKIT_STACK in summaries


def _cdk(cloud: Cloud, arguments: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
    """Run ``cdk``, appending what it prints to the log. Raises `CloudError` when it fails or takes too long."""
    log = cloud.directory / "cdk.log"
    bin_directory = Path(sys.prefix) / "bin"
    command = [str(bin_directory / "cdk"), *arguments, "--ci", "--no-color", "--no-notices"]
    with log.open("ab") as file:
        file.write(f"\n{time.strftime('%H:%M:%S')} cdk {' '.join(arguments)}\n".encode())
        file.flush()
        began = file.tell()
        result = subprocess.run(
            command,
            cwd=directory,
            env=_environment(cloud, bin_directory, environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=_CDK_SECONDS,
            check=False,
        )
    if result.returncode:
        said = tail(log, _LOG_TAIL_LINES, began)
        raise CloudError(f"cdk {arguments[0]} failed; the end of {log}:\n{said}")


def _environment(cloud: Cloud, bin_directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without its AWS configuration, so that ``cdk`` cannot reach a real account."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    nowhere = str(cloud.directory / "no-aws-configuration")
    return {
        **own,
        "PATH": os.pathsep.join((str(bin_directory), os.environ.get("PATH", os.defpath))),
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "NO_COLOR": "1",
        **environment,
    }
