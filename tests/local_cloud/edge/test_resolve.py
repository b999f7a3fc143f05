"""Where host names lead: by themselves, through Route 53, and not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edge_account import Account, leaf, shake

from local_cloud.edge.paths import answer

BUILT = leaf("www.example.com")
Servers = list[tuple[str, int]]


class Names:
    """A load balancer, an API domain and a distribution, and a zone of this account's own with records to them."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.zone_name = f"z{account.where[0]}.example.net"
        certificate = account.imported(BUILT)
        owner = account.balancer()
        account.listener(certificate, owner=owner["LoadBalancerArn"])
        self.balancer = str(owner["DNSName"])
        self.classic = account.classic(certificate)
        self.domain = account.domain(f"api.{self.zone_name}", certificate)
        self.distribution = account.distribution(certificate, f"cdn.{self.zone_name}", f"*.wild.{self.zone_name}")
        self.zone = account.zone(self.zone_name)

    def record(self, name: str, kind: str, target: str, *, alias: bool = False) -> str:
        full = f"{name}.{self.zone_name}" if name else self.zone_name
        self.account.record(self.zone, full, kind, target, alias=alias)
        return full

    def leads(self, host: str, port: int = 443) -> Servers | None:
        return self.account.edge.resolve(host, port)


@pytest.fixture
def names(account: Account) -> Names:
    """Places with names."""
    return Names(account)


def test_aws_names_and_own_names_lead_to_their_places(names: Names) -> None:
    """A load balancer's DNS name, both names of an API domain, a distribution's name and its aliases are known."""
    balancer, classic = names.leads(names.balancer), names.leads(names.classic)
    domain, distribution = names.leads(names.domain["domainName"]), names.leads(names.distribution["DomainName"])
    assert [len(found or ()) for found in (balancer, classic, domain, distribution)] == [2, 2, 1, 2]
    assert names.leads(names.domain["regionalDomainName"]) == domain
    assert names.leads(f"cdn.{names.zone_name}") == names.leads(f"any.wild.{names.zone_name}") == distribution
    assert all(
        shake(*server, "x")[0] == BUILT.der for found in (balancer, domain, distribution) for server in found or ()
    )


@pytest.mark.parametrize(
    ("name", "kind", "alias"),
    [
        ("www", "A", True),
        ("www6", "AAAA", True),
        ("named", "CNAME", False),
        ("", "A", True),  # the zone's own name, which can be no CNAME
    ],
)
def test_records_lead_to_a_place(names: Names, name: str, kind: str, alias: bool) -> None:
    """Alias records of both families, CNAMEs, and an alias at the apex lead to the load balancer."""
    host = names.record(name, kind, names.balancer, alias=alias)
    assert names.leads(host) == names.leads(host.upper() + ".") == names.leads(names.balancer)


def test_alias_as_the_console_writes_it(names: Names) -> None:
    """The prefix dualstack. before a load balancer's name changes nothing."""
    host = names.record("www", "A", f"dualstack.{names.balancer}.", alias=True)
    assert names.leads(host) == names.leads(names.balancer)


def test_wildcard_records_lead_where_nothing_else_does(names: Names) -> None:
    """A wildcard is for names that the zone does not have, one that is there wins (RFC 4592)."""
    names.record("*", "A", names.balancer, alias=True)
    names.record("own", "CNAME", names.distribution["DomainName"])
    names.record("text", "TXT", '"is there"')
    assert names.leads(f"any.{names.zone_name}") == names.leads(f"a.b.{names.zone_name}") == names.leads(names.balancer)
    assert names.leads(f"own.{names.zone_name}") == names.leads(names.distribution["DomainName"])
    assert names.leads(f"text.{names.zone_name}") is None


def test_chain_leads_through_zones_and_accounts(names: Names) -> None:
    """A CNAME to an alias in a zone of another account leads to where that does."""
    other = Account()
    end = names.record("end", "A", names.balancer, alias=True)
    zone = other.zone(f"o{other.where[0]}.example.net")
    other.record(zone, f"start.o{other.where[0]}.example.net", "CNAME", end)
    assert names.leads(f"start.o{other.where[0]}.example.net") == names.leads(names.balancer)


def test_route53_decides_before_a_place_does(names: Names) -> None:
    """An API's domain name that Route 53 leads to a load balancer ends there, and one with an address nowhere."""
    api = names.record("api", "CNAME", names.balancer)
    assert names.leads(api) == names.leads(names.balancer)
    cdn = names.record("cdn", "A", "192.0.2.1")
    assert names.leads(cdn) is None


