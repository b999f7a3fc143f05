"""Handlers parse, call one library function, and return what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perennial import audit, lifecycle_step
from perennial.errors import Unavailable
from perennial.issuance_step import Step
from perennial.manifest import Scope

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DEADLINE = NOW + timedelta(seconds=240)  # five minutes less the one to finish
SCOPE = "111122223333/eu-central-1/acm"
FAILURE = {"Error": "Throttled", "Cause": "{}"}
VERSION = "shop/1"
DEPLOYMENT = SimpleNamespace(clock=lambda: NOW)


@dataclass(frozen=True)
class Case:
    """One handler: its file, the library function it calls, its event, and what it passes on."""

    module: str
    calls: str
    event: Mapping[str, Any]
    passes: Mapping[str, Any]
    answer: Mapping[str, Any]


RUN = {"run": "r1"}
CASES = [
    Case(
        "discovery.plan", "discovery.plan", RUN | {"input": {}}, RUN | {"scopes": None, "now": NOW}, RUN | {"scopes": 3}
    ),
    Case(
        "discovery.plan",
        "discovery.plan",
        RUN | {"input": {"scopes": [SCOPE]}},
        RUN | {"scopes": [SCOPE], "now": NOW},
        RUN | {"scopes": 1},
    ),
    Case(
        "discovery.scan",
        "discovery.scan_scope",
        RUN | {"scope": SCOPE},
        RUN | {"scope": Scope.of(SCOPE), "now": NOW, "deadline": DEADLINE},
        {"scope": SCOPE, "status": "complete", "reason": None, "changes": 2},
    ),
    Case(
        "discovery.abandon",
        "discovery.abandon",
        RUN | {"scope": SCOPE, "error": FAILURE},
        RUN | {"scope": Scope.of(SCOPE), "error": FAILURE, "now": NOW},
        {"scope": SCOPE, "status": "incomplete", "reason": "throttled", "changes": 0},
    ),
    Case(
        "discovery.collect",
        "discovery.collect",
        RUN | {"started_at": NOW.isoformat(), "full": True},
        RUN | {"started_at": NOW, "now": NOW, "full": True},
        RUN | {"scopes": 3, "complete": 2, "incomplete": 1},
    ),
    Case(
        "assessment.assess",
        "publishing.assess_due",
        {"shard": 2},
        {"shard": 2, "now": NOW, "deadline": DEADLINE},
        {"assessed": 5, "remaining": False},
    ),
    Case(
        "assessment.publish",
        "publishing.publish_due",
        {},
        {"now": NOW, "deadline": DEADLINE},
        {"published": 5, "failed": 0, "remaining": False},
    ),
    Case("dispatch.tick", "dispatch.tick", {}, {}, {"started": ["assess-1"]}),
    Case("dispatch.event", "dispatch.receive", {"id": "1", "source": "aws.acm"}, {}, {"scopes": [SCOPE]}),
]


RENEWAL = lifecycle_step.Step(next="issue", reference=VERSION, execution="issue-1", doing="its time has come")
STEP = Step(next="wait", seconds=10, doing="waiting for its challenges to be visible everywhere")
STEPS = [  # handler, module and function of the library, what its input calls its subject
    ("issuance.prepare", "issuance.prepare", "version"),
    ("issuance.advance", "issuance.advance", "version"),
    ("issuance.store", "issuance.store", "version"),
    ("issuance.clean", "issuance.clean", "version"),
    ("rollout.preflight", "rollout_check.preflight", "rollout"),
    ("rollout.activate", "rollout.activate", "rollout"),
    ("rollout.prove", "rollout.prove", "rollout"),
    ("rollout.restore", "rollout.restore", "rollout"),
    ("rollout.finish", "rollout.finish", "rollout"),
]
GIVE_UP = [
    ("issuance.give_up", "issuance_failure.give_up", "version"),
    ("rollout.give_up", "rollout_failure.give_up", "rollout"),
]


def _context() -> Any:
    return SimpleNamespace(
        function_name="perennial",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:perennial",
        aws_request_id="00000000-0000-0000-0000-000000000000",
        get_remaining_time_in_millis=lambda: 300_000,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.module)
def test_handler_calls_the_library(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler passes its event on, typed, and returns the library's answer, which Step Functions can carry."""
    module = import_module(f"functions.{case.module}")
    library, name = case.calls.split(".")
    called: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def record(*arguments: Any, **named: Any) -> Mapping[str, Any]:
        called.append((arguments, named))
        return case.answer

    monkeypatch.setattr(module, "deployment", lambda: DEPLOYMENT)
    monkeypatch.setattr(import_module(f"perennial.{library}"), name, record)
    answer = module.handler(dict(case.event), _context())

    ((arguments, named),) = called
    assert arguments[0] is DEPLOYMENT
    assert named == case.passes
    assert json.loads(json.dumps(answer)) == case.answer


def _recorded(monkeypatch: pytest.MonkeyPatch, handler: str, calls: str) -> tuple[Any, list[tuple[Any, ...]]]:
    """The handler's module, whose library function only records what it is called with and answers with a step."""
    called: list[tuple[Any, ...]] = []

    def record(*arguments: Any) -> Step:
        called.append(arguments)
        return STEP

    loaded = import_module(f"functions.{handler}")
    module, name = calls.split(".")
    monkeypatch.setattr(loaded, "deployment", lambda: DEPLOYMENT)
    monkeypatch.setattr(import_module(f"perennial.{module}"), name, record)
    return loaded, called


