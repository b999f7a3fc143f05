"""Apply a change request that is approved."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import approvals, change_request_steps
from perennial.deployment import Deployment

logger = Logger(service="approval-apply")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"request"} → {"next", "seconds"}"""
    now = deployment().clock()
    request = change_request_steps.apply(deployment(), event["request"], now)
    logger.info("applied", extra={"request": request.id, "state": str(request.state), "reason": request.failure})
    return approvals.step(request, now).document()
