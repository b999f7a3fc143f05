"""Versions of managed certificates in the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from certificates import build
from estate import NOW, Estate
from perennial.certificate_request import CertificateRequest
from perennial.errors import ConcurrentChange, InvalidInput, NotFound
from perennial.inventory.records import DueKind, VersionState
from perennial.inventory.store import Inventory
from perennial.inventory.versions import parsed
from perennial.solvers.interface import Challenge, Shown

HOUR = timedelta(hours=1)
REQUEST = CertificateRequest(names=("shop.example.com", "10.0.0.1"), profile="web", owner="shop", csr=b"\x30\x00")


@pytest.fixture
def inventory(estate: Estate) -> Inventory:
    return estate.deployment.inventory


def test_request_is_version_one_and_due_at_once(inventory: Inventory) -> None:
    """A first request is read back as it was written, has an id of its own, and is due."""
    made = inventory.request_version("shop", REQUEST, "letsencrypt", NOW)
    assert (made.reference, made.state, made.revision, made.request) == ("shop/1", VersionState.REQUESTED, 1, REQUEST)
    assert inventory.version("shop/1") == made
    (due,) = inventory.due(DueKind.ISSUE, NOW, 10)
    assert due.reference == "shop/1"


def test_versions_count_up(inventory: Inventory) -> None:
    """Each request is the next version, with another id; the list has the newest first."""
    made = [inventory.request_version("shop", REQUEST, "letsencrypt", NOW) for _ in range(11)]
    assert [each.number for each in made] == list(range(1, 12))
    assert len({each.ask for each in made}) == 11
    assert [each.number for each in inventory.versions("shop")] == list(range(11, 0, -1))
    assert list(inventory.managed()) == ["shop"]


def test_everything_is_read_back(inventory: Inventory) -> None:
    """Whatever a version holds is the same after it was written and read."""
    leaf, authority = build("shop.example.com"), build("Root", ca=True)
    full = replace(
        inventory.request_version("shop", REQUEST, "letsencrypt", NOW),
        state=VersionState.ISSUED,
        key="EC-256",
        validity_days=90,
        csr=b"\x30\x01\x00",
        order='{"phase":"poll"}',
        challenges=(Challenge(shown=Shown.TXT, where="_acme-challenge.x", value='a"b', name="x", stays=True),),
        tokens=("111111111111/C1",),
        visible=True,
        chain=(leaf.certificate.der, authority.certificate.der),
        arn="arn:aws:acm-pca:eu-west-1:111111111111:certificate-authority/1/certificate/2",
        secret="arn:aws:secretsmanager:eu-west-1:111111111111:secret:perennial/certificates/shop-abcdef",
        secret_version="0" * 32,
        fingerprint=leaf.certificate.fingerprint or "",
        issued_at=NOW + HOUR,
        attempts=3,
        reason="rate-limited",
        message="It is tried again.",
    )
    written = inventory.save_version(full, NOW + HOUR)
    assert inventory.version("shop/1") == written == replace(full, revision=2, due_at=NOW + HOUR)


def test_tokens_none_and_empty_differ(inventory: Inventory) -> None:
    """Not shown yet is not the same as shown without anything to ask for."""
    made = inventory.request_version("shop", REQUEST, "letsencrypt", NOW)
    assert made.tokens is None
    inventory.save_version(replace(made, tokens=()), NOW)
    assert inventory.version("shop/1").tokens == ()


def test_who_read_an_older_revision_writes_nothing(inventory: Inventory) -> None:
    """Of two steps that read the same revision one writes; the other is told to read again."""
    made = inventory.request_version("shop", REQUEST, "letsencrypt", NOW)
    inventory.save_version(replace(made, order="first"), NOW)
    with pytest.raises(ConcurrentChange, match="shop/1"):
        inventory.save_version(replace(made, order="second"), NOW)
    assert inventory.version("shop/1").order == "first"


def test_what_is_no_longer_due_is_not_found_as_due(inventory: Inventory) -> None:
    """A version that is saved without a time is not due any more."""
    made = inventory.request_version("shop", REQUEST, "letsencrypt", NOW)
    inventory.save_version(made, None)
    assert not list(inventory.due(DueKind.ISSUE, NOW + 1000 * HOUR, 10))
    assert inventory.version("shop/1").due_at is None


def test_started_issuance_is_looked_at_again_later(inventory: Inventory) -> None:
    """Starting moves the due time, once; a step's own due time is left alone."""
    made = inventory.request_version("shop", REQUEST, "letsencrypt", NOW)
    (due,) = inventory.due(DueKind.ISSUE, NOW, 10)
    inventory.started(due, NOW + HOUR)
    assert inventory.version("shop/1").due_at == NOW + HOUR
    inventory.save_version(made, NOW + 2 * HOUR)
    inventory.started(due, NOW)
    assert inventory.version("shop/1").due_at == NOW + 2 * HOUR


def test_unknown_versions_are_not_found(inventory: Inventory) -> None:
    """What does not exist is said so, with the command that lists what does."""
    with pytest.raises(NotFound, match="perennial managed list"):
        inventory.version("shop/7")
    assert inventory.versions("shop") == []


@pytest.mark.parametrize("reference", ["", "shop", "/1", "shop/", "shop/x", "shop/-1", "shop/1234567", "shop/²"])
def test_references_are_checked(reference: str) -> None:
    """A reference is a managed certificate and a number."""
    with pytest.raises(InvalidInput, match="managed certificate"):
        parsed(reference)
    assert parsed("a/b/12") == ("a/b", 12)


def test_challenges_are_shown_and_hidden(inventory: Inventory) -> None:
    """An http-01 challenge is there until it is hidden; hiding it twice is no error."""
    assert inventory.shown_challenge("token") is None
    inventory.show_challenge("token", "token.thumbprint", 1_800_000_000)
    assert inventory.shown_challenge("token") == "token.thumbprint"
    inventory.hide_challenge("token")
    inventory.hide_challenge("token")
    assert inventory.shown_challenge("token") is None