@pytest.mark.parametrize(
    "host",
    [
        "nowhere.example.org",
        "web-123.eu-central-1.elb.amazonaws.com",
        "missing.{zone}",
        "outside.{zone}",
        "round.{zone}",
        "",
        ".",
        "a..b",
        "x" * 64 + ".example.com",
        "bücher.example.com",
    ],
)
def test_unknown_names(names: Names, host: str) -> None:
    """Names of nobody, names that lead out or in circles, and what is no name are unknown."""
    names.record("outside", "CNAME", "elsewhere.example.org")
    names.record("round", "CNAME", f"again.{names.zone_name}")
    names.record("again", "CNAME", f"round.{names.zone_name}")
    assert names.leads(host.format(zone=names.zone_name)) is None


def test_port_without_a_listener_is_closed(names: Names) -> None:
    """A known host on a port without TLS leads to its addresses and a port that refuses, the same each time."""
    found = names.leads(names.balancer, 8080) or []
    assert [address for address, _ in found] == [address for address, _ in names.leads(names.balancer) or ()]
    assert names.leads(names.balancer, 8081) == found
    for server in found:
        with pytest.raises(ConnectionRefusedError):
            shake(*server, "x")


def test_port_zero_asks_for_addresses(names: Names) -> None:
    """Who asks without a port gets the addresses."""
    assert names.leads(names.balancer, 0) == [(address, 0) for address, _ in names.leads(names.balancer) or ()]


# --- the paths ---


def get(account: Account, path: str, **query: str) -> tuple[int, Any]:
    status, _, body = answer(account.edge, "GET", path, {name: [value] for name, value in query.items()}, b"")
    return status, json.loads(body)


def post(account: Account, order: Any) -> tuple[int, Any]:
    path, body = "/_local_cloud/edge/behaviour", json.dumps(order).encode()
    status, _, content = answer(account.edge, "POST", path, {}, body)
    return status, json.loads(content)


def test_paths_answer(names: Names) -> None:
    """The paths list, resolve and order as the methods do, and refuse in words."""
    account = names.account
    status, rows = get(account, "/_local_cloud/edge")
    own = [row for row in rows if row["account"] == account.where[0]]
    assert (status, len(own)) == (200, 7)
    assert {row["kind"] for row in own} == {"elbv2", "elb", "apigateway", "cloudfront"}
    assert {row["certificate"]["fingerprint"] for row in own} == {BUILT.fingerprint}
    found = names.leads(names.balancer) or []
    resolve = "/_local_cloud/edge/resolve"
    assert get(account, resolve, host=names.balancer, port="443") == (200, [list(server) for server in found])
    assert get(account, resolve, host="nowhere.example.org")[0] == 404
    assert get(account, resolve)[0] == get(account, resolve, host="x", port="https")[0] == 400
    status, behaving = post(account, {"host": names.balancer, "behaviour": "hang", "seconds": 5})
    assert (status, [row["behaviour"] for row in behaving]) == (200, ["hang", "hang"])
    assert post(account, {"host": names.balancer, "behaviour": "odd"})[0] == 400
    assert post(account, [])[0] == 400
    assert get(account, "/_local_cloud/edge/nothing")[0] == get(account, "/_local_cloud/edge/behaviour")[0] == 404


def test_edge_and_regional_certificate_of_one_domain(account: Account) -> None:
    """A domain that migrates shows each certificate under its own AWS name, and by itself the regional one."""
    edge, regional = leaf("old.example.com"), leaf("new.example.com")
    certificates = {"certificateArn": account.imported(edge), "regionalCertificateArn": account.imported(regional)}
    types = {"endpointConfiguration": {"types": ["REGIONAL", "EDGE"]}}
    name = f"m{account.where[0]}.example.com"
    made = account.ask("apigateway", "CreateDomainName", domainName=name, **certificates, **types)
    assert account.shown(made["distributionDomainName"]) == edge.der
    assert account.shown(made["regionalDomainName"]) == account.shown(made["domainName"]) == regional.der


def test_private_domain_is_not_at_the_edge(account: Account) -> None:
    """A domain that is reached from inside a VPC only is no place of the edge."""
    request = {"certificateArn": account.imported(BUILT), "endpointConfiguration": {"types": ["PRIVATE"]}}
    account.ask("apigateway", "CreateDomainName", domainName=f"p{account.where[0]}.example.com", **request)
    assert account.rows() == []
