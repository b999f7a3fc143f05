"""Retiring a superseded version: what was made for it goes; what serves or is somebody else's stays, and is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bundles import NAMES, bundle
from copies import in_copies
from counted import COUNTED
from estate import HUB, REGION
from perennial.certificate_request import CertificateRequest
from perennial.errors import AccessDenied, NotFound, PerennialError
from perennial.inventory.records import (
    ManagedRecord,
    ManagedState,
    RolloutRecord,
    RolloutState,
    Serving,
    VersionRecord,
    VersionState,
)
from perennial.managed_certificate import ManagedCertificate
from perennial.manifest import Difference, Role, Scope, Sighting
from perennial.targets import acm_copy, iam_copy
from retiring import MANAGED, MEMBER, SECRET, RetiringHub, retiring_hub
from target_conformance import FAULTS, KILLS, Calls, Killed, watched

TAGGED = {"perennial:managed": MANAGED}


@pytest.fixture
def hub() -> Iterator[RetiringHub]:
    """Version 2 is deployed everywhere, and version 1 was before."""
    with retiring_hub() as made:
        made.everywhere()
        made.deploy(1)
        made.deploy(2)
        yield made


def in_acm(hub: RetiringHub, version: int, account: str = HUB) -> str:
    arn: str = hub.inventory.placed(MANAGED, f"{version:06}/{acm_copy.shares(account, REGION)}")
    return arn


def in_iam(hub: RetiringHub, version: int) -> str:
    arn: str = hub.inventory.placed(MANAGED, f"{version:06}/{iam_copy.shares(HUB)}")
    return arn


def labelled(hub: RetiringHub, version: int) -> bool:
    """Whether the secret's version of a version has a label."""
    return hub.inventory.version(f"{MANAGED}/{version}").secret_version in hub.labels()


def untouched(hub: RetiringHub, version: int = 1) -> bool:
    """Whether all that was made for a version is there."""
    return len(hub.copies(hub.versions[version])) == 4 and labelled(hub, version)


# --- all of it ---


def test_all_of_it_goes(hub: RetiringHub) -> None:
    """Copies in ACM and IAM of two accounts, and the labels of the secret's versions; the newer version's stay."""
    assert untouched(hub)
    others = set(hub.copies(hub.versions[2]))
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == set()
    assert hub.inventory.placed_of(MANAGED, 1) == {}
    assert not labelled(hub, 1)
    assert hub.copies(hub.versions[2]) == others
    assert len(hub.inventory.placed_of(MANAGED, 2)) == len(others) == 4
    assert labelled(hub, 2)


def test_again(hub: RetiringHub) -> None:
    """A repetition makes no call that writes, also when the version is kept as retired."""
    hub.retire(1)
    record = hub.inventory.version(f"{MANAGED}/1")
    hub.inventory.save_version(replace(record, state=VersionState.RETIRED), None)
    with watched(Calls()) as calls:
        assert hub.retire(1) == []
    assert set(calls.writes()) == {"Query"}


def test_the_next_one(hub: RetiringHub) -> None:
    """When version 3 serves, versions 1 and 2 go, in any order."""
    hub.deploy(3)
    assert hub.retire(2) == []
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == hub.copies(hub.versions[2]) == set()
    assert len(hub.copies(hub.versions[3])) == 4


def test_a_version_that_never_served(hub: RetiringHub) -> None:
    """What was made for a version whose rollout came back is removed too, its targets serving another."""
    hub.here.uploaded(bundle(91, names=("other.example.com",)), f"shop-3-{hub.versions[3].fingerprint[:8]}")
    with pytest.raises(AssertionError, match="rename or delete it"):
        hub.deploy(3)  # IAM, the last target, has something else under the version's name
    assert hub.rolling.settle(f"{MANAGED}/3").state is RolloutState.FAILED
    assert len(hub.copies(hub.versions[3])) == 3
    hub.rolling.issue(4)
    hub.declared.pop()
    hub.deploy(4)
    assert hub.retire(3) == []
    assert hub.copies(hub.versions[3]) == set()


