"""Answer with the page where people sign in and decide. It has no rights: what it tells stands in its environment."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import approval_page, sign_in
from perennial.sign_in import SignIn

logger = Logger(service="api-page")
where = cache(lambda: _where(os.environ.get("PERENNIAL_SIGN_IN", "null")))


@logger.inject_lambda_context(log_event=False)  # headers are not for our log, whatever the environment says
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A request of a REST API (proxy integration) → {"statusCode", "headers", "body", "isBase64Encoded"}

    Raises: InvalidConfiguration.
    """
    return approval_page.reply(event, where())


def _where(text: str) -> SignIn:
    return sign_in.read(json.loads(text))
