"""A deployed hub that deploys: real functions and the real state machine, places of a customer, and versions that are
there as if they had been issued. Modules of tests share it through `deploying_plugin`.

site = deploying.site("www")                              a load balancer with two addresses, and an old certificate
deploying.issue("www", 1, site.host)                      a version, its key in Secrets Manager
reference = deploying.request("www", site.target())       ask for a rollout, as `perennial deploy` does
deploying.tick(); deploying.ended(reference)              what runs by itself, and how it ended
with deploying.visiting(site.host) as visitor: …          a client that never stops
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from deployed import ACCOUNTS, DAY, HUB_ACCOUNT, REGION, SETTINGS, Hub, deployed_as, now, until
from test_private_keys import Listeners
from written_texts import Search

from bundles import authorities, bundle
from certificates import Built, build
from local_cloud.cloud import Cloud
from perennial import rollout_request
from perennial.bundle import key_store
from perennial.certificate import fingerprint
from perennial.certificate_request import CertificateRequest
from perennial.deployment import Deployment
from perennial.inventory.records import RolloutRecord, TargetRecord, VersionRecord, VersionState
from perennial.proof import Proof
from perennial.target_settings import parse
from perennial.targets.interface import Bundle

COMMAND = Path(sys.prefix) / "bin" / "perennial"
ASKED_BY = f"arn:aws:iam::{HUB_ACCOUNT}:user/anna"
ZONE = "example.com"
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
OK = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]
CONFIGURATION = """
[discovery]
accounts = {accounts}
regions = ["{region}"]

[issuers.ca]
kind = "acme"
directory = "https://ca.example.com/directory"
roots = {roots}

[profiles.web]
issuer = "ca"
names = [".{zone}"]

