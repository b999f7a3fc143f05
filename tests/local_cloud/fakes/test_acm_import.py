"""What ImportCertificate takes and refuses."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from fake_estate import CLIENT, CODE, NOW, SERVER, Clock, Issued, authority, encrypted, make, private_key, refused

from local_cloud.fakes.acm import Acm
from local_cloud.fakes.loopback import client, here
from local_cloud.fakes.references import References


@pytest.fixture
def fake() -> Acm:
    return Acm(where=here, clock=Clock(), users=References())


@pytest.fixture
def acm(fake: Acm) -> Any:
    return client(fake)


def imported(acm: Any, issued: Issued, **more: Any) -> str:
    """The ARN of an import."""
    return acm.import_certificate(Certificate=issued.pem, PrivateKey=issued.key_pem, **more)["CertificateArn"]


def test_an_import_is_described_and_returned(acm: Any) -> None:
    """An imported certificate comes back with its facts, its PEM and its chain."""
    root = authority("Root")
    leaf = make(["www.example.com", "example.com"], issuer=root)
    arn = imported(acm, leaf, CertificateChain=root.pem, Tags=[{"Key": "owner", "Value": "web"}])
    found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert (found["Type"], found["Status"], found["KeyAlgorithm"]) == ("IMPORTED", "ISSUED", "RSA_2048")
    assert found["SubjectAlternativeNames"] == ["www.example.com", "example.com"]
    assert found["NotAfter"] == leaf.certificate.not_valid_after_utc
    assert found["CertificateKeyPairOrigin"] == "CUSTOMER_PROVIDED"
    assert found["InUseBy"] == []
    assert int(found["Serial"].replace(":", ""), 16) == leaf.certificate.serial_number
    material = acm.get_certificate(CertificateArn=arn)
    assert material["Certificate"].encode() == leaf.pem
    assert material["CertificateChain"].encode() == root.pem
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "owner", "Value": "web"}]


@pytest.mark.parametrize("kind", ["RSA_1024", "RSA_3072", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"])
def test_every_key_kind_of_acm_is_taken(acm: Any, kind: str) -> None:
    """Each key kind that ACM supports imports under ACM's name of it."""
    arn = imported(acm, make(kind=kind))
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["KeyAlgorithm"] == kind


GOOD = make()
ROOT, OTHER_ROOT = authority("Root"), authority("Other root", number=8)
MIDDLE = authority("Middle", issuer=ROOT, number=9)
LEAF = make(issuer=MIDDLE)
NO_KEY = b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"

