"""What scripts/bench api asks and judges: clients over real TLS, the bare function, and every route that is asked."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from moto import mock_aws

from asked_api import ApiHub, api_hub, as_role, event
from benches import api, api_bare, api_clients, api_fleet, api_latency, coldstart, deploy_cloud, search
from benches.api_clients import Edge, Replied, Request
from benches.api_latency import Load, Measured
from benches.api_routes import BARE, PAGE, ROLES, ROUTES, Route
from benches.report import Result
from local_cloud.api_calls import Credentials
from local_cloud.edge.aws_hosts import AwsHosts

ROOT = Path(__file__).resolve().parents[2]
HOST = "abcd1234.execute-api.eu-west-1.amazonaws.com"
URL = f"https://{HOST}/v1/"
WHO = Credentials(arn="arn:aws:iam::111111111111:user/bench", access_key="AKIDEXAMPLE", secret_key="any")


def test_help_needs_no_environment() -> None:
    """Its options are told by any Python."""
    command = [sys.executable, "-I", str(ROOT / "scripts" / "bench"), "api", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--part" in done.stdout


# --- clients ---


@dataclass
class Served:
    """A server behind the edge: what came, on which connection, and what it answers."""

    status: int = 200
    closes: bool = False
    came: list[tuple[int, str, str, bytes]] = field(default_factory=list)  # connection, method, path, body


@contextmanager
def serving(served: Served) -> Iterator[Edge]:
    """The server, and the edge before it, which shows the certificate of the host."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            served.came.append((self.client_address[1], self.command, self.path, body))
            assert self.headers.get_all("Host") == [HOST]
            self.send_response(served.status)
            if served.closes:
                self.send_header("Connection", "close")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815 - as http.server asks

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hosts = AwsHosts(("127.0.0.1", server.server_port))
    try:
        yield Edge(address=hosts.address(), host=HOST, tls=ssl.create_default_context(cadata=hosts.root()))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def request(method: str = "GET", path: str = "me", body: bytes = b"") -> Request:
    return Request(method=method, url=URL + path, body=body, headers={"Host": HOST})


def test_each_client_keeps_one_connection() -> None:
    """Three clients, four requests each: as many replies, over three connections, with path, query and body."""
    served = Served()
    asked = [request("POST", f"managed?limit={number}", b"{}") for number in range(4)]
    with serving(served) as at:
        replies, seconds = api_clients.together(at, [asked] * 3)
    assert len(replies) == 12 and all(each.succeeded and 0 < each.seconds <= seconds for each in replies)
    assert len({connection for connection, *_ in served.came}) == 3
    assert {(method, path, body) for _, method, path, body in served.came} == {
        ("POST", f"/v1/managed?limit={number}", b"{}") for number in range(4)
    }


def test_a_refusal_is_told_and_ends_the_bench() -> None:
    """With the status; nothing is measured of what was refused."""
    with serving(Served(status=429)) as at:
        ((reply,), _) = api_clients.together(at, [[request()]])
    assert not reply.succeeded
    with pytest.raises(SystemExit, match="429"):
        reply.fine()


def test_a_connection_that_is_not_kept_ends_the_bench() -> None:
    """Handshakes are no part of what is measured."""
    with serving(Served(closes=True)) as at, pytest.raises(SystemExit, match="connection"):
        api_clients.together(at, [[request()]] * 2)


def test_an_edge_that_is_another_host_is_not_trusted() -> None:
    """Its certificate is verified, and no client waits for one that could not connect."""
    with serving(Served()) as at, pytest.raises(OSError, match="certificate"):
        api_clients.together(Edge(address=at.address, host=HOST, tls=ssl.create_default_context()), [[request()]] * 3)


