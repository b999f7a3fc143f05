"""Reports of receivers: who may report, what is kept, and what a stranger learns."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estate import NOW, Estate
from perennial import callbacks
from perennial.callbacks import Answer, Request
from perennial.errors import ConcurrentChange, InvalidConfiguration, Unavailable
from perennial.webhook_receiver import Answered, Deployed, Receiver, Wish, asked, noted, receiver_id, receiver_of
from webhook_agent import signed

KEY = b"k" * 32
SECRET = "perennial/webhooks/agent"
NEW = Deployed(version=2, fingerprint="b" * 64, secret="arn:aws:secretsmanager:x", secret_version="v2")
DONE = {"status": "done", "message": "deployed to 3 hosts"}


class Hub:
    """A table and a secret in memory, and one receiver that was asked for version 2."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.inventory = estate.deployment.inventory
        self.secrets: Any = estate.deployment.clients("secretsmanager")
        content = json.dumps({"key": f"whsec_{base64.b64encode(KEY).decode()}"})
        self.secrets.create_secret(Name=SECRET, SecretString=content)
        self.ask(Receiver(id=receiver_id("shop", "agent"), managed="shop", target="agent", secret=SECRET))

    def ask(self, receiver: Receiver, wish: Wish = Wish.DEPLOY) -> None:
        hour = timedelta(hours=1)
        made = asked(receiver, wish, NEW, since=receiver.revision, now=NOW, deadline=hour, until=NOW + hour)
        self.id = self.inventory.save_receiver(made).event.id

    @property
    def receiver(self) -> Receiver:
        found = self.inventory.receiver(receiver_id("shop", "agent"))
        assert found is not None
        return found

    def receive(self, content: object = DONE, event_id: str = "", **more: str) -> Answer:
        """A report, signed as it should be but for what `more` says."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = signed(event_id or self.id, int(NOW.timestamp()), body, KEY)
        changed = {name.replace("_", "-"): value for name, value in more.items()}
        return self.send({**headers, **changed}, body, event_id)

    def send(self, headers: Mapping[str, str], body: bytes, event_id: str = "") -> Answer:
        request = Request(id=event_id or self.id, headers=headers, body=body)
        return callbacks.receive(self.inventory, self.secrets, request, self.estate.clock())


@pytest.fixture
def hub(estate: Estate) -> Hub:
    return Hub(estate)


def test_done(hub: Hub) -> None:
    """What was asked for is what is there from now on; who asks is told nothing more than that."""
    answer = hub.receive()
    assert (answer.status, answer.document(), answer.about) == (200, {"status": "recorded"}, "shop/agent")
    assert hub.receiver.there == NEW
    assert hub.receiver.event is not None
    assert (hub.receiver.event.state, hub.receiver.event.message) == (Answered.DONE, "deployed to 3 hosts")


def test_failed(hub: Hub) -> None:
    """What was there before stays; the message is cleaned and cut."""
    assert hub.receive({"status": "failed", "message": "\x1b[31mdisk\tfull\u202e" + "x" * 900}).status == 200
    assert hub.receiver.there == Deployed()
    assert hub.receiver.event is not None
    assert hub.receiver.event.state is Answered.FAILED
    assert hub.receiver.event.message.startswith("[31mdisk full x")
    assert len(hub.receiver.event.message) == 500


def test_reported_twice(hub: Hub) -> None:
    """The same report again is 200 and writes nothing; another one is 409, and the first stays."""
    hub.receive()
    before = hub.receiver
    assert hub.receive().status == 200
    for other in ({"status": "failed"}, {"status": "done"}, {**DONE, "message": "more"}):
        answer = hub.receive(other)
        assert (answer.status, "stays" in answer.error) == (409, True)
    assert hub.receiver == before


def test_before_it_is_known_to_be_taken(hub: Hub) -> None:
    """A report is taken at any state of the event: also where the answer to it was lost, or was a refusal."""
    for state in (Answered.SENT, Answered.REFUSED, Answered.ACCEPTED):
        hub.inventory.save_receiver(noted(hub.receiver, state))
        assert hub.receive().status == 200
        assert hub.receiver.there == NEW
        hub.ask(replace(hub.receiver, there=Deployed()))


def test_an_event_that_another_followed(hub: Hub) -> None:
    """It can no longer be reported on; a repetition of what was reported before is still 200."""
    told, untold = hub.id, ""
    hub.receive()
    hub.ask(hub.receiver)
    untold = hub.id
    hub.ask(hub.receiver, Wish.RESTORE)
    before = hub.receiver
    assert hub.receive(event_id=told).status == 200
    assert hub.receive({"status": "failed"}, event_id=told).status == 409
    answer = hub.receive(event_id=untold)
    assert (answer.status, "drop it" in answer.error) == (409, True)
    assert hub.receiver == before


def test_events_long_past(hub: Hub) -> None:
    """Four are remembered; one before them is as one that never was."""
    ids = [hub.id]
    for _ in range(5):
        hub.ask(hub.receiver)
        ids.append(hub.id)
    assert [hub.receive(event_id=each).status for each in ids] == [401, 409, 409, 409, 409, 200]


# --- strangers ---


def test_a_stranger_learns_nothing(hub: Hub) -> None:
    """An id that is not there, one of another event of the same receiver, and a signature that does not fit are one
    answer; for the first two not even the secret is read."""
    wrong = [
        hub.receive(webhook_signature=f"v1,{base64.b64encode(b'x' * 32).decode()}"),
        hub.receive(event_id="0" * 64),
        hub.receive(event_id=receiver_of(hub.id) + "0" * 32),
        hub.receive(webhook_id="0" * 64),
    ]
    hub.secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
    wrong += [hub.receive(event_id="0" * 64), hub.receive(event_id=receiver_of(hub.id) + "0" * 32)]
    assert {(each.status, each.error, each.about) for each in wrong} == {(401, wrong[0].error, "")}
    assert hub.receiver.there == Deployed()


def test_a_report_on_another_event(hub: Hub) -> None:
    """A report that was overheard cannot be sent to the callback of another event of the same receiver."""
    body = json.dumps(DONE).encode()
    heard = signed(hub.id, int(NOW.timestamp()), body, KEY)
    hub.ask(hub.receiver)
    assert hub.send(heard, body).status == 401
    assert hub.receiver.there == Deployed()


def test_our_own_event_is_no_report(hub: Hub) -> None:
    """An event is signed with the same key and id: sent back to us it is refused, as it has other fields."""
    for body in ({"type": "perennial.certificate.deploy", "id": hub.id}, {**DONE, "type": "x"}):
        answer = hub.receive(body)
        assert (answer.status, "nothing else" in answer.error) == (400, True)
    assert hub.receiver.there == Deployed()


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_recording(hub: Hub, seconds: int) -> None:
    """What was signed more than five minutes before or after now is refused, and says that clocks may be the cause."""
    hub.estate.clock.now = NOW + timedelta(seconds=seconds)
    answer = hub.receive()
    assert (answer.status, "set the clock" in answer.error) == (401, True)
    hub.estate.clock.now = NOW + timedelta(seconds=300)
    assert hub.receive().status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 16_000, "not JSON"),
        (b"[]", "nothing else"),
        (b'"done"', "nothing else"),
        (b"{}", "a report is"),
        (b'{"status": "maybe"}', "a report is"),
        (b'{"status": ["done"]}', "a report is"),
        (b'{"status": "done", "message": 7}', "a report is"),
        (b'{"status": "done", "at": "now"}', "nothing else"),
    ],
)
def test_bodies_that_are_no_report(hub: Hub, body: bytes, said: str) -> None:
    """Each is 400 with what a report is; nothing is kept. Before the signature is verified none of it is read."""
    answer = hub.receive(body)
    assert (answer.status, said in answer.error) == (400, True)
    assert hub.receive(body, webhook_signature="v1,AAAA").status == 401
    assert hub.receiver.there == Deployed()


def test_sizes_and_types(hub: Hub) -> None:
    """16 KB are taken and more is 413; anything but JSON is 400; a path that is no id is 404."""
    rest = 16 * 1024 - len(json.dumps({"status": "done", "message": ""}))
    assert hub.receive({"status": "done", "message": "x" * (rest + 1)}).status == 413
    assert hub.receive(content_type="text/plain").status == 400
    assert hub.receive(content_type="").status == 400
    assert [hub.receive(event_id=each).status for each in ("x", "0" * 63, "A" * 64, "0" * 64 + "\n", "../" * 21)] == (
        [404] * 5
    )
    assert hub.receive(webhook_timestamp="now").status == 400
    assert hub.receive(content_type="Application/JSON; charset=utf-8", content={"status": "done"}).status == 200


def test_the_largest_report(hub: Hub) -> None:
    """One of exactly 16 KB is taken."""
    rest = 16 * 1024 - len(json.dumps({"status": "done", "message": ""}))
    assert hub.receive({"status": "done", "message": "x" * rest}).status == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    event_id=st.text(max_size=80),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(max_size=80)
    ),
    body=st.binary(max_size=100),
)
def test_whatever_is_sent(hub: Hub, event_id: str, headers: dict[str, str], body: bytes) -> None:
    """Any request has an answer that is not 200."""
    assert hub.send(headers, body, event_id).status in (400, 401, 404)


# --- faults ---


class Busy:
    """A table on which somebody else writes first, some times."""

    def __init__(self, hub: Hub, times: int) -> None:
        self.hub, self.times = hub, times

    def receiver(self, named: str) -> Receiver | None:
        return self.hub.inventory.receiver(named)

    def save_receiver(self, receiver: Receiver) -> Receiver:
        if self.times:
            self.times -= 1
            self.hub.inventory.save_receiver(noted(self.hub.receiver, Answered.ACCEPTED))
        return self.hub.inventory.save_receiver(receiver)


def _send_to(busy: Busy) -> Answer:
    body = json.dumps(DONE).encode()
    headers = signed(busy.hub.id, int(NOW.timestamp()), body, KEY)
    return callbacks.receive(busy, busy.hub.secrets, Request(id=busy.hub.id, headers=headers, body=body), NOW)


def test_a_rollout_that_writes_at_the_same_time(hub: Hub) -> None:
    """The report is not lost: it is read again, and written."""
    assert _send_to(Busy(hub, 2)).status == 200
    assert hub.receiver.there == NEW


def test_a_record_that_is_written_all_the_time(hub: Hub) -> None:
    """In the end the receiver is to repeat it."""
    with pytest.raises(ConcurrentChange, match="repeats its report"):
        _send_to(Busy(hub, 99))


def test_a_secret_that_holds_no_key(hub: Hub) -> None:
    """Nobody can be verified then: an error of ours, not an answer."""
    hub.secrets.put_secret_value(SecretId=SECRET, SecretString="{}")
    with pytest.raises(InvalidConfiguration):
        hub.receive()


def test_a_table_that_does_not_answer(hub: Hub) -> None:
    """It is an error that may pass."""

    class Down(Busy):
        def receiver(self, named: str) -> Receiver | None:
            from botocore.exceptions import ReadTimeoutError

            raise ReadTimeoutError(endpoint_url="https://dynamodb.example")

    with pytest.raises(Unavailable, match="dynamodb:GetItem"):
        _send_to(Down(hub, 0))


def test_texts_show_neither_headers_nor_body(hub: Hub) -> None:
    """A request that stands in a message or a log is its id."""
    assert repr(Request(id="x", headers={"cookie": "theirs"}, body=b"theirs")) == "Request(id='x')"


# --- the record ---


def test_a_record_is_read_back(hub: Hub) -> None:
    """Whatever it holds is the same after it was written and read; a write needs the revision that is there."""
    hub.receive({"status": "done", "message": 'a"b'})
    hub.ask(hub.receiver, Wish.RESTORE)
    full = hub.receiver
    assert full.event is not None
    assert (full.revision, full.event.wish, len(full.earlier), full.waits) == (3, Wish.RESTORE, 1, True)
    saved = hub.inventory.save_receiver(full)
    assert saved == replace(full, revision=4) == hub.receiver
    for stale in (full, replace(full, revision=0)):
        with pytest.raises(ConcurrentChange, match="webhook agent of shop"):
            hub.inventory.save_receiver(stale)
    assert hub.inventory.receiver("0" * 32) is None


def test_ids_cannot_be_guessed(hub: Hub) -> None:
    """An event's id begins with its record's and ends in 128 random bits; two targets have two records."""
    first = hub.id
    hub.ask(hub.receiver)
    assert receiver_of(first) == receiver_of(hub.id) == receiver_id("shop", "agent")
    assert first != hub.id
    assert len({receiver_id("a", "b"), receiver_id("a,b", ""), receiver_id('a", "b', ""), receiver_id("", "ab")}) == 4
