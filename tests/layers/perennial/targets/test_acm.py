"""An imported certificate in ACM, replaced under its ARN: what ACM would refuse is said before, for both ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from bundles import BEGINS, ENDS, authorities, bundle
from certificates import build
from local_cloud.fakes.acm import Acm as Fake
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from local_cloud.fakes.references import References
from perennial.certificate import fingerprint, parse, pem
from perennial.clients import RATES
from perennial.errors import (
    ChangedMeanwhile,
    ConcurrentChange,
    InvalidInput,
    InvalidReply,
    NotFit,
    NotFound,
    ServiceRefused,
)
from perennial.targets import kind
from perennial.targets.acm import AcmCertificate
from perennial.targets.interface import Bundle, Found, Later, Reach, TargetSettings
from scripted_aws import ScriptedAws, refuse, turns
from target_conformance import Calls, Served, Stand, TargetConformance, public, watched

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OTHER = bundle(9)  # somebody else's
LOAD_BALANCER = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/shop/0123456789abcdef"


def unused(_: str) -> None:
    raise AssertionError("this kind keeps nothing")


class AcmStand(Stand):
    """One ARN of a fake ACM with a clock."""

    kind = "acm"
    way_back = True

    def __init__(self, earlier: Bundle | None = None, new: Bundle | None = None) -> None:
        self.earlier, self.new = earlier or bundle(1), new or bundle(2)
        self.now = NOW
        self.fake = Fake(where=here, clock=lambda: self.now, users=References())
        self.acm = client(self.fake)
        self.arn = self.put(self.earlier)
        self.irreversible = "no"

    def put(self, version: Bundle, **more: Any) -> str:
        """Import a version as anybody does it, also without a chain."""
        if version.chain:
            more["CertificateChain"] = version.chain_pem
        arn: str = self.acm.import_certificate(
            Certificate=version.certificate_pem, PrivateKey=version.private_key, **more
        )["CertificateArn"]
        return arn

    @property
    def settings(self) -> TargetSettings:
        fields = {"certificate": self.arn, "irreversible": self.irreversible}
        return TargetSettings(kind="acm", name="imported", fields=fields)

    @property
    def reach(self) -> Reach:
        return Reach(account=ACCOUNT, region=REGION, clients=lambda service, region: client(self.fake, region))

    @property
    def item(self) -> Any:
        """What the fake has under the ARN."""
        return self.fake.state(ACCOUNT, REGION).certificates[self.arn]

    def served(self) -> Served | None:
        if self.arn not in self.fake.state(ACCOUNT, REGION).certificates:
            return None
        item = self.item
        return Served(fingerprint(item.der), public(item.private_key.decode()), tuple(map(fingerprint, item.chain)))

    def interfere(self) -> None:
        self.put(OTHER, CertificateArn=self.arn)

    def interfered(self) -> bool:
        return fingerprint(self.item.der) == OTHER.fingerprint

    def remove(self) -> None:
        self.acm.delete_certificate(CertificateArn=self.arn)

    def attach(self, *users: str) -> None:
        self.fake.admin_use({"arn": self.arn, "in_use_by": list(users)})

    def refusals(self, earlier: Bundle | None) -> list[str]:
        target = self.target()
        return target.refusals(target.look(), self.new, earlier)


class TestAcm(TargetConformance):
    """What holds for every kind of target."""

    @pytest.fixture
    def stand(self) -> Callable[[], AcmStand]:
        return AcmStand


def reimported(place: AcmStand) -> list[str]:
    """The refusals, and what ACM says when the version is imported under the ARN nonetheless."""
    said = place.refusals(place.earlier)
    found = place.target().look()
    with pytest.raises(ServiceRefused, match="acm:ImportCertificate of shop/2 as arn:aws:acm:"):
        place.target().activate(found, place.new, "", unused)
    assert place.served() == place.expected(place.earlier)
    return said


def test_the_arn_and_its_tags_stay() -> None:
    """What refers to the ARN goes on doing so: it is imported under the same one, and its tags stay."""
    place = AcmStand()
    place.acm.add_tags_to_certificate(CertificateArn=place.arn, Tags=[{"Key": "team", "Value": "web"}])
    place.attach(LOAD_BALANCER)
    found = place.target().look()
    assert place.target().activate(found, place.new, "", unused) is None
    assert list(place.fake.state(ACCOUNT, REGION).certificates) == [place.arn]
    assert place.item.tags == {"team": "web"}
    assert place.fake.users_of(place.fake.state(ACCOUNT, REGION), place.item) == [LOAD_BALANCER]


def test_activation_reads_imports_and_reads_again() -> None:
    """ACM imports on no condition: what is there is read right before, and looked at right after."""
    place = AcmStand()
    found = place.target().look()
    with watched(Calls()) as calls:
        place.target().activate(found, place.new, "", unused)
    assert calls.names == ["GetCertificate", "ImportCertificate", "GetCertificate"]


def test_the_client_is_of_the_region_of_the_arn() -> None:
    """A certificate for CloudFront is in us-east-1, wherever the target is declared."""
    asked: list[tuple[str, str]] = []

    def clients(service: str, region: str) -> Any:
        asked.append((service, region))
        return object()

    arn = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/0123"
    settings = TargetSettings(kind="acm", name="edge", fields={"certificate": arn})
    target = kind("acm").target(settings, Reach(account=ACCOUNT, region=REGION, clients=clients))
    assert asked == [("acm", "us-east-1")]
    assert target.shares == ""


def test_an_arn_of_another_account() -> None:
    """An ARN that is not of the target's account is refused in words before AWS is asked."""
    place = AcmStand()
    target = AcmCertificate(place.arn, "444455556666", False, place.acm)
    with watched(Calls()) as calls, pytest.raises(InvalidInput, match="not in the target's account 444455556666"):
        target.look()
    assert calls.names == []


