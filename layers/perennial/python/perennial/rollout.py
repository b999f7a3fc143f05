"""Rollouts: one version is put at every target of its managed certificate and proven there, or what was there before
comes back.

Each function is one step of the workflow, as in `issuance`: it reads what is stored, does what is next for one target,
and writes it with the revision that it read. First all targets are looked at, and nothing is changed unless all of them
pass; then one after the other, in their order, is changed and proven. Where one fails, it gets back what was there
before, and so do those that were changed earlier, unless the rollout says that they stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial import bundle, prover, targets
from perennial.certificate import Certificate
from perennial.clients import meant
from perennial.errors import NotProven
from perennial.inventory.records import RolloutRecord, RolloutState, TargetRecord, TargetState
from perennial.targets.interface import HANDSHAKE, Later, Reach

if TYPE_CHECKING:
    from perennial.audit_event import Event
    from perennial.deployment import Deployment
    from perennial.targets.interface import Bundle, Found, Target, TargetSettings

SILENCE = timedelta(minutes=30)  # after which a rollout that nothing moved is moved by the tick
SOONEST, LATEST = 2.0, 30.0  # seconds between two looks at what serves
LONGEST_WAIT = 900.0  # seconds; below SILENCE
MAX_TEXT = 2_000
NEXT_STEPS = {  # for a person, by the reason for which a rollout failed
    "access-denied": "give the role the permission that is named (mostly: deploy the stacks again)",
    "region-disabled": "enable the region in the account",
    "not-found": "make what is named exist, or take the target out of the list",
    "invalid-input": "correct what is named",
    "invalid-configuration": "correct the field of perennial.toml that is named, and deploy the stack",
    "refused": "do what the service asks for",
    "not-fit": "do what the sentences say",
    "changed-meanwhile": "find out who else changes this place, and leave it to one of you",
    "not-proven": "look at what answers there: DNS, firewall, who terminates TLS; or give the target endpoints",
    "invalid-reply": "look at what answers there; nothing of its reply was used",
    "wrong-certificate": "request a new version",
    "failed": "look at the functions' logs, as a step crashed every time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the workflow does next: preflight, activate, prove, restore, finish; wait `then` one of them; or an end."""

    next: str
    seconds: int = 0
    doing: str = ""
    then: str = ""

    def document(self) -> dict[str, Any]:
        """As the workflow carries it."""
        return {"next": self.next, "seconds": self.seconds, "doing": self.doing, "then": self.then}


# --- what the steps work with ---


def target_of(deployment: Deployment, settings: TargetSettings, *, look_only: bool) -> Target:
    """The way to a target: as the role of its account that may only look there, or as the one that may change it."""
    allowed = deployment.settings.targets
    account = settings.account or deployment.account
    role = f"{allowed.role_name}Look" if look_only else allowed.role_name
    clients = deployment.clients_of(account, role)
    region = settings.region or deployment.clients.region or ""
    if clients.region != region:
        clients = clients.at(region)
    clients = clients.beside(once=not look_only)  # what proves one target runs beside what changes the next
    return targets.target(settings, Reach(account=account, region=region, clients=clients, deployment=deployment))


class Placed:
    """What was made on the way to a target: kept with the version for all that share it, else with this target."""

    def __init__(self, deployment: Deployment, head: RolloutRecord, record: TargetRecord, target: Target) -> None:
        self._inventory, self._managed = deployment.inventory, head.managed
        own = f"{head.number:06}/target/{record.index:04}"
        self._what = f"{head.version:06}/{target.shares}" if target.shares else own

    def get(self) -> str:
        return self._inventory.placed(self._managed, self._what)

    def keep(self, placed: str) -> None:
        self._inventory.keep_placed(self._managed, self._what, placed)


def head_in(deployment: Deployment, reference: str, *states: RolloutState) -> tuple[RolloutRecord, Step | None]:
    """The rollout, and what is next where it is not in the state that a step is for."""
    head = deployment.inventory.rollout(reference)
    if head.state in states:
        return head, None
    following = {
        RolloutState.CHECKING: "preflight",
        RolloutState.RUNNING: "activate",
        RolloutState.RETURNING: "restore",
    }
    return head, Step(next=following.get(head.state, "finish"), doing="going on")


def save(deployment: Deployment, head: RolloutRecord, now: datetime, event: Event | None = None) -> RolloutRecord:
    """Write the head, with the audit event of that; the tick looks at it after a silence."""
    return deployment.inventory.save_rollout(head, now + SILENCE, event)


