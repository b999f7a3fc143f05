"""The inventory's table in dictionaries, for tests that take hundreds of thousands of steps.

It answers at the level of pynamodb's connection, so that the whole inventory runs as it is: models, conditions,
updates, queries and indexes. moto takes many times as long; `test_living.py` lets both have the same life.

    table = DictTable()
    with table.in_place():
        inventory.save_managed(record)
    table.items("managed")

Whatever it does not know in a request is an error. Items are DynamoDB's JSON: {"pk": {"S": "…"}, …}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pynamodb.connection.base import Connection
from pynamodb.exceptions import CancellationReason, VerboseClientError
from sortedcontainers import SortedDict

from perennial.inventory.indexes import INDEXES

Item = dict[str, dict[str, Any]]
Key = tuple[str, str]
Values = Mapping[str, Any]
Range = tuple[Any, Any]  # of sort keys, without its ends; None for no end
Test = Callable[[Item, Values, Values], bool]
_TOKEN = re.compile(r"\s*(#\w+|:\w+|<=|>=|<>|[=<>(),+-]|\w+)")
_UPDATE = re.compile(r"(SET|REMOVE|ADD|DELETE)\s+(.*?)(?=\s*(?:SET|REMOVE|ADD|DELETE)\s|$)")
_PARTS = re.compile(r",(?![^(]*\))")  # between the parts of an update, not within a function
_IF_NOT_EXISTS = re.compile(r"= if_not_exists \((#\w+), (:\w+)\)")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_READS = {"ConsistentRead", "Limit", "ExclusiveStartKey", "ScanIndexForward", "IndexName", "ProjectionExpression"}
_CONDITIONS = {"KeyConditionExpression", "FilterExpression", "ConditionExpression", "UpdateExpression"}
_NAMED = {"TableName", "Key", "Item", "ExpressionAttributeNames", "ExpressionAttributeValues", "RequestItems"}
_TRANSACTED = {"TransactItems"}
_TOLD = {"ReturnConsumedCapacity", "ReturnValues", "ReturnItemCollectionMetrics"}


class DictTable:
    """One table. `around` is called with each request's operation and what sends it: a test may stop it there."""

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}
        self._indexes: dict[str, dict[str, SortedDict]] = {index: {} for index, _, _ in _SORTED}
        self._stale: dict[Key, Item] | None = None
        self.around: Callable[[str, Callable[[], Any]], Any] = lambda operation, send: send()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Answer whatever pynamodb asks."""

        def asked(_: Connection, operation: str, request: dict[str, Any]) -> Any:
            unknown = set(request) - _READS - _CONDITIONS - _NAMED - _TRANSACTED - _TOLD
            assert not unknown, f"{operation}: {unknown} is not known here"
            return self.around(operation, lambda: getattr(self, f"_{operation}")(request))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Connection, "_make_api_call", asked)
            yield

    @contextmanager
    def stale_indexes(self, since: dict[Key, Item]) -> Iterator[None]:
        """Indexes answer as they did when `copy` was taken: they are eventually consistent."""
        self._stale = since
        try:
            yield
        finally:
            self._stale = None

    def copy(self) -> dict[Key, Item]:
        """Everything, as it is now. Items are never changed in place."""
        return dict(self._items)

    def items(self, kind: str) -> list[Item]:
        """The items of a kind, in the order of their keys."""
        return [each for _, each in sorted(self._items.items()) if each.get("kind") == {"S": kind}]

    def least(self, index: str, prefixes: tuple[str, ...]) -> str | None:
        """The least sort key in the partitions of an index whose names begin so."""
        held = [each for value, each in self._indexes[index].items() if each and value.startswith(prefixes)]
        return min((each.peekitem(0)[0][0] for each in held), default=None)

    # --- writes ---

    def _PutItem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        item = request["Item"]
        self._check("PutItem", request, self._items.get(_key(item), {}))
        self._put(item)
        return {}

    def _UpdateItem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        before = self._items.get(_key(request["Key"]), {})
        self._check("UpdateItem", request, before)
        item = {**before, **request["Key"]}
        names, values = request["ExpressionAttributeNames"], request.get("ExpressionAttributeValues", {})
        for verb, rest in _UPDATE.findall(request["UpdateExpression"]):
            for part in _PARTS.split(rest):
                _apply(item, verb, part.split(), names, values)
        self._put(item)
        return {"Attributes": dict(item)}

    def _DeleteItem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._check("DeleteItem", request, self._items.get(_key(request["Key"]), {}))
        self._remove(_key(request["Key"]))
        return {}

    def _BatchWriteItem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        for asked in (each for wanted in request["RequestItems"].values() for each in wanted):
            if "PutRequest" in asked:
                self._put(asked["PutRequest"]["Item"])
            else:
                self._remove(_key(asked["DeleteRequest"]["Key"]))
        return {"UnprocessedItems": {}}

    def _TransactWriteItems(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Puts, all of them or none. Only what the inventory sends is known: other kinds of writes are an error, and so
        are two of one item (API reference, TransactWriteItems)."""
        puts = [_put_of(each) for each in request["TransactItems"]]
        keys = [_key(each["Item"]) for each in puts]
        assert 0 < len(keys) <= 100, f"a transaction has {len(keys)} items"
        assert len(set(keys)) == len(keys), f"a transaction has an item twice: {keys}"
        reasons = [self._reason(each) for each in puts]
        if any(reasons):
            raise _cancelled(reasons)
        for each in puts:
            self._put(each["Item"])
        return {}

    def _reason(self, put: Mapping[str, Any]) -> CancellationReason | None:
        if _holds(put, self._items.get(_key(put["Item"]), {})):
            return None
        return CancellationReason(code="ConditionalCheckFailed", message="The conditional request failed")

    def _check(self, operation: str, request: Mapping[str, Any], item: Item) -> None:
        if not _holds(request, item):
            answer = _answer("ConditionalCheckFailedException", "The conditional request failed")
            raise ClientError(answer, operation)

    def _put(self, item: Item) -> None:
        self._remove(_key(item))
        self._items[_key(item)] = item
        for index, value, place in _places(item):
            self._indexes[index].setdefault(value, SortedDict())[place] = item

    def _remove(self, key: Key) -> None:
        for index, value, place in _places(self._items.pop(key, {})):
            del self._indexes[index][value][place]

    # --- reads ---

    def _BatchGetItem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        found = {
            table: [dict(self._items[_key(each)]) for each in asked["Keys"] if _key(each) in self._items]
            for table, asked in request["RequestItems"].items()
        }
        return {"Responses": found, "UnprocessedKeys": {}}

    def _Query(self, request: Mapping[str, Any]) -> dict[str, Any]:
        index = request.get("IndexName", "")
        partition, sort, projected = INDEXES[index] if index else ("pk", "sk", None)
        value, (least, most) = _sought(request, partition, sort)
        held = self._partition(index, value)
        backward = not request.get("ScanIndexForward", True)
        found = [held[place] for place in held.irange(least, most, (False, False), backward)]
        told = (*_KEYS, partition, sort, *(projected or ())) if index else None
        return _page(found, told, request)

    def _partition(self, index: str, value: str) -> SortedDict:
        if not index or self._stale is None:
            return self._indexes[index].get(value, _EMPTY)
        places = ((held, place, each) for each in self._stale.values() for *held, place in _places(each))
        return SortedDict({place: each for held, place, each in places if held == [index, value]})


