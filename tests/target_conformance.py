"""What every kind of target must keep to, whatever happens to its calls to AWS.

    class Stand:                            # one place on an AWS that is as strict as the real one: see `Stand`
        ...

    class TestMine(TargetConformance):
        @pytest.fixture
        def stand(self): return MyStand()   # a fresh one each time it is called

A stand says what is true at the place, whatever the target believes. The tests interrupt each call before and after it
took effect, refuse it in every way, run steps twice, and let someone else change the place in between.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

from bundles import bundle
from perennial import keys
from perennial.errors import AccessDenied, ChangedMeanwhile, NotFound, PerennialError
from perennial.targets import kind
from perennial.targets.interface import Bundle, Found, Reach, Target, TargetSettings

READS = re.compile(r"(Describe|Get|List|Search|Head|BatchGet|Lookup)")
ROUNDS = 40  # of a step that asks to be called later


@dataclass(frozen=True)
class Served:
    """What a place serves: leaf and chain by fingerprint, and the key by its public half ("" where no key is there)."""

    leaf: str
    key: str
    chain: tuple[str, ...]


def whole(version: Bundle, *, key: bool = True) -> Served:
    """What a place serves that has a version, all of it its own."""
    return Served(
        leaf=version.fingerprint,
        key=public(version.private_key) if key else "",
        chain=tuple(each.fingerprint or "" for each in version.chain),
    )


def public(private_pem: str) -> str:
    """SHA-256 of the public half of a private key."""
    return keys.public_sha256(keys.from_pem(private_pem).public_key())


class Stand(ABC):
    """One target on a strict AWS of its own, which serves `earlier` at first.

    `gets_key` is False for places that get certificate and chain alone. `keeps_chain` is False where AWS does not tell
    the chain: then `served` leaves it out on both sides.
    """

    kind: ClassVar[str]
    gets_key: ClassVar[bool] = True
    keeps_chain: ClassVar[bool] = True
    imports: ClassVar[int] = 1  # copies of the new version that may be left anywhere after any interruption
    way_back: ClassVar[bool] = False  # restoring needs the earlier version's material

    def __init__(self) -> None:
        self.earlier = bundle(1)
        self.new = bundle(2)

    @property
    @abstractmethod
    def settings(self) -> TargetSettings:
        """The target as it is declared."""

    @property
    @abstractmethod
    def reach(self) -> Reach:
        """Clients of this stand's AWS."""

    @abstractmethod
    def served(self) -> Served | None:
        """What the place serves now, read from the backend and not through the target; None for nothing."""

    @abstractmethod
    def interfere(self) -> None:
        """Someone else puts another certificate at this very place."""

    @abstractmethod
    def interfered(self) -> bool:
        """Whether what `interfere` did is still there."""

    @abstractmethod
    def remove(self) -> None:
        """The place is deleted."""

    def copies(self) -> int:
        """How many copies of the new version are anywhere in this AWS."""
        return 1

    def pass_time(self, seconds: float) -> None:  # noqa: B027 - most places take no time
        """Let time pass for the backend, where it takes time."""

    # --- for the tests below ---

    def target(self) -> Target:
        """The target as a new process makes it."""
        return kind(self.kind).target(self.settings, self.reach)

    def expected(self, version: Bundle) -> Served:
        found = whole(version, key=self.gets_key)
        return found if self.keeps_chain else Served(found.leaf, found.key, ())

    def is_whole(self) -> bool:
        """The old one or the new one, each with its own key and chain; never a mixture, never nothing."""
        return self.served() in (self.expected(self.earlier), self.expected(self.new))


@dataclass
class Calls:
    """The calls to AWS, and what happens at one of them: the one of that number, or the one at which `now` says so."""

    at: int = 0  # 0: at none
    now: Callable[[], bool] | None = None
    act: Callable[[str, Callable[[], Any]], Any] = lambda name, send: send()
    names: list[str] = field(default_factory=list)
    after: Callable[[], None] = lambda: None

    def writes(self) -> list[str]:
        return [each for each in self.names if not READS.match(each)]

    def call(self, name: str, send: Callable[[], Any]) -> Any:
        self.names.append(name)
        try:
            happens = self.now() if self.now else len(self.names) == self.at
            return self.act(name, send) if happens else send()
        finally:
            self.after()


@contextmanager
def watched(calls: Calls) -> Iterator[Calls]:
    """Every call of a boto3 client goes through `calls`."""
    real = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        return calls.call(operation, lambda: real(client, operation, request))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", call)
        yield calls


class Killed(BaseException):
    """The process is gone: nothing of it catches this."""


def killed_before(name: str, send: Callable[[], Any]) -> Any:
    raise Killed


def killed_after(name: str, send: Callable[[], Any]) -> Any:
    send()
    raise Killed


