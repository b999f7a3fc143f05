"""The inventory's table, with the indexes that `perennial.inventory.indexes` declares."""

from __future__ import annotations

from aws_cdk import RemovalPolicy, aws_dynamodb, aws_kms
from constructs import Construct

from perennial.inventory.indexes import INDEXES, TIME_TO_LIVE


class InventoryTable(Construct):
    """One table, on demand. It cannot be deleted by mistake, and any second of the last 35 days can be restored."""

    def __init__(self, scope: Construct, construct_id: str, *, key: aws_kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.table = aws_dynamodb.Table(
            self,
            "Table",
            partition_key=_text("pk"),
            sort_key=_text("sk"),
            billing_mode=aws_dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=aws_dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=aws_dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
            time_to_live_attribute=TIME_TO_LIVE,
        )
        for name, (partition, sort, projected) in INDEXES.items():
            self._index(name, partition, sort, projected)

    @property
    def index_arns(self) -> list[str]:
        """The ARN of every index: reading one is a permission of its own."""
        return [f"{self.table.table_arn}/index/{name}" for name in INDEXES]

    def _index(self, name: str, partition: str, sort: str, projected: tuple[str, ...] | None) -> None:
        kind = aws_dynamodb.ProjectionType
        self.table.add_global_secondary_index(
            index_name=name,
            partition_key=_text(partition),
            sort_key=_text(sort),
            projection_type=kind.KEYS_ONLY if projected is None else kind.INCLUDE,
            non_key_attributes=None if projected is None else list(projected),
        )


def _text(name: str) -> aws_dynamodb.Attribute:
    return aws_dynamodb.Attribute(name=name, type=aws_dynamodb.AttributeType.STRING)
