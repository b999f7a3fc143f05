"""Before it is called issued: one passing and one failing case for each rule, and nothing hostile that raises."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import NOT_BEFORE, NOW, Built, build, pem
from perennial import issued
from perennial.certificate import Certificate
from perennial.errors import InvalidConfiguration
from perennial.profiles import KEYS, AcmeIssuer, AcmIssuer, Issuer, KeyHome, PcaIssuer, Profile

NAME = "shop.example.com"
ROOT = build("Issued Root", ca=True)
CA = build("Issuing CA", ca=True, issuer=ROOT, path_length=0)
STRANGER = build("Strange Root", ca=True)
PRIVATE: Issuer = PcaIssuer(name="private", authority="arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/1")
PUBLIC: Issuer = AcmeIssuer(name="public", directory="https://acme.example/directory")
PROFILE = Profile(name="web", issuer="private")
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)


def leaf(*names: str, issuer: Built = CA, **changed: Any) -> Built:
    """A certificate of 90 days less one second, as most CAs count them."""
    changed = {"key": "EC-256", "validity": 90 * DAY - SECOND, **changed}
    return build(names[0] if names else NAME, names=names or (NAME,), issuer=issuer, **changed)


LEAF = leaf()


def judged(
    built: Built = LEAF,
    *above: Built,
    chain: tuple[bytes, ...] | None = None,
    names: tuple[str, ...] = (NAME,),
    of_key: Any = "",
    key: str = "EC-256",
    profile: Profile = PROFILE,
    issuer: Issuer = PRIVATE,
    days: int = 90,
    roots: tuple[Built, ...] = (ROOT,),
    now: datetime = NOW,
) -> tuple[str, ...]:
    """The problems of a certificate with the chain above it (the issuing CA, where none is given)."""
    asked = of_key or built.certificate.public_key_sha256
    return issued.problems(
        (built.der, *(each.der for each in above or (CA,))) if chain is None else chain,
        names=names,
        public_key_sha256=asked,
        key=key,
        profile=profile,
        issuer=issuer,
        validity_days=days,
        roots=tuple(each.certificate for each in roots),
        now=now,
    )


def own(kind: str) -> tuple[Built, Built, Built]:
    """A leaf, its CA and the root, all with keys of one type."""
    root = build(f"{kind} Root", ca=True, key=kind)
    ca = build(f"{kind} CA", ca=True, key=kind, issuer=root, path_length=0)
    return leaf(issuer=ca, key=kind), ca, root


@pytest.mark.parametrize("kind", KEYS)
def test_a_chain_of_each_key_type_passes(kind: str) -> None:
    """What was asked for has no problem, with the root sent along or not, for every type of key."""
    built, ca, root = own(kind)
    profile, issuer = replace(PROFILE, keys=(kind,)), replace(PRIVATE, keys=KEYS)
    for above in ((ca,), (ca, root)):
        assert judged(built, *above, key=kind, profile=profile, issuer=issuer, roots=(STRANGER, root)) == ()


@pytest.mark.parametrize("kind", KEYS)
def test_a_chain_of_each_key_type_needs_its_own_root(kind: str) -> None:
    """A root of the same name and another key is not taken for the root, for every type of key."""
    built, ca, root = own(kind)
    false = build(f"{kind} Root", ca=True, key=f"{kind}#false")
    profile, issuer = replace(PROFILE, keys=(kind,)), replace(PRIVATE, keys=KEYS)
    for above, order in (((ca,), 0), ((ca, root), 0), ((ca, false), 1)):
        found = judged(built, *above, key=kind, profile=profile, issuer=issuer, roots=(false,))
        assert len(found) == 1 + order
        assert "does not build to an expected root" in found[-1]


ADDRESS = leaf("192.0.2.7")
WILD = leaf("*.shop.example.com", NAME)
CLIENT = leaf(eku=("clientAuth",))
BOTH = leaf(eku=("serverAuth", "clientAuth"))
OWN_KEY = build("a CA's key", key="EC-256#elsewhere").key
CLIENT_CA = build("Client CA", ca=True, issuer=ROOT, eku=("clientAuth",))
ANY_CA = build("Any CA", ca=True, issuer=ROOT, eku=("2.5.29.37.0",))
CONSTRAINED = build(
    "Constrained CA",
    ca=True,
    issuer=ROOT,
    extensions=[(x509.NameConstraints([x509.DNSName("example.com")], None), True)],
)
NO_EXTENSIONS = leaf(key_identifiers=False, constraints=False, ku=None)
LONG = leaf(validity=90 * DAY + HOUR)
BACKDATED = leaf(validity=90 * DAY + HOUR, not_before=NOW - HOUR)
DAYS_200 = leaf(validity=200 * DAY - SECOND)
EC384 = leaf(key="EC-384")
BIG = tuple(build(f"CA {number}", ca=True, issuer=ROOT) for number in range(19))

PASSING: dict[str, tuple[str, ...]] = {
    "itself": judged(),
    "the root sent along": judged(LEAF, CA, ROOT),
    "issued by the root": judged(leaf(issuer=ROOT), ROOT),
    "an address": judged(ADDRESS, names=("192.0.2.7",)),
    "a wildcard, in another order": judged(WILD, names=(NAME, "*.shop.example.com")),
    "names in upper case": judged(leaf(NAME.upper())),
    "no common name": judged(build(None, names=(NAME,), issuer=CA, validity=89 * DAY)),
    "for clients": judged(CLIENT, profile=replace(PROFILE, usages=("clientAuth",))),
    "for both": judged(BOTH, profile=replace(PROFILE, usages=("clientAuth", "serverAuth"))),
    "for clients too, by an ACME CA": judged(BOTH, issuer=AcmeIssuer(name="ca", directory="", public=False)),
    "without usages, none asked": judged(leaf(eku=None), profile=replace(PROFILE, usages=())),
    "a private CA's plain certificate": judged(NO_EXTENSIONS),
    "a CA for any usage": judged(leaf(issuer=ANY_CA), ANY_CA),
    "within the name constraints": judged(leaf(issuer=CONSTRAINED), CONSTRAINED),
    "backdated by an hour": judged(BACKDATED),
    "begins within an hour": judged(leaf(not_before=NOW + HOUR)),
    "in its last second": judged(LEAF, now=LEAF.x509.not_valid_after_utc),
    "public for 200 days": judged(DAYS_200, days=200, issuer=PUBLIC),
    "private for a year": judged(leaf(validity=365 * DAY), days=365),
    "key of the second type": judged(EC384, key="EC-384", profile=replace(PROFILE, keys=("EC-256", "EC-384"))),
    "the issuer's key": issued.problems(
        (LEAF.der, CA.der),
        names=(NAME,),
        public_key_sha256="",
        key="EC-256",
        profile=replace(PROFILE, key_home=KeyHome.ISSUER),
        issuer=AcmIssuer(name="acm"),
        validity_days=90,
        roots=(ROOT.certificate,),
        now=NOW,
    ),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_was_asked_for_passes(name: str) -> None:
    """A certificate as it was asked for has no problem, up to the edge of each rule."""
    assert PASSING[name] == ()


def extended(oid: str) -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00"), True)]


def odd(built: Built) -> bytes:
    """The certificate with one unused bit in its signature (X.690 8.6.2.2), which changes nothing that is signed."""
    before = len(built.der) - len(built.x509.signature) - 1
    return built.der[:before] + b"\x01" + built.der[before + 1 : -1] + bytes([built.der[-1] & 0xFE])


def even() -> Built:
    """A certificate whose signature ends with a bit that may be unused."""
    return next(each for each in iter(leaf, None) if each.der[-1] % 2 == 0)


EXPIRED_CA = build("Expired CA", ca=True, issuer=ROOT, not_after=NOW - DAY)
PLAIN = build("plain.example.com", issuer=ROOT)
CRL_CA = build("CRL CA", ca=True, issuer=ROOT, ku=("crl_sign",))
BELOW = build("Too Low CA", ca=True, issuer=CA)
FALSE_CA = build("Issuing CA", ca=True, issuer=ROOT, key="EC-256#false")
OTHER_NAMES = build(
    "Narrow CA",
    ca=True,
    issuer=ROOT,
    extensions=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)],
)
WEAK_CA = build("Weak CA", ca=True, key="RSA-1024", issuer=ROOT)
FAILING: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing": (judged(chain=()), "There is no certificate."),
    "too many": (judged(LEAF, CA, *BIG), "has 21 certificates; at most 20"),
    "too large": (judged(chain=(LEAF.der, b"\x30" * 70_000)), "at most 65536"),
    "no DER": (judged(chain=(b"hello",)), "It cannot be read in full: load"),
    "empty": (judged(chain=(b"",)), "It cannot be read in full"),
    "cut off": (judged(chain=(LEAF.der[:-1], CA.der)), "It cannot be read in full"),
    "not in full": (judged(leaf(extensions=extended("2.5.29.31"))), "It cannot be read in full: extensions"),
    "half a byte": (judged(chain=(odd(even()), CA.der)), "It has a signature that is not of whole bytes."),
    "a broken CA": (judged(chain=(LEAF.der, b"\x30\x00")), "Certificate 1 of the chain cannot be read"),
    "another public key": (
        judged(of_key="a" * 64),
        f"for the public key {LEAF.certificate.public_key_sha256}, and aaaa",
    ),
    "no public key": (
        issued.problems(
            (LEAF.der, CA.der),
            names=(NAME,),
            public_key_sha256="",
            key="EC-256",
            profile=PROFILE,
            issuer=PRIVATE,
            validity_days=90,
            roots=(ROOT.certificate,),
            now=NOW,
        ),
        "and none was asked for",
    ),
    "another type of key": (judged(EC384, profile=replace(PROFILE, keys=KEYS)), "Its key is EC-384 (secp384r1), and"),
    "another curve of the size": (judged(leaf(key="EC-secp256k1")), "Its key is EC-256 (secp256k1), and EC-256"),
    "no type of the profile": (judged(EC384, key="EC-384"), "The profile web is for keys of the types EC-256, and"),
    "no type of the issuer": (judged(issuer=AcmIssuer(name="acm", keys=("RSA-2048",))), "The issuer acm is for keys"),
    "a name too few": (judged(names=(NAME, "www.example.com")), "lacks names that were asked for: www.example.com."),
    "a name too many": (judged(WILD), "has names that were not asked for: *.shop.example.com."),
    "another name": (judged(leaf("evil.example")), "has names that were not asked for: evil.example."),
    "no names": (judged(build(NAME, names=None, issuer=CA, validity=DAY)), f"lacks names that were asked for: {NAME}."),
    "an e-mail address": (judged(leaf(NAME, "email:a@example.com")), "not asked for: email:a@example.com."),
    "another common name": (
        judged(build("Shop", names=(NAME,), issuer=CA, validity=DAY)),
        "common name Shop is none of the names",
    ),
    "a CA": (judged(build(NAME, names=(NAME,), ca=True, issuer=ROOT, eku=("serverAuth",)), ROOT), "It is a CA"),
    "a usage of a CA": (judged(leaf(ku=("digital_signature", "key_cert_sign"))), "may sign certificates"),
    "not yet": (judged(leaf(not_before=NOW + HOUR + SECOND)), "which is still to come"),
    "expired": (judged(leaf(not_after=NOW - SECOND, validity=None)), "before now"),
    "a day too long": (judged(leaf(validity=91 * DAY - SECOND)), "90 days were asked for"),
    "a second too long": (judged(leaf(validity=90 * DAY + HOUR + SECOND)), "90 days were asked for"),
    "beyond the schedule": (
        judged(leaf(validity=200 * DAY), days=397, issuer=PUBLIC),
        "200 days are allowed (Baseline Requirements 6.3.2)",
    ),
    "no usage": (judged(leaf(eku=None)), "lacks the extended key usage serverAuth; it has none."),
    "another usage": (judged(CLIENT), "lacks the extended key usage serverAuth; it has clientAuth."),
    "a usage too many": (judged(BOTH), "has the extended key usage clientAuth, and serverAuth was asked for."),
    "without its CA": (judged(chain=(LEAF.der,)), "does not build to an expected root"),
    "out of order": (judged(leaf(issuer=BELOW), CA, BELOW), "Certificate 1 of the chain (Issuing CA) did not sign"),
    "a stranger between": (judged(LEAF, STRANGER, CA), "Certificate 1 of the chain (Strange Root) did not sign"),
    "a root twice": (judged(LEAF, CA, ROOT, ROOT), "has a certificate twice"),
    "a CA of the name only": (judged(LEAF, FALSE_CA), "(Issuing CA) did not sign"),
    "another root": (judged(roots=(STRANGER,)), "does not build to an expected root"),
    "no root": (judged(roots=()), "There is no root"),
    "its own root": (judged(build(NAME, validity=DAY)), "does not build to an expected root"),
    "a CA that has expired": (judged(leaf(issuer=EXPIRED_CA), EXPIRED_CA), "not valid at validation time"),
    "a CA that is none": (judged(leaf(issuer=PLAIN), PLAIN), "basicConstraints"),
    "a CA that may not sign": (judged(leaf(issuer=CRL_CA), CRL_CA), "CRL CA may not sign certificates (keyUsage)"),
    "a CA for clients": (judged(leaf(issuer=CLIENT_CA), CLIENT_CA), "Client CA may sign for clientAuth only"),
    "too many CAs": (judged(leaf(issuer=BELOW), BELOW, CA), "path length"),
    "outside of name constraints": (judged(leaf(issuer=OTHER_NAMES), OTHER_NAMES), "name constraints"),
    "a weak CA": (judged(leaf(issuer=WEAK_CA), WEAK_CA), "RSA key is too weak"),
    "something critical": (judged(leaf(extensions=extended("1.2.3.4"))), "critical"),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_was_not_asked_for_is_a_problem(name: str) -> None:
    """Each rule that is broken is a sentence with what was asked and what came, of bounded length."""
    found, told = FAILING[name]
    assert any(told in each for each in found), found
    assert all(len(each) < 1_000 and each.isprintable() and each.endswith(".") for each in found)


ED = own("Ed25519")
ED_ISSUER, ED_PROFILE = replace(PRIVATE, keys=KEYS), replace(PROFILE, keys=KEYS)


def ed(name: str, issuer: Built = ED[2], **changed: Any) -> Built:
    return build(name, ca=True, key="Ed25519", issuer=issuer, **changed)


def with_ed(*above: Built, roots: tuple[Built, ...] = (ED[2],), **changed: Any) -> tuple[str, ...]:
    built = leaf(issuer=above[0], **changed)
    return judged(built, *above, profile=ED_PROFILE, issuer=ED_ISSUER, roots=roots)


CONSTRAINTS = [(x509.NameConstraints([x509.DNSName("example.com")], None), True)]
LOW = ed("Low", ED[1])


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (with_ed(ed("Expired", not_after=NOW - DAY)), "Expired is not valid at that time"),
        (with_ed(ed("Later", not_before=NOW + DAY)), "Later is not valid at that time"),
        (with_ed(LOW, ED[1]), "allows 0 CAs below it, and there are 1"),
        (with_ed(LOW, ED[1], ED[2]), "allows 0 CAs below it, and there are 1"),
        (with_ed(ed("Constrained", extensions=CONSTRAINTS)), "the extension 2.5.29.30"),
        (with_ed(ed("Critical", extensions=extended("1.2.3.4"))), "the extension 1.2.3.4"),
        (with_ed(ED[1], extensions=extended("1.2.3.4")), "the extension 1.2.3.4"),
        (with_ed(build("none.example.com", key="Ed25519", issuer=ED[2])), "did not sign"),
        (with_ed(ED[1], roots=(build("Ed25519 Root", ca=True, key="Ed25519", not_after=NOW - DAY),)), "at that time"),
        (with_ed(ED[1], roots=(STRANGER,)), "does not build"),
    ],
)
def test_links_are_judged_one_by_one_where_x509_verification_cannot(found: tuple[str, ...], told: str) -> None:
    """Chains with Ed25519 keys, which the library's verification does not take, are held to the same rules."""
    assert any(told in each for each in found), found


