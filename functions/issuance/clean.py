"""Remove the challenges that a version shows."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import issuance
from perennial.deployment import Deployment

logger = Logger(service="issuance-clean")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"version"} → {"next", "seconds", "doing"}; next is the state in which it ended"""
    step = issuance.clean(deployment(), event["version"], deployment().clock()).document()
    logger.info("cleaned", extra={"version": event["version"], "step": step})
    return step
