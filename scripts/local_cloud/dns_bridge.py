"""DNS for the local cloud, which serves none: a server on loopback, UDP and TCP, that answers from Route 53's zones.

Every question asks Route 53 anew, so what a workflow wrote is what a CA sees next. Without a cloud it serves `Records`:

>>> with dns_bridge(cloud, accounts=(HUB_ACCOUNT, MEMBER_ACCOUNT)) as port: ...  # doctest: +SKIP
>>> with serve(Records("example.com")) as port: ...                             # doctest: +SKIP
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from dnslib import EDNS0, QTYPE, RCODE, DNSError, DNSRecord

from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT
from local_cloud.dns_answers import Node, RecordSet, Zone, Zones, answer, data

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

_PLAIN_UDP = 512  # bytes of a reply without EDNS (RFC 1035 4.2.1)
_MOST_UDP = 1232  # bytes of a reply that no network fragments
_IDLE_SECONDS = 10.0
_MOST_SETS = "12"  # record sets asked for at one name
_TRIES = 20  # ports of which both UDP and TCP are wanted


@contextmanager
def dns_bridge(
    cloud: Cloud,
    *,
    accounts: Sequence[str] = (HUB_ACCOUNT, MEMBER_ACCOUNT),
    default_address: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[int]:
    """Serve the public hosted zones of these accounts until the end of the block; gives the port.

    `default_address` is that of the zones' hosts that have no A record; "" gives them none.
    """
    zones = Route53Zones(tuple(cloud.client("route53", account=account) for account in accounts))
    with serve(zones, default_address=default_address, port=port) as served:
        yield served


@contextmanager
def serve(zones: Zones, *, default_address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Answer from these zones on a port of loopback (0: a free one) until the end of the block; gives the port.

    Raises: OSError where the port is taken or not permitted.
    """
    with ExitStack() as stack:
        tcp, udp = _bound(port, zones, default_address)
        for server in (tcp, udp):
            stack.enter_context(server)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name="dns")
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(server.shutdown)
        yield int(tcp.server_address[1])


@dataclass(frozen=True, slots=True)
class Route53Zones:
    """The public zones of some accounts, read anew for each question; where two have one name, the first account's."""

    clients: tuple[Any, ...]

    def zones(self) -> Sequence[Zone]:
        return [
            Route53Zone(name=zone["Name"].lower().rstrip("."), id=zone["Id"], client=client)
            for client in self.clients
            for page in client.get_paginator("list_hosted_zones").paginate()
            for zone in page["HostedZones"]
            if not zone.get("Config", {}).get("PrivateZone")
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route53Zone:
    """One hosted zone. Weighted and other routed record sets of one type are answered all together."""

    name: str
    id: str
    client: Any

    def node(self, name: str) -> Node:
        """What is at a name: Route 53 lists in the order of the labels from the right, so what is below comes next."""
        reply = self.client.list_resource_record_sets(
            HostedZoneId=self.id, StartRecordName=name or ".", MaxItems=_MOST_SETS
        )
        found = [(_unescaped(each["Name"]), each) for each in reply["ResourceRecordSets"]]
        sets = tuple(_record_set(each) for owner, each in found if owner == name)
        return Node(sets=sets, below=any(owner.endswith(f".{name}") for owner, _ in found))


def _record_set(found: dict[str, Any]) -> RecordSet:
    values = tuple(data(found["Type"], each["Value"]) for each in found.get("ResourceRecords", ()))
    return RecordSet(kind=found["Type"], ttl=int(found.get("TTL", 60)), data=values)


def _unescaped(name: str) -> str:
    """A name as Route 53 gives it, which writes a wildcard's asterisk in octal."""
    return name.replace("\\052", "*").lower().rstrip(".")


def _reply(query: DNSRecord, zones: Zones, address: str) -> DNSRecord:
    """The reply to a query; SERVFAIL where Route 53 does not answer or holds what is no record.

    Raises: DNSError for what is no query.
    """
    if not query.questions or query.header.qr:
        raise DNSError("a packet without a question")
    try:
        reply = answer(query, zones, address)
    except (BotoCoreError, ClientError, DNSError, ValueError):
        reply = query.reply(ra=0)
        reply.header.rcode = RCODE.SERVFAIL
    if _edns_size(query):
        reply.add_ar(EDNS0(udp_len=_MOST_UDP))
    return reply


def _edns_size(query: DNSRecord) -> int:
    """The size of a UDP reply that the client takes (RFC 6891 6.2.3); 0 without EDNS."""
    return next((int(each.rclass) for each in query.ar if each.rtype == QTYPE.OPT), 0)


class _Tcp(socketserver.ThreadingTCPServer):
    """Each connection in a thread of its own: CAs open several for every name, at once."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024
    zones: Zones
    address: str


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 4096
    zones: Zones
    address: str


class _TcpHandler(socketserver.StreamRequestHandler):
    """Questions with a length before each (RFC 7766), until the client leaves or is silent."""

    server: _Tcp
    timeout = _IDLE_SECONDS

    def handle(self) -> None:
        try:
            while packet := self._packet():
                reply = _reply(DNSRecord.parse(packet), self.server.zones, self.server.address).pack()
                self.wfile.write(struct.pack("!H", len(reply)) + reply)
        except (DNSError, OSError):
            return  # no DNS, silent, or gone: nobody to tell

    def _packet(self) -> bytes:
        size = self.rfile.read(2)
        return self.rfile.read(struct.unpack("!H", size)[0]) if len(size) == 2 else b""


class _UdpHandler(socketserver.BaseRequestHandler):
    """One question in a packet, and its reply in another, or a truncated one (RFC 1035 4.2.1)."""

    server: _Udp

    def handle(self) -> None:
        packet, connection = self.request
        try:
            query = DNSRecord.parse(packet)
            reply = _reply(query, self.server.zones, self.server.address)
        except DNSError:
            return  # no DNS
        most = min(max(_edns_size(query), _PLAIN_UDP), _MOST_UDP)
        packed = reply.pack()
        connection.sendto(packed if len(packed) <= most else reply.truncate().pack(), self.client_address)


def _bound(port: int, zones: Zones, address: str) -> tuple[_Tcp, _Udp]:
    """Both servers on one port of loopback."""
    for left in reversed(range(_TRIES)):
        tcp = _Tcp(("127.0.0.1", port), _TcpHandler)
        try:
            udp = _Udp(("127.0.0.1", tcp.server_address[1]), _UdpHandler)
        except OSError:
            tcp.server_close()
            if port or not left:
                raise
            continue
        for server in (tcp, udp):
            server.zones, server.address = zones, address
        return tcp, udp
    raise AssertionError("unreachable: the last try returns or raises")
