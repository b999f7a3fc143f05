"""The first steps of a rollout: every target is looked at and judged before anything is changed anywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from perennial import bundle, prover, targets
from perennial import preflight as judge
from perennial.certificate import Certificate
from perennial.clients import meant
from perennial.errors import AccessDenied, InvalidInput, NotFit, NotFound, ServiceRefused
from perennial.inventory.records import RolloutRecord, RolloutState, TargetRecord, TargetState
from perennial.rollout import MAX_TEXT, NEXT_STEPS, Step, head_in, observed, save, target_of
from perennial.targets.interface import HANDSHAKE

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.targets.interface import Bundle, Found, Target, TargetSettings

CHECKS = 5  # targets that are looked at in one step


@meant("rollout: preflight")
def preflight(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Look at some more targets: keep what is there, and judge whether the version fits. Changes nothing.

    When all were looked at: go on to the first, or refuse the rollout with every target's reasons.
    """
    head, other = head_in(deployment, reference, RolloutState.CHECKING)
    if other:
        return other
    new = bundle.of_rollout(deployment, head, with_key=True)
    end = min(head.count, head.at + CHECKS)
    for index in range(head.at, end):
        _check(deployment, head, deployment.inventory.target(head, index), new, now)
    if end < head.count:
        save(deployment, replace(head, at=end), now)
        return Step(next="preflight", doing=f"{end} of {head.count} targets looked at")
    return _checked(deployment, replace(head, at=0), now)


def _check(deployment: Deployment, head: RolloutRecord, record: TargetRecord, new: Bundle, now: datetime) -> None:
    target = target_of(deployment, record.settings, look_only=True)
    try:
        found = target.look()
        reasons, seen = _reasons(deployment, head, record.settings, target, found, new, now)
    except (NotFound, AccessDenied, ServiceRefused, NotFit, InvalidInput) as error:
        found, reasons, seen = None, [str(error)], ""
    state = TargetState.REFUSED if reasons else TargetState.READY
    message = " ".join(reasons)[:MAX_TEXT]
    deployment.inventory.save_target(
        replace(record, state=state, found=found, seen=seen, message=message, reason="not-fit" if reasons else "")
    )


def _reasons(
    deployment: Deployment,
    head: RolloutRecord,
    settings: TargetSettings,
    target: Target,
    found: Found,
    new: Bundle,
    now: datetime,
) -> tuple[list[str], str]:
    """Why a target cannot get the version, all at once; and what it shows before."""
    declared = targets.kind(settings.kind)
    earlier = bundle.earlier(deployment, head.managed, found, with_key=True)
    shaken = settings.proof == HANDSHAKE
    problems = judge.problems(
        new,
        names=settings.names or new.names,
        claimed=found.claimed,
        keys=declared.KEYS,
        max_chain=declared.MAX_CHAIN,
        protocols=found.protocols,
        roots=_roots(deployment, new),
        now=now,
        with_key=bool(declared.KEYS) and not new.arn,
        handshakes=shaken,
        place=settings.name,
    )
    unproven, seen = _before(settings, found, new) if shaken else ([], "")
    return [*problems, *target.refusals(found, new, earlier), *unproven], seen


def _before(settings: TargetSettings, found: Found, new: Bundle) -> tuple[list[str], str]:
    """Whether the target can be asked at all, before anything is changed; and what it shows."""
    seen = observed(settings, found, new).observations
    answered = [each for each in seen if not each.problem]
    if not answered:
        told = "; ".join(sorted({f"{each.address}: {each.problem}" for each in seen})[:3]) or "it has no address"
        return [
            f"No handshake can be made with {settings.name} ({told}), so that nothing could be proven there: name "
            'endpoints that the functions reach, or set proof = "read-back".'
        ], ""
    return [], prover.shown(answered)


def _roots(deployment: Deployment, new: Bundle) -> tuple[Certificate, ...]:
    from perennial import issuance

    return issuance.roots(deployment, issuance.issuer_of(deployment, deployment.inventory.version(new.reference)))


def _checked(deployment: Deployment, head: RolloutRecord, now: datetime) -> Step:
    refused = [each for each in deployment.inventory.targets(head) if each.state is not TargetState.READY]
    if not refused:
        save(deployment, replace(head, state=RolloutState.RUNNING, attempts=0, reason="", message=""), now)
        return Step(next="activate", doing=f"{head.count} targets are ready")
    told = " ".join(f"{each.settings.name}: {each.message}" for each in refused)[:MAX_TEXT]
    message = f"Nothing was changed. {told} Next: {NEXT_STEPS['not-fit']}, then deploy again."
    save(deployment, replace(head, state=RolloutState.REFUSED, reason="not-fit", message=message), now)
    return Step(next="finish", doing="refused by the preflight")
