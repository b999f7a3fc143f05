"""A scan without a deployment: run scanners over scopes, join what they saw, judge it. Nothing is kept.

Every scope is scanned by itself: one that fails is incomplete, with its reason, and the others go on.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from perennial.assessment import assess, public, worst_first
from perennial.certificate import Certificate
from perennial.checks.interface import Check, Subject
from perennial.clients import Clients, meaning
from perennial.discovery import tags_of
from perennial.errors import PerennialError
from perennial.findings import Finding
from perennial.manifest import Role, Scope, Seen, Sighting
from perennial.ownership import owner
from perennial.scanners.interface import Reading, Scanner
from perennial.settings import Settings

OWN = "self"  # stands for the caller's account until something tells its number
THREADS = 8
MAX_SAME_KEY = 4  # a finding names three
_making = threading.Lock()  # clients of several regions come from one session, which makes them one at a time


@dataclass(frozen=True, kw_only=True)
class Task:
    """One scope to scan, with which scanner and whose clients."""

    scope: Scope
    scanner: Scanner
    clients: Clients


@dataclass(frozen=True, kw_only=True)
class Order:
    """How to survey. `watch` is told of every sighting and, with None, of every scope that ended."""

    checks: Mapping[str, Check]
    now: datetime
    full: bool = False
    settings: Settings = field(default_factory=Settings)
    watch: Callable[[Scope, Sighting | None], None] = lambda scope, sighting: None


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """How one scope's scan ended. An incomplete one has a reason, and what was seen before it broke off."""

    scope: Scope
    seen: tuple[Seen, ...] = ()
    reason: str | None = None
    message: str | None = None

    @property
    def status(self) -> str:
        return "incomplete" if self.reason else "complete"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a scan found. `loose` are attachments whose certificate's place was not scanned: known, but not judged."""

    scanned_at: datetime
    full: bool
    scopes: tuple[Scanned, ...]
    subjects: tuple[Subject, ...]
    loose: tuple[Subject, ...]
    findings: tuple[Finding, ...]
    not_judged: tuple[str, ...]  # ids of the checks that need a full scan

    @property
    def complete(self) -> bool:
        return not any(each.reason for each in self.scopes)


def survey(tasks: Sequence[Task], failed: Iterable[Scanned], order: Order, whose: Callable[[], str]) -> Survey:
    """Scan every task's scope and judge what was seen. `failed` are scopes that could not even be tried; `whose` asks
    for the caller's account where no ARN tells it."""
    scopes = _named([*_scanned(tasks, order), *failed], whose)
    subjects, loose = join(scopes, order)
    findings = (finding for subject in subjects for finding in assess(subject, order.checks, order.now))
    return Survey(
        scanned_at=order.now,
        full=order.full,
        scopes=scopes,
        subjects=subjects,
        loose=loose,
        findings=tuple(worst_first(findings)),
        not_judged=() if order.full else tuple(each.id for each in order.checks.values() if each.needs_full),
    )


def _scanned(tasks: Sequence[Task], order: Order) -> list[Scanned]:
    """All scopes, in the order of the tasks. Interrupted, the running scans end at their next sighting."""
    stop = threading.Event()
    pool = ThreadPoolExecutor(THREADS)
    try:
        return list(pool.map(partial(_scan, order=order, stop=stop), tasks))
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _scan(task: Task, order: Order, stop: threading.Event) -> Scanned:
    seen: list[Seen] = []
    problem: PerennialError | None = None
    try:
        for each in task.scanner.scan(_reading(task, order)):
            seen.append(each)
            order.watch(task.scope, each.sighting)
            if stop.is_set():
                break
    except (ClientError, BotoCoreError) as error:
        problem = meaning(error, _doing(task.scope, error))
    except PerennialError as error:
        problem = error
    order.watch(task.scope, None)
    if problem is None:
        return Scanned(scope=task.scope, seen=tuple(seen))
    return Scanned(scope=task.scope, seen=tuple(seen), reason=problem.reason, message=str(problem))


def _reading(task: Task, order: Order) -> Reading:
    def client(service: str, region: str | None = None) -> Any:
        with _making:
            return task.clients(service, region)

    tags: Callable[[str], Mapping[str, Mapping[str, str]]] = lambda _: {}  # noqa: E731 - none in a quick scan
    if order.full:
        tags = lru_cache(maxsize=None)(partial(tags_of, cast(Clients, client)))
    return Reading(
        scope=task.scope,
        client=client,
        known={},
        full=order.full,
        settings=order.settings.discovery,
        tags=tags,
        now=order.now,
    )


