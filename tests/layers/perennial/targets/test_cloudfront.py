"""Distributions of CloudFront: only the certificate is changed, whatever others change at the same time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bundles import NAMES, bundle
from local_cloud.fakes.cloudfront_distributions import CloudFrontDistributions
from local_cloud.fakes.iam_server_certificates import IamServerCertificates
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from perennial.errors import (
    ChangedMeanwhile,
    ConcurrentChange,
    InvalidInput,
    InvalidReply,
    NotFound,
    ServiceRefused,
)
from perennial.targets import acm_copy
from perennial.targets import cloudfront as module
from perennial.targets.interface import Later, Reach, TargetSettings
from regional_acm import RegionalAcm
from scripted_aws import ScriptedAws
from target_conformance import Calls, Run, Served, Stand, TargetConformance, watched

OTHER = bundle(9)  # somebody else's
HOME = "us-east-1"
DEPLOYING = 45  # seconds, so that one pause is too short
ORIGIN = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}


def configuration(viewer: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The configuration of a distribution with both names of the test's certificates."""
    return {
        "CallerReference": "shop",
        "Comment": "the shop",
        "Enabled": True,
        "Aliases": {"Quantity": 2, "Items": list(NAMES)},
        "Origins": {
            "Quantity": 1,
            "Items": [{"Id": "o", "DomainName": "o.example.com", "CustomOriginConfig": ORIGIN}],
        },
        "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "https-only"},
        "ViewerCertificate": {"SSLSupportMethod": "sni-only", "MinimumProtocolVersion": "TLSv1.2_2021", **viewer},
        **more,
    }


