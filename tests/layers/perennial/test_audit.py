"""The audit trail as a whole: written, asked, exported, covered by checkpoints that are locked away."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import BaseClient
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certificates import build
from estate import REGION, Estate
from perennial import audit
from perennial.audit import Lock, Question, append, asked, checkpoint, export, lock_of
from perennial.audit_checkpoint import (
    FIRST,
    Checkpoint,
    Head,
    document,
    hash_of,
    is_cut,
    key_of,
    load,
    lock_away,
    next_checkpoint,
    of,
    sign,
    signed_by,
    statement,
)
from perennial.audit_event import Event, happened
from perennial.audit_export import check
from perennial.errors import (
    AccessDenied,
    InvalidConfiguration,
    InvalidInput,
    InvalidReply,
    NotFound,
    ServiceRefused,
    Unavailable,
)
from perennial.inventory.items import Item
from perennial.inventory.store import Inventory
from scripted import Error, Script

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = "2026-11-01"
ARN = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PRIVATE = build("audit", key="EC-256").key
DER = PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
YEAR = timedelta(days=365)
HANDLER = Path(__file__).resolve().parents[3] / "functions" / "audit" / "checkpoint.py"


CHECKPOINT = Checkpoint(
    number=3,
    day=DAY,
    at=NOON,
    heads=(Head(shard=0, count=4, hash="a" * 64), Head(shard=2, count=1, hash="b" * 64)),
    previous="c" * 64,
)


class Kms:
    """Signs as KMS does; moto's Sign hashes a digest again."""

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, Any]:
        assert (KeyId, MessageType, SigningAlgorithm) == (ARN, "DIGEST", "ECDSA_SHA_256")
        return {"Signature": PRIVATE.sign(Message, ec.ECDSA(Prehashed(hashes.SHA256())))}


def event(number: int = 0, at: datetime = NOON, **more: Any) -> Event:
    facts: dict[str, Any] = {"principal": "jo", "source": "cli", "action": "managed.renew", "subject_kind": "managed"}
    return Event(**{"id": f"{number:032x}", "at": at + timedelta(seconds=number), "subject": "shop", **facts, **more})


@pytest.fixture
def inventory(estate: Estate) -> Inventory:
    return estate.deployment.inventory


@pytest.fixture
def lock(estate: Estate) -> Lock:
    return lock_in(estate)


def lock_in(estate: Estate) -> Lock:
    """The bucket with Object Lock, and the key."""
    s3 = estate.deployment.clients("s3")
    s3.create_bucket(
        Bucket="audit",
        CreateBucketConfiguration={"LocationConstraint": REGION},
        ObjectLockEnabledForBucket=True,
    )
    return Lock(kms=Kms(), key_id=ARN, s3=s3, bucket="audit", retention=YEAR)


def locked(lock: Lock) -> list[Checkpoint]:
    """What lies in the bucket, in order; each is there in one version."""
    listed = lock.s3.list_object_versions(Bucket=lock.bucket).get("Versions", [])
    keys = [each["Key"] for each in listed]
    assert len(keys) == len(set(keys))
    bodies = (lock.s3.get_object(Bucket=lock.bucket, Key=key)["Body"].read().decode() for key in keys)
    return sorted(map(load, bodies), key=lambda each: each.number)


# --- appended ---


def test_only_what_happens_now_is_appended(inventory: Inventory) -> None:
    """An event of another time would come into a chain that no checkpoint looks at any more."""
    for number, late in enumerate((-audit.EARLY, timedelta(0), audit.LATE)):
        made = event(number)
        append(inventory, made, made.at + late)
    for wrong in (timedelta(minutes=-6), audit.LATE + timedelta(seconds=1)):
        with pytest.raises(InvalidInput, match="give the time of now"):
            append(inventory, event(), NOON + wrong)


# --- asked ---


