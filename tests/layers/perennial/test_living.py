"""The table in dictionaries answers as moto's does: the same life has the same steps on both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dict_aws import REGION
from dict_table import Item, Key
from inventory_table import create_table
from living import World, living_hub
from perennial.inventory.indexes import INDEXES
from perennial.inventory.items import Item as Model

SOON = "certificates_per_domain_and_week = 0\norders_per_hour = 3600"


class MotoTable:
    """moto's table in the place of `DictTable`, as far as one undisturbed life asks for it."""

    def __init__(self) -> None:
        self.around = lambda operation, send: send()
        self._client: Any = None

    @contextmanager
    def in_place(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patched, mock_aws():
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patched.setenv(name, "testing")
            patched.delenv("AWS_ENDPOINT_URL", raising=False)
            self._client = boto3.client("dynamodb", region_name=REGION)
            create_table(self._client, "inventory")
            Model._connection = None
            yield
            Model._connection = None

    def copy(self) -> dict[Key, Item]:
        found = self._client.scan(TableName="inventory")["Items"]
        return {(each["pk"]["S"], each["sk"]["S"]): each for each in found}

    def least(self, index: str, prefixes: tuple[str, ...]) -> str | None:
        partition, sort, _ = INDEXES[index]
        held = [each for each in self.copy().values() if each.get(partition, {"S": ""})["S"].startswith(prefixes)]
        return min((each[sort]["S"] for each in held), default=None)


def _life(world: World) -> tuple[list[str], list[Any], set[Key]]:
    """Declared, renewed, retired, declared with other names, removed."""
    world.apply(world.declared("shop"))
    world.live(timedelta(days=5))
    world.apply(world.declared("shop", "www.shop.svc.internal"))
    world.live(timedelta(hours=1))
    world.break_ca("refuses")
    world.force("shop")
    world.live(timedelta(hours=2))
    world.mend()
    world.remove("shop")
    world.live(timedelta(days=2))
    versions = [(each.number, each.state, each.issued_at, each.due_at) for each in world.versions("shop")]
    keys = {key for key in world.table.copy() if key[0].startswith("MANAGED#") and not key[1].startswith("PROOF#")}
    return world.steps, versions, keys


def test_both_tables_lead_the_same_life() -> None:
    """Every state of every execution, every version, and every item."""
    with living_hub("shop-a", issuer=SOON) as world:
        on_dictionaries = _life(world)
    with living_hub("shop-a", issuer=SOON, table=MotoTable()) as world:
        assert _life(world) == on_dictionaries
