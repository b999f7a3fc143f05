"""The life of private CAs: configuration, installation, states, revocation, reports, sharing, tags, use by ACM."""

import contextvars
import csv
import io
import json
import queue
import threading
from datetime import timedelta
from typing import Any

import pytest
from fake_estate import Clock, authority, refused
from private_ca import OTHER_ACCOUNT, TEMPLATE, Bucket, activated, created, csr, issued, pem, status

from local_cloud.fakes import pca_audit
from local_cloud.fakes.acm import Acm
from local_cloud.fakes.acm_pca import AcmPca
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here
from local_cloud.fakes.references import References


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def fake(bucket: Bucket) -> AcmPca:
    return AcmPca(where=here, clock=Clock(), put_object=bucket, background=lambda work: work())


@pytest.fixture
def pca(fake: AcmPca) -> Any:
    return client(fake)


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "an algorithm of another family": {"algorithm": "SHA256WITHRSA"},
    "a key kind that is not offered": {"key": "SM2", "algorithm": "SM3WITHSM2"},
    "a CRL without a bucket": {
        "RevocationConfiguration": {"CrlConfiguration": {"Enabled": True, "ExpirationInDays": 7}}
    },
    "a disabled CRL with settings": {
        "RevocationConfiguration": {"CrlConfiguration": {"Enabled": False, "ExpirationInDays": 7}}
    },
    "a name with a protocol": {
        "RevocationConfiguration": {
            "OcspConfiguration": {"Enabled": True, "OcspCustomCname": "http://ocsp.example.com"}
        }
    },
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_configurations_that_are_refused(pca: Any, case: str) -> None:
    """A CA configuration that does not fit together is refused."""
    with refused("InvalidArgsException"):
        created(pca, **CONFIGURATIONS[case])


def test_a_token_creates_one_ca(pca: Any, fake: AcmPca) -> None:
    """The same token gives the same CA for five minutes."""
    arn = created(pca, IdempotencyToken="one")
    assert created(pca, IdempotencyToken="one") == arn
    fake.now.pass_time(minutes=6)
    assert created(pca, IdempotencyToken="one") != arn


def test_what_cannot_be_installed(pca: Any, fake: AcmPca) -> None:
    """Only a CA certificate for the CA's own key and name, with a chain that verifies, is installed."""
    root = activated(pca, fake)
    arn = created(pca, "SUBORDINATE")
    request = pca.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"].encode()
    validity = {"Type": "DAYS", "Value": 365}
    good = issued(pca, fake, root, request, "SubordinateCACertificate_PathLen0", Validity=validity)
    leaf = issued(pca, fake, root, request, Validity=validity)
    other = authority("SUBORDINATE CA")
    chain = pem(*good["chain"])
    cases = [
        (other.pem, chain, "CertificateMismatchException"),
        (pem(leaf["leaf"]), chain, "MalformedCertificateException"),
        (pem(good["leaf"]), other.pem, "MalformedCertificateException"),
        (pem(good["leaf"]), pem(good["leaf"]) + chain, "MalformedCertificateException"),
        (pem(good["leaf"]), None, "InvalidRequestException"),
        (b"garbage", chain, "MalformedCertificateException"),
    ]
    for certificate, links, code in cases:
        more = {"CertificateChain": links} if links else {}
        with refused(code):
            pca.import_certificate_authority_certificate(CertificateAuthorityArn=arn, Certificate=certificate, **more)
    assert status(pca, arn) == "PENDING_CERTIFICATE"


def test_a_root_takes_no_chain(pca: Any, fake: AcmPca) -> None:
    """A root CA is installed without a chain."""
    arn = activated(pca, fake)
    own = pca.get_certificate_authority_certificate(CertificateAuthorityArn=arn)["Certificate"].encode()
    with refused("InvalidRequestException", "chain"):
        pca.import_certificate_authority_certificate(CertificateAuthorityArn=arn, Certificate=own, CertificateChain=own)


