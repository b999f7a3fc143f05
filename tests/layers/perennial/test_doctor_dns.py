"""Names, zones, delegations and CAA: what the doctor says, and how it asks DNS."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial import doctor_dns, doctor_resolver
from perennial.doctor import Unknown, Verdict
from perennial.doctor_dns import AMAZON, DomainFacts, Wanted, ZoneFacts, allowed, judge, wanted
from perennial.doctor_resolver import CAA, NS, Caa, Resolver, resolvers
from perennial.errors import InvalidInput, InvalidReply, PerennialError, Unavailable
from perennial.profiles import AcmeIssuer, AcmIssuer, ChallengeKind, PcaIssuer, Profile

FINE, WRONG, UNKNOWN = Verdict.FINE, Verdict.WRONG, Verdict.UNKNOWN
LE = AcmeIssuer(name="le", directory="https://ca.example/directory")
ISSUERS = {
    "le": LE,
    "http": replace(LE, name="http", challenge=ChallengeKind.HTTP),
    "gone": replace(LE, name="gone", distrusted=True),
    "lab": replace(LE, name="lab", public=False),
    "acm": AcmIssuer(name="acm"),
    "pca": PcaIssuer(name="pca", authority="arn"),
}
ZONE = ZoneFacts(name="example.com", account="111122223333", servers=("ns-1.awsdns-1.org", "ns-2.awsdns-2.net"))
SHOP = Wanted(domain="shop.example.com", issuers=("le",), by_records=True)
LETSENCRYPT = Caa("issue", "letsencrypt.org")


def test_domains_of_profiles() -> None:
    """Of public issuers that are asked; each domain once, with all that is wished for it."""
    profiles = [
        Profile(name="a", issuer="le", names=("shop.example.com", ".dev.example.com", "10.0.0.0/8")),
        Profile(name="b", issuer="acm", names=("*..shop.example.com",)),
        Profile(name="c", issuer="http", names=("*.www.example.com",), wildcards=True),
        Profile(name="d", issuer="pca", issuers=("gone", "lab", "unknown"), names=("internal.example.com",)),
    ]
    assert wanted(ISSUERS, profiles) == (
        Wanted(domain="dev.example.com", issuers=("le",), by_records=True),
        Wanted(domain="shop.example.com", issuers=("le", "acm"), by_records=True),
        Wanted(domain="www.example.com", issuers=("http",), wildcard=True),
    )


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (DomainFacts(zone=ZONE, servers=("ns-2.awsdns-2.net",)), FINE, "challenges go to the zone example.com"),
        (DomainFacts(zone=ZONE, servers=()), WRONG, "nothing delegates to the zone example.com"),
        (DomainFacts(zone=ZONE, servers=("ns.registrar.example",)), WRONG, "the world is told to ask ns.registrar"),
        (DomainFacts(zone=ZONE, servers=Unknown("SERVFAIL")), UNKNOWN, "SERVFAIL"),
        (DomainFacts(zone=None), WRONG, "no account that Perennial may write has a hosted zone"),
        (DomainFacts(zone=Unknown("AccessDenied")), UNKNOWN, "AccessDenied"),
    ],
)
def test_zones(facts: DomainFacts, verdict: Verdict, said: str) -> None:
    """A zone that nobody asks proves nothing."""
    zone, caa = judge([SHOP], {SHOP.domain: facts}, {"le": ("letsencrypt.org",)}, {})
    assert (zone.verdict, said in zone.words) == (verdict, True)
    assert bool(zone.advice) == (verdict is WRONG)
    assert caa.verdict is FINE


def test_a_delegated_challenge_needs_no_zone() -> None:
    """As [solvers.delegations] says; nor does http-01."""
    facts = {SHOP.domain: DomainFacts(zone=None)}
    delegated = {"_acme-challenge.shop.example.com": "shop.challenges.example.net"}
    assert next(iter(judge([SHOP], facts, {}, delegated))).verdict is FINE
    (only,) = judge([replace(SHOP, by_records=False)], facts, {}, {})
    assert "CAA" in only.subject


@pytest.mark.parametrize(
    ("records", "wildcard", "expected"),
    [
        ((), False, True),
        ((LETSENCRYPT,), False, True),
        ((Caa("issue", "LetsEncrypt.org; validationmethods=dns-01"),), False, True),
        ((Caa("issue", "pki.goog"),), False, False),
        ((Caa("issue", ";"),), False, False),
        ((Caa("issue", ""),), False, False),
        ((Caa("issue", "pki.goog"), LETSENCRYPT), False, True),
        ((Caa("iodef", "mailto:a@example.com"),), False, True),
        ((LETSENCRYPT, Caa("issuewild", ";")), False, True),
        ((LETSENCRYPT, Caa("issuewild", ";")), True, False),
        ((Caa("issue", ";"), Caa("issuewild", "letsencrypt.org")), True, True),
        ((LETSENCRYPT,), True, True),
        ((Caa("issuewild", ";"),), False, True),
        ((LETSENCRYPT, Caa("future", "x", critical=True)), False, False),
        ((LETSENCRYPT, Caa("future", "x")), False, True),
    ],
)
def test_caa(records: tuple[Caa, ...], wildcard: bool, expected: bool) -> None:
    """As RFC 8659 4.2 to 4.5 have it."""
    assert allowed(records, ("letsencrypt.org",), wildcard=wildcard) is expected


@pytest.mark.parametrize(
    ("facts", "identities", "verdict", "said"),
    [
        (DomainFacts(zone=None, caa=(LETSENCRYPT,), caa_at="example.com"), ("letsencrypt.org",), FINE, "allow it"),
        (
            DomainFacts(zone=None, caa=(LETSENCRYPT,), caa_at="example.com"),
            AMAZON,
            WRONG,
            "allow letsencrypt.org, not am",
        ),
        (DomainFacts(zone=None, caa=(Caa("issue", ";"),), caa_at="example.com"), AMAZON, WRONG, "allow nobody"),
        (DomainFacts(zone=None, caa=(LETSENCRYPT,), caa_at="example.com"), (), UNKNOWN, "does not say by which name"),
        (DomainFacts(zone=None, caa=(LETSENCRYPT,), caa_at="example.com"), Unknown("no answer"), UNKNOWN, "no answer"),
        (DomainFacts(zone=None, caa=Unknown("SERVFAIL")), AMAZON, UNKNOWN, "SERVFAIL"),
        (DomainFacts(zone=None), AMAZON, FINE, "every CA may issue"),
    ],
)
def test_caa_of_domains(facts: DomainFacts, identities: tuple[str, ...] | Unknown, verdict: Verdict, said: str) -> None:
    """With the record that would help."""
    (found,) = judge([replace(SHOP, by_records=False)], {SHOP.domain: facts}, {"le": identities}, {})
    assert (found.verdict, said in found.words) == (verdict, True)
    if verdict is WRONG:
        assert found.advice == 'add to example.com: 0 issue "amazon.com"'


def test_more_domains_than_are_looked_at() -> None:
    """The rest is told as unknown; without any, that is said."""
    many = [replace(SHOP, domain=f"d{n}.example.com", by_records=False) for n in range(doctor_dns.MAX_DOMAINS + 3)]
    found = list(judge(many, {}, {}, {}))
    assert found[-1].words == "could not be checked: 3 more domains are not looked at"
    assert {each.verdict for each in found} == {UNKNOWN}
    assert [each.verdict for each in judge([], {}, {}, {})] == [FINE]


# --- asking ---


def named(name: str) -> bytes:
    return b"".join(bytes((len(each),)) + each.encode() for each in name.split(".") if each) + b"\0"


def record(kind: int, data: bytes) -> bytes:
    """A record at the name of the question."""
    return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def caa_data(tag: str, value: str, flags: int = 0) -> bytes:
    return bytes((flags, len(tag))) + tag.encode() + value.encode()


def reply(question: bytes, *records: bytes, code: int = 0, cut: bool = False) -> bytes:
    """An answer with some records."""
    flags = 0x8180 | code | (0x0200 if cut else 0)
    return question[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question[12:] + b"".join(records)


@contextmanager
def resolver(
    answer: Callable[[bytes], bytes], by_tcp: Callable[[bytes], bytes] | None = None, seconds: float = 5.0
) -> Iterator[Resolver]:
    """A resolver that asks a server on loopback, which answers each question so."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.create_server(("127.0.0.1", 0)) as streams,
    ):
        datagrams.bind(("127.0.0.1", streams.getsockname()[1]))
        threads = [
            threading.Thread(target=_datagrams, args=(datagrams, answer), daemon=True),
            threading.Thread(target=_streams, args=(streams, by_tcp or answer), daemon=True),
        ]
        for each in threads:
            each.start()
        yield Resolver((datagrams.getsockname(),), seconds)