def test_the_edge_is_asked_for() -> None:
    """Its address and root come from the cloud, by the URL's host."""
    hosts, asked = AwsHosts(("127.0.0.1", 1)), []

    @contextmanager
    def opened(path: str) -> Iterator[Any]:
        asked.append(path)
        content = json.dumps([["127.9.9.9", 8443]]) if "resolve" in path else hosts.root()
        yield SimpleNamespace(read=content.encode)

    found = api_clients.edge(SimpleNamespace(open=opened), URL)  # type: ignore[arg-type]
    assert (found.address, found.host) == (("127.9.9.9", 8443), HOST)
    assert asked == [f"/_local_cloud/edge/resolve?host={HOST}&port=443", "/_local_cloud/edge/root"]
    assert len(found.tls.get_ca_certs()) == 1


# --- the bare function ---


def test_the_bare_function_tells_its_process() -> None:
    """In a proxy reply."""
    module: dict[str, Any] = {}
    exec(api_bare.CODE, module)
    assert json.loads(module["handler"]({}, None)["body"]) == {"process": os.getpid()}


def test_the_bare_api_is_one_of_iam_for_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its method takes signatures, its integration is the function's, and the function lets it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    with mock_aws():
        cloud: Any = SimpleNamespace(
            region="eu-west-1", account="123456789012", client=lambda name: boto3.client(name, region_name="eu-west-1")
        )
        url = api_bare.deployed(cloud)
        api_id, apis = (urlsplit(url).hostname or "").partition(".")[0], cloud.client("apigateway")
        (resource,) = [each for each in apis.get_resources(restApiId=api_id)["items"] if each["path"] == "/{proxy+}"]
        method = apis.get_method(restApiId=api_id, resourceId=resource["id"], httpMethod="ANY")
        policy = cloud.client("lambda").get_policy(FunctionName=api_bare.NAME)["Policy"]
    assert urlsplit(url).path == "/v1/"
    assert method["authorizationType"] == "AWS_IAM"
    assert method["methodIntegration"]["type"] == "AWS_PROXY"
    assert f"function:{api_bare.NAME}/invocations" in method["methodIntegration"]["uri"]
    assert f":{api_id}/*" in policy


# --- what is asked ---


CONFIGURATION = deploy_cloud.CONFIGURATION.replace("roots = {roots}\n", "") + (
    f"""
[api.principals]
"arn:aws:iam::123456789012:role/bench" = {json.dumps(ROLES.split())}
"""
)


@pytest.fixture
def hub() -> Iterator[ApiHub]:
    with api_hub(CONFIGURATION.encode()) as made:
        yield made


def plant(hub: ApiHub, certificates: int, managed: int) -> None:
    deployment = hub.estate.deployment
    outputs = {"TableName": deployment.named("PERENNIAL_TABLE")}
    planted: Any = SimpleNamespace(outputs=outputs, deployment=deployment, client=deployment.clients)
    api_fleet.plant(planted, certificates, managed)


@pytest.mark.parametrize("route", ROUTES[1:], ids=lambda route: route.name)
def test_every_route_is_answered(hub: ApiHub, route: Route) -> None:
    """By the API itself, to whom the bench is; a page is a full one."""
    plant(hub, 60, 60)
    body = json.dumps(route.content()) if route.content else None
    headers = {"Idempotency-Key": "one"} if route.writes else {}
    reply = hub.send(event(route.method, f"/{route.path}", as_role("bench"), body, headers))
    assert 200 <= reply.status < 300, reply.document
    if f"limit={PAGE}" in route.path:
        assert len(reply.document["items"]) == PAGE and reply.document["next"]
    assert route.name.startswith(f"{route.method} /v1/{route.path}")


def asker(monkeypatch: pytest.MonkeyPatch, told: list[Any]) -> api_latency.Asker:
    """One whose requests are kept in `told`, and answered by nobody."""

    def together(at: Any, requests: Sequence[Sequence[Request]]) -> tuple[list[Replied], float]:
        told.append((at, requests))
        return [], 1.0

    monkeypatch.setattr(api_clients, "edge", lambda _cloud, url: f"edge of {url}")
    monkeypatch.setattr(api_clients, "together", together)
    return api_latency.Asker(None, {route.name: URL for route in ROUTES}, WHO)  # type: ignore[arg-type]


