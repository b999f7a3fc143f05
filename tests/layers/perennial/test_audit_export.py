"""Exports: checked whole and offline, with signed checkpoints; what hostile ones get is an error in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import build
from perennial import audit_export
from perennial.audit_chain import Chain, Link, Wrong, following, linked
from perennial.audit_checkpoint import Checkpoint, document, next_checkpoint, sign
from perennial.audit_event import Event, text
from perennial.audit_export import MAX_LINE, Checked, Contents, check, line_of, lines
from perennial.errors import InvalidInput

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY, NEXT = "2026-11-01", "2026-11-02"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PRIVATE, FOREIGN = build("audit", key="EC-256").key, build("other", key="EC-256").key


class Kms:
    """Signs as KMS does."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, Any]:
        assert (MessageType, SigningAlgorithm) == ("DIGEST", "ECDSA_SHA_256")
        return {"Signature": self._key.sign(Message, ec.ECDSA(Prehashed(hashes.SHA256())))}


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def der(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def chain_of(chain: Chain, count: int) -> list[Link]:
    at = datetime.fromisoformat(f"{chain[0]}T12:00:00Z")
    links: list[Link] = []
    for number in range(1, count + 1):
        made = Event(
            id=f"{chain[1] * 100_000 + number:032x}",
            at=at + timedelta(seconds=number),
            principal="jo \N{SNOWMAN}",
            source="cli",
            action="managed.change",
            subject_kind="managed",
            subject=f"shop{number}",
            after={"\u202edays": number},
        )
        links.append(following(chain, links[-1] if links else None, made))
    return links


def checkpoints(links: Sequence[Link], key: Any = PRIVATE) -> list[Checkpoint]:
    """One of the first day half-way, one of the second day, and then the last one of each."""
    made: list[Checkpoint] = []
    for day, share in ((DAY, 2), (NEXT, 2), (DAY, 1), (NEXT, 1)):
        every = [each for each in links if each.day == day]
        counts = {each.chain: each.number for each in every}
        seen = {each.chain: each for each in every if each.number <= max(1, counts[each.chain] // share)}
        at = NOON + timedelta(days=1, hours=len(made))
        made.append(sign(Kms(key), KEY, next_checkpoint(made[-1] if made else None, seen, day, at)))
    return made


@cache
def links_of(events: int, chains: int = 6) -> tuple[Link, ...]:
    names = sorted((day, shard) for day in (DAY, NEXT) for shard in range(chains // 2))
    return tuple(link for name in names for link in chain_of(name, events // chains))


def contents_of(links: Sequence[Link]) -> Contents:
    counts = {link.chain: link.number for link in links}
    return Contents(since=DAY, until=NEXT, exported_at=NOON + timedelta(days=2), counts=counts)


@cache
def export_of(events: int) -> tuple[str, ...]:
    """The lines of a sound export: the first line, a key, four checkpoints, the events."""
    links = links_of(events)
    return tuple(lines(contents_of(links), {KEY: pem(PRIVATE)}, checkpoints(links), links))


SMALL = export_of(60)
FIRST_EVENT = 6  # lines before it


def trusted(key: Any = PRIVATE) -> audit_export.PublicKeys:
    return lambda _: (der(key),)


def told(checked: Checked) -> str:
    return checked.problem or (f"{checked.broken.wrong} {checked.broken.reference}" if checked.broken else "")


# --- what holds ---


def test_a_sound_export_holds() -> None:
    """Every link is checked, and every one is covered."""
    checked = check(SMALL, trusted())
    assert (checked.holds, checked.covers, checked.own_keys) == (True, True, False)
    assert (checked.events, len(checked.checkpoints), checked.uncovered_events) == (60, 4, 0)
    assert checked.key_hashes == (hashlib.sha256(der(PRIVATE)).hexdigest(),)
    assert check(SMALL).own_keys


def test_ten_thousand_events_hold() -> None:
    """An export of the size that the others are measured by is read whole."""
    checked = check(export_of(10_002))
    assert (checked.holds, checked.events, checked.uncovered_events) == (True, 10_002, 0)


def test_lines_are_ascii() -> None:
    """What could command a terminal or turn its text is an escape there; what is hashed is the text itself."""
    assert all(line.isascii() and line.isprintable() for line in SMALL)


def test_nothing_happened() -> None:
    """An export without events holds."""
    contents = Contents(since=DAY, until=DAY, exported_at=NOON, counts={})
    checked = check(lines(contents, {}, (), ()))
    assert (checked.holds, checked.covers, checked.events) == (True, True, 0)


def test_what_no_checkpoint_covers_is_said() -> None:
    """Links after the last checkpoint are counted, by chain; without any checkpoint nothing is covered."""
    links = links_of(60)
    half = list(lines(contents_of(links), {KEY: pem(PRIVATE)}, checkpoints(links)[:2], links))
    checked = check(half, trusted())
    assert (checked.holds, checked.covers, checked.uncovered_events) == (True, True, 30)
    assert checked.uncovered == dict.fromkeys(contents_of(links).counts, 6)
    none = check(lines(contents_of(links), {}, (), links), trusted())
    assert (none.holds, none.covers, none.uncovered_events) == (True, False, 60)


# --- tampered with, line by line, read whole each time ---


def with_event(line: str, **more: Any) -> str:
    document = json.loads(line)
    document["event"].update(more)
    return json.dumps(document)


def tampered(at: int) -> Iterator[tuple[str, list[str]]]:
    """What can be done to the line of an event."""
    every = list(SMALL)
    yield "dropped", every[:at] + every[at + 1 :]
    yield "changed", [*every[:at], with_event(every[at], subject="other"), *every[at + 1 :]]
    yield "truncated", every[:at]
    forged = links_of(60)[at - FIRST_EVENT]
    forged = replace(forged, event=replace(forged.event, subject="forged"))
    forged = replace(forged, hash=linked(forged.previous, text(forged.event)))
    yield "inserted", [*every[:at], line_of(forged), *every[at:]]
    if at + 1 < len(every):
        yield "reordered", [*every[:at], every[at + 1], every[at], *every[at + 2 :]]


@pytest.mark.parametrize("at", range(FIRST_EVENT, len(SMALL)))
def test_tampering_with_any_line(at: int) -> None:
    """At every line of an export, read whole with its signatures: each kind is told, with the link."""
    link = links_of(60)[at - FIRST_EVENT]
    last = link.number == 10
    for kind, wrong in tampered(at):
        expected = "truncated" if kind == "dropped" and last else kind
        assert told(check(wrong, trusted())) == f"{expected} {link.reference}"


def rewritten(at: int) -> list[str]:
    """The export of someone who writes the table: from a link on, sound chains with another event."""
    links = list(links_of(60))
    made: list[Link] = []
    for number, each in enumerate(links):
        before = made[-1] if made and made[-1].chain == each.chain else None
        own = replace(each.event, subject="forged") if number == at else each.event
        made.append(following(each.chain, before, own))
    return [*SMALL[:FIRST_EVENT], *map(line_of, made)]


@pytest.mark.parametrize("at", range(60))
def test_a_chain_that_is_written_anew(at: int) -> None:
    """Whoever may write the whole table cannot sign: a checkpoint saw something else."""
    checked = check(rewritten(at), trusted())
    assert checked.broken is not None
    assert checked.broken.wrong is Wrong.REWRITTEN
    assert checked.broken.number == (1 if at % 10 < 5 else 6)  # behind the last checkpoint that agrees


def edited(which: int, /, **more: Any) -> list[str]:
    """The export with a checkpoint changed."""
    wrong = [*SMALL]
    line = json.loads(wrong[1 + which])
    line["checkpoint"].update(more)
    wrong[1 + which] = json.dumps(line)
    return wrong


def reforged(key: Any = PRIVATE) -> list[str]:
    """Links and checkpoints of another history, signed by a key."""
    links = [each for name in contents_of(links_of(60)).counts for each in chain_of(name, 9)]
    return list(lines(contents_of(links), {KEY: pem(key)}, checkpoints(links, key), links))


def less(count: int) -> list[str]:
    """An older state: fewer checkpoints, and no more links than they cover."""
    links = [each for each in links_of(60) if each.number <= 5]
    return list(lines(contents_of(links), {KEY: pem(PRIVATE)}, checkpoints(links_of(60))[:count], links))


CHECKPOINTS: dict[str, tuple[list[str], str]] = {
    "a count changed": (edited(1, day=NEXT), "checkpoint 1: it was changed"),
    "a time changed": (edited(2, at="2026-11-02T12:00:00.000000Z"), "checkpoint 2: it was changed"),
    "not signed": (edited(1, signature=""), "checkpoint 1: not signed"),
    "no base64": (edited(1, signature="A"), "checkpoint 1: it was changed"),
    "another number": (edited(2, number=9), "checkpoint 9: it was changed"),
    "the second one dropped": ([*SMALL[:3], *SMALL[4:]], "checkpoint 3: the one before it, 2, was dropped"),
    "two swapped": ([*SMALL[:3], SMALL[4], SMALL[3], *SMALL[5:]], "checkpoint 3: the one before it, 2, was dropped"),
    "one twice": ([*SMALL[:4], *SMALL[3:]], "checkpoint 2: it stands after checkpoint 2"),
    "another history by another key": (reforged(FOREIGN), "checkpoint 1: it was changed"),
    "one of another history": ([*SMALL[:3], reforged()[3], *SMALL[4:]], "checkpoint 2: it does not follow"),
}


@pytest.mark.parametrize(("wrong", "said"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_tampering_with_checkpoints(wrong: list[str], said: str) -> None:
    """The first checkpoint that does not hold is told; links are not looked at then."""
    checked = check(wrong, trusted())
    assert not checked.holds
    assert checked.problem.startswith(said)


def test_keys_of_the_export_prove_little() -> None:
    """Who makes up a history can make up the key beside it: it holds in itself, and says whose keys were used."""
    checked = check(reforged(FOREIGN))
    assert (checked.holds, checked.own_keys) == (True, True)
    assert checked.key_hashes == (hashlib.sha256(der(FOREIGN)).hexdigest(),)


def test_keys_that_were_replaced() -> None:
    """Of several trusted keys the one that signed is found."""
    assert check(SMALL, lambda _: (der(FOREIGN), der(PRIVATE))).holds


def test_an_older_state_is_seen_with_a_locked_checkpoint() -> None:
    """An export that ends earlier holds in itself; a later checkpoint from the bucket tells what is missing."""
    later = checkpoints(links_of(60))[3]
    assert check(less(2), trusted()).holds
    assert told(check(less(2), trusted(), [later])) == f"truncated {NEXT}.00.6"
    foreign = sign(Kms(FOREIGN), KEY, later)
    assert "from elsewhere" in told(check(less(2), trusted(), [foreign]))


def test_another_checkpoint_than_was_locked_away() -> None:
    """Two histories under one number, both signed: the table was set back in between."""
    ours = checkpoints([each for name in contents_of(links_of(60)).counts for each in chain_of(name, 9)])[0]
    assert told(check(SMALL, trusted(), [ours])) == "checkpoint 1: the export has another one than was locked away"


def test_checkpoints_that_disagree() -> None:
    """A key that signs two histories shows itself."""
    last = checkpoints(links_of(60))[3]
    head = replace(last.heads[0], hash="0" * 64)
    other = sign(Kms(PRIVATE), KEY, replace(last, number=9, heads=(head,), signature=""))
    assert told(check(SMALL, trusted(), [other])).startswith(f"checkpoint 9: it saw another chain {NEXT}.00")


# --- hostile exports ---


def first_line(**more: Any) -> list[str]:
    return [json.dumps({**json.loads(SMALL[0]), **more}), *SMALL[1:]]


def event_line(**more: Any) -> list[str]:
    return [*SMALL[:-1], json.dumps({**json.loads(SMALL[-1]), **more})]


HOSTILE: dict[str, tuple[Sequence[str], str]] = {
    "nothing": ((), "line 1 cannot be read as JSON"),
    "an empty line": (("", *SMALL), "line 1 cannot be read as JSON"),
    "no JSON": (("x" * 100,), "line 1 cannot be read as JSON"),
    "a list": (("[]",), "line 1 is not how an export begins"),
    "an event first": (SMALL[6:], "line 1 is not how an export begins"),
    "another schema": (first_line(schema=2), "another schema than 1"),
    "a schema of another type": (first_line(schema=1.5), "is not a whole number"),
    "a schema that is true": (first_line(schema=True), "schema is not a whole number"),
    "a member twice": ((SMALL[0].replace("{", '{"type":"export",', 1), *SMALL[1:]), "a member twice"),
    "no day": (first_line(since="2026-13-01"), "since is not a day"),
    "days that are none": (first_line(until="2026-11-31"), "until is not a day of the calendar"),
    "chains of other days": (first_line(since=NEXT), "chains are not in order"),
    "chains that are none": (first_line(chains={}), "chains is not a list"),
    "a chain twice": (first_line(chains=json.loads(SMALL[0])["chains"][:1] * 2), "chains are not in order, each once"),
    "a great shard": (first_line(chains=[{"day": DAY, "shard": 10**9, "count": 1}]), "shard is not a whole number"),
    "a great count": (first_line(chains=[{"day": DAY, "shard": 0, "count": 10**30}]), "count is not a whole number"),
    "a huge line": ([*SMALL[:6], '{"type":"event","x":"' + "x" * MAX_LINE + '"}'], "line 7 has more than"),
    "a huge first line": (["[" * 2_000_000], "line 1 has more than"),
    "deep nesting": ([*SMALL[:6], "[" * 100_000], "line 7 cannot be read as JSON"),
    "deep objects": ([*SMALL[:6], '{"a":' * 40_000], "line 7 cannot be read as JSON"),
    "NaN": ([*SMALL[:6], '{"type":"event","day":NaN}'], "NaN is not a whole number"),
    "Infinity": ([*SMALL[:6], '{"type":"event","day":-Infinity}'], "-Infinity is not a whole number"),
    "a fraction": ([*SMALL[:6], '{"type":"event","day":1e3}'], "1e3 is not a whole number"),
    "a number of many digits": ([*SMALL[:6], '{"a":' + "9" * 9_000 + "}"], "line 7 cannot be read as JSON"),
    "an unknown type": ([*SMALL[:6], '{"type":"note"}'], "line 7 is no key, checkpoint or event"),
    "a type of another kind": ([*SMALL[:6], '{"type":["event"]}'], "line 7 is no key, checkpoint or event"),
    "a list for a line": ([*SMALL[:6], "[]"], "line 7 is no key, checkpoint or event"),
    "a checkpoint after events": ([*SMALL, SMALL[2]], "no key, checkpoint or event, in this order"),
    "a second first line": ([SMALL[0], *SMALL], "line 2 is no key, checkpoint or event"),
    "a key that is none": ([SMALL[0], '{"type":"key","key_id":"a","pem":"x"}'], "public key cannot be read"),
    "a key of another kind": ([SMALL[0], '{"type":"key","key_id":"a","pem":7}'], "public key cannot be read"),
    "many keys": ([SMALL[0], *[SMALL[1]] * 101], "more than 100 keys"),
    "a number that is a text": (event_line(number="10"), "number is not a whole number"),
    "a number that is true": (event_line(number=True), "number is not a whole number"),
    "a hash in capitals": (event_line(hash="A" * 64), "hash is not a SHA-256"),
    "one member more": (event_line(more=1), "has the member more"),
    "an event that is none": (event_line(event=[]), "event is not an object"),
    "an event of another schema": (event_line(event={"schema": 2}), "event has another schema"),
}


@pytest.mark.parametrize(("wrong", "said"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_exports(wrong: Sequence[str], said: str) -> None:
    """Each is an InvalidInput that names the line, in a bounded, printable text."""
    with pytest.raises(InvalidInput, match=said) as caught:
        check(wrong, trusted())
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", sorted(document(checkpoints(links_of(60))[0])))
@pytest.mark.parametrize("value", [None, True, -1, 10**20, "x", "x" * 10_000, [], [[]], {}, {"a": 1}])
def test_hostile_checkpoints(name: str, value: Any) -> None:
    """Whatever a member of a checkpoint is, it is refused in words, or found not to be signed."""
    try:
        checked = check(edited(1, **{name: value}), trusted())
    except InvalidInput as error:
        assert len(str(error)) < 400
    else:
        assert not checked.holds


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["type", "day", "event"]), inner),
)


@settings(deadline=None)
@given(st.integers(0, len(SMALL) - 1), JSONS | st.text() | st.just("\x00"))
def test_any_line_may_be_anything(at: int, value: Any) -> None:
    """Whatever stands in a line: words, or a verdict that it does not hold; nothing else is raised."""
    wrong = [*SMALL]
    wrong[at] = value if isinstance(value, str) else json.dumps(value)
    try:
        assert not check(wrong, trusted()).holds
    except InvalidInput as error:
        assert str(error).isprintable()


MEMBERS: Mapping[str, Any] = json.loads(SMALL[-1])


@settings(deadline=None)
@given(st.sampled_from(sorted(MEMBERS)) | st.sampled_from(sorted(MEMBERS["event"])), JSONS)
def test_any_member_may_be_anything(name: str, value: Any) -> None:
    """Whatever a member of a link or its event is: words, or a verdict that it does not hold."""
    document = json.loads(SMALL[-1])
    (document if name in document else document["event"])[name] = value
    if document == MEMBERS:
        return
    try:
        assert not check([*SMALL[:-1], json.dumps(document)], trusted()).holds
    except InvalidInput as error:
        assert str(error).isprintable()
