"""The deployed Rollout, in the local cloud: real functions and handshakes with real TLS servers, while clients connect
all the time, places misbehave, calls fail, someone else is faster, and the workflow dies in every state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from deployed import HUB_ACCOUNT, MEMBER_ACCOUNT, OTHER_REGION, until
from deploying_hub import (
    DeployingHub,
    Json,
    Site,
    Visitor,
    careless,
    imported,
    old,
    old_root,
    toml,
    trusting,
)
from written_texts import held

from perennial import proof_signing
from perennial.certificate import ders, parse
from perennial.inventory.records import RolloutRecord, RolloutState
from perennial.targets.interface import Bundle

pytest_plugins = ["deploying_plugin"]
pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("deploying")]

STATES = ("Preflight", "Activate", "Wait", "Prove", "Finish", "Give up", "Restore")  # that take time
CDN, CDN_REGION = "cdn.example.com", "us-east-1"
LEAST = 5  # handshakes a second that a client must have made, on a machine that does other things too


@pytest.fixture(scope="module", autouse=True)
def _nothing_secret(deploying: DeployingHub) -> Iterator[None]:
    """After all of it no key of Secrets Manager stands in anything that was written."""
    yield
    assert deploying.search.places(held(deploying.hub), deploying.search.written()) == {}


# --- everywhere ---


@dataclass
class Everywhere:
    """One rollout to places of every kind, in both accounts and two regions, and what a client saw meanwhile."""

    new: Bundle
    hosts: list[str]
    secret: str
    file: Path
    reference: str = "shop/1"
    visitors: dict[str, Visitor] = field(default_factory=dict)
    printed: str = ""


@dataclass
class Misbehaved:
    """Rollouts that meet something: `sites` are the places that do, `canaries` those before them in the rollout."""

    sites: dict[str, Site] = field(default_factory=dict)
    canaries: dict[str, Site] = field(default_factory=dict)
    visitors: dict[str, Visitor] = field(default_factory=dict)
    theirs: str = ""  # what someone else puts at the site `meanwhile`


@dataclass
class Season:
    """What takes its time, all of it at once."""

    everywhere: Everywhere
    misbehaved: Misbehaved


@pytest.fixture(scope="module")
def season(deploying: DeployingHub, tmp_path_factory: pytest.TempPathFactory) -> Season:
    """One rollout goes well everywhere; at the same time others meet places that misbehave."""
    everywhere = _places(deploying, tmp_path_factory.mktemp("targets"))
    misbehaved = _misbehaving(deploying)
    with ExitStack() as clients:
        for host in everywhere.hosts[:2]:
            everywhere.visitors[host] = clients.enter_context(deploying.visiting(host))
        running = deploying.begin("deploy", "shop", "--targets", str(everywhere.file), "--wait")
        deploying.asked("shop", 1)
        _misbehave(deploying, misbehaved)
        everywhere.printed = deploying.end(running).stdout
    return Season(everywhere, misbehaved)


@pytest.fixture(scope="module")
def everywhere(season: Season) -> Everywhere:
    return season.everywhere


@pytest.fixture(scope="module")
def misbehaved(season: Season) -> Misbehaved:
    return season.misbehaved


def _places(deploying: DeployingHub, folder: Path) -> Everywhere:
    """A place of every kind, with what a customer has there."""
    front = deploying.site("front")
    member, far = deploying.site("member", MEMBER_ACCOUNT), deploying.site("far", region=OTHER_REGION)
    targets = [
        front.target(),
        _sni(deploying),
        _classic(deploying),
        member.target(),
        far.target(),
        _domain(deploying),
        _secret(deploying),
    ]
    hosts = [name for each in targets for name in each.get("names", ())]
    deploying.issue("cdn", 1, CDN)
    deploying.request("cdn", _distribution(deploying))
    file = folder / "shop.toml"
    file.write_text(toml(*targets))
    return Everywhere(deploying.issue("shop", 1, *hosts), hosts, "shop/mail", file)


def _sni(deploying: DeployingHub) -> Json:
    """The SNI certificate of a listener, whose default certificate is for another name."""
    site, host = deploying.site("other"), "sni.example.com"
    arn = imported(deploying.client("acm"), old(host))
    site.client.add_listener_certificates(ListenerArn=site.listener, Certificates=[{"CertificateArn": arn}])
    told = deploying.client("route53").list_hosted_zones()["HostedZones"][0]["Id"]
    change = {"Name": host, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": site.host}]}
    changes = [{"Action": "CREATE", "ResourceRecordSet": change}]
    deploying.client("route53").change_resource_record_sets(HostedZoneId=told, ChangeBatch={"Changes": changes})
    return site.target("sni", slot="sni", replaces=arn, names=[host])


def _classic(deploying: DeployingHub) -> Json:
    host, client = "classic.example.com", deploying.client("elb")
    arn = imported(deploying.client("acm"), old(host))
    listener = {"Protocol": "SSL", "LoadBalancerPort": 443, "InstancePort": 80, "SSLCertificateId": arn}
    made = client.create_load_balancer(
        LoadBalancerName="classic", Listeners=[listener], AvailabilityZones=["eu-west-1a"]
    )
    deploying.alias(host, made["DNSName"])
    return {"kind": "elb", "name": "classic", "load_balancer": "classic", "port": "443", "names": [host]}


def _domain(deploying: DeployingHub) -> Json:
    host, client = "api.example.com", deploying.client("apigatewayv2")
    shown = {
        "CertificateArn": imported(deploying.client("acm"), old(host)),
        "EndpointType": "REGIONAL",
        "SecurityPolicy": "TLS_1_2",
    }
    made = client.create_domain_name(DomainName=host, DomainNameConfigurations=[shown])
    deploying.alias(host, made["DomainNameConfigurations"][0]["ApiGatewayDomainName"])
    return {"kind": "apigateway", "name": "api", "domain": host, "names": [host]}


def _distribution(deploying: DeployingHub) -> Json:
    arn = imported(deploying.client("acm", region=CDN_REGION), old(CDN))
    origin = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    config = {
        "CallerReference": "cdn",
        "Comment": "",
        "Enabled": True,
        "Aliases": {"Quantity": 1, "Items": [CDN]},
        "Origins": {
            "Quantity": 1,
            "Items": [{"Id": "o", "DomainName": "o.example.com", "CustomOriginConfig": origin}],
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": "o",
            "ViewerProtocolPolicy": "https-only",
            "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
        },
        "ViewerCertificate": {
            "ACMCertificateArn": arn,
            "SSLSupportMethod": "sni-only",
            "MinimumProtocolVersion": "TLSv1.2_2021",
        },
    }
    made = deploying.client("cloudfront").create_distribution(DistributionConfig=config)["Distribution"]
    deploying.alias(CDN, made["DomainName"])
    return {"kind": "cloudfront", "name": "cdn", "distribution": made["Id"]}


def _secret(deploying: DeployingHub) -> Json:
    before = old("mail.example.com")
    held = {"private_key": before.key_pem, "certificate": before.pem, "chain": old_root().pem, "port": 993}
    deploying.client("secretsmanager").create_secret(
        Name="shop/mail", SecretString=json.dumps(held), Tags=[{"Key": "perennial:target", "Value": "yes"}]
    )
    return {"kind": "secretsmanager", "name": "mail", "secret": "shop/mail"}


def test_every_place_serves_it(deploying: DeployingHub, everywhere: Everywhere) -> None:
    """Two accounts, two regions and every kind: each address serves the new certificate to a client that verifies it,
    and the consumer's secret has it with its key, and its other fields still."""
    assert deploying.rollout(everywhere.reference).state is RolloutState.DEPLOYED
    assert set(deploying.states(everywhere.reference)) == {"proven"}
    served = {host: deploying.serving(host) for host in everywhere.hosts}
    assert served == {host: {everywhere.new.fingerprint} for host in everywhere.hosts}
    client = deploying.client("secretsmanager")
    assert deploying.ended("cdn/1").state is RolloutState.DEPLOYED
    assert deploying.serving(CDN) == {deploying.versions["cdn/1"].fingerprint}
    held = json.loads(client.get_secret_value(SecretId=everywhere.secret, VersionStage="AWSCURRENT")["SecretString"])
    assert parse(ders(held["certificate"])[0]).fingerprint == everywhere.new.fingerprint
    assert (held["private_key"], held["port"]) == (everywhere.new.private_key, 993)


