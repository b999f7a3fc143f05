"""Rollouts as a whole, in memory: moto's AWS, places that tests script, and the workflow's interpreter.

with rolling_hub("canary", "rest") as hub:
    record = hub.request(version=2)
    assert hub.run(record.reference) == "deployed"
    hub.places["canary"].serves
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms.utils import ECDSAPrivateKey

from bundles import authorities, bundle
from estate import Clock, Estate
from layers.perennial.conftest import in_memory_hub
from perennial import prover, rollout, rollout_check, rollout_failure, rollout_request, targets
from perennial.bundle import key_store
from perennial.certificate_request import CertificateRequest
from perennial.deployment import Deployment
from perennial.errors import RETRYABLE, ChangedMeanwhile, PerennialError
from perennial.inventory.records import RolloutRecord, TargetRecord, VersionRecord, VersionState
from perennial.proof import Observation
from perennial.rollout import Step
from perennial.target_settings import Declared
from perennial.targets.interface import Bundle, Found, Later, Reach, TargetSettings

CONFIGURATION = """
[issuers.ca]
kind = "acme"
directory = "https://ca.example/directory"
roots = {roots}

[profiles.web]
issuer = "ca"
names = [".example.com"]

[targets]
kinds = {kinds}
accounts = ["222222222222"]
"""
MANAGED = "shop"
ASKED_BY = "arn:aws:iam::123456789012:user/anna"
RETRIES = 6  # that the state machine makes
ROUNDS = 60  # of the tick, until a rollout must have ended
STEPS = 2_000  # of one execution
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@dataclass
class Place:
    """A scripted place. `serves` is what handshakes there show; `log` what was done to it, in order.

    `slow`: calls of activate or restore that are answered with Later first. `deaf`: the change is taken, but handshakes
    go on to show what was there. `fails`: by the name of a method, errors that it raises, one at each call.
    """

    name: str
    told: str = ""  # what AWS tells is there: a fingerprint
    serves: str = ""
    slow: int = 0
    deaf: bool = False
    refuses: list[str] = field(default_factory=list)
    fails: dict[str, list[Exception]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    answers: bool = True  # handshakes are answered at all

    def put(self, fingerprint: str) -> None:
        self.told = fingerprint
        if not self.deaf:
            self.serves = fingerprint

    def fail(self, method: str) -> None:
        if self.fails.get(method):
            raise self.fails[method].pop(0)


@dataclass
class Scripted:
    """The target of a scripted place."""

    place: Place

    @property
    def shares(self) -> str:
        return ""

    def look(self) -> Found:
        self.place.fail("look")
        return Found(state=self.place.told, fingerprint=self.place.told, host=f"{self.place.name}.example", port=443)

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        self.place.fail("refusals")
        return self.place.refuses

    def activate(self, found: Found, new: Bundle, placed: str, keep: Callable[[str], None]) -> Later | None:
        return self._put("activate", found.state, new.fingerprint)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        return self._put("restore", new.fingerprint, found.state)

    def _put(self, method: str, before: str, after: str) -> Later | None:
        self.place.fail(method)
        if self.place.told == after:
            return None
        if self.place.told != before:
            raise ChangedMeanwhile(f"{self.place.name} has something else")
        if self.place.slow:
            self.place.slow -= 1
            return Later(20, "the place")
        self.place.log.append(f"{method} {after[:8]}")
        self.place.put(after)
        return None


class ScriptedKind:
    """The kind `scripted`, whose targets are found by their name."""

    TITLE, FIELDS, KEYS, LOOKS, CHANGES = "a scripted place", (), ("EC-256",), ("a:Look",), ("a:Change",)
    RETIRES: tuple[str, ...] = ()
    MAX_CHAIN, DEADLINE, HANDSHAKES = 5, 300, True

    def __init__(self, places: dict[str, Place]) -> None:
        self.places = places

    def target(self, settings: TargetSettings, reach: Reach) -> Scripted:
        return Scripted(self.places[settings.name])


@dataclass
class RollingHub:
    """An in-memory hub that deploys. `steps` are the functions that were called, in order."""

    estate: Estate
    places: dict[str, Place]
    versions: dict[int, Bundle]
    steps: list[str] = field(default_factory=list)
    around: Callable[[str, Callable[[], Step]], Step] = lambda name, step: step()

    @property
    def deployment(self) -> Deployment:
        return self.estate.deployment

    @property
    def now(self) -> datetime:
        return self.estate.clock.now

    # --- versions ---

    def issue(self, number: int, **more: Any) -> Bundle:
        """Keep a version as issued, its key in Secrets Manager."""
        new = bundle(number, **more)
        chain = (new.certificate.der, *(each.der for each in new.chain))
        stored = key_store(self.deployment).complete(MANAGED, f"{number:032x}", chain, key_pem=new.private_key)
        self.deployment.inventory.save_version(
            VersionRecord(
                managed=MANAGED,
                number=number,
                request=CertificateRequest(names=new.names, profile="web", owner="shop"),
                state=VersionState.ISSUED,
                ask=f"{number:032x}",
                issuer="ca",
                requested_at=NOW,
                key=new.key,
                chain=chain,
                secret=stored.arn,
                secret_version=stored.version,
                fingerprint=new.fingerprint,
                issued_at=NOW,
            ),
            None,
        )
        self.versions[number] = new
        return new

    def current(self) -> str:
        """The certificate of AWSCURRENT in the managed certificate's secret."""
        client = self.deployment.clients("secretsmanager")
        held = json.loads(
            client.get_secret_value(SecretId="perennial/certificates/shop", VersionStage="AWSCURRENT")["SecretString"]
        )
        return str(held.get("certificate", ""))

    # --- rollouts ---

    def declared(self, deadline: int = 300, **more: Any) -> Declared:
        """All places in their order, each with seconds for its proof."""
        settings = [
            TargetSettings(kind="scripted", name=each, managed=MANAGED, deadline=deadline) for each in self.places
        ]
        return Declared(targets=tuple(settings), **more)

    def request(self, version: int = 0, **more: Any) -> RolloutRecord:
        """Ask for a rollout to all places."""
        return rollout_request.request(
            self.deployment, MANAGED, self.declared(**more), ASKED_BY, self.now, version, source="cli"
        )

    def rollout(self, reference: str) -> RolloutRecord:
        return self.deployment.inventory.rollout(reference)

    def targets(self, reference: str) -> dict[str, TargetRecord]:
        found = self.deployment.inventory.targets(self.rollout(reference))
        return {each.settings.name: each for each in found}

    # --- the workflow, as infra/rollout.py defines it ---

    def run(self, reference: str) -> str:
        """One execution; returns how it ended: a state of the rollout, postponed, or died where Give up or Finish
        failed."""
        try:
            return self._run(reference)
        except PerennialError:
            return "died"

    def _run(self, reference: str) -> str:
        step = Step(next="preflight")
        for _ in range(STEPS):
            name = step.next
            if name == "wait":
                self.estate.clock.now += timedelta(seconds=step.seconds)
                name = step.then
            if name == "postponed":
                return name
            if name not in ("preflight", "activate", "prove", "restore"):
                return self._call("finish", lambda: rollout.finish(self.deployment, reference, self.now)).next
            step = self._try(name, reference)
        raise AssertionError(f"the workflow goes on for ever: {self.steps[-10:]}")

    def _try(self, name: str, reference: str) -> Step:
        """A step with its Catch."""
        act = rollout_check.preflight if name == "preflight" else getattr(rollout, name)
        try:
            return self._call(name, lambda: act(self.deployment, reference, self.now))
        except PerennialError as error:
            kind, cause = type(error).__name__, json.dumps({"errorMessage": str(error), "errorType": "x"})
        except ZeroDivisionError as error:  # a crash that a test plants
            kind, cause = type(error).__name__, json.dumps({"errorMessage": str(error), "errorType": "x"})
        give_up = rollout_failure.give_up
        return self._call("give_up", lambda: give_up(self.deployment, reference, kind, cause, self.now))

    def _call(self, name: str, step: Callable[[], Step]) -> Step:
        """A step with its Retry."""
        for number in range(RETRIES + 1):
            self.steps.append(name)
            self.forget()
            try:
                return self.around(name, step)
            except RETRYABLE:
                if number == RETRIES:
                    raise
                self.estate.clock.now += timedelta(seconds=2**number)
        raise AssertionError

    def forget(self) -> None:
        """A new process: only what is stored remains."""
        for name in ("inventory", "settings", "issuers", "_assumed"):
            self.deployment.__dict__.pop(name, None)

    def settle(self, reference: str) -> RolloutRecord:
        """What the tick does: run whatever is due when it is due, until nothing is."""
        for _ in range(ROUNDS):
            due = self.rollout(reference).due_at
            if due is None:
                return self.rollout(reference)
            self.estate.clock.now = max(self.now, due)
            self.run(reference)
        raise AssertionError(f"{reference} has not ended: {self.rollout(reference)}")

    def table(self) -> str:
        """Everything in the table, as text."""
        name = self.deployment.environment["PERENNIAL_TABLE"]
        return repr(self.deployment.clients("dynamodb").scan(TableName=name)["Items"])


