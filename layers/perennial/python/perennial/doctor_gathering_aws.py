"""What the doctor asks AWS about a deployment. Reads only.

What belongs to the deployment is told by CloudFormation: the stack that has the inventory's table.

Sources: API_DescribeStackResources (a physical id names its stack), "Types of metrics for Lambda functions",
API_GetMetricData, API_DescribeRule, API_ListExecutions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from perennial.doctor import Unknown
from perennial.doctor_deployment import (
    PARAMETERS,
    RECENT,
    WORKFLOWS,
    DeploymentFacts,
    FunctionFacts,
    TableFacts,
    WorkflowFacts,
)
from perennial.doctor_gathering_inventory import Stored
from perennial.doctor_permissions import AccountFacts, PermissionFacts, Trial
from perennial.doctor_schedules import RuleFacts, ScheduleFacts, TickFacts
from perennial.errors import InvalidConfiguration, NotFound

if TYPE_CHECKING:
    from perennial.clients import Clients
    from perennial.settings import Settings

Questions = dict[str, Callable[[], Any]]
MAX_RESOURCES = 2_000  # of the stack; CloudFormation takes 500
MINUTE, DAY = 60, 86_400  # seconds
MAX_METRICS = 500  # of one request
STACK = "PerennialHub"
TICK = "Tick"  # in the logical id of the function
_TRIALS = (  # question -> the action that it takes, and for what a person needs it
    ("discovery", "dynamodb:Query", "every command that reads the inventory"),
    ("settings", "s3:GetObject", "the commands that judge by perennial.toml, as apply and renew"),
    ("key", "kms:DescribeKey", "the commands that write secrets"),
    ("functions", "cloudformation:ListStackResources", "this command alone"),
)


def caller(clients: Clients) -> str:
    """The caller's ARN."""
    return str(clients("sts").get_caller_identity()["Arn"])


def parameters(clients: Clients) -> dict[str, str]:
    """The parameters of the deployment that are there, by name."""
    names = [f"/perennial/{each}" for each in PARAMETERS]
    found: dict[str, str] = {}
    for at in range(0, len(names), 10):  # as many as one request takes
        for each in clients("ssm").get_parameters(Names=names[at : at + 10])["Parameters"]:
            found[each["Name"].removeprefix("/perennial/")] = str(each["Value"])
    return found


def questions(clients: Clients, named: Mapping[str, str], now: datetime) -> Questions:
    """What is asked about the deployment that the parameters name; what they do not name is unknown."""
    stack = Stack(clients, named.get("table", ""))
    stored = Stored(clients, named.get("table", ""))
    workflows = {f"workflow {each}": partial(_workflow, clients, named.get(each, "")) for each in WORKFLOWS}
    return {
        "table": partial(_table, clients, named.get("table", "")),
        "settings": partial(_settings, clients, named.get("settings", "")),
        "key": partial(_key, clients, named.get("key", "")),
        "functions": partial(_functions, clients, stack, now),
        "waiting": partial(_waiting, clients, stack),
        "alarms": partial(_alarms, clients, stack),
        "rules": partial(_rules, clients, stack),
        "tick": partial(_tick, clients, stack, now),
        "discovery": stored.discovery,
        "due": partial(stored.oldest, now),
        "accounts": stored.accounts,
        "audit": partial(stored.audit, now),
        **workflows,
    }


def deployment_facts(named: Mapping[str, str] | Unknown, found: Mapping[str, Any]) -> DeploymentFacts:
    """The answers about the deployment itself. Settings that cannot be used are their problems."""
    settings = found["settings"]
    return DeploymentFacts(
        parameters=named,
        table=found["table"],
        workflows={each: found[f"workflow {each}"] for each in WORKFLOWS},
        functions=found["functions"],
        waiting=found["waiting"],
        alarms=found["alarms"],
        settings=settings if isinstance(settings, Unknown | str) else "",
        key=found["key"],
    )


def schedule_facts(found: Mapping[str, Any]) -> ScheduleFacts:
    """The answers about what depends on time."""
    return ScheduleFacts(
        rules=found["rules"],
        tick=found["tick"],
        discovery=found["discovery"],
        oldest=found["due"],
        audit=found["audit"],
    )