def test_it_becomes_the_current_version(deploying: DeployingHub, everywhere: Everywhere) -> None:
    """When it is proven everywhere, and not before, the version is AWSCURRENT of its secret."""
    name = "perennial/certificates/shop"
    client = deploying.client("secretsmanager")
    deploying.issue("shop", 2, *everywhere.hosts)
    value = json.loads(client.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["SecretString"])
    assert parse(ders(value["certificate"])[0]).fingerprint == everywhere.new.fingerprint


def test_nobody_was_without_a_certificate(everywhere: Everywhere) -> None:
    """Clients of the load balancers that connected all the time, and verified all, were shown the old certificate and
    then the new one, and no handshake of theirs failed."""
    for host, visitor in everywhere.visitors.items():
        print(visitor)
        assert visitor.failed == []
        assert visitor.saw == [old(host).fingerprint, everywhere.new.fingerprint]
        assert len(visitor.shown) > LEAST * visitor.seconds


def test_every_proof_holds(deploying: DeployingHub, everywhere: Everywhere) -> None:
    """Each target has a proof with the serial that every address served, which KMS's public key verifies, and which
    names who asked."""
    key_id = deploying.deployment.named("PERENNIAL_PROOF_KEY_ID")
    public = deploying.client("kms").get_public_key(KeyId=key_id)["PublicKey"]
    proofs = {each.target: each for each in deploying.proofs(everywhere.reference)}
    assert set(proofs) == set(deploying.targets(everywhere.reference))
    for each in proofs.values():
        proof_signing.verify(each, public)
        assert (each.purpose, each.expected, each.key_id) == ("deployed", everywhere.new.fingerprint, key_id)
        assert f"arn:aws:iam::{HUB_ACCOUNT}" in each.asked_by or f"::{HUB_ACCOUNT}:" in each.asked_by
    shaken = {each.target: {seen.serial for seen in each.observations} for each in proofs.values()}
    serial = everywhere.new.certificate.serial
    assert shaken == {name: set() if name == "mail" else {serial} for name in proofs}
    assert len({(seen.address, seen.port) for seen in proofs["front"].observations}) == 2
    assert f"account={MEMBER_ACCOUNT}" in proofs["member"].place
    assert f"region={OTHER_REGION}" in proofs["far"].place


