"""A certificate chain as an ACME CA sends it (RFC 8555 9.1), and the identifier that RFC 9773 gives a certificate."""

from __future__ import annotations

import re

from perennial.certificate import Certificate, broken_blocks, ders, parse
from perennial.errors import InvalidReply

MAX_CERTIFICATES = 20
MAX_BYTES = 64 * 1024  # of DER, in all
MAX_ALTERNATES = 10
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def read_chain(pem: bytes, doing: str) -> tuple[bytes, ...]:
    """The DER of a chain, the leaf first. Only certificates may be in it: RFC 8555 11.4 warns of keys put there.

    Raises: InvalidReply.
    """
    chain = tuple(_ders(pem, doing))
    if not chain:
        raise InvalidReply(f"{doing}: there is no certificate in the reply")
    if len(chain) > MAX_CERTIFICATES or sum(map(len, chain)) > MAX_BYTES:
        raise InvalidReply(f"{doing}: the chain is longer than {MAX_CERTIFICATES} certificates or {MAX_BYTES} bytes")
    for number, der in enumerate(chain, start=1):
        found = parse(der)
        if found.serial is None or found.public_key_sha256 is None:
            why = found.problems[0] if found.problems else "it has no key"
            raise InvalidReply(f"{doing}: certificate {number} of the chain cannot be read: {why}")
    if parse(chain[0]).is_ca:
        raise InvalidReply(f"{doing}: the first certificate of the chain is a CA's, not the one that was requested")
    return chain


def _ders(pem: bytes, doing: str) -> list[bytes]:
    if _BLOCK.sub(b"", pem).strip():
        raise InvalidReply(f"{doing}: there is more than PEM certificates in the reply")
    broken = broken_blocks(pem)
    if broken:
        raise InvalidReply(f"{doing}: the chain cannot be decoded: {broken[0]}")
    return ders(pem)


def certificate_id(certificate: Certificate) -> str:
    """How RFC 9773 4.1 names a certificate: its AKI's key identifier and its serial; "" where it has no AKI."""
    from josepy.b64 import b64encode

    if not certificate.authority_key_identifier or not certificate.serial:
        return ""
    serial = int(certificate.serial, 16)
    if serial < 0:
        return ""
    number = serial.to_bytes(serial.bit_length() // 8 + 1)  # as DER has it: with room for the sign
    key_identifier = bytes.fromhex(certificate.authority_key_identifier)
    return f"{b64encode(key_identifier).decode()}.{b64encode(number).decode()}"
