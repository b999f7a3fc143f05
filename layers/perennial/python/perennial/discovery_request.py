"""Someone wants Discovery to run now: over everything, or over a few scopes.

Who asks the same twice under one request id starts one run: it has the id's name. The function needs
states:StartExecution and states:ListExecutions on the state machine that PERENNIAL_DISCOVERY_ARN names.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from perennial.clients import meant
from perennial.errors import InvalidInput
from perennial.manifest import Scope
from perennial.scanners import sources

if TYPE_CHECKING:
    from perennial.deployment import Deployment

MAX_SCOPES = 100  # of one request
TOLD = 20  # runs that go on
PARTIAL = ("event-", "scopes-")  # how the names of runs over a few scopes begin; any other one is over everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The run that will be, or the one that is already (`start` is False). `scopes` (): everything. `going_on`: other
    runs that go on."""

    run: str
    start: bool
    scopes: tuple[str, ...]
    going_on: tuple[str, ...]


@meant("states:ListExecutions of Discovery")
def plan(deployment: Deployment, scopes: tuple[str, ...], request: str) -> Planned:
    """What is to be started. One run over everything at a time: a second one would find what the first one finds.

    Raises: InvalidInput for scopes that Discovery does not look at; what AWS's errors mean.
    """
    for each in scopes:
        _check(deployment, each)
    name = ("scopes-" if scopes else "all-") + hashlib.sha256(request.encode()).hexdigest()[:40]
    running = _running(deployment)
    whole = next((each for each in running if not each.startswith(PARTIAL)), None)
    run, start = (whole, False) if whole and not scopes else (name, True)
    others = tuple(each for each in running if each != run)[:TOLD]
    return Planned(run=run, start=start, scopes=tuple(dict.fromkeys(scopes)), going_on=others)


def _check(deployment: Deployment, key: str) -> None:
    scope, settings = Scope.of(key), deployment.settings.discovery
    if scope.source not in sources():
        raise InvalidInput(f"{key[:100]}: there is no source {scope.source[:40]}; there are {', '.join(sources())}")
    accounts = settings.accounts or (deployment.account,)
    if not settings.organization and scope.account not in accounts:
        raise InvalidInput(
            f"{key[:100]}: Discovery does not look at this account; perennial.toml has [discovery] accounts"
        )


def _running(deployment: Deployment) -> list[str]:
    machine = deployment.named("PERENNIAL_DISCOVERY_ARN")
    reply = deployment.clients("stepfunctions").list_executions(
        stateMachineArn=machine, statusFilter="RUNNING", maxResults=100
    )
    return [str(each["name"]) for each in reply["executions"]]


@meant("states:StartExecution of Discovery")
def start(deployment: Deployment, planned: Planned) -> None:
    """Start a run that was planned. One that has its name already is the same one.

    Raises: what AWS's errors mean.
    """
    try:
        deployment.clients("stepfunctions").start_execution(
            stateMachineArn=deployment.named("PERENNIAL_DISCOVERY_ARN"),
            name=planned.run,
            input=json.dumps({"scopes": list(planned.scopes)} if planned.scopes else {}),
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
