"""The function behind the load balancer answers in the load balancer's format, and tells and logs nothing else."""

from __future__ import annotations

import importlib
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from functions.issuance import answer_http01

from perennial.errors import Unavailable

TOKEN = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
CONTENT = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
PATH = f"/.well-known/acme-challenge/{TOKEN}"
CONTEXT: Any = SimpleNamespace(
    function_name="perennial",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:perennial",
    aws_request_id="00000000-0000-0000-0000-000000000000",
)


def request(method: str = "GET", path: str = PATH, **more: Any) -> dict[str, Any]:
    """What the load balancer sends."""
    group = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/answer/1"
    content = {"httpMethod": method, "path": path, "queryStringParameters": {}, "body": "", "isBase64Encoded": False}
    headers = {"headers": {"cookie": "their-session", "host": "shop.example.com"}}
    return {"requestContext": {"elb": {"targetGroupArn": group}}, **content, **(more or headers)}


def shown(token: str) -> str | None:
    return CONTENT if token == TOKEN else None


@pytest.fixture(autouse=True)
def _inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    _use(monkeypatch, shown)


def _use(monkeypatch: pytest.MonkeyPatch, show: Any) -> None:
    inventory = SimpleNamespace(shown_challenge=show)
    monkeypatch.setattr(answer_http01, "deployment", lambda: SimpleNamespace(inventory=inventory))


def test_a_file() -> None:
    """A file is answered as text that no browser takes for anything else."""
    answer = answer_http01.handler(request(), CONTEXT)
    assert json.loads(json.dumps(answer)) == {
        "statusCode": 200,
        "statusDescription": "200 OK",
        "isBase64Encoded": False,
        "headers": {"Content-Type": "text/plain", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        "body": CONTENT,
    }


@pytest.mark.parametrize(
    ("event", "status", "body"),
    [
        (request("HEAD"), "200 OK", ""),
        (request("POST"), "405 Method Not Allowed", ""),
        (request(path=f"{PATH}x"), "404 Not Found", ""),
        (request(path="/"), "404 Not Found", ""),
        ({}, "404 Not Found", ""),
    ],
)
def test_other_requests(event: dict[str, Any], status: str, body: str) -> None:
    """Whatever is asked, the answer is a status and at most the file."""
    answer = answer_http01.handler(event, CONTEXT)
    assert (answer["statusDescription"], answer["body"]) == (status, body)
    assert answer["headers"].get("Allow") == ("GET, HEAD" if status.startswith("405") else None)


def test_lists_of_header_values() -> None:
    """Where the target group has multi-value headers on, the answer's headers are lists, and only those."""
    answer = answer_http01.handler(request(multiValueHeaders={"host": ["shop.example.com"]}), CONTEXT)
    assert answer["multiValueHeaders"]["Content-Type"] == ["text/plain"]
    assert "headers" not in answer


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function logs where the environment asks for events to be logged."""
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    importlib.reload(answer_http01)  # the variable is read when the handler is decorated
    _use(monkeypatch, shown)
    written = io.StringIO()
    for each in answer_http01.logger.handlers:
        monkeypatch.setattr(each, "stream", written)
    return written


def test_an_inventory_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    """A fault of ours is a bare 503, and its reason is in the log."""

    def fail(token: str) -> str | None:
        raise Unavailable("table arn:aws:dynamodb:eu-central-1:111122223333:table/internal")

    _use(monkeypatch, fail)
    answer = answer_http01.handler(request(), CONTEXT)
    assert (answer["statusCode"], answer["body"]) == (503, "")
    assert "internal" not in json.dumps(answer)
    assert '"reason":"unavailable"' in log.getvalue()


def test_headers_are_not_logged(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    """Neither for a file, nor for another request, nor where the inventory does not answer."""
    answer_http01.handler(request(), CONTEXT)
    answer_http01.handler(request(path="/"), CONTEXT)
    test_an_inventory_that_does_not_answer(monkeypatch, log)
    assert "their-session" not in log.getvalue()