def _datagrams(sock: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):
        while True:
            question, sender = sock.recvfrom(1_024)
            if sender is None:  # the socket was closed
                return
            sock.sendto(answer(question), sender)


def _streams(listening: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):
        while True:
            sock, _ = listening.accept()
            with sock:
                message = answer(sock.recv(1_024)[2:])
                sock.sendall(struct.pack(">H", len(message)) + message)


def test_name_servers() -> None:
    """In lower case, each once; a CNAME before them is passed over, and names may be compressed."""

    def answer(question: bytes) -> bytes:
        pointing = record(NS, b"\x03ns2\xc0\x0c")
        return reply(
            question, record(5, named("other.example")), record(NS, named("NS1.example.net")), pointing, pointing
        )

    with resolver(answer) as asked:
        assert asked.name_servers("example.com") == ("ns1.example.net", "ns2.example.com")


def test_no_such_name() -> None:
    """Nothing delegates to it: an answer, not a failure."""
    with resolver(lambda question: reply(question, code=3)) as asked:
        assert asked.name_servers("example.com") == ()


def test_caa_is_climbed_to_the_first_record_set() -> None:
    """Towards the root (RFC 8659 3)."""
    questions: list[bytes] = []

    def answer(question: bytes) -> bytes:
        questions.append(question[12:])
        if question[12:].startswith(named("example.com")):
            return reply(
                question, record(CAA, caa_data("ISSUE", "letsencrypt.org")), record(CAA, caa_data("x", "y", 128))
            )
        return reply(question)

    with resolver(answer) as asked:
        found = asked.caa("a.b.example.com")
    assert found == ("example.com", (Caa("issue", "letsencrypt.org"), Caa("x", "y", critical=True)))
    assert len(questions) == 3
    with resolver(reply) as asked:
        assert asked.caa("a.example.com") == ("", ())


