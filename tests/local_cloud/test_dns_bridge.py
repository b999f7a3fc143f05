"""DNS for the local cloud: what is answered over UDP and TCP, from records in memory and from Route 53's zones."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from dnslib import EDNS0, QTYPE, RCODE, DNSRecord

from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, Cloud
from local_cloud.dns_answers import Records, data
from local_cloud.dns_bridge import Route53Zones, dns_bridge, serve

SOA = "ns.example.com. hostmaster.example.com. 7 7200 900 1209600 60"


def ask(port: int, name: str, kind: str = "TXT", *, tcp: bool = True, edns: bool = False) -> DNSRecord:
    """The reply to one question, as a resolver sees it."""
    question = DNSRecord.question(name, kind)
    if edns:
        question.add_ar(EDNS0(udp_len=4096))
    return DNSRecord.parse(question.send("127.0.0.1", port, tcp=tcp, timeout=5))


def code(reply: DNSRecord) -> str:
    return str(RCODE[reply.header.rcode])


def found(reply: DNSRecord, kind: str = "TXT") -> list[str]:
    """The values of a type in the answer; the strings of a TXT record are joined."""
    records = [each for each in reply.rr if QTYPE[each.rtype] == kind]
    if kind == "TXT":
        return sorted(b"".join(each.rdata.data).decode() for each in records)
    return sorted(str(each.rdata) for each in records)


@pytest.fixture(scope="module")
def records() -> Records:
    """A zone with a delegated one beside it, a zone inside it, a wildcard, a long text and every type."""
    made = Records("example.com", "inner.example.com", "elsewhere.example")
    made.add("example.com", "SOA", SOA)
    made.add("example.com", "NS", "ns.example.com.")
    made.add("example.com", "CAA", '0 issue "ca.example; validationmethods=dns-01"')
    made.add("www.example.com", "A", "192.0.2.1")
    made.add("www.example.com", "AAAA", "2001:db8::1")
    made.add("_acme-challenge.example.com", "TXT", "one")
    made.add("_acme-challenge.example.com", "TXT", "two")
    made.add("_acme-challenge.www.example.com", "CNAME", "www.elsewhere.example.")
    made.add("www.elsewhere.example", "TXT", "delegated")
    made.add("*.wild.example.com", "TXT", "any")
    made.add("own.wild.example.com", "TXT", "own")
    made.add("long.example.com", "TXT", "x" * 600)
    for number in range(20):
        made.add("many.example.com", "TXT", f"{number:02}" * 20)
    made.add("deep.inner.example.com", "TXT", "of the inner zone")
    made.add("a.loop.example.com", "CNAME", "b.loop.example.com.")
    made.add("b.loop.example.com", "CNAME", "a.loop.example.com.")
    made.add("out.example.com", "CNAME", "www.example.net.")
    return made


@pytest.fixture(scope="module")
def port(records: Records) -> Iterator[int]:
    """A server of these records in which hosts have no default address."""
    with serve(records, default_address="") as served:
        yield served


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "udp"])
@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("_acme-challenge.example.com", "TXT", ["one", "two"]),
        ("_ACME-Challenge.Example.COM.", "TXT", ["one", "two"]),
        ("www.example.com", "A", ["192.0.2.1"]),
        ("www.example.com", "AAAA", ["2001:db8::1"]),
        ("example.com", "NS", ["ns.example.com."]),
        ("example.com", "CAA", ['0 issue "ca.example; validationmethods=dns-01"']),
        ("_acme-challenge.www.example.com", "TXT", ["delegated"]),
        ("_acme-challenge.www.example.com", "CNAME", ["www.elsewhere.example."]),
        ("some.wild.example.com", "TXT", ["any"]),
        ("far.below.wild.example.com", "TXT", ["any"]),
        ("own.wild.example.com", "TXT", ["own"]),
        ("deep.inner.example.com", "TXT", ["of the inner zone"]),
    ],
)
def test_records_are_answered(port: int, name: str, kind: str, values: list[str], tcp: bool) -> None:
    """Values at a name, through an alias into another zone, and from a wildcard, whatever the letters' case."""
    reply = ask(port, name, kind, tcp=tcp)
    assert (code(reply), found(reply, kind)) == ("NOERROR", values)
    assert reply.header.aa


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("missing.example.com", "TXT", "NXDOMAIN"),
        ("www.example.com", "TXT", "NOERROR"),
        ("wild.example.com", "TXT", "NOERROR"),
        ("below.own.wild.example.com", "TXT", "NXDOMAIN"),
        ("some.wild.example.com", "A", "NOERROR"),
    ],
)
def test_denials_have_the_soa(port: int, name: str, kind: str, answer: str) -> None:
    """NXDOMAIN for what is not there and no data for another type, each with the zone's SOA (RFC 2308); a name that
    exists hides the wildcard from what is below it (RFC 4592)."""
    reply = ask(port, name, kind)
    assert (code(reply), reply.rr) == (answer, [])
    assert [str(each.rdata) for each in reply.auth] == [SOA]


