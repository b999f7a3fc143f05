"""A fake of Classic Load Balancers (Elastic Load Balancing, API 2012-06-01), without the traffic.

Sources: the Classic Load Balancer user guide and the API reference. A secure listener has exactly one certificate, of
ACM in the region or of IAM. What serves a certificate is told to `references`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local_cloud.fakes.elb_listeners import (
    Listener,
    Policy,
    check_assignment,
    listener,
    policy,
    predefined,
    require_certificate,
)
from local_cloud.fakes.load_balancer_certificates import Refusal, refusal_by
from local_cloud.fakes.references import References, references
from local_cloud.fakes.service import FakeService, ServiceError
from local_cloud.fakes.ssl_policies import DEFAULT_POLICY
from local_cloud.fakes.tags import TagRules, Tags, without

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
_TAGS = TagRules(too_many="TooManyTags", duplicate="DuplicateTagKeys")
_PAGES: dict[str, Any] = {"token": "Marker", "size": "PageSize", "default": 400, "maximum": 400}


@dataclass
class LoadBalancer:
    """One Classic Load Balancer; `wish` is the request that made it, against which repeats are compared."""

    name: str
    dns_name: str
    created: datetime
    wish: dict[str, Any]
    tags: Tags
    listeners: dict[int, Listener] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)


@dataclass
class Region:
    """The Classic Load Balancers of one account and region, by name."""

    account: str
    region: str
    load_balancers: dict[str, LoadBalancer] = field(default_factory=dict)

    def arn(self, name: str) -> str:
        return f"arn:aws:elasticloadbalancing:{self.region}:{self.account}:loadbalancer/{name}"

    def load_balancer(self, request: dict[str, Any]) -> LoadBalancer:
        """The one that a request names. Raises ServiceError."""
        return self.named(request["LoadBalancerName"])

    def named(self, name: str) -> LoadBalancer:
        if name not in self.load_balancers:
            raise ServiceError("LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'")
        return self.load_balancers[name]


class ClassicElb(FakeService[Region]):
    """Classic Load Balancers; see the module's docstring."""

    service = "elb"
    credential_scope = "elasticloadbalancing"
    api_version = "2012-06-01"

    def __init__(
        self, *, certificate_refusal: Refusal | None = None, registry: References = references, **framework: Any
    ) -> None:
        """`certificate_refusal`: which certificates may be served."""
        super().__init__(**framework)
        self._refusal = certificate_refusal or refusal_by()
        registry.register("elb", self.users_of, index=self.certificates_in_use)

    def new_state(self, account: str, region: str) -> Region:
        return Region(account, region)

    def users_of(self, account: str, region: str, certificate: str) -> list[str]:
        """The load balancers that serve a certificate; one of IAM may be served in any region."""
        regions = {key[1] for key in self._states if key[0] == account} if ":iam:" in certificate else {region}
        return [user for name in regions for user in self.certificates_in_use(account, name).get(certificate, [])]

    def certificates_in_use(self, account: str, region: str) -> dict[str, list[str]]:
        """The certificates that are served in a region, each with its load balancers."""
        state = self.state(account, region)
        found: dict[str, list[str]] = {}
        for item in state.load_balancers.values():
            for certificate in {entry.certificate for entry in item.listeners.values() if entry.certificate}:
                found.setdefault(certificate, []).append(state.arn(item.name))
        return found

    def create_load_balancer(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        """A repeat with the same settings gives the load balancer that is there."""
        _check(request)
        name = request["LoadBalancerName"]
        there = state.load_balancers.get(name)
        if there and there.wish != request:
            raise ServiceError("DuplicateLoadBalancerName", f"Load Balancer named '{name}' already exists")
        if not there:
            made = self._made(state, request)
            self._add_listeners(state, made, request["Listeners"])
            state.load_balancers[name] = made
        return {"DNSName": state.load_balancers[name].dns_name}

    def _made(self, state: Region, request: dict[str, Any]) -> LoadBalancer:
        name = request["LoadBalancerName"]
        prefix = "internal-" if request.get("Scheme") == "internal" else ""
        dns_name = f"{prefix}{name}-{secrets.randbelow(10**9):09}.{state.region}.elb.amazonaws.com"
        return LoadBalancer(name, dns_name, self.now(), request, _TAGS.merged({}, request.get("Tags", [])))

    def _add_listeners(self, state: Region, item: LoadBalancer, requests: list[dict[str, Any]]) -> None:
        """All or none; a listener that is there with the same settings is no error."""
        made = [listener(request, self._refusal, state.account, state.region) for request in requests]
        for new in made:
            known = item.listeners.get(new.port)
            if known and known.settings != new.settings:
                sentence = f"A listener already exists for {item.name} with LoadBalancerPort {new.port}"
                raise ServiceError("DuplicateListener", sentence)
        for new in made:
            item.listeners.setdefault(new.port, new)
            if new.is_secure:
                item.policies.setdefault(DEFAULT_POLICY, predefined()[DEFAULT_POLICY])

    def describe_load_balancers(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        names = request.get("LoadBalancerNames") or sorted(state.load_balancers)
        found = [state.named(name) for name in names]
        page, marker = self.page(found, request, **_PAGES)
        return {"LoadBalancerDescriptions": [_described(item) for item in page], "NextMarker": marker}

    def delete_load_balancer(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        """Deleting what is not there succeeds."""
        state.load_balancers.pop(request["LoadBalancerName"], None)
        return {}

    def create_load_balancer_listeners(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        self._add_listeners(state, state.load_balancer(request), request["Listeners"])
        return {}

    def delete_load_balancer_listeners(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        item = state.load_balancer(request)
        for port in request["LoadBalancerPorts"]:
            item.listeners.pop(port, None)
        return {}

    def set_load_balancer_listener_ssl_certificate(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        entry = _listener(state, request)
        if not entry.is_secure:
            raise ServiceError("InvalidConfigurationRequest", "Certificates can be set on HTTPS and SSL listeners only")
        require_certificate(request["SSLCertificateId"], self._refusal, state.account, state.region)
        entry.settings["SSLCertificateId"] = request["SSLCertificateId"]
        return {}

    def create_load_balancer_policy(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        item = state.load_balancer(request)
        if request["PolicyName"] in item.policies:
            raise ServiceError("DuplicatePolicyName", f"Policy {request['PolicyName']} already exists")
        item.policies[request["PolicyName"]] = policy(request)
        return {}

    def delete_load_balancer_policy(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        item, name = state.load_balancer(request), request["PolicyName"]
        if any(name in entry.policies for entry in item.listeners.values()):
            raise ServiceError("InvalidConfigurationRequest", f"Policy {name} is enabled for a listener")
        item.policies.pop(name, None)
        return {}

    def describe_load_balancer_policies(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        """Of a load balancer, or those that AWS defines."""
        known = state.load_balancer(request).policies if "LoadBalancerName" in request else predefined()
        names = request.get("PolicyNames") or list(known)
        if missing := [name for name in names if name not in known]:
            raise ServiceError("PolicyNotFound", f"There is no policy with name {missing[0]}")
        return {"PolicyDescriptions": [known[name].described() for name in names]}

    def set_load_balancer_policies_of_listener(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        entry, names = _listener(state, request), request["PolicyNames"]
        check_assignment(entry, names, state.load_balancer(request).policies)
        entry.policies = names
        return {}

    def add_tags(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        items = [state.named(name) for name in request["LoadBalancerNames"]]
        tagged = [_TAGS.merged(item.tags, request["Tags"]) for item in items]
        for item, tags in zip(items, tagged, strict=True):
            item.tags = tags
        return {}

    def remove_tags(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        for item in [state.named(name) for name in request["LoadBalancerNames"]]:
            item.tags = without(item.tags, [tag["Key"] for tag in request["Tags"]])
        return {}

    def describe_tags(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        items = [state.named(name) for name in request["LoadBalancerNames"]]
        return {"TagDescriptions": [{"LoadBalancerName": item.name, "Tags": _TAGS.listed(item.tags)} for item in items]}


def _check(request: dict[str, Any]) -> None:
    name = request["LoadBalancerName"]
    if not _NAME.fullmatch(name):
        raise ServiceError("ValidationError", f"The load balancer name '{name}' is not valid")
    if not request["Listeners"]:
        raise ServiceError("ValidationError", "Listeners cannot be empty")
    if bool(request.get("AvailabilityZones")) == bool(request.get("Subnets")):
        raise ServiceError("ValidationError", "Either AvailabilityZones or Subnets must be specified")


def _listener(state: Region, request: dict[str, Any]) -> Listener:
    found = state.load_balancer(request).listeners.get(request["LoadBalancerPort"])
    if found is None:
        raise ServiceError("ListenerNotFound", f"There is no listener on port {request['LoadBalancerPort']}")
    return found


def _described(item: LoadBalancer) -> dict[str, Any]:
    listeners = [{"Listener": entry.settings, "PolicyNames": entry.policies} for entry in item.listeners.values()]
    wish = item.wish
    return {
        "LoadBalancerName": item.name,
        "DNSName": item.dns_name,
        "CanonicalHostedZoneName": item.dns_name,
        "CanonicalHostedZoneNameID": "Z215JYRZR1TBD5",
        "ListenerDescriptions": listeners,
        "Policies": {
            "AppCookieStickinessPolicies": [],
            "LBCookieStickinessPolicies": [],
            "OtherPolicies": list(item.policies),
        },
        "BackendServerDescriptions": [],
        "AvailabilityZones": wish.get("AvailabilityZones", []),
        "Subnets": wish.get("Subnets", []),
        "Instances": [],
        "SecurityGroups": wish.get("SecurityGroups", []),
        "CreatedTime": item.created,
        "Scheme": wish.get("Scheme", "internet-facing"),
    }
