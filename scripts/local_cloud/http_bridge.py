"""Port 80 of the local cloud's Application Load Balancers: real HTTP requests, answered by the Lambdas behind rules.

    with serve(cloud) as port:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/.well-known/acme-challenge/token")

The bridge does what a load balancer does: of the listeners on port 80 it takes the first rule, by priority, whose
conditions hold, and does what it says. It knows listeners, rules and functions from the public APIs only. All HTTP
listeners on port 80 of the account and region answer here, as a Host header does not tell whose address was asked.

Sources: "Listener rules", "Lambda functions as targets" in the guide of Application Load Balancers. Conditions on
path-pattern, host-header and http-request-method are evaluated; a rule with any other condition never matches.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local_cloud.cloud import Cloud

PORT = 80  # of the listeners
MAX_BODY = 1_000_000  # bytes of a request or an answer, as between a load balancer and a Lambda
PRINCIPAL = "elasticloadbalancing.amazonaws.com"
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    client: str

    @property
    def host(self) -> str:
        return self.headers.get("host", "").partition(":")[0].lower()


@dataclass(frozen=True)
class Reply:
    """One HTTP reply."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = field(default=(("Content-Type", "text/plain"),))


@contextmanager
def serve(cloud: Cloud, *, account: str | None = None, region: str | None = None, port: int = 0) -> Iterator[int]:
    """Answer on 127.0.0.1 in a thread of its own; yields the port, by default a free one."""

    def client(service: str) -> Any:
        return cloud.client(service, account, region)

    with serving(lambda request: answer(client, request), port) as served:
        yield served


@contextmanager
def serving(reply_to: Callable[[Request], Reply], port: int = 0) -> Iterator[int]:
    """An HTTP server on 127.0.0.1 that asks `reply_to` for each request."""
    handler = type("Handler", (_Handler,), {"reply_to": staticmethod(reply_to)})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="http-bridge")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- what a load balancer does with a request ---


def answer(client: Callable[[str], Any], request: Request) -> Reply:
    """What the load balancers of one account and region answer; `client` makes clients there."""
    elbv2 = client("elbv2")
    listeners = list(_listeners(elbv2))
    rules = [rule for listener in listeners for rule in _rules(elbv2, listener)]
    specific = [rule for rule in rules if not rule["IsDefault"] and matches(rule["Conditions"], request)]
    chosen = (specific or [rule for rule in rules if rule["IsDefault"]])[:1]
    if not chosen:
        return Reply(503, b"no load balancer of the local cloud has an HTTP listener on port 80\n")
    return _act(client, chosen[0]["Actions"][-1], request)


def matches(conditions: Sequence[Json], request: Request) -> bool:
    """Whether every condition of a rule holds."""
    return all(_holds(each, request) for each in conditions)


def _holds(condition: Json, request: Request) -> bool:
    """Paths and methods are compared with regard to case, host names without; `*` and `?` are wildcards."""
    match condition["Field"]:
        case "path-pattern":
            return _like(request.path, _values(condition, "PathPatternConfig"))
        case "host-header":
            return _like(request.host, [each.lower() for each in _values(condition, "HostHeaderConfig")])
        case "http-request-method":
            return request.method in _values(condition, "HttpRequestMethodConfig")
    return False


def _values(condition: Json, config: str) -> Sequence[str]:
    found: Sequence[str] = condition.get(config, condition).get("Values", ())
    return found


def _like(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, each.replace("[", "[[]")) for each in patterns)


def _listeners(elbv2: Any) -> Iterator[Json]:
    for page in elbv2.get_paginator("describe_load_balancers").paginate():
        for balancer in page["LoadBalancers"]:
            pages = elbv2.get_paginator("describe_listeners").paginate(LoadBalancerArn=balancer["LoadBalancerArn"])
            found = (each for listed in pages for each in listed["Listeners"])
            yield from (each for each in found if (each["Port"], each["Protocol"]) == (PORT, "HTTP"))


def _rules(elbv2: Any, listener: Json) -> list[Json]:
    """Those of a listener by priority, the default last."""
    pages = elbv2.get_paginator("describe_rules").paginate(ListenerArn=listener["ListenerArn"])
    rules = [rule for page in pages for rule in page["Rules"]]
    return sorted(rules, key=lambda rule: (rule["IsDefault"], 0 if rule["IsDefault"] else int(rule["Priority"])))


