"""How places misbehave on purpose."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

import pytest
from edge_account import Account, client, leaf, root, shake

from certificates import Built
from local_cloud.edge.behaviour import KINDS, Behaviour

OLD, NEW = leaf("www.example.com", 30), leaf("www.example.com", 60)
Server = tuple[str, int]


class Place:
    """A listener with two addresses, and its certificate in ACM."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.arn = account.imported(OLD)
        self.listener = account.listener(self.arn)
        self.host = account.rows()[0]["hosts"][0]
        self.servers = account.servers(self.host)

    def renew(self, built: Built = NEW) -> None:
        self.account.imported(built, arn=self.arn)

    def shown(self) -> list[bytes]:
        return [shake(*server, "www.example.com")[0] for server in self.servers]

    def behaviours(self) -> list[str]:
        return [row["behaviour"] for row in self.account.rows()]


@pytest.fixture
def place(account: Account) -> Place:
    """A place that behaves well."""
    return Place(account)


def test_old_address_goes_on_showing_the_old_certificate(place: Place) -> None:
    """One of two addresses is stale, the other follows; when it is well again, it follows too."""
    place.account.misbehave(place.host, "old", address=place.servers[0][0])
    place.renew()
    assert place.shown() == [OLD.der, NEW.der]
    assert place.behaviours() == ["old", "well"]
    place.account.misbehave(place.host, "well")
    assert place.shown() == [NEW.der, NEW.der]


def test_old_place_ignores_another_certificate_too(place: Place) -> None:
    """A frozen listener goes on with its certificate also after ModifyListener, and with those for SNI."""
    place.account.misbehave(place.listener, "old")
    other = [{"CertificateArn": place.account.imported(leaf("other.example.com"))}]
    place.account.ask("elbv2", "ModifyListener", ListenerArn=place.listener, Certificates=other)
    place.account.ask("elbv2", "AddListenerCertificates", ListenerArn=place.listener, Certificates=other)
    assert place.shown() == [OLD.der, OLD.der]
    assert {row["certificate"]["serial"] for row in place.account.rows()} == {serial(OLD)}


def serial(built: Built) -> str:
    return bytes.fromhex(f"{built.x509.serial_number:032x}").hex(":")


def test_who_is_told_twice_to_be_old_stays_as_old_as_it_was(place: Place) -> None:
    """What goes on is what was shown when it was told, not what ACM held."""
    place.account.misbehave(place.host, "old")
    place.renew()
    place.account.misbehave(place.host, "old")
    assert place.shown() == [OLD.der, OLD.der]


def test_old_place_that_is_deleted_is_gone(place: Place) -> None:
    """A frozen listener that is deleted stops answering like any other."""
    place.account.misbehave(place.host, "old")
    place.account.ask("elbv2", "DeleteListener", ListenerArn=place.listener)
    with pytest.raises(OSError, match=r"reset|EOF"):
        place.shown()


def test_wrong_chain_has_the_right_leaf(place: Place) -> None:
    """The certificate is the right one, its chain leads to no CA that one trusts."""
    place.account.misbehave(place.host, "wrong-chain", address=place.servers[0][0])
    wrong, right = (shake(*server, "www.example.com") for server in place.servers)
    assert (wrong[0], right) == (OLD.der, (OLD.der, root().der))
    assert len(wrong) == 2
    assert wrong[1] != root().der
    place.renew()
    assert place.shown() == [NEW.der, NEW.der]


def test_wrong_chain_does_not_verify(account: Account) -> None:
    """A client that trusts the root, and needs the intermediate, verifies the right chain only."""
    from certificates import build

    intermediate = build("Edge Test Intermediate", ca=True, issuer=root())
    built = leaf("www.example.com", issuer=intermediate)
    account.listener(account.imported(built, chain=intermediate.pem))
    server = account.servers(account.rows()[0]["hosts"][0])[0]
    trusting = ssl.create_default_context(cadata=root().pem)
    assert shake(*server, "www.example.com", trusting)[0] == built.der
    account.misbehave(account.rows()[0]["place"], "wrong-chain")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(*server, "www.example.com", trusting)


def refused(server: Server) -> None:
    with pytest.raises(ConnectionRefusedError):
        shake(*server, "www.example.com")


def hanging(server: Server) -> None:
    with pytest.raises(TimeoutError):
        shake(*server, "www.example.com", seconds=0.3)


def broken(server: Server) -> None:
    with pytest.raises(ConnectionResetError):
        shake(*server, "www.example.com")


