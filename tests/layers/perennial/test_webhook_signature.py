"""Signatures of webhooks: the specification's own vector, OpenSSL as a second opinion, and what is refused."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estate import Estate
from perennial import webhook_signature
from perennial.errors import InvalidConfiguration, InvalidInput, NotFound
from perennial.webhook_signature import matches, parse, read, recent, sign

# The vector of the specification's reference implementations.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
THEN = datetime.fromtimestamp(1_614_265_330, UTC)
BODY = b'{"test": 2432232314}'
EXPECTED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
KEYS = parse(json.dumps({"key": SECRET}), "perennial/webhooks/agent")


def test_the_specifications_vector() -> None:
    """The same id, time, body and secret give the same signature, and it is accepted."""
    headers = sign(ID, THEN, BODY, KEYS)
    assert headers == {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": EXPECTED}
    assert matches(read(headers), BODY, KEYS)


@given(
    message_id=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    seconds=st.integers(0, 4_000_000_000),
    body=st.binary(max_size=200),
    key=st.binary(min_size=24, max_size=64),
)
def test_what_is_signed_is_accepted(message_id: str, seconds: int, body: bytes, key: bytes) -> None:
    """Any message that is signed with any key is accepted with it, and with no other body, id, time or key."""
    found = read(sign(message_id, datetime.fromtimestamp(seconds, UTC), body, (key,)))
    assert matches(found, body, (key,))
    assert not matches(found, body + b" ", (key,))
    assert not matches(found, body, (key + b"0",))
    for other in ({"id": message_id + "0"}, {"seconds": seconds + 1}):
        assert not matches(webhook_signature.Signature(**_fields(found) | other), body, (key,))


def _fields(found: webhook_signature.Signature) -> dict[str, Any]:
    return {"id": found.id, "seconds": found.seconds, "signatures": found.signatures}


def test_openssl_agrees() -> None:
    """OpenSSL's HMAC over id, time and body is the signature."""
    key, body = bytes(range(40)), json.dumps({"name": "ä", "n": [1]}).encode()
    said = sign("abc-1", THEN, body, (key,))["webhook-signature"]
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    done = subprocess.run(command, input=b"abc-1.1614265330." + body, capture_output=True, check=True)
    assert said == f"v1,{base64.b64encode(done.stdout).decode()}"


def test_several_signatures() -> None:
    """Two keys sign while one replaces the other; one that fits is enough, and signatures of other kinds are passed
    over."""
    other = b"o" * 32
    both = sign(ID, THEN, BODY, (other, *KEYS))
    assert both["webhook-signature"].endswith(f" {EXPECTED}")
    assert matches(read(both), BODY, KEYS)
    assert matches(read(both), BODY, (other,))
    assert matches(read({**both, "webhook-signature": f"v1a,AAAA {EXPECTED}"}), BODY, KEYS)
    assert not matches(read({**both, "webhook-signature": "v1,AAAA"}), BODY, KEYS)


@pytest.mark.parametrize("seconds", [-301, -300, 0, 300, 301])
def test_the_tolerance_is_five_minutes(seconds: int) -> None:
    """Either way."""
    found = read(sign(ID, THEN, BODY, KEYS))
    assert recent(found, THEN + timedelta(seconds=seconds)) == (abs(seconds) <= 300)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", ""),
        ("webhook-id", "a.b"),
        ("webhook-id", "a" * 129),
        ("webhook-id", "a\n"),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "1614265330.0"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "١٢٣"),
        ("webhook-timestamp", "9" * 13),
        ("webhook-signature", ""),
        ("webhook-signature", EXPECTED.removeprefix("v1,")),
        ("webhook-signature", "v1a,AAAA"),
        ("webhook-signature", " ".join([EXPECTED] * 11)),
    ],
)
def test_headers_that_are_none(name: str, value: str) -> None:
    """Each is refused in words that quote nothing of it."""
    headers = {**sign(ID, THEN, BODY, KEYS), name: value}
    with pytest.raises(InvalidInput, match=name) as refused:
        read(headers)
    assert not value or value not in str(refused.value)
    with pytest.raises(InvalidInput):
        read({each: said for each, said in headers.items() if each != name})


def _secret(key: object, **more: object) -> str:
    return json.dumps({"key": key, **more})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "[]",
        "[" * 100_000,
        "{}",
        _secret(None),
        _secret(7),
        _secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        _secret("whsec_"),
        _secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!w"),
        _secret("whsec_" + base64.b64encode(b"k" * 23).decode()),
        _secret("whsec_" + base64.b64encode(b"k" * 65).decode()),
        _secret(SECRET, previous="old"),
        _secret(None, previous=SECRET),
    ],
)
def test_secrets_that_hold_no_key(text: str) -> None:
    """Each is refused, with what is expected; nothing of it is quoted, in the message or as its cause."""
    with pytest.raises(InvalidConfiguration, match=r"perennial/webhooks/agent must hold .*store it so") as refused:
        parse(text, "perennial/webhooks/agent")
    assert "MfKQ" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize("length", [24, 64])
def test_keys_from_24_to_64_bytes(length: int) -> None:
    """The specification's bounds."""
    assert parse(_secret("whsec_" + base64.b64encode(b"k" * length).decode()), "x") == (b"k" * length,)


def test_reading_a_secret(estate: Estate) -> None:
    """Current and previous key, in that order; a secret that is not there is NotFound and names the action."""
    secrets: Any = estate.deployment.clients("secretsmanager")
    old = "whsec_" + base64.b64encode(b"o" * 32).decode()
    secrets.create_secret(Name="perennial/webhooks/agent", SecretString=_secret(SECRET, previous=old))
    assert webhook_signature.keys(secrets, "perennial/webhooks/agent") == (*KEYS, b"o" * 32)
    with pytest.raises(NotFound, match="secretsmanager:GetSecretValue of perennial/webhooks/none"):
        webhook_signature.keys(secrets, "perennial/webhooks/none")