def test_commands(deploying: DeployingHub, everywhere: Everywhere, tmp_path: Path) -> None:
    """`deploy --wait` ends with 0; `rollouts` and `proof show` have it as documents, and `proof verify` holds, also
    with a file of the public key, and not for a proof that was changed."""
    assert "Rollout shop/1, version 1: deployed" in everywhere.printed
    (row,) = json.loads(deploying.command("rollouts", "shop", "--json").stdout)
    assert (row["managed"], row["rollout"], row["version"], row["state"]) == ("shop", 1, 1, "deployed")
    assert (row["on_failure"], row["reason"], row["message"], row["due_at"]) == ("return", None, None, None)
    assert [each["state"] for each in row["targets"]] == ["proven"] * len(deploying.states("shop/1"))
    assert row["targets"][0]["found"] == old("front.example.com").fingerprint
    shown = deploying.command("proof", "show", "shop", "--json").stdout
    proofs = {each["id"]: each for each in json.loads(shown)}
    assert {each["proof"] for each in row["targets"]} == set(proofs)
    verified = deploying.command("proof", "verify", "shop").stdout.splitlines()
    assert [each.partition(" ")[0] for each in verified] == ["holds"] * len(proofs)
    (tmp_path / "key.pem").write_bytes(_public_key(deploying))
    for name, text, code in (("good", shown, 0), ("changed", shown.replace("front", "other"), 1)):
        (tmp_path / name).write_text(text)
        files = ("--file", str(tmp_path / name), "--public-key", str(tmp_path / "key.pem"))
        deploying.command("proof", "verify", *files, expect=code)


