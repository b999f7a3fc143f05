"""`perennial certs`, `findings` and `scopes` read the deployed inventory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from certificates import build, facts
from command import Run
from inventory_table import create_table
from perennial.checks.interface import Severity
from perennial.findings import Finding, FindingsDifference
from perennial.inventory.records import ScopeRecord, ScopeStatus
from perennial.inventory.store import Inventory
from perennial.manifest import Difference, Role, Scope, Sighting

NOW = datetime.now(UTC)
SCOPE = Scope("111122223333", "eu-west-1", "acm")
LISTENERS = Scope("111122223333", "eu-west-1", "elbv2")
ROOT = build("Example Root", ca=True)
OTHER = build("Other Root", ca=True)
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/1/2"


def _leaf(name: str, days: int, **wanted: Any) -> Any:
    return build(name, not_before=NOW - timedelta(days=60), not_after=NOW + timedelta(days=days), **wanted)


SOON = _leaf("shop.example.com", 10, issuer=ROOT, key="RSA-2048")
LATER = _leaf("www.shop.example.com", 50, issuer=ROOT)
ENDED = _leaf("old.example.org", -3, issuer=OTHER, key="RSA-3072")
GONE = _leaf("gone.example.org", 20, issuer=OTHER)
HOSTILE = _leaf("=\x1b[2J<b>", 40, names=("hostile.example.net",), issuer=OTHER)
EVERY = {"soon": SOON, "later": LATER, "ended": ENDED, "gone": GONE, "hostile": HOSTILE}


def _arn(name: str) -> str:
    return f"arn:aws:acm:eu-west-1:111122223333:certificate/{name}"


def _stored(name: str) -> Sighting:
    chain = {"chain": [ROOT.fingerprint]} if name == "soon" else {}
    return Sighting(
        location=_arn(name),
        role=Role.STORED,
        resource=_arn(name),
        fingerprint=EVERY[name].fingerprint,
        attributes={"type": "IMPORTED", **chain},
    )


def _finding(name: str, severity: Severity, owner: str | None) -> Finding:
    certificate = EVERY[name].certificate
    return Finding(
        check="expiry.soon",
        severity=severity,
        title="The certificate expires soon",
        detail="Valid until then.",
        remediation="Renew it.",
        scope=SCOPE,
        place=_arn(name),
        location=_arn(name),
        resource=_arn(name),
        subject=certificate.title,
        fingerprint=certificate.fingerprint,
        not_after=certificate.not_after,
        owner=owner,
        opened_at=NOW,
        updated_at=NOW,
    )


@pytest.fixture
def deployed(run: Run) -> Iterator[Inventory]:
    """A table that the deployment's parameter names, with five certificates, one of them gone."""
    create_table(boto3.client("dynamodb"), "perennial-inventory")
    boto3.client("ssm").put_parameter(Name="/perennial/table", Value="perennial-inventory", Type="String")
    inventory = Inventory("perennial-inventory", region="eu-west-1")
    inventory.keep([*(each.certificate for each in EVERY.values()), ROOT.certificate], NOW)
    added = tuple(map(_stored, EVERY))
    inventory.apply(SCOPE, Difference(added=added, changed=(), gone=()), NOW)
    inventory.apply(SCOPE, Difference(added=(), changed=(), gone=(_stored("gone"),)), NOW)
    holder = Sighting(location=f"{LISTENER}#1", role=Role.ATTACHED, resource=LISTENER, holder=_arn("soon"))
    inventory.apply(LISTENERS, Difference(added=(holder,), changed=(), gone=()), NOW)
    inventory.own(SOON.fingerprint, "shop", _arn("soon"))
    for name, severity, owner in (
        ("soon", Severity.HIGH, "shop"),
        ("ended", Severity.CRITICAL, None),
        ("hostile", Severity.LOW, None),
    ):
        change = FindingsDifference(opened=(_finding(name, severity, owner),), changed=(), resolved=())
        inventory.settle(inventory.place(_arn(name)), change, None, NOW)
    inventory.scanned(_record(SCOPE, ScopeStatus.COMPLETE, None))
    inventory.scanned(_record(LISTENERS, ScopeStatus.INCOMPLETE, "access-denied"))
    yield inventory


