"""Whom a request needs, who may fill that, and what becomes of it. Pure.

A person fills one place, however many roles and identities they have: two people are two persons
(`roles.same_person`, with what `[api.people]` links by now), and nobody is one of those that their own request needs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial import names
from perennial.approval_settings import BUILT_IN, ApprovalRule
from perennial.change_request import ChangeRequest, Decision, Kind, Need, Place, RequestState, Verdict, Wish
from perennial.identity import linked
from perennial.roles import Action, judge

if TYPE_CHECKING:
    from perennial.api_settings import Api
    from perennial.inventory.records import ManagedRecord
    from perennial.managed_certificate import ManagedCertificate
    from perennial.roles import Person, Refusal
    from perennial.settings import Settings

OWNER, SECURITY = "owner", "security"
ASKS: Mapping[Kind, Action] = {  # what who asks must be allowed
    Kind.CREATE: Action.REQUEST,
    Kind.CHANGE: Action.CHANGE,
    Kind.RETIRE: Action.RETIRE,
    Kind.REVOKE: Action.REQUEST_REVOCATION,
    Kind.RENEW: Action.RENEW,
}
APPROVES: Mapping[str, Action] = {OWNER: Action.APPROVE, SECURITY: Action.APPROVE_AS_SECURITY}
SOON = timedelta(minutes=1)  # for whoever is at it now to finish; then the tick does
LATE = timedelta(minutes=5)  # after the time to decide is over, in which the workflow ends it by itself


# --- whom it needs ---


def needs(settings: Settings, wish: Wish, before: ManagedCertificate | None) -> tuple[Need, ...]:
    """Whom a wish needs, the teams first. `before` is the certificate as it is, None where there is none.

    A change is looked at as it is and as it would be: one that hands a certificate to another team needs both. Of all
    rules that hold the strictest counts, role by role; where none holds, `BUILT_IN` does.
    """
    people: dict[Place, int] = {}
    for each in faces(wish, before):
        held = _held(settings.approvals.rules, wish.kind, each, settings) or _held(BUILT_IN, wish.kind, each, settings)
        team = (OWNER, each.request.owner, each.environment)
        people[team] = max([people.get(team, 0), *(rule.owner for rule in held)])
        people[_SECURITY] = max([people.get(_SECURITY, 0), *(rule.security for rule in held)])
    ordered = sorted(people.items(), key=lambda item: item[0][0] != OWNER)
    wanted = (Need(role=role, people=many, owner=owner, environment=of) for (role, owner, of), many in ordered)
    return tuple(each for each in wanted if each.people)


_SECURITY: Place = (SECURITY, "", "")


def faces(wish: Wish, before: ManagedCertificate | None) -> tuple[ManagedCertificate, ...]:
    """The certificate as it is and as it would be, as far as there is one."""
    return tuple(each for each in (before, wish.declared) if each)


def _held(
    rules: Iterable[ApprovalRule], kind: Kind, declared: ManagedCertificate, settings: Settings
) -> list[ApprovalRule]:
    return [each for each in rules if _holds(each, kind, declared, settings)]


def _holds(rule: ApprovalRule, kind: Kind, declared: ManagedCertificate, settings: Settings) -> bool:
    wanted, asked = declared.request, declared.request.names
    wildcard = any(map(names.is_wildcard, asked))
    public = _public(declared, settings)
    return (
        (not rule.kinds or kind in rule.kinds)
        and (not rule.profiles or wanted.profile in rule.profiles)
        and (not rule.environments or declared.environment in rule.environments)
        and (not rule.owners or wanted.owner in rule.owners)
        and (not rule.names or any(names.matches(of, name) for of in rule.names for name in asked))
        and rule.wildcard in (None, wildcard)
        and (rule.public is None or public is None or rule.public == public)
    )


def _public(declared: ManagedCertificate, settings: Settings) -> bool | None:
    """Whether its issuer is publicly trusted. None where the configuration no longer has it: then it is taken for
    either, so that the strictest rule counts."""
    profile = settings.profiles.get(declared.request.profile)
    name = declared.request.issuer or (profile.issuer if profile else "")
    issuer = settings.issuers.get(name)
    return issuer.public if issuer else None


# --- who may fill it ---


def fills(
    person: Person, needs: Sequence[Need], asked_by: Iterable[str], api: Api
) -> tuple[tuple[Place, ...], Refusal | None]:
    """The places that a person may fill; where there are none, why."""
    asker = linked(asked_by, api)
    judged = [
        (each.place, judge(person, APPROVES[each.role], each.owner or None, each.environment or None, asked_by=asker))
        for each in needs
    ]
    found = tuple(place for place, refusal in judged if refusal is None)
    return found, None if found else next((refusal for _, refusal in judged if refusal), None)


def open_needs(request: ChangeRequest, api: Api, needs: Sequence[Need] | None = None) -> tuple[Need, ...]:
    """What is still needed, so many people of each; () when it is complete. `needs` other than the request's own are
    those that count by now."""
    wanted = request.needs if needs is None else needs
    taken = _matched(wanted, _people(request, api))
    left = ((each, each.people - taken.count(each.place)) for each in wanted)
    return tuple(replace(each, people=count) for each, count in left if count > 0)


@dataclass(slots=True)
class _Someone:
    """One person, by all that they are known as."""

    known: set[str]
    fills: set[Place]
    asks: bool = False


def _people(request: ChangeRequest, api: Api) -> list[set[Place]]:
    """The places that each person could fill who approved what is asked, without the asker. Identities that have
    something in common are one person's, also by way of a third."""
    found = [_Someone(set(linked(request.asked_by, api)), set(), asks=True)]
    for each in request.decisions:
        if each.verdict is Verdict.APPROVED and each.digest == request.digest:
            _join(found, _Someone(set(linked(each.by, api)), set(each.fills)))
    return [each.fills for each in found if not each.asks]


