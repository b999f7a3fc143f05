"""What a private CA issues and what it refuses: keys, tokens, validity, templates, passthrough."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from fake_estate import NOW, Clock, key_usage, named, refused
from private_ca import DAY, TEMPLATE, Bucket, activated, csr, issued, pem, subordinate, value

from local_cloud.fakes.acm_pca import AcmPca
from local_cloud.fakes.loopback import ACCOUNT, REGION, client, here


@pytest.fixture
def fake() -> AcmPca:
    return AcmPca(where=here, clock=Clock(), put_object=Bucket())


@pytest.fixture
def pca(fake: AcmPca) -> Any:
    return client(fake)


def test_a_hierarchy_of_three(pca: Any, fake: AcmPca) -> None:
    """Root, subordinate CA and leaf verify link by link, with basic constraints and path lengths."""
    root = activated(pca, fake)
    middle = subordinate(pca, fake, root, path=1)
    made = issued(pca, fake, middle, csr())
    leaf, (above, top) = made["leaf"], made["chain"]
    leaf.verify_directly_issued_by(above)
    above.verify_directly_issued_by(top)
    assert value(top, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=None)
    assert value(above, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=1)
    assert value(leaf, x509.BasicConstraints) == x509.BasicConstraints(ca=False, path_length=None)
    identifier = value(leaf, x509.AuthorityKeyIdentifier).key_identifier
    assert identifier == value(above, x509.SubjectKeyIdentifier).digest
    found = pca.get_certificate_authority_certificate(CertificateAuthorityArn=middle)
    assert found["CertificateChain"].encode() == pem(top)


KEYS = {
    "RSA": ("RSA_2048", "SHA384WITHRSA"),
    "RSA-PSS": ("RSA_2048", "SHA256WITHRSA_PSS"),
    "P-384": ("EC_secp384r1", "SHA384WITHECDSA"),
    "P-521": ("EC_secp521r1", "SHA512WITHECDSA"),
    "ML-DSA-44": ("ML_DSA_44", "ML_DSA_44"),
    "ML-DSA-65": ("ML_DSA_65", "ML_DSA_65"),
    "ML-DSA-87": ("ML_DSA_87", "ML_DSA_87"),
}


@pytest.mark.parametrize("case", KEYS)
def test_every_kind_of_key_signs(pca: Any, fake: AcmPca, case: str) -> None:
    """A CA of each key kind signs itself and a leaf with an algorithm of its family."""
    key, algorithm = KEYS[case]
    arn = activated(pca, fake, key=key, algorithm=algorithm)
    made = issued(pca, fake, arn, csr(), SigningAlgorithm=algorithm)
    made["leaf"].verify_directly_issued_by(made["chain"][0])


def test_a_certificate_is_ready_after_a_while(pca: Any, fake: AcmPca) -> None:
    """GetCertificate answers RequestInProgressException until the certificate is issued."""
    arn = activated(pca, fake)
    made = pca.issue_certificate(
        CertificateAuthorityArn=arn, Csr=csr(), SigningAlgorithm="SHA256WITHECDSA", Validity=DAY
    )["CertificateArn"]
    with refused("RequestInProgressException"):
        pca.get_certificate(CertificateAuthorityArn=arn, CertificateArn=made)
    fake.now.pass_time(seconds=0.2)
    assert pca.get_certificate(CertificateAuthorityArn=arn, CertificateArn=made)["Certificate"]


def test_a_token_issues_once_in_five_minutes(pca: Any, fake: AcmPca) -> None:
    """The same token gives the same certificate for five minutes and a new one afterwards."""
    arn = activated(pca, fake)
    first = issued(pca, fake, arn, csr(), IdempotencyToken="one")["arn"]
    assert issued(pca, fake, arn, csr(), IdempotencyToken="one")["arn"] == first
    fake.now.pass_time(minutes=5)
    assert issued(pca, fake, arn, csr(), IdempotencyToken="one")["arn"] != first


def test_an_admin_call_puts_the_clock_forward(pca: Any, fake: AcmPca) -> None:
    """A token is forgotten five minutes later also where time passes by a call, until the fake is reset."""
    arn = activated(pca, fake)
    clock = fake.now
    request = {"CertificateAuthorityArn": arn, "Csr": csr(), "SigningAlgorithm": "SHA256WITHECDSA", "Validity": DAY}
    first = pca.issue_certificate(**request, IdempotencyToken="one")["CertificateArn"]
    assert pca.issue_certificate(**request, IdempotencyToken="one")["CertificateArn"] == first
    fake.admin_pass_time({"seconds": 300})
    assert pca.issue_certificate(**request, IdempotencyToken="one")["CertificateArn"] != first
    fake.reset()
    assert fake.now() == clock()


def seconds(time: datetime) -> int:
    """Seconds since 1970."""
    return int(time.timestamp())


VALIDITIES = {
    "days": ({"Type": "DAYS", "Value": 30}, timedelta(days=30)),
    "months": ({"Type": "MONTHS", "Value": 3}, timedelta(days=92)),
    "years": ({"Type": "YEARS", "Value": 1}, timedelta(days=365)),
    "absolute": ({"Type": "ABSOLUTE", "Value": seconds(NOW + timedelta(days=9))}, timedelta(days=9)),
    "end date of 12 digits": ({"Type": "END_DATE", "Value": 261201120000}, timedelta(days=8)),
    "end date of 14 digits": ({"Type": "END_DATE", "Value": 20261201120000}, timedelta(days=8)),
}


@pytest.mark.parametrize("case", VALIDITIES)
def test_validities(pca: Any, fake: AcmPca, case: str) -> None:
    """The end is what the validity says, the start 60 minutes before the order."""
    validity, length = VALIDITIES[case]
    arn = activated(pca, fake)
    fake.now.now = NOW
    leaf = issued(pca, fake, arn, csr(), Validity=validity)["leaf"]
    assert leaf.not_valid_after_utc == NOW + length
    assert leaf.not_valid_before_utc == NOW - timedelta(minutes=60)


def test_a_start_can_be_given(pca: Any, fake: AcmPca) -> None:
    """ValidityNotBefore, of type ABSOLUTE only, sets the start."""
    arn = activated(pca, fake)
    start = {"Type": "ABSOLUTE", "Value": seconds(NOW)}
    assert issued(pca, fake, arn, csr(), ValidityNotBefore=start)["leaf"].not_valid_before_utc == NOW
    with refused("ValidationException", "ABSOLUTE"):
        issued(pca, fake, arn, csr(), ValidityNotBefore=DAY)


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an end beyond the CA's": ({"Validity": {"Type": "YEARS", "Value": 11}}, "ValidationException", "exceeds"),
    "an end in the past": ({"Validity": {"Type": "ABSOLUTE", "Value": 1}}, "ValidationException", "past"),
    "an end date that is none": (
        {"Validity": {"Type": "END_DATE", "Value": 20261399000000}},
        "ValidationException",
        "not valid",
    ),
    "an algorithm of another family": (
        {"SigningAlgorithm": "SHA256WITHRSA"},
        "InvalidArgsException",
        "cannot be used with key type EC_prime256v1",
    ),
    "an unknown template": ({"TemplateArn": f"{TEMPLATE}Nothing/V1"}, "InvalidArgsException", "template"),
    "a blank template without passthrough": (
        {"TemplateArn": f"{TEMPLATE}BlankEndEntityCertificate/V1"},
        "InvalidArgsException",
        "template",
    ),
    "a subordinate template without path length": (
        {"TemplateArn": f"{TEMPLATE}SubordinateCACertificate/V1"},
        "InvalidArgsException",
        "template",
    ),
    "a root template with the CSR of someone else": (
        {"TemplateArn": f"{TEMPLATE}RootCACertificate/V1"},
        "MalformedCSRException",
        "",
    ),
    "a CSR that is none": ({"Csr": b"garbage"}, "MalformedCSRException", ""),
    "a CSR without names": ({"Csr": csr(None)}, "MalformedCSRException", "neither"),
    "an ARN that is none": (
        {"CertificateAuthorityArn": "arn:aws:acm-pca:eu-central-1:1:other"},
        "InvalidArnException",
        "",
    ),
    "a CA that is not there": (
        {"CertificateAuthorityArn": f"arn:aws:acm-pca:{REGION}:{ACCOUNT}:certificate-authority/none"},
        "ResourceNotFoundException",
        "",
    ),
    "an unknown validity type": ({"Validity": {"Type": "WEEKS", "Value": 1}}, "ValidationException", "enum"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_orders_that_are_refused(pca: Any, fake: AcmPca, case: str) -> None:
    """An order that breaks a rule of AWS Private CA is refused."""
    changes, code, text = REFUSED[case]
    arn = activated(pca, fake)
    order = {"CertificateAuthorityArn": arn, "Csr": csr(), "SigningAlgorithm": "SHA256WITHECDSA", "Validity": DAY}
    with refused(code, text):
        pca.issue_certificate(**{**order, **changes})


def test_short_lived_mode_allows_seven_days(pca: Any, fake: AcmPca) -> None:
    """A CA in SHORT_LIVED_CERTIFICATE mode issues for seven days and not for eight."""
    arn = activated(pca, fake, UsageMode="SHORT_LIVED_CERTIFICATE")
    assert issued(pca, fake, arn, csr(), Validity={"Type": "DAYS", "Value": 7})
    with refused("ValidationException", "7 days"):
        issued(pca, fake, arn, csr(), Validity={"Type": "DAYS", "Value": 8})


def test_a_path_length_must_fit_below_its_ca(pca: Any, fake: AcmPca) -> None:
    """A CA with path length 0 issues no CA, one with path length 1 only path length 0."""
    middle = subordinate(pca, fake, activated(pca, fake), path=1)
    with refused("ValidationException", "path length"):
        subordinate(pca, fake, middle, path=1, days=300)
    lowest = subordinate(pca, fake, middle, path=0, days=300)
    with refused("ValidationException", "path length"):
        subordinate(pca, fake, lowest, path=0, days=200)


CLIENT_EKU = x509.ExtendedKeyUsage([Eku.CLIENT_AUTH])
CODE_EKU = x509.ExtendedKeyUsage([Eku.CODE_SIGNING])
API = {
    "Subject": {"CommonName": "from.api"},
    "Extensions": {
        "ExtendedKeyUsage": [{"ExtendedKeyUsageType": "CODE_SIGNING"}],
        "SubjectAlternativeNames": [{"DnsName": "from.api"}, {"IpAddress": "192.0.2.1"}],
    },
}
SERVER_AND_CLIENT = [Eku.SERVER_AUTH, Eku.CLIENT_AUTH]
TEMPLATES: dict[str, tuple[str, list[Any] | None, str]] = {
    "EndEntityCertificate": ("host.example.com", SERVER_AND_CLIENT, "host.example.com"),
    "EndEntityServerAuthCertificate": ("host.example.com", [Eku.SERVER_AUTH], "host.example.com"),
    "EndEntityClientAuthCertificate": ("host.example.com", [Eku.CLIENT_AUTH], "host.example.com"),
    "CodeSigningCertificate": ("host.example.com", [Eku.CODE_SIGNING], "host.example.com"),
    "OCSPSigningCertificate": ("host.example.com", [Eku.OCSP_SIGNING], "host.example.com"),
    "EndEntityCertificate_APIPassthrough": ("from.api", SERVER_AND_CLIENT, "from.api"),
    "EndEntityCertificate_CSRPassthrough": ("host.example.com", SERVER_AND_CLIENT, "host.example.com"),
    "EndEntityCertificate_APICSRPassthrough": ("from.api", SERVER_AND_CLIENT, "from.api"),
    "BlankEndEntityCertificate_APIPassthrough": ("from.api", [Eku.CODE_SIGNING], "from.api"),
    "BlankEndEntityCertificate_CSRPassthrough": ("host.example.com", [Eku.CLIENT_AUTH], "host.example.com"),
    "BlankEndEntityCertificate_APICSRPassthrough": ("from.api", [Eku.CODE_SIGNING], "from.api"),
    "BlankEndEntityCertificate_CriticalBasicConstraints_APIPassthrough": ("from.api", [Eku.CODE_SIGNING], "from.api"),
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates(pca: Any, fake: AcmPca, template: str) -> None:
    """What the template defines wins over the API's values, which win over the CSR's."""
    subject, extended, name = TEMPLATES[template]
    arn = activated(pca, fake)
    request = csr(extended=CLIENT_EKU)
    leaf = issued(pca, fake, arn, request, template, ApiPassthrough=API)["leaf"]
    assert leaf.subject == named(subject)
    found = value(leaf, x509.ExtendedKeyUsage)
    assert (list(found) if found else None) == extended
    assert value(leaf, x509.SubjectAlternativeName).get_values_for_type(x509.DNSName) == [name]
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical == ("Critical" in template)


def test_custom_extensions_and_key_usage_by_api(pca: Any, fake: AcmPca) -> None:
    """A blank template takes key usage, policies and custom extensions from the API."""
    arn = activated(pca, fake)
    extensions = {
        "KeyUsage": {"DigitalSignature": True},
        "CertificatePolicies": [{"CertPolicyId": "2.23.140.1.2.1"}],
        "CustomExtensions": [{"ObjectIdentifier": "1.2.3.4", "Value": "BQA=", "Critical": True}],
    }
    template = "BlankEndEntityCertificate_APIPassthrough"
    leaf = issued(pca, fake, arn, csr(), template, ApiPassthrough={"Extensions": extensions})["leaf"]
    assert value(leaf, x509.KeyUsage) == key_usage("digital_signature")
    custom = next(item for item in leaf.extensions if item.oid.dotted_string == "1.2.3.4")
    assert (custom.critical, custom.value.value) == (True, b"\x05\x00")


def test_a_crl_is_pointed_at_where_it_is_configured(pca: Any, fake: AcmPca) -> None:
    """The CRL's address is in certificates, unless the extension is omitted."""
    crl = {"Enabled": True, "ExpirationInDays": 7, "S3BucketName": "crls"}
    arn = activated(pca, fake, RevocationConfiguration={"CrlConfiguration": crl})
    points = value(issued(pca, fake, arn, csr())["leaf"], x509.CRLDistributionPoints)
    assert points[0].full_name[0].value == f"http://crls.s3.{REGION}.amazonaws.com/crl/{arn.rpartition('/')[2]}.crl"
    omitted = {**crl, "CrlDistributionPointExtensionConfiguration": {"OmitExtension": True}}
    pca.update_certificate_authority(CertificateAuthorityArn=arn, RevocationConfiguration={"CrlConfiguration": omitted})
    assert value(issued(pca, fake, arn, csr())["leaf"], x509.CRLDistributionPoints) is None
