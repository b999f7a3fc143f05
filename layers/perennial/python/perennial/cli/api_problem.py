"""What a refusal of the API means: an error of `perennial.errors`, in the API's words, one line for each violation.

The body may be a problem document (RFC 9457), API Gateway's own {"message": …}, or anything else that stands between.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from perennial.checks.wording import quoted
from perennial.errors import (
    AccessDenied,
    ChangedMeanwhile,
    ConcurrentChange,
    InvalidInput,
    InvalidReply,
    NotFound,
    PerennialError,
    ServiceRefused,
    Throttled,
    Unavailable,
)
from perennial.roles import TABLE, Action

if TYPE_CHECKING:
    from perennial.issuers.acme_http import Answer

JSON = ("application/json", "application/problem+json")
MAX_TOLD = 100  # violations
MAX_WORDS = 600  # characters of one text
MAX_RETRY_AFTER = 86_400.0  # seconds
_MEANINGS: Mapping[int, type[PerennialError]] = {
    400: InvalidInput,
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    409: ConcurrentChange,
    412: ChangedMeanwhile,
    413: InvalidInput,
    422: InvalidInput,
    429: Throttled,
}
_SIGNED_OUT = "sign in again: perennial sign-in, with AWS credentials aws sso login, or a new token in PERENNIAL_TOKEN"
_REFUSED = (
    "perennial me shows your roles; perennial doctor checks whether you may call the API (execute-api:Invoke), and who "
    "it takes you for"
)


def read(answer: Answer, action: Action | None) -> PerennialError | None:
    """The error of an answer; None for a success."""
    if 200 <= answer.status < 300:
        return None
    problem = _document(answer)
    lines = list(_lines(problem, answer))
    if answer.status in (401, 403):
        lines += _who_may(problem, answer.status, action)
    again = _retry_after(answer)
    meaning = _MEANINGS.get(answer.status, Unavailable if answer.status >= 500 else ServiceRefused)
    if answer.status == 409 and again is not None:
        meaning = Throttled  # the same write is under way: its own reply was lost
    return meaning("\n".join(lines), retry_after=again)


def json_object(body: bytes, where: str) -> Mapping[str, Any]:
    """Raises: InvalidReply."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidReply(f"{where} is not JSON ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise InvalidReply(f"{where} is JSON, but not an object")
    return value


def _document(answer: Answer) -> Mapping[str, Any]:
    """The problem document; an empty one where there is none."""
    if answer.content_type not in JSON:
        return {}
    try:
        return json_object(answer.body, "")
    except InvalidReply:
        return {}  # the status alone says what it means


def _lines(problem: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    violations = problem.get("violations")
    told = [each for each in violations if isinstance(each, dict)] if isinstance(violations, list) else []
    for each in told[:MAX_TOLD]:
        yield _violation(each)
    if len(told) > MAX_TOLD:
        yield f"and {len(told) - MAX_TOLD} more"
    if not told:
        yield _words(problem, answer)


def _violation(violation: Mapping[str, Any]) -> str:
    """`names.0: is not allowed (names.allowed); accepted: …`. The rule is told where it is one of policy, which has a
    dot in its id; what is accepted, where the message does not say it."""
    where, rule, message, accepted = (_text(violation.get(each)) for each in ("where", "rule", "message", "accepted"))
    where = where.removeprefix("body.")
    told = f"{where}: {message}" if where else message
    told += f" ({rule})" if "." in rule else ""
    return f"{told}; accepted: {accepted}" if accepted and accepted not in message else told


def _words(problem: Mapping[str, Any], answer: Answer) -> str:
    words = _text(problem.get("detail")) or _text(problem.get("title")) or _text(problem.get("message"))
    if words and answer.status < 500:
        return words
    request = _text(problem.get("instance")).removeprefix("urn:perennial:request:")
    request = request or _text(answer.headers.get("x-amzn-requestid"))
    named = f" (request {request})" if request else ""
    kind = "" if answer.content_type in JSON else f" ({quoted(answer.content_type, 60) or 'no content type'})"
    return f"the API answered {answer.status}{kind}{f': {words}' if words else ''}{named}"


def _who_may(problem: Mapping[str, Any], status: int, action: Action | None) -> Iterator[str]:
    """What is needed, and how to find out what is missing. The API itself says more than the table, where it spoke."""
    if action and not problem.get("detail"):
        roles = TABLE[action].reach
        yield f"{action} needs one of these roles: {', '.join(roles)}"
    yield _SIGNED_OUT if status == 401 else _REFUSED


def _text(value: object) -> str:
    """A text of the API on one line, bounded; "" for what is none."""
    if isinstance(value, list):
        value = ", ".join(str(each) for each in value[:20])
    return quoted(" ".join(value[: MAX_WORDS * 4].split()), MAX_WORDS) if isinstance(value, str) else ""


def _retry_after(answer: Answer) -> float | None:
    """Seconds (RFC 9110 10.2.3); a date is not read: the API sends seconds."""
    given = answer.headers.get("retry-after", "")
    return min(float(given), MAX_RETRY_AFTER) if given.isascii() and given.isdigit() and len(given) < 8 else None