def test_each_write_has_a_key_and_content_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clients with three requests each: six different keys and names, each signed."""
    told: list[Any] = []
    route = next(each for each in ROUTES if each.writes)
    asker(monkeypatch, told).ask(route, 2, 3)
    ((at, requests),) = told
    sent = [each for client in requests for each in client]
    assert at == f"edge of {URL}" and list(map(len, requests)) == [3, 3]
    assert len({each.headers["Idempotency-Key"] for each in sent}) == len({each.body for each in sent}) == 6
    assert all("Signature=" in each.headers["Authorization"] and each.headers["Host"] == HOST for each in sent)


class Scripted:
    """Replies to each burst in the place of APIs: its statuses, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[tuple[str, int, int]] = []

    def ask(self, route: Route, clients: int, requests: int) -> tuple[list[Replied], float]:
        self.asked.append((route.name, clients, requests))
        status = self.statuses.pop(0) if self.statuses else 200
        process = len(self.asked) % 3
        body = json.dumps({"process": process}).encode()
        count = clients * requests
        return [Replied(request=request(), seconds=0.5, status=status, body=body) for _ in range(count)], 2.0


def test_functions_start_some_at_a_time() -> None:
    """Every route, with four clients more each time; what times out is asked again."""
    script = Scripted(200, 503)
    api_latency.warm(script, ROUTES, 9)  # type: ignore[arg-type]
    assert [(name, clients) for name, clients, _ in script.asked[:3]] == [
        (BARE, 4),
        (ROUTES[1].name, 4),
        (ROUTES[1].name, 4),
    ]
    assert sorted({clients for _, clients, _ in script.asked}) == [4, 8, 9]
    with pytest.raises(SystemExit, match="503"):
        api_latency.warm(Scripted(*[503] * 4), ROUTES, 1)  # type: ignore[arg-type]


def test_routes_are_measured_in_turns() -> None:
    """Each round asks every one; the processes of the bare function are told apart."""
    script = Scripted()
    found = api_latency.measured(script, ROUTES, Load(clients=2, rounds=3, requests=5))  # type: ignore[arg-type]
    assert [name for name, *_ in script.asked] == [route.name for route in ROUTES] * 3
    assert {name: (len(each.latencies), each.rate) for name, each in found.items()} == {
        route.name: (30, 5.0) for route in ROUTES
    }
    assert len(found[BARE].processes) > 1
    assert not found[ROUTES[1].name].processes


def test_latencies_are_judged_beside_the_bare_function() -> None:
    """The median of each route against its target; what it is of is told."""
    found = {
        route.name: Measured(latencies=[0.1 * number * (route.most or 1) for number in range(1, 22)], seconds=7.0)
        for route in ROUTES
    }
    found["GET /v1/me"].latencies = [0.2] * 10 + [9.0] * 11
    found[BARE].processes = {1, 2}
    results = [*api_latency.figures(8, found), *api_latency.of_bare(8, found[BARE])]
    told = {(each.name, each.unit): each for each in results}
    assert {name for (name, _), each in told.items() if each.met is False} == {"8 clients: GET /v1/me: p50"}
    assert told["8 clients: POST /v1/managed: p50", "x bare"] == Result(
        "8 clients: POST /v1/managed: p50", pytest.approx(6), "x bare", 6
    )
    assert told["8 clients: POST /v1/managed: p95", "x bare"].target is None
    assert told["8 clients: bare function: p50", "ms here"].value == pytest.approx(1_100)
    assert told["8 clients: bare function: p95", "ms here"].value == pytest.approx(2_000)
    assert told["8 clients: bare function", "1/s here"].value == 3
    assert told["8 clients: bare function", "processes"].value == 2


