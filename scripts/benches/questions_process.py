"""Fills a table with an inventory, asks it every question, and prints what each answer read as JSON.

Run with the table's name and the number of certificates. Prints
{question: {certificates in the answer: {"read units": n, "items read": n}}}.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from benches import counting, table
from benches.inventory_fleet import ANSWERS, Group, items

DAYS = timedelta(days=30)


def main() -> None:
    counts = counting.everywhere()
    from perennial.inventory.items import Item
    from perennial.inventory.store import Inventory

    name, size = sys.argv[1], int(sys.argv[2])
    inventory = Inventory(name, region=os.environ["AWS_REGION"])
    client = Item._get_connection().connection.client
    table.fill(client, name, (item.to_dynamodb_dict() for item in items(size)))
    print(json.dumps({question: dict(_costs(counts, ask)) for question, ask in _questions(inventory).items()}))


def _questions(ask: Any) -> dict[str, Callable[[Group], Iterable[object]]]:
    return {
        "expiring within 30 days": lambda group: ask.expiring(group.since, group.since + DAYS),
        "of an owner": lambda group: ask.owned_by(group.owner),
        "of an issuer": lambda group: ask.issued_by(group.issuer),
        "with a key": lambda group: ask.with_key(group.key),
        "with a signature": lambda group: ask.signed_with(group.signature),
        "with a public key": lambda group: ask.with_public_key(group.public_key),
        "with a name": lambda group: ask.named(group.name),
        "at a resource": lambda group: ask.at_resource(group.resource),
        "findings of a severity": lambda group: ask.findings([group.severity]),
    }


def _costs(counts: counting.Counts, ask: Callable[[Group], Iterable[object]]) -> Iterator[tuple[int, dict[str, float]]]:
    for answer in ANSWERS:
        units, items_read = counts.read, counts.items
        found = sum(1 for _ in ask(Group(str(answer))))
        if found != answer:
            raise SystemExit(f"{found} certificates were found instead of {answer}")
        yield answer, {"read units": counts.read - units, "items read": counts.items - items_read}


if __name__ == "__main__":
    main()
