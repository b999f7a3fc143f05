"""Make the scopes that an event concerns due for a scan."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import dispatch
from perennial.deployment import Deployment

logger = Logger(service="dispatch-event")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[str]]:
    """An EventBridge event → {"scopes": [scope]}"""
    received = dispatch.receive(deployment(), event, deployment().clock())
    logger.info("received", extra={"event_id": event.get("id"), **received})
    return received
