"""What `[approvals]` of perennial.toml says: which change requests need whose approval, and how long they wait.

    [approvals]
    expires_days = 7
    keep_days = 400

    [approvals.rules.public-shop]
    kinds = ["create", "change"]
    public = true
    names = [".shop.example.com", "*..shop.example.com"]
    needs = { owner = 1, security = 1 }

A rule holds for a request that fits all its conditions; of all that hold, the strictest counts, role by role
(`approvals.needs`). Where none holds, `BUILT_IN` counts. `settings` reads the file and reports every problem at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perennial import names
from perennial.change_request import Kind
from perennial.settings_table import TABLE_NAME, Table, shown

MAX_PEOPLE = 5  # of one role
MAX_DAYS = 60  # that a request may wait
MAX_KEPT = 3_650
MAX_LISTED = 100  # words of one condition
KINDS = tuple(map(str, Kind))
ROLES = ("owner", "security")
_OWNER = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,126}[^\s\x00-\x1f\x7f-\x9f])?")
_NEEDS = f"a table of people, each 0 to {MAX_PEOPLE}, as {{ owner = 1, security = 1 }}; {{}} needs nobody"
_RULES = "name rules such as shop.example.com, .example.com, *.example.com, *..example.com, 10.1.0.0/16"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """`[approvals.rules.<name>]`: conditions, and how many people are needed where all of them hold.

    () and None hold for anything. `names` holds where one name of the certificate matches one of these name rules.
    """

    name: str
    kinds: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()  # "" is that of certificates without one
    owners: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    wildcard: bool | None = None
    public: bool | None = None  # whether the issuer is publicly trusted
    owner: int = 0
    security: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """`[approvals]`."""

    expires_days: int = 7
    keep_days: int = 400  # after the end
    rules: tuple[ApprovalRule, ...] = ()


BUILT_IN = (
    ApprovalRule(name="built-in", kinds=("create", "change", "revoke", "retire"), owner=1),
    ApprovalRule(name="built-in-wildcard", kinds=("create", "change"), wildcard=True, owner=2),
)


def approvals(table: Table) -> Approvals:
    """`[approvals]`: rules in their order."""
    default = Approvals()
    return table.done(
        lambda: Approvals(
            expires_days=table.number("expires_days", default.expires_days, 1, MAX_DAYS),
            keep_days=table.number("keep_days", default.keep_days, 1, MAX_KEPT),
            rules=_rules(table, table.take("rules", {}, _mapping, "a table of rules by name") or {}),
        )
    )


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _rules(within: Table, document: Mapping[str, Any]) -> tuple[ApprovalRule, ...]:
    tables = Table({"rules": document}, "rules", within.problems, within.name).tables()
    return tuple(_rule(each, name) for name, each in tables)


def _rule(table: Table, name: str) -> ApprovalRule:
    needs = table.need("needs", _needs, _NEEDS)
    return table.done(
        lambda: ApprovalRule(
            name=name,
            kinds=_listed(table, "kinds", re.compile("|".join(KINDS))),
            profiles=_listed(table, "profiles", TABLE_NAME),
            environments=_listed(table, "environments", re.compile(f"({TABLE_NAME.pattern})?")),
            owners=_listed(table, "owners", _OWNER),
            names=_names(table),
            wildcard=_either(table, "wildcard"),
            public=_either(table, "public"),
            **(needs or {}),
        )
    )


def _needs(value: Any) -> dict[str, int] | None:
    if not isinstance(value, Mapping) or not set(value) <= set(ROLES):
        return None
    fits = all(type(each) is int and 0 <= each <= MAX_PEOPLE for each in value.values())
    return dict(value) if fits else None


def _listed(table: Table, key: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """A list of texts, each once. An empty one would hold for nothing, or for anything: it is refused."""

    def convert(value: Any) -> tuple[str, ...] | None:
        if value == ():  # it is left out
            return ()
        fits = _some_texts(value) and all(map(pattern.fullmatch, value))
        return tuple(value) if fits and len(set(value)) == len(value) else None

    accepted = f"a list of 1 to {MAX_LISTED} texts like {pattern.pattern}, each once"
    return table.take(key, (), convert, accepted) or ()


def _names(table: Table) -> tuple[str, ...]:
    accepted = f"a list of 1 to {MAX_LISTED} {_RULES}"
    listed = table.take("names", (), lambda value: value if value == () or _some_texts(value) else None, accepted)
    again = Table({table.name: {"names": list(listed or ())}}, table.name, table.problems)
    return again.converted("names", names.rule, _RULES, MAX_LISTED)


def _some_texts(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MAX_LISTED and all(isinstance(each, str) for each in value)


def _either(table: Table, key: str) -> bool | None:
    """True, false, or None where the condition is left out."""

    def convert(value: Any) -> bool | str | None:
        return value if value == "" or isinstance(value, bool) else None

    taken = table.take(key, "", convert, "true or false")
    return taken if isinstance(taken, bool) else None


def misfits(
    approvals: Approvals, *, profiles: Collection[str], environments: Collection[str], owners: Collection[str]
) -> Iterator[str]:
    """Conditions on what perennial.toml does not have, one line each: such a rule would never hold."""
    for rule in approvals.rules:
        where = f"approvals.rules.{rule.name}"
        for key, wanted, known in (
            ("profiles", rule.profiles, profiles),
            ("environments", rule.environments, {"", *environments}),
            ("owners", rule.owners, owners),
        ):
            there = ", ".join(map(shown, sorted(each for each in known if each)[:10])) or "none"
            for each in wanted:
                if each not in known:
                    yield f"{where}.{key}: {shown(each)} is not there; perennial.toml has {there}"