def test_every_problem_is_told_at_once() -> None:
    """A certificate that is wrong in all respects has a sentence for each."""
    wrong = leaf("evil.example", issuer=STRANGER, key="EC-384", eku=("clientAuth",), validity=300 * DAY)
    found = " ".join(judged(wrong, STRANGER, of_key="b" * 64, issuer=PUBLIC))
    for told in ("public key", "Its key", "The profile", "lacks names", "not asked for", "90 days", "200 days"):
        assert told in found
    for told in ("serverAuth", "clientAuth", "expected root", "common name"):
        assert told in found


def test_hostile_names_are_told_in_bounded_sentences() -> None:
    """Thousands of names and control characters end in a short, printable sentence."""
    names = [f"n{number}.{'a' * 40}.example" for number in range(900)]
    found = judged(build("a\n\x1b[31m" + "\N{PILE OF POO}" * 300, names=names, issuer=CA, validity=DAY))
    assert any("and 895 more" in each for each in found)
    assert all(len(each) < 1_000 and each.isascii() and each.isprintable() for each in found)


def test_the_tolerance_for_the_begin_is_an_hour() -> None:
    """A chain is judged at its begin where that is within an hour from now; its CA may be as young."""
    young = build("Young CA", ca=True, issuer=ROOT, not_before=NOW + HOUR / 2)
    assert judged(leaf(issuer=young, not_before=NOW + HOUR / 2), young) == ()
    assert judged(leaf(issuer=young), young) != ()


