"""A webhook's receiver: an agent on real HTTP that deploys by itself and reports back, on an in-memory hub."""

from __future__ import annotations

import base64
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bundles import bundle
from certificates import build, pem
from estate import Estate
from perennial import callbacks, webhook_delivery
from perennial.certificate import ders, parse
from perennial.errors import (
    ChangedMeanwhile,
    InvalidConfiguration,
    InvalidReply,
    PerennialError,
    ServiceRefused,
    Throttled,
    Unavailable,
)
from perennial.issuers import acme_http
from perennial.targets import kind
from perennial.targets.interface import Bundle, Found, Later, Reach, TargetSettings
from perennial.webhook_receiver import receiver_id
from target_conformance import Calls, Run, Served, Stand, TargetConformance, public, watched
from tls_servers import server as raw_server
from tls_servers import tls_context
from webhook_agent import Agent, Reply, agents, signed

KEY = bytes(range(32))
CALLBACKS = "https://hub.example/callbacks"
_numbers = itertools.count()


class WebhookStand(Stand):
    """One agent, told of by one record in the table. It serves `earlier` since a rollout of it was reported done."""

    kind = "webhook"

    def __init__(self, estate: Estate, serve: Callable[..., Agent], *, begun: bool = True) -> None:
        super().__init__()
        self.estate = estate
        self.number = next(_numbers)
        self.deployment = estate.deployment
        environment: Any = self.deployment.environment
        environment["PERENNIAL_CALLBACK_URL"] = CALLBACKS
        self.secrets: Any = self.deployment.clients("secretsmanager")
        self.secret = f"perennial/webhooks/agent-{self.number}"
        content = {"key": _whsec(KEY)}
        self.secrets.create_secret(Name=self.secret, SecretString=json.dumps(content))
        self.stored = self.secrets.create_secret(Name=f"perennial/certificates/shop-{self.number}")["ARN"]
        self.earlier, self.new, self.other = (self.keep(bundle(n)) for n in (1, 2, 3))
        self.agent = serve(secrets=self.secrets, key=KEY, report=self.report, clock=self.seconds)
        self.url = self.agent.url
        self.more: dict[str, Any] = {}
        if begun:
            self.roll_out(self.earlier)
            self.agent.came.clear()
            self.agent.statuses.clear()

    def keep(self, version: Bundle) -> Bundle:
        """Store a version as issuance does."""
        chain = version.chain_pem
        text = {"private_key": version.private_key, "certificate": version.certificate_pem, "chain": chain}
        answer = self.secrets.put_secret_value(SecretId=self.stored, SecretString=json.dumps(text))
        return replace(version, secret=self.stored, secret_version=answer["VersionId"])

    def seconds(self) -> int:
        return int(self.estate.clock().timestamp())

    def report(self, event_id: str, headers: Mapping[str, str], body: bytes) -> int:
        """What the API and its function do."""
        request = callbacks.Request(id=event_id, headers=headers, body=body)
        try:
            return callbacks.receive(self.deployment.inventory, self.secrets, request, self.estate.clock()).status
        except PerennialError:
            return 503

    def roll_out(self, version: Bundle) -> None:
        """A rollout from look to report."""
        target = self.target()
        found = target.look()
        while target.activate(found, version, "", _never):
            self.agent.work()

    @property
    def settings(self) -> TargetSettings:
        fields = {"url": self.url, "secret": self.secret}
        made = TargetSettings(
            kind="webhook", name=f"agent-{self.number}", managed="shop", deadline=900, names=("shop.example.com",)
        )
        return replace(made, fields=fields, **self.more)

    @property
    def reach(self) -> Reach:
        clients = self.deployment.clients
        return Reach(account="123456789012", region="eu-west-1", clients=clients, deployment=self.deployment)

    def served(self) -> Served | None:
        if self.agent.serves is None:
            return None
        leaf, key, chain = self.agent.serves
        above = tuple(parse(each).fingerprint or "" for each in ders(chain))
        return Served(leaf=parse(ders(leaf)[0]).fingerprint or "", key=public(key), chain=above)

    def interfere(self) -> None:
        """Another rollout: what Perennial can know of."""
        self.roll_out(self.other)

    def interfered(self) -> bool:
        return self.served() == self.expected(self.other)

    def remove(self) -> None:
        self.url = f"http://127.0.0.1:{_unused_port()}/agents"

    def pass_time(self, seconds: float) -> None:
        self.estate.clock.now += timedelta(seconds=seconds)
        self.agent.work()

    # --- for the tests below ---

    def activate(self, found: Found) -> Later | None:
        return self.target().activate(found, self.new, "", _never)

    def restore(self, found: Found, earlier: Bundle | None = None) -> Later | None:
        return self.target().restore(found, self.new, "", earlier)

    def receiver(self) -> Any:
        return self.deployment.inventory.receiver(receiver_id("shop", f"agent-{self.number}"))


