"""The routes of the API: one list, which the resolver, the documentation and the matrix test read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from aws_lambda_powertools.event_handler.api_gateway import Router

from perennial.api.models import Problem
from perennial.roles import Action

STAGE = "v1"
PROBLEM = "application/problem+json"
WRITES = ("POST", "PUT", "DELETE")
ALWAYS = (400, 401, 403, 413, 422, 429, 500, 503)  # whatever is asked
OF_WRITES = (409, 415)
F = TypeVar("F", bound=Callable[..., Any])
_PARAMETER = re.compile(r"<(\w+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. `path` is without the stage, with `{name}` for what varies. `action` is what it takes a right for;
    None: to be signed in is enough."""

    method: str
    path: str
    action: Action | None
    summary: str


ROUTES: list[Route] = []


def routes() -> Router:
    """A module's own routes, which the resolver includes."""
    return Router()  # type: ignore[no-untyped-call]  # Powertools gives it no type


def route(
    router: Any,
    method: str,
    path: str,
    action: Action | None,
    *,
    summary: str,
    status: int = 200,
    problems: Sequence[int] = (),
    more: Mapping[str, Any] | None = None,
) -> Callable[[F], F]:
    """Register a function as the answer to a route, `path` as Powertools writes it: `/managed/<name>`. The document of
    `status` is what the function is annotated to return; `problems` are the statuses that it may have besides those
    that every route has. `more` goes to Powertools' `route`."""
    ROUTES.append(Route(method=method, path=_PARAMETER.sub(r"{\1}", path), action=action, summary=summary))
    statuses = {*ALWAYS, *problems, *(OF_WRITES if method in WRITES else ()), *((404,) if "<" in path else ())}

    def register(function: F) -> F:
        registered: F = router.route(
            path,
            method,
            summary=summary,
            description=function.__doc__,
            operation_id=function.__name__,
            tags=[path.split("/")[1]],
            status_code=status,
            responses={
                status: {"description": HTTPStatus(status).phrase},
                **{each: _problem(each) for each in sorted(statuses)},
            },
            **(more or {}),
        )(function)
        return registered

    return register


def _problem(status: int) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": {PROBLEM: {"model": Problem}}}


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that a path can be asked with; () for a path that is no route's."""
    return tuple(each.method for each in ROUTES if _matches(each.path, path))


def _matches(route_path: str, path: str) -> bool:
    wanted, found = route_path.split("/"), path.rstrip("/").split("/")
    fits = len(wanted) == len(found)
    return fits and all(
        one == other or (one.startswith("{") and other) for one, other in zip(wanted, found, strict=True)
    )