class DistributionStand(Stand):
    """One distribution on a fake CloudFront, with ACM and IAM and a clock."""

    kind = "cloudfront"
    irreversible = "no"

    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.acm = RegionalAcm(lambda: self.now)
        self.iam = IamServerCertificates(where=here, clock=lambda: self.now, users=lambda *_: [])
        self.records: dict[str, dict[str, Any]] = {}
        self.fake = CloudFrontDistributions(
            where=here,
            clock=lambda: self.now,
            records=lambda _: self.records,
            described=self.acm.described,
            iam=lambda _: {each.identifier for each in self.iam.state(*here()).certificates.values()},
            deploying=DEPLOYING,
        )
        self.api, self.iam_api = client(self.fake), client(self.iam)
        self.identifier = self.fake.plant(ACCOUNT, configuration(self.viewer(), **more))

    def viewer(self) -> dict[str, str]:
        """What names the earlier certificate."""
        return {"ACMCertificateArn": self.acm.put(self.earlier, HOME)}

    @property
    def settings(self) -> TargetSettings:
        fields = {"distribution": self.identifier, "irreversible": self.irreversible}
        return TargetSettings(kind="cloudfront", name="cdn", fields=fields)

    @property
    def reach(self) -> Reach:
        return Reach(account=ACCOUNT, region=REGION, clients=self.clients)

    def clients(self, service: str, region: str = REGION) -> Any:
        return self.acm.client(region) if service == "acm" else {"cloudfront": self.api, "iam": self.iam_api}[service]

    def now_configured(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get_distribution_config(Id=self.identifier)["DistributionConfig"]
        return found

    def edit(self, **changes: Any) -> None:
        """Somebody changes something of the configuration."""
        answer = self.api.get_distribution_config(Id=self.identifier)
        self.api.update_distribution(
            Id=self.identifier, IfMatch=answer["ETag"], DistributionConfig={**answer["DistributionConfig"], **changes}
        )

    def shown(self) -> dict[str, Any]:
        return self.fake.call("GetDistributionConfig", {"Id": self.identifier})["DistributionConfig"][
            "ViewerCertificate"
        ]

    def served(self) -> Served | None:
        arn = self.shown().get("ACMCertificateArn") if self.records else None
        return self.acm.served(arn) if arn else None

    def interfere(self) -> None:
        viewer = configuration({"ACMCertificateArn": self.acm.put(OTHER, HOME)})["ViewerCertificate"]
        self.edit(ViewerCertificate=viewer)

    def interfered(self) -> bool:
        served = self.served()
        return served is not None and served.leaf == OTHER.fingerprint

    def remove(self) -> None:
        self.records.clear()

    def copies(self) -> int:
        return self.acm.copies(self.new)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def refusals(self) -> list[str]:
        target = self.target()
        return target.refusals(target.look(), self.new, self.earlier)


class IamStand(DistributionStand):
    """A distribution that shows a server certificate of IAM, as they did before ACM."""

    def viewer(self) -> dict[str, str]:
        answer = self.iam_api.upload_server_certificate(
            ServerCertificateName="shop",
            CertificateBody=self.earlier.certificate_pem,
            PrivateKey=self.earlier.private_key,
            CertificateChain=self.earlier.chain_pem,
        )
        return {"IAMCertificateId": answer["ServerCertificateMetadata"]["ServerCertificateId"]}

    def served(self) -> Served | None:
        """IAM gives no key back: what it was given with the certificate is the earlier version's."""
        if self.records and "IAMCertificateId" in self.shown():
            return self.expected(self.earlier)
        return super().served()


class TestCloudFront(TargetConformance):
    """What holds for every kind of target."""

    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return DistributionStand


@pytest.mark.slow
class TestFromIam(TargetConformance):
    """The same where a server certificate of IAM is there at first."""

    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return IamStand


def keep_nothing(_: str) -> None:
    """Where the test does not look at it."""


# --- what is there ---


def test_what_a_distribution_is() -> None:
    """Where it answers, the aliases that it claims, its protocols, and what restoring needs."""
    place = DistributionStand(Aliases={"Quantity": 2, "Items": ["shop.example.com", "*.shop.example.com"]})
    found = place.target().look()
    assert (found.host, found.port) == (place.records[place.identifier]["DomainName"], 443)
    assert found.claimed == ("shop.example.com", "*.shop.example.com")
    assert found.protocols == ("TLSv1.2", "TLSv1.3")
    assert json.loads(found.state) == {"ACMCertificateArn": place.shown()["ACMCertificateArn"]}
    assert place.target().shares == acm_copy.shares(ACCOUNT, HOME)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("E1U5RQF7T870K0", True),
        ("EDFDVBD632BHDS5", True),
        ("e1u5rqf7t870k0", False),
        ("E1U5/RQF7T870K0", False),
        ("E1", False),
        ("", False),
    ],
)
def test_ids(text: str, fits: bool) -> None:
    """A distribution is named by its id."""
    assert bool(re.fullmatch(module.FIELDS[0].pattern, text)) is fits


# --- changing the certificate, and nothing else ---


@pytest.mark.parametrize("stand", [DistributionStand, IamStand])
def test_only_the_certificate_is_changed(stand: type[DistributionStand]) -> None:
    """All else in the configuration is as it was; and after restoring, everything is."""
    place = stand(PriceClass="PriceClass_100", HttpVersion="http2and3", WebACLId="acl")
    before = place.now_configured()
    run = Run(place)
    run.look()
    run.activate()
    after = place.now_configured()
    viewer = after.pop("ViewerCertificate")
    assert {**after, "ViewerCertificate": before["ViewerCertificate"]} == before
    assert viewer == {
        "ACMCertificateArn": run.placed,
        "SSLSupportMethod": "sni-only",
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "CloudFrontDefaultCertificate": False,
    }
    run.restore()
    restored = place.now_configured()
    assert restored["ViewerCertificate"].pop("CloudFrontDefaultCertificate") is False
    assert restored == before