def _doing(scope: Scope, error: ClientError | BotoCoreError) -> str:
    """The call that failed, near to how IAM names it."""
    call = f"{scope.source}:{error.operation_name}" if isinstance(error, ClientError) else scope.source
    return f"{call} in {scope.region}"


def _named(scopes: list[Scanned], whose: Callable[[], str]) -> tuple[Scanned, ...]:
    """The scopes of the caller's own account under its number: what most ARNs say, else what AWS answers."""
    own = [each for each in scopes if each.scope.account == OWN]
    told = Counter(account for each in own for seen in each.seen if (account := _account(seen.sighting)))
    if not own:
        return tuple(scopes)
    account = told.most_common(1)[0][0] if told else whose()
    return tuple(
        replace(each, scope=replace(each.scope, account=account)) if each.scope.account == OWN else each
        for each in scopes
    )


def _account(sighting: Sighting) -> str | None:
    """The account in an ARN. Authorities and trust stores may be shared by another account, and so do not tell it."""
    if sighting.role not in (Role.STORED, Role.ATTACHED):
        return None
    parts = sighting.resource.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[0] == "arn" and parts[4].isdigit() else None


def join(scopes: Iterable[Scanned], order: Order) -> tuple[tuple[Subject, ...], tuple[Subject, ...]]:
    """One subject for each place that holds a certificate, with what is attached to it in any scope; then what is
    attached to places that were not scanned."""
    places: dict[str, tuple[Scope, Seen]] = {}
    attached: dict[str, list[tuple[Scope, Sighting]]] = {}
    for each in scopes:
        for seen in each.seen:
            if seen.sighting.role is Role.ATTACHED:
                attached.setdefault(seen.sighting.place, []).append((each.scope, seen.sighting))
            else:
                places[seen.sighting.location] = (each.scope, seen)
    facts = _Facts(seen for _, seen in places.values())
    subjects = tuple(
        _subject(scope, seen.sighting, facts, tuple(attached.get(place, ())), order)
        for place, (scope, seen) in places.items()
    )
    loose = tuple(_loose(pair, order) for place, pairs in attached.items() if place not in places for pair in pairs)
    return subjects, loose


class _Facts:
    """The certificates that were seen: at a place, by fingerprint, by public key."""

    def __init__(self, seen: Iterable[Seen]) -> None:
        self._at: dict[str, Certificate] = {}
        self._by_fingerprint: dict[str, Certificate] = {}
        self._by_key: dict[str, dict[str, None]] = {}
        for each in seen:
            if each.certificate is not None:
                self._at[each.sighting.location] = each.certificate
                self._know(each.certificate)

    def _know(self, certificate: Certificate) -> None:
        if certificate.fingerprint:
            self._by_fingerprint[certificate.fingerprint] = certificate
            if certificate.public_key_sha256:
                self._by_key.setdefault(certificate.public_key_sha256, {})[certificate.fingerprint] = None

    def at(self, sighting: Sighting) -> Certificate | None:
        return self._at.get(sighting.location) or self._by_fingerprint.get(sighting.fingerprint or "")

    def same_key(self, certificate: Certificate | None) -> Iterator[str]:
        if certificate is not None:
            others = self._by_key.get(certificate.public_key_sha256 or "", {})
            yield from (each for each in others if each != certificate.fingerprint)


def _subject(
    scope: Scope, sighting: Sighting, facts: _Facts, attached: tuple[tuple[Scope, Sighting], ...], order: Order
) -> Subject:
    certificate = facts.at(sighting)
    return Subject(
        scope=scope,
        sighting=sighting,
        certificate=certificate,
        attached=attached,
        owner=owner(order.settings.ownership, certificate, (scope, sighting), attached),
        owner_known=order.full,
        same_key=tuple(facts.same_key(certificate))[:MAX_SAME_KEY] if order.full else (),
        public=public(sighting),
        full=order.full,
        organisation=order.settings.checks,
    )


def _loose(pair: tuple[Scope, Sighting], order: Order) -> Subject:
    scope, sighting = pair
    found = owner(order.settings.ownership, None, pair)
    return Subject(scope=scope, sighting=sighting, certificate=None, owner=found, owner_known=False, full=order.full)
