"""A fake of Elastic Load Balancing, API 2015-12-01: Application and Network Load Balancers, without the traffic.

This module holds the load balancers themselves, tags and security policies; listeners, certificate lists, rules, target
groups and trust stores are in modules of their own, each with the source of its rules. What the load balancers use is
told to `references`, so that ACM and IAM know a certificate's users.
"""

from __future__ import annotations

from typing import Any

from local_cloud.fakes.elbv2_listener_certificates import ListenerCertificates
from local_cloud.fakes.elbv2_rules import Rules
from local_cloud.fakes.elbv2_state import PAGES, TAGS, LoadBalancer, Region, new_id
from local_cloud.fakes.elbv2_target_groups import NAME, TargetGroups
from local_cloud.fakes.elbv2_trust_stores import TrustStores
from local_cloud.fakes.load_balancer_certificates import Refusal, refusal_by
from local_cloud.fakes.references import References, references
from local_cloud.fakes.service import ServiceError
from local_cloud.fakes.ssl_policies import POLICIES, SslPolicy
from local_cloud.fakes.tags import without
from local_cloud.fakes.trust_store_bundles import Bundles, S3Bundles

MAX_DESCRIBED = 20
_PREFIXES = {"application": "app", "network": "net"}
_HOSTED_ZONES = {"eu-central-1": "Z215JYRZR1TBD5", "eu-west-1": "Z32O12XQLNTSW2", "us-east-1": "Z35SXDOTRQ7X7K"}
_DELETION_PROTECTION = "deletion_protection.enabled"


