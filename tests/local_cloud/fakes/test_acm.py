"""The life of a certificate in ACM: request, validation, use, export, renewal, revocation, deletion, tags."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fake_estate import NOW, Clock, make, refused

from local_cloud.fakes import ServiceError
from local_cloud.fakes.acm import Acm
from local_cloud.fakes.admin import Admin
from local_cloud.fakes.controls import Controls
from local_cloud.fakes.loopback import REGION, client, here
from local_cloud.fakes.references import References

LISTENER = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener/app/a/b/c"
SUBJECT = {"CommonName": "Private root"}


class Zone(dict[str, str]):
    """CNAME records: name -> target."""

    def __call__(self, name: str) -> str | None:
        return self.get(name.rstrip("."))


@pytest.fixture
def zone() -> Zone:
    return Zone()


@pytest.fixture
def users() -> References:
    return References()


@pytest.fixture
def fake(zone: Zone, users: References) -> Acm:
    return Acm(where=here, clock=Clock(), resolve=zone, users=users)


@pytest.fixture
def acm(fake: Acm) -> Any:
    return client(fake)


def imported(acm: Any, **more: Any) -> str:
    """The ARN of an import of a certificate for www.example.com."""
    issued = make()
    return acm.import_certificate(Certificate=issued.pem, PrivateKey=issued.key_pem, **more)["CertificateArn"]


def requested(acm: Any, name: str = "www.example.com", **more: Any) -> str:
    """The ARN of a request that is validated by DNS."""
    return acm.request_certificate(DomainName=name, ValidationMethod="DNS", **more)["CertificateArn"]


def described(acm: Any, arn: str) -> dict[str, Any]:
    """DescribeCertificate."""
    return acm.describe_certificate(CertificateArn=arn)["Certificate"]


def issued(acm: Any, zone: Zone, **more: Any) -> str:
    """The ARN of a request whose records were put into the zone."""
    arn = requested(acm, **more)
    publish(zone, described(acm, arn))
    assert described(acm, arn)["Status"] == "ISSUED"
    return arn


def publish(zone: Zone, certificate: dict[str, Any]) -> None:
    """Puts the validation records into the zone."""
    for option in certificate["DomainValidationOptions"]:
        record = option["ResourceRecord"]
        zone[record["Name"].rstrip(".")] = record["Value"].rstrip(".")


def test_a_request_is_issued_when_its_records_appear(acm: Any, zone: Zone) -> None:
    """A DNS-validated request is pending until every name's CNAME exists, then issued for 198 days."""
    arn = requested(acm, SubjectAlternativeNames=["www.example.com", "*.example.com"])
    pending = described(acm, arn)
    assert pending["Status"] == "PENDING_VALIDATION"
    with refused("RequestInProgressException"):
        acm.get_certificate(CertificateArn=arn)
    zone[pending["DomainValidationOptions"][0]["ResourceRecord"]["Name"].rstrip(".")] = "wrong.example.com"
    assert described(acm, arn)["Status"] == "PENDING_VALIDATION"
    publish(zone, pending)
    found = described(acm, arn)
    assert found["Status"] == "ISSUED"
    assert found["NotAfter"] - found["NotBefore"] == timedelta(days=198)
    assert {option["ValidationStatus"] for option in found["DomainValidationOptions"]} == {"SUCCESS"}
    assert [usage["Name"] for usage in found["ExtendedKeyUsages"]] == ["TLS_WEB_SERVER_AUTHENTICATION"]
    chain = x509.load_pem_x509_certificates(acm.get_certificate(CertificateArn=arn)["CertificateChain"].encode())
    leaf = x509.load_pem_x509_certificate(acm.get_certificate(CertificateArn=arn)["Certificate"].encode())
    leaf.verify_directly_issued_by(chain[0])
    chain[0].verify_directly_issued_by(chain[1])


def test_the_validation_record_of_a_name_stays_the_same(acm: Any) -> None:
    """A name and its wildcard share one record, and so does a later request for the name."""
    first = described(acm, requested(acm, SubjectAlternativeNames=["*.www.example.com"]))
    again = described(acm, requested(acm))
    records = [option["ResourceRecord"] for item in (first, again) for option in item["DomainValidationOptions"]]
    assert records == [records[0]] * 3


