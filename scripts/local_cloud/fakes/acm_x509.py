"""The facts that ACM reports about a certificate, read once from its DER."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

CLIENT_AUTH = Eku.CLIENT_AUTH.dotted_string

_CURVES = {"secp256r1": "EC_prime256v1", "secp384r1": "EC_secp384r1", "secp521r1": "EC_secp521r1"}

_KEY_USAGES = {
    "digital_signature": "DIGITAL_SIGNATURE",
    "content_commitment": "NON_REPUDIATION",
    "key_encipherment": "KEY_ENCIPHERMENT",
    "data_encipherment": "DATA_ENCIPHERMENT",
    "key_agreement": "KEY_AGREEMENT",
    "key_cert_sign": "CERTIFICATE_SIGNING",
    "crl_sign": "CRL_SIGNING",
}

_EXTENDED_KEY_USAGES = {
    Eku.SERVER_AUTH.dotted_string: "TLS_WEB_SERVER_AUTHENTICATION",
    CLIENT_AUTH: "TLS_WEB_CLIENT_AUTHENTICATION",
    Eku.CODE_SIGNING.dotted_string: "CODE_SIGNING",
    Eku.EMAIL_PROTECTION.dotted_string: "EMAIL_PROTECTION",
    Eku.TIME_STAMPING.dotted_string: "TIME_STAMPING",
    Eku.OCSP_SIGNING.dotted_string: "OCSP_SIGNING",
    Eku.ANY_EXTENDED_KEY_USAGE.dotted_string: "ANY",
    "1.3.6.1.5.5.7.3.5": "IPSEC_END_SYSTEM",
    "1.3.6.1.5.5.7.3.6": "IPSEC_TUNNEL",
    "1.3.6.1.5.5.7.3.7": "IPSEC_USER",
}

_SIGNATURES = {
    SignatureAlgorithmOID.RSA_WITH_SHA1: "SHA1WITHRSA",
    SignatureAlgorithmOID.RSA_WITH_SHA256: "SHA256WITHRSA",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "SHA384WITHRSA",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "SHA512WITHRSA",
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "SHA256WITHECDSA",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "SHA384WITHECDSA",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "SHA512WITHECDSA",
}

_NAME_FIELDS = {
    NameOID.COMMON_NAME: "CommonName",
    NameOID.COUNTRY_NAME: "Country",
    NameOID.DN_QUALIFIER: "DistinguishedNameQualifier",
    NameOID.GENERATION_QUALIFIER: "GenerationQualifier",
    NameOID.GIVEN_NAME: "GivenName",
    NameOID.INITIALS: "Initials",
    NameOID.LOCALITY_NAME: "Locality",
    NameOID.ORGANIZATION_NAME: "Organization",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OrganizationalUnit",
    NameOID.PSEUDONYM: "Pseudonym",
    NameOID.SERIAL_NUMBER: "SerialNumber",
    NameOID.STATE_OR_PROVINCE_NAME: "State",
    NameOID.SURNAME: "Surname",
    NameOID.TITLE: "Title",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """One certificate as ACM describes it. `key_usages` or `extended_key_usages` is None without such an extension."""

    serial: str
    subject: str
    issuer: str
    common_name: str | None
    not_before: datetime
    not_after: datetime
    key_algorithm: str
    signature_algorithm: str
    key_usages: tuple[str, ...] | None
    extended_key_usages: tuple[tuple[str, str], ...] | None
    dns_names: tuple[str, ...]
    subject_name: dict[str, Any]
    issuer_name: dict[str, Any]
    general_names: tuple[dict[str, Any], ...]

    @property
    def domain_name(self) -> str | None:
        """The name that stands for the certificate: its common name, else its first DNS name."""
        return self.common_name or (self.dns_names[0] if self.dns_names else None)

    @property
    def names(self) -> list[str]:
        """All domain names, the one that stands for the certificate first, each once."""
        first = [self.domain_name] if self.domain_name else []
        return list(dict.fromkeys([*first, *self.dns_names]))

    @property
    def usage_names(self) -> list[str]:
        """The extended key usages by name, NONE where the certificate has no such extension."""
        return [name for name, _ in self.extended_key_usages] if self.extended_key_usages is not None else ["NONE"]


def serial_text(number: int) -> str:
    """A serial number as AWS writes it: lower-case hexadecimal bytes, colon-separated."""
    text = f"{number:x}"
    return bytes.fromhex(text.zfill(len(text) + len(text) % 2)).hex(":")


def key_algorithm(key: Any) -> str:
    """ACM's name for the kind of a public or private key; UNSUPPORTED for what ACM does not take."""
    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        return f"RSA_{key.key_size}"
    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        return _CURVES.get(key.curve.name, "UNSUPPORTED")
    return "UNSUPPORTED"


