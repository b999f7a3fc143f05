"""State machines: how each calls a function, tries again, logs, and what its role may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack, aws_iam, aws_kms, aws_logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.acknowledge import acknowledge
from infra.errors import RETRIED
from infra.functions import Function

LOG_DELIVERY = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)
TRACING = (
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)


def call(
    scope: Construct, name: str, function: Function, payload: Mapping[str, Any], **result: Any
) -> tasks.LambdaInvoke:
    """A state that calls a function, and calls it again later when the error says that this helps."""
    state = tasks.LambdaInvoke(
        scope,
        name,
        lambda_function=function.function,
        payload=sfn.TaskInput.from_object(dict(payload)),
        payload_response_only=True,
        retry_on_service_exceptions=False,
        **result,
    )
    return retried(state)


def retried(state: tasks.LambdaInvoke) -> tasks.LambdaInvoke:
    """The state, which calls its function again later when the error says that this helps."""
    state.add_retry(
        errors=RETRIED,
        interval=Duration.seconds(2),
        backoff_rate=2,
        max_attempts=6,
        max_delay=Duration.minutes(5),
        jitter_strategy=sfn.JitterType.FULL,
    )
    return state


class Workflow(Construct):
    """A standard state machine under a fixed name, whose role may call exactly the functions it is given."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        definition: sfn.IChainable,
        calls: Sequence[Function],
        key: aws_kms.IKey,
        timeout: Duration,
        statements: Sequence[aws_iam.PolicyStatement] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = _role(self, [_may_call(calls), *statements])
        self.machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=name,
            definition_body=sfn.DefinitionBody.from_chainable(definition),
            role=self.role.without_policy_updates(),
            timeout=timeout,
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=_log_group(self, name, key), level=sfn.LogLevel.ERROR, include_execution_data=False
            ),
        )
        acknowledge(
            self.machine,
            {"SF1": "Errors only: the inventory records how every scope ended, and a log of every event of every "
             "scope would cost more than the scans."},
        )  # fmt: skip


def _may_call(functions: Sequence[Function]) -> aws_iam.PolicyStatement:
    return aws_iam.PolicyStatement(
        actions=["lambda:InvokeFunction"], resources=[each.function.function_arn for each in functions]
    )


def _role(scope: Construct, statements: Sequence[aws_iam.PolicyStatement]) -> aws_iam.Role:
    """Written out here, as CDK's own grants would add `function:*` and `log-group:*`."""
    watched = aws_iam.PolicyStatement(actions=[*LOG_DELIVERY, *TRACING], resources=["*"])
    role = aws_iam.Role(
        scope,
        "Role",
        assumed_by=aws_iam.ServicePrincipal(
            "states.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}}
        ),
        inline_policies={"Workflow": aws_iam.PolicyDocument(statements=[*statements, watched])},
    )
    acknowledge(
        role,
        {"IAM5[Resource::*]": "Log delivery and X-Ray have no resource-level permission."},
    )
    return role


def _log_group(scope: Construct, name: str, key: aws_kms.IKey) -> aws_logs.LogGroup:
    return aws_logs.LogGroup(
        scope,
        "Logs",
        log_group_name=f"/aws/vendedlogs/states/{name}",  # this prefix keeps the log resource policy short
        encryption_key=key,
        retention=aws_logs.RetentionDays.THREE_MONTHS,
        removal_policy=RemovalPolicy.DESTROY,
    )
