"""Issuance: from the request of a version to its certificate, chain and key in one secret version.

Each function is one step of the workflow. A step reads the version, does what is next, and writes it with the revision
that it read: a step that ran twice loses, reads again, and goes on from there. What the issuer must not be asked twice
is kept before it is asked. Until a version has ended and nothing of it is shown any more it stays due, so that the tick
starts the workflow again where it died.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perennial.audit_actor import WORKFLOWS, Actor
from perennial.clients import meant
from perennial.errors import (
    FINAL,
    InvalidConfiguration,
    InvalidInput,
    RateLimited,
    Throttled,
    Unavailable,
    WrongCertificate,
)
from perennial.inventory.records import VersionRecord, VersionState
from perennial.issuance_failure import when_asked_to_wait
from perennial.issuance_step import ISSUED, REQUESTED, REVOKED, SILENCE, Step, asked_for, wait
from perennial.issuers.interface import Ask, Issued, Later
from perennial.profiles import Issuer as IssuerSettings
from perennial.profiles import KeyHome, Profile

if TYPE_CHECKING:
    from perennial.audit_event import Event
    from perennial.certificate import Certificate
    from perennial.certificate_request import CertificateRequest
    from perennial.deployment import Deployment
    from perennial.exception_record import ExceptionRecord
    from perennial.issuers.interface import Issuer, Outcome
    from perennial.key_store import KeyStore
    from perennial.policy import Subject

MANAGED = re.compile(r"[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?")
FIRST_LOOK, LAST_LOOK = 5.0, 25.0  # seconds until it is asked whether challenges are visible (Route 53: up to 60)
LOOKED_BACK = 5  # versions, for the one that is renewed
WOKEN_AT_ONCE = 1  # of the versions that wait for an issuer that works again: a storm would bring it down
MAX_COVERED = 1_000  # characters that name the exceptions of a version
OUTCOMES = 6  # of an issuer in one step; more is an issuer that goes round in circles


# --- request ---


def request(
    deployment: Deployment,
    managed: str,
    wanted: CertificateRequest,
    asked_by: str,
    now: datetime,
    *,
    source: str,
    why: str = "",
    request: str = "",
) -> VersionRecord:
    """Judge a request and keep it as the next version of a managed certificate, due at once. `asked_by` is the
    principal who asks, `source` the way; with `why` and `request` they go into the audit trail, in one transaction with
    the version.

    Raises: InvalidInput, also where a version is under way, and where the certificate is declared: for such a one the
    lifecycle asks (`by_lifecycle`); PolicyViolated with every violation; ConcurrentChange.
    """
    from perennial.audit import refusals
    from perennial.rollout_request import not_declared

    actor = Actor(principal=asked_by, source=source, why=why, request=request)
    after, owner = asked_for(wanted), wanted.owner

    def event(version: VersionRecord) -> Event:
        return actor.did(now, REQUESTED, managed, owner=owner, after={"version": version.number, **after})

    with refusals(deployment.inventory, actor, REQUESTED, managed, now, owner=owner, after=after):
        judged, issuer = _judged(deployment, managed, wanted, now)
        with meant("keeping a request"):
            not_declared(deployment, managed)
            _nothing_under_way(deployment, managed)
            return deployment.inventory.request_version(managed, judged, issuer, now, event)


def by_lifecycle(deployment: Deployment, managed: str, wanted: CertificateRequest, now: datetime) -> VersionRecord:
    """The lifecycle requests the next version of a certificate that is declared. Who declared it is in the audit trail
    already, and how the issuance ends will be.

    Raises: as `request`.
    """
    judged, issuer = _judged(deployment, managed, wanted, now)
    with meant("keeping a request"):
        _nothing_under_way(deployment, managed)
        return deployment.inventory.request_version(managed, judged, issuer, now)


def _judged(
    deployment: Deployment, managed: str, wanted: CertificateRequest, now: datetime
) -> tuple[CertificateRequest, str]:
    """A request that is allowed, as it is kept, and its issuer's name."""
    from perennial import policy, signing_request

    if not MANAGED.fullmatch(managed):
        raise InvalidInput(f"{managed[:100]!r} cannot name a managed certificate; use a-z, 0-9, dots and hyphens")
    profile = profile_of(deployment, wanted)
    policy.require(subject_of(deployment, wanted, profile, now), active(deployment), managed)
    if wanted.csr:  # nothing that stood around it is kept
        wanted = replace(wanted, csr=signing_request.read(wanted.csr).der)
    return wanted, wanted.issuer or profile.issuer


