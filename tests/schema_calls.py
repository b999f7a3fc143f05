"""Requests to the API's handler as `requests` sends them: between them is API Gateway, as the local cloud does it.

session = gateway(hub, {"identity": {"userArn": …}})
session.get("https://api.example.com/v1/me")
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse
from urllib3._collections import HTTPHeaderDict

from asked_api import ApiHub, event
from local_cloud.rest_apis.events import Arrival, complete, sent_path

API, STAGE = "abcdefgh12", {"deploymentId": "deployed"}
_OF_THE_WIRE = ("connection", "content-length", "transfer-encoding")
_numbers = itertools.count(1)


def gateway(hub: ApiHub, context: Mapping[str, Any]) -> requests.Session:
    """A session whose requests go to the handler, from whom the context names."""
    made = requests.Session()
    made.trust_env = False
    made.mount("https://", _Gateway(hub, context))
    return made


def answer(
    request: requests.PreparedRequest, status: int, headers: Iterable[tuple[str, str]], body: bytes
) -> requests.Response:
    """A reply whose body has come as a whole, as `requests` has it."""
    kept = HTTPHeaderDict((name, each) for name, each in headers if name.lower() not in _OF_THE_WIRE)
    raw = HTTPResponse(
        body=io.BytesIO(body), headers=kept, status=status, reason=HTTPStatus(status).phrase, preload_content=False
    )
    return HTTPAdapter().build_response(request, raw)


class _Gateway(BaseAdapter):
    def __init__(self, hub: ApiHub, context: Mapping[str, Any]) -> None:
        super().__init__()
        self._hub, self._context = hub, context

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        reply = self._hub.send(self._event(request)).raw
        headers = [(name, each) for name, values in reply["multiValueHeaders"].items() for each in values]
        return answer(request, reply["statusCode"], headers, reply["body"].encode())

    def _event(self, request: requests.PreparedRequest) -> dict[str, Any]:
        """The event of a request, as the local cloud makes it."""
        parts = urlsplit(request.url or "")
        path = sent_path(parts.path, API, "v1")
        body = request.body.encode() if isinstance(request.body, str) else request.body
        made = event(request.method or "", f"{path}", dict(self._context))
        values = parse_qs(parts.query, keep_blank_values=True)
        made["headers"] = {name: _text(value) for name, value in request.headers.items()}
        made["multiValueHeaders"] = {name: [value] for name, value in made["headers"].items()}
        made["multiValueQueryStringParameters"] = values or None
        made["body"] = body.decode("utf-8", "replace") if body else None
        known = Arrival(host="api.example.com", path=path, address="192.0.2.1", request_id=f"schema-{next(_numbers)}")
        return complete(made, known, STAGE, is_signed=True)

    def close(self) -> None:
        """Nothing is open."""


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
