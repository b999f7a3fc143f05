"""What a chain says: complete, incomplete, out of order, not trusted, and whether its root is public."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from certificates import Built, build
from perennial import chain
from perennial.certificate import Certificate, parse
from perennial.chain import Chain, ChainStatus, by_subject, issued, judge, public_roots

ROOT = build("Root", ca=True)
UPPER = build("Upper", ca=True, issuer=ROOT)
LOWER = build("Lower", ca=True, issuer=UPPER)
LEAF = build("shop.example.com", issuer=LOWER)
STRANGER = build("Stranger", ca=True)
FALSE_LOWER = build("Lower", ca=True, key="EC-256#false")
NO_CA = build("No CA", issuer=ROOT)
SELF = build("self.example.com")
FOREIGN_ROOT = build("Foreign Root", ca=True)
CROSS = build("Root", ca=True, key=ROOT.key, issuer=FOREIGN_ROOT)
BROKEN = parse(b"\x30\x03\x02\x01\x01")

COMPLETE, INCOMPLETE, UNANCHORED = ChainStatus.COMPLETE, ChainStatus.INCOMPLETE, ChainStatus.UNANCHORED
MISORDERED, UNTRUSTED, SELF_SIGNED = ChainStatus.MISORDERED, ChainStatus.UNTRUSTED, ChainStatus.SELF_SIGNED


def judged(leaf: Built, *sent: Built) -> Chain:
    return judge(leaf.certificate, [each.certificate for each in sent])


@pytest.mark.parametrize(
    ("leaf", "sent", "expected"),
    [
        (LEAF, (LOWER, UPPER, ROOT), COMPLETE),
        (LEAF, (LEAF, LOWER, UPPER, ROOT), COMPLETE),
        (LEAF, (LOWER, UPPER), UNANCHORED),
        (LEAF, (LOWER,), UNANCHORED),
        (LEAF, (LOWER, ROOT), UNANCHORED),
        (LEAF, (), INCOMPLETE),
        (LEAF, (UPPER, ROOT), INCOMPLETE),
        (LEAF, (STRANGER,), INCOMPLETE),
        (LEAF, (UPPER, LOWER, ROOT), MISORDERED),
        (LEAF, (ROOT, UPPER, LOWER), MISORDERED),
        (LEAF, (STRANGER, LOWER, UPPER, ROOT), MISORDERED),
        (LEAF, (LOWER, STRANGER, UPPER, ROOT), MISORDERED),
        (LEAF, (LOWER, LOWER, UPPER, ROOT), MISORDERED),
        (LEAF, (FALSE_LOWER,), UNTRUSTED),
        (LEAF, (FALSE_LOWER, LOWER, UPPER, ROOT), MISORDERED),
        (build("below.example.com", issuer=NO_CA), (NO_CA, ROOT), UNTRUSTED),
        (SELF, (), SELF_SIGNED),
        (SELF, (ROOT,), SELF_SIGNED),
        (LEAF, (LOWER, UPPER, CROSS, FOREIGN_ROOT), COMPLETE),
        (LEAF, (LOWER, UPPER, CROSS), UNANCHORED),
        (LEAF, (LOWER, UPPER, ROOT, CROSS), COMPLETE),
        (ROOT, (), COMPLETE),
        (LOWER, (UPPER, ROOT), COMPLETE),
    ],
)
def test_the_verdict(leaf: Built, sent: tuple[Built, ...], expected: ChainStatus) -> None:
    """Every way in which the certificates behind a leaf fit or do not fit has its word."""
    found = judged(leaf, *sent)
    assert (found.status, found.public) == (expected, False)


@pytest.mark.parametrize("key", ["RSA-2048", "EC-384", "Ed25519", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"])
def test_every_signature_algorithm_is_verified(key: str) -> None:
    """Chains of every algorithm are complete when genuine, and untrusted when the issuer's key is another."""
    root = build("Root", ca=True, key=key)
    issuer = build("Issuer", ca=True, key=key, issuer=root)
    leaf = build("leaf.example.com", key=key, issuer=issuer)
    false = build("Issuer", ca=True, key=f"{key}#false", issuer=root)
    assert judged(leaf, issuer, root).status is COMPLETE
    assert judged(leaf, false, root).status is UNTRUSTED


def test_a_changed_signature_is_untrusted() -> None:
    """A leaf whose signature does not hold is untrusted although every name fits."""
    forged = parse(LEAF.der[:-1] + bytes([LEAF.der[-1] ^ 1]))
    assert judge(forged, [LOWER.certificate, UPPER.certificate, ROOT.certificate]).status is UNTRUSTED


