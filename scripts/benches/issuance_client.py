"""Perennial's issuer as the bench drives it: key, CSR, and every step of the order until the chain is there.

What is left out is what is not the issuer's: the table, Secrets Manager (the account is in a file), Route 53 (the
challenge is a file of the bench's name server), and the seconds that the workflow waits: it is asked again at once.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from benches import issuance_names
from perennial import issuers, keys, signing_request
from perennial.deployment import Deployment
from perennial.issuers.interface import Ask, Issued, Outcome, Present
from perennial.profiles import AcmeIssuer, Profile

KEY = "EC-256"
MOST_STEPS = 500
PAUSE_SECONDS = 0.01  # in place of what the workflow waits


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where clients find what they need: the CA's directory, its TLS root (a file), and two directories."""

    url: str
    roots: str
    records: str
    secrets: str

    def show(self, name: str, value: str) -> None:
        """Show a TXT record."""
        issuance_names.show(Path(self.records), name, value)

    def hide(self, name: str) -> None:
        """Show it no more."""
        issuance_names.hide(Path(self.records), name)


class FileSecrets:
    """As much of Secrets Manager as an account needs: one file a secret, its latest version only."""

    class exceptions:  # noqa: N801 - as botocore's clients name it
        ResourceExistsException = FileExistsError

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def get_secret_value(self, *, SecretId: str, **_: Any) -> dict[str, str]:  # noqa: N803 - botocore's names
        try:
            found: dict[str, str] = json.loads(self._file(SecretId).read_text())
        except FileNotFoundError:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue") from None
        return found

    def create_secret(self, **asked: Any) -> dict[str, str]:
        return self._put(asked["Name"], asked["SecretString"], asked["ClientRequestToken"])

    def put_secret_value(self, **asked: Any) -> dict[str, str]:
        return self._put(asked["SecretId"], asked["SecretString"], asked["ClientRequestToken"])

    def _put(self, name: str, text: str, version: str) -> dict[str, str]:
        self._file(name).write_text(json.dumps({"SecretString": text, "VersionId": version}))
        return {"VersionId": version}

    def _file(self, name: str) -> Path:
        return self._directory / f"{name.replace('/', '-')}.json"


Advance = Callable[[Ask, str, bool, Callable[[str], None]], Outcome]


def deployed(place: Place) -> Advance:
    """Steps as a function of a deployment makes them: what it keeps between two is what a warm Lambda keeps."""
    roots = Path(place.roots).read_text()
    settings = AcmeIssuer(name="bench", directory=place.url, directory_roots=roots, public=False)
    deployment = Deployment({"PERENNIAL_KEY_ID": "none"})
    secrets = FileSecrets(place.secrets)
    deployment.__dict__["clients"] = {"secretsmanager": secrets}.__getitem__

    def advance(ask: Ask, order: str, presented: bool, keep: Callable[[str], None]) -> Outcome:
        asked = issuers.issuer(settings, deployment)
        return asked.advance(ask, order, presented=presented, now=datetime.now(UTC), keep=keep)

    return advance


def ask_for(names: Sequence[str]) -> Ask:
    """What is asked for: a new key's certificate with these names. The key itself is not needed any more."""
    return ask(os.urandom(16).hex(), names, signing_request.make(keys.generate(KEY), names))


def ask(number: str, names: Sequence[str], csr: bytes) -> Ask:
    """What is asked for, with a CSR that is there already."""
    profile = Profile(name="bench", issuer="bench")
    return Ask(id=number, names=tuple(names), csr=csr, key=KEY, profile=profile, validity_days=90)


def issue(place: Place, advance: Advance, names: Sequence[str], settle: Callable[[], object]) -> Issued:
    """One certificate. `settle` is called where the workflow waits."""
    wanted, kept, shown = ask_for(names), [""], []
    for _ in range(MOST_STEPS):
        outcome = advance(wanted, kept[-1], bool(shown), kept.append)
        if isinstance(outcome, Issued):
            for name in shown:
                place.hide(name)
            return outcome
        if isinstance(outcome, Present):
            for each in outcome.challenges:
                place.show(each.where, each.value)
                shown.append(each.where)
        else:
            settle()
    raise SystemExit(f"bench: {names[0]} was not issued after {MOST_STEPS} steps")


def pause() -> None:
    """What the bench does where the workflow waits, when it measures how fast certificates come."""
    time.sleep(PAUSE_SECONDS)
