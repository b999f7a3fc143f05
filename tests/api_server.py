"""A server on loopback that answers as API Gateway in front of Perennial's API does, for tests of the command.

    with api_server({("GET", "/v1/me"): answer({"name": "ada"})}) as server:
        …
    server.asked  # every request that came

It verifies what API Gateway verifies: the signature (SigV4, service execute-api) or that there is a bearer token.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "eu-west-1"


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Answer:
    """What is answered. `raw`: sent as it is, in place of a reply of HTTP."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    raw: bytes | None = None


Give = Answer | Callable[[Asked], Answer] | list[Any]


def answer(document: Any, status: int = 200, **headers: str) -> Answer:
    """JSON with headers: `etag="…"`, `retry_after="1"`."""
    return Answer(
        status, json.dumps(document).encode(), {name.replace("_", "-"): value for name, value in headers.items()}
    )


def problem(status: int, detail: str = "", violations: Any = (), **headers: str) -> Answer:
    """A problem document (RFC 9457)."""
    found = {"type": "urn:perennial:problem:x", "title": "Title", "status": status, "detail": detail}
    found |= {"instance": "urn:perennial:request:r-1", "violations": list(violations)}
    made = answer(found, status, **headers)
    return Answer(made.status, made.body, made.headers, "application/problem+json")


@dataclass
class Server:
    """The running server: its URL, its answers by method and path, and what came. An answer that is a list is used
    up one by one, the last one for ever."""

    url: str
    secret: str  # of the one AWS identity that it knows
    answers: dict[tuple[str, str], Give]
    asked: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def of(self, method: str) -> list[Asked]:
        return [each for each in self.asked if each.method == method]


@contextmanager
def api_server(answers: Mapping[tuple[str, str], Give] | None = None) -> Iterator[Server]:
    """The server while the block runs. It knows the credentials that the environment has as it starts."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    listening.daemon_threads = True
    made = Server(
        f"http://127.0.0.1:{listening.server_address[1]}/v1", os.environ["AWS_SECRET_ACCESS_KEY"], dict(answers or {})
    )
    listening.made = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names of http.server

    def _answer(self) -> None:
        made: Server = self.server.made  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        made.asked.append(asked)
        with suppress(ConnectionError):  # the client has seen enough
            self._send(self._judged(made, asked))

    def _judged(self, made: Server, asked: Asked) -> Answer:
        why = _unsigned(asked, self.path, made.secret)
        if why:
            made.refused.append(why)
            return answer({"message": why}, 403)
        found = made.answers.get((asked.method, asked.path), answer({"message": "Missing Authentication Token"}, 403))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found(asked) if callable(found) else found

    def _send(self, given: Answer) -> None:
        if given.raw is not None:
            self.close_connection = True
            self.wfile.write(given.raw)
            return
        self.send_response(given.status)
        for name, value in {"Content-Type": given.content_type, **given.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(given.body)))
        self.end_headers()
        self.wfile.write(given.body)


def _unsigned(asked: Asked, target: str, secret: str) -> str:
    """Why API Gateway would not let a request in; "" where it would."""
    told = asked.headers.get("authorization", "")
    if told.startswith("Bearer "):
        return ""
    if not told.startswith("AWS4-HMAC-SHA256 ") or f"/{REGION}/execute-api/aws4_request" not in told:
        return "Missing Authentication Token"
    names = told.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest(
        method=asked.method,
        url=f"http://{asked.headers['host']}{target}",
        data=asked.body,
        headers={each: asked.headers[each] for each in names},
    )
    request.context["timestamp"] = asked.headers["x-amz-date"]
    signer = SigV4Auth(Credentials("any", secret), "execute-api", REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    same = told.endswith("Signature=" + signer.signature(text, request))
    return "" if same else "The request signature we calculated does not match the signature you provided."
