"""docs/roles.md, from the table of rights."""

from __future__ import annotations

from collections.abc import Iterator

from perennial import grants, identity
from perennial.grants import MAX_GRANTS, MAX_TEXT
from perennial.roles import BY_THE_ASKER, NOT_BY_THE_ASKER, TABLE, WHOLE, Action, Reach, Role

ABOUT = {
    Role.VIEWER: "reads what belongs to its team",
    Role.REQUESTER: "asks for certificates of its team, and changes, renews and retires them",
    Role.APPROVER: "decides on requests of its team",
    Role.OPERATOR: "keeps things running: renews, retires, asks for revocations, starts discovery",
    Role.SECURITY: "decides on what policy leaves to security, and on exceptions; reads everything",
    Role.ADMIN: "changes the configuration; reads everything, requests and approves nothing",
    Role.AUDITOR: "reads everything, with the audit record; changes nothing",
}
_SIGNS = {Reach.ANYWHERE: "all", Reach.TEAM: "team", Reach.OWN: "own"}


def markdown() -> str:
    """The page, without a line break at its end."""
    return "\n".join([*_head(), *_actions(), *_rules(), *_written(), *_sources()])


def _head() -> Iterator[str]:
    yield from (
        "# Roles",
        "",
        "<!-- Written by scripts/generate-docs from layers/perennial/python/perennial/roles.py; edit it there. -->",
        "",
        f"There are {len(ABOUT)} roles. A person or machine may have several, each for a team and an environment.",
        "What is not in the table is forbidden, and every refusal is in the audit record.",
        "",
        "| role | what it is for | granted for |",
        "| --- | --- | --- |",
    )
    for role, words in ABOUT.items():
        reach = "the whole organisation" if role in WHOLE else "a team and an environment, or any"
        yield f"| `{role}` | {words} | {reach} |"


def _actions() -> Iterator[str]:
    yield from (
        "",
        "## Who may do what",
        "",
        "**own**: of the team and the environment that the grant names. **team**: of the team, in any environment.",
        "**all**: everywhere. What has no owner or no environment is only within grants for any.",
        "",
        f"| action | {' | '.join(ABOUT)} | what it is |",
        f"| --- |{' --- |' * (len(ABOUT) + 1)}",
    )
    for action in Action:
        row = TABLE[action]
        signs = [_SIGNS[row.reach[role]] if role in row.reach else "" for role in ABOUT]
        yield f"| `{action}` | {' | '.join(signs)} | {row.words} |"


def _rules() -> Iterator[str]:
    kinds = ", ".join(f"`{each}`" for each in NOT_BY_THE_ASKER)
    yield from (
        "",
        "## What no role changes",
        "",
        "- Nobody decides on what they asked for themselves",
        f"  ({kinds}). Two identities are one person",
        "  where principal or verified e-mail address are the same, or `[api.people]` says so. All who share an IAM",
        "  role are one person.",
        f"- Whoever asked may take it back ({', '.join(f'`{each}`' for each in BY_THE_ASKER)}), whatever their role.",
        f"- `{Action.EXPORT_KEY}` is a right of its own, `{Role.KEY_EXPORT}`, which no role has. It is granted like a",
        "  role, and means nothing unless `export_keys = true` stands in `[api]`.",
    )


def _written() -> Iterator[str]:
    about = (grants.__doc__ or "").split("\n\n", 1)[1].strip().split("\n\n", 1)
    example = [line.removeprefix("    ") for line in about[0].splitlines()]
    yield from ("", "## How grants are written", "", "```", *example, "```", "", about[1])
    yield from ("", f"A tag or a grant has at most {MAX_TEXT} characters, and a person at most {MAX_GRANTS} grants.")


def _sources() -> Iterator[str]:
    about = (identity.__doc__ or "").split("\n\n")
    yield from ("", "## Where grants come from", "", *("\n\n".join(about[1:4])).splitlines())
    yield from (
        "",
        f"Whoever may put the tag `{identity.TAG}` on a role or user of the hub's account (`iam:TagRole`,",
        "`iam:TagUser`) decides who may do what here: keep these as close as the right to change the configuration.",
    )
