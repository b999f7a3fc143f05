"""What the edge shows, and that it follows every change at once."""

from __future__ import annotations

import concurrent.futures
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest
from edge_account import Account, Visitor, client, leaf, root, shake

from certificates import Built
from local_cloud.edge.server import address_of

VISITS = 50

Place = Callable[[Account, str], tuple[str, int]]
Move = Callable[[Account, str], Any]


def of_listener(account: Account, certificate: str, **changes: Any) -> tuple[str, int]:
    owner = account.balancer(kind="network" if changes.get("Protocol") == "TLS" else "application")
    account.listener(certificate, owner=owner["LoadBalancerArn"], **changes)
    return owner["DNSName"], changes.get("Port", 443)


def of_network_listener(account: Account, certificate: str) -> tuple[str, int]:
    return of_listener(account, certificate, Protocol="TLS", Port=8883)


def of_classic(account: Account, certificate: str) -> tuple[str, int]:
    return account.classic(certificate, port=8443), 8443


def of_domain(account: Account, certificate: str) -> tuple[str, int]:
    account.domain(f"api{account.where[0]}.example.com", certificate)
    return f"api{account.where[0]}.example.com", 443


def of_distribution(account: Account, certificate: str) -> tuple[str, int]:
    account.distribution(certificate, f"cdn{account.where[0]}.example.com")
    return f"cdn{account.where[0]}.example.com", 443


KINDS: tuple[Place, ...] = (of_listener, of_network_listener, of_classic, of_domain, of_distribution)


def move_listener(account: Account, certificate: str) -> None:
    arn = next(row["place"] for row in account.rows())
    account.ask("elbv2", "ModifyListener", ListenerArn=arn, Certificates=[{"CertificateArn": certificate}])


def move_classic(account: Account, certificate: str) -> None:
    request = {"LoadBalancerName": "old", "LoadBalancerPort": 8443, "SSLCertificateId": certificate}
    account.ask("elb", "SetLoadBalancerListenerSSLCertificate", **request)


def move_domain(account: Account, certificate: str) -> None:
    account.move_domain(account.rows()[0]["name"], certificate)


def move_distribution(account: Account, certificate: str) -> None:
    shown = {"ACMCertificateArn": certificate, "SSLSupportMethod": "sni-only", "MinimumProtocolVersion": "TLSv1.2_2021"}
    account.move_distribution(account.rows()[0]["name"], ViewerCertificate=shown)


MOVES: tuple[Move, ...] = (move_listener, move_listener, move_classic, move_domain, move_distribution)


@pytest.mark.parametrize("kind", KINDS)
def test_place_shows_what_acm_holds(account: Account, kind: Place) -> None:
    """Every address of every kind of place shows the certificate and the chain that ACM holds."""
    built = leaf("shown.example.com")
    host, port = kind(account, account.imported(built))
    for server in account.servers(host, port):
        assert shake(*server, host) == (built.der, root().der)


@pytest.mark.parametrize("kind", KINDS)
def test_reimport_is_followed_without_a_failed_handshake(account: Account, kind: Place) -> None:
    """Who connects all the time sees the old certificate, then the new one, and no handshake fails in between."""
    old, new = leaf("www.example.com", 30), leaf("www.example.com", 60)
    arn = account.imported(old)
    host, port = kind(account, arn)
    server = account.servers(host, port)[0]
    check(Visitor(lambda: shake(*server, host)[0]), lambda: account.imported(new, arn=arn), old, new)


@pytest.mark.parametrize(("kind", "move"), list(zip(KINDS, MOVES, strict=True)))
def test_other_certificate_is_followed_without_a_failed_handshake(account: Account, kind: Place, move: Move) -> None:
    """The same where the place is given another certificate."""
    old, new = leaf("www.example.com", 30), leaf("www.example.com", 60, key="RSA-2048")
    host, port = kind(account, account.imported(old))
    server, other = account.servers(host, port)[0], account.imported(new)
    check(Visitor(lambda: shake(*server, host)[0]), lambda: move(account, other), old, new)


def check(visitor: Visitor, change: Callable[[], Any], old: Built, new: Built) -> None:
    with visitor:
        visitor.wait_for(VISITS)
        change()
        begun = len(visitor.shown) + 1  # one handshake may have been under way
        visitor.wait_for(VISITS)
    assert visitor.failed == []
    assert set(visitor.shown[:VISITS]) == {old.der}
    assert set(visitor.shown[begun:]) == {new.der}


