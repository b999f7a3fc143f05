"""boto3 clients whose answers a test scripts: real parameters, paginators and error classes, no network.

    aws = ScriptedAws({"acm.GetCertificate": lambda request: {"Certificate": pem}})
    scan(reading(client=aws))
    assert aws.calls == ["acm.GetCertificate"]

Requests and answers are checked against botocore's models; a call that is not scripted fails the test.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.validate import validate_parameters

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Refused(Exception):
    """Raised by an answer: the service's error code, and the HTTP status."""

    def __init__(self, code: str, message: str = "scripted", status: int = 400) -> None:
        super().__init__(code)
        self.parsed = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
        self.status = status


def refuse(code: str, message: str = "scripted", status: int = 400) -> Answer:
    """An answer that is an error."""

    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Refused(code, message, status)

    return answer


def turns(*answers: Mapping[str, Any] | Answer) -> Answer:
    """One answer to each call, in order; one call more fails the test."""
    left = iter(answers)

    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        following = next(left, None)
        assert following is not None, f"one call more than expected: {request}"
        return following(request) if callable(following) else following

    return answer


def pages(key: str, *contents: list[Any], token: str = "NextToken", output: str = "") -> Answer:
    """An answer in pages: `token` names the request's member, `output` the answer's where it is another."""

    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        number = int(request.get(token, 0))
        following = {output or token: str(number + 1)} if number + 1 < len(contents) else {}
        return {key: contents[number], **following}

    return answer


class ScriptedAws:
    """`aws("acm")` is a client; `calls` are the operations in order, `requests` their parameters."""

    def __init__(self, script: Mapping[str, Answer], region: str = "eu-west-1") -> None:
        self.script = dict(script)
        self.requests: list[tuple[str, Mapping[str, Any]]] = []
        self._region = region
        self._lock = threading.Lock()

    @property
    def calls(self) -> list[str]:
        return [name for name, _ in self.requests]

    def count(self, name: str) -> int:
        return self.calls.count(name)

    def made(self, name: str) -> list[Mapping[str, Any]]:
        """The requests of one operation."""
        return [request for called, request in self.requests if called == name]

    def __call__(self, service: str, region: str | None = None) -> Any:
        session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
        client = session.client(service, region_name=region or self._region)

        def remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
            context["scripted"] = dict(params)

        def answer(model: Any, context: dict[str, Any], **_: Any) -> tuple[Any, Mapping[str, Any]]:
            return self._answer(f"{service}.{model.name}", context["scripted"], model.output_shape)

        client.meta.events.register("before-parameter-build", remember)
        client.meta.events.register("before-call", answer)
        return client

    def _answer(self, name: str, request: Mapping[str, Any], shape: Any) -> tuple[Any, Mapping[str, Any]]:
        with self._lock:
            self.requests.append((name, request))
            assert name in self.script, f"{name} is not scripted: {request}"
            try:
                content = dict(self.script[name](request))
            except Refused as refused:
                return SimpleNamespace(status_code=refused.status), refused.parsed
        validate_parameters(content, shape)
        return SimpleNamespace(status_code=200), content | {"ResponseMetadata": {"HTTPStatusCode": 200}}
