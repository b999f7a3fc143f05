"""How a consumer's secret holds a certificate with its key: the fields of a JSON object, in one of four formats. Pure.

| format | fields |
| --- | --- |
| pem | `private_key`, `certificate`, `chain`: PEM |
| fullchain | `private_key`, and `fullchain`: the certificate and its chain in one PEM |
| pkcs12 | `pkcs12`: base64 of a container (RFC 7292), and its `password` |
| jks | `jks`: base64 of a Java keystore, and its `password`; weak (see `jks`), take pkcs12 where the consumer can |

The names of the fields may be others. A password is random, and new each time. PEM takes every key type; PKCS #12 and
JKS take no ML-DSA, which neither cryptography writes nor Java before 24 reads.

No error of this module quotes a key or a password, and what is read may be anything that strangers wrote.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from perennial import jks, keys, pkcs12
from perennial.certificate import broken_blocks, ders, parse, pem
from perennial.errors import InvalidInput
from perennial.profiles import KEYS

FORMATS: Mapping[str, Mapping[str, str]] = {  # the fields of each, by what they hold
    "pem": {"key": "private_key", "certificate": "certificate", "chain": "chain"},
    "fullchain": {"key": "private_key", "certificate": "fullchain"},
    "pkcs12": {"certificate": "pkcs12", "password": "password"},
    "jks": {"certificate": "jks", "password": "password"},
}
_CONTAINERS = {"pkcs12": pkcs12.KEYS, "jks": jks.KEYS}
_MAX_TEXT = 65_536
_MAX_CHAIN = 50


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Material:
    """A key (PKCS #8 PEM; "" where it cannot be read) with its certificate and the ones above it (DER, it first)."""

    private_key: str
    chain: tuple[bytes, ...]

    def same(self, other: Material) -> bool:
        """Whether both are the same certificate, chain and key, whatever their encodings."""
        mine, others = _public(self.private_key), _public(other.private_key)
        return self.chain == other.chain and mine == others and bool(mine)


@dataclass(frozen=True, slots=True)
class Format:
    """One format with the names of its fields, by what they hold: key, certificate, chain, password."""

    name: str
    fields: Mapping[str, str]

    def refusals(self, key: str, document: Mapping[str, object]) -> list[str]:
        """Why a key of this type cannot be put into a document this way, a sentence each."""
        found = []
        if key not in _CONTAINERS.get(self.name, KEYS):
            found.append(f"the format {self.name} takes no {key} key; use the format pem, or an EC key")
        if len(set(self.fields.values())) < len(self.fields):
            found.append(f"two of the fields have the same name: {', '.join(self.fields.values())}; name them apart")
        password, container = self.fields.get("password", ""), self.fields["certificate"]
        if password in document and container not in document:
            found.append(
                f"the field {password!a} is there without {container!a}, so it is for something else and would be "
                "lost; set password_field to another name"
            )
        return found

    def written(self, material: Material, alias: str) -> dict[str, str]:
        """The fields of a document. A container has the entry `alias`, and a new password.

        Raises: InvalidInput for a key that cannot be read, or that the format does not take.
        """
        leaf, *above = map(pem, material.chain)
        if self.name == "pem":
            held = {"key": material.private_key, "certificate": leaf, "chain": "".join(above)}
        elif self.name == "fullchain":
            held = {"key": material.private_key, "certificate": leaf + "".join(above)}
        else:
            password = secrets.token_urlsafe(32)
            container = self._container(material, password, alias)
            held = {"certificate": base64.b64encode(container).decode(), "password": password}
        return {self.fields[what]: text for what, text in held.items()}

    def read(self, document: Mapping[str, object]) -> Material | None:
        """What a document holds in this format; None where there is no certificate to be read."""
        held = {what: _field(document, name) for what, name in self.fields.items()}
        if self.name not in _CONTAINERS:
            text = held["certificate"] + "\n" + held.get("chain", "")
            found = tuple(ders(text)) if not broken_blocks(text) else ()
            return Material(private_key=held["key"], chain=found) if 0 < len(found) <= _MAX_CHAIN else None
        return self._opened(_decoded(held["certificate"]), held["password"])

    def _container(self, material: Material, password: str, alias: str) -> bytes:
        if self.name == "pkcs12":
            return pkcs12.written(material.private_key, material.chain, password, alias)
        created = parse(material.chain[0]).not_before
        kind = keys.word(keys.from_pem(material.private_key).public_key())
        if kind not in jks.KEYS or created is None:
            raise InvalidInput(f"a Java keystore takes no key of the type {kind}; there may be {', '.join(jks.KEYS)}")
        return jks.written(_der(material.private_key), material.chain, password, alias, created)

    def _opened(self, container: bytes, password: str) -> Material | None:
        opened = pkcs12.opened(container, password) if self.name == "pkcs12" else jks.opened(container, password)
        if opened is None or not opened.certificates:
            return None
        private = _pem(opened.key)
        public = _public(private)
        of_the_key = (each for each in opened.certificates if parse(each).public_key_sha256 == public)
        leaf = next(of_the_key, opened.certificates[0])
        return Material(private_key=private, chain=(leaf, *(each for each in opened.certificates if each is not leaf)))


def named(name: str, **others: str) -> Format:
    """A format of `FORMATS`; `others` are names of its fields that are not the usual ones: `key="tls.key"`. Those that
    it does not have, and empty ones, are left out."""
    return Format(name, {what: others.get(what) or usual for what, usual in FORMATS[name].items()})


def _field(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) and len(value) <= _MAX_TEXT else ""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return b""


def _public(private_key: str) -> str:
    """SHA-256 of the public half; "" where the key cannot be read."""
    try:
        return keys.public_sha256(keys.from_pem(private_key).public_key())
    except (InvalidInput, UnicodeEncodeError):  # a lone surrogate, which JSON can hold, has no UTF-8
        return ""


def _der(private_key: str) -> bytes:
    """PKCS #8 in DER."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return keys.from_pem(private_key).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _pem(der: bytes) -> str:
    """PKCS #8 in PEM (RFC 7468 section 10); "" for none."""
    body = base64.b64encode(der).decode()
    lines = (body[at : at + 64] for at in range(0, len(body), 64))
    return "\n".join(("-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", "")) if der else ""