def test_an_answer_too_long_for_a_datagram_comes_by_tcp() -> None:
    """As its flag says."""

    def whole(question: bytes) -> bytes:
        return reply(question, record(NS, named("ns.example.net")))

    with resolver(lambda question: reply(question, cut=True), whole) as asked:
        assert asked.name_servers("example.com") == ("ns.example.net",)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda question: b"", "does not fit its question"),
        (lambda question: b"\0" * 40, "does not fit its question"),
        (lambda question: b"xx" + reply(question)[2:], "does not fit its question"),
        (lambda question: reply(question[:12] + named("other.example") + question[-4:]), "does not fit its question"),
        (lambda question: question, "does not fit its question"),
        (lambda question: reply(question, code=2), "it answered with code 2"),
        (lambda question: reply(question, code=5), "it answered with code 5"),
    ],
)
def test_answers_that_are_none(answer: Callable[[bytes], bytes], said: str) -> None:
    """Told as unavailable after some tries: who asks takes it for unknown."""
    with resolver(answer) as asked, pytest.raises(Unavailable, match=said):
        asked.name_servers("example.com")


@pytest.mark.parametrize(
    "records",
    [
        (record(NS, b"\xc0\xff"),),
        (record(NS, b"\xc0\x29"), record(NS, b"\x80")),
        (record(NS, b"\x3fx"),),
        (record(NS, named("x"))[:-1],),
        (record(CAA, b""),),
        (record(CAA, b"\0\0x"),),
        (record(CAA, b"\0\xffx"),),
        (b"\xc0\x0c\0",),
        (record(NS, named("x")),) * 101,
    ],
)
def test_broken_records(records: tuple[bytes, ...]) -> None:
    """An error of ours, never another one; no pointer is followed for ever."""
    with resolver(lambda question: reply(question, *records)) as asked, pytest.raises(InvalidReply):
        asked.name_servers("example.com")
        asked.caa("example.com")


@given(st.binary(max_size=300), st.sampled_from([NS, CAA]))
def test_no_answer_breaks_the_reader(tail: bytes, kind: int) -> None:
    """Whatever follows a header: records, or an error of ours."""
    question = doctor_resolver._question("example.com", kind)
    message = question[:2] + struct.pack(">HHHHH", 0x8180, 1, 3, 0, 0) + question[12:] + tail
    with suppress(PerennialError):
        for found, start, length in doctor_resolver._answers(message, len(question), kind):
            if kind == NS:
                doctor_resolver._name(found, start)
            else:
                doctor_resolver._caa(found[start : start + length])


def test_a_resolver_that_is_silent() -> None:
    """Given up after some tries."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="timed out"):
            Resolver((silent.getsockname(),), seconds=0.05).name_servers("example.com")


@pytest.mark.parametrize("name", ["", "a..b", "ü.example", "x" * 64 + ".example", "a." * 130 + "b", "a b.example"])
def test_what_is_no_name_is_not_asked(name: str) -> None:
    """Said as bad input."""
    with pytest.raises(InvalidInput):
        Resolver((("127.0.0.1", 9),)).name_servers(name)


def test_resolvers_of_the_machine() -> None:
    """Three at most, as resolv.conf(5) has it; none is an error that says so."""
    text = "# x\nnameserver 10.0.0.2\nsearch example.com\nnameserver fd00::2 \nnameserver 1\nnameserver 2\nnameserver"
    assert resolvers(text) == (("10.0.0.2", 53), ("fd00::2", 53), ("1", 53))
    with pytest.raises(Unavailable, match="names no resolver"):
        resolvers("search example.com\n")
