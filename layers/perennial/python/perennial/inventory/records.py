"""What the inventory returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from perennial.certificate import Certificate
from perennial.certificate_request import CertificateRequest
from perennial.findings import Finding
from perennial.managed_certificate import ManagedCertificate
from perennial.manifest import Scope, Sighting
from perennial.solvers.interface import Challenge
from perennial.targets.interface import Found, TargetSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSummary:
    """A line of a list of certificates. `gone_at`: since when it is nowhere any more; None while it is somewhere."""

    fingerprint: str
    title: str
    issuer: str | None
    serial: str | None
    not_after: datetime | None
    key: str | None
    owner: str | None
    gone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SightingRecord:
    """A sighting as kept: when it was first seen there, and since when it is gone."""

    scope: Scope
    sighting: Sighting
    first_seen: datetime
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """All that is known of one certificate: facts, where it is held and was, what is attached, what is wrong.
    `more_places`: it is at more places than were read."""

    certificate: Certificate
    owner: str | None
    first_seen: datetime
    gone_at: datetime | None
    held: tuple[SightingRecord, ...]
    attached: tuple[SightingRecord, ...]
    findings: tuple[Finding, ...]
    more_places: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRecord:
    """What an assessment needs of one place. `held` is None when only attachments to it are known."""

    place: str
    held: SightingRecord | None
    attached: tuple[SightingRecord, ...]
    findings: tuple[Finding, ...]
    due_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingFinding:
    """A finding that is leased for publication. `told`: people and the event bus know this very state already.
    `hidden`: Security Hub may have it as suppressed."""

    finding: Finding
    due_at: str
    attempts: int
    told: bool
    hidden: bool = False


class ScopeStatus(StrEnum):
    """How a scope's last scan ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"  # with the reason; its sightings stay as they were
    CONTINUE = "continue"  # out of time; goes on where it stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRecord:
    """A scope's last scan. `completed_at` is the `last_seen` of all its sightings."""

    scope: Scope
    status: ScopeStatus
    reason: str | None
    message: str | None
    attempted_at: datetime
    completed_at: datetime | None
    sightings: int
    run: str | None
    rules: str | None = None  # the mark of what its places were judged by (`assessment.rules`)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One execution of Discovery."""

    run: str
    started_at: datetime
    completed_at: datetime | None
    scopes: int
    incomplete: int


class DueKind(StrEnum):
    """What is due."""

    SCAN = "scan"  # a scope, after an event
    ASSESS = "assess"  # a place, after a change or when time alone changes a verdict
    PUBLISH = "publish"  # a finding, after a change or before it would be forgotten
    ISSUE = "issue"  # a version that is to be issued, or whose issuance died
    DEPLOY = "deploy"  # a rollout that is to begin, or that died
    RENEW = "renew"  # a managed certificate whose next step is due
    REQUEST = "request"  # a change request that is to be told, applied or ended
    EXCEPTION = "exception"  # an exception that begins, is to be announced, or ends


@dataclass(frozen=True, slots=True)
class Due:
    """An entry of the due index: which item, since when."""

    kind: DueKind
    pk: str
    sk: str
    due_at: str

    @property
    def reference(self) -> str:
        """The reference of the version or the rollout that it concerns; of a managed certificate its name, of a change
        request its id."""
        if self.kind is DueKind.REQUEST:
            return self.pk.removeprefix("REQUEST#")
        managed = self.pk.removeprefix("MANAGED#")
        return managed if self.kind is DueKind.RENEW else f"{managed}/{int(self.sk.rpartition('#')[2])}"