def _never(_: str) -> None:
    raise AssertionError("a webhook keeps nothing on the way")


def _whsec(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


def _unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def stand(estate: Estate) -> Iterator[Callable[..., WebhookStand]]:
    with agents() as serve:
        yield lambda **more: WebhookStand(estate, serve, **more)


@pytest.fixture
def place(stand: Callable[..., WebhookStand]) -> WebhookStand:
    return stand()


class TestWebhook(TargetConformance):
    """`interfere` is another rollout: see below for what nobody tells Perennial."""

    def test_gone(self, stand: Callable[..., WebhookStand]) -> None:
        """A receiver that is gone cannot be told from one that is down: what it last reported stays known, and sending
        may be tried again until the deadline."""
        place = stand()
        run = Run(place)
        found = run.look()
        place.remove()
        assert run.look() == found
        with pytest.raises(Unavailable, match="webhook agent-"):
            run.activate()

    def test_it_declares_what_it_uses(self, stand: Callable[..., WebhookStand]) -> None:
        """It asks nothing of the target's account: its table and its secrets are the hub's, granted by name. So there
        are no actions to declare."""
        declared = kind("webhook")
        assert (declared.TITLE, declared.LOOKS, declared.CHANGES) == ("Webhook", (), ())
        assert set(stand().settings.fields) == {each.name for each in declared.FIELDS}
        assert (declared.DEADLINE, declared.HANDSHAKES) == (1_800, True)

    def test_changed_beside_the_receiver(self, stand: Callable[..., WebhookStand]) -> None:
        """A change that nobody reports is invisible: it is replaced, by the receiver, which alone could object."""
        place = stand()
        run = Run(place)
        run.look()
        place.agent.serves = (place.other.certificate_pem, place.other.private_key, place.other.chain_pem)
        assert place.target().look() == run.found
        run.activate()
        assert place.served() == place.expected(place.new)


# --- the event ---


def test_the_event(place: WebhookStand) -> None:
    """It has all that a receiver needs, and of the key a reference alone."""
    later = place.activate(place.target().look())
    assert later == Later(10.0, f"webhook agent-{place.number} to report on the event {place.agent.events[0]['id']}")
    (event,) = place.agent.events
    now = place.estate.clock()
    assert event == {
        "type": "perennial.certificate.deploy",
        "schema": 1,
        "id": event["id"],
        "timestamp": now.isoformat(),
        "deadline": (now + timedelta(seconds=900)).isoformat(),
        "managed": "shop",
        "target": f"agent-{place.number}",
        "version": 2,
        "fingerprint": place.new.fingerprint,
        "serial": "3ea",
        "names": ["shop.example.com", "www.shop.example.com"],
        "not_after": "2036-10-01T00:00:00+00:00",
        "certificate": place.new.certificate_pem,
        "chain": place.new.chain_pem,
        "secret": {"arn": place.stored, "version": place.new.secret_version},
        "callback": {"url": f"{CALLBACKS}/{event['id']}", "id": event["id"]},
        "replaces": event["replaces"],
    }
    assert re.fullmatch("[0-9a-f]{64}", event["id"])
    assert re.fullmatch("[0-9a-f]{64}", event["replaces"])
    assert b"PRIVATE KEY" not in place.agent.came[0]["body"]
    assert place.agent.came[0]["headers"]["content-type"] == "application/json"


def test_a_receiver_that_has_the_key(place: WebhookStand) -> None:
    """Where the receiver made the CSR, Perennial has no key: the event refers to none, and that is no refusal."""
    place.new = replace(place.new, private_key="", secret="", secret_version="")
    found = place.target().look()
    assert place.target().refusals(found, place.new, None) == []
    place.activate(found)
    assert place.agent.events[0]["secret"] is None


def test_the_record_is_kept_as_long_as_it_may_be_needed(place: WebhookStand) -> None:
    """A week after the certificate's end, or the deadline where that is later."""
    place.activate(place.target().look())
    assert place.receiver().expires_at == int(datetime(2036, 10, 8, tzinfo=UTC).timestamp())
    place.estate.clock.now = datetime(2037, 1, 1, tzinfo=UTC)
    place.activate(place.target().look())
    assert place.receiver().expires_at == int(datetime(2037, 1, 8, 0, 15, tzinfo=UTC).timestamp())


def test_two_keys_while_one_is_replaced(place: WebhookStand) -> None:
    """With a previous key in the secret, a receiver that has either takes the event, and its report is taken."""
    fresh = b"n" * 32
    both = {"key": _whsec(fresh), "previous": _whsec(KEY)}
    place.secrets.put_secret_value(SecretId=place.secret, SecretString=json.dumps(both))
    for key, version in ((KEY, place.new), (fresh, place.other)):
        place.agent.key = key
        place.roll_out(version)
        assert place.served() == place.expected(version)
    assert place.agent.statuses == [200, 200]


# --- sending ---


def test_sent_again_until_it_is_taken(place: WebhookStand) -> None:
    """A receiver that asks for patience gets the same event later, signed anew; once it is taken, never again."""
    found = place.target().look()
    place.agent.replies = [Reply(429, {"Retry-After": "17"}), Reply(503, {"Retry-After": "18"}), Reply(500)]
    with pytest.raises(Throttled, match=r"webhook agent-\d+: the receiver answered 429") as throttled:
        place.activate(found)
    with pytest.raises(Unavailable, match="503") as down:
        place.activate(found)
    with pytest.raises(Unavailable, match="500"):
        place.activate(found)
    assert (throttled.value.retry_after, down.value.retry_after) == (17, 18)
    place.estate.clock.now += timedelta(hours=1)
    assert place.activate(found)
    assert place.activate(found)
    assert place.activate(found)
    assert len(place.agent.came) == 4
    assert len({each["body"] for each in place.agent.came}) == 1
    stamps = [int(each["headers"]["webhook-timestamp"]) for each in place.agent.came]
    assert stamps[3] - stamps[0] == 3_600


def test_taken_although_the_answer_was_lost(place: WebhookStand) -> None:
    """The receiver drops the repetition: it has the id."""
    found = place.target().look()
    place.agent.replies = [Reply(504, keep=True)]
    with pytest.raises(Unavailable):
        place.activate(found)
    place.activate(found)
    assert (len(place.agent.came), len(place.agent.queue)) == (2, 1)


def test_reported_before_it_answered(place: WebhookStand) -> None:
    """A receiver may be done before it answers: its report is not lost to ours."""
    found = place.target().look()
    place.agent.first = place.agent.work
    later = place.activate(found)
    assert later is not None
    assert later.seconds == 1
    assert place.activate(found) is None
    assert (len(place.agent.came), place.agent.statuses) == (1, [200])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(401, {}, b"who\x1b[2J are\xe2\x80\xae you?"), r"answered 401 \(who \[2J are you\?\); check the url"),
        (Reply(404), r"answered 404 \(without a text\)"),
        (Reply(410), "answered 410"),
        (Reply(400, {}, b"x" * 60_000), r"answered 400 \(x{199}…\)"),
    ],
)
def test_a_receiver_that_refuses(place: WebhookStand, reply: Reply, said: str) -> None:
    """It is final and says what to look at. Nothing is to be brought back, as it has nothing of it."""
    found = place.target().look()
    place.agent.replies = [reply, reply]
    with pytest.raises(ServiceRefused, match=said):
        place.activate(found)
    with watched(Calls()) as calls:
        assert place.restore(found) is None
    assert (calls.writes(), len(place.agent.came)) == ([], 1)
    with pytest.raises(ServiceRefused):  # a repetition asks again: who had refused may be right by now
        place.activate(found)
    assert place.activate(found)
    assert len({each["body"] for each in place.agent.came}) == 1


