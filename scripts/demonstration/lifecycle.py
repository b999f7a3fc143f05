"""The last act, which begins before the second and runs beside the others: certificates that live for minutes are
declared, one that was discovered is adopted, and the tick keeps them valid, in real time."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from certificates import build, pem
from demonstration import discovery
from demonstration.authority import Authority
from demonstration.stage import Stage
from local_cloud.cloud import HUB_ACCOUNT, REGION
from local_cloud.edge import resolving
from perennial import handshake
from perennial.certificate import ders, parse

ZONE, OLD_ZONE = "live.example.net", "old.example.net"
NEWS, SMTP = "news", "smtp"  # the time that is drawn for them from the CA's window lies in the first half of it
HOST = f"{NEWS}.{ZONE}"
SECRET = "live/smtp-tls"  # noqa: S105 - its name
SHORT = 180  # seconds that a certificate of this CA lives
PORT, OLD_PORT = 9443, 9543
LIFETIME, LEFT = timedelta(minutes=20), timedelta(seconds=250)  # of the certificate that is adopted
TROUBLED = f"app-{OLD_ZONE}".replace(".", "-")  # as `perennial adopt` names it
WAIT = 240  # seconds for all of it, after the other acts
SETTINGS = """
[issuers.short-ca]
kind = "acme"
directory = {directory}
contacts = ["mailto:certificates@example.com"]
roots = {roots}
directory_roots = {directory_roots}
orders_per_hour = 3600
certificates_per_domain_and_week = 0

[profiles.short]
issuer = "short-ca"
keys = ["EC-256", "RSA-2048"]
names = [".live.example.net", ".old.example.net"]
validity_days = 1

[environments.demo]
grace_hours = 0
"""
OWNERS = """live-team = [".live.example.net"]
old-team = [".old.example.net"]
"""
DECLARED = """# What the live team wants. Perennial keeps it true.
certificates:
  news:
    names: [news.{zone}]
    profile: short
    owner: live-team
    environment: demo
    service: live news
    targets:
      - {{ kind: elbv2, name: news-front, listener: "{listener}" }}
  smtp:
    names: [smtp.{zone}]
    profile: short
    owner: live-team
    environment: demo
    service: live mail server
    targets:
      - {{ kind: secretsmanager, name: live-smtp, secret: live/smtp-tls }}
"""


@dataclass
class Living:
    """What was declared, and when: `messages` are those that people got."""

    began: float = field(default_factory=time.monotonic)
    messages: list[str] = field(default_factory=list)


def settings(authority: Authority | None) -> str:
    """The part of perennial.toml that names the CA whose certificates live for minutes."""
    if authority is None:
        return ""
    facts = {name: json.dumps(getattr(authority, name)) for name in ("directory", "roots", "directory_roots")}
    return SETTINGS.format(**facts)


# --- it begins ---


def begin(stage: Stage) -> Living:
    """Declare two certificates, and adopt one that is about to expire."""
    stage.act(f"Declared once: certificates that live for {SHORT} seconds; the tick keeps them valid from now on")
    discovery.alerts(stage)  # what was told so far is not of this act
    stage.client("route53").create_hosted_zone(Name=ZONE, CallerReference="live")
    listener = _listener(stage, "news-front", HOST, PORT, stage.estate.leaf(HOST, 20))
    stage.client("secretsmanager").create_secret(
        Name=SECRET, SecretString="{}", Tags=[{"Key": "perennial:target", "Value": "yes"}]
    )
    file = stage.cloud.directory / "certificates.yaml"
    file.write_text(DECLARED.format(zone=ZONE, listener=listener))
    for line in file.read_text().splitlines():
        stage.say(f"  {line}")
    stage.command("diff", "-f", str(file), exit_codes=(1,), show=20)
    stage.command("apply", "-f", str(file), show=20)
    _adopt(stage)
    stage.command("why", NEWS, show=12)
    return Living()


def _adopt(stage: Stage) -> None:
    """A certificate that someone imported by hand ends in four minutes; its zone is not in Route 53 any more."""
    end = datetime.now(UTC) + LEFT
    old = build(f"app.{OLD_ZONE}", not_before=end - LIFETIME, not_after=end, issuer=stage.estate.issuing)
    _listener(stage, "old-app", "", OLD_PORT, old)
    scopes = [f"{HUB_ACCOUNT}/{REGION}/{source}" for source in ("acm", "elbv2")]
    discovery.execute(stage, "adopted", scopes)
    file = stage.cloud.directory / "old.yaml"
    file.unlink(missing_ok=True)
    text = stage.command("adopt", old.fingerprint, show=24)
    file.write_text(_of_team(text))
    stage.command("apply", "-f", str(file), show=6)


def _of_team(text: str) -> str:
    """What a person adds to what `adopt` wrote: whose it is, and what depends on it."""
    import yaml

    document = yaml.safe_load(text)
    for entry in document["certificates"].values():
        entry |= {"owner": "old-team", "profile": "short", "environment": "demo", "service": "old app"}
        entry["contacts"] = {"team": ["old-app@example.com"], "business": ["sales"], "on_call": ["rota"]}
    return str(yaml.safe_dump(document))


def _listener(stage: Stage, name: str, host: str, port: int, certificate: Any) -> str:
    """The ARN of a new load balancer's listener with this certificate; `host` leads there."""
    chain = pem(stage.estate.issuing, stage.estate.root).encode()
    arn = stage.client("acm").import_certificate(
        Certificate=certificate.pem.encode(), PrivateKey=certificate.key_pem.encode(), CertificateChain=chain
    )["CertificateArn"]
    client = stage.client("elbv2")
    made = client.create_load_balancer(Name=name, Subnets=["subnet-11111111", "subnet-22222222"])
    balancer = made["LoadBalancers"][0]
    listener = client.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=port,
        SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        Certificates=[{"CertificateArn": arn}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )["Listeners"][0]
    if host:
        alias(stage, host, balancer)
    return str(listener["ListenerArn"])