def test_other_zones_are_refused(port: int) -> None:
    """A name outside of the zones is REFUSED, and a name that only ends like a zone is outside."""
    assert [code(ask(port, name)) for name in ("example.net", "notexample.com", "com")] == ["REFUSED"] * 3


def test_alias_out_of_the_zones_is_left_to_the_resolver(port: int) -> None:
    """An alias to a name of other zones is answered alone."""
    reply = ask(port, "out.example.com")
    assert (code(reply), found(reply, "CNAME"), len(reply.rr)) == ("NOERROR", ["www.example.net."], 1)


def test_aliases_in_a_circle_end(port: int) -> None:
    """Aliases that point at each other are a failure, not an endless search."""
    assert code(ask(port, "a.loop.example.com")) == "SERVFAIL"


def test_long_text_comes_in_strings_of_255_bytes(port: int) -> None:
    """A text of 600 bytes is one record of three strings."""
    reply = ask(port, "long.example.com")
    assert [[len(part) for part in each.rdata.data] for each in reply.rr] == [[255, 255, 90]]


def test_large_replies_go_over_tcp(port: int) -> None:
    """What is larger than a UDP reply is truncated there, and complete over TCP; EDNS raises the limit."""
    short = ask(port, "many.example.com", tcp=False)
    assert (short.header.tc, short.rr) == (1, [])
    assert len(ask(port, "many.example.com").rr) == 20
    assert len(ask(port, "long.example.com", tcp=False, edns=True).rr) == 1
    assert ask(port, "long.example.com", tcp=False).header.tc == 1


@pytest.mark.parametrize(
    ("name", "kind", "answer", "values"),
    [
        ("host.example.com", "A", "NOERROR", ["127.0.0.9"]),
        ("www.example.com", "A", "NOERROR", ["192.0.2.1"]),
        ("host.example.com", "AAAA", "NOERROR", []),
        ("_acme-challenge.host.example.com", "A", "NXDOMAIN", []),
        ("example.net", "A", "REFUSED", []),
    ],
)
def test_default_address(records: Records, name: str, kind: str, answer: str, values: list[str]) -> None:
    """A host without A record has the default address, and so exists; names with an underscore are no hosts."""
    with serve(records, default_address="127.0.0.9") as other:
        reply = ask(other, name, kind)
    assert (code(reply), found(reply, kind)) == (answer, values)


def test_changes_are_seen_at_once() -> None:
    """A record is answered from when it is added until it is removed; without zones, every name is served."""
    records = Records()
    with serve(records) as served:
        records.add("_acme-challenge.any.example", "TXT", "value")
        records.add("_acme-challenge.any.example", "TXT", "value")
        assert found(ask(served, "_acme-challenge.any.example")) == ["value"]
        assert records.values("_ACME-challenge.any.example.", "TXT") == ("value",)
        records.remove("_acme-challenge.any.example", "TXT", "value")
        records.remove("_acme-challenge.any.example", "TXT", "value")
        assert code(ask(served, "_acme-challenge.any.example")) == "NXDOMAIN"
        records.add("_b.example", "TXT", "value")
        records.clear()
        assert code(ask(served, "_b.example")) == "NXDOMAIN"


def test_several_questions_on_one_connection(port: int) -> None:
    """A client may ask again on its TCP connection (RFC 7766)."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, connection.makefile("rb") as replies:
        for name in ("www.example.com", "example.com"):
            packet = DNSRecord.question(name, "NS").pack()
            connection.sendall(struct.pack("!H", len(packet)) + packet)
            reply = DNSRecord.parse(replies.read(struct.unpack("!H", replies.read(2))[0]))
            assert str(reply.q.qname) == f"{name}."


def test_garbage_is_dropped(port: int) -> None:
    """A packet that is no question gets no reply, and the server goes on."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(struct.pack("!H", 5) + b"hello")
        assert connection.recv(1) == b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.sendto(b"hello", ("127.0.0.1", port))
    assert found(ask(port, "www.example.com", "A", tcp=False), "A") == ["192.0.2.1"]


def test_many_connections_at_once(port: int) -> None:
    """As many connections as 32 orders of 10 names make are all answered."""
    with ThreadPoolExecutor(64) as pool:
        replies = list(pool.map(lambda _: found(ask(port, "_acme-challenge.example.com")), range(960)))
    assert replies == [["one", "two"]] * 960


def test_port_is_free_afterwards(records: Records) -> None:
    """The server ends with its block: the same port can be served again, over UDP and TCP."""
    with serve(records) as first:
        pass
    with serve(records, port=first) as second:
        assert second == first
        assert [code(ask(second, "www.example.com", "A", tcp=tcp)) for tcp in (True, False)] == ["NOERROR"] * 2


