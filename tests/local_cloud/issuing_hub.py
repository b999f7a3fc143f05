"""A deployed hub that issues: from Pebble (dns-01 and http-01), from a CA of ACM PCA, and from ACM.

issuing.issue("shop", "web", "www.shop.example.net")    request it as a person does, let the tick run, wait for the end
issuing.due_now("shop/1")                               what time does to a version that waits or died
issuing.settle("shop/1")                                let the tick run until the version has ended

Zones: shop, managed and files.example.net in the hub's account; delegated.example.org in the member's, to which the
name `_acme-challenge.pay.shop.example.net` is a CNAME.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from deployed import ACCOUNTS, HUB_ACCOUNT, MEMBER_ACCOUNT, REGION, SETTINGS, Hub, deployed_as
from relay import Relay, relay

from acme_servers.pebble import Binding, Pebble, pebble
from example_estate import ExampleEstate
from local_cloud import http_bridge
from local_cloud.cloud import Cloud
from local_cloud.dns_bridge import dns_bridge
from perennial.key_store import PREFIX

COMMAND = Path(sys.prefix) / "bin" / "perennial"
ZONE, ACM_ZONE, MEMBER_ZONE = "shop.example.net", "managed.example.net", "delegated.example.org"
DELEGATED = f"pay.{ZONE}"
FILES = "files.example.net"  # whose names are proven by http-01
NO_ZONE = "elsewhere.example.org"
CONFIGURATION = """
[discovery]
accounts = {accounts}
regions = ["{region}"]

[issuers.public-ca]
kind = "acme"
directory = {directory}
contacts = ["mailto:certificates@example.com"]
eab_secret = "acme/binding"
roots = {roots}
directory_roots = {directory_roots}

[issuers.by-files]
kind = "acme"
directory = {directory}
eab_secret = "acme/binding"
challenge = "http-01"
roots = {roots}
directory_roots = {directory_roots}

[issuers.private-ca]
kind = "acm_pca"
authority = {authority}

[issuers.amazon]
kind = "acm"
roots = {amazon}

[profiles.web]
issuer = "public-ca"
keys = ["EC-256", "RSA-2048"]
names = [".{zone}", "*.{zone}", "{no_zone}"]
wildcards = true

[profiles.own-key]
issuer = "public-ca"
key_home = "requester"
names = [".{zone}"]

[profiles.in-kms]
issuer = "public-ca"
key_home = "kms"
names = [".{zone}"]

[profiles.file]
issuer = "by-files"
names = [".{files}"]

[profiles.service]
issuer = "private-ca"
keys = ["EC-384"]
names = [".svc.internal"]
validity_days = 30

[profiles.kept]
issuer = "amazon"
key_home = "issuer"
names = [".{acm_zone}"]
validity_days = 198

[profiles.exported]
issuer = "amazon"
key_home = "issuer"
exportable = true
names = [".{acm_zone}"]
validity_days = 198

[solvers]
zone_accounts = ["{member}"]
listeners = [{listener}]

