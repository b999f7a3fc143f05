"""State transitions, calls to AWS and write units of one issuance: the deployed definition, run in memory.

The definition is synthesised by the CDK app. Every step runs as in a process of its own, with nothing in its memory:
the most that it asks of AWS. A state that is entered is a transition, as AWS bills it. The account is warm.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches import counting, table
from benches.report import DYNAMODB, Result, say

if TYPE_CHECKING:
    from asl import Ran
    from issuing import IssuingHub

ROOT = Path(__file__).resolve().parents[2]
MOST_TRANSITIONS = 29  # "kept under 30"
_CONFIGURATION = '[discovery]\naccounts = "organization"\nexternal_id = "bench-1"\n'
_CONTEXT = {"account": "111122223333", "region": "eu-west-1", "organization": "o-a1b2c3d4e5"}
SPREADING = 60  # seconds that Route 53 may take until a change is everywhere


@dataclass(frozen=True)
class Workflow:
    """A definition, and which step each of its resources is: `advance`, `give_up`."""

    definition: Mapping[str, Any]
    steps: Mapping[str, str]


def run(sizes: Sequence[int]) -> Iterator[Result]:
    """The figures of certificates with some numbers of names."""
    from issuing import issuing_hub

    sys.path.insert(0, str(ROOT))
    say("synthesising the workflow")
    workflow = workflow_of(synthesised())
    counts = counting.everywhere()
    with _true_units() as units, issuing_hub() as hub, _dropped(hub):
        execute(workflow, hub, ("first.example.com",))
        for size in sizes:
            say(f"the workflow with {size} names")
            _forget(counts, hub)
            ran = execute(workflow, hub, tuple(f"n{number}.example.com" for number in range(size)))
            words = f"{size} {'name' if size == 1 else 'names'}"
            yield Result(f"{words}: state transitions", len(ran.states), "transitions", MOST_TRANSITIONS)
            yield from _cost(words, counts, hub, units=units)
        spread_slowly(hub)
        slow = execute(workflow, hub, ("slow.example.com",))
        name = f"1 name: state transitions, Route 53 takes {SPREADING} s"
        yield Result(name, len(slow.states), "transitions", MOST_TRANSITIONS)


def spread_slowly(hub: IssuingHub) -> None:
    """Let Route 53 take as long as it may until a change is everywhere."""
    from perennial import issuance

    made: dict[str, datetime] = {}  # a change is first looked at when it is so old

    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        since = made.setdefault(request["Id"], hub.now - timedelta(seconds=issuance.FIRST_LOOK))
        there = (hub.now - since).total_seconds() >= SPREADING
        status = "INSYNC" if there else "PENDING"
        return {"ChangeInfo": {"Id": request["Id"], "Status": status, "SubmittedAt": since.isoformat()}}

    for aws in hub.route53.aws.values():
        aws.script["route53.GetChange"] = answer


def _cost(words: str, counts: counting.Counts, hub: IssuingHub, *, units: bool) -> Iterator[Result]:
    services = Counter({"route-53": len(hub.route53.calls())})
    for operation, number in counts.calls.items():
        services[operation.partition(".")[0]] += number
    for service, number in sorted(services.items()):
        yield Result(f"{words}: calls to {service}", number, "calls")
    if units:
        yield Result(f"{words}: write units", counts.written, "units")
        yield Result(f"{words}: read units", counts.read, "units")


def _forget(counts: counting.Counts, hub: IssuingHub) -> None:
    hub.route53.forget()
    counts.calls.clear()
    counts.written = counts.read = 0.0


def execute(workflow: Workflow, hub: IssuingHub, names: tuple[str, ...]) -> Ran:
    """Request a certificate and run the workflow to its end. Ends the bench where it is not issued."""
    import asl

    record = hub.request(*names)
    ran = asl.run(
        workflow.definition,
        {"version": record.reference},
        invoke=lambda resource, payload: _step(hub, workflow.steps[resource], payload),
        wait=lambda seconds: _pass(hub, seconds),
    )
    if ran.states[-1] != "Issued":
        raise SystemExit(f"bench: not issued: {ran}")
    return ran


def _step(hub: IssuingHub, name: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a function of the workflow does, in a new process as far as it can tell."""
    from asl import TaskError
    from perennial import issuance, issuance_failure
    from perennial.errors import PerennialError

    hub.forget()
    steps = issuance_failure if name == "give_up" else issuance
    told = [payload["error"]["Error"], payload["error"]["Cause"]] if name == "give_up" else []
    try:
        done = getattr(steps, name)(hub.deployment, payload["version"], *told, hub.now)
    except PerennialError as error:
        kind = type(error).__name__
        raise TaskError(kind, json.dumps({"errorMessage": str(error), "errorType": kind})) from error
    document: Mapping[str, Any] = done.document()
    return document


def _pass(hub: IssuingHub, seconds: float) -> None:
    hub.estate.clock.now += timedelta(seconds=seconds)


@contextmanager
def _true_units() -> Iterator[bool]:
    """The table where an endpoint is named for it; whether its units are true."""
    url = table.endpoint()
    if url is None:
        say(f"the table's units are not known: {DYNAMODB} names no endpoint that tells them")
        yield False
        return
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = url
    try:
        yield True
    finally:
        del os.environ["AWS_ENDPOINT_URL_DYNAMODB"]


@contextmanager
def _dropped(hub: IssuingHub) -> Iterator[None]:
    """Delete the hub's table afterwards: an endpoint keeps it."""
    try:
        yield
    finally:
        hub.deployment.clients("dynamodb").delete_table(TableName=hub.deployment.environment["PERENNIAL_TABLE"])


def workflow_of(template: Mapping[str, Any]) -> Workflow:
    """Issuance as the hub's template defines it."""
    from infra.names import ISSUANCE

    resources = template["Resources"]
    machines = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::StepFunctions::StateMachine"]
    issuance = next(each for each in machines if each["StateMachineName"] == ISSUANCE)
    parts = issuance["DefinitionString"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else _reference(part) for part in parts)
    steps = {
        f"<{name}>": Path(each["Properties"]["Handler"]).stem
        for name, each in resources.items()
        if each["Type"] == "AWS::Lambda::Function" and each["Properties"].get("Handler", "").startswith("issuance/")
    }
    return Workflow(json.loads(text), steps)


def _reference(value: Mapping[str, Any]) -> str:
    """A resource that is not known yet, by its logical id."""
    got = value.get("Fn::GetAtt")
    return f"<{got[0]}>" if got else f"<{value['Ref']}>"


def synthesised() -> Mapping[str, Any]:
    """The hub's template. CDK runs on the Node.js of this virtual environment, if it has one."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.prefix) / "bin"), os.environ["PATH"]))
    import aws_cdk as cdk
    from app import build

    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as made:
        directory = Path(made)
        (directory / "perennial.toml").write_text(_CONFIGURATION)
        (directory / "deps" / "python").mkdir(parents=True)
        (directory / "deps" / "python" / "package.py").touch()
        flags = json.loads((ROOT / "cdk.json").read_text())["context"]
        files = {"config": str(directory / "perennial.toml"), "deps": str(directory / "deps")}
        app = cdk.App(outdir=str(directory / "out"), context={**flags, **files, **_CONTEXT})
        name = build(app).stack_name
        app.synth()
        template: Mapping[str, Any] = json.loads((directory / "out" / f"{name}.template.json").read_text())
    return template
