"""A process of the issuance bench that issues on some threads: JSON in, "ready" out, and for each line in a batch.

Every thread has a client of its own, as every execution environment of a Lambda has, warmed by one certificate.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from typing import Any

from benches import issuance_client, issuance_tight
from benches.issuance_client import Place
from benches.issuance_lab import SILENT
from perennial.errors import Unavailable

Issue = Callable[[str], object]


def clients(kind: str, place: Place) -> Iterator[Issue]:
    """Clients of a kind (perennial or tight), without end: each issues for one name, for one thread."""
    account = issuance_tight.Account(place) if kind == "tight" else None
    while True:
        yield issuance_tight.Connection(account).issue if account else _perennial(place)


def _perennial(place: Place) -> Issue:
    advance = issuance_client.deployed(place)
    return lambda name: issuance_client.issue(place, advance, (name,), issuance_client.pause)


def main(told: dict[str, Any]) -> None:
    """Issue `certificates` on `threads` for every line of input; tells the CPU seconds that they took."""
    place, threads, certificates = Place(**told["place"]), told["threads"], told["certificates"]
    made = list(islice(clients(told["client"], place), threads))
    numbers = count()

    def issue(client: Issue, how_many: int) -> None:
        for _ in range(how_many):
            client(f"{told['prefix']}-{next(numbers)}.example.com")

    shares = [certificates // threads + (number < certificates % threads) for number in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(issue, made, [1] * threads))
        print("ready", flush=True)
        for _ in sys.stdin:
            began = time.process_time()
            list(pool.map(issue, made, shares))
            print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (TimeoutError, Unavailable):
        sys.exit(SILENT)
