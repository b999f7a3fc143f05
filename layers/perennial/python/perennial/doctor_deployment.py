"""Whether a deployment is whole: parameters, table, workflows, functions, alarms, settings and dead letters. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perennial.checks.wording import listed, on
from perennial.doctor import Diagnosis, Topic, Unknown

TOPIC = Topic("deployment")
SETTINGS = Topic("settings")
PARAMETERS = (  # /perennial/<name>, which the stack writes
    "table",
    "bucket",
    "topic",
    "bus",
    "discovery",
    "assessment",
    "issuance",
    "rollout",
    "renewal",
    "approval",
    "settings",
    "key",
    "proof-key",
    "audit-bucket",
    "audit-key",
    "api",
    "api-people",
)
WORKFLOWS = ("discovery", "assessment", "issuance", "rollout", "renewal", "approval")
RECENT = timedelta(days=1)  # in which failures are looked for
DEPLOY = "deploy the stack again: cdk deploy PerennialHub"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """The inventory's table, as DynamoDB describes it."""

    status: str
    protected: bool  # from deletion
    restorable: bool  # point-in-time recovery


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFacts:
    """A state machine, and the last of its executions that failed or ran out of time."""

    status: str
    failed: str = ""  # name of the execution
    failed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionFacts:
    """A Lambda function. `errors` and `calls` are those that CloudWatch counted since `RECENT`."""

    name: str
    state: str
    update: str  # LastUpdateStatus
    calls: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFacts:
    """Everything about a deployment itself. `waiting` is the number of dead letters, `alarms` those that sound, with
    what they say."""

    parameters: Mapping[str, str] | Unknown  # name behind /perennial/ -> value
    table: TableFacts | Unknown
    workflows: Mapping[str, WorkflowFacts | Unknown] = field(default_factory=dict)
    functions: tuple[FunctionFacts, ...] | Unknown = ()
    waiting: int | Unknown = 0
    alarms: Mapping[str, str] | Unknown = field(default_factory=dict)
    key: str | Unknown = "Enabled"  # the state of the KMS key under which all is kept
    settings: str | Unknown = ""  # the problems of perennial.toml as deployed, "" for none


def judge(facts: DeploymentFacts, now: datetime) -> Iterator[Diagnosis]:
    """What is to be said, in the order in which it is best put right."""
    yield judge_parameters(facts.parameters)
    yield _settings(facts.settings)
    yield from _table(facts.table)
    yield _key(facts.key)
    for name, workflow in facts.workflows.items():
        yield _workflow(name, workflow, now)
    yield from _functions(facts.functions)
    yield _dead_letters(facts.waiting)
    yield from _alarms(facts.alarms)


def judge_parameters(found: Mapping[str, str] | Unknown) -> Diagnosis:
    """What is to be said of the parameters alone."""
    if isinstance(found, Unknown):
        return TOPIC.unknown("parameters", found.reason, "you need ssm:GetParameters for /perennial/*")
    missing = [each for each in PARAMETERS if not found.get(each)]
    if missing:
        words = f"{listed(f'/perennial/{each}' for each in missing)} {'are' if len(missing) > 1 else 'is'} not there"
        return TOPIC.wrong("parameters", words, f"{DEPLOY}; the command needs them to find the deployment")
    return TOPIC.fine("parameters", f"all {len(PARAMETERS)} are there")


def _settings(problems: str | Unknown) -> Diagnosis:
    if isinstance(problems, Unknown):
        return SETTINGS.unknown("perennial.toml", problems.reason)
    if problems:
        first, *more = problems.splitlines()
        words = f"cannot be used as deployed: {first}" + (f" (and {len(more)} more problems)" if more else "")
        return SETTINGS.wrong("perennial.toml", words, f"correct perennial.toml, then {DEPLOY}")
    return SETTINGS.fine("perennial.toml", "is valid as deployed")


def _table(found: TableFacts | Unknown) -> Iterator[Diagnosis]:
    if isinstance(found, Unknown):
        yield TOPIC.unknown("table", found.reason)
    elif found.status not in ("ACTIVE", "UPDATING"):
        yield TOPIC.wrong("table", f"it is {found.status}", "look at the table in the DynamoDB console")
    elif not found.restorable or not found.protected:
        lacks = " and ".join(
            name
            for name, has in (("point-in-time recovery", found.restorable), ("deletion protection", found.protected))
            if not has
        )
        yield TOPIC.warning("table", f"it is without {lacks}", DEPLOY)
    else:
        yield TOPIC.fine("table", "it is active, protected from deletion, and can be restored to any second")


def _key(state: str | Unknown) -> Diagnosis:
    if isinstance(state, Unknown):
        return TOPIC.unknown("key", state.reason)
    if state != "Enabled":
        advice = (
            "enable the key, or cancel its deletion, in the KMS console: without it nothing that is kept can be read"
        )
        return TOPIC.wrong("key", f"it is {state}", advice)
    return TOPIC.fine("key", "it is enabled")


def _workflow(name: str, found: WorkflowFacts | Unknown, now: datetime) -> Diagnosis:
    if isinstance(found, Unknown):
        return TOPIC.unknown(f"workflow {name}", found.reason)
    if found.status != "ACTIVE":
        return TOPIC.wrong(f"workflow {name}", f"its state machine is {found.status}", DEPLOY)
    if found.failed_at and now - found.failed_at < RECENT:
        words = f"the execution {found.failed} failed on {on(found.failed_at)}"
        return TOPIC.warning(f"workflow {name}", words, "open that execution in the Step Functions console")
    return TOPIC.fine(f"workflow {name}", "no execution failed in the last 24 hours")


def _functions(found: tuple[FunctionFacts, ...] | Unknown) -> Iterator[Diagnosis]:
    if isinstance(found, Unknown):
        yield TOPIC.unknown("functions", found.reason)
        return
    troubled = [each for each in found if _trouble(each)]
    for each in troubled:
        advice = "read its log group, /aws/lambda/" + each.name if each.errors else DEPLOY
        told = TOPIC.warning if each.state in ("Active", "Inactive") and each.update != "Failed" else TOPIC.wrong
        yield told(f"function {each.name}", _trouble(each), advice)
    if not found:
        yield TOPIC.unknown("functions", "the stack has none, or they cannot be listed")
    elif not troubled:
        yield TOPIC.fine("functions", f"all {len(found)} are ready, and none failed in the last 24 hours")


def _trouble(function: FunctionFacts) -> str:
    if function.state not in ("Active", "Inactive"):  # Inactive: it was not called for weeks, and wakes up by itself
        return f"its state is {function.state}"
    if function.update == "Failed":
        return "its last update failed"
    return f"{function.errors} of {function.calls} calls failed in the last 24 hours" if function.errors else ""


def _dead_letters(waiting: int | Unknown) -> Diagnosis:
    if isinstance(waiting, Unknown):
        return TOPIC.unknown("dead letters", waiting.reason)
    if waiting:
        advice = "read a message in the dead-letter queue, repair what it names, and redrive it"
        return TOPIC.wrong("dead letters", f"{waiting} events failed for good and wait", advice)
    return TOPIC.fine("dead letters", "none wait")


def _alarms(found: Mapping[str, str] | Unknown) -> Iterator[Diagnosis]:
    if isinstance(found, Unknown):
        yield TOPIC.unknown("alarms", found.reason)
    elif not found:
        yield TOPIC.fine("alarms", "none sounds")
    else:
        for name, says in found.items():
            yield TOPIC.wrong(f"alarm {name}", "it sounds", says.removeprefix("Perennial: ") or "look at it")
