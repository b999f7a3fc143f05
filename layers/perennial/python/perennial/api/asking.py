"""Who asks, and whether they may. Every refusal is in the audit trail before it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from perennial import audit
from perennial.api.problems import Refused
from perennial.audit_event import MAX_LINE, MAX_WHY, REFUSED, Event, fitting, happened
from perennial.clients import meant
from perennial.deployment import Deployment
from perennial.errors import ConcurrentChange, InvalidInput, NotAllowed
from perennial.identity import Identified, caller, identify
from perennial.principal_tags import PrincipalTags
from perennial.roles import Action, Grant, Person, Refusal, Source, judge, reaches

SOURCE = "api"
EVERY = "*"  # the subject of a list
TRIES = 5
TOLD: Mapping[Action, str] = {  # what a refused action is in the audit trail; a test says that none is missing
    Action.READ_CERTIFICATES: "inventory.read",
    Action.READ_FINDINGS: "inventory.read",
    Action.READ_MANAGED: "inventory.read",
    Action.READ_REQUESTS: "inventory.read",
    Action.READ_EXCEPTIONS: "inventory.read",
    Action.READ_ISSUERS: "settings.read",
    Action.READ_PROFILES: "settings.read",
    Action.READ_PROOFS: "proof.read",
    Action.READ_AUDIT: "audit.read",
    Action.READ_RUNS: "inventory.read",
    Action.REQUEST: "managed.create",
    Action.CHANGE: "managed.change",
    Action.RENEW: "managed.renew",
    Action.REQUEST_REVOCATION: "managed.revoke",
    Action.RETIRE: "managed.retire",
    Action.WITHDRAW: "request.cancel",
    Action.APPROVE: "approval.approve",
    Action.APPROVE_AS_SECURITY: "approval.approve",
    Action.REJECT: "approval.reject",
    Action.ASK_EXCEPTION: "exception.create",
    Action.GRANT_EXCEPTION: "exception.approve",
    Action.END_EXCEPTION: "exception.end",
    Action.START_DISCOVERY: "discovery.start",
    Action.EXPORT_KEY: "key.export",
    Action.CONFIGURE: "settings.read",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One request's asker. `told` is what of their grants was not understood; `hub` is not shown."""

    hub: Deployment = field(repr=False)
    person: Person
    told: tuple[str, ...] = ()
    now: datetime
    request_id: str

    def may(
        self,
        action: Action,
        *,
        kind: str,
        subject: str,
        owner: str | None = None,
        environment: str | None = None,
        asked_by: Iterable[str] = (),
    ) -> None:
        """Nothing, where the person may do this.

        Raises: NotAllowed after the refusal is in the audit trail; what keeps it from there, and then they may not too.
        """
        known, export = tuple(asked_by), self.hub.settings.api.export_keys
        refusal = judge(self.person, action, owner, environment, asked_by=known, export_keys=export)
        if refusal:
            self._refuse(refusal, kind=kind, subject=subject, owner=owner or "")

    def allows(
        self, action: Action, *, owner: str | None, environment: str | None, asked_by: Iterable[str] = ()
    ) -> bool:
        """Whether the person may do this; nothing is told, so that a route can choose what it asks `may` for."""
        export = self.hub.settings.api.export_keys
        return judge(self.person, action, owner, environment, asked_by=asked_by, export_keys=export) is None

    def reach(self, action: Action, *, kind: str) -> tuple[Grant, ...]:
        """Where the person may do this, for lists.

        Raises: as `may`, where that is nowhere.
        """
        found = reaches(self.person, action)
        if not found:
            self.may(action, kind=kind, subject=EVERY)
        return found

    def happened(
        self,
        action: str,
        *,
        kind: str,
        subject: str,
        owner: str = "",
        before: Any = None,
        after: Any = None,
        why: str = "",
    ) -> None:
        """Put into the audit trail what the person did.

        Raises: InvalidInput, ConcurrentChange, Throttled, Unavailable.
        """
        self._append(self._event(action, kind, subject, owner, before=fitting(before), after=fitting(after), why=why))

    def _refuse(self, refusal: Refusal, *, kind: str, subject: str, owner: str) -> NoReturn:
        action = "access.refuse" if self.person.source is Source.NONE else TOLD[refusal.action]
        try:
            event = self._event(
                action,
                kind,
                subject,
                owner,
                outcome=REFUSED,
                reason=f"{refusal.reason}: {_line(refusal.words)}"[:MAX_WHY],
            )
        except InvalidInput:  # what they asked for looks like a secret, which no trail keeps
            event = self._event(action, kind, "(withheld)", "", outcome=REFUSED, reason=refusal.reason)
        self._append(event)
        if self.person.source is Source.NONE:
            raise Refused(401, "; ".join(self.told) or refusal.words, {"WWW-Authenticate": "Bearer"})
        raise NotAllowed(refusal.words)

    def _event(self, action: str, kind: str, subject: str, owner: str, **more: Any) -> Event:
        return happened(
            self.now,
            principal=_line(self.person.principal or self.person.name),
            source=SOURCE,
            action=action,
            subject_kind=kind,
            subject=_line(subject) or EVERY,
            owner=_line(owner),
            request=self.request_id,
            **more,
        )

    def _append(self, event: Event) -> None:
        with meant("writing the audit trail"):
            for _ in range(TRIES - 1):
                try:
                    audit.append(self.hub.inventory, event, self.now)
                except ConcurrentChange:
                    continue
                return
            audit.append(self.hub.inventory, event, self.now)


def _line(text: str) -> str:
    """A text on one line, as the audit trail takes it."""
    return "".join(each if each.isprintable() else " " for each in text)[:MAX_LINE]


def asking(router: Any) -> Asking:
    """Who asks in the request that is answered."""
    found: Asking = router.context["asking"]
    return found


def asked(hub: Deployment, tags: PrincipalTags, context: Mapping[str, Any], request_id: str) -> Asking:
    """Who asks, by an event's `requestContext`.

    Raises: Throttled, Unavailable, AccessDenied, ServiceRefused where IAM does not say a principal's tags.
    """
    now, api = hub.clock(), hub.settings.api
    found: Identified = identify(context, api, account=hub.account, tags=tags.of(caller(context), now), now=now)
    return Asking(hub=hub, person=found.person, told=found.told, now=now, request_id=request_id)


def signed_in(found: Asking, path: str) -> None:
    """Raises: Refused with 401 where nobody is, after that is in the audit trail."""
    if found.person.source is Source.NONE:
        found.may(Action.READ_ISSUERS, kind="path", subject=path)  # any action would do: nobody may do one
