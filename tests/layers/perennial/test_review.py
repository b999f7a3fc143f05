"""What a review by a stranger found: races, hostile values, limits of AWS, and what is no defect."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pynamodb.exceptions import UpdateError

from certificates import build, facts
from estate import HUB, NOW, REGION, SCOPE, Estate
from perennial import discovery, dispatch, errors, material, publishing
from perennial.assessment import MAX_SUBJECT, assess
from perennial.chain import ChainStatus, judge
from perennial.checks import CHECKS
from perennial.checks.interface import Severity, Subject
from perennial.clients import Clients, meaning, runs_at
from perennial.findings import Finding, State, difference
from perennial.inventory import conversion
from perennial.inventory.indexes import SHARDS
from perennial.inventory.records import DueKind
from perennial.manifest import Role, Scope, Seen, Sighting
from perennial.scanners import acm
from perennial.scanners.interface import GLOBAL

ARN = f"arn:aws:acm:{REGION}:{HUB}:certificate/1"
OTHER = f"arn:aws:acm:{REGION}:{HUB}:certificate/2"
FOREVER = timedelta(days=365)


def scan(estate: Estate, scope: Scope = SCOPE, run: str = "run") -> dict[str, Any]:
    estate.clock.now += timedelta(seconds=1)
    now = estate.clock.now
    return discovery.scan_scope(estate.deployment, run=run, scope=scope, now=now, deadline=now + FOREVER)


def assess_all(estate: Estate) -> None:
    estate.clock.now += timedelta(seconds=1)
    now = estate.clock.now
    for shard in range(SHARDS):
        publishing.assess_due(estate.deployment, shard=shard, now=now, deadline=now + FOREVER)


def publish(estate: Estate) -> dict[str, Any]:
    estate.clock.now += timedelta(seconds=1)
    now = estate.clock.now
    return publishing.publish_due(estate.deployment, now=now, deadline=now + FOREVER)


def refused(code: str, operation: str = "Call") -> ClientError:
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(answer, operation)


def finding(**changed: Any) -> Finding:
    plain = Finding(
        check="expiry.expired",
        severity=Severity.HIGH,
        title="t",
        detail="d",
        remediation="r",
        scope=SCOPE,
        place=ARN,
        location=ARN,
        resource=ARN,
        subject="shop.example.com",
        opened_at=NOW,
        updated_at=NOW,
    )
    return replace(plain, **changed)


def test_a_scan_that_lost_the_race_is_corrected_by_its_next_try(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow scan writes what is outdated over a faster one's result, is refused its manifest, and repairs it then."""
    old, new = build("shop.example.com"), build("shop.example.com", key="EC-256#2")
    estate.acm.holds[ARN] = old
    apply = type(estate.deployment.inventory).apply

    def overtaken(inventory: Any, scope: Scope, change: Any, now: Any) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(type(inventory), "apply", apply)
            estate.acm.holds[ARN] = new
            scan(estate, run="faster")
        apply(inventory, scope, change, now)

    with monkeypatch.context() as patched:
        patched.setattr(type(estate.deployment.inventory), "apply", overtaken)
        with pytest.raises(errors.ConcurrentChange):
            scan(estate)
    scan(estate)
    assert estate.deployment.inventory.certificate_of_place(ARN) == new.fingerprint
    record = estate.deployment.inventory.show(old.fingerprint)
    assert record is not None and record.gone_at is not None


def test_what_another_scan_kept_is_not_dropped(estate: Estate) -> None:
    """A scan forgets what it had begun only where no other one kept something since."""
    deleted: list[dict[str, Any]] = []
    s3 = SimpleNamespace(
        put_object=lambda **_: {"ETag": '"1"'},
        delete_object=lambda **request: deleted.append(request) or (_ for _ in ()).throw(refused("PreconditionFailed")),
    )
    manifests = type(estate.deployment.manifests)(s3, "bucket")
    manifests.drop_partial(SCOPE, manifests.save_partial(SCOPE, (), NOW))
    assert deleted[0]["IfMatch"] == '"1"'