def _nothing_under_way(deployment: Deployment, managed: str) -> None:
    """One version at a time: the key of a second would move AWSPENDING away from the first's.

    Raises: InvalidInput.
    """
    for latest in deployment.inventory.versions(managed, limit=1):
        if not latest.state.ended:
            raise InvalidInput(f"version {latest.reference} is under way ({latest.state}); request again when it ended")


def profile_of(deployment: Deployment, wanted: CertificateRequest) -> Profile:
    """The profile that a request names.

    Raises: InvalidInput.
    """
    profiles = deployment.settings.profiles
    if wanted.profile not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise InvalidInput(f"there is no profile {wanted.profile[:100]!r}; perennial.toml has {known}")
    return profiles[wanted.profile]


def active(deployment: Deployment) -> Callable[[], tuple[ExceptionRecord, ...]]:
    """Asks for the exceptions that are active; policy does so only where a rule is violated."""
    return deployment.active_exceptions


def subject_of(deployment: Deployment, wanted: CertificateRequest, profile: Profile, now: datetime) -> Subject:
    """What policy judges. One that chooses an issuer that is not there is judged with its profile's, and refused."""
    from perennial import policy

    settings = deployment.settings
    issuer = settings.issuers.get(wanted.issuer) or settings.issuers[profile.issuer]
    return policy.subject(wanted, profile, issuer, settings.policy, now)


# --- prepare ---


