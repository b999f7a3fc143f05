"""Targets as sightings show them: Discovery knows where a certificate is held and attached, and so a target can be made
of each place.

`everywhere` makes the targets of a certificate that is adopted. `attached` is for a certificate in ACM that cannot be
imported under its own ARN any more, because the key type or size changes (ACM User Guide, "Reimport a certificate").
The version then gets an ARN of its own, and everything that Discovery has seen attached to the old one is attached to
the new one, target by target, each proven. What Discovery has not seen keeps the old ARN, which stays as it is. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perennial import targets
from perennial.inventory.records import SightingRecord
from perennial.targets.interface import HANDSHAKE, READ_BACK, TargetSettings

_LOAD_BALANCER = re.compile(
    r"arn:[a-z-]+:elasticloadbalancing:[^:]+:[0-9]{12}:loadbalancer/(?P<name>[^/#:]+):(?P<port>[0-9]+)#.*"
)
_DOMAIN = re.compile(r"arn:[a-z-]+:apigateway:[^:]+::/domainnames/(?P<name>[^#]+)#.*")
_DISTRIBUTION = re.compile(r"arn:[a-z-]+:cloudfront::[0-9]{12}:distribution/(?P<id>[A-Z0-9]+)#.*")
_SERVER = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:server-certificate(?P<path>/(.+/)?)(?P<name>[^/]{1,128})")
_NUMBERED = re.compile(r"(?P<prefix>.{1,100}?)-[0-9]+(-[0-9a-f]{8})?")  # as the kind `iam` names them
_OWN_SECRET = re.compile(r"arn:[^:]+:secretsmanager:[^:]*:[^:]*:secret:perennial/.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reattached:
    """The targets that reach what was sighted; `unreached` are locations that no kind of target can change."""

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


def everywhere(managed: str, held: Sequence[SightingRecord], attached: Sequence[SightingRecord]) -> Reattached:
    """Targets of a managed certificate for every place where its certificate is held and attached, in the order of the
    locations: what is attached to a store, and the store itself where nothing else can reach all of that."""
    found: list[TargetSettings] = []
    unreached: list[str] = []
    declared = TargetSettings(kind="", name="", managed=managed)
    for record in sorted(held, key=lambda each: (each.scope.key, each.sighting.location)):
        own = [each for each in attached if each.sighting.holder == record.sighting.location]
        made, missed = _of_store(declared, record, sorted(own, key=lambda each: each.sighting.location))
        found += made
        unreached += missed
    numbered = [replace(each, name=_kind_name(each.kind, found[:at], found)) for at, each in enumerate(found)]
    return Reattached(targets=tuple(numbered), unreached=tuple(unreached))


def _kind_name(kind: str, before: Sequence[TargetSettings], every: Sequence[TargetSettings]) -> str:
    """`elbv2`, or `elbv2-2` where there are several."""
    name = kind.replace("_", "-")
    several = sum(each.kind == kind for each in every) > 1
    return f"{name}-{sum(each.kind == kind for each in before) + 1}" if several else name


def _of_store(
    declared: TargetSettings, store: SightingRecord, attached: Sequence[SightingRecord]
) -> tuple[list[TargetSettings], list[str]]:
    """The targets of one place that holds the certificate, and what they do not reach."""
    made = [(each, _fitting(_target(declared, each))) for each in attached]
    missed = [each.sighting.location for each, target in made if target is None]
    found = [target for _, target in made if target is not None]
    itself = _itself(declared, store) if missed or not found else None
    if itself is not None and store.scope.source == "acm":
        return [itself], []  # imported again under its ARN, it moves everything that is attached
    if itself is not None and not attached:
        return [itself], []
    return found, missed or ([] if found else [store.sighting.location])


def _itself(declared: TargetSettings, store: SightingRecord) -> TargetSettings | None:
    read = _STORES.get(store.scope.source)
    fields = read(store) if read else None
    return _fitting(_settings(declared, store, *fields)) if fields else None


def _fitting(settings: TargetSettings | None) -> TargetSettings | None:
    """A target, if its kind would take it from a person too."""
    wanted = targets.kind(settings.kind).FIELDS if settings else ()
    given = [(each, settings.text(each.name)) for each in wanted if settings and not each.several]
    fits = all(re.fullmatch(each.pattern, value) or (not value and not each.needed) for each, value in given)
    return settings if fits else None


def _target(declared: TargetSettings, record: SightingRecord) -> TargetSettings | None:
    read = _KINDS.get(record.scope.source)
    fields = read(record) if read else None
    if fields is None:
        return None
    return _settings(declared, record, *fields)


def _settings(
    declared: TargetSettings, record: SightingRecord, kind: str, own: dict[str, str], names: tuple[str, ...]
) -> TargetSettings:
    module = targets.kind(kind)
    given = {each.name: own.get(each.name, () if each.several else each.default) for each in module.FIELDS}
    usual = HANDSHAKE if module.HANDSHAKES else READ_BACK
    return TargetSettings(
        kind=kind,
        name=declared.name,
        managed=declared.managed,
        account=record.scope.account,
        region="" if record.scope.region == "aws-global" else record.scope.region,
        names=names or declared.names,
        proof=declared.proof if declared.endpoints else usual,
        endpoints=declared.endpoints,
        deadline=module.DEADLINE,
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
    store = "iam" if (record.sighting.holder or "").split(":")[2:3] == ["iam"] else "acm"
    return ("elb", {"load_balancer": match["name"], "port": match["port"], "store": store}, ()) if match else None


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


def _imported(record: SightingRecord) -> _Fields | None:
    """What was imported into ACM can be imported again; what ACM issued cannot."""
    if record.sighting.attributes.get("type") != "IMPORTED":
        return None
    return "acm", {"certificate": record.sighting.location}, ()


def _server_certificate(record: SightingRecord) -> _Fields | None:
    match = _SERVER.fullmatch(record.sighting.location)
    if not match:
        return None
    numbered = _NUMBERED.fullmatch(match["name"])
    return "iam", {"name_prefix": numbered["prefix"] if numbered else match["name"][:100], "path": match["path"]}, ()


def _secret(record: SightingRecord) -> _Fields | None:
    """The secret's first certificate, with its key; not one of Perennial's own."""
    sighting = record.sighting
    whole = sighting.location == sighting.resource and sighting.attributes.get("has_key")
    if not whole or _OWN_SECRET.match(sighting.resource):
        return None
    return "secretsmanager", {"secret": sighting.resource}, ()


_KINDS: dict[str, Callable[[SightingRecord], Any]] = {
    "elbv2": _listener,
    "elb": _classic,
    "apigateway": _domain,
    "cloudfront": _distribution,
}
_STORES: dict[str, Callable[[SightingRecord], Any]] = {
    "acm": _imported,
    "iam": _server_certificate,
    "secretsmanager": _secret,
}
