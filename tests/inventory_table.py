"""The inventory's table as the stack declares it, for tests without the stack."""

from __future__ import annotations

from typing import Any

from perennial.inventory.indexes import INDEXES


def create_table(client: Any, name: str) -> None:
    """Create the table and its indexes, on demand, made of the declaration that `infra/` uses."""
    keys = {"pk", "sk"} | {key for partition, sort, _ in INDEXES.values() for key in (partition, sort)}
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_schema("pk", "sk"),
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in sorted(keys)],
        GlobalSecondaryIndexes=[
            {"IndexName": index, "KeySchema": _schema(partition, sort), "Projection": _projection(projected)}
            for index, (partition, sort, projected) in INDEXES.items()
        ],
    )


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def _projection(projected: tuple[str, ...] | None) -> dict[str, Any]:
    if projected is None:
        return {"ProjectionType": "KEYS_ONLY"}
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(projected)}