def test_what_looking_keeps() -> None:
    """The state tells what a way back needs, what is attached, and nothing secret."""
    place = AcmStand()
    users = [f"{LOAD_BALANCER[:-2]}{number:02}" for number in range(12)]
    place.attach(*users)
    found = place.target().look()
    state = json.loads(found.state)
    assert (state["fingerprint"], state["type"], state["key"]) == (place.earlier.fingerprint, "IMPORTED", "EC-256")
    assert (state["users"], state["attached"]) == (users[:10], 12)
    assert (found.host, found.claimed) == ("", ())
    assert "PRIVATE KEY" not in found.state


# --- what ACM refuses, said before ---


@pytest.mark.parametrize(
    ("earlier", "new", "words"),
    [
        ({"key": "RSA-2048"}, {}, "from RSA-2048 to EC-256"),
        ({}, {"key": "EC-384"}, "from EC-256 to EC-384"),
        (
            {"ku": ("digital_signature", "content_commitment")},
            {},
            "its key usage lacks content_commitment",
        ),
        (
            {"key": "RSA-2048", "ku": ("digital_signature", "key_encipherment")},
            {"key": "RSA-2048"},
            "its key usage lacks key_encipherment",
        ),
        ({}, {"ku": None}, "its key usage lacks digital_signature"),
        ({"ku": None}, {}, "its key usage has digital_signature where there was no such extension"),
        ({"eku": None}, {}, "its extended key usage has serverAuth where there was no such extension"),
        (
            {"eku": ("serverAuth", "clientAuth", "codeSigning", "1.3.6.1.5.5.7.3.17")},
            {},
            "its extended key usage lacks 1.3.6.1.5.5.7.3.17, codeSigning",
        ),
        ({}, {"names": ("192.0.2.1",), "subject": "O=Example"}, "no domain name"),
    ],
)
def test_what_a_reimport_may_not_change(earlier: dict[str, Any], new: dict[str, Any], words: str) -> None:
    """What ACM would refuse is refused before, and ACM does refuse it: nothing is changed."""
    place = AcmStand(bundle(1, **earlier), _version(2, **new))
    said = reimported(place)
    assert words in said[0], said
    assert place.arn in said[0]


def _version(number: int, **more: Any) -> Bundle:
    """A version; with a `subject`, one that has no common name."""
    if "subject" not in more:
        return bundle(number, **more)
    made = build(None, issuer=authorities()[1], not_before=BEGINS, not_after=ENDS, **more)
    return replace(bundle(number), certificate=made.certificate, private_key=made.key_pem)


