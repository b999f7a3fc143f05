"""PKCS #12 (RFC 7292): a private key with its certificates in one container, under a password.

Written with AES-256-CBC and PBKDF2 (PBES2, RFC 8018), which OpenSSL 1.1, Java 8u301, and Windows Server 2019 and later
read. Read by code of our own, since a container says itself how many rounds of PBKDF2 opening it takes: billions would
hold whoever opens it for hours. Containers with older encryption (RC2, Triple DES) are not opened.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from perennial.der import INTEGER, OCTETS, OID, SEQUENCE, Element, content, elements, encoded, inside, only
from perennial.errors import InvalidInput

KEYS = ("EC-256", "EC-384", "RSA-2048", "RSA-3072", "RSA-4096", "Ed25519")  # cryptography writes no ML-DSA yet
MAX_BYTES = 65_536
ROUNDS = 10_000  # as Java; a random password needs no more
MAX_ROUNDS = 2_000_000  # to open a whole container: about a second
_DATA = bytes.fromhex("2a864886f70d010701")  # RFC 2315: 1.2.840.113549.1.7.1
_ENCRYPTED_DATA = bytes.fromhex("2a864886f70d010706")
_KEY_BAG = bytes.fromhex("2a864886f70d010c0a0101")  # RFC 7292 4.2
_SHROUDED_KEY_BAG = bytes.fromhex("2a864886f70d010c0a0102")
_CERTIFICATE_BAG = bytes.fromhex("2a864886f70d010c0a0103")
_X509 = bytes.fromhex("2a864886f70d01091601")
_PBES2 = bytes.fromhex("2a864886f70d01050d")  # RFC 8018
_PBKDF2 = bytes.fromhex("2a864886f70d01050c")
_PRFS = {
    bytes.fromhex("2a864886f70d0207"): "sha1",
    bytes.fromhex("2a864886f70d0209"): "sha256",
    bytes.fromhex("2a864886f70d020a"): "sha384",
    bytes.fromhex("2a864886f70d020b"): "sha512",
}
_AES_CBC = {  # OID -> bytes of the key
    bytes.fromhex("608648016503040102"): 16,
    bytes.fromhex("608648016503040116"): 24,
    bytes.fromhex("60864801650304012a"): 32,
}
_EXPLICIT, _IMPLICIT = 0xA0, 0x80  # context tag 0, constructed and primitive


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """What a container holds: the key in PKCS #8 DER (b"" where there is none, or several), certificates in order."""

    key: bytes
    certificates: tuple[bytes, ...]


def written(private_key: str, chain: tuple[bytes, ...], password: str, name: str) -> bytes:
    """A container of a key (PEM), its certificate and the ones above it (DER), under a friendly name.

    Raises: InvalidInput for a key that is not of `KEYS`.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12
    from cryptography.x509 import load_der_x509_certificate

    from perennial import keys

    key = keys.from_pem(private_key)
    kind = keys.word(key.public_key())
    if kind not in KEYS:
        raise InvalidInput(f"a PKCS #12 container takes no key of the type {kind} here; there may be {', '.join(KEYS)}")
    leaf, *above = map(load_der_x509_certificate, chain)
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(ROUNDS).hmac_hash(hashes.SHA256())
    protection = builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC).build(password.encode())
    return pkcs12.serialize_key_and_certificates(name.encode(), key, leaf, above, protection)  # type: ignore[arg-type]


def opened(data: bytes, password: str) -> Opened | None:
    """What a container holds; None where it cannot be opened: another password, older encryption, more than
    `MAX_ROUNDS`, or no container at all. That the content was not changed is not looked at (`MacData`)."""
    if len(data) > MAX_BYTES:
        return None
    try:
        return _Opening(password.encode()).container(data)
    except (ValueError, KeyError):  # one of many ways not to be what RFC 7292 says
        return None


class _Opening:
    """One container being opened. Its methods raise ValueError and KeyError for what cannot be read."""

    def __init__(self, password: bytes) -> None:
        self._password = password
        self._rounds_left = MAX_ROUNDS
        self._keys: list[bytes] = []
        self._certificates: list[bytes] = []

    def container(self, data: bytes) -> Opened:
        _, safe, *_ = elements(only(data, SEQUENCE))
        for each in elements(only(_data(safe), SEQUENCE)):
            kind, _ = inside(each)
            plain = _data(each) if content(kind, OID) == _DATA else self._encrypted_data(each)
            for bag in elements(only(plain, SEQUENCE)):
                self._bag(bag)
        key = self._keys[0] if len(self._keys) == 1 else b""
        return Opened(key, tuple(self._certificates))

    def _encrypted_data(self, safe: Element) -> bytes:
        kind, explicit = inside(safe)
        if content(kind, OID) != _ENCRYPTED_DATA:
            raise ValueError("another content")
        (data,) = inside(explicit, _EXPLICIT)
        _, encrypted, *_ = inside(data)
        _, algorithm, text = inside(encrypted)
        return self._decrypted(algorithm, content(text, _IMPLICIT))

    def _bag(self, bag: Element) -> None:
        kind, explicit, *_ = inside(bag)
        (value,) = inside(explicit, _EXPLICIT)
        oid = content(kind, OID)
        if oid == _SHROUDED_KEY_BAG:
            algorithm, text = inside(value)
            self._keys.append(self._decrypted(algorithm, content(text, OCTETS)))
        elif oid == _KEY_BAG:
            self._keys.append(encoded(value.tag, value.content))
        elif oid == _CERTIFICATE_BAG:
            form, wrapped = inside(value)
            if content(form, OID) == _X509:
                self._certificates.append(only(content(wrapped, _EXPLICIT), OCTETS))

    def _decrypted(self, algorithm: Element, text: bytes) -> bytes:
        """PBES2 with PBKDF2 and AES-CBC (RFC 8018 6.2, appendix A)."""
        from cryptography.hazmat.primitives import padding
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        kind, parameters = inside(algorithm)
        if content(kind, OID) != _PBES2:
            raise ValueError("another encryption")
        derivation, encryption = inside(parameters)
        cipher, start = inside(encryption)
        key = self._key(derivation, _AES_CBC[content(cipher, OID)])
        decryptor = Cipher(algorithms.AES(key), modes.CBC(content(start, OCTETS))).decryptor()
        unpadder = padding.PKCS7(128).unpadder()
        return unpadder.update(decryptor.update(text) + decryptor.finalize()) + unpadder.finalize()

    def _key(self, derivation: Element, size: int) -> bytes:
        kind, parameters = inside(derivation)
        if content(kind, OID) != _PBKDF2:
            raise ValueError("another derivation")
        salt, count, *more = inside(parameters)
        rounds = int.from_bytes(content(count, INTEGER), signed=True)
        self._rounds_left -= rounds
        if rounds < 1 or self._rounds_left < 0:
            raise ValueError("too many rounds")
        named = next((content(inside(each)[0], OID) for each in more if each.tag == SEQUENCE), None)
        prf = "sha1" if named is None else _PRFS[named]
        return hashlib.pbkdf2_hmac(prf, self._password, content(salt, OCTETS), rounds, size)


def _data(info: Element) -> bytes:
    """The content of a ContentInfo of plain data (RFC 2315 section 8)."""
    kind, explicit = inside(info)
    if content(kind, OID) != _DATA:
        raise ValueError("another content")
    return only(content(explicit, _EXPLICIT), OCTETS)