def test_a_request_times_out_after_72_hours(acm: Any, fake: Acm, zone: Zone) -> None:
    """Records that come after 72 hours are too late."""
    arn = requested(acm)
    records = described(acm, arn)
    fake.now.pass_time(hours=73)
    publish(zone, records)
    assert described(acm, arn)["Status"] == "VALIDATION_TIMED_OUT"


REFUSED = {
    "more than ten names": (
        {"SubjectAlternativeNames": [f"a{n}.example.com" for n in range(10)]},
        "LimitExceededException",
    ),
    "a domain name of 65 characters": ({"DomainName": "a" * 53 + ".example.com"}, "ValidationException"),
    "a key kind for imports only": ({"KeyAlgorithm": "RSA_4096"}, "ValidationException"),
    "opting out of transparency logs": (
        {"Options": {"CertificateTransparencyLoggingPreference": "DISABLED"}},
        "ValidationException",
    ),
    "HTTP validation without CloudFront": ({"ValidationMethod": "HTTP"}, "ValidationException"),
    "an invalid domain name": ({"DomainName": "not a name"}, "ValidationException"),
    "an idempotency token with a dash": ({"IdempotencyToken": "a-b"}, "ValidationException"),
    "a validation domain that is not above the name": (
        {"DomainValidationOptions": [{"DomainName": "www.example.com", "ValidationDomain": "example.org"}]},
        "InvalidDomainValidationOptionsException",
    ),
    "a reserved tag": ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidTagException"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_requests_that_acm_refuses(acm: Any, case: str) -> None:
    """A request that breaks a rule of ACM is refused."""
    changes, code = REFUSED[case]
    with refused(code):
        acm.request_certificate(**{"DomainName": "www.example.com", "ValidationMethod": "DNS", **changes})


def test_a_token_names_one_request_for_an_hour(acm: Any, fake: Acm) -> None:
    """The same token gives the same ARN for an hour, is refused for other parameters, and is new afterwards."""
    arn = requested(acm, IdempotencyToken="one")
    assert requested(acm, IdempotencyToken="one") == arn
    with refused("InvalidParameterException"):
        requested(acm, name="other.example.com", IdempotencyToken="one")
    fake.now.pass_time(minutes=61)
    assert requested(acm, IdempotencyToken="one") != arn


def test_validation_records_appear_after_a_while(fake: Acm, acm: Any) -> None:
    """With a delay, a request has no validation records at first, as in AWS."""
    fake.record_delay = timedelta(seconds=3)
    arn = requested(acm)
    assert "ResourceRecord" not in described(acm, arn)["DomainValidationOptions"][0]
    fake.now.pass_time(seconds=3)
    assert described(acm, arn)["DomainValidationOptions"][0]["ResourceRecord"]["Type"] == "CNAME"


def test_an_admin_call_puts_the_clock_forward(acm: Any, fake: Acm) -> None:
    """Time passes by a call, until the fake is reset: a request of then has timed out."""
    arn = requested(acm)
    fake.admin_pass_time({"seconds": 73 * 3600})
    assert described(acm, arn)["Status"] == "VALIDATION_TIMED_OUT"
    fake.reset()
    assert described(acm, requested(acm))["CreatedAt"] == NOW


def test_a_certificate_expires(acm: Any, fake: Acm) -> None:
    """The status becomes EXPIRED when the time has come, without any call."""
    arn = imported(acm)
    fake.now.pass_time(days=61)
    assert described(acm, arn)["Status"] == "EXPIRED"
    listed = acm.list_certificates(CertificateStatuses=["EXPIRED"])["CertificateSummaryList"]
    assert [item["CertificateArn"] for item in listed] == [arn]


def test_a_certificate_in_use_cannot_be_deleted(acm: Any, users: References) -> None:
    """InUseBy comes from the services that use a certificate, and what is used cannot be deleted."""
    arn = imported(acm)
    used = [LISTENER]
    users.register("elb", lambda account, region, wanted: used if wanted == arn else [])
    assert described(acm, arn)["InUseBy"] == [LISTENER]
    with refused("ResourceInUseException"):
        acm.delete_certificate(CertificateArn=arn)
    used.clear()
    acm.delete_certificate(CertificateArn=arn)
    with refused("ResourceNotFoundException"):
        described(acm, arn)


def test_export_of_a_public_certificate(acm: Any, zone: Zone) -> None:
    """Only a certificate with the export option is exported, with its key under the passphrase."""
    closed = issued(acm, zone)
    with refused("ValidationException", "not exportable"):
        acm.export_certificate(CertificateArn=closed, Passphrase=b"secret")
    arn = issued(acm, zone, Options={"Export": "ENABLED"})
    for passphrase in (b"abc", b"with#hash", b"with$dollar", b"with%percent"):
        with refused("ValidationException"):
            acm.export_certificate(CertificateArn=arn, Passphrase=passphrase)
    material = acm.export_certificate(CertificateArn=arn, Passphrase=b"secret")
    key = load_pem_private_key(material["PrivateKey"].encode(), b"secret")
    leaf = x509.load_pem_x509_certificate(material["Certificate"].encode())
    assert key.public_key() == leaf.public_key()
    summary = acm.list_certificates()["CertificateSummaryList"]
    assert {item["CertificateArn"]: item["Exported"] for item in summary} == {closed: False, arn: True}


def test_an_import_can_be_neither_exported_nor_revoked_nor_renewed(acm: Any) -> None:
    """Export, revocation, renewal and options do not apply to imported certificates."""
    arn = imported(acm)
    with refused("ValidationException"):
        acm.export_certificate(CertificateArn=arn, Passphrase=b"secret")
    with refused("ValidationException"):
        acm.revoke_certificate(CertificateArn=arn, RevocationReason="UNSPECIFIED")
    with refused("ValidationException"):
        acm.renew_certificate(CertificateArn=arn)
    with refused("InvalidStateException"):
        acm.update_certificate_options(CertificateArn=arn, Options={"Export": "ENABLED"})


def test_revocation_is_for_exported_public_certificates(acm: Any, fake: Acm, zone: Zone) -> None:
    """A public certificate can be revoked once, after it was exported, while nothing uses it."""
    arn = issued(acm, zone, Options={"Export": "ENABLED"})
    with refused("ValidationException", "exported"):
        acm.revoke_certificate(CertificateArn=arn, RevocationReason="KEY_COMPROMISE")
    acm.export_certificate(CertificateArn=arn, Passphrase=b"secret")
    fake.admin_use({"arn": arn, "in_use_by": [LISTENER]})
    with refused("ResourceInUseException"):
        acm.revoke_certificate(CertificateArn=arn, RevocationReason="KEY_COMPROMISE")
    fake.admin_use({"arn": arn, "in_use_by": []})
    acm.revoke_certificate(CertificateArn=arn, RevocationReason="KEY_COMPROMISE")
    found = described(acm, arn)
    assert (found["Status"], found["RevocationReason"], found["RevokedAt"]) == ("REVOKED", "KEY_COMPROMISE", NOW)
    with refused("ConflictException"):
        acm.revoke_certificate(CertificateArn=arn, RevocationReason="KEY_COMPROMISE")


def test_tags(acm: Any) -> None:
    """Tags are added up to 50, read in both ways, and removed by key or by key and value."""
    arn = imported(acm)
    acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    acm.remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    assert acm.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    acm.tag_resource(ResourceArn=arn, Tags=[{"Key": "c", "Value": "3"}])
    acm.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "c", "Value": "3"}]
    with refused("InvalidTagException"):
        acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "aws:a", "Value": "1"}])
    more = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    with refused("TooManyTagsException"):
        acm.add_tags_to_certificate(CertificateArn=arn, Tags=more)
    with refused("ServiceQuotaExceededException"):
        acm.tag_resource(ResourceArn=arn, Tags=more)