@contextmanager
def rolling_hub(*names: str, earlier: bool = True) -> Iterator[RollingHub]:
    """A hub with two issued versions, and scripted places that serve the first of them."""
    places = {each: Place(each) for each in names or ("edge",)}
    root, _ = authorities()
    text = CONFIGURATION.format(roots=json.dumps(root.pem), kinds=json.dumps(["scripted"]))
    kind = ScriptedKind(places)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(targets, "names", lambda: ("scripted",))
        patched.setattr(targets, "kind", lambda name: kind)
        with in_memory_hub(text.encode()) as estate:
            estate.clock = Clock(NOW)
            key = estate.deployment.clients("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")[
                "KeyMetadata"
            ]["Arn"]
            environment = {
                **estate.deployment.environment,
                "PERENNIAL_KEY_ID": "alias/aws/secretsmanager",
                "PERENNIAL_PROOF_KEY_ID": key,
            }
            deployment = Deployment(environment, estate.clock)
            deployment.__dict__.update(clients=estate.deployment.clients, account="123456789012")
            estate.deployment = deployment
            hub = RollingHub(estate, places, {})
            for number in (1, 2):
                hub.issue(number)
            for place in places.values():
                if earlier:
                    place.put(hub.versions[1].fingerprint)
            patched.setattr(ECDSAPrivateKey, "sign", _signed_digest)
            patched.setattr(prover, "observe", lambda names, **where: _seen(hub, names, **where))
            yield hub


def _signed_digest(key: Any, message: bytes, signing_algorithm: str) -> bytes:
    """As KMS signs a message of the type DIGEST; moto takes every message for a whole one, and hashes it again."""
    assert signing_algorithm == "ECDSA_SHA_256"
    signature: bytes = key.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))
    return signature


def _seen(
    hub: RollingHub, names: tuple[str, ...], *, host: str, port: int, endpoints: tuple[str, ...]
) -> prover.Observed:
    """What handshakes at a scripted place show."""
    place = hub.places[host.partition(".")[0]]
    served = next((each for each in hub.versions.values() if each.fingerprint == place.serves), None)
    if not place.answers or served is None:
        silent = Observation(address=host, port=port, problem="no connection: Connection refused")
        return prover.Observed(observations=(silent,))
    chain = (served.fingerprint, *(each.fingerprint or "" for each in served.chain))
    serial = served.certificate.serial or ""
    seen = [
        Observation(address="192.0.2.1", port=port, sni=name, protocol="TLSv1.3", serial=serial, chain=chain)
        for name in names
    ]
    return prover.Observed(observations=tuple(seen))


__all__ = ["Place", "RollingHub", "rolling_hub"]
