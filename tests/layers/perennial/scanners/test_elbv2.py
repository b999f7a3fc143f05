from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from certificates import build
from perennial.manifest import Role
from perennial.scanners.elbv2 import protocols
from scanning import ACCOUNT, REGION, remembered, scan
from scripted_aws import Answer, ScriptedAws, refuse

PREFIX = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
STORE = f"{PREFIX}:truststore/clients/1"
MODERN = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
LEGACY = ["TLSv1", "TLSv1.1", "TLSv1.2"]


def certificate(name: str) -> str:
    return f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/{name}"


def balancer(name: str = "shop", kind: str = "application") -> dict[str, Any]:
    arn = f"{PREFIX}:loadbalancer/{name}"
    return {"LoadBalancerArn": arn, "Type": kind, "Scheme": "internet-facing", "DNSName": f"{name}.elb.amazonaws.com"}


def listener(of: str = "shop", port: int = 443, protocol: str = "HTTPS", **more: Any) -> dict[str, Any]:
    told = {"ListenerArn": f"{PREFIX}:listener/{of}/{port}", "Port": port, "Protocol": protocol}
    if protocol in ("HTTPS", "TLS"):
        told |= {"SslPolicy": MODERN, "Certificates": [{"CertificateArn": certificate("default")}]}
    return told | more


def attached(*names: str, default: str = "default") -> list[dict[str, Any]]:
    marked = [{"CertificateArn": certificate(default), "IsDefault": True}]
    return marked + [{"CertificateArn": certificate(name), "IsDefault": False} for name in names]


class Estate:
    """Load balancers and their listeners as the API lists them, in pages of `size`."""

    def __init__(self, *balancers: dict[str, Any], size: int = 400) -> None:
        self.balancers = list(balancers) or [balancer()]
        self.listeners: dict[str, list[dict[str, Any]]] = {}
        self.certificates: dict[str, list[dict[str, Any]]] = {}
        self.size = size

    def add(self, told: dict[str, Any], *certificates: dict[str, Any], of: str = "shop") -> Estate:
        self.listeners.setdefault(f"{PREFIX}:loadbalancer/{of}", []).append(told)
        self.certificates[told["ListenerArn"]] = list(certificates) or attached()
        return self

    def script(self, **more: Answer) -> ScriptedAws:
        return ScriptedAws(
            {
                "elbv2.DescribeLoadBalancers": lambda request: self._page("LoadBalancers", self.balancers, request),
                "elbv2.DescribeListeners": lambda request: self._page(
                    "Listeners", self.listeners.get(request["LoadBalancerArn"], []), request
                ),
                "elbv2.DescribeListenerCertificates": lambda request: self._page(
                    "Certificates", self.certificates[request["ListenerArn"]], request
                ),
                **more,
            }
        )

    def _page(self, key: str, everything: list[Any], request: Any) -> dict[str, Any]:
        start = int(request.get("Marker", 0))
        end = start + self.size
        following = {"NextMarker": str(end)} if end < len(everything) else {}
        return {key: everything[start:end], **following}


def operations(made: ScriptedAws) -> list[str]:
    return sorted(name.removeprefix("elbv2.") for name in made.calls)


def test_default_and_sni() -> None:
    """A listener's default and SNI certificates are attached sightings that name their holder, listener and policy."""
    estate = Estate().add(listener(), *attached("b", "a"))
    tags = {"elasticloadbalancing:loadbalancer": {f"{PREFIX}:loadbalancer/shop": {"team": "shop"}}}
    seen = [each.sighting for each in scan("elbv2", estate.script(), tags=tags)]
    arn = f"{PREFIX}:listener/shop/443"
    assert [(each.holder, each.attributes["binding"]) for each in seen] == [
        (certificate("default"), "default"),
        (certificate("a"), "sni"),
        (certificate("b"), "sni"),
    ]
    assert seen[0].location == f"{arn}#{certificate('default')}"
    assert (seen[0].resource, seen[0].role, seen[0].fingerprint) == (arn, Role.ATTACHED, None)
    assert seen[0].attributes == {
        "binding": "default",
        "listener": "HTTPS:443",
        "policy": MODERN,
        "protocols": ["TLSv1.2", "TLSv1.3"],
        "scheme": "internet-facing",
        "tags": {"team": "shop"},
    }


@pytest.mark.parametrize(
    "listed",
    [
        [*attached("default")],
        [*attached("default")][::-1],
        [{"CertificateArn": certificate("default"), "IsDefault": False}],
    ],
)
def test_default_listed_twice(listed: list[dict[str, Any]]) -> None:
    """The default is one sighting, bound as default, however often and in which order AWS lists it."""
    seen = scan("elbv2", Estate().add(listener(), *listed).script())
    assert [each.sighting.attributes["binding"] for each in seen] == ["default"]