def test_account_configuration(acm: Any) -> None:
    """The days before expiry are 45 until they are set."""
    assert acm.get_account_configuration()["ExpiryEvents"] == {"DaysBeforeExpiry": 45}
    acm.put_account_configuration(ExpiryEvents={"DaysBeforeExpiry": 30}, IdempotencyToken="a")
    assert acm.get_account_configuration()["ExpiryEvents"] == {"DaysBeforeExpiry": 30}


def test_accounts_and_regions_are_apart(fake: Acm, acm: Any) -> None:
    """A certificate of one account and region is not found in another."""
    arn = imported(acm)
    for place in (("444455556666", REGION), (here()[0], "us-east-1")):
        fake.where = lambda place=place: place
        with refused("ResourceNotFoundException"):
            described(acm, arn)


def test_email_validation(acm: Any, fake: Acm) -> None:
    """E-mail is the default validation, waits for an admin call, and is the only kind that can be resent."""
    arn = acm.request_certificate(DomainName="www.example.com")["CertificateArn"]
    assert "admin@www.example.com" in described(acm, arn)["DomainValidationOptions"][0]["ValidationEmails"]
    acm.resend_validation_email(CertificateArn=arn, Domain="www.example.com", ValidationDomain="example.com")
    fake.admin_validate({"arn": arn})
    assert described(acm, arn)["Status"] == "ISSUED"
    with refused("InvalidStateException"):
        acm.resend_validation_email(CertificateArn=arn, Domain="www.example.com", ValidationDomain="example.com")


