"""The prover: where it asks and for what, what it leaves out and tells, and which record it makes of it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from certificates import build, pem
from perennial import handshake, prover, resolution
from perennial.errors import InvalidInput
from perennial.handshake import Handshake
from perennial.names import MAX_NAME
from perennial.proof import Observation, document, of, unproven, verdict
from perennial.prover import MOST, Observed, observe, place, prove, shown
from perennial.targets.interface import TargetSettings
from tls_servers import closed_port, raw_server, tls_server

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ROOT = build("Example Root", ca=True)
CA = build("Example CA", ca=True, issuer=ROOT)
NAMES = ("shop.example.com", "www.shop.example.com")
OLD = build(NAMES[0], names=NAMES, issuer=CA, serial=0x3E9)
NEW = build(NAMES[0], names=NAMES, issuer=CA, serial=0x3EA, key="EC-256#new")
Hosts = Callable[..., None]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """A resolver that knows these names alone: each leads to places, as ("127.0.0.1", 8443); a place without port has
    the one that is asked for."""

    def known(**names: tuple[Any, ...]) -> None:
        def getaddrinfo(host: str, port: int, *_: Any, **more: Any) -> list[Any]:
            if host[0].isdigit() or ":" in host:
                found: Any = (host,)
            elif host.replace(".", "_").replace("-", "_") in names:
                found = names[host.replace(".", "_").replace("-", "_")]
            else:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            pairs = [each if isinstance(each, tuple) else (each, port) for each in found]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", pair) for pair in pairs]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return known


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, str]]:
    """What was asked; every address serves the new certificate."""
    calls: list[tuple[str, int, str]] = []

    async def shake(address: str, port: int, name: str) -> Handshake:
        calls.append((address, port, name))
        chain = (NEW.der, CA.der)
        return Handshake(address=address, port=port, sni=name, chain=chain, protocol="TLSv1.3")

    monkeypatch.setattr(handshake, "shake", shake)
    monkeypatch.setattr(resolution, "_has_way", lambda place: True)
    return calls


def look(*names: str, host: str = "", port: int = 443, endpoints: tuple[str, ...] = (), **more: Any) -> Observed:
    return observe(names or NAMES, host=host, port=port, endpoints=endpoints, **more)


# --- where it asks ---


def test_a_place_and_names_that_lead_there(hosts: Hosts, asked: list[Any]) -> None:
    """Names that share an address with the place add theirs: both are asked, for each name."""
    hosts(
        lb_example_net=("192.0.2.1", "192.0.2.2"),
        shop_example_com=("192.0.2.2", "192.0.2.3"),
        www_shop_example_com=("192.0.2.1",),
    )
    seen = look(host="lb.example.net", port=8443)
    assert sorted(asked) == [
        ("192.0.2.1", 8443, "shop.example.com"),
        ("192.0.2.1", 8443, "www.shop.example.com"),
        ("192.0.2.2", 8443, "shop.example.com"),
        ("192.0.2.2", 8443, "www.shop.example.com"),
        ("192.0.2.3", 8443, "shop.example.com"),
    ]
    assert (seen.elsewhere, seen.left_out, seen.unasked, seen.notes) == ((), (), (), ())


def test_something_that_stands_in_front(hosts: Hosts, asked: list[Any]) -> None:
    """A name that leads elsewhere is asked for at the place alone, and that is told."""
    hosts(lb_example_net=("192.0.2.1",), shop_example_com=("198.51.100.1",), www_shop_example_com=("192.0.2.1",))
    seen = look(host="lb.example.net")
    assert sorted(asked) == [("192.0.2.1", 443, "shop.example.com"), ("192.0.2.1", 443, "www.shop.example.com")]
    assert seen.elsewhere == ("shop.example.com",)
    assert seen.notes == (
        "These names lead to other addresses than the place has; they were asked for at the place: shop.example.com.",
    )


def test_names_without_an_address_and_wildcards(hosts: Hosts, asked: list[Any]) -> None:
    """They are asked for at the place, a wildcard by a host below it, and that is nothing to tell."""
    hosts(lb_example_net=("192.0.2.1",))
    seen = look("new.example.com", "*.shop.example.com", host="lb.example.net")
    assert sorted(asked) == [
        ("192.0.2.1", 443, "new.example.com"),
        ("192.0.2.1", 443, "perennial-proof.shop.example.com"),
    ]
    assert [each.sni for each in seen.observations] == ["new.example.com", "perennial-proof.shop.example.com"]
    assert seen.notes == ()


def test_a_place_without_a_name(hosts: Hosts, asked: list[Any]) -> None:
    """Then the names say where, and a wildcard by a host below it, where that resolves."""
    hosts(shop_example_com=("192.0.2.1",), perennial_proof_shop_example_com=("192.0.2.2",))
    look("shop.example.com", "*.shop.example.com")
    assert sorted(asked) == [
        ("192.0.2.1", 443, "shop.example.com"),
        ("192.0.2.2", 443, "perennial-proof.shop.example.com"),
    ]


def test_the_port_that_the_resolver_tells(hosts: Hosts, asked: list[Any]) -> None:
    """A connection goes where the resolver leads, also to another port; an address is shared with its port alone."""
    hosts(lb_example_net=(("127.0.0.1", 7001),), shop_example_com=(("127.0.0.1", 7002),))
    seen = look("shop.example.com", host="lb.example.net")
    assert asked == [("127.0.0.1", 7001, "shop.example.com")]
    assert seen.elsewhere == ("shop.example.com",)


def test_endpoints_alone(hosts: Hosts, asked: list[Any]) -> None:
    """With endpoints nothing else is asked, each for every name."""
    hosts(inner_example_net=("192.0.2.8",), lb_example_net=("192.0.2.1",), shop_example_com=("192.0.2.1",))
    look(host="lb.example.net", endpoints=("inner.example.net:8443", "192.0.2.9", "[2001:db8::9]:444"))
    assert sorted(asked) == sorted(
        (address, port, name)
        for name in NAMES
        for address, port in (("192.0.2.8", 8443), ("192.0.2.9", 443), ("2001:db8::9", 444))
    )


def test_addresses_as_names(hosts: Hosts, asked: list[Any]) -> None:
    """An address is asked without a name, once at each place; it is elsewhere where the place has others."""
    hosts(lb_example_net=("192.0.2.1",))
    seen = look("192.0.2.1", "198.51.100.1", host="lb.example.net")
    assert [each[:2] for each in asked] == [("192.0.2.1", 443)]
    assert seen.elsewhere == ("198.51.100.1",)


def test_names_twice(hosts: Hosts, asked: list[Any]) -> None:
    """The same name is asked for once."""
    hosts(shop_example_com=("192.0.2.1", "192.0.2.1"))
    look("shop.example.com", "shop.example.com")
    assert asked == [("192.0.2.1", 443, "shop.example.com")]


# --- where there is nothing to ask ---


def test_a_place_that_does_not_resolve(hosts: Hosts, asked: list[Any]) -> None:
    """Nobody else's answer counts for it."""
    hosts(shop_example_com=("192.0.2.1",))
    (seen,) = look("shop.example.com", host="lb.example.net").observations
    assert (seen.address, seen.port, seen.chain) == ("lb.example.net", 443, ())
    assert seen.problem is not None
    assert "the name does not resolve: Name or service not known; correct that, or give the target" in seen.problem
    assert asked == []