REFUSED = {
    "two certificates": (GOOD.pem + ROOT.pem, GOOD.key_pem, None, "more than one certificate"),
    "text before the PEM": (b"subject=x\n" + GOOD.pem, GOOD.key_pem, None, "PEM"),
    "not PEM": (b"garbage", GOOD.key_pem, None, "PEM"),
    "DER": (GOOD.certificate.public_bytes(Encoding.DER), GOOD.key_pem, None, "PEM"),
    "key of another certificate": (GOOD.pem, make(number=1).key_pem, None, "does not match"),
    "key of another kind": (GOOD.pem, make(kind="EC_prime256v1").key_pem, None, "does not match"),
    "key that is encrypted": (GOOD.pem, encrypted(private_key()), None, "encrypted"),
    "key that is none": (GOOD.pem, NO_KEY, None, "private key"),
    "expired": (make(days=10).pem, GOOD.key_pem, None, "expired"),
    "not valid yet": (make(start=NOW + timedelta(days=1)).pem, GOOD.key_pem, None, "not valid yet"),
    "chain of another CA": (LEAF.pem, LEAF.key_pem, OTHER_ROOT.pem, "certificate chain"),
    "chain in the wrong order": (LEAF.pem, LEAF.key_pem, ROOT.pem + MIDDLE.pem, "certificate chain"),
    "chain with the leaf": (LEAF.pem, LEAF.key_pem, LEAF.pem + MIDDLE.pem, "certificate chain"),
    "chain with a gap": (LEAF.pem, LEAF.key_pem, ROOT.pem, "certificate chain"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_acm_refuses(acm: Any, case: str) -> None:
    """Material that breaks a rule of ACM is refused with a ValidationException."""
    certificate, key, chain, text = REFUSED[case]
    more = {"CertificateChain": chain} if chain else {}
    with refused("ValidationException", text):
        acm.import_certificate(Certificate=certificate, PrivateKey=key, **more)


def test_a_chain_is_taken_link_by_link(acm: Any) -> None:
    """A chain in which each certificate certifies the one before it is taken."""
    assert imported(acm, LEAF, CertificateChain=MIDDLE.pem + ROOT.pem)


def test_a_key_beyond_5120_bytes_is_refused(acm: Any) -> None:
    """The length limit of the service model is enforced."""
    with refused("ValidationException", "5120"):
        acm.import_certificate(Certificate=GOOD.pem, PrivateKey=GOOD.key_pem + b"\n" * 5120)


REPLACED = {
    "another key kind": ({}, {"kind": "EC_prime256v1"}, "key type and size"),
    "another key size": ({}, {"kind": "RSA_3072"}, "key type and size"),
    "fewer key usages": ({}, {"usages": ["digital_signature"]}, "KEY_ENCIPHERMENT"),
    "no key usages": ({}, {"usages": None}, "Key Usage"),
    "a key usage extension that was not there": ({"usages": None}, {}, "cannot be added"),
    "an EKU extension that was not there": ({"extended": None}, {}, "cannot be added"),
    "fewer EKUs": ({"extended": [SERVER, CODE]}, {"extended": [SERVER]}, "Extended Key Usage"),
    "no names": ({}, {"names": [], "common_name": None, "issuer": ROOT}, "domain names"),
}


@pytest.mark.parametrize("case", REPLACED)
def test_what_a_reimport_may_not_change(acm: Any, case: str) -> None:
    """A re-import that changes the key kind, drops usages or drops all names is refused and changes nothing."""
    before, after, text = REPLACED[case]
    old = make(**before)
    arn = imported(acm, old)
    with refused("ValidationException", text):
        imported(acm, make(**after), CertificateArn=arn)
    assert acm.get_certificate(CertificateArn=arn)["Certificate"].encode() == old.pem


CHANGED = {
    "names": ({}, {"names": ["new.example.com"]}),
    "clientAuth goes": ({}, {"extended": [SERVER]}),
    "an EKU is added": ({}, {"extended": [SERVER, CLIENT, CODE]}),
    "keyEncipherment goes from an EC certificate": (
        {"kind": "EC_prime256v1"},
        {"kind": "EC_prime256v1", "usages": ["digital_signature"]},
    ),
    "another key of the same kind": ({}, {"number": 1}),
}


@pytest.mark.parametrize("case", CHANGED)
def test_what_a_reimport_may_change(acm: Any, fake: Acm, case: str) -> None:
    """A re-import within the rules keeps the ARN and the tags, serves the new material and moves ImportedAt."""
    before, after = CHANGED[case]
    arn = imported(acm, make(**before), Tags=[{"Key": "a", "Value": "b"}])
    fake.now.pass_time(hours=1)
    new = make(**after)
    assert imported(acm, new, CertificateArn=arn) == arn
    found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert acm.get_certificate(CertificateArn=arn)["Certificate"].encode() == new.pem
    assert found["ImportedAt"] == NOW + timedelta(hours=1)
    assert found["CreatedAt"] == NOW
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_tags_on_a_reimport_are_refused(acm: Any) -> None:
    """Tags and a CertificateArn together are refused, as ACM does."""
    arn = imported(acm, GOOD)
    with refused("ValidationException", "Tagging is not permitted on re-import"):
        imported(acm, GOOD, CertificateArn=arn, Tags=[{"Key": "a", "Value": "b"}])


def test_a_reimport_needs_an_existing_import(acm: Any) -> None:
    """An unknown ARN, an ARN of another kind of resource and a requested certificate cannot be imported over."""
    prefix = "arn:aws:acm:eu-central-1:111122223333:"
    with refused("ResourceNotFoundException"):
        imported(acm, GOOD, CertificateArn=f"{prefix}certificate/none")
    with refused("InvalidArnException"):
        imported(acm, GOOD, CertificateArn=f"{prefix}endpoint/none")
    requested = acm.request_certificate(DomainName="www.example.com", ValidationMethod="DNS")["CertificateArn"]
    with refused("ValidationException", "not imported"):
        imported(acm, GOOD, CertificateArn=requested)


def test_the_quota_of_certificates(acm: Any, fake: Acm) -> None:
    """One certificate more than the quota is refused; after a deletion there is room again."""
    fake.quotas.certificates = 2
    first = imported(acm, GOOD)
    imported(acm, GOOD)
    with refused("LimitExceededException"):
        imported(acm, GOOD)
    acm.delete_certificate(CertificateArn=first)
    assert imported(acm, GOOD)


def test_the_quota_of_imports_in_a_year(acm: Any, fake: Acm) -> None:
    """Deleting gives no new imports; a year does."""
    fake.quotas.imports_per_year = 1
    acm.delete_certificate(CertificateArn=imported(acm, GOOD))
    with refused("LimitExceededException", "yearly"):
        imported(acm, GOOD)
    fake.now.pass_time(days=366)
    assert imported(acm, make(start=NOW + timedelta(days=365)))
