"""Java keystores of the type JKS: one private key with its certificates, under one password.

Its protection is weak: a key stream of SHA-1 without any rounds, and a keyed SHA-1 over the whole. It holds only as
long as its password is random and is kept as well as the key itself. Java reads PKCS #12 since version 8 and prefers it
since version 9: take that where the consumer allows it.

The format is documented by its implementation only: OpenJDK, `sun.security.provider.JavaKeyStore` (`engineStore`) and
`KeyProtector`. Numbers are big-endian; a text has two bytes of length; a password counts in UTF-16.

    magic, version 2, number of entries, {1, alias, milliseconds, protected key, {"X.509", certificate}…}…, digest
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass
from datetime import datetime

from perennial.der import NULL, OCTETS, OID, SEQUENCE, content, elements, encoded, inside, only

KEYS = ("EC-256", "EC-384", "RSA-2048", "RSA-3072", "RSA-4096", "Ed25519")  # ML-DSA: Java has it since 24
MAX_BYTES = 65_536
MAX_ENTRIES, MAX_CERTIFICATES = 100, 50
_MAGIC = 0xFEEDFEED
_VERSION = 2
_KEY, _TRUSTED = 1, 2  # kinds of entries
_WHITENER = b"Mighty Aphrodite"
_PROTECTION = bytes.fromhex("2b060104012a02110101")  # 1.3.6.1.4.1.42.2.17.1.1
_DIGEST = 20  # bytes of a SHA-1, and of the salt


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """The key of a keystore in PKCS #8 DER, and its certificates (DER), its own first."""

    key: bytes
    certificates: tuple[bytes, ...]


def written(key: bytes, chain: tuple[bytes, ...], password: str, alias: str, created: datetime) -> bytes:
    """A keystore with one key (PKCS #8 DER), its certificate and the ones above it (DER). Aliases are lower-case, as
    Java looks for them."""
    certificates = (_text("X.509") + _sized(der) for der in chain)
    body = b"".join(
        (
            struct.pack(">III", _MAGIC, _VERSION, 1),
            struct.pack(">I", _KEY) + _text(alias.lower()) + struct.pack(">Q", int(created.timestamp() * 1000)),
            _sized(_protected(key, _secret(password))),
            struct.pack(">I", len(chain)),
            *certificates,
        )
    )
    return body + _sha1(_secret(password), _WHITENER, body)


def opened(data: bytes, password: str) -> Opened | None:
    """The one key of a keystore and its certificates; None where it has none or several, or cannot be opened."""
    if len(data) > MAX_BYTES:
        return None
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if not hmac.compare_digest(digest, _sha1(_secret(password), _WHITENER, body)):
        return None
    try:
        ((protected, certificates),) = _entries(_Reader(body))
        return Opened(_plain(protected, _secret(password)), certificates)
    except (ValueError, struct.error):
        return None


class _Reader:
    """Reads a keystore from its beginning. Its methods raise ValueError and struct.error where it is cut off."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, form: str = ">I") -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise ValueError("cut off")
        self._at += size
        return taken

    def text(self) -> bytes:
        return self.take(self.number(">H"))

    def certificate(self, version: int) -> bytes:
        kind = self.text() if version == _VERSION else b"X.509"  # version 1 does not say it
        if kind != b"X.509":
            raise ValueError("another kind of certificate")
        return self.take(self.number())

    def certificates(self, version: int) -> tuple[bytes, ...]:
        size = self.number()
        if size > MAX_CERTIFICATES:
            raise ValueError("too many certificates")
        return tuple(self.certificate(version) for _ in range(size))


def _entries(reader: _Reader) -> list[tuple[bytes, tuple[bytes, ...]]]:
    """The keys, still protected, each with its certificates."""
    magic, version, size = reader.number(), reader.number(), reader.number()
    if magic != _MAGIC or version not in (1, _VERSION) or size > MAX_ENTRIES:
        raise ValueError("no JKS")
    found = []
    for _ in range(size):
        kind, _, _ = reader.number(), reader.text(), reader.number(">Q")
        if kind == _KEY:
            found.append((reader.take(reader.number()), reader.certificates(version)))
        elif kind == _TRUSTED:
            reader.certificate(version)
        else:
            raise ValueError("another kind of entry")
    return found


def _protected(key: bytes, secret: bytes) -> bytes:
    """EncryptedPrivateKeyInfo (RFC 5958 section 3) of Sun's own protection."""
    salt = secrets.token_bytes(_DIGEST)
    text = salt + _streamed(key, secret, salt) + _sha1(secret, key)
    algorithm = encoded(SEQUENCE, encoded(OID, _PROTECTION), encoded(NULL))
    return encoded(SEQUENCE, algorithm, encoded(OCTETS, text))


def _plain(protected: bytes, secret: bytes) -> bytes:
    algorithm, octets = elements(only(protected, SEQUENCE))
    text = content(octets, OCTETS)
    if content(inside(algorithm)[0], OID) != _PROTECTION or len(text) < 2 * _DIGEST:
        raise ValueError("another protection")
    key = _streamed(text[_DIGEST:-_DIGEST], secret, text[:_DIGEST])
    if not hmac.compare_digest(text[-_DIGEST:], _sha1(secret, key)):
        raise ValueError("another password")
    return key


def _streamed(data: bytes, secret: bytes, salt: bytes) -> bytes:
    """Data and the key stream, exclusive or: each block of the stream is the SHA-1 of the secret and the one before."""
    stream, block = bytearray(), salt
    while len(stream) < len(data):
        block = _sha1(secret, block)
        stream += block
    return bytes(one ^ other for one, other in zip(data, stream, strict=False))


def _secret(password: str) -> bytes:
    return password.encode("utf-16-be", "surrogatepass")


def _sha1(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(parts)).digest()  # noqa: S324 - what the format says


def _text(text: str) -> bytes:
    data = text.encode("ascii", "replace")
    return struct.pack(">H", len(data)) + data


def _sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