def test_an_endpoint_that_does_not_resolve(hosts: Hosts, asked: list[Any]) -> None:
    """It is told beside those that do, also where it has the name that is asked for."""
    hosts(inner_example_net=("192.0.2.8",))
    seen = look("shop.example.com", endpoints=("shop.example.com", "inner.example.net"))
    assert asked == [("192.0.2.8", 443, "shop.example.com")]
    assert [bool(each.problem) for each in seen.observations] == [True, False]
    assert "shop.example.com:443" in verdict(seen.observations, NEW.fingerprint)


@pytest.mark.parametrize("endpoints", [("a..b",), ("inner.example.net:70000",), ("no endpoint at all!",)])
def test_endpoints_that_are_none(endpoints: tuple[str, ...], asked: list[Any]) -> None:
    """What cannot be connected to is an observation with a problem."""
    (seen,) = look(endpoints=endpoints).observations
    assert seen.problem
    assert asked == []


def test_names_that_lead_nowhere(hosts: Hosts, asked: list[Any]) -> None:
    """Without any address each name is an observation with a problem, beside those that have one."""
    hosts(shop_example_com=("192.0.2.1",))
    seen = look("shop.example.com", "gone.example.com", "*.gone.example.com")
    assert [(each.address, bool(each.problem)) for each in seen.observations] == [
        ("gone.example.com", True),
        ("*.gone.example.com", True),
        ("192.0.2.1", False),
    ]


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch, asked: list[Any]) -> None:
    """A name is given up in time, and told."""
    done = threading.Event()
    monkeypatch.setattr(handshake, "CONNECT_SECONDS", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(0.5) or [])
    (seen,) = look("shop.example.com").observations
    assert seen.problem is not None
    assert "not resolved in time" in seen.problem