def test_validation_can_be_made_to_fail(acm: Any, fake: Acm) -> None:
    """An admin call gives a request a failure, as a CAA record would."""
    arn = requested(acm)
    fake.admin_validate({"arn": arn, "failure_reason": "CAA_ERROR"})
    found = described(acm, arn)
    assert (found["Status"], found["FailureReason"]) == ("FAILED", "CAA_ERROR")


def test_managed_renewal(acm: Any, fake: Acm, zone: Zone) -> None:
    """Managed renewal puts a new certificate under the same ARN, or notes why it failed."""
    arn = issued(acm, zone)
    before = described(acm, arn)
    fake.now.pass_time(days=160)
    fake.admin_renew({"arn": arn, "status": "FAILED", "reason": "CAA_ERROR"})
    failed = described(acm, arn)
    assert (failed["RenewalSummary"]["RenewalStatus"], failed["Serial"]) == ("FAILED", before["Serial"])
    fake.admin_renew({"arn": arn})
    after = described(acm, arn)
    assert after["RenewalSummary"]["RenewalStatus"] == "SUCCESS"
    assert after["Serial"] != before["Serial"]


def test_planted_certificates(acm: Any, fake: Acm) -> None:
    """A seed holds what the API cannot make: expired, with failed renewal, in use, of ACME origin."""
    old = make(days=10).pem.decode()
    current = make(kind="EC_prime256v1").pem.decode()
    expired, failing, acme = fake.admin_seed(
        [
            {"pem": old, "type": "IMPORTED", "status": "EXPIRED", "tags": {"owner": "web"}},
            {
                "pem": current,
                "type": "AMAZON_ISSUED",
                "in_use_by": [LISTENER],
                "renewal_status": "FAILED",
                "renewal_status_reason": "CAA_ERROR",
                "created_at": "2026-10-01T00:00:00+00:00",
            },
            {
                "pem": current,
                "type": "AMAZON_ISSUED",
                "acme_endpoint_arn": f"arn:aws:acm:{REGION}:111122223333:acme-endpoint/a",
            },
        ]
    )["arns"]
    assert described(acm, expired)["Status"] == "EXPIRED"
    found = described(acm, failing)
    assert (found["InUseBy"], found["RenewalEligibility"]) == ([LISTENER], "ELIGIBLE")
    assert found["RenewalSummary"]["RenewalStatusReason"] == "CAA_ERROR"
    assert described(acm, acme)["CertificateKeyPairOrigin"] == "ACME"
    with refused("ValidationException", "ACME"):
        acm.delete_certificate(CertificateArn=acme)


def test_seeds_arrive_over_the_admin_path(acm: Any, fake: Acm) -> None:
    """POST /_fakes/acm/seed plants certificates in any account and region; an entry that cannot be read is refused."""
    admin = Admin({"acm": fake}, Controls())
    entry = {"pem": make().pem.decode(), "account": "444455556666", "region": "us-east-1"}
    status, _, body = admin("POST", "/_fakes/acm/seed", json.dumps([entry]).encode())
    arn = json.loads(body)["arns"][0]
    assert (status, arn.split(":")[3:5]) == (200, ["us-east-1", "444455556666"])
    fake.where = lambda: ("444455556666", "us-east-1")
    assert described(acm, arn)["Status"] == "ISSUED"
    assert admin("POST", "/_fakes/acm/seed", b'[{"pem": "garbage"}]')[0] == 400


def test_operations_of_acmes_endpoints_are_not_faked(acm: Any) -> None:
    """What the fake lacks says so, and does not pretend."""
    with refused("NotImplementedException"):
        acm.list_acme_endpoints()


def test_an_error_in_process_is_a_service_error(fake: Acm) -> None:
    """`call` validates like the wire does, for handlers that run in the process."""
    with pytest.raises(ServiceError) as caught:
        fake.call("DescribeCertificate", {})
    assert caught.value.code == "ValidationException"
