"""The topic that tells people: severe findings, and alarms about Perennial itself."""

from __future__ import annotations

from aws_cdk import Stack, aws_iam, aws_kms, aws_sns
from constructs import Construct


class NotificationTopic(Construct):
    """An encrypted topic to which only TLS clients, this account's alarms and the publishing role may send."""

    def __init__(self, scope: Construct, construct_id: str, *, key: aws_kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.topic = aws_sns.Topic(self, "Topic", display_name="Perennial", master_key=key, enforce_ssl=True)
        self.topic.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
