"""Discovery: plan the scopes, scan each, collect the run, then assess what changed and publish.

The input is `{}` for everything or `{"scopes": ["account/region/source", …]}`; the run has the execution's name.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration, Stack, aws_iam, aws_kms, aws_s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra import assessment
from infra.acknowledge import acknowledge_wildcards
from infra.functions import Function
from infra.names import DISCOVERY
from infra.workflow import Workflow, call

RUN = sfn.JsonPath.string_at("$.run")
SCOPE = sfn.JsonPath.string_at("$.scope")
PLANS = "runs/*"


@dataclass(frozen=True, kw_only=True)
class DiscoveryFunctions:
    """The functions that Discovery calls, in their order."""

    plan: Function
    scan: Function
    abandon: Function
    collect: Function
    assess: Function
    publish: Function

    def all(self) -> list[Function]:
        """All of them."""
        return [self.plan, self.scan, self.abandon, self.collect, self.assess, self.publish]


class Discovery(Construct):
    """The state machine. A scope that cannot be scanned never fails the run: it is recorded as incomplete."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: DiscoveryFunctions,
        bucket: aws_s3.IBucket,
        concurrency: int,
        key: aws_kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        self.workflow = Workflow(
            self,
            "Workflow",
            name=DISCOVERY,
            definition=self._definition(functions, bucket, concurrency),
            calls=functions.all(),
            key=key,
            timeout=Duration.hours(11),
            statements=self._map_statements(bucket, key),
        )
        # CDK's policy for distributed maps hangs on no role here: `_map_statements` says the same, more narrowly.
        self.workflow.machine.node.try_remove_child("DistributedMapPolicy")
        acknowledge_wildcards(
            self.workflow.role,
            [bucket.arn_for_objects(PLANS), self._arn("execution", f"{DISCOVERY}/*")],
            "A run's plan and its child executions are named after the run, which does not exist yet.",
        )

    def _definition(self, functions: DiscoveryFunctions, bucket: aws_s3.IBucket, concurrency: int) -> sfn.Chain:
        run = sfn.JsonPath.string_at("$$.Execution.Name")
        plan = call(self, "Plan", functions.plan, {"run": run, "input": sfn.JsonPath.object_at("$")})
        started_at = sfn.JsonPath.string_at("$.started_at")
        full = sfn.JsonPath.object_at("$.full")
        collect = call(self, "Collect", functions.collect, {"run": RUN, "started_at": started_at, "full": full})
        after = assessment.steps(self, assess=functions.assess, publish=functions.publish)
        return plan.next(self._every_scope(functions, bucket, concurrency)).next(collect).next(after)

    def _every_scope(
        self, functions: DiscoveryFunctions, bucket: aws_s3.IBucket, concurrency: int
    ) -> sfn.DistributedMap:
        """One child execution for each scope. Each ends in {}: all outputs together must stay below 256 KB."""
        every = sfn.DistributedMap(
            self,
            "Each scope",
            label="Scope",
            map_execution_type=sfn.StateMachineType.STANDARD,  # a scan may take longer than Express's 5 minutes
            item_reader=sfn.S3JsonItemReader(bucket=bucket, key=sfn.JsonPath.string_at("$.key")),
            item_selector={"run": RUN, "scope": sfn.JsonPath.string_at("$$.Map.Item.Value")},
            max_concurrency=concurrency,
            tolerated_failure_percentage=100,  # Collect counts a scope that left no word as incomplete
            result_path=sfn.JsonPath.DISCARD,
        )
        every.item_processor(self._one_scope(functions))
        return every

    def _one_scope(self, functions: DiscoveryFunctions) -> sfn.IChainable:
        done = sfn.Succeed(self, "Scope done", output_path=sfn.JsonPath.DISCARD)
        scan = call(
            self,
            "Scan",
            functions.scan,
            {"run": RUN, "scope": SCOPE},
            result_selector={"status": sfn.JsonPath.string_at("$.status")},
            result_path="$.result",
        )
        error = sfn.JsonPath.object_at("$.error")
        abandon = call(
            self,
            "Abandon",
            functions.abandon,
            {"run": RUN, "scope": SCOPE, "error": error},
            result_path=sfn.JsonPath.DISCARD,
        )
        scan.add_catch(abandon.next(done), errors=["States.ALL"], result_path="$.error")
        to_continue = sfn.Condition.string_equals("$.result.status", "continue")
        return scan.next(sfn.Choice(self, "Scanned?").when(to_continue, scan).otherwise(done))

    def _map_statements(self, bucket: aws_s3.IBucket, key: aws_kms.IKey) -> list[aws_iam.PolicyStatement]:
        """What a distributed map does by itself: read its items, and start and watch its children."""
        return [
            aws_iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects(PLANS)]),
            aws_iam.PolicyStatement(actions=["kms:Decrypt"], resources=[key.key_arn]),
            aws_iam.PolicyStatement(
                actions=["states:StartExecution"], resources=[self._arn("stateMachine", DISCOVERY)]
            ),
            aws_iam.PolicyStatement(
                actions=["states:DescribeExecution", "states:RedriveExecution", "states:StopExecution"],
                resources=[self._arn("execution", f"{DISCOVERY}/*")],
            ),
        ]

    def _arn(self, kind: str, name: str) -> str:
        stack = Stack.of(self)
        return f"arn:{stack.partition}:states:{stack.region}:{stack.account}:{kind}:{name}"
