"""Record why a step of a rollout failed, and what becomes of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import rollout_failure
from perennial.deployment import Deployment

logger = Logger(service="rollout-give-up")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"rollout", "error": {"Error", "Cause"}} → {"next", "seconds", "doing", "then"}"""
    error = event["error"]
    now = deployment().clock()
    step = rollout_failure.give_up(deployment(), event["rollout"], error["Error"], error["Cause"], now).document()
    logger.warning("gave up", extra={"rollout": event["rollout"], "error": error["Error"], "step": step})
    return step
