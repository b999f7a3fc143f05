"""Dispatch: the function that starts what is due, and the one that makes due what an event concerns."""

from __future__ import annotations

from aws_cdk import Duration, aws_events, aws_sqs
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra import rules
from infra.functions import Function, Runtime


class Dispatch(Construct):
    """Both functions, and the rules that send events: from this account's default bus, and what members forwarded."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        runtime: Runtime,
        discovery: sfn.StateMachine,
        assessment: sfn.StateMachine,
        issuance: sfn.StateMachine,
        rollout: sfn.StateMachine,
        renewal: sfn.StateMachine,
        approval: sfn.StateMachine,
        bus: aws_events.IEventBus,
        dead_letters: aws_sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        self.tick = Function(
            self,
            "Tick",
            runtime=runtime,
            handler="dispatch/tick",
            description="Start what is due",
            timeout=Duration.seconds(55),
            environment={
                "PERENNIAL_DISCOVERY_ARN": discovery.state_machine_arn,
                "PERENNIAL_ASSESSMENT_ARN": assessment.state_machine_arn,
                "PERENNIAL_ISSUANCE_ARN": issuance.state_machine_arn,
                "PERENNIAL_ROLLOUT_ARN": rollout.state_machine_arn,
                "PERENNIAL_RENEWAL_ARN": renewal.state_machine_arn,
                "PERENNIAL_APPROVAL_ARN": approval.state_machine_arn,
            },
            dead_letters=dead_letters,
            retries=0,  # the next tick does what a failed one would have done
        )
        self.event = Function(
            self,
            "Event",
            runtime=runtime,
            handler="dispatch/event",
            description="Make the scopes that an event concerns due for a scan",
            timeout=Duration.seconds(30),
            dead_letters=dead_letters,
        )
        target = targets.LambdaFunction(self.event.function, dead_letter_queue=dead_letters)
        rules.rules(Construct(self, "Own"), target)
        of_aws = aws_events.EventPattern(source=aws_events.Match.prefix("aws."))
        aws_events.Rule(self, "Forwarded", event_bus=bus, event_pattern=of_aws, targets=[target])
