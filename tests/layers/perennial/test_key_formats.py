"""Key and certificate in a consumer's formats: read by Java and OpenSSL, and safe to read whoever wrote them."""

from __future__ import annotations

import base64
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization import pkcs12 as library
from cryptography.x509 import load_der_x509_certificate

from bundles import bundle
from perennial import der, jks, key_formats, pkcs12
from perennial.errors import InvalidInput
from perennial.key_formats import FORMATS, Material
from perennial.profiles import KEYS
from perennial.targets.interface import Bundle

CONTAINERS = ("pkcs12", "jks")
PASSWORD = "a-password-of-tests"
CREATED = datetime(2026, 10, 1, tzinfo=UTC)


def _tool(name: str) -> str:
    """A program that is independent of Perennial. CI has it: there, its absence is a failure."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed; CI must have it, as it shows that others read what we write")
        pytest.skip(f"{name} is not installed: that it reads what we write is not shown here")
    return found


@pytest.fixture
def keytool() -> str:
    return _tool("keytool")


@pytest.fixture
def openssl() -> str:
    return _tool("openssl")


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def material(version: Bundle) -> Material:
    chain = (version.certificate.der, *(each.der for each in version.chain))
    return Material(private_key=version.private_key, chain=chain)


def _key_der(version: Bundle) -> bytes:
    key: Any = load_pem_private_key(version.private_key.encode(), None)
    found: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return found


def _java_store(version: Bundle) -> bytes:
    return jks.written(_key_der(version), material(version).chain, PASSWORD, "Shop", CREATED)


def _pkcs12(version: Bundle) -> bytes:
    return pkcs12.written(version.private_key, material(version).chain, PASSWORD, "shop")


def _foreign(version: Bundle, encryption: Any) -> bytes:
    """A container by the library alone."""
    key: Any = load_pem_private_key(version.private_key.encode(), None)
    leaf, *above = map(load_der_x509_certificate, material(version).chain)
    return library.serialize_key_and_certificates(b"other", key, leaf, above, encryption)


# --- what is written is read ---


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", FORMATS)
def test_each_format_takes_its_keys(name: str, key: str) -> None:
    """What a format takes is read as the same; what it does not take is refused in words, and not written."""
    made = material(bundle(2, key=key))
    format_ = key_formats.named(name)
    if name in CONTAINERS and key.startswith("ML-DSA"):
        (told,) = format_.refusals(key, {})
        assert told == f"the format {name} takes no {key} key; use the format pem, or an EC key"
        with pytest.raises(InvalidInput, match=key):
            format_.written(made, "shop")
    else:
        assert format_.refusals(key, {}) == []
        found = format_.read(format_.written(made, "shop"))
        assert found is not None
        assert found.same(made)


@pytest.mark.parametrize("name", FORMATS)
def test_fields(name: str) -> None:
    """The usual names are those of the table in the docstring; others may be given, and each format has its own."""
    made = material(bundle(2))
    assert set(key_formats.named(name).written(made, "shop")) == set(FORMATS[name].values())
    given = {"key": "k", "certificate": "c", "chain": "i", "password": "p"}
    renamed = key_formats.named(name, **given)
    assert set(renamed.written(made, "shop")) == {given[what] for what in FORMATS[name]}
    found = renamed.read(renamed.written(made, "shop"))
    assert found is not None
    assert found.same(made)
    for field in FORMATS[name].values():
        assert f"`{field}`" in (key_formats.__doc__ or "")


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_password_is_new_each_time(name: str) -> None:
    """Two containers of the same material have no password in common, and each its own 256 random bits."""
    made = [key_formats.named(name).written(material(bundle(2)), "shop") for _ in range(2)]
    assert made[0]["password"] != made[1]["password"]
    assert all(len(each["password"]) >= 43 for each in made)
    assert made[0][name] != made[1][name]


def test_the_same_is_the_same() -> None:
    """Same certificate, chain and key: each of the three matters, and two unreadable keys are not the same."""
    one, other = material(bundle(1)), material(bundle(2))
    assert one.same(one)
    assert not one.same(Material(private_key=other.private_key, chain=one.chain))
    assert not one.same(Material(private_key=one.private_key, chain=one.chain[:1]))
    assert not one.same(Material(private_key=one.private_key, chain=other.chain))
    nothing = Material(private_key="", chain=one.chain)
    assert not nothing.same(nothing)


def test_texts_show_no_key() -> None:
    """Neither material nor what was opened shows itself."""
    version = bundle(1)
    body = version.private_key.splitlines()[1]
    opened = (pkcs12.opened(_pkcs12(version), PASSWORD), jks.opened(_java_store(version), PASSWORD))
    for each in (material(version), *opened, der.elements(_key_der(version))[0]):
        assert each is not None
        assert body not in repr(each)
        assert "bytes" not in repr(each)
        assert "\\x" not in repr(each)


def test_a_certificate_without_line_end_is_read() -> None:
    """Texts that people pasted end without a line end."""
    made = material(bundle(1))
    fields = key_formats.named("pem").written(made, "shop")
    found = key_formats.named("pem").read({name: text.strip() for name, text in fields.items()})
    assert found is not None
    assert found.chain == made.chain


# --- Java ---


@pytest.mark.parametrize("key", jks.KEYS)
def test_java_reads_our_jks(keytool: str, openssl: str, tmp_path: Path, key: str) -> None:
    """keytool lists the entry with its chain, and gives key and certificates on as they are."""
    version = bundle(2, key=key)
    (tmp_path / "ours.jks").write_bytes(_java_store(version))
    _given_on(keytool, openssl, tmp_path, "ours.jks", "JKS", version)


@pytest.mark.parametrize("key", pkcs12.KEYS)
def test_java_reads_our_pkcs12(keytool: str, openssl: str, tmp_path: Path, key: str) -> None:
    """The same for PKCS #12."""
    version = bundle(2, key=key)
    (tmp_path / "ours.p12").write_bytes(_pkcs12(version))
    _given_on(keytool, openssl, tmp_path, "ours.p12", "PKCS12", version)


