"""Act two: a public-style certificate from a real ACME server, and a private one from ACM PCA."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acme_servers import acme2certifier
from acme_servers.install import acme2certifier_python, program
from acme_servers.pebble import pebble
from demonstration import deployment, lifecycle, people
from demonstration.authority import Authority
from demonstration.discovery import CONFIGURATION
from demonstration.stage import Stage
from example_estate import ACCOUNTS, REGIONS
from local_cloud.cloud import HUB_ACCOUNT, REGION
from local_cloud.deploy import App, deploy
from local_cloud.dns_bridge import dns_bridge

PUBLIC = """
[issuers.public-ca]
kind = "acme"
directory = {directory}
contacts = ["mailto:certificates@example.com"]
roots = {roots}
directory_roots = {directory_roots}

[profiles.web]
issuer = "public-ca"
keys = ["EC-256", "RSA-2048"]
names = [".shop.example.net", "*.shop.example.net"]
wildcards = true
validity_days = 90
"""
PRIVATE = """
[issuers.private-ca]
kind = "acm_pca"
authority = {authority}

[profiles.service]
issuer = "private-ca"
keys = ["EC-384"]
names = [".svc.internal"]
validity_days = 30

[targets]
kinds = ["elbv2", "apigateway", "secretsmanager"]

[policy.owners]
shop-team = [".shop.example.net", "*.shop.example.net"]
core-team = [".svc.internal"]
"""
WAIT = 180  # seconds for an issuance
PATIENCE = 0.5


def run(stage: Stage, afterwards: Callable[[], None]) -> None:
    """The whole act. `afterwards` is called while the ACME servers still run."""
    zone = "shop.example.net"
    stage.client("route53").create_hosted_zone(Name=zone, CallerReference="demo")
    with authorities(stage) as (authority, short):
        deploy_issuers(stage, authority, short)
        living = lifecycle.begin(stage) if short else None
        people.begin(stage)
        if authority:
            public(stage, authority)
        private(stage)
        refused(stage)
        listed(stage)
        if authority:
            deployment.run(stage, authority, lambda: lifecycle.trouble(stage, living) if living else None)
        if living:
            lifecycle.end(stage, living)
        people.end(stage)
        afterwards()


@contextmanager
def authorities(stage: Stage) -> Iterator[tuple[Authority | None, Authority | None]]:
    """A real ACME server that validates names against the local cloud's Route 53, and one more whose certificates live
    for minutes; None where none is installed."""
    directory = stage.cloud.directory
    with dns_bridge(stage.cloud, accounts=ACCOUNTS) as port:
        dns = f"127.0.0.1:{port}"
        if program("pebble"):
            with (
                pebble(directory / "acme", dns=dns) as server,
                pebble(directory / "acme-short", dns=dns, validity_seconds=lifecycle.SHORT) as short,
            ):
                yield _authority(server), _authority(short)
        elif acme2certifier_python():
            with acme2certifier.acme2certifier(directory / "acme", dns=dns) as other:
                yield Authority("acme2certifier", other.directory, "", "".join(other.roots)), None
        else:
            yield None, None


def _authority(server: Any) -> Authority:
    return Authority("Pebble", server.directory, server.directory_roots, "".join(server.roots))


def deploy_issuers(stage: Stage, authority: Authority | None, short: Authority | None) -> None:
    """Name the issuers and profiles in perennial.toml, and deploy again."""
    stage.act("Issuers, profiles and policy in perennial.toml; cdk deploy again")
    lists = {"accounts": ACCOUNTS, "regions": REGIONS, "endpoints": stage.estate.endpoints}
    text = CONFIGURATION.format(**{name: json.dumps(list(value)) for name, value in lists.items()})
    if authority:
        facts = {name: json.dumps(getattr(authority, name)) for name in ("directory", "roots", "directory_roots")}
        text += PUBLIC.format(**facts)
        stage.say(f"public-ca: {authority.name}, a real ACME server, at {authority.directory}")
    else:
        stage.say("No ACME server is installed (scripts/setup --with-pebble): only the private certificate is shown.")
    text += lifecycle.settings(short)
    text += PRIVATE.format(authority=json.dumps(stage.estate.private_authority(HUB_ACCOUNT))) + lifecycle.OWNERS
    path: Path = stage.cloud.directory / "perennial.toml"
    path.write_text(text)
    app = App(stage.cloud.directory.parent.parent, context={"config": str(path)})
    stage.outputs |= deploy(stage.cloud, app, HUB_ACCOUNT, REGION)["PerennialHub"]
    stage.say("PerennialIssuance: the state machine that takes a request to a stored certificate")


def public(stage: Stage, authority: Authority) -> None:
    """dns-01 through Route 53: a name and a wildcard."""
    stage.act(f"A certificate through ACME (RFC 8555) with dns-01, from {authority.name}")
    request(stage, "shop", "web", "shop-team", "www.shop.example.net", "*.shop.example.net")
    record = issued(stage, "shop")
    stage.expect(record["state"] == "issued", f"version 1 is {record['state']} after {record['seconds']} s")
    stage.say(f"{transitions(stage)} state transitions")
    zone = stage.client("route53").list_hosted_zones_by_name(DNSName="shop.example.net")["HostedZones"][0]["Id"]
    left = stage.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    names = [each["Name"] for each in left if each["Type"] == "TXT"]
    stage.expect(not names, "no challenge is left in Route 53" + (f": {names}" if names else ""))
    stage.command("managed", "show", "shop", show=24)
    in_secret(stage, record)


def private(stage: Stage) -> None:
    """ACM PCA."""
    stage.act("A private certificate from ACM PCA")
    request(stage, "orders", "service", "core-team", "orders.svc.internal")
    record = issued(stage, "orders")
    stage.expect(record["state"] == "issued", f"version 1 is {record['state']} after {record['seconds']} s")
    stage.command("managed", "show", "orders", show=24)
    in_secret(stage, record)


def refused(stage: Stage) -> None:
    """What is not allowed is said, all of it at once."""
    stage.act("What policy does not allow")
    arguments = ("--certificate-profile", "service", "--owner", "shop-team", "--days", "900", "--key", "RSA-2048")
    names = ("--name", "orders.svc.internal", "--name", "*.svc.internal")
    stage.command("managed", "request", "wrong", *arguments, *names, exit_codes=(2,), errors=True)


def listed(stage: Stage) -> None:
    """Both in the inventory."""
    stage.act("Both in the inventory")
    stage.command("managed", "list")
    records = json.loads(stage.command("managed", "list", "--json", show=0))
    for record in (each for each in records if each["managed"] in ("shop", "orders")):
        found = json.loads(stage.command("certs", "show", record["fingerprint"], "--json", show=0))
        stage.expect(found["fingerprint"] == record["fingerprint"], f"{record['managed']}: by {found['issuer']}")


def request(stage: Stage, managed: str, profile: str, owner: str, *names: str) -> None:
    """Ask as a person would, then let the tick, which runs each minute, run now."""
    named = [part for name in names for part in ("--name", name)]
    stage.command("managed", "request", managed, "--certificate-profile", profile, "--owner", owner, *named)
    deployment.tick(stage)


def issued(stage: Stage, managed: str) -> dict[str, Any]:
    """The newest version, once it has ended."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        (latest, *_) = stage.look("managed", "show", managed)
        if latest["state"] in ("issued", "failed") and latest["due_at"] is None:  # also cleaned up
            break
        time.sleep(PATIENCE)
    if latest["state"] != "issued":
        stage.say(f"{latest['reason']}: {latest['message']}")
    return dict(latest)


def transitions(stage: Stage) -> int:
    """State transitions of the latest Issuance, as AWS counts them: every state that was entered."""
    client = stage.client("stepfunctions")
    latest = client.list_executions(stateMachineArn=stage.outputs["IssuanceArn"], maxResults=1)["executions"][0]
    pages = client.get_paginator("get_execution_history").paginate(executionArn=latest["executionArn"])
    return sum(each["type"].endswith("StateEntered") for page in pages for each in page["events"])


def in_secret(stage: Stage, record: dict[str, Any]) -> None:
    """Key, certificate and chain are one version of one secret; the table holds its name only."""
    value = stage.client("secretsmanager").get_secret_value(
        SecretId=record["secret"], VersionId=record["secret_version"]
    )
    held = json.loads(value["SecretString"])
    stage.expect(
        {"private_key", "certificate", "chain"} <= set(held) and "AWSPENDING" in value["VersionStages"],
        f"one secret version has {', '.join(sorted(held))}, staged {', '.join(value['VersionStages'])}",
    )
