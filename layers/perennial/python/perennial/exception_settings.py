"""What `[exceptions]` of perennial.toml says: how long an exception may last, what never has one, when its end is told.

[exceptions]
longest_days = 90
never = ["key_strength.public", "validity.public"]
announce_days = [14, 3]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from perennial.settings_table import Table

MOST_DAYS = 366
MAX_NEVER = 100
MAX_ANNOUNCEMENTS = 5
RULE = re.compile(r"[a-z_]{1,40}\.[a-z-]{1,40}")  # the id of a check or policy rule
# Without these a request cannot be read, or is none: to suspend them would allow nothing that could be issued.
ALWAYS = frozenset({"csr.read", "csr.names", "csr.key", "number.some", "international.canonical"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceptions:
    """`[exceptions]`. `never`: ids of checks and policy rules that are never suspended, beside `ALWAYS`.

    By default it has what the Baseline Requirements forbid a public CA (6.3.2, 6.1.5, 4.2.2, 7.1.2.7.10): an issuer
    that is asked for it refuses, or must revoke within days; and the issuers that the organisation distrusts.
    """

    longest_days: int = 90  # from when it is granted until its end
    never: tuple[str, ...] = (
        "internal_names.public",
        "issuers.distrusted",
        "key_strength.public",
        "usages.public",
        "validity.public",
    )
    announce_days: tuple[int, ...] = (14, 3)  # before the end, the earliest first

    def forbidden(self, rule: str) -> bool:
        """Whether a check or policy rule is never suspended."""
        return rule in ALWAYS or rule in self.never


def exceptions(table: Table) -> Exceptions:
    """`[exceptions]`, every problem of which is told to the table."""
    default = Exceptions()
    accepted = f"at most {MAX_ANNOUNCEMENTS} falling numbers of days from 1 on, as [14, 3]"
    days = table.take("announce_days", list(default.announce_days), _falling, accepted)
    return table.done(
        lambda: Exceptions(
            longest_days=table.number("longest_days", default.longest_days, 1, MOST_DAYS),
            never=_never(table, default.never),
            announce_days=default.announce_days if days is None else days,
        )
    )


def _falling(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list | tuple) or len(value) > MAX_ANNOUNCEMENTS:
        return None
    whole = all(type(each) is int and 1 <= each <= MOST_DAYS for each in value)
    return tuple(value) if whole and list(value) == sorted(set(value), reverse=True) else None


def _never(table: Table, default: tuple[str, ...]) -> tuple[str, ...]:
    """The ids that are never suspended. One that is none of any rule is a problem: it would protect nothing."""
    found = table.texts("never", default, RULE)
    if len(found) > MAX_NEVER:
        table.problem("never", f"{len(found)} ids; at most {MAX_NEVER} are read")
        return default
    if found != default:
        known = rules()
        for each in found:
            if each not in known:
                table.problem(
                    "never", f"{each} is the id of no check and no policy rule (docs/checks.md, docs/policy.md)"
                )
    return found


def rules() -> frozenset[str]:
    """The ids of all checks and policy rules."""
    from perennial import policy
    from perennial.checks import CHECKS

    return frozenset(CHECKS) | frozenset(policy.rules())
