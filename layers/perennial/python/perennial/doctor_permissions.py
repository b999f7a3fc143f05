"""What the caller may do, and whether the roles in other accounts do what they are there for. Pure.

Roles in other accounts trust the hub's functions alone. So whether one works is told by what the functions saw: how the
last scans of that account ended. What nobody has tried yet is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from perennial.checks.wording import listed, quoted
from perennial.doctor import Diagnosis, Topic, Unknown

TOPIC = Topic("permissions")
DENIED = "access-denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A harmless request that the caller made. `denied`: the words of a refusal, "" where it was answered."""

    action: str  # dynamodb:Query
    needed_for: str
    denied: str | Unknown = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """How the last scans of an account ended: scopes that were read whole, and by reason those that were not."""

    complete: int = 0
    failed: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFacts:
    """A role of another account, tried by the caller: `assumed` False where it lets the caller not in, as is usual."""

    account: str
    role: str
    needed_for: str
    assumed: bool | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class MeFacts:
    """Who the API takes the caller for."""

    name: str
    grants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionFacts:
    """Everything about who may do what."""

    caller: str | Unknown  # ARN
    me: MeFacts | Unknown
    trials: tuple[Trial, ...] = ()
    accounts: Mapping[str, AccountFacts] | Unknown


def judge(facts: PermissionFacts, discovery_role: str) -> Iterator[Diagnosis]:
    """What is to be said."""
    yield from judge_caller(facts.caller, facts.me)
    yield from _trials(facts.trials)
    yield from _accounts(facts.accounts, discovery_role)


def judge_caller(arn: str | Unknown, me: MeFacts | Unknown) -> Iterator[Diagnosis]:
    """What is to be said of who asks alone."""
    yield _caller(arn)
    yield _me(me)


def _caller(arn: str | Unknown) -> Diagnosis:
    if isinstance(arn, Unknown):
        return TOPIC.unknown("caller", arn.reason, "sign in: aws sso login, or name a profile with --profile")
    return TOPIC.fine("caller", f"you are {quoted(arn)}")


def _me(found: MeFacts | Unknown) -> Diagnosis:
    if isinstance(found, Unknown):
        return TOPIC.unknown("API", found.reason, "calling it needs execute-api:Invoke on the API, or a token")
    if not found.grants:
        advice = "have an admin give you one: docs/roles.md says how, by IAM tag or group"
        return TOPIC.warning("API", f"it knows you as {quoted(found.name)}, and you have no role", advice)
    return TOPIC.fine("API", f"it knows you as {quoted(found.name)}: {listed(found.grants)}")


def _trials(trials: Iterable[Trial]) -> Iterator[Diagnosis]:
    allowed = []
    for each in trials:
        if isinstance(each.denied, Unknown):
            yield TOPIC.unknown(each.action, each.denied.reason)
        elif each.denied:
            yield TOPIC.warning(each.action, f"you may not: {each.denied}", f"it is needed for {each.needed_for}")
        else:
            allowed.append(each.action)
    if allowed:
        yield TOPIC.fine("your permissions", f"you may {', '.join(allowed)}")


def _accounts(found: Mapping[str, AccountFacts] | Unknown, role: str) -> Iterator[Diagnosis]:
    if isinstance(found, Unknown):
        yield TOPIC.unknown("accounts", found.reason)
        return
    for account, scans in sorted(found.items()):
        yield _account(account, scans, role)


def _account(account: str, scans: AccountFacts, role: str) -> Diagnosis:
    subject, failed = f"account {account}", scans.failed or {}
    if not scans.complete and not failed:
        return TOPIC.unknown(subject, "Discovery has not scanned it yet", "start Discovery, and look again")
    if not failed:
        return TOPIC.fine(subject, f"all {scans.complete} scopes were read")
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(failed.items()))
    words = f"{sum(failed.values())} of {scans.complete + sum(failed.values())} scopes were not read: {reasons}"
    if DENIED in failed and not scans.complete:
        return TOPIC.wrong(subject, words, f"deploy PerennialMember there: the role {role} must trust the hub")
    advice = "perennial scopes --incomplete says what is missing; the member's role needs what docs/sources.md lists"
    return TOPIC.warning(subject, words, advice)


def judge_role(each: RoleFacts) -> Diagnosis:
    """What is to be said of a role of another account."""
    subject = f"role {each.role} in {each.account}"
    if isinstance(each.assumed, Unknown):
        return TOPIC.unknown(subject, each.assumed.reason)
    if not each.assumed:
        reason = f"it trusts the hub's functions and not you; the next use shows ({each.needed_for})"
        return TOPIC.unknown(subject, reason)
    return TOPIC.fine(subject, f"it is there, and can be assumed: {each.needed_for}")