def _answer(code: str, message: str) -> Any:
    return {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}


def _cancelled(reasons: list[CancellationReason | None]) -> ClientError:
    """A transaction that was cancelled, as pynamodb's connection raises it: with the reason of each item."""
    codes = ", ".join(each.code if each else "None" for each in reasons)
    told = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    answer = _answer("TransactionCanceledException", told)
    return VerboseClientError(answer, "TransactWriteItems", cancellation_reasons=reasons)


def _holds(request: Mapping[str, Any], item: Item) -> bool:
    """Whether a request's condition holds for an item."""
    test, names = request.get("ConditionExpression"), request.get("ExpressionAttributeNames", {})
    return not test or _parsed(test)(item, names, request.get("ExpressionAttributeValues", {}))


def _put_of(write: Mapping[str, Any]) -> Mapping[str, Any]:
    """A put of a transaction."""
    assert set(write) == {"Put"}, f"{set(write)} in a transaction is not known here"
    put: Mapping[str, Any] = write["Put"]
    unknown = set(put) - _CONDITIONS - _NAMED
    assert not unknown, f"{unknown} in a put of a transaction is not known here"
    return put


_SOUGHT = re.compile(  # a partition, and mostly a range of sort keys
    r"\(?(#\w+) = (:\w+)(?: AND (?:(#\w+) (=|<|<=) (:\w+)|(begins_with) \((#\w+), (:\w+)\)"
    r"|(#\w+) (BETWEEN) (:\w+) AND (:\w+)))?\)?"
)
_TOP = "\U0010ffff"
_EMPTY = SortedDict()
_RANGES: Mapping[str, Callable[[str], Range]] = {
    "=": lambda wanted: ((wanted,), (wanted, (_TOP,))),
    "<": lambda wanted: (None, (wanted,)),
    "<=": lambda wanted: (None, (wanted, (_TOP,))),
    "begins_with": lambda wanted: ((wanted,), (wanted + _TOP,)),
}


