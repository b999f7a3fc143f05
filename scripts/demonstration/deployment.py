"""Act three: the certificate is put at a load balancer, an API domain and a secret, proven there, or brought back."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from certificates import Built, pem
from demonstration.authority import Authority
from demonstration.stage import Stage
from local_cloud.cloud import CloudError
from local_cloud.edge import resolving
from perennial import handshake
from perennial.certificate import ders, parse

ZONE = "shop.example.net"
WWW, API = f"www.{ZONE}", f"api.{ZONE}"
PORT = 8443
WAIT = 300  # seconds for a rollout
TARGETS = """on_failure = "return"

[[targets]]
kind = "elbv2"
name = "shop-window"
listener = "{listener}"
names = ["{www}"]
deadline = {deadline}

[[targets]]
kind = "apigateway"
name = "shop-api"
domain = "{api}"
names = ["{api}"]

[[targets]]
kind = "secretsmanager"
name = "shop-mail"
secret = "shop/mail-tls"
"""


@dataclass
class Places:
    """Where the certificate is to serve, and what was there before."""

    before: Built
    listener: str = ""
    balancer: str = ""
    file: Path = field(default_factory=Path)


def run(stage: Stage, authority: Authority, meanwhile: Callable[[], None]) -> None:
    """The whole act; `meanwhile` is shown in its midst."""
    places = build(stage)
    with resolving(stage.cloud), watching(stage, authority) as client:
        handshakes(stage, "Handshakes before")
        first(stage, places)
        broken_chain(stage)
        meanwhile()
        misbehaving(stage, places)
        client.end(stage)


def build(stage: Stage) -> Places:
    """A load balancer, an API domain and a secret of a consumer, with a certificate of the old CA."""
    stage.act("Where the certificate is to serve: a load balancer, an API domain, and a secret")
    old = stage.estate.leaf(WWW, 20, names=(WWW, API))
    chain = (stage.estate.issuing, stage.estate.root)
    arn = stage.client("acm").import_certificate(
        Certificate=old.pem.encode(), PrivateKey=old.key_pem.encode(), CertificateChain=pem(*chain).encode()
    )["CertificateArn"]
    places = Places(before=old, file=stage.cloud.directory / "shop.targets.toml")
    _balancer(stage, places, arn)
    domain = stage.client("apigatewayv2").create_domain_name(
        DomainName=API,
        DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}],
    )["DomainNameConfigurations"][0]
    _alias(stage, API, domain["ApiGatewayDomainName"], domain.get("HostedZoneId", "Z1D633PJN98FT9"))
    held = {"private_key": old.key_pem, "certificate": old.pem, "chain": stage.estate.issuing.pem, "port": 993}
    stage.client("secretsmanager").create_secret(
        Name="shop/mail-tls", SecretString=json.dumps(held), Tags=[{"Key": "perennial:target", "Value": "yes"}]
    )
    _write(places, deadline=60)
    for line in places.file.read_text().splitlines():
        stage.say(f"  {line}" if line else "")
    return places


def _balancer(stage: Stage, places: Places, arn: str) -> None:
    client = stage.client("elbv2")
    made = client.create_load_balancer(Name="shop-window", Subnets=["subnet-11111111", "subnet-22222222"])
    balancer = made["LoadBalancers"][0]
    listener = client.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=PORT,
        SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        Certificates=[{"CertificateArn": arn}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )["Listeners"][0]
    places.listener, places.balancer = listener["ListenerArn"], balancer["DNSName"]
    _alias(stage, WWW, balancer["DNSName"], balancer["CanonicalHostedZoneId"])


def _alias(stage: Stage, name: str, to: str, zone_of_alias: str) -> None:
    client = stage.client("route53")
    zone = client.list_hosted_zones_by_name(DNSName=ZONE)["HostedZones"][0]["Id"]
    alias = {"HostedZoneId": zone_of_alias, "DNSName": to, "EvaluateTargetHealth": False}
    record = {"Name": name, "Type": "A", "AliasTarget": alias}
    changes = [{"Action": "UPSERT", "ResourceRecordSet": record}]
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def _write(places: Places, *, deadline: int) -> None:
    places.file.write_text(TARGETS.format(listener=places.listener, www=WWW, api=API, deadline=deadline))


# --- what happens to it ---


def first(stage: Stage, places: Places) -> None:
    """It goes well."""
    stage.act("The certificate from ACME is deployed: preflight, activate, prove; one target after the other")
    deploy(stage, "--targets", str(places.file))
    found = ended(stage)
    stage.expect(found["state"] == "deployed", f"rollout 1 is {found['state']}")
    for each in found["targets"]:
        stage.expect(each["state"] == "proven", f"{each['name']} is {each['state']}")
    served = handshakes(stage, "Handshakes after")
    stage.expect(served == {serial_of(stage, 1)}, "every address serves version 1, and nothing else")
    value = stage.client("secretsmanager").get_secret_value(SecretId="shop/mail-tls", VersionStage="AWSCURRENT")
    held = json.loads(value["SecretString"])
    leaf = parse(ders(held["certificate"])[0])
    stage.expect(leaf.serial == serial_of(stage, 1), "the secret has version 1 with its key; its other fields stay")
    stage.expect(held["port"] == 993 and "private_key" in held, "the consumer's own field is still there")
    stage.command("rollouts", "shop", show=30)
    stage.command("proof", "show", "shop", show=14)
    stage.command("proof", "verify", "shop", show=6)


def broken_chain(stage: Stage) -> None:
    """A version whose chain is not whole is stopped before anything is changed."""
    stage.act("Version 2 has lost its chain (damaged on purpose): the preflight stops it")
    names = ("--name", WWW, "--name", API)
    stage.command("managed", "request", "shop", "--certificate-profile", "web", "--owner", "shop-team", *names)
    tick(stage)
    state = issued(stage)
    stage.expect(state == "issued", f"version 2 is {state}")
    table, key = stage.outputs["TableName"], {"pk": {"S": "MANAGED#shop"}, "sk": {"S": "VERSION#000002"}}
    client = stage.client("dynamodb")
    chain = client.get_item(TableName=table, Key=key)["Item"]["chain"]["S"]
    leaf = chain[: chain.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    with _chain(client, table, key, leaf, chain):
        deploy(stage)
        found = ended(stage)
    stage.expect(found["state"] == "refused", f"rollout 2 is {found['state']}: nothing was changed")
    stage.say(f"  {found['message'][:400]}")
    served = handshakes(stage, "Handshakes")
    stage.expect(served == {serial_of(stage, 1)}, "every address still serves version 1")


@contextmanager
def _chain(client: Any, table: str, key: Any, now: str, then: str) -> Iterator[None]:
    """The chain of a version is this one for the length of the block."""

    def put(text: str) -> None:
        client.update_item(
            TableName=table, Key=key, UpdateExpression="SET #c = :c", ExpressionAttributeNames={"#c": "chain"},
            ExpressionAttributeValues={":c": {"S": text}},
        )  # fmt: skip

    put(now)
    try:
        yield
    finally:
        put(then)


def misbehaving(stage: Stage, places: Places) -> None:
    """One of the load balancer's two addresses goes on to serve the old certificate: it is brought back. Then it goes
    well."""
    stage.act("Version 2 is whole again, but one of the load balancer's addresses keeps serving version 1")
    _write(places, deadline=12)
    rows = [each for each in stage.cloud.edge() if each["name"] == places.balancer or places.balancer in each["hosts"]]
    stage.cloud.misbehave(rows[-1]["place"], "old", address=rows[-1]["address"])
    deploy(stage, "--targets", str(places.file))
    found = ended(stage)
    stage.expect(found["state"] == "returned", f"rollout 3 is {found['state']}: what was there before is back")
    stage.say(f"  {found['message'][:400]}")
    served = handshakes(stage, "Handshakes after the way back")
    stage.expect(served == {serial_of(stage, 1)}, "every address serves version 1")
    stage.act("The address behaves again: version 2 is deployed")
    stage.cloud.misbehave(rows[-1]["place"], "well")
    deploy(stage)
    found = ended(stage)
    stage.expect(found["state"] == "deployed", f"rollout 4 is {found['state']}")
    served = handshakes(stage, "Handshakes")
    stage.expect(served == {serial_of(stage, 2)}, "every address serves version 2")


def tick(stage: Stage) -> None:
    """Start what is due; the schedule does this each minute."""
    invoke(stage, "DispatchTick")


def invoke(stage: Stage, construct: str) -> None:
    """Run a function of the hub now that a schedule runs else, by the name of its construct."""
    functions = stage.client("lambda").list_functions()["Functions"]
    (name,) = (each["FunctionName"] for each in functions if construct in each["FunctionName"])
    reply = stage.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    if "FunctionError" in reply:
        raise CloudError(f"{construct} failed: {reply['Payload'].read().decode()[:300]}")


def deploy(stage: Stage, *arguments: str) -> None:
    """Ask as a person would, then let the tick, which runs each minute, run now."""
    stage.command("deploy", "shop", *arguments, errors=True)
    tick(stage)


def ended(stage: Stage) -> dict[str, Any]:
    """The newest rollout, once it has ended."""
    end = time.monotonic() + WAIT
    while True:
        (latest, *_) = stage.look("rollouts", "shop")
        if latest["ended_at"] or time.monotonic() > end:
            return dict(latest)
        time.sleep(0.5)


def issued(stage: Stage) -> str:
    """The state of the newest version, once it has ended and been cleaned up."""
    end = time.monotonic() + WAIT
    while True:
        (latest, *_) = stage.look("managed", "show", "shop")
        if latest["due_at"] is None or time.monotonic() > end:
            return str(latest["state"])
        time.sleep(0.5)


def serial_of(stage: Stage, number: int) -> str:
    """The serial number of a version."""
    records = stage.look("managed", "show", "shop")
    fingerprint = next(each["fingerprint"] for each in records if each["version"] == number)
    return str(stage.look("certs", "show", fingerprint)["serial"])


def handshakes(stage: Stage, title: str) -> set[str]:
    """One handshake with each address of both names; shows and returns the serials."""
    stage.say(f"{title}:")
    serials = set()
    for name, port in ((WWW, PORT), (API, 443)):
        for found in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
            address, at = found[4][:2]
            seen = asyncio.run(handshake.shake(str(address), int(at), name))
            leaf = parse(seen.chain[0]) if seen.chain else None
            serial = (leaf.serial if leaf else "") or ""
            serials.add(serial)
            told = f"serial {serial[:16]}… by {leaf.issuer}" if leaf else seen.problem
            stage.say(f"  {name} at {address}:{at}  {seen.protocol}  {told}")
    return serials


# --- the client that never stops ---


@dataclass
class Client:
    """The running client of `demonstration.client`."""

    process: subprocess.Popen[str]
    out: Path

    def end(self, stage: Stage) -> None:
        """Stop it, and judge what it saw."""
        stage.act("What a client saw that connected all the time, and verified every handshake")
        self.process.communicate(timeout=30)
        for place, seen in json.loads(self.out.read_text()).items():
            rate = seen["handshakes"] / seen["seconds"]
            stage.say(
                f"{place}: {seen['handshakes']} handshakes in {seen['seconds']:.0f} s ({rate:.0f} a second), "
                f"{len(seen['serials'])} certificates, the longest pause {seen['longest_gap']:.2f} s"
            )
            stage.expect(rate >= 10, "at least 10 a second")
            first_failure = f": {seen['failed'][0]}" if seen["failed"] else ""
            stage.expect(not seen["failed"], f"{len(seen['failed'])} failed{first_failure}")


@contextmanager
def watching(stage: Stage, authority: Authority) -> Iterator[Client]:
    """The client runs, with the old CA and the ACME server's as roots, until it is ended, or the block is."""
    directory = stage.cloud.directory
    roots, out = directory / "client-roots.pem", directory / "client.json"
    roots.write_text(stage.estate.root.pem + authority.roots)
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "demonstration.client", stage.cloud.name, str(roots), str(out)]
    scripts = Path(__file__).resolve().parent.parent
    process = subprocess.Popen(
        [*command, f"{WWW}:{PORT}", f"{API}:443"],
        cwd=scripts,
        env={**os.environ, "PYTHONPATH": f"{scripts}:{scripts.parent / 'tests'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield Client(process, out)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(10)