def test_two_publishers_at_once_tell_once(estate: Estate) -> None:
    """A finding that one publisher has leased is due for no other, until the lease ends."""
    estate.acm.holds[ARN] = build("shop.example.com", not_after=NOW - timedelta(days=1))
    scan(estate)
    assess_all(estate)
    inventory, now = estate.deployment.inventory, estate.clock.now
    due = list(inventory.due(DueKind.PUBLISH, now, 100))
    first = [inventory.lease(each, now + publishing.LEASE) for each in due]
    assert due and all(first)
    assert not any(inventory.lease(each, now + publishing.LEASE) for each in due)
    assert list(inventory.due(DueKind.PUBLISH, now, 100)) == []
    assert len(list(inventory.due(DueKind.PUBLISH, now + publishing.LEASE, 100))) == len(due)


def test_what_could_not_be_told_is_due_again_at_once(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """When people cannot be told, the findings are given back and the workflow's next try tells them."""
    estate.acm.holds[ARN] = build("shop.example.com", not_after=NOW - timedelta(days=1))
    scan(estate)
    assess_all(estate)

    def refuse(*_: Any) -> None:
        raise refused("ThrottlingException", "PutEvents")

    with monkeypatch.context() as patched:
        patched.setattr("perennial.events.send", refuse)
        with pytest.raises(errors.Throttled):
            publish(estate)
    assert publish(estate)["published"] > 0


def test_states_of_one_second_are_told_apart_and_one_state_is_told_once() -> None:
    """What is told names a state: another detail in the same second is news, the same at another time is not."""
    first = conversion.state_name(finding())
    assert conversion.state_name(finding(detail="another")) != first
    assert conversion.state_name(finding(state=State.RESOLVED)) != first
    later = finding(updated_at=NOW + timedelta(days=1), opened_at=NOW + timedelta(hours=1))
    assert conversion.state_name(later) == first


def test_a_long_subject_is_no_change_at_every_assessment(estate: Estate) -> None:
    """A certificate with an endless name gives the same finding each time, not one that always changed."""
    long = facts(build("x"), common_name="x" * 5_000, not_after=NOW - timedelta(days=1))
    sighting = Sighting(location=ARN, role=Role.STORED, resource=ARN, fingerprint=long.fingerprint)
    found = assess(Subject(scope=SCOPE, sighting=sighting, certificate=long), CHECKS, NOW)
    assert found and {len(each.subject) for each in found} == {MAX_SUBJECT}
    estate.deployment.inventory.apply(SCOPE, discovery.difference({}, {ARN: sighting}), NOW)
    record = estate.deployment.inventory.place(ARN)
    estate.deployment.inventory.settle(record, difference((), found, NOW), None, NOW)
    assert not difference(estate.deployment.inventory.place(ARN).findings, found, NOW)


@pytest.mark.parametrize("name", ["\N{GRINNING FACE}" * 900, "." * 300, "", "a..b", "x" * 5_000, "\ud800"])
def test_a_hostile_name_fits_into_the_keys(name: str) -> None:
    """Whatever a common name holds, the keys made of it are such as DynamoDB takes (2,048 and 1,024 bytes)."""
    zone, labels = conversion.name_key(name)
    key = conversion.fitting(f"{labels}#{'0' * 64}")
    assert 0 < len(zone.encode()) <= 2_048 and 0 < len(key.encode()) <= 1_024


def test_an_empty_resource_is_no_key(estate: Estate) -> None:
    """A sighting without a resource is kept; an index key is never empty, as DynamoDB refuses that."""
    sighting = Sighting(location=ARN, role=Role.STORED, resource="", attributes={"problem": "unreadable"})
    estate.deployment.inventory.apply(SCOPE, discovery.difference({}, {ARN: sighting}), NOW)
    held = estate.deployment.inventory.place(ARN).held
    assert held is not None and held.sighting == sighting


def test_a_scope_named_twice_is_scanned_once(estate: Estate) -> None:
    """Repeated scopes are one: DynamoDB refuses to get one key twice, and two scans at once would race."""
    assert discovery.plan(estate.deployment, run="run", scopes=[SCOPE.key, SCOPE.key], now=NOW)["scopes"] == 1
    assert discovery.collect(estate.deployment, run="run", started_at=NOW, now=NOW)["incomplete"] == 1


def test_a_scope_that_a_run_beside_it_completed_is_complete(estate: Estate) -> None:
    """What an event's run scanned to the end since this run began does not count as incomplete."""
    discovery.plan(estate.deployment, run="run", scopes=[SCOPE.key], now=NOW)
    scan(estate, run="event-1")
    assert discovery.collect(estate.deployment, run="run", started_at=NOW, now=NOW)["complete"] == 1


@pytest.mark.parametrize(
    ("account", "listed"),
    [
        ({"State": "ACTIVE"}, True),
        ({"Status": "ACTIVE"}, True),
        ({"State": "CLOSED", "Status": "ACTIVE"}, False),
        ({"Status": "SUSPENDED"}, False),
        ({}, False),
    ],
)
def test_only_active_accounts_are_scanned(account: dict[str, str], listed: bool) -> None:
    """An account's state is read under its new name, and under the old one where the answer still has it."""
    assert discovery._active(account) is listed


@pytest.mark.parametrize(
    ("region", "home"),
    [("eu-west-1", "us-east-1"), ("cn-north-1", "cn-northwest-1"), ("us-gov-east-1", "us-gov-west-1")],
)
def test_global_services_are_asked_where_the_partition_has_them(region: str, home: str) -> None:
    """IAM and CloudFront are read in their own partition's home region."""
    assert Clients(boto3.Session(region_name=region)).at_home().region == home


def test_only_an_unknown_resource_type_has_no_tags() -> None:
    """A type that the tagging API does not take has no tags; a denial is a denial."""
    with pytest.raises(ClientError):
        discovery.tags_of(pages(refused("AccessDeniedException")), "acm:certificate")
    assert discovery.tags_of(pages(refused("InvalidParameterException")), "iam:server-certificate") == {}


def pages(error: ClientError) -> Any:
    """Clients whose paginator fails at its first page."""

    def fail() -> Any:
        raise error
        yield  # pragma: no cover - makes it a generator

    return lambda service: SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: fail()))


