"""A private key that Perennial passes by is nowhere afterwards: not in the table, the bucket, an alert or a log."""

from __future__ import annotations

import base64
import gzip
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certificates import Built, build
from estate import HUB, NOW, REGION, Estate
from perennial import discovery, publishing
from perennial.inventory.indexes import SHARDS
from perennial.manifest import Scope
from perennial.scanners import secretsmanager
from perennial.secret_content import content

WINDOW = 20  # characters of a key that are a find
SECRETS = Scope(HUB, REGION, "secretsmanager")
EXPIRED = {"not_before": NOW - timedelta(days=90), "not_after": NOW - timedelta(days=1)}  # so that there are findings
OWNER = build("pem.example.com", key="RSA-2048", **EXPIRED)
KINDS = ["EC-256", "EC-384", "Ed25519", "ML-DSA-44", "RSA-2048", "EC-256", "EC-256", "EC-256"]
OTHERS = [build(f"n{number}.example.com", key=key, **EXPIRED) for number, key in enumerate(KINDS)]


def pkcs1(built: Built) -> str:
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return str(built.key.private_bytes(serialization.Encoding.PEM, form, plain).decode())


def der(built: Built) -> bytes:
    plain = serialization.NoEncryption()
    return bytes(built.key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, plain))


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def planted() -> Iterator[tuple[str, str | bytes]]:
    """Secrets in every form that is read, and in forms that break somewhere on the way."""
    a, b, c, d, e, f, g, h = OTHERS
    yield "pem", OWNER.key_pem + OWNER.pem
    yield "json", json.dumps({"certificate": a.pem, "private_key": a.key_pem, "password": "x"})
    yield "nested", json.dumps({"tls": [{"crt": b.pem, "key": [b.key_pem]}]})
    yield "base64", base64_of(c.key_pem + c.pem)
    yield "base64 in json", json.dumps({"tls.crt": base64_of(d.pem), "tls.key": base64_of(d.key_pem)})
    yield "one line", json.dumps({"bundle": (e.pem + pkcs1(e)).replace("\n", "\\n")})
    yield "binary", f.pem.encode() + der(f)
    yield "key only", g.key_pem
    yield "key in DER", der(h)
    yield "broken json", '{"key": "' + OWNER.key_pem
    yield "key in a certificate's clothes", OWNER.key_pem.replace("PRIVATE KEY", "CERTIFICATE")
    yield "certificate cut off before the key", OWNER.pem[:200] + OWNER.key_pem
    yield "key inside a broken certificate", OWNER.pem.replace("-----END", f"{OWNER.key_pem}-----END")
    yield "not quite base64", base64_of(OWNER.key_pem)[:-1] + "!"
    yield "hexadecimal", der(h).hex()


KEYS = [OWNER, *OTHERS]


def marks() -> set[str]:
    """Every window of every key, as base64 in each of its three alignments, and as hexadecimal."""
    texts = [
        text
        for key in map(der, KEYS)
        for text in (*(base64.b64encode(key[shift:]).decode() for shift in range(3)), key.hex())
    ]
    texts += ["".join(pkcs1(OWNER).split("\n")[1:-2]), base64_of(OWNER.key_pem)]
    public = {text[at : at + WINDOW] for text in _public() for at in range(len(text) - WINDOW + 1)}
    return {text[at : at + WINDOW] for text in texts for at in range(len(text) - WINDOW + 1)} - public


def _public() -> Iterator[str]:
    """What a key's encoding shares with the certificate: the public half and the algorithm."""
    for built in KEYS:
        for shift in range(3):
            yield base64.b64encode(built.der[shift:]).decode()
            yield base64.b64encode(_public_key(built)[shift:]).decode()
        yield built.der.hex()
        yield _public_key(built).hex()
        if isinstance(built.key, RSAPrivateKey):
            modulus = built.key.public_key().public_numbers().n
            yield from (base64.b64encode(modulus.to_bytes(256)[shift:]).decode() for shift in range(3))


def _public_key(built: Built) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(built.key.public_key().public_bytes(serialization.Encoding.DER, form))


