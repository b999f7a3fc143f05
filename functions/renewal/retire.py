"""Retire a version of a managed certificate."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import lifecycle_step
from perennial.deployment import Deployment

logger = Logger(service="renewal-retire")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"version", "fence"} → {"left": [what still stands, and why]}"""
    left = lifecycle_step.retire(deployment(), event["version"], int(event["fence"]), deployment().clock())
    logger.info("retired", extra={"version": event["version"], "left": left})
    return {"left": left}
