"""The error vocabulary that state machines match by name."""

from __future__ import annotations

import pytest

from perennial import errors
from perennial.errors import FINAL, POSTPONED, RETRYABLE, PerennialError


def test_every_error_is_retryable_or_final_exactly_once() -> None:
    """No class is forgotten or listed twice, and the list agrees with what the class itself says."""
    declared = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, PerennialError)]
    leaves = [each for each in declared if each is not PerennialError]
    assert sorted(each.__name__ for each in leaves) == sorted(
        each.__name__ for each in (*RETRYABLE, *POSTPONED, *FINAL)
    )
    assert all(each.retry for each in (*RETRYABLE, *POSTPONED))
    assert not any(each.retry for each in FINAL)


@pytest.mark.parametrize("names", [lambda each: each.__name__, lambda each: each.reason], ids=["class", "reason"])
def test_names_and_reasons_are_unique(names: object) -> None:
    """A workflow or a reader that sees a class name or a reason code knows which error it was."""
    told = [names(each) for each in (PerennialError, *RETRYABLE, *POSTPONED, *FINAL)]  # type: ignore[operator]
    assert len(set(told)) == len(told)


def test_reasons_are_words_for_machines() -> None:
    """Reason codes are lower-case words with hyphens, fit for a table, an event and an exit message."""
    assert all(
        each.reason.replace("-", "").isalpha() and each.reason.islower() for each in (*RETRYABLE, *POSTPONED, *FINAL)
    )


def test_the_classes_are_leaves() -> None:
    """Step Functions knows no inheritance, so no listed class has a subclass among the others."""
    listed = (*RETRYABLE, *POSTPONED, *FINAL)
    assert all(each.__bases__ == (PerennialError,) for each in listed)


@pytest.mark.parametrize("error", [*RETRYABLE, *POSTPONED, *FINAL])
def test_an_error_carries_its_message_and_when_to_try_again(error: type[PerennialError]) -> None:
    """Every class takes the same two arguments."""
    raised = error("what happened", retry_after=2.5)
    assert (str(raised), raised.retry_after, error("x").retry_after) == ("what happened", 2.5, None)