def found_in(text: str, wanted: set[str]) -> list[str]:
    """The windows of a text that belong to a key, line breaks and escapes taken out."""
    joined = text.replace("\\n", "").replace("\n", "").replace("\\", "")
    return [joined[at : at + WINDOW] for at in range(len(joined) - WINDOW + 1) if joined[at : at + WINDOW] in wanted]


def kept(estate: Estate) -> Iterator[tuple[str, str]]:
    """Everything that is stored or was sent: table, bucket, Security Hub, alerts."""
    clients = estate.deployment.clients
    table = estate.deployment.environment["PERENNIAL_TABLE"]
    for page in clients("dynamodb").get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            for name, value in item.items():
                (told,) = value.values()
                forms = (base64.b64encode(told).decode(), told.hex()) if isinstance(told, bytes) else (str(told),)
                yield from ((f"table {item['sk']} {name}", form) for form in forms)
    for each in clients("s3").list_objects_v2(Bucket="manifests")["Contents"]:
        body = clients("s3").get_object(Bucket="manifests", Key=each["Key"])["Body"].read()
        yield f"bucket {each['Key']}", (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()
    for finding in clients("securityhub").get_findings(MaxResults=100)["Findings"]:
        yield "Security Hub", json.dumps(finding)
    while messages := clients("sqs").receive_message(QueueUrl=estate.alerts, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            yield "alert", message["Body"]
            clients("sqs").delete_message(QueueUrl=estate.alerts, ReceiptHandle=message["ReceiptHandle"])


def run(estate: Estate) -> None:
    estate.clock.now += timedelta(seconds=1)
    now, deadline = estate.clock.now, estate.clock.now + timedelta(minutes=9)
    result = discovery.scan_scope(estate.deployment, run="run", scope=SECRETS, now=now, deadline=deadline)
    assert result["status"] == "complete"
    for shard in range(SHARDS):
        publishing.assess_due(estate.deployment, shard=shard, now=now, deadline=deadline)
    publishing.publish_due(estate.deployment, now=now, deadline=deadline)


def plant() -> None:
    for name, secret in planted():
        value = {"SecretBinary": secret} if isinstance(secret, bytes) else {"SecretString": secret}
        tags = [{"Key": "perennial:certificate", "Value": "yes"}]
        boto3.client("secretsmanager").create_secret(Name=name.replace(" ", "-"), Tags=tags, **value)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent to the event bus."""
    sent: list[str] = []
    original = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        if operation == "PutEvents":
            sent.append(json.dumps(request))
        return original(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return sent


def test_no_part_of_a_key_is_kept_sent_or_logged(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, events: list[str]
) -> None:
    """Keys in every form of secret are read past: the certificates beside them are inventoried, assessed and told, and
    no twenty characters of a key are anywhere, with every logger at DEBUG."""
    logging.disable(logging.CRITICAL)
    plant()
    logging.disable(logging.NOTSET)
    monkeypatch.setattr(discovery, "scanner", lambda name: secretsmanager.SCANNER)
    with caplog.at_level(logging.DEBUG):
        run(estate)
    wanted = marks()
    for where, text in [*kept(estate), *(("event", text) for text in events), ("log", caplog.text)]:
        assert found_in(text, wanted) == [], where
    titles = {each.subject for each in estate.deployment.inventory.findings()}
    assert titles >= {"pem.example.com", *(f"n{number}.example.com" for number in range(6))}
    assert events


def test_the_search_finds_a_key_that_leaks() -> None:
    """The windows recognise each form of a key in a text, and none of a certificate."""
    wanted = marks()
    for built in KEYS:
        assert found_in(f"log: {built.key_pem}", wanted)
        assert found_in(json.dumps({"key": built.key_pem}), wanted)
        assert found_in(base64.b64encode(b"x" + der(built)).decode(), wanted)
        assert found_in(f"error at {der(built).hex()}", wanted)
        assert found_in(built.pem, wanted) == []
    assert found_in(pkcs1(OWNER), wanted)


@pytest.mark.parametrize("name", [name for name, _ in planted()])
def test_no_error_quotes_the_secret_that_it_failed_on(name: str) -> None:
    """Whatever is wrong with a secret, what is told of it has no part of the key."""
    secret = dict(planted())[name]
    found = content(secret)
    wanted = marks()
    assert found_in(" ".join(found.problems), wanted) == []
    assert all(found_in(str(each), wanted) == [] for each in found.held)
