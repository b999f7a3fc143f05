"""What all documents of the API have in common, and the problem (RFC 9457)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_REASON = 2_000  # characters: as the audit trail takes `why`
MAX_VIOLATIONS = 200
LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"  # a text on one line


class Model(BaseModel):
    """A document: members that are not known are refused, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Line = Annotated[str, StringConstraints(max_length=500, pattern=LINE)]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_REASON, pattern=LINE),
    Field(description="Why, in words, on one line. It is kept in the audit trail."),
]


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
