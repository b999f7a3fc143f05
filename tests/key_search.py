"""Looks for private keys, and other secrets, in texts that must not have them.

known = Known.of([key, …], ["text", …])
known.shown_in(text)        whether a piece of one of them is in it, however it is spelt

A piece is 24 characters in a row of what only the holder of a key knows: of an EC key its private value, of an RSA key
everything from the private exponent on, of others the seed. What certificates also have is not looked for.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

WINDOW = 24  # so many characters of a secret in a row are the secret
HALF = WINDOW // 2  # of any such piece, one half stands at a multiple of this
_LINE = 64  # characters in a line of PEM (RFC 7468 section 2)
_URL = bytes.maketrans(b"+/", b"-_")  # base64 to base64url (RFC 4648 section 5)


@dataclass(frozen=True)
class Known:
    """Every piece of some secrets in every spelling, and the halves of these pieces."""

    pieces: frozenset[bytes]
    halves: frozenset[bytes]

    @classmethod
    def of(cls, keys: Iterable[Any], texts: Iterable[str] = ()) -> Known:
        """What private keys and secret texts look like."""
        spelt = [each for key in keys for each in spellings(key)]
        spelt += [each for text in texts for each in _encoded(text.encode())]
        return cls(frozenset(_cut(spelt, WINDOW)), frozenset(_cut(spelt, HALF)))

    def shown_in(self, text: bytes | str) -> bool:
        """Whether a piece is in a text, also across line breaks, written-out ones too."""
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        joined = b"".join(data.replace(rb"\\n", b"").replace(rb"\n", b"").replace(rb"\r", b"").split())
        return any(self._at(each, at) for each in (data, joined) for at in range(0, len(each) - HALF + 1, HALF))

    def _at(self, data: bytes, at: int) -> bool:
        if data[at : at + HALF] not in self.halves:
            return False
        return any(data[begin : begin + WINDOW] in self.pieces for begin in range(max(0, at - HALF), at + 1))


def _cut(spelt: Iterable[bytes], size: int) -> Iterator[bytes]:
    return (each[start : start + size] for each in spelt for start in range(len(each) - size + 1))


def spellings(key: Any) -> Iterator[bytes]:
    """What nobody may know of a key: raw, in hexadecimal and decimal digits, in base64 and base64url, in PEM, and PEM
    and base64 encoded once more."""
    part = private_part(key)
    yield from _encoded(part)
    yield from (str(each).encode() for each in _numbers(key))
    for form in _forms(key):
        yield from _base64(_in_pem(key, form, part))


def private_part(key: Any) -> bytes:
    """The bytes that only the holder of a key knows, as its DER has them."""
    if isinstance(key, rsa.RSAPrivateKey):
        der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        exponent = key.private_numbers().d
        return der[der.index(exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")) :]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes((key.curve.key_size + 7) // 8, "big")
    seed: bytes = key.private_bytes_raw()
    return seed


def _numbers(key: Any) -> tuple[int, ...]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        return (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return (int.from_bytes(private_part(key), "big"),)


def _forms(key: Any) -> tuple[PrivateFormat, ...]:
    both = isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL) if both else (PrivateFormat.PKCS8,)


def _in_pem(key: Any, form: PrivateFormat, part: bytes) -> bytes:
    """The characters of a key's PEM that stand for a part of its DER, with the line breaks between them."""
    der = key.private_bytes(Encoding.DER, form, NoEncryption())
    lines = key.private_bytes(Encoding.PEM, form, NoEncryption()).split(b"-----")[2].strip()
    at = der.index(part)
    first, last = (at + 2) // 3 * 4, (at + len(part)) // 3 * 4
    whole: bytes = lines[first + first // _LINE : last + last // _LINE]
    return whole


def _encoded(part: bytes) -> Iterator[bytes]:
    yield part
    yield from (part.hex().encode(), part.hex().upper().encode())
    for once in _base64(part):
        yield from (once, once.translate(_URL))
        yield from _base64(once)


def _base64(part: bytes) -> Iterator[bytes]:
    """A part in base64, wherever in a longer text it begins."""
    for shift in range(3):
        cut = part[shift:]
        yield base64.b64encode(cut[: len(cut) // 3 * 3])