def test_public_schedules_follow_the_day_of_issue() -> None:
    """A public certificate of 100 days passes from 2027-03-15 on, one of 101 does not, and a private one is free."""
    begin = datetime(2027, 3, 15, tzinfo=UTC)
    for days, issuer, passes in ((100, PUBLIC, True), (101, PUBLIC, False), (101, PRIVATE, True)):
        built = leaf(not_before=begin, validity=days * DAY - SECOND)
        assert (judged(built, days=days, issuer=issuer, now=begin) == ()) is passes


def test_a_cross_signed_root_builds_to_either() -> None:
    """A chain that ends with a cross-signed certificate passes with each of the two roots."""
    cross = build("Issued Root", ca=True, key=ROOT.key, issuer=STRANGER)
    for roots in ((ROOT,), (STRANGER,)):
        assert judged(LEAF, CA, cross, roots=roots) == ()


@cache
def chain_of(kind: str) -> tuple[Built, Built, Built]:
    return (LEAF, CA, ROOT) if kind == "EC-256" else own(kind)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, tuple[bytes, ...]]:
    """A leaf and its CA with some bits flipped, bytes cut out or put in, or other bytes in place of one."""
    kind = draw(st.sampled_from(["EC-256", "Ed25519", "RSA-2048"]))
    chain = [each.der for each in chain_of(kind)[:2]]
    which = draw(st.integers(0, 1))
    data = bytearray(chain[which])
    at = draw(st.integers(0, len(data) - 1))
    match draw(st.sampled_from(["flip", "cut", "insert", "end", "other"])):
        case "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        case "cut":
            del data[at : at + draw(st.integers(1, 9))]
        case "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=9))
        case "end":
            del data[at:]
        case _:
            data = bytearray(draw(st.binary(max_size=200)))
    chain[which] = bytes(data)
    return kind, tuple(chain)


