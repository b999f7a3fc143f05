"""The edge of a running local cloud: by its paths, by name in this process and in a function, and after a restart."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import textwrap
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from edge_account import OK, POLICY, distribution, leaf, root, shake

from certificates import Built
from local_cloud import __main__ as command
from local_cloud import edge_hooks, hooks
from local_cloud.cloud import MEMBER_ACCOUNT, REGION, Cloud, CloudError, free_port
from local_cloud.edge import resolving
from local_cloud.patching import HookLostError
from perennial.handshake import addresses

FUNCTION = """
import asyncio, hashlib, json, socket, ssl

def handler(event, context):
    host = event["host"]
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return {"error": str(error)}
    again = asyncio.run(looked_up(host))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, 443), 5) as plain, client.wrap_socket(plain, server_hostname=host) as tls:
        shown = tls.getpeercert(True)
    return {"found": [each[4] for each in found], "same": again == found, "shown": hashlib.sha256(shown).hexdigest()}

async def looked_up(host):
    return await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
"""


# --- the hooks ---


@pytest.mark.parametrize(
    "script", ["print('rewritten')", "    os.environ.update(env)\n", "    _ms_install_invoke_depth()\n"]
)
def test_hook_says_that_a_source_line_is_gone(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A worker script without one of the lines is named, rather than left with names that lead nowhere."""
    monkeypatch.setattr("ministack.core.lambda_runtime._PYTHON_WORKER_SCRIPT", script)
    with pytest.raises(HookLostError, match=r"hook 'resolve_at_the_edge', because the line .* is gone"):
        edge_hooks.resolve_at_the_edge()


def test_worker_script_is_still_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script with the edge in it compiles, and has the lookup once, after the function's variables are set."""
    from ministack.core import lambda_runtime

    monkeypatch.setattr(lambda_runtime, "_PYTHON_WORKER_SCRIPT", lambda_runtime._PYTHON_WORKER_SCRIPT)
    edge_hooks.resolve_at_the_edge()
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    compile(script, "_worker.py", "exec")
    assert script.count("_edge['install']") == 1
    assert script.index("os.environ.update(env)") < script.index("_edge['install']") < script.index("import_module(mod")


def test_edge_is_hooked() -> None:
    """The local cloud applies the edge's hooks."""
    assert set(edge_hooks.HOOKS) <= set(hooks.HOOKS)


# --- a running cloud ---


class Site:
    """A load balancer in a running cloud, with a certificate and a name in Route 53."""

    def __init__(self, cloud: Cloud, name: str, account: str | None = None) -> None:
        self.cloud, self.account = cloud, account
        self.host = f"www.{name}.example.com"
        self.old, self.new = leaf(self.host, 30), leaf(self.host, 60)
        self.arn = self.imported(self.old)
        self.balancer = self._balancer(name)
        self.listener = self._listener()
        self._named(name)

    def client(self, service: str) -> Any:
        return self.cloud.client(service, self.account)

    def imported(self, built: Built, **over: str) -> str:
        return imported(self.client("acm"), built, **over)

    def _balancer(self, name: str) -> dict[str, Any]:
        subnets = ["subnet-11111111", "subnet-22222222"]
        return dict(self.client("elbv2").create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0])

    def _listener(self) -> str:
        made = self.client("elbv2").create_listener(
            LoadBalancerArn=self.balancer["LoadBalancerArn"],
            Protocol="HTTPS",
            Port=443,
            SslPolicy=POLICY,
            Certificates=[{"CertificateArn": self.arn}],
            DefaultActions=OK,
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def _named(self, name: str) -> None:
        route53 = self.client("route53")
        zone = route53.create_hosted_zone(Name=f"{name}.example.com", CallerReference=name)["HostedZone"]["Id"]
        alias = {
            "HostedZoneId": self.balancer["CanonicalHostedZoneId"],
            "DNSName": self.balancer["DNSName"],
            "EvaluateTargetHealth": False,
        }
        change = {"Action": "UPSERT", "ResourceRecordSet": {"Name": self.host, "Type": "A", "AliasTarget": alias}}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})

    def rows(self) -> list[dict[str, Any]]:
        return [row for row in self.cloud.edge() if row["place"] == self.listener]

    def shown(self) -> list[bytes]:
        """What each address shows, found by name."""
        return shown(self.cloud, self.host)


