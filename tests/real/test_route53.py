"""dns-01 from end to end: the solver writes to the local cloud's Route 53, the bridge answers from it, Pebble looks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from acme_servers.pebble import pebble
from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, Cloud
from local_cloud.dns_answers import Records
from local_cloud.dns_bridge import dns_bridge
from perennial.errors import ValidationFailed
from perennial.profiles import AcmeIssuer
from perennial.solvers.route53 import Route53
from real_acme import Client, need_pebble

pytestmark = pytest.mark.local_cloud


@pytest.fixture(scope="module")
def zones(cloud: Cloud) -> dict[str, str]:
    """A zone of the hub, and one of the member that a challenge of the hub's is delegated to: name -> id."""
    made = {}
    for name, account in (("shop.example", HUB_ACCOUNT), ("validation.example", MEMBER_ACCOUNT)):
        client = cloud.client("route53", account=account)
        made[name] = client.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    delegation = {"Value": "api.validation.example"}
    record_set = {"Name": "_acme-challenge.api.shop.example", "Type": "CNAME", "TTL": 60}
    change = {"Action": "CREATE", "ResourceRecordSet": {**record_set, "ResourceRecords": [delegation]}}
    hub = cloud.client("route53", account=HUB_ACCOUNT)
    hub.change_resource_record_sets(HostedZoneId=made["shop.example"], ChangeBatch={"Changes": [change]})
    return made


@pytest.fixture
def client(cloud: Cloud, zones: dict[str, str], tmp_path: Path) -> Iterator[Client]:
    """A client whose challenges are shown in Route 53, and whose account is in the cloud's Secrets Manager."""
    need_pebble()
    accounts = {each: lambda each=each: cloud.client("route53", account=each) for each in (HUB_ACCOUNT, MEMBER_ACCOUNT)}
    with dns_bridge(cloud) as port, pebble(tmp_path, dns=f"127.0.0.1:{port}") as server:
        settings = AcmeIssuer(
            name=f"pebble-{server.process.pid}", directory=server.directory, directory_roots=server.directory_roots
        )
        yield Client(
            settings=settings,
            secrets=cloud.client("secretsmanager", account=HUB_ACCOUNT),
            records=Records(),
            solver=Route53(accounts),
            settled=lambda: not server.busy(),  # Pebble may lock itself up where orders are looked at as they change
        )


def texts(cloud: Cloud, zones: dict[str, str]) -> list[str]:
    """The names of all TXT records in both zones."""
    found: list[Any] = []
    for (_, zone), account in zip(zones.items(), (HUB_ACCOUNT, MEMBER_ACCOUNT), strict=True):
        pages = cloud.client("route53", account=account).get_paginator("list_resource_record_sets")
        found += [each for page in pages.paginate(HostedZoneId=zone) for each in page["ResourceRecordSets"]]
    return [each["Name"] for each in found if each["Type"] == "TXT"]


def test_names_of_both_accounts(client: Client, cloud: Cloud, zones: dict[str, str]) -> None:
    """One order proves a name, a wildcard beside its base, and a name whose challenge is delegated to the member's
    zone, and no challenge record is left."""
    names = ("shop.example", "*.shop.example", "www.shop.example", "api.shop.example")
    assert client.issue(*names).names == set(names)
    assert texts(cloud, zones) == []


def test_orders_at_once(client: Client, cloud: Cloud, zones: dict[str, str]) -> None:
    """Eight orders at once, for names of their own and all for one name too, share its record and leave none."""
    client.issue("warm.shop.example")
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda each: client.issue("shop.example", f"n{each}.shop.example"), range(8)))
    assert [run.names for run in runs] == [{"shop.example", f"n{each}.shop.example"} for each in range(8)]
    assert texts(cloud, zones) == []


def test_nothing_is_left_of_a_failure(client: Client, cloud: Cloud, zones: dict[str, str]) -> None:
    """When the records are gone before the CA looks, the order fails with the name, and cleaning up changes nothing."""
    assert client.solver is not None
    hidden = replace(client, solver=_Unseen(client.solver))
    with pytest.raises(ValidationFailed, match=r"www\.shop\.example"):
        hidden.issue("www.shop.example")
    assert texts(cloud, zones) == []


class _Unseen:
    """A solver whose records someone removes before the CA looks."""

    def __init__(self, solver: Any) -> None:
        self._solver = solver

    def present(self, challenges: Any) -> Any:
        shown = self._solver.present(challenges)
        self._solver.clean(challenges)
        return shown

    def ready(self, tokens: Any) -> Any:
        return self._solver.ready(tokens)

    def clean(self, challenges: Any) -> None:
        self._solver.clean(challenges)
