"""The inventory's table in dictionaries, for lists that are read in pages: `DictTable` whose queries go on behind any
key, in either direction, and count what they read.

Of entries with one sort key in an index, the order is one of its own, as DynamoDB promises none: not that of their
keys. The end of a query is told as DynamoDB does: one that found as many items as its limit may have more.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from sortedcontainers import SortedDict

from dict_table import DictTable, Item, Key
from perennial.inventory.indexes import INDEXES

BLOCK = 4_096  # bytes of a read unit (DynamoDB Developer Guide, "Read consistency": half of one where eventual)
_KEYS = ("pk", "sk")
_SORTED = (("", "pk", "sk"), *((index, partition, sort) for index, (partition, sort, _) in INDEXES.items()))
_CONDITION = re.compile(
    r"\(?(?P<partition>#\w+) = (?P<value>:\w+)"
    r"(?: AND (?:(?P<sort>#\w+) (?P<how>=|<|<=|>|>=|BETWEEN) (?P<first>:\w+)(?: AND (?P<second>:\w+))?"
    r"|begins_with \((?P<begins>#\w+), (?P<prefix>:\w+)\)))?\)?"
)
_TOP = "\U0010ffff"


class PagedTable(DictTable):
    """One table, and what was read of it: `items` that queries walked over and batches got, in `units`."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Count from nothing."""
        self.items_read, self.queries, self.units = 0, 0, 0.0

    def put(self, item: Item) -> None:
        """Write an item, in DynamoDB's JSON as `to_dynamodb_dict` writes it: bytes are base64."""
        self._put({name: {"B": b64decode(each["B"])} if "B" in each else each for name, each in item.items()})

    def _put(self, item: Item) -> None:
        self._remove(_key(item))
        self._items[_key(item)] = item
        for index, value, place in _places(item):
            self._indexes[index].setdefault(value, SortedDict())[place] = item

    def _remove(self, key: Key) -> None:
        for index, value, place in _places(self._items.pop(key, {})):
            del self._indexes[index][value][place]

    def _BatchGetItem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        for asked in request["RequestItems"].values():
            keys = [_key(each) for each in asked["Keys"]]
            assert len(set(keys)) == len(keys) <= 100, "BatchGetItem takes each key once, and at most 100"
            got = [self._items[each] for each in keys if each in self._items]
            self.items_read += len(got)
            share = 1.0 if asked.get("ConsistentRead") else 0.5
            self.units += share * sum(-(-_size(each) // BLOCK) for each in got)
        return super()._BatchGetItem(request)

    def _Query(self, request: Mapping[str, Any]) -> dict[str, Any]:
        index = request.get("IndexName", "")
        _, _, projected = INDEXES[index] if index else ("", "", None)
        own = next((partition, sort) for name, partition, sort in _SORTED if name == index)
        walked = list(islice(self._walk(index, own, request), request.get("Limit")))
        told = (*_KEYS, *own, *(projected or ())) if index else None
        items = [{name: each[name] for name in told or each if name in each} for each in walked]
        self._count(items, consistent=bool(request.get("ConsistentRead")))
        assert "FilterExpression" not in request, "no list filters in the table"
        full = items and len(items) == request.get("Limit")
        last = {"LastEvaluatedKey": {name: walked[-1][name] for name in dict.fromkeys((*_KEYS, *own))}} if full else {}
        return {"Items": items, "Count": len(items), "ScannedCount": len(items), **last}

    def _count(self, items: list[Item], *, consistent: bool) -> None:
        self.queries += 1
        self.items_read += len(items)
        self.units += (1.0 if consistent else 0.5) * max(1, -(-sum(map(_size, items)) // BLOCK))

    def _walk(self, index: str, own: tuple[str, str], request: Mapping[str, Any]) -> Iterator[Item]:
        """The items of a partition that a query's condition has, behind its start."""
        value, low, high = _asked(request, own)
        held = self._partition(index, value)
        start, backward = request.get("ExclusiveStartKey"), not request.get("ScanIndexForward", True)
        least: Any = (low,) if low is not None else None
        most: Any = (high, (_TOP,)) if high is not None else None
        if start:
            assert start[own[0]]["S"] == value, "the provided starting key is invalid"
            sort = start[own[1]]["S"]
            assert (low is None or sort >= low) and (high is None or sort <= high), (
                "the provided starting key is outside query boundaries based on provided conditions"
            )
            place = (sort, _tie(index, _key(start)))
            least, most = (least, place) if backward else (place, most)
        ends = (not start or backward, not start or not backward)
        return (held[place] for place in held.irange(least, most, ends, reverse=backward))


def _asked(request: Mapping[str, Any], own: tuple[str, str]) -> tuple[str, str | None, str | None]:
    """The partition that a query names, and the least and greatest sort key that it takes."""
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    found = _CONDITION.fullmatch(request["KeyConditionExpression"])
    assert found and names[found["partition"]] == own[0], f"{request['KeyConditionExpression']} is not known here"
    value = values[found["value"]]["S"]
    if found["begins"]:
        prefix = values[found["prefix"]]["S"]
        return value, prefix, prefix + _TOP
    if not found["how"]:
        return value, None, None
    assert names[found["sort"]] == own[1]
    first = values[found["first"]]["S"]
    if found["how"] == "BETWEEN":
        second = values[found["second"]]["S"]
        assert first <= second, "the BETWEEN operator requires upper bound to be greater than or equal to lower bound"
        return value, first, second
    below, above = first[:-1] + chr(ord(first[-1]) - 1) + _TOP, first + "\0"
    ranges = {"=": (first, first), "<": (None, below), "<=": (None, first), ">": (above, None), ">=": (first, None)}
    return value, *ranges[found["how"]]


def _key(item: Mapping[str, Any]) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def _tie(index: str, key: Key) -> Key:
    """The order of items with one sort key: in the table there is none, in an index some."""
    return (hashlib.md5("\n".join(key).encode()).hexdigest(), "") if index else key


def _places(item: Item) -> list[tuple[str, str, tuple[str, Key]]]:
    """Where an item is: in which index ("" for the table), in which partition, and by what it is sorted there."""
    return [
        (index, item[partition]["S"], (item[sort]["S"], _tie(index, _key(item))))
        for index, partition, sort in _SORTED
        if partition in item and sort in item
    ]


def _size(item: Item) -> int:
    """The bytes of an item (DynamoDB Developer Guide, "DynamoDB item sizes and formats"): names and values."""
    return sum(len(name.encode()) + len(str(*value.values()).encode()) for name, value in item.items())
