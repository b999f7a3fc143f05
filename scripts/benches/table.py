"""The inventory's table for a bench: where PERENNIAL_BENCH_DYNAMODB says, else the local cloud's (decision 16)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from benches.report import DYNAMODB, say

WRITERS = 4
BATCH = 25  # the most that BatchWriteItem takes
TOLD_EVERY = 100_000
_SOON = {"Delay": 1, "MaxAttempts": 60}  # seconds between two looks at a table


def endpoint() -> str | None:
    """The DynamoDB-compatible endpoint that is named; None where none is. Ends the bench where it is not on loopback:
    tables are made and deleted there."""
    url = os.environ.get(DYNAMODB)
    if url and not _on_loopback(url):
        raise SystemExit(f"bench: {DYNAMODB} must be a URL on loopback, such as http://127.0.0.1:8000")
    return url or None


def _on_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme in ("http", "https") and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:  # no URL, or the name of another host
        return False


def tables(cloud: Mapping[str, str]) -> Mapping[str, str]:
    """Variables that lead to tables: `cloud`, those of a local cloud, and the endpoint's where one is named."""
    url = endpoint()
    if url is None:
        say(f"the table is the local cloud's, without true units; {DYNAMODB} may name an endpoint that has them")
        return cloud
    return {**cloud, "AWS_ENDPOINT_URL_DYNAMODB": url}


def client(environment: Mapping[str, str]) -> Any:
    """A client for the table that the variables lead to. Does not check what it sends."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "dynamodb",
        endpoint_url=environment.get("AWS_ENDPOINT_URL_DYNAMODB") or environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(parameter_validation=False),
    )


def made(environment: Mapping[str, str], name: str) -> Any:
    """Create the inventory's table and its indexes, empty; returns a client for it."""
    from inventory_table import create_table

    here = client(environment)
    drop(here, name)  # of a bench that was stopped
    create_table(here, name)
    here.get_waiter("table_exists").wait(TableName=name, WaiterConfig=_SOON)
    return here


def drop(here: Any, name: str) -> None:
    """Delete a table where it is there."""
    with suppress(here.exceptions.ResourceNotFoundException):
        here.delete_table(TableName=name)
        here.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig=_SOON)


def fill(here: Any, name: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Write items into a table, some batches at once."""
    requests = ({"PutRequest": {"Item": item}} for item in items)
    batches = iter(lambda: list(islice(requests, BATCH)), [])
    written = 0
    with ThreadPoolExecutor(WRITERS) as pool:
        while some := list(islice(batches, 8 * WRITERS)):
            list(pool.map(lambda batch: _write(here, name, batch), some))
            before, written = written, written + sum(map(len, some))
            if written // TOLD_EVERY > before // TOLD_EVERY:
                say(f"{written:,} items written")


def _write(here: Any, name: str, batch: list[dict[str, object]]) -> None:
    while batch:
        reply = here.batch_write_item(RequestItems={name: batch})
        batch = reply.get("UnprocessedItems", {}).get(name, [])