class VersionState(StrEnum):
    """How far a version is."""

    REQUESTED = "requested"
    PREPARED = "prepared"  # allowed; its key and CSR are kept
    RECEIVED = "received"  # the issuer gave a chain, which is kept
    ISSUED = "issued"  # judged, and in one secret version with its key
    FAILED = "failed"  # with the reason, for good
    RETIRED = "retired"  # superseded, and what was made for it is removed

    @property
    def ended(self) -> bool:
        return self in (VersionState.ISSUED, VersionState.FAILED, VersionState.RETIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """One version of a managed certificate, from its request to its certificate. Nothing of it is secret.

    `order` is read by its issuer alone. `challenges` are those that may be shown somewhere: recorded before they are
    shown, forgotten after they are removed. `tokens` say how to ask whether they are visible, None before they were
    shown. `revision` is the one that was read: a write names it.
    """

    managed: str
    number: int
    request: CertificateRequest
    state: VersionState
    ask: str  # 32 hexadecimal digits of its own
    issuer: str  # name of the issuer's settings
    requested_at: datetime
    revision: int = 0
    key: str = ""  # key type
    validity_days: int = 0  # that are asked for
    csr: bytes = b""
    order: str = ""
    challenges: tuple[Challenge, ...] = ()
    tokens: tuple[str, ...] | None = None
    visible: bool = False
    chain: tuple[bytes, ...] = ()  # DER, the leaf first
    arn: str = ""
    secret: str = ""  # ARN of the secret that holds the key and the certificate
    secret_version: str = ""
    key_arn: str = ""  # of a key that KMS holds
    fingerprint: str = ""
    issued_at: datetime | None = None
    revoked_at: datetime | None = None  # its state stays what it was
    attempts: int = 0  # that ended in something worth trying again
    reason: str = ""  # why it failed, or waits
    message: str = ""  # the same in a sentence, with what to do
    covered: tuple[str, ...] = ()  # policy rules that exceptions suspended for it, as it was prepared
    due_at: datetime | None = None

    @property
    def reference(self) -> str:
        """How workflows name it: `<managed>/<number>`."""
        return f"{self.managed}/{self.number}"


class RolloutState(StrEnum):
    """How far a rollout is."""

    CHECKING = "checking"  # every target is looked at; nothing is changed yet
    RUNNING = "running"  # one target after the other is changed and proven
    RETURNING = "returning"  # a target failed; what was changed gets back what was there before
    DEPLOYED = "deployed"  # proven at every target
    REFUSED = "refused"  # nothing was changed anywhere
    RETURNED = "returned"  # what was there before is proven to serve again
    FAILED = "failed"  # a target could not be changed back, or that is not proven

    @property
    def ended(self) -> bool:
        return self not in (RolloutState.CHECKING, RolloutState.RUNNING, RolloutState.RETURNING)


class TargetState(StrEnum):
    """How far a target is in a rollout. From ACTIVATING on it may have been changed."""

    WAITING = "waiting"
    READY = "ready"  # what is there is kept, and the preflight holds
    REFUSED = "refused"  # the preflight does not hold
    ACTIVATING = "activating"  # kept before the first change
    ACTIVATED = "activated"  # AWS has taken the change
    PROVEN = "proven"
    RESTORING = "restoring"
    RESTORED = "restored"  # AWS has taken it back
    RETURNED = "returned"  # what was there before is proven to serve
    LEFT = "left"  # someone else changed it meanwhile: what they put there stays
    FAILED = "failed"  # it could not be brought back, or that is not proven

    @property
    def changed(self) -> bool:
        """Whether the target may be other than it was found, and is to be brought back where the rollout fails."""
        return self in (
            TargetState.ACTIVATING,
            TargetState.ACTIVATED,
            TargetState.PROVEN,
            TargetState.RESTORING,
            TargetState.RESTORED,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """One version being put at all targets of its managed certificate, in order. `at` is the index of the target that
    is at work. `stays`: where a target fails, those that were proven before it keep the new version."""

    managed: str
    number: int
    version: int
    count: int  # targets
    state: RolloutState
    asked_by: str  # ARN of who asked
    requested_at: datetime
    targets: str = ""  # `managed_certificate.targets_digest` of where it goes, as that was declared
    stays: bool = False
    at: int = 0
    revision: int = 0
    ended_at: datetime | None = None
    attempts: int = 0  # that ended in something worth trying again
    reason: str = ""
    message: str = ""
    due_at: datetime | None = None

    @property
    def reference(self) -> str:
        """How workflows name it: `<managed>/<number>`."""
        return f"{self.managed}/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord:
    """One target in a rollout. Nothing of it is secret. `began_at`: when what it is at began, for the deadline."""

    managed: str
    rollout: int
    index: int
    settings: TargetSettings
    state: TargetState = TargetState.WAITING
    found: Found | None = None
    seen: str = ""  # what handshakes showed before anything was changed, for people
    began_at: datetime | None = None
    proven_at: datetime | None = None
    proof: str = ""  # id of the latest proof
    reason: str = ""
    message: str = ""
    revision: int = 0


class ManagedState(StrEnum):
    """How a managed certificate is. Each has a next step (`lifecycle`)."""

    REQUESTED = "requested"  # declared, and nothing was issued yet
    ISSUING = "issuing"  # a version is under way
    DEPLOYING = "deploying"  # a version is being put at its targets
    SERVING = "serving"  # a version is proven at every target
    DUE = "due"  # there is a reason to renew, which waits for its time: a window, or the issuer's budget
    FAILING = "failing"  # the last attempt failed; what served before serves on
    EXPIRED = "expired"  # what serves has expired
    REMOVING = "removing"  # no longer declared; its versions are retired
    RETIRED = "retired"  # the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The certificate that is proven at every target. `number` 0 is an adopted one, which Perennial did not issue."""

    number: int
    fingerprint: str
    issuer: str  # name of the issuer's settings; "" for an adopted one
    key: str
    signature: str
    not_before: datetime
    not_after: datetime
    request: CertificateRequest | None  # what it was issued for; None for an adopted one
    targets: str  # `managed_certificate.targets_digest` of where it was proven
    since: datetime
    rollout: int = 0  # the number of the one that proved it
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the CA says of the time to renew (RFC 9773): its window, the one time in it that was drawn and is kept, and
    when it is asked again. `failed`: the last question found no answer; what was known before stays."""

    start: datetime
    end: datetime
    at: datetime
    ask_at: datetime
    failed: bool = False
    explanation: str = ""  # URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who was told last that a renewal does not succeed (`alerting`): the step of the ladder, when, who answered."""

    level: int
    at: datetime
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedRecord:
    """A managed certificate as it is kept: what is declared, what serves, and what is next. Nothing of it is secret.

    `fence` counts the leases: an execution that has an earlier number does nothing any more. `planned_at` is the time
    that is reserved for the next request in the issuer's budget. `failed` is the reference of the last version or
    rollout that failed, `attempts` how many failed in a row, `overruled` how many had when somebody forced it: the
    pause after those is not waited for, and the one after the next failure is. `retiring` are superseded versions with
    the time at which they are retired.
    """

    declared: ManagedCertificate
    state: ManagedState
    declared_at: datetime
    declared_by: str  # ARN of who asked
    step: str = ""
    reason: str = ""
    message: str = ""
    due_at: datetime | None = None
    revision: int = 0
    fence: int = 0
    serving: Serving | None = None
    advice: Advice | None = None
    ask_at: datetime | None = None  # the CA, for its advice, where there is none yet
    planned_at: datetime | None = None
    planned_for: str = ""  # the purpose of the request that is planned
    attempts: int = 0
    failed: str = ""
    failed_at: datetime | None = None
    failure: str = ""  # the reason, as `errors` names it
    failure_message: str = ""
    forced_at: datetime | None = None
    forced_by: str = ""
    overruled: int = 0
    urgent: bool = False  # and waits for no window, and for no pause after a failure
    suspect: str = ""  # a place that no longer shows what serves
    retiring: tuple[tuple[int, datetime], ...] = ()
    removing: tuple[int, ...] = ()  # of these, those whose removal has begun and is in the audit trail
    told: Told | None = None
    removed_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.declared.name
