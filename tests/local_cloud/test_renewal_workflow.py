"""The deployed Renewal: the real state machine, nested workflows and functions keep a declared certificate true."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from deployed import until
from deploying_hub import ASKED_BY, DeployingHub, Site

from perennial.certificate_request import CertificateRequest
from perennial.errors import ConcurrentChange
from perennial.inventory.records import ManagedRecord, ManagedState, VersionState
from perennial.managed_certificate import ManagedCertificate
from perennial.target_settings import parse

pytest_plugins = ["deploying_plugin"]
pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("deploying")]
HOUR = timedelta(hours=1)


def declare(deploying: DeployingHub, name: str, site: Site) -> None:
    """As `perennial apply` keeps a certificate that is due at once."""
    targets = parse({"targets": [site.target()]}, name).targets
    request = CertificateRequest(names=(site.host,), profile="web", owner="shop")
    declared = ManagedCertificate(name=name, request=request, targets=targets)
    now = datetime.now(UTC)
    record = ManagedRecord(
        declared=declared, state=ManagedState.REQUESTED, declared_at=now, declared_by=ASKED_BY, due_at=now
    )
    deploying.deployment.inventory.save_managed(record)


def kept(deploying: DeployingHub, name: str) -> ManagedRecord:
    return deploying.deployment.inventory.managed_certificate(name)


def due(deploying: DeployingHub, name: str, **changes: object) -> None:
    """What time does: the next step is due. The function of an execution that was stopped may still be at work."""

    def made() -> bool:
        record = replace(kept(deploying, name), due_at=datetime.now(UTC), **changes)  # type: ignore[arg-type]
        with suppress(ConcurrentChange):
            deploying.deployment.inventory.save_managed(record)
            return True
        return False

    until(made, f"{name} to be at rest")


def renewals(deploying: DeployingHub) -> list[str]:
    """Let the tick run; the ARNs of the executions of Renewal that it started."""
    started = deploying.hub.invoke("DispatchTick", {})["started"]
    machine = deploying.hub.outputs["RenewalArn"].replace(":stateMachine:", ":execution:")
    return [f"{machine}:{each}" for each in started if each.startswith("renew-")]


def ran(deploying: DeployingHub) -> list[str]:
    """Let the tick run and wait; the states that its one execution of Renewal entered."""
    (execution,) = renewals(deploying)
    assert deploying.hub.finish(execution)["status"] == "SUCCEEDED"
    return [each for each in deploying.entered(execution) if each not in ("Decide", "What next?")]


def test_the_life_of_a_certificate(deploying: DeployingHub) -> None:
    """A version is deployed, proven and serves; a newer one supersedes it; after the grace period the old one is
    retired: its copy and its labels are gone. Each time the next step has its time."""
    site = deploying.site("life")
    first = deploying.issue("life", 1, site.host)
    declare(deploying, "life", site)
    assert ran(deploying) == ["Deploy and prove", "Rest"]
    record = kept(deploying, "life")
    assert (record.state, record.serving and record.serving.number) == (ManagedState.SERVING, 1)
    assert record.planned_at and record.due_at and record.due_at > datetime.now(UTC)
    assert deploying.serving(site.host) == {first.fingerprint}

    second = deploying.issue("life", 2, site.host)
    due(deploying, "life")
    assert ran(deploying) == ["Deploy and prove", "Rest"]
    record = kept(deploying, "life")
    assert record.serving and record.serving.number == 2
    assert [number for number, _ in record.retiring] == [1]
    assert deploying.serving(site.host) == {second.fingerprint}

    due(deploying, "life", retiring=((1, datetime.now(UTC)),))
    assert ran(deploying) == ["Retire", "Rest"]
    assert kept(deploying, "life").retiring == ()
    assert deploying.deployment.inventory.version("life/1").state is VersionState.RETIRED
    acm = deploying.client("acm")
    listed = [
        each["CertificateArn"]
        for each in acm.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]
    ]
    tags = [
        {each["Key"]: each["Value"] for each in acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]}
        for arn in listed
    ]
    assert [each["perennial:version"] for each in tags if each.get("perennial:managed") == "life"] == ["2"]
    assert deploying.serving(site.host) == {second.fingerprint}


def test_two_ticks_start_one_execution(deploying: DeployingHub) -> None:
    """What is due is leased once; an execution with the number of an earlier lease does nothing any more."""
    site = deploying.site("leased")
    deploying.issue("leased", 1, site.host)
    declare(deploying, "leased", site)
    (execution,) = renewals(deploying)
    assert renewals(deploying) == []
    assert deploying.hub.finish(execution)["status"] == "SUCCEEDED"
    fence = kept(deploying, "leased").fence
    answer = deploying.hub.invoke("Decide", {"managed": "leased", "fence": fence - 1})
    assert answer["next"] == "ended"


def test_an_execution_that_dies_is_taken_up(deploying: DeployingHub) -> None:
    """Where Renewal is stopped in its midst, the next lease goes on from what is stored."""
    site = deploying.site("dies")
    new = deploying.issue("dies", 1, site.host)
    declare(deploying, "dies", site)
    (execution,) = renewals(deploying)
    deploying.stop(execution)
    due(deploying, "dies")
    for each in renewals(deploying):
        deploying.hub.finish(each)
    for _ in range(12):
        if kept(deploying, "dies").serving:
            break
        for rollout in deploying.deployment.inventory.rollouts("dies", limit=1):
            if not rollout.state.ended:  # the nested workflow died with it: half an hour passes
                deploying.deployment.inventory.save_rollout(rollout, datetime.now(UTC))
        due(deploying, "dies")
        for each in renewals(deploying):
            deploying.hub.finish(each)
    assert deploying.serving(site.host) == {new.fingerprint}
    assert kept(deploying, "dies").serving