def test_states(pca: Any, fake: AcmPca) -> None:
    """A CA issues when active only, is deleted only when it is not, and comes back as it was."""
    arn = created(pca)
    with refused("InvalidStateException"):
        issued(pca, fake, arn, csr())
    with refused("InvalidStateException"):
        pca.get_certificate_authority_certificate(CertificateAuthorityArn=arn)
    arn = activated(pca, fake)
    with refused("InvalidStateException"):
        pca.delete_certificate_authority(CertificateAuthorityArn=arn)
    pca.update_certificate_authority(CertificateAuthorityArn=arn, Status="DISABLED")
    with refused("InvalidStateException"):
        issued(pca, fake, arn, csr())
    pca.delete_certificate_authority(CertificateAuthorityArn=arn, PermanentDeletionTimeInDays=7)
    assert status(pca, arn) == "DELETED"
    pca.restore_certificate_authority(CertificateAuthorityArn=arn)
    assert status(pca, arn) == "DISABLED"
    pca.delete_certificate_authority(CertificateAuthorityArn=arn, PermanentDeletionTimeInDays=7)
    fake.now.pass_time(days=8)
    with refused("ResourceNotFoundException"):
        pca.restore_certificate_authority(CertificateAuthorityArn=arn)
    with refused("ValidationException"):
        pca.delete_certificate_authority(CertificateAuthorityArn=arn, PermanentDeletionTimeInDays=31)


def test_a_ca_expires(pca: Any, fake: AcmPca) -> None:
    """A CA whose certificate has ended is EXPIRED and issues nothing."""
    arn = activated(pca, fake, days=10)
    fake.now.pass_time(days=11)
    assert status(pca, arn) == "EXPIRED"
    with refused("InvalidStateException"):
        issued(pca, fake, arn, csr())


def test_revocation(pca: Any, fake: AcmPca) -> None:
    """A certificate is revoked once, by serial number with or without colons; a root's own is not."""
    arn = activated(pca, fake)
    number = issued(pca, fake, arn, csr())["leaf"].serial_number
    text = f"{number:032x}"
    colons = ":".join(text[index : index + 2] for index in range(0, 32, 2))
    pca.revoke_certificate(CertificateAuthorityArn=arn, CertificateSerial=colons, RevocationReason="KEY_COMPROMISE")
    with refused("RequestAlreadyProcessedException"):
        pca.revoke_certificate(CertificateAuthorityArn=arn, CertificateSerial=text, RevocationReason="SUPERSEDED")
    with refused("ResourceNotFoundException"):
        pca.revoke_certificate(CertificateAuthorityArn=arn, CertificateSerial="01", RevocationReason="SUPERSEDED")
    with refused("InvalidRequestException"):
        pca.revoke_certificate(CertificateAuthorityArn=arn, CertificateSerial="xyz", RevocationReason="SUPERSEDED")
    own = pca.describe_certificate_authority(CertificateAuthorityArn=arn)["CertificateAuthority"]["Serial"]
    with refused("InvalidRequestException", "root"):
        pca.revoke_certificate(CertificateAuthorityArn=arn, CertificateSerial=own, RevocationReason="SUPERSEDED")
    with refused("ValidationException"):
        pca.revoke_certificate(CertificateAuthorityArn=arn, CertificateSerial=own, RevocationReason="BORED")


