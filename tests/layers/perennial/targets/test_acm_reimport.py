"""What ACM lets a re-import change: the library's words against the fake's rules, for every pair of certificates."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from certificates import Built, build
from local_cloud.fakes import acm_x509
from local_cloud.fakes.acm_import import check_replacement
from local_cloud.fakes.service import ServiceError
from perennial.certificate import Certificate
from perennial.targets.acm_reimport import Held, forbidden

ROOT = build("Example Root", ca=True)
SIGNATURE, ENCIPHERMENT, COMMITMENT = "digital_signature", "key_encipherment", "content_commitment"
KEYS = ("EC-256", "RSA-2048")
USAGES = (None, (SIGNATURE,), (ENCIPHERMENT,), (SIGNATURE, ENCIPHERMENT), (SIGNATURE, COMMITMENT))
PURPOSES = (None, ("serverAuth",), ("clientAuth",), ("serverAuth", "clientAuth"), ("serverAuth", "1.3.6.1.5.5.7.3.17"))
NAMED = (("shop.example.com", ("shop.example.com",)), (None, ("192.0.2.1",)))


def every() -> list[Built]:
    """Certificates of every key, usages, purposes and kind of name."""
    return [
        build(common, names=names, key=key, ku=usages, eku=purposes, issuer=ROOT)
        for key, usages, purposes, (common, names) in product(KEYS, USAGES, PURPOSES, NAMED)
    ]


def refused(old: Any, new: Any) -> bool:
    """Whether the fake refuses the change."""
    try:
        check_replacement(old, new)
    except ServiceError:
        return True
    return False


def test_it_forbids_what_the_fake_refuses() -> None:
    """For every pair of 100 certificates the library and the fake, written apart, come to the same answer."""
    built = every()
    ours = [Held.of(each.certificate) for each in built]
    theirs = [acm_x509.read(each.x509) for each in built]
    answers = set()
    for old, new in product(range(len(built)), repeat=2):
        said = ours[old].key != ours[new].key or bool(list(forbidden(ours[old], ours[new])))
        assert said is refused(theirs[old], theirs[new]), (ours[old], ours[new])
        answers.add(said)
    assert answers == {True, False}


def test_each_change_is_named() -> None:
    """A name, key usages and purposes that would go: a phrase each."""
    old = Held.of(build("shop.example.com", ku=(SIGNATURE, COMMITMENT), eku=("serverAuth", "codeSigning")).certificate)
    new = Held.of(build(None, names=("192.0.2.1",), issuer=ROOT).certificate)
    assert list(forbidden(old, new)) == [
        "it has no domain name any more",
        "its key usage lacks content_commitment",
        "its extended key usage lacks codeSigning",
    ]


def test_what_was_not_read_is_not_judged() -> None:
    """Where the extensions of either could not be read, nothing is claimed."""
    known, unknown = Held.of(build("shop.example.com").certificate), Held.of(Certificate(fingerprint="00"))
    assert list(forbidden(known, unknown)) == []
    assert list(forbidden(unknown, known)) == []


@pytest.mark.parametrize("count", [0, 1, 10, 11, 500])
def test_it_is_written_and_read(count: int) -> None:
    """What a target keeps comes back the same, with the first ten of what is attached and how many there are."""
    users = [f"arn:aws:example:{number:03}" for number in reversed(range(count))]
    held = Held.of(build("shop.example.com", ku=None).certificate, kind="PRIVATE", expired=True, users=users)
    assert Held.read(held.written()) == held
    assert held.users == tuple(sorted(users)[:10])
    assert held.attached == count
    assert len(held.written()) < 1_000
    told = {0: "nothing", 1: "arn:aws:example:000", 11: "arn:aws:example:009, 1 more", 500: ", 490 more"}
    assert held.attachments.endswith(told.get(count, "arn:aws:example:009"))
