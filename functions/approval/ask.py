"""Tell the approvers of a change request what is asked, and keep the token of the workflow that waits for them."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import change_request_steps
from perennial.deployment import Deployment

logger = Logger(service="approval-ask")
deployment = cache(Deployment)


@logger.inject_lambda_context(log_event=False)  # the token is not for our log, whatever the environment says
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """{"request", "token"} → {}"""
    change_request_steps.tell(deployment(), event["request"], event["token"], deployment().clock())
    logger.info("asked", extra={"request": event["request"]})
    return {}