@pytest.mark.parametrize("port", [0, 70_000])
def test_a_port_that_there_is_not(port: int, hosts: Hosts) -> None:
    """A port that nobody has is told, and never raises."""
    hosts(lb_example_net=("127.0.0.1",))
    (seen,) = look("shop.example.com", host="lb.example.net", port=port).observations
    assert seen.problem
    assert 0 <= seen.port <= 65_535


# --- how much it asks ---


def test_sixty_four_handshakes(hosts: Hosts, asked: list[Any]) -> None:
    """Of many names the first and the last are asked for at all addresses, always the same; the others are told."""
    hosts(lb_example_net=tuple(f"192.0.2.{last}" for last in range(1, 9)))
    names = tuple(f"n{number:03}.example.com" for number in range(100))
    seen = look(*names, host="lb.example.net")
    assert len(asked) == len(seen.observations) == MOST
    assert {name for *_, name in asked} == {*names[:4], *names[-4:]}
    assert seen.left_out == names[4:-4]
    assert seen.notes == (
        "These names were not asked for, as there are too many: n004.example.com, n005.example.com, n006.example.com "
        "and 89 more.",
    )
    assert look(*names, host="lb.example.net") == seen


@pytest.mark.parametrize("most", [1, 2, 3, 7, 64])
def test_never_more_than_asked_for(most: int, hosts: Hosts, asked: list[Any]) -> None:
    """The limit holds for many endpoints too, and the addresses that are left out are told."""
    every = tuple(f"192.0.2.{last}" for last in range(1, 101))
    seen = look(endpoints=every, most=most)
    assert len(asked) == most
    assert len(seen.unasked) == 100 - most
    assert "These addresses were not asked" in seen.notes[-1]


def test_a_name_with_too_many_addresses(hosts: Hosts, asked: list[Any]) -> None:
    """Sixteen of them are asked, and the others told."""
    hosts(shop_example_com=tuple(f"192.0.2.{last:03}" for last in range(1, 21)))
    seen = look("shop.example.com")
    assert len(asked) == 16
    assert seen.unasked == ("192.0.2.017", "192.0.2.018", "192.0.2.019", "192.0.2.020")