def _public_key(deploying: DeployingHub) -> bytes:
    key_id = deploying.deployment.named("PERENNIAL_PROOF_KEY_ID")
    public = load_der_public_key(deploying.client("kms").get_public_key(KeyId=key_id)["PublicKey"])
    pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def test_what_is_not_allowed(deploying: DeployingHub, everywhere: Everywhere, tmp_path: Path) -> None:
    """A kind of target that perennial.toml does not name is refused at once, with exit code 2 and what to do."""
    file = tmp_path / "targets.toml"
    file.write_text(toml({"kind": "iam", "name": "servers", "name_prefix": "shop"}))
    assert "targets.kinds" in deploying.command("deploy", "shop", "--targets", str(file), expect=2).stderr


# --- places that misbehave ---


def _misbehaving(deploying: DeployingHub) -> Misbehaved:
    """Rollouts that are asked for; of three, the canary is stale, which holds them up until it is told otherwise."""
    made = Misbehaved()
    for name in ("stale", "refuse", "hang"):
        made.sites[name] = site = deploying.site(name)
        deploying.issue(name, 1, site.host)
    for name in ("wrong-chain", "mute", "meanwhile"):
        site, canary = deploying.site(name), deploying.site(f"{name}-canary")
        made.sites[name], made.canaries[name] = site, canary
        deploying.issue(name, 1, canary.host, site.host)
        deploying.cloud.misbehave(canary.listener, "old")
    made.theirs = imported(deploying.client("acm"), old(made.sites["meanwhile"].host, "theirs.example.com"))
    return made


def _misbehave(deploying: DeployingHub, made: Misbehaved) -> None:
    """All of it, to its end."""
    sites, cloud = made.sites, deploying.cloud
    cloud.misbehave(sites["stale"].listener, "old", address=deploying.addresses(sites["stale"].host)[1][0])
    for name in ("refuse", "hang"):
        cloud.misbehave(sites[name].listener, name)
    with ExitStack() as clients:
        for name, context in (("stale", trusting()), ("wrong-chain", careless())):
            made.visitors[name] = clients.enter_context(deploying.visiting(sites[name].host, context))
        for name, site in sites.items():
            canary = made.canaries.get(name)
            first = [canary.target()] if canary else []
            deploying.request(name, *first, site.target(deadline=12))
        deploying.tick()
        _while_canaries_wait(deploying, made)
        for name in sites:
            deploying.ended(f"{name}/1")


def _while_canaries_wait(deploying: DeployingHub, made: Misbehaved) -> None:
    """All places were looked at, and only canaries are changed: now the sites behind them misbehave."""
    for name in made.canaries:
        until(lambda name=name: deploying.states(f"{name}/1") == ["activated", "ready"], f"the canary of {name}")
    deploying.cloud.misbehave(made.sites["wrong-chain"].listener, "wrong-chain")
    deploying.cloud.misbehave(made.sites["mute"].listener, "hang")
    made.sites["meanwhile"].change(made.theirs)
    for canary in made.canaries.values():
        deploying.cloud.misbehave(canary.listener, "well")
    until(lambda: deploying.rollout("mute/1").state is RolloutState.RETURNING, "the way back")
    deploying.cloud.misbehave(made.sites["mute"].listener, "well")


def _returned(deploying: DeployingHub, misbehaved: Misbehaved, name: str) -> None:
    """A rollout ended with what was there before at all of its places, which a proof shows, and says what to do."""
    record = deploying.rollout(f"{name}/1")
    assert (record.state, record.reason) == (RolloutState.RETURNED, "not-proven"), record.message
    assert name in record.message
    assert "Next: look at what answers there" in record.message
    places = [each[name] for each in (misbehaved.canaries, misbehaved.sites) if name in each]
    assert deploying.states(record.reference) == ["returned"] * len(places)
    proofs = [each for each in deploying.proofs(record.reference) if each.purpose == "restored"]
    assert {each.expected for each in proofs} == {each.before.fingerprint for each in places}
    for each in places:
        assert each.default == each.arn
        assert deploying.serving(each.host) == {each.before.fingerprint}


