"""The preflight: each reason alone, what passes, and what OpenSSL finds by itself in a handshake in memory."""

from __future__ import annotations

import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography import x509

from certificates import Built, build
from key_search import Known
from perennial import memory_handshake, preflight
from perennial.certificate import Certificate, ders, parse
from perennial.errors import Unavailable
from perennial.targets.interface import Bundle

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
BEGIN, END = datetime(2024, 6, 1, tzinfo=UTC), datetime(2033, 6, 1, tzinfo=UTC)  # this machine's clock is in it too
NAME = "shop.example.com"
ROOT = build("Example Root", ca=True)
CA = build("Example CA", ca=True, issuer=ROOT)
LOWER = build("Lower CA", ca=True, issuer=CA)
STRANGER = build("Strange Root", ca=True)
PLACE = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/edge/1/2"


def leaf(*names: str, issuer: Built = CA, **more: Any) -> Built:
    """A certificate that is valid now and by this machine's clock."""
    names = names or (NAME,)
    return build(names[0], names=names, issuer=issuer, **{"not_before": BEGIN, "not_after": END, **more})


LEAF = leaf()


def version(made: Built = LEAF, *chain: Built | Certificate, **more: Any) -> Bundle:
    """A version with this certificate, and its key and chain (the CA, where none is given)."""
    above = chain or (CA,)
    facts: dict[str, Any] = {
        "managed": "shop",
        "version": 2,
        "names": made.certificate.names,
        "key": made.certificate.key,
        "certificate": made.certificate,
        "chain": tuple(each.certificate if isinstance(each, Built) else each for each in above),
        "private_key": made.key_pem,
    }
    return Bundle(**{**facts, **more})


def judged(new: Bundle | None = None, *, roots: tuple[Any, ...] = (ROOT,), **more: Any) -> tuple[str, ...]:
    """The problems of a version at a place that takes what the version usually is."""
    asked: dict[str, Any] = {
        "names": (NAME,),
        "claimed": (),
        "keys": ("EC-256", "RSA-2048"),
        "max_chain": 5,
        "protocols": (),
        "now": NOW,
        "with_key": True,
        "handshakes": True,
        "place": PLACE,
    }
    given = tuple(each.certificate if isinstance(each, Built) else each for each in roots)
    return preflight.problems(new or version(), **{**asked, "roots": given, **more})


WILD = leaf("*.shop.example.com", NAME)
ADDRESSES = leaf(NAME, "192.0.2.7", "2001:db8::7")
RSA = leaf(key="RSA-2048")
LONG = leaf(issuer=LOWER)
NAMELESS = build(NAME, names=None, issuer=CA, not_before=BEGIN, not_after=END)
CROSS = build("Example Root", ca=True, key=ROOT.key, issuer=STRANGER)

PASSING: dict[str, Callable[[], tuple[str, ...]]] = {
    "itself": judged,
    "RSA": lambda: judged(version(RSA)),
    "any key type": lambda: judged(version(leaf(key="EC-384")), keys=()),
    "Ed25519": lambda: judged(version(leaf(key="Ed25519")), keys=()),
    "the root sent along": lambda: judged(version(LEAF, CA, ROOT)),
    "a cross-signed root sent along": lambda: judged(version(LEAF, CA, CROSS)),
    "anchored at the cross-signing root": lambda: judged(version(LEAF, CA, CROSS), roots=(STRANGER,)),
    "an intermediate is the anchor": lambda: judged(version(), roots=(CA,)),
    "issued by the root": lambda: judged(version(leaf(issuer=ROOT), chain=())),
    "two CAs": lambda: judged(version(LONG, LOWER, CA), max_chain=2),
    "one of many roots": lambda: judged(roots=(STRANGER, ROOT)),
    "wildcards": lambda: judged(version(WILD), names=(NAME, "*.shop.example.com", "a.shop.example.com")),
    "claimed": lambda: judged(version(WILD), claimed=("b.shop.example.com", "*.shop.example.com")),
    "addresses": lambda: judged(version(ADDRESSES), names=("192.0.2.7", "2001:db8:0::7"), claimed=("[2001:db8::7]",)),
    "upper case, final dot": lambda: judged(names=("SHOP.example.com.",)),
    "in its last second": lambda: judged(now=END),
    "in its first second": lambda: judged(now=BEGIN),
    "TLS 1.2 alone": lambda: judged(protocols=("TLSv1.2",)),
    "TLS 1.3 alone": lambda: judged(protocols=("TLSv1.3",)),
    "old protocols": lambda: judged(protocols=("TLSv1", "TLSv1.1", "TLSv1.2")),
    "protocols that nobody knows": lambda: judged(protocols=("SSLv2", "QUIC")),
    "no key where none is needed": lambda: judged(version(private_key=""), with_key=False),
    "for clients too": lambda: judged(version(leaf(eku=("clientAuth", "serverAuth")))),
}


