"""A deployed hub with people: a CA of ACM PCA issues for the team shop, a load balancer serves, and everybody asks the
deployed API, over TLS at the local cloud's edge.

people.ask("rita", "POST", "managed", {…})                 signed by the user rita, who has the grants of `USERS`
people.ask("grace", "GET", "me")                           with a token of the user pool, whose groups are of `PERSONS`
people.decide("amir", "approval", asked, digest=…)         on a request or an exception
people.approvals()                                         let the tick run; the executions of Approval that it started
people.serve("shop", 1)                                    let it run until this version of a managed certificate serves
people.command("amir", "approve", …)                       `perennial`, in a process of its own
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deployed import ACCOUNTS, HUB_ACCOUNT, MEMBER_ACCOUNT, REGION, SETTINGS, Hub, deployed_as, until
from deploying_hub import WAIT_SCALE, ZONE, DeployingHub

from example_estate import ExampleEstate
from local_cloud import people
from local_cloud.api_calls import Credentials, Reply, call
from local_cloud.cloud import SCRIPTS, Cloud
from perennial.change_request import ChangeRequest
from perennial.deployment import Deployment

OWNER = "shop"
GROUP = "shop-developers"
CONFIGURATION = """
[discovery]
accounts = {accounts}
regions = ["{region}"]

[ownership.accounts]
"{hub}" = "{owner}"

[issuers.ca]
kind = "acm_pca"
authority = {authority}

[profiles.web]
issuer = "ca"
names = [".{zone}"]
validity_days = 30

[policy]
internal_names = ["{zone}"]

[policy.owners]
{owner} = [".{zone}"]

[targets]
kinds = ["elbv2"]
accounts = ["{member}"]

[audit]
retention_days = 1

[api.groups]
{group} = ["requester@{owner}", "approver@{owner}"]

