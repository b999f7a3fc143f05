"""Listeners of Application and Network Load Balancers: the default certificate, and SNI certificates among others'."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bundles import bundle
from load_balanced import ACCOUNT, REGION, LoadBalanced, stranger
from perennial.errors import ChangedMeanwhile, InvalidReply, NotFound, ServiceRefused
from perennial.targets import elbv2
from perennial.targets.interface import Bundle, Later, Reach, TargetSettings
from scripted_aws import ScriptedAws, refuse
from target_conformance import Calls, Run, Served, Stand, TargetConformance, watched

GONE = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:listener/app/web/0123456789abcdef/0123456789abcdef"
MIXED = Served("several", "", ())


class Listening(Stand):
    """A listener on an account of its own; other teams have SNI certificates on it."""

    kind = "elbv2"
    slot = "default"

    def __init__(self) -> None:
        super().__init__()
        self.aws = LoadBalanced()
        self.old = self.aws.imported(self.earlier, managed="shop")
        self.other = self.aws.imported(stranger(8), managed="other")
        self.listener = self.made()
        self.mine = ""  # what `interfere` put there

    def made(self) -> str:
        arn = self.aws.listener(self.aws.balancer(), self.old)
        self.aws.add(arn, self.other)
        return arn

    @property
    def settings(self) -> TargetSettings:
        fields = {"listener": self.listener, "slot": self.slot, "replaces": "", "quota": "25"}
        return TargetSettings(kind="elbv2", name="web", managed="shop", fields=fields)

    @property
    def reach(self) -> Reach:
        return self.aws.reach

    def pass_time(self, seconds: float) -> None:
        self.aws.pass_time(seconds)

    def copies(self) -> int:
        return self.aws.copies(self.new)

    def remove(self) -> None:
        self.aws.clients("elbv2").delete_listener(ListenerArn=self.listener)

    def served(self) -> Served | None:
        return self.aws.material(self.aws.default(self.listener))

    def interfere(self) -> None:
        self.mine = self.aws.imported(stranger(), managed="other")
        self.aws.clients("elbv2").modify_listener(
            ListenerArn=self.listener, Certificates=[{"CertificateArn": self.mine}]
        )

    def interfered(self) -> bool:
        return self.aws.default(self.listener) == self.mine


class OfNetwork(Listening):
    """A TLS listener of a Network Load Balancer, whose default certificate is in IAM at first."""

    def made(self) -> str:
        self.old = self.aws.uploaded(self.earlier, "shop")
        return self.aws.tls_listener(self.aws.balancer(kind="network"), self.old)


class Sni(Listening):
    """A listener with the managed certificate on its list, between those of others."""

    slot = "sni"

    def made(self) -> str:
        arn = self.aws.listener(self.aws.balancer(), self.aws.imported(stranger(7)))
        self.aws.add(arn, self.other)
        self.aws.add(arn, self.old)
        return arn

    def ours(self) -> list[str]:
        """What is on the list and neither another's nor what `interfere` put there."""
        return [each for each in self.aws.listed(self.listener) if each not in (self.other, self.mine)]

    def served(self) -> Served | None:
        ours = self.ours()
        if len(ours) > 1:
            return MIXED
        return self.aws.material(ours[0]) if ours else None

    def is_whole(self) -> bool:
        """One or both are listed, each with its own key and chain."""
        whole = (self.expected(self.earlier), self.expected(self.new))
        return bool(self.ours()) and all(self.aws.material(each) in whole for each in self.ours())

    def interfere(self) -> None:
        for each in self.ours():
            self.aws.take_off(self.listener, each)
        self.mine = self.aws.imported(stranger(), managed="shop")
        self.aws.add(self.listener, self.mine)

    def interfered(self) -> bool:
        return self.mine in self.aws.listed(self.listener)


class Replacing(Sni):
    """The first rollout: the certificate on the list is nobody's, and the target says that it replaces it."""

    def made(self) -> str:
        self.old = self.aws.imported(self.earlier)
        return super().made()

    @property
    def settings(self) -> TargetSettings:
        fields = {**super().settings.fields, "replaces": self.old}
        return replace(super().settings, fields=fields)


