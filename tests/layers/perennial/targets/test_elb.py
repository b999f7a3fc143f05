"""Listeners of Classic Load Balancers, with certificates of ACM and of IAM."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bundles import bundle
from load_balanced import ACCOUNT, REGION, LoadBalanced, stranger
from perennial.errors import ChangedMeanwhile, NotFound, ServiceRefused
from perennial.targets import elb
from perennial.targets.interface import Bundle, Later, Reach, TargetSettings
from scripted_aws import ScriptedAws
from target_conformance import Calls, Run, Served, Stand, TargetConformance, watched


class Classic(Stand):
    """The HTTPS listener of a load balancer in an account of its own; its certificate is in ACM."""

    kind = "elb"
    store = "acm"

    def __init__(self) -> None:
        super().__init__()
        self.aws = LoadBalanced(seen_after=8)
        self.old = self.placed_before()
        self.aws.pass_time(3600)
        self.aws.classic(self.old)
        self.mine = ""

    def placed_before(self) -> str:
        return self.aws.imported(self.earlier, managed="shop")

    @property
    def settings(self) -> TargetSettings:
        fields = {"load_balancer": "web", "port": "443", "store": self.store}
        return TargetSettings(kind="elb", name="web", managed="shop", fields=fields)

    @property
    def reach(self) -> Reach:
        return self.aws.reach

    def served(self) -> Served | None:
        return self.aws.material(self.aws.classic_certificate())

    def copies(self) -> int:
        return self.aws.copies(self.new)

    def pass_time(self, seconds: float) -> None:
        self.aws.pass_time(seconds)

    def interfere(self) -> None:
        self.mine = self.aws.imported(stranger(), managed="other")
        self.aws.clients("elb").set_load_balancer_listener_ssl_certificate(
            LoadBalancerName="web", LoadBalancerPort=443, SSLCertificateId=self.mine
        )

    def interfered(self) -> bool:
        return self.aws.classic_certificate() == self.mine

    def remove(self) -> None:
        self.aws.clients("elb").delete_load_balancer(LoadBalancerName="web")


class InIam(Classic):
    """The same with IAM, where what was uploaded is found only after some seconds."""

    store = "iam"

    def placed_before(self) -> str:
        return self.aws.uploaded(self.earlier, "shop-elb-1-by-hand")


class TestElb(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return Classic


class TestElbInIam(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return InIam


def refusals(place: Classic, new: Bundle | None = None) -> list[str]:
    target = place.target()
    return target.refusals(target.look(), new or place.new, place.earlier)


def policy(place: Classic, *ciphers: str) -> None:
    """Gives the listener a policy of its own with TLS 1.2 and these ciphers."""
    client = place.aws.clients("elb")
    named = {"LoadBalancerName": "web"}
    attributes = {"Protocol-TLSv1.2": "true", "Protocol-TLSv1": "false", "Server-Defined-Cipher-Order": "true"}
    attributes |= dict.fromkeys(ciphers, "true")
    client.create_load_balancer_policy(
        **named,
        PolicyName="own",
        PolicyTypeName="SSLNegotiationPolicyType",
        PolicyAttributes=[{"AttributeName": name, "AttributeValue": value} for name, value in attributes.items()],
    )
    client.set_load_balancer_policies_of_listener(**named, LoadBalancerPort=443, PolicyNames=["own"])


class TestLooking:
    def test_where_it_answers(self) -> None:
        """Found are the DNS name, the port, and the protocols of the listener's policy."""
        found = Classic().target().look()
        assert found.host.startswith("web-")
        assert found.host.endswith(".elb.amazonaws.com")
        assert (found.port, found.protocols) == (443, ("TLSv1", "TLSv1.1", "TLSv1.2"))

    def test_own_policy(self) -> None:
        """Of a policy of the load balancer's own, the protocols that are on."""
        place = Classic()
        policy(place, "ECDHE-ECDSA-AES128-GCM-SHA256")
        assert place.target().look().protocols == ("TLSv1.2",)

    def test_no_such_port(self) -> None:
        """A port without a listener is NotFound, with both names."""
        place = Classic()
        settings = replace(place.settings, fields={**place.settings.fields, "port": "8443"})
        with pytest.raises(NotFound, match="web:8443: there is no listener on this port"):
            elb.target(settings, place.reach).look()

    def test_shares(self) -> None:
        """One copy for an account and region in ACM, one for an account in IAM."""
        assert Classic().target().shares == f"acm/{ACCOUNT}/{REGION}"
        assert InIam().target().shares == f"iam/{ACCOUNT}"


