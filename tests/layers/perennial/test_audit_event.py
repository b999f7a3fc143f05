"""Audit events: what may be kept, what is hashed, and what a document must be to be one."""

from __future__ import annotations

import base64
import json
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from hypothesis import given
from hypothesis import strategies as st

from certificates import build
from key_search import Known
from perennial import audit_json
from perennial.audit_event import (
    ACTIONS,
    MAX_DEPTH,
    MAX_EVENT,
    MAX_LINE,
    MAX_TEXT,
    MAX_VALUES,
    REFUSED,
    Event,
    admit,
    document,
    fitting,
    happened,
    of,
    text,
)
from perennial.audit_secrets import WITHHELD, looks_secret, secret_in
from perennial.errors import InvalidInput

NOW = datetime(2026, 11, 1, 12, 0, 1, 250_000, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "id": "0123456789abcdef" * 2,
    "at": NOW,
    "principal": "arn:aws:iam::123456789012:user/jo",
    "source": "api",
    "action": "managed.change",
    "subject_kind": "managed",
    "subject": "shop",
    "owner": "web",
    "before": {"days": 90, "names": ["shop.example.com"]},
    "after": {"days": 47, "names": ["shop.example.com", "é"], "paused": False, "window": None},
    "why": "90 days are too long",
    "request": "r-1",
}
EVENT = Event(**FACTS)


# --- the canonical text ---


def test_the_canonical_text() -> None:
    """Sorted members, no spaces, in UTF-8, the time in microseconds: this text is hashed, and must never change."""
    assert text(EVENT) == (
        '{"action":"managed.change","after":{"days":47,"names":["shop.example.com","é"],"paused":false,"window":null},'
        '"at":"2026-11-01T12:00:01.250000Z","before":{"days":90,"names":["shop.example.com"]},'
        '"id":"0123456789abcdef0123456789abcdef","outcome":"done","owner":"web",'
        '"principal":"arn:aws:iam::123456789012:user/jo","reason":"","request":"r-1","schema":1,"source":"api",'
        '"subject":"shop","subject_kind":"managed","why":"90 days are too long"}'
    )


def test_a_time_of_another_zone_is_the_same_event() -> None:
    """Times are kept in UTC."""
    berlin = NOW.astimezone(timezone(timedelta(hours=1)))
    assert text(replace(EVENT, at=berlin)) == text(EVENT)


def test_events_do_not_change() -> None:
    """An event is frozen, and holds copies of what it was given."""
    given_state = {"names": ["a"]}
    made = replace(EVENT, after=given_state)
    given_state["names"].append("b")
    assert made.after == {"names": ["a"]}
    with pytest.raises(FrozenInstanceError):
        made.subject = "other"  # type: ignore[misc]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=12,
)


@given(PLAIN, PLAIN)
def test_round_trip(before: Any, after: Any) -> None:
    """What is kept is read again as it was, through its JSON text, and has the same canonical text."""
    made = replace(EVENT, before=before, after=after)
    again = of(audit_json.parsed(json.dumps(document(made)), "event", 10**6))
    assert again == made
    assert text(again) == text(made)


# --- limits ---

deep: Any = "x"
for _ in range(MAX_DEPTH + 2):
    deep = [deep]
REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no zone": ({"at": NOW.replace(tzinfo=None)}, "has no zone"),
    "an id of other digits": ({"id": "0" * 31}, "event.id is not an id of 32"),
    "no principal": ({"principal": ""}, "event.principal is not a text of 1 to 500"),
    "a long principal": ({"principal": "x" * (MAX_LINE + 1)}, "event.principal is not"),
    "an escape sequence": ({"principal": "\x1b[2J"}, "event.principal is not"),
    "text that turns": ({"subject": "\u202eabc"}, "event.subject is not"),
    "two lines": ({"why": "a\nb"}, "event.why is not"),
    "another kind of value": ({"why": 5}, "event.why is not"),
    "a source that is none": ({"source": "API!"}, "event.source is not"),
    "an action that is none": ({"action": "renew"}, "event.action is not an action like"),
    "a kind of subject": ({"subject_kind": "Managed Certificate"}, "event.subject_kind is not a kind"),
    "an outcome": ({"outcome": "maybe"}, "event.outcome is not one of done, refused"),
    "refused without a reason": ({"outcome": REFUSED}, "that is refused has a reason"),
    "a reason without refusal": ({"reason": "why"}, "that is refused has a reason"),
    "a fraction": ({"after": {"share": 0.5}}, "has a float; give plain JSON"),
    "NaN": ({"after": float("nan")}, "has a float"),
    "bytes": ({"after": b"x"}, "has a bytes"),
    "a set": ({"after": {"x"}}, "has a set"),
    "a great number": ({"after": 2**53}, "more than 53 bits"),
    "members that are no texts": ({"after": {1: "x"}}, "whose name is no text"),
    "half a character": ({"after": "\ud800"}, "UTF-8 cannot write"),
    "half a character in a name": ({"after": {"\ud800": 1}}, "UTF-8 cannot write"),
    "a long text": ({"after": "x" * (MAX_TEXT + 1)}, "at most 16000 are kept"),
    "too deep": ({"after": deep}, "deeper than 12"),
    "too many values": ({"after": [0] * (MAX_VALUES + 1)}, "more than 2000 values"),
    "too large": ({"after": ["x" * MAX_TEXT] * 5}, f"at most {MAX_EVENT} are kept"),
}