def test_the_stage_is_let_take_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole: planted, deployed, not throttled, warmed, and measured under each load."""
    done: list[Any] = []
    stages = SimpleNamespace(update_stage=lambda **given: done.append(given))
    cloud: Any = SimpleNamespace(account="111111111111", client=lambda _: stages)
    hub: Any = SimpleNamespace(cloud=cloud, outputs={"ApiUrl": URL})
    monkeypatch.setattr(api_fleet, "plant", lambda *_: done.append("planted"))
    monkeypatch.setattr(api_bare, "deployed", lambda _: "https://bare/")
    monkeypatch.setattr("local_cloud.people.principal", lambda *given: done.append(given[1:]))
    monkeypatch.setattr(api_latency, "Asker", lambda _cloud, urls, _who: done.append(urls) or Scripted())
    loads = (Load(clients=1, rounds=1, requests=2), Load(clients=2, rounds=1, requests=1))
    told = [each.name for each in api_latency.run(hub, loads)]
    assert told.count("2 clients: POST /v1/managed: p50") == told.count("2 clients: bare function: p50") == 1
    assert told.index("2 clients: GET /v1/me: p50") < told.index("1 client: POST /v1/managed: p50")
    planted, throttled, who, urls = done
    assert planted == "planted" and who[1] == "bench" and who[2] == {"perennial:roles": ROLES}
    assert (throttled["restApiId"], throttled["stageName"]) == ("abcd1234", "v1")
    assert [each["path"] for each in throttled["patchOperations"]] == [
        "/*/*/throttling/rateLimit",
        "/*/*/throttling/burstLimit",
    ]
    assert urls[BARE] == "https://bare/" and set(urls) == {route.name for route in ROUTES}
    assert "1 client: GET /v1/me: p50" in told and "2 clients: bare function: p95" in told


# --- the whole ---


def test_handlers_are_judged_beside_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they start; and what a request may need beside."""

    def best(names: Sequence[str], repeat: int) -> tuple[Mapping[str, float], Mapping[str, int]]:
        assert repeat == 3
        return {name: 2.0 if name == "api.handle" else 1.0 for name in names}, dict.fromkeys(names, 7)

    monkeypatch.setattr(coldstart, "best", best)
    found = {each.name: each for each in api.imports(3)}
    assert found["import api.handle"].met is False
    assert found["import api.authorizer"].met is True
    assert found["modules of all that a request may need"].value == 7


def test_a_function_is_called_where_one_is_named() -> None:
    """What it imports counts, too."""
    seconds, modules = coldstart.best(["perennial.api.resolver", api.WHOLE], repeat=1)
    assert modules[api.WHOLE] > modules["perennial.api.resolver"] + 10
    assert all(0 < each < 60 for each in seconds.values())


@pytest.mark.parametrize(
    ("part", "quick", "told"),
    [
        (None, False, ["hub", "latency [1, 8, 32]", "import 7", "search False"]),
        (None, True, ["hub", "latency [1, 8]", "import 2", "search True"]),
        (["import"], False, ["import 7"]),
        (["search"], True, ["search True"]),
    ],
)
def test_parts(part: list[str] | None, quick: bool, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts or those that are asked for; the hub is deployed for the latency alone, with room for its clients."""
    done: list[str] = []

    @contextmanager
    def deployed(settings: Mapping[str, str]) -> Iterator[None]:
        assert int(settings["LAMBDA_ACCOUNT_CONCURRENCY"]) > 64
        assert settings["POWERTOOLS_LOG_LEVEL"] == "INFO"
        done.append("hub")
        yield

    monkeypatch.setattr(deploy_cloud, "deployed_hub", deployed)
    monkeypatch.setattr(
        api_latency, "run", lambda _, loads: done.append(f"latency {[each.clients for each in loads]}") or ()
    )
    monkeypatch.setattr(api, "imports", lambda repeat: done.append(f"import {repeat}") or ())
    monkeypatch.setattr(search, "run", lambda options: done.append(f"search {options.quick}") or ())
    assert list(api.run(argparse.Namespace(part=part, quick=quick))) == []
    assert done == told