class TestRefusals:
    def test_plain_listener(self) -> None:
        """A listener that does not terminate TLS has no certificate."""
        place = Classic()
        place.aws.classic("", "plain", Protocol="HTTP", LoadBalancerPort=80, SSLCertificateId=None)
        settings = replace(place.settings, fields={**place.settings.fields, "load_balancer": "plain", "port": "80"})
        target = elb.target(settings, place.reach)
        (wrong,) = target.refusals(target.look(), place.new, None)
        assert "plain:80 speaks HTTP, and only HTTPS and SSL listeners" in wrong

    @pytest.mark.parametrize(
        ("cipher", "key", "fits"),
        [
            ("ECDHE-RSA-AES128-GCM-SHA256", "EC-256", False),
            ("ECDHE-RSA-AES128-GCM-SHA256", "RSA-2048", True),
            ("AES128-GCM-SHA256", "RSA-2048", True),
            ("ECDHE-ECDSA-AES128-GCM-SHA256", "EC-256", True),
            ("ECDHE-ECDSA-AES128-GCM-SHA256", "RSA-2048", False),
        ],
    )
    def test_no_cipher(self, cipher: str, key: str, fits: bool) -> None:
        """A policy without a cipher for the key would let no connection succeed."""
        place = Classic()
        policy(place, cipher)
        wrong = refusals(place, replace(bundle(2), key=key))
        assert (wrong == []) is fits
        assert fits or "no cipher for a key of type" in wrong[0]

    def test_no_key(self) -> None:
        """Without a private key there is nothing to import or upload."""
        new = replace(bundle(2), private_key="")
        assert "private key" in refusals(Classic(), new)[0]
        assert "private key" in refusals(InIam(), new)[0]
        arn = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/a"
        assert refusals(Classic(), replace(new, arn=arn)) == []

    def test_no_way_back(self) -> None:
        """Where the certificate that serves is gone, it could not be put back."""
        for place in (Classic(), InIam()):
            place.aws.acm.state(ACCOUNT, REGION).certificates.clear()
            place.aws.iam.state(ACCOUNT, REGION).certificates.clear()
            (wrong,) = refusals(place)
            assert f"{place.old} serves there and cannot be read any more" in wrong

    def test_a_certificate_that_is_no_arn(self) -> None:
        """What AWS shows in the place of a certificate that was deleted is no certificate."""
        place = Classic()
        place.aws.elb.state(ACCOUNT, REGION).load_balancers["web"].listeners[443].settings["SSLCertificateId"] = (
            "Invalid-Certificate"
        )
        assert place.target().look().fingerprint == ""
        assert "Invalid-Certificate serves there" in refusals(place)[0]


