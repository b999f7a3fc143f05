"""How grants are written, in tags of IAM principals and in `[api]` of perennial.toml. Pure.

    viewer                             the role, for every team and environment
    requester@shop-team                for one team, in every environment
    requester@shop-team/production     for one team in one environment
    viewer@*/production                for every team in one environment; IAM's tags cannot hold *, + means the same

The role ends at the first @, and the environment begins after the last /. A tag holds several grants, separated by
spaces. `security`, `admin` and `auditor` are for the whole organisation and are written alone. A part that is left
empty is an error and not "every": a template whose variable is empty grants nothing. Nor does a tag grant anything
where one part of it cannot be read. Teams whose names have spaces can be named in perennial.toml alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from perennial.roles import ANY, WHOLE, Grant, Role
from perennial.settings_table import TABLE_NAME, shown

MAX_GRANTS = 50  # of one person
MAX_TEXT = 256  # characters of a tag (IAM) and of one grant in the configuration
MAX_TEAM = 128  # characters, as `ownership.MAX_OWNER`
_ANYTHING = (ANY, "+")
_TEAM = re.compile(r"[^\s*/](?:[^*]{0,126}[^\s*/])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a text grants, and what of it could not be read, one bounded line each."""

    grants: tuple[Grant, ...] = ()
    problems: tuple[str, ...] = ()


def read_tag(text: str) -> Read:
    """The grants of a tag's value. Where a part cannot be read, the whole grants nothing and the part is told: of
    `requester@Shop Team/test` the first word alone would grant more than was meant."""
    if len(text) > MAX_TEXT:
        return Read(problems=(f"{len(text)} characters; at most {MAX_TEXT} are read",))
    found = read_all(each for each in text.split(" ") if each)
    return Read(problems=found.problems) if found.problems else found


def read_all(texts: Iterable[str]) -> Read:
    """The grants of several texts, in their order and each once."""
    found: dict[Grant, None] = {}
    problems = []
    for text in texts:
        grant = read(text)
        if isinstance(grant, Grant):
            found[grant] = None
        else:
            problems.append(grant)
    return bounded_grants(found, problems)


def bounded_grants(found: Iterable[Grant], problems: Iterable[str]) -> Read:
    """The first grants, as many as one person may have."""
    grants = tuple(dict.fromkeys(found))
    over = [f"{len(grants)} grants; the first {MAX_GRANTS} count"] if len(grants) > MAX_GRANTS else []
    return Read(grants=grants[:MAX_GRANTS], problems=(*tuple(problems)[:MAX_GRANTS], *over))


def read(text: str) -> Grant | str:
    """One grant, or what is wrong with it."""
    if len(text) > MAX_TEXT or not text.isprintable():
        return f"{shown(text)} is no grant: at most {MAX_TEXT} printable characters"
    name, at, place = text.partition("@")
    if name not in tuple(Role):
        return f"{shown(text)} is no grant: {shown(name)} is no role; there are {', '.join(Role)}"
    role = Role(name)
    if not at:
        return Grant(role=role)
    if role in WHOLE:
        return f"{shown(text)} is no grant: {role} is for the whole organisation; write it alone"
    return _placed(text, role, place)


def _placed(text: str, role: Role, place: str) -> Grant | str:
    team, _, environment = place.rpartition("/") if "/" in place else (place, "", ANY)
    named = len(team) <= MAX_TEAM and _TEAM.fullmatch(team) and not _several(team)
    if team not in _ANYTHING and not named:
        return f"{shown(text)} is no grant: after @ comes a team, or * for every team"
    if environment not in _ANYTHING and not TABLE_NAME.fullmatch(environment):
        return f"{shown(text)} is no grant: after / comes an environment like {TABLE_NAME.pattern}, or *"
    return Grant(role=role, team=_name(team), environment=_name(environment))


def _several(team: str) -> bool:
    """Whether this is rather several grants in one text, where one is expected."""
    return any(word.partition("@")[0] in tuple(Role) for word in team.split(" ")[1:])


def _name(text: str) -> str:
    return ANY if text in _ANYTHING else text
