"""The state machines try again what is worth it, stay small, and are watched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from perennial.errors import FINAL, RETRYABLE
from perennial.inventory.indexes import SHARDS

MACHINES = ["PerennialDiscovery", "PerennialAssessment"]


def _states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in definition["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


@pytest.mark.parametrize("machine", MACHINES)
def test_retries_what_is_retryable(hub: Any, machine: str) -> None:
    """Every call is tried again for exactly the retryable errors and Lambda's own, with jitter."""
    calls = [state for _, state in _states(hub.definition(machine)) if state["Type"] == "Task"]
    for state in calls:
        (retry,) = state["Retry"]
        ours = [each for each in retry["ErrorEquals"] if "." not in each]
        assert ours == [each.__name__ for each in RETRYABLE]
        assert not {each.__name__ for each in FINAL} & set(ours)
        assert (retry["JitterStrategy"], retry["BackoffRate"]) == ("FULL", 2)
    assert calls


def test_map_reads_the_plan(hub: Any) -> None:
    """The scopes come from S3, one child each, and no child's failure or output can fail the run."""
    states = dict(_states(hub.definition("PerennialDiscovery")))
    each = states["Each scope"]
    assert each["ItemReader"]["ReaderConfig"] == {"InputType": "JSON"}
    assert each["ItemReader"]["Parameters"]["Key.$"] == "$.key"
    assert each["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert each["ToleratedFailurePercentage"] == 100
    assert each["MaxConcurrency"] == 20
    assert each["ResultPath"] is None
    assert states["Scope done"] == {"Type": "Succeed", "OutputPath": None}


def test_scan_ends_in_a_record(hub: Any) -> None:
    """A scan goes on while it says so, and whatever fails for good is recorded as incomplete."""
    states = dict(_states(hub.definition("PerennialDiscovery")))
    assert states["Scan"]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Abandon"}]
    (again,) = states["Scanned?"]["Choices"]
    assert (again["StringEquals"], again["Next"]) == ("continue", "Scan")


@pytest.mark.parametrize("machine", MACHINES)
def test_assesses_every_shard(hub: Any, machine: str) -> None:
    """Both state machines assess every shard of the due index, and then publish."""
    states = dict(_states(hub.definition(machine)))
    assert states["Name the shards"]["Result"] == list(range(SHARDS))
    assert states["Each shard"]["Next"] == "Publish"


def test_machines_are_watched(hub: Any) -> None:
    """State machines log errors without the data that they work on, and are traced."""
    for each in hub.of("AWS::StepFunctions::StateMachine").values():
        assert each["Properties"]["TracingConfiguration"] == {"Enabled": True}
        assert each["Properties"]["LoggingConfiguration"]["Level"] == "ERROR"
        assert each["Properties"]["LoggingConfiguration"]["IncludeExecutionData"] is False


def test_alarms(hub: Any) -> None:
    """An alarm sounds for each way in which Perennial can stop working, also for silence, and tells the topic."""
    alarms = {
        each["Properties"]["AlarmDescription"]: each["Properties"] for each in hub.of("AWS::CloudWatch::Alarm").values()
    }
    assert len(alarms) == 17
    assert all(each["AlarmActions"] for each in alarms.values())
    (silence,) = (each for text, each in alarms.items() if "No tick" in text)
    assert (silence["TreatMissingData"], silence["EvaluationPeriods"], silence["Period"]) == ("breaching", 3, 300)
