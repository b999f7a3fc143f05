"""Certificates that could not be read."""

from __future__ import annotations

import pytest

from layers.perennial.checks.cases import Case, leaf, listener, place, problem, verdicts
from perennial.certificate import parse

BROKEN = parse(b"\x30\x03\x02\x01\x01")
PARTLY = leaf(problems=("extensions: ValueError: malformed",), dns_names=None)
CASES = {
    "unreadable.whole": Case(place(), place(BROKEN)),
    "unreadable.part": Case(place(), place(PARTLY)),
}


@pytest.mark.parametrize(
    ("certificate", "problem_told", "expected"),
    [
        (leaf(), None, []),
        (None, None, []),
        (None, "AccessDenied", ["unreadable.whole"]),
        (BROKEN, None, ["unreadable.whole"]),
        (BROKEN, "load: ValueError", ["unreadable.whole"]),
        (PARTLY, None, ["unreadable.part"]),
        (PARTLY, "extensions: ValueError", ["unreadable.part"]),
        (leaf(), "a private key without its certificate", ["unreadable.part"]),
    ],
)
def test_one_verdict_a_place(certificate: object, problem_told: str | None, expected: list[str]) -> None:
    """Parser and scanner may both tell of a problem: the place has one verdict, in whole or in part."""
    subject = place(certificate, attributes={"problem": problem_told})  # type: ignore[arg-type]
    told = [check for check in CASES for _ in verdicts(check, subject)]
    assert told == expected


def test_chain_that_could_not_be_read() -> None:
    """A certificate of the chain that could not be read is told with the leaf."""
    (verdict,) = verdicts("unreadable.part", place(attributes={"chain_status": "unknown"}))
    assert verdict.detail == "These could not be read: a certificate of its chain."


def test_attached_place_is_told_by_itself() -> None:
    """What could not be read of a listener is told of the listener."""
    broken = listener(problem="no such policy")
    (verdict,) = verdicts("unreadable.whole", place(attached=(broken,)))
    assert (verdict.scope, verdict.sighting) == broken


@pytest.mark.parametrize("status", ["PENDING_VALIDATION", "VALIDATION_TIMED_OUT", "FAILED"])
def test_request_is_not_unreadable(status: str) -> None:
    """A certificate that was not issued yet cannot be read, and that is no defect."""
    assert not problem("unreadable.whole", place(None, attributes={"status": status, "problem": "not issued"}))


def test_reason_is_bounded() -> None:
    """A reason that quotes a stranger is cut and cleaned."""
    (verdict,) = verdicts("unreadable.whole", place(None, attributes={"problem": "\x1b]0;" + "x" * 9_999}))
    assert len(verdict.detail) < 300
    assert verdict.detail.isprintable()
