"""Issuance, killed before and after every AWS call and every ACME request, or with its reply lost, or running twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from copies import in_copies
from counted import COUNTED
from interrupting import ASKS, Doubled, Point, at_every_point, judge, watched
from issuing import issuing_hub
from perennial.inventory.records import VersionState

INTERRUPTIONS = ("killed before", "killed after", "reply lost")


@pytest.mark.slow
@pytest.mark.parametrize("issuer", ASKS)
@pytest.mark.parametrize("what", INTERRUPTIONS)
def test_killed_at_any_call_it_goes_on_to_one_certificate(
    issuer: str, what: str, record_property: Callable[[str, object], None]
) -> None:
    """Wherever it is interrupted, one certificate is paid for, with its key, and no challenge is left."""
    record_property(f"{COUNTED}issuance, {issuer}, {what}", at_every_point(issuer, what))


@pytest.mark.slow
@pytest.mark.parametrize("issuer", ASKS)
def test_step_that_runs_twice_at_once_pays_once(issuer: str, record_property: Callable[[str, object], None]) -> None:
    """At every call of a step the same step runs from its beginning to its end; then the first goes on."""

    def issued(now: Callable[[], bool]) -> None:
        with issuing_hub() as hub:
            profile, names = ASKS[issuer]
            record = hub.request(*names, profile=profile)
            doubled = Doubled()
            hub.around = doubled.around
            with watched(Point(now=now, act=doubled.twice)) as point:
                hub.run(record.reference)
            ended = hub.settle(record.reference)
            judge(hub, ended)
            assert ended.state is VersionState.ISSUED, (point.happened, ended.reason, ended.message)
            assert hub.issued() == 1, point.happened

    record_property(f"{COUNTED}issuance, {issuer}, a step twice at once", len(in_copies(issued)))