class TestChanging:
    def test_other_listeners_stay(self) -> None:
        """Another port of the same load balancer keeps its certificate."""
        place = Classic()
        listener = {"Protocol": "SSL", "LoadBalancerPort": 8443, "InstancePort": 80, "SSLCertificateId": place.old}
        place.aws.clients("elb").create_load_balancer_listeners(LoadBalancerName="web", Listeners=[listener])
        run = Run(place)
        run.look()
        run.activate()
        assert place.aws.classic_certificate(8443) == place.old
        assert place.served() == place.expected(place.new)

    def test_reimported_meanwhile(self) -> None:
        """Another certificate under the ARN that was found is someone's change, and stays."""
        place = Classic()
        run = Run(place)
        run.look()
        other = bundle(5)
        place.aws.clients("acm").import_certificate(
            CertificateArn=place.old,
            Certificate=other.certificate_pem.encode(),
            PrivateKey=other.private_key.encode(),
            CertificateChain=other.chain_pem.encode(),
        )
        with pytest.raises(ChangedMeanwhile, match="then roll out again"):
            run.activate()
        assert place.served() == place.expected(other)

    def test_iam_is_waited_for(self) -> None:
        """What was uploaded to IAM is first not found by the load balancer, then served; it is uploaded once."""
        place = InIam()
        target, found, kept = place.target(), place.target().look(), list[str]()
        first = target.activate(found, place.new, "", kept.append)
        assert first == Later(5, "Elastic Load Balancing to find the new certificate")
        name = f"shop-elb-2-{place.new.fingerprint[:8]}"
        assert kept == [f"arn:aws:iam::{ACCOUNT}:server-certificate/perennial/{name}"]
        second = target.activate(found, place.new, kept[0], kept.append)
        assert second == Later(5, f"IAM to show {name}")
        place.pass_time(8)
        assert target.activate(found, place.new, kept[0], kept.append) is None
        assert place.served() == place.expected(place.new)
        assert (len(kept), place.copies()) == (1, 1)

    def test_name_taken_by_another_certificate(self) -> None:
        """A server certificate with the new one's name and another content is not served."""
        place = InIam()
        name = f"shop-elb-2-{place.new.fingerprint[:8]}"
        place.aws.uploaded(stranger(), name)
        place.pass_time(10)
        run = Run(place)
        run.look()
        with pytest.raises(ServiceRefused, match=f"{name} is not shop/2, whose name it has: rename or delete it"):
            run.activate()
        assert place.served() == place.expected(place.earlier)

    @pytest.mark.parametrize("made", [Classic, InIam])
    def test_restored_when_never_placed(self, made: Callable[[], Classic]) -> None:
        """Another certificate is there and no copy of the new one exists: someone's change, which stays."""
        place = made()
        run = Run(place)
        run.look()
        place.interfere()
        with pytest.raises(ChangedMeanwhile, match=place.mine):
            run.restore()
        assert place.interfered()

    def test_gone_before_restoring(self) -> None:
        """What was found and then deleted cannot come back: final, with what to do."""
        place = Classic()
        run = Run(place)
        run.look()
        run.activate()
        place.aws.clients("acm").delete_certificate(CertificateArn=place.old)
        with pytest.raises(ServiceRefused, match=r"SetLoadBalancerListenerSSLCertificate of web:443 .* was deleted"):
            run.restore()
        assert place.served() == place.expected(place.new)

    def test_the_listener_shows_it_late(self) -> None:
        """A listener that does not show the change yet is asked again later."""
        place = Classic()
        run = Run(place)
        run.look()
        new = place.aws.imported(place.new, managed="shop")
        told = place.aws.clients("elb").describe_load_balancers(LoadBalancerNames=["web"])
        aws = ScriptedAws(
            {
                "elb.DescribeLoadBalancers": lambda request: without_metadata(told),
                "elb.SetLoadBalancerListenerSSLCertificate": lambda request: {},
            },
            REGION,
        )

        def clients(service: str, region: str | None = None) -> Any:
            return aws(service) if service == "elb" else place.aws.clients(service)

        target = elb.target(place.settings, replace(place.reach, clients=clients))
        assert target.activate(run.found, place.new, new, lambda arn: None) == Later(
            5, "web:443 to show its new certificate"
        )


def without_metadata(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [
        ("load_balancer", "web-1", True),
        ("load_balancer", "-web", False),
        ("load_balancer", "w" * 33, False),
        ("load_balancer", f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/web", False),
        ("port", "443", True),
        ("port", "https", False),
        ("port", "0", False),
        ("store", "iam", True),
        ("store", "secret", False),
    ],
)
def test_fields(name: str, text: str, fits: bool) -> None:
    """What each field takes, and what it does not."""
    (field,) = [each for each in elb.FIELDS if each.name == name]
    assert bool(re.fullmatch(field.pattern, text)) is fits


@pytest.mark.parametrize("place", [Classic, InIam])
def test_declared_actions(place: Callable[[], Classic]) -> None:
    """Every call of look, refusals, activate and restore is an action that the kind declares."""
    made = place()
    run = Run(made)
    with watched(Calls()) as calls:
        run.look()
        refusals(made)
        run.activate()
        run.restore()
    declared = {each.partition(":")[2] for each in (*elb.LOOKS, *elb.CHANGES)}
    assert set(calls.names) <= declared


def test_hostile_reply() -> None:
    """A reply whose listener has nothing in it is a load balancer without that listener."""
    answer = {"LoadBalancerDescriptions": [{"ListenerDescriptions": [{}]}]}
    aws = ScriptedAws({"elb.DescribeLoadBalancers": lambda request: answer}, REGION)
    with pytest.raises(NotFound, match="web:443: there is no listener"):
        elb.target(Classic().settings, Reach(account=ACCOUNT, region=REGION, clients=aws)).look()