def test_a_failed_version(hub: RetiringHub) -> None:
    """A version without a certificate has nothing but a key, which is given up."""
    from perennial.bundle import key_store

    request = CertificateRequest(names=NAMES, profile="web", owner="shop")
    record = VersionRecord(
        managed=MANAGED,
        number=4,
        request=request,
        state=VersionState.FAILED,
        ask="f" * 32,
        issuer="ca",
        requested_at=hub.now,
    )
    hub.inventory.save_version(record, None)
    pending = key_store(hub.deployment).key_for(MANAGED, "f" * 32, "EC-256").version
    assert pending in hub.labels()
    assert hub.retire(4) == []
    assert pending not in hub.labels()


# --- what may not go now ---


def test_a_version_that_serves(hub: RetiringHub) -> None:
    """Neither the version that was deployed last nor the newest one is touched."""
    assert hub.retire(2) == ["shop/2 is the version that serves: deploy a newer one first"]
    assert hub.retire(3) == ["shop/3 is the newest version: it is retired when a newer one serves"]
    assert untouched(hub, 2)
    assert labelled(hub, 3)


def declared(hub: RetiringHub, serving: int = 2, removed_at: datetime | None = None) -> None:
    """Keep the managed certificate as declared, with what serves."""
    leaf = hub.versions[serving]
    request = CertificateRequest(names=NAMES, profile="web", owner="shop")
    served = Serving(
        number=serving,
        fingerprint=leaf.fingerprint,
        issuer="ca",
        key=leaf.key,
        signature="",
        not_before=hub.now,
        not_after=hub.now + timedelta(days=1),
        request=request,
        targets="",
        since=hub.now,
    )
    hub.inventory.save_managed(
        ManagedRecord(
            declared=ManagedCertificate(name=MANAGED, request=request),
            state=ManagedState.SERVING,
            declared_at=hub.now,
            declared_by="anna",
            serving=served,
            removed_at=removed_at,
        )
    )


def test_what_is_kept_as_serving(hub: RetiringHub) -> None:
    """The version that the managed certificate is kept to serve stays, also where another one was deployed last."""
    declared(hub, serving=1)
    assert hub.retire(1) == ["shop/1 is the version that serves: deploy a newer one first"]
    assert untouched(hub)


@pytest.mark.parametrize("state", [RolloutState.CHECKING, RolloutState.RUNNING, RolloutState.RETURNING])
def test_under_way(hub: RetiringHub, state: RolloutState) -> None:
    """While a rollout is under way nothing goes: it may bring the version back."""
    head = RolloutRecord(
        managed=MANAGED, number=0, version=3, count=0, state=state, asked_by="anna", requested_at=hub.now
    )
    hub.inventory.request_rollout(head, [], hub.now)
    assert hub.retire(1) == ["the rollout shop/3 is under way: shop/1 is retired after that"]
    assert untouched(hub)


def test_not_issued_yet(hub: RetiringHub) -> None:
    """A version that is being issued stays."""
    record = hub.inventory.version(f"{MANAGED}/1")
    hub.inventory.save_version(replace(record, state=VersionState.RECEIVED), None)
    assert hub.retire(1) == ["shop/1 is being issued: it is retired after that"]
    assert untouched(hub)


def test_unknown(hub: RetiringHub) -> None:
    """A version that is not there is NotFound."""
    with pytest.raises(NotFound, match="no version shop/9"):
        hub.retire(9)


# --- what is in use ---


def test_in_use_in_acm(hub: RetiringHub) -> None:
    """What something else uses stays with its key, and who uses it is told; everything else goes. When it is free, it
    goes."""
    arn = in_acm(hub, 1)
    listener = hub.here.listener("unknown", arn)
    (told,) = hub.retire(1)
    assert told.startswith(f"{arn}, a copy of shop/1, is in use by arn:aws:elasticloadbalancing:{REGION}:{HUB}:")
    assert "loadbalancer/app/unknown/" in told
    assert told.endswith(": let that refer to a newer certificate. It is valid until 2036-10-01 00:00 UTC")
    assert hub.copies(hub.versions[1]) == {arn}
    assert labelled(hub, 1)
    assert list(hub.inventory.placed_of(MANAGED, 1).values()) == [arn]
    hub.here.clients("elbv2").delete_listener(ListenerArn=listener)
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == set()
    assert not labelled(hub, 1)


