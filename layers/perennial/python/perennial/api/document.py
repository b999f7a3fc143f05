"""The OpenAPI document of the API, made of its routes: docs/openapi.json."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from perennial.api.arriving import JSON
from perennial.api.once import HEADER, REPLAYED
from perennial.api.preconditions import IF_MATCH
from perennial.api.resolver import build
from perennial.api.routes import PROBLEM, STAGE, WRITES

TITLE, VERSION = "Perennial", "1"
DESCRIPTION = (
    "Certificate lifecycle management for AWS. docs/api.md says how to call it. Requests are signed with AWS "
    "credentials (SigV4, service execute-api), or have a bearer token where the API for people is called."
)
SECURITY: dict[str, Any] = {
    "sigv4": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "AWS Signature Version 4, service execute-api.",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
}
KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same key with the same request is done once. It is kept a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}
_UNUSED = (
    "HTTPValidationError",
    "ResponseValidationError",
    "ValidationError",
)  # Powertools' own documents of problems, which are not ours
_BY_GATEWAY = (401, 403, 413, 429, 503)  # API Gateway answers these too, with the same members as application/json
_IN_ITS_WORDS = (400, 500, 502)  # and these in its own words: Lambda Developer Guide, "Handling Lambda errors"
_GATEWAY: dict[str, Any] = {
    "type": "object",
    "title": "GatewayMessage",
    "description": "What API Gateway says where the function has not answered.",
    "properties": {"message": {"type": ["string", "null"], "title": "Message"}},
    "required": ["message"],
}
_TEXT = {"schema": {"type": "string"}}
_AGAIN = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}}
_SAID: dict[int, dict[str, Any]] = {  # API Gateway's own replies are without these
    401: {"WWW-Authenticate": _TEXT},
    409: _AGAIN,
    429: _AGAIN,
    503: _AGAIN,
}


def text() -> str:
    """The document, as JSON that people can read."""
    return json.dumps(document(), indent=1, ensure_ascii=False, sort_keys=True)


def document() -> dict[str, Any]:
    """The document."""
    found: dict[str, Any] = json.loads(
        build().get_openapi_json_schema(title=TITLE, version=VERSION, description=DESCRIPTION)
    )
    found["servers"] = [{"url": f"https://{{api}}/{STAGE}", "variables": {"api": {"default": "api.example.com"}}}]
    found["security"] = [{name: []} for name in SECURITY]
    found["components"]["securitySchemes"] = SECURITY
    found["components"]["schemas"][_GATEWAY["title"]] = _GATEWAY
    for name in _UNUSED:
        found["components"]["schemas"].pop(name, None)
    for path in found["paths"].values():
        for method, operation in path.items():
            _complete(operation, writes=method.upper() in WRITES)
            _have_state(operation, found["components"]["schemas"])
    return found


def _complete(operation: dict[str, Any], *, writes: bool) -> None:
    if writes:
        operation.setdefault("parameters", []).append(KEY)
    replies = operation["responses"]
    for each in operation.get("parameters", ()):
        if each["name"] == IF_MATCH.lower():  # as Powertools writes it
            each |= {"name": IF_MATCH, "required": "428" in replies}
    replies["500"]["content"] = dict(replies["400"]["content"])
    replies["502"] = {"description": HTTPStatus(502).phrase, "content": {}}
    for status, reply in replies.items():
        reply["headers"] = {"X-Request-Id": _TEXT}
        if int(status) in _BY_GATEWAY:
            reply["content"][JSON] = reply["content"][PROBLEM]
        if int(status) in _IN_ITS_WORDS:
            reply["content"][JSON] = {"schema": {"$ref": f"#/components/schemas/{_GATEWAY['title']}"}}
        if writes and int(status) < 300:
            reply["headers"][REPLAYED] = {**_TEXT, "description": "true, where this was answered before."}
        reply["headers"] |= _SAID.get(int(status), {})


def _have_state(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """The headers of a success that is a thing with a revision, or leads to one."""
    for status, reply in operation["responses"].items():
        named = reply.get("content", {}).get(JSON, {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
        if "revision" in schemas.get(named, {}).get("properties", {}):
            reply["headers"]["ETag"] = {**_TEXT, "required": True, "description": "Names this state: for If-Match."}
            if status == "202":
                reply["headers"]["Location"] = {**_TEXT, "required": True, "description": "The path of what was made."}
