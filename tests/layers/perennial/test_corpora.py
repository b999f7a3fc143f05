"""Every certificate of the public corpora is inventoried, and what cannot be read of it is shown as a finding."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import certifi
import cryptography_vectors
import pytest
from moto.dynamodb.models.table import Table

from estate import HUB, NOW, REGION, SCOPE, Estate
from perennial import assessment, discovery, publishing
from perennial.certificate import Certificate, broken_blocks, ders, fingerprint, parse
from perennial.checks import CHECKS
from perennial.checks.interface import Subject
from perennial.manifest import Role, Sighting

VECTORS = Path(cryptography_vectors.__file__).parent
DEBIAN = [each for each in map(Path, ("/etc/ssl/certs", "/usr/share/ca-certificates")) if each.is_dir()]
UNREADABLE = {"unreadable.whole", "unreadable.part"}
_PEM_LABEL = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")


def elements(der: bytes) -> list[tuple[int, bytes]]:
    """The DER elements that follow each other in some bytes, as tag and content (X.690 8.1); [] where it is not DER."""
    found, at = [], 0
    while at + 2 <= len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size]), at + size
        if at + length > len(der):
            return []
        found.append((tag, der[at : at + length]))
        at += length
    return found


def is_certificate(der: bytes) -> bool:
    """Whether bytes have the form of a Certificate (RFC 5280 4.1): a body of a serial and at least five sequences.
    CRLs, requests, OCSP messages and keys have other bodies. The parser that is tested is not asked."""
    outer = elements(der)
    if len(outer) != 1 or outer[0][0] != 0x30:
        return False
    inner = elements(outer[0][1])
    if not inner or inner[0][0] != 0x30:
        return False
    body = [tag for tag, _ in elements(inner[0][1]) if tag != 0xA0]
    return body[:6] == [0x02, 0x30, 0x30, 0x30, 0x30, 0x30]


def certificates_in(path: Path) -> Iterator[bytes]:
    """The certificates of one file: its PEM blocks, itself in DER, or both halves of a cross-certificate pair."""
    data = path.read_bytes()
    if _PEM_LABEL.search(data):
        yield from ders(data)
    elif is_certificate(data):
        yield data
    elif path.suffix == ".cp":  # CertificatePair (X.509 11.2.3): two optional certificates, each with a tag of its own
        yield from (content for _, pair in elements(data) for _, content in elements(pair))


@cache
def corpora() -> Mapping[str, tuple[bytes, ...]]:
    """The certificates of each corpus, each once."""
    found = {
        "cryptography_vectors": dict.fromkeys(
            der for path in sorted(VECTORS.rglob("*")) if path.is_file() for der in certificates_in(path)
        ),
        "certifi": dict.fromkeys(ders(Path(certifi.where()).read_bytes())),
        "Debian ca-certificates": dict.fromkeys(
            der
            for top in DEBIAN
            for folder, _, names in os.walk(top)
            for path in sorted(Path(folder, name) for name in names)
            if path.is_file() and _PEM_LABEL.search(path.read_bytes())
            for der in ders(path.read_bytes())
        ),
    }
    return {name: tuple(each) for name, each in found.items()}


@cache
def everything() -> tuple[Certificate, ...]:
    """All of them, parsed."""
    return tuple(map(parse, dict.fromkeys(der for each in corpora().values() for der in each)))


@pytest.mark.parametrize(
    ("corpus", "least"), [("cryptography_vectors", 530), ("certifi", 100), ("Debian ca-certificates", 100)]
)
def test_the_corpora_are_all_there(corpus: str, least: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The walk finds the certificates and not other files; an installation without Debian's bundle says so."""
    found = corpora()[corpus]
    if corpus.startswith("Debian") and not found:
        pytest.skip("neither /etc/ssl/certs nor /usr/share/ca-certificates holds certificates on this system")
    partly = sum(1 for der in found if parse(der).problems)
    with capsys.disabled():
        print(f" [{corpus}: {len(found)} certificates, {partly} not readable in full]", end="")
    assert len(found) >= least


