"""Custom domains of API Gateway: regional and edge-optimized ones, while an update takes its time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bundles import NAMES, bundle
from local_cloud.fakes.apigateway_domains import ApiGatewayDomains
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from perennial.errors import ChangedMeanwhile, NotFit, NotFound, ServiceRefused
from perennial.targets import acm_copy
from perennial.targets import apigateway as module
from perennial.targets.interface import Bundle, Later, Reach, TargetSettings
from regional_acm import RegionalAcm
from scripted_aws import ScriptedAws
from target_conformance import KILLS, Calls, Killed, Run, Served, Stand, TargetConformance, watched

DOMAIN = NAMES[0]
OTHER = bundle(9)  # somebody else's
UPDATE = 45  # seconds, so that one pause is too short
MTLS = {"truststoreUri": "s3://cas/roots.pem"}


class DomainStand(Stand):
    """One custom domain on a fake API Gateway and a fake ACM with a clock."""

    kind = "apigateway"
    endpoint = "regional"
    region = REGION
    member = "regionalCertificateArn"

    def __init__(self, key: str = "EC-256", **more: Any) -> None:
        self.earlier, self.new = bundle(1), bundle(2, key=key)
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.acm = RegionalAcm(lambda: self.now)
        self.arn = self.acm.put(self.earlier, self.region)
        self.record: dict[str, Any] = {
            "domainName": DOMAIN,
            self.member: self.arn,
            "regionalDomainName": "d-abc.execute-api.eu-central-1.amazonaws.com",
            "distributionDomainName": "d111111abcdef8.cloudfront.net",
            "endpointConfiguration": {"types": [self.endpoint.upper()]},
            "securityPolicy": "TLS_1_2",
            **more,
        }
        self.records = {DOMAIN: self.record}
        self.fake = self.make(self.records)
        self.api = client(self.fake)

    def make(self, records: dict[str, dict[str, Any]]) -> ApiGatewayDomains:
        return ApiGatewayDomains(
            where=here,
            clock=lambda: self.now,
            records=lambda *_: records,
            described=self.acm.described,
            updating=UPDATE,
        )

    @property
    def settings(self) -> TargetSettings:
        return TargetSettings(kind="apigateway", name="api", fields={"domain": DOMAIN, "endpoint": self.endpoint})

    @property
    def reach(self) -> Reach:
        return Reach(account=ACCOUNT, region=REGION, clients=self.clients)

    def clients(self, service: str, region: str = REGION) -> Any:
        return self.acm.client(region) if service == "acm" else self.api

    def served(self) -> Served | None:
        return self.acm.served(self.record[self.member]) if self.records else None

    def interfere(self) -> None:
        self.record[self.member] = self.acm.put(OTHER, self.region)

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


class EdgeStand(DomainStand):
    """An edge-optimized domain, whose certificate is in us-east-1."""

    endpoint = "edge"
    region = "us-east-1"
    member = "certificateArn"


class LateDomains(ApiGatewayDomains):
    """An API Gateway that tells of a new certificate only when its update has ended."""

    def update_domain_name(self, state: Any, request: dict[str, Any]) -> dict[str, Any]:
        record = self._named(state, request["domainName"])
        before = dict(record)
        answer = super().update_domain_name(state, request)
        self.later = dict(record)
        record.update(before, domainNameStatus="UPDATING")
        return {**answer, **{name: before[name] for name in answer if name.endswith("ertificateArn")}}

    def _settle(self, state: Any) -> None:
        ended = [name for name, until in state.until.items() if until <= self.now()]
        for name in ended:
            self._records(*self.where())[name].update(self.later)
        super()._settle(state)


class LateStand(DomainStand):
    def make(self, records: dict[str, dict[str, Any]]) -> ApiGatewayDomains:
        return LateDomains(
            where=here,
            clock=lambda: self.now,
            records=lambda *_: records,
            described=self.acm.described,
            updating=UPDATE,
        )


class TestRegional(TargetConformance):
    """What holds for every kind of target."""

    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return DomainStand


@pytest.mark.slow
class TestEdge(TargetConformance):
    """The same for an edge-optimized endpoint."""

    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return EdgeStand


# --- what is there ---


def test_what_a_regional_domain_is() -> None:
    """Where it answers, which name it claims, and which protocols it speaks."""
    found = DomainStand().target().look()
    assert (found.host, found.port, found.claimed) == ("d-abc.execute-api.eu-central-1.amazonaws.com", 443, (DOMAIN,))
    assert found.protocols == ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize(
    ("policy", "protocols"),
    [
        ("TLS_1_0", ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")),
        ("SecurityPolicy_TLS13_1_3_2025_09", ("TLSv1.3",)),
        ("SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", ("TLSv1.2", "TLSv1.3")),
        ("SecurityPolicy_TLS12_2018_EDGE", ("TLSv1.2", "TLSv1.3")),
        ("", ()),
    ],
)
def test_security_policies(policy: str, protocols: tuple[str, ...]) -> None:
    """The names of policies tell the protocols; () where there is none."""
    assert DomainStand(securityPolicy=policy).target().look().protocols == protocols


def test_what_an_edge_optimized_domain_is() -> None:
    """It answers at its distribution, and shares its copy with what else is in us-east-1."""
    place = EdgeStand()
    assert place.target().look().host == "d111111abcdef8.cloudfront.net"
    assert place.target().shares == acm_copy.shares(ACCOUNT, "us-east-1")
    assert DomainStand().target().shares == acm_copy.shares(ACCOUNT, REGION)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("api.example.com", True),
        ("*.example.com", True),
        ("example", False),
        ("API.example.com", False),
        ("-a.example.com", False),
        ("api.example.com/x", False),
        ("a.*.example.com", False),
        ("a" * 64 + ".example.com", False),
        ("a." * 126 + "example", False),
        ("", False),
    ],
)
def test_domains(text: str, fits: bool) -> None:
    """A domain is a host name or a wildcard."""
    assert bool(re.fullmatch(module.FIELDS[0].pattern, text)) is fits


# --- while an update takes its time ---


def test_an_update_is_awaited() -> None:
    """The change is made once; then it is waited for, in words, until the domain is available again."""
    place = DomainStand()
    target = place.target()
    found = target.look()
    with watched(Calls()) as calls:
        first = target.activate(found, place.new, "", lambda _: None)
        again = target.activate(found, place.new, "", lambda _: None)
    assert calls.writes() == ["ImportCertificate", "UpdateDomainName"]
    assert first == again == Later(30, f"API Gateway to end its update of {DOMAIN} (up to an hour)")
    place.now += timedelta(seconds=UPDATE)
    assert target.activate(found, place.new, "", lambda _: None) is None


def test_an_update_of_somebody_else_is_awaited_first() -> None:
    """While the domain is UPDATING nothing is tried or imported; the change is made afterwards."""
    place = DomainStand()
    change = {"op": "replace", "path": "/securityPolicy", "value": "TLS_1_0"}
    place.api.update_domain_name(domainName=DOMAIN, patchOperations=[change])
    run = Run(place)
    run.look()
    with watched(Calls()) as calls:
        assert isinstance(place.target().activate(run.found, place.new, "", lambda _: None), Later)
    assert calls.writes() == []
    run.activate()
    assert place.served() == place.expected(place.new)
    assert place.record["securityPolicy"] == "TLS_1_0"


def test_restoring_awaits_the_update() -> None:
    """The way back waits until the activation has ended, and then for its own update."""
    place = DomainStand()
    target = place.target()
    found = target.look()
    target.activate(found, place.new, "", lambda _: None)
    with watched(Calls()) as calls:
        assert isinstance(target.restore(found, place.new, "", place.earlier), Later)
    assert calls.writes() == []
    place.now += timedelta(seconds=UPDATE)
    assert isinstance(target.restore(found, place.new, "", place.earlier), Later)
    assert place.served() == place.expected(place.earlier)
    assert isinstance(target.restore(found, place.new, "", place.earlier), Later)
    place.now += timedelta(seconds=UPDATE)
    assert target.restore(found, place.new, "", place.earlier) is None


def test_an_update_that_begins_in_between() -> None:
    """An update that began since the domain was read is waited for, in API Gateway's words."""
    place = DomainStand()
    found = place.target().look()
    place.fake.controls.inject(
        "apigateway", "UpdateDomainName", "ConflictException", message="There is already an update"
    )
    later = place.target().activate(found, place.new, "", lambda _: None)
    assert later == Later(30, "API Gateway, which answers: There is already an update")
    assert place.served() == place.expected(place.earlier)


