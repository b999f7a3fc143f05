"""ACM PCA as an issuer: one request becomes one certificate, whatever is lost on the way."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.response import StreamingBody
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certificates import build
from local_cloud.fakes.acm_pca import AcmPca as Fake
from local_cloud.fakes.loopback import ACCOUNT, REGION, client
from perennial.certificate import parse
from perennial.clients import Clients
from perennial.deployment import Deployment
from perennial.errors import (
    AccessDenied,
    InvalidConfiguration,
    InvalidInput,
    InvalidReply,
    NotFound,
    PerennialError,
    ServiceRefused,
    Throttled,
    Unavailable,
)
from perennial.issuers import acm_pca, pca_audit, pca_templates
from perennial.issuers.acm_pca import AcmPca, Order
from perennial.issuers.interface import Ask, Issued, Later, Outcome
from perennial.profiles import KeyHome, PcaIssuer, Profile
from perennial.signing_request import public_key_sha256

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OTHER = "444455556666"
ID = "0123456789abcdef0123456789abcdef"
KEY = ec.generate_private_key(ec.SECP256R1())
PAUSES = {
    "at once": timedelta(),
    "after 1 minute": timedelta(minutes=1),
    "after 10 minutes": timedelta(minutes=10),
    "after 2 days": timedelta(days=2),
}


class Clock:
    """The time of the fake and of the steps."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Killed(BaseException):
    """The process is gone."""


class Wire:
    """Counts what leaves the process, and kills it before or after one of these calls took effect."""

    def __init__(self, *kills: tuple[int, bool]) -> None:
        self.calls: list[str] = []
        self._kills = dict(kills)

    def through(self, name: str, call: Callable[[], Any]) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        acted = self._kills.pop(number, None)
        if acted is False:
            raise Killed
        answer = call()
        if acted is True:
            raise Killed
        return answer


class Fragile:
    """A client whose calls go through a wire."""

    def __init__(self, target: Any, wire: Wire) -> None:
        self._target, self._wire = target, wire

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        return lambda **request: self._wire.through(name, lambda: method(**request))


class Bucket:
    """The bucket of audit reports: what the fake writes, read as boto3 gives it."""

    def __init__(self, clock: Clock) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self._clock = clock

    def write(self, bucket: str, key: str, body: bytes, content_type: str) -> int:
        self.objects[key] = (body, self._clock())
        return 200

    def list_objects_v2(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:
        found = [{"Key": key, "LastModified": time} for key, (_, time) in self.objects.items()]
        return {"Contents": [each for each in found if each["Key"].startswith(Prefix)]}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "gone"}}, "GetObject")
        body = self.objects[Key][0]
        return {"Body": StreamingBody(io.BytesIO(body), len(body))}


class Hub:
    """A private CA, a bucket, and a kept order, as the steps of a workflow have them."""

    def __init__(self, *kills: tuple[int, bool], **authority: Any) -> None:
        self.clock = Clock()
        self.bucket = Bucket(self.clock)
        self.account = ACCOUNT
        self.fake = Fake(
            where=lambda: (self.account, REGION),
            clock=self.clock,
            put_object=self.bucket.write,
            background=lambda work: work(),
        )
        self.pca = client(self.fake)
        self.arn = root(self.pca, self.clock, **authority)
        self.wire = Wire(*kills)
        self.order = ""
        self.settings = PcaIssuer(name="inside", authority=self.arn)

    @property
    def issuer(self) -> AcmPca:
        """A new one each time: each step may run in a process of its own."""
        return AcmPca(
            self.settings, client=Fragile(self.pca, self.wire), s3=Fragile(self.bucket, self.wire), bucket="hub"
        )

    def keep(self, order: str) -> None:
        def write() -> None:
            self.order = order

        self.wire.through("keep", write)

    def step(self, ask: Ask) -> Outcome:
        return self.issuer.advance(ask, self.order, presented=False, now=self.clock(), keep=self.keep)

    def run(self, ask: Ask, pause: timedelta = timedelta()) -> Issued:
        """Steps until it is issued; after a kill the next one comes a pause later."""
        for _ in range(60):
            try:
                outcome = self.step(ask)
            except Killed:
                self.clock.now += pause
                continue
            if isinstance(outcome, Issued):
                return outcome
            assert isinstance(outcome, Later) and 0 < outcome.seconds <= 600
            self.clock.now += timedelta(seconds=outcome.seconds)
        raise AssertionError("it does not end")

    def issued(self) -> list[str]:
        """ARNs of what the CA issued besides its own certificate."""
        owner = self.fake.state(self.arn.split(":")[4], REGION).authorities[self.arn]
        return [each.arn for each in owner.issued.values() if "RootCA" not in each.template_arn]

    def authority(self) -> Any:
        return self.fake.state(ACCOUNT, REGION).authorities[self.arn]


