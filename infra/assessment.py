"""Assessment: assess the places that are due, shard by shard, then publish the findings that changed."""

from __future__ import annotations

from aws_cdk import Duration, aws_kms
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.functions import Function
from infra.names import ASSESSMENT
from infra.workflow import Workflow, call
from perennial.inventory.indexes import SHARDS


def steps(scope: Construct, *, assess: Function, publish: Function) -> sfn.Chain:
    """The states from assessing to done. They keep the input that they are given."""
    shards = sfn.Pass(
        scope, "Name the shards", result=sfn.Result.from_array(list(range(SHARDS))), result_path="$.shards"
    )
    every = sfn.Map(
        scope,
        "Each shard",
        items_path="$.shards",
        item_selector={"shard": sfn.JsonPath.object_at("$$.Map.Item.Value")},
        max_concurrency=SHARDS,
        result_path=sfn.JsonPath.DISCARD,
    )
    every.item_processor(_assess(scope, assess))
    return shards.next(every).next(_publish(scope, publish))


def _assess(scope: Construct, function: Function) -> sfn.IChainable:
    again = call(scope, "Assess", function, {"shard": sfn.JsonPath.number_at("$.shard")}, result_path="$.result")
    done = sfn.Succeed(scope, "Shard assessed", output_path=sfn.JsonPath.DISCARD)
    more = sfn.Choice(scope, "More to assess?").when(_went_on("$.result", "assessed"), again).otherwise(done)
    return again.next(more)


def _publish(scope: Construct, function: Function) -> sfn.IChainable:
    again = call(scope, "Publish", function, {}, result_path="$.published")
    done = sfn.Succeed(scope, "Published")
    more = sfn.Choice(scope, "More to publish?").when(_went_on("$.published", "published"), again).otherwise(done)
    return again.next(more)


def _went_on(result: str, count: str) -> sfn.Condition:
    """Something remains, and something was done. Without progress this loop ends: the next tick tries again."""
    return sfn.Condition.and_(
        sfn.Condition.boolean_equals(f"{result}.remaining", True),
        sfn.Condition.number_greater_than(f"{result}.{count}", 0),
    )


class Assessment(Construct):
    """The state machine that the tick starts when something is due."""

    def __init__(
        self, scope: Construct, construct_id: str, *, assess: Function, publish: Function, key: aws_kms.IKey
    ) -> None:
        super().__init__(scope, construct_id)
        self.workflow = Workflow(
            self,
            "Workflow",
            name=ASSESSMENT,
            definition=steps(self, assess=assess, publish=publish),
            calls=[assess, publish],
            key=key,
            timeout=Duration.hours(12),
        )
