"""`perennial certs show`, `findings` and `why` name the exceptions that cover what they show."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from certificates import build
from command import Run
from estate import HUB, REGION, SCOPE, Estate
from layers.perennial.conftest import in_memory_hub
from managed_records import record, serving
from perennial.checks.interface import Severity
from perennial.exception_record import ExceptionRecord, ExceptionState
from perennial.exception_selection import Selection
from perennial.findings import Finding, FindingsDifference, State
from perennial.inventory.records import ManagedState
from perennial.manifest import Difference, Role, Sighting

NOW = datetime.now(UTC).replace(microsecond=0)
ENDS = NOW + timedelta(days=9)
ARN = f"arn:aws:acm:{REGION}:{HUB}:certificate/1"
LEAF = build("shop.example.com", not_before=NOW - timedelta(days=60), not_after=NOW + timedelta(days=10))
EXCEPTION = ExceptionRecord(
    id="e" * 32,
    rule="expiry.soon",
    selection=Selection(resource=ARN),
    reason="It \x1b[2J closes.",  # as if it had come into the table some other way
    owner="shop",
    ends=ENDS,
    asked_by=("arn:x",),
    asked_name="rita",
    asked_at=NOW,
    decided_name="sam",
    decided_at=NOW,
)
FINDING = Finding(
    check="expiry.soon",
    severity=Severity.HIGH,
    title="The certificate expires soon",
    detail="Valid until then.",
    remediation="Renew it.",
    scope=SCOPE,
    place=ARN,
    location=ARN,
    resource=ARN,
    subject="shop.example.com",
    fingerprint=LEAF.fingerprint,
    owner="shop",
    state=State.SUPPRESSED,
    exception=EXCEPTION.id,
    exception_ends=ENDS,
    opened_at=NOW,
    updated_at=NOW,
)
UNTIL = f"until {ENDS:%Y-%m-%d %H:%M} UTC by the exception {EXCEPTION.id}"


@pytest.fixture
def hub(run: Run) -> Iterator[Estate]:
    """A deployment with one certificate that a managed certificate serves, and one finding that an exception covers."""
    with in_memory_hub() as made:
        environment = made.deployment.environment
        settings = f"{environment['PERENNIAL_SETTINGS_BUCKET']}/{environment['PERENNIAL_SETTINGS_KEY']}"
        ssm = made.deployment.clients("ssm")
        for name, value in {"table": environment["PERENNIAL_TABLE"], "settings": settings}.items():
            ssm.put_parameter(Name=f"/perennial/{name}", Value=value, Type="String", Overwrite=True)
        inventory = made.deployment.inventory
        inventory.keep([LEAF.certificate], NOW)
        sighting = Sighting(location=ARN, role=Role.STORED, resource=ARN, fingerprint=LEAF.fingerprint)
        inventory.apply(SCOPE, Difference(added=(sighting,), changed=(), gone=()), NOW)
        change = FindingsDifference(opened=(), changed=(), resolved=(), suppressed=(FINDING,))
        inventory.settle(inventory.place(ARN), change, None, NOW)
        keep(made, EXCEPTION)
        yield made


def keep(hub: Estate, asked: ExceptionRecord) -> None:
    stored = hub.deployment.inventory.save_exception(asked, ExceptionState.ASKED, None, NOW)
    active = replace(stored, state=ExceptionState.ACTIVE)
    hub.deployment.inventory.save_exception(active, ExceptionState.ASKED, None, NOW)


def test_a_certificate_shows_what_covers_it(run: Run, hub: Estate) -> None:
    """Its suppressed findings and its exceptions, each with the end; hostile words show as themselves."""
    text = run("certs", "show", LEAF.fingerprint).stdout
    assert "Suppressed findings" in text and f"Suspended {UNTIL}" in text
    assert f"expiry.soon is suspended {UNTIL}" in text and "granted by sam" in text
    assert "\x1b" not in text and "\nFindings" not in text


def test_a_certificate_tells_programs_the_same(run: Run, hub: Estate) -> None:
    """Open and suppressed findings are apart; each exception is named with its end."""
    found = json.loads(run("certs", "show", LEAF.fingerprint, "--json").stdout)
    assert found["findings"] == []
    (finding,), (exception,) = found["suppressed"], found["exceptions"]
    assert (finding["exception"], finding["exception_ends"]) == (EXCEPTION.id, ENDS.isoformat())
    assert (exception["id"], exception["rule"], exception["ends"], exception["selection"]) == (
        EXCEPTION.id,
        "expiry.soon",
        ENDS.isoformat(),
        {"resource": ARN},
    )


def test_an_exception_is_shown_where_its_check_does_not_fail_too(run: Run, hub: Estate) -> None:
    """One for another rule, or that is over, or for something else: only what covers the certificate now is shown."""
    keep(hub, replace(EXCEPTION, id="f" * 32, rule="keys.weak", selection=Selection(name="shop.example.com")))
    keep(hub, replace(EXCEPTION, id="0" * 32, selection=Selection(name="bank.example.com")))
    keep(hub, replace(EXCEPTION, id="1" * 32, ends=NOW - timedelta(hours=1)))
    found = json.loads(run("certs", "show", LEAF.fingerprint, "--json").stdout)
    assert {each["id"] for each in found["exceptions"]} == {"e" * 32, "f" * 32}


def test_findings_are_the_open_ones_and_the_suppressed_ones_on_demand(run: Run, hub: Estate) -> None:
    """A table names the exception and its end; without the option nothing of it is listed."""
    assert run("findings").stdout.strip() == "" and "No open findings" in run("findings").stderr
    text = " ".join(run("findings", "--suppressed").stdout.split())
    assert f"Suspended until {ENDS:%Y-%m-%d} by the exception" in text and EXCEPTION.id in text.replace(" ", "")
    assert "No suppressed findings" in run("findings", "--suppressed", "--severity", "critical").stderr
    assert "No suppressed findings" in run("findings", "--suppressed", "--owner", "bank").stderr


def test_suppressed_findings_for_programs(run: Run, hub: Estate) -> None:
    """JSON and CSV have the exception's id and end."""
    (found,) = json.loads(run("findings", "--suppressed", "--json").stdout)
    (row,) = csv.DictReader(io.StringIO(run("findings", "--suppressed", "--output", "csv").stdout))
    for each in (found, row):
        assert (each["exception"], each["exception_ends"]) == (EXCEPTION.id, ENDS.isoformat())


def _managed(hub: Estate) -> None:
    own: dict[str, Any] = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=80), "since": NOW}
    served = replace(serving(), fingerprint=LEAF.fingerprint, **own)
    due = NOW + timedelta(hours=1)
    hub.deployment.inventory.save_managed(record(serving=served, state=ManagedState.SERVING, due_at=due))


def test_why_names_what_covers_the_managed_certificate(run: Run, hub: Estate) -> None:
    """Exceptions for its name, its request and for the place where it serves are named with their ends."""
    _managed(hub)
    keep(hub, replace(EXCEPTION, id="f" * 32, rule="names.owner", selection=Selection(managed="shop")))
    keep(hub, replace(EXCEPTION, id="0" * 32, rule="names.owner", selection=Selection(managed="bank")))
    text = run("why", "shop").stdout
    assert f"expiry.soon is suspended {UNTIL}" in text and "names.owner is suspended until" in text
    (found,) = json.loads(run("why", "shop", "--json").stdout)
    assert {each["id"] for each in found["exceptions"]} == {"e" * 32, "f" * 32}
