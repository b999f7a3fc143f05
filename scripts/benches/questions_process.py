"""Fills a table with an inventory, asks it every question, and prints what each answer read as JSON.

Run with the table's name and the number of certificates. Prints
{question: {certificates in the answer: {"read units": n, "items read": n}}}.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from typing import Any

from benches import counting
from benches.inventory_fleet import ANSWERS, Group, items
from benches.report import say

WRITERS = 4
BATCH = 25  # the most that BatchWriteItem takes
TOLD_EVERY = 100_000
DAYS = timedelta(days=30)


def main() -> None:
    counts = counting.everywhere()
    from perennial.inventory.items import Item
    from perennial.inventory.store import Inventory

    name, size = sys.argv[1], int(sys.argv[2])
    inventory = Inventory(name, region=os.environ["AWS_REGION"])
    client = Item._get_connection().connection.client
    _fill(client, name, size)
    print(json.dumps({question: dict(_costs(counts, ask)) for question, ask in _questions(inventory).items()}))


def _fill(client: Any, name: str, size: int) -> None:
    """Write all items, some batches at once."""
    requests = ({"PutRequest": {"Item": item.to_dynamodb_dict()}} for item in items(size))
    batches = iter(lambda: list(islice(requests, BATCH)), [])
    written = 0
    with ThreadPoolExecutor(WRITERS) as pool:
        while some := list(islice(batches, 8 * WRITERS)):
            list(pool.map(lambda batch: _write(client, name, batch), some))
            before, written = written, written + sum(map(len, some))
            if written // TOLD_EVERY > before // TOLD_EVERY:
                say(f"{written:,} items written")


def _write(client: Any, name: str, batch: list[dict[str, object]]) -> None:
    while batch:
        reply = client.batch_write_item(RequestItems={name: batch})
        batch = reply.get("UnprocessedItems", {}).get(name, [])


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