def _record(scope: Scope, status: ScopeStatus, reason: str | None) -> ScopeRecord:
    return ScopeRecord(
        scope=scope,
        status=status,
        reason=reason,
        message=f"{scope.source}: no" if reason else None,
        attempted_at=NOW,
        completed_at=None if reason else NOW,
        sightings=5,
        run="one",
    )


KEY = str(SOON.certificate.public_key_sha256)
SELECTIONS: tuple[tuple[tuple[str, ...], list[str]], ...] = (
    ((), ["ended", "soon", "hostile", "later"]),
    (("--expiring", "30d"), ["soon"]),
    (("--expiring", "8w"), ["soon", "hostile", "later"]),
    (("--expired",), ["ended"]),
    (("--expired", "--expiring", "30d"), ["ended", "soon"]),
    (("--include-gone", "--expiring", "30d"), ["soon", "gone"]),
    (("--owner", "shop"), ["soon"]),
    (("--owner", "nobody"), []),
    (("--issuer", "example r"), ["soon", "later"]),
    (("--issuer", "root", "--expired"), ["ended"]),
    (("--issuer", "other", "--expiring", "60d"), ["hostile"]),
    (("--key-algorithm", "RSA"), ["ended", "soon"]),
    (("--key-algorithm", "RSA-2048"), ["soon"]),
    (("--key-algorithm", "rsa-2048", "--owner", "shop"), ["soon"]),
    (("--key-algorithm", "EC", "--issuer", "Example"), ["later"]),
    (("--signature", "ecdsa-with-SHA256"), ["ended", "soon", "hostile", "later"]),
    (("--signature", "ecdsa-with-SHA384"), []),
    (("--owner", "shop", "--signature", "ecdsa-with-SHA384"), []),
    (("--name", "shop.example.com"), ["soon"]),
    (("--name", "SHOP.example.com.", "--subtree"), ["soon", "later"]),
    (("--name", "example.com", "--subtree", "--key-algorithm", "EC-256"), ["later"]),
    (("--public-key", KEY), ["soon"]),
    (("--public-key", KEY.upper(), "--name", "example.org", "--subtree"), []),
    (("--resource", _arn("later")), ["later"]),
    (("--resource", LISTENER), ["soon"]),
    (("--resource", LISTENER, "--name", "shop.example.com"), ["soon"]),
    (("--resource", LISTENER, "--name", "old.example.org"), []),
    (("--resource", _arn("gone")), []),
    (("--resource", _arn("gone"), "--include-gone"), ["gone"]),
    (("--limit", "2"), ["ended", "soon"]),
)


def test_all_conditions_given_must_hold(run: Run, deployed: Inventory) -> None:
    """In the order of the end, without those that are gone unless they are asked for."""
    names = {each.fingerprint: name for name, each in EVERY.items()}
    for conditions, expected in SELECTIONS:
        listed = json.loads(run("certs", "list", *conditions, "--json").stdout)
        found = [names[each["fingerprint"]] for each in listed if each["fingerprint"] in names]
        assert (conditions, found) == (conditions, expected)


def test_the_table_and_the_csv_tell_the_same(run: Run, deployed: Inventory) -> None:
    """A person reads title, end, key and owner; a spreadsheet gets every column."""
    table = run("certs", "list", "--expiring", "30d")
    assert "shop.example.com" in table.stdout
    assert "RSA-2048" in table.stdout
    assert "perennial certs show" in table.stderr
    (row,) = csv.DictReader(io.StringIO(run("certs", "list", "--expiring", "30d", "--output", "csv").stdout))
    assert (row["title"], row["owner"], row["key"]) == ("shop.example.com", "shop", "RSA-2048")


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_hostile_names_of_the_inventory_command_no_terminal(run: Run, deployed: Inventory, output: str) -> None:
    """In every list and form."""
    for command in (("certs", "list"), ("findings",)):
        assert "\x1b" not in run(*command, "--output", output).stdout
    assert "\x1b" not in run("certs", "show", HOSTILE.fingerprint).stdout


