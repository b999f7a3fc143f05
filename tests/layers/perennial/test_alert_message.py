"""What people are told: which certificate, the services behind it, what Perennial does, and what they must do."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.perennial.hostile import TEXTS
from managed_records import DECLARED, HOUR, NOW, record, serving
from perennial import alert_event, alert_message, issuance_failure, rollout
from perennial.alert_message import Alert, alert, clean, lines, resolved, subject
from perennial.errors import FINAL
from perennial.inventory.records import ManagedRecord, ManagedState, Told
from perennial.lifecycle import Decision, Step
from perennial.managed_certificate import Contacts
from perennial.targets.interface import TargetSettings

CONTACTS = Contacts(team=("shop@example.com",), business=("Head of Sales",), on_call=("shop-oncall", "shop-team"))
RETRY = Decision(state=ManagedState.FAILING, step=Step.REQUEST, at=NOW + HOUR, reason="policy", why="because")


def failing(reason: str = "policy", **more: Any) -> ManagedRecord:
    declared = replace(DECLARED, contacts=CONTACTS, service="Web shop", environment="production")
    known = {
        "declared": declared,
        "serving": serving(3, days=90),
        "attempts": 2,
        "failed": "version shop/4",
        "failure": reason,
        "failure_message": "the key is not allowed. Next: ask for what is accepted, then request it again.",
    }
    return record(**{**known, **more})


def test_the_message() -> None:
    """It has the certificate, its end, the services, what failed, the next step and its time, and a person's part."""
    assert list(lines(alert(failing(), RETRY, 1, NOW))) == [
        "Certificate: shop: shop.example.com",
        "Valid until: 2027-02-25 12:00 UTC",
        f"Fingerprint: {3:064x}",
        "Services: edge (elbv2)",
        "Business: Web shop",
        "Environment: production",
        "What failed: version shop/4 failed (policy, attempt 2): the key is not allowed.",
        "Perennial: requests a new version, 2026-11-28 13:00 UTC",
        "You: ask for what is accepted, or have the rule changed; then: perennial renew shop --force",
        "Told: shop-team (level 1, owner)",
        "To stop repetitions: perennial alerts ack shop",
    ]


@pytest.mark.parametrize(
    ("level", "whom"),
    [
        (1, ("shop-team",)),
        (2, ("shop-team", "shop@example.com")),
        (3, ("shop-team", "shop@example.com", "Head of Sales", "shop-oncall")),
        (4, ("shop-team", "shop@example.com", "Head of Sales", "shop-oncall")),
    ],
)
def test_who_is_told(level: int, whom: tuple[str, ...]) -> None:
    """The owner; then the team; then business and on-call: each once."""
    assert alert(failing(), RETRY, level, NOW).whom == whom


@pytest.mark.parametrize("reason", sorted(each.reason for each in FINAL))
def test_the_person_s_part_is_the_workflow_s(reason: str) -> None:
    """Each reason that does not pass by itself has the advice of the workflow that failed: Issuance or Rollout."""
    words = rollout.NEXT_STEPS.get(reason)
    if words:
        assert alert(failing(reason, failed="rollout shop/2"), RETRY, 1, NOW).you.startswith(words[:80])
    words = issuance_failure.NEXT_STEPS.get(reason)
    if words:
        assert alert(failing(reason), RETRY, 1, NOW).you.startswith(words[:80])
    assert alert(failing(reason), RETRY, 1, NOW).you != alert_message.NOTHING


def test_nothing_is_to_be_done_about_what_passes() -> None:
    """While it may pass by itself nobody has to do anything; later it says what may help."""
    told = [alert(failing("rate-limited"), RETRY, level, NOW).you for level in (1, 2, 3)]
    assert told[0] == "nothing"
    assert all("declare another issuer" in each for each in told[1:])


def test_what_has_not_failed() -> None:
    """Of a renewal that only lasts, it says what it waits for; nobody must do anything before the team is told."""
    waits = Decision(state=ManagedState.DUE, step=Step.REQUEST, at=NOW + HOUR, why="its renewal time has come")
    known = failing("", attempts=0, failed="", failure_message="")
    made = alert(known, waits, 1, NOW)
    assert (made.failed, made.you) == ("its renewal time has come", "nothing")
    assert alert(known, waits, 2, NOW).you == "see what holds it up (perennial why shop)"


