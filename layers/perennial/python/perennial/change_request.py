"""A change request: a person's wish for a managed certificate, whom it needs, and what was decided. Frozen.

A wish never changes. Who wants something else asks again, so that an approval is always one of what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from perennial.managed_certificate import ManagedCertificate

if TYPE_CHECKING:
    from perennial.audit_event import Event

Place = tuple[str, str, str]  # role, owner and environment of a need: who fills it


class Kind(StrEnum):
    """What is asked for."""

    CREATE = "create"
    CHANGE = "change"
    RETIRE = "retire"
    REVOKE = "revoke"
    RENEW = "renew"


class RequestState(StrEnum):
    """How far a request is."""

    WAITING = "waiting"  # for the people that it needs
    APPROVED = "approved"  # by all of them, or it needs nobody; it is being applied
    DONE = "done"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"  # nobody decided in time
    FAILED = "failed"  # it was approved, and could not be applied; the message says why

    @property
    def ended(self) -> bool:
        return self not in (RequestState.WAITING, RequestState.APPROVED)


class Verdict(StrEnum):
    """What a person decided."""

    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for. `declared` is for create and change alone; `version` and `why` (`revocation.REASONS`) for
    revoke; `force` for renew: no window is waited for. `revision` is that of the managed certificate's record of which
    the wish was made, 0 where there was none."""

    kind: Kind
    managed: str
    declared: ManagedCertificate | None = None
    version: int = 0
    why: str = ""
    force: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """So many people of a role: "owner" (approvers for `owner` in `environment`) or "security"."""

    role: str
    people: int
    owner: str = ""
    environment: str = ""

    @property
    def place(self) -> Place:
        return self.role, self.owner, self.environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one person said. `by` is what they were known as then (`roles.Person.known_as`), sorted; `fills` the needs
    that they could fill, which is one of them in the end; `digest` that of the wish that they saw."""

    verdict: Verdict
    by: tuple[str, ...]
    principal: str
    name: str
    at: datetime
    fills: tuple[Place, ...] = ()
    digest: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """A request as it is kept. Nothing of it is secret.

    `id` has 32 hexadecimal digits, the first twelve the time of asking: ids sort by time. `owner` and `environment` are
    those of the certificate as it is, and of a new one as it would be. `made_of` names the declaration that the wish
    would change (`approvals.mark`). `approved_at` is the time by which it is applied, however often that is tried.
    `told_at`: when the approvers were told. `untold` are events that the audit trail may not have yet.
    """

    id: str
    wish: Wish
    owner: str
    environment: str
    digest: str  # SHA-256 of the canonical wish
    asked_by: tuple[str, ...]  # what the asker was known as, sorted
    principal: str  # of the asker
    asked_name: str
    asked_at: datetime
    source: str
    reason: str
    needs: tuple[Need, ...]
    expires_at: datetime
    forget_at: datetime  # it is kept until then
    made_of: str = ""
    decisions: tuple[Decision, ...] = ()
    state: RequestState = RequestState.WAITING
    failure: str = ""  # why it failed: a reason of `errors`
    message: str = ""
    told_at: datetime | None = None
    approved_at: datetime | None = None
    ended_at: datetime | None = None
    revision: int = 0
    untold: tuple[Event, ...] = field(default=(), repr=False)

    @property
    def owners(self) -> tuple[str, ...]:
        """The teams that it concerns."""
        named = (self.owner, *(each.owner for each in self.needs))
        return tuple(dict.fromkeys(each for each in named if each))
