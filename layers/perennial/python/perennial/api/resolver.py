"""The API's router: an event of a REST API in, a reply out, whatever the event is.

The order: the limits, who asks, the route, its documents, its rights. Paths of routes are without the stage: API
Gateway leaves it out of `path`; a custom domain that maps a base path puts it in, and it is taken off.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache, partial
from importlib import import_module
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from perennial.api import problems
from perennial.api.arriving import arrived, read_json, request_id
from perennial.api.asking import Asking, asked, signed_in
from perennial.api.once import Once
from perennial.api.problems import Refused, Reply
from perennial.api.routes import STAGE, methods_of
from perennial.clients import meaning
from perennial.deployment import Deployment
from perennial.errors import PerennialError
from perennial.principal_tags import PrincipalTags

MODULES = (  # one line for each module of routes; a test names one that is missing
    "perennial.api.audit",
    "perennial.api.certificates",
    "perennial.api.exceptions",
    "perennial.api.findings",
    "perennial.api.issuers",
    "perennial.api.managed",
    "perennial.api.me",
    "perennial.api.proofs",
    "perennial.api.requests",
    "perennial.api.runs",
)
NEEDED = ("boto3", "perennial.inventory.store", "aws_lambda_powertools.utilities.idempotency")
NO_PATH = "there is no such path; docs/openapi.json has all there are"
EVERY_REPLY = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
logger = logging.getLogger("perennial.api")


class Api:
    """The API of a deployment. One thread uses it at a time, as in a Lambda function."""

    def __init__(self, hub: Deployment) -> None:
        self._hub = hub
        self._tags: PrincipalTags | None = None
        self._router = build()

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """The reply to an event: every error is a problem, and every reply has the request's id."""
        id_of_request = request_id(event)
        try:
            reply = self._routed(arrived(event), context, id_of_request)
        except Exception as error:  # noqa: BLE001 - the last resort: told as a problem, and logged without its text
            reply = problems.proxied(_problem(error, id_of_request))
        headers = {**EVERY_REPLY, **({"X-Request-Id": id_of_request} if id_of_request else {})}
        reply["multiValueHeaders"].update({name: [value] for name, value in headers.items()})
        return reply

    def _routed(self, event: dict[str, Any], context: Any, id_of_request: str) -> dict[str, Any]:
        path = event["path"] = _without_stage(event["path"])
        found = asked(self._hub, self._principal_tags(), event["requestContext"], id_of_request)
        signed_in(found, path)
        must_be_route(event["httpMethod"], path)
        self._router.append_context(asking=found)  # type: ignore[no-untyped-call]
        return self._router.resolve(event, context)

    def _principal_tags(self) -> PrincipalTags:
        if self._tags is None:
            self._tags = PrincipalTags(self._hub.clients.at_home()("iam"), self._hub.account)
        return self._tags


def load() -> None:
    """Import all that a request may need, so that a snapshot of the function's memory has it. No client is made: one
    that is in a snapshot would be the same in every copy."""
    build()
    for name in NEEDED:
        import_module(name)


@cache
def build() -> APIGatewayRestResolver:
    """The router with all routes."""
    app = APIGatewayRestResolver(
        enable_validation=True, response_validation_error_http_code=500, debug=False, json_body_deserializer=read_json
    )
    for name in MODULES:
        app.include_router(import_module(name).router)
    app.use(middlewares=[_known_parameters, Once()])

    app.exception_handler(RequestValidationError)(partial(_invalid, app))
    app.exception_handler(NotFoundError)(partial(_no_route, app))
    app.exception_handler(Exception)(partial(_failed, app))
    return app


def _invalid(app: APIGatewayRestResolver, error: RequestValidationError) -> Response[str]:
    return problems.response(problems.of_validation(error.errors(), _asking(app).request_id))


def _no_route(app: APIGatewayRestResolver, _: NotFoundError) -> Response[str]:
    return problems.response(problems.of(Refused(404, NO_PATH), _asking(app).request_id))


def _failed(app: APIGatewayRestResolver, error: Exception) -> Response[str]:
    return problems.response(_problem(error, _asking(app).request_id))


def _asking(app: APIGatewayRestResolver) -> Asking:
    found: Asking = app.context["asking"]
    return found


def _without_stage(path: str) -> str:
    return path.removeprefix(f"/{STAGE}") if path.startswith(f"/{STAGE}/") else path


def must_be_route(method: str, path: str) -> None:
    """Raises: Refused with 404 for a path that is no route's, with 405 where it is one's for other methods."""
    methods = methods_of(path)
    if not methods:
        raise Refused(404, NO_PATH)
    if method not in methods:
        allowed = ", ".join(sorted(methods))
        raise Refused(405, f"this path can be asked with {allowed}", {"Allow": allowed})


def _known_parameters(app: Any, next_middleware: Any) -> Response[Any]:
    """A parameter that a route does not know is refused: a filter with a slip of the pen must not list everything."""
    known = {each.alias for each in app.context["_route"].dependant.query_params}
    unknown = sorted(set(app.current_event.raw_event["multiValueQueryStringParameters"]) - known)
    if unknown:
        words = f"not known; there are {', '.join(sorted(known))}" if known else "not known; there are none here"
        raise RequestValidationError(
            [{"loc": ("query", each), "type": "extra_forbidden", "msg": words} for each in unknown]
        )
    found: Response[Any] = next_middleware(app)
    return found


def _problem(error: Exception, id_of_request: str) -> Reply:
    """The problem of an error, which is logged: its kind alone, but for those of our own that are our fault."""
    meant = _meaning(error)
    reply = problems.of(meant, id_of_request)
    if reply.problem.status >= 500:
        said = f": {str(meant)[:1_000]}" if isinstance(meant, PerennialError) else ""
        logger.error("request %s failed at %s: %s%s", id_of_request, _at(error), type(error).__name__, said)
    return reply


def _meaning(error: Exception) -> Exception:
    """What an error of AWS means; any other one as it is."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pynamodb.exceptions import PynamoDBException

    told = (error.cause or error.__cause__) if isinstance(error, PynamoDBException) else error
    if not isinstance(told, ClientError | BotoCoreError):
        return error
    found = meaning(told, "answering")
    found.__cause__ = told
    return found


def _at(error: Exception) -> str:
    """Where an error was raised: file and line, no values."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
