"""Findings full of what strangers put into names, for what sends them on."""

from __future__ import annotations

from dataclasses import replace

from estate import NOW, SCOPE
from perennial.checks.interface import Severity
from perennial.findings import Finding

FINDING = Finding(
    check="expiry.expired",
    severity=Severity.CRITICAL,
    title="It has expired",
    detail="It ended on 2026-10-01.",
    remediation="Renew it.",
    scope=SCOPE,
    place="arn:aws:acm:eu-west-1:123456789012:certificate/1",
    location="arn:aws:acm:eu-west-1:123456789012:certificate/1",
    resource="arn:aws:acm:eu-west-1:123456789012:certificate/1",
    subject="shop.example.com",
    fingerprint="a" * 64,
    not_after=NOW,
    owner="shop",
    opened_at=NOW,
    updated_at=NOW,
)


def stuffed(text: str) -> Finding:
    """The finding with one text in every field that a stranger can fill."""
    return replace(FINDING, detail=text, resource=text, location=text, place=text, subject=text, owner=text)


TEXTS = {
    "long": "n" * 300_000,
    "names": ", ".join(f"n{number}.example.com" for number in range(10_000)),
    "control": "".join(map(chr, range(32))) * 5_000,
    "emoji": "\N{PILE OF POO}" * 100_000,
    "quotes": '"\\' * 100_000,
    "surrogate": "\ud800" * 1_000,
    "right to left": "\u202egro.elpmaxe" * 1_000,
    "blank": " \n ",
    "empty": "",
    "almost an ARN": "arn:443",
    "ARN of blanks": "arn: : : : :",
}