# --- activate ---


@meant("rollout: activate")
def activate(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Let the target that is at work serve the version."""
    head, other = head_in(deployment, reference, RolloutState.RUNNING)
    if other:
        return other
    record = deployment.inventory.target(head, head.at)
    if record.state is TargetState.READY:
        record = deployment.inventory.save_target(replace(record, state=TargetState.ACTIVATING, began_at=now))
    if record.state is not TargetState.ACTIVATING or record.found is None:
        return Step(next="prove", doing=f"proving {record.settings.name}")
    new = bundle.of_rollout(deployment, head, with_key=True)
    target = target_of(deployment, record.settings, look_only=False)
    placed = Placed(deployment, head, record, target)
    later = target.activate(record.found, new, placed.get(), placed.keep)
    if later:
        _in_time(record, later.doing, now)
        return _alive(deployment, head, _wait(later, "activate"), now)
    deployment.inventory.save_target(replace(record, state=TargetState.ACTIVATED))
    return Step(next="prove", doing=f"proving {record.settings.name}")


def _in_time(record: TargetRecord, doing: str, now: datetime) -> None:
    """Raises: NotProven after the target's deadline."""
    deadline = timedelta(seconds=record.settings.deadline)
    if record.began_at and now - record.began_at > deadline:
        raise NotProven(f"{deadline.total_seconds():.0f} s have passed, and still: {doing[:MAX_TEXT]}")


def _wait(later: Later, then: str) -> Step:
    seconds = max(1, min(LONGEST_WAIT, round(later.seconds)))
    return Step(next="wait", seconds=int(seconds), doing=f"waiting for {later.doing}", then=then)


def _alive(deployment: Deployment, head: RolloutRecord, step: Step, now: datetime) -> Step:
    """Show the tick that this rollout is at work, where its due time comes near."""
    if head.due_at is None or head.due_at - now < SILENCE / 2:
        save(deployment, head, now)
    return step


# --- prove ---


@meant("rollout: prove")
def prove(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Ask what serves at the target that is at work; keep the signed proof when it is what it should be.

    Raises: NotProven after the target's deadline.
    """
    head, other = head_in(deployment, reference, RolloutState.RUNNING, RolloutState.RETURNING)
    if other:
        return other
    record = deployment.inventory.target(head, head.at)
    if record.state not in (TargetState.ACTIVATED, TargetState.RESTORED):
        return _onward(deployment, head, record, now)
    problem = _proven(deployment, head, record, now)
    if not problem:
        return _onward(deployment, head, deployment.inventory.target(head, head.at), now)
    _in_time(record, problem, now)
    waited = (now - record.began_at).total_seconds() if record.began_at else 0.0
    later = Later(min(LATEST, SOONEST + waited / 4), f"{record.settings.name} to serve it ({problem[:300]})")
    return _alive(deployment, head, _wait(later, "prove"), now)


def _onward(deployment: Deployment, head: RolloutRecord, record: TargetRecord, now: datetime) -> Step:
    """From the target that is at work to the next one, or to the end."""
    if head.state is RolloutState.RETURNING:
        return back(deployment, head, record, now)
    if record.state is not TargetState.PROVEN:
        return Step(next="activate", doing="going on")
    if head.at + 1 < head.count:
        save(deployment, replace(head, at=head.at + 1, attempts=0, reason="", message=""), now)
        return Step(next="activate", doing=f"{head.at + 1} of {head.count} targets proven")
    save(deployment, replace(head, state=RolloutState.DEPLOYED, reason="", message=""), now)
    return Step(next="finish", doing="proven at every target")


def _proven(deployment: Deployment, head: RolloutRecord, record: TargetRecord, now: datetime) -> str:
    """Why the target is not proven; "" when it is, and the proof is kept."""
    assert record.found is not None
    forward = record.state is TargetState.ACTIVATED
    new = bundle.of_rollout(deployment, head, with_key=False)
    expected = new.fingerprint if forward else record.found.fingerprint
    there = target_of(deployment, record.settings, look_only=True).look()
    if there.fingerprint != expected:
        return f"AWS tells of the certificate {there.fingerprint[:16] or 'none'} there"
    seen = observed(record.settings, there, new) if record.settings.proof == HANDSHAKE and expected else None
    chain = new.chain if forward else _chain_of(deployment, head, record.found)
    proof, problem = prover.prove(
        managed=head.managed,
        version=head.version,
        rollout=head.number,
        target=record.settings,
        purpose="deployed" if forward else "restored",
        expected=expected,
        chain=tuple(each.fingerprint or "" for each in chain),
        seen=seen,
        began_at=record.began_at or now,
        now=now,
        asked_by=head.asked_by,
        serial=(new.certificate.serial if forward else _serial_of(deployment, head, record.found)) or "",
    )
    if problem or proof is None:
        return problem or "no proof"
    signed = prover.signed(deployment.clients("kms"), deployment.named("PERENNIAL_PROOF_KEY_ID"), proof)
    deployment.inventory.keep_proof(signed)
    state = TargetState.PROVEN if forward else TargetState.RETURNED
    deployment.inventory.save_target(replace(record, state=state, proof=signed.id, proven_at=now))
    return ""


def observed(settings: TargetSettings, found: Found, new: Bundle) -> prover.Observed:
    """What handshakes show at a target now."""
    names = settings.names or new.names
    return prover.observe(names, host=found.host, port=found.port, endpoints=settings.endpoints)


def _serial_of(deployment: Deployment, head: RolloutRecord, found: Found) -> str | None:
    earlier = bundle.earlier(deployment, head.managed, found, with_key=False)
    return earlier.certificate.serial if earlier else None


def _chain_of(deployment: Deployment, head: RolloutRecord, found: Found) -> tuple[Certificate, ...]:
    earlier = bundle.earlier(deployment, head.managed, found, with_key=False)
    return earlier.chain if earlier else ()


# --- restore ---


@meant("rollout: restore")
def restore(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Bring back what was found at the target that is at work."""
    head, other = head_in(deployment, reference, RolloutState.RETURNING)
    if other:
        return other
    record = deployment.inventory.target(head, head.at)
    if record.state in (TargetState.ACTIVATING, TargetState.ACTIVATED, TargetState.PROVEN):
        record = deployment.inventory.save_target(replace(record, state=TargetState.RESTORING, began_at=now))
    if record.state is TargetState.RESTORED:
        return Step(next="prove", doing=f"proving {record.settings.name}")
    if record.state is not TargetState.RESTORING or record.found is None:
        return back(deployment, head, record, now)
    new = bundle.of_rollout(deployment, head, with_key=False)
    target = target_of(deployment, record.settings, look_only=False)
    placed = Placed(deployment, head, record, target)
    earlier = bundle.earlier(deployment, head.managed, record.found, with_key=True)
    later = target.restore(record.found, new, placed.get(), earlier)
    if later:
        _in_time(record, later.doing, now)
        return _alive(deployment, head, _wait(later, "restore"), now)
    deployment.inventory.save_target(replace(record, state=TargetState.RESTORED))
    return Step(next="prove", doing=f"proving that {record.settings.name} serves what it did before")


def back(deployment: Deployment, head: RolloutRecord, record: TargetRecord, now: datetime) -> Step:
    """From a target that is settled to the one before it, or to the end."""
    if record.state.changed:
        return Step(next="restore", doing=f"bringing back {record.settings.name}")
    if head.at > 0 and not head.stays:
        save(deployment, replace(head, at=head.at - 1, attempts=0), now)
        return Step(next="restore", doing="bringing back the target before")
    left = [each for each in deployment.inventory.targets(head) if each.state is TargetState.FAILED]
    state = RolloutState.FAILED if left else RolloutState.RETURNED
    told = " ".join(f"{each.settings.name} could not be brought back: {each.message}" for each in left)[:MAX_TEXT]
    message = f"{head.message} {told}".strip() if told else head.message
    save(deployment, replace(head, state=state, message=message), now)
    return Step(next="finish", doing="ended without success")


# --- finish ---


@meant("rollout: finish")
def finish(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Make a version that is proven everywhere the current one of its secret, and end."""
    head, other = head_in(
        deployment, reference, RolloutState.DEPLOYED, RolloutState.REFUSED, RolloutState.RETURNED, RolloutState.FAILED
    )
    if other:
        return other
    if head.state is RolloutState.DEPLOYED:
        record = deployment.inventory.version(f"{head.managed}/{head.version}")
        if record.secret_version:
            bundle.key_store(deployment).promote(record.managed, record.secret_version)
    if head.ended_at is None or head.due_at is not None:
        deployment.inventory.save_rollout(replace(head, ended_at=head.ended_at or now), None)
    return Step(next=str(head.state), doing=head.message)
