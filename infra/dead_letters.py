"""Where asynchronous work ends that failed for good. An alarm watches it."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, aws_sqs
from constructs import Construct

from infra.acknowledge import acknowledge


class DeadLetters(Construct):
    """A queue that keeps for two weeks. It holds events and references, never certificates' keys."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.queue = aws_sqs.Queue(
            self,
            "Queue",
            encryption=aws_sqs.QueueEncryption.SQS_MANAGED,  # a customer's key would have to admit each AWS service
            enforce_ssl=True,
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(self.queue, {"SQS3": "This is the dead-letter queue."})