def _given_on(keytool: str, openssl: str, folder: Path, name: str, kind: str, version: Bundle) -> None:
    """Listed by keytool, imported by it into a store of its own, and read from there by OpenSSL."""
    password = ("-storepass", PASSWORD)
    told = _run(folder, keytool, "-list", "-rfc", "-keystore", name, "-storetype", kind, *password)
    assert "Alias name: shop" in told
    assert "Entry type: PrivateKeyEntry" in told
    assert "Certificate chain length: 2" in told
    assert version.certificate_pem.strip() in told.replace("\r", "")
    source = ("-srckeystore", name, "-srcstoretype", kind, "-srcstorepass", PASSWORD, "-srcalias", "shop")
    _run(
        folder, keytool, "-importkeystore", *source, "-destkeystore", "java.p12", "-deststoretype", "PKCS12",
        "-deststorepass", PASSWORD, "-noprompt",
    )  # fmt: skip
    text = _run(folder, openssl, "pkcs12", "-in", "java.p12", "-passin", f"pass:{PASSWORD}", "-nodes", "-nocerts")
    begin = text.index("-----BEGIN")
    held = Material(private_key=text[begin:], chain=material(version).chain)
    assert held.same(material(version))
    ours = pkcs12.opened((folder / "java.p12").read_bytes(), PASSWORD)
    assert ours is not None
    assert ours.key == _pkcs8_of(text[begin:])


def _pkcs8_of(pem: str) -> bytes:
    key: Any = load_pem_private_key(pem.encode(), None)
    found: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return found


@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_we_read_what_java_makes(keytool: str, tmp_path: Path, kind: str) -> None:
    """A store that keytool made: its certificate, and the key that fits it."""
    _run(
        tmp_path, keytool, "-genkeypair", "-alias", "theirs", "-keyalg", "EC", "-groupname", "secp256r1", "-dname",
        "CN=theirs.example.com", "-keystore", "theirs", "-storetype", kind, "-storepass", PASSWORD, "-keypass",
        PASSWORD,
    )  # fmt: skip
    name = "jks" if kind == "JKS" else "pkcs12"
    text = base64.b64encode((tmp_path / "theirs").read_bytes()).decode()
    found = key_formats.named(name).read({name: text, "password": PASSWORD})
    assert found is not None
    (leaf,) = found.chain
    assert load_der_x509_certificate(leaf).subject.rfc4514_string() == "CN=theirs.example.com"
    assert found.same(Material(private_key=found.private_key, chain=(leaf,)))