def test_questions(inventory: Inventory) -> None:
    """By subject, person, action and outcome, each with the others, the newest first, and no more than the limit."""
    made = [
        event(1),
        event(2, principal="al", action="managed.change"),
        event(3, subject="mail", outcome="refused", reason="not yours"),
        event(4, principal="al", outcome="refused", reason="not yours"),
    ]
    for each in made:
        append(inventory, each, each.at)

    def numbers(limit: int = 100, **facts: str) -> list[int]:
        question = Question(since=NOON, until=NOON + timedelta(hours=1), **facts)
        return [int(link.event.id, 16) for link in asked(inventory, question, limit)]

    assert numbers() == [4, 3, 2, 1]
    assert numbers(limit=2) == [4, 3]
    assert numbers(kind="managed", subject="shop") == [4, 2, 1]
    assert numbers(kind="managed", subject="shop", principal="al") == [4, 2]
    assert numbers(principal="al", outcome="refused") == [4]
    assert numbers(action="managed.change") == [2]
    assert numbers(kind="issuer") == []
    with pytest.raises(InvalidInput, match="named by its kind too"):
        numbers(subject="shop")


# --- checkpoints ---


def test_a_checkpoint_covers_what_there_is(inventory: Inventory, lock: Lock) -> None:
    """Each run covers what came since the last one, and makes nothing where nothing came."""
    assert checkpoint(inventory, lock, NOON) == []
    for number in range(20):
        append(inventory, event(number), NOON)
    (first,) = checkpoint(inventory, lock, NOON)
    assert sum(head.count for head in first.heads) == 20
    assert (first.number, first.day, first.previous) == (1, DAY, FIRST)
    assert checkpoint(inventory, lock, NOON + timedelta(hours=1)) == []
    append(inventory, event(20), NOON)
    (second,) = checkpoint(inventory, lock, NOON + timedelta(hours=1))
    assert (second.number, second.previous) == (2, hash_of(first))
    assert locked(lock) == [first, second]
    assert all(signed_by(each, DER) for each in (first, second))


def test_over_midnight(inventory: Inventory, lock: Lock) -> None:
    """What came late into yesterday's chains is covered too, whenever the run comes."""
    midnight = datetime(2026, 11, 2, tzinfo=UTC)
    append(inventory, event(1, midnight - timedelta(minutes=1)), midnight)
    append(inventory, event(2, midnight + timedelta(minutes=1)), midnight + timedelta(minutes=1))
    both = checkpoint(inventory, lock, midnight + timedelta(minutes=5))
    assert [each.day for each in both] == [DAY, "2026-11-02"]
    append(inventory, event(3, midnight - timedelta(minutes=30)), midnight + timedelta(minutes=10))
    (late,) = checkpoint(inventory, lock, midnight + timedelta(hours=1))
    assert (late.day, late.number) == (DAY, 3)
    append(inventory, event(4, midnight + timedelta(hours=2)), midnight + timedelta(hours=2))
    (after_an_outage,) = checkpoint(inventory, lock, midnight + timedelta(days=12))
    assert after_an_outage.day == "2026-11-02"
    lines = list(export(inventory, (DAY, "2026-11-02"), midnight, lambda _: PEM))
    checked = check(lines, lambda _: (DER,))
    assert (checked.holds, checked.events, checked.uncovered_events) == (True, 4, 0)


