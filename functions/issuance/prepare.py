"""Judge the request of a version, make its key and CSR."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import issuance
from perennial.deployment import Deployment

logger = Logger(service="issuance-prepare")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"version"} → {"next", "seconds", "doing"}"""
    step = issuance.prepare(deployment(), event["version"], deployment().clock()).document()
    logger.info("prepared", extra={"version": event["version"], "step": step})
    return step
