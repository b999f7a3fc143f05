"""Where Discovery saw a certificate attached, a target is made; what no target reaches is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bundles import bundle
from perennial import rollout_request, target_settings, targets
from perennial.errors import InvalidInput
from perennial.inventory.records import PlaceRecord, SightingRecord
from perennial.manifest import Role, Scope, Sighting
from perennial.rollout_request import _reattached
from perennial.sighted_targets import attached
from perennial.target_settings import Declared
from perennial.targets.interface import TargetSettings
from rolling import MANAGED, rolling_hub

ACCOUNT, REGION = "111111111111", "eu-west-1"
ARN = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/11111111-2222-3333-4444-555555555555"
VIRGINIA = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/11111111-2222-3333-4444-555555555555"
ELB = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
LISTENER = f"{ELB}:listener/app/shop/0123456789abcdef/0123456789abcdef"
DOMAIN = f"arn:aws:apigateway:{REGION}::/domainnames/api.example.com"
DISTRIBUTION = f"arn:aws:cloudfront::{ACCOUNT}:distribution/E1U5RQF7T870K0"
ACM = TargetSettings(
    kind="acm", name="shop", managed="shop", account=ACCOUNT, region=REGION, fields={"certificate": ARN}
)


def seen(source: str, resource: str, holder: str = ARN, location: str = "", **attributes: Any) -> SightingRecord:
    region = "aws-global" if source == "cloudfront" else REGION
    sighting = Sighting(
        location=location or f"{resource}#{holder}",
        role=Role.ATTACHED,
        resource=resource,
        holder=holder,
        attributes=attributes,
    )
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    return SightingRecord(scope=Scope(ACCOUNT, region, source), sighting=sighting, first_seen=moment)


CASES = [
    (
        seen("elbv2", LISTENER, binding="default"),
        "elbv2",
        {"listener": LISTENER, "slot": "default", "replaces": ""},
        (),
    ),
    (seen("elbv2", LISTENER, binding="sni"), "elbv2", {"listener": LISTENER, "slot": "sni", "replaces": ARN}, ()),
    (
        seen("elb", f"{ELB}:loadbalancer/old", location=f"{ELB}:loadbalancer/old:443#{ARN}"),
        "elb",
        {"load_balancer": "old", "port": "443", "store": "acm"},
        (),
    ),
    (
        seen("apigateway", DOMAIN),
        "apigateway",
        {"domain": "api.example.com", "endpoint": "regional"},
        ("api.example.com",),
    ),
    (
        seen("apigateway", DOMAIN, VIRGINIA),
        "apigateway",
        {"domain": "api.example.com", "endpoint": "edge"},
        ("api.example.com",),
    ),
    (
        seen("cloudfront", DISTRIBUTION, VIRGINIA, binding="alias", names=["shop.example.com"]),
        "cloudfront",
        {"distribution": "E1U5RQF7T870K0"},
        ("shop.example.com",),
    ),
]


@pytest.mark.parametrize(("sighting", "kind", "fields", "names"), CASES)
def test_a_target_of_a_sighting(
    sighting: SightingRecord, kind: str, fields: dict[str, str], names: tuple[str, ...]
) -> None:
    """Each way to attach a certificate is a target that its kind accepts as if a person had declared it."""
    (made,) = attached(ACM, [sighting]).targets
    assert (made.kind, made.name, made.names, made.managed) == (kind, "shop-1", names, "shop")
    assert fields.items() <= made.fields.items()
    document = {name: value for name, value in made.fields.items() if value}
    declared = target_settings.parse({"targets": [{"kind": kind, "name": "x", **document}]}, "shop").targets[0]
    assert declared.fields == made.fields
    assert made.deadline == targets.kind(kind).DEADLINE


@pytest.mark.parametrize(
    "sighting",
    [
        seen("cloudfront", DISTRIBUTION, location=f"{DISTRIBUTION}#origin#{VIRGINIA}", binding="origin"),
        seen("cloudfront", f"arn:aws:cloudfront::{ACCOUNT}:distribution-tenant/dt_1", VIRGINIA, binding="alias"),
        seen("trust_stores", f"{ELB}:truststore/x/1"),
        seen("elb", "somewhere", location="somewhere"),
        seen("apigateway", DOMAIN, "no-arn"),
    ],
)
def test_what_no_target_reaches(sighting: SightingRecord) -> None:
    """What cannot be made a target is told, and nothing is made of it."""
    found = attached(ACM, [sighting])
    assert found.targets == ()
    assert found.unreached == (sighting.sighting.location,)


def test_each_has_a_name_of_its_own() -> None:
    """Names are numbered in the order of the locations, and fit the length of a name."""
    long = replace(ACM, name="n" * 64)
    made = attached(long, [sighting for sighting, *_ in CASES]).targets
    assert len({each.name for each in made}) == len(CASES)
    assert all(len(each.name) <= 64 for each in made)


@pytest.mark.parametrize(
    ("held", "expected"),
    [("EC-256", ["acm"]), ("RSA-2048", ["elbv2", "apigateway"]), (None, ["acm"])],
)
def test_a_key_that_changes(held: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate in ACM stays the target while its key type does; else what is attached to it is; what Discovery
    does not know stays too, for the preflight to judge."""
    with rolling_hub() as hub:
        there = bundle(1, key=held or "EC-256").certificate
        inventory = hub.deployment.inventory
        sighting = Sighting(location=ARN, role=Role.STORED, resource=ARN, fingerprint=there.fingerprint)
        own = replace(seen("acm", ARN), sighting=sighting) if held else None
        listed = (CASES[0][0], CASES[3][0])
        place = PlaceRecord(place=ARN, held=own, attached=listed, findings=(), due_at=None)
        monkeypatch.setattr(type(inventory), "place", lambda *_: place)
        monkeypatch.setattr(type(inventory), "certificate_and_owner", lambda *_: (there, None))
        version = inventory.version(f"{MANAGED}/2")
        declared = _reattached(hub.deployment, version, Declared(targets=(ACM,), stays=True))
        assert sorted(each.kind for each in declared.targets) == sorted(expected)
        assert declared.stays
        if held == "RSA-2048":
            unreached = replace(place, attached=(seen("trust_stores", f"{ELB}:truststore/x/1"),))
            monkeypatch.setattr(type(inventory), "place", lambda *_: unreached)
            with pytest.raises(InvalidInput, match=r"RSA-2048 to EC-256.*no target reaches.*truststore"):
                rollout_request.request(
                    hub.deployment, MANAGED, Declared(targets=(ACM,)), "anna", hub.now, source="cli"
                )