def test_one_address_stays_old(deploying: DeployingHub, misbehaved: Misbehaved) -> None:
    """One of two addresses goes on to serve the old certificate: it comes back, and a client of both addresses had no
    failure, on the way there and back."""
    deploying.cloud.misbehave(misbehaved.sites["stale"].listener, "well")
    _returned(deploying, misbehaved, "stale")
    visitor = misbehaved.visitors["stale"]
    print(visitor)
    assert visitor.failed == []
    assert set(visitor.saw) == {misbehaved.sites["stale"].before.fingerprint, _new(deploying, "stale")}
    assert visitor.shown[-1] == misbehaved.sites["stale"].before.fingerprint


def test_another_chain(deploying: DeployingHub, misbehaved: Misbehaved) -> None:
    """The right certificate with a chain of another CA, which a client that verifies nothing does not notice: it comes
    back, and that client had no failure either."""
    site = misbehaved.sites["wrong-chain"]
    visitor = misbehaved.visitors["wrong-chain"]
    print(visitor)
    assert "another chain" in deploying.rollout("wrong-chain/1").message
    deploying.cloud.misbehave(site.listener, "well")
    _returned(deploying, misbehaved, "wrong-chain")
    assert visitor.failed == []
    assert visitor.saw == [site.before.fingerprint, _new(deploying, "wrong-chain")]
    assert visitor.shown[-1] == site.before.fingerprint


def test_silence_after_the_change(deploying: DeployingHub, misbehaved: Misbehaved) -> None:
    """A place that answers no handshake any more from the change on comes back after its deadline, and with it the
    canary."""
    assert "gives no handshake" in deploying.rollout("mute/1").message
    _returned(deploying, misbehaved, "mute")


def test_someone_else_was_faster(deploying: DeployingHub, misbehaved: Misbehaved) -> None:
    """What someone else put there between the look and the change stays; the canary comes back."""
    record = deploying.rollout("meanwhile/1")
    assert (record.state, record.reason) == (RolloutState.RETURNED, "changed-meanwhile")
    assert "Next: find out who else changes this place" in record.message
    assert deploying.states(record.reference) == ["returned", "left"]
    site, canary = misbehaved.sites["meanwhile"], misbehaved.canaries["meanwhile"]
    assert (site.default, canary.default) == (misbehaved.theirs, canary.arn)


@pytest.mark.parametrize("name", ["refuse", "hang"])
def test_silence_before_the_change(deploying: DeployingHub, misbehaved: Misbehaved, name: str) -> None:
    """A place that answers no handshake before is refused, and nothing is changed there nor imported into ACM."""
    record, site = deploying.rollout(f"{name}/1"), misbehaved.sites[name]
    assert (record.state, record.reason) == (RolloutState.REFUSED, "not-fit"), record.message
    assert record.message.startswith("Nothing was changed.")
    assert 'proof = "read-back"' in record.message
    assert "Next: " in record.message
    assert site.default == site.arn
    assert _in_acm(deploying, site.host) == [site.arn]
    assert deploying.proofs(record.reference) == []


def test_commands_tell_that_it_failed(deploying: DeployingHub, misbehaved: Misbehaved) -> None:
    """`deploy --wait` of a rollout that is refused ends with 2, and tells why."""
    running = deploying.begin("deploy", "refuse", "--wait")
    deploying.asked("refuse", 2)
    deploying.tick()
    done = deploying.end(running, 2)
    assert "refused" in done.stdout
    assert "No handshake can be made with refuse" in done.stdout


def _new(deploying: DeployingHub, managed: str) -> str:
    return deploying.versions[f"{managed}/1"].fingerprint