@pytest.mark.parametrize(
    ("earlier", "new"),
    [
        ({"names": ("old.example.com",)}, {}),
        ({"eku": ("serverAuth", "clientAuth")}, {}),
        ({"ku": ("digital_signature", "key_encipherment")}, {}),
        ({"key": "RSA-2048"}, {"key": "RSA-2048"}),
    ],
)
def test_what_a_reimport_may_change(earlier: dict[str, Any], new: dict[str, Any]) -> None:
    """What ACM allows is not refused, and both directions do work: names, clientAuth, keyEncipherment of an EC key."""
    place = AcmStand(bundle(1, **earlier), bundle(2, **new))
    target = place.target()
    found = target.look()
    assert target.refusals(found, place.new, place.earlier) == []
    assert target.activate(found, place.new, "", unused) is None
    assert place.served() == place.expected(place.new)
    assert target.restore(found, place.new, "", place.earlier) is None
    assert place.served() == place.expected(place.earlier)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"ku": ("digital_signature", "key_agreement")}, "its key usage lacks key_agreement"),
        ({"eku": ("serverAuth", "emailProtection")}, "its extended key usage lacks emailProtection"),
    ],
)
def test_a_usage_that_is_added_bars_the_way_back(new: dict[str, Any], words: str) -> None:
    """ACM compares with what is there: the earlier certificate without an added usage would not come back. That is said
    before, and is true."""
    place = AcmStand(new=bundle(2, **new))
    (refusal,) = place.refusals(place.earlier)
    assert words in refusal
    assert 'irreversible = "yes"' in refusal
    found = place.target().look()
    place.target().activate(found, place.new, "", unused)
    with pytest.raises(ServiceRefused, match="as arn:aws:acm"):
        place.target().restore(found, place.new, "", place.earlier)
    assert place.served() == place.expected(place.new)
    place = AcmStand(new=place.new)
    place.irreversible = "yes"
    assert place.refusals(place.earlier) == []


def test_a_key_change_names_what_is_attached() -> None:
    """Where the key type changes, it says what is attached, and which targets attach another certificate there."""
    place = AcmStand(bundle(1, key="RSA-2048"))
    place.attach(*(f"{LOAD_BALANCER}{number:02}" for number in range(13)))
    (refusal,) = place.refusals(place.earlier)
    assert f"{LOAD_BALANCER}00, " in refusal
    assert refusal.endswith(f"{LOAD_BALANCER}09, 3 more")
    assert "elbv2, elb, apigateway or cloudfront" in refusal


def test_a_key_change_where_nothing_is_attached() -> None:
    """An ARN that nothing uses says so."""
    place = AcmStand(bundle(1, key="EC-384"))
    (refusal,) = place.refusals(place.earlier)
    assert refusal.endswith(": nothing")


def test_all_refusals_at_once() -> None:
    """Key type, usages, no key and no way back: a sentence each."""
    place = AcmStand(
        bundle(1, key="RSA-2048", ku=("digital_signature", "key_encipherment"), eku=("serverAuth", "codeSigning"))
    )
    place.new = replace(place.new, private_key="")
    said = place.refusals(None)
    parts = ("private key", "RSA-2048 to EC-256", "codeSigning", "could not be brought back")
    assert all(any(part in each for each in said) for part in parts), said
    assert len(said) == 4


NO_MATERIAL: dict[str, Callable[[AcmStand], Bundle | None]] = {
    "no version": lambda place: None,
    "another version": lambda place: bundle(7),
    "a version without its key": lambda place: replace(place.earlier, private_key=""),
}


@pytest.mark.parametrize("what", NO_MATERIAL)
def test_no_way_back(what: str) -> None:
    """Without the material of what is there, no replacement: unless the target says that it is irreversible."""
    place = AcmStand()
    earlier = NO_MATERIAL[what](place)
    (refusal,) = place.refusals(earlier)
    assert "Perennial does not hold its key" in refusal
    assert 'irreversible = "yes"' in refusal
    place.irreversible = "yes"
    assert place.refusals(earlier) == []


@pytest.mark.parametrize("what", NO_MATERIAL)
def test_what_cannot_be_brought_back_stays(what: str) -> None:
    """Restoring without the material of what was found: NotFit, with the next step, and the new version stays."""
    place = AcmStand()
    earlier = NO_MATERIAL[what](place)
    found = place.target().look()
    place.target().activate(found, place.new, "", unused)
    with watched(Calls()) as calls, pytest.raises(NotFit, match=r"shop/2 stays; issue and deploy another version"):
        place.target().restore(found, place.new, "", earlier)
    assert calls.writes() == []
    assert place.served() == place.expected(place.new)


def test_nothing_to_bring_back_without_the_material() -> None:
    """Where what was found is still there, no material is needed to leave it."""
    place = AcmStand()
    found = place.target().look()
    assert place.target().restore(found, place.new, "", None) is None


def test_an_expired_certificate_is_no_loss() -> None:
    """What has expired may be replaced without a way back, as ACM would not take it again; restoring says so."""
    place = AcmStand(bundle(1, not_after=NOW + timedelta(days=1)))
    place.now = NOW + timedelta(days=2)
    assert place.refusals(None) == []
    found = place.target().look()
    place.target().activate(found, place.new, "", unused)
    with watched(Calls()) as calls, pytest.raises(NotFit, match="it had expired, and ACM takes it no more"):
        place.target().restore(found, place.new, "", place.earlier)
    assert calls.writes() == []


