"""Which of a listener's certificates a client is shown: by its name, and of several by the documented order."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Any

import pytest
from edge_account import DAY, Account, client, leaf, now, root, shake

from certificates import Built, build
from local_cloud.edge import hello
from local_cloud.edge.hello import Hello
from local_cloud.edge.material import Material
from local_cloud.edge.selection import is_for, rank, supports
from local_cloud.fakes import acm_x509

HOST = "shop.example.com"
DEFAULT = leaf("default.example.com")
ONLY_RSA = "ECDHE-RSA-AES128-GCM-SHA256"


def with_list(account: Account, *built: Built, default: Built = DEFAULT) -> str:
    """The DNS name of a load balancer whose listener has these certificates on its list, in this order."""
    owner = account.balancer()
    arn = account.listener(account.imported(default), owner=owner["LoadBalancerArn"])
    for each in built:
        certificates = [{"CertificateArn": account.imported(each)}]
        account.ask("elbv2", "AddListenerCertificates", ListenerArn=arn, Certificates=certificates)
    return str(owner["DNSName"])


def shown(account: Account, host: str, name: str | None, context: ssl.SSLContext | None = None) -> bytes:
    return shake(*account.servers(host)[0], name, context)[0]


EXACT, WILD = leaf(HOST), leaf("*.example.com")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (HOST, EXACT),
        ("SHOP.Example.com", EXACT),
        ("other.example.com", WILD),
        ("a.other.example.com", DEFAULT),  # a wildcard stands for one label
        ("example.com", DEFAULT),
        ("elsewhere.example.org", DEFAULT),
        (None, DEFAULT),
        ("default.example.com", WILD),  # the default is for what no certificate of the list is for
    ],
)
def test_name_selects_the_certificate(account: Account, name: str | None, expected: Built) -> None:
    """An exact name, a wildcard, no match and no name each lead to the certificate that AWS documents."""
    exact = leaf(HOST, 61)  # it ends later than the wildcard's, which is why it is taken where both match
    host = with_list(account, WILD, exact)
    assert shown(account, host, name) == (exact if expected is EXACT else expected).der


def day(days: float) -> Any:
    return now() + days * DAY


SMART = [
    ("ECDSA before RSA", {"key": "EC-256"}, {"key": "RSA-4096"}),
    ("not expired before expired", {"days": 5}, {"not_before": day(-90), "not_after": day(-1)}),
    ("valid before not yet valid", {"days": 5}, {"not_before": day(1), "not_after": day(400)}),
    ("SHA-512 before SHA-256", {"signature_hash": "sha512"}, {"days": 400}),
    ("the larger RSA key", {"key": "RSA-3072"}, {"key": "RSA-2048", "days": 400}),
    ("the larger curve", {"key": "EC-384"}, {"key": "EC-256", "days": 400}),
    ("the longer validity", {"days": 30}, {"not_before": day(-1), "not_after": day(40)}),
    ("of equally long ones the later end", {"days": 61}, {"days": 60}),
    ("a key before an expiry", {"key": "EC-256", "not_after": day(-1), "not_before": day(-9)}, {"key": "RSA-2048"}),
    ("an expiry before a hash", {"days": 5}, {"days": -1, "signature_hash": "sha512"}),
    ("a hash before a key's size", {"signature_hash": "sha384"}, {"key": "EC-384", "signature_hash": "sha256"}),
]  # fmt: skip


@pytest.mark.parametrize(("better", "worse"), [each[1:] for each in SMART], ids=[each[0] for each in SMART])
def test_better_certificate_is_ranked_higher(better: dict[str, Any], worse: dict[str, Any]) -> None:
    """The documented criteria, each against those that come after it."""
    good, bad = (material(leaf(HOST, **{"key": "EC-256"} | options)) for options in (better, worse))
    assert rank(good, now()) > rank(bad, now())


def material(built: Built) -> Material:
    return Material("arn", built.pem, "", built.key_pem, acm_x509.read(built.x509))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_best_certificate_that_the_client_supports_is_shown(account: Account, order: tuple[int, int]) -> None:
    """Of an ECDSA and an RSA certificate a modern client sees ECDSA, one that knows RSA only sees RSA."""
    both = (leaf(HOST, key="EC-256"), leaf(HOST, key="RSA-2048"))
    host = with_list(account, *(both[index] for index in order))
    old = client(ciphers=ONLY_RSA, maximum_version=ssl.TLSVersion.TLSv1_2)
    assert shown(account, host, HOST) == both[0].der
    assert shown(account, host, HOST, old) == both[1].der


def test_certificate_that_a_client_cannot_take_is_shown_where_there_is_no_other(account: Account) -> None:
    """A client without ECDSA fails with a listener that has no RSA certificate for the name."""
    host = with_list(account, leaf(HOST, key="EC-256"))
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure"):
        shown(account, host, HOST, client(ciphers=ONLY_RSA, maximum_version=ssl.TLSVersion.TLSv1_2))


def test_expired_certificate_gives_way_to_the_new_one(account: Account) -> None:
    """An expired certificate that is still attached beside its successor is not shown."""
    expired, valid = leaf(HOST, -1, signature_hash="sha512"), leaf(HOST, 50)
    host = with_list(account, valid)
    acm: Any = account.store.fake("acm")
    place = dict(zip(("account", "region"), account.where, strict=True))
    seeded = acm.admin_seed([{"pem": expired.pem, "private_key": expired.key_pem, **place}])["arns"]
    request = {"ListenerArn": account.rows()[0]["place"], "Certificates": [{"CertificateArn": seeded[0]}]}
    account.ask("elbv2", "AddListenerCertificates", **request)
    assert shown(account, host, HOST) == valid.der


# --- what the hello says ---


def said(**changes: Any) -> Hello:
    """What the edge reads from the hello of a client."""
    name = changes.pop("name", HOST)
    to_send = ssl.MemoryBIO()
    tls = client(**changes).wrap_bio(ssl.MemoryBIO(), to_send, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    found = hello.read(to_send.read())
    assert found is not None
    return found


def test_hello_is_read() -> None:
    """Name, versions, ciphers and signature schemes of a real client's hello are found."""
    modern, old = said(), said(ciphers=ONLY_RSA, maximum_version=ssl.TLSVersion.TLSv1_2, name=None)
    assert (modern.server_name, old.server_name) == (HOST, None)
    assert "TLSv1.3" in modern.versions
    assert old.versions <= {"TLSv1", "TLSv1.1", "TLSv1.2"}
    assert 0xC02F in old.ciphers
    assert 0x0403 in modern.schemes


