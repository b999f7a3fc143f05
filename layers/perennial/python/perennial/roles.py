"""Who may do what: one table, and the judgement by it. Pure. docs/roles.md is made from it.

A person has grants: a role with a team and an environment, each of them one name or "*" for any. What a role may do is
in `TABLE`, each with how far it reaches:

- OWN: what belongs to a team and an environment that a grant of that role names.
- TEAM: what belongs to a team that a grant of that role names, in whatever environment. So are certificates and
  findings: what Discovery finds belongs to no environment.
- ANYWHERE: everything, also what belongs to nobody.

What has no owner, or no environment, is only within a grant for any. What is not in the table is forbidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from perennial.settings_table import shown

ANY = "*"


class Role(StrEnum):
    """A role; `KEY_EXPORT` is none but a right of its own, that no role has."""

    VIEWER = "viewer"
    REQUESTER = "requester"
    APPROVER = "approver"
    OPERATOR = "operator"
    SECURITY = "security"
    ADMIN = "admin"
    AUDITOR = "auditor"
    KEY_EXPORT = "key-export"


class Action(StrEnum):
    """What the API can be asked for."""

    READ_CERTIFICATES = "certificates:read"
    READ_FINDINGS = "findings:read"
    READ_MANAGED = "managed:read"
    READ_REQUESTS = "requests:read"
    READ_EXCEPTIONS = "exceptions:read"
    READ_ISSUERS = "issuers:read"
    READ_PROFILES = "profiles:read"
    READ_PROOFS = "proofs:read"
    READ_AUDIT = "audit:read"
    READ_RUNS = "runs:read"
    REQUEST = "managed:request"
    CHANGE = "managed:change"
    RENEW = "managed:renew"
    REQUEST_REVOCATION = "managed:revoke-request"
    RETIRE = "managed:retire"
    WITHDRAW = "requests:withdraw"
    APPROVE = "requests:approve"
    APPROVE_AS_SECURITY = "requests:approve-as-security"
    REJECT = "requests:reject"
    ASK_EXCEPTION = "exceptions:request"
    GRANT_EXCEPTION = "exceptions:grant"
    END_EXCEPTION = "exceptions:end"
    START_DISCOVERY = "runs:start"
    EXPORT_KEY = "keys:export"
    CONFIGURE = "configuration:change"


class Reach(StrEnum):
    """How far a right reaches, from the widest."""

    ANYWHERE = "anywhere"
    TEAM = "own team"
    OWN = "own team and environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One action: what it is, and which role may do it how far."""

    words: str
    reach: Mapping[Role, Reach]


def _row(words: str, *, own: Iterable[Role] = (), team: Iterable[Role] = (), anywhere: Iterable[Role] = ()) -> Row:
    reach = {Reach.OWN: own, Reach.TEAM: team, Reach.ANYWHERE: anywhere}
    return Row(words=words, reach={role: how for how, roles in reach.items() for role in roles})


