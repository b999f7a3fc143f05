"""`perennial why`, `renew` and `revoke`: what they say, ask for, and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from command import Run
from estate import Estate
from layers.perennial.conftest import in_memory_hub
from managed_records import record, serving, version
from perennial.inventory.records import Advice, ManagedState, Told

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
CONFIGURATION = b"""
[issuers.public]
kind = "acme"
directory = "https://ca.example.com/directory"
[profiles.web]
issuer = "public"
keys = ["EC-256", "RSA-2048"]
names = [".example.com"]
[policy.owners]
shop-team = [".example.com"]
"""


@pytest.fixture
def hub(run: Run) -> Iterator[Estate]:
    """A deployment as its parameters name it, with one managed certificate that serves."""
    with in_memory_hub(CONFIGURATION) as made:
        environment = made.deployment.environment
        settings = f"{environment['PERENNIAL_SETTINGS_BUCKET']}/{environment['PERENNIAL_SETTINGS_KEY']}"
        ssm = made.deployment.clients("ssm")
        for name, value in {"table": environment["PERENNIAL_TABLE"], "settings": settings, "key": "alias/x"}.items():
            ssm.put_parameter(Name=f"/perennial/{name}", Value=value, Type="String", Overwrite=True)
        kept(made)
        yield made


def kept(hub: Estate, **more: Any) -> None:
    """Keep the managed certificate `shop`: its version 1 is a day old and lives for ninety."""
    inventory = hub.deployment.inventory
    before = inventory.find_managed("shop")
    begin = NOW - timedelta(days=1)
    own = replace(serving(), not_before=begin, not_after=begin + timedelta(days=90), since=begin)
    known = {"serving": own, "state": ManagedState.SERVING, "due_at": NOW + HOUR, **more}
    inventory.save_managed(record(revision=before.revision if before else 0, **known))


def why(run: Run) -> dict[str, Any]:
    (found,) = json.loads(run("why", "shop", "--json").stdout)
    return dict(found)


def test_why_explains(run: Run, hub: Estate) -> None:
    """State, reason, next step and time are there, in words and as JSON."""
    text = run("why", "shop").stdout
    assert text.startswith("shop serves\n")
    assert "Serves     version 1, EC-256, until" in text
    assert "a third of its lifetime is left from" in text
    assert "Next " in text
    found = why(run)
    assert (found["state"], found["next"], found["serving"]["version"]) == ("serving", "ask", 1)


def test_why_explains_a_failure(run: Run, hub: Estate) -> None:
    """What failed, how often, when it is tried again, who was told, and the command that tries at once."""
    hub.deployment.inventory.save_version(
        replace(version(2, "failed", reason="policy", message="not \x1b[31mallowed"), due_at=None), None
    )
    told = Told(level=2, at=NOW, acknowledged_by="arn:aws:iam::123456789012:user/eva")
    advice = Advice(start=NOW, end=NOW + HOUR, at=NOW + HOUR, ask_at=NOW + 9 * HOUR, failed=True)
    more = {"failed": "version shop/2", "failed_at": NOW, "attempts": 3, "failure": "policy"}
    kept(hub, told=told, advice=advice, retiring=((1, NOW),), forced_by="anna", **more)
    text = run("why", "shop").stdout
    assert text.startswith("shop could not be renewed yet\n")
    assert "\x1b" not in text
    for said in ("3 times in a row (policy)", "acknowledged by", "it does not answer now", "version 1 on", "--force"):
        assert said in text
    assert why(run)["attempts"] == 3


def test_why_of_what_is_not_declared(run: Run, hub: Estate) -> None:
    """A name that is not declared is told so, with the command that lists what there is."""
    assert "perennial managed list" in run("why", "none", expect=2).stderr


@pytest.mark.parametrize(("arguments", "urgent"), [((), False), (("--force",), True)])
def test_renew_asks(run: Run, hub: Estate, arguments: tuple[str, ...], urgent: bool) -> None:
    """It is kept who asked, and that it is due now; with --force, that nothing is waited for."""
    result = run("renew", "shop", *arguments)
    assert "perennial why shop" in result.stderr
    found = hub.deployment.inventory.managed_certificate("shop")
    assert found.urgent is urgent
    assert found.forced_by.startswith("arn:aws:")
    assert found.forced_at and found.due_at and found.due_at <= datetime.now(UTC)
    assert why(run)["reason"] == "forced" or why(run)["next"] == "ask"


def test_force_lets_what_waits_go_on(run: Run, hub: Estate) -> None:
    """A version that waits for its issuer is due at once with --force, and stays as it is without."""
    waiting = replace(version(2, "prepared"), attempts=3, message="slow down")
    hub.deployment.inventory.save_version(waiting, NOW + 9 * HOUR)
    run("renew", "shop")
    assert hub.deployment.inventory.version("shop/2").due_at == NOW + 9 * HOUR
    run("renew", "shop", "--force")
    due = hub.deployment.inventory.version("shop/2").due_at
    assert due and due <= datetime.now(UTC)


def test_what_is_removed_is_not_renewed(run: Run, hub: Estate) -> None:
    """A certificate that is no longer declared is refused, with what to do."""
    kept(hub, removed_at=NOW)
    assert "no longer declared" in run("renew", "shop", expect=2).stderr


def test_by_hand_only_what_is_not_declared(run: Run, hub: Estate) -> None:
    """Versions and rollouts of what is declared are not asked for by hand."""
    asked = (
        "managed",
        "request",
        "shop",
        "--certificate-profile",
        "web",
        "--owner",
        "shop-team",
        "--name",
        "shop.example.com",
    )
    hub.deployment.inventory.save_version(version(1), None)
    for arguments in (("deploy", "shop"), asked):
        assert "perennial renew shop --force" in run(*arguments, expect=2).stderr


def test_revoking_asks_first(run: Run, hub: Estate) -> None:
    """Without a yes nothing is revoked; an unknown reason is refused with those that there are."""
    run("revoke", "shop", "--reason", "key-compromise", expect=130)
    assert "key-compromise" in run("revoke", "shop", "--reason", "boredom", "--yes", expect=2).stderr
    found = hub.deployment.inventory.managed_certificate("shop").serving
    assert found and found.revoked_at is None