def test_a_service_that_a_region_does_not_have_is_not_tried_again() -> None:
    """An endpoint that AWS does not run is final; one that does not answer now is not."""
    nowhere, here = "https://mediastore.ca-central-1.amazonaws.com", "https://acm-pca.eu-west-1.amazonaws.com/"
    assert isinstance(meaning(EndpointConnectionError(endpoint_url=nowhere), "x"), errors.RegionDisabled)
    assert isinstance(meaning(EndpointConnectionError(endpoint_url=here), "x"), errors.Unavailable)
    assert runs_at("http://localhost:4566") and runs_at("")


@pytest.mark.parametrize(
    ("code", "expected"),
    [("ProvisionedThroughputExceededException", errors.Throttled), ("AccessDeniedException", errors.AccessDenied)],
)
def test_the_table_s_errors_have_names_that_the_workflow_knows(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, code: str, expected: type[errors.PerennialError]
) -> None:
    """A table that throttles is tried again by the workflow, though pynamodb has exceptions of its own."""
    estate.acm.holds[ARN] = build("shop.example.com")

    def fail(*_: Any, **__: Any) -> None:
        raise UpdateError("no", cause=refused(code)) from refused(code)

    monkeypatch.setattr(type(estate.deployment.inventory), "apply", fail)
    with pytest.raises(expected):
        scan(estate)


def test_a_key_that_is_no_longer_used_twice_closes_both_findings(estate: Estate) -> None:
    """When one of two certificates with one key goes, the finding on the other is resolved too."""
    first = build("a.example.com")
    estate.acm.holds |= {ARN: first, OTHER: build("b.example.com", key=first.key)}
    scan(estate)
    for _ in range(3):
        assess_all(estate)
    assert {each.location for each in reused(estate)} == {ARN, OTHER}
    del estate.acm.holds[OTHER]
    scan(estate)
    for _ in range(3):
        assess_all(estate)
    assert reused(estate) == []


def reused(estate: Estate) -> list[Finding]:
    return [each for each in estate.deployment.inventory.findings() if each.check == "keys.reused"]