def test_expired_after_it_was_found() -> None:
    """What expires while the new version is there is refused by ACM, in ACM's words; the new version stays."""
    place = AcmStand(bundle(1, not_after=NOW + timedelta(days=1)))
    found = place.target().look()
    place.target().activate(found, place.new, "", unused)
    place.now = NOW + timedelta(days=2)
    with pytest.raises(ServiceRefused, match="has expired"):
        place.target().restore(found, place.new, "", place.earlier)
    assert place.served() == place.expected(place.new)


def test_the_version_is_there_already() -> None:
    """Nothing is refused and nothing written where the ARN has the version, whatever its type and key."""
    place = AcmStand()
    place.put(place.new, CertificateArn=place.arn)
    target = place.target()
    found = target.look()
    keyless = replace(place.new, private_key="")
    assert target.refusals(found, keyless, None) == []
    with watched(Calls()) as calls:
        assert target.activate(found, keyless, "", unused) is None
        assert target.restore(found, keyless, "", None) is None
    assert calls.writes() == []


def test_no_key_to_import() -> None:
    """Without the version's private key activate writes nothing, also where nobody asked for refusals."""
    place = AcmStand()
    keyless = replace(place.new, private_key="")
    with watched(Calls()) as calls, pytest.raises(NotFit, match="shop/2: ACM needs its private key"):
        place.target().activate(place.target().look(), keyless, "", unused)
    assert calls.writes() == []


@pytest.mark.parametrize("validated", [True, False])
def test_a_certificate_that_acm_issued(validated: bool) -> None:
    """What ACM issued, or is about to, is not replaced; it says which targets attach another one."""
    place = AcmStand()
    place.arn = place.acm.request_certificate(DomainName="shop.example.com", ValidationMethod="DNS")["CertificateArn"]
    if validated:
        place.fake.admin_validate({"arn": place.arn})
    place.attach(LOAD_BALANCER)
    target = place.target()
    found = target.look()
    assert bool(found.fingerprint) is validated
    (refusal,) = target.refusals(found, place.new, place.earlier)
    assert "of the type AMAZON_ISSUED, and ACM replaces only what was imported" in refusal
    assert LOAD_BALANCER in refusal


def test_what_was_never_there_is_not_restored() -> None:
    """A request that nothing was issued for has nothing to bring back, and is gone for whoever would restore it."""
    place = AcmStand()
    place.arn = place.acm.request_certificate(DomainName="shop.example.com", ValidationMethod="DNS")["CertificateArn"]
    found = place.target().look()
    with watched(Calls()) as calls, pytest.raises(NotFound, match="there is no certificate any more"):
        place.target().restore(found, place.new, "", None)
    assert calls.writes() == []


def test_another_import_is_named() -> None:
    """ChangedMeanwhile names the certificate that is there now."""
    place = AcmStand()
    found = place.target().look()
    place.interfere()
    with pytest.raises(ChangedMeanwhile, match=OTHER.fingerprint):
        place.target().activate(found, place.new, "", unused)


def test_imports_are_paced() -> None:
    """AWS takes one import a second for an account and region; `Clients` keeps below it."""
    assert RATES["acm", "ImportCertificate"] == 1


# --- replies that the fake does not give ---

ARN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0123"


def scripted(script: Mapping[str, Any]) -> tuple[AcmCertificate, ScriptedAws]:
    aws = ScriptedAws({f"acm.{name}": answer for name, answer in script.items()}, region=REGION)
    return AcmCertificate(ARN, ACCOUNT, False, aws("acm")), aws


def got(version: Bundle) -> Mapping[str, Any]:
    return {"Certificate": version.certificate_pem, "CertificateChain": version.chain_pem}


def found_of(version: Bundle) -> Found:
    described = {"Certificate": {"Type": "IMPORTED", "KeyAlgorithm": "EC_prime256v1"}}
    target, _ = scripted({"DescribeCertificate": lambda _: described, "GetCertificate": lambda _: got(version)})
    return target.look()


def test_acm_shows_the_old_one_for_a_while() -> None:
    """Where ACM still shows what was there after it took the import, the step is to be called later; the next call
    imports once more, which changes nothing, and ends."""
    earlier, new = bundle(1), bundle(2)
    shown = turns(got(earlier), got(earlier), got(earlier), got(new))
    target, aws = scripted({"GetCertificate": shown, "ImportCertificate": lambda _: {"CertificateArn": ARN}})
    found = found_of(earlier)
    later = target.activate(found, new, "", unused)
    assert isinstance(later, Later)
    assert later.seconds > 0
    assert target.activate(found, new, "", unused) is None
    requests = aws.made("acm.ImportCertificate")
    assert [set(each) for each in requests] == [{"Certificate", "CertificateChain", "PrivateKey", "CertificateArn"}] * 2