def test_audit_reports(pca: Any, fake: AcmPca, bucket: Bucket) -> None:
    """The report lists what was issued and revoked, as JSON or CSV, once in 30 minutes."""
    arn = activated(pca, fake)
    made = issued(pca, fake, arn, csr())
    serial = f"{made['leaf'].serial_number:032x}"
    pca.revoke_certificate(CertificateAuthorityArn=arn, CertificateSerial=serial, RevocationReason="SUPERSEDED")
    request = {"CertificateAuthorityArn": arn, "S3BucketName": "reports"}
    report = pca.create_certificate_authority_audit_report(**request, AuditReportResponseFormat="JSON")
    rows = json.loads(bucket[f"reports/{report['S3Key']}"][0])
    assert rows[1]["certificateArn"] == made["arn"]
    assert rows[1]["revocationReason"] == "SUPERSEDED"
    assert "revokedAt" not in rows[0]
    found = pca.describe_certificate_authority_audit_report(
        CertificateAuthorityArn=arn, AuditReportId=report["AuditReportId"]
    )
    assert (found["AuditReportStatus"], found["S3Key"]) == ("SUCCESS", report["S3Key"])
    with refused("RequestInProgressException"):
        pca.create_certificate_authority_audit_report(**request, AuditReportResponseFormat="CSV")
    fake.now.pass_time(minutes=31)
    report = pca.create_certificate_authority_audit_report(**request, AuditReportResponseFormat="CSV")
    table = list(csv.DictReader(io.StringIO(bucket[f"reports/{report['S3Key']}"][0].decode())))
    assert [row["certificateArn"] for row in table] == [row["certificateArn"] for row in rows]
    fake.now.pass_time(minutes=31)
    report = pca.create_certificate_authority_audit_report(
        CertificateAuthorityArn=arn, S3BucketName="missing", AuditReportResponseFormat="CSV"
    )
    found = pca.describe_certificate_authority_audit_report(
        CertificateAuthorityArn=arn, AuditReportId=report["AuditReportId"]
    )
    assert found["AuditReportStatus"] == "FAILED"


def test_a_report_is_written_beside_the_request() -> None:
    """The writing runs in another thread, with the context of the request."""
    place: contextvars.ContextVar[str] = contextvars.ContextVar("place")
    place.set("here")
    seen: queue.Queue[tuple[str, bool]] = queue.Queue()
    pca_audit.in_thread(lambda: seen.put((place.get(), threading.current_thread() is threading.main_thread())))
    assert seen.get(timeout=5) == ("here", False)


