"""An exception, killed at any AWS call of its beginning, announcement or end, ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from counted import COUNTED
from estate import NOW, Estate
from excepting import (
    APPROVER,
    ARN,
    DAY,
    SECURITY,
    ask,
    messages,
    open_findings,
    plant,
    scan,
    suppressed,
    work,
    workflow_of_findings,
)
from layers.perennial.conftest import in_memory_hub
from perennial import exception_serving, exceptions
from perennial.audit import Question
from perennial.audit import asked as trail
from perennial.errors import ConcurrentChange, InvalidInput
from perennial.exception_record import ExceptionRecord, ExceptionState


class Killed(BaseException):
    """The process is gone: nothing of it catches this."""


@contextmanager
def killed_at(number: int, *, after: bool) -> Iterator[list[str]]:
    """Kill at the n-th AWS call, before it is sent or after it took effect and its reply is lost."""
    calls: list[str] = []
    original = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        if len(calls) >= number:
            raise Killed
        calls.append(operation)
        if len(calls) == number and not after:
            raise Killed
        reply = original(client, operation, request)
        if len(calls) == number:
            raise Killed
        return reply

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", call)
        yield calls


def grant(estate: Estate, made: ExceptionRecord) -> None:
    exceptions.grant(estate.deployment, SECURITY, made, source="api", now=estate.clock.now)


def end(estate: Estate, made: ExceptionRecord) -> None:
    now = estate.clock.now
    exceptions.end(estate.deployment, APPROVER, made, reason="no need any more", source="api", now=now)


def serve(estate: Estate, made: ExceptionRecord) -> None:
    now = estate.clock.now
    exception_serving.serve_due(estate.deployment, now=now, deadline=now + timedelta(minutes=9))


PHASES: dict[str, tuple[Callable[[Estate, ExceptionRecord], None], float]] = {  # what is done, on which day
    "grant": (grant, 0),
    "begin": (serve, 0.001),
    "announce": (serve, 16.1),
    "end": (end, 20),
    "end-served": (serve, 20.001),
}
BY_TIME = {**{name: PHASES[name] for name in ("grant", "begin", "announce")}, "by-time": (serve, 30.0)}


def lived(phases: dict[str, Any], which: str = "", number: int = 0, *, after: bool = True) -> tuple[Any, int]:
    """The life of an exception, killed at a call of one phase, which is done again as whoever called it would. Returns
    what is left of it, and the calls of that phase."""
    made_calls = 0
    with in_memory_hub() as estate, workflow_of_findings() as workflow:
        plant(estate)
        scan(estate)
        work(estate, rounds=2)
        made, began = ask(estate), estate.clock.now
        for name, (act, day) in phases.items():
            estate.clock.now = began + day * DAY
            if name == which:
                with killed_at(number, after=after) as calls, suppress(Killed):
                    act(estate, made)
                made_calls = len(calls)
                estate.clock.now += timedelta(minutes=1)
            with suppress(ConcurrentChange, InvalidInput):  # it was done after all
                act(estate, made)
            if act is serve:
                work(estate, rounds=2)
        work(estate, after=timedelta(minutes=16), rounds=2)
        return _left(estate, made, workflow), made_calls


def _left(estate: Estate, made: ExceptionRecord, workflow: dict[str, tuple[str, str]]) -> Any:
    """Everything that an exception leaves behind, without what only says when."""
    inventory = estate.deployment.inventory
    kept = inventory.exception(made.id)
    listed = {str(each): len(inventory.exceptions(each)[0]) for each in ExceptionState}
    question = Question(since=NOW - DAY, until=NOW + 60 * DAY, kind="exception", subject=made.id)
    events = sorted(each.event.action for each in trail(inventory, question))
    subjects = {each["Subject"] for each in messages(estate)}  # at least once
    facts = (kept.state, kept.ended_why, kept.event, kept.sweep_at, kept.announced, kept.told_end, kept.trouble)
    findings = (sorted(open_findings(estate)), sorted(suppressed(estate)))
    return facts, listed, events, subjects, findings, workflow["expiry.expired"][0]


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("which", [*PHASES, "by-time"])
def test_killed_at_any_call_and_served_again_it_ends_the_same(
    which: str, after: bool, record_property: Callable[[str, object], None]
) -> None:
    """Whatever call is the last, the exception, its findings, its events and what people were told end the same."""
    phases = BY_TIME if which == "by-time" else PHASES
    reference, total = lived(phases, which, 1_000_000)
    assert reference[4][0] and not reference[4][1] and ("expiry.expired", ARN) in reference[4][0]
    for number in range(1, total + 1):
        result, _ = lived(phases, which, number, after=after)
        assert result == reference, f"killed at call {number} of {total}"
    record_property(f"{COUNTED}Exceptions, {which}", total)
