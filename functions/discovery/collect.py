"""Record how a run of Discovery ended."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import discovery
from perennial.deployment import Deployment

logger = Logger(service="discovery-collect")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"run", "started_at", "full"} → {"run", "scopes": n, "complete": n, "incomplete": n}"""
    started_at = datetime.fromisoformat(event["started_at"])
    now = deployment().clock()
    full = bool(event["full"])
    collected = discovery.collect(deployment(), run=event["run"], started_at=started_at, now=now, full=full)
    logger.info("collected", extra=collected)
    return collected
