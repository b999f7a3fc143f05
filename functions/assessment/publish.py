"""Publish the findings that are due."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import publishing
from perennial.deployment import Deployment

logger = Logger(service="assessment-publish")
deployment = cache(Deployment)

TO_FINISH = timedelta(seconds=60)  # to end the last batch


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{} → {"published": n, "failed": n, "remaining": bool}"""
    now = deployment().clock()
    deadline = now + timedelta(milliseconds=context.get_remaining_time_in_millis()) - TO_FINISH
    result = publishing.publish_due(deployment(), now=now, deadline=deadline)
    logger.info("published", extra=result)
    return result
