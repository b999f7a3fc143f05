"""`[exceptions]` of perennial.toml: bounds, what is never suspended, and every problem named."""

from __future__ import annotations

from typing import Any

import pytest

from perennial import policy
from perennial.checks import CHECKS
from perennial.errors import InvalidConfiguration
from perennial.exception_settings import ALWAYS, MAX_NEVER, Exceptions, rules
from perennial.settings import parse


def read(**given: Any) -> Exceptions:
    return parse({"exceptions": given}).exceptions


def test_without_a_table_there_are_defaults() -> None:
    """90 days, announced 14 and 3 days before, and the Baseline Requirements never suspended for public CAs."""
    found = parse({}).exceptions
    assert (found.longest_days, found.announce_days) == (90, (14, 3))
    assert found.forbidden("key_strength.public") and not found.forbidden("keys.weak")


def test_what_is_given_is_read() -> None:
    """Each field takes the place of its default."""
    found = read(longest_days=30, never=["keys.weak", "names.owner"], announce_days=[7])
    assert (found.longest_days, found.never, found.announce_days) == (30, ("keys.weak", "names.owner"), (7,))
    assert read(announce_days=[]).announce_days == ()
    assert read(never=[]).never == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"longest_days": 0}, "exceptions.longest_days"),
        ({"longest_days": 367}, "from 1 to 366"),
        ({"longest_days": True}, "exceptions.longest_days"),
        ({"announce_days": [3, 14]}, "falling"),
        ({"announce_days": [3, 3]}, "falling"),
        ({"announce_days": [0]}, "falling"),
        ({"announce_days": [6, 5, 4, 3, 2, 1]}, "at most 5"),
        ({"announce_days": "14"}, "falling"),
        ({"announce_days": [True]}, "falling"),
        ({"never": ["keys.week"]}, "keys.week is the id of no check"),
        ({"never": ["\x1b[31m"]}, "exceptions.never"),
        ({"never": ["keys.weak"] * (MAX_NEVER + 1)}, f"at most {MAX_NEVER}"),
        ({"forever": True}, "exceptions.forever: not known"),
    ],
)
def test_what_cannot_be_used_is_a_problem(given: dict[str, Any], words: str) -> None:
    """A value out of bounds, a misspelt id or an unknown field is refused, and named."""
    with pytest.raises(InvalidConfiguration) as raised:
        read(**given)
    assert words in str(raised.value)


def test_every_rule_that_is_never_suspended_exists() -> None:
    """A rule that was renamed would protect nothing."""
    assert {*Exceptions().never, *ALWAYS} <= rules()


def test_no_check_has_the_id_of_a_policy_rule() -> None:
    """An exception names either by its id alone."""
    assert not set(CHECKS) & set(policy.rules())


def test_what_is_always_needed_is_never_suspended_whatever_is_configured() -> None:
    """A request that cannot be read is not issued for an exception's sake."""
    assert all(read(never=[]).forbidden(each) for each in ALWAYS)