def test_listener_shows_a_certificate_of_iam(account: Account) -> None:
    """A server certificate of IAM is shown with its chain, also after it was renamed."""
    built = leaf("www.example.com")
    host, _ = of_listener(account, account.uploaded(built, "www"))
    assert shake(*account.servers(host)[0], host) == (built.der, root().der)


def test_distribution_shows_a_certificate_of_iam_by_its_id(account: Account) -> None:
    """A distribution may name a server certificate of IAM by its id."""
    built = leaf("www.example.com")
    account.uploaded(built, "cdn")
    told = account.ask("iam", "GetServerCertificate", ServerCertificateName="cdn")["ServerCertificate"]
    made = account.distribution(told["ServerCertificateMetadata"]["ServerCertificateId"])
    assert account.shown(made["DomainName"]) == built.der


def test_certificate_without_a_chain_is_shown_alone(account: Account) -> None:
    """Where ACM holds no chain, none is sent."""
    built = leaf("www.example.com")
    host, _ = of_listener(account, account.imported(built, chain=""))
    assert shake(*account.servers(host)[0], host) == (built.der,)


@pytest.mark.parametrize("key", ["RSA-1024", "RSA-3072", "EC-384"])
def test_every_key_that_acm_takes_is_shown(account: Account, key: str) -> None:
    """Also small RSA keys and other curves are shown."""
    built = leaf("keys.example.com", key=key)
    host, _ = of_listener(account, account.imported(built))
    assert account.shown(host) == built.der


