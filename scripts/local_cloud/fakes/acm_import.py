"""The rules of ImportCertificate: formats, key, validity, chain, and what a re-import may change.

Sources: ACM API Reference "ImportCertificate"; ACM User Guide "Prerequisites for importing ACM certificates",
"Reimport a certificate" and "Certificate import problems".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from local_cloud.fakes import acm_x509
from local_cloud.fakes.acm_x509 import CLIENT_AUTH, Facts
from local_cloud.fakes.service import ServiceError

KEY_ALGORITHMS = frozenset(
    {"RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"}
)
_BLOCK = rb"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*"
_BLOCKS = re.compile(rb"\s*(?:" + _BLOCK + rb")+")


@dataclass(frozen=True)
class Material:
    """What was imported, parsed once."""

    der: bytes
    chain: tuple[bytes, ...]
    private_key: bytes
    facts: Facts


def refused(message: str) -> ServiceError:
    """ACM's answer to material that it does not take."""
    return ServiceError("ValidationException", message)


def check(request: dict[str, Any], now: datetime) -> Material:
    """The material of a request, if ACM would take it. Raises ServiceError."""
    certificate = _one(request["Certificate"])
    chain = _certificates(request["CertificateChain"], "chain") if "CertificateChain" in request else []
    facts = _facts(certificate)
    _check_key(request["PrivateKey"], certificate, facts)
    _check_validity(facts, now)
    _check_chain(certificate, chain)
    encoded = tuple(item.public_bytes(Encoding.DER) for item in chain)
    return Material(certificate.public_bytes(Encoding.DER), encoded, request["PrivateKey"], facts)


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    if not _BLOCKS.fullmatch(pem):
        raise refused(f"The {what} is not in a valid PEM format.")
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise refused(f"Unable to parse the {what}. Please ensure the certificate is in PEM format.") from error


def _one(pem: bytes) -> x509.Certificate:
    found = _certificates(pem, "certificate")
    if len(found) > 1:
        raise refused(
            "The certificate field contains more than one certificate. "
            "You can specify only one certificate in this field."
        )
    if found[0].version is not x509.Version.v3:
        raise refused("Only X.509 version 3 certificates can be imported.")
    return found[0]


def _facts(certificate: x509.Certificate) -> Facts:
    try:
        facts = acm_x509.read(certificate)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise refused("Unable to parse certificate. Please ensure the certificate is in PEM format.") from error
    if facts.key_algorithm not in KEY_ALGORITHMS:
        raise refused("The key algorithm or size of the certificate is not supported.")
    if not certificate.issuer.rdns:
        raise refused("The issuer field of the certificate must not be empty.")
    return facts


def _check_key(pem: bytes, certificate: x509.Certificate, facts: Facts) -> None:
    if b"ENCRYPTED" in pem:
        raise refused("The private key must not be encrypted.")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise refused("The private key is not in a valid PEM format, or is not supported.") from error
    if acm_x509.key_algorithm(key) != facts.key_algorithm or _spki(key.public_key()) != _spki(certificate.public_key()):
        raise refused("The private key does not match the certificate.")


def _spki(key: Any) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_validity(facts: Facts, now: datetime) -> None:
    if now < facts.not_before:
        raise refused("The certificate is not valid yet: its Not Before date lies in the future.")
    if now > facts.not_after:
        raise refused("The certificate has expired: its Not After date lies in the past.")


def _check_chain(certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    """Each certificate of the chain must directly certify the one before it."""
    child = certificate
    for parent in chain:
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise refused("Could not validate the certificate with the certificate chain.") from error
        child = parent


def check_replacement(old: Facts, new: Facts) -> None:
    """What may not change when a certificate is imported over an existing one. Raises ServiceError."""
    if new.key_algorithm != old.key_algorithm:
        raise refused(f"The key type and size cannot change from {old.key_algorithm} to {new.key_algorithm}.")
    if old.names and not new.names:
        raise refused("You cannot remove all of the domain names from a certificate.")
    tolerated = {"KEY_ENCIPHERMENT"} if new.key_algorithm.startswith("EC_") else set()
    _check_usages("Key Usage", old.key_usages, new.key_usages, tolerated)
    _check_usages("Extended Key Usage", _oids(old), _oids(new), {CLIENT_AUTH})


def _oids(facts: Facts) -> tuple[str, ...] | None:
    return None if facts.extended_key_usages is None else tuple(oid for _, oid in facts.extended_key_usages)


def _check_usages(name: str, old: Sequence[str] | None, new: Sequence[str] | None, tolerated: set[str]) -> None:
    if old is None:
        if new is not None:
            raise refused(f"The {name} extension cannot be added: the previous certificate has none.")
        return
    missing = set(old) - set(new or ()) - tolerated
    if missing:
        raise refused(f"{name} values of the previous certificate are missing: {', '.join(sorted(missing))}.")