def imported(acm: Any, built: Built, **over: str) -> str:
    request = {"Certificate": built.pem.encode(), "PrivateKey": built.key_pem.encode()}
    return str(acm.import_certificate(**request, CertificateChain=root().pem.encode(), **over)["CertificateArn"])


def shown(cloud: Cloud, host: str) -> list[bytes]:
    """What each address of a host shows, found by its name."""
    with resolving(cloud):
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [shake(*entry[4][:2], host)[0] for entry in found]


@pytest.mark.local_cloud
def test_name_in_another_account_leads_to_what_acm_holds(cloud: Cloud) -> None:
    """A name in a member's Route 53 leads to its load balancer, which shows the old, then the new certificate."""
    site = Site(cloud, "edge-member", MEMBER_ACCOUNT)
    assert site.shown() == [site.old.der] * 2
    site.imported(site.new, CertificateArn=site.arn)
    assert site.shown() == [site.new.der] * 2
    assert {row["certificate"]["fingerprint"] for row in site.rows()} == {site.new.fingerprint}
    assert {row["account"] for row in site.rows()} == {MEMBER_ACCOUNT}


@pytest.mark.local_cloud
def test_domain_and_distribution_follow_their_updates(cloud: Cloud) -> None:
    """Through the fakes of a running cloud: what UpdateDomainName and UpdateDistribution set is shown."""
    api, cdn = "api.edge-updates.example.com", "cdn.edge-updates.example.com"
    for host, region, service in ((api, REGION, "apigateway"), (cdn, "us-east-1", "cloudfront")):
        old, new = leaf(host, 30), leaf(host, 60)
        arns = [imported(cloud.client("acm", region=region), built) for built in (old, new)]
        client = cloud.client(service, region=region)
        move = domain(client, host, arns[0]) if service == "apigateway" else distributed(client, host, arns[0])
        assert set(shown(cloud, host)) == {old.der}
        move(arns[1])
        assert set(shown(cloud, host)) == {new.der}


def domain(client: Any, host: str, certificate: str) -> Callable[[str], Any]:
    """A new custom domain; what it returns gives it another certificate."""
    types = {"types": ["REGIONAL"]}
    client.create_domain_name(domainName=host, regionalCertificateArn=certificate, endpointConfiguration=types)

    def move(arn: str) -> None:
        patch = {"op": "replace", "path": "/regionalCertificateArn", "value": arn}
        client.update_domain_name(domainName=host, patchOperations=[patch])

    return move


def distributed(client: Any, host: str, certificate: str) -> Callable[[str], Any]:
    """A new distribution; what it returns gives it another certificate."""
    made = client.create_distribution(DistributionConfig=distribution(certificate, host))

    def move(arn: str) -> None:
        told = client.get_distribution_config(Id=made["Distribution"]["Id"])
        shows = told["DistributionConfig"]["ViewerCertificate"] | {"ACMCertificateArn": arn, "Certificate": arn}
        config = told["DistributionConfig"] | {"ViewerCertificate": shows}
        client.update_distribution(Id=made["Distribution"]["Id"], IfMatch=told["ETag"], DistributionConfig=config)

    return move


@pytest.mark.local_cloud
def test_library_finds_the_addresses(cloud: Cloud) -> None:
    """What the library uses to look up a name goes to the edge too."""
    site = Site(cloud, "edge-library")
    with resolving(cloud):
        found = asyncio.run(addresses(site.host, 443))
    assert found == tuple(sorted(row["address"] for row in site.rows()))


@pytest.mark.local_cloud
def test_cloud_misbehaves_on_order(cloud: Cloud) -> None:
    """One of two addresses goes stale by its name; the wrong order is refused in words."""
    site = Site(cloud, "edge-stale")
    stale = site.rows()[0]["address"]
    assert [row["address"] for row in cloud.misbehave(site.host, "old", address=stale)] == [stale]
    site.imported(site.new, CertificateArn=site.arn)
    assert site.shown() == [site.old.der, site.new.der]
    assert [row["behaviour"] for row in cloud.misbehave(site.listener, "well")] == ["well", "well"]
    assert site.shown() == [site.new.der] * 2
    with pytest.raises(CloudError, match="'odd' is no behaviour"):
        cloud.misbehave(site.host, "odd")


