"""ACM PCA's structures for names and extensions as X.509 objects.

Source: AWS Private CA API Reference, "ASN1Subject", "GeneralName", "Extensions", "CustomExtension".
"""

import base64
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID

from local_cloud.fakes.service import ServiceError

_ATTRIBUTES = {
    "Country": NameOID.COUNTRY_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "DistinguishedNameQualifier": NameOID.DN_QUALIFIER,
    "State": NameOID.STATE_OR_PROVINCE_NAME,
    "CommonName": NameOID.COMMON_NAME,
    "SerialNumber": NameOID.SERIAL_NUMBER,
    "Locality": NameOID.LOCALITY_NAME,
    "Title": NameOID.TITLE,
    "Surname": NameOID.SURNAME,
    "GivenName": NameOID.GIVEN_NAME,
    "Initials": NameOID.INITIALS,
    "Pseudonym": NameOID.PSEUDONYM,
    "GenerationQualifier": NameOID.GENERATION_QUALIFIER,
}

_KEY_USAGES = {
    "DigitalSignature": "digital_signature",
    "NonRepudiation": "content_commitment",
    "KeyEncipherment": "key_encipherment",
    "DataEncipherment": "data_encipherment",
    "KeyAgreement": "key_agreement",
    "KeyCertSign": "key_cert_sign",
    "CRLSign": "crl_sign",
    "EncipherOnly": "encipher_only",
    "DecipherOnly": "decipher_only",
}

_EXTENDED = {
    "SERVER_AUTH": Eku.SERVER_AUTH,
    "CLIENT_AUTH": Eku.CLIENT_AUTH,
    "CODE_SIGNING": Eku.CODE_SIGNING,
    "EMAIL_PROTECTION": Eku.EMAIL_PROTECTION,
    "TIME_STAMPING": Eku.TIME_STAMPING,
    "OCSP_SIGNING": Eku.OCSP_SIGNING,
    "SMART_CARD_LOGIN": Eku.SMARTCARD_LOGON,
    "DOCUMENT_SIGNING": x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.12"),
    "CERTIFICATE_TRANSPARENCY": Eku.CERTIFICATE_TRANSPARENCY,
}


def invalid(message: str) -> ServiceError:
    """ACM PCA's answer to arguments that do not fit."""
    return ServiceError("InvalidArgsException", message)


def subject(described: dict[str, Any]) -> x509.Name:
    """An ASN1Subject as a name. Custom attributes exclude all others."""
    custom = described.get("CustomAttributes")
    if custom and len(described) > 1:
        raise invalid("CustomAttributes cannot be combined with other attributes of a subject.")
    try:
        if custom:
            oids = [(x509.ObjectIdentifier(item["ObjectIdentifier"]), item["Value"]) for item in custom]
            return x509.Name([x509.NameAttribute(oid, value) for oid, value in oids])
        known = [(_ATTRIBUTES[field], value) for field, value in described.items() if field in _ATTRIBUTES]
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in known])
    except ValueError as error:
        raise invalid(f"The subject is not valid: {error}") from error


def _single(described: dict[str, Any]) -> x509.GeneralName:
    kind, value = next(iter(described.items()))
    if kind == "DnsName":
        return x509.DNSName(value)
    if kind == "IpAddress":
        return x509.IPAddress(ipaddress.ip_address(value))
    if kind == "Rfc822Name":
        return x509.RFC822Name(value)
    if kind == "UniformResourceIdentifier":
        return x509.UniformResourceIdentifier(value)
    if kind == "RegisteredId":
        return x509.RegisteredID(x509.ObjectIdentifier(value))
    if kind == "DirectoryName":
        return x509.DirectoryName(subject(value))
    raise invalid(f"{kind} is not part of the fake.")


def alternative_names(described: list[dict[str, Any]]) -> x509.SubjectAlternativeName:
    """SubjectAlternativeNames of an API passthrough."""
    try:
        return x509.SubjectAlternativeName([_single(name) for name in described])
    except ValueError as error:
        raise invalid(f"A subject alternative name is not valid: {error}") from error


def key_usage(described: dict[str, bool]) -> x509.KeyUsage:
    """A KeyUsage structure as an extension."""
    return x509.KeyUsage(**{attribute: described.get(name, False) for name, attribute in _KEY_USAGES.items()})


def extended_key_usage(described: list[dict[str, str]]) -> x509.ExtendedKeyUsage:
    """ExtendedKeyUsage of an API passthrough."""
    oids = []
    for usage in described:
        custom = usage.get("ExtendedKeyUsageObjectIdentifier")
        oids.append(x509.ObjectIdentifier(custom) if custom else _EXTENDED[usage["ExtendedKeyUsageType"]])
    return x509.ExtendedKeyUsage(oids)


def policies(described: list[dict[str, Any]]) -> x509.CertificatePolicies:
    """CertificatePolicies of an API passthrough."""
    found = []
    for policy in described:
        qualifiers = [item["Qualifier"]["CpsUri"] for item in policy.get("PolicyQualifiers", [])]
        found.append(x509.PolicyInformation(x509.ObjectIdentifier(policy["CertPolicyId"]), qualifiers or None))
    return x509.CertificatePolicies(found)


def extensions(described: dict[str, Any]) -> list[x509.Extension[Any]]:
    """The extensions of an API passthrough, with the criticality that ACM PCA gives them."""
    made: list[tuple[Any, bool]] = []
    if "SubjectAlternativeNames" in described:
        made.append((alternative_names(described["SubjectAlternativeNames"]), False))
    if "KeyUsage" in described:
        made.append((key_usage(described["KeyUsage"]), True))
    if "ExtendedKeyUsage" in described:
        made.append((extended_key_usage(described["ExtendedKeyUsage"]), False))
    if "CertificatePolicies" in described:
        made.append((policies(described["CertificatePolicies"]), False))
    for custom in described.get("CustomExtensions", []):
        oid = x509.ObjectIdentifier(custom["ObjectIdentifier"])
        made.append((x509.UnrecognizedExtension(oid, base64.b64decode(custom["Value"])), custom.get("Critical", False)))
    return [x509.Extension(value.oid, critical, value) for value, critical in made]