@pytest.mark.parametrize(
    ("leaf", "sent"), [(BROKEN, [LOWER.certificate]), (LEAF.certificate, [BROKEN]), (BROKEN, []), (BROKEN, [BROKEN])]
)
def test_what_cannot_be_read_is_unknown(leaf: Certificate, sent: Sequence[Certificate]) -> None:
    """A chain with an unreadable certificate is not judged, neither as good nor as bad."""
    found = judge(leaf, sent)
    assert (found.status, found.public) == (ChainStatus.UNKNOWN, False)


def test_a_loop_of_cross_signatures_ends() -> None:
    """Two CAs that signed each other lead to no root, and to an end."""
    first, second = build("First", ca=True), build("Second", ca=True)
    over = build("First", ca=True, key=first.key, issuer=second)
    back = build("Second", ca=True, key=second.key, issuer=first)
    assert judged(build("loop.example.com", issuer=over), over, back).status is UNANCHORED


def test_fifty_strangers_hide_nothing() -> None:
    """Among many certificates that do not belong there the path is still found, and the disorder is told."""
    strangers = [build(f"Stranger {number}", ca=True) for number in range(50)]
    found = judged(LEAF, *strangers, LOWER, UPPER, ROOT)
    assert found.status is MISORDERED
    assert len(found.fingerprints) == 53


def test_the_earliest_end_in_the_chain_is_told_without_the_leaf() -> None:
    """An intermediate that ended is told by its end, not judged: the verdict stays right when time passes."""
    end = datetime(2025, 6, 1, tzinfo=UTC)
    old = build("Old", ca=True, issuer=ROOT, not_after=end)
    found = judged(build("late.example.com", issuer=old, not_after=datetime(2024, 6, 1, tzinfo=UTC),
                         not_before=datetime(2024, 1, 1, tzinfo=UTC)), old, ROOT)  # fmt: skip
    assert (found.status, found.not_after) == (COMPLETE, "2025-06-01T00:00:00+00:00")
    assert judged(LEAF).not_after is None


def test_a_sighting_carries_the_verdict_as_plain_values() -> None:
    """What a manifest keeps of a chain is JSON."""
    assert judged(LEAF, LOWER).attributes() == {
        "chain": [LOWER.fingerprint],
        "chain_status": "unanchored",
        "chain_not_after": "2034-01-01T00:00:00+00:00",
        "public": False,
    }


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, tuple[Certificate, ...]]:
    """A world in which the test's root is a public one."""
    roots = by_subject([ROOT.certificate])
    monkeypatch.setattr(chain, "public_roots", lambda: roots)
    return roots


@pytest.mark.parametrize(
    ("leaf", "sent", "expected"),
    [
        (LEAF, (LOWER, UPPER), COMPLETE),
        (LEAF, (LOWER, UPPER, ROOT), COMPLETE),
        (LEAF, (LOWER, UPPER, CROSS), COMPLETE),
        (build("direct.example.com", issuer=ROOT), (), COMPLETE),
        (build("direct.example.com", issuer=ROOT), (build("Root", ca=True, key="EC-256#older"),), COMPLETE),
        (LEAF, (UPPER, LOWER), MISORDERED),
        (ROOT, (), COMPLETE),
    ],
)
@pytest.mark.usefixtures("public")
def test_a_path_to_a_public_root_needs_not_send_it(leaf: Built, sent: tuple[Built, ...], expected: ChainStatus) -> None:
    """Clients have public roots: what leads to one is complete without it, and told as public."""
    found = judged(leaf, *sent)
    assert (found.status, found.public) == (expected, True)


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize(("leaf", "sent"), [(LEAF, (LOWER,)), (LEAF, ()), (SELF, ()), (LEAF, (FALSE_LOWER, ROOT))])
def test_what_does_not_lead_to_a_public_root_is_not_public(leaf: Built, sent: tuple[Built, ...]) -> None:
    """A private or broken chain is not told as public because a root of the world exists."""
    assert not judged(leaf, *sent).public


def test_every_root_of_the_bundle_is_public_itself() -> None:
    """Each real root of certifi, presented alone, is complete and public."""
    roots = [root for same in public_roots().values() for root in same]
    assert len(roots) > 100
    assert {(judge(root, []).status, judge(root, []).public) for root in roots} == {(COMPLETE, True)}


def test_only_a_ca_issues() -> None:
    """A key without CA rights signs nothing for others (RFC 5280 6.1.4 k); what cannot be read signs nothing either."""
    assert issued(LEAF.certificate, by=LOWER.certificate)
    assert not issued(LEAF.certificate, by=replace(LOWER.certificate, is_ca=False))
    assert not issued(LEAF.certificate, by=UPPER.certificate)
    assert not issued(LEAF.certificate, by=replace(LOWER.certificate, der=b""))
    assert not issued(BROKEN, by=LOWER.certificate)
