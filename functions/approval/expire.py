"""End a change request that nobody decided in its time."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import approvals, change_request_steps
from perennial.deployment import Deployment

logger = Logger(service="approval-expire")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"request"} → {"next", "seconds"}"""
    now = deployment().clock()
    request = change_request_steps.expire(deployment(), event["request"], now)
    logger.info("expired", extra={"request": request.id, "state": str(request.state)})
    return approvals.step(request, now).document()