@settings(max_examples=200, deadline=None)
@given(mutated())
def test_no_changed_chain_passes_or_raises(case: tuple[str, tuple[bytes, ...]]) -> None:
    """Any change to a leaf or its CA is a problem, and never an exception."""
    kind, chain = case
    built, _, root = chain_of(kind)
    before = (built.der, chain_of(kind)[1].der)
    found = judged(built, chain=chain, key=kind, profile=ED_PROFILE, issuer=ED_ISSUER, roots=(root,))
    assert (found == ()) is (chain == before)
    assert all(len(each) < 1_000 and each.isprintable() for each in found)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=100) | st.sampled_from([LEAF.der, CA.der, ROOT.der, ED[1].der]), max_size=5))
def test_any_list_of_bytes_is_judged(chain: list[bytes]) -> None:
    """Only chains that begin with the leaf and its CA and go on with the root pass; no other list raises."""
    found = judged(chain=tuple(chain))
    assert (found == ()) is (chain in ([LEAF.der, CA.der], [LEAF.der, CA.der, ROOT.der]))


# Roots, and alternate chains


def test_roots_are_read_from_pem() -> None:
    """All certificates of a text are roots, in order."""
    found = issued.roots_of(pem(ROOT, STRANGER))
    assert [each.common_name for each in found] == ["Issued Root", "Strange Root"]
    assert all(isinstance(each, Certificate) for each in found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is none"),
        ("hello", "there is none"),
        (ROOT.pem[:-30], "END line"),
        (ROOT.pem + STRANGER.pem[:-30], "END line"),
        ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "load"),
        (ROOT.key_pem, "there is none"),
        (" " * 5_000_000, "more than"),
    ],
)
def test_roots_that_cannot_be_read_are_a_wrong_configuration(text: str, told: str) -> None:
    """A text without certificates, or with one that is broken, is refused, whatever else is in it."""
    with pytest.raises(InvalidConfiguration, match=told):
        issued.roots_of(text)


