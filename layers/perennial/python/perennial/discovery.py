"""Discovery: plan the scopes, scan one, collect the run.

A scan reads what is in one scope now, compares it with the scope's manifest, applies the difference to the inventory
and puts the new manifest last. Interrupted anywhere and run again, it ends the same; what was read is not read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from perennial import errors, suspicion
from perennial.assessment import rules
from perennial.certificate import Certificate
from perennial.clients import Clients, meaning, meant
from perennial.deployment import Deployment
from perennial.inventory.records import RunRecord, ScopeRecord, ScopeStatus
from perennial.manifest import Role, Scope, Seen, Sighting, begun, difference
from perennial.scanners import scanner, scanners, sources
from perennial.scanners.interface import GLOBAL, Reading, Scanner

AT_ONCE = 16  # accounts asked for their regions
BATCH = 200  # certificates kept at once
MAX_SCOPES = 50_000  # of one Distributed Map: the outputs of all its children, "{}" each, must fit into 256 KB


@meant("discovery: plan")
def plan(deployment: Deployment, *, run: str, scopes: Sequence[str] | None, now: datetime) -> dict[str, Any]:
    """Decide what a run scans, and put it where the workflow's map reads it.

    Raises: InvalidInput for a scope that cannot be; Throttled, Unavailable; AccessDenied when the organization may not
    be listed.
    """
    try:
        planned = [_valid(key) for key in dict.fromkeys(scopes)] if scopes else list(_everything(deployment))
    except (ClientError, BotoCoreError) as error:
        raise meaning(error, _doing("plan", error)) from error
    if len(planned) > MAX_SCOPES:
        raise errors.InvalidConfiguration(
            f"{len(planned)} scopes are more than the {MAX_SCOPES} of one run; list fewer regions or accounts"
        )
    key = deployment.manifests.save_plan(run, [scope.key for scope in planned])
    record = RunRecord(run=run, started_at=now, completed_at=None, scopes=len(planned), incomplete=0)
    deployment.inventory.ran(record)
    return {
        "run": run,
        "started_at": now.isoformat(),
        "bucket": deployment.manifests.bucket,
        "key": key,
        "scopes": len(planned),
        "full": not scopes,
    }


def _valid(key: str) -> Scope:
    scope = Scope.of(key)
    scanner(scope.source)
    return scope


def _everything(deployment: Deployment) -> Iterator[Scope]:
    settings = deployment.settings.discovery
    wanted = {name: scanner(name) for name in settings.sources or sources()}
    listed = accounts(deployment)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        regions = pool.map(lambda account: settings.regions or _regions(deployment, account), listed)
        for account, enabled in zip(listed, regions, strict=True):
            yield from scopes_of(account, enabled, wanted, account == deployment.account)


def scopes_of(account: str, regions: Sequence[str], wanted: Mapping[str, Scanner], is_hub: bool) -> Iterator[Scope]:
    """The scopes of one account: each regional source in each region, each global one once."""
    for name, each in wanted.items():
        if each.everywhere:
            yield from (Scope(account, region, name) for region in regions)
        elif is_hub or not each.hub_only:
            yield Scope(account, GLOBAL, name)


def accounts(deployment: Deployment) -> list[str]:
    """The accounts to scan, the hub's own first."""
    settings = deployment.settings.discovery
    listed: Iterable[str] = settings.accounts or (deployment.account,)
    if settings.organization:
        pages = deployment.clients("organizations").get_paginator("list_accounts").paginate()
        listed = [each["Id"] for page in pages for each in page["Accounts"] if _active(each)]
    return sorted(set(listed), key=lambda account: (account != deployment.account, account))


def _active(account: Mapping[str, Any]) -> bool:
    """`Status` is what `State` was called until 2026-09, when AWS retired it."""
    return bool(account.get("State", account.get("Status")) == "ACTIVE")


def _regions(deployment: Deployment, account: str) -> tuple[str, ...]:
    """The account's enabled regions. Where it does not let us look, the hub's and those that were scanned before: each
    scope then tells its own reason, and none is taken for one that was given up."""
    try:
        return _enabled(deployment.clients_of(account, deployment.settings.discovery.role_name))
    except ClientError as error:
        if not isinstance(meaning(error, "regions"), errors.AccessDenied):
            raise
    before = {each.scope.region for each in deployment.inventory.scopes() if each.scope.account == account}
    return tuple(sorted({*_enabled(deployment.clients), *before} - {GLOBAL}))


def _enabled(clients: Clients) -> tuple[str, ...]:
    return tuple(sorted(each["RegionName"] for each in clients("ec2").describe_regions()["Regions"]))


@dataclass
class _Scan:
    """What one scan begins with, and what it has read so far."""

    before: Mapping[str, Sighting] = field(default_factory=dict)
    unsure: list[Sighting] = field(default_factory=list)  # what interrupted scans had begun to apply
    seen: dict[str, Sighting] = field(default_factory=dict)
    fresh: list[Certificate] = field(default_factory=list)
    read: int = 0


