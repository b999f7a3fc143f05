"""Look at targets and judge whether the version fits."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import rollout_check
from perennial.deployment import Deployment

logger = Logger(service="rollout-preflight")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"rollout"} → {"next", "seconds", "doing", "then"}"""
    step = rollout_check.preflight(deployment(), event["rollout"], deployment().clock()).document()
    logger.info("looked", extra={"rollout": event["rollout"], "step": step})
    return step