def test_in_use_since_it_was_asked(hub: RetiringHub) -> None:
    """Where something begins to use a copy between question and deletion, ACM refuses, and that is told."""
    arn = in_acm(hub, 1)

    def attach(name: str, send: Callable[[], Any]) -> Any:
        if name == "DeleteCertificate" and "unknown" not in repr(hub.here.elbv2.state(HUB, REGION).load_balancers):
            hub.here.listener("unknown", arn)
        return send()

    with watched(Everywhere(attach)):
        (told,) = hub.retire(1)
    assert told.startswith(f"{arn}, a copy of shop/1, is in use by something that ACM does not name")
    assert hub.copies(hub.versions[1]) == {arn}


class Everywhere(Calls):
    """Something happens at each call."""

    def __init__(self, act: Callable[[str, Callable[[], Any]], Any]) -> None:
        super().__init__()
        self.act = act

    def call(self, name: str, send: Callable[[], Any]) -> Any:
        return self.act(name, send)


def test_expired_and_in_use(hub: RetiringHub) -> None:
    """What is in use although it has ended says so."""
    hub.here.listener("unknown", in_acm(hub, 1))
    hub.rolling.estate.clock.now = datetime(2037, 1, 1, tzinfo=UTC)
    (told,) = hub.retire(1)
    assert told.endswith("It ended 2036-10-01 00:00 UTC")


def test_in_use_in_iam(hub: RetiringHub) -> None:
    """IAM refuses what it knows to be in use; that stays with its key and is told, and goes when it is free."""
    arn = in_iam(hub, 1)
    hub.here.classic("unknown", arn)
    (told,) = hub.retire(1)
    assert f"{arn}, a copy of shop/1, is in use: iam:DeleteServerCertificate of" in told
    assert "loadbalancer/unknown" in told
    assert arn in hub.copies(hub.versions[1])
    assert labelled(hub, 1)
    hub.here.clients("elb").delete_load_balancer(LoadBalancerName="unknown")
    assert hub.retire(1) == []


def test_a_target_that_iam_does_not_know_of(hub: RetiringHub) -> None:
    """Where a target of the version has it again, its copies in IAM stay, although IAM would delete them."""
    hub.here.detached = True
    hub.here.clients("elb").set_load_balancer_listener_ssl_certificate(
        LoadBalancerName="old", LoadBalancerPort=443, SSLCertificateId=in_iam(hub, 1)
    )
    (told,) = hub.retire(1)
    assert told.startswith("the target old has shop/1: let it refer to a newer certificate")
    assert {each for each in hub.copies(hub.versions[1]) if ":iam:" in each} == {
        in_iam(hub, 1),
        hub.inventory.placed(MANAGED, "000001/target/0003"),
    }
    assert labelled(hub, 1)


def test_a_target_that_is_gone(hub: RetiringHub) -> None:
    """A load balancer that was deleted uses nothing."""
    hub.here.clients("elb").delete_load_balancer(LoadBalancerName="old")
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == set()


@pytest.mark.parametrize("gone", [False, True])
def test_what_discovery_knows(hub: RetiringHub, gone: bool) -> None:
    """A copy in IAM that discovery saw attached somewhere stays, although IAM would delete it; one that is no longer
    attached goes."""
    hub.here.detached = True
    arn, listener = in_iam(hub, 1), "arn:aws:elasticloadbalancing:eu-west-3:123456789012:loadbalancer/far"
    held = Sighting(location=arn, role=Role.STORED, resource=arn, fingerprint=hub.versions[1].fingerprint)
    attached = Sighting(location=f"{listener}#{arn}", role=Role.ATTACHED, resource=listener, holder=arn)
    hub.inventory.keep([hub.versions[1].certificate], hub.now)
    iam, far = Scope(HUB, "aws-global", "iam"), Scope(HUB, "eu-west-3", "elb")
    hub.inventory.apply(iam, Difference(added=(held,), changed=(), gone=()), hub.now)
    hub.inventory.apply(far, Difference(added=(attached,), changed=(), gone=()), hub.now)
    if gone:
        hub.inventory.apply(far, Difference(added=(), changed=(), gone=(attached,)), hub.now)
        assert hub.retire(1) == []
        return
    (told,) = hub.retire(1)
    assert told.startswith(f"{arn}, a copy of shop/1, is in use by {listener} since the last discovery")
    assert arn in hub.copies(hub.versions[1])
    assert labelled(hub, 1)