def alias(stage: Stage, host: str, balancer: Any) -> None:
    """Let a host name lead to a load balancer."""
    client = stage.client("route53")
    zone = client.list_hosted_zones_by_name(DNSName=host.partition(".")[2])["HostedZones"][0]["Id"]
    to = {"HostedZoneId": balancer["CanonicalHostedZoneId"], "DNSName": balancer["DNSName"]}
    record = {"Name": host, "Type": "A", "AliasTarget": {**to, "EvaluateTargetHealth": False}}
    changes = [{"Action": "UPSERT", "ResourceRecordSet": record}]
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


# --- what happened meanwhile ---


def end(stage: Stage, living: Living) -> None:
    """Renewed by the tick, the old versions retired, and people told of the one that could not be."""
    stage.act("What the tick did meanwhile: renewed before their end, proven at the edge, old versions retired")
    _resolved(stage, living)
    for name in (NEWS, SMTP):
        renewed = until(lambda name=name: served(stage, name) >= 2)  # type: ignore[misc]
        stage.expect(renewed, f"{name}: version {served(stage, name)} serves, renewed by the tick alone")
        if not renewed:
            stage.command("why", name, show=16)
            stage.command("managed", "show", name, show=40)
    for name in (NEWS, SMTP):
        retired = until(lambda name=name: "retired" in _states(stage, name))  # type: ignore[misc]
        stage.expect(retired, f"{name}: its versions are {', '.join(_states(stage, name))}, the newest first")
    with resolving(stage.cloud):
        stage.expect(_edge(stage) == _serving(stage, NEWS)["fingerprint"], f"the edge serves that version of {NEWS}")
    stage.expect(_in_secret(stage) == _serving(stage, SMTP)["fingerprint"], f"the secret holds that version of {SMTP}")
    stage.command("proof", "verify", NEWS, show=8)
    stage.command("managed", "list", show=12)
    stage.command("why", NEWS, show=16)


def trouble(stage: Stage, living: Living) -> None:
    """The adopted certificate cannot be renewed: its ladder, acknowledged, and put right."""
    name = TROUBLED
    stage.act("One that cannot be renewed by itself: who is told, and what a person does")
    until(lambda: _level(stage, name) >= 2)
    told = _told(stage, living, name)
    stage.expect(_level(stage, name) >= 1, f"{len(told)} messages about {name} so far, level {_level(stage, name)}")
    for text in told[-1:]:
        for line in text.splitlines()[:14]:
            stage.say(f"  | {line}")
    stage.command("alerts", "list", show=8)
    stage.command("alerts", "ack", name, errors=True)
    stage.command("why", name, show=16)
    stage.say("A person puts the zone back:")
    stage.client("route53").create_hosted_zone(Name=OLD_ZONE, CallerReference="old")
    balancers = stage.client("elbv2").describe_load_balancers(Names=["old-app"])["LoadBalancers"]
    alias(stage, f"app.{OLD_ZONE}", balancers[0])
    stage.command("renew", name, "--force", errors=True)


def _resolved(stage: Stage, living: Living) -> None:
    """The adopted certificate is renewed, and leaves the ladder."""
    name = TROUBLED
    renewed = until(lambda: served(stage, name) >= 1)
    stage.expect(renewed, f"{name}: version {served(stage, name)} serves in place of the adopted certificate")
    resolved = until(lambda: any("resolved" in each.lower() for each in _told(stage, living, name)))
    stage.expect(resolved, "people were told that it is resolved; it is on the ladder no more")


def until(holds: Callable[[], bool]) -> bool:
    """Wait until something holds; False where it does not in time."""
    end_at = time.monotonic() + WAIT
    while not (found := holds()) and time.monotonic() < end_at:
        time.sleep(1)
    return found


def _explained(stage: Stage, name: str) -> dict[str, Any]:
    (found,) = stage.look("why", name)
    return dict(found)


def _serving(stage: Stage, name: str) -> dict[str, Any]:
    return _explained(stage, name)["serving"] or {"version": 0}


def served(stage: Stage, name: str) -> int:
    """The version that serves, 0 for none."""
    return int(_serving(stage, name)["version"])


def _level(stage: Stage, name: str) -> int:
    return int(_explained(stage, name)["alert_level"])


def _states(stage: Stage, name: str) -> list[str]:
    return [each["state"] for each in stage.look("managed", "show", name)]


def _told(stage: Stage, living: Living, name: str) -> list[str]:
    """The messages about a certificate that people got so far."""
    living.messages += discovery.alerts(stage)
    return [each for each in living.messages if name in each]


def _edge(stage: Stage) -> str:
    """The fingerprint that every address of the live shop serves, "" where they differ."""
    found = set()
    for each in socket.getaddrinfo(HOST, PORT, type=socket.SOCK_STREAM):
        seen = asyncio.run(handshake.shake(str(each[4][0]), PORT, HOST))
        found.add(parse(seen.chain[0]).fingerprint if seen.chain else seen.problem)
    return str(found.pop()) if len(found) == 1 else ""


def _in_secret(stage: Stage) -> str:
    """The fingerprint of the certificate that the mail server's secret holds."""
    value = stage.client("secretsmanager").get_secret_value(SecretId=SECRET, VersionStage="AWSCURRENT")
    return str(parse(ders(json.loads(value["SecretString"])["certificate"])[0]).fingerprint)
