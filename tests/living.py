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

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509

import asl
from certificates import Built, build
from dict_aws import ACCOUNT, PROOF_KEY, Calls, Channels, Counted, DictClients, Kms, SecretsManager, refused
from dict_table import DictTable
from estate import Clock
from perennial import (
    applying,
    audit_event,
    dispatch,
    forcing,
    issuance,
    issuance_failure,
    issuers,
    lifecycle,
    lifecycle_step,
    memory_handshake,
    prover,
    renewal,
    rollout,
    rollout_check,
    rollout_failure,
    targets,
)
from perennial.certificate import Certificate
from perennial.certificate_request import CertificateRequest
from perennial.deployment import Deployment
from perennial.errors import (
    AccessDenied,
    NotFound,
    PerennialError,
    RateLimited,
    ServiceRefused,
    Throttled,
    Unavailable,
)
from perennial.inventory import audit, conversion, observations, versions
from perennial.inventory.records import ManagedRecord, ManagedState, RolloutRecord, VersionRecord, VersionState
from perennial.inventory.store import Inventory
from perennial.issuers.interface import Ask, Issued, Later, Outcome, RenewalWindow
from perennial.key_store import PREFIX
from perennial.keys import from_pem, public_sha256
from perennial.managed_certificate import ManagedCertificate
from perennial.proof import Observation
from perennial.settings import load
from perennial.targets.interface import Bundle, Found, TargetSettings
from rolling import Place, Scripted, ScriptedKind
from workflows import DEFINITIONS

BEGIN = datetime(2026, 11, 2, 8, tzinfo=UTC)
BACKDATED = timedelta(hours=1)  # as public CAs do
MINUTE, ZERO = timedelta(minutes=1), timedelta(0)
SKEWED = timedelta(minutes=5)
ASKED_BY = "arn:aws:iam::123456789012:user/anna"
MOST_EVENTS = 20_000  # of one `live`
MOST_STEPS = 2_000  # of executions while no time passes
PAUSE_MOST = timedelta(hours=33)  # backoff.LONGEST, and what clocks differ
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


# --- the CA ---


@cache
def _cas() -> tuple[Built, Built]:
    root = build("Example Root", ca=True, not_after=BEGIN + timedelta(days=36_500))
    above = build("Example Issuing CA", ca=True, issuer=root, not_after=BEGIN + timedelta(days=36_500))
    return root, above


@dataclass
class _Public:
    """In the place of a key of which the CA knows the public half."""

    public: Any

    def public_key(self) -> Any:
        return self.public


CA_MODES: Mapping[str, Callable[[], PerennialError]] = {
    "unavailable": lambda: Unavailable("the CA does not answer"),
    "throttled": lambda: Throttled("the CA asks to slow down"),
    "rate-limited": lambda: RateLimited("too many certificates", retry_after=7_200),
    "refuses": lambda: ServiceRefused("the CA refuses: the account is suspended"),
}
LOSES = "loses the reply"  # it issues, and nobody hears of it
SILENT = "silent"  # it takes its time


@dataclass
class Authority:
    """A CA that issues in two steps, one certificate for each order. `mode` is what it does instead: one of `CA_MODES`,
    `LOSES`, `SILENT`; "" when it works. `window` is what it advises."""

    clock: Clock
    calls: Calls
    mode: str = ""
    days: float = 6.0
    window: RenewalWindow | None = None
    orders: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)  # what was issued: order → ask
    made: dict[str, Certificate] = field(default_factory=dict)  # by fingerprint

    def advance(self, ask: Ask, order: str, *, presented: bool, now: datetime, keep: Callable[[str], None]) -> Outcome:
        return self.calls.call("ca:advance", lambda: self._advance(ask, order, keep))  # type: ignore[no-any-return]

    def _advance(self, ask: Ask, order: str, keep: Callable[[str], None]) -> Outcome:
        if self.mode in CA_MODES:
            raise CA_MODES[self.mode]()
        if not order:
            keep(f"order-{len(self.orders) + 1}-{ask.id[:8]}")
            return Later(5, "the CA")
        if self.mode == SILENT:
            return Later(600, "the CA")
        if order not in self.orders:
            self.orders[order] = self._issued(ask)
            self.asks[order] = ask.id
        if self.mode == LOSES:
            raise Unavailable("the CA's reply was lost")
        return Issued(chain=self.orders[order])

    def _issued(self, ask: Ask) -> tuple[bytes, ...]:
        _, above = _cas()
        begin = self.clock.now - BACKDATED
        leaf = build(
            ask.names[0],
            names=ask.names,
            key=_Public(x509.load_der_x509_csr(ask.csr).public_key()),
            not_before=begin,
            not_after=self.clock.now + timedelta(days=self.days) - timedelta(seconds=1),
            serial=1_000_000 + len(self.orders),
            issuer=above,
        )
        self.made[leaf.fingerprint] = leaf.certificate
        return leaf.der, above.der

    def renewal_window(self, certificate: Certificate) -> RenewalWindow | None:
        return self.calls.call("ca:renewalInfo", self._window)  # type: ignore[no-any-return]

    def _window(self) -> RenewalWindow | None:
        if self.mode in CA_MODES:
            raise CA_MODES[self.mode]()
        return self.window


