"""Make the checkpoints of the audit trail that are due."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import audit
from perennial.deployment import Deployment

logger = Logger(service="audit-checkpoint")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[int]]:
    """Any event → {"made": [number of a checkpoint]}"""
    made = audit.checkpoint(deployment().inventory, audit.lock_of(deployment()), deployment().clock())
    numbers = [each.number for each in made]
    logger.info("checkpoints made", extra={"made": numbers})
    return {"made": numbers}
