"""Answer the requests of the API, which two REST APIs hand on: one for IAM credentials, one for tokens."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial.api.resolver import Api, load
from perennial.deployment import Deployment

logger = Logger(service="api")
deployment = cache(Deployment)
api = cache(lambda: Api(deployment()))
if find_spec("snapshot_restore_py"):  # Lambda's runtime has it: Developer Guide, "Lambda SnapStart runtime hooks"
    import_module("snapshot_restore_py").register_before_snapshot(load)


@logger.inject_lambda_context(log_event=False)  # bodies and headers are not for our log, whatever the environment says
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A request of a REST API (proxy integration) → {"statusCode", "multiValueHeaders", "body", "isBase64Encoded"}"""
    reply = api().answer(event, context)
    logger.info(
        "answered", extra={"status": reply["statusCode"], "request": reply["multiValueHeaders"].get("X-Request-Id")}
    )
    return reply
