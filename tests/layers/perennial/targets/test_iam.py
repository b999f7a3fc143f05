"""Server certificates of IAM: a version is one of its own, found late, and deleted where it does not stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bundles import bundle
from load_balanced import ACCOUNT, REGION, LoadBalanced, stranger
from perennial.certificate import Certificate
from perennial.errors import AccessDenied, ChangedMeanwhile, InvalidReply, NotFit, PerennialError, ServiceRefused
from perennial.targets import iam, iam_copy
from perennial.targets.interface import Bundle, Later, Reach, Superseded, TargetSettings
from scripted_aws import ScriptedAws, refuse
from target_conformance import Calls, Run, Served, Stand, TargetConformance, watched

SEEN_AFTER = 8


class Certificates(Stand):
    """The server certificates `shop-…` of an account of its own."""

    kind = "iam"

    def __init__(self) -> None:
        super().__init__()
        self.aws = LoadBalanced(seen_after=SEEN_AFTER)
        self.old = "shop-1"  # uploaded by hand
        self.aws.uploaded(self.earlier, self.old, "/perennial/")
        self.aws.pass_time(3600)
        self.mine = ""

    @property
    def settings(self) -> TargetSettings:
        fields = {"name_prefix": "shop", "path": "/perennial/"}
        return TargetSettings(kind="iam", name="iam", managed="shop", fields=fields)

    @property
    def reach(self) -> Reach:
        return self.aws.reach

    @property
    def names(self) -> list[str]:
        """All names that IAM has, from old to new."""
        return list(self.aws.iam.state(ACCOUNT, REGION).certificates)

    def served(self) -> Served | None:
        """The newest that IAM shows."""
        held = self.aws.iam.state(ACCOUNT, REGION).certificates.values()
        seen = [each for each in held if (self.aws.now - each.uploaded).total_seconds() >= SEEN_AFTER]
        return self.aws.material(seen[-1].arn) if seen else None

    def copies(self) -> int:
        return self.aws.copies(self.new)

    def pass_time(self, seconds: float) -> None:
        self.aws.pass_time(seconds)

    def interfere(self) -> None:
        self.pass_time(60)
        self.mine = "shop-7"
        self.aws.uploaded(stranger(), self.mine, "/perennial/")
        self.pass_time(60)

    def interfered(self) -> bool:
        return self.mine in self.names

    def remove(self) -> None:
        self.aws.clients("iam").delete_server_certificate(ServerCertificateName=self.old)


class TestIam(TargetConformance):
    @pytest.fixture
    def stand(self) -> Callable[[], Stand]:
        return Certificates

    def test_gone(self, stand: Callable[[], Stand]) -> None:
        """An account's IAM is never gone. Without a server certificate nothing is found, which is where a first rollout
        begins; what was found and then deleted is someone's change."""
        place = stand()
        run = Run(place)
        run.look()
        place.remove()
        assert place.target().look().fingerprint == ""
        with pytest.raises(ChangedMeanwhile):
            run.activate()
        assert place.served() is None


def refusals(place: Certificates, new: Bundle | None = None) -> list[str]:
    target = place.target()
    return target.refusals(target.look(), new or place.new, place.earlier)


def rolled_out(place: Certificates) -> Run:
    run = Run(place)
    run.look()
    run.activate()
    return run


def name(version: Bundle) -> str:
    return f"shop-{version.version}-{version.fingerprint[:8]}"


def test_the_first_one() -> None:
    """Without any, the version is uploaded under its name, path and tags; restoring leaves nothing."""
    place = Certificates()
    place.remove()
    run = rolled_out(place)
    made = place.aws.clients("iam").get_server_certificate(ServerCertificateName=name(place.new))["ServerCertificate"]
    assert made["ServerCertificateMetadata"]["Path"] == "/perennial/"
    assert {each["Key"]: each["Value"] for each in made["Tags"]} == {
        "perennial:managed": "shop",
        "perennial:version": "2",
    }
    assert run.placed == made["ServerCertificateMetadata"]["Arn"]
    run.restore()
    assert place.names == []


def test_it_is_waited_for() -> None:
    """IAM shows an upload after some seconds: until then the step asks to be called again, and uploads once."""
    place = Certificates()
    found, kept = place.target().look(), list[str]()
    with watched(Calls()) as calls:
        first = place.target().activate(found, place.new, "", kept.append)
        second = place.target().activate(found, place.new, kept[0], kept.append)
        place.pass_time(SEEN_AFTER)
        third = place.target().activate(found, place.new, kept[0], kept.append)
    assert (first, second) == (Later(5, f"IAM to list {name(place.new)}"), Later(5, f"IAM to show {name(place.new)}"))
    assert third is None
    assert kept == [f"arn:aws:iam::{ACCOUNT}:server-certificate/perennial/{name(place.new)}"]
    assert calls.writes() == ["UploadServerCertificate", "UploadServerCertificate"]
    assert place.copies() == 1


