"""An inventory for tests of lists: certificates that differ in what they can be searched by, in a table of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from certificates import NOW
from paged_table import PagedTable
from perennial.certificate import Certificate
from perennial.inventory import conversion
from perennial.inventory.items import Item
from perennial.inventory.lists import Mark
from perennial.inventory.records import CertificateSummary
from perennial.inventory.store import Inventory

OWNERS = ("shop", "blog", None)
ISSUERS = ("CN=Issuing CA One,O=Example", "CN=Issuing CA Two,O=Example", "CN=Other,O=Elsewhere")
KEYS = (("RSA", 2048), ("EC", 256), ("RSA", 4096))
SIGNATURES = ("sha256WithRSAEncryption", "ecdsa-with-SHA256")
MOST_PAGES = 2_000
Found = TypeVar("Found")


@contextmanager
def table(held: PagedTable | None = None) -> Iterator[tuple[PagedTable, Inventory]]:
    """A table, an empty one where none is given, and the inventory in it."""
    held = held or PagedTable()
    with held.in_place():
        yield held, Inventory("paged", region="eu-west-1")


def fact(number: int, **other: Any) -> Certificate:
    """A certificate of which only facts are known, as search needs them: hours apart, many of one end."""
    return Certificate(
        **{
            "fingerprint": fingerprint(number),
            "serial": f"{number + 1:x}",
            "common_name": f"n{number}.example.com",
            "issuer": ISSUERS[number % len(ISSUERS)],
            "not_after": NOW + timedelta(days=number // 7 * 9),
            "dns_names": (),
            "key_algorithm": KEYS[number % len(KEYS)][0],
            "key_size": KEYS[number % len(KEYS)][1],
            "signature_algorithm": SIGNATURES[number % len(SIGNATURES)],
            "public_key_sha256": fingerprint(number % 50),
            **other,
        }
    )


def fingerprint(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def keep(held: PagedTable, certificate: Certificate, owner: str | None = None, gone: bool = False) -> None:
    """Put a certificate into the table as scans do, without what finds it by name."""
    item = conversion.certificate_item(certificate, NOW)
    if owner:
        item.owner = owner
        item.owner_key = conversion.sharded(owner, certificate.fingerprint or "")
    if gone:
        item.gone_at = "2026-10-31T12:00:00Z"
    held.put(item.to_dynamodb_dict())
    words = [("issuer", certificate.issuer), ("key", certificate.key)]
    if certificate.not_after:
        words.append(("month", conversion.expiry_bucket(certificate.not_after)))
    for kind, word in words:
        if word:
            held.put(Item(f"WORD#{kind}", word[: conversion.MAX_WORD], kind="word").to_dynamodb_dict())


def place(held: PagedTable, location: str, resource: str, gone: bool = False, **of: str) -> None:
    """Put a sighting into the table: `fingerprint` of what it holds, or `holder`, the place that it uses."""
    where = of.get("holder") or location
    item = Item(
        conversion.place_key(where),
        conversion.fitting(conversion.SIGHTING + location),
        kind="sighting",
        scope="123456789012/eu-west-1/acm",
        location=location,
        resource=resource,
        role="stored" if "fingerprint" in of else "attached",
        first_seen="2026-10-31T12:00:00Z",
        gone_at="2026-10-31T12:00:00Z" if gone else None,
        **of,
    )
    held.put(item.to_dynamodb_dict())


def pages(
    read: Callable[[Mark | None], Any], between: Callable[[], object] = lambda: None
) -> Iterator[tuple[CertificateSummary, ...]]:
    """The certificates of every page, from the first to the last; `between` is called behind each."""
    mark: Mark | None = None
    for _ in range(MOST_PAGES):
        found = read(mark)
        yield found.certificates
        mark = found.next
        if mark is None:
            return
        between()
    raise AssertionError(f"{MOST_PAGES} pages, and no end")


def joined(found: Iterable[tuple[Found, ...]]) -> list[Found]:
    return [each for page in found for each in page]