def permission_facts(arn: str | Unknown, found: Mapping[str, Any], configured: Iterable[str] = ()) -> PermissionFacts:
    """Who asks, and which of the questions were refused. `configured` are the accounts that are to be scanned."""
    accounts = found["accounts"]
    if not isinstance(accounts, Unknown):
        accounts = {**dict.fromkeys(configured, AccountFacts()), **accounts}
    return PermissionFacts(
        caller=arn,
        me=found["me"],
        trials=tuple(_trial(action, needed, found[question]) for question, action, needed in _TRIALS),
        accounts=accounts,
    )


def _trial(action: str, needed_for: str, answer: Any) -> Trial:
    """A question that was answered was allowed. Whether one was refused, its reason says: `AccessDenied…`."""
    if not isinstance(answer, Unknown):
        return Trial(action=action, needed_for=needed_for)
    refused = any(each in answer.reason for each in ("AccessDenied", "not authorized", "Unauthorized"))
    return Trial(action=action, needed_for=needed_for, denied=answer.reason if refused else answer)


# --- the deployment ---


def _needed(value: str, name: str) -> str:
    """Raises: NotFound."""
    if not value:
        raise NotFound(f"there is no parameter /perennial/{name}, or you may not read it")
    return value


def _table(clients: Clients, name: str) -> TableFacts:
    table = clients("dynamodb").describe_table(TableName=_needed(name, "table"))["Table"]
    backups = clients("dynamodb").describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    restorable = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") == "ENABLED"
    return TableFacts(
        status=str(table["TableStatus"]),
        protected=bool(table.get("DeletionProtectionEnabled")),
        restorable=restorable,
    )


def _settings(clients: Clients, where: str) -> Settings | str:
    """perennial.toml as deployed; its problems where it cannot be used."""
    from perennial import settings

    bucket, _, key = _needed(where, "settings").partition("/")
    body = clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read(settings.MAX_FILE_BYTES + 1)
    try:
        return settings.load(body.decode())
    except UnicodeDecodeError:
        return "it is not text in UTF-8"
    except InvalidConfiguration as error:
        return str(error)


def _key(clients: Clients, arn: str) -> str:
    return str(clients("kms").describe_key(KeyId=_needed(arn, "key"))["KeyMetadata"]["KeyState"])


def _workflow(clients: Clients, arn: str) -> WorkflowFacts:
    if not arn:
        raise NotFound("its parameter is not there, or you may not read it")
    status = str(clients("stepfunctions").describe_state_machine(stateMachineArn=arn)["status"])
    ended = [_last(clients, arn, each) for each in ("FAILED", "TIMED_OUT")]
    found = max((each for each in ended if each), key=lambda each: each[1], default=None)
    return WorkflowFacts(status=status, failed=found[0] if found else "", failed_at=found[1] if found else None)


