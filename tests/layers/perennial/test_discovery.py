"""Discovery writes what changed, keeps what it cannot read, and ends the same however often it is interrupted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from certificates import build
from estate import HUB, LATER, LISTENERS, NOW, REGION, SCOPE, Estate
from perennial import discovery, errors
from perennial.inventory.records import DueKind, ScopeStatus
from perennial.manifest import Scope
from perennial.scanners.interface import GLOBAL, Scanner

ARN = f"arn:aws:acm:{REGION}:{HUB}:certificate/1"
LISTENER = f"arn:aws:elasticloadbalancing:{REGION}:{HUB}:listener/app/web/1/2"


def scan(estate: Estate, scope: Scope = SCOPE, *, minutes: int = 10) -> dict[str, Any]:
    estate.clock.now += timedelta(seconds=1)
    now = estate.clock.now
    return discovery.scan_scope(
        estate.deployment, run="run", scope=scope, now=now, deadline=now + timedelta(minutes=minutes)
    )


def refused(code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "ListCertificates"
    )


def test_a_new_certificate_is_kept_with_its_place_and_is_due_for_assessment(estate: Estate) -> None:
    """A first scan keeps the certificate, where it is, and that it must be assessed."""
    leaf = build("shop.example.com")
    estate.acm.holds[ARN] = leaf
    assert scan(estate) == {"scope": SCOPE.key, "status": "complete", "reason": None, "changes": 1}
    record = estate.deployment.inventory.show(leaf.certificate.fingerprint)
    assert record is not None and record.certificate == leaf.certificate
    assert [(each.sighting.location, each.gone_at) for each in record.held] == [(ARN, None)]
    due = list(estate.deployment.inventory.due(DueKind.ASSESS, NOW + LATER, 10))
    assert [each.pk for each in due] == [f"PLACE#{ARN}"]


def test_an_unchanged_scope_is_read_and_not_written(estate: Estate) -> None:
    """A second scan of the same estate reads no certificate again and puts no manifest."""
    estate.acm.holds[ARN] = build("shop.example.com")
    scan(estate)
    etag = estate.deployment.manifests.load(SCOPE)[1]
    assert scan(estate)["changes"] == 0
    assert estate.acm.reads == 1
    assert estate.deployment.manifests.load(SCOPE)[1] == etag


def test_what_is_gone_is_marked_with_the_time_and_stays(estate: Estate) -> None:
    """A certificate that left its last place stays in the inventory, marked gone at the time of the scan."""
    leaf = build("shop.example.com")
    estate.acm.holds[ARN] = leaf
    scan(estate)
    estate.acm.holds.clear()
    assert scan(estate)["changes"] == 1
    record = estate.deployment.inventory.show(leaf.certificate.fingerprint)
    assert record is not None
    assert record.gone_at == estate.clock.now == record.held[0].gone_at


def test_what_comes_back_is_no_longer_gone(estate: Estate) -> None:
    """A certificate that returns is present again, with the time of its first sighting."""
    leaf = build("shop.example.com")
    estate.acm.holds[ARN] = leaf
    scan(estate)
    first = estate.clock.now
    estate.acm.holds.clear()
    scan(estate)
    estate.acm.holds[ARN] = leaf
    scan(estate)
    record = estate.deployment.inventory.show(leaf.certificate.fingerprint)
    assert record is not None and record.gone_at is None
    assert (record.held[0].first_seen, record.held[0].gone_at) == (first, None)


def test_a_re_import_moves_everything_attached_at_once(estate: Estate) -> None:
    """After a re-import under the same ARN the listener's certificate is the new one, and the old one is gone."""
    old, new = build("shop.example.com"), build("shop.example.com", key="EC-256#2")
    estate.acm.holds[ARN] = old
    estate.elbv2.holds[LISTENER] = ARN
    scan(estate)
    scan(estate, LISTENERS)
    estate.acm.holds[ARN] = new
    scan(estate)
    before = estate.deployment.inventory.show(old.certificate.fingerprint)
    after = estate.deployment.inventory.show(new.certificate.fingerprint)
    assert before is not None and before.gone_at is not None and before.attached == ()
    assert after is not None and [each.sighting.location for each in after.attached] == [LISTENER]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessDeniedException", "access-denied"),
        ("UnrecognizedClientException", "region-disabled"),
        ("ValidationException", "refused"),
    ],
)
def test_a_scope_that_cannot_be_read_is_incomplete_and_loses_nothing(estate: Estate, code: str, reason: str) -> None:
    """A final error leaves the scope incomplete with its reason, and its certificates where they were."""
    leaf = build("shop.example.com")
    estate.acm.holds[ARN] = leaf
    scan(estate)
    complete_at = estate.clock.now
    estate.acm.fails = refused(code)
    assert scan(estate) == {"scope": SCOPE.key, "status": "incomplete", "reason": reason, "changes": 0}
    record = estate.deployment.inventory.show(leaf.certificate.fingerprint)
    assert record is not None and record.gone_at is None
    (scope,) = estate.deployment.inventory.scopes()
    assert (scope.status, scope.reason, scope.completed_at) == (ScopeStatus.INCOMPLETE, reason, complete_at)


