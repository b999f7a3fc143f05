"""The OpenAPI document of the API, made of its routes: docs/openapi.json."""

from __future__ import annotations

import json
from typing import Any

from perennial.api.once import HEADER, REPLAYED
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
_TEXT = {"schema": {"type": "string"}}


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
    for name in _UNUSED:
        found["components"]["schemas"].pop(name, None)
    for path in found["paths"].values():
        for method, operation in path.items():
            _complete(operation, writes=method.upper() in WRITES)
    return found


def _complete(operation: dict[str, Any], *, writes: bool) -> None:
    if writes:
        operation.setdefault("parameters", []).append(KEY)
    operation["responses"]["500"]["content"] = dict(operation["responses"]["400"]["content"])
    for status, reply in operation["responses"].items():
        reply["headers"] = {"X-Request-Id": _TEXT}
        if int(status) in _BY_GATEWAY:
            reply["content"]["application/json"] = reply["content"][PROBLEM]
        if writes and int(status) < 300:
            reply["headers"][REPLAYED] = {**_TEXT, "description": "true, where this was answered before."}
