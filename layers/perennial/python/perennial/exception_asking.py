"""What may be asked for as an exception: judged as a whole, every problem told at once."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from perennial.errors import InvalidInput
from perennial.exception_record import AskedException, ExceptionRecord
from perennial.exception_selection import Selection, checked
from perennial.ownership import MAX_OWNER
from perennial.roles import ANY, Action, Person, reaches

if TYPE_CHECKING:
    from perennial.deployment import Deployment

MAX_REASON = 1_000  # characters


def made(hub: Deployment, person: Person, asked: AskedException, now: datetime) -> ExceptionRecord:
    """What is asked for, in its canonical form.

    Raises: InvalidInput with every problem.
    """
    problems = [
        *of_rule(hub, asked.rule),
        *of_words("reason", asked.reason),
        *of_words("owner", asked.owner, MAX_OWNER),
        *of_end(hub, asked.ends, now),
    ]
    selection, environment = asked.selection, ""
    try:
        selection = checked(_confined(person, asked), of_requests=of_policy(asked.rule))
        environment = _environment(hub, selection) if _may_of(person, asked.owner) else ""
    except InvalidInput as error:
        problems += str(error).splitlines()
    raise_all(problems)
    return ExceptionRecord(
        id=secrets.token_hex(16),
        rule=asked.rule,
        selection=selection,
        reason=asked.reason,
        owner=asked.owner,
        ends=asked.ends.astimezone(UTC).replace(microsecond=0),
        environment=environment,
        asked_by=tuple(sorted(person.known_as)),
        asked_name=person.name,
        asked_at=now,
    )


def _confined(person: Person, asked: AskedException) -> Selection:
    """What is asked for by someone who may not ask for everyone's, as far as the owner's own goes."""
    grants = reaches(person, Action.ASK_EXCEPTION)
    if any(each.team == ANY for each in grants) or asked.selection.owner:
        return asked.selection
    given = asked.selection.given().keys() - {"subtree"}
    return replace(asked.selection, owner=asked.owner) if given else asked.selection


def _may_of(person: Person, owner: object) -> bool:
    """Whether someone may ask for an owner at all; who may not learns nothing of what that owner has."""
    return any(each.team in (ANY, owner) for each in reaches(person, Action.ASK_EXCEPTION))


def _environment(hub: Deployment, selection: Selection) -> str:
    """The environment of the managed certificate that is meant; "" where none is, or it has none.

    Raises: InvalidInput where there is none of that name, or it is another owner's: which of both is not told.
    """
    if not selection.managed:
        return ""
    declared = hub.inventory.find_managed(selection.managed)
    latest = next(iter(hub.inventory.versions(selection.managed, limit=1)), None)
    request = declared.declared.request if declared else latest.request if latest else None
    if request is None or selection.owner not in ("", request.owner):
        whose = f" of {selection.owner}" if selection.owner else ""
        raise InvalidInput(f"selection.managed: there is no managed certificate {selection.managed}{whose}")
    return declared.declared.environment if declared else ""


def of_policy(rule: object) -> bool:
    """Whether an id is that of a policy rule: it concerns requests, and no finding."""
    from perennial import policy

    return isinstance(rule, str) and rule in policy.rules()


def of_rule(hub: Deployment, rule: object) -> Iterator[str]:
    """Why a check or policy rule cannot be suspended."""
    from perennial.exception_settings import rules

    if not isinstance(rule, str) or rule not in rules():
        shown = repr(str(rule)[:60])
        yield f"rule: {shown} is the id of no check and no policy rule (docs/checks.md, docs/policy.md)"
    elif hub.settings.exceptions.forbidden(rule):
        yield f"rule: {rule} is never suspended ([exceptions] never of perennial.toml)"


def of_end(hub: Deployment, ends: object, now: datetime) -> Iterator[str]:
    """Why an exception cannot end then."""
    longest = hub.settings.exceptions.longest_days
    if not isinstance(ends, datetime) or ends.tzinfo is None:
        yield "ends: it is not a time with a zone"
    elif ends.astimezone(UTC).replace(microsecond=0) <= now:
        yield f"ends: {ends:%Y-%m-%d %H:%M %Z} is over; give a time to come"
    elif ends - now > timedelta(days=longest):
        yield f"ends: an exception lasts at most {longest} days; ask again when it ends ([exceptions] longest_days)"


def of_words(field: str, words: object, most: int = MAX_REASON, least: int = 1) -> Iterator[str]:
    """Why a text cannot be kept: it is not of so many characters on one line."""
    fits = isinstance(words, str) and words.isprintable() and least <= len(words) <= most
    if not fits or (words and not str(words).strip()):
        yield f"{field}: it is not a text of {least} to {most} printable characters on one line"


def raise_all(problems: Iterable[str]) -> None:
    """Nothing, where there is no problem.

    Raises: InvalidInput with every problem, one a line.
    """
    if found := list(problems):
        raise InvalidInput("\n".join(found))
