"""A private CA: its key, its certificate, what it issued, and how it signs.

Source: AWS Private CA User Guide, "Supported cryptographic algorithms"; API Reference, "CertificateAuthority".
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from local_cloud.fakes import acm_x509, pca_names
from local_cloud.fakes.service import ServiceError

_CURVES: dict[str, type[Any]] = {
    "EC_prime256v1": ec.SECP256R1,
    "EC_secp384r1": ec.SECP384R1,
    "EC_secp521r1": ec.SECP521R1,
}
_ML_DSA: dict[str, Any] = {
    "ML_DSA_44": mldsa.MLDSA44PrivateKey,
    "ML_DSA_65": mldsa.MLDSA65PrivateKey,
    "ML_DSA_87": mldsa.MLDSA87PrivateKey,
}
_HASHES: dict[str, type[Any]] = {"SHA256": hashes.SHA256, "SHA384": hashes.SHA384, "SHA512": hashes.SHA512}


def new_key(algorithm: str) -> Any:
    """A private key of one of ACM PCA's kinds. SM2, which is for China only, is refused."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm in _ML_DSA:
        return _ML_DSA[algorithm].generate()
    if algorithm.startswith("RSA_"):
        return rsa.generate_private_key(65537, int(algorithm.removeprefix("RSA_")))
    raise pca_names.invalid(f"The key algorithm {algorithm} is not supported in this region.")


def signing_algorithms(key_algorithm: str) -> list[str]:
    """The signing algorithms that a CA key can use."""
    if key_algorithm in _ML_DSA:
        return [key_algorithm]
    family = "RSA" if key_algorithm.startswith("RSA") else "ECDSA"
    plain = [f"{digest}WITH{family}" for digest in _HASHES]
    return plain + [f"{name}_PSS" for name in plain] if family == "RSA" else plain


def require_fitting(signing_algorithm: str, key_algorithm: str) -> None:
    """Raises InvalidArgsException where a key cannot sign that way."""
    valid = signing_algorithms(key_algorithm)
    if signing_algorithm not in valid:
        raise pca_names.invalid(
            f"Signing algorithm {signing_algorithm} cannot be used with key type {key_algorithm}. "
            f"Valid signing algorithms are: {', '.join(valid)}."
        )


def sign(builder: Any, key: Any, algorithm: str) -> Any:
    """The certificate or request that a builder describes, signed."""
    if algorithm in _ML_DSA:
        return builder.sign(key, None)
    digest = _HASHES[algorithm.split("WITH")[0]]()
    if algorithm.endswith("_PSS"):
        return builder.sign(key, digest, rsa_padding=padding.PSS(padding.MGF1(digest), digest.digest_size))
    return builder.sign(key, digest)


@dataclass(slots=True)
class Issued:
    """One certificate that a CA issued. It can be fetched from `ready_at` on."""

    arn: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    template_arn: str
    issued_at: datetime
    ready_at: datetime
    requested_by: str | None = None
    revoked_at: datetime | None = None
    revocation_reason: str | None = None


