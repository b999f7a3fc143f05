"""The function behind the API answers in the API's format, and logs neither bodies nor headers."""

from __future__ import annotations

import base64
import importlib
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from functions.rollout import callback

from perennial import callbacks
from perennial.callbacks import Answer, Request
from perennial.errors import Unavailable

ID = "0123456789abcdef" * 4
CONTEXT: Any = SimpleNamespace(
    function_name="perennial",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:perennial",
    aws_request_id="00000000-0000-0000-0000-000000000000",
)
BODY = '{"status": "done", "message": "theirs"}'


def request(**more: Any) -> dict[str, Any]:
    """What an HTTP API sends, payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "POST /callbacks/{id}",
        "rawPath": f"/callbacks/{ID}",
        "headers": {"content-type": "application/json", "Webhook-Id": ID, "cookie": "their-session"},
        "requestContext": {"http": {"method": "POST"}},
        "pathParameters": {"id": ID},
        "body": BODY,
        "isBase64Encoded": False,
        **more,
    }


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the library is asked."""
    seen: list[Request] = []

    def receive(receivers: Any, secrets: Any, asked: Request, now: Any) -> Answer:
        assert (receivers, secrets, now) == ("inventory", "secretsmanager", "now")
        seen.append(asked)
        return Answer(status=200, about="shop/agent")

    monkeypatch.setattr(callbacks, "receive", receive)
    _use(monkeypatch)
    return seen


def _use(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = SimpleNamespace(inventory="inventory", clients=lambda name: name, clock=lambda: "now")
    monkeypatch.setattr(callback, "deployment", lambda: hub)


def test_a_report(received: list[Request]) -> None:
    """Id, headers in lower case and the very bytes go to the library; its answer goes back as JSON."""
    answer = callback.handler(request(), CONTEXT)
    assert json.loads(json.dumps(answer)) == {
        "statusCode": 200,
        "headers": {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
        "body": '{"status": "recorded"}',
    }
    (asked,) = received
    assert (asked.id, asked.body, asked.headers["webhook-id"]) == (ID, BODY.encode(), ID)


def test_a_body_in_base64(received: list[Request]) -> None:
    """The API encodes what it takes for binary; what is no base64 is 400."""
    callback.handler(request(body=base64.b64encode(b"\xff\x00").decode(), isBase64Encoded=True), CONTEXT)
    assert received[0].body == b"\xff\x00"
    answer = callback.handler(request(body="%", isBase64Encoded=True), CONTEXT)
    assert (answer["statusCode"], len(received)) == (400, 1)
    assert "error" in json.loads(answer["body"])


@pytest.mark.parametrize("event", [{}, {"pathParameters": None, "headers": None, "body": None}])
def test_a_request_without_anything(received: list[Request], event: dict[str, Any]) -> None:
    """It reaches the library as an empty one, which has an answer for it."""
    callback.handler(event, CONTEXT)
    assert received == [Request(id="", headers={}, body=b"")]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function logs where the environment asks for events to be logged."""
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    importlib.reload(callback)  # the variable is read when the handler is decorated
    _use(monkeypatch)
    written = io.StringIO()
    for each in callback.logger.handlers:
        monkeypatch.setattr(each, "stream", written)
    return written


def test_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    """It is 503 with when to come again; what failed is in the log by its reason alone."""

    def fail(*_: Any) -> Answer:
        raise Unavailable("table arn:aws:dynamodb:eu-central-1:111122223333:table/internal")

    monkeypatch.setattr(callbacks, "receive", fail)
    answer = callback.handler(request(), CONTEXT)
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "60")
    assert "internal" not in json.dumps(answer)
    assert '"reason":"unavailable"' in log.getvalue()


def test_neither_bodies_nor_headers_are_logged(received: list[Request], log: io.StringIO) -> None:
    """The log has the status and the target."""
    callback.handler(request(), CONTEXT)
    assert '"target":"shop/agent"' in log.getvalue()
    assert "their" not in log.getvalue()
