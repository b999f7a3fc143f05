"""moto's Secrets Manager, as strict as the real one where a deployment depends on it (API reference, PutSecretValue,
UpdateSecretVersionStage, DescribeSecret):

- a token that is there takes no other content, a value has at most 65,536 bytes, and a deleted secret takes none;
- a label moves only from the version that has it, and nothing is half moved; AWSCURRENT never goes away;
- DescribeSecret tells the versions that have a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from moto import mock_aws
from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceExistsException,
)
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend

MAX_BYTES = 65_536


@contextmanager
def strict_secrets() -> Iterator[None]:
    """mock_aws with these rules."""
    with mock_aws(), pytest.MonkeyPatch.context() as patched:
        _put(patched)
        _move(patched)
        _describe(patched)
        yield


def _put(patched: pytest.MonkeyPatch) -> None:
    put = SecretsManagerBackend.put_secret_value

    def strict(backend: Any, **named: Any) -> Any:
        secret = backend.secrets.get(named["secret_id"])
        if secret is not None and secret.is_deleted():
            raise InvalidRequestException("You can't perform this operation on the secret because it was deleted.")
        if len((named["secret_string"] or "").encode()) > MAX_BYTES:
            raise InvalidParameterException("the value is too long")
        found = secret.versions.get(named["client_request_token"]) if secret is not None else None
        if found is None:
            return put(backend, **named)
        if found.get("secret_string") != named["secret_string"]:
            raise ResourceExistsException("a version with this token exists with other content")
        return secret.to_short_dict(version_id=named["client_request_token"])

    patched.setattr(SecretsManagerBackend, "put_secret_value", strict)


def _move(patched: pytest.MonkeyPatch) -> None:
    move = SecretsManagerBackend.update_secret_version_stage

    def strict(backend: Any, **named: Any) -> Any:
        secret = backend.secrets.get(named["secret_id"])
        if secret is not None:
            _allowed(secret, named)
        return move(backend, **named)

    patched.setattr(SecretsManagerBackend, "update_secret_version_stage", strict)


def _allowed(secret: Any, named: dict[str, Any]) -> None:
    stage, to, away = named["version_stage"], named["move_to_version_id"], named["remove_from_version_id"]
    holder = next((each for each, held in secret.versions.items() if stage in held["version_stages"]), None)
    if secret.is_deleted():
        raise InvalidRequestException("You can't perform this operation on the secret because it was deleted.")
    if (to and to not in secret.versions) or (away and away not in secret.versions):
        raise InvalidParameterException("not a valid version")
    if holder != away and (holder or away):
        raise InvalidParameterException(f"{stage} is attached to {holder}, not to {away}")
    if stage == "AWSCURRENT" and not to:
        raise InvalidParameterException("AWSCURRENT cannot be removed, only moved")


def _describe(patched: pytest.MonkeyPatch) -> None:
    def labelled(secret: Any) -> dict[str, list[str]]:
        return {key: value["version_stages"] for key, value in secret.versions.items() if value["version_stages"]}

    patched.setattr(FakeSecret, "_form_version_ids_to_stages", labelled)