def test_reimport_of_the_chain_alone_is_followed(account: Account) -> None:
    """The same certificate with another chain is sent with that one."""
    built = leaf("www.example.com")
    arn = account.imported(built, chain="")
    host, _ = of_listener(account, arn)
    assert len(shake(*account.servers(host)[0], host)) == 1
    account.imported(built, arn=arn)
    assert len(shake(*account.servers(host)[0], host)) == 2


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", {"TLSv1.3"}),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", {"TLSv1.2", "TLSv1.3"}),
        ("ELBSecurityPolicy-TLS-1-2-2017-01", {"TLSv1.2"}),
        ("ELBSecurityPolicy-2016-08", {"TLSv1", "TLSv1.1", "TLSv1.2"}),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_security_policy_sets_the_protocols(account: Account, policy: str, versions: set[str]) -> None:
    """A listener speaks the versions of its security policy and no others."""
    host, _ = of_listener(account, account.imported(leaf("www.example.com")), SslPolicy=policy)
    server = account.servers(host)[0]
    assert {each for each in ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3") if speaks(server, each)} == versions


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_policies_of_other_places_set_the_protocols(account: Account) -> None:
    """So do the policies of a Classic Load Balancer, an API domain and a distribution."""
    certificate = account.imported(leaf("www.example.com"))
    for kind, oldest, newest in (
        (of_classic, "TLSv1", "TLSv1.2"),
        (of_domain, "TLSv1.2", "TLSv1.3"),
        (of_distribution, "TLSv1.2", "TLSv1.3"),
    ):
        server = account.servers(*kind(account, certificate))[0]
        spoken = [each for each in ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3") if speaks(server, each)]
        assert (spoken[0], spoken[-1]) == (oldest, newest)


def speaks(server: tuple[str, int], version: str) -> bool:
    number = getattr(ssl.TLSVersion, version.replace(".", "_"))
    try:
        return bool(shake(*server, "x.example.com", client(maximum_version=number, minimum_version=number)))
    except ssl.SSLError:
        return False


def test_deleted_listener_stops_answering(account: Account) -> None:
    """No handshake after the deletion, and then no connection."""
    arn = account.listener(account.imported(leaf("www.example.com")))
    server = account.servers(account.rows()[0]["hosts"][0])[0]
    shake(*server, "www.example.com")
    account.ask("elbv2", "DeleteListener", ListenerArn=arn)
    with pytest.raises(OSError, match=r"reset|EOF"):
        shake(*server, "www.example.com")
    with pytest.raises(ConnectionRefusedError):
        shake(*server, "www.example.com")
    assert account.rows() == []


def test_listing_closes_what_is_gone(account: Account) -> None:
    """A distribution that was disabled, and a domain that was deleted, are neither listed nor served any more."""
    certificate = account.imported(leaf("www.example.com"))
    servers = [account.servers(*kind(account, certificate))[0] for kind in (of_domain, of_distribution)]
    names = {row["kind"]: row["name"] for row in account.rows()}
    account.ask("apigateway", "DeleteDomainName", domainName=names["apigateway"])
    account.move_distribution(names["cloudfront"], Enabled=False)
    assert account.rows() == []
    for server in servers:
        with pytest.raises(ConnectionRefusedError):
            shake(*server, "www.example.com")


def test_listener_that_moves_to_another_port_is_found_there_only(account: Account) -> None:
    """After a change of its port, the listener answers on the new one, and on the old one nobody does."""
    built = leaf("www.example.com")
    owner = account.balancer()
    arn = account.listener(account.imported(built), owner=owner["LoadBalancerArn"])
    old = account.servers(owner["DNSName"], 443)[0]
    account.ask("elbv2", "ModifyListener", ListenerArn=arn, Port=9443)
    assert account.shown(owner["DNSName"], 9443) == built.der
    for server in (old, account.servers(owner["DNSName"], 443)[0]):
        with pytest.raises(ConnectionRefusedError):
            shake(*server, "www.example.com")


def test_addresses_and_ports_are_told_apart(account: Account) -> None:
    """A load balancer has two addresses of its own, always the same, on the listener's port where it may be used."""
    owner = account.balancer()
    account.listener(account.imported(leaf("www.example.com")), owner=owner["LoadBalancerArn"], Port=8443)
    host = owner["DNSName"].lower()
    expected = [(address_of(host, 0), 8443), (address_of(host, 1), 8443)]
    assert account.servers(host, 8443) == account.servers(host.upper() + ".", 8443) == expected
    assert all(address.startswith("127.") and not address.startswith("127.0.") for address, _ in expected)


def test_port_that_is_taken_is_replaced_by_a_free_one(account: Account) -> None:
    """Where someone else listens on the listener's port, the edge listens on another."""
    owner = account.balancer()
    built = leaf("www.example.com")
    account.listener(account.imported(built), owner=owner["LoadBalancerArn"], Port=8443)
    with socket.create_server((address_of(owner["DNSName"].lower(), 0), 8443)):
        first, second = account.servers(owner["DNSName"], 8443)
        assert first[1] != 8443
        assert second[1] == 8443
        assert shake(*first, "www.example.com")[0] == built.der


def test_two_listeners_of_one_host_differ_by_port(account: Account) -> None:
    """The same host on different ports leads to different listeners."""
    owner = account.balancer()["LoadBalancerArn"]
    first, second = leaf("a.example.com"), leaf("b.example.com")
    account.listener(account.imported(first), owner=owner, Port=443)
    account.listener(account.imported(second), owner=owner, Port=8443)
    host = account.rows()[0]["hosts"][0]
    assert (account.shown(host, 443), account.shown(host, 8443)) == (first.der, second.der)


def test_request_is_answered_and_other_protocols_are_not(account: Account) -> None:
    """After the handshake one small HTTP answer follows; who does not speak TLS gets nothing."""
    host, _ = of_listener(account, account.imported(leaf("www.example.com")))
    server = account.servers(host)[0]
    with socket.create_connection(server, 10) as plain, client().wrap_socket(plain, server_hostname=host) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: tls.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x02\x01\x00"):
        with socket.create_connection(server, 10) as plain:
            plain.sendall(said)
            plain.shutdown(socket.SHUT_WR)
            assert plain.recv(4096) == b""


def test_after_closing_what_is_asked_for_opens_anew(account: Account) -> None:
    """Closing ends every server and its connections; a place that is then resolved is served again."""
    built = leaf("www.example.com")
    host, _ = of_listener(account, account.imported(built))
    server = account.servers(host)[0]
    with socket.create_connection(server, 10) as waiting:
        account.edge.servers.close()
        assert ended(waiting)
    with pytest.raises(ConnectionRefusedError):
        shake(*server, host)
    assert account.shown(host) == built.der


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_certificate_without_a_key_cannot_be_shown(account: Account) -> None:
    """A certificate of which the cloud has no key is listed as none, and the handshake ends."""
    acm: Any = account.store.fake("acm")
    arn = acm.admin_seed([{"pem": leaf("www.example.com").pem, "account": account.where[0], "region": "us-east-1"}])
    host, _ = of_listener(account, arn["arns"][0])
    assert [row["certificate"] for row in account.rows()] == [None, None]
    with pytest.raises(OSError, match=r"reset|EOF"):
        account.shown(host)


def test_many_handshakes_at_once(account: Account) -> None:
    """Twenty clients that connect at the same time, again and again, all get the certificate."""
    built = leaf("www.example.com")
    host, _ = of_listener(account, account.imported(built))
    servers, context = account.servers(host), client()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(lambda n: shake(*servers[n % 2], host, context)[0], range(600)))
    print(f"{600 / (time.monotonic() - began):.0f} handshakes a second")
    assert set(seen) == {built.der}