def test_taken_port_is_an_error(records: Records, port: int) -> None:
    """A port that is asked for and taken is an error, not another port."""
    with pytest.raises(OSError, match="in use"), serve(records, port=port):
        pass


@pytest.mark.parametrize(
    ("value", "strings"),
    [
        ('"plain"', [b"plain"]),
        ('"one" "two"', [b"one", b"two"]),
        (r'"say \"hi\" \\ there"', [rb'say "hi" \ there']),
        (r'"caf\303\251"', ["café".encode()]),
        ('""', [b""]),
        ('"' + "x" * 256 + '"', [b"x" * 255, b"x"]),
    ],
)
def test_text_as_route53_writes_it(value: str, strings: list[bytes]) -> None:
    """Quoted strings, with quotes and backslashes escaped and other bytes in octal, as Route 53 documents them."""
    assert data("TXT", value).data == strings


def change(client: Any, zone: str, name: str, kind: str, *values: str, action: str = "UPSERT") -> None:
    """Change one record set of a hosted zone."""
    records = [{"Value": each} for each in values]
    record_set = {"Name": name, "Type": kind, "TTL": 30, "ResourceRecords": records}
    changes = [{"Action": action, "ResourceRecordSet": record_set}]
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def hosted_zone(cloud: Cloud, name: str, account: str) -> tuple[Any, str]:
    """A new hosted zone of an account."""
    client = cloud.client("route53", account=account)
    return client, client.create_hosted_zone(Name=name, CallerReference=f"{account}{name}")["HostedZone"]["Id"]


@pytest.mark.local_cloud
def test_zones_of_all_accounts_are_served(cloud: Cloud) -> None:
    """The bridge answers from both accounts' zones, the closest one first, and follows an alias between them."""
    hub, outer = hosted_zone(cloud, "bridge.example", HUB_ACCOUNT)
    member, inner = hosted_zone(cloud, "team.bridge.example", MEMBER_ACCOUNT)
    change(hub, outer, "_acme-challenge.bridge.example", "TXT", '"first"', '"second"')
    change(hub, outer, "_acme-challenge.alias.bridge.example", "CNAME", "validated.team.bridge.example")
    change(hub, outer, "*.bridge.example", "TXT", '"wild"')
    change(member, inner, "validated.team.bridge.example", "TXT", '"of the member"')
    change(member, inner, "long.team.bridge.example", "TXT", '"' + '" "'.join(["y" * 250] * 3) + '"')
    with dns_bridge(cloud) as served:
        assert found(ask(served, "_Acme-Challenge.bridge.example")) == ["first", "second"]
        assert found(ask(served, "_acme-challenge.alias.bridge.example")) == ["of the member"]
        assert found(ask(served, "any.bridge.example", tcp=False)) == ["wild"]
        assert found(ask(served, "long.team.bridge.example")) == ["y" * 750]
        assert found(ask(served, "web.team.bridge.example", "A"), "A") == ["127.0.0.1"]
        assert code(ask(served, "_missing.team.bridge.example")) == "NXDOMAIN"
        assert code(ask(served, "bridge.example", "CAA")) == "NOERROR"
        assert ask(served, "bridge.example", "SOA").rr[0].rdata == ask(served, "bridge.example", "CAA").auth[0].rdata
        assert code(ask(served, "other.example")) == "REFUSED"
        change(hub, outer, "_acme-challenge.bridge.example", "TXT", '"third"')
        assert found(ask(served, "_acme-challenge.bridge.example")) == ["third"]
        change(hub, outer, "_acme-challenge.bridge.example", "TXT", '"third"', action="DELETE")
        assert found(ask(served, "_acme-challenge.bridge.example")) == ["wild"]
    with dns_bridge(cloud, accounts=(HUB_ACCOUNT,)) as served:
        assert found(ask(served, "validated.team.bridge.example")) == ["wild"]


@pytest.mark.local_cloud
def test_private_zones_are_not_served(cloud: Cloud) -> None:
    """A zone that only a VPC sees is unknown to the bridge, as it is to a public CA."""
    client = cloud.client("route53", account=HUB_ACCOUNT)
    vpc = {"VPCRegion": "eu-west-1", "VPCId": "vpc-1"}
    client.create_hosted_zone(
        Name="private.example", CallerReference="p", VPC=vpc, HostedZoneConfig={"PrivateZone": True}
    )
    with dns_bridge(cloud) as served:
        assert code(ask(served, "host.private.example", "A")) == "REFUSED"


def test_a_cloud_that_is_gone_is_a_server_failure() -> None:
    """When Route 53 does not answer, neither does the bridge: SERVFAIL, which a CA tries again, never NXDOMAIN."""
    quick = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    client = boto3.client("route53", endpoint_url=url, region_name="us-east-1", config=quick, **keys)
    with serve(Route53Zones((client,))) as served:
        assert code(ask(served, "www.example.com", "A")) == "SERVFAIL"