def policy(template: str) -> str:
    """A policy that lets the other account issue with one template."""
    condition = {"StringEquals": {"acm-pca:TemplateArn": f"{TEMPLATE}{template}/V1"}}
    rights = {"Effect": "Allow", "Principal": {"AWS": OTHER_ACCOUNT}, "Resource": "*"}
    reading = ["acm-pca:GetCertificate", "acm-pca:DescribeCertificateAuthority"]
    statements = [
        {**rights, "Action": "acm-pca:IssueCertificate", "Condition": condition},
        {**rights, "Action": reading},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_sharing(pca: Any, fake: AcmPca) -> None:
    """Another account may use a CA only as far as its policy goes, with the templates that it names."""
    arn = activated(pca, fake)
    fake.where = lambda: (OTHER_ACCOUNT, REGION)
    with refused("AccessDeniedException"):
        issued(pca, fake, arn, csr())
    fake.where = here
    with refused("InvalidPolicyException"):
        pca.put_policy(ResourceArn=arn, Policy="{}")
    pca.put_policy(ResourceArn=arn, Policy=policy("EndEntityCertificate"))
    fake.where = lambda: (OTHER_ACCOUNT, REGION)
    assert issued(pca, fake, arn, csr())
    with refused("AccessDeniedException"):
        issued(pca, fake, arn, csr(), "EndEntityServerAuthCertificate")
    with refused("AccessDeniedException"):
        pca.delete_policy(ResourceArn=arn)
    shared = pca.list_certificate_authorities(ResourceOwner="OTHER_ACCOUNTS")["CertificateAuthorities"]
    assert [item["Arn"] for item in shared] == [arn]
    assert pca.list_certificate_authorities()["CertificateAuthorities"] == []


def test_lists_have_pages(pca: Any) -> None:
    """Lists come in pages whose tokens are checked."""
    arns = [created(pca) for _ in range(3)]
    pages = pca.get_paginator("list_certificate_authorities").paginate(PaginationConfig={"PageSize": 2})
    assert [item["Arn"] for page in pages for item in page["CertificateAuthorities"]] == arns
    with refused("InvalidNextTokenException"):
        pca.list_certificate_authorities(NextToken="nonsense")


def test_permissions(pca: Any, fake: AcmPca) -> None:
    """Permissions are for ACM only, once, and can be taken back."""
    arn = activated(pca, fake)
    actions = ["IssueCertificate", "GetCertificate", "ListPermissions"]
    with refused("InvalidArgsException"):
        pca.create_permission(CertificateAuthorityArn=arn, Principal="ec2.amazonaws.com", Actions=actions)
    pca.create_permission(CertificateAuthorityArn=arn, Principal="acm.amazonaws.com", Actions=actions)
    with refused("PermissionAlreadyExistsException"):
        pca.create_permission(CertificateAuthorityArn=arn, Principal="acm.amazonaws.com", Actions=actions)
    assert pca.list_permissions(CertificateAuthorityArn=arn)["Permissions"][0]["Actions"] == actions
    pca.delete_permission(CertificateAuthorityArn=arn, Principal="acm.amazonaws.com")
    with refused("ResourceNotFoundException"):
        pca.delete_permission(CertificateAuthorityArn=arn, Principal="acm.amazonaws.com")


def test_tags(pca: Any) -> None:
    """Tags are added up to 50 and removed by key and value."""
    arn = created(pca, Tags=[{"Key": "a", "Value": "1"}])
    pca.tag_certificate_authority(CertificateAuthorityArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    pca.untag_certificate_authority(CertificateAuthorityArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    assert pca.list_tags(CertificateAuthorityArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    with refused("TooManyTagsException"):
        pca.tag_certificate_authority(
            CertificateAuthorityArn=arn, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(50)]
        )


@pytest.fixture
def acm(fake: AcmPca) -> Any:
    """ACM in front of the private CAs."""
    return client(Acm(where=here, clock=fake.now, users=References(), pca=fake))


def requested(acm: Any, arn: str) -> dict[str, Any]:
    """A private certificate as ACM describes it."""
    made = acm.request_certificate(DomainName="host.example.com", CertificateAuthorityArn=arn)["CertificateArn"]
    return acm.describe_certificate(CertificateArn=made)["Certificate"]


def test_acm_issues_from_a_private_ca(pca: Any, fake: AcmPca, acm: Any) -> None:
    """A private request is issued at once for 395 days, exported, and renewed when ACM has the permission."""
    arn = activated(pca, fake)
    found = requested(acm, arn)
    assert (found["Status"], found["Type"], found["CertificateAuthorityArn"]) == ("ISSUED", "PRIVATE", arn)
    assert found["NotAfter"] - fake.now.now == timedelta(days=395)
    name = found["CertificateArn"]
    with refused("ValidationException", "not eligible"):
        acm.renew_certificate(CertificateArn=name)
    acm.export_certificate(CertificateArn=name, Passphrase=b"secret")
    acm.renew_certificate(CertificateArn=name)
    failed = acm.describe_certificate(CertificateArn=name)["Certificate"]
    assert failed["RenewalSummary"]["RenewalStatusReason"] == "PCA_ACCESS_DENIED"
    pca.create_permission(CertificateAuthorityArn=arn, Principal="acm.amazonaws.com", Actions=["IssueCertificate"])
    acm.renew_certificate(CertificateArn=name)
    renewed = acm.describe_certificate(CertificateArn=name)["Certificate"]
    assert renewed["RenewalSummary"]["RenewalStatus"] == "SUCCESS"
    assert renewed["Serial"] != found["Serial"]


FAILURES = {
    "no such CA": "PCA_RESOURCE_NOT_FOUND",
    "a CA without certificate": "PCA_INVALID_STATE",
    "a CA that ends too early": "PCA_INVALID_DURATION",
    "a CA for short-lived certificates": "PCA_INVALID_ARGS",
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_a_private_ca_refuses_makes_the_request_fail(pca: Any, fake: AcmPca, acm: Any, case: str) -> None:
    """ACM answers with an ARN, and the reason is in the failed certificate."""
    arn = {
        "no such CA": lambda: f"arn:aws:acm-pca:{REGION}:{ACCOUNT}:certificate-authority/none",
        "a CA without certificate": lambda: created(pca),
        "a CA that ends too early": lambda: activated(pca, fake, days=100),
        "a CA for short-lived certificates": lambda: activated(pca, fake, UsageMode="SHORT_LIVED_CERTIFICATE"),
    }[case]()
    found = requested(acm, arn)
    assert (found["Status"], found["FailureReason"]) == ("FAILED", FAILURES[case])