def test_others_stay() -> None:
    """Earlier versions, other prefixes and other paths are neither found nor deleted."""
    place = Certificates()
    others = {
        "shop-x": "/perennial/",
        "shop-2-3-0123abcd": "/perennial/",
        "shopping-5": "/perennial/",
        "shop-9": "/elsewhere/",
        "shop-8": "/perennial/below/",
    }
    for number, (other, path) in enumerate(others.items()):
        place.aws.uploaded(stranger(20 + number), other, path)
    place.pass_time(60)
    run = rolled_out(place)
    assert json.loads(run.found.state) == {"newest": "shop-1", "names": ["shop-1"]}
    run.restore()
    assert sorted(place.names) == sorted(["shop-1", *others])


def test_newest_by_date_then_number() -> None:
    """The newest is the one uploaded last; of one second, the one with the greatest number."""
    place = Certificates()
    place.aws.uploaded(stranger(20), "shop-10", "/perennial/")
    place.aws.uploaded(stranger(21), "shop-9", "/perennial/")
    place.pass_time(60)
    assert json.loads(place.target().look().state)["newest"] == "shop-10"


def test_in_use() -> None:
    """What a load balancer uses cannot be deleted: restoring says so, and goes on when it is free."""
    place = Certificates()
    run = rolled_out(place)
    place.aws.classic(run.placed)
    with pytest.raises(ServiceRefused, match=r"DeleteServerCertificate of shop-2-.*in use.*refer to the earlier one"):
        run.restore()
    place.aws.clients("elb").delete_load_balancer(LoadBalancerName="web")
    run.restore()
    assert place.names == ["shop-1"]


def test_what_was_there_is_not_deleted() -> None:
    """A rollout of what was there already uploads nothing, and restoring does not delete it."""
    place = Certificates()
    rolled_out(place)
    with watched(Calls()) as calls:
        again = rolled_out(place)
        again.restore()
    assert calls.writes() == []
    assert place.names == ["shop-1", name(place.new)]


def test_older_than_the_newest() -> None:
    """A version that is in IAM already, below a newer one, cannot become the newest: refused."""
    place = Certificates()
    first, second = place.new, bundle(3)
    rolled_out(place)
    place.new = second
    rolled_out(place)
    (wrong,) = refusals(place, first)
    assert wrong == f"{name(first)} is in IAM and older than {name(second)}, and IAM cannot make it the newest again"


def test_at_another_path() -> None:
    """The same name at another path is not this target's: refused, and not deleted by restoring."""
    place = Certificates()
    place.aws.uploaded(place.new, name(place.new), "/elsewhere/")
    place.pass_time(60)
    run = Run(place)
    run.look()
    with pytest.raises(ServiceRefused, match="another path than /perennial/"):
        run.activate()
    run.restore()
    assert place.names == ["shop-1", name(place.new)]


def test_another_certificate_of_the_name() -> None:
    """A name with another certificate in it is refused by both steps, and stays."""
    place = Certificates()
    run = Run(place)
    run.look()
    place.pass_time(60)
    place.aws.uploaded(stranger(), name(place.new), "/perennial/")
    place.pass_time(60)
    for step in (run.activate, run.restore):
        with pytest.raises(ServiceRefused, match="rename or delete it"):
            step()
    assert place.names == ["shop-1", name(place.new)]


def test_full() -> None:
    """An account whose quota is used up: final, with what to do, and nothing was changed."""
    place = Certificates()
    for number in range(19):
        place.aws.uploaded(stranger(20 + number), f"other-{number}")
    with pytest.raises(ServiceRefused, match=r"UploadServerCertificate of shop/2: LimitExceeded.*delete server cert"):
        rolled_out(place)
    assert place.copies() == 0


def sized(version: Bundle, size: int) -> Bundle:
    """A version whose leaf has so many bytes; nobody parses it."""
    return replace(version, certificate=Certificate(fingerprint=version.fingerprint, der=bytes(size)))


