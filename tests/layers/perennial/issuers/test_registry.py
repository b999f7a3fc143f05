"""Which issuer a deployment's settings make, and how long it is used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from acme_server import acme
from estate import Clock
from perennial import issuers
from perennial.deployment import Deployment
from perennial.errors import InvalidConfiguration
from perennial.issuers.acme import Acme
from perennial.profiles import AcmeIssuer

CA = AcmeIssuer(name="ca", directory="https://ca.example/dir")


def deployed(secrets: Any = None, clock: Clock | None = None) -> Deployment:
    """A function's deployment, as long as it is warm."""
    made = Deployment({"PERENNIAL_KEY_ID": "alias/own"}, clock or Clock())
    made.__dict__["clients"] = {"secretsmanager": secrets}.__getitem__
    return made


def test_a_warm_function_keeps_its_issuer() -> None:
    """The same settings are the same issuer, with its connections; other settings and another function are not."""
    warm = deployed()
    first = issuers.issuer(CA, warm)
    assert issuers.issuer(AcmeIssuer(name="ca", directory="https://ca.example/dir"), warm) is first
    assert issuers.issuer(AcmeIssuer(name="ca", directory="https://other.example/dir"), warm) is not first
    assert issuers.issuer(CA, deployed()) is not first


def test_a_function_that_was_idle_makes_its_issuer_anew() -> None:
    """What was used within thirty seconds is used on, however long in all; after that its connections may be gone."""
    clock = Clock()
    warm = deployed(clock=clock)
    first = issuers.issuer(CA, warm)
    for _ in range(5):
        clock.now += issuers.IDLE
        assert issuers.issuer(CA, warm) is first
    clock.now += issuers.IDLE + timedelta(seconds=1)
    again = issuers.issuer(CA, warm)
    assert again is not first
    assert issuers.issuer(CA, warm) is again


def test_an_account_is_looked_up_at_every_step() -> None:
    """What is kept has no account in it: a key that was changed or an account that was deactivated is seen at once."""
    with acme() as (server, secrets):
        warm = deployed(secrets)
        settings = AcmeIssuer(name="test", directory=server.directory, public=False)
        made: Any = issuers.issuer(settings, warm)
        assert isinstance(made, Acme)
        before = made._accounts.account(made._network())
        Acme(settings, secrets=secrets, key_id="alias/own").change_key()
        again: Any = issuers.issuer(settings, warm)
        after = again._accounts.account(again._network())
        assert again is made
        assert (after.url, after.key == before.key) == (before.url, False)


def test_an_unknown_kind_is_refused() -> None:
    """The kinds that there are are named."""

    class Other:
        name, kind = "other", "other"

    with pytest.raises(InvalidConfiguration, match="acme"):
        issuers.issuer(Other(), deployed())  # type: ignore[arg-type]