[api.people]
"arn:aws:iam::{hub}:user/grace-at-aws" = "grace@example.com"
"""
USERS = {  # of IAM: what their tag `perennial:roles` says
    "vera": "viewer@shop",
    "rita": "requester@shop",
    "rolf": "requester@shop approver@shop",
    "amir": "approver@shop",
    "otto": "operator@shop",
    "sara": "security",
    "adam": "admin",
    "aude": "auditor",
    "felix": "requester@other viewer@other",
    "grace-at-aws": "approver@shop",  # the person grace, as [api.people] says
    "nora": "",
}
PERSONS = {"grace": (GROUP,)}  # of the user pool, with their groups
ROUNDS = 8  # of the tick, until a managed certificate must be at rest

Document = Mapping[str, Any]


@dataclass
class PeopleHub:
    """The deployed hub with its API. Credentials and tokens are made when they are first used."""

    deploying: DeployingHub
    authority: str
    _keys: dict[str, Credentials] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def hub(self) -> Hub:
        return self.deploying.hub

    @property
    def cloud(self) -> Cloud:
        return self.hub.cloud

    # --- who asks ---

    def key(self, name: str) -> Credentials:
        """Credentials of a user of IAM."""
        if name not in self._keys:
            tags = {"perennial:roles": USERS[name]} if USERS[name] else {}
            self._keys[name] = people.principal(self.cloud, HUB_ACCOUNT, name, tags)
        return self._keys[name]

    def token(self, name: str) -> str:
        """A token of a person of the user pool."""
        if name not in self._tokens:
            self._tokens[name] = people.token(self.cloud, f"{name}@example.com", PERSONS[name])
        return self._tokens[name]

    @property
    def used_tokens(self) -> list[str]:
        """The tokens of persons that were made so far."""
        return list(self._tokens.values())

    # --- the API ---

    def url(self, path: str, *, tokens: bool = False) -> str:
        return f"{self.hub.outputs['PeopleApiUrl' if tokens else 'ApiUrl']}{path}"

    def ask(self, who: str, method: str, path: str, content: Any = None, **more: Any) -> Reply:
        """What the API answers to somebody."""
        if who in PERSONS:
            return call(self.cloud, method, self.url(path, tokens=True), token=self.token(who), content=content, **more)
        return call(self.cloud, method, self.url(path), credentials=self.key(who), content=content, **more)

    def told(self, who: str, method: str, path: str, content: Any = None, *, status: int = 200, **more: Any) -> Any:
        """The document of an answer that has this status."""
        reply = self.ask(who, method, path, content, **more)
        assert reply.status == status, (reply.status, reply.body)
        return reply.json()

    def decide(
        self, who: str, what: str, asked: Document, *, status: int = 200, of: str = "requests", **said: str
    ) -> Any:
        """Decide on a request or an exception, of which someone read `asked`."""
        return self.told(who, "POST", f"{of}/{asked['id']}/{what}", said, status=status)

    def request(self, request_id: str) -> Any:
        """A change request, as the API tells it."""
        return self.told("aude", "GET", f"requests/{request_id}")

    def messages(self) -> list[str]:
        """What people were told by the topic so far."""
        return [str(each) for each in self.deploying.search.written()["queue keys-topic"]]

    def trail(self, **query: str) -> list[Document]:
        """Events of the audit trail, the newest first."""
        return list(self.told("aude", "GET", "audit", query=query)["items"])

    # --- what runs by itself ---

    def started(self, prefix: str, machine: str) -> list[str]:
        """Let the tick run; the executions of a state machine that it started."""
        started = self.hub.invoke("DispatchTick", {})["started"]
        arn = self.hub.outputs[machine].replace(":stateMachine:", ":execution:")
        return [f"{arn}:{each}" for each in started if each.startswith(prefix)]

    def approvals(self) -> list[str]:
        """Let the tick run; the executions of Approval that it started."""
        return self.started("request-", "ApprovalArn")

    def told_at(self, request_id: str) -> datetime:
        """Wait until the workflow of a request waits for its callback, and the approvers were told."""
        read = self.deploying.deployment.inventory.change_request
        found: datetime = until(lambda: read(request_id).told_at, f"the approvers of {request_id} to be told")
        return found

    def ended(self, request_id: str) -> Any:
        """Wait for the end of a request; how the API tells it then."""
        read = self.deploying.deployment.inventory.change_request
        until(lambda: read(request_id).state.ended, f"the end of {request_id}")
        return self.request(request_id)

    def assess(self, done: Callable[[], bool]) -> None:
        """Assess what is due until something is so: what begins or ends makes due what the next run assesses. (The tick
        starts one assessment a minute.)"""
        start = self.hub.client("stepfunctions").start_execution
        for _ in range(ROUNDS):
            if done():
                return
            ended = self.hub.finish(
                start(stateMachineArn=self.hub.outputs["AssessmentArn"], input="{}")["executionArn"]
            )
            assert ended["status"] == "SUCCEEDED", ended
        raise AssertionError(f"it is not so after {ROUNDS} assessments")

    def serve(self, name: str, version: int) -> None:
        """Let the tick run until a version of a managed certificate serves."""
        for _ in range(ROUNDS):
            record = self.deploying.deployment.inventory.managed_certificate(name)
            if record.serving and record.serving.number == version:
                return
            for each in self.started("renew-", "RenewalArn"):
                assert self.hub.finish(each)["status"] == "SUCCEEDED"
        raise AssertionError(f"version {version} does not serve: {record}")

    def shorten(self, request_id: str, seconds: int) -> ChangeRequest:
        """A request that has been waiting for so long that its time is over in some seconds."""
        inventory, now = self.deploying.deployment.inventory, datetime.now(UTC)
        found = inventory.change_request(request_id)
        return inventory.save_change_request(
            replace(found, expires_at=now + timedelta(seconds=seconds)), now, found.state
        )

    def revoked(self) -> dict[int, str]:
        """The serial numbers that the CA has revoked, and why; it makes one such report in half an hour."""
        client, s3, bucket = self.hub.client("acm-pca"), self.hub.client("s3"), "people-audit-report"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        made = client.create_certificate_authority_audit_report(
            CertificateAuthorityArn=self.authority, S3BucketName=bucket, AuditReportResponseFormat="JSON"
        )
        named = {"CertificateAuthorityArn": self.authority, "AuditReportId": made["AuditReportId"]}
        client.get_waiter("audit_report_created").wait(**named, WaiterConfig={"Delay": 1})
        rows = json.load(s3.get_object(Bucket=bucket, Key=made["S3Key"])["Body"])
        return {
            int(each["serial"].replace(":", ""), 16): each["revocationReason"] for each in rows if "revokedAt" in each
        }

    # --- the command ---

    def command(self, who: str, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `perennial` as somebody, in a process of its own in which AWS is the local cloud. It asks the API at the
        API's own name, and so behind TLS, and not at the endpoint of all services."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PERENNIAL_"))}
        at = self.url("", tokens=who in PERSONS).removesuffix("/v1/")
        acts = {"PERENNIAL_TOKEN": self.token(who)} if who in PERSONS else self.key(who).env
        done = subprocess.run(
            [sys.executable, "-m", "local_cloud.inside", str(self.cloud.directory), "perennial", *arguments],
            cwd=SCRIPTS,
            env={**own, **self.cloud.env(HUB_ACCOUNT, REGION), **acts, "AWS_ENDPOINT_URL_EXECUTE_API": at},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done


@contextmanager
def people_hub(directory: Path) -> Iterator[PeopleHub]:
    """A local cloud of its own with a CA, a zone, and both stacks."""
    cloud = Cloud(directory)
    cloud.start(settings={**SETTINGS, "SFN_WAIT_SCALE": WAIT_SCALE})
    try:
        made = _made(cloud)
        with made.deploying.reached():
            yield made
    finally:
        cloud.stop()


def _made(cloud: Cloud) -> PeopleHub:
    authority = ExampleEstate(cloud).private_authority(HUB_ACCOUNT)
    texts = {"accounts": json.dumps(list(ACCOUNTS)), "authority": json.dumps(authority)}
    names = {"region": REGION, "hub": HUB_ACCOUNT, "member": MEMBER_ACCOUNT, "zone": ZONE, "owner": OWNER}
    hub = deployed_as(cloud, CONFIGURATION.format(**texts, **names, group=GROUP))
    cloud.client("route53", HUB_ACCOUNT, REGION).create_hosted_zone(Name=ZONE, CallerReference="zone")
    return PeopleHub(DeployingHub(hub, Deployment({})), authority)
