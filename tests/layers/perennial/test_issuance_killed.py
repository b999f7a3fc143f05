"""Issuance, killed before and after every AWS call and every ACME request, or with its reply lost, or running twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from counted import COUNTED
from interrupting import ASKS, PARTS, Doubled, Point, at_every_point, judge, total, watched
from issuing import issuing_hub
from perennial.inventory.records import VersionState

INTERRUPTIONS = ("killed before", "killed after", "reply lost")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("issuer", ASKS)
@pytest.mark.parametrize("what", INTERRUPTIONS)
def test_killed_at_any_call_it_goes_on_to_one_certificate(
    issuer: str, what: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    """Wherever it is interrupted, one certificate is paid for, with its key, and no challenge is left."""
    record_property(f"{COUNTED}issuance, {issuer}, {what}", at_every_point(issuer, what, part))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("issuer", ASKS)
def test_step_that_runs_twice_at_once_pays_once(
    issuer: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    """At every call of a step the same step runs from its beginning to its end; then the first goes on."""
    numbers = range(1 + part, total("", issuer) + 1, PARTS)
    for number in numbers:
        with issuing_hub() as hub:
            profile, names = ASKS[issuer]
            record = hub.request(*names, profile=profile)
            doubled = Doubled()
            hub.around = doubled.around
            with watched(Point(number=number, act=doubled.twice)) as point:
                hub.run(record.reference)
            ended = hub.settle(record.reference)
            judge(hub, ended)
            assert ended.state is VersionState.ISSUED, (point.happened, ended.reason, ended.message)
            assert hub.issued() == 1, point.happened
    record_property(f"{COUNTED}issuance, {issuer}, a step twice at once", len(numbers))