class _OutOfTime(Exception):
    """The function's time ends; what was read is kept and the workflow goes on."""


@meant("discovery: scan")
def scan_scope(deployment: Deployment, *, run: str, scope: Scope, now: datetime, deadline: datetime) -> dict[str, Any]:
    """Scan one scope once.

    Raises: the retryable errors (`errors.RETRYABLE`), for the workflow to try again. A final one is recorded: the scope
    is incomplete with that reason, and its sightings stay as they were.
    """
    scan = _Scan()
    try:
        changes = _scan(deployment, scope, scan, now, deadline)
    except _OutOfTime:
        _pause(deployment, scope, scan, now)
        return _result(scope, ScopeStatus.CONTINUE, None, 0)
    except (ClientError, BotoCoreError) as error:
        if scan.read:
            _pause(deployment, scope, scan, now)
        found = meaning(error, _doing(scope.source, error))
        if found.retry:
            raise found from error
        return _incomplete(deployment, run, scope, found.reason, str(found), now)
    record = ScopeRecord(
        scope=scope,
        status=ScopeStatus.COMPLETE,
        reason=None,
        message=None,
        attempted_at=now,
        completed_at=now,
        sightings=len(scan.seen),
        run=run,
        rules=_judge_anew(deployment, scope, scan, now),
    )
    deployment.inventory.scanned(record)
    return _result(scope, ScopeStatus.COMPLETE, None, changes)


def _judge_anew(deployment: Deployment, scope: Scope, scan: _Scan, now: datetime) -> str:
    """Where the rules are others than at the scope's last complete scan, everything that it holds becomes due for
    assessment, changed or not. Returns the mark of the present rules."""
    from perennial.checks import CHECKS

    mark = rules(CHECKS, deployment.settings)
    last = next(iter(deployment.inventory.scopes_named([scope.key])), None)
    if last is not None and last.rules not in (None, mark):
        held = {each.location for each in scan.seen.values() if each.role is not Role.ATTACHED}
        deployment.inventory.assess_soon(sorted(held), now)
    return mark


def _scan(deployment: Deployment, scope: Scope, scan: _Scan, now: datetime, deadline: datetime) -> int:
    """Read, compare, apply, and put the manifest. Returns the number of changes."""
    scan.before, etag = deployment.manifests.load(scope)
    scan.unsure = deployment.manifests.load_partial(scope)
    known = {**scan.before, **{each.location: each for each in scan.unsure}}
    for seen in scanner(scope.source).scan(_reading(deployment, scope, known, now)):
        _take(deployment, scan, seen, now)
        if scan.read and deployment.clock() >= deadline:
            raise _OutOfTime
    _keep(deployment, scan, now)
    change = difference(scan.before, scan.seen, scan.unsure)
    begun_as = None
    if change:  # as it is wherever something is unsure
        scan.unsure = begun(scan.unsure, change.touched)
        begun_as = deployment.manifests.save_partial(scope, scan.unsure, now)
        deployment.inventory.apply(scope, change, now)
        suspicion.raise_for(deployment, suspicion.vanished(change), now)
    if change or etag is None:
        _save(deployment, scope, scan, now, etag)
    if change:
        deployment.manifests.drop_partial(scope, begun_as)
    return len(change.added) + len(change.changed) + len(change.gone)


def _save(deployment: Deployment, scope: Scope, scan: _Scan, now: datetime, etag: str | None) -> None:
    """Put the manifest. Where another scan did so meanwhile, the table may hold what this one wrote over it, and that
    one has forgotten what both had begun: it is remembered again, for the next try to correct.

    Raises: ConcurrentChange.
    """
    try:
        deployment.manifests.save(scope, scan.seen.values(), now, etag)
    except errors.ConcurrentChange:
        theirs = deployment.manifests.load_partial(scope)
        deployment.manifests.save_partial(scope, begun(theirs, scan.unsure), now)
        raise


def _pause(deployment: Deployment, scope: Scope, scan: _Scan, now: datetime) -> None:
    """Keep what was read for the next try: the certificates, and the sightings that the last manifest does not have."""
    _keep(deployment, scan, now)
    read = (each for location, each in scan.seen.items() if scan.before.get(location) != each)
    deployment.manifests.save_partial(scope, begun(scan.unsure, read), now)


def _take(deployment: Deployment, scan: _Scan, seen: Seen, now: datetime) -> None:
    scan.seen[seen.sighting.location] = seen.sighting
    if seen.certificate is not None:
        scan.fresh += (seen.certificate, *seen.chain)
        scan.read += 1
    if len(scan.fresh) >= BATCH:
        _keep(deployment, scan, now)


def _keep(deployment: Deployment, scan: _Scan, now: datetime) -> None:
    """Certificates are kept before any sighting that names them is."""
    unique = {each.fingerprint: each for each in scan.fresh}
    deployment.inventory.keep(unique.values(), now)
    scan.fresh.clear()