def test_handshakes_at_once_are_bounded(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty-two at once, not more and not less."""
    hosts(shop_example_com=("192.0.2.1",))
    running, peak = 0, 0

    async def shake(address: str, port: int, name: str) -> Handshake:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.01)
        running -= 1
        return Handshake(address=address, port=port, sni=name, problem="no")

    monkeypatch.setattr(handshake, "shake", shake)
    look("shop.example.com", endpoints=tuple(f"192.0.2.{last}" for last in range(1, 65)))
    assert peak == prover.CONCURRENCY


def test_addresses_without_a_way(hosts: Hosts, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine has no IPv6, those addresses are left out and told; where there is nothing else, asked."""
    monkeypatch.setattr(resolution, "_has_way", lambda place: ":" not in place[0])
    hosts(shop_example_com=("192.0.2.1", "2001:db8::1"), six_example_com=("2001:db8::2",))
    seen = look("shop.example.com", "six.example.com")
    assert sorted(each[0] for each in asked) == ["192.0.2.1", "2001:db8::2"]
    assert seen.unasked == ("2001:db8::1",)


def test_the_way_to_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv4 is never asked for; IPv6 has a way where the system finds a route."""

    class Socket:
        def __init__(self, *_: Any) -> None:
            pass

        def __enter__(self) -> Socket:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def connect(self, place: tuple[str, int]) -> None:
            if place[0].startswith("2001:db8:"):
                raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Socket)
    assert resolution._has_way(("192.0.2.1", 443))
    assert resolution._has_way(("2001:470::1", 443))
    assert not resolution._has_way(("2001:db8::1", 443))


def test_a_wildcard_below_a_long_domain() -> None:
    """The host below it is never longer than a name may be."""
    suffix = ".".join(["a" * 61] * 4)[: MAX_NAME - 2]
    assert prover._asked(f"*.{suffix}") == f"a.{suffix}"
    assert prover._asked("*.example.com") == "perennial-proof.example.com"


# --- on the wire ---


def test_what_real_servers_send(hosts: Hosts) -> None:
    """The old certificate, the new one, one without its chain, a wall, and silence: each is told for what it is."""
    with (
        tls_server(pem(OLD, CA), OLD.key_pem) as old,
        tls_server(pem(NEW, CA), NEW.key_pem) as new,
        tls_server(pem(NEW), NEW.key_pem) as bare,
        raw_server(b"HTTP/1.0 400 Bad Request\r\n\r\n") as plain,
    ):
        hosts(shop_example_com=tuple(("127.0.0.1", port) for port in (old, new, bare, plain, closed_port())))
        seen = look("shop.example.com").observations
        by_port = {each.port: each for each in seen}
    assert by_port[new] == Observation(
        address="127.0.0.1",
        port=new,
        sni="shop.example.com",
        protocol="TLSv1.3",
        serial="3ea",
        chain=(NEW.fingerprint, CA.fingerprint),
    )
    said = verdict(seen, NEW.fingerprint, (CA.fingerprint,))
    assert f"127.0.0.1:{old} serves serial 3e9" in said
    assert f"127.0.0.1:{bare} serves it without its chain" in said
    assert f"127.0.0.1:{plain} gives no handshake (the server answered, but not with TLS)" in said
    assert "refused" in said
    assert f":{new} " not in said


def test_each_name_is_asked_for(hosts: Hosts) -> None:
    """A server that has the new certificate for one name alone does not pass."""
    by_name = {NAMES[1]: (pem(NEW, CA), NEW.key_pem)}
    with tls_server(pem(OLD, CA), OLD.key_pem, by_name=by_name) as port:
        hosts(shop_example_com=(("127.0.0.1", port),), www_shop_example_com=(("127.0.0.1", port),))
        seen = {each.sni: each.serial for each in look().observations}
    assert seen == {NAMES[0]: "3e9", NAMES[1]: "3ea"}


def test_an_odd_leaf_and_an_endless_chain(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server sends is bounded in the record, and read no further than it can be."""

    async def shake(address: str, port: int, name: str) -> Handshake:
        return Handshake(address=address, port=port, sni=name, chain=(b"\x30\x00",) * 300, problem="p\x1b" * 900)

    monkeypatch.setattr(handshake, "shake", shake)
    hosts(shop_example_com=("192.0.2.1",))
    (seen,) = look("shop.example.com").observations
    assert (seen.serial, len(seen.chain)) == ("", 20)
    assert seen.problem is not None
    assert len(seen.problem) == 500
    assert seen.problem.isprintable()


# --- the record ---

TARGET = TargetSettings(
    kind="elbv2",
    name="edge",
    managed="shop",
    account="123456789012",
    region="eu-west-1",
    endpoints=("inner.example.net:8443",),
    fields={"listener": "arn:aws:elasticloadbalancing:eu-west-1:1:listener/1", "aliases": ("a", "b"), "empty": ""},
)
SEEN = Observed(
    observations=tuple(
        Observation(
            address=f"192.0.2.{last}",
            port=443,
            sni=NAMES[0],
            protocol="TLSv1.3",
            serial="3ea",
            chain=(NEW.fingerprint, CA.fingerprint),
        )
        for last in (1, 2)
    ),
    elsewhere=("www.example.com",),
)
FACTS: Mapping[str, Any] = {
    "managed": "shop",
    "version": 2,
    "rollout": 3,
    "target": TARGET,
    "purpose": "deployed",
    "expected": NEW.fingerprint,
    "chain": (CA.fingerprint,),
    "seen": SEEN,
    "began_at": NOW - timedelta(minutes=1),
    "now": NOW,
    "asked_by": "arn:aws:iam::123456789012:user/jo",
}


def test_a_proof() -> None:
    """It has everything that was seen and how, shows what it says, and is read again as it is."""
    made, reason = prove(**FACTS)
    assert made is not None
    assert (reason, unproven(made), of(document(made))) == ("", "", made)
    assert (made.method, made.serial, made.observations) == ("handshake", "3ea", SEEN.observations)
    assert made.notes == SEEN.notes
    assert (made.key_id, made.signature) == ("", "")
    assert made.place == (
        "account=123456789012; region=eu-west-1; listener=arn:aws:elasticloadbalancing:eu-west-1:1:listener/1; "
        "aliases=a,b; endpoints=inner.example.net:8443"
    )


def test_an_id_for_each_proof() -> None:
    """The same facts have the same id, others have another."""
    made = [prove(**{**FACTS, **more})[0] for more in ({}, {}, {"now": NOW + timedelta(seconds=1)}, {"rollout": 4})]
    ids = [each.id for each in made if each]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(each) == 32 for each in ids)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"expected": OLD.fingerprint}, "192.0.2.1:443 serves serial 3ea"),
        ({"chain": (ROOT.fingerprint,)}, "with another chain"),
        ({"seen": Observed(observations=())}, "no handshake was made"),
        ({"expected": ""}, "serves serial 3ea"),
    ],
)
def test_no_proof(more: dict[str, Any], said: str) -> None:
    """What was not seen is not recorded, and why is told."""
    made, reason = prove(**{**FACTS, **more})
    assert made is None
    assert said in reason


