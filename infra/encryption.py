"""The one key that encrypts what Perennial keeps: table, manifests, topic and logs."""

from __future__ import annotations

from aws_cdk import RemovalPolicy, Stack, aws_iam, aws_kms
from constructs import Construct


class EncryptionKey(Construct):
    """A customer-managed KMS key that rotates every year and is kept when the stack goes."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.key = aws_kms.Key(
            self,
            "Key",
            alias="perennial",
            description="Perennial: table, manifests, topic and logs",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
        self._let_logs_encrypt()
        self._let_alarms_notify()

    def _let_logs_encrypt(self) -> None:
        stack = Stack.of(self)
        groups = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:*"
        self.key.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal(f"logs.{stack.region}.{stack.url_suffix}")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
            )
        )

    def _let_alarms_notify(self) -> None:
        """An alarm's message to an encrypted topic is encrypted by CloudWatch."""
        self.key.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