def _in_acm(deploying: DeployingHub, name: str) -> list[str]:
    """The ARNs of a name's certificates in the hub's ACM."""
    pages = (
        deploying.client("acm").get_paginator("list_certificates").paginate(Includes={"keyTypes": ["EC_prime256v1"]})
    )
    listed = [each for page in pages for each in page["CertificateSummaryList"]]
    return [each["CertificateArn"] for each in listed if each["DomainName"] == name]


# --- calls that fail ---


@dataclass
class Single:
    """A site, and a version that it is to get."""

    site: Site
    new: Bundle
    reference: str

    def serves(self, deploying: DeployingHub, *, new: bool = True) -> None:
        """Both addresses serve the new certificate, or the old one."""
        expected = self.new.fingerprint if new else self.site.before.fingerprint
        assert deploying.serving(self.site.host) == {expected}


def _single(deploying: DeployingHub, name: str, **more: Any) -> Single:
    """Ask for a rollout to a site of its own."""
    site = deploying.site(name)
    new = deploying.issue(name, 1, site.host)
    return Single(site, new, deploying.request(name, site.target(**more)))


def _run(deploying: DeployingHub) -> str:
    """What the tick starts, to its end."""
    (execution,) = deploying.tick()
    return str(deploying.hub.finish(execution)["status"])


@pytest.mark.parametrize(("code", "status"), [("InternalFailure", 500), ("Throttling", 400)])
def test_what_passes_is_tried_again(deploying: DeployingHub, code: str, status: int) -> None:
    """ModifyListener fails or is throttled twice: it ends deployed in the same execution, and a client had no
    failure."""
    single = _single(deploying, f"fails-{code.lower()}")
    deploying.hub.inject("elbv2", "ModifyListener", code, 2, status)
    with deploying.visiting(single.site.host) as visitor:
        assert _run(deploying) == "SUCCEEDED"
    assert deploying.rollout(single.reference).state is RolloutState.DEPLOYED
    single.serves(deploying)
    assert visitor.failed == []
    assert visitor.saw == [single.site.before.fingerprint, single.new.fingerprint]


def test_what_is_denied_comes_back(deploying: DeployingHub) -> None:
    """ModifyListener is denied: what was there stays, the rollout names the action and says what to do."""
    single = _single(deploying, "denied")
    deploying.hub.inject("elbv2", "ModifyListener", "AccessDenied", 1, 403)
    assert _run(deploying) == "FAILED"
    record = deploying.rollout(single.reference)
    assert (record.state, record.reason) == (RolloutState.RETURNED, "access-denied")
    assert "elasticloadbalancing:ModifyListener" in record.message
    assert "Next: give the role the permission that is named" in record.message
    assert deploying.states(single.reference) == ["returned"]
    single.serves(deploying, new=False)


@pytest.fixture
def without_role(deploying: DeployingHub, request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """The member's account without one of the roles of targets; gives what makes it again."""
    iam, name = deploying.client("iam", MEMBER_ACCOUNT), str(request.param)
    role = iam.get_role(RoleName=name)["Role"]
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)
    deploying.hub.crash()  # sessions of the role are used for half an hour

    def again() -> None:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]))

    yield again
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        again()


@pytest.mark.parametrize("without_role", ["PerennialTargetLook"], indirect=True)
def test_without_the_role_that_looks(deploying: DeployingHub, without_role: Callable[[], None]) -> None:
    """Without the role that looks in the member's account the rollout is refused, and names the role."""
    record, site = _in_member(deploying, "unseen")
    assert (record.state, site.default) == (RolloutState.REFUSED, site.arn)
    assert "sts:AssumeRole" in record.message
    assert ":role/PerennialTargetLook" in record.message


@pytest.mark.parametrize("without_role", ["PerennialTarget"], indirect=True)
def test_without_the_role_that_changes(deploying: DeployingHub, without_role: Callable[[], None]) -> None:
    """Without the role that changes in the member's account nothing is changed; the way back, which needs the role too,
    is tried again and ends when the role is back."""
    record, site = _in_member(deploying, "unchanged")
    assert (record.state, record.reason) == (RolloutState.RETURNING, "access-denied"), record.message
    assert record.due_at is not None
    assert "Next: give the role the permission that is named" in record.message
    without_role()
    assert deploying.settle(record.reference).state is RolloutState.RETURNED
    assert site.default == site.arn


