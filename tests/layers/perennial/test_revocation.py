"""Revoking: what the CA is told, and that what serves is renewed at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from issuing import IssuingHub, issuing_hub
from managed_records import record
from perennial import lifecycle_step, renewal, revocation
from perennial.audit_event import DONE
from perennial.errors import ConcurrentChange, InvalidInput, NotFound
from perennial.inventory.records import ManagedState
from perennial.issuers.acme import Acme


@pytest.fixture
def hub() -> Iterator[IssuingHub]:
    with issuing_hub() as made:
        yield made


def serving(hub: IssuingHub) -> str:
    """A version that is issued and serves; returns the name of its managed certificate."""
    reference = hub.request("shop.example.com").reference
    hub.run(reference)
    version = hub.version(reference)
    served = lifecycle_step.served(version, None, hub.now)
    hub.deployment.inventory.save_managed(record(serving=served, state=ManagedState.SERVING))
    return version.managed


def test_what_serves_is_revoked_and_renewed(hub: IssuingHub) -> None:
    """The CA is told the certificate and the reason; the certificate is due, and the reason to renew is this one."""
    name = serving(hub)
    revoked = revocation.revoke(hub.deployment, name, "key-compromise", "anna", hub.now, source="cli")
    assert hub.server.kinds.count("revokeCert") == 1
    found = hub.deployment.inventory.managed_certificate(name)
    assert found.serving and found.serving.revoked_at == hub.now
    assert (found.urgent, found.forced_by, revoked.number) == (True, "anna", 1)
    assert hub.version(revoked.reference) == revoked
    assert revoked.revoked_at == hub.now
    rules = renewal.Rules(issuer="ca", keys=("EC-256",))
    assert renewal.renewal(found, found.serving, rules, hub.now).reason in (renewal.REVOKED, renewal.CHANGED)


def test_revoking_again_changes_nothing(hub: IssuingHub) -> None:
    """The first time stays; the CA's answer that it is revoked already is no error."""
    name = serving(hub)
    revocation.revoke(hub.deployment, name, "superseded", "anna", hub.now, source="cli")
    revocation.revoke(hub.deployment, name, "superseded", "anna", hub.now + timedelta(hours=1), source="cli")
    found = hub.deployment.inventory.managed_certificate(name).serving
    assert found and found.revoked_at == hub.now
    assert hub.version(f"{name}/1").revoked_at == hub.now


def test_a_step_of_the_version_at_the_same_time(hub: IssuingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else is written of the version meanwhile stays, and that it is revoked is known too."""
    name = serving(hub)
    inventory = hub.deployment.inventory
    tell = Acme.revoke

    def told(*given: Any) -> None:
        tell(*given)
        inventory.save_version(replace(hub.version(f"{name}/1"), message="meanwhile"), None)

    monkeypatch.setattr(Acme, "revoke", told)
    revocation.revoke(hub.deployment, name, "superseded", "anna", hub.now, source="cli")
    found = hub.version(f"{name}/1")
    assert (found.message, found.revoked_at) == ("meanwhile", hub.now)


def test_what_was_revoked_is_no_refusal(hub: IssuingHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its version is changed again and again, that is said; what serves is renewed, and nothing was refused."""
    name, inventory = serving(hub), hub.deployment.inventory

    def changed(*_: Any) -> Any:
        raise ConcurrentChange("again")

    monkeypatch.setattr(inventory, "save_version", changed)
    with pytest.raises(ConcurrentChange):
        revocation.revoke(hub.deployment, name, "superseded", "anna", hub.now, source="cli")
    assert inventory.managed_certificate(name).urgent
    since, until = hub.now - timedelta(days=1), hub.now + timedelta(days=1)
    trail = [each.event for each in inventory.audit_of("managed", name, since, until)]
    assert [each.outcome for each in trail if each.action == "managed.revoke"] == [DONE]


def test_what_cannot_be_revoked(hub: IssuingHub) -> None:
    """A name without a version, a version without a certificate, and an unknown reason are refused in words."""
    name = serving(hub)
    with pytest.raises(NotFound, match="managed list"):
        revocation.revoke(hub.deployment, "none", "superseded", "anna", hub.now, source="cli")
    with pytest.raises(InvalidInput, match="key-compromise"):
        revocation.revoke(hub.deployment, name, "boredom", "anna", hub.now, source="cli")
