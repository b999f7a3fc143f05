"""The event of a proxy integration and of a REQUEST authorizer, with every member that API Gateway sends.

Source: Lambda Developer Guide and API Gateway Developer Guide, "Input format of a Lambda function for proxy
integration" and "Input to an API Gateway Lambda authorizer".
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IDENTITY = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "sourceIp",
    "user",
    "userAgent",
    "userArn",
)
_OF_A_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "upgrade")  # these end at API Gateway
_FORWARDED = ("x-forwarded-for", "x-forwarded-port", "x-forwarded-proto")

Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request to a REST API: where it came from, and the ids that its reply tells too. `path` is as it was sent,
    without the stage: API Gateway decodes nothing of it; None where it came by a custom domain name."""

    host: str
    path: str | None
    address: str  # of the client's connection
    request_id: str
    extended_id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    trace: str = field(default_factory=lambda: f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}")


def complete(event: Event, arrival: Arrival, stage: Mapping[str, Any], *, is_signed: bool) -> Event:
    """An event as API Gateway sends it, from what ministack made."""
    event.pop("version", None)  # of HTTP APIs only
    if arrival.path is not None:
        event |= {"path": arrival.path, "pathParameters": parameters(event["resource"], arrival.path)}
    context = event["requestContext"]
    context |= {
        "requestId": arrival.request_id,
        "extendedRequestId": arrival.extended_id,
        "domainName": arrival.host,
        "domainPrefix": arrival.host.partition(".")[0],
        "deploymentId": stage.get("deploymentId"),
        "protocol": "HTTP/1.1",
        "path": f"/{context['stage']}{event['path']}",
        "identity": _identity(context.get("identity") or {}, arrival),
    }
    context.setdefault("requestTimeEpoch", int(time.time() * 1000))
    context.setdefault("requestTime", time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()))
    _headers(event, arrival, is_signed=is_signed)
    several = event.get("multiValueQueryStringParameters")
    event["queryStringParameters"] = {name: values[-1] for name, values in several.items()} if several else None
    return event


def parameters(resource: str, path: str) -> dict[str, str] | None:
    """What stands in a path for the parameters of a resource such as ``/managed/{name}`` or ``/{proxy+}``."""
    names, values = resource.strip("/").split("/"), path.removeprefix("/").split("/")
    found = {}
    for place, name in enumerate(names):
        if name.endswith("+}"):
            found[name[1:-2]] = "/".join(values[place:])
        elif name.startswith("{"):
            found[name[1:-1]] = "/".join(values[place : place + 1])
    return found or None


def sent_path(raw_path: str, api: str, stage: str) -> str | None:
    """The path below the stage, of a request to AWS's host name or to a path of the local cloud; still encoded."""
    below = re.compile(rf"(?:/_aws/execute-api/{api}|/restapis/{api})?/{re.escape(stage)}(?:/_user_request_)?(?=/|$)")
    found = below.match(raw_path)
    return (raw_path[found.end() :] or "/") if found else None


def _identity(known: Mapping[str, Any], arrival: Arrival) -> dict[str, Any]:
    """Every member, null where nothing is known; the address is that of the connection, whatever a header says."""
    agent = known.get("userAgent") or None
    return {**dict.fromkeys(IDENTITY), **known, "sourceIp": arrival.address, "userAgent": agent}


def _headers(event: Event, arrival: Arrival, *, is_signed: bool) -> None:
    """The client's headers, without a signature that was verified, and with those that API Gateway adds."""
    dropped = {*_OF_A_CONNECTION, *_FORWARDED, "host", "x-amzn-trace-id", *(("authorization",) if is_signed else ())}
    sent = {name.lower(): values for name, values in (event["multiValueHeaders"] or {}).items()}
    kept = {name: list(values) for name, values in sent.items() if name not in dropped}
    through = ", ".join([*sent.get("x-forwarded-for", ()), arrival.address])
    added = {
        "Host": arrival.host,
        "X-Amzn-Trace-Id": arrival.trace,
        "X-Forwarded-For": through,
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    event["multiValueHeaders"] = {**kept, **{name: [value] for name, value in added.items()}}
    event["headers"] = {name: values[-1] for name, values in event["multiValueHeaders"].items()}