def test_nothing_that_fits_is_no_error(run: Run, deployed: Inventory) -> None:
    """An empty list is an answer."""
    assert "No certificate fits" in run("certs", "list", "--owner", "nobody").stderr
    assert json.loads(run("certs", "list", "--owner", "nobody", "--json").stdout) == []


@pytest.mark.parametrize(
    "which",
    [
        SOON.fingerprint,
        ":".join(SOON.fingerprint.upper()[at : at + 2] for at in range(0, 64, 2)),
        _arn("soon"),
    ],
    ids=("fingerprint", "colons", "ARN"),
)
def test_a_certificate_is_shown_with_places_attachments_findings_and_chain(
    run: Run, deployed: Inventory, which: str
) -> None:
    """However it is named."""
    shown = run("certs", "show", which).stdout
    for part in (SOON.fingerprint, "CN=Example Root", _arn("soon"), LISTENER, "Renew it.", "Example Root", "shop"):
        assert part in shown
    found = json.loads(run("certs", "show", which, "--json").stdout)
    assert found["attached"][0]["resource"] == LISTENER
    assert found["chain"] == [ROOT.fingerprint]
    assert [each["check"] for each in found["findings"]] == ["expiry.soon"]


def test_a_certificate_is_printed_as_pem(run: Run, deployed: Inventory) -> None:
    """Byte for byte what was found."""
    assert run("certs", "show", SOON.fingerprint, "--pem").stdout == SOON.pem


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("a" * 64, "is not in the inventory"),
        ("shop", "not a fingerprint (8 to 64 hexadecimal digits), an ARN or host:port"),
        (_arn("gone"), "no certificate is known at"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(run: Run, deployed: Inventory, which: str, said: str) -> None:
    """Exit code 2, as for every other error."""
    told = run("certs", "show", which, expect=2).stderr.splitlines()
    assert len(told) == 1
    assert said in told[0]


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ((), ["critical", "high", "low"]),
        (("--severity", "high"), ["critical", "high"]),
        (("--owner", "shop"), ["high"]),
        (("--check", "expiry.soon"), ["critical", "high", "low"]),
        (("--check", "expiry.expired"), []),
        (("--account", "111122223333"), ["critical", "high", "low"]),
        (("--account", "999922223333"), []),
    ],
    ids=lambda value: " ".join(value) or "all",
)
def test_findings_come_worst_first(
    run: Run, deployed: Inventory, conditions: tuple[str, ...], found: list[str]
) -> None:
    """And fit every condition."""
    listed = json.loads(run("findings", *conditions, "--json").stdout)
    assert [each["severity"] for each in listed] == found


def test_findings_and_their_absence_are_told(run: Run, deployed: Inventory) -> None:
    """A person sees them check by check, or that there are none."""
    assert "CRITICAL  The certificate expires soon" in run("findings").stdout
    assert "No open findings" in run("findings", "--owner", "nobody").stderr


def test_scopes_tell_what_discovery_does_not_see(run: Run, deployed: Inventory) -> None:
    """With the reason."""
    every = json.loads(run("scopes", "--json").stdout)
    assert [(each["scope"].split("/")[2], each["status"]) for each in every] == [
        ("acm", "complete"),
        ("elbv2", "incomplete"),
    ]
    (row,) = csv.DictReader(io.StringIO(run("scopes", "--incomplete", "--output", "csv").stdout))
    assert (row["reason"], row["message"]) == ("access-denied", "elbv2: no")
    assert "access-denied" in run("scopes").stdout


def test_a_table_can_be_named(run: Run, deployed: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option or environment, before the deployment's parameter is asked."""
    boto3.client("ssm").delete_parameter(Name="/perennial/table")
    run("scopes", "--table", "perennial-inventory")
    monkeypatch.setenv("PERENNIAL_TABLE", "perennial-inventory")
    run("scopes")


def test_a_certificate_that_was_too_large_to_keep_has_no_pem(run: Run, deployed: Inventory) -> None:
    """The reason is told."""
    deployed.keep([facts(GONE, fingerprint="c" * 64, der=b"", problems=("size: 300000 bytes",))], NOW)
    assert "size: 300000 bytes" in run("certs", "show", "c" * 64, "--pem", expect=2).stderr