def root(pca: Any, clock: Clock, days: int = 3650, **more: Any) -> str:
    """The ARN of an active root CA."""
    configuration = {
        "KeyAlgorithm": "EC_prime256v1",
        "SigningAlgorithm": "SHA256WITHECDSA",
        "Subject": {"CommonName": "Inside"},
    }
    arn: str = pca.create_certificate_authority(
        CertificateAuthorityConfiguration=configuration, CertificateAuthorityType="ROOT", **more
    )["CertificateAuthorityArn"]
    own = pca.issue_certificate(
        CertificateAuthorityArn=arn,
        Csr=pca.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"].encode(),
        SigningAlgorithm="SHA256WITHECDSA",
        TemplateArn="arn:aws:acm-pca:::template/RootCACertificate/V1",
        Validity={"Type": "DAYS", "Value": days},
    )["CertificateArn"]
    clock.now += timedelta(minutes=30)
    body = pca.get_certificate(CertificateAuthorityArn=arn, CertificateArn=own)["Certificate"].encode()
    pca.import_certificate_authority_certificate(CertificateAuthorityArn=arn, Certificate=body)
    return arn


def csr(*names: str, key: Any = KEY) -> bytes:
    """A CSR for DNS names and addresses, in DER."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host.corp.example")])
    general: list[x509.GeneralName] = [
        x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


CSR = csr("host.corp.example")


def ask(profile: Profile | None = None, **more: Any) -> Ask:
    """An ask for host.corp.example and thirty days."""
    settings: dict[str, Any] = {
        "id": ID,
        "names": ("host.corp.example",),
        "csr": CSR,
        "key": "EC-256",
        "profile": profile or Profile(name="inside", issuer="inside"),
        "validity_days": 30,
    }
    return Ask(**{**settings, **more})


# --- a whole issuance ---


def test_a_certificate_is_issued() -> None:
    """The result is the leaf for the CSR's key and name, without the root, with its ARN, in four requests."""
    hub = Hub()
    made = hub.run(ask())
    leaf = parse(made.chain[0])
    assert (len(made.chain), leaf.dns_names, leaf.extended_key_usage) == (1, ("host.corp.example",), ("serverAuth",))
    assert leaf.public_key_sha256 == public_key_sha256(CSR)
    assert [made.arn] == hub.issued() and made.key_pem == ""
    assert leaf.not_after == NOW + timedelta(days=30, minutes=30)
    aws = [name for name in hub.wire.calls if name != "keep"]
    assert aws == ["describe_certificate_authority", "issue_certificate", "get_certificate"]


def test_the_chain_of_a_subordinate_keeps_what_is_between() -> None:
    """The issuing CA comes with the leaf, the root does not; `roots` gives the root."""
    hub = Hub()
    parent, hub.arn = (
        hub.arn,
        hub.pca.create_certificate_authority(
            CertificateAuthorityConfiguration={
                "KeyAlgorithm": "EC_prime256v1",
                "SigningAlgorithm": "SHA256WITHECDSA",
                "Subject": {"CommonName": "Below"},
            },
            CertificateAuthorityType="SUBORDINATE",
        )["CertificateAuthorityArn"],
    )
    own = hub.pca.issue_certificate(
        CertificateAuthorityArn=parent,
        Csr=hub.pca.get_certificate_authority_csr(CertificateAuthorityArn=hub.arn)["Csr"].encode(),
        SigningAlgorithm="SHA256WITHECDSA",
        TemplateArn="arn:aws:acm-pca:::template/SubordinateCACertificate_PathLen0/V1",
        Validity={"Type": "DAYS", "Value": 365},
    )["CertificateArn"]
    hub.clock.now += timedelta(seconds=5)
    answer = hub.pca.get_certificate(CertificateAuthorityArn=parent, CertificateArn=own)
    hub.pca.import_certificate_authority_certificate(
        CertificateAuthorityArn=hub.arn,
        Certificate=answer["Certificate"].encode(),
        CertificateChain=answer["CertificateChain"].encode(),
    )
    hub.settings = PcaIssuer(name="below", authority=hub.arn)
    chain = [parse(der) for der in hub.run(ask()).chain]
    assert [each.common_name for each in chain] == ["host.corp.example", "Below"]
    anchor = x509.load_pem_x509_certificate(hub.issuer.roots().encode())
    assert anchor.subject == anchor.issuer
    x509.load_der_x509_certificate(chain[1].der).verify_directly_issued_by(anchor)


