"""The definitions that `living` runs are the deployed ones."""

from __future__ import annotations

from typing import Any

import pytest
from tests.infra.conftest import Synthesised

from workflows import DEFINITIONS

RESOURCES = {  # a deployed function → the step that it is
    "Decide": "decide",
    "Retire": "retire",
    "Prepare": "prepare",
    "Advance": "advance",
    "Store": "store",
    "CleanUp": "clean",
    "Clean": "clean",
    "GiveUp": "give_up_version",
    "GiveUpRollout": "give_up_rollout",
    "Preflight": "preflight",
    "Activate": "activate",
    "Prove": "prove",
    "Restore": "restore",
    "Finish": "finish",
}


def _state(state: dict[str, Any]) -> dict[str, Any]:
    """A synthesised state in the words of `workflows`."""
    found = dict(state)
    if found["Type"] == "Choice":
        found["Choices"] = sorted(found["Choices"], key=str)
    if "Catch" in found:
        found["Catch"] = [{"ResultPath": None, **each} for each in found["Catch"]]
    if found["Type"] == "Task" and "startExecution" in found["Resource"]:
        parameters = dict(found["Parameters"])
        machine = str(parameters.pop("StateMachineArn"))
        found["Resource"] = "Issuance" if "Issuance" in machine else "Rollout"
        found["Parameters"] = parameters
    elif found["Type"] == "Task":
        found["Resource"] = RESOURCES[found["Resource"].strip("<").partition("Function")[0]]
    return found


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_the_definition_is_the_deployed_one(hub: Synthesised, name: str) -> None:
    """State for state, with what is called, what is passed, what is tried again, and what is caught."""
    deployed, known = hub.definition(f"Perennial{name}"), DEFINITIONS[name]
    assert deployed["StartAt"] == known["StartAt"]
    assert {each: _state(state) for each, state in deployed["States"].items()} == {
        each: _state(state) if state["Type"] == "Choice" else state for each, state in known["States"].items()
    }