def _last(clients: Clients, arn: str, status: str) -> tuple[str, datetime] | None:
    """The newest execution that ended so: they are listed from the newest."""
    reply = clients("stepfunctions").list_executions(stateMachineArn=arn, statusFilter=status, maxResults=1)
    for each in reply["executions"]:
        return str(each["name"]), (each.get("stopDate") or each["startDate"]).astimezone(UTC)
    return None


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the stack."""

    logical: str
    type: str
    physical: str


class Stack:
    """The resources of the stack that has a table, listed once for all who ask."""

    def __init__(self, clients: Clients, table: str) -> None:
        self._clients = clients
        self._table = table
        self._lock = threading.Lock()
        self._listed: tuple[Resource, ...] | None = None

    def of(self, kind: str) -> tuple[Resource, ...]:
        """The resources of one type, as AWS::Lambda::Function.

        Raises: NotFound where no stack has the table; ClientError, BotoCoreError.
        """
        with self._lock:
            if self._listed is None:
                self._listed = tuple(self._all())
            return tuple(each for each in self._listed if each.type == kind)

    def _all(self) -> Iterator[Resource]:
        pages = (
            self._clients("cloudformation")
            .get_paginator("list_stack_resources")
            .paginate(StackName=self._name(_needed(self._table, "table")), PaginationConfig={"MaxItems": MAX_RESOURCES})
        )
        for page in pages:
            for each in page["StackResourceSummaries"]:
                yield Resource(each["LogicalResourceId"], each["ResourceType"], each.get("PhysicalResourceId", ""))

    def _name(self, table: str) -> str:
        """The stack that has the table; the usual one where CloudFormation does not find it so (emulators do not)."""
        from botocore.exceptions import ClientError

        cloudformation = self._clients("cloudformation")
        try:
            found = cloudformation.describe_stack_resources(PhysicalResourceId=table)["StackResources"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            found = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        if not found:
            raise NotFound(f"no stack of CloudFormation has the table {table}")
        return str(found[0]["StackName"])


def _functions(clients: Clients, stack: Stack, now: datetime) -> tuple[FunctionFacts, ...]:
    names = [each.physical for each in stack.of("AWS::Lambda::Function")]
    errors = _sums(clients, names, "Errors", now)
    calls = _sums(clients, names, "Invocations", now)
    return tuple(_function(clients, each, calls.get(each, 0), errors.get(each, 0)) for each in names)


def _function(clients: Clients, name: str, calls: int, errors: int) -> FunctionFacts:
    found = clients("lambda").get_function_configuration(FunctionName=name)
    return FunctionFacts(
        name=name,
        state=str(found.get("State", "Active")),
        update=str(found.get("LastUpdateStatus", "Successful")),
        calls=calls,
        errors=errors,
    )


def _sums(clients: Clients, functions: Sequence[str], metric: str, now: datetime) -> dict[str, int]:
    """What CloudWatch counted within a day, by function."""
    counted = _measured(clients, functions, metric, DAY, now - RECENT, now)
    return {name: int(sum(value for _, value in values)) for name, values in counted.items()}


def _measured(
    clients: Clients, functions: Sequence[str], metric: str, period: int, since: datetime, until: datetime
) -> dict[str, list[tuple[datetime, float]]]:
    """Times and values of a metric, by function, the newest first."""
    queries = [_query(number, name, metric, period) for number, name in enumerate(functions[:MAX_METRICS])]
    if not queries:
        return {}
    reply = clients("cloudwatch").get_metric_data(MetricDataQueries=queries, StartTime=since, EndTime=until)
    return {
        functions[int(each["Id"][1:])]: list(zip(each["Timestamps"], each["Values"], strict=False))
        for each in reply["MetricDataResults"]
    }


def _query(number: int, name: str, metric: str, period: int) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": name}]
    measured = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": f"m{number}", "MetricStat": {"Metric": measured, "Period": period, "Stat": "Sum"}}


def _waiting(clients: Clients, stack: Stack) -> int:
    """Dead letters, those included that someone is looking at."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queues = [each.physical for each in stack.of("AWS::SQS::Queue")]
    if not queues:
        raise NotFound("the stack has no queue")
    replies = [clients("sqs").get_queue_attributes(QueueUrl=each, AttributeNames=names) for each in queues]
    return sum(int(reply["Attributes"][name]) for reply in replies for name in names)


def _alarms(clients: Clients, stack: Stack) -> dict[str, str]:
    """The alarms of the stack that sound, with what they say."""
    names = [each.physical for each in stack.of("AWS::CloudWatch::Alarm")]
    if not names:
        raise NotFound("the stack has no alarm")
    reply = clients("cloudwatch").describe_alarms(AlarmNames=names[:100], StateValue="ALARM")
    sounding = (each for each in reply["MetricAlarms"] if each["StateValue"] == "ALARM")
    return {str(each["AlarmName"]): str(each.get("AlarmDescription", "")) for each in sounding}


# --- what depends on time ---


def _rules(clients: Clients, stack: Stack) -> tuple[RuleFacts, ...]:
    found = (_rule(clients, each.physical) for each in stack.of("AWS::Events::Rule") if "|" not in each.physical)
    return tuple(each for each in found if each.schedule)  # those of another bus are named bus|rule, and have none


def _rule(clients: Clients, name: str) -> RuleFacts:
    found = clients("events").describe_rule(Name=name)
    enabled = found["State"] != "DISABLED"
    return RuleFacts(name=name, enabled=enabled, schedule=str(found.get("ScheduleExpression", "")))


def _tick(clients: Clients, stack: Stack, now: datetime) -> TickFacts:
    functions = stack.of("AWS::Lambda::Function")
    ticks = [each.physical for each in functions if TICK in each.logical]
    if not ticks:
        raise NotFound("the stack has no function Tick")
    calls = _measured(clients, ticks[:1], "Invocations", MINUTE, now - timedelta(hours=1), now)
    times = [at.astimezone(UTC) for at, value in calls.get(ticks[0], []) if value]
    day = _sums(clients, [each.physical for each in functions], "Invocations", now)
    return TickFacts(last=max(times, default=None), anything=any(day.values()))