@dataclass(slots=True)
class Authority:
    """One private CA. `status` is what was decided; `status_at` adds that an active CA expires."""

    arn: str
    kind: str
    configuration: dict[str, Any]
    usage_mode: str
    storage_standard: str
    revocation: dict[str, Any]
    created_at: datetime
    changed_at: datetime
    key: Any
    status: str = "PENDING_CERTIFICATE"
    certificate: x509.Certificate | None = None
    chain: tuple[x509.Certificate, ...] = ()
    restorable_until: datetime | None = None
    restored_status: str | None = None
    policy: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    permissions: dict[tuple[str, str | None], dict[str, Any]] = field(default_factory=dict)
    issued: dict[int, Issued] = field(default_factory=dict)
    tokens: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def account(self) -> str:
        """The account that owns the CA."""
        return self.arn.split(":")[4]

    @property
    def key_algorithm(self) -> str:
        """The kind of the CA's key."""
        return self.configuration["KeyAlgorithm"]

    @property
    def full_chain(self) -> tuple[x509.Certificate, ...]:
        """The CA's certificate and what is above it: the chain of what it issues."""
        return (self.certificate, *self.chain) if self.certificate else ()

    @property
    def path_length(self) -> int | None:
        """How many CAs may follow; None where that is not limited."""
        if self.certificate is None:
            return None
        return self.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length

    def status_at(self, now: datetime) -> str:
        """The status at a time."""
        expired = self.certificate and self.certificate.not_valid_after_utc < now
        return "EXPIRED" if expired and self.status in ("ACTIVE", "DISABLED") else self.status

    def move_to(self, status: str, now: datetime) -> None:
        """Changes the status."""
        self.status, self.changed_at = status, now

    def require(self, now: datetime, *allowed: str) -> None:
        """Raises InvalidStateException unless the CA is in one of the states."""
        if self.status_at(now) not in allowed:
            raise ServiceError(
                "InvalidStateException",
                f"The certificate authority {self.arn} is {self.status_at(now)}, not in a valid state.",
            )

    def request(self) -> str:
        """The CA's own signing request."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(pca_names.subject(self.configuration["Subject"]))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        if usage := self.configuration.get("CsrExtensions", {}).get("KeyUsage"):
            builder = builder.add_extension(pca_names.key_usage(usage), critical=True)
        made = sign(builder, self.key, self.configuration["SigningAlgorithm"])
        return made.public_bytes(Encoding.PEM).decode()

    def described(self, now: datetime) -> dict[str, Any]:
        """As DescribeCertificateAuthority returns it."""
        own = self.certificate
        return {
            "Arn": self.arn,
            "OwnerAccount": self.account,
            "CreatedAt": self.created_at,
            "LastStateChangeAt": self.changed_at,
            "Type": self.kind,
            "Serial": own and acm_x509.serial_text(own.serial_number),
            "Status": self.status_at(now),
            "NotBefore": own and own.not_valid_before_utc,
            "NotAfter": own and own.not_valid_after_utc,
            "CertificateAuthorityConfiguration": self.configuration,
            "RevocationConfiguration": self.revocation,
            "RestorableUntil": self.restorable_until,
            "KeyStorageSecurityStandard": self.storage_standard,
            "UsageMode": self.usage_mode,
        }


def created(account: str, region: str, request: dict[str, Any], now: datetime, tags: dict[str, str]) -> Authority:
    """The CA of a CreateCertificateAuthority request, with a new key. Raises ServiceError."""
    configuration = request["CertificateAuthorityConfiguration"]
    require_fitting(configuration["SigningAlgorithm"], configuration["KeyAlgorithm"])
    pca_names.subject(configuration["Subject"])
    return Authority(
        arn=f"arn:aws:acm-pca:{region}:{account}:certificate-authority/{uuid.uuid4()}",
        kind=request["CertificateAuthorityType"],
        configuration=configuration,
        usage_mode=request.get("UsageMode", "GENERAL_PURPOSE"),
        storage_standard=request.get("KeyStorageSecurityStandard", "FIPS_140_2_LEVEL_3_OR_HIGHER"),
        revocation=checked_revocation(request.get("RevocationConfiguration", {})),
        created_at=now,
        changed_at=now,
        key=new_key(configuration["KeyAlgorithm"]),
        tags=tags,
    )


def checked_revocation(configuration: dict[str, Any]) -> dict[str, Any]:
    """The revocation settings, if they go together.

    Source: API Reference "RevocationConfiguration": a disabling configuration has nothing but `Enabled`; a CRL needs a
    bucket and a validity; a custom name has no protocol.
    """
    for kind in ("CrlConfiguration", "OcspConfiguration"):
        part = configuration.get(kind, {})
        if part and not part["Enabled"] and len(part) > 1:
            raise pca_names.invalid(f"A {kind} that is not enabled must contain nothing else.")
        if "://" in part.get("CustomCname", part.get("OcspCustomCname", "")):
            raise pca_names.invalid("A custom name must not include a protocol prefix.")
    crl = configuration.get("CrlConfiguration", {})
    if crl.get("Enabled") and not ("S3BucketName" in crl and "ExpirationInDays" in crl):
        raise pca_names.invalid("A CRL needs an S3BucketName and ExpirationInDays.")
    return {
        "CrlConfiguration": configuration.get("CrlConfiguration", {"Enabled": False}),
        "OcspConfiguration": configuration.get("OcspConfiguration", {"Enabled": False}),
    }
