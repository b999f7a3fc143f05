"""Decide what is next for a managed certificate, and do what is quick."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import lifecycle_step
from perennial.deployment import Deployment

logger = Logger(service="renewal-decide")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"managed", "fence"} → {"next", "reference", "execution", "seconds", "doing"}"""
    found = lifecycle_step.step(deployment(), event["managed"], int(event["fence"]), deployment().clock())
    step = found.document()
    logger.info("decided", extra={"managed": event["managed"], "step": step})
    return step
