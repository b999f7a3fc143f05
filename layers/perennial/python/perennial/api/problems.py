"""Errors as the API tells them: problems of RFC 9457, each with every violation.

What a caller did wrong is told in full. What is wrong on our side is told as that, with the id of the request; the log
has the rest. No problem quotes a body.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from perennial import errors
from perennial.api.models import MAX_VIOLATIONS, Problem, Violation
from perennial.errors import PerennialError
from perennial.settings_table import shown

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

STATUS: Mapping[type[PerennialError], int] = {
    errors.InvalidInput: 400,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.ConcurrentChange: 409,
    errors.ServiceRefused: 409,
    errors.ChangedMeanwhile: 409,
    errors.PreconditionFailed: 412,
    errors.PolicyViolated: 422,
    errors.PreconditionRequired: 428,
    errors.Throttled: 429,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
}  # what is not here is our fault: 500
AGAIN = 5  # seconds after which one may ask again, where nothing else is known
MAX_DETAIL = 2_000  # characters
OURS = "The deployment could not answer. Ask again; if it stays, give the id of this request to who runs Perennial."
_LINE = re.compile(r"(?P<where>[a-z_]+(?:[.\[][^\n:]{0,200})?): (?P<message>.+)")
_RULED = re.compile(r"(?P<detail>.+) Accepted: (?P<accepted>.+)\. \((?P<rule>[a-z_]+\.[a-z_-]+)\)")


class Refused(PerennialError):
    """An answer of HTTP itself, as 404 for a path that is none: never raised outside this package."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A problem with the headers that go with it."""

    problem: Problem
    headers: Mapping[str, str] = field(default_factory=dict)


def of(error: Exception, request_id: str) -> Reply:
    """What an error is to the caller."""
    if isinstance(error, Refused):
        return Reply(problem=_problem(error.status, _word(error.status), str(error), request_id), headers=error.headers)
    if not isinstance(error, PerennialError):
        return Reply(problem=_problem(500, "failed", OURS, request_id))
    status = _status(error)
    violations = _violations(str(error)) if status in (400, 422) else []
    if violations:
        detail = f"{len(violations)} violations" if len(violations) > 1 else violations[0].message
        return Reply(problem=_problem(422, error.reason, detail, request_id, violations))
    detail = str(error) if status < 500 else OURS
    again = {"Retry-After": str(max(1, round(error.retry_after or AGAIN)))} if status in (429, 503) else {}
    return Reply(problem=_problem(status, error.reason, detail, request_id), headers=again)


def _status(error: PerennialError) -> int:
    """An AccessDenied that AWS caused is a permission that the deployment lacks; another one is the caller's."""
    if isinstance(error, errors.AccessDenied):
        return 500 if error.__cause__ else 403
    return STATUS.get(type(error), 500)


def of_validation(found: Iterable[Mapping[str, Any]], request_id: str) -> Reply:
    """The problem of a request that does not fit its route's documents: `found` as pydantic tells it."""
    violations = [_violation(each) for each in found][:MAX_VIOLATIONS]
    detail = f"{len(violations)} violations" if len(violations) != 1 else violations[0].message
    return Reply(problem=_problem(422, "invalid-input", detail, request_id, violations))


def _violation(found: Mapping[str, Any]) -> Violation:
    where = ".".join(shown(each) if isinstance(each, str) else str(each) for each in tuple(found["loc"])[:20])
    context = found.get("ctx") or {}
    accepted = next((str(context[name]) for name in ("expected", "pattern") if name in context), "")
    return Violation(
        where=where[:500], rule=str(found["type"])[:100], message=str(found["msg"])[:500], accepted=accepted[:500]
    )


def _violations(message: str) -> list[Violation]:
    """The violations that a message of the library tells one a line: `certificates.shop.key: … Accepted: …. (rule)`."""
    lines = message.split("\n")[: MAX_VIOLATIONS + 1]
    if len(lines) == 1 and not message.startswith("certificates."):
        return []
    return [_told(each) for each in lines]


def _told(line: str) -> Violation:
    found = _LINE.fullmatch(line)
    where, words = (found["where"], found["message"]) if found else ("", line)
    ruled = _RULED.fullmatch(words)
    if ruled:
        return Violation(where=where, rule=ruled["rule"], message=ruled["detail"], accepted=ruled["accepted"])
    return Violation(where=where, rule="invalid-input", message=words[:MAX_DETAIL])


def _problem(
    status: int, reason: str, detail: str, request_id: str, violations: list[Violation] | None = None
) -> Problem:
    return Problem(
        type=f"urn:perennial:problem:{reason}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail[:MAX_DETAIL],
        instance=f"urn:perennial:request:{request_id}" if request_id else "",
        violations=violations or [],
    )


def _word(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")


def response(reply: Reply) -> Response[str]:
    """A problem as Powertools sends it."""
    from aws_lambda_powertools.event_handler import Response

    from perennial.api.routes import PROBLEM

    body = reply.problem.model_dump_json()
    return Response(status_code=reply.problem.status, content_type=PROBLEM, body=body, headers=dict(reply.headers))


def proxied(reply: Reply) -> dict[str, Any]:
    """A problem as API Gateway takes it from a function."""
    from perennial.api.routes import PROBLEM

    headers = {"Content-Type": PROBLEM, **reply.headers}
    return {
        "statusCode": reply.problem.status,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": reply.problem.model_dump_json(),
        "isBase64Encoded": False,
    }