@pytest.mark.local_cloud
def test_looking_on_is_not_counted(cloud: Cloud) -> None:
    """What the edge asks of the fakes is no call of a customer: it is not counted, and meets no injected fault."""
    site = Site(cloud, "edge-quiet")
    before = counted(cloud)
    assert site.shown() == [site.old.der] * 2
    assert counted(cloud) == before


def counted(cloud: Cloud) -> Any:
    with cloud.open("/_fakes/calls") as answer:
        return json.load(answer).get("elbv2")


@cache
def archive(source: str) -> bytes:
    """A function's code."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as content:
        content.writestr("index.py", textwrap.dedent(source))
    return packed.getvalue()


@pytest.fixture(scope="module")
def invoke(cloud: Cloud) -> Iterator[Callable[[str], Any]]:
    """What a deployed function says of a host."""
    client, name = cloud.client("lambda"), "edge-visitor"
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role="arn:aws:iam::111111111111:role/any",
        Handler="index.handler",
        Code={"ZipFile": archive(FUNCTION)},
        Timeout=20,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})

    def answer(host: str) -> Any:
        reply = client.invoke(FunctionName=name, Payload=json.dumps({"host": host}))
        return json.loads(reply["Payload"].read())

    yield answer
    client.delete_function(FunctionName=name)


@pytest.mark.local_cloud
def test_function_resolves_at_the_edge(cloud: Cloud, invoke: Callable[[str], Any]) -> None:
    """A deployed function finds the load balancer by its name, also with asyncio, and shakes hands with the edge."""
    site = Site(cloud, "edge-function")
    said = invoke(site.host)
    assert said["shown"] == site.old.fingerprint, said
    assert (said["found"], said["same"]) == ([[row["address"], row["port"]] for row in site.rows()], True)
    site.imported(site.new, CertificateArn=site.arn)
    assert invoke(site.host)["shown"] == site.new.fingerprint


@pytest.mark.local_cloud
def test_function_looks_up_other_names_as_ever(invoke: Callable[[str], Any]) -> None:
    """A name that nobody has is as unknown to a function as to everyone."""
    assert "error" in invoke("nowhere.invalid")


@pytest.mark.local_cloud
def test_command_lists_the_edge(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command prints a table for people, and all of it as JSON."""
    site = Site(cloud, "edge-command")
    monkeypatch.setattr(Cloud, "named", lambda name: cloud)
    assert command.main(["edge"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["PLACE", "NAME", "ADDRESS", "BEHAVIOUR", "CERTIFICATE"]
    first = site.rows()[0]
    line = next(line for line in lines if f"{first['address']}:{first['port']}" in line)
    assert all(
        text in line for text in ("elbv2", "edge-command:443", "well", site.host, first["certificate"]["serial"])
    )
    assert command.main(["edge", "--json"]) == 0
    assert first in json.loads(capsys.readouterr().out)


@pytest.mark.local_cloud
def test_reset_and_restart(
    idle_cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reset closes every server; after a restart on another port the edge is there again, and resolves."""
    monkeypatch.setattr(Cloud, "named", lambda name: idle_cloud)
    assert command.main(["edge"]) == 3
    assert "is down" in capsys.readouterr().err
    idle_cloud.start()
    servers = [(row["address"], row["port"]) for row in Site(idle_cloud, "edge-reset").rows()]
    idle_cloud.reset()
    for server in servers:
        with pytest.raises(ConnectionRefusedError):
            shake(*server, "x")
    assert idle_cloud.edge() == []
    with resolving(idle_cloud):
        idle_cloud.stop()
        idle_cloud.start(port=free_port())
        site = Site(idle_cloud, "edge-reset")
        assert site.shown() == [site.old.der] * 2
    assert list(idle_cloud.directory.glob("tmp/edge-*")) == []
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{idle_cloud.url}/_local_cloud/edge/nothing")