# --- the places ---

PLACE_MODES: Mapping[str, tuple[frozenset[str], Callable[[], PerennialError]]] = {  # methods that fail, and how
    "denied": (frozenset({"activate"}), lambda: AccessDenied("elasticloadbalancing:ModifyListener is denied")),
    "unavailable": (frozenset({"look", "activate", "restore"}), lambda: Unavailable("the place does not answer")),
    "gone": (frozenset({"look", "activate", "restore"}), lambda: NotFound("the listener is gone")),
}
DEAF = "deaf"  # the change is taken, and handshakes go on to show what was there


@dataclass
class LivingPlace(Place):
    """A place that fails for as long as its `mode` says. `held` is whose key it has; `foreign` what was there first."""

    mode: str = ""
    foreign: str = ""

    def fail(self, method: str) -> None:
        methods, error = PLACE_MODES.get(self.mode, (frozenset(), lambda: NotFound("")))
        if method in methods:
            raise error()

    def put(self, fingerprint: str) -> None:
        self.told = fingerprint
        if self.mode != DEAF:
            self.serves = fingerprint

    def cured(self) -> None:
        """It works again, and serves what it was told last."""
        self.mode, self.serves = "", self.told


class _Target(Scripted):
    """Takes nothing whose key is not the certificate's."""

    def activate(self, found: Found, new: Bundle, placed: str, keep: Callable[[str], None]) -> Any:
        _fits(new)
        return super().activate(found, new, placed, keep)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Any:
        place = self.place
        assert isinstance(place, LivingPlace)
        if found.fingerprint != place.foreign:
            assert earlier is not None, "a managed version is brought back without its material"
            _fits(earlier)
        return super().restore(found, new, placed, earlier)


def _fits(bundle: Bundle) -> None:
    held = public_sha256(from_pem(bundle.private_key).public_key())
    assert held == bundle.certificate.public_key_sha256, f"{bundle.reference} came with another key"


