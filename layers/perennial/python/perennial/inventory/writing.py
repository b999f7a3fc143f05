"""Conditional writes and writes side by side."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pynamodb.exceptions import PynamoDBException, UpdateError
from pynamodb.expressions.update import Action

from perennial.inventory.items import Item

WRITERS = 16
CONDITION_FAILED = "ConditionalCheckFailedException"
IN_TRANSACTION = "TransactionConflictException"  # another writer's transaction has the item: for some milliseconds
PATIENCE = 6  # attempts while it has
FIRST_PAUSE = 0.02  # seconds; it doubles, and each pause is a random part of it
T = TypeVar("T")


def update(key: tuple[str, str], actions: Sequence[Action], condition: Any = None) -> Item | None:
    """Update one item. Returns all of it as it is then; None where the condition does not hold.

    Raises: pynamodb's UpdateError for anything else.
    """
    item = Item(*key)
    try:
        unless_in_transaction(lambda: item.update(list(actions), condition=condition))
    except UpdateError as error:
        if condition_failed(error):
            return None
        raise
    return item


def unless_in_transaction(write: Callable[[], object], pause: Callable[[float], object] = time.sleep) -> None:
    """Write, again and again while the item is part of another writer's transaction: DynamoDB refuses such a write, and
    no SDK repeats it (Developer Guide, "Transaction conflict handling in DynamoDB").

    Raises: pynamodb's errors, that one too after `PATIENCE` attempts.
    """
    for attempt in range(PATIENCE):
        try:
            write()
        except PynamoDBException as error:
            if _code(error) != IN_TRANSACTION or attempt == PATIENCE - 1:
                raise
        else:
            return
        pause(FIRST_PAUSE * 2**attempt * secrets.randbelow(1_000) / 1_000)


def condition_failed(error: PynamoDBException) -> bool:
    """Whether an error means that a condition did not hold. pynamodb's own `cause_response_code` cannot be asked where
    no answer came."""
    return _code(error) == CONDITION_FAILED


def _code(error: PynamoDBException) -> str:
    response = getattr(error.cause, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def in_parallel(write: Callable[[T], object], these: Iterable[T]) -> None:
    """Call `write` for each; the first error is raised after the running ones have ended."""
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(write, these):
            pass
