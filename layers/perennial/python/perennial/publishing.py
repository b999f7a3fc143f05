"""Assess the places that are due, and publish the findings that changed.

Both take what the due index tells, work through it until their time ends, and say whether something remains: the
workflow calls again. Interrupted anywhere, what was not settled is still due.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from perennial import assessment, events, exception_serving, ownership, security_hub, suppression
from perennial.certificate import Certificate
from perennial.checks.interface import Severity, Subject
from perennial.clients import meaning, meant
from perennial.deployment import Deployment
from perennial.errors import PerennialError
from perennial.findings import REFRESH, Finding, FindingsDifference, State, difference
from perennial.inventory.records import DueKind, OutgoingFinding, PlaceRecord, SightingRecord
from perennial.manifest import Scope
from perennial.scanners.interface import GLOBAL
from perennial.suppression import NOTHING, Suspensions

ASSESSED_AT_ONCE = 400
PUBLISHED_AT_ONCE = 500
WORKERS = 8
WITH_KEY = 100  # certificates with one key that are read, gone ones too
SAME_KEY = 4  # certificates with the same key that are looked at; a finding names three
LEASE = timedelta(minutes=15)  # longer than the publishing function runs
FORGET = timedelta(days=90)  # a resolved finding leaves the table
FINDINGS_ROLE = "PerennialFindings"
MAX_LINES = 200  # findings in one message to people
MAX_MESSAGE = 250_000  # bytes; SNS takes 262,144


@meant("assessment: assess")
def assess_due(deployment: Deployment, *, shard: int, now: datetime, deadline: datetime) -> dict[str, Any]:
    """Assess the due places of one shard of the due index. Returns {"assessed": n, "remaining": bool}."""
    assessed = 0
    while deployment.clock() < deadline:
        due = list(deployment.inventory.due(DueKind.ASSESS, now, ASSESSED_AT_ONCE, shard))
        if not due:
            return {"assessed": assessed, "remaining": False}
        assessed += _assess(deployment, [each.pk.removeprefix("PLACE#") for each in due], now)
    return {"assessed": assessed, "remaining": True}


def _assess(deployment: Deployment, places: Sequence[str], now: datetime) -> int:
    """Assess a batch of places. What is suspended is read once for all of them."""
    inventory = deployment.inventory
    suspended = suppression.suspensions(deployment.active_exceptions(), now, inventory.fingerprints_of)
    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(lambda place: assess_place(deployment, place, now, suspended), places))


def assess_place(deployment: Deployment, place: str, now: datetime, suspended: Suspensions = NOTHING) -> int:
    """Assess one place as it is now, write what changed, and when to look again. Returns 1."""
    from perennial.checks import CHECKS

    inventory = deployment.inventory
    record = inventory.place(place)
    subject = _subject(deployment, record)
    if subject is None:
        change = difference(record.findings, (), now)
        inventory.settle(record, change, None, now)
        _wake_same_key(deployment, _same_key_as_before(deployment, record), change, now)
        return 1
    verdicts = suppression.suppressed(assessment.assess(subject, CHECKS, now), subject.certificate, suspended)
    change = difference(record.findings, verdicts, now)
    times = (assessment.again(subject, CHECKS, now), suppression.until(verdicts))
    inventory.settle(record, change, min((each for each in times if each), default=None), now)
    _wake_same_key(deployment, subject.same_key, change, now)
    return 1


def _subject(deployment: Deployment, record: PlaceRecord) -> Subject | None:
    """What the checks are shown; None where nothing is held any more."""
    held = record.held
    if held is None or held.gone_at is not None:
        return None
    known = deployment.inventory.certificate_and_owner(held.sighting.fingerprint) if held.sighting.fingerprint else None
    certificate = known[0] if known else None
    owner = ownership.owner(
        deployment.settings.ownership, certificate, (held.scope, held.sighting), _pairs(record.attached)
    )
    if known and certificate and certificate.fingerprint and owner != known[1]:
        deployment.inventory.own(certificate.fingerprint, owner, record.place)
    return Subject(
        scope=held.scope,
        sighting=held.sighting,
        certificate=certificate,
        attached=_pairs(record.attached),
        owner=owner,
        same_key=_same_key(deployment, certificate),
        public=assessment.public(held.sighting),
        organisation=deployment.settings.checks,
    )


def _pairs(records: Sequence[SightingRecord]) -> tuple[Any, ...]:
    return tuple((each.scope, each.sighting) for each in records)


def _same_key(deployment: Deployment, certificate: Certificate | None) -> tuple[str, ...]:
    if certificate is None or certificate.public_key_sha256 is None:
        return ()
    listed = deployment.inventory.with_public_key(certificate.public_key_sha256, WITH_KEY)
    others = (each.fingerprint for each in listed if each.gone_at is None)
    return tuple(islice((each for each in others if each != certificate.fingerprint), SAME_KEY))


def _same_key_as_before(deployment: Deployment, record: PlaceRecord) -> tuple[str, ...]:
    """The certificates with the key of the one that is no longer at a place."""
    fingerprint = record.held.sighting.fingerprint if record.held else None
    known = deployment.inventory.certificate_and_owner(fingerprint) if fingerprint else None
    return _same_key(deployment, known[0] if known else None)


def _wake_same_key(deployment: Deployment, same_key: Sequence[str], change: FindingsDifference, now: datetime) -> None:
    """A key that turns out to be used twice concerns the other certificate's places too."""
    if any(each.check.startswith("keys.") and "reused" in each.check for each in change.findings):
        for fingerprint in same_key:
            deployment.inventory.assess_soon(deployment.inventory.places_of(fingerprint), now)