def test_trusted_certificates_of_a_jks_are_passed_over(keytool: str, tmp_path: Path) -> None:
    """A store with a trusted certificate beside the key is read; one without any key is not."""
    version = bundle(2)
    (tmp_path / "store.jks").write_bytes(_java_store(version))
    (tmp_path / "ca.pem").write_text(version.chain_pem)
    added = ("-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem", "-storetype", "JKS", "-storepass", PASSWORD)
    _run(tmp_path, keytool, *added, "-keystore", "store.jks")
    _run(tmp_path, keytool, *added, "-keystore", "trust.jks")
    opened = jks.opened((tmp_path / "store.jks").read_bytes(), PASSWORD)
    assert opened is not None
    assert opened.certificates == material(version).chain
    assert jks.opened((tmp_path / "trust.jks").read_bytes(), PASSWORD) is None


def test_java_refuses_a_changed_jks(keytool: str, tmp_path: Path) -> None:
    """The digest that we write is the one that Java checks."""
    changed = bytearray(_java_store(bundle(2)))
    changed[100] ^= 1
    (tmp_path / "changed.jks").write_bytes(changed)
    done = subprocess.run(
        [keytool, "-list", "-keystore", "changed.jks", "-storetype", "JKS", "-storepass", PASSWORD],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "password was incorrect" in done.stdout + done.stderr
    assert jks.opened(bytes(changed), PASSWORD) is None


# --- OpenSSL and the library ---


@pytest.mark.parametrize("key", pkcs12.KEYS)
def test_openssl_reads_our_pkcs12(openssl: str, tmp_path: Path, key: str) -> None:
    """OpenSSL checks its MAC, and finds key and chain, encrypted as we say."""
    version = bundle(2, key=key)
    (tmp_path / "ours.p12").write_bytes(_pkcs12(version))
    asked = (openssl, "pkcs12", "-in", "ours.p12", "-passin", f"pass:{PASSWORD}", "-nodes")
    text = _run(tmp_path, *asked)
    assert text.count("BEGIN CERTIFICATE") == 2
    key_text = text[text.index("-----BEGIN PRIVATE KEY") : text.index("END PRIVATE KEY-----") + 20]
    assert Material(private_key=key_text, chain=()).same(Material(private_key=version.private_key, chain=()))
    done = subprocess.run([*asked, "-info", "-noout"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.count(f"PBES2, PBKDF2, AES-256-CBC, Iteration {pkcs12.ROUNDS}, PRF hmacWithSHA256") == 2


@pytest.mark.parametrize("options", [(), ("-keypbe", "AES-128-CBC", "-certpbe", "AES-192-CBC"), ("-certpbe", "NONE")])
def test_we_read_what_openssl_makes(openssl: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    """With its usual encryption, others of AES, and certificates in the clear."""
    version = bundle(2, key="EC-384")
    (tmp_path / "leaf.pem").write_text(version.certificate_pem)
    (tmp_path / "key.pem").write_text(version.private_key)
    (tmp_path / "chain.pem").write_text(version.chain_pem)
    _run(
        tmp_path, openssl, "pkcs12", "-export", "-in", "leaf.pem", "-inkey", "key.pem", "-certfile", "chain.pem",
        "-out", "theirs.p12", "-passout", f"pass:{PASSWORD}", *options,
    )  # fmt: skip
    text = base64.b64encode((tmp_path / "theirs.p12").read_bytes()).decode()
    found = key_formats.named("pkcs12").read({"pkcs12": text, "password": PASSWORD})
    assert found is not None
    assert found.same(material(version))


def test_older_encryption_is_not_opened(openssl: str, tmp_path: Path) -> None:
    """RC2 and Triple DES: such a container has no certificate that could be read, and is no error."""
    old = PrivateFormat.PKCS12.encryption_builder().key_cert_algorithm(library.PBES.PBESv1SHA1And3KeyTripleDESCBC)
    data = _foreign(bundle(1), old.hmac_hash(hashes.SHA1()).build(PASSWORD.encode()))
    (tmp_path / "old.p12").write_bytes(data)
    _run(tmp_path, openssl, "pkcs12", "-in", "old.p12", "-passin", f"pass:{PASSWORD}", "-nodes")
    assert pkcs12.opened(data, PASSWORD) is None


@pytest.mark.parametrize("encryption", [BestAvailableEncryption(PASSWORD.encode()), NoEncryption()])
def test_we_read_what_the_library_makes(encryption: Any) -> None:
    """Also a container without any encryption, whose key is a bag of its own."""
    version = bundle(1, key="RSA-2048")
    opened = pkcs12.opened(_foreign(version, encryption), PASSWORD)
    assert opened is not None
    assert opened.certificates == material(version).chain
    key: Any = load_der_private_key(opened.key, None)
    assert key.private_numbers() == load_pem_private_key(version.private_key.encode(), None).private_numbers()  # type: ignore[union-attr]


def test_the_leaf_is_the_one_of_the_key() -> None:
    """Tools write certificates in any order."""
    version = bundle(2)
    key: Any = load_pem_private_key(version.private_key.encode(), None)
    leaf, above = map(load_der_x509_certificate, material(version).chain)
    data = library.serialize_key_and_certificates(None, key, None, [above, leaf], BestAvailableEncryption(b"pw"))
    found = key_formats.named("pkcs12").read({"pkcs12": base64.b64encode(data).decode(), "password": "pw"})
    assert found is not None
    assert found.same(material(version))


# --- what strangers write ---


def test_another_password_opens_nothing() -> None:
    """Neither container opens."""
    version = bundle(1)
    for password in ("", "another", "\ud800", "x" * 70_000):
        assert jks.opened(_java_store(version), password) is None
        assert pkcs12.opened(_pkcs12(version), password) is None


@pytest.mark.parametrize("rounds", [pkcs12.MAX_ROUNDS + 1, 2**31 - 1, 2**40, 0, -1])
def test_rounds_are_bounded(rounds: int) -> None:
    """A container that wants billions of rounds is left closed at once."""
    data = _pkcs12(bundle(1))
    usual = der.encoded(der.INTEGER, pkcs12.ROUNDS.to_bytes(2))
    begun = time.monotonic()
    assert pkcs12.opened(_exchanged(data, usual, _integer(rounds)), PASSWORD) is None
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(("rounds", "opens"), [(pkcs12.MAX_ROUNDS // 2, True), (pkcs12.MAX_ROUNDS // 2 + 1, False)])
def test_the_sum_of_rounds_is_bounded(rounds: int, opens: bool) -> None:
    """Key and certificates are encrypted each for itself: both together may take so many rounds, and no more."""
    strong = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(rounds)
    chosen = strong.key_cert_algorithm(library.PBES.PBESv2SHA256AndAES256CBC).build(PASSWORD.encode())
    assert (pkcs12.opened(_foreign(bundle(1), chosen), PASSWORD) is not None) is opens


def _integer(value: int) -> bytes:
    return der.encoded(der.INTEGER, value.to_bytes((value.bit_length() + 8) // 8, signed=True))


def _exchanged(data: bytes, old: bytes, new: bytes) -> bytes:
    """The container with an element exchanged wherever it is, and all lengths right."""
    whole = b""
    for each in der.elements(data):
        encoded = der.encoded(each.tag, each.content)
        if encoded == old:
            whole += new
        elif each.tag & 0x20 or (each.tag == der.OCTETS and old in each.content):
            whole += der.encoded(each.tag, _exchanged(each.content, old, new))
        else:
            whole += encoded
    return whole


@pytest.mark.parametrize("make", [_pkcs12, _java_store])
def test_every_cut_and_many_changes(make: Callable[[Bundle], bytes]) -> None:
    """Cut off anywhere, or changed anywhere: opened, or None; never an exception."""
    data = make(bundle(1))
    opened = pkcs12.opened if make is _pkcs12 else jks.opened
    assert all(opened(data[:size], PASSWORD) is None for size in range(0, len(data), 7))
    chosen = random.Random(4)
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(chosen.randint(1, 4)):
            changed[chosen.randrange(len(changed))] = chosen.randrange(256)
        opened(bytes(changed), PASSWORD)


def _signed(body: bytes) -> bytes:
    """A JKS of any body, with the right digest."""
    return body + jks._sha1(jks._secret(PASSWORD), b"Mighty Aphrodite", body)


HEAD = struct.pack(">III", 0xFEEDFEED, 2, 1)
ENTRY = struct.pack(">IHQ", 1, 0, 0)
HOSTILE = {
    "nothing": b"",
    "another magic": struct.pack(">III", 0xCECECECE, 2, 1),
    "another version": struct.pack(">III", 0xFEEDFEED, 3, 1),
    "billions of entries": struct.pack(">III", 0xFEEDFEED, 2, 2**32 - 1),
    "no entries": struct.pack(">III", 0xFEEDFEED, 2, 0),
    "another entry": HEAD + struct.pack(">IHQ", 3, 0, 0),
    "a long alias": HEAD + struct.pack(">IH", 1, 65_535) + b"x",
    "a key of gigabytes": HEAD + ENTRY + struct.pack(">I", 2**31),
    "billions of certificates": HEAD + ENTRY + struct.pack(">II", 0, 2**32 - 1),
    "another kind of certificate": HEAD + ENTRY + struct.pack(">IIH", 0, 1, 3) + b"PGP" + struct.pack(">I", 0),
    "a key that is none": HEAD + ENTRY + struct.pack(">I", 3) + b"\x30\x01\x00" + struct.pack(">I", 0),
    "an empty key": HEAD + ENTRY + struct.pack(">II", 0, 0),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_keystores(what: str) -> None:
    """Their digest is right, so that what follows is what is tested."""
    assert jks.opened(_signed(HOSTILE[what]), PASSWORD) is None


@pytest.mark.parametrize(("size", "opens"), [(jks.MAX_CERTIFICATES, True), (jks.MAX_CERTIFICATES + 1, False)])
def test_certificates_of_a_keystore_are_bounded(size: int, opens: bool) -> None:
    """No chain is that long."""
    chain = material(bundle(1)).chain[:1] * size
    made = jks.written(_key_der(bundle(1)), chain, PASSWORD, "shop", CREATED)
    assert (jks.opened(made, PASSWORD) is not None) is opens


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80\x02\x01\x03\x00\x00",  # indefinite length
        b"\x30\x81\x03\x02\x01\x03",  # a length that is longer than it must be
        b"\x30\x85\x00\x00\x00\x00\x01\x00",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x1f\x81\x01\x00",  # a tag of several bytes
        b"\x30",
        b"\x02\x00" * 2_000,
    ],
)
def test_only_der_is_read(data: bytes) -> None:
    """Other encodings of the same are a way to hide something."""
    with pytest.raises(ValueError, match=r"."):
        der.elements(data)
    assert pkcs12.opened(data, PASSWORD) is None


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_der_is_written_as_it_is_read(size: int) -> None:
    """Lengths at each border."""
    (found,) = der.elements(der.encoded(der.OCTETS, b"x" * size))
    assert (found.tag, len(found.content)) == (der.OCTETS, size)


def test_deep_nesting_is_no_recursion() -> None:
    """Thousands of layers are opened by nobody."""
    data = b""
    for _ in range(10_000):
        data = der.encoded(der.SEQUENCE, data)
    assert pkcs12.opened(data, PASSWORD) is None


def test_large_containers_are_not_opened() -> None:
    """A secret has 64 KB."""
    large = der.encoded(der.SEQUENCE, b"\x00" * pkcs12.MAX_BYTES)
    assert pkcs12.opened(large, PASSWORD) is None
    assert jks.opened(_signed(HEAD + b"\x00" * jks.MAX_BYTES), PASSWORD) is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"certificate": 1, "private_key": None},
        {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "private_key": "\ud800"},
        {"certificate": "-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n"},
        {"certificate": "é\ud800", "fullchain": "é", "pkcs12": "é", "jks": "é", "password": "é\ud800"},
        {"pkcs12": "AAAA", "jks": "/u3+7Q==", "password": 5},
        {"certificate": "x" * 70_000},
        {"certificate": bundle(1).certificate_pem * 60},
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_any_document_is_read(name: str, document: Mapping[str, object]) -> None:
    """None, or material that is nobody's."""
    found = key_formats.named(name).read(document)
    assert found is None or not found.same(material(bundle(1)))


def test_ml_dsa_is_what_the_library_does_not_write() -> None:
    """When it does, `pkcs12.KEYS` can grow: this test fails then."""
    version = bundle(1, key="ML-DSA-44")
    with pytest.raises(TypeError, match="Key must be RSA"):
        _foreign(version, BestAvailableEncryption(b"pw"))