class LivingKind(ScriptedKind):
    RETIRES: tuple[str, ...] = ()

    def target(self, settings: TargetSettings, reach: Any) -> Scripted:
        return _Target(self.places[settings.name])


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
    _found: dict[str, str] = field(default_factory=dict)  # what a place served as it was declared, after it was not
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
            self._found.update({name: self.places[name].serves for name in new})
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
        for record in self.records():
            self._one_at_a_time(record)
            self._goes_on(record)
            self._serves(record)
            self._keys_belong(record)
        assert "PRIVATE KEY" not in repr(self.table.copy())

    def _one_at_a_time(self, record: ManagedRecord) -> None:
        under_way = [each.reference for each in self.versions(record.name) if not each.state.ended]
        rolling = [each.reference for each in self.rollouts(record.name) if not each.state.ended]
        assert len(under_way) <= 1, f"versions under way at once: {under_way}"
        assert len(rolling) <= 1, f"rollouts under way at once: {rolling}"
        owning = [
            each
            for each in self.running()
            if each.machine == "Renewal" and json.loads(each.input) == {"managed": record.name, "fence": record.fence}
        ]
        assert len(owning) <= 1, f"executions with the same lease: {owning}"
        asks = list(self.authority.asks.values())
        assert len(asks) == len(set(asks)), "a version was paid for twice"

    def _goes_on(self, record: ManagedRecord) -> None:
        """There is a next step, and a time of it."""
        if record.state is ManagedState.RETIRED:
            return
        assert record.due_at is not None, f"{record.name} is {record.state} and never due"
        undecided = record.state in (ManagedState.REQUESTED, ManagedState.REMOVING)  # as `apply` leaves it
        assert record.step or undecided, f"{record.name} has no step"
        known = lifecycle_step.noted(lifecycle_step.gather(self.deployment(), record, self.now), self.now)
        decision = lifecycle.decide(known, self.now)
        assert decision.at is not None or decision.state is ManagedState.RETIRED, f"{record.name}: no time: {decision}"
        latest = self.now + PAUSE_MOST
        if record.serving:
            latest = max(latest, renewal.late_at(record.serving))
        assert record.due_at <= latest, f"{record.name} sleeps until {record.due_at}"

    def _serves(self, record: ManagedRecord) -> None:
        """What was given to a place is served there with a key that is kept, until it is replaced; and it is valid,
        where everything worked for a while before it would have expired. A place that was no target for a while may
        serve what was retired meanwhile, until it gets what serves."""
        by_fingerprint = {each.fingerprint: each for each in self.versions(record.name) if each.fingerprint}
        for settings in record.declared.targets:
            place = self.places[settings.name]
            assert place.serves, f"{place.name} serves nothing"
            version = by_fingerprint.get(place.serves)
            if version is None:
                assert place.serves == place.foreign, f"{place.name} serves what nobody knows"
                continue
            retired = record.serving is None and version.state is VersionState.RETIRED  # removed, and declared again
            back = self._found.get(place.name) == place.serves
            if not record.removed_at and not retired and not back:
                held = self.secrets.secrets.get(PREFIX + record.name, {}).get(version.secret_version)
                assert held is not None, f"the key of {version.reference} is deleted, and {place.name} serves it"
                assert held.labels, f"the key of {version.reference} has no label, and {place.name} serves it"
                assert version.state is VersionState.ISSUED, f"{place.name} serves {version.reference}: {version.state}"
                self._valid(record, place, self.authority.made[place.serves])

    def _valid(self, record: ManagedRecord, place: LivingPlace, served: Certificate) -> None:
        assert served.not_before is not None
        assert served.not_after is not None
        if self.good_since is None or served.not_after >= self.now:
            return
        enough = max((served.not_after - served.not_before) / 10, timedelta(hours=6))
        assert served.not_after - self.good_since < enough, (
            f"{place.name} serves what expired at {served.not_after}, and all works since {self.good_since}: {record}"
        )

    def _keys_belong(self, record: ManagedRecord) -> None:
        """Every key that is kept belongs to a version that is not retired, or is to be retired again: what was removed
        and is declared again gets its secret back as it was."""
        owners = {owned: each for each in self.versions(record.name) for owned in secret_versions(each)}
        for name in self.secrets.labelled(PREFIX + record.name):
            assert name in owners, f"the secret version {name} belongs to no version"
            owner = owners[name]
            again = owner.number in dict(record.retiring)
            assert owner.state is not VersionState.RETIRED or again, (
                f"{owner.reference} is retired, and its key is kept"
            )

    # --- where everything leads ---

    def comes_to_rest(self, within: timedelta = timedelta(days=4)) -> None:
        """When everything works again, each certificate that is declared serves what is declared, with no more keys
        than it needs; what was removed is retired."""
        self.mend()
        self.good_since = None
        self.live(within, until=self.rests)
        for name, declared in self.declarations.items():
            self._rests(name, declared)
        self._retires(within)
        self.judge()

    def rests(self) -> bool:
        """Whether all serve what is declared, and nothing waits to be retired."""
        return all(self._at_rest(self.record(name), declared) for name, declared in self.declarations.items())

    def _at_rest(self, record: ManagedRecord, declared: ManagedCertificate) -> bool:
        serving = record.serving
        return (
            record.state is ManagedState.SERVING
            and record.declared == declared
            and serving is not None
            and serving.request is not None
            and renewal.same(declared.request, serving.request)
            and not record.retiring
            and all(self.places[each.name].serves == serving.fingerprint for each in declared.targets)
        )

    def _rests(self, name: str, declared: ManagedCertificate) -> None:
        record = self.record(name)
        assert self._at_rest(record, declared), f"it does not come to rest: {record}\n{self.versions(name)[:1]}"
        assert record.serving is not None
        version = self.inventory.version(f"{name}/{record.serving.number}")
        kept = set(self.secrets.labelled(PREFIX + name))
        assert version.secret_version in kept
        assert kept <= set(secret_versions(version)), "a key is kept that nothing serves"
        assert self.authority.made[record.serving.fingerprint].not_after > self.now  # type: ignore[operator]

    def _retires(self, within: timedelta) -> None:
        removed = [each.name for each in self.records() if each.name not in self.declarations]
        self.live(within, until=lambda: all(self.record(each).state is ManagedState.RETIRED for each in removed))
        for name in removed:
            assert self.record(name).state is ManagedState.RETIRED, self.record(name)
            assert not self.secrets.labelled(PREFIX + name), f"{name} is retired, and has a key"
            assert all(each.state is VersionState.RETIRED for each in self.versions(name))


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


def secret_versions(version: VersionRecord) -> tuple[str, str]:
    """The ids of the pending and the final secret version of a version."""
    pending, final = (
        hashlib.sha256(f"perennial {stage} {version.ask}".encode()).hexdigest() for stage in ("pending", "final")
    )
    return pending, final


def _minute(moment: datetime) -> datetime:
    """The first whole minute from a moment on."""
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + MINUTE


@cache
def _settings(days: int, issuer: str = "", more: str = "") -> Any:
    root, _ = _cas()
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
    _, above = _cas()
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
