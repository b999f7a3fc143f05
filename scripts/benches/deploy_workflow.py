"""State transitions and calls to AWS of a rollout: the deployed definition, run in memory on scripted places.

The definition is synthesised by the CDK app. Every step runs as in a process of its own, with nothing in its memory:
the most that it asks of AWS. A state that is entered is a transition, as AWS bills it. What the targets themselves ask
is counted in `deploy_calls`; handshakes are scripted too.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.issuance_workflow import synthesised
from benches.report import Result, say

if TYPE_CHECKING:
    from asl import Ran
    from rolling import RollingHub

ROOT = Path(__file__).resolve().parents[2]
MOST_TRANSITIONS = 10  # for each target
NAMES = {"dynamodb": "the table", "kms": "KMS", "s3": "S3", "secretsmanager": "Secrets Manager"}
READS = ("BatchGetItem", "GetItem", "Query")
STEPS = {  # function, by its construct, to step of the library
    "Preflight": "preflight",
    "Activate": "activate",
    "Prove": "prove",
    "Restore": "restore",
    "Finish": "finish",
    "GiveUpRollout": "give_up",
}


def run(sizes: Sequence[int]) -> Iterator[Result]:
    """The figures of rollouts to some numbers of targets."""
    sys.path.insert(0, str(ROOT))
    say("synthesising the workflow")
    workflow = definition()
    for size in sizes:
        say(f"the workflow with {size} {'target' if size == 1 else 'targets'}")
        yield from of(workflow, size)


def of(workflow: Mapping[str, Any], size: int) -> Iterator[Result]:
    """The figures of one rollout to so many targets."""
    from rolling import rolling_hub

    words = f"{size} {'target' if size == 1 else 'targets'}"
    with rolling_hub(*(f"place-{number}" for number in range(size))) as hub:
        record = hub.request()
        with counted() as calls:
            ran = execute(workflow, hub, record.reference)
    if ran.states[-1] != "Deployed":
        raise SystemExit(f"bench: not deployed: {ran.status} {ran.error} {ran.cause}")
    yield Result(f"{words}: state transitions for each", len(ran.states) / size, "transitions", MOST_TRANSITIONS)
    for what, number in told(calls).items():
        yield Result(f"{words}: {what} for each", number / size, "calls")


def told(calls: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Calls by service, those to the table as reads and writes."""
    found: dict[str, int] = {}
    for (service, operation), number in sorted(calls.items()):
        kind = ("reads of" if operation in READS else "writes of") if service == "dynamodb" else "calls to"
        name = f"{kind} {NAMES.get(service, service)}"
        found[name] = found.get(name, 0) + number
    return found


def definition() -> Mapping[str, Any]:
    """Rollout as the hub's template defines it."""
    from infra.names import ROLLOUT
    from tests.infra.conftest import Synthesised

    return Synthesised(synthesised(), ROOT).definition(ROLLOUT)


def execute(workflow: Mapping[str, Any], hub: RollingHub, reference: str) -> Ran:
    """One execution of the definition with the library's functions."""
    import asl

    return asl.run(
        workflow,
        {"rollout": reference},
        invoke=lambda resource, payload: _step(hub, STEPS[resource.strip("<").partition("Function")[0]], payload),
        wait=lambda seconds: _pass(hub, seconds),
    )


def _step(hub: RollingHub, name: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a function of the workflow does, in a new process as far as it can tell."""
    from asl import TaskError
    from perennial import rollout, rollout_check, rollout_failure
    from perennial.errors import PerennialError

    hub.forget()
    told = [payload["error"]["Error"], payload["error"]["Cause"]] if name == "give_up" else []
    module: Any = {"preflight": rollout_check, "give_up": rollout_failure}.get(name, rollout)
    try:
        done = getattr(module, name)(hub.deployment, payload["rollout"], *told, hub.now)
    except PerennialError as error:
        kind = type(error).__name__
        raise TaskError(kind, json.dumps({"errorMessage": str(error), "errorType": kind})) from error
    document: Mapping[str, Any] = done.document()
    return document


def _pass(hub: RollingHub, seconds: float) -> None:
    hub.estate.clock.now += timedelta(seconds=seconds)


@contextmanager
def counted() -> Iterator[Counter[tuple[str, str]]]:
    """Calls to AWS by service and operation, of every client of this process, also of those made before."""
    from botocore.client import BaseClient

    calls: Counter[tuple[str, str]] = Counter()
    real = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: Any) -> Any:
        calls[client.meta.service_model.service_name, operation] += 1
        return real(client, operation, request)

    BaseClient._make_api_call = call
    try:
        yield calls
    finally:
        BaseClient._make_api_call = real