@pytest.mark.parametrize(("kind", "check"), [("refuse", refused), ("hang", hanging), ("reset", broken)])
def test_address_that_does_not_serve(place: Place, kind: str, check: Callable[[Server], None]) -> None:
    """A closed port, a silent and a breaking server: at one address, until it is well again on the same port."""
    place.account.misbehave(place.host, kind, address=place.servers[0][0])
    check(place.servers[0])
    assert shake(*place.servers[1], "www.example.com")[0] == OLD.der
    assert place.account.servers(place.host) == place.servers
    place.account.misbehave(place.host, "well", address=place.servers[0][0])
    assert place.shown() == [OLD.der, OLD.der]


@pytest.mark.parametrize("kind", ["refuse", "hang", "reset", "old", "wrong-chain"])
def test_behaviour_ends_by_itself(place: Place, kind: str) -> None:
    """With seconds, a behaviour is over after them."""
    place.account.misbehave(place.host, kind, seconds=0.3)
    assert place.behaviours() == [kind, kind]
    place.renew()
    end = time.monotonic() + 10
    while place.behaviours() != ["well", "well"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(0.1)  # a closed port opens a moment later
    assert place.shown() == [NEW.der, NEW.der]


def test_one_behaviour_takes_the_place_of_another(place: Place) -> None:
    """From refusing to hanging to well, and a refusal with an end that was called off does not come back."""
    place.account.misbehave(place.host, "refuse", seconds=0.3)
    place.account.misbehave(place.host, "hang")
    hanging(place.servers[0])
    place.account.misbehave(place.host, "refuse")
    time.sleep(0.4)
    refused(place.servers[0])
    place.account.misbehave(place.host, "well")
    assert place.shown() == [OLD.der, OLD.der]


def test_refusing_place_that_is_deleted_leaves_nothing(place: Place) -> None:
    """A closed port is given back when its place is gone."""
    place.account.misbehave(place.host, "refuse", seconds=0.2)
    place.account.ask("elbv2", "DeleteListener", ListenerArn=place.listener)
    assert place.account.rows() == []
    time.sleep(0.3)
    refused(place.servers[0])
    with socket.create_server(place.servers[0]):
        pass


def test_hanging_server_says_nothing_and_notices_that_the_client_leaves(place: Place) -> None:
    """It takes what the client says, and a client that leaves does not disturb it."""
    place.account.misbehave(place.host, "hang")
    for _ in range(3):
        with socket.create_connection(place.servers[0], 5) as plain:
            plain.sendall(b"anything")
    hanging(place.servers[0])


@pytest.mark.parametrize(
    "order",
    [
        {"place": "arn:aws:nowhere", "behaviour": "old"},
        {"place": "nowhere.example.org", "behaviour": "old"},
        {"behaviour": "old"},
        {"place": "www.example.com", "behaviour": "odd"},
        {"place": "www.example.com"},
    ],
)
def test_order_that_cannot_be_carried_out(place: Place, order: dict[str, str]) -> None:
    """An unknown place or behaviour, or none, is refused."""
    with pytest.raises((KeyError, ValueError)):
        place.account.edge.misbehave(order)


def test_unknown_address_is_refused(place: Place) -> None:
    """An address that the place does not have is refused."""
    with pytest.raises(ValueError, match="no address of a place is meant"):
        place.account.misbehave(place.host, "hang", address="127.0.0.1")


def test_behaviour_lasts_until_its_time() -> None:
    """Without an end a behaviour lasts; with one it is over from that moment on."""
    assert [Behaviour("old").now(clock) for clock in (0, 1e9)] == ["old", "old"]
    assert [Behaviour("old", until=5).now(clock) for clock in (4.9, 5)] == ["old", "well"]
    assert set(KINDS) == {"old", "wrong-chain", "refuse", "hang", "reset", "well"}


def test_client_that_leaves_in_the_handshake_disturbs_nobody(place: Place) -> None:
    """Clients that leave in the middle, or send an alert, leave the server as it was."""
    for _ in range(3):
        to_send = ssl.MemoryBIO()
        tls = client().wrap_bio(ssl.MemoryBIO(), to_send, server_hostname="www.example.com")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        with socket.create_connection(place.servers[0], 5) as plain:
            plain.sendall(to_send.read())
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(*place.servers[0], "www.example.com", ssl.create_default_context())
    assert place.shown() == [OLD.der, OLD.der]