def test_of_which_nothing_serves_yet() -> None:
    """There is no end to tell, and no fingerprint."""
    made = alert(failing(serving=None), RETRY, 1, NOW)
    assert (made.until, made.fingerprint, subject(made)) == (
        "nothing serves yet",
        "",
        "Not renewed: shop, nothing serves yet",
    )


def test_where_it_serves() -> None:
    """Targets are named with the host names that people know; of many the first ten and how many more."""
    targets = tuple(
        TargetSettings(kind="elbv2", name=f"edge-{number}", names=("shop.example.com",)) for number in range(12)
    )
    made = alert(failing(declared=replace(DECLARED, targets=targets)), RETRY, 1, NOW)
    assert made.targets[0] == "edge-0 (shop.example.com)"
    assert made.targets[10:] == ("and 2 more",)
    assert "Services: no target is declared" in lines(
        alert(failing(declared=replace(DECLARED, targets=())), RETRY, 1, NOW)
    )


def test_it_is_over() -> None:
    """Those who were told are told that it is over, under the same id: renewed, or no longer declared."""
    known = failing(attempts=0, told=Told(level=3, at=NOW))
    made = resolved(known, NOW)
    assert made.id == alert(failing(), RETRY, 1, NOW).id
    assert (made.level, made.before, made.resolved, made.you) == (3, 3, True, "nothing")
    assert made.whom == alert(failing(), RETRY, 3, NOW).whom
    assert "Resolved: it is valid and proven again" in lines(made)
    assert not any("alerts ack" in each for each in lines(made))
    assert resolved(replace(known, removed_at=NOW), NOW).failed == "it is no longer declared"


def test_the_id_tells_certificates_apart() -> None:
    """Two certificates have two ids; time, level and reason change none."""
    other = failing(declared=replace(DECLARED, name="blog"))
    ids = [alert(each, RETRY, level, NOW).id for each in (failing(), other) for level in (1, 4)]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert alert(failing("refused"), RETRY, 2, NOW + HOUR).id == ids[0]


# --- hostile texts ---


def stuffed(text: str) -> Alert:
    """An alert with one text in everything that a stranger can fill."""
    request = replace(DECLARED.request, names=(text,) * 30, owner=text)
    contacts = Contacts(team=(text,) * 30, business=(text,) * 30, on_call=(text,) * 30)
    target = TargetSettings(kind=text, name=text, names=(text,) * 30)
    declared = replace(
        DECLARED, request=request, contacts=contacts, targets=(target,) * 30, service=text, environment=text, name=text
    )
    known = failing(declared=declared, failure=text, failed=text, failure_message=text)
    return alert(known, replace(RETRY, why=text, reason=text), 4, NOW)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_grows_or_breaks_a_message(text: str) -> None:
    """Endless, blank, binary and misleading texts are bounded; a subject is what SNS takes; an event is below 64 KB."""
    made = stuffed(text)
    assert len(subject(made)) <= 100
    assert subject(made).isascii()
    assert subject(made).isprintable()
    assert len("\n".join(lines(made)).encode()) < 64_000
    assert len(json.dumps(asdict(alert_event.alert_event(made)), ensure_ascii=False).encode()) < 64_000


@given(st.text(), st.integers(1, 300))
def test_clean_texts(text: str, length: int) -> None:
    """Whatever comes in: one printable line without quotes, backslashes and angle brackets, and not too long."""
    found = clean(text, length)
    assert len(found) <= length
    assert found.isprintable()
    assert not set(found) & set('"\\<>')


@given(st.text(max_size=60))
def test_an_event_can_be_put_into_json_as_it_is(text: str) -> None:
    """Input transformers do not escape: every text of an event, between quotes, is JSON and says the same."""
    for name, value in asdict(alert_event.alert_event(stuffed(text))).items():
        if isinstance(value, str):
            assert json.loads(f'"{value}"') == value, name
