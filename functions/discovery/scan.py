"""Scan one scope."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import discovery
from perennial.deployment import Deployment
from perennial.manifest import Scope

logger = Logger(service="discovery-scan")
deployment = cache(Deployment)

TO_FINISH = timedelta(seconds=60)  # to keep what was read, once no more is read


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"run", "scope"} → {"scope", "status": complete | incomplete | continue, "reason", "changes": n}"""
    now = deployment().clock()
    deadline = now + timedelta(milliseconds=context.get_remaining_time_in_millis()) - TO_FINISH
    scope = Scope.of(event["scope"])
    result = discovery.scan_scope(deployment(), run=event["run"], scope=scope, now=now, deadline=deadline)
    logger.info("scanned", extra={"run": event["run"], **result})
    return result
