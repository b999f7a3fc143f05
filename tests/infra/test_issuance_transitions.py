"""The deployed definition of Issuance, run in memory: how many state transitions a certificate takes."""

from __future__ import annotations

from typing import Any

import pytest

from benches import issuance_workflow
from issuing import issuing_hub
from perennial import issuance
from perennial.inventory.records import VersionState


@pytest.mark.parametrize("size", [1, 10])
def test_a_certificate_takes_fewer_than_thirty_transitions(hub: Any, size: int) -> None:
    """As many for ten names as for one; the version is issued, and no challenge is left."""
    workflow = issuance_workflow.workflow_of(hub.template)
    with issuing_hub() as issuing:
        ran = issuance_workflow.execute(workflow, issuing, tuple(f"n{number}.example.com" for number in range(size)))
        assert len(ran.states) == 20
        assert len(ran.states) <= issuance_workflow.MOST_TRANSITIONS
        assert issuing.version("shop/1").state is VersionState.ISSUED
        assert issuing.challenges_left() == []


def test_a_slow_route_53_takes_three_transitions_for_each_look(hub: Any) -> None:
    """Wait, Advance and the choice: what the bench counts where a change takes Route 53's whole minute to spread."""
    workflow = issuance_workflow.workflow_of(hub.template)
    with issuing_hub() as issuing:
        issuance_workflow.spread_slowly(issuing)
        ran = issuance_workflow.execute(workflow, issuing, ("shop.example.com",))
        looks, waited = 0, 0.0
        while waited < issuance_workflow.SPREADING:
            looks, waited = looks + 1, waited + min(max(issuance.FIRST_LOOK, 2 * waited), issuance.LAST_LOOK)
        assert looks == 4
        assert ran.states.count("Wait") == looks + 2
        assert len(ran.states) == 20 + 3 * (looks - 2)


def test_a_failure_ends_in_the_failed_state_of_the_definition(hub: Any) -> None:
    """What is final goes through Give up and Clean up, and the execution fails with the reason."""
    workflow = issuance_workflow.workflow_of(hub.template)
    with issuing_hub() as issuing:
        issuing.server.shown = set()
        with pytest.raises(SystemExit, match=r"Give up.*Clean up.*NotIssued"):
            issuance_workflow.execute(workflow, issuing, ("shop.example.com",))
        assert issuing.version("shop/1").state is VersionState.FAILED