@pytest.mark.parametrize(
    ("new", "part"),
    [
        (replace(bundle(2), private_key=""), "no private key that Perennial holds"),
        (sized(bundle(2), 12_200), "its certificate has more than 16384 characters"),
        (replace(bundle(2), private_key="k" * 16_385), "its key has more than 16384 characters"),
        (replace(bundle(2), chain=(Certificate(fingerprint="", der=bytes(1_600_000)),)), "more than 2097152"),
    ],
)
def test_refusals(new: Bundle, part: str) -> None:
    """What IAM's API does not take is refused before, in words, and without the key."""
    (wrong,) = refusals(Certificates(), new)
    assert part in wrong
    assert "kkkk" not in wrong


def test_just_small_enough() -> None:
    """A certificate of the largest size is not refused."""
    new = sized(bundle(2), 12_000)
    assert len(new.certificate_pem) <= iam_copy.MAX_BODY
    assert refusals(Certificates(), new) == []


def test_long_name() -> None:
    """A prefix that leaves no room for version and fingerprint is refused."""
    place = Certificates()
    target = iam.target(replace(place.settings, fields={"name_prefix": "p" * 119, "path": "/"}), place.reach)
    (wrong,) = target.refusals(target.look(), replace(place.new, version=10), None)
    assert "more than 128 characters: use a shorter prefix" in wrong


def test_no_key() -> None:
    """Activating without a key is NotFit and changes nothing."""
    place = Certificates()
    place.new = replace(place.new, private_key="")
    with pytest.raises(NotFit, match='key_home = "secret"'):
        rolled_out(place)
    assert place.names == ["shop-1"]


def scripted(**answers: Any) -> Any:
    """A target with scripted answers, besides an empty list and an unknown name."""
    script = {
        "iam.ListServerCertificates": lambda request: {"ServerCertificateMetadataList": [], "IsTruncated": False},
        "iam.GetServerCertificate": refuse("NoSuchEntity", status=404),
    } | {f"iam.{operation}": answer for operation, answer in answers.items()}
    return iam.target(Certificates().settings, Reach(account=ACCOUNT, region=REGION, clients=ScriptedAws(script)))


@pytest.mark.parametrize("code", ["MalformedCertificate", "KeyPairMismatch", "ServiceFailure"])
def test_errors_show_no_key(code: str) -> None:
    """An error of the upload quotes nothing of the key, not even as its cause or context."""
    new = bundle(2)
    target = scripted(UploadServerCertificate=refuse(code, f"cannot use {new.private_key}"))
    with pytest.raises(PerennialError) as raised:
        target.activate(target.look(), new, "", lambda arn: None)
    assert f"iam:UploadServerCertificate of shop/2: {code}" in str(raised.value)
    assert "PRIVATE" not in str(raised.value)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


def test_at_the_same_time() -> None:
    """Another upload at the same moment is waited for."""
    target = scripted(UploadServerCertificate=refuse("ConcurrentModification", status=409))
    new = bundle(2)
    later = target.activate(target.look(), new, "", lambda arn: None)
    assert later == Later(5, f"IAM to show {name(new)}")


def test_hostile_replies() -> None:
    """A certificate that is none, or two, is InvalidReply."""
    listed = {
        "Path": "/perennial/",
        "ServerCertificateName": "shop-1",
        "ServerCertificateId": "ASCA0123456789012",
        "Arn": f"arn:aws:iam::{ACCOUNT}:server-certificate/perennial/shop-1",
    }
    body = bundle(1).certificate_pem
    for text in (" ", "no certificate", body + body):
        answer = {"ServerCertificate": {"ServerCertificateMetadata": listed, "CertificateBody": text}}
        target = scripted(
            ListServerCertificates=lambda request: {"ServerCertificateMetadataList": [listed]},
            GetServerCertificate=lambda request, answer=answer: answer,
        )
        with pytest.raises(InvalidReply, match="iam:GetServerCertificate of shop-1"):
            target.look()


@pytest.mark.parametrize(
    ("field", "text", "fits"),
    [
        ("name_prefix", "shop+=,.@-_1", True),
        ("name_prefix", "a b", False),
        ("name_prefix", "", False),
        ("name_prefix", "schön", False),
        ("path", "/", True),
        ("path", "/perennial/shop/", True),
        ("path", "/perennial", False),
        ("path", "perennial/", False),
        ("path", "/a b/", False),
    ],
)
def test_fields(field: str, text: str, fits: bool) -> None:
    """What each field takes, and what it does not."""
    (declared,) = [each for each in iam.FIELDS if each.name == field]
    assert bool(re.fullmatch(declared.pattern, text)) is fits