class Elbv2(ListenerCertificates, Rules, TargetGroups, TrustStores):
    """Elastic Load Balancing version 2; see the module's docstring."""

    service = "elbv2"
    credential_scope = "elasticloadbalancing"
    api_version = "2015-12-01"

    def __init__(
        self,
        *,
        certificate_refusal: Refusal | None = None,
        bundles: Bundles | None = None,
        registry: References = references,
        **framework: Any,
    ) -> None:
        """`certificate_refusal`: which certificates may be served; `bundles`: where trust stores read CA bundles."""
        super().__init__(**framework)
        self.certificate_refusal = certificate_refusal or refusal_by()
        self.bundles = bundles or S3Bundles()
        registry.register("elbv2", self.users_of, index=self.certificates_in_use)

    def new_state(self, account: str, region: str) -> Region:
        return Region(account, region)

    def users_of(self, account: str, region: str, certificate: str) -> list[str]:
        """The load balancers that serve a certificate; one of IAM may be served in any region."""
        regions = {key[1] for key in self._states if key[0] == account} if ":iam:" in certificate else {region}
        return [user for name in regions for user in self.certificates_in_use(account, name).get(certificate, [])]

    def certificates_in_use(self, account: str, region: str) -> dict[str, list[str]]:
        """The certificates that are served in a region, each with its load balancers."""
        found: dict[str, list[str]] = {}
        for item in self.state(account, region).listeners.values():
            for certificate in item.certificates():
                found.setdefault(certificate, []).append(item.load_balancer)
        return found

    def create_load_balancer(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        """A repeat with the same settings gives the load balancer that is there."""
        _check_load_balancer(request)
        there = next((item for item in state.load_balancers.values() if item.name == request["Name"]), None)
        if there and there.wish != request:
            sentence = f"A load balancer with the same name '{there.name}' exists, but with different settings"
            raise ServiceError("DuplicateLoadBalancerName", sentence)
        made = there or self._load_balancer(state, request)
        state.load_balancers[made.arn] = made
        return {"LoadBalancers": [_shown(state, made)]}

    def _load_balancer(self, state: Region, request: dict[str, Any]) -> LoadBalancer:
        kind, identifier = request.get("Type", "application"), new_id()
        scheme = request.get("Scheme", "internet-facing")
        return LoadBalancer(
            arn=state.arn(f"loadbalancer/{_PREFIXES[kind]}/{request['Name']}/{identifier}"),
            name=request["Name"],
            dns_name=_dns_name(kind, scheme, f"{request['Name']}-{identifier}", state.region),
            type=kind,
            scheme=scheme,
            created=self.now(),
            wish=request,
            tags=TAGS.merged({}, request.get("Tags", [])),
            attributes={_DELETION_PROTECTION: "false"},
        )

    def describe_load_balancers(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        found = _selected(state, request.get("LoadBalancerArns", []), request.get("Names", []))
        page, marker = self.page(found, request, **PAGES)
        return {"LoadBalancers": [_shown(state, item) for item in page], "NextMarker": marker}

    def delete_load_balancer(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        """Takes the listeners along; deleting what is not there succeeds."""
        item = state.load_balancers.get(request["LoadBalancerArn"])
        if item and item.attributes[_DELETION_PROTECTION] == "true":
            sentence = f"Load balancer '{item.arn}' cannot be deleted because deletion protection is enabled"
            raise ServiceError("OperationNotPermitted", sentence)
        state.load_balancers.pop(request["LoadBalancerArn"], None)
        for listener in state.listeners_of(request["LoadBalancerArn"]):
            del state.listeners[listener.arn]
        return {}

    def modify_load_balancer_attributes(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        item = state.load_balancer(request["LoadBalancerArn"])
        item.attributes |= {entry["Key"]: entry.get("Value", "") for entry in request["Attributes"]}
        return {"Attributes": _entries(item.attributes)}

    def describe_load_balancer_attributes(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        return {"Attributes": _entries(state.load_balancer(request["LoadBalancerArn"]).attributes)}

    def describe_ssl_policies(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        names = request.get("Names") or list(POLICIES)
        if unknown := [name for name in names if name not in POLICIES]:
            raise ServiceError("SSLPolicyNotFound", f"SSL policy '{unknown[0]}' not found")
        wanted = [] if request.get("LoadBalancerType") == "gateway" else [POLICIES[name] for name in names]
        page, marker = self.page(wanted, request, **PAGES)
        return {"SslPolicies": [_policy(policy) for policy in page], "NextMarker": marker}

    def add_tags(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        resources = [state.tagged(arn) for arn in request["ResourceArns"]]
        tagged = [TAGS.merged(resource.tags, request["Tags"]) for resource in resources]
        for resource, tags in zip(resources, tagged, strict=True):
            resource.tags = tags
        return {}

    def remove_tags(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        for resource in [state.tagged(arn) for arn in request["ResourceArns"]]:
            resource.tags = without(resource.tags, request["TagKeys"])
        return {}

    def describe_tags(self, state: Region, request: dict[str, Any]) -> dict[str, Any]:
        arns = request["ResourceArns"]
        _limit(arns, "resources")
        return {"TagDescriptions": [{"ResourceArn": arn, "Tags": TAGS.listed(state.tagged(arn).tags)} for arn in arns]}


def _check_load_balancer(request: dict[str, Any]) -> None:
    name, kind = request["Name"], request.get("Type", "application")
    if not NAME.fullmatch(name) or name.startswith("internal-"):
        raise ServiceError("ValidationError", f"The load balancer name '{name}' is not valid")
    if kind not in _PREFIXES:
        raise ServiceError("NotImplementedException", f"The fake has no load balancers of type {kind}", 501)
    subnets, mappings = request.get("Subnets", []), request.get("SubnetMappings", [])
    if bool(subnets) == bool(mappings):
        raise ServiceError("ValidationError", "Specify either subnets or subnet mappings")
    if kind == "application" and len(subnets) + len(mappings) < 2:
        sentence = "At least two subnets in two different Availability Zones must be specified"
        raise ServiceError("ValidationError", sentence)


def _dns_name(kind: str, scheme: str, label: str, region: str) -> str:
    if kind == "network":
        return f"{label}.elb.{region}.amazonaws.com"
    return f"{'internal-' if scheme == 'internal' else ''}{label}.{region}.elb.amazonaws.com"


def _selected(state: Region, arns: list[str], names: list[str]) -> list[LoadBalancer]:
    if arns and names:
        raise ServiceError("ValidationError", "Load balancer names and load balancer ARNs cannot be specified together")
    _limit(arns or names, "load balancers")
    if arns:
        return [state.load_balancer(arn) for arn in arns]
    by_name = {item.name: item for item in state.load_balancers.values()}
    if missing := [name for name in names if name not in by_name]:
        raise ServiceError("LoadBalancerNotFound", f"Load balancers '{missing}' not found")
    return [by_name[name] for name in names] or list(by_name.values())


def _limit(asked: list[str], what: str) -> None:
    if len(asked) > MAX_DESCRIBED:
        raise ServiceError("ValidationError", f"At most {MAX_DESCRIBED} {what} can be described in one call")


def _shown(state: Region, item: LoadBalancer) -> dict[str, Any]:
    subnets = item.wish.get("Subnets") or [mapping.get("SubnetId") for mapping in item.wish["SubnetMappings"]]
    zones = [
        {"ZoneName": f"{state.region}{'abcdef'[index % 6]}", "SubnetId": subnet} for index, subnet in enumerate(subnets)
    ]
    return {
        "LoadBalancerArn": item.arn,
        "DNSName": item.dns_name,
        "CanonicalHostedZoneId": _HOSTED_ZONES.get(state.region, "Z35SXDOTRQ7X7K"),
        "CreatedTime": item.created,
        "LoadBalancerName": item.name,
        "Scheme": item.scheme,
        "VpcId": "vpc-0a1b2c3d4e5f67890",
        "State": {"Code": "active"},
        "Type": item.type,
        "AvailabilityZones": zones,
        "SecurityGroups": item.wish.get("SecurityGroups"),
        "IpAddressType": item.wish.get("IpAddressType", "ipv4"),
    }


def _entries(attributes: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in attributes.items()]


def _policy(policy: SslPolicy) -> dict[str, Any]:
    return {
        "Name": policy.name,
        "SslProtocols": list(policy.protocols),
        "Ciphers": [{"Name": name, "Priority": place} for place, name in enumerate(policy.ciphers, 1)],
        "SupportedLoadBalancerTypes": ["application", "network"],
    }
