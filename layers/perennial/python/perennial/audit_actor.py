"""Who acts, and the audit events of what they do. Pure.

    anna = Actor(principal="arn:aws:iam::123456789012:user/anna", source="cli", why="the key was seen")
    event = anna.did(now, "managed.renew", "shop", owner="shop-team", after={"urgent": True})

What happens to a managed certificate, to its versions and to its rollouts has the managed certificate as its subject,
so that one question gives its whole history. An event is made of what may be long or hostile, and is made to fit: the
change that it records happens whether or not all of its words can be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.audit_event import MAX_LINE, MAX_WHY, REFUSED, Event, fitting, happened
from perennial.audit_secrets import WITHHELD, looks_secret

NAME = "perennial"  # the deployment itself: what its workflows do without a person
MANAGED = "managed"  # kind of subject
MAX_REQUEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: `principal` is an ARN or a person's name at the identity provider, `source` the way (api, cli, tick,
    workflow), `why` their words, `request` the id of the request that it belongs to."""

    principal: str
    source: str
    why: str = ""
    request: str = ""

    def did(
        self, at: datetime, action: str, name: str, *, owner: str = "", before: Any = None, after: Any = None
    ) -> Event:
        """The event of something done to a managed certificate."""
        return self._event(at, action, name, owner=owner, before=before, after=after)

    def was_refused(
        self,
        at: datetime,
        action: str,
        name: str,
        reason: object,
        *,
        owner: str = "",
        before: Any = None,
        after: Any = None,
    ) -> Event:
        """The event of something that was asked for and not done; `after` is what was asked for."""
        told = line(str(reason), MAX_WHY) or "refused"
        return self._event(at, action, name, owner=owner, before=before, after=after, outcome=REFUSED, reason=told)

    def _event(self, at: datetime, action: str, name: str, *, owner: str, **facts: Any) -> Event:
        shown = {each: fitting(facts[each]) for each in ("before", "after") if facts[each]}
        return happened(
            at,
            principal=line(self.principal, MAX_LINE) or "unknown",
            source=self.source,
            action=action,
            subject_kind=MANAGED,
            subject=line(name, MAX_LINE) or "unknown",
            owner=line(owner, MAX_LINE),
            why=line(self.why, MAX_WHY),
            request=line(self.request, MAX_REQUEST),
            **{**facts, "before": None, "after": None, **shown},
        )


WORKFLOWS = Actor(principal=NAME, source="workflow")


def line(text: str, most: int) -> str:
    """A text as an event has it: on one line, not too long, and withheld where it looks like a secret."""
    clean = "".join(each if each.isprintable() else " " for each in " ".join(text.split()))
    shown = clean if len(clean) <= most else f"{clean[: most - 1]}…"
    return WITHHELD if any(map(looks_secret, (text, clean, shown))) else shown