[targets]
kinds = ["apigateway", "cloudfront", "elb", "elbv2", "secretsmanager", "webhook"]
accounts = ["{member}"]
"""
WAIT_SCALE = "0.1"  # of the waits and retry intervals of a state machine
ROUNDS = 12  # of the tick, until a rollout must have ended
EVERY = 0.05  # seconds between two visits
ANSWER = 20.0  # seconds that a visit may take on a machine that does other things too

Json = dict[str, Any]


def toml(*targets: Mapping[str, Any]) -> str:
    """The file that declares targets."""
    tables = ("".join(f"{name} = {json.dumps(value)}\n" for name, value in each.items()) for each in targets)
    return "".join(f"[[targets]]\n{each}\n" for each in tables)


@cache
def old_root() -> Built:
    """The CA of what was there before, which Perennial does not know."""
    return build("Old Root", ca=True, not_before=now() - 900 * DAY, not_after=now() + 900 * DAY)


@cache
def old(host: str, *names: str) -> Built:
    """A certificate as a customer has it."""
    return build(host, names=(host, *names), issuer=old_root(), not_before=now() - 60 * DAY, not_after=now() + 20 * DAY)


def imported(acm: Any, built: Built) -> str:
    """The ARN of a certificate in ACM."""
    request = {"Certificate": built.pem.encode(), "PrivateKey": built.key_pem.encode()}
    return str(acm.import_certificate(**request, CertificateChain=old_root().pem.encode())["CertificateArn"])


# --- who visits ---


def trusting() -> ssl.SSLContext:
    """A client that trusts the old CA and the new one, and verifies everything."""
    root, _ = authorities()
    return ssl.create_default_context(cadata=old_root().pem + root.pem)


def careless() -> ssl.SSLContext:
    """A client that verifies nothing."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def visit(address: str, port: int, name: str, context: ssl.SSLContext) -> str:
    """The fingerprint of the certificate of one handshake. Raises: OSError, as which `ssl` reports too."""
    with (
        socket.create_connection((address, port), ANSWER) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        return fingerprint(tls.getpeercert(True) or b"")


@dataclass
class Visitor:
    """A client that connects twenty times a second to all addresses in turn; what it was shown, in order, and what
    failed."""

    addresses: list[tuple[str, int]]
    name: str
    context: ssl.SSLContext
    shown: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __enter__(self) -> Visitor:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def __str__(self) -> str:
        return f"{len(self.shown)} handshakes with {self.name} in {self.seconds:.1f} s, failed: {self.failed[:3]}"

    @property
    def saw(self) -> list[str]:
        """The certificates in the order in which each was first shown."""
        return list(dict.fromkeys(self.shown))

    def _visit(self) -> None:
        began = time.monotonic()
        while not self._stop.is_set():
            start = time.monotonic()
            address = self.addresses[(len(self.shown) + len(self.failed)) % len(self.addresses)]
            try:
                self.shown.append(visit(*address, self.name, self.context))
            except OSError as error:
                self.failed.append(f"{address}: {error}")
            self._stop.wait(max(0.0, EVERY - (time.monotonic() - start)))
        self.seconds = time.monotonic() - began


# --- what a customer has ---


@dataclass(frozen=True)
class Site:
    """A load balancer with one TLS listener and two addresses, to which one host name leads."""

    host: str
    before: Built
    arn: str  # of the certificate that was there before
    listener: str
    client: Any

    def target(self, name: str = "", **more: Any) -> Json:
        """As it is declared."""
        return {
            "kind": "elbv2",
            "name": name or self.host.partition(".")[0],
            "listener": self.listener,
            "names": [self.host],
            "deadline": 60,
            **more,
        }

    @property
    def default(self) -> str:
        """The ARN of the listener's default certificate now."""
        told = self.client.describe_listeners(ListenerArns=[self.listener])["Listeners"][0]
        return str(told["Certificates"][0]["CertificateArn"])

    def change(self, arn: str) -> None:
        """What someone else does."""
        self.client.modify_listener(ListenerArn=self.listener, Certificates=[{"CertificateArn": arn}])


@dataclass
class DeployingHub:
    """The deployed hub. `said` is everything that the command printed, `versions` what was issued, by reference,
    `sites` the names that are taken, and `search` looks through what was written from the beginning on."""

    hub: Hub
    deployment: Deployment
    said: list[str] = field(default_factory=list)
    versions: dict[str, Bundle] = field(default_factory=dict)
    sites: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.search = Search(self, Listeners.attached(self.hub))

    @property
    def cloud(self) -> Cloud:
        return self.hub.cloud

    def client(self, service: str, account: str = HUB_ACCOUNT, region: str = REGION) -> Any:
        return self.hub.client(service, account, region)

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Let this process reach the hub as its command does, until the next tests work with another cloud: AWS's
        variables belong to the process, and so does the inventory's table."""
        with pytest.MonkeyPatch.context() as patched:
            for name, value in self.cloud.env(HUB_ACCOUNT, REGION).items():
                patched.setenv(name, value)
            self.deployment = _deployment(self.hub)
            yield

    # --- places ---

    def site(self, name: str, account: str = HUB_ACCOUNT, region: str = REGION) -> Site:
        """A new load balancer. Modules that one worker runs share the hub: each name is one test's own."""
        assert name not in self.sites, f"another test has a site that is called {name}: give this one another name"
        self.sites.add(name)
        host, client = f"{name}.{ZONE}", self.client("elbv2", account, region)
        before = old(host)
        arn = imported(self.client("acm", account, region), before)
        made = client.create_load_balancer(Name=name, Subnets=["subnet-11111111", "subnet-22222222"])
        balancer = made["LoadBalancers"][0]
        self.alias(host, balancer["DNSName"], balancer["CanonicalHostedZoneId"])
        return Site(host, before, arn, self.listener(client, balancer["LoadBalancerArn"], arn), client)

    @staticmethod
    def listener(client: Any, balancer: str, arn: str, port: int = 443) -> str:
        """The ARN of a new listener of a load balancer."""
        made = client.create_listener(
            LoadBalancerArn=balancer,
            Protocol="HTTPS",
            Port=port,
            SslPolicy=POLICY,
            Certificates=[{"CertificateArn": arn}],
            DefaultActions=OK,
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def alias(self, host: str, to: str, zone_of_alias: str = "Z2FDTNDATAQYW2") -> None:
        """Let a host name lead somewhere."""
        client = self.client("route53")
        zone = client.list_hosted_zones_by_name(DNSName=ZONE)["HostedZones"][0]["Id"]
        target = {"HostedZoneId": zone_of_alias, "DNSName": to, "EvaluateTargetHealth": False}
        change = {"Action": "UPSERT", "ResourceRecordSet": {"Name": host, "Type": "A", "AliasTarget": target}}
        client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})

    def addresses(self, host: str) -> list[tuple[str, int]]:
        """Where a host answers TLS."""
        with self.cloud.open(f"/_local_cloud/edge/resolve?host={host}&port=443") as answer:
            return [(str(address), int(port)) for address, port in json.load(answer)]

    def serving(self, host: str) -> set[str]:
        """What every address of a host serves to a client that verifies it."""
        return {visit(*each, host, trusting()) for each in self.addresses(host)}

    def visiting(self, host: str, context: ssl.SSLContext | None = None) -> Visitor:
        """A client that begins with the block, and ends with it."""
        return Visitor(self.addresses(host), host, context or trusting())

    # --- versions ---

    def issue(self, managed: str, number: int, *names: str) -> Bundle:
        """Keep a version as issued: in the deployed table, its key in Secrets Manager under the deployed KMS key."""
        lasts = {"not_before": now() - DAY, "not_after": now() + (60 + number) * DAY}
        ask = hashlib.sha256(f"{managed}/{number}".encode()).hexdigest()[:32]
        new = bundle(number, names=names, managed=managed, serial=int(ask, 16), **lasts)
        chain = (new.certificate.der, *(each.der for each in new.chain))
        stored = key_store(self.deployment).complete(managed, ask, chain, key_pem=new.private_key)
        record = VersionRecord(
            managed=managed,
            number=number,
            request=CertificateRequest(names=new.names, profile="web", owner="shop"),
            state=VersionState.ISSUED,
            ask=ask,
            issuer="ca",
            requested_at=datetime.now(UTC),
            key=new.key,
            chain=chain,
            secret=stored.arn,
            secret_version=stored.version,
            fingerprint=new.fingerprint,
            issued_at=datetime.now(UTC),
        )
        self.deployment.inventory.save_version(record, None)
        self.versions[new.reference] = new
        return new

    # --- rollouts ---

    def request(self, managed: str, *targets: Mapping[str, Any], version: int = 0, **more: Any) -> str:
        """Ask for a rollout, due at once; returns its reference."""
        declared = parse({"targets": [dict(each) for each in targets], **more}, managed) if targets else None
        asked = datetime.now(UTC)
        return rollout_request.request(
            self.deployment, managed, declared, ASKED_BY, asked, version, source="cli"
        ).reference

    def deploy(self, managed: str, *targets: Mapping[str, Any], **more: Any) -> RolloutRecord:
        """Ask, let the tick run, and wait for the end of what it started."""
        reference = self.request(managed, *targets, **more)
        for execution in self.tick():
            self.hub.finish(execution)
        return self.rollout(reference)

    def rollout(self, reference: str) -> RolloutRecord:
        return self.deployment.inventory.rollout(reference)

    def targets(self, reference: str) -> dict[str, TargetRecord]:
        """The targets of a rollout by name."""
        return {each.settings.name: each for each in self.deployment.inventory.targets(self.rollout(reference))}

    def states(self, reference: str) -> list[str]:
        """How far each target is."""
        return [str(each.state) for each in self.targets(reference).values()]

    def proofs(self, reference: str) -> list[Proof]:
        """The proofs of a rollout, in the order in which they were made."""
        record = self.rollout(reference)
        found = self.deployment.inventory.proofs(record.managed)
        return [each for each in reversed(found) if each.rollout == record.number]

    def ended(self, reference: str) -> RolloutRecord:
        """Wait for the end of a rollout that is at work."""
        until(lambda: self.rollout(reference).ended_at, f"the end of {reference}")
        return self.rollout(reference)

    # --- what runs by itself ---

    def tick(self) -> list[str]:
        """Let the tick run; returns the ARNs of the rollouts that it started."""
        started = self.hub.invoke("DispatchTick", {})["started"]
        machine = self.hub.outputs["RolloutArn"].replace(":stateMachine:", ":execution:")
        return [f"{machine}:{each}" for each in started if each.startswith("deploy-")]

    def start(self, reference: str, name: str) -> str:
        """Start an execution beside the tick; returns its ARN."""
        machine, content = self.hub.outputs["RolloutArn"], json.dumps({"rollout": reference})
        start = self.client("stepfunctions").start_execution
        return str(start(stateMachineArn=machine, name=name, input=content)["executionArn"])

    def stop(self, execution: str) -> str:
        """Stop an execution, unless it has ended; returns how it ended."""
        client = self.client("stepfunctions")
        with suppress(client.exceptions.ValidationException):  # where AWS says nothing, the emulator says so
            client.stop_execution(executionArn=execution, cause="a test")
        return str(self.hub.finish(execution)["status"])

    def entered(self, execution: str) -> list[str]:
        """The states that an execution entered."""
        events = (each for each in self.hub.history(execution) if each["type"].endswith("StateEntered"))
        return [str(each["stateEnteredEventDetails"]["name"]) for each in events]

    def settle(self, reference: str) -> RolloutRecord:
        """Let time pass and the tick run until nothing of the rollout is due any more."""
        for _ in range(ROUNDS):
            record = self.rollout(reference)
            if record.due_at is None:
                return record
            self._due_now(record)
            for execution in self.tick():
                self.hub.finish(execution)
        raise AssertionError(f"{reference} has not ended: {self.rollout(reference)}")

    def _due_now(self, record: RolloutRecord) -> None:
        """What time does to a rollout that waits, or whose workflow died. Nothing where it is done."""
        client = self.client("dynamodb")
        with suppress(client.exceptions.ConditionalCheckFailedException):
            client.update_item(
                TableName=self.hub.outputs["TableName"],
                Key={"pk": {"S": f"MANAGED#{record.managed}"}, "sk": {"S": f"ROLLOUT#{record.number:06}"}},
                UpdateExpression="SET due_at = :now",
                ConditionExpression="attribute_exists(due_key)",
                ExpressionAttributeValues={":now": {"S": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}#test"}},
            )

    # --- as a person asks ---

    def command(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `perennial`, which ends with this exit code."""
        return self.end(self.begin(*arguments), expect)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command that waits."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PERENNIAL_"))}
        return subprocess.Popen(
            [COMMAND, *arguments],
            env={**own, **self.cloud.env(HUB_ACCOUNT, REGION)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def asked(self, managed: str, number: int) -> None:
        """Wait until a command has asked for a rollout: it is due when all of it is kept."""

        def due() -> bool:
            found = [each for each in self.deployment.inventory.rollouts(managed) if each.number == number]
            return any(each.due_at and each.due_at <= datetime.now(UTC) for each in found)

        until(due, f"the request of {managed}/{number}")

    def end(self, running: subprocess.Popen[str], expect: int = 0) -> subprocess.CompletedProcess[str]:
        """What a command printed in the end."""
        try:
            printed, complaints = running.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            running.kill()
            printed, complaints = running.communicate()
        self.said.extend((printed, complaints))
        assert running.returncode == expect, complaints
        return subprocess.CompletedProcess(running.args, running.returncode, printed, complaints)


# --- making it ---


@contextmanager
def deploying_hub(directory: Path) -> Iterator[DeployingHub]:
    """A local cloud of its own with both stacks."""
    cloud, (root, _) = Cloud(directory), authorities()
    cloud.start(settings={**SETTINGS, "SFN_WAIT_SCALE": WAIT_SCALE})
    try:
        texts = {"accounts": json.dumps(list(ACCOUNTS)), "roots": json.dumps(root.pem)}
        hub = deployed_as(cloud, CONFIGURATION.format(**texts, region=REGION, zone=ZONE, member=ACCOUNTS[1]))
        cloud.client("route53").create_hosted_zone(Name=ZONE, CallerReference="zone")
        yield DeployingHub(hub, _deployment(hub))
    finally:
        cloud.stop()


def _deployment(hub: Hub) -> Deployment:
    """As the functions have it."""
    parameter = hub.client("ssm").get_parameter
    names = ("settings", "key", "proof-key")
    told = {name: parameter(Name=f"/perennial/{name}")["Parameter"]["Value"] for name in names}
    bucket, _, key = told["settings"].partition("/")
    return Deployment(
        {
            "PERENNIAL_TABLE": hub.outputs["TableName"],
            "PERENNIAL_SETTINGS_BUCKET": bucket,
            "PERENNIAL_SETTINGS_KEY": key,
            "PERENNIAL_KEY_ID": told["key"],
            "PERENNIAL_PROOF_KEY_ID": told["proof-key"],
        }
    )