# --- what is somebody else's ---


def test_strangers_copies(hub: RetiringHub) -> None:
    """Copies of the very same certificate that somebody else made stay, and do not hold anything up."""
    mine = hub.here.imported(hub.versions[1])
    other = hub.here.imported(hub.versions[1], **{"perennial:managed": "other"})
    uploaded = hub.here.uploaded(hub.versions[1], f"by-hand-1-{hub.versions[1].fingerprint[:8]}")
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == {mine, other, uploaded}


@pytest.mark.parametrize("service", ["acm", "iam"])
def test_without_the_tag(hub: RetiringHub, service: str) -> None:
    """What was placed and has not the tag any more is not deleted, and that is told."""
    if service == "acm":
        arn = in_acm(hub, 1)
        hub.here.clients("acm").remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "perennial:managed"}])
    else:
        arn = in_iam(hub, 1)
        name = arn.rsplit("/", 1)[-1]
        hub.here.clients("iam").untag_server_certificate(ServerCertificateName=name, TagKeys=["perennial:managed"])
    (told,) = hub.retire(1)
    assert told.startswith(f"{arn} is a copy of shop/1, and its tag perennial:managed is not shop: it is not deleted")
    assert hub.copies(hub.versions[1]) == {arn}
    assert labelled(hub, 1)


def test_another_certificate_under_the_arn(hub: RetiringHub) -> None:
    """Where something else was imported under a copy's ARN, it is not this version's any more, and stays."""
    arn, new = in_acm(hub, 1), bundle(60)
    hub.here.clients("acm").import_certificate(
        CertificateArn=arn,
        Certificate=new.certificate_pem,
        PrivateKey=new.private_key,
        CertificateChain=new.chain_pem,
    )
    assert hub.retire(1) == []
    assert hub.copies(new) == {arn}
    assert hub.inventory.placed_of(MANAGED, 1) == {}


def test_what_another_version_names(hub: RetiringHub) -> None:
    """A copy that is kept for another version too is not deleted: that version is retired in its time."""
    shared = {in_acm(hub, 1), in_iam(hub, 1)}
    hub.inventory.keep_placed(MANAGED, f"000002/{acm_copy.shares(HUB, REGION)}", in_acm(hub, 1))
    hub.inventory.keep_placed(MANAGED, f"000002/{iam_copy.shares(HUB)}", in_iam(hub, 1))
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == shared
    assert shared <= set(hub.inventory.placed_of(MANAGED, 2).values())


def test_a_rollouts_number_is_no_version(hub: RetiringHub) -> None:
    """What a target keeps for itself stands under its rollout's number, and belongs to that rollout's version."""
    hub.rolling.issue(4)
    hub.deploy(4)
    assert hub.inventory.rollout(f"{MANAGED}/3").version == 4
    assert "000003/target/0003" in hub.inventory.placed_of(MANAGED, 4)
    assert hub.inventory.placed_of(MANAGED, 3) == {}
    kept = {each: set(hub.inventory.placed_of(MANAGED, each).values()) for each in (1, 2, 4)}
    assert [len(each) for each in kept.values()] == [4, 4, 4]
    assert hub.inventory.placed_beside(MANAGED, 4) == kept[1] | kept[2]


# --- what an interrupted call left ---


def test_copies_that_nobody_kept(hub: RetiringHub) -> None:
    """A second import of a version, and copies whose ARNs were never kept, are found and deleted too."""
    hub.here.imported(hub.versions[1], **TAGGED)
    hub.member.imported(hub.versions[1], **TAGGED)
    hub.here.uploaded(hub.versions[1], f"shop-elb-x-1-{hub.versions[1].fingerprint[:8]}", **TAGGED)
    for what in hub.inventory.placed_of(MANAGED, 1):
        hub.inventory.forget_placed(MANAGED, what)
    assert len(hub.copies(hub.versions[1])) == 7
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == set()


