"""Requests to the API as API Gateway hands them on, for tests: by IAM principals, by tokens, and by nobody.

with api_hub(CONFIGURATION) as api:
    reply = api.ask("GET", "/me", as_role("anna"))
    reply.status, reply.document, reply.headers["etag"]
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from functions.api import handle

from estate import HUB, Estate
from layers.perennial.conftest import in_memory_hub
from perennial.api.resolver import Api
from perennial.audit import MOST, Question, asked
from perennial.audit_chain import Link

ID = "11111111-2222-3333-4444-555555555555"
LAMBDA: Any = SimpleNamespace(
    function_name="perennial-api",
    memory_limit_in_mb=1024,
    invoked_function_arn=f"arn:aws:lambda:eu-west-1:{HUB}:function:perennial-api",
    aws_request_id=ID,
    get_remaining_time_in_millis=lambda: 25_000,
)


def as_role(name: str, *, account: str = HUB, session: str = "session") -> dict[str, Any]:
    """The requestContext of a session of a role of IAM."""
    return {"identity": {"userArn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}"}}


NOBODY: dict[str, Any] = {"identity": {"userArn": None}}


@dataclass(frozen=True)
class Answered:
    """A reply."""

    raw: Mapping[str, Any]

    @property
    def status(self) -> int:
        return int(self.raw["statusCode"])

    @property
    def document(self) -> Any:
        return json.loads(self.raw["body"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): values[0] for name, values in self.raw["multiValueHeaders"].items()}


@dataclass
class ApiHub:
    """An in-memory hub and its API, asked through the Lambda handler."""

    estate: Estate
    answers: list[Answered] = field(default_factory=list)

    def ask(self, method: str, path: str, context: Mapping[str, Any], body: Any = None, **headers: str) -> Answered:
        """The reply to a request; `path` may have a query; headers with _ for -."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(event(method, path, context, None if body is None else json.dumps(body), given))

    def send(self, sent: Any) -> Answered:
        """The reply to an event."""
        answered = Answered(handle.handler(sent, LAMBDA))
        self.answers.append(answered)
        return answered

    def trail(self) -> list[Link]:
        """The audit trail of these days, the newest first."""
        now, day = self.estate.clock(), timedelta(days=1)
        return asked(self.estate.deployment.inventory, Question(since=now - day, until=now + day), MOST)


def event(
    method: str,
    path: str,
    context: Mapping[str, Any],
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An event of a REST API's proxy integration (API Gateway Developer Guide, "Input format of a Lambda function for
    proxy integration")."""
    plain, _, query = path.partition("?")
    values = parse_qs(query, keep_blank_values=True)
    given = {"Content-Type": "application/json", "Host": "x.example", **(headers or {})}
    return {
        "resource": "/{proxy+}",
        "path": plain,
        "httpMethod": method,
        "headers": dict(given),
        "multiValueHeaders": {name: [value] for name, value in given.items()},
        "queryStringParameters": {name: each[-1] for name, each in values.items()} or None,
        "multiValueQueryStringParameters": values or None,
        "pathParameters": {"proxy": plain[1:]},
        "stageVariables": None,
        "requestContext": {"accountId": HUB, "stage": "v1", "requestId": ID, "path": f"/v1{plain}", **context},
        "body": body,
        "isBase64Encoded": False,
    }


@contextmanager
def api_hub(configuration: bytes = b"") -> Iterator[ApiHub]:
    """An in-memory hub with its API."""
    with in_memory_hub(configuration) as estate:
        made = Api(estate.deployment)
        before = handle.api
        handle.api = lambda: made  # type: ignore[assignment]
        try:
            yield ApiHub(estate)
        finally:
            handle.api = before