_TEAMS = (Role.VIEWER, Role.REQUESTER, Role.APPROVER, Role.OPERATOR)
WHOLE = (Role.SECURITY, Role.ADMIN, Role.AUDITOR)  # for the whole organisation: a grant of these names no team
_ROLES = (*_TEAMS, *WHOLE)
_ASKING = (Role.REQUESTER, Role.OPERATOR)
TABLE: Mapping[Action, Row] = {
    Action.READ_CERTIFICATES: _row("Search and read certificates and where they are", team=_TEAMS, anywhere=WHOLE),
    Action.READ_FINDINGS: _row("Read findings", team=_TEAMS, anywhere=WHOLE),
    Action.READ_MANAGED: _row("Read managed certificates, their versions and state", own=_TEAMS, anywhere=WHOLE),
    Action.READ_REQUESTS: _row("Read requests and who decided on them", own=_TEAMS, anywhere=WHOLE),
    Action.READ_EXCEPTIONS: _row("Read exceptions", team=_TEAMS, anywhere=WHOLE),
    Action.READ_ISSUERS: _row("Read which issuers there are", anywhere=_ROLES),
    Action.READ_PROFILES: _row("Read which profiles there are", anywhere=_ROLES),
    Action.READ_PROOFS: _row("Read the proofs of rollouts", own=_TEAMS, anywhere=WHOLE),
    Action.READ_AUDIT: _row("Read, export and verify the audit record", anywhere=WHOLE),
    Action.READ_RUNS: _row("Read discovery runs and how complete they are", anywhere=_ROLES),
    Action.REQUEST: _row("Request a managed certificate", own=[Role.REQUESTER]),
    Action.CHANGE: _row("Change a managed certificate", own=[Role.REQUESTER]),
    Action.RENEW: _row("Renew a managed certificate now", own=_ASKING),
    Action.REQUEST_REVOCATION: _row("Request the revocation of a version", own=_ASKING, anywhere=[Role.SECURITY]),
    Action.RETIRE: _row("Retire a managed certificate", own=_ASKING),
    Action.WITHDRAW: _row("Withdraw a request of others before it is decided", own=[Role.REQUESTER]),
    Action.APPROVE: _row("Approve a request for the owner's team", own=[Role.APPROVER]),
    Action.APPROVE_AS_SECURITY: _row("Approve a request for security", anywhere=[Role.SECURITY]),
    Action.REJECT: _row("Reject a request", own=[Role.APPROVER], anywhere=[Role.SECURITY]),
    Action.ASK_EXCEPTION: _row("Ask for an exception", own=_ASKING, anywhere=[Role.SECURITY]),
    Action.GRANT_EXCEPTION: _row("Grant an exception", anywhere=[Role.SECURITY]),
    Action.END_EXCEPTION: _row("End an exception early", own=[Role.APPROVER], anywhere=[Role.SECURITY]),
    Action.START_DISCOVERY: _row("Start a discovery run", anywhere=[Role.OPERATOR, Role.SECURITY, Role.ADMIN]),
    Action.EXPORT_KEY: _row("Export a private key; off unless `export_keys` is set", own=[Role.KEY_EXPORT]),
    Action.CONFIGURE: _row("Change the configuration", anywhere=[Role.ADMIN]),
}
NOT_BY_THE_ASKER = (Action.APPROVE, Action.APPROVE_AS_SECURITY, Action.GRANT_EXCEPTION)
BY_THE_ASKER = (Action.WITHDRAW,)  # whatever roles they have, or have no more


class Source(StrEnum):
    """How a person showed who they are."""

    IAM = "iam"
    OIDC = "oidc"
    NONE = "none"  # nobody is signed in


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role for a team and an environment, each one name or ANY."""

    role: Role
    team: str = ANY
    environment: str = ANY

    def __str__(self) -> str:
        """As it is written: `requester@shop-team/production`."""
        if self.team == self.environment == ANY:
            return str(self.role)
        return f"{self.role}@{self.team}" + (f"/{self.environment}" if self.environment != ANY else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who asks. `principal` is an ARN of IAM or issuer#subject; `email` is verified by the issuer or linked by the
    configuration, in lower case, "" for none; `linked` one that the configuration says besides. `session` is the name
    of a role's session: for people, gives no right."""

    principal: str
    name: str
    source: Source
    grants: tuple[Grant, ...] = ()
    email: str = ""
    linked: str = ""
    session: str = ""

    @property
    def proven(self) -> frozenset[str]:
        """What is certain of them: what a person shows to be someone who has a right."""
        return frozenset(each for each in (self.principal, self.email, self.linked) if each)

    @property
    def known_as(self) -> frozenset[str]:
        """By what one recognises the same person elsewhere. A session named by an e-mail address counts too: it can
        only forbid. All who share an IAM role are one person here, as whoever takes a role names the session."""
        return self.proven | ({self.session.lower()} if "@" in self.session else frozenset())