def test_what_is_gone_already(hub: RetiringHub) -> None:
    """Copies that somebody deleted count as removed."""
    hub.here.clients("acm").delete_certificate(CertificateArn=in_acm(hub, 1))
    hub.here.clients("iam").delete_server_certificate(ServerCertificateName=in_iam(hub, 1).rsplit("/", 1)[-1])
    assert hub.retire(1) == []
    assert hub.inventory.placed_of(MANAGED, 1) == {}


def test_one_account_is_denied(hub: RetiringHub) -> None:
    """An account that cannot be reached is AccessDenied; what is elsewhere goes, but for IAM, which its targets might
    use, and the key stays."""

    def denied(self: Any, number: str, role: str) -> Any:
        if number == MEMBER:
            raise AccessDenied("sts:AssumeRole")
        return hub.deployment.clients

    with pytest.MonkeyPatch.context() as patched, pytest.raises(AccessDenied, match="AssumeRole"):
        patched.setattr(type(hub.deployment), "clients_of", denied)
        hub.retire(1)
    left = hub.copies(hub.versions[1])
    assert {each.split(":")[2] for each in left} == {"acm", "iam"}
    assert [each.split(":")[4] for each in left if ":acm:" in each] == [MEMBER]
    assert labelled(hub, 1)
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == set()


# --- what ACM issued ---


def issued_by_acm(hub: RetiringHub, **tags: str) -> str:
    """Version 1 as ACM has it that ACM issued, with tags."""
    arn = hub.here.imported(hub.versions[1], **tags)
    record = hub.inventory.version(f"{MANAGED}/1")
    hub.inventory.save_version(replace(record, arn=arn), None)
    return arn


def test_what_acm_issued(hub: RetiringHub) -> None:
    """A certificate that ACM issued has its request's tag, by which it is known to be this version's."""
    arn = issued_by_acm(hub, **{"perennial:version": f"{1:032x}"})
    assert arn in hub.copies(hub.versions[1])
    assert hub.retire(1) == []
    assert hub.copies(hub.versions[1]) == set()


def test_what_acm_renewed(hub: RetiringHub) -> None:
    """Where ACM renewed it by itself, another certificate is there: it stays, and that is told."""
    arn, new = issued_by_acm(hub, **{"perennial:version": f"{1:032x}"}), bundle(60)
    hub.here.clients("acm").import_certificate(
        CertificateArn=arn,
        Certificate=new.certificate_pem,
        PrivateKey=new.private_key,
        CertificateChain=new.chain_pem,
    )
    (told,) = hub.retire(1)
    assert told.startswith(f"{arn}, which ACM issued as shop/1, has another certificate by now")
    assert hub.copies(new) == {arn}


# --- keys ---


def kms_key(hub: RetiringHub, ask: str, *versions: int) -> str:
    """A key in KMS that versions have."""
    from perennial import kms_keys

    made = kms_keys.key_for(hub.deployment.clients("kms"), MANAGED, ask, "EC-256")
    for number in versions:
        record = hub.inventory.version(f"{MANAGED}/{number}")
        hub.inventory.save_version(replace(record, key_arn=made.arn), None)
    return made.arn


def kms_state(hub: RetiringHub, arn: str) -> str:
    return str(hub.deployment.clients("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"])


def test_a_key_in_kms(hub: RetiringHub) -> None:
    """A key of its own is deleted in thirty days, and its alias at once; a key of another version stays."""
    own, other = kms_key(hub, f"{1:032x}", 1), kms_key(hub, f"{2:032x}", 2)
    assert hub.retire(1) == []
    assert (kms_state(hub, own), kms_state(hub, other)) == ("PendingDeletion", "Enabled")
    assert hub.retire(1) == []


def test_a_key_in_kms_that_versions_share(hub: RetiringHub) -> None:
    """The key that a managed certificate keeps through its renewals stays, and does not hold anything up."""
    shared = kms_key(hub, "", 1, 2)
    assert hub.retire(1) == []
    assert kms_state(hub, shared) == "Enabled"


def test_the_key_stays_while_a_copy_does(hub: RetiringHub) -> None:
    """While a copy stands, nothing of the key is given up."""
    own = kms_key(hub, f"{1:032x}", 1)
    hub.here.listener("unknown", in_acm(hub, 1))
    assert len(hub.retire(1)) == 1
    assert kms_state(hub, own) == "Enabled"


