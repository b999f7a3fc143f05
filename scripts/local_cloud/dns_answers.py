"""What a DNS question is answered from some zones, as an authoritative server answers it (RFC 1034 4.3.2, RFC 4592).

No sockets and no AWS here: `dns_bridge` serves these answers, from Route 53's zones or from `Records`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from dnslib import CLASS, QTYPE, RCODE, RD, RR, SOA, TXT, A, DNSLabel, DNSRecord

_MOST_ALIASES = 8
_TTL = 60
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\([0-3][0-7]{2}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """Every record of one type at one name. `data` is empty for what has no DNS data of its own (an alias record)."""

    kind: str
    ttl: int
    data: tuple[RD, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What a zone has at one name, and whether it has anything below it (RFC 8020)."""

    sets: tuple[RecordSet, ...] = ()
    below: bool = False

    @property
    def exists(self) -> bool:
        return bool(self.sets) or self.below

    def of(self, kind: str) -> tuple[RecordSet, ...]:
        """The record sets of a type."""
        return tuple(each for each in self.sets if each.kind == kind)


class Zone(Protocol):
    """A zone; `name` is in lower case, without trailing dot ("" is the root)."""

    @property
    def name(self) -> str: ...

    def node(self, name: str) -> Node:
        """What is at a name of this zone, given in lower case without trailing dot."""


class Zones(Protocol):
    """Where zones come from. Asked once for each question, and one question is answered from one answer of it."""

    def zones(self) -> Sequence[Zone]: ...


def answer(query: DNSRecord, source: Zones, address: str = "") -> DNSRecord:
    """The reply to a query.

    Aliases are followed through all zones. Names outside of them are REFUSED. With an `address`, a host name of a zone
    (no label begins with "_") that has no A record has this one, so that a CA's http-01 request has a place to go.
    """
    reply = query.reply(ra=0)
    zones = source.zones()
    kind, owner = str(QTYPE.get(query.q.qtype, "?")), query.q.qname
    for followed in range(_MOST_ALIASES + 1):
        name = _plain(owner)
        zone = closest(zones, name)
        if zone is None:
            reply.header.rcode = RCODE.NOERROR if followed else RCODE.REFUSED
            return reply
        node = _node_or_wildcard(zone, name)
        sets = node.of(kind)
        aliases = () if kind in ("CNAME", "ANY") else node.of("CNAME")
        if not aliases:
            _conclude(reply, owner, node.sets if kind == "ANY" else sets, _default(kind, name, address))
            if not reply.rr or reply.rr[-1].rname != owner:
                _deny(reply, zone, exists=node.exists or _is_host(name, address))
            return reply
        _add(reply, owner, aliases)
        owner = aliases[0].data[0].label
    reply.header.rcode = RCODE.SERVFAIL
    return reply


def closest(zones: Sequence[Zone], name: str) -> Zone | None:
    """The zone of the longest name that this name is in; of two with one name, the first."""
    holding = [zone for zone in zones if not zone.name or name == zone.name or name.endswith(f".{zone.name}")]
    return max(holding, key=lambda zone: len(zone.name), default=None)


def data(kind: str, value: str) -> RD:
    """A record's data from its presentation form, as Route 53 has it (TXT: quoted strings with octal escapes).

    Raises: dnslib's DNSError or ValueError where it is none.
    """
    if kind == "TXT":
        return TXT([part for each in _strings(value) for part in _parts(each)])
    parsed: RD = RR.fromZone(f". IN {kind} {value}")[0].rdata
    return parsed


def text(value: str) -> TXT:
    """The data of a TXT record with this text, in strings of at most 255 bytes."""
    return TXT(list(_parts(value.encode())))


