"""The certificates in a secret, and whether a key lies beside them. Pure; the key itself is never returned.

A secret is text or bytes: PEM, JSON with PEM among its values (also with written-out line breaks, as environment files
have them), base64 of either, or one DER certificate. Containers that need a password (PKCS #12, Java keystores) are
named and not opened. No error leaves this module: an exception could carry the secret that it failed on.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from perennial.certificate import Certificate, broken_blocks, ders, parse

MAX_BYTES = 64 * 1024  # what Secrets Manager keeps in one version
MAX_CERTIFICATES = 50
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")  # RFC 7468 sections 10 and 11, and OpenSSL's own labels
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{40,}={0,2}\s*")
_DER_KEY = re.compile(  # PKCS #8 and PKCS #1 begin with version 0; SEC 1 with version 1 and the key (RFC 5915)
    rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01(?:\x00[\x02\x30]|\x01\x04)", re.DOTALL
)
_PKCS12 = re.compile(rb"\x30(?:[\x00-\x7f]|\x80|\x81.|\x82..|\x83...)\x02\x01\x03", re.DOTALL)  # RFC 7292: version 3
_JAVA_KEYSTORE = b"\xfe\xed\xfe\xed"


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate that a secret holds for use, and the certificates above it that lie with it."""

    certificate: Certificate
    chain: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What may be known of a secret: its certificates, that a key is there, and what could not be read."""

    held: tuple[Held, ...]
    has_key: bool
    problems: tuple[str, ...]


def content(secret: str | bytes) -> Content:
    """What a secret holds. A certificate that issued another one of it is that one's chain, wherever it lies."""
    data = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    if len(data) > MAX_BYTES:
        return Content((), False, (f"{len(data)} bytes, more than the {MAX_BYTES} that are looked at",))
    sequences: list[tuple[Certificate, ...]] = []
    problems: list[str] = []
    has_key = False
    for part in _parts(data):
        has_key = has_key or bool(_PRIVATE_KEY.search(part) or _DER_KEY.match(part))
        sequences.append(tuple(parse(der) for der in _ders(part)))
        problems += _unreadable(part)
    held = _held(sequences)
    if len(held) > MAX_CERTIFICATES:
        problems.append(f"{len(held)} certificates; the first {MAX_CERTIFICATES} are kept")
    return Content(held[:MAX_CERTIFICATES], has_key, tuple(dict.fromkeys(problems)))


def _parts(data: bytes) -> Iterator[bytes]:
    """The pieces that may hold certificates, in order: the values of a JSON document, else the whole; decoded."""
    for part in map(_decoded, _texts(data)):
        yield part.replace(b"\\n", b"\n").replace(b"\\r", b"\r") if b"-----BEGIN" in part else part


def _texts(data: bytes) -> Iterator[bytes]:
    if data.lstrip()[:1] not in (b"{", b"[", b'"'):
        yield data
        return
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):  # not JSON after all, or nested to no good end
        yield data
        return
    yield from _strings(document)


def _strings(document: object) -> Iterator[bytes]:
    """Every text of a decoded JSON document, in order. A loop: how deep it nests does not matter."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value.encode("utf-8", "surrogatepass")
        elif isinstance(value, Mapping):
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            waiting += reversed(value)


def _decoded(part: bytes) -> bytes:
    """What is inside of base64; anything else as it is."""
    if b"-----" in part or not _BASE64.fullmatch(part.decode("latin-1")):
        return part
    try:
        return base64.b64decode(b"".join(part.split()), validate=True)
    except binascii.Error:
        return part


def _ders(part: bytes) -> list[bytes]:
    """The certificates of one piece: PEM, or one in DER, which begins with two sequences (RFC 5280 4.1)."""
    found = ders(part)
    if not found and part[:1] == b"\x30" and not (_DER_KEY.match(part) or _PKCS12.match(part)):
        return [part] if parse(part).subject is not None else []
    return found


def _unreadable(part: bytes) -> list[str]:
    if _PKCS12.match(part):
        return ["a PKCS #12 container, which is not opened; store the certificate as PEM beside it"]
    if part.startswith(_JAVA_KEYSTORE):
        return ["a Java keystore, which is not opened; store the certificate as PEM beside it"]
    return broken_blocks(part)


def _held(sequences: Sequence[tuple[Certificate, ...]]) -> tuple[Held, ...]:
    """The certificates that issued no other one of the secret, in order, each with its issuers."""
    every = {each.fingerprint: each for sequence in sequences for each in sequence}
    found = []
    for sequence in sequences:
        for each in sequence:
            known = every.pop(each.fingerprint, None)
            if known is not None:
                found.append((each, sequence))
    certificates = [each for each, _ in found]
    leaves = [(each, own) for each, own in found if not _issuer_of_any(each, certificates)] or found[:1]
    return tuple(Held(each, _chain(each, own, certificates)) for each, own in leaves)


def _issuer_of_any(certificate: Certificate, others: Sequence[Certificate]) -> bool:
    if certificate.subject is None or certificate.is_ca is False:
        return False
    return any(
        each.issuer == certificate.subject and not each.self_issued and each.fingerprint != certificate.fingerprint
        for each in others
    )


def _chain(
    leaf: Certificate, own: Sequence[Certificate], certificates: Sequence[Certificate]
) -> tuple[Certificate, ...]:
    """The leaf's issuers by name: first those of its own PEM sequence as they lie there, then the others upwards."""
    above: list[Certificate] = []
    reached = [leaf]
    while reached:
        below = reached.pop(0)
        issuers = [each for each in certificates if _above(each, below) and each not in above and each != leaf]
        above += issuers
        reached += issuers
    return tuple(sorted(above, key=lambda each: (each not in own, own.index(each) if each in own else 0)))


def _above(certificate: Certificate, below: Certificate) -> bool:
    named = certificate.subject is not None and certificate.subject == below.issuer
    return named and certificate.is_ca is not False and not below.self_issued