@pytest.mark.parametrize("status", sorted(module._STUCK))
def test_an_update_that_does_not_end(status: str) -> None:
    """Where the change leaves the domain in a state that waits for people, it fails with the next step."""
    place = DomainStand()
    target = place.target()
    found = target.look()
    target.activate(found, place.new, "", lambda _: None)
    place.record.update(domainNameStatus=status, domainNameStatusMessage="because")
    place.fake.state(*here()).until.clear()
    with pytest.raises(ServiceRefused, match=rf"{DOMAIN} is {status} \(because\): \w+"):
        target.activate(found, place.new, "", lambda _: None)


@pytest.mark.parametrize("what", sorted(KILLS))
def test_where_it_is_told_late(what: str) -> None:
    """Where the new certificate is told only when the update has ended, both ways work all the same, killed or not."""
    place = LateStand()
    run = Run(place)
    run.look()
    for step, version in ((run.activate, place.new), (run.restore, place.earlier)):
        write = {"UpdateDomainName": KILLS[what]}
        with watched(Calls()) as calls, pytest.raises(Killed):
            calls.call = lambda name, send, write=write: write.pop(name, act)(name, send)  # type: ignore[method-assign]
            step()
        step()
        assert place.served() == place.expected(version)


def act(name: str, send: Callable[[], Any]) -> Any:
    """A call as it is."""
    return send()