def test_refused_after_an_attempt_that_may_have_reached_it(place: WebhookStand) -> None:
    """Then it may have the event, and is asked for what was there before."""
    found = place.target().look()
    place.agent.replies = [Reply(504, keep=True), Reply(403)]
    with pytest.raises(Unavailable):
        place.activate(found)
    with pytest.raises(ServiceRefused):
        place.activate(found)
    assert place.restore(found)
    assert place.agent.events[-1]["type"] == "perennial.certificate.restore"


def test_no_redirect_is_followed(place: WebhookStand, stand: Callable[..., WebhookStand]) -> None:
    """Whatever is at the other URL gets nothing."""
    other = stand()
    for status in (301, 302, 303, 307, 308):
        place.agent.replies = [Reply(status, {"Location": other.url})]
        with pytest.raises(ServiceRefused, match=f"{status}; redirects are not followed"):
            place.activate(place.target().look())
    assert other.agent.came == []


def test_an_answer_of_any_size(place: WebhookStand) -> None:
    """64 KB are read, and more is no answer."""
    found = place.target().look()
    place.agent.replies = [
        Reply(202, {}, b"x" * (64 * 1024 + 1), keep=True),
        Reply(202, {}, b"x" * 64 * 1024, keep=True),
    ]
    with pytest.raises(InvalidReply, match=r"webhook agent-\d+: its url answered with more than 65536 bytes"):
        place.activate(found)
    assert place.activate(found)