@pytest.mark.parametrize("judge", PASSING.values(), ids=PASSING)
def test_what_holds(judge: Callable[[], tuple[str, ...]]) -> None:
    """Nothing is said about what a place can serve."""
    assert judge() == ()


EXPIRED_CA = build("Old CA", ca=True, issuer=ROOT, not_after=datetime(2026, 9, 1, tzinfo=UTC))
EARLY_CA = build("Early CA", ca=True, issuer=ROOT, not_before=NOW + timedelta(days=1))
OF_STRANGER = leaf(issuer=STRANGER)
SHORT = build("Short CA", ca=True, issuer=ROOT, path_length=0)
BELOW_SHORT = build("Below Short", ca=True, issuer=SHORT)
CONSTRAINED = build(
    "Constrained CA",
    ca=True,
    issuer=ROOT,
    extensions=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)],
)
OLD_ROOT = build("Example Root", ca=True, not_after=datetime(2026, 9, 1, tzinfo=UTC))
FALSE_ROOT = build("Example Root", ca=True, key="EC-256#false")

WRONG: dict[str, tuple[Callable[[], tuple[str, ...]], str]] = {
    "no key": (lambda: judged(version(private_key="")), "needs the private key, and Perennial does not hold"),
    "another key": (
        lambda: judged(version(private_key=build(NAME, key="EC-256#other").key_pem)),
        "The private key is not that of the certificate",
    ),
    "no PEM": (lambda: judged(version(private_key="x" * 100)), "The stored private key cannot be used"),
    "key type": (
        lambda: judged(version(RSA), keys=("EC-256", "EC-384")),
        f"{PLACE} takes keys of the types EC-256, EC-384, and that of the certificate is RSA-2048",
    ),
    "curve": (
        lambda: judged(version(leaf(key="EC-secp256k1"), private_key=""), with_key=False),
        "that of the certificate is EC secp256k1",
    ),
    "out of order": (
        lambda: judged(version(LONG, CA, LOWER)),
        "The chain is out of order: its certificate 1 (Example CA) did not sign the one before it",
    ),
    "a stranger between": (
        lambda: judged(version(LONG, LOWER, STRANGER, CA)),
        "The chain is out of order: its certificate 2 (Strange Root)",
    ),
    "a stranger behind": (
        lambda: judged(version(LEAF, CA, STRANGER)),
        "The chain is out of order: its certificate 2 (Strange Root)",
    ),
    "twice": (lambda: judged(version(LEAF, CA, CA)), "The chain is out of order: its certificate 2 (Example CA)"),
    "the leaf again": (lambda: judged(version(LEAF, LEAF, CA)), "The chain is out of order: its certificate 1 (shop."),
    "incomplete": (lambda: judged(version(LONG, LOWER)), "The chain is not complete"),
    "without chain": (lambda: judged(version(chain=())), "no CA above the leaf is there"),
    "another root": (lambda: judged(roots=(STRANGER,)), "The chain is not complete: no expected root"),
    "a root of the same name": (lambda: judged(roots=(FALSE_ROOT,)), "The chain is not complete: no expected root"),
    "no root": (lambda: judged(roots=()), "There is no root that the chain could build to"),
    "an unreadable root": (lambda: judged(roots=(parse(b"\x30\x00"),)), "There is no root that the chain could"),
    "self-signed": (lambda: judged(version(leaf(issuer=None), chain=())), "The chain is not complete"),  # type: ignore[arg-type]
    "too long": (lambda: judged(version(LONG, LOWER, CA), max_chain=1), f"{PLACE} takes 1 certificates above the leaf"),
    "expired CA": (
        lambda: judged(version(leaf(issuer=EXPIRED_CA), EXPIRED_CA)),
        "The chain's Old CA expired on 2026-09-01 00:00 UTC",
    ),
    "CA of tomorrow": (
        lambda: judged(version(leaf(issuer=EARLY_CA), EARLY_CA)),
        "The chain's Early CA is not valid before 2026-11-02 12:00 UTC",
    ),
    "expired root": (lambda: judged(roots=(OLD_ROOT,)), "The chain does not build to an expected root"),
    "path length": (
        lambda: judged(version(leaf(issuer=BELOW_SHORT), BELOW_SHORT, SHORT)),
        "The chain does not build to an expected root",
    ),
    "name constraints": (
        lambda: judged(version(leaf(issuer=CONSTRAINED), CONSTRAINED)),
        "The chain does not build to an expected root",
    ),
    "expired": (
        lambda: judged(now=END + timedelta(seconds=1)),
        "The certificate expired on 2033-06-01 00:00 UTC, and it is 2033-06-01 00:00 UTC",
    ),
    "not yet valid": (
        lambda: judged(now=BEGIN - timedelta(minutes=1)),
        "The certificate is not valid before 2024-06-01 00:00 UTC, and it is 2024-05-31 23:59 UTC",
    ),
    "a name": (
        lambda: judged(names=(NAME, "www.example.com")),
        f"does not cover www.example.com, which must be served at {PLACE}",
    ),
    "a claimed name": (
        lambda: judged(claimed=("other.example.com",)),
        f"does not cover other.example.com, which {PLACE} claims",
    ),
    "two labels below a wildcard": (
        lambda: judged(version(WILD), names=("a.b.shop.example.com",)),
        "does not cover a.b.shop.example.com",
    ),
    "what a wildcard is below": (
        lambda: judged(version(leaf("*.shop.example.com")), names=(NAME,)),
        f"does not cover {NAME}",
    ),
    "a wildcard over names": (
        lambda: judged(version(leaf(NAME, "a.shop.example.com")), names=("*.shop.example.com",)),
        "does not cover *.shop.example.com",
    ),
    "an address": (lambda: judged(version(ADDRESSES), names=("192.0.2.8",)), "does not cover 192.0.2.8"),
    "the common name alone": (lambda: judged(version(leaf("a.example.com", subject=f"CN={NAME}"))), "does not cover"),
    "for clients": (lambda: judged(version(leaf(eku=("clientAuth",)))), "not for TLS servers: it is for clientAuth"),
    "for nothing": (lambda: judged(version(leaf(eku=None))), "not for TLS servers: it names no purpose"),
    "no such handshake": (
        lambda: judged(version(leaf(key="ML-DSA-65")), keys=()),
        "the OpenSSL of this machine has no ML-DSA-65 keys",
    ),
    "Ed25519 in TLS 1.0": (
        lambda: judged(version(leaf(key="Ed25519")), keys=(), protocols=("TLSv1", "TLSv1.3")),
        "In a handshake in memory (TLSv1)",
    ),
    "more than is looked at": (lambda: judged(version(LEAF, *(CA,) * 20)), "21 certificates of"),
    "unreadable leaf": (
        lambda: judged(version(certificate=parse(b"\x30\x03\x02\x01\x01"))),
        "The certificate cannot be read in full",
    ),
    "unreadable CA": (lambda: judged(version(LEAF, parse(b""))), "Certificate 1 of the chain cannot be read in full"),
    "no DER": (lambda: judged(version(certificate=Certificate(fingerprint=None))), "there is no DER of it"),
}