@meant("assessment: publish")
def publish_due(deployment: Deployment, *, now: datetime, deadline: datetime) -> dict[str, Any]:
    """Serve the exceptions that are due, then publish the findings that are. Returns {"published": n, "failed": n,
    "remaining": bool}.

    Raises: PerennialError; the trouble of an exception after the findings were published.
    """
    trouble = exception_serving.serve_due(deployment, now=now, deadline=deadline)
    result = _publish_due(deployment, now, deadline)
    if trouble:
        raise trouble
    return result


def _publish_due(deployment: Deployment, now: datetime, deadline: datetime) -> dict[str, Any]:
    published = failed = 0
    while deployment.clock() < deadline:
        batch = list(_outgoing(deployment, now))
        if not batch:
            return {"published": published, "failed": failed, "remaining": False}
        errors = _to_security_hub(deployment, batch, now) if deployment.settings.findings.security_hub else {}
        untold = [each.finding for each in batch if not each.told]
        try:
            _tell(deployment, untold)
        except PerennialError:
            for each in batch:
                deployment.inventory.release(each, now)
            raise
        deployment.inventory.told(untold)
        for each in batch:
            _settle(deployment, each, errors.get(each.finding.id), now)
        failed += len(errors)
        published += len(batch) - len(errors)
    return {"published": published, "failed": failed, "remaining": True}


def _outgoing(deployment: Deployment, now: datetime) -> Iterator[OutgoingFinding]:
    """What is due, leased: Discovery and Assessment may publish at the same time, and people are told once."""
    for due in deployment.inventory.due(DueKind.PUBLISH, now, PUBLISHED_AT_ONCE):
        found = deployment.inventory.lease(due, deployment.clock() + LEASE)
        if found is not None:
            yield found


def _settle(deployment: Deployment, each: OutgoingFinding, error: str | None, now: datetime) -> None:
    if error is not None:
        again = now + min(timedelta(minutes=1) * 2**each.attempts, timedelta(hours=6))
        deployment.inventory.not_published(each, again, error)
        return
    holds = each.finding.state is not State.RESOLVED
    forget = None if holds else int((now + FORGET).timestamp())
    shown = each.hidden and each.finding.state is not State.SUPPRESSED and deployment.settings.findings.security_hub
    deployment.inventory.published(each, now + REFRESH if holds else None, forget, shown=shown)