def test_a_read_back() -> None:
    """Where no handshake is possible, what AWS told is recorded as that."""
    made, reason = prove(**{**FACTS, "seen": None, "serial": "3ea"})
    assert made is not None
    assert (reason, made.method, made.observations, made.serial, unproven(made)) == ("", "read-back", (), "3ea", "")


def test_nothing_is_there_again() -> None:
    """What was brought back may be that there is no certificate."""
    made, _ = prove(**{**FACTS, "seen": None, "expected": "", "chain": (), "purpose": "restored"})
    assert made is not None
    assert unproven(made) == ""


def test_odd_facts_make_a_proof_that_can_be_read() -> None:
    """Texts from elsewhere are bounded and on one line; what has no sensible form is refused at once."""
    odd = replace(TARGET, fields={"path": "\x1b" * 5_000})
    made, _ = prove(**{**FACTS, "target": odd, "asked_by": "a\n" * 5_000})
    assert made is not None
    assert of(document(made)) == made
    assert len(place(odd)) == 1_000
    with pytest.raises(InvalidInput, match=r"proof.purpose is not one of"):
        prove(**{**FACTS, "purpose": "hoped"})


def test_what_was_shown() -> None:
    """For people: each serial, or problem, with its first addresses."""
    failed = Observation(address="192.0.2.9", port=443, problem="no connection: refused")
    assert shown((*SEEN.observations, failed)) == (
        "serial 3ea at 192.0.2.1:443, 192.0.2.2:443; no handshake (no connection: refused) at 192.0.2.9:443"
    )
    assert shown(()) == ""
    assert len(shown(replace(failed, problem=f"{number}" * 900) for number in range(99))) < 900


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """Each call ends what it began."""
    before = threading.active_count()
    yield
    assert threading.active_count() <= before