def _sought(request: Mapping[str, Any], partition: str, sort: str) -> tuple[str, Range]:
    """The partition that a query names, and between which places there lies what it asks for."""
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    asked = _SOUGHT.fullmatch(request["KeyConditionExpression"])
    assert asked, f"{request['KeyConditionExpression']} is not known here"
    assert names[asked[1]] == partition
    how, name, value = asked[4] or asked[6] or asked[10], asked[3] or asked[7] or asked[9], asked[5] or asked[8]
    if how is None:
        return values[asked[2]]["S"], (None, None)
    assert names[name] == sort
    if how == "BETWEEN":  # both ends are in it
        return values[asked[2]]["S"], ((values[asked[11]]["S"],), (values[asked[12]]["S"], (_TOP,)))
    return values[asked[2]]["S"], _RANGES[how](values[value]["S"])


_KEYS = ("pk", "sk")
_SORTED = (("", "pk", "sk"), *((index, partition, sort) for index, (partition, sort, _) in INDEXES.items()))


def _key(item: Mapping[str, Any]) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def _places(item: Item) -> list[tuple[str, str, tuple[str, Key]]]:
    """Where an item is: in which index ("" for the table), in which partition, and by what it is sorted there."""
    return [
        (index, item[partition]["S"], (item[sort]["S"], _key(item)))
        for index, partition, sort in _SORTED
        if partition in item and sort in item
    ]


def _page(found: list[Item], told: tuple[str, ...] | None, request: Mapping[str, Any]) -> dict[str, Any]:
    """What a query returns: from its start on, at most as many as it takes, and where to go on."""
    start = request.get("ExclusiveStartKey")
    keys = [_key(each) for each in found]
    begin = keys.index(_key(start)) + 1 if start else 0
    end = min(len(found), begin + request.get("Limit", len(found)))
    items = [{name: each[name] for name in told or each if name in each} for each in found[begin:end]]
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    if "FilterExpression" in request:
        items = [each for each in items if _parsed(request["FilterExpression"])(each, names, values)]
    last = {"LastEvaluatedKey": {name: found[end - 1][name] for name in _KEYS}} if begin < end < len(found) else {}
    return {"Items": items, "Count": len(items), "ScannedCount": end - begin, **last}


def _apply(item: Item, verb: str, words: list[str], names: Values, values: Values) -> None:
    name = names[words[0]]
    if verb == "REMOVE":
        item.pop(name, None)
    elif verb == "SET":
        kept = _IF_NOT_EXISTS.fullmatch(" ".join(words[1:]))
        assert kept or (words[1] == "=" and len(words) == 3), f"{words} is not known here"
        item[name] = item.get(names[kept[1]], values[kept[2]]) if kept else values[words[2]]
    else:
        assert verb == "ADD", f"{verb} is not known here"
        total = Decimal(item.get(name, {"N": "0"})["N"]) + Decimal(values[words[1]]["N"])
        item[name] = {"N": str(total)}


# --- conditions ---


@lru_cache(maxsize=512)
def _parsed(text: str) -> Test:
    """A condition as a function of an item, names and values."""
    words = _TOKEN.findall(text)
    assert "".join(words) == re.sub(r"\s", "", text), f"{text} is not known here"
    test = _either(words)
    assert not words, f"{text}: {words} is left"
    return test


def _either(words: list[str]) -> Test:
    test = _both(words)
    while words and words[0] == "OR":
        words.pop(0)
        test = _joined(any, test, _both(words))
    return test


def _both(words: list[str]) -> Test:
    test = _one(words)
    while words and words[0] == "AND":
        words.pop(0)
        test = _joined(all, test, _one(words))
    return test


def _joined(how: Callable[[Iterator[bool]], bool], left: Test, right: Test) -> Test:
    return lambda item, names, values: how(each(item, names, values) for each in (left, right))


def _one(words: list[str]) -> Test:
    word = words.pop(0)
    if word == "NOT":
        inner = _one(words)
        return lambda item, names, values: not inner(item, names, values)
    if word == "(":
        inner = _either(words)
        assert words.pop(0) == ")"
        return inner
    return _called(word, words) if word.isidentifier() else _compared(word, words)


def _called(function: str, words: list[str]) -> Test:
    arguments = words[1 : words.index(")")]
    del words[: words.index(")") + 1]
    name, *rest = [each for each in arguments if each != ","]
    if function == "attribute_exists":
        return lambda item, names, values: names[name] in item
    if function == "attribute_not_exists":
        return lambda item, names, values: names[name] not in item
    assert function == "begins_with", f"{function} is not known here"
    return lambda item, names, values: _of(item, names[name], "").startswith(values[rest[0]]["S"])


def _compared(name: str, words: list[str]) -> Test:
    how = _COMPARE[words.pop(0)]
    value = words.pop(0)

    def test(item: Item, names: Values, values: Values) -> bool:
        found = _of(item, names[name], None)
        return found is not None and how(found, _plain(values[value]))

    return test


def _of(item: Item, name: str, other: Any) -> Any:
    return _plain(item[name]) if name in item else other


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, held),) = value.items()
    return Decimal(held) if kind == "N" else held