@pytest.mark.parametrize(("judge", "said"), WRONG.values(), ids=WRONG)
def test_each_reason_alone(judge: Callable[[], tuple[str, ...]], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that is wrong gives one bounded sentence, with what to do."""
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 0, 0, 0, 0))
    (sentence,) = judge()
    assert said in sentence
    assert sentence.endswith(".")
    assert ";" in sentence
    assert len(sentence) < 1_200


def test_everything_at_once() -> None:
    """All reasons are told in one go: those of the place, and those of the certificate."""
    wrong = leaf(key="RSA-2048", issuer=LOWER, eku=("clientAuth",))
    found = judged(
        version(wrong, CA, LOWER, private_key=LEAF.key_pem),
        names=("www.example.com",),
        claimed=("claimed.example.com",),
        keys=("EC-256",),
        max_chain=1,
        now=END + timedelta(days=1),
    )
    assert len(found) == 8
    for part in ("RSA-2048", "takes 1", "private key", "expired", "www.", "claimed.", "clientAuth", "out of order"):
        assert any(part in each for each in found), part


def test_many_names_are_counted() -> None:
    """A hundred names that are not covered are one short sentence."""
    (sentence,) = judged(names=tuple(f"n{number}.{'x' * 60}.example.com" for number in range(100)))
    assert "and 97 more" in sentence
    assert len(sentence) < 1_000


def test_a_key_type_without_handshake_where_none_is_needed() -> None:
    """A place that serves no TLS itself gets what this OpenSSL cannot do."""
    if memory_handshake.unable([leaf(key="ML-DSA-65").certificate]):
        assert judged(version(leaf(key="ML-DSA-65")), keys=(), handshakes=False) == ()


def test_a_post_quantum_ca_over_an_ordinary_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that this OpenSSL cannot verify is not tried, be the key in a CA of it or in the root alone."""
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 0, 0, 0, 0))
    root = build("PQ Root", ca=True, key="ML-DSA-65")
    direct = version(leaf(issuer=root), chain=())
    for roots, new in (((root,), direct), ((root,), version(leaf(issuer=root), root))):
        assert "ML-DSA-65" in judged(new, roots=roots)[0]
        assert judged(new, roots=roots, handshakes=False) == ()