def test_every_certificate_of_pkits_is_among_them() -> None:
    """Each .crt file of PKITS is taken, and the pairs hold no certificate that is not taken too."""
    files = sorted(VECTORS.glob("x509/PKITS_data/certs/*.crt"))
    assert len(files) >= 400
    assert {path.read_bytes() for path in files} <= set(corpora()["cryptography_vectors"])


def test_no_block_of_a_bundle_is_lost() -> None:
    """As many certificates are read as there are BEGIN lines, in every PEM file of the corpora."""
    for path in [*VECTORS.rglob("*.pem"), Path(certifi.where())]:
        data = path.read_bytes()
        assert len(ders(data)) + len(broken_blocks(data)) == len(_PEM_LABEL.findall(data)), path.name


def test_every_certificate_keeps_its_der_and_its_facts_or_the_reason() -> None:
    """What could not be read is None with a reason; what could be is a fact; the DER is whole in both cases."""
    for each in everything():
        assert fingerprint(each.der) == each.fingerprint
        assert bool(each.problems) == (None in (each.not_after, each.subject, each.dns_names, each.key_algorithm)) or (
            each.problems and each.problems[0].startswith(("signature hash: ", "version: "))
        )


def test_every_unreadable_certificate_is_a_finding_and_no_other_is() -> None:
    """Judged by all checks, exactly the certificates that could not be read in full are told as such."""
    for each in everything():
        sighting = Sighting(location="arn", role=Role.STORED, resource="arn", fingerprint=each.fingerprint)
        subject = Subject(scope=SCOPE, sighting=sighting, certificate=each)
        told = {finding.check for finding in assessment.assess(subject, CHECKS, NOW)} & UNREADABLE
        expected = {"unreadable.part" if each.not_after else "unreadable.whole"} if each.problems else set()
        assert told == expected, each.problems


@dataclass(frozen=True)
class Stored:
    """A certificate as the scripted source holds it."""

    certificate: Certificate


@pytest.fixture
def one_partition_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto sorts the whole table for each query; this shows it only the partition that is asked for."""
    query = Table.query

    def narrowed(table: Any, hash_key: Any, *rest: Any, **named: Any) -> Any:
        if len(rest) > 6 and rest[6] is None:  # no index
            table, whole = copy.copy(table), table
            table.items = {hash_key: whole.items.get(hash_key, {})}
        return query(table, hash_key, *rest, **named)

    monkeypatch.setattr(Table, "query", narrowed)


@pytest.mark.usefixtures("one_partition_a_query")
@pytest.mark.slow
def test_all_of_them_are_inventoried_and_shown(estate: Estate, capsys: pytest.CaptureFixture[str]) -> None:
    """Scanned and assessed together, each is shown by its fingerprint with equal DER and facts, where it is, and with
    the finding that says what could not be read."""
    places = {f"arn:aws:acm:{REGION}:{HUB}:certificate/{number}": each for number, each in enumerate(everything())}
    estate.acm.holds |= {place: Stored(each) for place, each in places.items()}
    now = estate.clock.now
    deployment = estate.deployment
    result = discovery.scan_scope(deployment, run="r", scope=SCOPE, now=now, deadline=now + timedelta(hours=1))
    assert result["changes"] == len(places)
    for place, each in places.items():
        if each.problems:
            publishing.assess_place(deployment, place, now)
    shown = 0
    for place, each in places.items():
        record = deployment.inventory.show(each.fingerprint or "")
        assert record is not None
        assert record.certificate == each
        assert [held.sighting.location for held in record.held] == [place]
        assert bool({finding.check for finding in record.findings} & UNREADABLE) == bool(each.problems)
        shown += bool(each.problems)
    with capsys.disabled():
        print(f" [{len(places)} certificates inventoried, {shown} shown as not readable in full]", end="")