def test_declared_actions() -> None:
    """Every call of look, refusals, activate and restore is an action that the kind declares."""
    place = Certificates()
    with watched(Calls()) as calls:
        rolled_out(place).restore()
        refusals(place)
    declared = {each.partition(":")[2] for each in (*iam.LOOKS, *iam.CHANGES)}
    assert set(calls.names) <= declared


# --- retiring ---


def superseded(place: Certificates, version: Bundle, *placed: str, spared: tuple[str, ...] = ()) -> list[str]:
    place.pass_time(60)
    old = Superseded(bundle=version, placed=frozenset(placed), spared=frozenset(spared))
    return iam_copy.retire(place.aws.clients("iam"), old)


def test_retired_copies_are_deleted() -> None:
    """What was uploaded for a version is deleted, whatever prefix it has, and kept or not; what has not its tag, its
    fingerprint or its name stays. Every call is declared."""
    place = Certificates()
    run = rolled_out(place)
    iam_copy.ensure(place.aws.clients("iam"), "shop-elb", "/perennial/", place.new)
    place.aws.uploaded(place.new, f"by-hand{name(place.new)}")
    place.aws.uploaded(stranger(), f"stranger-2-{place.new.fingerprint[:8]}")
    with watched(Calls()) as calls:
        assert superseded(place, place.new, run.placed) == []
    assert sorted(place.names) == sorted(
        ["shop-1", f"by-hand{name(place.new)}", f"stranger-2-{place.new.fingerprint[:8]}"]
    )
    assert calls.writes() == ["DeleteServerCertificate"] * 2
    assert {f"iam:{each}" for each in calls.names} <= set(iam_copy.RETIRES)
    with watched(Calls()) as calls:
        assert superseded(place, place.new, run.placed) == []
    assert calls.writes() == []


def test_a_retired_copy_in_use() -> None:
    """What a load balancer uses stays and IAM's words are told; when it is free it goes."""
    place = Certificates()
    run = rolled_out(place)
    place.aws.classic(run.placed)
    (told,) = superseded(place, place.new, run.placed)
    assert told.startswith(
        f"{run.placed}, a copy of shop/2, is in use: iam:DeleteServerCertificate of {name(place.new)}"
    )
    assert "loadbalancer/web" in told
    place.aws.clients("elb").delete_load_balancer(LoadBalancerName="web")
    assert superseded(place, place.new, run.placed) == []
    assert place.names == ["shop-1"]


def test_copies_that_are_not_retired() -> None:
    """What another version names stays; what was placed and has not the tag stays and is told."""
    place = Certificates()
    run = rolled_out(place)
    assert superseded(place, place.new, run.placed, spared=(run.placed,)) == []
    place.aws.clients("iam").untag_server_certificate(
        ServerCertificateName=name(place.new), TagKeys=["perennial:managed"]
    )
    (told,) = superseded(place, place.new, run.placed)
    assert told.startswith(f"{run.placed} is a copy of shop/2, and its tag perennial:managed is not shop")
    assert place.names == ["shop-1", name(place.new)]


@pytest.mark.parametrize("operation", ["GetServerCertificate", "DeleteServerCertificate"])
def test_a_copy_that_goes_meanwhile(operation: str) -> None:
    """Deleted by somebody else meanwhile counts as deleted; a denial is told and names the action."""
    new, tag = bundle(2), [{"Key": "perennial:managed", "Value": "shop"}]
    listed = {
        "Path": "/perennial/",
        "ServerCertificateName": name(new),
        "ServerCertificateId": "ASCA0123456789012",
        "Arn": f"arn:aws:iam::{ACCOUNT}:server-certificate/perennial/{name(new)}",
        "UploadDate": datetime(2026, 11, 23, tzinfo=UTC),
    }
    held = {"ServerCertificateMetadata": listed, "CertificateBody": new.certificate_pem, "Tags": tag}
    script = {
        "iam.ListServerCertificates": lambda request: {"ServerCertificateMetadataList": [listed]},
        "iam.GetServerCertificate": lambda request: {"ServerCertificate": held},
    }
    old = Superseded(bundle=new)
    gone = ScriptedAws({**script, f"iam.{operation}": refuse("NoSuchEntity", status=404)})
    assert iam_copy.retire(gone("iam"), old) == []
    assert gone.calls[-1] == f"iam.{operation}"
    denied = ScriptedAws({**script, f"iam.{operation}": refuse("AccessDenied", status=403)})
    with pytest.raises(AccessDenied, match=f"iam:{operation} of {name(new)}"):
        iam_copy.retire(denied("iam"), old)