def test_deprecated_members_are_not_sent_back() -> None:
    """CloudFront answers with the deprecated Certificate and CertificateSource too, which would contradict."""
    place = DistributionStand()
    record = place.records[place.identifier]
    old = "<ACMCertificateArn>"
    record["config_xml"] = record["config_xml"].replace(
        old, f"<Certificate>x</Certificate><CertificateSource>acm</CertificateSource>{old}"
    )
    run = Run(place)
    run.look()
    run.activate()
    assert not {"Certificate", "CertificateSource"} & set(place.shown())


def test_a_deployment_is_awaited() -> None:
    """The update is made once; then it is waited for until all edge locations have it."""
    place = DistributionStand()
    target = place.target()
    found = target.look()
    with watched(Calls()) as calls:
        first = target.activate(found, place.new, "", keep_nothing)
        again = target.activate(found, place.new, "", keep_nothing)
    assert calls.writes() == ["ImportCertificate", "UpdateDistribution"]
    assert first == again == Later(30, f"CloudFront to deploy {place.identifier} to all edge locations (InProgress)")
    place.now += timedelta(seconds=DEPLOYING)
    assert target.activate(found, place.new, "", keep_nothing) is None


def test_restoring_does_not_await_the_deployment() -> None:
    """CloudFront takes an update while it deploys another: what was found comes back at once."""
    place = DistributionStand()
    target = place.target()
    found = target.look()
    target.activate(found, place.new, "", keep_nothing)
    assert isinstance(target.restore(found, place.new, "", place.earlier), Later)
    assert place.served() == place.expected(place.earlier)
    place.now += timedelta(seconds=DEPLOYING)
    assert target.restore(found, place.new, "", place.earlier) is None


# --- changes by others ---


def meddled(edit: Callable[[], None], times: int) -> Calls:
    """Calls in which somebody changes the distribution after it was read for writing, some times."""

    class Meddled(Calls):
        def call(self, name: str, send: Callable[[], Any]) -> Any:
            answer = super().call(name, send)
            if name == "GetDistribution" and 2 <= self.names.count(name) < 2 + times:
                edit()
            return answer

    return Meddled()


def test_a_change_of_something_else_stays() -> None:
    """What others change between reading and writing stays, and the certificate is changed too."""
    place = DistributionStand()
    run = Run(place)
    run.look()
    comments = iter(["one", "two"])
    put = place.fake.update_distribution

    def edit() -> None:
        record = place.records[place.identifier]
        answer = {"Id": place.identifier, "IfMatch": record["ETag"]}
        put(
            place.fake.state(*here()),
            {**answer, "DistributionConfig": {**configured(place), "Comment": next(comments)}},
        )

    with watched(meddled(edit, 2)) as calls:
        run.activate()
    assert calls.names.count("UpdateDistribution") == 3
    assert place.served() == place.expected(place.new)
    assert place.now_configured()["Comment"] == "two"


def configured(place: DistributionStand) -> dict[str, Any]:
    """The configuration, read without a client."""
    found: dict[str, Any] = place.fake.call("GetDistributionConfig", {"Id": place.identifier})["DistributionConfig"]
    return found


def test_a_change_of_the_tls_policy_stays() -> None:
    """The TLS policy is part of ViewerCertificate, and none of a rollout's business: neither way undoes a change."""
    place = DistributionStand()
    run = Run(place)
    run.look()
    place.edit(ViewerCertificate={**place.shown(), "MinimumProtocolVersion": "TLSv1.2_2025"})
    run.activate()
    assert place.shown()["MinimumProtocolVersion"] == "TLSv1.2_2025"
    run.restore()
    assert place.shown()["MinimumProtocolVersion"] == "TLSv1.2_2025"
    assert place.served() == place.expected(place.earlier)


