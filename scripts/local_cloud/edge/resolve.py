"""Where a host name leads: through the Route 53 of all accounts to a place of the edge.

An alias record is followed like a CNAME, which is what it does for whoever resolves the name. A name that Route 53 does
not know may still be a place's own; what it leads elsewhere is not the edge's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dnslib import CNAME, RCODE, RD, DNSError, DNSRecord

from local_cloud.dns_answers import Node, RecordSet, answer, data
from local_cloud.edge.listeners import Place
from local_cloud.edge.store import Json, Store, Where

_ADDRESSES = ("A", "AAAA")
_READ = ("A", "CNAME", "SOA")  # all that an answer about an address needs
_MOST_SETS = "12"  # record sets asked for at one name
_OF_BOTH_FAMILIES = "dualstack."  # before a load balancer's name, as the console writes an alias


def leading(store: Store, places: Collection[Place], host: str) -> list[Place]:
    """The places to which a host name leads, on any port; none for a name that the edge does not know."""
    end = _end(store, host.lower().rstrip("."))
    return [place for place in places if place.answers_to(end.removeprefix(_OF_BOTH_FAMILIES))] if end else []


def _end(store: Store, host: str) -> str | None:
    """The last name of the chain that begins with a host; None where an address follows it, or nothing can."""
    try:
        reply = answer(DNSRecord.question(host, "A"), Zones(store))
    except (DNSError, UnicodeError, ValueError):
        return None  # no host name
    if reply.header.rcode == RCODE.SERVFAIL:
        return None
    if not reply.rr:
        return host
    last = reply.rr[-1].rdata
    return str(last.label).lower().rstrip(".") if isinstance(last, CNAME) else None


@dataclass(frozen=True)
class Zones:
    """The public hosted zones of all accounts."""

    store: Store

    def zones(self) -> Sequence[_Zone]:
        token = ("Marker", "NextMarker")
        return [
            _Zone(zone["Name"].lower().rstrip("."), zone["Id"], where, self.store)
            for where in self.store.scopes("route53")
            for zone in self.store.listed("route53", "ListHostedZones", where, "HostedZones", token)
            if not zone.get("Config", {}).get("PrivateZone")
        ]


@dataclass(frozen=True)
class _Zone:
    """One hosted zone, whose alias records of addresses are CNAMEs."""

    name: str
    id: str
    where: Where
    store: Store

    def node(self, name: str) -> Node:
        asked: dict[str, Any] = {"HostedZoneId": self.id, "StartRecordName": name or ".", "MaxItems": _MOST_SETS}
        told = self.store.ask("route53", "ListResourceRecordSets", self.where, **asked) or {}
        found = [(_plain(each["Name"]), each) for each in told.get("ResourceRecordSets", ())]
        sets = tuple(_record_set(each) for owner, each in found if owner == name)
        return Node(sets=sets, below=any(owner.endswith(f".{name}") for owner, _ in found))


def _record_set(told: Json) -> RecordSet:
    if "AliasTarget" in told and told["Type"] in _ADDRESSES:
        return RecordSet(kind="CNAME", ttl=60, data=(CNAME(told["AliasTarget"]["DNSName"]),))
    read = told.get("ResourceRecords", ()) if told["Type"] in _READ else ()
    values: tuple[RD, ...] = tuple(data(told["Type"], each["Value"]) for each in read)
    return RecordSet(kind=told["Type"], ttl=int(told.get("TTL", 60)), data=values)


def _plain(name: str) -> str:
    """A name as Route 53 gives it, which writes a wildcard's asterisk in octal."""
    return name.replace("\\052", "*").lower().rstrip(".")
