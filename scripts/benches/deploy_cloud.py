"""A local cloud of the bench's own with the deployed hub: versions are planted as issued there, and rolled out.

AWS's rates are enforced by the fakes. Schedules are off, so that a rollout starts when the bench starts it.

with deployed_hub() as hub:
    ran = hub.roll_out("shop", targets, names)     # a new version to its targets: one execution of the state machine
    ran.seconds
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.report import say

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud
    from perennial.deployment import Deployment
    from perennial.inventory.records import RolloutRecord, TargetRecord
    from perennial.targets.interface import Bundle

ROOT = Path(__file__).resolve().parents[2]
ZONE = "example.com"
SECONDS = 300.0  # the longest rollout
PAUSE = 0.1  # seconds between two looks at an execution
ASKED_BY = "arn:aws:iam::111111111111:user/bench"
SETTINGS = {"LOCAL_CLOUD_RATES": "1"}
CONFIGURATION = """
[discovery]
regions = ["eu-west-1"]

[issuers.ca]
kind = "acme"
directory = "https://ca.example/directory"
roots = {roots}

[profiles.web]
issuer = "ca"
names = [".example.com"]
max_names = 100

[policy.owners]
bench = [".example.com"]

[targets]
kinds = ["apigateway", "elbv2", "secretsmanager"]
"""


@dataclass(frozen=True)
class Ran:
    """A rollout that ended deployed: `seconds` from the start of its execution to the end of the last proof."""

    seconds: float
    head: RolloutRecord
    targets: list[TargetRecord]


@dataclass(frozen=True)
class Hub:
    """The deployed hub. `deployment` is what the `perennial` command knows of it."""

    cloud: Cloud
    outputs: Mapping[str, str]
    deployment: Deployment

    def client(self, service: str) -> Any:
        """A client of the hub's account."""
        return self.cloud.client(service)

    def plant(self, managed: str, names: tuple[str, ...]) -> Bundle:
        """Keep the next version of a managed certificate as issued, with its key in Secrets Manager."""
        number = 1 + max((each.number for each in self.deployment.inventory.versions(managed)), default=0)
        new = version(managed, number, names)
        self.deployment.inventory.save_version(self._record(new), None)
        return new

    def _record(self, new: Bundle) -> Any:
        from perennial.bundle import key_store
        from perennial.certificate_request import CertificateRequest
        from perennial.inventory.records import VersionRecord, VersionState

        ask, now = f"{new.version:032x}", datetime.now(UTC).replace(microsecond=0)
        chain = (new.certificate.der, *(each.der for each in new.chain))
        stored = key_store(self.deployment).complete(new.managed, ask, chain, key_pem=new.private_key)
        return VersionRecord(
            managed=new.managed,
            number=new.version,
            request=CertificateRequest(names=new.names, profile="web", owner="bench"),
            state=VersionState.ISSUED,
            ask=ask,
            issuer="ca",
            requested_at=now,
            key=new.key,
            chain=chain,
            secret=stored.arn,
            secret_version=stored.version,
            fingerprint=new.fingerprint,
            issued_at=now,
        )

    def roll_out(self, managed: str, targets: str, names: tuple[str, ...]) -> Ran:
        """Plant a version and roll it out to the targets that a TOML text declares. Ends the bench where it is not
        deployed."""
        from perennial import rollout_request, target_settings

        self.plant(managed, names)
        declared = target_settings.load(targets, managed)
        now = datetime.now(UTC)
        head = rollout_request.request(self.deployment, managed, declared, ASKED_BY, now, source="cli")
        seconds = self._executed(head.reference)
        ended = self.deployment.inventory.rollout(head.reference)
        found = self.deployment.inventory.targets(ended)
        if ended.state != "deployed":
            raise SystemExit(f"bench: {ended.reference} is {ended.state}: {ended.message}")
        return Ran(seconds, ended, found)

    def _executed(self, reference: str) -> float:
        client, content = self.client("stepfunctions"), json.dumps({"rollout": reference})
        arn = client.start_execution(stateMachineArn=self.outputs["RolloutArn"], input=content)["executionArn"]
        end = time.monotonic() + SECONDS
        while client.describe_execution(executionArn=arn)["status"] == "RUNNING":
            if time.monotonic() > end:
                raise SystemExit(f"bench: {reference} has not ended after {SECONDS:.0f} s; see {self.cloud.log}")
            time.sleep(PAUSE)
        pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
        return seconds_to_proof([event for page in pages for event in page["events"]])


