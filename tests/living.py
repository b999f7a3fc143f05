"""A world in which managed certificates live: the real inventory and steps, a scripted CA and scripted places, and the
three workflows as the state machines define them, each state a step of its own.

    with living_hub() as world:
        world.apply(world.declared("shop"))
        world.live(timedelta(days=30))        # the tick and all that it starts, for as long as that
        world.record("shop").serving

What happens in between is the test's: `step` lets one execution do one state, `crash` ends one, `interrupted` lets
something happen at the n-th call to AWS or to the CA, `authority.mode` and `places[…].mode` say what fails. The clock
is simulated, and each caller may have one that is wrong (`skew`). `judge` says what holds whatever happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

import asl
import living_judgement
from certificates import build
from dict_aws import ACCOUNT, PROOF_KEY, Calls, Channels, Counted, DictClients, Kms, SecretsManager, refused
from dict_table import DictTable
from estate import Clock
from living_ca import BEGIN, Authority, cas
from living_places import PLACE_MODES, LivingKind, LivingPlace
from perennial import (
    applying,
    audit_event,
    dispatch,
    forcing,
    issuance,
    issuance_failure,
    issuers,
    lifecycle_step,
    memory_handshake,
    prover,
    rollout,
    rollout_check,
    rollout_failure,
    targets,
)
from perennial.certificate import Certificate
from perennial.certificate_request import CertificateRequest
from perennial.deployment import Deployment
from perennial.errors import (
    PerennialError,
)
from perennial.inventory import audit, conversion, observations, versions
from perennial.inventory.records import ManagedRecord, RolloutRecord, VersionRecord
from perennial.inventory.store import Inventory
from perennial.managed_certificate import ManagedCertificate
from perennial.proof import Observation
from perennial.settings import load
from perennial.targets.interface import TargetSettings
from workflows import DEFINITIONS

MINUTE, ZERO = timedelta(minutes=1), timedelta(0)
SKEWED = timedelta(minutes=5)
ASKED_BY = "arn:aws:iam::123456789012:user/anna"
MOST_EVENTS = 20_000  # of one `live`
MOST_STEPS = 2_000  # of executions while no time passes
CONFIGURATION = """
[issuers.ca]
kind = "acme"
directory = "https://ca.example/directory"
public = false
roots = {roots}
{issuer}

[profiles.web]
issuer = "ca"
names = [".svc.internal"]
validity_days = {days}

[policy.owners]
shop = [".svc.internal"]

[targets]
kinds = ["scripted"]
{more}
"""


class Killed(BaseException):
    """The function's process is gone: nothing of it catches this."""


# --- executions ---


@dataclass(eq=False)
class Execution:
    """An execution of a state machine. `at` is the state it enters next, `until` the time before which it waits."""

    machine: str
    name: str
    input: str
    ran: asl.Ran
    at: str
    until: datetime
    interpreter: Any = None
    child: Execution | None = None
    refused: asl.TaskError | None = None
    number: int = 0

    @property
    def running(self) -> bool:
        return not self.ran.status

    def __repr__(self) -> str:
        return f"{self.machine} {self.name[:14]} at {self.at}{'' if self.running else ' ' + self.ran.status}"


@dataclass
class StepFunctions:
    """Starts executions, each name once (API reference, StartExecution: the same name and input as a running execution
    is that one; a name of one that has ended is refused)."""

    world: World

    def start_execution(self, *, stateMachineArn: str, name: str, **given: str) -> dict[str, Any]:
        self.world.begin(stateMachineArn, name, given["input"])
        return {"executionArn": name}

    def list_executions(self, *, stateMachineArn: str, statusFilter: str, maxResults: int) -> dict[str, Any]:
        found = [each for each in self.world.running() if each.machine == stateMachineArn]
        return {"executions": found[:maxResults]}


Steps = Mapping[str, Callable[[Deployment, Mapping[str, Any], datetime], Mapping[str, Any]]]


def _steps() -> Steps:
    """What the functions do: the name of a Task's resource → the library's step, as the handlers call it."""
    issuing: dict[str, Any] = {each: getattr(issuance, each) for each in ("prepare", "advance", "store", "clean")}
    of_version = {
        name: lambda found, given, now, act=act: act(found, given["version"], now).document()
        for name, act in issuing.items()
    }
    rolling: dict[str, Any] = {"preflight": rollout_check.preflight}
    rolling |= {name: getattr(rollout, name) for name in ("activate", "prove", "restore", "finish")}
    of_rollout = {
        name: lambda found, given, now, act=act: act(found, given["rollout"], now).document()
        for name, act in rolling.items()
    }
    return {**of_version, **of_rollout, **_OTHERS}


