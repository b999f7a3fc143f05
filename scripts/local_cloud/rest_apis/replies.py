"""What a proxy integration and a REQUEST authorizer may answer; API Gateway takes nothing else.

Source: API Gateway Developer Guide, "Output format of a Lambda function for proxy integration" ("502 Bad Gateway"),
"Output from an API Gateway Lambda authorizer", and "Quotas for configuring and running a REST API".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_INVOCATION = 6 * 1024 * 1024  # bytes that Lambda takes and gives in one invocation; API Gateway itself takes 10 MB
MAX_SECONDS = 29.0  # for an integration
_MEMBERS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})
_SCALARS = (str, int, float, bool)


def is_proxy_reply(reply: Any) -> bool:
    """Whether a function answered in the format of a proxy integration."""
    if not isinstance(reply, Mapping) or not set(reply) <= _MEMBERS:
        return False
    parts = (
        _is_status(reply.get("statusCode")),
        _is_table(reply.get("headers"), _SCALARS),
        _is_table(reply.get("multiValueHeaders"), (list,)),
        isinstance(reply.get("body", ""), str | None),
        isinstance(reply.get("isBase64Encoded", False), bool),
    )
    return all(parts) and len(json.dumps(reply)) <= MAX_INVOCATION


def _is_status(value: Any) -> bool:
    """A number from 100 to 599, or the text of one; where it is missing, API Gateway answers 502 too."""
    text = str(value) if type(value) is int or isinstance(value, str) else ""
    return text.isdecimal() and 100 <= int(text) <= 599


def _is_table(value: Any, kinds: tuple[type, ...]) -> bool:
    return value is None or (isinstance(value, Mapping) and all(isinstance(each, kinds) for each in value.values()))


def is_authorizer_result(result: Any) -> bool:
    """Whether an authorizer answered with what API Gateway can use: no list or object is in its context."""
    context = (result.get("context") or {}) if isinstance(result, Mapping) else None
    return isinstance(context, Mapping) and all(each is None or isinstance(each, _SCALARS) for each in context.values())


def permits_invoking(action: Any) -> bool:
    """Whether the Action of a statement of an authorizer's policy is about invoking an API."""
    actions = [action] if isinstance(action, str) else action
    return isinstance(actions, list) and any(
        str(each).lower() in ("*", "execute-api:*", "execute-api:invoke") for each in actions
    )