class Records:
    """Zones of records in memory that any thread may change, for tests and measurements without a cloud.

    >>> records = Records("example.com")
    >>> records.add("_acme-challenge.example.com", "TXT", "value")
    """

    def __init__(self, *zones: str) -> None:
        """Serve these zones; none given: every name there is."""
        self._lock = threading.Lock()
        self._values: dict[str, dict[str, list[str]]] = {}
        self._zones = tuple(_StaticZone(name=each.lower().rstrip("."), records=self) for each in zones or ("",))

    def add(self, name: str, kind: str, value: str) -> None:
        """Add a record; once more does nothing. A TXT value is the text itself, without quotes."""
        with self._lock:
            values = self._values.setdefault(_lower(name), {}).setdefault(kind, [])
            if value not in values:
                values.append(value)

    def remove(self, name: str, kind: str, value: str) -> None:
        """Remove a record, if it is there."""
        with self._lock:
            kinds = self._values.get(_lower(name), {})
            kinds[kind] = [each for each in kinds.get(kind, []) if each != value]
            if not kinds[kind]:
                del kinds[kind]
            if not kinds:
                self._values.pop(_lower(name), None)

    def clear(self) -> None:
        """Remove every record."""
        with self._lock:
            self._values.clear()

    def values(self, name: str, kind: str) -> tuple[str, ...]:
        """The values of a type at a name."""
        with self._lock:
            return tuple(self._values.get(_lower(name), {}).get(kind, ()))

    def zones(self) -> Sequence[Zone]:
        return self._zones

    def node(self, name: str) -> Node:
        """What is at a name, in whichever zone."""
        with self._lock:
            kinds = {kind: tuple(values) for kind, values in self._values.get(name, {}).items()}
            below = any(each.endswith(f".{name}") for each in self._values) if not kinds else False
        return Node(sets=tuple(_static_set(kind, values) for kind, values in kinds.items()), below=below)


@dataclass(frozen=True, slots=True, kw_only=True)
class _StaticZone:
    name: str
    records: Records

    def node(self, name: str) -> Node:
        return self.records.node(name)


def _static_set(kind: str, values: tuple[str, ...]) -> RecordSet:
    made = tuple(text(each) if kind == "TXT" else data(kind, each) for each in values)
    return RecordSet(kind=kind, ttl=_TTL, data=made)


def _node_or_wildcard(zone: Zone, name: str) -> Node:
    """What is at the name, else what the closest wildcard above it makes there (RFC 4592 3.3.1)."""
    node = zone.node(name)
    encloser = name
    while not node.exists and encloser != zone.name:
        encloser = encloser.partition(".")[2]
        wildcard = zone.node(f"*.{encloser}" if encloser else "*")
        if wildcard.sets:
            return wildcard
        if zone.node(encloser).exists:
            break
    return node


def _conclude(reply: DNSRecord, owner: DNSLabel, sets: Sequence[RecordSet], default: RD | None) -> None:
    _add(reply, owner, sets)
    if default is not None and not any(each.data for each in sets):
        reply.add_answer(RR(owner, QTYPE.A, CLASS.IN, _TTL, default))


def _add(reply: DNSRecord, owner: DNSLabel, sets: Sequence[RecordSet]) -> None:
    for each in sets:
        for value in each.data:
            reply.add_answer(RR(owner, getattr(QTYPE, each.kind), CLASS.IN, each.ttl, value))


def _deny(reply: DNSRecord, zone: Zone, *, exists: bool) -> None:
    """NXDOMAIN, or no data where the name has other types (RFC 2308 2), with the zone's SOA."""
    if not exists:
        reply.header.rcode = RCODE.NXDOMAIN
    apex = zone.name or "."
    own = zone.node(zone.name).of("SOA")
    soa = own[0].data[0] if own else SOA(apex, f"hostmaster.{zone.name}", (1, 7200, 900, 1209600, _TTL))
    reply.add_auth(RR(apex, QTYPE.SOA, CLASS.IN, _TTL, soa))


def _default(kind: str, name: str, address: str) -> RD | None:
    return A(address) if kind == "A" and _is_host(name, address) else None


def _is_host(name: str, address: str) -> bool:
    return bool(address) and not any(label.startswith("_") for label in name.split("."))


def _plain(label: DNSLabel) -> str:
    return _lower(str(label))


def _lower(name: str) -> str:
    return name.lower().rstrip(".")


def _strings(value: str) -> Iterator[bytes]:
    found = _STRING.findall(value)
    for each in found or [value]:
        yield _ESCAPE.sub(_unescaped, each).encode("latin-1")


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code, 8)) if len(code) == 3 else code


def _parts(value: bytes) -> Iterator[bytes]:
    """Character-strings of at most 255 bytes (RFC 1035 3.3), at least one."""
    for start in range(0, max(len(value), 1), 255):
        yield value[start : start + 255]
