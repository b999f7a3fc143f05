"""Take the reports of webhooks' receivers, which an HTTP API hands on."""

from __future__ import annotations

import base64
import binascii
import json
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import callbacks
from perennial.callbacks import Answer, Request
from perennial.deployment import Deployment
from perennial.errors import PerennialError

logger = Logger(service="rollout-callback")
deployment = cache(Deployment)


@logger.inject_lambda_context(log_event=False)  # bodies and headers are not for our log, whatever the environment says
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A request of an HTTP API (payload format 2.0) → {"statusCode", "headers", "body"}"""
    hub = deployment()
    try:
        request = _request(event)
        answer = callbacks.receive(hub.inventory, hub.clients("secretsmanager"), request, hub.clock())
    except binascii.Error:
        answer = Answer(status=400, error="the body cannot be read; send JSON")
    except PerennialError as error:
        logger.warning("not taken", extra={"reason": error.reason})
        answer = Answer(status=503, error="the report could not be taken now; send it again in a minute")
    logger.info("answered", extra={"status": answer.status, "target": answer.about})
    return _response(answer)


def _request(event: dict[str, Any]) -> Request:
    """Raises: binascii.Error."""
    body = str(event.get("body") or "")
    return Request(
        id=str((event.get("pathParameters") or {}).get("id", "")),
        headers={str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()},
        body=base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode(),
    )


def _response(answer: Answer) -> dict[str, Any]:
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        **({"Retry-After": "60"} if answer.status == 503 else {}),
    }
    return {"statusCode": answer.status, "headers": headers, "body": json.dumps(answer.document())}
