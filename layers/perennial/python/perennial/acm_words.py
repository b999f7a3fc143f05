"""The words in which ACM and ACM PCA tell about a certificate without sending it, in the library's words. Pure.

A summary says less than the certificate: what it lacks is None, and a check does not apply to it.
Sources: ACM API reference (X509Attributes, DistinguishedName, GeneralName, CertificateSummary); ACM PCA API reference
(ASN1Subject, CertificateAuthorityConfiguration). cryptography is not needed here, and not imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from perennial.certificate import MAX_NAMES, Certificate

_KEYS: dict[str, tuple[str, int | None, str | None]] = {  # algorithm, bits, curve
    "RSA_1024": ("RSA", 1024, None),
    "RSA_2048": ("RSA", 2048, None),
    "RSA_3072": ("RSA", 3072, None),
    "RSA_4096": ("RSA", 4096, None),
    "EC_prime256v1": ("EC", 256, "secp256r1"),
    "EC_secp384r1": ("EC", 384, "secp384r1"),
    "EC_secp521r1": ("EC", 521, "secp521r1"),
    "ML_DSA_44": ("ML-DSA-44", None, None),
    "ML_DSA_65": ("ML-DSA-65", None, None),
    "ML_DSA_87": ("ML-DSA-87", None, None),
    "SM2": ("SM2", 256, None),
}
_KEY_USAGES = {  # in the order of the bits (RFC 5280 section 4.2.1.3)
    "DIGITAL_SIGNATURE": "digital_signature",
    "NON_REPUDIATION": "content_commitment",
    "KEY_ENCIPHERMENT": "key_encipherment",
    "DATA_ENCIPHERMENT": "data_encipherment",
    "KEY_AGREEMENT": "key_agreement",
    "CERTIFICATE_SIGNING": "key_cert_sign",
    "CRL_SIGNING": "crl_sign",
    "ENCIPHER_ONLY": "encipher_only",
    "DECIPHER_ONLY": "decipher_only",
}
_PURPOSES = {
    "TLS_WEB_SERVER_AUTHENTICATION": "serverAuth",
    "TLS_WEB_CLIENT_AUTHENTICATION": "clientAuth",
    "CODE_SIGNING": "codeSigning",
    "EMAIL_PROTECTION": "emailProtection",
    "TIME_STAMPING": "timeStamping",
    "OCSP_SIGNING": "OCSPSigning",
    "IPSEC_END_SYSTEM": "1.3.6.1.5.5.7.3.5",
    "IPSEC_TUNNEL": "1.3.6.1.5.5.7.3.6",
    "IPSEC_USER": "1.3.6.1.5.5.7.3.7",
    "ANY": "anyExtendedKeyUsage",
    "CUSTOM": "custom",  # ACM does not say which
}
_NAME_PARTS = (  # member, RFC 4514 type; from the last of a usual certificate to the first
    ("CommonName", "CN"),
    ("OrganizationalUnit", "OU"),
    ("Organization", "O"),
    ("Locality", "L"),
    ("State", "ST"),
    ("Country", "C"),
    ("SerialNumber", "2.5.4.5"),
    ("GivenName", "2.5.4.42"),
    ("Surname", "2.5.4.4"),
    ("Title", "2.5.4.12"),
    ("Initials", "2.5.4.43"),
    ("Pseudonym", "2.5.4.65"),
    ("GenerationQualifier", "2.5.4.44"),
    ("DistinguishedNameQualifier", "2.5.4.46"),
)
_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in '\\"+,;<>'} | {"\0": "\\00"})


def utc(time: datetime | None) -> datetime | None:
    """A time of an API answer, in UTC."""
    return time.astimezone(UTC) if time is not None else None


def key_name(name: str | None) -> str:
    """A key algorithm as requests spell it: some answers say RSA-2048 where others say RSA_2048."""
    return (name or "").replace("-", "_")


def key_facts(name: str | None) -> dict[str, Any]:
    """key_algorithm, key_size and curve of an algorithm's name; one that is not known stands as it is."""
    algorithm, size, curve = _KEYS.get(key_name(name), (name, None, None))
    return {"key_algorithm": algorithm, "key_size": size, "curve": curve}


def serial(text: str | None) -> str | None:
    """`0a:1b:…` as `a1b…`: the library's serials have neither colons nor leading zeros."""
    return (text.replace(":", "").lower().lstrip("0") or "0") if text else None