def _join(found: list[_Someone], new: _Someone) -> None:
    same = [each for each in found if not each.known.isdisjoint(new.known)]
    for each in same:
        found.remove(each)
        new = _Someone(new.known | each.known, new.fills | each.fills, new.asks or each.asks)
    found.append(new)


def _matched(needs: Sequence[Need], people: Sequence[set[Place]]) -> list[Place]:
    """The places that are filled, as many as can be with each person in one (a maximum matching, by augmenting paths:
    D. König, 1931)."""
    seats = [each.place for each in needs for _ in range(each.people)]
    sitting: dict[int, int] = {}  # seat -> person

    def seated(person: int, asked: set[int]) -> bool:
        for seat, place in enumerate(seats):
            if place not in people[person] or seat in asked:
                continue
            asked.add(seat)
            if seat not in sitting or seated(sitting[seat], asked):
                sitting[seat] = person
                return True
        return False

    for person in range(len(people)):
        seated(person, set())
    return [seats[each] for each in sitting]


def known_twice(request: ChangeRequest, by: Iterable[str], api: Api) -> bool:
    """Whether someone has approved already, under this or another identity."""
    found = [_Someone(set(linked(each.by, api)), set()) for each in request.decisions]
    return any(not each.known.isdisjoint(linked(by, api)) for each in found)


# --- what becomes of it ---


def decided(request: ChangeRequest, decision: Decision, api: Api) -> ChangeRequest:
    """The request with one more decision. Without a change of state it waits for more people."""
    more = replace(request, decisions=(*request.decisions, decision))
    if decision.verdict is not Verdict.APPROVED:
        ended = RequestState.REJECTED if decision.verdict is Verdict.REJECTED else RequestState.WITHDRAWN
        return replace(more, state=ended, ended_at=decision.at, message=decision.reason)
    if open_needs(more, api):
        return more
    return replace(more, state=RequestState.APPROVED, approved_at=decision.at)


def due_at(request: ChangeRequest, now: datetime) -> datetime | None:
    """When the tick is to look at it; None when there is nothing left to do."""
    if request.state is RequestState.APPROVED or request.untold:
        return now + SOON
    if request.state is RequestState.WAITING:
        return request.expires_at + LATE if request.told_at else now
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the workflow does next: ask (and wait for so many seconds), apply, expire, or nothing, as it has ended."""

    next: str
    seconds: int = 0

    def document(self) -> dict[str, Any]:
        """As a workflow's function returns it."""
        return asdict(self)


def step(request: ChangeRequest, now: datetime) -> Step:
    """What the workflow of a request does next."""
    if request.state is RequestState.APPROVED or request.untold:
        return Step(next="apply")
    if request.state is not RequestState.WAITING:
        return Step(next="ended")
    left = math.ceil((request.expires_at - now).total_seconds())
    return Step(next="ask", seconds=left) if left > 0 else Step(next="expire")


# --- what it is about ---


def digest(wish: Wish) -> str:
    """The SHA-256 of a wish in one canonical text: members sorted, nothing left out."""
    text = json.dumps(asdict(wish), sort_keys=True, separators=(",", ":"), default=plain)
    return hashlib.sha256(text.encode()).hexdigest()


def mark(record: ManagedRecord | None) -> str:
    """Names a declaration and when it was made: another one whenever someone declares or removes. "" for none. What the
    lifecycle does in between changes nothing of it."""
    if record is None:
        return ""
    facts = [asdict(record.declared), record.declared_at, record.removed_at]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=plain).encode()).hexdigest()


def plain(value: Any) -> Any:
    """As JSON has it: times as ISO 8601, bytes as base64."""
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else dict(value)


def told(needs: Iterable[Need]) -> Iterator[str]:
    """Needs in words: `2 approvers of shop-team for production`."""
    for each in needs:
        many = "s" if each.people > 1 else ""
        if each.role == SECURITY:
            yield f"{each.people} {'people' if many else 'person'} of security"
        else:
            where = f" for {each.environment}" if each.environment else ""
            yield f"{each.people} approver{many} of {each.owner}{where}"