@pytest.mark.parametrize("handshakes", [True, False])
def test_the_handshake_is_made_wherever_it_can_be(handshakes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a secret gets is tried too; what has no key, or is wrong already, is not."""
    made: list[Any] = []
    monkeypatch.setattr(memory_handshake, "problems", lambda *a, **more: made.append(more["names"]) or ("said",))
    assert judged(handshakes=handshakes, claimed=(NAME, "shop.example.com")) == ("said",)
    assert made == [(NAME,)]
    judged(version(private_key=""), with_key=False, handshakes=handshakes)
    judged(names=("other.example.com",), handshakes=handshakes)
    assert len(made) == 1
    assert judged(version(), names=(), handshakes=handshakes) == ("said",)
    assert made[1] == (NAME,)


# --- OpenSSL's own judgement ---


def shaken(
    new: Bundle | None = None,
    *,
    names: tuple[str, ...] = (NAME,),
    roots: tuple[Built, ...] = (ROOT,),
    protocols: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """What the handshake alone says."""
    given = [each.certificate for each in roots]
    return memory_handshake.problems(new or version(), names=names, protocols=protocols, roots=given)


OPENSSL: dict[str, tuple[Callable[[], tuple[str, ...]], str]] = {
    "another name": (lambda: shaken(names=("www.example.com",)), "the certificate is not for this name"),
    "another address": (
        lambda: shaken(version(ADDRESSES), names=("192.0.2.8", "2001:db8::8")),
        "the certificate is not for this name",
    ),
    "two labels": (lambda: shaken(version(WILD), names=("a.b.shop.example.com",)), "is not for this name"),
    "the common name": (lambda: shaken(version(leaf("a.example.com", subject=f"CN={NAME}"))), "is not for this name"),
    "the common name, and no names": (lambda: shaken(version(NAMELESS)), "is not for this name"),
    "another root": (lambda: shaken(roots=(STRANGER,)), "unable to get local issuer certificate"),
    "a root of the same name": (lambda: shaken(roots=(FALSE_ROOT,)), "client that trusts the expected roots"),
    "incomplete": (lambda: shaken(version(LONG, LOWER)), "unable to get"),
    "expired": (lambda: shaken(version(leaf(not_after=BEGIN + timedelta(days=1)))), "certificate has expired"),
    "not yet valid": (
        lambda: shaken(version(leaf(not_before=END, not_after=END + timedelta(days=9)))),
        "certificate is not yet valid",
    ),
    "path length": (lambda: shaken(version(leaf(issuer=BELOW_SHORT), BELOW_SHORT, SHORT)), "path length"),
    "constraints": (lambda: shaken(version(leaf(issuer=CONSTRAINED), CONSTRAINED)), "permitted subtree violation"),
    "for clients": (lambda: shaken(version(leaf(eku=("clientAuth",)))), "unsuitable certificate purpose"),
    "what no TLS can ask for": (lambda: shaken(names=("a..example.com",)), "the name cannot be asked for"),
}


@pytest.mark.parametrize(("judge", "said"), OPENSSL.values(), ids=OPENSSL)
def test_openssl_finds_it_by_itself(judge: Callable[[], tuple[str, ...]], said: str) -> None:
    """The handshake fails for what the rules refuse, in both protocols, without asking the rules."""
    found = judge()
    assert [each.partition(")")[0] for each in found] == [
        "In a handshake in memory (TLSv1.2",
        "In a handshake in memory (TLSv1.3",
    ]
    assert all(said in each for each in found)


def test_another_key_is_not_taken() -> None:
    """OpenSSL refuses a key that does not belong to the certificate, and says nothing of it."""
    (sentence,) = shaken(version(private_key=build(NAME, key="EC-256#other").key_pem))
    assert "key values mismatch" in sentence


def test_a_hundred_names_that_fail_are_two_sentences() -> None:
    """Names with one reason are told together, and all of them were asked for."""
    found = shaken(names=tuple(f"n{number}.example.com" for number in range(100)))
    assert len(found) == 2
    assert all("and 97 more" in each for each in found)


@pytest.mark.parametrize(
    ("protocols", "used"),
    [
        ((), ["TLSv1.2", "TLSv1.3"]),
        (("TLSv1.3", "TLSv1.2"), ["TLSv1.2", "TLSv1.3"]),
        (("TLSv1.2",), ["TLSv1.2"]),
        (("TLSv1.3", "TLSv1.2", "TLSv1.1"), ["TLSv1.1", "TLSv1.3"]),
        (("TLSv1", "TLSv1.1"), ["TLSv1", "TLSv1.1"]),
        (("SSLv3",), ["TLSv1.2", "TLSv1.3"]),
    ],
)
def test_the_lowest_and_the_highest_protocol(protocols: tuple[str, ...], used: list[str]) -> None:
    """Those of the place, as far as this OpenSSL has them, in which a client that refuses everything is told of."""
    found = shaken(names=("x.example.com",), protocols=protocols)
    assert [each.partition("(")[2].partition(")")[0] for each in found] == used


def test_protocols_that_this_openssl_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not built in, or does not work, is no reason against a version."""
    memory_handshake._able.cache_clear()
    monkeypatch.setattr(ssl, "HAS_TLSv1", False)
    monkeypatch.setattr(memory_handshake, "_probe", lambda: (build("another.invalid").key_pem, LEAF.der))
    assert shaken(protocols=("TLSv1", "TLSv1.1", "TLSv1.2")) == ()
    assert [memory_handshake._able(each) for each in list(memory_handshake.PROTOCOLS.values())] == [
        False,
        False,
        True,
        True,
    ]
    memory_handshake._able.cache_clear()


def test_post_quantum_keys_are_for_tls_1_3() -> None:
    """Where no protocol is known, such a key is tried in the only one that has it."""
    tls13 = memory_handshake.PROTOCOLS["TLSv1.3"]
    assert memory_handshake._versions((), post_quantum=True) == (tls13,)
    assert len(memory_handshake._versions(("TLSv1.2", "TLSv1.3"), post_quantum=True)) == 2


def test_a_newer_openssl_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 3.5 on OpenSSL has these keys: then it judges them."""
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 5, 0, 0, 0))
    assert memory_handshake.unable([leaf(key="ML-DSA-65").certificate]) == ""


# --- the key and the disk ---


@pytest.mark.parametrize("key", ["EC-256", "RSA-2048", "Ed25519"])
def test_no_clear_key_reaches_the_disk(key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is written is encrypted, for its owner alone, with a passphrase of its own, and gone afterwards. Everything
    that is opened for writing while the preflight runs is looked at."""
    new = version(leaf(key=key))
    known = Known.of([leaf(key=key).key])
    seen: list[tuple[bytes, str, int, int]] = []
    load = ssl.SSLContext.load_cert_chain

    def looked(self: ssl.SSLContext, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        file = Path(certfile)
        assert keyfile is None
        assert list(file.parent.iterdir()) == [file]
        seen.append((file.read_bytes(), password, file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777))
        load(self, certfile, keyfile, password)

    written: list[bytes] = []
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: written.append(bytes(data)) or write(self, data))
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", looked)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for _ in range(2):
        assert judged(new, keys=()) == ()
    assert len(seen) == 2
    for content, password, file_mode, folder_mode in seen:
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in content
        assert b"BEGIN PRIVATE KEY" not in content
        assert not known.shown_in(content)
        assert len(password) == 64
        assert password.encode() not in content
        assert (file_mode, folder_mode) == (0o600, 0o700)
    assert seen[0][1] != seen[1][1]
    assert written == [content for content, *_ in seen]
    assert list(tmp_path.iterdir()) == []


def test_known_keys_are_found() -> None:
    """The search above would find the key in clear."""
    assert Known.of([LEAF.key]).shown_in(LEAF.key_pem)


def test_the_file_is_gone_where_openssl_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also what OpenSSL does not take leaves nothing behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert len(shaken(version(private_key=build(NAME, key="EC-256#other").key_pem))) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_room_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary directory that cannot be written is worth another try, and no verdict."""

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Unavailable, match="No space left on device"):
        judged()


def test_a_hundred_names_take_well_under_a_second() -> None:
    """Contexts are made once, and 200 handshakes follow."""
    names = tuple(f"n{number}.shop.example.com" for number in range(100))
    new = version(leaf(*names))
    took = []
    for _ in range(3):  # this machine may be busy with something else
        begin = time.process_time()
        assert judged(new, names=names) == ()
        took.append(time.process_time() - begin)
    assert min(took) < 1.0


# --- hostile ---


def _corpus() -> list[bytes]:
    folder = Path(cryptography_vectors.__file__).parent / "x509"
    return [der for file in sorted(folder.rglob("*.pem")) for der in ders(file.read_bytes())]


def test_no_certificate_of_the_corpus_raises() -> None:
    """Odd certificates give sentences, as leaf, as CA and as root, with a key or without one."""
    corpus = [parse(der) for der in _corpus()]
    assert len(corpus) > 100
    for each in corpus:
        alone = replace(version(), certificate=each)
        for new, roots in ((alone, (ROOT,)), (version(LEAF, each), (ROOT,)), (version(), (ROOT, each))):
            found = judged(new, roots=roots, keys=("EC-256",), claimed=("x" * 5_000, "", "..", "\ud800"))
            assert found
            assert all(len(sentence) < 2_000 and sentence.isprintable() for sentence in found)


def test_no_root_of_the_corpus_breaks_a_handshake() -> None:
    """Among odd roots the right one is found, unless OpenSSL cannot read one of them: then that is said."""
    for each in map(parse, _corpus()):
        found = judged(roots=(ROOT, each))
        assert found == () or "OpenSSL does not take the key, the certificate or a root" in found[0]


@pytest.mark.parametrize("part", range(8))
def test_flipped_bits_never_raise(part: int) -> None:
    """A leaf or a CA in which a byte is another one gives sentences, and never passes where its signature is broken."""
    for at in range(part, len(LEAF.der), 8):
        broken = parse(LEAF.der[:at] + bytes([LEAF.der[at] ^ 0x41]) + LEAF.der[at + 1 :])
        assert judged(version(certificate=broken))
        if at < len(CA.der):
            judged(version(LEAF, parse(CA.der[:at] + bytes([CA.der[at] ^ 0x41]) + CA.der[at + 1 :])))


@pytest.mark.parametrize(
    "name", ["", ".", "*", "*.", "*.*.example.com", "a" * 300, "x." * 200, "\ud800", "\x00", "[::1", "münchen.example"]
)
def test_odd_names_never_raise(name: str) -> None:
    """Whatever a place claims gives a sentence at most, also where OpenSSL is asked for it."""
    assert judged(claimed=(name,))
    assert shaken(names=(name,))


def test_a_place_with_an_endless_name() -> None:
    """What a place is called is cut."""
    (sentence,) = judged(version(private_key=""), place="x\x1b" * 100_000)
    assert len(sentence) < 500
    assert sentence.isprintable()
