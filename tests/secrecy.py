"""After every test that gets this fixture: no private key that Perennial made in it is where it does not belong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.client import BaseClient

from key_search import Known
from perennial import keys
from perennial.errors import PerennialError


@pytest.fixture(autouse=True)
def nothing_secret(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, of a certificate or an account, is in a log, in an error's message, or in a call to AWS other than to
    Secrets Manager, in any spelling."""
    made, texts = [], []
    generate, raised, call = keys.generate, PerennialError.__init__, BaseClient._make_api_call

    def noted(kind: str) -> Any:
        made.append(generate(kind))
        return made[-1]

    def told(self: PerennialError, message: str, **more: Any) -> None:
        texts.append(message)
        raised(self, message, **more)

    def called(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        if client.meta.service_model.service_name != "secretsmanager":
            texts.append(repr(request))
        return call(client, operation, request)

    monkeypatch.setattr(keys, "generate", noted)
    monkeypatch.setattr(PerennialError, "__init__", told)
    monkeypatch.setattr(BaseClient, "_make_api_call", called)
    yield
    if made:
        known = Known.of(made)
        logged = [each.getMessage() for phase in ("setup", "call") for each in caplog.get_records(phase)]
        assert not any(map(known.shown_in, (*logged, *texts)))