def test_deleted_between_two_reads() -> None:
    """Described, and gone when its certificate is read: NotFound, and what to declare."""
    target, _ = scripted(
        {
            "DescribeCertificate": lambda _: {"Certificate": {"Type": "IMPORTED"}},
            "GetCertificate": refuse("ResourceNotFoundException"),
        }
    )
    with pytest.raises(NotFound, match="declare the target with the ARN of one that is there"):
        target.look()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Certificate": "nothing of the kind"},
        {"Certificate": "-----BEGIN CERTIFICATE-----\nAAAA"},
        {"Certificate": OTHER.certificate_pem * 100},
        {"Certificate": OTHER.private_key},
    ],
)
def test_a_hostile_certificate(answer: Mapping[str, Any]) -> None:
    """What is not one certificate in PEM is InvalidReply, and nothing is written."""
    target, aws = scripted(
        {
            "DescribeCertificate": lambda _: {"Certificate": {"Type": "IMPORTED"}},
            "GetCertificate": lambda _: answer,
        }
    )
    for step in (target.look, partial(target.activate, found_of(bundle(1)), bundle(2), "", unused)):
        with pytest.raises(InvalidReply, match="acm:GetCertificate of arn:aws:acm"):
            step()
    assert aws.count("acm.ImportCertificate") == 0


def test_a_reply_that_says_nothing() -> None:
    """A description without a type is not taken for an import."""
    target, _ = scripted({"DescribeCertificate": lambda _: {}, "GetCertificate": lambda _: got(bundle(1))})
    (refusal,) = target.refusals(target.look(), bundle(2), bundle(1))
    assert "of the type unknown" in refusal


def test_a_certificate_whose_extensions_cannot_be_read() -> None:
    """Of usages that cannot be read nothing is claimed: ACM judges them when it is asked."""
    odd = build("shop.example.com", ku=("digital_signature", "content_commitment"))
    cut = odd.der.replace(bytes.fromhex("030206c0"), bytes.fromhex("030209c0"))  # nine unused bits in a byte
    earlier = replace(bundle(1), certificate=parse(cut), private_key=odd.key_pem)
    assert earlier.certificate.dns_names is None
    target, _ = scripted(
        {
            "DescribeCertificate": lambda _: {"Certificate": {"Type": "IMPORTED", "KeyAlgorithm": "EC_prime256v1"}},
            "GetCertificate": lambda _: got(earlier),
        }
    )
    assert target.refusals(target.look(), bundle(2), earlier) == []


@pytest.mark.parametrize(("told", "words"), [({"KeyAlgorithm": "RSA_2048"}, "RSA-2048"), ({}, "unknown")])
def test_a_certificate_that_cannot_be_read(told: Mapping[str, str], words: str) -> None:
    """Of a certificate that no parser takes, the key is the one that ACM tells."""
    broken = pem(bundle(1).certificate.der[:200])
    target, _ = scripted(
        {
            "DescribeCertificate": lambda _: {"Certificate": {"Type": "IMPORTED", **told}},
            "GetCertificate": lambda _: {"Certificate": broken},
        }
    )
    found = target.look()
    assert found.fingerprint
    changed, _ = target.refusals(found, bundle(2), None)
    assert f"from {words} to EC-256" in changed


def test_a_stale_description() -> None:
    """A description that says EXPIRED of another certificate than the one that is read does not open the way."""
    described = {"Type": "IMPORTED", "Status": "EXPIRED", "KeyAlgorithm": "EC_prime256v1", "NotAfter": NOW}
    target, _ = scripted(
        {"DescribeCertificate": lambda _: {"Certificate": described}, "GetCertificate": lambda _: got(bundle(1))}
    )
    (refusal,) = target.refusals(target.look(), bundle(2), None)
    assert "could not be brought back" in refusal


def test_acm_is_still_at_an_import() -> None:
    """ConflictException is worth another try."""
    earlier = bundle(1)
    target, _ = scripted({"GetCertificate": lambda _: got(earlier), "ImportCertificate": refuse("ConflictException")})
    with pytest.raises(ConcurrentChange, match="acm:ImportCertificate of shop/2 as arn:aws:acm"):
        target.activate(found_of(earlier), bundle(2), "", unused)