def test_the_root_of_a_root_is_itself() -> None:
    """`roots` of a root CA is its own certificate."""
    assert parse(x509.load_pem_x509_certificate(Hub().issuer.roots().encode()).public_bytes(Encoding.DER)).is_ca


def test_polling_doubles_and_ends() -> None:
    """While the CA issues, the pauses grow to a minute; after an hour the order ends with a next step."""
    hub = Hub()
    hub.fake.issue_delay = timedelta(days=1)
    seconds = []
    with pytest.raises(ServiceRefused, match="AWS Support"):
        for _ in range(90):
            outcome = hub.step(ask())
            assert isinstance(outcome, Later)
            seconds.append(outcome.seconds)
            hub.clock.now += timedelta(seconds=outcome.seconds)
    assert seconds[:7] == [1, 1, 2, 4, 8, 16, 32] and max(seconds) == 60


# --- exactly one ---


def whole() -> int:
    """How many calls one issuance makes, writes of the order included."""
    hub = Hub()
    hub.run(ask())
    return len(hub.wire.calls)


@pytest.mark.parametrize("pause", PAUSES)
def test_killed_at_every_call(pause: str) -> None:
    """Killed before any call left or after its reply was lost, and resumed, it ends with one certificate."""
    points = [(number, acted) for number in range(whole()) for acted in (False, True)]
    assert len(points) >= 10
    for point in points:
        hub = Hub(point)
        made = hub.run(ask(), PAUSES[pause])
        assert [made.arn] == hub.issued(), point


@pytest.mark.parametrize("pause", PAUSES)
def test_killed_again_while_it_recovers(pause: str) -> None:
    """After the reply of IssueCertificate was lost, a second kill at any later call changes nothing either."""
    hub = Hub()
    hub.run(ask())
    lost = hub.wire.calls.index("issue_certificate")
    recovered = Hub((lost, True))
    recovered.run(ask(), PAUSES[pause])
    for number in range(lost + 1, len(recovered.wire.calls)):
        for acted in (False, True):
            hub = Hub((lost, True), (number, acted))
            made = hub.run(ask(), PAUSES[pause])
            assert [made.arn] == hub.issued(), (number, acted)


@pytest.mark.parametrize("pause", PAUSES)
def test_killed_before_it_asked_and_again(pause: str) -> None:
    """Where nothing was issued, the report shows that, and a second kill on the way to the new ask makes no second."""
    hub = Hub()
    hub.run(ask())
    before = hub.wire.calls.index("issue_certificate")
    recovered = Hub((before, False))
    recovered.run(ask(), PAUSES[pause])
    for number in range(before + 1, len(recovered.wire.calls)):
        for acted in (False, True):
            hub = Hub((before, False), (number, acted))
            made = hub.run(ask(), PAUSES[pause])
            assert [made.arn] == hub.issued(), (number, acted)


def test_the_report_is_asked_for_only_after_the_token() -> None:
    """Within three minutes the same request is repeated; later a report is made, and no request repeated."""
    for pause, reports in (("after 1 minute", 0), ("after 2 days", 1)):
        hub = Hub((2, True))
        assert hub.run(ask(), PAUSES[pause]).arn == hub.issued()[0]
        assert hub.wire.calls.count("create_certificate_authority_audit_report") == reports
        assert hub.wire.calls.count("issue_certificate") == 2 - reports


@pytest.mark.parametrize("minutes", [0, 3, 12])
def test_duplicate_invocations(minutes: int) -> None:
    """Two steps that start from the same order at any stage, neither seeing the other's, make one certificate."""
    hub = Hub()
    if minutes:
        hub = Hub((2, False))
        with pytest.raises(Killed):
            hub.step(ask())
        hub.clock.now += timedelta(minutes=minutes)
    for _ in range(30):
        before = hub.order
        first = hub.step(ask())
        hub.order = before
        outcome = hub.step(ask())
        if isinstance(first, Issued) and isinstance(outcome, Issued):
            assert [outcome.arn] == hub.issued() == [first.arn]
            return
        hub.clock.now += timedelta(seconds=30)
    raise AssertionError("it does not end")


