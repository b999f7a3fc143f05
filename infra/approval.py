"""Approval: tell those who may decide on a change request, wait for them, and apply what they approve.

The input is `{"request": "<id>", "step": {"next", "seconds"}}`. Ask waits for a task token, which a decision sends
back; the request in the table says what was decided, the token only that something was. Nothing depends on it: an
execution that died, or that nothing wakes, is followed by another one, which the tick starts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from aws_cdk import ArnFormat, Duration, Stack, aws_kms
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.functions import Function
from infra.names import APPROVAL
from infra.workflow import Workflow, call, retried
from perennial.approval_settings import MAX_DAYS

REQUEST = sfn.JsonPath.string_at("$.request")


@dataclass(frozen=True, kw_only=True)
class ApprovalFunctions:
    """The functions that Approval calls."""

    ask: Function
    apply: Function
    expire: Function

    def all(self) -> list[Function]:
        """All of them."""
        return [getattr(self, each.name) for each in fields(self)]


class Approval(Construct):
    """The state machine. A request takes about seven state transitions."""

    def __init__(self, scope: Construct, construct_id: str, *, functions: ApprovalFunctions, key: aws_kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.workflow = Workflow(
            self,
            "Workflow",
            name=APPROVAL,
            definition=self._definition(functions),
            calls=functions.all(),
            key=key,
            timeout=Duration.days(MAX_DAYS + 2),
        )

    def _definition(self, of: ApprovalFunctions) -> sfn.IChainable:
        apply = call(self, "Apply", of.apply, {"request": REQUEST}, result_path="$.step")
        expire = call(self, "Expire", of.expire, {"request": REQUEST}, result_path="$.step")
        ask = self._ask(of.ask)
        following = (
            sfn.Choice(self, "What next?")
            .when(_next("ask"), ask)
            .when(_next("apply"), apply)
            .when(_next("expire"), expire)
            .otherwise(sfn.Succeed(self, "Ended"))
        )
        ask.add_catch(expire, errors=["States.Timeout"], result_path=sfn.JsonPath.DISCARD)
        ask.next(apply)
        apply.next(following)
        expire.next(following)
        return following

    def _ask(self, function: Function) -> tasks.LambdaInvoke:
        """A state that ends when a decision sends its token back, or when the time to decide is over."""
        return retried(
            tasks.LambdaInvoke(
                self,
                "Ask",
                lambda_function=function.function,
                integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
                payload=sfn.TaskInput.from_object({"request": REQUEST, "token": sfn.JsonPath.task_token}),
                task_timeout=sfn.Timeout.at("$.step.seconds"),
                retry_on_service_exceptions=False,
                result_path=sfn.JsonPath.DISCARD,
            )
        )


def machine_arn(scope: Construct) -> str:
    """The ARN of the state machine, by its name."""
    colons = ArnFormat.COLON_RESOURCE_NAME
    return Stack.of(scope).format_arn(
        service="states", resource="stateMachine", resource_name=APPROVAL, arn_format=colons
    )


def _next(word: str) -> sfn.Condition:
    return sfn.Condition.string_equals("$.step.next", word)
