"""Answer the http-01 requests that an Application Load Balancer hands on."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial.deployment import Deployment
from perennial.errors import PerennialError
from perennial.solvers import http01

logger = Logger(service="issuance-answer-http01")
deployment = cache(Deployment)


@logger.inject_lambda_context(log_event=False)  # anyone's headers are not for our log, whatever the environment says
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A load balancer's request {"httpMethod", "path", …} → its response {"statusCode", "headers", "body", …}"""
    try:
        answer = http01.answer(deployment().inventory, str(event.get("httpMethod")), str(event.get("path")))
    except PerennialError as error:
        logger.warning("not answered", extra={"reason": error.reason})
        answer = http01.Answer(status=503)
    return _response(answer, several="multiValueHeaders" in event)


def _response(answer: http01.Answer, *, several: bool) -> dict[str, Any]:
    """As the load balancer takes it: with lists of header values where it sent such lists."""
    headers = {
        "Content-Type": "text/plain",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        **({"Allow": answer.allow} if answer.allow else {}),
    }
    return {
        "statusCode": answer.status,
        "statusDescription": f"{answer.status} {HTTPStatus(answer.status).phrase}",
        "isBase64Encoded": False,
        "body": answer.text,
        **({"multiValueHeaders": {k: [v] for k, v in headers.items()}} if several else {"headers": headers}),
    }