def same_person(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two people are the same, by what each is known as."""
    return not frozenset(one).isdisjoint(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a person may not. `needed` are the roles one of which would be enough, () where none would."""

    action: Action
    reason: str  # nobody, off, no-role, elsewhere, asker-unknown or own-request
    words: str
    needed: tuple[Role, ...] = ()


def judge(
    person: Person,
    action: Action,
    owner: str | None,
    environment: str | None,
    *,
    asked_by: Iterable[str] = (),
    export_keys: bool = False,
) -> Refusal | None:
    """Why a person may not do this to what belongs to `owner` and `environment`; None where they may.

    `asked_by` is what the asker of a request or exception is known as (`Person.known_as`): an approval is refused
    without it, and who asked may withdraw. `export_keys` is `[api] export_keys` of the configuration.
    """
    if person.source is Source.NONE:
        return _refusal(action, "nobody", "nobody is signed in: sign the request with IAM credentials or send a token")
    if action is Action.EXPORT_KEY and not export_keys:
        return Refusal(action=action, reason="off", words="keys cannot be exported: `export_keys` of [api] is not set")
    if action in BY_THE_ASKER and same_person(person.proven, asked_by):
        return None
    if not any(_within(each, action, owner, environment) for each in person.grants):
        return _missing(person, action, owner, environment)
    if action in NOT_BY_THE_ASKER:
        return _as_asker(person, action, tuple(asked_by))
    return None


def _within(grant: Grant, action: Action, owner: str | None, environment: str | None) -> bool:
    reach = TABLE[action].reach.get(grant.role)
    if reach is None or reach is Reach.ANYWHERE:
        return reach is not None
    of_team = grant.team == ANY or (bool(owner) and grant.team == owner)
    of_environment = grant.environment in (ANY, environment or None)
    return of_team and (reach is Reach.TEAM or of_environment)


def _missing(person: Person, action: Action, owner: str | None, environment: str | None) -> Refusal:
    held = {each.role for each in person.grants} & set(TABLE[action].reach)
    has = ", ".join(str(each) for each in person.grants[:10]) or "no role"
    reason = "elsewhere" if held else "no-role"
    return _refusal(action, reason, f"{_needs(action, owner, environment)}; {shown(person.name)} has {has[:300]}")


def _needs(action: Action, owner: str | None, environment: str | None) -> str:
    """`requests:approve needs the role approver for shop-team in production`."""
    reach = TABLE[action].reach
    bound = [role for role, how in reach.items() if how is not Reach.ANYWHERE]
    free = [str(role) for role, how in reach.items() if how is Reach.ANYWHERE]
    place = f" for {shown(owner) if owner else 'any team, as this has no owner'}"
    if any(reach[role] is Reach.OWN for role in bound):
        place += f" in {shown(environment) if environment else 'any environment, as this has none'}"
    options = [f"{' or '.join(bound)}{place}"] if bound else []
    what = "right" if Role.KEY_EXPORT in reach else "role"
    return f"{action} needs the {what} {', or '.join([*options, *([' or '.join(free)] if free else [])])}"


def _as_asker(person: Person, action: Action, asked_by: tuple[str, ...]) -> Refusal | None:
    if not asked_by:
        return Refusal(action=action, reason="asker-unknown", words=f"{action}: it is not known who asked for this")
    if same_person(person.known_as, asked_by):
        words = f"{action}: nobody decides on what they asked for themselves; another person must"
        return Refusal(action=action, reason="own-request", words=words)
    return None


def _refusal(action: Action, reason: str, words: str) -> Refusal:
    return Refusal(action=action, reason=reason, words=words, needed=tuple(TABLE[action].reach))


def reaches(person: Person, action: Action) -> tuple[Grant, ...]:
    """Where a person may do this, for lists: the grants that count, with ANY where they reach everything."""
    found = []
    for each in person.grants if person.source is not Source.NONE else ():
        reach = TABLE[action].reach.get(each.role)
        if reach is Reach.ANYWHERE:
            return (Grant(role=each.role),)
        if reach is not None:
            found.append(
                Grant(role=each.role, team=each.team, environment=ANY if reach is Reach.TEAM else each.environment)
            )
    return tuple(dict.fromkeys(found))