[policy.owners]
team = [".{zone}", "*.{zone}", "{no_zone}", ".{files}", ".svc.internal", ".{acm_zone}"]
"""
WAIT_SCALE = "0.1"  # of the waits and retry intervals of a state machine: a second is as long as some calls here
ROUNDS = 12  # of the tick, until a version must have ended
_ISSUED = re.compile(r"Issued certificate serial (\S+)")


@dataclass(frozen=True)
class Version:
    """What the table has of a version, as far as tests ask."""

    reference: str
    state: str
    reason: str
    message: str
    attempts: int
    due_at: str
    chain: str
    arn: str
    secret: str
    secret_version: str
    fingerprint: str
    key_arn: str

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.chain.encode())

    @property
    def names(self) -> set[str]:
        """The names in the certificate."""
        value = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(value.get_values_for_type(x509.DNSName))


@dataclass(frozen=True)
class IssuingHub:
    """The deployed hub, the ACME server, and the way between them, which can be closed."""

    hub: Hub
    server: Pebble
    way: Relay
    said: list[str] = field(default_factory=list)  # everything that the command printed

    def client(self, service: str, account: str = HUB_ACCOUNT) -> Any:
        return self.hub.client(service, account)

    # --- as a person asks ---

    def command(self, *arguments: str, expect: int = 0) -> str:
        """What `perennial` prints; its complaints where another exit code than 0 is expected."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PERENNIAL_"))}
        done = subprocess.run(
            [COMMAND, *arguments],
            env={**own, **self.hub.cloud.env(HUB_ACCOUNT, REGION)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.said.extend((done.stdout, done.stderr))
        assert done.returncode == expect, done.stderr
        return done.stderr if expect else done.stdout

    def request(self, managed: str, profile: str, *names: str, csr: Path | None = None) -> str:
        """Request a certificate for the owner of all names; returns the reference of its version."""
        named = [part for name in names for part in ("--name", name)]
        own = ("--csr", str(csr)) if csr else ()
        self.command("managed", "request", managed, "--certificate-profile", profile, "--owner", "team", *named, *own)
        return f"{managed}/{max(int(each['number']) for each in self._versions(managed))}"

    def issue(self, managed: str, profile: str, *names: str, csr: Path | None = None) -> Version:
        """Request a certificate, let the tick run once, and wait for the end of what it started."""
        reference = self.request(managed, profile, *names, csr=csr)
        for execution in self.tick():
            self.hub.finish(execution)
        return self.version(reference)

    # --- what runs by itself ---

    def tick(self) -> list[str]:
        """Let the tick run; returns the ARNs of the issuances that it started."""
        started = self.hub.invoke("DispatchTick", {})["started"]
        return [self.execution(each) for each in started if each.startswith("issue-")]

    def execution(self, name: str) -> str:
        """The ARN of an execution."""
        return f"{self.hub.outputs['IssuanceArn'].replace(':stateMachine:', ':execution:')}:{name}"

    def start(self, reference: str, name: str) -> str:
        """Start an issuance beside the tick; returns its ARN."""
        machine, content = self.hub.outputs["IssuanceArn"], json.dumps({"version": reference})
        start = self.client("stepfunctions").start_execution
        return str(start(stateMachineArn=machine, name=name, input=content)["executionArn"])

    def stop(self, execution: str) -> str:
        """Stop an execution, unless it has ended; returns how it ended."""
        client = self.client("stepfunctions")
        with suppress(client.exceptions.ValidationException):  # where AWS says nothing, the emulator says so
            client.stop_execution(executionArn=execution, cause="a test")
        return str(self.hub.finish(execution)["status"])

    def executions(self) -> list[str]:
        """The ARNs of all issuances."""
        pages = self.client("stepfunctions").get_paginator("list_executions")
        listed = pages.paginate(stateMachineArn=self.hub.outputs["IssuanceArn"])
        return [each["executionArn"] for page in listed for each in page["executions"]]

    def states(self, execution: str) -> list[str]:
        """The states that an execution entered: AWS counts each as a transition."""
        events = (each for each in self.hub.history(execution) if each["type"].endswith("StateEntered"))
        return [str(each["stateEnteredEventDetails"]["name"]) for each in events]

    def due_now(self, reference: str) -> None:
        """What time does to a version that waits, or whose workflow died: it is due. Nothing where it is done."""
        managed, number = reference.split("/")
        client = self.client("dynamodb")
        with suppress(client.exceptions.ConditionalCheckFailedException):
            client.update_item(
                TableName=self.hub.outputs["TableName"],
                Key={"pk": {"S": f"MANAGED#{managed}"}, "sk": {"S": f"VERSION#{int(number):06}"}},
                UpdateExpression="SET due_at = :now",
                ConditionExpression="attribute_exists(due_key)",
                ExpressionAttributeValues={":now": {"S": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}#test"}},
            )

    def settle(self, reference: str) -> Version:
        """Let time pass and the tick run until nothing of the version is due any more."""
        for _ in range(ROUNDS):
            version = self.version(reference)
            if not version.due_at:
                return version
            self.due_now(reference)
            for execution in self.tick():
                self.hub.finish(execution)
        raise AssertionError(f"{reference} has not ended: {self.version(reference)}")

    def quiet(self, *executions: str) -> None:
        """Wait until all have ended, and nothing that a stopped one had begun is under way."""
        for execution in executions:
            self.hub.finish(execution)
            self.hub.settle(execution)

    # --- what there is ---

    def _versions(self, managed: str) -> list[Mapping[str, Any]]:
        return [each for each in self.hub.items() if each["pk"] == f"MANAGED#{managed}"]

    def version(self, reference: str) -> Version:
        """A version as the table has it."""
        managed, number = reference.split("/")
        (item,) = (each for each in self._versions(managed) if int(each["number"]) == int(number))
        fields = ("reason", "due_at", "chain", "arn", "secret", "secret_version", "fingerprint", "key_arn")
        texts = {name: str(item.get(name, "")) for name in fields}
        attempts = int(item.get("attempts", 0))
        message = str(item.get("detail", ""))
        return Version(reference=reference, state=item["status"], message=message, attempts=attempts, **texts)

    def secret(self, version: Version) -> dict[str, str]:
        """The content of a version's secret version, and its stages under "stages"."""
        client = self.client("secretsmanager")
        value = client.get_secret_value(SecretId=version.secret, VersionId=version.secret_version)
        return {**json.loads(value["SecretString"]), "stages": ",".join(value["VersionStages"])}

    def records(self, kind: str = "TXT", accounts: Sequence[str] = ACCOUNTS) -> list[str]:
        """The names of the records of a type, in all zones."""
        found = []
        for account in accounts:
            client = self.client("route53", account)
            for zone in client.list_hosted_zones()["HostedZones"]:
                pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone["Id"])
                found += [each for page in pages for each in page["ResourceRecordSets"]]
        return sorted({each["Name"].rstrip(".") for each in found if each["Type"] == kind})

    def challenge_files(self) -> list[str]:
        """The keys of files that are shown under /.well-known/acme-challenge/."""
        return [each["pk"] for each in self.hub.items() if each["pk"].startswith("CHALLENGE#")]

    def left(self) -> list[str]:
        """Challenges that are still shown anywhere."""
        return [*self.records(), *self.challenge_files()]

    def keys_of(self, managed: str) -> set[str]:
        """The private keys (PEM) in all versions of a managed certificate's secret."""
        client, name = self.client("secretsmanager"), f"{PREFIX}{managed}"
        listed = client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]
        values = [client.get_secret_value(SecretId=name, VersionId=each["VersionId"]) for each in listed]
        contents = [json.loads(each["SecretString"]) for each in values if "SecretString" in each]
        return {each["private_key"] for each in contents if each.get("private_key")}

    def serials(self) -> list[int]:
        """The serial numbers of all certificates that Pebble issued, in order."""
        return [int(each, 16) for each in _ISSUED.findall(self.server.log.read_text(errors="replace"))]


# --- making it ---


@contextmanager
def issuing_hub(directory: Path) -> Iterator[IssuingHub]:
    """A local cloud of its own with zones, a load balancer, CAs, and both stacks deployed to use them."""
    cloud = Cloud(directory)
    with ExitStack() as stack:
        cloud.start(settings={**SETTINGS, "SFN_WAIT_SCALE": WAIT_SCALE})
        stack.callback(cloud.stop)
        listener = _surroundings(cloud)
        dns = stack.enter_context(dns_bridge(cloud, accounts=ACCOUNTS))
        port = stack.enter_context(http_bridge.serve(cloud, account=HUB_ACCOUNT, region=REGION))
        options = {"dns": f"127.0.0.1:{dns}", "http_port": port, "eab": True}
        server = stack.enter_context(pebble(directory / "acme", **options))
        assert server.eab is not None
        _keep_binding(cloud, server.eab)
        way = stack.enter_context(relay(urlsplit(server.directory).port or 0))
        reached = replace(server, directory=f"https://127.0.0.1:{way.port}/dir")
        hub = deployed_as(cloud, _configuration(cloud, reached, listener))
        yield IssuingHub(hub, reached, way)


def _configuration(cloud: Cloud, server: Pebble, listener: str) -> str:
    texts = {
        "directory": server.directory,
        "roots": "".join(server.roots),
        "directory_roots": server.directory_roots,
        "authority": ExampleEstate(cloud).private_authority(HUB_ACCOUNT),
        "amazon": _root_of_acm(cloud),
        "accounts": list(ACCOUNTS),
        "listener": listener,
    }
    names = {"zone": ZONE, "acm_zone": ACM_ZONE, "files": FILES, "no_zone": NO_ZONE}
    return CONFIGURATION.format(
        **{name: json.dumps(value) for name, value in texts.items()}, **names, region=REGION, member=MEMBER_ACCOUNT
    )


def _surroundings(cloud: Cloud) -> str:
    """The zones, the CNAME record between them, and a load balancer, which customers have; returns its listener."""
    hub, member = (cloud.client("route53", account, REGION) for account in ACCOUNTS)
    zone = hub.create_hosted_zone(Name=ZONE, CallerReference="zone")["HostedZone"]["Id"]
    for name in (ACM_ZONE, FILES):
        hub.create_hosted_zone(Name=name, CallerReference=name)
    member.create_hosted_zone(Name=MEMBER_ZONE, CallerReference="member")
    target = {"Value": f"pay.{MEMBER_ZONE}."}
    record = {"Name": f"_acme-challenge.{DELEGATED}", "Type": "CNAME", "TTL": 60, "ResourceRecords": [target]}
    changes = [{"Action": "CREATE", "ResourceRecordSet": record}]
    hub.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    return _listener(cloud.client("elbv2", HUB_ACCOUNT, REGION))


def _listener(client: Any) -> str:
    balancer = client.create_load_balancer(Name="web", Subnets=["subnet-11111111", "subnet-22222222"])
    gone = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "410"}}
    made = client.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[gone],
    )
    return str(made["Listeners"][0]["ListenerArn"])


def _keep_binding(cloud: Cloud, binding: Binding) -> None:
    """The credentials that the CA gave to its customer."""
    content = json.dumps({"kid": binding.kid, "hmac_key": binding.hmac_key})
    cloud.client("secretsmanager", HUB_ACCOUNT, REGION).create_secret(Name="acme/binding", SecretString=content)


def _root_of_acm(cloud: Cloud) -> str:
    """The root of the fake ACM, which no store of public roots has: the end of some certificate's chain."""
    acm = cloud.client("acm", HUB_ACCOUNT, REGION)
    arn = acm.request_certificate(DomainName="any.example.com", ValidationMethod="DNS")["CertificateArn"]
    cloud.open("/_fakes/acm/validate", {"arn": arn}).close()
    chain = acm.get_certificate(CertificateArn=arn)["CertificateChain"]
    acm.delete_certificate(CertificateArn=arn)
    end = "-----END CERTIFICATE-----\n"
    return str(chain.strip().split(end)[-1].strip() + "\n")
