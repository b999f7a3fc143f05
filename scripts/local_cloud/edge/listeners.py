"""Which places terminate TLS, and what certificates each has at this moment: load balancers here, others in `domains`.

A place is one listener, API domain or distribution. `Places` lists them all, and reads one again at every handshake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from local_cloud.edge.store import Json, Store, Where

ADDRESSES = 2  # of a load balancer, which has at least one in each of its two zones

_SECURE = ("HTTPS", "TLS")
_CLASSIC_SECURE = ("HTTPS", "SSL")
_PAGES = ("Marker", "NextMarker")
_PROTOCOL = "Protocol-"
_OFFERED = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


@dataclass(frozen=True)
class Place:
    """One place that terminates TLS. `place` names it: the ARN of a listener, API domain or distribution, or
    ``<ARN of a Classic Load Balancer>:<port>``. `hosts` are AWS's name of it and its own where it has any (an API's
    domain name, a distribution's aliases); a leading ``*.`` stands for any one label. `protocols` go from old to new.
    """

    place: str
    kind: str
    where: Where
    name: str
    hosts: tuple[str, ...]
    port: int
    addresses: int
    default: str
    more: tuple[str, ...]
    protocols: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What stays the same of a place as long as it is there."""
        return self.where[0], self.place, self.hosts[0], self.port

    def answers_to(self, host: str) -> bool:
        """Whether a name in lower case is one of its own."""
        return host in self.hosts or f"*.{host.partition('.')[2]}" in self.hosts


class Source(Protocol):
    """Where places of one kind come from."""

    kind: str

    def places(self) -> Iterator[Place]:
        """All of them, in all accounts and regions."""

    def again(self, place: Place) -> Place | None:
        """The same place as it is now; None where it is gone or no longer on this port."""


class Places:
    """The places of all kinds."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = {source.kind: source for source in sources}

    def all(self) -> list[Place]:
        """Every place as it is now, those of one kind together."""
        return [place for source in self._sources.values() for place in source.places()]

    def again(self, place: Place) -> Place | None:
        """The same place as it is now; None where it is gone or no longer on this port."""
        return self._sources[place.kind].again(place)


class Listeners:
    """TLS listeners of Application and Network Load Balancers."""

    kind = "elbv2"

    def __init__(self, store: Store) -> None:
        self._store = store

    def places(self) -> Iterator[Place]:
        for where in self._store.scopes(self.kind):
            for balancer in self._store.listed(self.kind, "DescribeLoadBalancers", where, "LoadBalancers", _PAGES):
                arn = {"LoadBalancerArn": balancer["LoadBalancerArn"]}
                told = self._store.listed(self.kind, "DescribeListeners", where, "Listeners", _PAGES, **arn)
                yield from (self._place(where, balancer, each) for each in told if each["Protocol"] in _SECURE)

    def again(self, place: Place) -> Place | None:
        answer = self._store.ask(self.kind, "DescribeListeners", place.where, ListenerArns=[place.place])
        told = answer["Listeners"][0] if answer else None
        if told is None or told["Protocol"] not in _SECURE or told["Port"] != place.port:
            return None
        return self._place(place.where, {"LoadBalancerName": place.name, "DNSName": place.hosts[0]}, told)

    def _place(self, where: Where, balancer: Json, told: Json) -> Place:
        attached = self._store.listed(
            self.kind, "DescribeListenerCertificates", where, "Certificates", _PAGES, ListenerArn=told["ListenerArn"]
        )
        return Place(
            place=told["ListenerArn"],
            kind=self.kind,
            where=where,
            name=balancer["LoadBalancerName"],
            hosts=(balancer["DNSName"].lower(),),
            port=told["Port"],
            addresses=ADDRESSES,
            default=told["Certificates"][0]["CertificateArn"],
            more=tuple(each["CertificateArn"] for each in attached if not each["IsDefault"]),
            protocols=self._protocols(where, told["SslPolicy"]),
        )

    def _protocols(self, where: Where, policy: str) -> tuple[str, ...]:
        from perennial.scanners.elbv2 import protocols

        if known := protocols(policy):
            return tuple(known)
        told = self._store.ask(self.kind, "DescribeSSLPolicies", where, Names=[policy])
        return tuple(told["SslPolicies"][0]["SslProtocols"]) if told else _OFFERED


class ClassicListeners:
    """TLS listeners of Classic Load Balancers, each with exactly one certificate."""

    kind = "elb"

    def __init__(self, store: Store) -> None:
        self._store = store

    def places(self) -> Iterator[Place]:
        for where in self._store.scopes(self.kind):
            found = self._store.listed(self.kind, "DescribeLoadBalancers", where, "LoadBalancerDescriptions", _PAGES)
            for balancer in found:
                yield from self._of_balancer(where, balancer)

    def again(self, place: Place) -> Place | None:
        names = {"LoadBalancerNames": [place.name]}
        answer = self._store.ask(self.kind, "DescribeLoadBalancers", place.where, **names)
        found = self._of_balancer(place.where, answer["LoadBalancerDescriptions"][0]) if answer else iter(())
        return next((each for each in found if (each.port, each.hosts) == (place.port, place.hosts)), None)

    def _of_balancer(self, where: Where, balancer: Json) -> Iterator[Place]:
        for told in balancer["ListenerDescriptions"]:
            if told["Listener"]["Protocol"] in _CLASSIC_SECURE:
                yield self._place(where, balancer, told)

    def _place(self, where: Where, balancer: Json, told: Json) -> Place:
        name, port = balancer["LoadBalancerName"], told["Listener"]["LoadBalancerPort"]
        return Place(
            place=f"arn:aws:elasticloadbalancing:{where[1]}:{where[0]}:loadbalancer/{name}:{port}",
            kind=self.kind,
            where=where,
            name=name,
            hosts=(balancer["DNSName"].lower(),),
            port=port,
            addresses=ADDRESSES,
            default=told["Listener"]["SSLCertificateId"],
            more=(),
            protocols=self._protocols(where, name, told["PolicyNames"]),
        )

    def _protocols(self, where: Where, name: str, policies: Sequence[str]) -> tuple[str, ...]:
        """What the listener's negotiation policy turns on; without one, what the fake's default policy allows."""
        asked = {"LoadBalancerName": name, "PolicyNames": list(policies)}
        answer = self._store.ask(self.kind, "DescribeLoadBalancerPolicies", where, **asked) if policies else None
        pairs = [
            pair for policy in (answer or {}).get("PolicyDescriptions", ())
            for pair in policy["PolicyAttributeDescriptions"]
        ]  # fmt: skip
        on = {each["AttributeName"].removeprefix(_PROTOCOL) for each in pairs if each["AttributeValue"] == "true"}
        return tuple(version for version in _OFFERED if version in on) or _OFFERED[:3]
