"""Certificates by the thousand, made fast, and put into the local cloud's ACM.

Each has its own serial, names, key identifier and end; RSA-2048 keys are taken from a small pool, because making them
is slow and no figure depends on it. They are signed by one issuing CA on P-256, and about a kilobyte long.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from certificates import Built, build, pem
from local_cloud.cloud import Cloud

KEYS = 8
BATCH = 500
DAY = timedelta(days=1)
_USAGE = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
_PURPOSES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
_NO_CA = x509.BasicConstraints(ca=False, path_length=None)
_ACCESS = x509.AuthorityInformationAccess(
    [
        x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.ca.example.com")
        )
    ]
)


@cache
def authority() -> Built:
    """The CA that signs them all."""
    return build("Bench Issuing CA", ca=True)


@cache
def _pool() -> tuple[Any, ...]:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key() for _ in range(KEYS)]
    return tuple((key, x509.SubjectKeyIdentifier.from_public_key(key)) for key in keys)


@cache
def _authority_identifier() -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority().key.public_key())


def certificate(number: int, now: datetime, edition: int = 0) -> bytes:
    """The DER of one; another edition is its renewal."""
    key, identifier = _pool()[number % KEYS]
    name = f"host{number}.app{number % 100}.example.com"
    begin = now - DAY * (number % 60) + timedelta(seconds=edition)
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Corp"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority().x509.subject)
        .public_key(key)
        .not_valid_before(begin)
        .not_valid_after(begin + DAY * 198)
        .serial_number((number + 1 << 64) + (edition + 1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(f"www.{name}")]), False)
        .add_extension(_USAGE, True)
        .add_extension(_PURPOSES, False)
        .add_extension(_NO_CA, True)
        .add_extension(identifier, False)
        .add_extension(_authority_identifier(), False)
        .add_extension(_ACCESS, False)
    )
    return builder.sign(authority().key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def pem_of(der: bytes) -> str:
    """One PEM block."""
    lines = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"


def seed(cloud: Cloud, entries: Iterator[Mapping[str, Any]]) -> list[str]:
    """Put certificates into ACM, past its quotas; the ARNs in the same order."""
    arns: list[str] = []
    place = {"account": cloud.account, "region": cloud.region, "chain": pem(authority())}
    while batch := [{**place, **entry} for entry in islice(entries, BATCH)]:
        with cloud.open("/_fakes/acm/seed", batch) as reply:
            arns += json.load(reply)["arns"]
    return arns


def fresh(count: int) -> Iterator[Mapping[str, Any]]:
    """Entries of `count` imported certificates. Every hundredth is tagged: tags are read by page, whatever they say."""
    now = _now()
    for number in range(count):
        tags = {"tags": {"owner": f"team{number % 7}"}} if number % 100 == 0 else {}
        yield {"pem": pem_of(certificate(number, now)), **tags}


def renewed(arns: Sequence[str], every: int) -> Iterator[Mapping[str, Any]]:
    """Entries that put a renewal in the place of each `every`-th certificate."""
    now = _now()
    for number in range(0, len(arns), every):
        yield {"arn": arns[number], "pem": pem_of(certificate(number, now, edition=1))}


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
