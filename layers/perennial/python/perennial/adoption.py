"""The declaration of a certificate that Discovery found and that someone wants to have renewed from now on.

What it is and where it serves comes out of the inventory; the profile is the first of perennial.toml that allows it.
What cannot be told is left empty or out, with a remark, for the person who applies it. Nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from perennial import names
from perennial.certificate_request import CertificateRequest
from perennial.clients import meant
from perennial.errors import InvalidInput, NotFound
from perennial.managed_certificate import ManagedCertificate
from perennial.profiles import KEYS
from perennial.sighted_targets import everywhere
from perennial.target_settings import MAX_TARGETS

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.records import CertificateRecord
    from perennial.targets.interface import TargetSettings

MAX_REMARKS = 50
_OF_EVERY_PROFILE = ("names.owner", "names.owner-known")  # rules that speak of the owner alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A declaration, and what a person must know or mend in it: a line each, behind its field where it has one."""

    declared: ManagedCertificate
    remarks: tuple[str, ...] = ()


@meant("adopting a certificate")
def adopted(
    deployment: Deployment, what: str, now: datetime, *, name: str = "", owner: str = "", taken: Collection[str] = ()
) -> Adoption:
    """The declaration of a certificate that is named by its fingerprint, the beginning of it, or an ARN where it is.

    `name` and `owner` are taken where they are given; else the name is made of the first DNS name, and is none of
    `taken` and of those that the inventory has, and the owner is the one that Discovery found.

    Raises: NotFound; InvalidInput, also where the certificate is managed already.
    """
    from perennial.which_certificate import fingerprint_of

    inventory = deployment.inventory
    fingerprint = fingerprint_of(inventory, what)
    found = inventory.show(fingerprint)
    if found is None:
        raise NotFound(f"{fingerprint} is not in the inventory; perennial certs list shows what is")
    _not_managed(deployment, fingerprint)
    wanted, unnamed = _request(found, owner or found.owner or "")
    chosen = name or _name(wanted.names[0], {*taken, *inventory.managed()})
    live = [[each for each in some if each.gone_at is None] for some in (found.held, found.attached)]
    targets = everywhere(chosen, *live)
    reached, left = targets.targets[:MAX_TARGETS], len(targets.targets) - MAX_TARGETS
    request, unfit = _with_profile(deployment, wanted, reached, now)
    declared = ManagedCertificate(name=chosen, request=request, targets=reached, adopts=fingerprint)
    more = [f"targets: {left} more places; at most {MAX_TARGETS} can be declared"] if left > 0 else []
    missed = (f"no target reaches {each}" for each in targets.unreached)
    remarks = (*unnamed, *unfit, *more, *_guesses(declared), *missed)
    return Adoption(declared=declared, remarks=(*remarks, *_problems(deployment, declared, now))[:MAX_REMARKS])


def _not_managed(deployment: Deployment, fingerprint: str) -> None:
    for each in deployment.inventory.declared():
        serves = each.serving is not None and each.serving.fingerprint == fingerprint
        if each.removed_at is None and (serves or each.declared.adopts == fingerprint):
            raise InvalidInput(f"{fingerprint[:16]} is managed already, as {each.name}")


def _request(found: CertificateRecord, owner: str) -> tuple[CertificateRequest, list[str]]:
    """Its names and key as they would be requested, and the names that cannot be."""
    facts = found.certificate
    if facts.is_ca:
        raise InvalidInput(f"{facts.title[:100]!r} is the certificate of a CA; adopt one that a server presents")
    kept: dict[str, None] = {}
    strange: list[str] = []
    for each in facts.names:
        try:
            kept[names.canonical(each)] = None
        except InvalidInput as error:
            strange.append(f"names: left out, as no certificate may be requested for it: {error}")
    if not kept:
        raise InvalidInput(f"{facts.title[:100]!r} has no name that can be requested; declare it by hand")
    key = facts.key if facts.key in KEYS else ""
    return CertificateRequest(names=tuple(kept), profile="", owner=owner, key=key or ""), strange


def _name(first: str, taken: Collection[str]) -> str:
    """A free name, made of a DNS name: `*.shop.example.net` gives `wildcard-shop-example-net`."""
    words = re.sub(r"[^a-z0-9]+", "-", first.replace("*", "wildcard")).strip("-")
    base = words[:56].strip("-") or "certificate"
    numbered = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(each for each in numbered if each not in taken)


def _with_profile(
    deployment: Deployment, wanted: CertificateRequest, targets: tuple[TargetSettings, ...], now: datetime
) -> tuple[CertificateRequest, list[str]]:
    """The request with the first profile that allows it, with its key type if there is one; and why there is none."""
    profiles = deployment.settings.profiles
    for key in dict.fromkeys((wanted.key, "")):
        for profile in profiles:
            request = replace(wanted, profile=profile, key=key)
            if not _refusals(deployment, request, targets, now):
                usual = profiles[profile].keys[0]
                changed = (
                    [] if key or not wanted.key else [f"key: {profile} has {usual} keys; this one is {wanted.key}"]
                )
                return replace(request, key="" if key == usual else key), changed
    why = [
        f"profile: {profile} does not allow it: {told}"
        for profile in profiles
        for told in _refusals(deployment, replace(wanted, profile=profile, key=""), targets, now)[:1]
    ]
    return wanted, ["profile: no profile of perennial.toml allows it; name or add one", *why]


def _refusals(
    deployment: Deployment, request: CertificateRequest, targets: tuple[TargetSettings, ...], now: datetime
) -> list[str]:
    """Why a profile does not fit, whoever the owner is."""
    from perennial import issuance, policy

    profile = deployment.settings.profiles[request.profile]
    subject = issuance.subject_of(deployment, request, profile, now)
    told = [str(each) for each in policy.judge(subject) if each.rule not in _OF_EVERY_PROFILE]
    strange = {each.kind for each in targets if profile.targets and each.kind not in profile.targets}
    return told + [f"it is for targets of the kinds {', '.join(profile.targets)}" for _ in sorted(strange)[:1]]


def _guesses(declared: ManagedCertificate) -> Iterator[str]:
    if not declared.request.owner:
        yield "owner: nobody is known as its owner; name one of [policy.owners]"
    for number, each in enumerate(declared.targets, start=1):
        if each.kind == "secretsmanager":
            yield f"targets[{number}]: check its format and fields; Discovery does not keep how a secret is laid out"
        if each.kind == "iam":
            yield f"targets[{number}]: whatever refers to the server certificate by its name does not follow by itself"


def _problems(deployment: Deployment, declared: ManagedCertificate, now: datetime) -> Iterator[str]:
    """What `perennial apply` would refuse; an empty owner or profile is told already."""
    from perennial.declaration import path
    from perennial.declaration_judgement import Judge

    if declared.request.profile and declared.request.owner:
        for each in Judge(deployment, now).problems(declared):
            yield each.removeprefix(f"{path(declared.name)}.")