def hello_bytes(name: str = HOST) -> bytes:
    to_send = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client().wrap_bio(ssl.MemoryBIO(), to_send, server_hostname=name).do_handshake()
    return to_send.read()


def test_hello_in_pieces_is_waited_for() -> None:
    """As long as bytes are missing there is no hello, and it may be cut into records of any size."""
    whole = hello_bytes()
    assert [hello.read(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    body = whole[5:]
    parts = [body[at : at + 7] for at in range(0, len(body), 7)]
    records = b"".join(b"\x16\x03\x01" + len(each).to_bytes(2, "big") + each for each in parts)
    assert hello.read(records) == hello.read(whole)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00",  # it ends in the random
        b"\x16\x03\x01\xff\xff" + b"\x01\xff\xff\xff" + bytes(70_000),
    ],
)
def test_what_is_no_hello_is_refused(data: bytes) -> None:
    """Other protocols, other messages, cut ones and endless ones are no hello."""
    with pytest.raises(ValueError):
        hello.read(data)


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_broken_hello_is_read_or_refused(at: int) -> None:
    """A hello with a wrong byte is read or refused, and never breaks the reader."""
    whole = bytearray(hello_bytes())
    whole[at] ^= 0xFF
    try:
        assert hello.read(bytes(whole)) is None or isinstance(hello.read(bytes(whole)), Hello)
    except ValueError as error:
        assert "hello" in str(error).lower() or "handshake" in str(error)


@pytest.mark.parametrize(
    ("key", "schemes", "versions", "expected"),
    [
        ("EC-256", {0x0403}, {"TLSv1.3"}, True),
        ("EC-384", {0x0403}, {"TLSv1.3"}, False),  # the scheme of another curve
        ("RSA-2048", {0x0804}, {"TLSv1.3"}, True),
        ("RSA-2048", {0x0401}, {"TLSv1.3"}, False),  # no RSA-PSS
        ("EC-256", {0x0403}, {"TLSv1.2"}, False),  # no cipher for it
    ],
)
def test_support_follows_the_schemes(key: str, schemes: set[int], versions: set[str], expected: bool) -> None:
    """In TLS 1.3 the signature schemes decide, before it the ciphers too."""
    client_said = Hello(HOST, frozenset({0xC02F}), frozenset(schemes), frozenset(versions))
    assert supports(client_said, material(leaf(HOST, key=key)), ("TLSv1.2", "TLSv1.3")) is expected


def test_certificate_without_subject_alternative_names_is_for_its_common_name() -> None:
    """A certificate that has a common name only is for that."""
    built = build(HOST, names=None, issuer=root(), not_before=now() - DAY, not_after=now() + timedelta(days=9))
    assert is_for(material(built), HOST)
    assert not is_for(material(built), "example.com")