def test_throttling_is_left_to_the_workflow_to_retry(estate: Estate) -> None:
    """A retryable error is raised under the name that the workflow retries, and nothing is recorded as final."""
    estate.acm.fails = refused("ThrottlingException")
    with pytest.raises(errors.Throttled):
        scan(estate)
    assert list(estate.deployment.inventory.scopes()) == []


def test_a_scan_out_of_time_goes_on_where_it_stopped(estate: Estate) -> None:
    """What was read before the deadline is not read again, and the end is that of a scan in one piece."""
    leaves = {f"{ARN}{number}": build(f"n{number}.example.com") for number in range(3)}
    estate.acm.holds |= leaves
    statuses = [scan(estate, minutes=0)["status"] for _ in range(4)]
    assert statuses == ["continue", "continue", "continue", "complete"]
    assert estate.acm.reads == 3
    assert all(estate.deployment.inventory.show(each.certificate.fingerprint) for each in leaves.values())


def test_what_was_read_before_an_error_is_not_read_again(estate: Estate) -> None:
    """A scan that is throttled halfway keeps what it had read for the next try."""
    estate.acm.holds |= {f"{ARN}{number}": build(f"n{number}.example.com") for number in range(3)}
    estate.acm.fails, estate.acm.after = refused("Throttling"), 2
    with pytest.raises(errors.Throttled):
        scan(estate)
    estate.acm.fails = None
    scan(estate)
    assert estate.acm.reads == 3