def test_an_event_of_what_is_not_to_be_scanned_starts_nothing(fresh_estate: Any) -> None:
    """Events concern only the sources and regions that the configuration names."""
    event = {"source": "aws.acm", "detail-type": "ACM Certificate Available", "account": HUB, "detail": {}}
    with fresh_estate(b'discovery.sources = ["acm"]\ndiscovery.regions = ["eu-west-1"]') as estate:
        assert dispatch.receive(estate.deployment, {**event, "region": REGION}, NOW)["scopes"] == [SCOPE.key]
        assert dispatch.receive(estate.deployment, {**event, "region": "us-east-1"}, NOW)["scopes"] == []
        call = {"eventSource": "elasticloadbalancing.amazonaws.com", "eventName": "CreateListener"}
        assert dispatch.receive(estate.deployment, {**event, "source": "x", "region": REGION, "detail": call}, NOW) == {
            "scopes": []
        }


def test_a_tenant_s_change_concerns_cloudfront() -> None:
    """Distribution tenants are scanned, and so their changes are seen."""
    detail = {"eventSource": "cloudfront.amazonaws.com", "eventName": "UpdateDistributionTenant"}
    event = {"source": "aws.cloudfront", "account": HUB, "region": "us-east-1", "detail": detail}
    assert dispatch.concerned(event) == [Scope(HUB, GLOBAL, "cloudfront")]


def test_a_message_of_endless_findings_fits() -> None:
    """A message is bounded in bytes and in UTF-8, whatever the findings quote: a refused one would block all others."""
    _, text = publishing.message([finding(detail="\N{GRINNING FACE}" * 2_000 + "\ud800")] * 200)
    assert len(text.encode()) <= publishing.MAX_MESSAGE


def test_a_pending_request_tells_since_when() -> None:
    """A request that waits for validation has the time it was made, so that it can be stuck; no part of its version."""
    told = {"CertificateArn": ARN, "Status": "PENDING_VALIDATION", "CreatedAt": NOW}
    sighting = acm._sighting(told, {})
    assert sighting.attributes["changed_at"] == NOW.isoformat()
    assert sighting.version == acm._sighting({**told, "CreatedAt": NOW + FOREVER}, {}).version
    assert {
        each.check for each in assess(Subject(scope=SCOPE, sighting=sighting, certificate=None), CHECKS, NOW + FOREVER)
    } >= {"issuance.stuck"}


@pytest.mark.parametrize("weak", ["sha1", "md5"])
def test_a_chain_with_a_weak_signature_is_not_a_broken_one(weak: str) -> None:
    """A signature that is no longer verified counts as issued where names and key identifiers match, else not."""
    root = build("Root", ca=True, key="RSA-2048")
    leaf = build("shop.example.com", issuer=root, signature_hash=weak)
    assert leaf.certificate.signature_hash == weak
    found = judge(leaf.certificate, [root.certificate])
    assert (found.status, found.public) == (ChainStatus.COMPLETE, False)
    impostor = build("Root", ca=True, key="RSA-2048#other")
    assert judge(leaf.certificate, [impostor.certificate]).status == ChainStatus.UNTRUSTED
    no_ca = replace(root.certificate, is_ca=False)
    assert judge(leaf.certificate, [no_ca]).status == ChainStatus.UNTRUSTED


def test_a_trust_store_that_does_not_tell_its_cas_is_no_defect() -> None:
    """A note is not a problem: nothing is to be repaired, and there is no finding."""
    sighting = Sighting(location="arn:s", role=Role.ANCHOR, resource="arn:s", attributes={"note": "not given out"})
    scope = Scope(HUB, "us-east-1", "trust_stores")
    found = assess(Subject(scope=scope, sighting=sighting, certificate=None), CHECKS, NOW)
    assert not [each for each in found if each.check.startswith("unreadable.")]


def test_a_chain_of_thousands_is_kept_in_part() -> None:
    """ACM takes chains of 2 MB; what a sighting keeps of one fits into an item."""
    leaf = build("shop.example.com")
    others = "".join(build(f"ca{number}", ca=True).pem for number in range(25))
    seen = material.read(Sighting(location=ARN, role=Role.STORED, resource=ARN), leaf.pem, others)
    assert isinstance(seen, Seen) and len(seen.chain) == material.MAX_CHAIN