@pytest.mark.parametrize(
    ("chain", "name", "expected"),
    [
        ((LEAF, CA), "Issued Root", True),
        ((LEAF, CA, ROOT), "Issued Root", True),
        ((LEAF, CA, build("Issued Root", ca=True, key=ROOT.key, issuer=STRANGER)), "Strange Root", True),
        ((LEAF, CA, build("Issued Root", ca=True, key=ROOT.key, issuer=STRANGER)), "Issued Root", False),
        ((LEAF, CA), "Issuing CA", False),
        ((LEAF,), "Issuing CA", True),
        ((LEAF, CA), "issued root", False),
        ((LEAF, CA), "", False),
        ((), "Issued Root", False),
    ],
)
def test_a_chain_ends_at_the_root_that_its_last_certificate_names(
    chain: tuple[Built, ...], name: str, expected: bool
) -> None:
    """The preferred root is the one that issued the last certificate, or that is the last one."""
    assert issued.ends_at(tuple(each.der for each in chain), name) is expected


def test_a_chain_that_cannot_be_read_ends_nowhere() -> None:
    """Bytes that are no certificate, and a root without common name, end at no name."""
    assert not issued.ends_at((LEAF.der, b"\x30\x00"), "Issued Root")
    assert not issued.ends_at((build(None, subject="O=Example", ca=True).der,), "Example")


def test_the_begin_of_the_tests_certificates_is_before_now() -> None:
    """The cases above are judged within the certificates' lifetime."""
    assert NOT_BEFORE < NOW < LEAF.x509.not_valid_after_utc