def seconds_to_proof(events: list[Mapping[str, Any]]) -> float:
    """Seconds from an execution's start until its last Prove ended."""
    proven = [each["timestamp"] for each in events if each.get("stateExitedEventDetails", {}).get("name") == "Prove"]
    if not proven:
        raise SystemExit("bench: an execution proved nothing")
    began = min(each["timestamp"] for each in events)
    return float((max(proven) - began).total_seconds())


def version(managed: str, number: int, names: tuple[str, ...]) -> Bundle:
    """A version that is valid now, whatever the time of the machine, with a key of its own."""
    from bundles import bundle

    today = datetime.now(UTC).replace(microsecond=0)
    serial = int.from_bytes(f"{managed}/{number}".encode()[-18:]) + 1
    return bundle(
        number,
        names=names,
        managed=managed,
        serial=serial,
        not_before=today - timedelta(days=1),
        not_after=today + timedelta(days=89),
    )


# --- making it ---


@contextmanager
def deployed_hub(settings: Mapping[str, str] = SETTINGS) -> Iterator[Hub]:
    """A local cloud of its own with PerennialHub, ended in every case. `settings` are those of `Cloud.start`."""
    from local_cloud.cloud import Cloud
    from local_cloud.edge import resolving

    subprocess.run([ROOT / "scripts" / "build-layer", "--local"], check=True, stdout=sys.stderr)
    cloud = Cloud.named(f"bench-{os.getpid()}")
    with ExitStack() as stack:
        stack.enter_context(_ending_on_sigterm())
        stack.callback(shutil.rmtree, cloud.directory, ignore_errors=True)
        stack.callback(cloud.stop)
        cloud.start(settings=settings)
        say("deploying the hub")
        outputs = _deployed(cloud)
        stack.enter_context(_environment(cloud.env()))
        stack.enter_context(resolving(cloud))
        cloud.client("route53").create_hosted_zone(Name=ZONE, CallerReference="bench")
        yield Hub(cloud, outputs, _deployment(outputs))


def _deployed(cloud: Cloud) -> Mapping[str, str]:
    from bundles import authorities
    from local_cloud.deploy import App, deploy

    configuration = Path(cloud.directory / "perennial.toml")
    configuration.write_text(CONFIGURATION.format(roots=json.dumps(authorities()[0].pem)))
    app = App(ROOT, context={"config": str(configuration)})
    outputs = deploy(cloud, app)["PerennialHub"]
    events = cloud.client("events")
    for rule in events.list_rules()["Rules"]:
        if "ScheduleExpression" in rule:
            events.disable_rule(Name=rule["Name"])
    return outputs


def _deployment(outputs: Mapping[str, str]) -> Deployment:
    """As the `perennial` command makes it."""
    from perennial.cli import deployed

    return deployed.deployment(outputs["TableName"], None, None, with_key=True)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    os.environ.pop("AWS_PROFILE", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """SIGTERM unwinds this process too, so that no cloud is left."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- AWS, as a customer has filled it ---


def imported(hub: Hub, names: tuple[str, ...]) -> str:
    """The ARN of a certificate in ACM that somebody imported."""
    old = version("before", 1, names)
    answer = hub.client("acm").import_certificate(
        Certificate=old.certificate_pem.encode(),
        PrivateKey=old.private_key.encode(),
        CertificateChain=old.chain_pem.encode(),
    )
    return str(answer["CertificateArn"])


def balancer(hub: Hub, name: str, host: str) -> str:
    """The ARN of a new Application Load Balancer, to which a host name leads."""
    subnets = ["subnet-11111111", "subnet-22222222"]
    made = hub.client("elbv2").create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
    alias(hub, host, made["DNSName"], made["CanonicalHostedZoneId"])
    return str(made["LoadBalancerArn"])


def listener(hub: Hub, of: str, port: int, certificate: str) -> str:
    """The ARN of a new HTTPS listener."""
    made = hub.client("elbv2").create_listener(
        LoadBalancerArn=of,
        Protocol="HTTPS",
        Port=port,
        SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )
    return str(made["Listeners"][0]["ListenerArn"])


def alias(hub: Hub, name: str, to: str, zone_of_alias: str) -> None:
    """Let a name lead to one of AWS's."""
    client = hub.client("route53")
    zone = client.list_hosted_zones_by_name(DNSName=ZONE)["HostedZones"][0]["Id"]
    target = {"HostedZoneId": zone_of_alias, "DNSName": to, "EvaluateTargetHealth": False}
    record = {"Name": name, "Type": "A", "AliasTarget": target}
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)
