"""An agent behind a webhook, as somebody else would write it: real HTTP on loopback, and none of Perennial's code.

with agents() as serve:
    agent = serve(secrets, key, report)      # agent.url takes events
    agent.work()                             # deploys what came, in order, and reports

It takes events whose signature fits, drops those that it has, reads certificate and key from Secrets Manager by the
event's reference, and serves both from one moment to the next.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

Report = Callable[[str, Mapping[str, str], bytes], int]  # id, headers, body -> status


@dataclass(frozen=True)
class Reply:
    """What an agent answers to an event: instead of its own answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep: bool = False  # it takes the event all the same


def signed(message_id: str, seconds: int, body: bytes, key: bytes) -> dict[str, str]:
    """The headers of a message."""
    digest = hmac.new(key, b"%s.%d.%s" % (message_id.encode(), seconds, body), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature,
    }


@dataclass
class Agent:
    """`came` are all requests, `queue` the events that are not reported on yet; `serves` is (leaf, key, chain), PEM."""

    url: str
    secrets: Any
    key: bytes
    report: Report
    clock: Callable[[], int]
    serves: tuple[str, str, str] | None = None
    came: list[dict[str, Any]] = field(default_factory=list)
    queue: list[dict[str, Any]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    replies: list[Reply] = field(default_factory=list)
    says: dict[str, Any] = field(default_factory=lambda: {"status": "done"})
    statuses: list[int] = field(default_factory=list)  # what its reports were answered
    first: Callable[[], None] = lambda: None  # before it answers

    def take(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """One request."""
        self.came.append({"headers": headers, "body": body})
        reply = self.replies.pop(0) if self.replies else None
        if reply and not reply.keep:
            return reply
        message_id, seconds = headers.get("webhook-id", ""), int(headers.get("webhook-timestamp", "0"))
        expected = signed(message_id, seconds, body, self.key)["webhook-signature"]
        if expected not in headers.get("webhook-signature", "").split() or abs(self.clock() - seconds) > 300:
            return Reply(401, {}, b'{"error": "who are you?"}')
        if message_id not in self.known:
            self.known.add(message_id)
            self.queue.append(json.loads(body))
        self.first()
        return reply or Reply(202)

    def work(self) -> None:
        """Deploy and report, in order, until something does not work; that is tried again the next time."""
        while self.queue:
            event = self.queue[0]
            try:
                self._deploy(event)
            except (ClientError, BotoCoreError):
                return
            if self.tell(event["callback"]["id"], self.says) == 503:
                return
            self.queue.pop(0)

    def tell(self, event_id: str, content: object) -> int:
        """Report on an event."""
        body = json.dumps(content).encode()
        status = self.report(event_id, signed(event_id, self.clock(), body, self.key), body)
        self.statuses.append(status)
        return status

    def _deploy(self, event: Mapping[str, Any]) -> None:
        if self.says.get("status") != "done" or not event["secret"]:
            return
        where = event["secret"]
        text = self.secrets.get_secret_value(SecretId=where["arn"], VersionId=where["version"])["SecretString"]
        stored = json.loads(text)
        assert event["certificate"] in (None, stored["certificate"])
        self.serves = (stored["certificate"], stored["private_key"], stored["chain"])

    @property
    def events(self) -> list[dict[str, Any]]:
        """The bodies of all requests."""
        return [json.loads(each["body"]) for each in self.came]


@contextmanager
def agents() -> Iterator[Callable[..., Agent]]:
    """One HTTP server for any number of agents; each has a path of its own."""
    serving: dict[str, Agent] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = serving[self.path].take(headers, body) if self.path in serving else Reply(404)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    def serve(**made: Any) -> Agent:
        path = f"/agents/{len(serving)}"
        serving[path] = Agent(url=f"http://127.0.0.1:{server.server_port}{path}", **made)
        return serving[path]

    try:
        yield serve
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