def test_calls_stay_at_the_floor() -> None:
    """The calls are one, one a load balancer, and one a TLS listener; plain listeners and gateways cost none."""
    estate = Estate(balancer("shop"), balancer("plain"), balancer("wall", "gateway"))
    estate.add(listener(port=443)).add(listener(port=8443)).add(listener(port=80, protocol="HTTP"))
    estate.add(listener("plain", 5432, "TCP"), of="plain")
    made = estate.script()
    assert len(scan("elbv2", made)) == 2
    expected = ["DescribeListenerCertificates"] * 2 + ["DescribeListeners"] * 2 + ["DescribeLoadBalancers"]
    assert operations(made) == expected


def test_pages_are_followed_everywhere() -> None:
    """Load balancers, listeners and certificates are read to their last page."""
    estate = Estate(*(balancer(name) for name in ("a", "b", "c")), size=1)
    for name in ("a", "b", "c"):
        estate.add(listener(name), *attached("x", "y"), of=name).add(listener(name, 8443), of=name)
    seen = scan("elbv2", estate.script())
    assert len(seen) == 3 * (3 + 1)


def test_order_does_not_depend_on_the_threads() -> None:
    """Sightings come in the order of the load balancers and listeners, whichever call answers first."""
    names = [f"lb{number:02}" for number in range(30)]
    estate = Estate(*map(balancer, names))
    for name in names:
        estate.add(listener(name), *attached("x"), of=name)
    seen = [each.sighting.location for each in scan("elbv2", estate.script())]
    assert seen == [each.sighting.location for each in scan("elbv2", estate.script())]
    assert [location.split("/")[1] for location in seen] == [name for name in names for _ in range(2)]


def test_network_load_balancer_and_mutual_tls() -> None:
    """TLS listeners of network load balancers are read; a listener that asks for client certificates says so."""
    mutual = {"Mode": "verify", "TrustStoreArn": STORE}
    estate = Estate(balancer("net", "network"), balancer("shop"))
    estate.add(listener("net", 853, "TLS"), of="net").add(listener(MutualAuthentication=mutual))
    net, shop = (each.sighting.attributes for each in scan("elbv2", estate.script()))
    assert (net["listener"], net.get("mutual_authentication")) == ("TLS:853", None)
    assert (shop["mutual_authentication"], shop["trust_store"]) == ("verify", STORE)


def test_mutual_tls_off_is_not_told() -> None:
    """A listener whose mutual authentication is off carries nothing about it."""
    (seen,) = scan("elbv2", Estate().add(listener(MutualAuthentication={"Mode": "off"})).script())
    assert not {"mutual_authentication", "trust_store"} & seen.sighting.attributes.keys()


def test_unknown_policy_is_asked_for_once() -> None:
    """A security policy that is not known here costs one call a scope, and one that AWS does not tell stays unknown."""
    estate = Estate()
    for port, policy in ((443, "ELBSecurityPolicy-NEW"), (444, "ELBSecurityPolicy-NEW"), (445, "MINE"), (446, MODERN)):
        estate.add(listener(port=port, SslPolicy=policy))
    told = {"SslPolicies": [{"Name": "ELBSecurityPolicy-NEW", "SslProtocols": ["TLSv1.4", "TLSv1.3"]}]}
    made = estate.script(**{"elbv2.DescribeSSLPolicies": lambda request: told})
    seen = [each.sighting.attributes.get("protocols") for each in scan("elbv2", made)]
    assert seen == [["TLSv1.3", "TLSv1.4"], ["TLSv1.3", "TLSv1.4"], None, ["TLSv1.2", "TLSv1.3"]]
    assert made.count("elbv2.DescribeSSLPolicies") == 1


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("ELBSecurityPolicy-TLS13-1-3-FIPS-PQ-2025-09", ["TLSv1.3"]),
        ("ELBSecurityPolicy-TLS13-1-2-Ext0-RFC9151-FIPS-2023-07", ["TLSv1.2", "TLSv1.3"]),
        ("ELBSecurityPolicy-TLS13-1-1-2021-06", ["TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        ("ELBSecurityPolicy-TLS13-1-0-PQ-2025-09", [*LEGACY, "TLSv1.3"]),
        ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", ["TLSv1.2"]),
        ("ELBSecurityPolicy-TLS-1-1-2017-01", ["TLSv1.1", "TLSv1.2"]),
        ("ELBSecurityPolicy-TLS-1-0-2015-04", LEGACY),
        ("ELBSecurityPolicy-FS-1-2-Res-2020-10", ["TLSv1.2"]),
        ("ELBSecurityPolicy-FS-1-1-2019-08", ["TLSv1.1", "TLSv1.2"]),
        ("ELBSecurityPolicy-FS-2018-06", LEGACY),
        ("ELBSecurityPolicy-2016-08", LEGACY),
        ("ELBSecurityPolicy-2015-05", LEGACY),
        ("ELBSecurityPolicy-TLS14-2030-01", None),
        ("", None),
    ],
)
def test_protocols(policy: str, allowed: list[str] | None) -> None:
    """The protocols of the predefined policies are as AWS documents them; other names are not guessed."""
    assert protocols(policy) == allowed