def test_an_answer_that_takes_for_ever(place: WebhookStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not hold the function: the time of the whole answer is bounded."""
    assert webhook_delivery.SECONDS == 10
    monkeypatch.setattr(webhook_delivery, "SECONDS", 0.5)

    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        while True:
            connection.sendall(b"H")
            time.sleep(0.05)

    with raw_server(drip) as port:
        place.url = f"http://127.0.0.1:{port}/token"
        with pytest.raises(Unavailable, match=r"its url sent no whole reply within 0\.5 s"):
            place.activate(place.target().look())


def test_errors_do_not_tell_the_url(place: WebhookStand) -> None:
    """Its path may be known to few."""
    place.url = f"http://127.0.0.1:{_unused_port()}/hooks/T0KEN?x=T0KEN"
    with pytest.raises(Unavailable, match="its url could not be asked") as down:
        place.activate(place.target().look())
    assert "T0KEN" not in str(down.value)


# --- where it may lead ---


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fe80::1%lo",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fd00:ec2::254",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "127.0.0.1",
        "::1",
    ],
)
def test_names_that_lead_to_metadata(place: WebhookStand, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to a link-local address, metadata of AWS or this machine is refused before a connection is
    made, also beside an address that is allowed, and already in the preflight."""

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", ("192.0.2.1", port)), (0, 0, 0, "", (address, port))]

    connected: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: connected.append(a))
    place.url = "https://agent.example/hook"
    target = place.target()
    found = target.look()
    (said,) = target.refusals(found, place.new, None)
    assert "agent.example resolves to" in said
    with pytest.raises(InvalidConfiguration, match="where no receiver of webhooks may be"):
        place.activate(found)
    assert connected == []


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "2852039166", "0xa9.0xfe.0xa9.0xfe", "[::ffff:a9fe:a9fe]"]
)
def test_addresses_of_metadata(place: WebhookStand, host: str) -> None:
    """Also where the address is written out, in whatever way."""
    place.url = f"https://{host}/latest/api/token"
    with pytest.raises(InvalidConfiguration, match="metadata of AWS"):
        place.activate(place.target().look())


