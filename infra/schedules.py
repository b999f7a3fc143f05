"""When things start by themselves: Discovery twice a day, the tick every minute."""

from __future__ import annotations

from aws_cdk import Duration, aws_events, aws_sqs
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.functions import Function


class Schedules(Construct):
    """The two schedules. Both may fire twice or late: what they start is idempotent."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        discovery: sfn.IStateMachine,
        every: Duration,
        tick: Function,
        dead_letters: aws_sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        scan_all = targets.SfnStateMachine(
            discovery, input=aws_events.RuleTargetInput.from_object({}), dead_letter_queue=dead_letters
        )
        tick_once = targets.LambdaFunction(
            tick.function,
            dead_letter_queue=dead_letters,
            max_event_age=Duration.minutes(1),  # the next tick does what a late one would
            retry_attempts=0,
        )
        rate = aws_events.Schedule.rate
        aws_events.Rule(self, "Discovery", schedule=rate(every), targets=[scan_all])
        aws_events.Rule(self, "Tick", schedule=rate(Duration.minutes(1)), targets=[tick_once])
