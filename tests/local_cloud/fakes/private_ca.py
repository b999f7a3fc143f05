"""Private CAs and their certificates, made through boto3 as a caller of AWS Private CA makes them."""

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from fake_estate import named, private_key

from local_cloud.fakes.acm_pca import AcmPca

TEMPLATE = "arn:aws:acm-pca:::template/"
OTHER_ACCOUNT = "444455556666"
DAY = {"Type": "DAYS", "Value": 1}


class Bucket(dict[str, tuple[bytes, str]]):
    """Objects by "bucket/key"; writing to the bucket `missing` fails."""

    def __call__(self, bucket: str, key: str, body: bytes, content_type: str) -> int:
        self[f"{bucket}/{key}"] = (body, content_type)
        return 404 if bucket == "missing" else 200


def csr(name: str | None = "host.example.com", *, kind: str = "EC_prime256v1", **extensions: Any) -> bytes:
    """A signing request, with a DNS name and more extensions."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(named(name))
    if name:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    for extension in extensions.values():
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(private_key(kind), hashes.SHA256()).public_bytes(Encoding.PEM)


def created(
    pca: Any, kind: str = "ROOT", key: str = "EC_prime256v1", algorithm: str = "SHA256WITHECDSA", **more: Any
) -> str:
    """The ARN of a CA that waits for its certificate."""
    configuration = {"KeyAlgorithm": key, "SigningAlgorithm": algorithm, "Subject": {"CommonName": f"{kind} CA"}}
    return pca.create_certificate_authority(
        CertificateAuthorityConfiguration=configuration, CertificateAuthorityType=kind, **more
    )["CertificateAuthorityArn"]


def issued(
    pca: Any, fake: AcmPca, arn: str, request: bytes, template: str | None = None, **more: Any
) -> dict[str, Any]:
    """{"arn", "leaf", "chain"} of a certificate that was ordered and fetched."""
    options = {"SigningAlgorithm": "SHA256WITHECDSA", "Validity": DAY, **more}
    if template:
        options["TemplateArn"] = f"{TEMPLATE}{template}/V1"
    made = pca.issue_certificate(CertificateAuthorityArn=arn, Csr=request, **options)["CertificateArn"]
    fake.now.pass_time(seconds=1)
    found = pca.get_certificate(CertificateAuthorityArn=arn, CertificateArn=made)
    leaf = x509.load_pem_x509_certificate(found["Certificate"].encode())
    chain = found.get("CertificateChain")
    return {"arn": made, "leaf": leaf, "chain": x509.load_pem_x509_certificates(chain.encode()) if chain else []}


def activated(pca: Any, fake: AcmPca, days: int = 3650, algorithm: str = "SHA256WITHECDSA", **more: Any) -> str:
    """The ARN of an active root CA."""
    arn = created(pca, algorithm=algorithm, **more)
    request = pca.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"].encode()
    validity = {"Type": "DAYS", "Value": days}
    own = issued(pca, fake, arn, request, "RootCACertificate", Validity=validity, SigningAlgorithm=algorithm)["leaf"]
    pca.import_certificate_authority_certificate(
        CertificateAuthorityArn=arn, Certificate=own.public_bytes(Encoding.PEM)
    )
    return arn


def subordinate(pca: Any, fake: AcmPca, parent: str, path: int = 0, days: int = 365) -> str:
    """The ARN of an active CA below another one."""
    arn = created(pca, "SUBORDINATE")
    request = pca.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"].encode()
    validity = {"Type": "DAYS", "Value": days}
    made = issued(pca, fake, parent, request, f"SubordinateCACertificate_PathLen{path}", Validity=validity)
    pca.import_certificate_authority_certificate(
        CertificateAuthorityArn=arn, Certificate=pem(made["leaf"]), CertificateChain=pem(*made["chain"])
    )
    return arn


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates as one PEM text."""
    return b"".join(item.public_bytes(Encoding.PEM) for item in certificates)


def value(certificate: x509.Certificate, kind: Any) -> Any:
    """The value of an extension, None without it."""
    return next((item.value for item in certificate.extensions if item.oid == kind.oid), None)


def status(pca: Any, arn: str) -> str:
    """The state of a CA."""
    return pca.describe_certificate_authority(CertificateAuthorityArn=arn)["CertificateAuthority"]["Status"]