@pytest.mark.parametrize(("wrong", "said"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_kept(wrong: dict[str, Any], said: str) -> None:
    """Each limit is an error that names the member in a bounded, printable line."""
    with pytest.raises(InvalidInput, match=said) as caught:
        Event(**{**FACTS, **wrong})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_new_events_are_of_the_registry() -> None:
    """A new event has an action and a source that are known; one that is read may be of another release."""
    later = replace(EVENT, action="campaign.start", source="agent")
    assert of(document(later)) == later
    for wrong in (later, replace(EVENT, action="campaign.start"), replace(EVENT, source="agent")):
        with pytest.raises(InvalidInput, match=r"see perennial\.audit_event\.ACTIONS"):
            admit(wrong)
    for action in ACTIONS:
        admit(replace(EVENT, action=action))


def test_happened_makes_new_events() -> None:
    """With an id of its own, and admitted."""
    facts = {name: value for name, value in FACTS.items() if name not in ("id", "at")}
    first, second = happened(NOW, **facts), happened(NOW, **facts)
    assert first.id != second.id
    assert replace(first, id=EVENT.id) == EVENT
    with pytest.raises(InvalidInput, match="leave the secret out"):
        happened(NOW, **{**facts, "after": {"password": "x"}})


# --- documents from elsewhere ---

GOOD = document(EVENT)
DOCUMENTS: dict[str, tuple[Any, str]] = {
    "no object": ([GOOD], "is not an object"),
    "null": (None, "is not an object"),
    "another schema": ({**GOOD, "schema": 2}, "has another schema than 1"),
    "a schema of another type": ({**GOOD, "schema": True}, "schema is not a whole number"),
    "no schema": ({name: value for name, value in GOOD.items() if name != "schema"}, "has another schema"),
    "a member is missing": ({name: value for name, value in GOOD.items() if name != "why"}, "has no member why"),
    "one more": ({**GOOD, "x\x1b": 1}, "has the member x\N{REPLACEMENT CHARACTER}"),
    "another spelling of the time": ({**GOOD, "at": "2026-11-01T13:00:01.250000+01:00"}, "is not a time in UTC"),
    "a time without zone": ({**GOOD, "at": "2026-11-01T12:00:01.250000"}, "is not a time in UTC"),
    "no time": ({**GOOD, "at": "yesterday"}, "is not a time"),
    "a time of another kind": ({**GOOD, "at": 1}, "is not a text"),
}


@pytest.mark.parametrize(("wrong", "said"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_what_is_no_event(wrong: Any, said: str) -> None:
    """The reader takes what `document` writes and nothing else."""
    with pytest.raises(InvalidInput, match=said):
        of(wrong)


def test_every_member_is_hashed() -> None:
    """No two events that differ in one member have the same text."""
    others: dict[str, Any] = {
        "id": "f" * 32,
        "at": NOW + timedelta(microseconds=1),
        "outcome": REFUSED,
        "reason": "no",
        "subject_kind": "issuer",
        "action": "managed.renew",
        "source": "cli",
    }
    texts = {text(EVENT)}
    for each in fields(Event):
        wrong = {each.name: others.get(each.name, "x")}
        if each.name in ("outcome", "reason"):
            wrong = {"outcome": REFUSED, "reason": each.name}
        texts.add(text(replace(EVENT, **wrong)))
    assert len(texts) == len(fields(Event)) + 1


# --- secrets ---


def spelt(kind: str) -> dict[str, str]:
    """A private key in the forms in which it may come along."""
    built = build("audit.example.com", key=kind)
    der = built.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    twice = base64.b64encode(built.key_pem.encode()).decode()
    return {
        "PEM": built.key_pem,
        "PEM behind a certificate": built.pem + built.key_pem,
        "PEM with written-out lines": built.key_pem.replace("\n", "\\n"),
        "PEM in JSON": json.dumps({"a": {"b": [built.key_pem]}}),
        "PEM in base64": twice,
        "DER in base64": base64.b64encode(der).decode(),
        "DER in base64url": base64.urlsafe_b64encode(der).decode(),
        "DER in hexadecimal": der.hex(),
        "the first line of PEM": built.key_pem.splitlines()[0],
    }


KEYS = {(kind, form): value for kind in ("EC-256", "RSA-2048", "Ed25519") for form, value in spelt(kind).items()}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
TOKENS = {
    "JWT": JWT,
    "bearer": "Authorization: Bearer abcdefghijklmnopqrstuvwx",
    "basic": "Basic dXNlcjpjb3JyZWN0IGhvcnNl",
    "age": "AGE-SECRET-KEY-1QQQQ",
}


@pytest.mark.parametrize("value", KEYS.values(), ids=map(" ".join, KEYS))
@pytest.mark.parametrize("where", ["before", "after"])
def test_private_keys_are_refused(value: str, where: str) -> None:
    """In every spelling, wherever in the state it lies, and nothing of it is in the error."""
    for state in (value, [value], {"tls": {"key": value}}, {value[:MAX_LINE]: 1} if len(value) < MAX_LINE else [value]):
        with pytest.raises(InvalidInput, match="leave the secret out") as caught:
            admit(replace(EVENT, **{where: state}))
        assert not Known.of((), [value]).shown_in(str(caught.value))


@pytest.mark.parametrize("value", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("member", ["principal", "subject", "owner", "why", "request"])
def test_tokens_are_refused(value: str, member: str) -> None:
    """Also in the words of a person, and in names."""
    with pytest.raises(InvalidInput, match=f"{member} looks like a private key or a token"):
        admit(replace(EVENT, **{member: value}))


def test_containers_are_refused() -> None:
    """A PKCS #12 container is not opened, and not kept."""
    built = build("audit.example.com")
    container = pkcs12.serialize_key_and_certificates(b"x", built.key, None, None, NoEncryption())
    assert looks_secret(base64.b64encode(container).decode())


NAMED = [
    "password",
    "db_password",
    "Passphrase",
    "private_key",
    "secret_access_key",
    "api-key",
    "client_secret",
    "hmac_key",
]


@pytest.mark.parametrize("name", NAMED)
def test_members_that_are_named_as_secrets(name: str) -> None:
    """Whatever text they hold; a reference to a secret is none."""
    assert "named as a secret" in secret_in({"a": [{name: "horse"}]}, "after")
    assert secret_in({name: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x"}, "after") == ""
    assert secret_in({name: None}, "after") == secret_in({name: ""}, "after") == ""


def test_a_private_jwk_is_refused() -> None:
    """A public one is none."""
    public = {"kty": "EC", "crv": "P-256", "x": "abc", "y": "def"}
    assert secret_in(public, "after") == ""
    assert "(JWK)" in secret_in([{**public, "d": "ghi"}], "after")


def test_what_is_no_secret_is_kept() -> None:
    """Certificates, requests, fingerprints, ARNs and references are what an audit is about."""
    built = build("audit.example.com")
    for value in (
        built.pem,
        base64.b64encode(built.der).decode(),
        built.der.hex(),
        "a" * 64,
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tls/shop-AbCdEf",
        "-----BEGIN CERTIFICATE REQUEST-----",
        "the private key stays in KMS; the password was changed",
    ):
        assert not looks_secret(value), value
    admit(
        replace(EVENT, after={"secret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x", "chain": built.pem})
    )


# --- what fits ---


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    name: str
    at: datetime
    colour: Colour
    share: float
    names: tuple[str, ...]
    kinds: frozenset[str]
    der: bytes
    private_key: str = "horse"


def test_anything_can_be_made_to_fit() -> None:
    """Dataclasses, times, fractions and bytes become plain; what looks secret is withheld, so that an event about a
    change that happened can be kept."""
    key = spelt("EC-256")["PEM"]
    made = fitting({"thing": Thing("a", NOW, Colour.RED, 0.5, ("x", "y"), frozenset("ba"), b"\x01"), "key": key})
    assert made == {
        "thing": {
            "name": "a",
            "at": NOW.isoformat(),
            "colour": "red",
            "share": "0.5",
            "names": ["x", "y"],
            "kinds": ["a", "b"],
            "der": "01",
            "private_key": WITHHELD,
        },
        "key": WITHHELD,
    }
    admit(replace(EVENT, after=made))


@given(
    st.text(max_size=50) | st.floats() | st.integers() | st.binary(max_size=50) | st.dictionaries(st.text(), st.text())
)
def test_what_fits_is_taken(value: Any) -> None:
    """Whatever was made to fit can be kept."""
    admit(replace(EVENT, after=fitting(value)))


def test_long_texts_are_cut() -> None:
    """With how long they were; half characters are replaced."""
    made = fitting("x" * 100_000 + "\ud800")
    assert made.endswith("(cut: 100001 characters)")
    admit(replace(EVENT, after=made))


PUBLIC = {"kty": "EC", "x": "abc"}
TOO_MUCH: dict[str, Any] = {
    "many values": list(range(5_000)),
    "many bytes": ["x" * 1_900] * 50,
    "deep": deep,
    "a long name": {"x" * 10_000: 1},
    "a key as a name": {KEYS["EC-256", "PEM"]: 1},
    "a private JWK": {**PUBLIC, "d": "ghi"},
    "half a character in a name": {"\ud800": 1},
}


@pytest.mark.parametrize("value", TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_is_made_to_fit(value: Any) -> None:
    """Whatever the state is, the event about it can be kept, with both of its states."""
    made = fitting(value)
    admit(replace(EVENT, before=made, after=made))
    assert not Known.of((), [KEYS["EC-256", "PEM"]]).shown_in(text(replace(EVENT, after=made)))
