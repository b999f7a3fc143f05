"""What perennial.toml says, as far as it concerns one managed certificate."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perennial import window_settings
from perennial.exception_selection import Facts, covers
from perennial.managed_certificate import ManagedCertificate
from perennial.renewal import Rules

if TYPE_CHECKING:
    from perennial.inventory.records import ManagedRecord, Serving
    from perennial.policy.judgement import Active
    from perennial.settings import Settings
    from perennial.windows import Calendar

GRACE = timedelta(hours=24)  # before a superseded version is retired, where no environment says


def rules(settings: Settings, record: ManagedRecord) -> Rules:
    """What its profile and the policy allow now. Where the profile is gone, nothing is judged: the next request tells
    what is wrong."""
    wanted = record.declared.request
    profile = settings.profiles.get(wanted.profile)
    lost = (record.suspect,) if record.suspect else ()
    distrusted = tuple(name for name, each in settings.issuers.items() if each.distrusted)
    if profile is None:
        issuer = record.serving.issuer if record.serving else ""
        return Rules(issuer=issuer, keys=(), distrusted=distrusted, lost=lost)
    keys = tuple(each for each in profile.keys if each in settings.policy.keys)
    return Rules(issuer=wanted.issuer or profile.issuer, keys=keys, distrusted=distrusted, lost=lost)


def with_exceptions(
    found: Rules,
    settings: Settings,
    record: ManagedRecord,
    active: Active,
    now: datetime,
) -> Rules:
    """The same, with the key that serves where only exceptions allow it: else it would be renewed for it again and
    again. They are asked for only where it matters."""
    serving, profile = record.serving, settings.profiles.get(record.declared.request.profile)
    if serving is None or profile is None or not found.keys or serving.key in found.keys:
        return found
    asked = {"key_strength.profile": profile.keys, "key_strength.organisation": settings.policy.keys}
    broken = {rule for rule, keys in asked.items() if serving.key not in keys}
    facts = _facts(record)
    suspended = {each.rule for each in active() if each.holds(now) and covers(each.selection, facts)}
    return replace(found, keys=(*found.keys, serving.key)) if broken <= suspended else found


def _facts(record: ManagedRecord) -> Facts:
    wanted = record.declared.request
    return Facts(names=wanted.names, owner=wanted.owner, managed=lambda name: name == record.name)


def calendar(settings: Settings, declared: ManagedCertificate) -> Calendar:
    """When it may be renewed."""
    environment = settings.environments.get(declared.environment)
    return window_settings.calendar(settings.windows, environment, declared.windows)


def grace(settings: Settings, declared: ManagedCertificate) -> timedelta:
    """How long a superseded version stays."""
    environment = settings.environments.get(declared.environment)
    return timedelta(hours=environment.grace_hours) if environment else GRACE


def advises(settings: Settings, serving: Serving | None) -> bool:
    """Whether the issuer of what serves can be asked when to renew."""
    issuer = settings.issuers.get(serving.issuer) if serving else None
    return issuer is not None and issuer.kind == "acme"
