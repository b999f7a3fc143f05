"""Counts what a process asks of AWS: calls by operation, the table's units and the bytes put in S3.

Every client of every botocore session is counted, pynamodb's too, each try as one call. Units are the table's own
figures, asked for with every request. A refused conditional write tells none; AWS charges it, so it counts as one.
"""

from __future__ import annotations

import resource
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.session import Session

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})


@dataclass
class Counts:
    """What was counted so far. May be used from any thread."""

    calls: Counter[str] = field(default_factory=Counter)  # "acm.SearchCertificates" -> number
    written: float = 0.0  # write units, the indexes' included
    read: float = 0.0  # read units
    items: int = 0  # that queries walked over and batches got, for tables that tell no true units
    put_bytes: int = 0  # bodies of PutObject
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, client: Any) -> None:
        """Count the calls of one client."""
        events = client.meta.events
        events.register("before-send", self._sent)
        events.register("provide-client-params.dynamodb", _ask_for_units)
        events.register("after-call.dynamodb", self._answered)

    def _sent(self, event_name: str, request: Any, **_: Any) -> None:
        with self._lock:
            self.calls[event_name.removeprefix("before-send.")] += 1
            if event_name.endswith(".s3.PutObject"):
                self.put_bytes += _size(request.headers)

    def _answered(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        units = _units(parsed)
        if parsed.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
            units = 1.0
        with self._lock:
            if model.name in _WRITES:
                self.written += units
            else:
                self.read += units
                self.items += _items(parsed)


def _ask_for_units(params: dict[str, Any], model: Any, **_: Any) -> None:
    if "ReturnConsumedCapacity" in model.input_shape.members:
        params["ReturnConsumedCapacity"] = "INDEXES"


def _units(parsed: dict[str, Any]) -> float:
    told = parsed.get("ConsumedCapacity", ())
    return sum(float(each["CapacityUnits"]) for each in ([told] if isinstance(told, dict) else told))


def _items(parsed: dict[str, Any]) -> int:
    got = sum(len(each) for each in parsed.get("Responses", {}).values())
    return int(parsed.get("ScannedCount", got))


def _size(headers: Any) -> int:
    """The bytes of a body; without the marks of its chunks where it is sent in such."""
    return int(headers.get("X-Amz-Decoded-Content-Length") or headers.get("Content-Length") or 0)


def everywhere() -> Counts:
    """Count the calls of every client that this process makes from now on."""
    counts = Counts()
    create = Session.create_client

    def counted(session: Session, *arguments: Any, **named: Any) -> Any:
        client = create(session, *arguments, **named)
        counts.watch(client)
        return client

    Session.create_client = counted
    return counts


def peak_bytes() -> int:
    """The most memory that this process had at once.

    From the kernel's mark of this program where there is one: `ru_maxrss` also knows the parent before the exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