def read(certificate: x509.Certificate) -> Facts:
    """The facts of a parsed certificate. Raises ValueError if an extension cannot be read."""
    extensions = certificate.extensions
    names = _extension(extensions, x509.SubjectAlternativeName)
    subject_name = _name(certificate.subject)
    return Facts(
        serial=serial_text(certificate.serial_number),
        subject=_rfc4514(certificate.subject),
        issuer=_issuer_text(certificate.issuer),
        common_name=subject_name.get("CommonName"),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_algorithm=key_algorithm(certificate.public_key()),
        signature_algorithm=_signature(certificate.signature_algorithm_oid),
        key_usages=_key_usages(_extension(extensions, x509.KeyUsage)),
        extended_key_usages=_extended(_extension(extensions, x509.ExtendedKeyUsage)),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)) if names else (),
        subject_name=subject_name,
        issuer_name=_name(certificate.issuer),
        general_names=tuple(_general_name(name) for name in names) if names else (),
    )


def _extension(extensions: x509.Extensions, kind: type[Any]) -> Any:
    return next((item.value for item in extensions if item.oid == kind.oid), None)


def _rfc4514(name: x509.Name) -> str:
    """The name the way ACM prints it: most specific part last, comma-separated."""
    return ",".join(part.rfc4514_string() for part in name.rdns)


def _issuer_text(name: x509.Name) -> str:
    """ACM's `Issuer` is the organization, or the common name where there is none."""
    found = _name(name)
    return found.get("Organization") or found.get("CommonName") or _rfc4514(name)


def _signature(oid: x509.ObjectIdentifier) -> str:
    return _SIGNATURES.get(oid, oid.dotted_string)


def _key_usages(usage: x509.KeyUsage | None) -> tuple[str, ...] | None:
    if usage is None:
        return None
    names = [name for attribute, name in _KEY_USAGES.items() if getattr(usage, attribute)]
    if usage.key_agreement:
        names += [name for name in ("ENCIPHER_ONLY", "DECIPHER_ONLY") if getattr(usage, name.lower())]
    return tuple(names)


def _extended(usage: x509.ExtendedKeyUsage | None) -> tuple[tuple[str, str], ...] | None:
    if usage is None:
        return None
    oids = [oid.dotted_string for oid in usage]
    return tuple((_EXTENDED_KEY_USAGES.get(oid, "CUSTOM"), oid) for oid in oids)


def _name(name: x509.Name) -> dict[str, Any]:
    """A distinguished name as SearchCertificates returns it."""
    found: dict[str, Any] = {}
    for attribute in name:
        field = _NAME_FIELDS.get(attribute.oid)
        if field:
            found[field] = attribute.value
        elif attribute.oid == NameOID.DOMAIN_COMPONENT:
            found.setdefault("DomainComponents", []).append(attribute.value)
        else:
            custom = {"ObjectIdentifier": attribute.oid.dotted_string, "Value": str(attribute.value)}
            found.setdefault("CustomAttributes", []).append(custom)
    return found


_GENERAL_NAMES: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    x509.DNSName: lambda name: {"DnsName": name.value},
    x509.IPAddress: lambda name: {"IpAddress": str(name.value)},
    x509.RFC822Name: lambda name: {"Rfc822Name": name.value},
    x509.UniformResourceIdentifier: lambda name: {"UniformResourceIdentifier": name.value},
    x509.RegisteredID: lambda name: {"RegisteredId": name.value.dotted_string},
    x509.DirectoryName: lambda name: {"DirectoryName": _name(name.value)},
    x509.OtherName: lambda name: {
        "OtherName": {"ObjectIdentifier": name.type_id.dotted_string, "Value": name.value.hex()}
    },
}


def _general_name(name: x509.GeneralName) -> dict[str, Any]:
    return _GENERAL_NAMES[type(name)](name)
