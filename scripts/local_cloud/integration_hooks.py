"""Changes to ministack's API Gateway: what passes between a REST API and its functions (see `rest_apis`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from local_cloud.patching import part, replace
from local_cloud.rest_apis import replies
from local_cloud.rest_apis.events import Arrival, complete
from local_cloud.rest_apis.requests import ARRIVAL, REST, arrivals, responder

_INTERNAL = '{"message": "Internal server error"}'


def complete_events_of_apis() -> None:
    """Give functions and authorizers the event that API Gateway sends.

    ministack leaves out domainName, deploymentId and most of the identity, takes the client's word for its address,
    hands on the signature, and has the member ``version``, which is of HTTP APIs.
    """
    hook, build, ask = "complete_events_of_apis", "_build_lambda_event_v1", "_invoke_authorizer_lambda"
    built, asked = part(hook, REST, build), part(hook, REST, ask)
    stages = part(hook, REST, "stages_for_api")
    arrived = arrivals(hook)

    @wraps(built)
    def build_completely(api: str, stage_name: str, stage: Any, *rest: Any, **named: Any) -> Any:
        event = built(api, stage_name, stage, *rest, **named)
        arrival = ARRIVAL.get() or arrived(api, stage_name)
        return complete(event, arrival, stage, is_signed=bool(named.get("caller_identity")))

    @wraps(asked)
    async def ask_completely(authorizer: Any, event: Any, account: str, region: str) -> Any:
        if event["type"] != "REQUEST":
            return await asked(authorizer, event, account, region)
        context = event["requestContext"]
        api, name = context["apiId"], context["stage"]
        whole = complete(event, arrived(api, name), stages(api)[name], is_signed=False)
        return await asked(authorizer, whole, account, region)

    replace(REST, build, build_completely)
    replace(REST, ask, ask_completely)


def judge_authorizers() -> None:
    """Take of an authorizer what API Gateway takes: a flat context, and statements about execute-api:Invoke.

    ministack drops what is not flat, does not look at Action, and takes "unauthorized" for "Unauthorized".
    """
    hook, ask, evaluate = "judge_authorizers", "_invoke_authorizer_lambda", "_evaluate_policy"
    asked, evaluated = part(hook, REST, ask), part(hook, REST, evaluate)

    @wraps(asked)
    async def ask_strictly(*arguments: Any) -> Any:
        began = time.monotonic()
        result = await asked(*arguments)
        if not result:
            return result
        body = result.get("body")
        if result.get("error"):
            said = body.get("errorMessage") if isinstance(body, dict) else None
            return result if said == "Unauthorized" else {**result, "body": {"errorMessage": "failed"}}
        if not replies.is_authorizer_result(body):
            return {**result, "body": None}
        latency = int((time.monotonic() - began) * 1000)
        return {**result, "body": {**body, "context": {**(body.get("context") or {}), "integrationLatency": latency}}}

    @wraps(evaluated)
    def evaluate_invoking(policy: Any, method_arn: str) -> str:
        stated = policy.get("Statement") or [] if isinstance(policy, dict) else []
        statements = [stated] if isinstance(stated, dict) else stated
        about = [each for each in statements if isinstance(each, dict) and replies.permits_invoking(each.get("Action"))]
        return str(evaluated({"Statement": about}, method_arn))

    replace(REST, ask, ask_strictly)
    replace(REST, evaluate, evaluate_invoking)


def bound_requests() -> None:
    """Answer 413 to a body of more than 10 MB, and of more than Lambda takes; ministack takes any."""
    hook, name = "bound_requests", "handle_execute"
    handle = part(hook, REST, name)
    respond = responder(hook)

    @wraps(handle)
    async def handle_bounded(api: str, stage: str, method: str, path: str, headers: Any, body: Any, query: Any) -> Any:
        large = len(body or b"") > replies.MAX_INVOCATION
        refused = respond(api, stage, "REQUEST_TOO_LARGE", "Request Too Long") if large else None
        return refused or await handle(api, stage, method, path, headers, body, query)

    replace(REST, name, handle_bounded)


def bound_integrations() -> None:
    """Answer 504 when a function takes longer than its integration waits; ministack waits as long as it runs.

    The function itself runs on, as in AWS.
    """
    hook, invoke = "bound_integrations", "_invoke_lambda_proxy_v1"
    invoked, error = part(hook, REST, invoke), part(hook, REST, "_gw_error")
    arrived = arrivals(hook)
    running: set[asyncio.Task[Any]] = set()  # the loop itself keeps no task alive

    @wraps(invoked)
    async def invoke_within(integration: Any, api: str, stage: str, *rest: Any, **named: Any) -> Any:
        arrival = arrived(api, stage)
        token = ARRIVAL.set(arrival)
        task = asyncio.ensure_future(invoked(integration, api, stage, *rest, **named))
        ARRIVAL.reset(token)
        running.add(task)
        task.add_done_callback(running.discard)
        seconds = min(float(integration.get("timeoutInMillis") or 29_000) / 1000, replies.MAX_SECONDS)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        reply = task.result() if done else error("INTEGRATION_TIMEOUT", "Endpoint request timed out")
        if isinstance(reply, tuple):
            _say_ids(reply[1], arrival)
        return reply

    replace(REST, invoke, invoke_within)


def refuse_malformed_replies() -> None:
    """Answer 502 for an error of a function and for what is no proxy reply, and 500 where Lambda throttles.

    ministack takes any reply, and shows an error's message and trace to the client.
    """
    hook, name = "refuse_malformed_replies", "_lambda_proxy_response"
    shape = part(hook, REST, name)

    @wraps(shape)
    def shape_strictly(result: Any) -> Any:
        if result.get("throttle"):
            return _fixed(500), None
        fits = not result.get("error") and replies.is_proxy_reply(result.get("body"))
        return shape(result) if fits else (_fixed(502), None)

    replace(REST, name, shape_strictly)


def throttle_methods() -> None:
    """Find the limits of a method as CloudFormation writes them: ``/~1slow/GET``, and ``ANY`` for all methods.

    ministack keeps such keys and then looks for others, so that only limits of the whole stage would hold.
    """
    hook, name = "throttle_methods", "_method_throttle_settings"
    limits = part(hook, REST, name)

    @wraps(limits)
    def limits_of_either(stage: Any, path: str, method: str) -> Any:
        told = stage.get("methodSettings") or {}
        plain = {key.replace("/~1", "/", 1).replace("~1", "/"): value for key, value in told.items()}
        own = {key: value for key, value in plain.items() if key != "*/*"}
        return next(
            (found for each in (method, "ANY") if (found := limits({"methodSettings": own}, path, each))),
            limits({"methodSettings": plain}, path, method),
        )

    replace(REST, name, limits_of_either)


def _fixed(status: int) -> dict[str, Any]:
    """The reply of API Gateway in the place of a function's."""
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "InternalServerErrorException"}
    return {"statusCode": status, "headers": headers, "body": _INTERNAL}


def _say_ids(headers: dict[str, Any], arrival: Arrival) -> None:
    """Give a reply the ids that the function saw; a function cannot choose them."""
    for name in [each for each in headers if each.lower() in ("x-amzn-requestid", "x-amz-apigw-id")]:
        del headers[name]
    headers |= {"x-amzn-requestid": arrival.request_id, "x-amz-apigw-id": arrival.extended_id}


HOOKS: tuple[Callable[[], None], ...] = (
    complete_events_of_apis,
    judge_authorizers,
    bound_requests,
    bound_integrations,
    refuse_malformed_replies,
    throttle_methods,
)
