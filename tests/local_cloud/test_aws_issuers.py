"""ACM PCA and ACM as issuers against a running local cloud: S3, Route 53 and the tagging API are ministack's."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from local_cloud.cloud import Cloud
from perennial.certificate import parse
from perennial.issuers.acm import Acm
from perennial.issuers.acm_pca import AcmPca
from perennial.issuers.interface import Ask, Issued, Later, Present
from perennial.profiles import AcmIssuer, KeyHome, PcaIssuer, Profile

pytestmark = pytest.mark.local_cloud
ACCOUNT, REGION = "515151515151", "eu-west-1"
NAME = "host.issuers.example"


class Lost(BaseException):
    """The process is gone."""


class LosingReplies:
    """A client whose first reply of one operation is lost."""

    def __init__(self, target: Any, operation: str) -> None:
        self._target, self._operation = target, operation

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if name != self._operation:
            return method
        self._operation = ""

        def call(**request: Any) -> Any:
            method(**request)
            raise Lost

        return call


def root(pca: Any) -> str:
    """The ARN of an active root CA."""
    algorithm = {"SigningAlgorithm": "SHA256WITHECDSA"}
    configuration = {"KeyAlgorithm": "EC_prime256v1", "Subject": {"CommonName": "Inside"}, **algorithm}
    arn = pca.create_certificate_authority(
        CertificateAuthorityConfiguration=configuration, CertificateAuthorityType="ROOT"
    )["CertificateAuthorityArn"]
    own = pca.issue_certificate(
        CertificateAuthorityArn=arn,
        Csr=pca.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"].encode(),
        TemplateArn="arn:aws:acm-pca:::template/RootCACertificate/V1",
        Validity={"Type": "DAYS", "Value": 3650},
        **algorithm,
    )["CertificateArn"]
    pca.get_waiter("certificate_issued").wait(
        CertificateAuthorityArn=arn, CertificateArn=own, WaiterConfig={"Delay": 1}
    )
    body = pca.get_certificate(CertificateAuthorityArn=arn, CertificateArn=own)["Certificate"].encode()
    pca.import_certificate_authority_certificate(CertificateAuthorityArn=arn, Certificate=body)
    return str(arn)


def ask(profile: Profile, csr: bytes = b"") -> Ask:
    """An ask for one name."""
    return Ask(id="ab" * 16, names=(NAME,), csr=csr, key="EC-256", profile=profile, validity_days=30)


def pass_time(cloud: Cloud, service: str, time: timedelta) -> None:
    cloud.open(f"/_fakes/{service}/pass-time", {"seconds": time.total_seconds()}).read()


class Run:
    """Steps of one order; time passes in the fake, too."""

    def __init__(self, cloud: Cloud, service: str, issuer: Any, wanted: Ask) -> None:
        self.order = ""
        self.now = datetime.now(UTC)
        self._cloud, self._service, self._issuer, self._wanted = cloud, service, issuer, wanted

    def step(self, presented: bool = False) -> Any:
        return self._issuer.advance(self._wanted, self.order, presented=presented, now=self.now, keep=self._keep)

    def _keep(self, order: str) -> None:
        self.order = order

    def later(self, time: timedelta) -> None:
        self.now += time
        pass_time(self._cloud, self._service, time)

    def until_it_is_not_later(self, presented: bool = False) -> Any:
        for _ in range(20):
            outcome = self.step(presented)
            if not isinstance(outcome, Later):
                return outcome
            self.later(timedelta(seconds=outcome.seconds))
        raise AssertionError("it does not end")


def test_a_lost_answer_of_acm_pca_is_found_in_the_audit_report(idle_cloud: Cloud) -> None:
    """Ten minutes after the ARN was lost, the report in S3 leads to the one certificate that was issued."""
    idle_cloud.start()
    pca, s3 = (idle_cloud.client(each, ACCOUNT, REGION) for each in ("acm-pca", "s3"))
    s3.create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": REGION})
    arn = root(pca)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = csr.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    der = csr.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)
    issuer = AcmPca(
        PcaIssuer(name="inside", authority=arn),
        client=LosingReplies(pca, "issue_certificate"),
        s3=s3,
        bucket="reports",
    )
    run = Run(idle_cloud, "acm-pca", issuer, ask(Profile(name="inside", issuer="inside"), der))
    with pytest.raises(Lost):
        run.step()
    run.later(timedelta(minutes=10))
    issued = run.until_it_is_not_later()
    assert isinstance(issued, Issued) and parse(issued.chain[0]).dns_names == (NAME,)
    (report,) = s3.list_objects_v2(Bucket="reports")["Contents"]
    rows = json.loads(s3.get_object(Bucket="reports", Key=report["Key"])["Body"].read())
    assert issued.arn in {row["certificateArn"] for row in rows} and len(rows) == 2  # the root's own, and this one
    assert parse(x509.load_pem_x509_certificate(issuer.roots().encode()).public_bytes(Encoding.DER)).is_ca


def test_a_lost_answer_of_acm_is_found_by_its_tag(idle_cloud: Cloud) -> None:
    """An hour after the ARN was lost, the tag leads to the one request; its record in Route 53 validates it."""
    idle_cloud.start()
    acm, tagging, dns = (
        idle_cloud.client(each, ACCOUNT, REGION) for each in ("acm", "resourcegroupstaggingapi", "route53")
    )
    issuer = Acm(AcmIssuer(name="amazon"), client=LosingReplies(acm, "request_certificate"), tagging=tagging)
    profile = Profile(name="public", issuer="amazon", key_home=KeyHome.ISSUER, exportable=True)
    run = Run(idle_cloud, "acm", issuer, ask(profile))
    acm.request_certificate(DomainName=NAME, ValidationMethod="DNS", Tags=[{"Key": "perennial:version", "Value": "x"}])
    with pytest.raises(Lost):
        run.step()
    run.later(timedelta(hours=1, minutes=1))
    outcome = run.until_it_is_not_later()
    assert isinstance(outcome, Present)
    zone = dns.create_hosted_zone(Name="issuers.example", CallerReference="issuers")["HostedZone"]["Id"]
    (challenge,) = outcome.challenges
    record = {"Name": challenge.where, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": challenge.value}]}
    changes = [{"Action": "CREATE", "ResourceRecordSet": record}]
    dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    issued = run.until_it_is_not_later(presented=True)
    assert isinstance(issued, Issued) and parse(issued.chain[0]).dns_names == (NAME,)
    assert "PRIVATE KEY" in issuer.export(issued.arn)
    issuer.revoke(parse(issued.chain[0]), issued.arn, 4)
    kinds = {"keyTypes": ["RSA_2048", "EC_prime256v1"]}
    assert len(acm.list_certificates(Includes=kinds)["CertificateSummaryList"]) == 2  # another's, and this one