def _in_member(deploying: DeployingHub, managed: str) -> tuple[RolloutRecord, Site]:
    """A rollout to a site in the member's account, when its execution has ended."""
    site = deploying.site(managed, MEMBER_ACCOUNT)
    deploying.issue(managed, 1, site.host)
    return deploying.deploy(managed, site.target()), site


# --- when it is interrupted ---


def test_every_state_is_interrupted(deploying: DeployingHub) -> None:
    """The states that the tests below stop are all of the deployed machine that take time."""
    machine = deploying.client("stepfunctions").describe_state_machine(
        stateMachineArn=deploying.hub.outputs["RolloutArn"]
    )
    states = json.loads(machine["definition"])["States"]
    assert {name for name, state in states.items() if state["Type"] in ("Task", "Wait")} == set(STATES)


@pytest.mark.parametrize("state", STATES)
def test_stopped_in_a_state(deploying: DeployingHub, state: str) -> None:
    """An execution that is stopped in a state, while the state's function may still run, is started again by the tick
    when it is due, and ends: deployed, or with what was there before where a call was denied."""
    single = _single(deploying, f"stopped-{state.lower().replace(' ', '-')}")
    if state == "Wait":
        deploying.cloud.misbehave(single.site.listener, "old")  # until the execution was stopped
    if state in ("Give up", "Restore"):
        deploying.hub.inject("elbv2", "ModifyListener", "AccessDenied", 1, 403)
    with deploying.visiting(single.site.host) as visitor:
        (execution,) = deploying.tick()
        until(lambda: state in deploying.entered(execution), state, pause=0.005)
        stopped = deploying.stop(execution)
        deploying.cloud.misbehave(single.site.listener, "well")
        record = deploying.settle(single.reference)
    deploying.hub.settle(execution)
    assert stopped == "ABORTED" or state == "Finish"  # so short before the end that a stop may come too late
    states = ("returned",) if state == "Restore" else ("deployed", "returned") if state == "Give up" else ("deployed",)
    assert record.state in states, record.message
    single.serves(deploying, new=record.state is RolloutState.DEPLOYED)
    assert visitor.failed == []
    assert record == deploying.rollout(single.reference)  # what the stopped one had begun has changed nothing since


@pytest.mark.parametrize("state", ["Activate", "Prove"])
def test_functions_crash(deploying: DeployingHub, state: str) -> None:
    """The processes of all functions end while a state's function runs: it ends deployed all the same."""
    single = _single(deploying, f"crashed-{state.lower()}")
    (execution,) = deploying.tick()
    until(lambda: state in deploying.entered(execution), state, pause=0.005)
    assert deploying.hub.crash() > 0
    deploying.hub.finish(execution)
    assert deploying.settle(single.reference).state is RolloutState.DEPLOYED
    single.serves(deploying)


def test_two_executions_of_one_rollout(deploying: DeployingHub) -> None:
    """Two executions at once, the second from where the first one waits for the proof: it ends deployed, and the place
    was changed once."""
    single = _single(deploying, "twice")
    deploying.cloud.misbehave(single.site.listener, "old")
    deploying.hub.forget_calls()
    with deploying.visiting(single.site.host) as visitor:
        both = [deploying.start(single.reference, "twice-0")]
        until(lambda: deploying.states(single.reference) == ["activated"], "the change")
        both.append(deploying.start(single.reference, "twice-1"))
        until(lambda: all("Wait" in deploying.entered(each) for each in both), "both to wait for the proof")
        deploying.cloud.misbehave(single.site.listener, "well")
        assert [deploying.hub.finish(each)["status"] for each in both] == ["SUCCEEDED"] * 2
    calls = deploying.hub.calls()
    assert deploying.settle(single.reference).state is RolloutState.DEPLOYED
    single.serves(deploying)
    assert visitor.failed == []
    assert (calls["elbv2"]["ModifyListener"], calls["acm"]["ImportCertificate"]) == (1, 1)
