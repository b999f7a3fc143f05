"""Latency of the deployed API's routes, as a ratio to a bare function's in the same local cloud.

A request goes the same way for both: TLS at the edge, the signature, and a process of the function's own, of which the
local cloud starts one for each request at a time. The cloud itself is one process on this machine's cores, and so is
the table that the API asks: with several clients, all of them wait for CPU. How many requests a second it serves, and
how many processes of the bare function it took, is told. Its table walks over all items for each query of an index:
what is written makes reading slower there, unlike in AWS. So writes are measured behind all reads.

The bench's stages take as many requests as come, so that API Gateway's throttling is not what is measured.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benches import api_bare, api_clients, api_fleet
from benches.api_clients import Edge, Replied, Request
from benches.api_routes import BARE, READS, ROLES, ROUTES, WRITES, Route
from benches.report import Result, say

if TYPE_CHECKING:
    from benches.deploy_cloud import Hub
    from local_cloud.api_calls import Credentials
    from local_cloud.cloud import Cloud

SETTINGS = {
    "LAMBDA_ACCOUNT_CONCURRENCY": "100",  # invocations at once, whatever the machine's memory
    "POWERTOOLS_LOG_LEVEL": "INFO",  # the local cloud waits 50 ms for what a function logs, where it logs nothing
}
CERTIFICATES, MANAGED = 400, 120
STEP = 4  # clients more, with which functions are warmed: each starts a process
TRIES = 4  # of that, where functions start too slowly for API Gateway
Replies = tuple[list[Replied], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many clients at once, each of which asks every route so often in a round."""

    clients: int
    rounds: int
    requests: int


LOADS = (
    Load(clients=1, rounds=5, requests=20),
    Load(clients=8, rounds=4, requests=5),
    Load(clients=32, rounds=3, requests=3),
)
QUICK_LOADS = (Load(clients=1, rounds=2, requests=5), Load(clients=8, rounds=1, requests=2))