# --- why not ---


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"endpointConfiguration": {"types": ["EDGE"]}}, 'declare endpoint = "edge"'),
        ({"endpointConfiguration": {"types": ["EDGE", "REGIONAL"]}}, "two endpoints (EDGE, REGIONAL)"),
        ({"endpointConfiguration": {"types": ["PRIVATE"]}}, "private custom domain name"),
        ({"domainNameStatus": "PENDING_CERTIFICATE_REIMPORT"}, "same issuer"),
        ({"domainNameStatus": "PENDING_OWNERSHIP_VERIFICATION"}, "ownershipVerificationCertificateArn"),
        ({"domainNameStatus": "PENDING"}, "wait until it is AVAILABLE"),
        ({"domainNameStatus": "FAILED", "domainNameStatusMessage": "CAA"}, "FAILED (CAA)"),
        ({"regionalCertificateArn": "", "regionalCertificateName": "uploaded"}, "attach one of ACM first"),
        ({"mutualTlsAuthentication": MTLS}, "set the domain's ownershipVerificationCertificateArn"),
    ],
)
def test_refusals(more: Mapping[str, Any], words: str) -> None:
    """What speaks against a change is said before it is tried, with what to do."""
    said = DomainStand(**more).refusals()
    assert any(words in each for each in said), said
    assert all(DOMAIN in each for each in said)


def test_an_update_is_no_refusal() -> None:
    """A domain that is UPDATING is waited for, and not refused."""
    assert DomainStand(domainNameStatus="UPDATING").refusals() == []


def test_a_regional_domain_that_is_declared_as_edge_optimized() -> None:
    """The declared endpoint must be the domain's."""
    place = EdgeStand(endpointConfiguration={"types": ["REGIONAL"]})
    assert any('declare endpoint = "regional"' in each for each in place.refusals())


@pytest.mark.parametrize("key", ["EC-256", "EC-384", "RSA-2048"])
def test_keys(key: str) -> None:
    """A regional domain takes each key type; an edge-optimized one those of CloudFront, as the fake does too."""
    regional, edge = DomainStand(key), EdgeStand(key)
    assert regional.refusals() == []
    for place in (regional, edge) if key in module.EDGE_KEYS else (regional,):
        run = Run(place)
        run.look()
        run.activate()
        assert place.served() == place.expected(place.new)
    if key not in module.EDGE_KEYS:
        assert any(key in each for each in edge.refusals())
        with pytest.raises(ServiceRefused, match="must be issued, cover the domain"):
            edge.target().activate(edge.target().look(), edge.new, "", lambda _: None)
        assert edge.served() == edge.expected(edge.earlier)