def test_a_checkpoint_is_locked(inventory: Inventory, lock: Lock) -> None:
    """In compliance mode, until the retention ends, under its day and number."""
    append(inventory, event(), NOON)
    (made,) = checkpoint(inventory, lock, NOON)
    assert key_of(made) == "checkpoints/2026-11-01/000000000001.json"
    found = lock.s3.head_object(Bucket=lock.bucket, Key=key_of(made))
    assert (found["ObjectLockMode"], found["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", NOON + YEAR)


class Killed(BaseException):
    """The process is gone."""


def killed_before(send: Callable[[], Any]) -> Any:
    raise Killed


def killed_after(send: Callable[[], Any]) -> Any:
    send()
    raise Killed


@contextmanager
def at_call(number: int, act: Callable[[Callable[[], Any]], Any]) -> Iterator[list[str]]:
    """At the call to AWS of this number something happens; yields the operations so far."""
    call, seen = BaseClient._make_api_call, list[str]()

    def called(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        seen.append(operation)
        send = partial(call, client, operation, request)
        return act(send) if len(seen) == number else send()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", called)
        yield seen


@pytest.mark.parametrize("act", [killed_before, killed_after])
def test_a_run_that_dies_at_any_call(
    fresh_estate: Any, monkeypatch: pytest.MonkeyPatch, act: Callable[[Callable[[], Any]], Any]
) -> None:
    """The next run makes good what is missing: one checkpoint, in the table and in the bucket, in one version."""
    monkeypatch.setattr(audit, "UNCOVERED", timedelta(0))
    monkeypatch.setattr("perennial.inventory.audit.SHARDS", 2)
    number, reached = 0, True
    while reached:
        number += 1
        with fresh_estate() as hub:
            inventory, lock = hub.deployment.inventory, lock_in(hub)
            append(inventory, event(), NOON)
            with at_call(number, act) as seen, suppress(Killed):
                checkpoint(inventory, lock, NOON)
            reached = len(seen) >= number
            checkpoint(inventory, lock, NOON)
            (made,) = locked(lock)
            assert made == inventory.last_checkpoint()
    assert {"TransactWriteItems", "PutObject"} <= set(seen)


def test_a_table_that_was_set_back(inventory: Inventory, lock: Lock) -> None:
    """Who writes the table and removes its last checkpoint finds another one under its number, locked."""
    append(inventory, event(), NOON)
    checkpoint(inventory, lock, NOON)
    for item in list(Item.scan()):
        item.delete()
    append(inventory, event(1), NOON)
    for _ in range(2):  # and stays found
        with pytest.raises(ServiceRefused, match="the audit trail in the table was set back"):
            checkpoint(inventory, lock, NOON)


def test_chains_that_were_cut_are_not_signed_over(inventory: Inventory, lock: Lock) -> None:
    """Who removes links from the table is told of by every run, while other days still get their checkpoints."""
    for number in range(20):
        append(inventory, event(number), NOON)
    checkpoint(inventory, lock, NOON)
    chain, head = next(iter(inventory.audit_heads(DAY).items()))
    Item(f"AUDIT#{DAY}#{chain[1]:02}", f"{head.number:012}").delete()
    tomorrow = NOON + timedelta(days=1)
    append(inventory, event(21, tomorrow), tomorrow)
    for _ in range(2):
        with pytest.raises(ServiceRefused, match=f"the audit trail of {DAY} has fewer events"):
            checkpoint(inventory, lock, tomorrow)
    assert [each.day for each in locked(lock)] == [DAY, "2026-11-02"]


HEADS = (Head(shard=0, count=4, hash="a" * 64), Head(shard=2, count=1, hash="b" * 64))
CUT: dict[str, tuple[tuple[Head, ...], bool]] = {
    "the same": (HEADS, False),
    "more links": ((replace(HEADS[0], count=5, hash="d" * 64), HEADS[1]), False),
    "more chains": ((*HEADS, Head(shard=3, count=1, hash="e" * 64)), False),
    "fewer links": ((replace(HEADS[0], count=3), HEADS[1]), True),
    "a chain less": (HEADS[:1], True),
    "another last link": ((HEADS[0], replace(HEADS[1], hash="f" * 64)), True),
}


@pytest.mark.parametrize(("heads", "cut"), CUT.values(), ids=CUT)
def test_what_is_cut(heads: tuple[Head, ...], cut: bool) -> None:
    """Chains only ever get longer."""
    assert is_cut(replace(CHECKPOINT, heads=HEADS), replace(CHECKPOINT, heads=heads)) is cut


def test_the_same_checkpoint_is_put_once(inventory: Inventory, lock: Lock) -> None:
    """Putting it again changes nothing; one that is not signed is never put."""
    append(inventory, event(), NOON)
    (made,) = checkpoint(inventory, lock, NOON)
    assert lock_away(lock.s3, lock.bucket, made, YEAR) is False
    assert locked(lock) == [made]
    with pytest.raises(InvalidInput, match="is not signed"):
        lock_away(lock.s3, lock.bucket, replace(made, signature=""), YEAR)


def test_what_is_signed() -> None:
    """The canonical text of everything but the signature: it must never change."""
    assert statement(replace(CHECKPOINT, signature="AAAA")).decode() == (
        '{"at":"2026-11-01T12:00:00.000000Z","day":"2026-11-01","heads":[{"count":4,"hash":"' + "a" * 64 + '",'
        '"shard":0},{"count":1,"hash":"'
        + "b" * 64
        + '","shard":2}],"key_id":"","number":3,"previous":"'
        + "c" * 64
        + '",'
        '"schema":1}'
    )


def test_a_signature_is_over_everything() -> None:
    """Whatever is changed in a signed checkpoint, its signature does not hold any more."""
    made = sign(Kms(), ARN, CHECKPOINT)
    assert of(json.loads(json.dumps(document(made)))) == made
    assert signed_by(made, DER)
    changed = [
        replace(made, number=4),
        replace(made, day="2026-11-02"),
        replace(made, at=NOON + timedelta(microseconds=1)),
        replace(made, heads=made.heads[:1]),
        replace(made, previous=FIRST),
        replace(made, key_id=ARN.replace("1234abcd", "4321abcd")),
        replace(made, signature=""),
        replace(made, signature="AAAA"),
        replace(made, signature="A"),
    ]
    assert not any(signed_by(each, DER) for each in changed)
    rsa = build("x", key="RSA-2048").key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for key in (b"", b"\x30", rsa):
        with pytest.raises(InvalidInput, match="P-256"):
            signed_by(made, key)


@pytest.mark.parametrize(
    ("error", "meant", "said"),
    [
        (Error("DisabledException"), ServiceRefused, "enable the key"),
        (Error("NotFoundException"), NotFound, "deploy the stack"),
        (Error("AccessDeniedException"), AccessDenied, "kms:Sign"),
        ({"Signature": b""}, InvalidReply, "0 bytes are no signature"),
        ({}, InvalidReply, "no signature"),
    ],
)
def test_what_kms_answers(error: Any, meant: type[Exception], said: str) -> None:
    """Errors say what to do."""
    with pytest.raises(meant, match=said):
        sign(Script({"kms.Sign": [error]}).client("kms"), ARN, CHECKPOINT)
    with pytest.raises(InvalidConfiguration, match="checkpoints by its ARN"):
        sign(Script({}).client("kms"), "alias/x", CHECKPOINT)


@pytest.mark.parametrize(
    ("code", "status", "meant", "said"),
    [
        ("InvalidRequest", 400, ServiceRefused, "must have Object Lock"),
        ("NoSuchBucket", 404, NotFound, "deploy the stack"),
        ("AccessDenied", 403, AccessDenied, "s3:PutObject"),
        ("InternalError", 500, Unavailable, "s3:PutObject"),
    ],
)
def test_what_s3_answers(code: str, status: int, meant: type[Exception], said: str) -> None:
    """A checkpoint that cannot be locked away is an error, never passed over."""

    s3 = Script({"s3.PutObject": [Error(code, status=status)]}).client("s3")
    with pytest.raises(meant, match=said):
        lock_away(s3, "audit", sign(Kms(), ARN, CHECKPOINT), YEAR)


def test_how_a_checkpoint_is_put() -> None:
    """Where none is yet, locked in compliance mode, with the checksum that S3 asks for then."""
    script, made = Script({"s3.PutObject": [{}]}), sign(Kms(), ARN, CHECKPOINT)
    assert lock_away(script.client("s3"), "audit", made, YEAR)
    (put,) = script.made("s3.PutObject")
    assert json.loads(put.pop("Body")) == document(made)
    assert put == {
        "Bucket": "audit",
        "Key": "checkpoints/2026-11-01/000000000003.json",
        "ContentType": "application/json",
        "IfNoneMatch": "*",
        "ChecksumAlgorithm": "SHA256",
        "ObjectLockMode": "COMPLIANCE",
        "ObjectLockRetainUntilDate": NOON + YEAR,
    }


def test_the_shape_of_checkpoints() -> None:
    """Shards stand in order, each once; the text is bounded."""
    good = document(CHECKPOINT)
    for heads in (good["heads"][::-1], good["heads"][:1] * 2):
        with pytest.raises(InvalidInput, match="its shards not in order"):
            of({**good, "heads": heads})
    with pytest.raises(InvalidInput, match="has more than"):
        load(" " * 100_000)
    assert next_checkpoint(None, {}, DAY, NOON).heads == ()


# --- exported ---


def test_an_export_of_the_table_holds(inventory: Inventory, lock: Lock) -> None:
    """It has every event of its days, checks out offline, and says what came after the last checkpoint."""
    for number in range(12):
        append(inventory, event(number, after={"why": "é\u202e"}), NOON)
    checkpoint(inventory, lock, NOON)
    append(inventory, event(12), NOON)
    lines = list(export(inventory, (DAY,), NOON, lambda _: PEM))
    checked = check(lines)
    assert (checked.holds, checked.events, checked.uncovered_events, len(checked.checkpoints)) == (True, 13, 1, 1)
    assert check(lines[:-1]).holds is False
    assert check(lines, lambda _: (DER,), locked(lock)).holds


def test_what_comes_during_an_export(inventory: Inventory, lock: Lock) -> None:
    """An export is of the moment in which it was begun: later events and checkpoints are not half in it."""
    append(inventory, event(), NOON)
    checkpoint(inventory, lock, NOON)
    lines: Iterator[str] = export(inventory, (DAY,), NOON, lambda _: PEM)
    begun = [next(lines)]
    for number in range(1, 40):
        append(inventory, event(number), NOON)
    checkpoint(inventory, lock, NOON)
    checked = check([*begun, *lines])
    assert (checked.holds, checked.events, checked.uncovered_events) == (True, 1, 0)


def test_ocsf_of_days(inventory: Inventory) -> None:
    """A line for each event."""
    for number in range(5):
        append(inventory, event(number), NOON)
    found = [json.loads(line) for line in audit.ocsf(inventory, (DAY,))]
    assert sorted(each["metadata"]["uid"] for each in found) == [f"{number:032x}" for number in range(5)]


# --- the function ---


def test_the_function(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes what is due of what the stack gives it, and returns the numbers."""
    lock = lock_in(estate)
    now = estate.deployment.clock()
    append(
        estate.deployment.inventory,
        happened(now, principal="jo", source="cli", action="managed.renew", subject_kind="managed", subject="a"),
        now,
    )
    spec = importlib.util.spec_from_file_location("audit_checkpoint_function", HANDLER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "deployment", lambda: estate.deployment)
    monkeypatch.setattr(audit, "lock_of", lambda deployment: lock)
    context = SimpleNamespace(function_name="f", memory_limit_in_mb=1, invoked_function_arn="a", aws_request_id="r")
    assert module.handler({}, context) == {"made": [1]}
    assert module.handler({}, context) == {"made": []}


def test_what_the_stack_gives(estate: Estate) -> None:
    """Bucket, key and retention come from the environment; what is missing or wrong is named."""
    given = {"PERENNIAL_AUDIT_BUCKET": "b", "PERENNIAL_AUDIT_KEY_ARN": ARN, "PERENNIAL_AUDIT_RETENTION_DAYS": "365"}
    environment: Any = estate.deployment.environment
    environment.update(given)
    found = lock_of(estate.deployment)
    assert (found.bucket, found.key_id, found.retention) == ("b", ARN, YEAR)
    for wrong in ("0", "x", "-1", "1.5", "36501", "²"):
        environment["PERENNIAL_AUDIT_RETENTION_DAYS"] = wrong
        with pytest.raises(InvalidConfiguration, match="is no number from 1 to 36500"):
            lock_of(estate.deployment)
    for name in given:
        environment.update(given)
        del environment[name]
        with pytest.raises(InvalidConfiguration, match=f"{name} is not set"):
            lock_of(estate.deployment)