def test_another_certificate_right_before_the_write() -> None:
    """The ETag shows it: somebody else's certificate stays."""
    place = DistributionStand()
    run = Run(place)
    run.look()
    arn = place.acm.put(OTHER, HOME)

    def edit() -> None:
        record = place.records[place.identifier]
        changed = configuration({"ACMCertificateArn": arn})
        place.fake.update_distribution(
            place.fake.state(*here()),
            {"Id": place.identifier, "IfMatch": record["ETag"], "DistributionConfig": changed},
        )

    with watched(meddled(edit, 1)), pytest.raises(ChangedMeanwhile, match=arn):
        run.activate()
    assert place.interfered()


def test_others_who_change_it_again_and_again() -> None:
    """After some attempts it gives up, to be tried again: nothing is changed."""
    place = DistributionStand()
    found = place.target().look()
    for code in ("PreconditionFailed", "InvalidIfMatchVersion") * 2:
        place.fake.controls.inject("cloudfront", "UpdateDistribution", code)
    with watched(Calls()) as calls, pytest.raises(ConcurrentChange, match="UpdateDistribution of E"):
        place.target().activate(found, place.new, "", keep_nothing)
    assert calls.names.count("UpdateDistribution") == module.ATTEMPTS
    assert place.served() == place.expected(place.earlier)


def test_what_was_found_is_deleted_since() -> None:
    """The earlier certificate, deleted when nothing used it any more, is imported again from what Perennial holds."""
    place = DistributionStand()
    run = Run(place)
    run.look()
    arn = json.loads(run.found.state)["ACMCertificateArn"]
    run.activate()
    place.acm.client(HOME).delete_certificate(CertificateArn=arn)
    with pytest.raises(ServiceRefused, match=rf"to {arn}.*isn't in us-east-1.*the certificate must be issued"):
        place.target().restore(run.found, place.new, run.placed, None)
    run.restore()
    assert place.served() == place.expected(place.earlier)


def test_nothing_is_imported_where_something_else_is_there() -> None:
    """Where somebody else's certificate stays, restoring imports nothing either."""
    place = DistributionStand()
    run = Run(place)
    run.look()
    arn = json.loads(run.found.state)["ACMCertificateArn"]
    run.activate()
    place.interfere()
    place.acm.client(HOME).delete_certificate(CertificateArn=arn)
    with watched(Calls()) as calls, pytest.raises(ChangedMeanwhile):
        run.restore()
    assert calls.writes() == []


# --- why not ---


def test_a_distribution_of_tenants() -> None:
    """One that serves through tenants has no aliases of its own."""
    place = DistributionStand(ConnectionMode="tenant-only", Aliases={"Quantity": 0})
    (said,) = place.refusals()
    assert "tenants only" in said


@pytest.mark.parametrize("viewer", [{"CloudFrontDefaultCertificate": True}, None])
def test_the_certificate_of_cloudfront_itself(viewer: Mapping[str, Any] | None) -> None:
    """Where nothing but *.cloudfront.net is shown, nothing is to be replaced."""
    place = DistributionStand()
    changed = {**configuration({}, Aliases={"Quantity": 0}), "ViewerCertificate": viewer}
    place.identifier = place.fake.plant(ACCOUNT, {name: value for name, value in changed.items() if value})
    found = place.target().look()
    assert (json.loads(found.state), found.fingerprint, found.claimed) == ({}, "", ())
    assert any("*.cloudfront.net" in each for each in place.refusals())


def test_a_certificate_that_leaves_an_alias_out() -> None:
    """One from before April 2019 could not be brought back: that is said before, and is true. It can be allowed."""
    forgotten = "forgotten.example.net"
    place = DistributionStand(Aliases={"Quantity": 2, "Items": [NAMES[0], forgotten]})
    place.new = bundle(2, names=(NAMES[0], forgotten))
    (said,) = place.refusals()
    assert f"does not cover {forgotten}, " in said and 'irreversible = "yes"' in said
    place.irreversible = "yes"
    assert place.refusals() == []
    run = Run(place)
    run.look()
    run.activate()
    with pytest.raises(ServiceRefused, match="doesn't cover the alternate domain name"):
        run.restore()
    assert place.served() == place.expected(place.new)


