"""A hub for tests of the reading routes: people of several teams, certificates with findings, issuers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from asked_api import Answered, ApiHub, as_role
from certificates import build
from estate import HUB, NOW, REGION, SCOPE
from perennial.checks.interface import Severity
from perennial.findings import Finding, difference
from perennial.inventory.records import PlaceRecord
from perennial.inventory.store import Inventory
from perennial.manifest import Difference, Role, Sighting

CONFIGURATION = """
[api.principals]
"arn:aws:iam::{hub}:role/shop" = ["viewer@shop"]
"arn:aws:iam::{hub}:role/test-only" = ["viewer@shop/test"]
"arn:aws:iam::{hub}:role/blog" = ["approver@blog"]
"arn:aws:iam::{hub}:role/both" = ["viewer@shop", "viewer@blog"]
"arn:aws:iam::{hub}:role/everyone" = ["viewer"]
"arn:aws:iam::{hub}:role/auditor" = ["auditor"]
"arn:aws:iam::{hub}:role/operator" = ["operator@shop"]

[issuers.public]
kind = "acme"
directory = "https://acme.example.com/directory"
contacts = ["mailto:secret-contact@example.com"]
eab_secret = "the-eab-secret"

[issuers.private]
kind = "acm_pca"
authority = "arn:aws:acm-pca:eu-west-1:{hub}:certificate-authority/11111111-2222-3333-4444-555555555555"

[profiles.web]
issuer = "public"
names = [".example.com"]

[profiles.internal]
issuer = "private"
issuers = ["public"]
keys = ["EC-256", "RSA-2048"]
""".replace("{hub}", HUB).encode()
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
OWNERS = ("shop", "blog", None)


def put_certificate(inventory: Inventory, number: int, owner: str | None) -> str:
    made = build(f"n{number}.example.com", not_after=NOW + (10 + number // 4 * 30) * DAY, key="EC-256").certificate
    fingerprint, arn = made.fingerprint or "", f"arn:aws:acm:{REGION}:{HUB}:certificate/{number}"
    inventory.keep([made], NOW)
    held = Sighting(location=arn, role=Role.STORED, resource=arn, fingerprint=fingerprint)
    used = Sighting(location=f"listener#{arn}", role=Role.ATTACHED, resource="listener", holder=arn)
    inventory.apply(SCOPE, Difference(added=(held, used), changed=(), gone=()), NOW)
    inventory.own(fingerprint, owner, arn)
    finding = Finding(
        check=("expiry.soon", "keys.weak")[number % 2],
        severity=(Severity.HIGH, Severity.LOW)[number % 2],
        title="It ends soon",
        detail="In a while.",
        remediation="Renew it.",
        scope=SCOPE,
        place=arn,
        location=arn,
        resource=arn,
        subject=made.title,
        fingerprint=fingerprint,
        not_after=made.not_after,
        owner=owner,
        opened_at=NOW,
        updated_at=NOW,
    )
    place = PlaceRecord(place=arn, held=None, attached=(), findings=(), due_at=None)
    inventory.settle(place, difference((), (finding,), NOW), None, NOW)
    return fingerprint


def get(api: ApiHub, path: str, who: str, **query: Any) -> Answered:
    return api.ask("GET", f"{path}?{urlencode(query)}" if query else path, as_role(who))


def everything(api: ApiHub, path: str, who: str, **query: Any) -> list[Mapping[str, Any]]:
    """The entries of all pages."""
    found, following = [], query.pop("next", None)
    for _ in range(100):
        reply = get(api, path, who, **query, **({"next": following} if following else {}))
        assert reply.status == 200, reply.document
        found += reply.document["items"]
        following = reply.document["next"]
        if following is None:
            return found
    raise AssertionError("100 pages, and no end")


def titles(found: list[Mapping[str, Any]]) -> list[str]:
    return [each["title"] for each in found]