def test_protocols_agree_with_an_independent_table() -> None:
    """Every predefined policy that the emulator knows has the protocols that the emulator tells."""
    with mock_aws():
        elbv2: Any = boto3.client("elbv2", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
        told = {each["Name"]: sorted(each["SslProtocols"]) for each in elbv2.describe_ssl_policies()["SslPolicies"]}
    assert told
    assert {name: protocols(name) for name in told} == told


def test_quick_scan() -> None:
    """A quick scan finds the same attachments."""
    estate = Estate().add(listener(), *attached("a"))
    assert scan("elbv2", estate.script(), full=False) == scan("elbv2", estate.script())


def test_unchanged_sightings_are_the_known_objects() -> None:
    """What did not change is the object of the manifest; what did is a new one."""
    estate = Estate().add(listener(), *attached("a")).add(listener(port=8443))
    known = remembered(scan("elbv2", estate.script()), "elbv2")
    estate.listeners[f"{PREFIX}:loadbalancer/shop"][1]["SslPolicy"] = "ELBSecurityPolicy-2016-08"
    seen = [each.sighting for each in scan("elbv2", estate.script(), known=known)]
    assert [each is known[each.location] for each in seen] == [True, True, False]
    assert seen[2].attributes["protocols"] == LEGACY


@pytest.mark.parametrize(
    ("operation", "code"),
    [("DescribeListeners", "LoadBalancerNotFound"), ("DescribeListenerCertificates", "ListenerNotFound")],
)
def test_deleted_meanwhile(operation: str, code: str) -> None:
    """A load balancer or listener that is deleted after it was listed is not there, and no error."""
    made = Estate().add(listener()).script(**{f"elbv2.{operation}": refuse(code)})
    assert scan("elbv2", made) == []


@pytest.mark.parametrize("operation", ["DescribeLoadBalancers", "DescribeListeners", "DescribeListenerCertificates"])
@pytest.mark.parametrize("code", ["AccessDenied", "Throttling"])
def test_errors_raise(operation: str, code: str) -> None:
    """What may not or cannot be read makes the scope incomplete, also from within a thread."""
    made = Estate().add(listener()).script(**{f"elbv2.{operation}": refuse(code)})
    with pytest.raises(ClientError, match=code):
        scan("elbv2", made)


def test_hostile_values_survive() -> None:
    """Absurd policies and certificates that are not ACM's are taken as they are."""
    iam = f"arn:aws:iam::{ACCOUNT}:server-certificate/x"
    odd = listener(SslPolicy="<b>" * 2000, Certificates=[{"CertificateArn": iam}])
    made = (
        Estate()
        .add(odd, {"CertificateArn": iam, "IsDefault": True})
        .script(**{"elbv2.DescribeSSLPolicies": lambda request: {"SslPolicies": []}})
    )
    (seen,) = scan("elbv2", made)
    assert seen.sighting.holder == iam
    assert "protocols" not in seen.sighting.attributes


@mock_aws
def test_real_listeners_through_an_emulator() -> None:
    """A listener with a default and an SNI certificate that was really set up is found with both."""
    where: dict[str, Any] = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    ec2: Any = boto3.client("ec2", **where)
    acm: Any = boto3.client("acm", **where)
    elbv2: Any = boto3.client("elbv2", **where)
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]][:2]
    arns = []
    for name in ("one.example.com", "two.example.com"):
        built = build(name, key="RSA-2048")
        arns.append(acm.import_certificate(Certificate=built.pem, PrivateKey=built.key_pem)["CertificateArn"])
    made = elbv2.create_load_balancer(Name="shop", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    told = elbv2.create_listener(
        LoadBalancerArn=made,
        Protocol="HTTPS",
        Port=443,
        SslPolicy="ELBSecurityPolicy-2016-08",
        Certificates=[{"CertificateArn": arns[0]}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )["Listeners"][0]["ListenerArn"]
    elbv2.add_listener_certificates(ListenerArn=told, Certificates=[{"CertificateArn": arns[1]}])
    seen = [each.sighting for each in scan("elbv2", lambda service: elbv2)]
    assert [(each.resource, each.holder, each.attributes["binding"]) for each in seen] == [
        (told, arns[0], "default"),
        (told, arns[1], "sni"),
    ]
    assert seen[0].attributes["protocols"] == LEGACY
