"""Changes to ministack's API Gateway: whether a function lets itself be invoked by an API.

Source: API Gateway Developer Guide, "Use AWS Lambda to build an API" and AWS::Lambda::Permission; a function that lacks
the permission is the reason of most answers 500 of a new API.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from local_cloud.patching import part, replace
from local_cloud.rest_apis.requests import IAM, RESPONSES, REST

_SERVICE = "apigateway.amazonaws.com"
_ACTION = "lambda:InvokeFunction"

Permits = Callable[[str, str, str, str], bool]


def ask_permission_of_functions() -> None:
    """Answer 500 where the policy of a function, or of the alias that is named, does not let the API invoke it.

    ministack invokes any function, so that a permission that is missing would first be missed in AWS.
    """
    hook, invoke, ask = "ask_permission_of_functions", "_invoke_lambda_proxy_v1", "_invoke_authorizer_lambda"
    invoked, asked, error = part(hook, REST, invoke), part(hook, REST, ask), part(hook, REST, "_gw_error")
    reference = part(hook, REST, "_extract_lambda_ref_from_integration_uri")
    arn_of = part(hook, "ministack.core.arn", "execute_api_arn")
    permits = _permits(hook)

    @wraps(invoked)
    async def invoke_permitted(integration: Any, api: str, stage: str, *rest: Any, **named: Any) -> Any:
        _stage, _resource, path, method, *_ = rest
        account, region = named["owner_account_id"], named["owner_region"]
        source = arn_of(region, account, api, stage, method, path)
        function = reference(integration.get("uri", ""))
        if not integration.get("credentials") and not permits(function, source, account, region):
            return error("API_CONFIGURATION_ERROR", "Internal server error")
        return await invoked(integration, api, stage, *rest, **named)

    @wraps(asked)
    async def ask_permitted(authorizer: Any, event: Any, account: str, region: str) -> Any:
        api = event["methodArn"].split(":", 5)[5].partition("/")[0]
        source = f"arn:aws:execute-api:{region}:{account}:{api}/authorizers/{authorizer['id']}"
        function = reference(authorizer.get("authorizerUri", ""))
        if not authorizer.get("authorizerCredentials") and not permits(function, source, account, region):
            return None
        return await asked(authorizer, event, account, region)

    replace(REST, invoke, invoke_permitted)
    replace(REST, ask, ask_permitted)


def _permits(hook: str) -> Permits:
    """Whether a function (its ARN) lets the API of a source ARN invoke it."""
    policy_of = part(hook, "ministack.services.lambda_svc", "function_policy_for_arn")
    scope = part(hook, RESPONSES, "request_scope")
    context, evaluate = part(hook, IAM, "EvalContext"), part(hook, IAM, "evaluate_resource_policy")

    def permits(function: str, source: str, account: str, region: str) -> bool:
        if not function.startswith("arn:"):
            return True  # a name alone, which AWS does not take: ministack says what is wrong
        owner, place = function.split(":")[4], function.split(":")[3]
        with scope(owner, place):
            found = policy_of(function)
        if found is None:
            return True  # there is no such function: ministack says so
        conditions = {"aws:sourcearn": source, "aws:sourceaccount": account}
        asked = context(_SERVICE, "Service", account, _ACTION, function, region, service_context=conditions)
        return bool(evaluate(found[0], asked, service=_SERVICE).decision == "Allow")

    return permits


HOOKS: tuple[Callable[[], None], ...] = (ask_permission_of_functions,)
