"""What is due now, and what an event makes due.

An event only marks its scope as due: a storm of calls in one scope is one scan. The tick starts what is due under a
name made of the due entries, so that a tick that runs twice starts it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from perennial import approvals
from perennial.clients import meant
from perennial.deployment import Deployment
from perennial.errors import NotFound
from perennial.inventory.records import Due, DueKind, ManagedState
from perennial.issuance_step import SILENCE
from perennial.manifest import Scope
from perennial.scanners.interface import GLOBAL
from perennial.settings import ACCOUNT, REGION

SETTLING = timedelta(seconds=30)  # calls come in groups; the scan waits for the rest
AT_ONCE = 500
LEASE = timedelta(minutes=30)  # of a step of a managed certificate
WORKFLOWS = {  # what starts one: where its ARN stands, and what its input calls what is due
    DueKind.ISSUE: ("PERENNIAL_ISSUANCE_ARN", "version"),
    DueKind.DEPLOY: ("PERENNIAL_ROLLOUT_ARN", "rollout"),
}

# CloudTrail event source -> source of discovery -> the calls that create, import, attach or detach certificates.
CALLS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "acm.amazonaws.com": {
        "acm": (
            "AddTagsToCertificate",
            "DeleteCertificate",
            "ImportCertificate",
            "RemoveTagsFromCertificate",
            "RenewCertificate",
            "RequestCertificate",
            "RevokeCertificate",
        )
    },
    "acm-pca.amazonaws.com": {
        "acm_pca": (
            "CreateCertificateAuthority",
            "DeleteCertificateAuthority",
            "ImportCertificateAuthorityCertificate",
            "RestoreCertificateAuthority",
            "UpdateCertificateAuthority",
        )
    },
    "iam.amazonaws.com": {"iam": ("DeleteServerCertificate", "UpdateServerCertificate", "UploadServerCertificate")},
    "elasticloadbalancing.amazonaws.com": {
        "elbv2": (
            "AddListenerCertificates",
            "CreateListener",
            "DeleteListener",
            "DeleteLoadBalancer",
            "ModifyListener",
            "RemoveListenerCertificates",
        ),
        "elb": (
            "CreateLoadBalancer",
            "CreateLoadBalancerListeners",
            "DeleteLoadBalancer",
            "DeleteLoadBalancerListeners",
            "SetLoadBalancerListenerSSLCertificate",
            "SetLoadBalancerPoliciesOfListener",
        ),
        "trust_stores": ("AddTrustStoreRevocations", "CreateTrustStore", "DeleteTrustStore", "ModifyTrustStore"),
    },
    "cloudfront.amazonaws.com": {
        "cloudfront": (
            "CopyDistribution",
            "CreateDistribution",
            "CreateDistributionTenant",
            "CreateDistributionWithTags",
            "DeleteDistribution",
            "DeleteDistributionTenant",
            "UpdateDistribution",
            "UpdateDistributionTenant",
            "UpdateDistributionWithStagingConfig",
        ),
        "trust_stores": ("CreateTrustStore", "DeleteTrustStore", "UpdateTrustStore"),
    },
    "apigateway.amazonaws.com": {"apigateway": ("CreateDomainName", "DeleteDomainName", "UpdateDomainName")},
    "secretsmanager.amazonaws.com": {
        "secretsmanager": (
            "CreateSecret",
            "DeleteSecret",
            "PutSecretValue",
            "RestoreSecret",
            "RotateSecret",
            "TagResource",
            "UntagResource",
            "UpdateSecret",
            "UpdateSecretVersionStage",
        )
    },
    "rolesanywhere.amazonaws.com": {
        "trust_stores": ("CreateTrustAnchor", "DeleteTrustAnchor", "UpdateTrustAnchor"),
    },
}
_GLOBAL = frozenset({"iam", "cloudfront"})  # sources scanned once an account


@meant("dispatch: receive")
def receive(deployment: Deployment, event: Mapping[str, Any], now: datetime) -> dict[str, list[str]]:
    """Make the scopes that an event concerns due for a scan, as far as Discovery is to look there. Returns
    {"scopes": [...]}, [] for what concerns none."""
    settings = deployment.settings.discovery
    scopes = [
        scope
        for scope in concerned(event)
        if (not settings.sources or scope.source in settings.sources)
        and (not settings.regions or scope.region in (GLOBAL, *settings.regions))
    ]
    for scope in scopes:
        deployment.inventory.scan_soon(scope, now + SETTLING)
    return {"scopes": [scope.key for scope in scopes]}


def concerned(event: Mapping[str, Any]) -> list[Scope]:
    """The scopes that an EventBridge event concerns. Pure. An event comes from outside: what does not fit is none."""
    account, region = str(event.get("account", "")), str(event.get("region", ""))
    detail = event.get("detail")
    if not ACCOUNT.fullmatch(account) or not REGION.fullmatch(region) or not isinstance(detail, Mapping):
        return []
    if event.get("source") == "aws.acm" and event.get("detail-type") != "AWS API Call via CloudTrail":
        return [Scope(account, region, "acm")]
    if detail.get("errorCode"):
        return []  # the call failed and changed nothing
    calls = CALLS.get(str(detail.get("eventSource")), {})
    named = str(detail.get("eventName"))
    return [
        Scope(account, GLOBAL if source in _GLOBAL else region, source)
        for source, names in calls.items()
        if named in names
    ]


@meant("dispatch: tick")
def tick(deployment: Deployment, now: datetime) -> dict[str, list[str]]:
    """Start what is due. Returns {"started": [execution name]}."""
    started = []
    scans = list(deployment.inventory.due(DueKind.SCAN, now, AT_ONCE))
    if scans:
        started.append(_start_discovery(deployment, scans))
    if _to_assess(deployment, now) and not _running(deployment):
        machine = deployment.named("PERENNIAL_ASSESSMENT_ARN")
        started.append(_start(deployment, machine, f"assess-{now:%Y%m%dT%H%M}", {}))
    for due in deployment.inventory.due(DueKind.RENEW, now, AT_ONCE):
        started += _start_renewal(deployment, due, now)
    for kind in WORKFLOWS:
        for due in deployment.inventory.due(kind, now, AT_ONCE):
            started += _start_workflow(deployment, due, now)
    for due in deployment.inventory.due(DueKind.REQUEST, now, AT_ONCE):
        started += _start_approval(deployment, due, now)
    return {"started": started}


def _start_approval(deployment: Deployment, due: Due, now: datetime) -> list[str]:
    """Start the workflow of a change request, or start it again where it died, or where nothing could wake it. It is
    looked at again after a while, in case that it dies before its first step."""
    try:
        request = deployment.inventory.change_request(due.reference)
    except NotFound:  # forgotten, and the index is late
        return []
    step = approvals.step(request, now)
    if step.next == "ended":
        return []
    name = _named(due.kind, f"{due.reference}#{due.due_at}")
    machine = deployment.named("PERENNIAL_APPROVAL_ARN")
    _start(deployment, machine, name, {"request": request.id, "step": step.document()})
    deployment.inventory.started(due, now + SILENCE)
    return [name]


def _start_renewal(deployment: Deployment, due: Due, now: datetime) -> list[str]:
    """Lease what is next for a managed certificate, and start its workflow under the name of the lease. One that dies
    in between is due again when the lease ends."""
    fence = deployment.inventory.lease_managed(due, now + LEASE)
    if fence is None:
        return []
    name = _named(DueKind.RENEW, f"{due.reference}#{fence}")
    machine = deployment.named("PERENNIAL_RENEWAL_ARN")
    return [_start(deployment, machine, name, {"managed": due.reference, "fence": fence})]


def _kept_by_lifecycle(deployment: Deployment, due: Due, now: datetime) -> bool:
    """Whether the version or rollout belongs to a certificate that is declared: its workflow Renewal goes on with it,
    which is woken where it would not look soon."""
    managed = deployment.inventory.find_managed(due.reference.rpartition("/")[0])
    if managed is None or managed.state is ManagedState.RETIRED:
        return False
    if managed.due_at is None or managed.due_at > now + 2 * LEASE:
        deployment.inventory.wake_managed(managed.name, now)
    return True


def _named(kind: DueKind, what: str) -> str:
    return f"{kind}-" + hashlib.sha256(what.encode()).hexdigest()[:40]


def _start_workflow(deployment: Deployment, due: Due, now: datetime) -> list[str]:
    """Start the workflow of a version or a rollout, or start it again where it died. It is looked at again after a
    while, in case that the workflow dies before its first step."""
    if _kept_by_lifecycle(deployment, due, now):
        return []
    machine, concerns = WORKFLOWS[due.kind]
    name = _named(due.kind, f"{due.reference}#{due.due_at}")
    _start(deployment, deployment.named(machine), name, {concerns: due.reference})
    deployment.inventory.started(due, now + SILENCE)
    return [name]


def _start_discovery(deployment: Deployment, scans: list[Due]) -> str:
    name = "event-" + hashlib.sha256("".join(sorted(each.sk + each.due_at for each in scans)).encode()).hexdigest()[:40]
    machine = deployment.named("PERENNIAL_DISCOVERY_ARN")
    _start(deployment, machine, name, {"scopes": [each.sk for each in scans]})
    for each in scans:
        deployment.inventory.scan_started(each)
    return name


def _to_assess(deployment: Deployment, now: datetime) -> bool:
    """Whether a place, a finding or an exception is due."""
    if _anything(deployment, (DueKind.ASSESS, DueKind.PUBLISH), now):
        return True
    return next(deployment.inventory.exceptions_due(now, 1), None) is not None


def _anything(deployment: Deployment, kinds: Iterable[DueKind], now: datetime) -> bool:
    return any(next(iter(deployment.inventory.due(kind, now, 1)), None) is not None for kind in kinds)


def _running(deployment: Deployment) -> bool:
    """Whether an assessment is under way; it goes on until nothing is due."""
    machine = deployment.named("PERENNIAL_ASSESSMENT_ARN")
    reply = deployment.clients("stepfunctions").list_executions(
        stateMachineArn=machine, statusFilter="RUNNING", maxResults=1
    )
    return bool(reply["executions"])


def _start(deployment: Deployment, machine: str, name: str, payload: Mapping[str, Any]) -> str:
    """Start an execution; one that has this name already is the same one."""
    try:
        deployment.clients("stepfunctions").start_execution(
            stateMachineArn=machine, name=name, input=json.dumps(payload)
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
    return name
