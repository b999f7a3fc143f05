"""The Route 53 solver against an emulator that was not written with it: what it sends is what the API takes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, Cloud
from perennial.solvers.interface import Challenge, Shown
from perennial.solvers.route53 import Route53

pytestmark = pytest.mark.local_cloud


@pytest.fixture
def names(cloud: Cloud) -> Iterator[tuple[str, str]]:
    """Two zones: one of the hub's, one of the member's; each is deleted when empty of what a test wrote."""
    unique = uuid.uuid4().hex[:8]
    names = (f"{unique}.example.com", f"{unique}.example.net")
    zones = [
        (client, client.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"])
        for name, client in zip(names, (cloud.client("route53"), _member(cloud)), strict=True)
    ]
    yield names
    for client, zone in zones:
        if not _texts(client, zone):
            client.delete_hosted_zone(Id=zone)


def _member(cloud: Cloud) -> Any:
    return cloud.client("route53", account=MEMBER_ACCOUNT)


def _zone(client: Any, name: str) -> str:
    found = client.list_hosted_zones_by_name(DNSName=name, MaxItems="1")["HostedZones"]
    return str(found[0]["Id"])


def _texts(client: Any, zone: str) -> dict[str, list[str]]:
    """The records of a zone that are not its own, by name without dot and type."""
    pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
    records = [each for page in pages for each in page["ResourceRecordSets"] if each["Type"] in ("TXT", "CNAME")]
    return {each["Name"].removesuffix("."): [value["Value"] for value in each["ResourceRecords"]] for each in records}


def _put(client: Any, zone: str, action: str, name: str, kind: str, *values: str) -> None:
    records = [{"Value": each} for each in values]
    change = {
        "Action": action,
        "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": 300, "ResourceRecords": records},
    }
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})


def test_an_order_of_three_names(cloud: Cloud, names: tuple[str, str]) -> None:
    """A name with another's value, one that is a CNAME into a zone of another account, and a new one: all are shown,
    are ready after a while, and are removed, and what others wrote stays."""
    hub, member = cloud.client("route53"), _member(cloud)
    zones = (_zone(hub, names[0]), _zone(member, names[1]))
    where = [f"_acme-challenge.{name}" for name in (names[0], f"a.{names[0]}", f"b.{names[0]}")]
    _put(hub, zones[0], "CREATE", where[0], "TXT", '"theirs"')
    _put(hub, zones[0], "CREATE", where[1], "CNAME", f"a.{names[1]}.")
    clients = {
        HUB_ACCOUNT: partial(cloud.client, "route53"),
        MEMBER_ACCOUNT: partial(cloud.client, "route53", MEMBER_ACCOUNT),
    }
    solver = Route53(clients)
    values = [Challenge(shown=Shown.TXT, where=name, value=f'say "{name}"', name=name) for name in where]
    mine = [f'"say \\042{name}\\042"' for name in where]

    tokens = solver.present(values)
    assert {token.partition("/")[0] for token in tokens} == {HUB_ACCOUNT, MEMBER_ACCOUNT}
    assert _texts(hub, zones[0]) == {
        where[0]: ['"theirs"', mine[0]],
        where[1]: [f"a.{names[1]}."],
        where[2]: [mine[2]],
    }
    assert _texts(member, zones[1]) == {f"a.{names[1]}": [mine[1]]}
    assert [solver.ready(tokens) for _ in range(3)] == [False, False, True]

    solver.clean(values)
    solver.clean(values)
    assert _texts(hub, zones[0]) == {where[0]: ['"theirs"'], where[1]: [f"a.{names[1]}."]}
    assert _texts(member, zones[1]) == {}
    for name, kind, value in ((where[0], "TXT", '"theirs"'), (where[1], "CNAME", f"a.{names[1]}.")):
        _put(hub, zones[0], "DELETE", name, kind, value)
