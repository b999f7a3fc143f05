"""The fake of IAM server certificates refuses what IAM refuses, shown through a boto3 client."""

from datetime import timedelta
from typing import Any

import pytest
from balanced_account import refusal
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from certificates import NOT_AFTER, NOW, build
from local_cloud.fakes.iam_server_certificates import IamServerCertificates
from local_cloud.fakes.loopback import ACCOUNT, client, here

ROOT = build("Example Root", ca=True)
MIDDLE = build("Example Issuing CA", ca=True, issuer=ROOT)
LEAF = build("www.example.com", issuer=MIDDLE)


def fake(**options: Any) -> IamServerCertificates:
    return IamServerCertificates(where=here, clock=lambda: NOW, **options)


@pytest.fixture
def iam() -> Any:
    return client(fake(), validate=False)


def upload(iam: Any, name: str = "www", **changes: Any) -> Any:
    request = {
        "ServerCertificateName": name,
        "CertificateBody": LEAF.pem,
        "PrivateKey": LEAF.key_pem,
        "CertificateChain": MIDDLE.pem + ROOT.pem,
    } | changes
    given = {key: value for key, value in request.items() if value is not None}
    return iam.upload_server_certificate(**given)["ServerCertificateMetadata"]


def test_upload_and_get(iam: Any) -> None:
    """An uploaded certificate is given back with its metadata, and never with its private key."""
    made = upload(iam, Path="/perennial/", Tags=[{"Key": "owner", "Value": "shop"}])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:server-certificate/perennial/www"
    assert made["Expiration"] == NOT_AFTER
    got = iam.get_server_certificate(ServerCertificateName="www")["ServerCertificate"]
    assert got["CertificateBody"] == LEAF.pem.strip()
    assert got["CertificateChain"] == MIDDLE.pem + ROOT.pem
    assert got["Tags"] == [{"Key": "owner", "Value": "shop"}]
    assert "PRIVATE KEY" not in str(got)


def test_other_regions_see_it() -> None:
    """IAM is global: a certificate uploaded through one region is there in every other."""
    served = {"region": "eu-central-1"}
    service = IamServerCertificates(where=lambda: (ACCOUNT, served["region"]), clock=lambda: NOW)
    upload(client(service))
    served["region"] = "us-east-1"
    assert len(client(service).list_server_certificates()["ServerCertificateMetadataList"]) == 1


def encrypted_key() -> str:
    encryption = BestAvailableEncryption(b"secret")
    encrypted: bytes = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return encrypted.decode()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"CertificateBody": "no certificate"}, "MalformedCertificate"),
        ({"CertificateBody": LEAF.pem + MIDDLE.pem}, "MalformedCertificate"),
        ({"PrivateKey": "no key"}, "MalformedCertificate"),
        ({"PrivateKey": encrypted_key()}, "MalformedCertificate"),
        ({"PrivateKey": MIDDLE.key_pem}, "KeyPairMismatch"),
        ({"CertificateChain": ROOT.pem}, "MalformedCertificate"),
        ({"CertificateChain": ROOT.pem + MIDDLE.pem}, "MalformedCertificate"),
        ({"CertificateChain": "no chain"}, "MalformedCertificate"),
        ({"Path": "perennial"}, "ValidationError"),
        ({"Path": "/perennial"}, "ValidationError"),
        ({"ServerCertificateName": "with space"}, "ValidationError"),
        ({"ServerCertificateName": "x" * 129}, "ValidationError"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "InvalidInput"),
    ],
)
def test_upload_refused(iam: Any, changes: dict[str, Any], code: str) -> None:
    """An upload that breaks a rule is refused with the code that IAM uses, and leaves nothing behind."""
    assert refusal(upload, iam, **changes) == code
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []


@pytest.mark.parametrize("days", [-90, 1])
def test_upload_outside_validity(iam: Any, days: int) -> None:
    """A certificate that is expired or not yet valid cannot be uploaded."""
    start = NOW + timedelta(days=days)
    other = build("www.example.com", issuer=MIDDLE, not_before=start, validity=timedelta(days=30))
    assert refusal(upload, iam, CertificateBody=other.pem, PrivateKey=other.key_pem) == "MalformedCertificate"


def test_name_taken(iam: Any) -> None:
    """A name is taken until its certificate is deleted: IAM has no re-upload."""
    upload(iam)
    assert refusal(upload, iam) == "EntityAlreadyExists"
    iam.delete_server_certificate(ServerCertificateName="www")
    upload(iam)


def test_name_taken_in_another_case(iam: Any) -> None:
    """Names are not told apart by case; a certificate may change the case of its own."""
    upload(iam)
    assert refusal(upload, iam, "WWW") == "EntityAlreadyExists"
    iam.update_server_certificate(ServerCertificateName="www", NewServerCertificateName="WWW")
    assert refusal(iam.get_server_certificate, ServerCertificateName="www") == "NoSuchEntity"


