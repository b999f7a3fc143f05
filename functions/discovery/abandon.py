"""Record a scope whose scan was tried in vain."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import discovery
from perennial.deployment import Deployment
from perennial.manifest import Scope

logger = Logger(service="discovery-abandon")
deployment = cache(Deployment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"run", "scope", "error": {"Error", "Cause"}} → {"scope", "status": incomplete, "reason", "changes": 0}"""
    scope = Scope.of(event["scope"])
    now = deployment().clock()
    result = discovery.abandon(deployment(), run=event["run"], scope=scope, error=event["error"], now=now)
    logger.warning("abandoned", extra={"run": event["run"], **result})
    return result