def test_mutual_tls_with_an_imported_certificate() -> None:
    """It needs an ownership verification certificate that is in ACM; API Gateway refuses the change without one."""
    place = DomainStand(mutualTlsAuthentication=MTLS)
    found = place.target().look()
    with pytest.raises(ServiceRefused, match="Missing ownershipVerificationCertificate"):
        place.target().activate(found, place.new, "", lambda _: None)
    place.record["ownershipVerificationCertificateArn"] = f"{place.arn[:-1]}x"
    assert any("is not in ACM" in each for each in place.refusals())
    place.record["ownershipVerificationCertificateArn"] = place.acm.put(bundle(5))
    assert place.refusals() == []
    run = Run(place)
    run.look()
    run.activate()
    assert place.served() == place.expected(place.new)


def issued(place: DomainStand) -> Bundle:
    """A version that ACM of the domain's region issued."""
    acm = place.acm.client()
    arn = acm.request_certificate(DomainName=DOMAIN, ValidationMethod="DNS", KeyAlgorithm="EC_prime256v1")
    place.acm.fakes[REGION].admin_validate({"arn": arn["CertificateArn"]})
    held = acm_copy.certificate(acm, arn["CertificateArn"])
    assert held is not None
    return replace(place.new, certificate=held, private_key="", arn=arn["CertificateArn"])


def test_mutual_tls_with_a_certificate_that_acm_issued() -> None:
    """What ACM issued itself needs no other certificate, and is attached by its own ARN, without an import."""
    place = DomainStand(mutualTlsAuthentication=MTLS)
    place.new = issued(place)
    assert place.refusals() == []
    run = Run(place)
    run.look()
    with watched(Calls()) as calls:
        run.activate()
    assert calls.writes() == ["UpdateDomainName"]
    assert place.record["regionalCertificateArn"] == run.placed == place.new.arn


def test_a_version_whose_key_is_elsewhere() -> None:
    """Without its key it cannot be imported: a refusal, and NotFit where it is tried nonetheless."""
    place = DomainStand()
    place.new = replace(place.new, private_key="")
    assert any("private key" in each for each in place.refusals())
    with pytest.raises(NotFit):
        place.target().activate(place.target().look(), place.new, "", lambda _: None)


# --- changes by others ---


def test_a_certificate_that_is_imported_again_under_its_arn() -> None:
    """The same ARN with another certificate is a change by somebody else too."""
    place = DomainStand()
    found = place.target().look()
    place.acm.client().import_certificate(
        CertificateArn=place.arn, Certificate=OTHER.certificate_pem, PrivateKey=OTHER.private_key
    )
    with pytest.raises(ChangedMeanwhile, match="look who changed it"):
        place.target().activate(found, place.new, "", lambda _: None)


def test_a_change_during_the_import() -> None:
    """The domain is read again right before the write: what somebody put there during the import stays."""
    place = DomainStand()
    found = place.target().look()
    with pytest.raises(ChangedMeanwhile):
        place.target().activate(found, place.new, "", lambda _: place.interfere())
    assert place.interfered()


def test_what_was_found_is_deleted_since() -> None:
    """The earlier certificate, deleted when nothing used it any more, is imported again from what Perennial holds."""
    place = DomainStand()
    run = Run(place)
    run.look()
    run.activate()
    place.acm.client().delete_certificate(CertificateArn=place.arn)
    with pytest.raises(ServiceRefused, match="The provided certificate does not exist"):
        place.target().restore(run.found, place.new, run.placed, None)
    run.restore()
    assert place.served() == place.expected(place.earlier)
    assert place.acm.copies(place.earlier) == 1


def test_a_private_custom_domain_is_not_found() -> None:
    """API Gateway tells of private ones by an id only: the message says that they are not supported."""
    place = DomainStand()
    place.remove()
    with pytest.raises(NotFound, match=rf"GetDomainName\) of {DOMAIN}.*private custom domain names"):
        place.target().look()


def test_a_reply_with_nothing_in_it() -> None:
    """A domain without certificate, host and types: a refusal, no exception of Python's."""
    aws = ScriptedAws({"apigateway.GetDomainName": lambda _: {}}, region=REGION)
    target = module.target(DomainStand().settings, Reach(account=ACCOUNT, region=REGION, clients=aws))
    found = target.look()
    assert (found.state, found.fingerprint, found.host, found.protocols) == ("", "", "", ())
    assert any("no certificate of ACM" in each for each in target.refusals(found, bundle(2), None))
