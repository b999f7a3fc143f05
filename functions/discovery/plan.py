"""Decide what a run of Discovery scans."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import discovery
from perennial.deployment import Deployment

logger = Logger(service="discovery-plan")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"run", "input": {"scopes"?}} → {"run", "started_at", "bucket", "key", "scopes": n, "full"}"""
    now = deployment().clock()
    planned = discovery.plan(deployment(), run=event["run"], scopes=event["input"].get("scopes"), now=now)
    logger.info("planned", extra={"run": planned["run"], "scopes": planned["scopes"]})
    return planned
