"""What the Elastic Load Balancing (version 2) fake remembers in one account and region, and how it finds things."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from local_cloud.fakes.service import ServiceError
from local_cloud.fakes.tags import TagRules, Tags

Action = dict[str, Any]
Item = TypeVar("Item")

TAGS = TagRules(too_many="TooManyTags", duplicate="DuplicateTagKeys")
PAGES: dict[str, Any] = {"token": "Marker", "size": "PageSize", "default": 400, "maximum": 400}
"""How every list of this API is paged, as arguments of `FakeService.page`."""

SECURE = ("HTTPS", "TLS")
"""The protocols of listeners that terminate TLS."""


@dataclass
class LoadBalancer:
    """One load balancer; `wish` is the request that made it, against which repeats are compared."""

    arn: str
    name: str
    dns_name: str
    type: str
    scheme: str
    created: datetime
    wish: dict[str, Any]
    tags: Tags
    attributes: dict[str, str]


@dataclass
class Rule:
    """One rule of a listener; `priority` is "default" for the listener's own actions."""

    arn: str
    priority: str
    conditions: list[dict[str, Any]]
    actions: list[Action]
    tags: Tags = field(default_factory=dict)


@dataclass
class Listener:
    """One listener: `default` is its default certificate, `more` the certificate list for SNI, in the order added."""

    arn: str
    load_balancer: str
    port: int
    protocol: str
    actions: list[Action]
    default: str | None = None
    ssl_policy: str | None = None
    alpn: list[str] = field(default_factory=list)
    mutual: dict[str, Any] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)
    rules: dict[str, Rule] = field(default_factory=dict)
    tags: Tags = field(default_factory=dict)

    def certificates(self) -> list[str]:
        """The ARNs of all that it serves, the default one first."""
        return [self.default, *self.more] if self.default else self.more

    def target_groups(self) -> set[str]:
        """The ARNs that the listener's own actions and those of its rules forward to."""
        actions = [*self.actions, *(action for rule in self.rules.values() for action in rule.actions)]
        return {arn for action in actions for arn in forwarded_to(action)}


@dataclass
class TargetGroup:
    """One target group; `settings` is what DescribeTargetGroups shows of it."""

    arn: str
    name: str
    settings: dict[str, Any]
    tags: Tags
    targets: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class TrustStore:
    """One trust store with the CA bundle that it read from S3 when it was made or last modified."""

    arn: str
    name: str
    bundle: bytes
    certificates: int
    tags: Tags


Taggable = LoadBalancer | Listener | TargetGroup | TrustStore | Rule


@dataclass
class Region:
    """All of it for one account and region, by ARN."""

    account: str
    region: str
    load_balancers: dict[str, LoadBalancer] = field(default_factory=dict)
    listeners: dict[str, Listener] = field(default_factory=dict)
    target_groups: dict[str, TargetGroup] = field(default_factory=dict)
    trust_stores: dict[str, TrustStore] = field(default_factory=dict)

    def arn(self, resource: str) -> str:
        return f"arn:aws:elasticloadbalancing:{self.region}:{self.account}:{resource}"

    def load_balancer(self, arn: str) -> LoadBalancer:
        return _found(self.load_balancers, arn, "LoadBalancerNotFound", "Load balancer")

    def listener(self, arn: str) -> Listener:
        return _found(self.listeners, arn, "ListenerNotFound", "Listener")

    def target_group(self, arn: str) -> TargetGroup:
        return _found(self.target_groups, arn, "TargetGroupNotFound", "Target group")

    def trust_store(self, arn: str) -> TrustStore:
        return _found(self.trust_stores, arn, "TrustStoreNotFound", "Trust store")

    def rule(self, arn: str) -> Rule:
        rules = {key: rule for listener in self.listeners.values() for key, rule in listener.rules.items()}
        return _found(rules, arn, "RuleNotFound", "Rule")

    def listeners_of(self, load_balancer: str) -> list[Listener]:
        return [listener for listener in self.listeners.values() if listener.load_balancer == load_balancer]

    def tagged(self, arn: str) -> Taggable:
        """The resource of any kind that an ARN names. Raises ServiceError with the code of that kind."""
        finders: dict[str, Callable[[str], Taggable]] = {
            "loadbalancer": self.load_balancer,
            "listener": self.listener,
            "listener-rule": self.rule,
            "targetgroup": self.target_group,
            "truststore": self.trust_store,
        }
        kind = arn.rsplit(":", 1)[-1].split("/")[0]
        if kind not in finders:
            raise ServiceError("ValidationError", f"'{arn}' is not a valid resource ARN")
        return finders[kind](arn)


def _found(items: dict[str, Item], arn: str, code: str, kind: str) -> Item:
    if arn not in items:
        raise ServiceError(code, f"{kind} '{arn}' not found")
    return items[arn]


def new_id() -> str:
    """The identifier at the end of an ARN: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def forwarded_to(action: Action) -> Iterator[str]:
    """The target groups that an action forwards to, in either of the two ways to write it."""
    if "TargetGroupArn" in action:
        yield action["TargetGroupArn"]
    for group in action.get("ForwardConfig", {}).get("TargetGroups", []):
        yield group["TargetGroupArn"]
