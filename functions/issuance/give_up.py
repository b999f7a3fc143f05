"""Record why a step of an issuance failed, and when it is tried again, if at all."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import issuance_failure
from perennial.deployment import Deployment

logger = Logger(service="issuance-give-up")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"version", "error": {"Error", "Cause"}} → {"next", "seconds", "doing"}"""
    error = event["error"]
    now = deployment().clock()
    step = issuance_failure.give_up(deployment(), event["version"], error["Error"], error["Cause"], now).document()
    logger.warning("gave up", extra={"version": event["version"], "error": error["Error"], "step": step})
    return step
