"""Targets as sightings show them: where a certificate is attached, Discovery knows, and so a target can be made of it.

Used where a certificate in ACM cannot be imported under its own ARN any more, because the key type or size changes (ACM
User Guide, "Reimport a certificate"): the version then gets an ARN of its own, and everything that Discovery has seen
attached to the old one is attached to the new one, target by target, each proven. What Discovery has not seen keeps the
old ARN, which stays as it is. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perennial import targets
from perennial.inventory.records import SightingRecord
from perennial.targets.interface import TargetSettings

_LOAD_BALANCER = re.compile(
    r"arn:[a-z-]+:elasticloadbalancing:[^:]+:[0-9]{12}:loadbalancer/(?P<name>[^/#:]+):(?P<port>[0-9]+)#.*"
)
_DOMAIN = re.compile(r"arn:[a-z-]+:apigateway:[^:]+::/domainnames/(?P<name>[^#]+)#.*")
_DISTRIBUTION = re.compile(r"arn:[a-z-]+:cloudfront::[0-9]{12}:distribution/(?P<id>[A-Z0-9]+)#.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reattached:
    """The targets in the place of one in ACM; `unreached` are locations that no kind of target can change."""

    targets: tuple[TargetSettings, ...]
    unreached: tuple[str, ...]


def attached(declared: TargetSettings, sightings: Sequence[SightingRecord]) -> Reattached:
    """A target for each place where the certificate of a declared target of the kind `acm` is attached."""
    found: list[TargetSettings] = []
    unreached: list[str] = []
    for record in sorted(sightings, key=lambda each: each.sighting.location):
        made = _target(declared, record)
        if made is None:
            unreached.append(record.sighting.location)
        else:
            found.append(replace(made, name=_name(declared.name, len(found) + 1)))
    return Reattached(targets=tuple(found), unreached=tuple(unreached))


def _name(name: str, number: int) -> str:
    end = f"-{number}"
    return f"{name[: 64 - len(end)]}{end}"


def _target(declared: TargetSettings, record: SightingRecord) -> TargetSettings | None:
    read = _KINDS.get(record.scope.source)
    fields = read(record) if read else None
    if fields is None:
        return None
    kind, own, names = fields
    given = {each.name: own.get(each.name, () if each.several else each.default) for each in targets.kind(kind).FIELDS}
    region = "" if record.scope.region == "aws-global" else record.scope.region
    return TargetSettings(
        kind=kind,
        name=declared.name,
        managed=declared.managed,
        account=record.scope.account,
        region=region,
        names=names or declared.names,
        proof=declared.proof if declared.endpoints else "handshake",
        endpoints=declared.endpoints,
        deadline=targets.kind(kind).DEADLINE,
        fields=given,
    )


_Fields = tuple[str, dict[str, str], tuple[str, ...]]


def _listener(record: SightingRecord) -> _Fields:
    own = {"listener": record.sighting.resource, "slot": str(record.sighting.attributes.get("binding", "default"))}
    if own["slot"] == "sni":
        own["replaces"] = record.sighting.holder or ""
    return "elbv2", own, ()


def _classic(record: SightingRecord) -> _Fields | None:
    match = _LOAD_BALANCER.fullmatch(record.sighting.location)
    return ("elb", {"load_balancer": match["name"], "port": match["port"], "store": "acm"}, ()) if match else None


def _domain(record: SightingRecord) -> _Fields | None:
    """An edge-optimized domain has its certificate in us-east-1, wherever the domain is."""
    match = _DOMAIN.fullmatch(record.sighting.location)
    holder = (record.sighting.holder or "").split(":")
    if not match or len(holder) < 4:
        return None
    endpoint = "regional" if holder[3] == record.scope.region else "edge"
    return "apigateway", {"domain": match["name"], "endpoint": endpoint}, (match["name"],)


def _distribution(record: SightingRecord) -> _Fields | None:
    match = _DISTRIBUTION.fullmatch(record.sighting.location)
    if not match or record.sighting.attributes.get("binding") != "alias":
        return None
    return "cloudfront", {"distribution": match["id"]}, tuple(record.sighting.attributes.get("names", ()))


_KINDS: dict[str, Callable[[SightingRecord], Any]] = {
    "elbv2": _listener,
    "elb": _classic,
    "apigateway": _domain,
    "cloudfront": _distribution,
}