def key_usage(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Key usages in the library's words and order; None where ACM does not say which they are (ANY, CUSTOM)."""
    if not names or not _KEY_USAGES.keys() >= set(names):
        return None
    return tuple(word for name, word in _KEY_USAGES.items() if name in names)


def extended_key_usage(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Extended key usages in the library's words; None where there is no such extension (NONE)."""
    return tuple(_PURPOSES.get(name, name) for name in names or () if name != "NONE") or None


def distinguished_name(parts: Mapping[str, Any] | None) -> str | None:
    """A DistinguishedName or ASN1Subject in RFC 4514.

    The structure has lost the order of the certificate; it is written as in usual ones: CN, OU, O, L, ST, C, DC.
    """
    return ",".join(_name_parts(parts)) if parts is not None else None


def _name_parts(parts: Mapping[str, Any]) -> Iterator[str]:
    for member, kind in _NAME_PARTS:
        if parts.get(member):
            yield f"{kind}={_escaped(parts[member])}"
    for value in reversed(parts.get("DomainComponents", ())):
        yield f"DC={_escaped(value)}"
    for each in parts.get("CustomAttributes", ()):
        yield f"{each.get('ObjectIdentifier')}={_escaped(each.get('Value', ''))}"


def _escaped(value: str) -> str:
    """A value as RFC 4514 section 2.4 wants it."""
    text = value.translate(_ESCAPED)
    if text[-1:] == " ":
        text = f"{text[:-1]}\\ "
    return f"\\{text}" if text[:1] in ("#", " ") else text


def searched(found: Mapping[str, Any]) -> Certificate:
    """The facts in a result of SearchCertificates."""
    facts = found.get("X509Attributes", {})
    subject, issuer = distinguished_name(facts.get("Subject")), distinguished_name(facts.get("Issuer"))
    return Certificate(
        fingerprint=None,
        serial=serial(facts.get("SerialNumber")),
        subject=subject,
        issuer=issuer,
        common_name=facts.get("Subject", {}).get("CommonName"),
        not_before=utc(facts.get("NotBefore")),
        not_after=utc(facts.get("NotAfter")),
        key_usage=key_usage(facts.get("KeyUsages")),
        extended_key_usage=extended_key_usage(facts.get("ExtendedKeyUsages")),
        self_issued=subject == issuer if subject and issuer else None,
        **key_facts(facts.get("KeyAlgorithm")),
        **_names(facts.get("SubjectAlternativeNames")),
    )


def _names(names: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """dns_names, ip_addresses and other_names of a list of GeneralName; {} where ACM tells none."""
    if names is None:
        return {}
    sorted_out: dict[str, list[str]] = {"dns_names": [], "ip_addresses": [], "other_names": []}
    for name in names[:MAX_NAMES]:
        for kind, value in name.items():
            group, prefix = _GENERAL_NAMES.get(kind, ("other_names", "other:"))
            sorted_out[group].append(f"{prefix}{_value(value)}"[:500])
    return {group: tuple(found) for group, found in sorted_out.items()}


_GENERAL_NAMES = {
    "DnsName": ("dns_names", ""),
    "IpAddress": ("ip_addresses", ""),
    "Rfc822Name": ("other_names", "email:"),
    "UniformResourceIdentifier": ("other_names", "uri:"),
}


def _value(value: Any) -> str:
    """A name's text; of an OtherName or DirectoryName, its parts."""
    if isinstance(value, str):
        return value
    return ":".join(map(str, value.values())) if "ObjectIdentifier" in value else distinguished_name(value) or ""


def listed(summary: Mapping[str, Any]) -> Certificate:
    """The facts in a summary of ListCertificates. Its list of names ends at 100: a longer one is not known."""
    names = (
        None if summary.get("HasAdditionalSubjectAlternativeNames") else summary.get("SubjectAlternativeNameSummaries")
    )
    return Certificate(
        fingerprint=None,
        common_name=summary.get("DomainName"),
        not_before=utc(summary.get("NotBefore")),
        not_after=utc(summary.get("NotAfter")),
        dns_names=tuple(names) if names else None,
        key_usage=key_usage(summary.get("KeyUsages")),
        extended_key_usage=extended_key_usage(summary.get("ExtendedKeyUsages")),
        **key_facts(summary.get("KeyAlgorithm")),
    )
