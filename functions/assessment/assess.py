"""Assess the places of one shard that are due."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import publishing
from perennial.deployment import Deployment

logger = Logger(service="assessment-assess")
deployment = cache(Deployment)

TO_FINISH = timedelta(seconds=60)  # to end the last batch


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"shard"} → {"assessed": n, "remaining": bool}"""
    now = deployment().clock()
    deadline = now + timedelta(milliseconds=context.get_remaining_time_in_millis()) - TO_FINISH
    result = publishing.assess_due(deployment(), shard=event["shard"], now=now, deadline=deadline)
    logger.info("assessed", extra={"shard": event["shard"], **result})
    return result