def test_seen_after_some_seconds() -> None:
    """What was just uploaded is not found yet, by nobody, although its name is taken."""
    now = [NOW]
    iam = client(IamServerCertificates(where=here, clock=lambda: now[0], seen_after=8))
    upload(iam)
    name = {"ServerCertificateName": "www"}
    assert refusal(iam.get_server_certificate, **name) == "NoSuchEntity"
    assert refusal(iam.delete_server_certificate, **name) == "NoSuchEntity"
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []
    assert refusal(upload, iam) == "EntityAlreadyExists"
    now[0] += timedelta(seconds=8)
    assert iam.get_server_certificate(**name)["ServerCertificate"]["CertificateBody"] == LEAF.pem.strip()
    assert len(iam.list_server_certificates()["ServerCertificateMetadataList"]) == 1


@pytest.mark.parametrize("quota", [20, 2])
def test_quota(quota: int) -> None:
    """An account holds 20 certificates, or as many as its quota was set to."""
    iam = client(fake(quota=quota) if quota != 20 else fake())
    for number in range(quota):
        upload(iam, f"www-{number}")
    assert refusal(upload, iam) == "LimitExceeded"


def test_list(iam: Any) -> None:
    """Listing filters by path, pages by MaxItems and says whether more follow."""
    for number in range(5):
        upload(iam, f"www-{number}", Path="/perennial/" if number else "/other/")
    first = iam.list_server_certificates(PathPrefix="/perennial/", MaxItems=3)
    assert (len(first["ServerCertificateMetadataList"]), first["IsTruncated"]) == (3, True)
    rest = iam.list_server_certificates(PathPrefix="/perennial/", MaxItems=3, Marker=first["Marker"])
    assert [item["ServerCertificateName"] for item in rest["ServerCertificateMetadataList"]] == ["www-4"]
    assert not rest["IsTruncated"]
    assert refusal(iam.list_server_certificates, MaxItems=1001) == "ValidationError"


def test_rename(iam: Any) -> None:
    """A certificate keeps its identifier when its name and path change, and may not take another's name."""
    made = upload(iam)
    upload(iam, "taken")
    change = {"ServerCertificateName": "www"}
    assert refusal(iam.update_server_certificate, **change, NewServerCertificateName="taken") == "EntityAlreadyExists"
    iam.update_server_certificate(**change, NewServerCertificateName="web", NewPath="/new/")
    got = iam.get_server_certificate(ServerCertificateName="web")["ServerCertificate"]["ServerCertificateMetadata"]
    assert got["ServerCertificateId"] == made["ServerCertificateId"]
    assert got["Arn"] == f"arn:aws:iam::{ACCOUNT}:server-certificate/new/web"


def test_delete_in_use() -> None:
    """A certificate that a load balancer uses cannot be deleted, and the message names the load balancer."""
    users = ["arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/web/50dc6c495c0c9188"]
    iam = client(fake(users=lambda account, region, arn: users))
    upload(iam)
    with pytest.raises(ClientError, match=f"currently in use by {users[0]}") as error:
        iam.delete_server_certificate(ServerCertificateName="www")
    assert error.value.response["Error"]["Code"] == "DeleteConflict"
    users.clear()
    iam.delete_server_certificate(ServerCertificateName="www")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("get_server_certificate", {}),
        ("delete_server_certificate", {}),
        ("update_server_certificate", {"NewPath": "/a/"}),
        ("list_server_certificate_tags", {}),
        ("tag_server_certificate", {"Tags": [{"Key": "a", "Value": "b"}]}),
        ("untag_server_certificate", {"TagKeys": ["a"]}),
    ],
)
def test_unknown_name(iam: Any, operation: str, request_: dict[str, Any]) -> None:
    """An operation on a certificate that does not exist answers NoSuchEntity."""
    assert refusal(getattr(iam, operation), ServerCertificateName="none", **request_) == "NoSuchEntity"


def test_tags(iam: Any) -> None:
    """Tags are added, replaced and removed, and a certificate has at most 50."""
    name = {"ServerCertificateName": "www"}
    upload(iam, Tags=[{"Key": "owner", "Value": "shop"}])
    iam.tag_server_certificate(**name, Tags=[{"Key": "owner", "Value": "bank"}, {"Key": "tier", "Value": "1"}])
    iam.untag_server_certificate(**name, TagKeys=["tier", "none"])
    assert iam.list_server_certificate_tags(**name)["Tags"] == [{"Key": "owner", "Value": "bank"}]
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    assert refusal(iam.tag_server_certificate, **name, Tags=many) == "LimitExceeded"


def test_rest_of_iam_is_not_taken() -> None:
    """The fake takes the operations on server certificates only, so that roles stay with ministack."""
    assert refusal(client(fake()).list_roles) == "UnknownOperationException"
