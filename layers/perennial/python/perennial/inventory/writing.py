"""Conditional writes and writes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pynamodb.exceptions import PynamoDBException, UpdateError
from pynamodb.expressions.update import Action

from perennial.inventory.items import Item

WRITERS = 16
CONDITION_FAILED = "ConditionalCheckFailedException"
T = TypeVar("T")


def update(key: tuple[str, str], actions: Sequence[Action], condition: Any = None) -> Item | None:
    """Update one item. Returns all of it as it is then; None where the condition does not hold.

    Raises: pynamodb's UpdateError for anything else.
    """
    item = Item(*key)
    try:
        item.update(list(actions), condition=condition)
    except UpdateError as error:
        if condition_failed(error):
            return None
        raise
    return item


def condition_failed(error: PynamoDBException) -> bool:
    """Whether an error means that a condition did not hold. pynamodb's own `cause_response_code` cannot be asked where
    no answer came."""
    response = getattr(error.cause, "response", None) or {}
    return bool(response.get("Error", {}).get("Code") == CONDITION_FAILED)


def in_parallel(write: Callable[[T], object], these: Iterable[T]) -> None:
    """Call `write` for each; the first error is raised after the running ones have ended."""
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(write, these):
            pass