def test_a_race_that_is_lost_asks_for_nothing() -> None:
    """Where the order cannot be kept because another step was faster, IssueCertificate does not leave."""
    hub = Hub()

    def lost(order: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        hub.issuer.advance(ask(), "", presented=False, now=hub.clock(), keep=lost)
    assert hub.issued() == []


def test_others_of_the_same_time_are_left_alone() -> None:
    """Certificates of other keys, and of the same CA and minute, are compared and not taken; many take more steps."""
    hub = Hub((2, True))
    for number in range(3):
        key = ec.generate_private_key(ec.SECP256R1())
        other = ask(id=f"{number:032x}", csr=csr("host.corp.example", key=key))
        AcmPca(hub.settings, client=hub.pca, s3=hub.bucket, bucket="hub").advance(
            other, "", presented=False, now=hub.clock(), keep=lambda order: None
        )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(acm_pca, "COMPARED", 2)
        made = hub.run(ask(), PAUSES["after 10 minutes"])
    assert parse(made.chain[0]).public_key_sha256 == public_key_sha256(CSR)
    assert len(hub.issued()) == 4 and made.arn == hub.issued()[3]


def test_a_report_of_others_serves_all() -> None:
    """Where AWS makes no report now, one that is recent enough is used; an older one is not."""
    hub = Hub((2, True))
    request = {"CertificateAuthorityArn": hub.arn, "S3BucketName": "hub", "AuditReportResponseFormat": "JSON"}
    with pytest.raises(Killed):
        hub.step(ask())
    hub.pca.create_certificate_authority_audit_report(**request)
    hub.clock.now += timedelta(minutes=11)
    outcome = hub.step(ask())
    assert isinstance(outcome, Later) and outcome.seconds == 300 and not Order.read(hub.order).report
    hub.clock.now += timedelta(minutes=25)
    hub.pca.create_certificate_authority_audit_report(**request)
    hub.clock.now += timedelta(minutes=1)
    assert isinstance(hub.step(ask()), Later) and Order.read(hub.order).report
    assert [hub.run(ask()).arn] == hub.issued()


def test_a_report_that_is_gone_is_made_again() -> None:
    """A report that a lifecycle rule removed is replaced; after five the order ends."""
    hub = Hub((2, True))
    with pytest.raises(Killed):
        hub.step(ask())
    hub.clock.now += timedelta(minutes=11)
    hub.step(ask())
    hub.bucket.objects.clear()
    assert [hub.run(ask()).arn] == hub.issued()
    hub.order = Order(asked_at=NOW, reports=5, signing="SHA256WITHECDSA", days=30).text()
    with pytest.raises(ServiceRefused, match="5 audit reports"):
        hub.step(ask())


def test_a_report_that_cannot_be_written_ends_the_order() -> None:
    """A bucket that refuses the report is told with what to allow."""
    hub = Hub((2, True))
    with pytest.raises(Killed):
        hub.step(ask())
    hub.clock.now += timedelta(minutes=11)
    hub.bucket.write = lambda *_: 403  # type: ignore[method-assign]
    hub.fake._put_object = hub.bucket.write
    hub.step(ask())
    with pytest.raises(ServiceRefused, match=r"acm-pca\.amazonaws\.com"):
        hub.step(ask())


def test_what_was_found_revoked_is_not_used() -> None:
    """A certificate that someone revoked meanwhile ends the order; nothing is asked anew for its key."""
    hub = Hub((2, True))
    with pytest.raises(Killed):
        hub.step(ask())
    serial = hub.issued()[0].rpartition("/")[2]
    hub.pca.revoke_certificate(
        CertificateAuthorityArn=hub.arn, CertificateSerial=serial, RevocationReason="KEY_COMPROMISE"
    )
    hub.clock.now += timedelta(minutes=11)
    with pytest.raises(ServiceRefused, match="is revoked"):
        hub.run(ask())
    assert len(hub.issued()) == 1


def test_a_profile_that_changed_meanwhile() -> None:
    """What was asked for is looked for as it was asked for, also where the profile has another validity by now."""
    hub = Hub((2, True))
    with pytest.raises(Killed):
        hub.step(ask())
    hub.clock.now += timedelta(minutes=11)
    assert [hub.run(ask(validity_days=7)).arn] == hub.issued()


def lost(hub: Hub) -> None:
    """An issuance whose answer was lost, until its report is there."""
    with pytest.raises(Killed):
        hub.step(ask())
    hub.clock.now += timedelta(minutes=11)
    hub.step(ask())


def test_one_that_is_still_being_issued() -> None:
    """What may be the one is waited for, for an hour; then a person decides, and nothing is asked anew."""
    hub = Hub((2, True))
    hub.fake.issue_delay = timedelta(minutes=30)
    lost(hub)
    outcome = hub.step(ask())
    assert isinstance(outcome, Later) and outcome.seconds == 60
    assert [hub.run(ask()).arn] == hub.issued()
    hub = Hub((2, True))
    hub.fake.issue_delay = timedelta(days=1)
    lost(hub)
    with pytest.raises(ServiceRefused, match="AWS Support"):
        hub.run(ask())
    assert len(hub.issued()) == 1


def test_one_that_failed_is_asked_for_anew() -> None:
    """A listed certificate whose issuing failed is none; another is asked for."""
    hub = Hub((2, True))
    lost(hub)
    hub.fake.controls.inject("acm-pca", "GetCertificate", "RequestFailedException")
    hub.run(ask())
    assert len(hub.issued()) == 2 and hub.wire.calls.count("issue_certificate") == 2


@pytest.mark.parametrize("error", ["AccessDeniedException", "ResourceNotFoundException", "InvalidStateException"])
def test_one_that_cannot_be_looked_at(error: str) -> None:
    """Where a listed certificate cannot be read for any other reason, nothing is asked anew."""
    hub = Hub((2, True))
    lost(hub)
    hub.fake.controls.inject("acm-pca", "GetCertificate", error)
    with pytest.raises(PerennialError):
        hub.run(ask())
    assert len(hub.issued()) == 1


# --- shared CAs ---


def share(hub: Hub, *templates: str) -> None:
    """Shares the CA with the other account, which makes all calls from now on."""
    arns = [f"arn:aws:acm-pca:::template/{each}/V1" for each in templates]
    rights = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Resource": "*"}
    reading = ["acm-pca:GetCertificate", "acm-pca:DescribeCertificateAuthority", "acm-pca:RevokeCertificate"]
    issuing = {"Action": "acm-pca:IssueCertificate", "Condition": {"StringEquals": {"acm-pca:TemplateArn": arns}}}
    policy = {"Version": "2012-10-17", "Statement": [{**rights, **issuing}, {**rights, "Action": reading}]}
    hub.pca.put_policy(ResourceArn=hub.arn, Policy=json.dumps(policy))
    hub.account = OTHER


BOTH = ("serverAuth", "clientAuth")
SHARED = Profile(name="shared", issuer="inside", usages=BOTH, template="EndEntityCertificate/V1")


def test_a_shared_ca_issues_with_the_templates_of_its_share() -> None:
    """The profile names the template that the share allows; another is denied with what to do."""
    hub = Hub()
    share(hub, "EndEntityCertificate")
    with pytest.raises(AccessDenied, match=r"EndEntityServerAuthCertificate/V1.*EndEntityCertificate/V1 only"):
        hub.step(ask())
    hub.order = ""
    made = hub.run(ask(SHARED))
    assert parse(made.chain[0]).extended_key_usage == BOTH


@pytest.mark.parametrize("pause", PAUSES)
def test_a_lost_answer_of_a_shared_ca(pause: str) -> None:
    """Within the token's life it is repeated; later a person has to look, since only the owner has the report."""
    hub = Hub((2, True))
    share(hub, "EndEntityCertificate")
    if PAUSES[pause] < timedelta(minutes=3):
        assert [hub.run(ask(SHARED), PAUSES[pause]).arn] == hub.issued()
    else:
        with pytest.raises(ServiceRefused, match=f"owner of the CA .account {ACCOUNT}.*request again"):
            hub.run(ask(SHARED), PAUSES[pause])
        assert len(hub.issued()) == 1


# --- what is refused ---


def test_a_ca_for_short_lived_certificates() -> None:
    """Seven days are issued; a profile that asks for more is wrong, before anything is asked for."""
    hub = Hub(UsageMode="SHORT_LIVED_CERTIFICATE")
    with pytest.raises(InvalidConfiguration, match=r"validity_days.*7 days"):
        hub.step(ask(validity_days=8))
    assert hub.order == ""
    assert hub.run(ask(validity_days=7))


def test_a_ca_that_ends_too_early() -> None:
    """A validity beyond the CA's own is refused before anything is asked for."""
    hub = Hub(days=20)
    with pytest.raises(ServiceRefused, match="renew the CA"):
        hub.step(ask())
    assert hub.order == ""


@pytest.mark.parametrize(("status", "told"), [("DISABLED", "enable it"), ("EXPIRED", "renew"), ("DELETED", "restore")])
def test_a_ca_that_does_not_issue(status: str, told: str) -> None:
    """A CA that is not active is told with what to do."""
    hub = Hub()
    hub.authority().status = status
    with pytest.raises(ServiceRefused, match=told):
        hub.step(ask())


ERRORS: dict[str, tuple[str, int, type[PerennialError], str]] = {
    "throttling": ("ThrottlingException", 400, Throttled, "ThrottlingException"),
    "a fault of AWS": ("InternalFailure", 500, Unavailable, "InternalFailure"),
    "a quota": ("LimitExceededException", 400, ServiceRefused, "Service Quotas"),
    "a CA that was disabled meanwhile": ("InvalidStateException", 400, ServiceRefused, "enable or renew"),
    "a CSR that AWS does not take": ("MalformedCSRException", 400, ServiceRefused, "CSR"),
    "parameters that AWS does not take": ("InvalidArgsException", 400, ServiceRefused, "parameters"),
    "a denial": ("AccessDeniedException", 400, AccessDenied, "allow it with the template"),
    "a CA that is gone": ("ResourceNotFoundException", 400, NotFound, "ResourceNotFound"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_of_issuing(case: str) -> None:
    """Each error says whether it passes, and what to do; one that passes is resumed to one certificate."""
    error, status, kind, text = ERRORS[case]
    hub = Hub()
    hub.fake.controls.inject("acm-pca", "IssueCertificate", error, status=status)
    with pytest.raises(kind, match=text) as caught:
        hub.step(ask())
    assert type(caught.value) is kind
    if kind.retry:
        assert [hub.run(ask()).arn] == hub.issued()


def test_a_certificate_that_failed() -> None:
    """RequestFailedException ends the order."""
    hub = Hub()
    hub.step(ask())
    hub.fake.controls.inject("acm-pca", "GetCertificate", "RequestFailedException")
    with pytest.raises(ServiceRefused, match="console"):
        hub.step(ask())


def test_a_network_failure_passes() -> None:
    """A timeout of IssueCertificate is worth repeating."""
    hub = Hub()

    class Slow:
        def issue_certificate(self, **request: Any) -> Any:
            raise ConnectTimeoutError(endpoint_url="https://acm-pca.invalid")

    issuer = AcmPca(hub.settings, client=hub.pca, s3=hub.bucket, bucket="hub", asking=Slow())
    with pytest.raises(Unavailable):
        issuer.advance(ask(), "", presented=False, now=hub.clock(), keep=hub.keep)
    assert [hub.run(ask()).arn] == hub.issued()


@pytest.mark.parametrize("text", ["[]", "{", '{"asked_at":5}', '{"nonsense":1}', "null", '"x"'])
def test_an_order_of_someone_else(text: str) -> None:
    """A text that is no order is refused."""
    with pytest.raises(InvalidInput):
        Order.read(text)


def test_an_authority_that_is_no_arn() -> None:
    """The ARN is checked when the issuer is made."""
    with pytest.raises(InvalidConfiguration, match="authority"):
        AcmPca(PcaIssuer(name="x", authority="arn:aws:acm:eu-west-1:1:certificate/x"), client=0, s3=0, bucket="b")


GARBAGE = {
    "no certificate": {"Certificate": ""},
    "two certificates": {"Certificate": build("a").pem + build("b").pem},
    "something else": {"Certificate": "-----BEGIN CERTIFICATE-----\nAAAA"},
    "an endless chain": {"Certificate": build("a").pem, "CertificateChain": build("b").pem * 11},
    "megabytes": {"Certificate": build("a").pem, "CertificateChain": "x" * 2_097_152},
}


@pytest.mark.parametrize("case", GARBAGE)
def test_hostile_certificates(case: str) -> None:
    """A reply that is not one certificate with a chain is refused whole."""

    class Hostile:
        def get_certificate(self, **request: Any) -> Any:
            return GARBAGE[case]

    hub = Hub()
    hub.step(ask())
    issuer = AcmPca(hub.settings, client=Hostile(), s3=hub.bucket, bucket="hub")
    with pytest.raises(InvalidReply):
        issuer.advance(ask(), hub.order, presented=False, now=hub.clock(), keep=hub.keep)


# --- revoking ---


def test_revoking() -> None:
    """A certificate is revoked by its serial number; a second time is no error; an unknown reason is one."""
    hub = Hub()
    made = hub.run(ask())
    certificate = parse(made.chain[0])
    for _ in range(2):
        hub.issuer.revoke(certificate, made.arn, 1)
    (held,) = [each for each in hub.authority().issued.values() if each.arn == made.arn]
    assert held.revocation_reason == "KEY_COMPROMISE"
    for reason in (6, 8, 7, 11):
        with pytest.raises(InvalidInput, match="reason"):
            hub.issuer.revoke(certificate, made.arn, reason)
    with pytest.raises(NotFound):
        hub.issuer.revoke(build("other").certificate, "", 4)
    hub.fake.controls.inject("acm-pca", "RevokeCertificate", "RequestInProgressException")
    with pytest.raises(Throttled):
        hub.issuer.revoke(certificate, made.arn, 1)


@pytest.mark.parametrize(("number", "text"), [(0xA1B, "0a:1b"), (0x1B, "1b"), (0xFF00, "ff:00")])
def test_serial_numbers(number: int, text: str) -> None:
    """Serial numbers are written as pairs of digits with colons."""
    assert acm_pca._serial(build(serial=number).certificate) == text


# --- templates ---


def profile(*usages: str, template: str = "", home: KeyHome = KeyHome.SECRET) -> Profile:
    return Profile(name="p", issuer="inside", usages=usages, template=template, key_home=home)


CHOSEN = {
    "a server": (profile("serverAuth"), True, "EndEntityServerAuthCertificate/V1"),
    "a client": (profile("clientAuth"), True, "EndEntityClientAuthCertificate/V1"),
    "both": (profile("clientAuth", "serverAuth"), True, "EndEntityCertificate/V1"),
    "names that the CSR lacks": (profile("serverAuth"), False, "EndEntityServerAuthCertificate_APIPassthrough/V1"),
    "another usage": (profile("1.3.6.1.5.5.7.3.17"), True, "BlankEndEntityCertificate_APIPassthrough/V1"),
    "no usage": (profile(), True, "BlankEndEntityCertificate_APIPassthrough/V1"),
    "named": (
        profile("serverAuth", template="EndEntityServerAuthCertificate_CSRPassthrough/V1"),
        True,
        "EndEntityServerAuthCertificate_CSRPassthrough/V1",
    ),
}


@pytest.mark.parametrize("case", CHOSEN)
def test_the_template_of_a_profile(case: str) -> None:
    """Usages and the CSR's names decide the template; the CSR's extensions are used where a profile says so only."""
    settings, has_names, name = CHOSEN[case]
    assert pca_templates.choose(settings, csr_has_names=has_names).name == name


MISFITS: dict[str, tuple[Profile, bool, type[PerennialError], str]] = {
    "a CA": (
        profile("serverAuth", template="SubordinateCACertificate_PathLen0/V1"),
        True,
        InvalidConfiguration,
        "no t",
    ),
    "a root": (profile("serverAuth", template="RootCACertificate/V1"), True, InvalidConfiguration, "no template"),
    "blank without passthrough": (
        profile("serverAuth", template="BlankEndEntityCertificate/V1"),
        True,
        InvalidConfiguration,
        "no template",
    ),
    "other usages": (profile("clientAuth", template="EndEntityCertificate/V1"), True, InvalidConfiguration, "usages"),
    "a requester's extensions": (
        profile("serverAuth", template="EndEntityServerAuthCertificate_CSRPassthrough/V1", home=KeyHome.REQUESTER),
        True,
        InvalidConfiguration,
        "requester",
    ),
    "other names": (
        profile("serverAuth", template="EndEntityServerAuthCertificate/V1"),
        False,
        InvalidInput,
        "requested names",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_templates_that_do_not_fit(case: str) -> None:
    """A template that would make something else than the profile says is refused."""
    settings, has_names, kind, text = MISFITS[case]
    with pytest.raises(kind, match=text):
        pca_templates.choose(settings, csr_has_names=has_names)


def test_the_api_carries_what_the_csr_cannot() -> None:
    """Names and usages of a CSR without them come into the certificate, addresses too."""
    hub = Hub()
    names = ("host.corp.example", "192.0.2.7", "*.corp.example")
    made = hub.run(ask(profile("emailProtection", "1.3.6.1.5.5.7.3.17"), names=names, csr=csr()))
    leaf = parse(made.chain[0])
    assert (leaf.dns_names, leaf.ip_addresses) == (("host.corp.example", "*.corp.example"), ("192.0.2.7",))
    assert leaf.extended_key_usage == ("emailProtection", "1.3.6.1.5.5.7.3.17")
    assert leaf.key_usage == ("digital_signature",)


def test_a_csr_that_cannot_be_read() -> None:
    """Garbage instead of a CSR, and a usage that is none, are refused before anything is asked for."""
    hub = Hub()
    with pytest.raises(InvalidInput, match="CSR"):
        hub.step(ask(csr=b"garbage"))
    with pytest.raises(InvalidConfiguration, match="usage"):
        hub.step(ask(profile("fly")))
    assert hub.order == "" and hub.wire.calls == []


# --- audit reports ---

AUTHORITY = f"arn:aws:acm-pca:{REGION}:{ACCOUNT}:certificate-authority/a"


def row(minutes: float = 0, days: float = 30, number: int = 0, **more: Any) -> dict[str, Any]:
    """An entry of a report."""
    issued, end = NOW + timedelta(minutes=minutes), NOW + timedelta(minutes=minutes, days=days)
    return {
        "awsAccountId": ACCOUNT,
        "certificateArn": f"{AUTHORITY}/certificate/{number}",
        "issuedAt": issued.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        "notAfter": end.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        **more,
    }


def listed(body: bytes, size: int = 7) -> tuple[pca_audit.Listed, ...]:
    """What a report in pieces of some bytes says of ten minutes from NOW and thirty days."""
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return pca_audit.listed(pieces, authority=AUTHORITY, since=NOW, until=NOW + timedelta(minutes=10), validity_days=30)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_reports_are_read_in_pieces(size: int) -> None:
    """Only what was issued in the time and for the validity is found, however the report is cut."""
    rows = [
        row(5, number=1, subject="CN=ü,OU=[x]{}"),
        row(-1, number=2),
        row(11, number=3),
        row(5, days=90, number=4),
        row(1, number=5, revokedAt="2026-11-24T00:00:00+0000"),
    ]
    found = listed(json.dumps(rows, ensure_ascii=False, indent=1).encode(), size)
    assert [each.arn[-1] for each in found] == ["5", "1"] and [each.revoked for each in found] == [True, False]
    assert listed(b" [ ] \n", size) == ()


HOSTILE = {
    "nothing": b"",
    "cut off between": json.dumps([row()]).encode()[:-1],
    "cut off within": json.dumps([row()]).encode()[:-9],
    "no list": json.dumps(row()).encode(),
    "a list of numbers": b"[1, 2]",
    "not JSON": b"[" + b"x" * 70_000 + b"]",
    "not UTF-8": b"[\xff\xfe]",
    "a huge entry": json.dumps([row(subject="x" * 70_000)])[:-3].encode(),
    "no time": json.dumps([{**row(), "issuedAt": None}]).encode(),
    "a time without zone": json.dumps([{**row(), "issuedAt": "2026-11-23T12:00:00"}]).encode(),
    "no end": json.dumps([{**row(), "notAfter": "later"}]).encode(),
    "of another CA": json.dumps([{**row(), "certificateArn": "arn:aws:acm-pca:x"}]).encode(),
    "nested": b'[{"a":' + b"[" * 50_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_reports(case: str) -> None:
    """A report that is not complete and as documented is never taken for one that lists nothing."""
    with pytest.raises(InvalidReply):
        listed(HOSTILE[case], 4096)


def test_reports_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes, or more certificates of the time, than the bounds are refused; memory stays at one piece."""
    monkeypatch.setattr(pca_audit, "MAX_FOUND", 3)
    with pytest.raises(InvalidReply, match="more than 3"):
        listed(json.dumps([row(number=number) for number in range(4)]).encode(), 4096)
    monkeypatch.setattr(pca_audit, "MAX_BYTES", 10_000)

    def endless() -> Iterator[bytes]:
        yield b"["
        while True:
            yield b" " * 1_000

    with pytest.raises(InvalidReply, match="bytes"):
        pca_audit.listed(endless(), authority=AUTHORITY, since=NOW, until=NOW, validity_days=1)


def test_a_deployment_sends_each_request_for_a_certificate_once() -> None:
    """The SDK does not repeat IssueCertificate by itself: a repetition could arrive after the token is forgotten."""
    session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")
    deployment = Deployment({"PERENNIAL_BUCKET": "hub"})
    deployment.__dict__["clients"] = Clients(session)
    issuer = acm_pca.issuer(PcaIssuer(name="inside", authority=AUTHORITY), deployment)
    assert issuer._asking.meta.config.retries["total_max_attempts"] == 1
    assert issuer._client.meta.config.retries["total_max_attempts"] > 1
    assert {issuer._asking.meta.region_name, issuer._client.meta.region_name} == {REGION}


def test_every_call_has_its_permission() -> None:
    """Each step's declared actions are those of the calls that it makes, when it recovers too."""
    hub = Hub((2, False))
    with pytest.raises(Killed):
        hub.step(ask())
    hub.clock.now += timedelta(minutes=11)
    hub.pca.create_certificate_authority_audit_report(
        CertificateAuthorityArn=hub.arn, S3BucketName="hub", AuditReportResponseFormat="JSON"
    )
    made = hub.run(ask())
    assert permissions(hub) == set(acm_pca.ACTIONS) - {"s3:PutObject"}
    hub.wire.calls.clear()
    hub.issuer.revoke(parse(made.chain[0]), made.arn, 4)
    hub.issuer.roots()
    assert permissions(hub) == set(acm_pca.OF_STORING)


def permissions(hub: Hub) -> set[str]:
    """The IAM actions of what left through the wire."""
    s3 = {"get_object": "s3:GetObject", "list_objects_v2": "s3:ListBucket"}
    calls = {name for name in hub.wire.calls if name != "keep"}
    return {s3.get(name) or f"acm-pca:{''.join(map(str.capitalize, name.split('_')))}" for name in calls}