def _to_security_hub(deployment: Deployment, batch: Sequence[OutgoingFinding], now: datetime) -> dict[str, str]:
    """Import the findings, account by account and region by region. Returns finding id → error."""
    failed: dict[str, str] = {}
    for (account, region), group in groupby(
        sorted(batch, key=lambda each: _destination(deployment, each.finding.scope)),
        key=lambda each: _destination(deployment, each.finding.scope),
    ):
        members = list(group)
        try:
            failed |= _import(deployment, account, region, members, now)
        except (ClientError, BotoCoreError) as error:
            reason = meaning(error, f"security_hub in {account} {region}")
            failed |= {each.finding.id: str(reason) for each in members}
    return failed


def _destination(deployment: Deployment, scope: Scope) -> tuple[str, str]:
    region = deployment.clients.region or "us-east-1"
    return scope.account, region if scope.region == GLOBAL else scope.region


def _import(
    deployment: Deployment, account: str, region: str, batch: Sequence[OutgoingFinding], now: datetime
) -> dict[str, str]:
    """Import findings of one account and region, then tell which of them are suppressed, or are so no more."""
    clients = deployment.clients_of(account, FINDINGS_ROLE).at(region)
    partition = clients.session.get_partition_for_region(region)
    documents = {
        each.finding.id: security_hub.asff(each.finding, partition=partition, region=region, now=now) for each in batch
    }
    client = clients("securityhub")
    errors = security_hub.send(client, list(documents.values()))
    workflow = [
        (documents[each.finding.id], words)
        for each in batch
        if documents[each.finding.id]["Id"] not in errors
        and (words := security_hub.workflow(each.finding, hidden=each.hidden))
    ]
    errors |= security_hub.tell_workflow(client, workflow)
    return {each: errors[document["Id"]] for each, document in documents.items() if document["Id"] in errors}


def _tell(deployment: Deployment, findings: Sequence[Finding]) -> None:
    """Tell the event bus of every change, and people of those that are severe enough and not suspended.

    Raises: PerennialError; nothing is marked as told, so the whole is tried again.
    """
    if not findings:
        return
    try:
        events.send(deployment.clients("events"), deployment.named("PERENNIAL_BUS_NAME"), findings)
        least = Severity(deployment.settings.findings.notify_from).rank
        severe = [each for each in findings if each.severity.rank <= least and not each.exception]
        if severe:
            subject, text = message(severe)
            topic = deployment.named("PERENNIAL_TOPIC_ARN")
            deployment.clients("sns").publish(TopicArn=topic, Subject=subject, Message=text)
    except (ClientError, BotoCoreError) as error:
        raise _told_failed(error) from error


def _told_failed(error: ClientError | BotoCoreError) -> PerennialError:
    return meaning(error, "telling of findings")


def message(findings: Sequence[Finding]) -> tuple[str, str]:
    """One message for people: a subject of at most 100 characters (SNS) and a line or two for each finding."""
    opened = sum(1 for each in findings if each.state is State.OPEN)
    counts = ", ".join(
        text
        for text in (
            f"{opened} open" if opened else "",
            f"{len(findings) - opened} resolved" if len(findings) > opened else "",
        )
        if text
    )
    worst = assessment.worst_first(findings)
    lines = [line for each in worst[:MAX_LINES] for line in _lines(each)]
    if len(worst) > MAX_LINES:
        lines.append(f"and {len(worst) - MAX_LINES} more: perennial findings")
    text = "\n".join(lines).encode("utf-8", "replace")[:MAX_MESSAGE].decode("utf-8", "ignore")
    return f"Perennial: certificate findings: {counts}"[:100], text


def _lines(finding: Finding) -> tuple[str, ...]:
    state = "" if finding.state is State.OPEN else "RESOLVED "
    owner = f" · owner {finding.owner}" if finding.owner else ""
    return (
        f"{state}{finding.severity.upper()} {finding.subject}: {finding.title}",
        f"  {finding.detail}",
        f"  {finding.scope.account} {finding.scope.region} {finding.resource}{owner}",
        *(() if state else (f"  → {finding.remediation}",)),
    )


__all__ = ["assess_due", "assess_place", "message", "publish_due"]