@dataclass
class Measured:
    """What one route took under one load: latencies, and the seconds of all rounds, in seconds."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    processes: set[int] = field(default_factory=set)  # of the bare function

    @property
    def p50(self) -> float:
        return median(self.latencies)

    @property
    def p95(self) -> float:
        return quantiles(self.latencies, n=20, method="inclusive")[-1]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def add(self, replies: Sequence[Replied], seconds: float) -> None:
        """Count one round."""
        self.latencies += [each.fine().seconds for each in replies]
        self.seconds += seconds


def run(hub: Hub, loads: Sequence[Load]) -> Iterator[Result]:
    """Fill the inventory, deploy the bare function, and ask both."""
    from local_cloud.people import principal

    cloud, url = hub.cloud, hub.outputs["ApiUrl"]
    say(f"{CERTIFICATES} certificates and {MANAGED} managed ones in the inventory, and a bare function")
    api_fleet.plant(hub, CERTIFICATES, MANAGED)
    bare = api_bare.deployed(cloud)
    _unthrottle(cloud, url)
    who = principal(cloud, cloud.account, "bench", {"perennial:roles": ROLES})
    asker = Asker(cloud, {route.name: bare if route.name == BARE else url for route in ROUTES}, who)
    for routes in (READS, WRITES):
        for load in loads:
            found = _loaded(asker, routes, load)
            yield from figures(load.clients, found)
            if routes is READS:
                yield from of_bare(load.clients, found[BARE])


def _loaded(asker: Asker, routes: Sequence[Route], load: Load) -> Mapping[str, Measured]:
    warm(asker, routes, load.clients)
    say(f"{load.clients} client(s), {load.rounds * load.requests} requests each of {len(routes)} routes")
    return measured(asker, routes, load)


class Asker:
    """Asks routes of APIs, each by its URL."""

    def __init__(self, cloud: Cloud, urls: Mapping[str, str], who: Credentials) -> None:
        self._urls, self._who = urls, who
        self._edges: dict[str, Edge] = {name: api_clients.edge(cloud, url) for name, url in urls.items()}

    def ask(self, route: Route, clients: int, requests: int) -> Replies:
        """The replies to so many clients, each with so many requests, and the seconds of all."""
        asked = [[self._signed(route) for _ in range(requests)] for _ in range(clients)]
        return api_clients.together(self._edges[route.name], asked)

    def _signed(self, route: Route) -> Request:
        from local_cloud.api_calls import signed

        url = f"{self._urls[route.name]}{route.path}"
        body = json.dumps(route.content()).encode() if route.content else b""
        given = {"Content-Type": "application/json", "Host": urlsplit(url).hostname or ""}
        given |= {"Idempotency-Key": str(uuid.uuid4())} if route.writes else {}
        return Request(
            method=route.method, url=url, body=body, headers=signed(self._who, route.method, url, body, given)
        )


def warm(asker: Asker, routes: Sequence[Route], clients: int) -> None:
    """Let every process of the functions start that so many clients need, and import what each route needs.

    Some at a time: a REST API waits 29 seconds for a function, and many that start at once may take longer."""
    say(f"{clients} client(s): starting the functions")
    for some in [*range(STEP, clients, STEP), clients]:
        for route in routes:
            _until_fine(lambda route=route, some=some: asker.ask(route, some, 1)[0])


def _until_fine(ask: Callable[[], list[Replied]]) -> None:
    for _ in range(TRIES - 1):
        if all(each.succeeded for each in ask()):
            return
    for each in ask():
        each.fine()


def measured(asker: Asker, routes: Sequence[Route], load: Load) -> dict[str, Measured]:
    """What every route took, by its name. In turns, so that a slow minute hits all alike."""
    found = {route.name: Measured() for route in routes}
    for _ in range(load.rounds):
        for route in routes:
            replies, seconds = asker.ask(route, load.clients, load.requests)
            found[route.name].add(replies, seconds)
            if route.name == BARE:
                found[BARE].processes.update(json.loads(each.body)["process"] for each in replies)
    return found


def figures(clients: int, found: Mapping[str, Measured]) -> Iterator[Result]:
    """The ratios of the routes that were measured beside the bare function."""
    told, bare = _words(clients), found[BARE]
    for route in ROUTES[1:]:
        own = found.get(route.name)
        if own is not None:
            yield Result(f"{told}: {route.name}: p50", own.p50 / bare.p50, "x bare", route.most)
            yield Result(f"{told}: {route.name}: p95", own.p95 / bare.p95, "x bare")
            yield Result(f"{told}: {route.name}: p50, beyond bare", 1_000 * (own.p50 - bare.p50), "ms here")
            yield Result(f"{told}: {route.name}", own.rate, "1/s here")


def of_bare(clients: int, bare: Measured) -> Iterator[Result]:
    """What the ratios are of, and how many at once the local cloud serves."""
    told = f"{_words(clients)}: bare function"
    yield Result(f"{told}: p50", 1_000 * bare.p50, "ms here")
    yield Result(f"{told}: p95", 1_000 * bare.p95, "ms here")
    yield Result(told, bare.rate, "1/s here")
    yield Result(told, len(bare.processes), "processes")


def _words(clients: int) -> str:
    return f"{clients} clients" if clients > 1 else "1 client"


# --- what is asked for ---


def _unthrottle(cloud: Cloud, url: str) -> None:
    """Let the stage of an API take as many requests as come."""
    api, stage = (urlsplit(url).hostname or "").partition(".")[0], urlsplit(url).path.strip("/")
    changes = [
        {"op": "replace", "path": f"/*/*/throttling/{name}", "value": "100000"} for name in ("rateLimit", "burstLimit")
    ]
    cloud.client("apigateway").update_stage(restApiId=api, stageName=stage, patchOperations=changes)