def test_the_current_version_of_the_secret(hub: RetiringHub) -> None:
    """A version that readers of the secret get is told of, not touched."""
    record = hub.inventory.version(f"{MANAGED}/1")
    hub.deployment.clients("secretsmanager").update_secret_version_stage(
        SecretId=SECRET,
        VersionStage="AWSCURRENT",
        MoveToVersionId=record.secret_version,
        RemoveFromVersionId=hub.inventory.version(f"{MANAGED}/2").secret_version,
    )
    before = hub.labels()
    (told,) = hub.retire(1)
    assert "is the current one (AWSCURRENT)" in told
    assert hub.labels() == before


# --- a managed certificate that is removed ---


def test_a_removed_certificate(hub: RetiringHub) -> None:
    """The last version of a removed certificate stays while its targets use it; then its copies go, and its key with
    the secret, which can be restored for a month."""
    shared = kms_key(hub, "", 2)
    declared(hub, removed_at=hub.now)
    left = hub.retire(2)
    assert len(left) == 4  # two copies in ACM, and two targets with copies in IAM
    assert untouched(hub, 2)
    stranger = bundle(95, names=("other.example.com",), managed="other")
    for each in hub.declared[:2]:
        account = hub.accounts[each.account or HUB]
        account.clients("elbv2").modify_listener(
            ListenerArn=each.text("listener"), Certificates=[{"CertificateArn": account.imported(stranger)}]
        )
    hub.here.clients("elb").delete_load_balancer(LoadBalancerName="old")
    hub.here.uploaded(stranger, "shop-9")
    path = {"ServerCertificateName": "shop-9", "NewPath": "/perennial/"}
    hub.here.clients("iam").update_server_certificate(**path)
    hub.rolling.estate.clock.now += timedelta(minutes=1)
    assert hub.retire(2) == []
    assert hub.copies(hub.versions[2]) == set()
    assert kms_state(hub, shared) == "PendingDeletion"
    assert hub.deployment.clients("secretsmanager").describe_secret(SecretId=SECRET)["DeletedDate"]
    assert hub.retire(2) == []


# --- interrupted ---


def _retired(calls: Calls) -> None:
    """Retire with something happening at one call, then again; judge."""
    with retiring_hub() as hub:
        hub.everywhere()
        hub.deploy(1)
        hub.deploy(2)
        own = kms_key(hub, f"{1:032x}", 1)
        with watched(calls), suppress(Killed, PerennialError):
            hub.retire(1)
        assert untouched(hub, 2)
        assert hub.retire(1) == []
        assert hub.copies(hub.versions[1]) == set()
        assert hub.inventory.placed_of(MANAGED, 1) == {}
        assert not labelled(hub, 1)
        assert kms_state(hub, own) == "PendingDeletion"
        assert untouched(hub, 2)


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted({**FAULTS, **KILLS}))
def test_interrupted_at_each_call(what: str, record_property: Callable[[str, object], None]) -> None:
    """Killed, refused, throttled or left without a reply at any call: the next one ends it, and what serves stays."""
    act = {**FAULTS, **KILLS}[what]
    ended = in_copies(lambda now: _retired(Calls(now=now, act=act)))
    assert len(ended) > 20
    record_property(f"{COUNTED}retirement, {what}", len(ended))


@pytest.mark.slow
def test_twice_at_once(record_property: Callable[[str, object], None]) -> None:
    """A retirement that runs a second time in the midst of any of its calls ends with nothing left, and no error that
    stays."""

    def retired(now: Callable[[], bool]) -> None:
        with retiring_hub() as hub:
            hub.everywhere()
            hub.deploy(1)
            hub.deploy(2)

            def twice(name: str, send: Callable[[], Any]) -> Any:
                assert hub.retire(1) == []
                return send()

            with watched(Calls(now=now, act=twice)), suppress(PerennialError):
                hub.retire(1)
            assert hub.retire(1) == []
            assert hub.copies(hub.versions[1]) == set()
            assert untouched(hub, 2)

    record_property(f"{COUNTED}retirement, twice at once", len(in_copies(retired)))