def test_a_certificate_that_came_and_went_around_a_crash_leaves_no_ghost(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applied, killed before the manifest was put, then deleted: the next scan marks it gone."""
    leaf = build("shop.example.com")
    estate.acm.holds[ARN] = leaf
    with monkeypatch.context() as patched:
        patched.setattr("perennial.manifest_store.Manifests.save", _killed)
        with pytest.raises(KeyboardInterrupt):
            scan(estate)
    estate.acm.holds.clear()
    scan(estate)
    record = estate.deployment.inventory.show(leaf.certificate.fingerprint)
    assert record is not None and record.gone_at == estate.clock.now


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_two_scans_at_once_do_not_overwrite_each_other(estate: Estate) -> None:
    """Who finds the manifest changed since it was read must read again."""
    estate.acm.holds[ARN] = build("shop.example.com")
    scan(estate)
    sightings, etag = estate.deployment.manifests.load(SCOPE)
    estate.deployment.manifests.save(SCOPE, (), NOW, etag)
    with pytest.raises(errors.ConcurrentChange):
        estate.deployment.manifests.save(SCOPE, sightings.values(), NOW, etag)


def test_a_run_counts_a_scope_without_word_as_incomplete(estate: Estate) -> None:
    """A scope that never reported, because its function was killed, is incomplete in the run's result."""
    planned = discovery.plan(estate.deployment, run="run", scopes=[SCOPE.key, LISTENERS.key], now=NOW)
    assert planned["scopes"] == 2
    scan(estate)
    result = discovery.collect(estate.deployment, run="run", started_at=NOW, now=NOW)
    assert result == {"run": "run", "scopes": 2, "complete": 1, "incomplete": 1}
    (run,) = estate.deployment.inventory.runs(5)
    assert (run.scopes, run.incomplete) == (2, 1)


def test_a_scope_that_the_workflow_gave_up_tells_the_last_reason(estate: Estate) -> None:
    """After the retries ran out the reason is the error's, and its message is not the whole stack."""
    cause = '{"errorMessage": "acm: ListCertificates: Throttling", "errorType": "Throttled", "stackTrace": ["secret"]}'
    discovery.abandon(estate.deployment, run="run", scope=SCOPE, error={"Error": "Throttled", "Cause": cause}, now=NOW)
    (scope,) = estate.deployment.inventory.scopes()
    assert (scope.reason, scope.message) == ("throttled", "Throttled: acm: ListCertificates: Throttling")


@pytest.mark.parametrize("key", ["acm", "1/2/3/4", "123456789012/eu-west-1/nothing", "//acm"])
def test_a_scope_that_cannot_be_is_refused(estate: Estate, key: str) -> None:
    """A hostile or mistyped scope in the workflow's input gets a clear error."""
    with pytest.raises((errors.InvalidInput, KeyError)):
        discovery.plan(estate.deployment, run="run", scopes=[key], now=NOW)


def test_a_full_run_plans_every_source_in_every_enabled_region(estate: Estate) -> None:
    """Without named scopes the plan is every source × enabled region of the hub's account."""
    planned = discovery.plan(estate.deployment, run="run", scopes=None, now=NOW)
    scopes = [Scope.of(key) for key in estate.deployment.manifests.load_plan("run")]
    assert planned["scopes"] == len(scopes) == 2 * len({scope.region for scope in scopes})
    assert {scope.account for scope in scopes} == {HUB}


def test_a_global_source_is_scanned_once_an_account_and_endpoints_only_from_the_hub() -> None:
    """Regional sources multiply with regions; global ones do not; hub-only ones are the hub's."""
    regional = Scanner(source="acm", title="", actions=("a:B",), scan=lambda reading: iter(()))
    everywhere = Scanner(source="iam", title="", actions=("a:B",), scan=lambda reading: iter(()), everywhere=False)
    hub = Scanner(
        source="endpoints", title="", actions=("a:B",), scan=lambda r: iter(()), everywhere=False, hub_only=True
    )
    wanted = {"acm": regional, "iam": everywhere, "endpoints": hub}
    member = list(discovery.scopes_of("2" * 12, ("a", "b"), wanted, is_hub=False))
    assert member == [Scope("2" * 12, "a", "acm"), Scope("2" * 12, "b", "acm"), Scope("2" * 12, GLOBAL, "iam")]
    assert Scope("1" * 12, GLOBAL, "endpoints") in list(discovery.scopes_of("1" * 12, ("a",), wanted, is_hub=True))


def test_a_scope_that_is_no_longer_configured_is_retired_by_a_full_run(estate: Estate) -> None:
    """What a dropped source held is gone after the next full run, and not after a run of named scopes."""
    leaf = build("shop.example.com")
    estate.acm.holds[ARN] = leaf
    scan(estate)
    inventory = estate.deployment.inventory
    discovery.plan(estate.deployment, run="later", scopes=[LISTENERS.key], now=LATER + NOW)
    discovery.collect(estate.deployment, run="later", started_at=NOW, now=NOW + LATER, full=False)
    kept = inventory.show(leaf.fingerprint)
    assert kept is not None and kept.gone_at is None
    discovery.collect(estate.deployment, run="later", started_at=NOW, now=NOW + LATER, full=True)
    retired = inventory.show(leaf.fingerprint)
    assert retired is not None and retired.gone_at == NOW + LATER
    (record,) = [each for each in inventory.scopes() if each.scope == SCOPE]
    assert (record.reason, record.sightings) == ("retired", 0)
