"""ACME orders through acme2certifier, whose authors read the same documents as Pebble's and understood them their own
way: renewal information, profiles, external accounts, dns-01, http-01 and dns-persist-01."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from perennial.certificate import parse
from perennial.errors import InvalidConfiguration, PerennialError, ValidationFailed
from perennial.profiles import ChallengeKind, Profile
from real_acme import Start

EAB_SECRET = "ca/external-account"


def test_a_wildcard_beside_its_base(on_acme2certifier: Start) -> None:
    """dns-01 proves a wildcard and its base; the chain ends at the CA's root."""
    with on_acme2certifier() as here:
        run = here.client.issue("example.com", "*.example.com")
        assert run.names == {"example.com", "*.example.com"}
        assert run.leaf.public_key() == run.key.public_key()
        root = x509.load_pem_x509_certificate(here.server.roots[0].encode())
        verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName("www.example.com"))
        assert len(verifier.verify(run.leaf, [])) == 2


def test_http_challenge(on_acme2certifier: Start) -> None:
    """http-01 proves a host."""
    with on_acme2certifier() as here:
        run = here.configured(challenge=ChallengeKind.HTTP).issue("web.example.com")
        assert run.names == {"web.example.com"}


def test_a_failed_validation_names_the_name(on_acme2certifier: Start) -> None:
    """A record that is missing ends in ValidationFailed with the name."""
    with on_acme2certifier() as here, pytest.raises(ValidationFailed, match=r"www\.example\.com"):
        replace(here.client, show=False).issue("www.example.com")


def test_persistent_records(on_acme2certifier: Start) -> None:
    """dns-persist-01: one record that stays proves every later order of the same account."""
    with on_acme2certifier() as here:
        client = here.configured(challenge=ChallengeKind.DNS_PERSIST, issuer_domain=here.server.issuer_domain)
        first = client.issue("www.example.com")
        assert [each.stays for each in first.presented] == [True]
        again = replace(client, show=False).issue("www.example.com")
        assert again.names == {"www.example.com"}


def test_external_account_is_required(on_acme2certifier: Start, secrets: Any) -> None:
    """With the CA's key identifier and HMAC key an account is made; without, the reason names the setting."""
    with on_acme2certifier(eab=True) as here:
        with pytest.raises(InvalidConfiguration, match="eab_secret"):
            here.client.issue("www.example.com")
        binding = here.server.eab
        assert binding is not None
        text = json.dumps({"kid": binding.kid, "hmac_key": binding.hmac_key})
        secrets.create_secret(Name=EAB_SECRET, SecretString=text)
        assert here.configured(eab_secret=EAB_SECRET).issue("www.example.com").names == {"www.example.com"}


def test_renewal_information(on_acme2certifier: Start) -> None:
    """The CA's window lies within the certificate's life, and begins where the CA was told to begin."""
    with on_acme2certifier(renewal_percent=50, validity_days=90) as here:
        run = here.client.issue("www.example.com")
        window = here.client.issuer().renewal_window(parse(run.outcome.chain[0]))
        assert window is not None
        middle = run.leaf.not_valid_before_utc + timedelta(days=45)
        assert abs(window.start - middle) < timedelta(days=1)
        assert window.start < window.end <= run.leaf.not_valid_after_utc
        assert window.retry_after == 21_600


def test_renewal_names_what_it_replaces(on_acme2certifier: Start) -> None:
    """A renewal says which certificate it replaces, whatever this CA makes of it."""
    with on_acme2certifier() as here:
        old = parse(here.client.issue("www.example.com").outcome.chain[0])
        for _ in range(2):
            assert here.client.issue("www.example.com", replaces=old).names == {"www.example.com"}


def test_profiles(on_acme2certifier: Start) -> None:
    """A profile that the CA offers is taken, and another is a reason with those that it offers."""
    with on_acme2certifier(profiles=("long", "short")) as here:
        for name in ("long", "short"):
            profile = Profile(name="web", issuer="test", acme_profile=name)
            assert here.client.issue("www.example.com", profile=profile).names == {"www.example.com"}
        with pytest.raises(InvalidConfiguration, match=r"none.*long, short"):
            here.client.issue("www.example.com", profile=Profile(name="web", issuer="test", acme_profile="none"))


def test_account_key_change(on_acme2certifier: Start) -> None:
    """After a key change the same account goes on."""
    with on_acme2certifier() as here:
        here.client.issue("www.example.com")
        here.client.issuer().change_key()
        before = here.server.requests().count("POST /acme/newaccount")
        assert here.client.issue("www.example.com").names == {"www.example.com"}
        assert here.server.requests().count("POST /acme/newaccount") == before


def test_account_deactivation(on_acme2certifier: Start) -> None:
    """A deactivated account is replaced by another one at the next order."""
    with on_acme2certifier() as here:
        here.client.issue("www.example.com")
        here.client.issuer().deactivate()
        assert here.client.issue("www.example.com").names == {"www.example.com"}


def test_revocation(on_acme2certifier: Start) -> None:
    """A certificate is revoked, and revoking it again changes nothing."""
    with on_acme2certifier() as here:
        run = here.client.issue("www.example.com")
        for _ in range(2):
            here.client.issuer().revoke(parse(run.outcome.chain[0]), "", 4)


def test_a_server_that_is_gone(on_acme2certifier: Start) -> None:
    """A server that does not answer is worth another try."""
    with on_acme2certifier() as here:
        here.client.issue("www.example.com")
        here.server.stop()
        with pytest.raises(PerennialError) as gone:
            here.client.issue("www.example.com")
    assert gone.value.retry