def _act(client: Callable[[str], Any], action: Json, request: Request) -> Reply:
    match action["Type"]:
        case "fixed-response":
            config = action["FixedResponseConfig"]
            headers = (("Content-Type", config.get("ContentType", "text/plain")),)
            return Reply(int(config["StatusCode"]), config.get("MessageBody", "").encode(), headers)
        case "redirect":
            return _redirect(action["RedirectConfig"], request)
        case "forward":
            groups = action.get("ForwardConfig", {}).get("TargetGroups", ())
            return _forward(client, action.get("TargetGroupArn") or groups[0]["TargetGroupArn"], request)
    return Reply(501, f"the local cloud does not do the action {action['Type']}\n".encode())


def _redirect(config: Json, request: Request) -> Reply:
    old = {"protocol": "HTTP", "host": request.host, "port": str(PORT), "path": request.path.lstrip("/")}
    old["query"] = request.query

    def new(name: str, default: str) -> str:
        return re.sub(r"#\{(\w+)\}", lambda part: old.get(part[1], ""), config.get(name, default))

    origin = f"{new('Protocol', '#{protocol}').lower()}://{new('Host', '#{host}')}:{new('Port', '#{port}')}"
    query = new("Query", "#{query}")
    where = f"{origin}{new('Path', '/#{path}')}" + (f"?{query}" if query else "")
    return Reply(int(config["StatusCode"].removeprefix("HTTP_")), headers=(("Location", where),))


def _forward(client: Callable[[str], Any], group: str, request: Request) -> Reply:
    elbv2 = client("elbv2")
    kind = elbv2.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]["TargetType"]
    health = elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    if kind != "lambda" or not health:
        return Reply(503, b"the local cloud runs no targets but Lambda functions\n")
    function = health[0]["Target"]["Id"]
    if not _may_call(client("lambda"), function, group):
        return Reply(502, f"{PRINCIPAL} has no permission to call {function} for {group}\n".encode())
    reply = client("lambda").invoke(FunctionName=function, Payload=json.dumps(event(group, request)))
    payload = reply["Payload"].read()
    return Reply(502, b"the function failed\n") if "FunctionError" in reply else from_function(payload)


# --- Lambda functions as targets ---


def _may_call(functions: Any, function: str, group: str) -> bool:
    """Whether the function's policy lets the load balancer call it for this target group; AWS refuses to register a
    function as a target without that."""
    try:
        policy = json.loads(functions.get_policy(FunctionName=function)["Policy"])
    except functions.exceptions.ResourceNotFoundException:
        return False
    return any(_allows(each, group) for each in policy["Statement"])


def _allows(statement: Json, group: str) -> bool:
    conditions = statement.get("Condition", {})
    sources = [value for name, each in conditions.items() if "Arn" in name for value in each.values()]
    return PRINCIPAL in json.dumps(statement["Principal"]) and all(fnmatchcase(group, each) for each in sources)


def event(group: str, request: Request) -> dict[str, Any]:
    """What a function gets: of a header that came several times, the last value."""
    return {
        "requestContext": {"elb": {"targetGroupArn": group}},
        "httpMethod": request.method,
        "path": request.path,
        "queryStringParameters": dict(parse_qsl(request.query, keep_blank_values=True)),
        "headers": {
            **request.headers,
            "x-forwarded-for": request.client,
            "x-forwarded-port": str(PORT),
            "x-forwarded-proto": "http",
        },
        "body": base64.b64encode(request.body).decode(),
        "isBase64Encoded": bool(request.body),
    }


def from_function(payload: bytes) -> Reply:
    """The reply that a function's answer stands for; 502 where it is none, as a load balancer says."""
    try:
        answered = json.loads(payload)
        body = answered.get("body") or ""
        content = base64.b64decode(body, validate=True) if answered.get("isBase64Encoded") else body.encode()
        if len(payload) > MAX_BODY or not 100 <= int(answered["statusCode"]) <= 599:
            return Reply(502, b"the function's answer is too large, or has no valid status\n")
        return Reply(int(answered["statusCode"]), content, tuple(_headers(answered)))
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
        return Reply(502, b"the function's answer is not one for a load balancer\n")


def _headers(answered: Json) -> Iterator[tuple[str, str]]:
    for name, values in (answered.get("multiValueHeaders") or {}).items():
        yield from ((name, str(value)) for value in values)
    yield from ((name, str(value)) for name, value in (answered.get("headers") or {}).items())


# --- HTTP ---


class _Handler(BaseHTTPRequestHandler):
    """Reads one request, asks, and answers. `reply_to` is set by `serving`."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    reply_to: Callable[[Request], Reply]

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.send_error(413)
            return
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        request = Request(self.command, url.path, url.query, headers, body, self.client_address[0])
        self._send(type(self).reply_to(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _serve  # noqa: N815 - as http.server asks

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the overridden argument
        """Nothing: tests and the demo print what they have to say."""