def test_what_was_judged_is_what_is_asked(place: WebhookStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to something else a moment later (DNS rebinding) leads nowhere: it is resolved once."""
    asked, connected = [], []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", ("192.0.2.1" if len(asked) == 1 else "169.254.169.254", port))]

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError("scripted")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    place.url = "https://agent.example:8443/hook"
    with pytest.raises(Unavailable, match="scripted"):
        place.activate(place.target().look())
    assert (asked, connected) == (["agent.example"], [("192.0.2.1", 8443)])


def test_a_name_that_does_not_resolve(place: WebhookStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may do so later."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    place.url = "https://agent.example/hook"
    with pytest.raises(Unavailable, match=r"agent\.example does not resolve"):
        place.activate(place.target().look())


@pytest.mark.parametrize(("name", "trusted"), [("localhost", True), ("other.example", False)])
def test_tls_is_verified(
    place: WebhookStand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool
) -> None:
    """The connection goes to an address, and the certificate must still be of the URL's host."""
    root = build("Root", ca=True)
    leaf = build(name, issuer=root)
    (tmp_path / "roots.pem").write_text(root.pem)
    monkeypatch.setattr("certifi.where", lambda: str(tmp_path / "roots.pem"))
    acme_http._context.cache_clear()
    context = tls_context(pem(leaf), leaf.key_pem)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as served:
            received = served.recv(65_536)
            while b"}" not in received:
                received += served.recv(65_536)
            served.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    try:
        with raw_server(handle) as port:
            place.url = f"https://localhost:{port}/hook"
            found = place.target().look()
            if trusted:
                assert place.activate(found)
            else:
                with pytest.raises(
                    InvalidConfiguration, match=r"its url: its TLS certificate is not trusted .*public CA"
                ):
                    place.activate(found)
    finally:
        acme_http._context.cache_clear()


# --- reports ---


def test_reported_as_failed(place: WebhookStand) -> None:
    """It is final, and says what the receiver says, bounded and without what a terminal would act on. What was there
    before is asked for, and a new rollout is a new event."""
    found = place.target().look()
    place.agent.says = {"status": "failed", "message": "no\x1b]0;space\x07 left\n" + "x" * 2_000}
    place.activate(found)
    place.agent.work()
    for _ in range(2):
        with pytest.raises(
            ServiceRefused, match=r"reported that it failed: no \]0;space left x+…; look at its log"
        ) as failed:
            place.activate(found)
        assert len(str(failed.value)) < 650
    place.agent.says = {"status": "done"}
    assert place.restore(found, place.earlier)
    place.agent.work()
    assert place.restore(found, place.earlier) is None
    again = place.target().look()
    assert again.fingerprint == place.earlier.fingerprint
    place.activate(again)
    ids = [each["id"] for each in place.agent.events]
    assert len(set(ids)) == 3


def test_not_reported_and_taken_back(place: WebhookStand) -> None:
    """Once what was there before is asked for, a late report on the new version is refused, and stands for nothing."""
    found = place.target().look()
    place.activate(found)
    (late,) = place.agent.queue
    place.agent.queue.clear()
    assert place.restore(found, place.earlier)
    restoring = place.agent.events[-1]
    assert restoring["replaces"] == late["id"]
    assert place.agent.tell(late["id"], {"status": "done"}) == 409
    assert place.target().look().fingerprint == place.earlier.fingerprint
    with pytest.raises(ChangedMeanwhile, match="another rollout"):
        place.activate(found)  # a step that runs late
    place.agent.work()
    assert place.restore(found, place.earlier) is None


def test_restoring_what_perennial_never_put_there(stand: Callable[..., WebhookStand]) -> None:
    """At the first rollout nothing is known of what was there: the event names no version, and which event to undo."""
    place = stand(begun=False)
    found = place.target().look()
    assert (found.fingerprint, found.host) == ("", "")
    place.activate(found)
    place.agent.work()
    assert place.activate(found) is None
    place.restore(found, None)
    event = place.agent.events[-1]
    assert event["type"] == "perennial.certificate.restore"
    unknown = ("version", "fingerprint", "serial", "names", "not_after", "certificate", "chain", "secret")
    assert {event[each] for each in unknown} == {None}
    assert event["replaces"] == place.agent.events[0]["id"]
    place.agent.work()
    assert place.restore(found, None) is None
    assert place.target().look().fingerprint == ""


def test_restoring_tells_what_it_can(place: WebhookStand) -> None:
    """Without the earlier version's material, its number, fingerprint and secret are enough; with it, all is there."""
    found = place.target().look()
    place.activate(found)
    place.restore(found, None)
    told = place.agent.events[-1]
    assert (told["version"], told["fingerprint"], told["certificate"]) == (1, place.earlier.fingerprint, None)
    assert told["secret"] == {"arn": place.stored, "version": place.earlier.secret_version}


def test_restoring_with_the_material(place: WebhookStand) -> None:
    """With it, all is there; material of something else than what was found is not used."""
    for material, certificate in ((place.earlier, place.earlier.certificate_pem), (place.other, None)):
        found = place.target().look()
        place.activate(found)
        place.restore(found, material)
        assert place.agent.events[-1]["certificate"] == certificate


def test_restoring_where_the_receiver_refuses(place: WebhookStand) -> None:
    """That is an error, each time: the receiver was changed and does not go back."""
    found = place.target().look()
    place.activate(found)
    place.agent.work()
    place.agent.replies = [Reply(403), Reply(403)]
    for _ in range(2):
        with pytest.raises(ServiceRefused, match="403"):
            place.restore(found, place.earlier)
    assert place.restore(found, place.earlier)


def test_two_rollouts_at_once(place: WebhookStand) -> None:
    """Of two that looked at the same time, with different versions, one goes on and the other has changed nothing."""
    found = place.target().look()
    place.activate(found)
    with pytest.raises(ChangedMeanwhile):
        place.target().activate(found, place.other, "", _never)
    with pytest.raises(ChangedMeanwhile):
        place.target().restore(found, place.other, "", None)
    assert len(place.agent.came) == 1


def test_writes_at_the_same_time(place: WebhookStand) -> None:
    """Many steps at once ask for one event: whoever is not first reads that one, or ends in an error of ours."""
    found = place.target().look()
    ends: list[object] = []

    def step() -> None:
        try:
            ends.append(place.activate(found))
        except PerennialError as error:
            ends.append(error.reason)

    threads = [threading.Thread(target=step) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(ends) == 6
    assert len({each["id"] for each in place.agent.events}) == 1
    assert len(place.agent.queue) == 1


# --- refusals ---


def test_refusals(place: WebhookStand, stand: Callable[..., WebhookStand]) -> None:
    """Each is a sentence that says what to do."""
    found = place.target().look()
    kept = replace(place.new, secret="", secret_version="")
    (said,) = place.target().refusals(found, kept, None)
    assert "key is in no secret" in said
    (said,) = place.target().refusals(found, replace(kept, private_key="", arn="arn:aws:acm:x"), None)
    assert 'key_home = "secret"' in said
    for place.more in ({"account": "999999999999"}, {"region": "us-east-1"}):
        (said,) = place.target().refusals(found, place.new, None)
        assert "leave account and region out" in said
    place.more = {"account": "123456789012", "region": "eu-west-1"}
    assert place.target().refusals(found, place.new, None) == []
    environment: Any = place.deployment.environment
    del environment["PERENNIAL_CALLBACK_URL"]
    (said,) = place.target().refusals(found, place.new, None)
    assert "PERENNIAL_CALLBACK_URL is not set; deploy the stack again" in said


def test_refusals_of_the_secret(place: WebhookStand) -> None:
    """A secret that is not there, and one that holds no key; what it holds instead is not told."""
    found = place.target().look()
    place.secrets.put_secret_value(SecretId=place.secret, SecretString='{"key": "Tr0ub4dor&3"}')
    (said,) = place.target().refusals(found, place.new, None)
    assert "must hold" in said
    assert "Tr0ub4dor" not in said
    place.secret = "perennial/webhooks/none"
    (said,) = place.target().refusals(found, place.new, None)
    assert "secretsmanager:GetSecretValue of perennial/webhooks/none" in said


def test_outside_of_a_deployment(place: WebhookStand) -> None:
    """There is no table then."""
    with pytest.raises(InvalidConfiguration, match="use it from the hub"):
        kind("webhook").target(place.settings, replace(place.reach, deployment=None))


# --- fields ---

URLS = {
    "https://agent.example/hook": True,
    "https://agent.example": True,
    "https://agent.example:8443/a/b?x=1&y=%20": True,
    "https://[2001:db8::1]:8443/": True,
    "https://10.0.0.7/hook": True,
    "http://127.0.0.1:8080/hook": True,
    "http://localhost/hook": True,
    "http://[::1]:8080/hook": True,
    "http://agent.example/hook": False,
    "http://127.0.0.1.agent.example/": False,
    "http://localhost.agent.example/": False,
    "http://localhost@agent.example/": False,
    "https://user@agent.example/hook": False,
    "https://user:secret@agent.example/hook": False,
    "https://agent.example/hook#part": False,
    "https://agent.example/ hook": False,
    "https://agent.example\\@other.example/": False,
    "https://agent.example/\r\nX: y": False,
    "https://agent.example/hook\n": False,
    "https:///hook": False,
    "https://-agent.example/": False,
    "file:///etc/passwd": False,
    "https://agent.example/" + "x" * 2_000: False,
}
SECRETS = {
    "perennial/webhooks/agent": True,
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:perennial/webhooks/agent-AbCdEf": True,
    "perennial/webhooks/": False,
    "perennial/certificates/shop": False,
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:perennial/certificates/shop-AbCdEf": False,
    "x/perennial/webhooks/agent": False,
    "perennial/webhooks/agent*": False,
}


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [("url", *each) for each in URLS.items()] + [("secret", *each) for each in SECRETS.items()],
)
def test_what_a_field_takes(name: str, text: str, fits: bool) -> None:
    """An https URL without credentials and fragment, http on loopback alone; a secret of webhooks and no other."""
    (declared,) = (each for each in kind("webhook").FIELDS if each.name == name)
    assert declared.needed
    assert bool(re.fullmatch(declared.pattern, text)) == fits


def test_the_agent_is_independent(place: WebhookStand) -> None:
    """The agent of these tests refuses what is not signed: it judges by its own code."""
    headers = signed("x", place.seconds(), b"{}", KEY)
    assert place.agent.take(headers, b"{ }").status == 401
    assert place.agent.take({**headers, "webhook-timestamp": str(place.seconds() + 1)}, b"{}").status == 401