class TestDefault(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return Listening


class TestDefaultOfNetwork(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return OfNetwork


class TestSni(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return Sni


class TestReplacing(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return Replacing


def rolled_out(place: Listening) -> Run:
    run = Run(place)
    run.look()
    run.activate()
    return run


def refusals(place: Listening, new: Bundle | None = None) -> list[str]:
    target = place.target()
    return target.refusals(target.look(), new or place.new, place.earlier)


class TestLooking:
    def test_where_it_answers(self) -> None:
        """Found are the load balancer's DNS name, the listener's port, and its policy's protocols."""
        place = Listening()
        found = place.target().look()
        assert found.host.startswith("web-")
        assert found.host.endswith(".elb.amazonaws.com")
        assert found.port == 443
        assert found.protocols == ("TLSv1", "TLSv1.1", "TLSv1.2")

    def test_a_policy_that_is_not_known(self) -> None:
        """The protocols of a policy that this version does not know are AWS's answer."""
        place = Listening()
        listener = place.aws.elbv2.state(ACCOUNT, REGION).listener(place.listener)
        listener.ssl_policy = "ELBSecurityPolicy-2030-01"
        with pytest.raises(ServiceRefused, match="DescribeSSLPolicies of ELBSecurityPolicy-2030-01"):
            place.target().look()
        aws = scripted(place, policy="ELBSecurityPolicy-2030-01")
        aws.script["elbv2.DescribeSSLPolicies"] = lambda request: {
            "SslPolicies": [{"Name": request["Names"][0], "SslProtocols": ["TLSv1.3", "TLSv1.2"]}]
        }
        assert over(aws).look().protocols == ("TLSv1.2", "TLSv1.3")

    def test_shares(self) -> None:
        """All slots of one account and region use one copy in ACM."""
        assert Listening().target().shares == Sni().target().shares == f"acm/{ACCOUNT}/{REGION}"

    def test_of_an_iam_certificate(self) -> None:
        """The fingerprint of a default certificate in IAM is IAM's answer."""
        place = OfNetwork()
        assert place.target().look().fingerprint == place.earlier.fingerprint

    def test_no_managed_name_matches_nothing(self) -> None:
        """A target without the name of a managed certificate takes no certificate for its own."""
        place = Sni()
        place.aws.clients("acm").add_tags_to_certificate(
            CertificateArn=place.other, Tags=[{"Key": "perennial:managed", "Value": ""}]
        )
        target = elbv2.target(replace(place.settings, managed=""), place.reach)
        assert json.loads(target.look().state)["listed"] == {}


class TestRefusals:
    def test_plain_listener(self) -> None:
        """A listener that does not terminate TLS has no certificate to change."""
        for place in (Listening(), Sni()):
            place.listener = place.aws.listener(place.aws.balancer("plain"), "", Protocol="HTTP", Port=80)
            (wrong,) = refusals(place)
            assert "HTTP, and only HTTPS and TLS listeners" in wrong

    @pytest.mark.parametrize(("key", "fits"), [("RSA-4096", False), ("RSA-3072", True), ("EC-384", True)])
    def test_keys_of_network(self, key: str, fits: bool) -> None:
        """A Network Load Balancer cannot serve RSA with 4096 bits; an Application Load Balancer can."""
        new = replace(bundle(2), key=key)
        assert (refusals(OfNetwork(), new) == []) is fits
        assert refusals(Listening(), new) == []

    def test_in_another_region(self) -> None:
        """A listener in another account or region than the target is refused, with both."""
        place = Listening()
        target = elbv2.target(place.settings, replace(place.reach, region="us-east-1"))
        found = place.target().look()
        (wrong,) = target.refusals(found, place.new, None)
        assert REGION in wrong
        assert "us-east-1" in wrong

    @pytest.mark.parametrize(
        ("arn", "part"),
        [
            (f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/a", "only targets of that account and region"),
            (f"arn:aws:acm:{REGION}:444455556666:certificate/a", "only targets of that account and region"),
            ("", "ACM needs its private key"),
        ],
    )
    def test_certificate_elsewhere(self, arn: str, part: str) -> None:
        """What ACM issued in another region or account, with a key that nobody has, cannot come here."""
        new = replace(bundle(2), private_key="", arn=arn)
        (wrong,) = refusals(Listening(), new)
        assert part in wrong

    def test_no_way_back(self) -> None:
        """Where the certificate that serves is gone, it could not be put back."""
        for place in (Listening(), Replacing()):
            place.aws.acm.state(ACCOUNT, REGION).certificates.pop(place.old)
            (wrong,) = refusals(place)
            assert f"{place.old} serves there and cannot be read any more" in wrong

    def full(self, quota: int = 25) -> Sni:
        """A load balancer with two listeners and no room."""
        place = Sni()
        balancer = place.aws.elbv2.state(ACCOUNT, REGION).listener(place.listener).load_balancer
        second = place.aws.listener(balancer, place.old, Port=8443)
        for number in range(100, 100 + quota - 2):
            place.aws.add(second, place.aws.imported(stranger(number)))
        return place

    def test_full(self) -> None:
        """One more certificate than a load balancer may have is refused before anything changes."""
        place = self.full()
        (wrong,) = refusals(place)
        assert "has 25 certificates besides the default ones and may have 25" in wrong
        assert place.copies() == 0
        assert refusals(self.full(24)) == []

    def test_full_with_a_higher_quota(self) -> None:
        """The quota that the target tells counts."""
        place = self.full()
        settings = replace(place.settings, fields={**place.settings.fields, "quota": "30"})
        target = elbv2.target(settings, place.reach)
        assert target.refusals(target.look(), place.new, None) == []

    def test_full_and_already_listed(self) -> None:
        """Where the new one is on the list already, no room is needed."""
        place = self.full(24)
        place.aws.add(place.listener, place.aws.imported(place.new, managed="shop"))
        assert refusals(place) == []

    def test_full_at_activation(self) -> None:
        """A list that someone filled meanwhile: AWS refuses, nothing is taken off, and the error says what to do."""
        place = self.full()
        run = Run(place)
        run.look()
        with pytest.raises(ServiceRefused, match=r"AddListenerCertificates.*TooManyCertificates.*quota"):
            run.activate()
        assert place.served() == place.expected(place.earlier)


class TestDefaultSlot:
    def test_others_stay(self) -> None:
        """The SNI certificates stay; the former default does not become one."""
        place = Listening()
        run = rolled_out(place)
        assert place.aws.listed(place.listener) == [place.other]
        run.restore()
        assert place.aws.listed(place.listener) == [place.other]

    def test_default_that_is_listed_too(self) -> None:
        """A default certificate that is on the list as well stays there."""
        place = Listening()
        place.aws.add(place.listener, place.old)
        rolled_out(place)
        assert place.aws.listed(place.listener) == [place.other, place.old]

    def test_reimported_meanwhile(self) -> None:
        """Another certificate under the ARN that was found is someone's change, and stays."""
        place = Listening()
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

    def test_not_seen_yet(self) -> None:
        """A copy that Elastic Load Balancing does not find yet is waited for."""
        place = Listening()
        run = Run(place)
        run.look()
        run.placed = place.aws.imported(place.new, managed="shop")
        place.aws.unseen.add(run.placed)
        later = place.target().activate(run.found, place.new, run.placed, lambda arn: None)
        assert later == Later(5, "Elastic Load Balancing to find the new certificate")
        assert place.served() == place.expected(place.earlier)
        place.aws.unseen.clear()
        run.activate()
        assert place.served() == place.expected(place.new)

    def test_gone_before_restoring(self) -> None:
        """What was found and then deleted cannot come back: final, with what to do, and the new one goes on serving."""
        place = Listening()
        run = rolled_out(place)
        place.aws.clients("acm").delete_certificate(CertificateArn=place.old)
        with pytest.raises(ServiceRefused, match=r"ModifyListener of .* finds no such certificate"):
            run.restore()
        assert place.served() == place.expected(place.new)

    def test_restoring_a_stranger_that_was_there_all_along(self) -> None:
        """Restoring without a copy of the new version anywhere, and another default: someone's change, which stays."""
        place = Listening()
        run = Run(place)
        run.look()
        place.interfere()
        with pytest.raises(ChangedMeanwhile, match=place.mine):
            run.restore()
        assert place.interfered()

    def test_the_listener_shows_it_late(self) -> None:
        """A listener that does not show the change yet is asked again later."""
        place = Listening()
        run = Run(place)
        run.look()
        new = place.aws.imported(place.new, managed="shop")
        aws = scripted(place)
        aws.script["elbv2.ModifyListener"] = lambda request: {"Listeners": []}
        later = over(aws, place).activate(run.found, place.new, new, lambda arn: None)
        assert later == Later(5, f"{place.listener} to show its new default certificate")

    @pytest.mark.parametrize("code", ["ListenerNotFound", "LoadBalancerNotFound"])
    def test_gone_at_any_call(self, code: str) -> None:
        """The codes of Elastic Load Balancing for what is gone are NotFound, with what to do."""
        aws = scripted(Listening())
        aws.script["elbv2.DescribeLoadBalancers"] = refuse(code)
        with pytest.raises(NotFound, match="correct the target, or remove it"):
            over(aws).look()

    def test_an_answer_without_the_listener(self) -> None:
        """An answer with no listener in it is NotFound as well."""
        aws = scripted(Listening())
        aws.script["elbv2.DescribeListeners"] = lambda request: {"Listeners": []}
        with pytest.raises(NotFound, match="there is no such listener"):
            over(aws).look()


class TestSniSlot:
    def test_others_come_and_go(self) -> None:
        """Other teams add and remove theirs between looking, activating and restoring: no conflict, and theirs stay."""
        place = Sni()
        run = Run(place)
        run.look()
        added = place.aws.imported(stranger(30), managed="other")
        place.aws.add(place.listener, added)
        place.aws.take_off(place.listener, place.other)
        run.activate()
        assert len(place.aws.listed(place.listener)) == 2
        assert added in place.aws.listed(place.listener)
        later = place.aws.imported(stranger(31))
        place.aws.add(place.listener, later)
        run.restore()
        assert sorted(place.aws.listed(place.listener)) == sorted([added, later, place.old])

    def test_added_before_the_old_one_goes(self) -> None:
        """At every moment one of the two is listed: the new one is added and read back before the old one goes."""
        place = Sni()
        run = Run(place)
        run.look()
        run.placed = place.aws.imported(place.new, managed="shop")
        place.aws.unseen.add(run.placed)
        assert isinstance(place.target().activate(run.found, place.new, run.placed, lambda arn: None), Later)
        assert place.aws.listed(place.listener) == [place.other, place.old]
        place.aws.unseen.clear()
        run.activate()
        assert place.aws.listed(place.listener) == [place.other, run.placed]

    def test_not_listed_yet(self) -> None:
        """Added, but not shown on the list: the old one stays, and the list is read again later."""
        place = Sni()
        run = Run(place)
        run.look()
        new = place.aws.imported(place.new, managed="shop")
        aws = scripted(place)
        aws.script["elbv2.AddListenerCertificates"] = lambda request: {"Certificates": []}
        later = over(aws, place).activate(run.found, place.new, new, lambda arn: None)
        assert later == Later(5, f"{place.listener} to list {new}")
        assert aws.count("elbv2.RemoveListenerCertificates") == 0

    def test_first_without_an_old_one(self) -> None:
        """Nothing of ours on the list: the new one is added; restoring takes it off again."""
        place = Sni()
        place.aws.take_off(place.listener, place.old)
        run = rolled_out(place)
        assert run.found.fingerprint == ""
        assert place.served() == place.expected(place.new)
        run.restore()
        assert place.aws.listed(place.listener) == [place.other]

    def test_our_old_one_was_removed(self) -> None:
        """Someone took ours off the list: nothing is added behind their back."""
        place = Sni()
        run = Run(place)
        run.look()
        place.aws.take_off(place.listener, place.old)
        with pytest.raises(ChangedMeanwhile, match="is not on its list any more"):
            run.activate()
        assert place.aws.listed(place.listener) == [place.other]

    def test_another_of_ours_was_added(self) -> None:
        """A second rollout of the same managed certificate put its version there: it stays."""
        place = Sni()
        run = Run(place)
        run.look()
        second = place.aws.imported(bundle(3), managed="shop")
        place.aws.add(place.listener, second)
        with pytest.raises(ChangedMeanwhile, match=f"{second} of shop was added"):
            run.activate()
        assert place.aws.listed(place.listener) == [place.other, place.old, second]

    def test_reimported_meanwhile(self) -> None:
        """Another certificate under the ARN that the rollout replaces: someone's change, which stays listed."""
        place = Replacing()
        run = Run(place)
        run.look()
        other = bundle(5)
        place.aws.clients("acm").import_certificate(
            CertificateArn=place.old,
            Certificate=other.certificate_pem.encode(),
            PrivateKey=other.private_key.encode(),
            CertificateChain=other.chain_pem.encode(),
        )
        with pytest.raises(ChangedMeanwhile, match="has another certificate than was found"):
            run.activate()
        assert place.aws.listed(place.listener) == [place.other, place.old]

    def test_left_by_a_rollout_that_nobody_ended(self) -> None:
        """Two of ours are listed: the newest stands for them, both go, and both come back."""
        place = Sni()
        newer = bundle(3, not_before=place.earlier.certificate.not_before.replace(month=11))  # type: ignore[union-attr]
        left = place.aws.imported(newer, managed="shop")
        place.aws.add(place.listener, left)
        run = rolled_out(place)
        assert run.found.fingerprint == newer.fingerprint
        assert place.served() == place.expected(place.new)
        run.restore()
        assert sorted(place.ours()) == sorted([place.old, left])

    def test_the_default_is_not_touched(self) -> None:
        """The default certificate stays, also where it is the new version itself."""
        place = Sni()
        both = place.aws.imported(place.new, managed="shop")
        place.aws.clients("elbv2").modify_listener(ListenerArn=place.listener, Certificates=[{"CertificateArn": both}])
        run = rolled_out(place)
        assert (place.aws.default(place.listener), place.ours()) == (both, [both])
        run.restore()
        assert (place.aws.default(place.listener), place.ours()) == (both, [place.old])

    def test_replaced_only_once(self) -> None:
        """After the first rollout the tag tells which one is ours, and `replaces` nothing any more."""
        place = Replacing()
        rolled_out(place)
        place.aws.add(place.listener, place.old)  # someone wants it back for another purpose
        found = place.target().look()
        assert found.fingerprint == place.new.fingerprint
        assert place.old not in json.loads(found.state)["listed"]

    def test_replaces_what_iam_has(self) -> None:
        """The certificate that the first rollout replaces may be IAM's."""
        place = Replacing()
        place.aws.take_off(place.listener, place.old)
        place.old = place.aws.uploaded(place.earlier, "shop")
        place.aws.add(place.listener, place.old)
        run = rolled_out(place)
        assert run.found.fingerprint == place.earlier.fingerprint
        assert place.served() == place.expected(place.new)
        run.restore()
        assert place.served() == place.expected(place.earlier)

    def test_same_version_again(self) -> None:
        """A rollout of what is there already changes nothing, and its restoring does not either."""
        place = Sni()
        place.new = place.earlier
        run = rolled_out(place)
        run.restore()
        assert place.aws.listed(place.listener) == [place.other, place.old]

    def test_issued_by_acm(self) -> None:
        """What ACM issued is not imported but tagged, once, so that the next rollout finds it."""
        place = Sni()
        arn = place.aws.imported(place.new)
        place.new = replace(place.new, arn=arn, private_key="")
        rolled_out(place)
        assert place.ours() == [arn]
        assert place.aws.acm.state(ACCOUNT, REGION).certificates[arn].tags == {"perennial:managed": "shop"}
        assert json.loads(place.target().look().state)["listed"] == {arn: place.new.fingerprint}

    def test_restoring_when_the_list_is_full(self) -> None:
        """Somebody filled the list after activation: the way back is refused, and the new one goes on serving."""
        place = TestRefusals().full(24)
        run = rolled_out(place)
        place.mine = place.aws.imported(stranger(50))
        place.aws.add(place.listener, place.mine)
        with pytest.raises(ServiceRefused, match="TooManyCertificates"):
            run.restore()
        assert place.served() == place.expected(place.new)


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [
        ("listener", GONE, True),
        ("listener", GONE.replace("app", "net"), True),
        ("listener", GONE.replace("app", "gwy"), False),
        ("listener", GONE.rsplit("/", 1)[0], False),
        ("listener", GONE.replace(":listener/", ":listener-rule/"), False),
        ("slot", "sni", True),
        ("slot", "SNI", False),
        ("replaces", "", True),
        ("replaces", f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/12345678-1234-1234-1234-123456789012", True),
        ("replaces", f"arn:aws:iam::{ACCOUNT}:server-certificate/a/b", True),
        ("replaces", "shop", False),
        ("quota", "0", False),
        ("quota", "100", True),
    ],
)
def test_fields(name: str, text: str, fits: bool) -> None:
    """What each field takes, and what it does not."""
    (field,) = [each for each in elbv2.FIELDS if each.name == name]
    assert bool(re.fullmatch(field.pattern, text)) is fits


def scripted(place: Listening, policy: str = "ELBSecurityPolicy-2016-08") -> ScriptedAws:
    """Answers about the listener of a place as it is now, whatever is written."""
    listener = place.aws.elbv2.state(ACCOUNT, REGION).listener(place.listener)
    one = {
        "ListenerArn": listener.arn,
        "LoadBalancerArn": listener.load_balancer,
        "Protocol": "HTTPS",
        "Port": 443,
        "SslPolicy": policy,
        "Certificates": [{"CertificateArn": listener.default}],
    }
    listed: list[Mapping[str, Any]] = [{"CertificateArn": each, "IsDefault": False} for each in listener.more]
    return ScriptedAws(
        {
            "elbv2.DescribeListeners": lambda request: {"Listeners": [one]},
            "elbv2.DescribeListenerCertificates": lambda request: {"Certificates": listed},
            "elbv2.DescribeLoadBalancers": lambda request: {"LoadBalancers": [{"DNSName": "a", "Type": "application"}]},
            "acm.GetCertificate": lambda request: {"Certificate": bundle(1).certificate_pem},
        },
        REGION,
    )


def over(aws: ScriptedAws, place: Listening | None = None) -> Any:
    """A target whose calls to Elastic Load Balancing are scripted; with a place, its calls to ACM are the place's."""
    usual = (place or Listening()).settings
    settings = usual if place else replace(usual, fields={**usual.fields, "listener": GONE})

    def clients(service: str, region: str | None = None) -> Any:
        return place.aws.clients(service) if place and service == "acm" else aws(service, region)

    return elbv2.target(settings, Reach(account=ACCOUNT, region=REGION, clients=clients))


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("DescribeListeners", {"Listeners": [{"Protocol": "HTTPS", "Port": 443}]}),
        ("DescribeListeners", {"Listeners": [{"LoadBalancerArn": "a", "Certificates": [{}]}]}),
        (
            "DescribeListeners",
            {
                "Listeners": [
                    {"LoadBalancerArn": "a", "Certificates": [{"CertificateArn": "a"}, {"CertificateArn": "b"}]}
                ]
            },
        ),
        ("DescribeListenerCertificates", {"Certificates": [{"IsDefault": False}]}),
    ],
)
def test_hostile_replies(operation: str, answer: dict[str, Any]) -> None:
    """A reply that leaves out what it must have, or has two of one, is InvalidReply and names the call."""
    place = Sni()
    aws = scripted(place)
    aws.script[f"elbv2.{operation}"] = lambda request: answer
    with pytest.raises(InvalidReply, match=f"elasticloadbalancing:{operation} of {place.listener}"):
        over(aws, place).look()


def test_load_balancer_deleted_meanwhile() -> None:
    """A load balancer that no reply has any more is NotFound."""
    aws = scripted(Listening())
    aws.script["elbv2.DescribeLoadBalancers"] = lambda request: {"LoadBalancers": []}
    with pytest.raises(NotFound, match=r"the load balancer of .* is gone"):
        over(aws).look()


@pytest.mark.parametrize("place", [Listening, OfNetwork, Sni, Replacing])
def test_declared_actions(place: Callable[[], Listening]) -> None:
    """Every call of look, refusals, activate and restore is an action that the kind declares."""
    made = place()
    with watched(Calls()) as calls:
        rolled_out(made).restore()
        refusals(made)
    declared = {each.partition(":")[2] for each in (*elbv2.LOOKS, *elbv2.CHANGES)}
    assert set(calls.names) <= declared