@pytest.mark.parametrize(("handler", "calls", "subject"), STEPS)
def test_a_step_calls_the_library(monkeypatch: pytest.MonkeyPatch, handler: str, calls: str, subject: str) -> None:
    """A step passes its subject's name on, with the time, and returns what is next and nothing else."""
    loaded, called = _recorded(monkeypatch, handler, calls)
    answer = loaded.handler({subject: VERSION}, _context())
    assert called == [(DEPLOYMENT, VERSION, NOW)]
    assert answer == {"next": "wait", "seconds": 10, "doing": STEP.doing} == json.loads(json.dumps(answer))


@pytest.mark.parametrize(("handler", "calls", "subject"), GIVE_UP)
def test_give_up_passes_the_error_on(monkeypatch: pytest.MonkeyPatch, handler: str, calls: str, subject: str) -> None:
    """Give up gets the error's name and cause as Step Functions tells them."""
    loaded, called = _recorded(monkeypatch, handler, calls)
    assert loaded.handler({subject: VERSION, "error": FAILURE}, _context()) == STEP.document()
    assert called == [(DEPLOYMENT, VERSION, "Throttled", "{}", NOW)]


@pytest.mark.parametrize(("handler", "calls", "subject"), GIVE_UP)
def test_give_up_logs_no_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, handler: str, calls: str, subject: str
) -> None:
    """The log has the error's name; its cause, which quotes what came from elsewhere, stands in the table alone."""
    loaded, _ = _recorded(monkeypatch, handler, calls)
    cause = json.dumps({"errorMessage": "from elsewhere", "stackTrace": ["line"]})
    loaded.handler({subject: VERSION, "error": {"Error": "Throttled", "Cause": cause}}, _context())
    (said,) = (str(vars(each)) for each in caplog.records)
    assert "Throttled" in said
    assert "from elsewhere" not in said


@pytest.mark.parametrize(("handler", "calls", "subject"), STEPS)
def test_an_error_leaves_the_handler_as_it_is(
    monkeypatch: pytest.MonkeyPatch, handler: str, calls: str, subject: str
) -> None:
    """An error of the library is the handler's: Step Functions sees its class."""

    def fail(*_: Any) -> Step:
        raise Unavailable("not now")

    loaded, _ = _recorded(monkeypatch, handler, calls)
    module, name = calls.split(".")
    monkeypatch.setattr(import_module(f"perennial.{module}"), name, fail)
    with pytest.raises(Unavailable):
        loaded.handler({subject: VERSION}, _context())


def test_deciding_passes_the_lease_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decide gets the certificate's name and the number of the lease, and says what is next and nothing else."""
    loaded = import_module("functions.renewal.decide")
    monkeypatch.setattr(loaded, "deployment", lambda: DEPLOYMENT)
    called: list[tuple[Any, ...]] = []
    monkeypatch.setattr(lifecycle_step, "step", lambda *given: called.append(given) or RENEWAL)
    answer = loaded.handler({"managed": "shop", "fence": 3}, _context())
    assert called == [(DEPLOYMENT, "shop", 3, NOW)]
    assert answer == RENEWAL.document() == json.loads(json.dumps(answer))


def test_retiring_tells_what_still_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retire gets the version and the number of the lease, and says what still stands."""
    loaded = import_module("functions.renewal.retire")
    monkeypatch.setattr(loaded, "deployment", lambda: DEPLOYMENT)
    called: list[tuple[Any, ...]] = []
    monkeypatch.setattr(lifecycle_step, "retire", lambda *given: called.append(given) or ["in use"])
    assert loaded.handler({"version": VERSION, "fence": 3}, _context()) == {"left": ["in use"]}
    assert called == [(DEPLOYMENT, VERSION, 3, NOW)]


def test_checkpoints_tell_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit trail's function makes what is due with what the stack gives it, and says the numbers."""
    loaded = import_module("functions.audit.checkpoint")
    hub, lock = SimpleNamespace(clock=lambda: NOW, inventory="inventory"), object()
    monkeypatch.setattr(loaded, "deployment", lambda: hub)
    called: list[tuple[Any, ...]] = []
    made = [SimpleNamespace(number=412), SimpleNamespace(number=413)]
    monkeypatch.setattr(audit, "lock_of", lambda given: lock if given is hub else None)
    monkeypatch.setattr(audit, "checkpoint", lambda *given: called.append(given) or made)
    assert loaded.handler({}, _context()) == {"made": [412, 413]}
    assert called == [("inventory", lock, NOW)]


def test_every_handler_is_tested() -> None:
    """Each file of functions/ is in one of the tables, or has a test of its own."""
    files = {
        ".".join(file.relative_to(ROOT / "functions").with_suffix("").parts) for file in ROOT.glob("functions/*/*.py")
    }
    tested = {each.module for each in CASES} | {handler for handler, _, _ in (*STEPS, *GIVE_UP)}
    own = {"api.authorizer", "api.handle", "api.page"}
    own |= {"audit.checkpoint", "issuance.answer_http01", "rollout.callback"}
    of_approval = {"approval.ask", "approval.apply", "approval.expire"}  # test_approval.py
    assert files == tested | own | of_approval | {"renewal.decide", "renewal.retire"}


def test_nothing_is_made_at_import() -> None:
    """Importing every handler makes no client, and loads neither the tracing library nor the table's."""
    files = sorted(file.relative_to(ROOT).with_suffix("") for file in ROOT.glob("functions/*/*.py"))
    modules = [".".join(file.parts) for file in files]
    unwanted = ("boto3", "pynamodb", "acme", "aws_xray_sdk")
    program = f"""
import importlib, sys
for module in {modules!r}:
    importlib.import_module(module)
print([each for each in {unwanted!r} if each in sys.modules])
"""
    path = f"{ROOT / 'layers' / 'perennial' / 'python'}:{ROOT}"
    result = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
