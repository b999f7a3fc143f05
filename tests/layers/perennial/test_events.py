"""Perennial's events: a pinned schema, bounded sizes, and nothing refused silently."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from estate import NOW
from layers.perennial.hostile import FINDING, TEXTS, stuffed
from perennial import events
from perennial.errors import Unavailable
from perennial.events import BATCH, FindingEvent, detail_type, finding_event
from perennial.findings import Finding, State

LIMIT = 256 * 1024  # one PutEvents call (Amazon EventBridge user guide, quotas)


class Bus:
    """Records what it is sent, and refuses the entries that it is told to."""

    def __init__(self, refuses: str = "") -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.refuses = refuses

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.calls.append(Entries)
        if self.refuses:
            failed = {"ErrorCode": self.refuses, "ErrorMessage": "x"}
            return {"FailedEntryCount": 1, "Entries": [failed, *({"EventId": "1"} for _ in Entries[1:])]}
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


def test_version_1_has_these_fields_for_ever() -> None:
    """Consumers rely on every field of a version: removing or renaming one needs a new version."""
    assert events.VERSION == "1"
    assert [each.name for each in fields(FindingEvent)] == [
        "version",
        "id",
        "check",
        "severity",
        "state",
        "title",
        "detail",
        "remediation",
        "account",
        "region",
        "source",
        "resource",
        "certificate",
        "fingerprint",
        "not_after",
        "owner",
        "opened_at",
        "updated_at",
        "exception",
        "exception_ends",
    ]


def test_an_event_tells_a_finding_s_state() -> None:
    """Every field says what the finding says, times in ISO 8601."""
    event = finding_event(FINDING)
    assert (event.id, event.check, event.severity, event.state) == (FINDING.id, "expiry.expired", "critical", "open")
    assert (event.account, event.region, event.source) == (FINDING.scope.account, "eu-west-1", "acm")
    assert (event.certificate, event.fingerprint, event.owner) == ("shop.example.com", "a" * 64, "shop")
    assert (event.not_after, event.opened_at) == ("2026-11-01T12:00:00+00:00", "2026-11-01T12:00:00+00:00")
    unknown = finding_event(replace(FINDING, not_after=None, fingerprint=None, owner=None))
    assert (unknown.not_after, unknown.fingerprint, unknown.owner) == (None, None, None)


@pytest.mark.parametrize(
    ("state", "updated_at", "expected"),
    [
        (State.OPEN, NOW, "Finding Opened"),
        (State.OPEN, NOW + timedelta(seconds=1), "Finding Changed"),
        (State.RESOLVED, NOW + timedelta(seconds=1), "Finding Resolved"),
        (State.RESOLVED, NOW, "Finding Resolved"),
        (State.SUPPRESSED, NOW, "Finding Suppressed"),
    ],
)
def test_the_detail_type_says_what_happened(state: State, updated_at: Any, expected: str) -> None:
    """A rule can match on the kind of change alone."""
    assert detail_type(replace(FINDING, state=state, updated_at=updated_at)) == expected


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_makes_a_call_too_large_or_unreadable(text: str) -> None:
    """Ten events full of hostile text stay below the limit of one call, and each is JSON with all its fields."""
    bus = Bus()
    events.send(bus, "perennial", [stuffed(text)] * BATCH)
    (entries,) = bus.calls
    size = sum(len(each[name].encode()) for each in entries for name in ("Source", "DetailType", "Detail"))
    size += sum(len(each["Resources"][0].encode()) for each in entries)
    assert size + 14 * len(entries) < LIMIT
    assert json.loads(entries[0]["Detail"]).keys() == {each.name for each in fields(FindingEvent)}


@pytest.mark.parametrize(("count", "calls"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_ten_events_go_in_a_call(count: int, calls: list[int]) -> None:
    """Every finding is sent once, to the named bus, from one source."""
    findings = [replace(FINDING, location=f"arn:{number}") for number in range(count)]
    bus = Bus()
    events.send(bus, "perennial", findings)
    assert [len(each) for each in bus.calls] == calls
    sent = [entry for call in bus.calls for entry in call]
    assert [json.loads(each["Detail"])["id"] for each in sent] == [each.id for each in findings]
    assert {(each["Source"], each["EventBusName"]) for each in sent} <= {("perennial", "perennial")}


def test_a_refused_event_is_raised() -> None:
    """PutEvents answers 200 where single entries failed: that is an error that is tried again."""
    findings: list[Finding] = [FINDING, FINDING]
    with pytest.raises(Unavailable, match="refused 1 events: ThrottlingException"):
        events.send(Bus("ThrottlingException"), "perennial", findings)