def _reading(deployment: Deployment, scope: Scope, known: Mapping[str, Sighting], now: datetime) -> Reading:
    settings = deployment.settings.discovery
    clients = deployment.clients_of(scope.account, settings.role_name)
    clients = clients.at_home() if scope.region == GLOBAL else clients.at(scope.region)
    return Reading(
        scope=scope,
        client=clients,
        known=known,
        full=True,
        settings=settings,
        tags=lru_cache(maxsize=None)(partial(tags_of, clients)),
        now=now,
    )


def tags_of(clients: Clients, resource_type: str) -> Mapping[str, Mapping[str, str]]:
    """ARN → tags of every tagged resource of a type, a hundred a call (Resource Groups Tagging API).

    {} for a type that the API does not know: such resources have no tags to tell. A denial is raised, and makes the
    scope incomplete: without tags every owner would change to nobody, and everybody would be told so.
    Raises: ClientError.
    """
    pages = clients("resourcegroupstaggingapi").get_paginator("get_resources")
    listed = pages.paginate(ResourceTypeFilters=[resource_type], PaginationConfig={"PageSize": 100})
    try:
        return {
            each["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
            for page in listed
            for each in page["ResourceTagMappingList"]
        }
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidParameterException":
            raise
        return {}


@meant("discovery: abandon")
def abandon(
    deployment: Deployment, *, run: str, scope: Scope, error: Mapping[str, str], now: datetime
) -> dict[str, Any]:
    """Record a scope whose scan the workflow gave up, with the reason that the last try gave."""
    name = error.get("Error", "")
    reasons = {each.__name__: each.reason for each in (*errors.RETRYABLE, *errors.FINAL)}
    return _incomplete(deployment, run, scope, reasons.get(name, "failed"), _cause(name, error.get("Cause", "")), now)


def _cause(name: str, cause: str) -> str:
    """The message of a Lambda failure, without its stack."""
    try:
        decoded = json.loads(cause)
    except ValueError:
        decoded = {}
    message = decoded.get("errorMessage", cause) if isinstance(decoded, dict) else cause
    return f"{name}: {message}"[:500]


def _incomplete(
    deployment: Deployment, run: str, scope: Scope, reason: str, message: str, now: datetime
) -> dict[str, Any]:
    record = ScopeRecord(
        scope=scope,
        status=ScopeStatus.INCOMPLETE,
        reason=reason,
        message=message[:500],
        attempted_at=now,
        completed_at=None,
        sightings=0,
        run=run,
    )
    deployment.inventory.scanned(record)
    return _result(scope, ScopeStatus.INCOMPLETE, reason, 0)


def _result(scope: Scope, status: ScopeStatus, reason: str | None, changes: int) -> dict[str, Any]:
    return {"scope": scope.key, "status": str(status), "reason": reason, "changes": changes}


@meant("discovery: collect")
def collect(
    deployment: Deployment, *, run: str, started_at: datetime, now: datetime, full: bool = False
) -> dict[str, Any]:
    """How a run ended: what was planned, and how many of its scopes were scanned to the end since it began, be it by a
    run beside it that an event started. A scope that left no word is incomplete.

    After a full run, scopes that are no longer planned (a closed account, a region or source taken out of the
    configuration) are retired: what they held is gone, so that its findings end.
    """
    planned = deployment.manifests.load_plan(run)
    if full and planned:
        for each in deployment.inventory.scopes():
            if each.sightings and each.scope.key not in planned:
                _retire(deployment, run, each.scope, now)
    since = started_at.replace(microsecond=0)  # as times are kept
    records = deployment.inventory.scopes_named(planned)
    complete = sum(1 for each in records if each.status is ScopeStatus.COMPLETE and each.attempted_at >= since)
    incomplete = len(planned) - complete
    deployment.inventory.ran(
        RunRecord(run=run, started_at=started_at, completed_at=now, scopes=len(planned), incomplete=incomplete)
    )
    return {"run": run, "scopes": len(planned), "complete": complete, "incomplete": incomplete}


def _retire(deployment: Deployment, run: str, scope: Scope, now: datetime) -> None:
    before, etag = deployment.manifests.load(scope)
    deployment.inventory.apply(scope, difference(before, {}, deployment.manifests.load_partial(scope)), now)
    deployment.manifests.save(scope, (), now, etag)
    record = ScopeRecord(
        scope=scope,
        status=ScopeStatus.COMPLETE,
        reason="retired",
        message="no longer part of what Discovery is configured to scan",
        attempted_at=now,
        completed_at=now,
        sightings=0,
        run=run,
    )
    deployment.inventory.scanned(record)


def _doing(source: str, error: ClientError | BotoCoreError) -> str:
    """The call that failed, as IAM would name it."""
    return f"{source}: {error.operation_name}" if isinstance(error, ClientError) else source


__all__ = ["abandon", "accounts", "collect", "plan", "scan_scope", "scanners", "scopes_of", "tags_of"]
