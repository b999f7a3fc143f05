"""Renewal: issue, deploy and prove, supersede, and after a grace period retire what was before.

The input is `{"managed": "<name>", "fence": <number of the lease>}`. Decide says what is next and does what is quick;
Issuance and Rollout are workflows of their own, whose results are in the table: whatever became of them, Decide is
asked again. It rests with the time of the next step in the due index, where the tick finds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import ArnFormat, Duration, Stack, aws_iam, aws_kms
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.acknowledge import acknowledge_wildcards
from infra.functions import Function
from infra.names import ISSUANCE, RENEWAL, ROLLOUT
from infra.workflow import Workflow, call

FENCE = sfn.JsonPath.object_at("$.fence")
MANAGED = sfn.JsonPath.string_at("$.managed")
REFERENCE = sfn.JsonPath.string_at("$.step.reference")
NAME = sfn.JsonPath.string_at("$.step.execution")
EVENTS_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


@dataclass(frozen=True, kw_only=True)
class RenewalFunctions:
    """The functions that Renewal calls."""

    decide: Function
    retire: Function

    def all(self) -> list[Function]:
        """All of them."""
        return [self.decide, self.retire]


class Renewal(Construct):
    """The state machine. A renewal takes about eight state transitions of its own."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: RenewalFunctions,
        issuance: sfn.StateMachine,
        rollout: sfn.StateMachine,
        key: aws_kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        self.workflow = Workflow(
            self,
            "Workflow",
            name=RENEWAL,
            definition=self._definition(functions, issuance, rollout),
            calls=functions.all(),
            key=key,
            timeout=Duration.days(14),  # Issuance takes at most four, Rollout seven
            statements=_may_run(self, issuance, rollout),
        )
        reason = "Executions have names of their own, which are not known when the stack is deployed."
        acknowledge_wildcards(self.workflow.role, _executions(self), reason)

    def _definition(
        self, of: RenewalFunctions, issuance: sfn.StateMachine, rollout: sfn.StateMachine
    ) -> sfn.IChainable:
        payload = {"managed": MANAGED, "fence": FENCE}
        decide = call(self, "Decide", of.decide, payload, result_path="$.step")
        issue = self._nested("Issue", issuance, "version")
        deploy = self._nested("Deploy and prove", rollout, "rollout")
        retire = call(
            self, "Retire", of.retire, {"version": REFERENCE, "fence": FENCE}, result_path=sfn.JsonPath.DISCARD
        )
        wait = sfn.Wait(self, "Wait", time=sfn.WaitTime.seconds_path("$.step.seconds")).next(decide)
        for each in (issue, deploy, retire):
            each.add_catch(decide, errors=["States.ALL"], result_path=sfn.JsonPath.DISCARD)
            each.next(decide)
        following = (
            sfn.Choice(self, "What next?")
            .when(_next("issue"), issue)
            .when(_next("deploy"), deploy)
            .when(_next("retire"), retire)
            .when(_next("wait"), wait)
            .otherwise(sfn.Succeed(self, "Rest"))
        )
        return decide.next(following)

    def _nested(self, name: str, machine: sfn.StateMachine, concerns: str) -> tasks.StepFunctionsStartExecution:
        """A workflow that runs to its end. One that was started under this name already is the same one."""
        return tasks.StepFunctionsStartExecution(
            self,
            name,
            state_machine=machine,
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            name=NAME,
            input=sfn.TaskInput.from_object({concerns: REFERENCE}),
            result_path=sfn.JsonPath.DISCARD,
        )


def _next(word: str) -> sfn.Condition:
    return sfn.Condition.string_equals("$.step.next", word)


def _executions(scope: Construct) -> list[str]:
    """The executions of both workflows."""
    stack, colons = Stack.of(scope), ArnFormat.COLON_RESOURCE_NAME
    return [
        stack.format_arn(service="states", resource="execution", resource_name=f"{name}:*", arn_format=colons)
        for name in (ISSUANCE, ROLLOUT)
    ]


def _may_run(scope: Construct, *machines: sfn.StateMachine) -> list[aws_iam.PolicyStatement]:
    """Start workflows and learn how they end (Step Functions Developer Guide, "IAM policies for nested executions")."""
    stack, executions = Stack.of(scope), _executions(scope)
    rule = stack.format_arn(service="events", resource="rule", resource_name=EVENTS_RULE)
    return [
        aws_iam.PolicyStatement(
            actions=["states:StartExecution"], resources=[each.state_machine_arn for each in machines]
        ),
        aws_iam.PolicyStatement(actions=["states:DescribeExecution", "states:StopExecution"], resources=executions),
        aws_iam.PolicyStatement(
            actions=["events:DescribeRule", "events:PutRule", "events:PutTargets"], resources=[rule]
        ),
    ]