def reply_lost(name: str, send: Callable[[], Any]) -> Any:
    send()
    raise ReadTimeoutError(endpoint_url="https://aws.example")


def refused(code: str, status: int) -> Callable[[str, Callable[[], Any]], Any]:
    def act(name: str, send: Callable[[], Any]) -> Any:
        answer: Any = {"Error": {"Code": code, "Message": "scripted"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, name)

    return act


FAULTS = {
    "throttled": refused("ThrottlingException", 400),
    "denied": refused("AccessDeniedException", 403),
    "fault of the service": refused("InternalFailure", 500),
    "refused": refused("ValidationException", 400),
    "reply lost": reply_lost,
}
KILLS = {"killed before": killed_before, "killed after": killed_after}


@dataclass
class Run:
    """A target's steps as a rollout makes them: what was found and placed is kept, everything else forgotten."""

    stand: Stand
    found: Found = field(init=False)
    placed: str = ""

    def look(self) -> Found:
        self.found = self.stand.target().look()
        return self.found

    def look_once(self) -> None:
        """As a step does that finds nothing kept: look again."""
        if not hasattr(self, "found"):
            self.look()

    def activate(self) -> None:
        self._until(lambda target: target.activate(self.found, self.stand.new, self.placed, self._keep))

    def restore(self) -> None:
        self._until(lambda target: target.restore(self.found, self.stand.new, self.placed, self.stand.earlier))

    def _keep(self, placed: str) -> None:
        self.placed = placed

    def _until(self, step: Callable[[Target], Any]) -> None:
        for _ in range(ROUNDS):
            later = step(self.stand.target())
            if later is None:
                return
            assert later.seconds > 0
            assert later.doing
            self.stand.pass_time(later.seconds)
        raise AssertionError("it asks to be called later for ever")


class TargetConformance:
    """Subclass it in the kind's test, with a fixture `stand` that returns a function which makes a fresh stand."""

    def test_it_serves_the_new_version(self, stand: Callable[[], Stand]) -> None:
        """Look, activate: the place serves the new version with its own key and chain, and `look` tells of it."""
        place = stand()
        run = Run(place)
        assert run.look().fingerprint == place.earlier.fingerprint
        assert place.target().refusals(run.found, place.new, place.earlier) == []
        assert place.served() == place.expected(place.earlier)
        run.activate()
        assert place.served() == place.expected(place.new)
        assert place.target().look().fingerprint == place.new.fingerprint
        assert place.copies() == 1

    def test_looking_changes_nothing(self, stand: Callable[[], Stand]) -> None:
        """Neither look nor refusals makes a call that writes; what they found is the same twice, and holds no key."""
        place = stand()
        with watched(Calls()) as calls:
            run = Run(place)
            run.look()
            place.target().refusals(run.found, place.new, place.earlier)
        assert calls.writes() == []
        assert place.target().look() == run.found
        assert "PRIVATE" not in repr(run.found)

    def test_again_nothing_changes(self, stand: Callable[[], Stand]) -> None:
        """A repetition of activate, and of restore, makes no call that writes."""
        place = stand()
        run = Run(place)
        run.look()
        run.activate()
        with watched(Calls()) as calls:
            run.activate()
        assert calls.writes() == []
        run.restore()
        with watched(Calls()) as calls:
            run.restore()
        assert calls.writes() == []

    def test_it_comes_back(self, stand: Callable[[], Stand]) -> None:
        """Restore: the place serves what was found, with its own key and chain."""
        place = stand()
        run = Run(place)
        run.look()
        run.activate()
        run.restore()
        assert place.served() == place.expected(place.earlier)
        assert place.target().look().fingerprint == place.earlier.fingerprint

    def test_restoring_what_was_never_changed(self, stand: Callable[[], Stand]) -> None:
        """Restore after no activation changes nothing."""
        place = stand()
        run = Run(place)
        run.look()
        with watched(Calls()) as calls:
            run.restore()
        assert calls.writes() == []
        assert place.served() == place.expected(place.earlier)

    def test_changed_by_someone_else(self, stand: Callable[[], Stand]) -> None:
        """A change between look and activate is detected, and stays."""
        place = stand()
        run = Run(place)
        run.look()
        place.interfere()
        with pytest.raises(ChangedMeanwhile):
            run.activate()
        assert place.interfered()

    def test_changed_by_someone_else_after_activation(self, stand: Callable[[], Stand]) -> None:
        """A change after activation is not undone by restoring."""
        place = stand()
        run = Run(place)
        run.look()
        run.activate()
        place.interfere()
        with pytest.raises(ChangedMeanwhile):
            run.restore()
        assert place.interfered()

    def test_gone(self, stand: Callable[[], Stand]) -> None:
        """A place that is not there is NotFound, in words."""
        place = stand()
        run = Run(place)
        run.look()
        place.remove()
        with pytest.raises(NotFound, match=r"\w+"):
            run.look()
        with pytest.raises((NotFound, ChangedMeanwhile)):
            run.activate()

    def test_no_permission(self, stand: Callable[[], Stand]) -> None:
        """The first call that is denied is AccessDenied and names the action."""
        place = stand()
        with watched(Calls(at=1, act=FAULTS["denied"])) as calls, pytest.raises(AccessDenied) as denied:
            Run(place).look()
        assert calls.names[0] in str(denied.value)

    @pytest.mark.slow
    @pytest.mark.parametrize("what", sorted(FAULTS))
    def test_each_call_refused(self, stand: Callable[[], Stand], what: str) -> None:
        """Whatever AWS answers to any call: an error of ours, a whole place, and a repetition goes on from there."""
        number, happened = 0, True
        while happened:
            number += 1
            place = stand()
            run = Run(place)
            happened = _meanwhile(place, run, number, FAULTS[what])
            if happened:
                run.look_once()
                run.activate()
                assert place.served() == place.expected(place.new), number
                assert place.copies() <= place.imports, number
        assert number > 2

    @pytest.mark.slow
    @pytest.mark.parametrize("what", sorted(KILLS))
    def test_killed_at_each_call(self, stand: Callable[[], Stand], what: str) -> None:
        """Killed before or after any call of look and activate, and resumed: the new version is there, once; at every
        moment the place serves the old one or the new one, each whole."""
        number, happened = 0, True
        while happened:
            number += 1
            place = stand()
            run = Run(place)
            happened = _meanwhile(place, run, number, KILLS[what])
            if happened:
                run.look_once()
                run.activate()
                assert place.served() == place.expected(place.new), number
                assert place.copies() <= place.imports, number
        assert number > 2

    @pytest.mark.slow
    @pytest.mark.parametrize("what", [*sorted(FAULTS), *sorted(KILLS)])
    def test_restoring_interrupted_at_each_call(self, stand: Callable[[], Stand], what: str) -> None:
        """The same for the way back, also from the midst of an activation."""
        act = {**FAULTS, **KILLS}[what]
        number, happened = 0, True
        while happened:
            number += 1
            place = stand()
            run = Run(place)
            run.look()
            run.activate()
            calls = Calls(at=number, act=act, after=lambda place=place: _assert_whole(place))
            with watched(calls):
                _interrupted(run.restore)
            happened = len(calls.names) >= number
            run.restore()
            assert place.served() == place.expected(place.earlier), number

    @pytest.mark.slow
    @pytest.mark.parametrize("what", sorted(KILLS))
    def test_restoring_a_half_made_activation(self, stand: Callable[[], Stand], what: str) -> None:
        """Killed at any call of activate, then restored: what was found serves."""
        number, happened = 0, True
        while happened:
            number += 1
            place = stand()
            run = Run(place)
            run.look()
            calls = Calls(at=number, act=KILLS[what])
            with watched(calls):
                _interrupted(run.activate)
            happened = len(calls.names) >= number
            run.restore()
            assert place.served() == place.expected(place.earlier), number

    def test_two_at_once(self, stand: Callable[[], Stand]) -> None:
        """Another call does all of it while this one imports: both end, the new version serves, and it comes back."""
        place = stand()
        run, begun = Run(place), []
        run.look()

        class Rival(Calls):
            def call(self, name: str, send: Callable[[], Any]) -> Any:
                if name == "ImportCertificate" and not begun:
                    begun.append(name)
                    run.activate()
                return send()

        with watched(Rival()):
            run.activate()
        assert place.served() == place.expected(place.new)
        run.restore()
        assert place.served() == place.expected(place.earlier)

    def test_it_declares_what_it_uses(self, stand: Callable[[], Stand]) -> None:
        """The kind declares actions for looking and for changing, and every field that the settings have."""
        place = stand()
        declared = kind(place.kind)
        assert declared.TITLE
        assert declared.LOOKS
        assert declared.CHANGES
        assert set(place.settings.fields) == {each.name for each in declared.FIELDS}
        assert declared.DEADLINE > 0


def _assert_whole(place: Stand) -> None:
    assert place.is_whole(), place.served()


def _interrupted(step: Callable[[], object]) -> None:
    try:
        step()
    except (Killed, PerennialError):
        return


def _meanwhile(place: Stand, run: Run, number: int, act: Callable[[str, Callable[[], Any]], Any]) -> bool:
    """Look and activate with something happening at one call; whether that call was reached."""
    calls = Calls(at=number, act=act, after=lambda: _assert_whole(place))
    with watched(calls):
        _interrupted(lambda: (run.look(), run.activate()))
    return len(calls.names) >= number
