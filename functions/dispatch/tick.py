"""Start what is due."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import dispatch
from perennial.deployment import Deployment

logger = Logger(service="dispatch-tick")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[str]]:
    """Any event → {"started": [execution name]}"""
    started = dispatch.tick(deployment(), deployment().clock())
    logger.info("ticked", extra=started)
    return started
