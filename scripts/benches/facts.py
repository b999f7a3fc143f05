"""Facts from DER: what `certificate.parse` costs beside a straight reading of the same attributes with cryptography.

Both run over the same certificates, in turns, several times; the best of each counts. The straight function has no
guard around each attribute and keeps no reason of what it cannot read: that is what the rest pays for.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from benches import fleet
from benches.report import Result, say

TURNS = 15
LEAVES = 150
MOST = 1.5


def run() -> Iterator[Result]:
    """The ratio over public roots and made leaves together, and over each alone."""
    from perennial.certificate import parse

    roots, leaves = _roots(), _leaves()
    say(f"facts from the DER of {len(roots)} roots and {len(leaves)} leaves, {TURNS} turns")
    ours, straight = best((parse, straightly), [*roots, *leaves])
    yield Result("facts from DER, as a ratio to cryptography alone", ours / straight, "x", MOST)
    ours, straight = best((parse, straightly), leaves)
    yield Result("facts from DER, made leaves only", ours / straight, "x")
    yield Result("facts from DER, made leaves only", 1e6 * ours / len(leaves), "us each, here")


def _roots() -> list[bytes]:
    """certifi's roots, as far as both take them whole."""
    import certifi

    from perennial.certificate import ders, parse

    return [der for der in ders(certifi.contents()) if not parse(der).problems]


def _leaves() -> list[bytes]:
    now = datetime.now(UTC).replace(microsecond=0)
    return [fleet.certificate(number, now) for number in range(LEAVES)]


def best(readers: Sequence[Callable[[bytes], Any]], these: Sequence[bytes]) -> list[float]:
    """The least CPU seconds of each reader over all certificates, in turns."""
    least = [float("inf")] * len(readers)
    for _ in range(TURNS):
        for number, read in enumerate(readers):
            began = time.process_time()
            for der in these:
                read(der)
            least[number] = min(least[number], time.process_time() - began)
    return least


def straightly(der: bytes) -> list[Any]:
    """The attributes of `Certificate`, read one after the other by cryptography's public interface."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    loaded = x509.load_der_x509_certificate(der)
    subject, issuer = loaded.subject, loaded.issuer
    key = loaded.public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    hashed = loaded.signature_hash_algorithm
    return [
        hashlib.sha256(der).hexdigest(),
        loaded.version,
        f"{loaded.serial_number:x}",
        subject.rfc4514_string(),
        issuer.rfc4514_string(),
        subject == issuer,
        [each.value for each in subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)],
        loaded.not_valid_before_utc,
        loaded.not_valid_after_utc,
        type(key).__name__,
        getattr(key, "key_size", None),
        getattr(getattr(key, "curve", None), "name", None),
        hashlib.sha256(spki).hexdigest(),
        loaded.signature_algorithm_oid.dotted_string,
        hashed.name if hashed else None,
        [_of_extension(each.value) for each in loaded.extensions],
    ]


def _of_extension(value: Any) -> Any:
    read = _readers().get(type(value))
    return read(value) if read else None


@cache
def _readers() -> dict[type[Any], Callable[[Any], Any]]:
    from cryptography import x509

    return {
        x509.SubjectAlternativeName: _names,
        x509.KeyUsage: _usages,
        x509.ExtendedKeyUsage: lambda value: [each.dotted_string for each in value],
        x509.BasicConstraints: lambda value: (value.ca, value.path_length),
        x509.SubjectKeyIdentifier: lambda value: value.digest.hex(),
        x509.AuthorityKeyIdentifier: lambda value: value.key_identifier and value.key_identifier.hex(),
        x509.AuthorityInformationAccess: lambda value: [
            (each.access_method.dotted_string, each.access_location.value) for each in value
        ],
        x509.CRLDistributionPoints: lambda value: [name.value for point in value for name in point.full_name or ()],
        x509.CertificatePolicies: lambda value: [each.policy_identifier.dotted_string for each in value],
        x509.PrecertificateSignedCertificateTimestamps: len,
    }


def _names(value: Any) -> tuple[list[str], list[str]]:
    from cryptography import x509

    return value.get_values_for_type(x509.DNSName), [str(each) for each in value.get_values_for_type(x509.IPAddress)]


def _usages(value: Any) -> list[bool]:
    usages = [
        value.digital_signature,
        value.content_commitment,
        value.key_encipherment,
        value.data_encipherment,
        value.key_agreement,
        value.key_cert_sign,
        value.crl_sign,
    ]
    return [*usages, value.encipher_only, value.decipher_only] if value.key_agreement else usages
