"""Whether perennial.toml allows what is declared: policy, issuer, targets, environment, and windows that come in time.

Nothing is written. A problem begins with the path of what it is about (`certificates.shop.targets[1]: …`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perennial import issuance, lifecycle_rules, policy, renewal, rollout_request, targets, windows
from perennial.declaration import path
from perennial.inventory.records import Serving
from perennial.profiles import KeyHome

if TYPE_CHECKING:
    from perennial.certificate import Certificate
    from perennial.deployment import Deployment
    from perennial.exception_record import ExceptionRecord
    from perennial.managed_certificate import ManagedCertificate
    from perennial.policy import Subject, Violation
    from perennial.policy.judgement import Active
    from perennial.targets.interface import TargetSettings
    from perennial.windows import Calendar

_NAME = re.compile(r"names\[([0-9]+)\] ")
_OWN = ("irreversible", "quota", "replaces")  # fields of targets that do not say which place it is
_MANY = ("webhook",)  # kinds of which several certificates may go to one place


@dataclass(slots=True)
class Judge:
    """Judges declarations of one deployment; what many of them share is looked up once."""

    deployment: Deployment
    now: datetime
    adopted: dict[str, Certificate | None] = field(default_factory=dict)  # by fingerprint
    _in_time: dict[tuple[Calendar, int], list[str]] = field(default_factory=dict)
    _active: tuple[ExceptionRecord, ...] | None = None

    def problems(self, declared: ManagedCertificate) -> Iterator[str]:
        """Why a declaration is not allowed, one line each."""
        settings, wanted = self.deployment.settings, declared.request
        profile = settings.profiles.get(wanted.profile)
        named = list(self._names(declared))
        yield from (f"{path(declared.name, where)}: {words}" for where, words in named)
        yield from self._adopts(declared)
        if profile is None:
            known = ", ".join(sorted(settings.profiles)) or "none"
            yield f"{path(declared.name, 'profile')}: there is no profile {wanted.profile}; perennial.toml has {known}"
            return
        subject = issuance.subject_of(self.deployment, wanted, profile, self.now)
        yield from _violations(declared, subject, self._suspended)
        yield from self._targets(declared, subject)
        if not named:
            yield from self._windows(declared, subject)

    def _suspended(self) -> tuple[ExceptionRecord, ...]:
        """The exceptions that are active, which are read once for all declarations, and only where one needs them."""
        if self._active is None:
            self._active = self.deployment.active_exceptions()
        return self._active

    def _names(self, declared: ManagedCertificate) -> Iterator[tuple[str, str]]:
        """Environment and windows that perennial.toml does not have."""
        settings = self.deployment.settings
        if declared.environment and declared.environment not in settings.environments:
            known = ", ".join(sorted(settings.environments)[:10]) or "none"
            yield "environment", f"there is no environment {declared.environment}; perennial.toml has {known}"
        for each in declared.windows:
            if each not in settings.windows:
                known = ", ".join(sorted(settings.windows)[:10]) or "none"
                yield "windows", f"there is no window {each}; perennial.toml has {known}"

    def _adopts(self, declared: ManagedCertificate) -> Iterator[str]:
        """An adopted certificate is in the inventory, and what is known of it suffices to renew it in time."""
        if not declared.adopts:
            return
        found, where = self.certificate(declared.adopts), path(declared.name, "adopts")
        if found is None:
            yield f"{where}: the inventory has no certificate {declared.adopts}; perennial certs list shows what it has"
        elif not (found.not_before and found.not_after):
            yield f"{where}: the dates of this certificate cannot be read; declare it without adopts: it is replaced"
        elif found.is_ca:
            yield f"{where}: this is the certificate of a CA; adopt one that a server presents"

    def certificate(self, fingerprint: str) -> Certificate | None:
        """A certificate of the inventory; None where there is none."""
        if fingerprint not in self.adopted:
            found = self.deployment.inventory.certificate_and_owner(fingerprint)
            self.adopted[fingerprint] = found[0] if found else None
        return self.adopted[fingerprint]

    def _targets(self, declared: ManagedCertificate, subject: Subject) -> Iterator[str]:
        for number, each in enumerate(declared.targets, start=1):
            told = (*rollout_request.forbidden(self.deployment, subject.profile.name, each), *_unfit(each, subject))
            yield from (f"{path(declared.name, f'targets[{number}]')}: {words}" for words in told)

    def _windows(self, declared: ManagedCertificate, subject: Subject) -> Iterator[str]:
        """Between the renewal time and the moment from which no window is waited for, one must open."""
        calendar, days = lifecycle_rules.calendar(self.deployment.settings, declared), policy.days(subject)
        if days < 1 or not (calendar.windows or calendar.blackouts):
            return
        if (calendar, days) not in self._in_time:
            whole = _lifetime(self.now, days)
            first, last = renewal.share_at(whole), renewal.late_at(whole)
            self._in_time[calendar, days] = windows.problems(calendar, first=first, last=last)
        where = path(declared.name, "windows" if declared.windows else "environment")
        for words in self._in_time[calendar, days]:
            yield f"{where}: certificates of {days} days could not be renewed in time: {words}"


def _lifetime(now: datetime, days: int) -> Serving:
    """A certificate as the next one will be, for its times."""
    end = now + timedelta(days=days)
    return Serving(
        number=1,
        fingerprint="",
        issuer="",
        key="",
        signature="",
        not_before=now,
        not_after=end,
        request=None,
        targets="",
        since=now,
    )


def _violations(declared: ManagedCertificate, subject: Subject, active: Active) -> Iterator[str]:
    """What policy refuses, and no exception covers. Who brings a CSR of their own cannot declare it: each renewal needs
    another."""
    if subject.profile.key_home is KeyHome.REQUESTER:
        where, name = path(declared.name, "profile"), subject.profile.name
        yield f"{where}: {name} takes a CSR for each certificate, and none can be declared: use managed request"
    for each in policy.judged(subject, active, declared.name).violations:
        if each.field != "csr":
            yield f"{path(declared.name)}.{_line(each)}"


def _line(violation: Violation) -> str:
    """A violation as it is told here, where names are counted from 1: `names[1]: shop.example.com: …`."""
    return _NAME.sub(lambda found: f"names[{int(found[1]) + 1}]: ", str(violation), count=1)


def _unfit(wanted: TargetSettings, subject: Subject) -> Iterator[str]:
    """Why a kind of target can never take such a key."""
    kind, key = targets.kind(wanted.kind), policy.key(subject)
    if not kind.KEYS:
        return
    if key not in kind.KEYS:
        yield f"{kind.TITLE}: it takes no {key} key; it takes {', '.join(kind.KEYS)}"
    if subject.profile.key_home is KeyHome.KMS:
        yield f"{kind.TITLE}: it needs the key, and with the profile {subject.profile.name} that never leaves KMS"


def conflicts(declared: Iterable[ManagedCertificate], account: str, region: str) -> Iterator[str]:
    """Targets that are one and the same place: two certificates would replace each other there for ever.

    Several may be on a listener's list (SNI), and go to one webhook.
    """
    taken: dict[str, str] = {}
    for each in declared:
        for number, settings in enumerate(each.targets, start=1):
            place, here = _place(settings, account, region), path(each.name, f"targets[{number}]")
            if place in taken:
                yield f"{here}: it is the same place as {taken[place]}; declare it once"
            elif place:
                taken[place] = here


def places(declared: ManagedCertificate, account: str, region: str) -> tuple[str, ...]:
    """The places at which only one certificate can be, as digests. `account` and `region` are those of targets that
    name none."""
    found = (_place(each, account, region) for each in declared.targets)
    return tuple(dict.fromkeys(each for each in found if each))


def _place(settings: TargetSettings, account: str, region: str) -> str:
    """The digest of a target's place, "" for one that it shares with others."""
    own = sorted((name, value) for name, value in settings.fields.items() if name not in _OWN)
    if not own or settings.kind in _MANY or settings.text("slot") == "sni":
        return ""
    place = (settings.kind, settings.account or account, settings.region or region, own)
    return hashlib.sha256(json.dumps(place).encode()).hexdigest()
