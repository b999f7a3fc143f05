"""A managed certificate as a team declares it, frozen. `declaration` reads it, `lifecycle` keeps it true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from perennial.certificate_request import CertificateRequest
from perennial.targets.interface import TargetSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """Who is told when a renewal does not succeed, beside the owner: names or addresses, for people."""

    team: tuple[str, ...] = ()
    business: tuple[str, ...] = ()
    on_call: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedCertificate:
    """What is wished for, for as long as it is declared.

    `request` has names, profile, issuer, owner, key and validity. `targets` are in the order in which they are changed,
    the canary first; `stays` as in `target_settings.Declared`. `windows` name `[windows]` of perennial.toml, () those
    of the environment. `adopts` is the SHA-256 fingerprint of a certificate that Discovery found and that serves at the
    targets now, "" for none: it is renewed when its time comes, and not before.
    """

    name: str
    request: CertificateRequest
    targets: tuple[TargetSettings, ...] = ()
    stays: bool = False
    windows: tuple[str, ...] = ()
    environment: str = ""
    service: str = ""  # the business service that depends on it
    contacts: Contacts = field(default_factory=Contacts)
    adopts: str = ""


def targets_digest(targets: Iterable[TargetSettings]) -> str:
    """Names what a rollout goes to: another one where targets, their order or their settings change."""
    document = [[getattr(each, name) for name in _NAMES] for each in targets]
    text = json.dumps(document, sort_keys=True, default=dict)  # fields may be any mapping
    return hashlib.sha256(text.encode()).hexdigest()[:32]


_NAMES = tuple(each.name for each in fields(TargetSettings))