def _give_up_version(found: Deployment, given: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    error = given["error"]
    return issuance_failure.give_up(found, given["version"], error["Error"], error["Cause"], now).document()


def _give_up_rollout(found: Deployment, given: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    error = given["error"]
    return rollout_failure.give_up(found, given["rollout"], error["Error"], error["Cause"], now).document()


def _retire(found: Deployment, given: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    return {"left": lifecycle_step.retire(found, given["version"], int(given["fence"]), now)}


def _decide(found: Deployment, given: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    return lifecycle_step.step(found, given["managed"], int(given["fence"]), now).document()


_OTHERS: dict[str, Any] = {
    "decide": _decide,
    "retire": _retire,
    "give_up_version": _give_up_version,
    "give_up_rollout": _give_up_rollout,
}


# --- the world ---


@dataclass
class World:
    """All of it. `steps` are the states that were entered, in order: "Renewal Decide"."""

    table: DictTable
    calls: Calls
    clock: Clock
    secrets: SecretsManager
    authority: Authority
    places: dict[str, LivingPlace]
    configuration: dict[str, Any]
    foreign: dict[str, Certificate]
    channels: Channels
    executions: list[Execution] = field(default_factory=list)
    _alive: list[Execution] = field(default_factory=list)  # those that have not ended
    _named: dict[tuple[str, str], Execution] = field(default_factory=dict)
    declarations: dict[str, ManagedCertificate] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)  # what a place served as it was declared, after it was not
    steps: list[str] = field(default_factory=list)
    decided: list[str] = field(default_factory=list)  # what Decide said, in order
    good_since: datetime | None = None  # everything works, and the tick comes
    clients: Any = None
    _points: int = 0
    _meanwhile: bool = False

    @property
    def now(self) -> datetime:
        return self.clock.now

    @property
    def inventory(self) -> Inventory:
        return self.deployment().inventory

    def deployment(self, skew: timedelta = ZERO) -> Deployment:
        """As a new process has it, whose clock may be wrong."""
        found = Deployment(_ENVIRONMENT, lambda: self.now + skew)
        known = {"clients": self.clients, "account": ACCOUNT, "settings": _settings(**self.configuration)}
        found.__dict__.update(known)
        return found

    # --- what people do ---

    def declared(self, name: str, *names: str, places: tuple[str, ...] = (), **more: Any) -> ManagedCertificate:
        """A declaration. Its places begin with its own name, where none are named."""
        wanted = places or tuple(each for each in sorted(self.places) if each.startswith(name))
        settings = tuple(TargetSettings(kind="scripted", name=each, managed=name, deadline=60) for each in wanted)
        asked = CertificateRequest(names=names or (f"{name}.svc.internal",), profile="web", owner="shop")
        return ManagedCertificate(name=name, request=asked, targets=settings, **more)

    def apply(self, *declared: ManagedCertificate, skew: timedelta = ZERO) -> None:
        """Declare these beside what is declared already."""
        for each in declared:
            known = self.declarations.get(each.name)
            before = {settings.name for settings in known.targets} if known else set()
            new = {settings.name for settings in each.targets} - before
            self.found.update({name: self.places[name].serves for name in new})
        self.declarations.update({each.name: each for each in declared})
        self._applied(skew, prune=False)

    def remove(self, name: str, skew: timedelta = ZERO) -> None:
        """Take a declaration away, and prune."""
        self.declarations.pop(name, None)
        self._applied(skew, prune=True)

    def _applied(self, skew: timedelta, *, prune: bool) -> None:
        wanted = tuple(self.declarations.values())
        applying.apply(self.deployment(skew), wanted, prune=prune, asked_by=ASKED_BY, now=self.now + skew, source="cli")

    def force(self, name: str, skew: timedelta = ZERO, *, urgent: bool = True) -> None:
        """`perennial renew NAME`, with `--force`."""
        forcing.force(self.deployment(skew), name, ASKED_BY, self.now + skew, urgent=urgent, source="cli")

    def revoke(self, name: str) -> None:
        """The CA revoked what serves, and someone has seen that."""
        record = self.record(name)
        if record.serving and not record.removed_at:
            serving = replace(record.serving, revoked_at=self.now)
            self.inventory.save_managed(replace(record, serving=serving, due_at=self.now))

    # --- what is known ---

    def record(self, name: str) -> ManagedRecord:
        return self.inventory.managed_certificate(name)

    def records(self) -> list[ManagedRecord]:
        return list(self.inventory.declared())

    def versions(self, name: str) -> list[VersionRecord]:
        return self.inventory.versions(name)

    def rollouts(self, name: str) -> list[RolloutRecord]:
        return self.inventory.rollouts(name)

    def running(self) -> list[Execution]:
        self._alive = [each for each in self._alive if each.running]
        return list(self._alive)

    # --- the tick ---

    def tick(self, skew: timedelta = ZERO) -> list[str]:
        """The function of the tick."""
        return dispatch.tick(self.deployment(skew), self.now + skew)["started"]

    def tick_twice(self, skew: timedelta = ZERO) -> None:
        """Two ticks that see the same due entries: the second one's index is late."""
        before = self.table.copy()
        self.tick(skew)
        with self.table.stale_indexes(before):
            self.tick(skew)

    def next_due(self) -> datetime | None:
        """When the next thing is due."""
        stamp = self.table.least("due", ("renew#", "issue#", "deploy#"))
        return conversion.time(stamp.partition("#")[0]) if stamp else None

    # --- executions ---

    def begin(self, machine: str, name: str, payload: str) -> Execution:
        """Start an execution, as StartExecution does."""
        known = self._named.get((machine, name))
        if known is not None:
            if known.running and json.loads(known.input) == json.loads(payload):
                return known
            raise refused("ExecutionAlreadyExists", "StartExecution")
        ran = asl.Ran(output=json.loads(payload))
        made = Execution(machine, name, payload, ran, str(DEFINITIONS[machine]["StartAt"]), self.now)
        made.number = len(self.executions)
        made.interpreter = asl.Machine(ran, self._invoke(made), self._wait(made))
        self.executions.append(made)
        self._alive.append(made)
        self._named[machine, name] = made
        return made

    def can_step(self, execution: Execution) -> bool:
        waits = execution.child is not None and execution.child.running
        return execution.running and execution.until <= self.now and not waits

    def step(self, execution: Execution, skew: timedelta = ZERO) -> bool:
        """Let an execution do one state, with the functions' clock wrong by `skew`. False where it cannot go on now."""
        if not self.can_step(execution):
            return False
        self._skew = skew
        state = DEFINITIONS[execution.machine]["States"][execution.at]
        if state.get("Resource") in DEFINITIONS and execution.child is None:
            self._nest(execution, state)
            if execution.child is not None:
                return True
        self.steps.append(f"{execution.machine} {execution.at}")
        execution.ran.states.append(execution.at)
        execution.at = execution.interpreter.enter(execution.at, state)
        return True

    def _nest(self, execution: Execution, state: Mapping[str, Any]) -> None:
        asked = execution.interpreter._payload(state)
        try:
            execution.child = self.begin(state["Resource"], asked["Name"], json.dumps(asked["Input"]))
        except ClientError as error:
            assert "ExecutionAlreadyExists" in str(error), error
            execution.refused = asl.TaskError("StepFunctions.ExecutionAlreadyExistsException", str(error))

    def _wait(self, execution: Execution) -> Callable[[float], None]:
        def wait(seconds: float) -> None:
            execution.until = max(execution.until, self.now) + timedelta(seconds=seconds)

        return wait

    def _invoke(self, execution: Execution) -> Callable[[str, Any], Any]:
        def invoke(resource: str, payload: Any) -> Any:
            if resource in DEFINITIONS:
                return self._ended(execution)
            try:
                return self._called(resource, payload)
            except Killed as error:
                raise asl.TaskError("Runtime.ExitError", "the process was killed") from error
            except PerennialError as error:
                cause = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__})
                raise asl.TaskError(type(error).__name__, cause) from error

        return invoke

    def _ended(self, execution: Execution) -> Any:
        child, execution.child = execution.child, None
        refused_start, execution.refused = execution.refused, None
        if refused_start is not None:
            raise refused_start
        assert child is not None
        if child.ran.status != "SUCCEEDED":
            raise asl.TaskError("States.TaskFailed", child.ran.cause)
        return {}

    def _called(self, resource: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        found = self.deployment(self._skew)
        if resource != "decide":
            return _STEPS[resource](found, payload, self.now + self._skew)
        known = found.inventory.find_managed(payload["managed"])
        stale = known is None or known.fence != payload["fence"]
        before = self.table.copy() if stale else None
        step = _STEPS["decide"](found, payload, self.now + self._skew)
        self.decided.append(str(step["next"]))
        if stale and not self._meanwhile:
            assert step["next"] == "ended"
            assert self.table.copy() == before, "an execution whose lease is another's changed something"
        if step["next"] == "wait":
            assert step["doing"].startswith("watching: "), f"it goes round in circles: {step['doing']}"
        return step

    _skew: timedelta = ZERO

    def run(self, execution: Execution, skew: timedelta = ZERO) -> None:
        """Let an execution go on until it ends or waits, with what runs inside it."""
        for _ in range(MOST_STEPS):
            if not self.step(execution, skew) and not (execution.child and self.step_inside(execution, skew)):
                return
        raise AssertionError(f"{MOST_STEPS} steps in no time: {self.steps[-20:]}")

    def step_inside(self, execution: Execution, skew: timedelta) -> bool:
        return execution.child is not None and self.step(execution.child, skew)

    def crash(self, execution: Execution, *, inside: bool = True) -> None:
        """An execution ends where it is; with `inside` so does the workflow that runs inside it."""
        execution.ran.status = "ABORTED"
        if inside and execution.child is not None and execution.child.running:
            execution.child.ran.status = "ABORTED"

    # --- time ---

    def settle(self, skew: timedelta = ZERO) -> None:
        """Let all executions go on until they end or wait."""
        for _ in range(MOST_STEPS):
            if not any(self.step(each, skew) for each in self.running()):
                return
        raise AssertionError(f"{MOST_STEPS} steps in no time: {self.steps[-20:]}")

    def sleep(self, duration: timedelta) -> None:
        """Time passes, and no tick comes."""
        self.clock.now += duration
        self.good_since = None

    def live(self, duration: timedelta, skew: timedelta = ZERO, until: Callable[[], bool] = lambda: False) -> None:
        """The tick comes each minute, and everything goes on, for as long as that or until something holds."""
        end, ticked = self.now + duration, None
        if self.all_works() and self.good_since is None:
            self.good_since = self.now
        for _ in range(MOST_EVENTS):
            self.settle(skew)
            at = self._next_event(ticked, skew)
            if at is None or at > end or until():
                break
            self.clock.now = max(self.now, at)
            due = self.next_due()
            if due is not None and due <= self.now + skew and (ticked is None or self.now >= ticked + MINUTE):
                with suppress(Killed):
                    self.tick(skew)
                ticked = self.now
        else:
            raise AssertionError(f"{MOST_EVENTS} events in {duration}: {self.steps[-20:]}")
        if not until():
            self.clock.now = end

    def _next_event(self, ticked: datetime | None, skew: timedelta) -> datetime | None:
        times = [each.until for each in self.running() if each.child is None or not each.child.running]
        due = self.next_due()
        if due is not None:
            minute = _minute(max(due - skew, self.now))
            times.append(max(minute, ticked + MINUTE) if ticked else minute)
        return min(times, default=None)

    # --- what fails ---

    def all_works(self) -> bool:
        return not (self.authority.mode or self.channels.broken or any(each.mode for each in self.places.values()))

    def break_ca(self, mode: str) -> None:
        self.authority.mode = mode
        self.good_since = None

    def break_place(self, name: str, mode: str) -> None:
        self.places[name].mode = mode
        self.good_since = None

    def break_channels(self) -> None:
        """Nobody can be told anything."""
        self.channels.broken = True
        self.good_since = None

    def mend(self) -> None:
        """Everything works again."""
        self.authority.mode, self.channels.broken = "", False
        for each in self.places.values():
            each.cured()

    @contextmanager
    def interrupted(
        self, number: int, act: Callable[[Callable[[], Any]], Any], now: Callable[[], bool] | None = None
    ) -> Iterator[list[str]]:
        """At the n-th call to AWS or the CA from now on, or when `now` says so, `act` happens instead of sending it.
        Returns the calls."""
        names: list[str] = []

        def around(name: str, send: Callable[[], Any]) -> Any:
            names.append(name)
            if self._meanwhile or not (now() if now else len(names) == number):
                return send()
            self._meanwhile = True
            try:
                return act(send)
            finally:
                self._meanwhile = False

        before = self.calls.around, self.table.around
        self.calls.around, self.table.around = around, lambda name, send: around(f"dynamodb:{name}", send)
        try:
            yield names
        finally:
            self.calls.around, self.table.around = before

    # --- what holds ---

    def judge(self) -> None:
        """What holds at every moment."""
        living_judgement.judge(self)

    def comes_to_rest(self, within: timedelta = timedelta(days=4)) -> None:
        """When everything works again, each certificate that is declared serves what is declared, with no more keys
        than it needs; what was removed is retired."""
        living_judgement.comes_to_rest(self, within)


_STEPS = _steps()
_ENVIRONMENT = {
    "PERENNIAL_TABLE": "inventory",
    "PERENNIAL_KEY_ID": "alias/perennial",
    "PERENNIAL_PROOF_KEY_ID": PROOF_KEY,
    "PERENNIAL_RENEWAL_ARN": "Renewal",
    "PERENNIAL_ISSUANCE_ARN": "Issuance",
    "PERENNIAL_ROLLOUT_ARN": "Rollout",
    "PERENNIAL_ASSESSMENT_ARN": "Assessment",
    "PERENNIAL_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:findings",
    "PERENNIAL_BUS_NAME": "perennial",
}


def _minute(moment: datetime) -> datetime:
    """The first whole minute from a moment on."""
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + MINUTE


@cache
def _settings(days: int, issuer: str = "", more: str = "") -> Any:
    root, _ = cas()
    return load(CONFIGURATION.format(roots=json.dumps(root.pem), days=days, issuer=issuer, more=more))


@cache
def _handshakes(*_: object) -> tuple[str, ...]:
    """Handshakes in memory are tried elsewhere (`test_preflight.py`)."""
    return ()


@cache
def _foreign(name: str) -> Certificate:
    return build(f"{name}.example.com", not_after=BEGIN + timedelta(days=3_650)).certificate


def _observed(world: World, names: tuple[str, ...], *, host: str, port: int, **_: Any) -> prover.Observed:
    """What handshakes at a place show."""
    place = world.places[host.removesuffix(".example")]
    served = world.authority.made.get(place.serves) or world.foreign.get(place.serves)
    if served is None or (place.mode in PLACE_MODES and place.mode != "denied"):
        silent = Observation(address=host, port=port, problem="no connection: Connection refused")
        return prover.Observed(observations=(silent,))
    _, above = cas()
    chain = (place.serves, above.fingerprint) if place.serves in world.authority.made else (place.serves,)
    serial = served.serial or ""
    seen = [
        Observation(address="192.0.2.1", port=port, sni=name, protocol="TLSv1.3", serial=serial, chain=chain)
        for name in names
    ]
    return prover.Observed(observations=tuple(seen))


def _in_turn(write: Callable[[Any], object], these: Any) -> None:
    for each in these:
        write(each)


@contextmanager
def living_hub(*names: str, days: int = 6, issuer: str = "", more: str = "", table: Any = None) -> Iterator[World]:
    """A hub with nothing declared, a CA whose certificates live `days`, and places (`shop-a`, `shop-b`, `blog-a` where
    none are named), each with a certificate of someone else."""
    clock, calls, table = Clock(BEGIN), Calls(), table or DictTable()
    places = {each: LivingPlace(each) for each in names or ("shop-a", "shop-b", "blog-a")}
    secrets, channels, authority = SecretsManager(clock), Channels(), Authority(clock, calls, days=days)
    configuration = {"days": days, "issuer": issuer, "more": more}
    world = World(table, calls, clock, secrets, authority, places, configuration, {}, channels)
    for each in places.values():
        foreign = _foreign(each.name)
        each.foreign = foreign.fingerprint or ""
        each.put(each.foreign)
        world.foreign[each.foreign] = foreign
    told = dict.fromkeys(("sns", "events", "securityhub"), channels)
    world.clients = DictClients(calls, secretsmanager=secrets, kms=Kms(), stepfunctions=StepFunctions(world), **told)
    kind = LivingKind(places)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patched, table.in_place():
        patched.setattr(targets, "names", lambda: ("scripted",))
        patched.setattr(targets, "kind", lambda name: kind)
        patched.setattr(issuers, "issuer", lambda settings, deployment: authority)
        patched.setattr(prover, "observe", lambda wanted, **where: _observed(world, wanted, **where))
        patched.setattr(memory_handshake, "problems", lambda *_, **__: ())
        patched.setattr(observations, "in_parallel", _in_turn)
        patched.setattr(conversion, "uuid", Counted("due"))
        patched.setattr(versions, "secrets", Counted("ask"))
        patched.setattr(audit_event, "secrets", Counted("event"))
        patched.setattr(audit, "secrets", Counted("chain"))
        yield world


__all__ = ["Execution", "Killed", "World", "living_hub"]
