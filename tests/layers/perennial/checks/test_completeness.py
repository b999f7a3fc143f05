"""What holds for every check."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from certificates import NOW
from layers.perennial.checks.cases import SUMMARY, Case, changes, place, problem
from perennial import checks
from perennial.checks import CHECKS, TOPICS
from perennial.checks.interface import Check, Severity, registry
from perennial.manifest import Role

NOT_TOPICS = {"__init__", "interface", "places", "wording"}
CASES: dict[str, Case] = {
    check: case
    for topic in TOPICS
    for check, case in import_module(f"layers.perennial.checks.test_{topic}").CASES.items()
}
every_check = pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)


def test_every_topic_is_registered() -> None:
    """A file of checks without its line in __init__.py is named."""
    files = {path.stem for path in Path(checks.__file__).parent.glob("*.py")} - NOT_TOPICS
    missing = sorted(files - set(TOPICS))
    assert not missing, f"add to TOPICS in perennial/checks/__init__.py: {', '.join(missing)}"


@every_check
def test_every_check_passes_and_fails(check: Check) -> None:
    """Each check has a place that passes it and one that fails, and both are such that it applies."""
    case = CASES.get(check.id)
    assert case is not None, f"add {check.id!r} to CASES of test_{check.id.partition('.')[0]}.py"
    assert check.applies(case.passes) and not problem(check.id, case.passes)
    assert check.applies(case.fails) and problem(check.id, case.fails)


def test_no_case_without_a_check() -> None:
    """A case of a check that is gone is named."""
    assert CASES.keys() == CHECKS.keys()


@every_check
def test_ids_and_texts(check: Check) -> None:
    """Ids are topic.rule in words, of the topic's own file; texts are there, short, and end as sentences do."""
    assert re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", check.id)
    assert check.run.__module__ == f"perennial.checks.{check.id.partition('.')[0]}"
    assert isinstance(check.severity, Severity)
    assert 0 < len(check.title) <= 100 and not check.title.endswith(".")
    assert 0 < len(check.remediation) <= 512 and check.remediation.endswith(".")  # Security Hub cuts at 512
    assert check.cites


def test_an_id_is_taken_once() -> None:
    """Two checks with one id are refused, and the id is named."""
    twice = next(iter(CHECKS.values()))
    with pytest.raises(ValueError, match=re.escape(twice.id)):
        registry((twice, twice))


@every_check
@pytest.mark.parametrize("role", list(Role))
def test_what_is_unknown_is_not_judged(check: Check, role: Role) -> None:
    """A place of which nothing is known but that it is there, or a summary, has no problem and raises nothing."""
    if check.id == "owner.missing":
        return
    for certificate in (None, SUMMARY):
        subject = place(certificate, role, full=False)
        assert not problem(check.id, subject), subject
        assert certificate or changes(check.id, subject) is None


@every_check
def test_one_verdict_a_location(check: Check) -> None:
    """A finding is named by check and location: no two verdicts of a check are about one sighting."""
    told = [verdict.sighting or CASES[check.id].fails.sighting for verdict in check.run(CASES[check.id].fails, NOW)]
    locations = [sighting.location for sighting in told]
    assert len(locations) == len(set(locations))


@every_check
def test_changes_are_told(check: Check) -> None:
    """Over a year, hour by hour, no verdict of any case changes without `changes_at` having told the time."""
    for subject in (CASES[check.id].passes, CASES[check.id].fails):
        times = [NOW + timedelta(hours=hour) for hour in range(0, 366 * 24, 5)]
        for earlier, later in pairwise(times):
            if problem(check.id, subject, earlier) != problem(check.id, subject, later):
                told = changes(check.id, subject, earlier)
                assert told is not None and earlier < told <= later