@meant("issuance: prepare")
def prepare(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Judge the request as the rules are now, make and store the key, and keep the CSR."""
    from perennial import policy

    record = deployment.inventory.version(reference)
    if record.state.ended:
        return Step(next="clean", doing="removing what is still shown")
    told = "" if record.attempts else record.message  # what exceptions cover stays; a failure's message does not
    if record.state is VersionState.REQUESTED:
        profile = profile_of(deployment, record.request)
        subject = subject_of(deployment, record.request, profile, now)
        covered = policy.require(subject, active(deployment), record.managed)
        record = replace(_with_key(deployment, record, profile), validity_days=policy.days(subject))
        rules = tuple(sorted({each.violation.rule for each in covered}))
        record = replace(record, state=VersionState.PREPARED, covered=rules)
        told = "; ".join(dict.fromkeys(map(str, covered)))[:MAX_COVERED]
    deployment.inventory.save_version(replace(record, message=told), now + SILENCE)
    return Step(next="store" if record.state is VersionState.RECEIVED else "advance", doing="asking the issuer")


def _with_key(deployment: Deployment, record: VersionRecord, profile: Profile) -> VersionRecord:
    """The version with its CSR. The key is stored before the CSR is kept, and so before anyone can be asked for it."""
    from perennial import keys, kms_keys, signing_request

    key, names = record.request.key or profile.keys[0], record.request.names
    if profile.key_home is KeyHome.ISSUER:
        return replace(record, key=key)
    if profile.key_home is KeyHome.REQUESTER:
        sent = signing_request.read(record.request.csr)
        return replace(record, key=sent.key, csr=sent.der)
    if profile.key_home is KeyHome.KMS:
        ask = record.ask if profile.rotate_key else ""
        held = kms_keys.key_for(deployment.clients("kms"), record.managed, ask, key, tags={})
        csr = signing_request.make_with(held.public_key, held.sign, key, names)
        return replace(record, key=key, csr=csr, key_arn=held.arn)
    store = _key_store(deployment)
    if record.number > 1 and _is_retired(deployment, record.managed, record.number - 1):
        store.restore(record.managed)
    if profile.rotate_key or record.number == 1:
        stored = store.key_for(record.managed, record.ask, key)
    else:
        stored = store.reuse(record.managed, record.ask)
    csr = signing_request.make(stored.private_key, names)
    word = keys.word(stored.private_key.public_key())
    return replace(record, key=word, csr=csr, secret=stored.arn, secret_version=stored.version)


def _is_retired(deployment: Deployment, managed: str, number: int) -> bool:
    """Whether the version before is retired: then the certificate was removed, and its secret is to be deleted."""
    return deployment.inventory.version(f"{managed}/{number}").state is VersionState.RETIRED


def _key_store(deployment: Deployment) -> KeyStore:
    from perennial.key_store import KeyStore

    return KeyStore(deployment.clients("secretsmanager"), key_id=deployment.named("PERENNIAL_KEY_ID"), tags={})


# --- advance ---


@meant("issuance: advance")
def advance(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Ask the issuer to go as far as it can without waiting, showing its challenges on the way."""
    record = deployment.inventory.version(reference)
    if record.state is not VersionState.PREPARED:
        return Step(next="store" if record.state is VersionState.RECEIVED else "clean", doing="going on")
    try:
        return _advance(deployment, record, now)
    except (RateLimited, Throttled, Unavailable) as error:
        return when_asked_to_wait(deployment, reference, error, now)


def _advance(deployment: Deployment, record: VersionRecord, now: datetime) -> Step:
    from perennial.issuers import issuer

    progress = _Progress(deployment, record, now)
    asked = issuer(issuer_of(deployment, record), deployment)
    for _ in range(OUTCOMES):
        if progress.record.challenges and not progress.record.visible:
            waiting = _show(deployment, progress)
            if waiting is not None:
                return waiting
        step = _act(progress, _ask(deployment, asked, progress, now))
        if step is not None:
            return step
    raise InvalidConfiguration(f"the issuer {record.issuer} asks for challenges again and again; see its log")


def _ask(deployment: Deployment, asked: Issuer, progress: _Progress, now: datetime) -> Outcome:
    record = progress.record
    return asked.advance(
        ask_of(deployment, record), record.order, presented=record.visible, now=now, keep=progress.keep
    )


def ask_of(deployment: Deployment, record: VersionRecord) -> Ask:
    """What the issuer is asked for."""
    profile = profile_of(deployment, record.request)
    return Ask(
        id=record.ask,
        names=record.request.names,
        csr=record.csr,
        key=record.key,
        profile=profile,
        validity_days=record.validity_days,
        replaces=_replaced(deployment, record),
    )


def _replaced(deployment: Deployment, record: VersionRecord) -> Certificate | None:
    """What this one renews (RFC 9773 section 5): the certificate of the latest version that was issued, where that was
    by the same issuer."""
    from perennial.certificate import parse

    for number in range(record.number - 1, max(0, record.number - 1 - LOOKED_BACK), -1):
        before = deployment.inventory.version(f"{record.managed}/{number}")
        if before.state is VersionState.ISSUED:
            return parse(before.chain[0]) if before.issuer == record.issuer else None
    return None


def issuer_of(deployment: Deployment, record: VersionRecord) -> IssuerSettings:
    """The settings of a version's issuer.

    Raises: InvalidConfiguration where they are gone.
    """
    issuers = deployment.settings.issuers
    if record.issuer not in issuers:
        raise InvalidConfiguration(f"perennial.toml has no [issuers.{record.issuer}] any more; add it or request anew")
    return issuers[record.issuer]


class _Progress:
    """A version while a step works on it: every change is written before the next thing is done."""

    def __init__(self, deployment: Deployment, record: VersionRecord, now: datetime) -> None:
        self.record = record
        self._deployment = deployment
        self._now = now
        self._written = False

    def write(self, **changes: Any) -> None:
        changed = replace(self.record, **changes)
        if changed != self.record:
            self._save(changed)

    def move(self) -> None:
        """Show the tick that this version is alive, where no write of this step has done that."""
        if not self._written:
            self._save(self.record)

    def _save(self, record: VersionRecord) -> None:
        self.record = self._deployment.inventory.save_version(record, self._now + SILENCE)
        self._written = True

    def keep(self, order: str) -> None:
        self.write(order=order)

    def look(self) -> float:
        """Seconds until the next look at what takes its time: ever longer, as little changes between two looks."""
        since = (self._now - self.record.requested_at).total_seconds()
        return min(max(FIRST_LOOK, 2 * since), LAST_LOOK)

    def wake_others(self) -> None:
        """The issuer works: one of the versions that wait for it goes on at once, which wakes the next one."""
        inventory, issuer = self._deployment.inventory, self.record.issuer
        if inventory.issuer_down(issuer) is None:
            return
        waiting = inventory.waiting_for(issuer, WOKEN_AT_ONCE)
        for each in waiting:
            wake(self._deployment, each.managed, self._now)
            inventory.waits_no_more(issuer, each)
        if not waiting:
            inventory.issuer_is_well(issuer)


def wake(deployment: Deployment, managed: str, at: datetime) -> None:
    """Let the newest version of a managed certificate go on at a time, where it waits for a later one. One that is
    declared takes a place in the issuer's budget for that, as after a first failure, and gives back what it had."""
    from perennial import planning

    inventory = deployment.inventory
    for latest in inventory.versions(managed, limit=1):
        if latest.state.ended or latest.due_at is None or latest.due_at <= at:
            return
        inventory.save_version(replace(latest, attempts=min(latest.attempts, 1)), at)
        record = inventory.find_managed(managed)
        if record and not record.removed_at:
            inventory.save_managed(replace(record, planned_at=None, planned_for="", due_at=at))
            planning.given_back(deployment, record, latest.issuer, at)


def _act(progress: _Progress, outcome: Outcome) -> Step | None:
    """Keep what the issuer answered; None where it can be asked again at once."""
    if isinstance(outcome, Later):
        progress.move()
        return wait(outcome.seconds, outcome.doing)
    if isinstance(outcome, Issued):
        progress.write(state=VersionState.RECEIVED, chain=outcome.chain, arn=outcome.arn, reason="")
        progress.wake_others()
        return Step(next="store", doing="judging and storing the certificate")
    challenges = tuple(dict.fromkeys((*progress.record.challenges, *outcome.challenges)))
    progress.write(challenges=challenges, tokens=None, visible=not outcome.challenges)
    return None


def _show(deployment: Deployment, progress: _Progress) -> Step | None:
    """Show the recorded challenges and ask whether they are visible; None when they are."""
    from perennial.solvers import by_solver, ready

    record = progress.record
    if record.tokens is None:
        tokens = tuple(
            token for solver, group in by_solver(deployment, record.challenges) for token in solver.present(group)
        )
        progress.write(tokens=tokens, visible=not tokens)
    elif ready(deployment, record.tokens):
        progress.write(visible=True)
    if progress.record.visible:
        return None
    progress.move()
    return wait(progress.look(), "its challenges to be visible everywhere")


# --- store ---


@meant("issuance: store")
def store(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Judge what was issued, and put key, certificate and chain into one secret version.

    Raises: WrongCertificate when it is not what was requested; it is revoked before that where the issuer can.
    """
    from perennial.certificate import parse

    record = deployment.inventory.version(reference)
    if record.state is VersionState.RECEIVED:
        _judge(deployment, record, now)
        leaf = parse(record.chain[0])
        kept = _completed(deployment, record)
        deployment.inventory.keep([parse(each) for each in record.chain], now)
        ended = replace(
            kept, state=VersionState.ISSUED, fingerprint=leaf.fingerprint or "", issued_at=now, order="", attempts=0
        )
        due = now + SILENCE if ended.challenges else None
        deployment.inventory.save_version(ended, due, _issued(ended, leaf, now))
    return Step(next="clean", doing="removing what is still shown")


def _issued(record: VersionRecord, leaf: Certificate, now: datetime) -> Event:
    """The audit event of a version that is issued."""
    told = {
        **asked_for(record.request),
        "version": record.number,
        "issuer": record.issuer,
        "key": record.key,
        "fingerprint": record.fingerprint,
        "serial": leaf.serial,
        "not_after": leaf.not_after,
    }
    return WORKFLOWS.did(now, ISSUED, record.managed, owner=record.request.owner, after=told)


def _judge(deployment: Deployment, record: VersionRecord, now: datetime) -> None:
    from perennial import issued
    from perennial.certificate import parse

    settings = issuer_of(deployment, record)
    profile = _as_prepared(profile_of(deployment, record.request), record)
    found = issued.problems(
        record.chain,
        names=record.request.names,
        public_key_sha256=_public_key(record),
        key=record.key,
        profile=profile,
        issuer=settings,
        validity_days=record.validity_days,
        roots=roots(deployment, settings),
        now=now,
    )
    if not found:
        return
    revoked = _revoke(deployment, record, settings, parse(record.chain[0]), now)
    raise WrongCertificate(
        f"{settings.name} issued something else than was requested, and it is {revoked}: {' '.join(found)}"
    )


def _as_prepared(profile: Profile, record: VersionRecord) -> Profile:
    """The profile with the key type that an exception allowed as the version was prepared: whenever that ends, what was
    asked for under it is not wrong."""
    if "key_strength.profile" not in record.covered:
        return profile
    return replace(profile, keys=(*profile.keys, record.key))


def _public_key(record: VersionRecord) -> str:
    """SHA-256 of the public key that was asked for; "" where the issuer made the key."""
    from perennial import signing_request

    return signing_request.public_key_sha256(record.csr) if record.csr else ""


def roots(deployment: Deployment, settings: IssuerSettings) -> tuple[Certificate, ...]:
    """The roots that an issuer's certificates may chain to: those that are configured, its own, or the public ones."""
    from perennial import issued
    from perennial.chain import public_roots
    from perennial.issuers import issuer

    if settings.roots:
        return issued.roots_of(settings.roots)
    if settings.kind == "acm_pca":
        authority: Any = issuer(settings, deployment)
        return issued.roots_of(authority.roots())
    return tuple(root for same in public_roots().values() for root in same)


def _revoke(
    deployment: Deployment, record: VersionRecord, settings: IssuerSettings, leaf: Certificate, now: datetime
) -> str:
    """Revoke where the issuer can. Returns what became of it, for people."""
    from perennial.issuers import issuer

    asked: Any = issuer(settings, deployment)
    if not hasattr(asked, "revoke"):
        return "not revoked, as this issuer cannot"
    _will_revoke(deployment, record, leaf, now)
    try:
        asked.revoke(leaf, record.arn, 4)  # superseded (RFC 5280 5.3.1): nothing is known to be compromised
    except tuple(FINAL) as error:
        return f"not revoked ({str(error)[:300]})"
    return "revoked"


def _will_revoke(deployment: Deployment, record: VersionRecord, leaf: Certificate, now: datetime) -> None:
    """Keep in the audit trail that a version is revoked, before it is; once, also where this step runs again."""
    if record.reason == WrongCertificate.reason:
        return
    told = {"version": record.number, "issuer": record.issuer, "fingerprint": leaf.fingerprint, "serial": leaf.serial}
    actor = replace(WORKFLOWS, why="it is not what was requested")
    event = actor.did(now, REVOKED, record.managed, owner=record.request.owner, after={**told, "reason": "superseded"})
    deployment.inventory.save_version(replace(record, reason=WrongCertificate.reason), now + SILENCE, event)


def _completed(deployment: Deployment, record: VersionRecord) -> VersionRecord:
    """The version with its secret version; one whose key the issuer keeps has none."""
    from perennial.issuers import issuer

    profile = profile_of(deployment, record.request)
    settings = issuer_of(deployment, record)
    if profile.key_home is KeyHome.ISSUER:
        if not profile.exportable:
            return record
        made: Any = issuer(settings, deployment)
        key_pem = made.export(record.arn)
    else:
        key_pem = ""
    with_key = profile.key_home in (KeyHome.SECRET, KeyHome.ISSUER)
    stored = _key_store(deployment).complete(
        record.managed, record.ask, record.chain, key_pem=key_pem, with_key=with_key
    )
    return replace(record, secret=stored.arn, secret_version=stored.version)


# --- clean ---


@meant("issuance: clean up")
def clean(deployment: Deployment, reference: str, now: datetime) -> Step:
    """Remove every challenge that this version may show. Returns done with its state or reason."""
    from perennial.solvers import by_solver

    record = deployment.inventory.version(reference)
    passing = [each for each in record.challenges if not each.stays]
    for solver, group in by_solver(deployment, passing):
        solver.clean(group)
    due = None if record.state.ended else record.due_at
    cleaned = replace(record, challenges=(), tokens=None, visible=False)
    if cleaned != record or record.due_at != due:
        deployment.inventory.save_version(cleaned, due)
    ended = str(record.state) if record.state.ended else "postponed"
    return Step(next=ended, doing=record.message)
