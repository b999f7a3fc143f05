"""Signatures of webhooks: three headers, and HMAC-SHA256 over id, time and body.

The key is the receiver's and ours alone. It is in a secret of the hub, `perennial/webhooks/…`, that holds
{"key": "whsec_<base64>"} and, while a key is replaced, also "previous": then both sign, and either is accepted.

Source: Standard Webhooks 1.0.0 (standardwebhooks.com), "Signature scheme", "Webhook headers", "Verifying signatures".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.clients import meant
from perennial.errors import InvalidConfiguration, InvalidInput

SECRETS = "perennial/webhooks/"  # how the name of every such secret begins
ACTIONS = ("secretsmanager:GetSecretValue",)
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE = 300  # seconds that the two clocks may be apart, either way
KEY_BYTES = range(24, 65)
MAX_SIGNATURES = 10
_PREFIX, _VERSION = "whsec_", "v1,"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # no full stop, which separates what is signed
_SECONDS = re.compile(r"[0-9]{1,12}")
_LOGS = ("botocore.endpoint", "botocore.parsers")  # their DEBUG lines are whole responses: here, keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The three headers of one message. `seconds` is since 1970."""

    id: str
    seconds: int
    signatures: tuple[str, ...]


def keys(secrets: Any, name: str) -> tuple[bytes, ...]:
    """The keys in a secret, the current one first. `secrets` is a Secrets Manager client.

    Raises: InvalidConfiguration where the secret holds none, NotFound, AccessDenied, Throttled, Unavailable.
    """
    for each in _LOGS:
        logging.getLogger(each).setLevel(logging.INFO)
    with meant(f"secretsmanager:GetSecretValue of {name}"):
        text = secrets.get_secret_value(SecretId=name).get("SecretString", "")
    return parse(text, name)


def parse(text: str, name: str) -> tuple[bytes, ...]:
    """The keys in a secret's text. No message quotes it.

    Raises: InvalidConfiguration.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None  # the error quotes the text
    values = [content.get("key"), content.get("previous")] if isinstance(content, dict) else [None]
    found = [_key(each) for each in values if each is not None]
    if not found or values[0] is None or None in found:
        raise InvalidConfiguration(
            f'the secret {name} must hold {{"key": "{_PREFIX}<base64>"}}, of {KEY_BYTES[0]} to {KEY_BYTES[-1]} random '
            'bytes, and "previous" of the same form or not at all; store it so'
        )
    return tuple(each for each in found if each)


def _key(value: object) -> bytes | None:
    if not isinstance(value, str) or not value.startswith(_PREFIX):
        return None
    try:
        key = base64.b64decode(value.removeprefix(_PREFIX), validate=True)
    except ValueError:
        return None
    return key if len(key) in KEY_BYTES else None


def sign(message_id: str, now: datetime, body: bytes, using: Sequence[bytes]) -> dict[str, str]:
    """The headers of a message that is sent now, with one signature for each key."""
    seconds = int(now.timestamp())
    signatures = [_signature(message_id, seconds, body, key) for key in using]
    return {ID: message_id, TIMESTAMP: str(seconds), SIGNATURE: " ".join(signatures)}


def _signature(message_id: str, seconds: int, body: bytes, key: bytes) -> str:
    content = f"{message_id}.{seconds}.".encode() + body
    return _VERSION + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def read(headers: Mapping[str, str]) -> Signature:
    """The three headers; the names are in lower case.

    Raises: InvalidInput.
    """
    message_id, seconds = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    signatures = tuple(each for each in headers.get(SIGNATURE, "").split() if each.startswith(_VERSION))
    if not _ID.fullmatch(message_id) or not _SECONDS.fullmatch(seconds):
        raise InvalidInput(f"{ID} must be an id without full stops, {TIMESTAMP} whole seconds since 1970")
    if not signatures or len(signatures) > MAX_SIGNATURES:
        raise InvalidInput(f"{SIGNATURE} must have one to {MAX_SIGNATURES} signatures as v1,<base64>, between spaces")
    return Signature(id=message_id, seconds=int(seconds), signatures=signatures)


def recent(found: Signature, now: datetime) -> bool:
    """Whether a message was signed within the tolerance of now: what is older may be someone's recording."""
    return abs(now.timestamp() - found.seconds) <= TOLERANCE


def matches(found: Signature, body: bytes, using: Sequence[bytes]) -> bool:
    """Whether one of the signatures is by one of the keys. How long it takes tells nothing of either."""
    expected = [_signature(found.id, found.seconds, body, key).encode() for key in using]
    compared = [hmac.compare_digest(each, said.encode()) for each in expected for said in found.signatures]
    return any(compared)