def test_a_certificate_that_leaves_all_aliases_out_is_no_loss() -> None:
    """Nobody accepts it at any alias, so that not getting it back stops nobody from repairing this."""
    place = DistributionStand(Aliases={"Quantity": 1, "Items": ["forgotten.example.net"]})
    place.new = bundle(2, names=("forgotten.example.net",))
    assert place.refusals() == []


def test_a_certificate_that_cloudfront_manages() -> None:
    """CloudFront renews those by itself, so that they are left alone."""
    place = DistributionStand()
    place.acm.item(place.shown()["ACMCertificateArn"]).managed_by = "CLOUDFRONT"
    (said,) = place.refusals()
    assert "CloudFront itself manages" in said


@pytest.mark.parametrize("stand", [DistributionStand, IamStand])
def test_a_certificate_that_cannot_be_read(stand: type[DistributionStand]) -> None:
    """Without knowing what is there, it could not be told from a change: a refusal."""
    place = stand()
    for fake in place.acm.fakes.values():
        fake.reset()
    place.iam.reset()
    assert place.target().look().fingerprint == ""
    assert any("cannot be read" in each for each in place.refusals())


def test_a_version_whose_key_is_elsewhere() -> None:
    """Without its key it cannot be imported into us-east-1, also where ACM of another region issued it."""
    place = DistributionStand()
    place.new = replace(place.new, private_key="", arn=f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/x")
    (said,) = place.refusals()
    assert "certificate/x" in said


def test_a_key_that_cloudfront_does_not_take() -> None:
    """The preflight judges key types by KEYS; CloudFront refuses a P-384 key, and what was there stays."""
    place = DistributionStand()
    place.new = bundle(2, key="EC-384")
    assert "EC-384" not in module.KEYS
    found = place.target().look()
    with pytest.raises(ServiceRefused, match="InvalidViewerCertificate"):
        place.target().activate(found, place.new, "", keep_nothing)
    assert place.served() == place.expected(place.earlier)


def test_aliases_that_are_not_covered() -> None:
    """The preflight judges them by what `look` claims; CloudFront refuses them too."""
    place = DistributionStand()
    place.new = bundle(2, names=("shop.example.com",))
    found = place.target().look()
    assert set(found.claimed) - set(place.new.names) == {"www.shop.example.com"}
    with pytest.raises(ServiceRefused, match="doesn't cover the alternate domain name"):
        place.target().activate(found, place.new, "", keep_nothing)
    assert place.served() == place.expected(place.earlier)


# --- what is odd ---


def test_a_distribution_that_is_not_there() -> None:
    """NoSuchDistribution is NotFound, with the account where it was looked for."""
    place = DistributionStand()
    place.remove()
    with pytest.raises(NotFound, match=f"cloudfront:GetDistribution of {place.identifier}.*{ACCOUNT}"):
        place.target().look()


@pytest.mark.parametrize("state", ["", "[]", "null", '{"Certificate": "x"}', "{"])
def test_a_state_of_something_else(state: str) -> None:
    """A state that this kind did not keep is refused, and nothing is changed."""
    place = DistributionStand()
    found = replace(place.target().look(), state=state)
    with watched(Calls()) as calls, pytest.raises(InvalidInput, match="kept state"):
        place.target().activate(found, place.new, "", keep_nothing)
    assert calls.writes() == []


@pytest.mark.parametrize("answer", [{}, {"ETag": "E1"}, {"ETag": ""}])
def test_a_reply_with_nothing_in_it(answer: Mapping[str, Any]) -> None:
    """A reply without configuration or ETag is refused."""
    aws = ScriptedAws({"cloudfront.GetDistribution": lambda _: answer})
    place = DistributionStand()
    target = module.target(place.settings, Reach(account=ACCOUNT, region=REGION, clients=aws))
    with pytest.raises(InvalidReply, match="no ETag, or no configuration"):
        target.look()
