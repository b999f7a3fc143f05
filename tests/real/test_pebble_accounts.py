"""Accounts and revocation at Pebble: external accounts, key change, deactivation, contacts, and who may revoke."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perennial.certificate import parse
from perennial.errors import InvalidConfiguration, PerennialError
from real_acme import Start

EAB_SECRET = "ca/external-account"
ACCOUNT = "perennial/acme/test"


def account(secrets: Any) -> dict[str, Any]:
    """What is kept of the account. The stage is named, because moto forgets it where it was moved."""
    current = secrets.get_secret_value(SecretId=ACCOUNT, VersionStage="AWSCURRENT")
    found: dict[str, Any] = json.loads(current["SecretString"])
    return found


def test_external_account_is_required(on_pebble: Start, secrets: Any) -> None:
    """With the CA's key identifier and HMAC key an account is made; without, the reason names the setting."""
    with on_pebble(eab=True) as here:
        with pytest.raises(InvalidConfiguration, match=r"issuers\.test\.eab_secret"):
            here.client.issue("www.example.com")
        binding = here.server.eab
        assert binding is not None
        text = json.dumps({"kid": binding.kid, "hmac_key": binding.hmac_key})
        secrets.create_secret(Name=EAB_SECRET, SecretString=text)
        assert here.configured(eab_secret=EAB_SECRET).issue("www.example.com").names == {"www.example.com"}
        assert "POST /sign-me-up" not in here.requests_of(lambda: here.client.issue("again.example.com"))


def test_a_wrong_external_account_is_refused(on_pebble: Start, secrets: Any) -> None:
    """A wrong HMAC key ends in a reason that does not have the key in it."""
    wrong = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc"
    secrets.create_secret(Name=EAB_SECRET, SecretString=json.dumps({"kid": "kid-1", "hmac_key": wrong}))
    with on_pebble(eab=True) as here, pytest.raises(PerennialError) as refused:
        here.configured(eab_secret=EAB_SECRET).issue("www.example.com")
    assert not refused.value.retry
    assert wrong not in repr(refused.value)


def test_account_key_change(on_pebble: Start, secrets: Any) -> None:
    """After a key change the same account goes on under another key, and no second account is made."""
    with on_pebble() as here:
        here.client.issue("www.example.com")
        before = account(secrets)
        here.client.issuer().change_key()
        after = account(secrets)
        assert after["url"] == before["url"]
        assert after["private_key"] != before["private_key"]
        counted = here.requests_of(lambda: here.client.issue("www.example.com"))
        assert "POST /sign-me-up" not in counted
        here.client.issuer().change_key()
        assert here.client.issue("www.example.com").names == {"www.example.com"}


def test_account_deactivation(on_pebble: Start, secrets: Any) -> None:
    """A deactivated account is not used again: the next order makes another one with another key."""
    with on_pebble() as here:
        here.client.issue("www.example.com")
        before = account(secrets)
        here.client.issuer().deactivate()
        here.client.issue("www.example.com")
        after = account(secrets)
        assert after["url"] != before["url"]
        assert after["private_key"] != before["private_key"]


def test_contacts_are_brought_up_to_date(on_pebble: Start) -> None:
    """Other contacts are told to the CA once, with the same account."""
    with on_pebble() as here:
        here.client.issue("www.example.com")
        client = here.configured(contacts=("mailto:pki@example.com",))
        counted = here.requests_of(lambda: client.issue("www.example.com"))
        assert counted.count("POST /my-account/") == 1
        assert "POST /sign-me-up" not in counted
        assert "POST /my-account/" not in here.requests_of(lambda: client.issue("www.example.com"))


def test_revocation(on_pebble: Start) -> None:
    """A certificate is revoked at the CA, and revoking it again changes nothing."""
    with on_pebble() as here:
        run = here.client.issue("www.example.com")
        assert here.server.status(run.leaf.serial_number) == "Valid"
        for _ in range(2):
            here.client.issuer().revoke(parse(run.outcome.chain[0]), "", 4)
            assert here.server.status(run.leaf.serial_number) == "Revoked"


def test_revocation_by_another_account(on_pebble: Start) -> None:
    """The CA lets no other account revoke, and that is a final reason."""
    with on_pebble() as here:
        run = here.client.issue("www.example.com")
        other = here.configured(name="other")
        with pytest.raises(PerennialError) as refused:
            other.issuer().revoke(parse(run.outcome.chain[0]), "", 4)
        assert not refused.value.retry
        assert here.server.status(run.leaf.serial_number) == "Valid"
