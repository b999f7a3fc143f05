"""Let in who has a token of the configured issuer. What they may do is decided behind the API, by their grants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from perennial import identity, tokens
from perennial.api_settings import Oidc, user_pool
from perennial.deployment import Deployment
from perennial.errors import InvalidInput
from perennial.jwks import Keys

logger = Logger(service="api-authorizer")
deployment = cache(Deployment)
keys = cache(Keys)
METHOD = re.compile(r"(arn:aws[a-z-]*:execute-api:[a-z0-9-]+:[0-9]{12}:[a-z0-9]+/[A-Za-z0-9_$-]+)/[A-Z]+/.*", re.DOTALL)
_BEARER = re.compile(r"[Bb]earer +([A-Za-z0-9_.-]+)")


@logger.inject_lambda_context(log_event=False)  # headers are not for our log, whatever the environment says
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A REQUEST authorizer's event → {"principalId", "policyDocument", "context"}

    The policy covers the whole stage, because API Gateway may keep it and use it for other methods. The message
    "Unauthorized", and no other, makes API Gateway answer 401 (API Gateway Developer Guide, "API Gateway Lambda
    authorizers"); any other error of ours is a 500.

    Raises: InvalidInput("Unauthorized"), Unavailable, InvalidReply, InvalidConfiguration.
    """
    hub = deployment()
    oidc, now = _oidc(hub), hub.clock()
    try:
        token = _token(event)
        header = tokens.read_header(token, oidc)
        verified = tokens.verify(token, keys(oidc.keys).having(header.kid, now), oidc, now)
        stage = _stage(event)
    except InvalidInput as error:
        logger.warning("refused", extra={"why": str(error)})
        raise InvalidInput("Unauthorized") from None
    logger.info("let in", extra={"issuer": verified.issuer, "subject": verified.subject})
    return {
        "principalId": verified.subject,
        "policyDocument": _policy(stage),
        "context": {identity.CONTEXT: identity.kept_of(verified, hub.settings.api, oidc)},
    }


def _oidc(hub: Deployment) -> Oidc:
    """The configured issuer, else the user pool that the stack made."""
    return hub.settings.api.oidc or user_pool(hub.named("PERENNIAL_USER_POOL"), hub.named("PERENNIAL_APP_CLIENT"))


def _token(event: Mapping[str, Any]) -> str:
    """The one bearer token of a request (RFC 6750 2.1).

    Raises: InvalidInput.
    """
    headers = event.get("multiValueHeaders") or {name: [value] for name, value in (event.get("headers") or {}).items()}
    found = [each for name, values in headers.items() if name.lower() == "authorization" for each in values or ()]
    match = _BEARER.fullmatch(found[0]) if len(found) == 1 and isinstance(found[0], str) else None
    if match is None:
        raise InvalidInput(f"{len(found)} headers Authorization; one with Bearer and a token must be there")
    return match[1]


def _stage(event: Mapping[str, Any]) -> str:
    """Raises: InvalidInput."""
    match = METHOD.fullmatch(str(event.get("methodArn", "")))
    if match is None:
        raise InvalidInput("methodArn is not one of a REST API")
    return match[1]


def _policy(stage: str) -> dict[str, Any]:
    allowed = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{stage}/*"}
    return {"Version": "2012-10-17", "Statement": [allowed]}
