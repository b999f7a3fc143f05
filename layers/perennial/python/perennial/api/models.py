"""What all documents of the API have in common, and the problem (RFC 9457)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
)

MAX_REASON = 2_000  # characters: as the audit trail takes `why`
MAX_VIOLATIONS = 200
LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"  # a text on one line
YEARS = (1_000, 9_998)  # of a time: at both ends of the calendar a zone would lead out of it
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


class Model(BaseModel):
    """A document: members that are not known are refused, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sent(Model):
    """A document that is sent: a number is not taken for a text, nor 1 for true. Times are texts in JSON."""

    model_config = ConfigDict(strict=True)


Line = Annotated[str, StringConstraints(max_length=500, pattern=LINE)]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_REASON, pattern=LINE),
    Field(description="Why, in words, on one line. It is kept in the audit trail."),
]


def _written(time: Any) -> Any:
    """pydantic would take a number of seconds or milliseconds for a time, too, which the document does not say."""
    if not isinstance(time, datetime) and not (isinstance(time, str) and _RFC_3339.fullmatch(time)):
        raise ValueError("give a time with its zone as RFC 3339 has it, such as 2026-11-01T12:00:00Z")
    return time


def _in_calendar(time: datetime) -> datetime:
    if not YEARS[0] <= time.year <= YEARS[1]:
        raise ValueError(f"give a year from {YEARS[0]} to {YEARS[1]}")
    return time


Time = Annotated[AwareDatetime, Strict(False), BeforeValidator(_written), AfterValidator(_in_calendar)]


class Violation(Model):
    """One thing that is not as it must be."""

    where: str = Field(description="The member, parameter or header: `body.names`, `query.limit`.")
    rule: str = Field(description="Which rule: a policy rule's id, or the kind of check.")
    message: str
    accepted: str = Field(default="", description="What would be accepted, where that can be said.")


class Problem(Model):
    """A problem (RFC 9457), sent as application/problem+json."""

    type: str = Field(description="Names the kind of problem: urn:perennial:problem:<reason>.")
    title: str = Field(description="The kind in words.")
    status: int
    detail: str = Field(description="What happened here, and what to do next.")
    instance: str = Field(default="", description="urn:perennial:request:<id>: name it to whoever runs Perennial.")
    violations: list[Violation] = Field(default=[], description="Every violation at once.")
