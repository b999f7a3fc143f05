"""What the hooks into API Gateway share: the request that is answered, its ids, and API Gateway's own answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from local_cloud.patching import part
from local_cloud.rest_apis.events import Arrival, sent_path
from local_cloud.rest_apis.signatures import Call, Verifier

APP, REST = "ministack.app", "ministack.services.apigateway_v1"
RESPONSES = "ministack.core.responses"
IAM, SIGV4 = "ministack.core.iam_evaluator", "ministack.core.sigv4"

CALL: ContextVar[Call | None] = ContextVar("rest_api_call", default=None)
ARRIVAL: ContextVar[Arrival | None] = ContextVar("rest_api_arrival", default=None)


def arrivals(hook: str) -> Callable[[str, str], Arrival]:
    """What makes the arrival of the present request to an API and its stage."""
    address = part(hook, RESPONSES, "get_request_client_ip")
    scope_of = part(hook, REST, "find_api_scope")

    def arrived(api: str, stage: str) -> Arrival:
        call = CALL.get()
        host = call.headers.get("host", "").partition(":")[0].lower() if call else ""
        if "." not in host or host.startswith("127."):  # reached by a path of this process
            host = f"{api}.execute-api.{scope_of(api)[1]}.amazonaws.com"
        path = sent_path(call.raw_path, api, stage) if call else None
        return Arrival(host=host, path=path, address=address(), request_id=str(uuid.uuid4()))

    return arrived


def responder(hook: str) -> Callable[..., Any]:
    """What answers for a stage with one of API Gateway's own responses."""
    render, error = part(hook, REST, "_gateway_error_response"), part(hook, REST, "_GatewayError")
    stages, scope = part(hook, REST, "stages_for_api"), part(hook, RESPONSES, "request_scope")
    scope_of = part(hook, REST, "find_api_scope")

    def respond(api: str, stage: str, kind: str, message: str) -> Any:
        """None where there is no such stage."""
        call, found = CALL.get(), stages(api).get(stage)
        if found is None:
            return None
        request = {
            "api_id": api,
            "stage_name": stage,
            "stage": found,
            "headers": call.headers if call else {},
            "query_params": call.query if call else {},
            "path_params": {},
            "resource_path": "",
            "request_id": str(uuid.uuid4()),
        }
        with scope(*scope_of(api)):
            return render(error(kind, message), request)

    return respond


def verifier(hook: str) -> Verifier:
    """What verifies signatures, with the parts of ministack that it needs."""
    for name in ("enforce", "pin_signed_request", "pin_signed_body", "find_iam_access_key_account", "EvalContext"):
        part(hook, IAM, name)
    for name in ("parse_header_signature", "header_signature_failure", "request_time_failure"):
        part(hook, SIGV4, name)
    return Verifier(
        iam=part(hook, "ministack.core", "iam_evaluator"),
        sigv4=part(hook, "ministack.core", "sigv4"),
        sessions=part(hook, "ministack.services.sts", "_sessions"),
        scope=part(hook, RESPONSES, "request_scope"),
        key_of=part(hook, "ministack.core.router", "extract_access_key_id"),
    )
