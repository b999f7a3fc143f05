"""docs/roles.md says what the table says."""

from __future__ import annotations

from pathlib import Path

from perennial.roles import TABLE, Action, Reach, Role
from perennial.roles_text import ABOUT, markdown

ROOT = Path(__file__).resolve().parents[3]
SIGNS = {Reach.ANYWHERE: "all", Reach.TEAM: "team", Reach.OWN: "own", None: ""}


def test_every_right_is_in_the_page() -> None:
    """Each action is one row, each role one column, each cell how far the role reaches."""
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in markdown().splitlines() if line.startswith("|")
    ]
    head = next(row for row in rows if row[0] == "action")
    assert head == ["action", *(each for each in Role if each is not Role.KEY_EXPORT), "what it is"]
    found = {row[0]: row[1:] for row in rows if row[0].strip("`") in tuple(Action)}
    assert found == {
        f"`{action}`": [*(SIGNS[TABLE[action].reach.get(Role(role))] for role in head[1:-1]), TABLE[action].words]
        for action in Action
    }


def test_every_role_is_explained() -> None:
    """The seven roles each have a line, and the right to export keys its paragraph."""
    assert [*ABOUT] == [each for each in Role if each is not Role.KEY_EXPORT]
    assert "`keys:export` is a right of its own, `key-export`, which no role has." in markdown()


def test_the_page_is_as_generated() -> None:
    """What lies in docs/ was written by this code."""
    assert (ROOT / "docs/roles.md").read_text("utf-8") == markdown() + "\n"
